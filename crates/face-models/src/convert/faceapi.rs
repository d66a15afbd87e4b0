//! The age and gender network of `@vladmandic/face-api`: quantised weights beside a JSON manifest.

use super::ConvertError;
use super::array::{element_count, permuted};
use super::onnx::Extent;
use super::onnx_graph::{Convolution, GraphBuilder, MaxPool, Value, batch};
use serde::Deserialize;
use std::collections::BTreeMap;

const FORMAT: &str = "face-api";

/// Side of the square input in pixels.
const SIDE: usize = 112;

/// Mean of red, green and blue that the network subtracts.
const MEAN_RGB: [f32; 3] = [122.782, 117.001, 104.298];

/// What the network divides by after the subtraction.
const DIVISOR: f32 = 255.0;

/// Upper limits of weights and manifest; the published files have 430 kB and 10 kB.
const MAX_WEIGHTS: usize = 16 << 20;
const MAX_MANIFEST: usize = 1 << 20;

/// Converts `age_gender_model.bin` with `age_gender_model-weights_manifest.json`: a small Xception and two linear heads.
///
/// - Input `input` `[N, 3, 112, 112]`: RGB, 0..255, planes one after another; the graph subtracts the mean and
///   divides by 255.
/// - Output `age` `[N, 1]`: years, not limited to any range. Output `gender` `[N, 2]`: softmax of male, female.
///
/// What face-api feeds it (`extendWithFaceLandmarks`, `extractFaces`, `NetInput.toBatchTensor`):
/// 1. With 68 landmarks, their bounding box, widened by a tenth of its width on the left and on the right and by a
///    tenth of its height at the top and at the bottom. Not rotated. Without landmarks, the detector's box.
/// 2. Left, top, width and height rounded down, cut at the borders of the picture.
/// 3. Made square with black on both sides of the shorter axis (of an odd number of pixels the larger half right or at
///    the bottom), then resized bilinearly to 112x112 without antialiasing; on tensors, pixel `i` of the result samples
///    `i * side / 112` of the square, on a canvas the browser decides.
///
/// # Errors
///
/// When the manifest does not describe the weights, or a tensor of the network is missing or has another shape.
pub fn age_gender(bin: &[u8], manifest_json: &[u8]) -> Result<Vec<u8>, ConvertError> {
    let weights = Weights::read(bin, manifest_json)?;
    let mut graph = GraphBuilder::new("face-api age and gender");
    let input = graph.picture(3, SIDE);
    let centred = graph.subtract(input, &MEAN_RGB)?;
    let mut network = Network { weights: &weights, graph: &mut graph };

    let mut x = Features { value: centred, side: SIDE };
    x = network.convolution(x, "entry_flow/conv_in", 2, 1.0 / DIVISOR)?;
    x = network.relu(x);
    x = network.reduction(x, x, "entry_flow/reduction_block_0")?;
    let active = network.relu(x);
    x = network.reduction(x, active, "entry_flow/reduction_block_1")?;
    for block in ["middle_flow/main_block_0", "middle_flow/main_block_1"] {
        let mut y = x;
        for layer in ["separable_conv0", "separable_conv1", "separable_conv2"] {
            y = network.relu(y);
            y = network.separable(y, &format!("{block}/{layer}"))?;
        }
        x.value = network.graph.add(y.value, x.value)?;
    }
    let active = network.relu(x);
    x = network.reduction(x, active, "exit_flow/reduction_block")?;
    x = network.separable(x, "exit_flow/separable_conv")?;
    x = network.relu(x);

    let means = network.graph.global_average_pool(x.value);
    let features = network.graph.reshape(means, &[-1, means.channels() as i64]);
    let age = network.linear(features, 1, "fc/age")?;
    let gender = network.linear(features, 2, "fc/gender")?;
    let gender = graph.softmax(gender);
    graph.output(age, "age", &[batch(), Extent::Fixed(1)]);
    graph.output(gender, "gender", &[batch(), Extent::Fixed(2)]);
    Ok(graph.finish())
}

/// Square activations.
#[derive(Clone, Copy)]
struct Features {
    value: Value,
    side: usize,
}

struct Network<'a> {
    weights: &'a Weights,
    graph: &'a mut GraphBuilder,
}

