//! PyTorch's legacy `.pth` files: the container, and the MiniFASNet networks that come in it.
//!
//! Layout (`torch/serialization.py`, `_legacy_save`): five pickles (magic number, protocol version, system information,
//! the object with its storages as persistent ids, the list of storage keys), then for every key of that list an i64
//! number of elements and the elements. Everything is little-endian here.

mod minifasnet;
mod pickle;

pub use minifasnet::minifasnet;

use super::ConvertError;
use pickle::{Arena, Id, Object};
use std::collections::BTreeMap;

const FORMAT: &str = "PyTorch";

/// Upper limit for a file; the networks here have less than 2 MB.
const MAX_BYTES: usize = 8 << 20;

/// The magic number of the legacy format, 0x1950a86a20f9469cfc6c, as a pickled little-endian integer.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// Version of the legacy container.
const PROTOCOL: i64 = 1001;

/// A dense f32 tensor, its last axis fastest.
pub(super) struct Tensor {
    shape: Vec<usize>,
    values: Vec<f32>,
}

/// The f32 tensors of a state dict by name, without the `module.` that data-parallel training prefixes.
pub(super) struct StateDict {
    tensors: BTreeMap<String, Tensor>,
}

fn malformed(reason: impl Into<String>) -> ConvertError {
    ConvertError::malformed(FORMAT, reason)
}

/// A tensor as the pickle describes it: `_rebuild_tensor_v2(storage, offset, size, stride, …)`.
struct Description {
    name: String,
    storage: String,
    elements: usize,
    shape: Vec<usize>,
}

impl StateDict {
    /// Reads a file. Tensors of other types than f32 (counters of batch norms) are left out; a storage belongs to one
    /// tensor, so that memory stays proportional to the file.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, ConvertError> {
        ConvertError::check_size("the PyTorch file", bytes.len(), MAX_BYTES)?;
        let mut rest = bytes;
        let mut next = || pickle::read(&mut rest);
        let (arena, magic) = next()?;
        if !matches!(arena.get(magic), Object::Long(digits) if digits == &MAGIC) {
            return Err(malformed("it does not start with the legacy format's magic number"));
        }
        let (arena, protocol) = next()?;
        if !matches!(arena.get(protocol), Object::Int(PROTOCOL)) {
            return Err(malformed("it has an unknown protocol version"));
        }
        next()?;
        let (arena, dictionary) = next()?;
        let mut described = descriptions(&arena, dictionary)?;
        let (arena, keys) = next()?;
        let Object::List(keys) = arena.get(keys) else {
            return Err(malformed("the list of storages is missing"));
        };

        let mut tensors = BTreeMap::new();
        for &key in keys {
            let key = arena.text(key).ok_or_else(|| malformed("a storage key is not text"))?;
            let (elements, after) = split(rest, 8)?;
            let elements = <[u8; 8]>::try_from(elements).map(i64::from_le_bytes).ok();
            let elements = elements.and_then(|n| usize::try_from(n).ok());
            let storage = described.remove(key).ok_or_else(|| malformed(format!("storage `{key}` has no tensor")))?;
            let (element_size, description) = storage;
            if elements != Some(description.elements) {
                return Err(malformed(format!("storage `{key}` has another size than its tensor")));
            }
            let (data, after) = split(after, description.elements.saturating_mul(element_size))?;
            rest = after;
            if element_size == 4 {
                let values = data.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect();
                tensors.insert(description.name, Tensor { shape: description.shape, values });
            }
        }
        if let Some(key) = described.keys().next() {
            return Err(malformed(format!("storage `{key}` is missing")));
        }
        Ok(Self { tensors })
    }

    fn get(&self, name: &str) -> Result<&Tensor, ConvertError> {
        self.tensors.get(name).ok_or_else(|| ConvertError::MissingTensor(name.to_owned()))
    }

    fn contains(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }
}

fn split(bytes: &[u8], at: usize) -> Result<(&[u8], &[u8]), ConvertError> {
    bytes.split_at_checked(at).ok_or_else(|| malformed("it ends inside a storage"))
}

/// The tensors of a pickled state dict by storage key, with the size of an element.
fn descriptions(arena: &Arena, dictionary: Id) -> Result<BTreeMap<String, (usize, Description)>, ConvertError> {
    let Object::Dict(entries) = arena.get(dictionary) else {
        return Err(malformed("it holds no state dict"));
    };
    let mut by_storage = BTreeMap::new();
    for &(name, value) in entries {
        let name = arena.text(name).ok_or_else(|| malformed("a tensor's name is not text"))?;
        let name = name.strip_prefix("module.").unwrap_or(name).to_owned();
        let described = description(arena, &name, value)
            .ok_or_else(|| malformed(format!("`{name}` is not a dense tensor that fills its storage")))?;
        if by_storage.insert(described.1.storage.clone(), described).is_some() {
            return Err(ConvertError::unsupported(FORMAT, "a storage that several tensors share"));
        }
    }
    Ok(by_storage)
}

