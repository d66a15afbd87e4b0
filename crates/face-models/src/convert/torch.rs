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