/// TensorFlow's `SAME` padding of a square: what an odd total leaves over goes to the bottom and the right.
fn same_pads(side: usize, window: usize, stride: usize) -> [usize; 4] {
    let total = ((side.div_ceil(stride) - 1) * stride).saturating_add(window).saturating_sub(side);
    let before = total / 2;
    [before, before, total - before, total - before]
}

impl Network<'_> {
    fn relu(&mut self, x: Features) -> Features {
        Features { value: self.graph.relu(x.value), ..x }
    }

    /// `filters` `[height, width, in, out]` with `bias`, the filters multiplied by `scale`.
    fn convolution(&mut self, x: Features, name: &str, stride: usize, scale: f32) -> Result<Features, ConvertError> {
        let filters = self.weights.get(&format!("{name}/filters"))?;
        let bias = self.weights.get(&format!("{name}/bias"))?;
        self.dense(x, filters, &bias.values, stride, scale)
    }

    fn dense(
        &mut self,
        x: Features,
        filters: &Weight,
        bias: &[f32],
        stride: usize,
        scale: f32,
    ) -> Result<Features, ConvertError> {
        let &[height, width, inputs, channels] = filters.shape.as_slice() else {
            return Err(filters.unexpected("four axes"));
        };
        if height != width {
            return Err(filters.unexpected("a square window"));
        }
        let mut weights = permuted(&filters.values, [height * width, inputs, channels], [2, 1, 0]);
        weights.iter_mut().for_each(|w| *w *= scale);
        let convolution = Convolution {
            shape: [channels, inputs, height, width],
            weights: &weights,
            bias,
            strides: [stride; 2],
            pads: same_pads(x.side, height, stride),
            groups: 1,
        };
        let value = self.graph.convolution(x.value, &convolution)?;
        Ok(Features { value, side: x.side.div_ceil(stride) })
    }

    /// A depthwise convolution without bias, then a pointwise one with.
    fn separable(&mut self, x: Features, name: &str) -> Result<Features, ConvertError> {
        let depthwise = self.weights.get(&format!("{name}/depthwise_filter"))?;
        let &[height, width, channels, 1] = depthwise.shape.as_slice() else {
            return Err(depthwise.unexpected("four axes, the last of size 1"));
        };
        if height != width {
            return Err(depthwise.unexpected("a square window"));
        }
        let weights = permuted(&depthwise.values, [1, height * width, channels], [2, 1, 0]);
        let convolution = Convolution {
            shape: [channels, 1, height, width],
            weights: &weights,
            bias: &vec![0.0; channels],
            strides: [1; 2],
            pads: same_pads(x.side, height, 1),
            groups: channels,
        };
        let filtered = Features { value: self.graph.convolution(x.value, &convolution)?, ..x };
        let pointwise = self.weights.get(&format!("{name}/pointwise_filter"))?;
        let bias = self.weights.get(&format!("{name}/bias"))?;
        self.dense(filtered, pointwise, &bias.values, 1, 1.0)
    }

    /// Two separable convolutions and a pooling beside a pointwise convolution; halves the side. `active` is `x` with
    /// the activation that the first convolution sees.
    fn reduction(&mut self, x: Features, active: Features, name: &str) -> Result<Features, ConvertError> {
        let mut y = self.separable(active, &format!("{name}/separable_conv0"))?;
        y = self.relu(y);
        y = self.separable(y, &format!("{name}/separable_conv1"))?;
        let pool = MaxPool { window: [3; 2], strides: [2; 2], pads: same_pads(y.side, 3, 2) };
        let pooled = self.graph.max_pool(y.value, &pool);
        let shortcut = self.convolution(x, &format!("{name}/expansion_conv"), 2, 1.0)?;
        Ok(Features { value: self.graph.add(shortcut.value, pooled)?, side: shortcut.side })
    }

    fn linear(&mut self, x: Value, outputs: usize, name: &str) -> Result<Value, ConvertError> {
        let weights = self.weights.get(&format!("{name}/weights"))?;
        let bias = self.weights.get(&format!("{name}/bias"))?;
        if weights.shape != [x.channels(), outputs] {
            return Err(weights.unexpected(&format!("[{}, {outputs}]", x.channels())));
        }
        self.graph.linear(x, &weights.values, &bias.values)
    }
}