fn description(arena: &Arena, name: &str, value: Id) -> Option<(usize, Description)> {
    let Object::Tensor(arguments) = arena.get(value) else { return None };
    let [storage, offset, size, stride, ..] = arena.tuple(*arguments)? else { return None };
    let Object::Persistent(storage) = arena.get(*storage) else { return None };
    let [kind, class, key, _location, elements, ..] = arena.tuple(*storage)? else { return None };
    let element_size = match arena.get(*class) {
        Object::Global(class) if class == "torch FloatStorage" => 4,
        Object::Global(class) if class == "torch LongStorage" => 8,
        _ => return None,
    };
    let elements = arena.size(*elements)?;
    let shape: Vec<usize> = arena.tuple(*size)?.iter().map(|&d| arena.size(d)).collect::<Option<_>>()?;
    let stride: Vec<usize> = arena.tuple(*stride)?.iter().map(|&d| arena.size(d)).collect::<Option<_>>()?;
    let mut step = 1usize;
    let mut dense = vec![0; shape.len()];
    for (dense, &extent) in dense.iter_mut().zip(&shape).rev() {
        *dense = step;
        step = step.checked_mul(extent).filter(|&n| n > 0)?;
    }
    let fills = arena.text(*kind) == Some("storage") && arena.size(*offset) == Some(0) && step == elements;
    let description = Description { name: name.to_owned(), storage: arena.text(*key)?.to_owned(), elements, shape };
    (fills && stride == dense).then_some((element_size, description))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::hostile::survives_damage;

    fn int(value: usize) -> Vec<u8> {
        [b"J".as_slice(), &u32::try_from(value).unwrap().to_le_bytes()].concat()
    }

    fn text(value: &str) -> Vec<u8> {
        [b"X".as_slice(), &u32::try_from(value.len()).unwrap().to_le_bytes(), value.as_bytes()].concat()
    }

    fn tuple(items: &[Vec<u8>]) -> Vec<u8> {
        [b"(".as_slice(), &items.concat(), b"t"].concat()
    }

    fn pickle(content: &[u8]) -> Vec<u8> {
        [b"\x80\x02", content, b"."].concat()
    }

    /// A tensor whose storage has `elements` elements.
    fn tensor(key: &str, class: &str, elements: usize, shape: &[usize], stride: &[usize]) -> Vec<u8> {
        let class = [b"ctorch\n", class.as_bytes(), b"\n"].concat();
        let storage = tuple(&[text("storage"), class, text(key), text("cpu"), int(elements), b"N".to_vec()]);
        let storage = [storage, b"Q".to_vec()].concat();
        let numbers = |values: &[usize]| tuple(&values.iter().map(|&v| int(v)).collect::<Vec<_>>());
        let hooks = b"ccollections\nOrderedDict\n)R".to_vec();
        let arguments = tuple(&[storage, int(0), numbers(shape), numbers(stride), b"\x89".to_vec(), hooks]);
        [b"ctorch._utils\n_rebuild_tensor_v2\n".to_vec(), arguments, b"R".to_vec()].concat()
    }

    fn dense(key: &str, shape: &[usize]) -> Vec<u8> {
        let stride: Vec<usize> = (0..shape.len()).map(|axis| shape[axis + 1..].iter().product()).collect();
        tensor(key, "FloatStorage", shape.iter().product(), shape, &stride)
    }

    /// A file with the given tensors and raw storages.
    fn file(tensors: &[(&str, Vec<u8>)], storages: &[(&str, usize, Vec<u8>)]) -> Vec<u8> {
        let magic = [&[0x8a, 10], MAGIC.as_slice()].concat();
        let entries: Vec<u8> =
            tensors.iter().flat_map(|(name, tensor)| [text(name), tensor.clone()].concat()).collect();
        let dictionary = [b"ccollections\nOrderedDict\n)Rq\x01(", entries.as_slice(), b"u}X\x09\0\0\0_metadataNsb"];
        let keys: Vec<u8> = storages.iter().flat_map(|(key, _, _)| text(key)).collect();
        let keys = [b"](", keys.as_slice(), b"e"].concat();
        let pickles = [magic, int(1001), b"}".to_vec(), dictionary.concat(), keys].map(|p| pickle(&p)).concat();
        let storages = storages.iter().flat_map(|(_, n, raw)| [&(*n as u64).to_le_bytes(), raw.as_slice()].concat());
        pickles.into_iter().chain(storages).collect()
    }

    fn floats(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|v| v.to_le_bytes()).collect()
    }

    fn two_tensors() -> Vec<u8> {
        let counter = tensor("9", "LongStorage", 1, &[], &[]);
        let tensors = [("module.a", dense("7", &[2, 1])), ("n", counter), ("b", dense("8", &[1]))];
        let storages = [("8", 1, floats(&[3.0])), ("9", 1, vec![0; 8]), ("7", 2, floats(&[1.0, 2.0]))];
        file(&tensors, &storages)
    }

    #[test]
    fn reads_tensors_in_whatever_order_their_storages_come() {
        let weights = StateDict::read(&two_tensors()).unwrap();
        let a = weights.get("a").unwrap();
        assert_eq!((a.shape.as_slice(), a.values.as_slice()), (&[2, 1][..], &[1.0, 2.0][..]));
        assert_eq!(weights.get("b").unwrap().values, [3.0]);
        assert!(matches!(weights.get("n"), Err(ConvertError::MissingTensor(name)) if name == "n"));
    }

    #[test]
    fn refuses_every_file_that_ends_early() {
        let valid = two_tensors();
        for end in 0..valid.len() {
            assert!(StateDict::read(&valid[..end]).is_err(), "{end} of {} bytes", valid.len());
        }
    }

    #[test]
    fn survives_damaged_files() {
        survives_damage(&two_tensors(), StateDict::read);
    }

    #[test]
    fn calls_nothing_that_a_pickle_names() {
        let call = b"cos\nsystem\n(X\x02\0\0\0lstR.";
        let error = StateDict::read(&[b"\x80\x02", call.as_slice()].concat()).map(|_| ()).unwrap_err().to_string();
        assert_eq!(error, "the PyTorch file uses a call of `os.system`, which the converter does not know");
    }

    #[test]
    fn refuses_tensors_that_share_or_do_not_fill_a_storage() {
        let shared = file(&[("a", dense("7", &[1])), ("b", dense("7", &[1]))], &[("7", 1, floats(&[1.0]))]);
        assert!(matches!(StateDict::read(&shared), Err(ConvertError::Unsupported { .. })));
        let strided = tensor("7", "FloatStorage", 4, &[2, 2], &[1, 2]);
        let part = tensor("7", "FloatStorage", 4, &[2], &[1]);
        let empty = tensor("7", "FloatStorage", 0, &[0, 1 << 30, 1 << 30], &[0, 1 << 30, 1]);
        let huge = tensor("7", "FloatStorage", 4, &[1 << 30, 1 << 30, 1 << 30], &[0, 0, 0]);
        let unknown = tensor("7", "HalfStorage", 4, &[4], &[1]);
        for tensor in [strided, part, empty, huge, unknown] {
            let file = file(&[("a", tensor)], &[("7", 4, floats(&[0.0; 4]))]);
            assert!(matches!(StateDict::read(&file), Err(ConvertError::Malformed { .. })));
        }
    }

    #[test]
    fn refuses_storages_that_do_not_match_their_tensors() {
        let tensors = [("a", dense("7", &[2]))];
        let other_size = file(&tensors, &[("7", 3, floats(&[0.0; 3]))]);
        let unknown = file(&tensors, &[("7", 2, floats(&[0.0; 2])), ("8", 1, floats(&[0.0]))]);
        let missing = file(&tensors, &[]);
        for file in [other_size, unknown, missing] {
            assert!(matches!(StateDict::read(&file), Err(ConvertError::Malformed { .. })));
        }
    }

    #[test]
    fn refuses_pickles_with_too_many_objects() {
        let many = pickle(&vec![b'N'; 300_000]);
        assert!(matches!(StateDict::read(&many), Err(ConvertError::TooLarge { .. })));
        // A tuple in a tuple in a tuple …: nothing here may recurse into it.
        let nested = pickle(&[vec![b')'], vec![0x85; 150_000]].concat());
        assert!(matches!(StateDict::read(&nested), Err(ConvertError::Malformed { .. })));
    }

    /// A MiniFASNet with two channels everywhere, one residual block, and squeeze-and-excitation in it if asked for.
    fn tiny_network(excite: bool) -> Vec<u8> {
        network_of(&["conv_23", "conv_3.model.0", "conv_34", "conv_45"], excite)
    }

    /// The same without its residual block.
    fn without_blocks() -> Vec<u8> {
        network_of(&["conv_23", "conv_34", "conv_45"], false)
    }

    fn network_of(bottlenecks: &[&str], excite: bool) -> Vec<u8> {
        let mut shapes: Vec<(String, Vec<usize>)> = Vec::new();
        let norm = |shapes: &mut Vec<_>, name: String| {
            for part in ["weight", "bias", "running_mean", "running_var"] {
                shapes.push((format!("{name}.{part}"), vec![2]));
            }
        };
        let block = |shapes: &mut Vec<_>, name: &str, shape: [usize; 4], prelu: bool| {
            shapes.push((format!("{name}.conv.weight"), shape.to_vec()));
            norm(shapes, format!("{name}.bn"));
            if prelu {
                shapes.push((format!("{name}.prelu.weight"), vec![2]));
            }
        };
        block(&mut shapes, "conv1", [2, 3, 3, 3], true);
        block(&mut shapes, "conv2_dw", [2, 1, 3, 3], true);
        for name in bottlenecks {
            block(&mut shapes, &format!("{name}.conv"), [2, 2, 1, 1], true);
            block(&mut shapes, &format!("{name}.conv_dw"), [2, 1, 3, 3], true);
            block(&mut shapes, &format!("{name}.project"), [2, 2, 1, 1], false);
        }
        block(&mut shapes, "conv_6_sep", [2, 2, 1, 1], true);
        block(&mut shapes, "conv_6_dw", [2, 1, 5, 5], false);
        if excite {
            for (fc, bn) in [("fc1", "bn1"), ("fc2", "bn2")] {
                shapes.push((format!("conv_3.model.0.se_module.{fc}.weight"), vec![2, 2, 1, 1]));
                norm(&mut shapes, format!("conv_3.model.0.se_module.{bn}"));
            }
        }
        norm(&mut shapes, "bn".to_owned());
        shapes.push(("linear.weight".to_owned(), vec![2, 2]));
        shapes.push(("prob.weight".to_owned(), vec![3, 2]));
        let tensors: Vec<_> = shapes.iter().map(|(name, shape)| (name.as_str(), dense(name, shape))).collect();
        let storages: Vec<_> = shapes
            .iter()
            .map(|(name, shape)| {
                let elements = shape.iter().product();
                (name.as_str(), elements, floats(&vec![0.5; elements]))
            })
            .collect();
        file(&tensors, &storages)
    }

    fn operators(onnx: &[u8]) -> Vec<String> {
        use crate::convert::onnx;
        use prost::Message;
        let (_, graph) = onnx::read(onnx).unwrap();
        graph.node.iter().map(|n| onnx::Node::decode(n.as_slice()).unwrap().op_type).collect()
    }

    #[test]
    fn builds_the_network_that_the_tensors_describe() {
        let count = |operators: &[String], name: &str| operators.iter().filter(|o| *o == name).count();
        let plain = operators(&minifasnet(&tiny_network(false)).unwrap());
        let excited = operators(&minifasnet(&tiny_network(true)).unwrap());
        // Texture is of two means, of the values and of their squares.
        assert_eq!((count(&plain, "GlobalAveragePool"), count(&excited, "GlobalAveragePool")), (2, 3));
        assert_eq!((count(&plain, "Sigmoid"), count(&excited, "Sigmoid")), (0, 1));
        // 16 convolutions, 11 of them with slopes, which take one more each, and that of the picture one more again; the sum of the
        // residual block beside theirs.
        assert_eq!((count(&plain, "Conv"), count(&plain, "Add")), (28, 12));
        assert_eq!(plain.last().unwrap(), "Softmax");
    }

    #[test]
    fn texture_is_of_the_sum_after_the_third_stage() {
        use crate::convert::onnx;
        use prost::Message;
        let (_, graph) = onnx::read(&minifasnet(&tiny_network(false)).unwrap()).unwrap();
        let nodes: Vec<_> = graph.node.iter().map(|n| onnx::Node::decode(n.as_slice()).unwrap()).collect();
        let squared = nodes.iter().find(|n| n.op_type == "Mul" && n.input[0] == n.input[1]).unwrap();
        // The only block of the third stage; a PReLU's sum reads a relu, that of a block does not.
        let made = |name: &str| nodes.iter().find(|n| n.output[0] == name).unwrap().op_type.as_str();
        let sum = nodes.iter().find(|n| n.output[0] == squared.input[0]).unwrap();
        assert_eq!((sum.op_type.as_str(), made(&sum.input[0])), ("Add", "Conv"), "{sum:?}");
        // The widening that the next stage begins with reads it as well.
        assert!(nodes.iter().any(|n| n.op_type == "Conv" && n.input[0] == squared.input[0]));
        let name = minifasnet(&without_blocks()).unwrap_err();
        assert!(
            matches!(&name, ConvertError::MissingTensor(name) if name == "conv_3.model.0.conv.conv.weight"),
            "{name}"
        );
    }

    #[test]
    fn names_the_tensor_that_a_network_misses() {
        let error = minifasnet(&two_tensors()).unwrap_err();
        assert!(matches!(error, ConvertError::MissingTensor(name) if name == "conv1.conv.weight"));
    }
}