/// A group of the weights manifest: tensors that lie one behind another in the same file.
#[derive(Deserialize)]
struct ManifestGroup {
    weights: Vec<ManifestEntry>,
}

#[derive(Deserialize)]
struct ManifestEntry {
    name: String,
    shape: Vec<usize>,
    dtype: String,
    quantization: Option<Quantization>,
}

/// `value = byte * scale + min`.
#[derive(Deserialize)]
struct Quantization {
    dtype: String,
    scale: f64,
    min: f64,
}

/// A tensor, its last axis fastest.
struct Weight {
    name: String,
    shape: Vec<usize>,
    values: Vec<f32>,
}

impl Weight {
    fn unexpected(&self, expected: &str) -> ConvertError {
        ConvertError::Shape { name: self.name.clone(), found: self.shape.clone(), expected: expected.to_owned() }
    }
}

struct Weights(BTreeMap<String, Weight>);

impl Weights {
    fn read(bin: &[u8], manifest_json: &[u8]) -> Result<Self, ConvertError> {
        ConvertError::check_size("the weights file", bin.len(), MAX_WEIGHTS)?;
        ConvertError::check_size("the weights manifest", manifest_json.len(), MAX_MANIFEST)?;
        let groups: Vec<ManifestGroup> = serde_json::from_slice(manifest_json)
            .map_err(|e| ConvertError::malformed(FORMAT, format!("its manifest is not understood: {e}")))?;
        let mut rest = bin;
        let mut weights = BTreeMap::new();
        for entry in groups.into_iter().flat_map(|g| g.weights) {
            if entry.dtype != "float32" {
                return Err(ConvertError::unsupported(FORMAT, format!("tensors of type {}", entry.dtype)));
            }
            let width = match &entry.quantization {
                None => 4,
                Some(q) if q.dtype == "uint8" => 1,
                Some(q) => return Err(ConvertError::unsupported(FORMAT, format!("quantisation to {}", q.dtype))),
            };
            let elements = element_count(&entry.shape).filter(|&n| n > 0);
            let (data, after) = elements
                .and_then(|n| n.checked_mul(width))
                .and_then(|n| rest.split_at_checked(n))
                .ok_or_else(|| ConvertError::malformed(FORMAT, format!("`{}` is empty or not complete", entry.name)))?;
            rest = after;
            let values = match entry.quantization {
                None => data.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect(),
                Some(q) => data.iter().map(|&b| (f64::from(b) * q.scale + q.min) as f32).collect(),
            };
            let weight = Weight { name: entry.name.clone(), shape: entry.shape, values };
            weights.insert(entry.name, weight);
        }
        if rest.is_empty() {
            Ok(Self(weights))
        } else {
            Err(ConvertError::malformed(FORMAT, format!("{} bytes are left over", rest.len())))
        }
    }

    fn get(&self, name: &str) -> Result<&Weight, ConvertError> {
        self.0.get(name).ok_or_else(|| ConvertError::MissingTensor(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::hostile::survives_damage;
    use crate::convert::onnx;
    use prost::Message;
    use serde_json::{Value as Json, json};

    /// Names and shapes of the network's tensors with a few channels everywhere.
    fn tensors() -> Vec<(String, Vec<usize>)> {
        let mut tensors = vec![("entry_flow/conv_in/filters".to_owned(), vec![3, 3, 3, 2])];
        tensors.push(("entry_flow/conv_in/bias".to_owned(), vec![2]));
        let mut separable = |name: &str| {
            tensors.push((format!("{name}/depthwise_filter"), vec![3, 3, 2, 1]));
            tensors.push((format!("{name}/pointwise_filter"), vec![1, 1, 2, 2]));
            tensors.push((format!("{name}/bias"), vec![2]));
        };
        let reductions = ["entry_flow/reduction_block_0", "entry_flow/reduction_block_1", "exit_flow/reduction_block"];
        for block in reductions {
            separable(&format!("{block}/separable_conv0"));
            separable(&format!("{block}/separable_conv1"));
        }
        for block in ["middle_flow/main_block_0", "middle_flow/main_block_1"] {
            for layer in 0..3 {
                separable(&format!("{block}/separable_conv{layer}"));
            }
        }
        separable("exit_flow/separable_conv");
        for block in reductions {
            tensors.push((format!("{block}/expansion_conv/filters"), vec![1, 1, 2, 2]));
            tensors.push((format!("{block}/expansion_conv/bias"), vec![2]));
        }
        for (head, outputs) in [("fc/age", 1), ("fc/gender", 2)] {
            tensors.push((format!("{head}/weights"), vec![2, outputs]));
            tensors.push((format!("{head}/bias"), vec![outputs]));
        }
        tensors
    }

    /// Weights of ones in u8, biases in f32, and the manifest to them.
    fn published(tensors: &[(String, Vec<usize>)]) -> (Vec<u8>, Vec<u8>) {
        let mut bin = Vec::new();
        let entry = |(name, shape): &(String, Vec<usize>)| {
            let elements: usize = shape.iter().product();
            let mut entry = json!({ "name": name, "shape": shape, "dtype": "float32" });
            if name.ends_with("bias") {
                bin.extend(std::iter::repeat_n(1.0f32.to_le_bytes(), elements).flatten());
            } else {
                bin.extend(std::iter::repeat_n(200, elements));
                entry["quantization"] = json!({ "dtype": "uint8", "scale": 0.01, "min": -1.0 });
            }
            entry
        };
        let weights: Vec<Json> = tensors.iter().map(entry).collect();
        (bin, json!([{ "paths": ["model.bin"], "weights": weights }]).to_string().into_bytes())
    }

    #[test]
    fn builds_the_network_with_both_heads() {
        let (bin, manifest) = published(&tensors());
        let converted = age_gender(&bin, &manifest).unwrap();
        let (_, graph) = onnx::read(&converted).unwrap();
        let nodes: Vec<_> = graph.node.iter().map(|n| onnx::Node::decode(n.as_slice()).unwrap()).collect();
        let count = |name: &str| nodes.iter().filter(|n| n.op_type == name).count();
        assert_eq!((count("Conv"), count("MaxPool"), count("Add"), count("Gemm")), (30, 3, 5, 2));
        let outputs: Vec<_> =
            graph.output.iter().map(|o| onnx::ValueInfo::decode(o.as_slice()).unwrap().name).collect();
        assert_eq!(outputs, ["age", "gender"]);
    }

    #[test]
    fn widens_quantised_weights_as_the_manifest_says() {
        let (bin, manifest) = published(&tensors());
        let weights = Weights::read(&bin, &manifest).unwrap();
        assert_eq!(weights.get("fc/age/weights").unwrap().values, [1.0, 1.0]);
        assert_eq!(weights.get("fc/age/bias").unwrap().values, [1.0]);
    }

    #[test]
    fn pads_as_tensorflow_does() {
        assert_eq!(same_pads(112, 3, 2), [0, 0, 1, 1]);
        assert_eq!(same_pads(7, 3, 2), [1, 1, 1, 1]);
        assert_eq!(same_pads(56, 3, 1), [1, 1, 1, 1]);
        assert_eq!(same_pads(56, 1, 2), [0, 0, 0, 0]);
    }

    #[test]
    fn refuses_weights_that_do_not_match_the_manifest() {
        let (bin, manifest) = published(&tensors());
        for end in 0..bin.len() {
            assert!(age_gender(&bin[..end], &manifest).is_err());
        }
        let longer = [bin.as_slice(), &[0]].concat();
        assert!(age_gender(&longer, &manifest).unwrap_err().to_string().contains("left over"));
        let (bin, manifest) = published(&tensors()[1..]);
        assert!(matches!(age_gender(&bin, &manifest), Err(ConvertError::MissingTensor(_))));
        for extent in [0, usize::MAX] {
            let mut tensors = tensors();
            let (bin, _) = published(&tensors);
            tensors[0].1 = vec![extent, extent, 3, 2];
            let manifest = json!([{ "weights": [
                { "name": tensors[0].0, "shape": tensors[0].1, "dtype": "float32" }] }]);
            assert!(matches!(age_gender(&bin, manifest.to_string().as_bytes()), Err(ConvertError::Malformed { .. })));
        }
    }

    #[test]
    fn survives_damaged_manifests() {
        let tensors = [("fc/age/weights".to_owned(), vec![2, 1]), ("fc/age/bias".to_owned(), vec![1])];
        let (bin, manifest) = published(&tensors);
        survives_damage(&manifest, |manifest| Weights::read(&bin, manifest));
    }
}
