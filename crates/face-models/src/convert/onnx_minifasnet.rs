//! A MiniFASNet that its package ships as ONNX: rebuilt with the interface and the speed of those that come as PyTorch files.

mod dormant;

use std::collections::HashMap;

use super::ConvertError;
use super::array::element_count;
use super::onnx::{self, Extent, Node, Tensor};
use super::onnx_graph::{Convolution, GraphBuilder, Value, batch};
use prost::Message;

const FORMAT: &str = "MiniFASNet";

/// The most operators in a graph; the network has 121.
const MAX_OPERATORS: usize = 10_000;

/// Side of the square input in pixels.
const SIDE: usize = 128;

/// Which of the file's classes stands where in the answer: its first is the live face, its second nearly all attacks.
const CLASSES: [usize; 3] = [1, 0, 2];

/// What ONNX adds to a variance by default, and the file with it.
const EPSILON: f64 = 1e-5;

/// Converts a MiniFASNet with squeeze-and-excitation (`fr_liveness.onnx`).
///
/// - Input `input` `[N, 3, 128, 128]`: BGR, 0..255 (not scaled), planes one after another.
/// - Output `probabilities` `[N, 3]`: softmax of fake, live, and a kind of fake that it hardly ever names.
/// - Output `logits` `[N, 3]`: the same before the softmax.
/// - Output `features` `[N, 512]`: what the last layers, which are linear, see.
/// - Output `texture` `[N, 64]`: how much each channel varies over the picture (standard deviation) after the first residual stage.
///
/// The crop is the face box scaled about its centre by 2.0, as with the other networks of this family.
///
/// # Errors
///
/// When the bytes are not an ONNX model with one such picture as its input, or use other operators than a MiniFASNet does.
pub fn minifasnet(onnx: &[u8]) -> Result<Vec<u8>, ConvertError> {
    let (_, graph) = onnx::read(onnx)?;
    let input = onnx::only_input(&graph)?;
    let side = Extent::Fixed(SIDE as i64);
    match input.float_shape().as_deref() {
        Some([_, Some(Extent::Fixed(3)), Some(h), Some(w)]) if [*h, *w] == [&side; 2] => {}
        _ => return Err(ConvertError::malformed(FORMAT, format!("its input is not a picture of {SIDE} x {SIDE}"))),
    }
    let mut constants = HashMap::new();
    for tensor in &graph.initializer {
        let tensor = Tensor::decode(tensor.as_slice())?;
        if tensor.data_type == onnx::FLOAT {
            constants.insert(tensor.name.clone(), Constant::of(&tensor)?);
        }
    }
    let mut constants = Constants(constants);
    ConvertError::check_size("the list of operators", graph.node.len(), MAX_OPERATORS)?;
    let mut nodes = graph.node.iter().map(|node| Node::decode(node.as_slice())).collect::<Result<Vec<_>, _>>()?;
    dormant::leave_out(&mut nodes, &mut constants);
    let mut builder = GraphBuilder::new(FORMAT);
    let picture = builder.picture(3, SIDE);
    let mut reader = Reader {
        builder,
        constants,
        values: HashMap::from([(input.name, picture)]),
        dense: None,
        sum: None,
        texture: None,
    };
    for node in &nodes {
        reader.node(node)?;
    }
    reader.finish()
}

/// A weight of the file.
struct Constant {
    shape: Vec<usize>,
    values: Vec<f32>,
}

impl Constant {
    fn of(tensor: &Tensor) -> Result<Self, ConvertError> {
        let shape: Option<Vec<usize>> = tensor.dims.iter().map(|&extent| usize::try_from(extent).ok()).collect();
        let values = tensor.values();
        match shape.filter(|shape| element_count(shape) == Some(values.len())) {
            Some(shape) => Ok(Self { shape, values }),
            None => {
                Err(ConvertError::malformed(FORMAT, format!("`{}` has not as many values as it says", tensor.name)))
            }
        }
    }
}

/// All weights of the file, by name.
struct Constants(HashMap<String, Constant>);

impl Constants {
    fn of(&self, node: &Node, input: usize) -> Result<&Constant, ConvertError> {
        let constant = node.input.get(input).and_then(|name| self.0.get(name));
        constant.ok_or_else(|| ConvertError::malformed(FORMAT, format!("{} lacks a weight", node.op_type)))
    }
}

/// The last layers, all linear, as one: columns of outputs over rows of inputs.
struct Dense {
    features: Value,
    /// The name of its answer in the file.
    name: String,
    matrix: Vec<f64>,
    bias: Vec<f64>,
}

/// Walks over the nodes of the file.
struct Reader {
    builder: GraphBuilder,
    constants: Constants,
    values: HashMap<String, Value>,
    dense: Option<Dense>,
    /// The last sum of a residual stage.
    sum: Option<Value>,
    /// The last sum of the first residual stage.
    texture: Option<Value>,
}

impl Reader {
    fn node(&mut self, node: &Node) -> Result<(), ConvertError> {
        let value = match node.op_type.as_str() {
            "Conv" => self.convolution(node)?,
            "PRelu" => {
                let (x, slopes) = (self.value(node, 0)?, self.constants.of(node, 1)?);
                if slopes.values.len() != x.channels() {
                    return Err(ConvertError::malformed(FORMAT, "a PReLU has not one slope per channel"));
                }
                self.builder.prelu(x, &slopes.values)?
            }
            "Relu" => {
                let x = self.value(node, 0)?;
                self.builder.relu(x)
            }
            "Sigmoid" => {
                let x = self.value(node, 0)?;
                self.builder.sigmoid(x)
            }
            "GlobalAveragePool" => {
                let x = self.value(node, 0)?;
                self.builder.global_average_pool(x)
            }
            "Add" => {
                let (a, b) = (self.value(node, 0)?, self.value(node, 1)?);
                let sum = self.builder.add(a, b)?;
                self.sum = Some(sum);
                sum
            }
            "Mul" => {
                let (a, b) = (self.value(node, 0)?, self.value(node, 1)?);
                self.builder.mul(a, b)?
            }
            "Reshape" => {
                let x = self.value(node, 0)?;
                self.builder.reshape(x, &[-1, x.channels() as i64])
            }
            // The sizes for that reshape: what is left of the last map has one pixel.
            "Shape" | "Constant" | "Gather" | "Unsqueeze" | "Concat" => return Ok(()),
            "MatMul" => return self.matrix(node),
            "BatchNormalization" => return self.norm(node),
            other => return Err(ConvertError::unsupported(FORMAT, format!("the operator {other}"))),
        };
        self.values.insert(output(node)?, value);
        Ok(())
    }

    fn value(&self, node: &Node, input: usize) -> Result<Value, ConvertError> {
        let value = node.input.get(input).and_then(|name| self.values.get(name));
        value.copied().ok_or_else(|| ConvertError::malformed(FORMAT, format!("{} lacks an input", node.op_type)))
    }

    fn convolution(&mut self, node: &Node) -> Result<Value, ConvertError> {
        let x = self.value(node, 0)?;
        let (weights, bias) = (self.constants.of(node, 1)?, self.constants.of(node, 2)?);
        let Ok(shape) = <[usize; 4]>::try_from(weights.shape.as_slice()) else {
            return Err(ConvertError::malformed(FORMAT, "a convolution has not four axes"));
        };
        if numbers(node, "dilations", [1; 2])? != [1; 2] {
            return Err(ConvertError::unsupported(FORMAT, "a dilated convolution"));
        }
        let conv = Convolution {
            shape,
            weights: &weights.values,
            bias: &bias.values,
            strides: numbers(node, "strides", [1; 2])?,
            pads: numbers(node, "pads", [0; 4])?,
            groups: usize::try_from(node.groups()).unwrap_or(0),
        };
        if conv.strides != [1; 2] {
            self.texture = self.texture.or(self.sum);
        }
        self.builder.convolution(x, &conv)
    }

    /// A matrix on the features, or on the answer of the one before, which becomes one with it.
    fn matrix(&mut self, node: &Node) -> Result<(), ConvertError> {
        let name = output(node)?;
        let Constant { shape, values } = self.constants.of(node, 1)?;
        let &[inputs, outputs] = shape.as_slice() else {
            return Err(ConvertError::malformed(FORMAT, "a matrix has not two axes"));
        };
        let values = values.iter().map(|&v| f64::from(v));
        self.dense = Some(match self.dense.take() {
            Some(before) if node.input.first() == Some(&before.name) => {
                if inputs != before.bias.len() || outputs != CLASSES.len() {
                    return Err(ConvertError::malformed(FORMAT, "its last matrix does not give the classes"));
                }
                let values: Vec<f64> = values.collect();
                let through = |row: &[f64], class: usize| -> f64 {
                    row.iter().zip(values.iter().skip(class).step_by(outputs)).map(|(a, b)| a * b).sum()
                };
                let rows = before.matrix.chunks(inputs.max(1));
                let matrix = rows.flat_map(|row| (0..outputs).map(|class| through(row, class)).collect::<Vec<_>>());
                let bias = (0..outputs).map(|class| through(&before.bias, class));
                Dense { features: before.features, name, matrix: matrix.collect(), bias: bias.collect() }
            }
            _ => {
                let features = self.value(node, 0)?;
                if inputs != features.channels() {
                    return Err(ConvertError::malformed(FORMAT, "a matrix does not fit its input"));
                }
                Dense { features, name, matrix: values.collect(), bias: vec![0.0; outputs] }
            }
        });
        Ok(())
    }

    /// A batch norm of the answer of the last matrix, which becomes part of it.
    fn norm(&mut self, node: &Node) -> Result<(), ConvertError> {
        let name = output(node)?;
        let unfit = || ConvertError::malformed(FORMAT, "its batch norm does not fit");
        let mut dense = self.dense.take().filter(|d| node.input.first() == Some(&d.name)).ok_or_else(unfit)?;
        let outputs = dense.bias.len();
        let part = |input: usize| self.constants.of(node, input).map(|c| c.values.as_slice());
        let (gamma, beta, mean, variance) = (part(1)?, part(2)?, part(3)?, part(4)?);
        if outputs == 0 || [gamma, beta, mean, variance].iter().any(|v| v.len() != outputs) {
            return Err(unfit());
        }
        for at in 0..outputs {
            let scale = f64::from(gamma[at]) / (f64::from(variance[at]) + EPSILON).sqrt();
            dense.matrix.iter_mut().skip(at).step_by(outputs).for_each(|weight| *weight *= scale);
            dense.bias[at] = (dense.bias[at] - f64::from(mean[at])) * scale + f64::from(beta[at]);
        }
        self.dense = Some(Dense { name, ..dense });
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<u8>, ConvertError> {
        let dense = self.dense.filter(|dense| dense.bias.len() == CLASSES.len());
        let Dense { features, matrix, bias, .. } =
            dense.ok_or_else(|| ConvertError::malformed(FORMAT, "it does not end with its classes"))?;
        let texture =
            self.texture.or(self.sum).ok_or_else(|| ConvertError::malformed(FORMAT, "it has no residual stage"))?;
        let texture = self.builder.spread(texture)?;
        let rows = matrix.chunks(CLASSES.len());
        let matrix: Vec<f32> = rows.flat_map(|row| CLASSES.map(|class| row[class] as f32)).collect();
        let logits = self.builder.linear(features, &matrix, &CLASSES.map(|class| bias[class] as f32))?;
        let probabilities = self.builder.softmax(logits);
        let width = Extent::Fixed(features.channels() as i64);
        self.builder.output(probabilities, "probabilities", &[batch(), Extent::Fixed(3)]);
        self.builder.output(logits, "logits", &[batch(), Extent::Fixed(3)]);
        self.builder.output(features, "features", &[batch(), width]);
        self.builder.output(texture, "texture", &[batch(), Extent::Fixed(texture.channels() as i64)]);
        Ok(self.builder.finish())
    }
}

/// The name of a node's only output.
fn output(node: &Node) -> Result<String, ConvertError> {
    node.output.first().cloned().ok_or_else(|| ConvertError::malformed(FORMAT, "a node without an output"))
}

/// An attribute that is a list of so many sizes.
fn numbers<const N: usize>(node: &Node, name: &str, otherwise: [usize; N]) -> Result<[usize; N], ConvertError> {
    let Some(attribute) = node.attribute.iter().find(|a| a.name == name) else { return Ok(otherwise) };
    let sizes: Option<Vec<usize>> = attribute.ints.iter().map(|&size| usize::try_from(size).ok()).collect();
    let sizes = sizes.and_then(|sizes| <[usize; N]>::try_from(sizes).ok());
    sizes.ok_or_else(|| ConvertError::malformed(FORMAT, format!("{} has unusable {name}", node.op_type)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::hostile::survives_damage;
    use crate::convert::onnx::{Attribute, Graph, Model, ValueInfo};

    fn node(operator: &str, inputs: &[&str], output: &str, attribute: Vec<Attribute>) -> Vec<u8> {
        Node {
            input: inputs.iter().map(|&name| name.to_owned()).collect(),
            output: vec![output.to_owned()],
            name: String::new(),
            op_type: operator.to_owned(),
            attribute,
        }
        .encode_to_vec()
    }

    /// A network of every operator: one convolution that leaves one pixel of two channels, which a widening gives on as they are, and the
    /// last layers.
    fn published(last: &str) -> Vec<u8> {
        let strides = vec![Attribute::ints("strides", &[128, 128]), Attribute::ints("pads", &[0; 4])];
        let tensors: [(&str, &[usize], &[f32]); 14] = [
            ("w", &[2, 3, 1, 1], &[1.0, 0.0, 0.0, 0.0, 1.0, 0.0]),
            ("b", &[2], &[0.0, 1.0]),
            ("slopes", &[2, 1, 1], &[0.5, 0.25]),
            ("ones", &[2, 1, 1, 1], &[1.0, 1.0]),
            ("d", &[2], &[0.0, 0.0]),
            ("identity", &[2, 2, 1, 1], &[1.0, 0.0, 0.0, 1.0]),
            ("n", &[2], &[0.0, 0.0]),
            ("first", &[2, 2], &[1.0, 2.0, 3.0, 4.0]),
            ("gamma", &[2], &[2.0, 1.0]),
            ("beta", &[2], &[0.5, 0.0]),
            ("mean", &[2], &[1.0, 0.0]),
            ("variance", &[2], &[1.0 - 1e-5, 1.0 - 1e-5]),
            ("second", &[2, 3], &[1.0, 0.0, -1.0, 0.0, 1.0, 2.0]),
            ("unused", &[0], &[]),
        ];
        let graph = Graph {
            node: vec![
                node("Conv", &["input", "w", "b"], "1", strides),
                node("PRelu", &["1", "slopes"], "each", vec![]),
                node("Conv", &["each", "ones", "d"], "seen", vec![Attribute::int("group", 2)]),
                node("Conv", &["seen", "identity", "n"], "2", vec![]),
                node("GlobalAveragePool", &["2"], "3", vec![]),
                node("Relu", &["3"], "4", vec![]),
                node("Sigmoid", &["4"], "5", vec![]),
                node("Mul", &["2", "5"], "6", vec![]),
                node("Add", &["6", "2"], "7", vec![]),
                node("Shape", &["7"], "8", vec![]),
                node("Reshape", &["7", "8"], "9", vec![]),
                node("MatMul", &["9", "first"], "10", vec![]),
                node("BatchNormalization", &["10", "gamma", "beta", "mean", "variance"], "11", vec![]),
                node(last, &["11", "second"], "output", vec![]),
            ],
            name: "published".to_owned(),
            initializer: tensors.iter().map(|(n, s, v)| Tensor::floats(n, s, v).encode_to_vec()).collect(),
            input: vec![ValueInfo::floats("input", &[1, 3, 128, 128].map(Extent::Fixed)).encode_to_vec()],
            output: vec![ValueInfo::floats("output", &[1, 3].map(Extent::Fixed)).encode_to_vec()],
            value_info: Vec::new(),
        };
        let model = Model { ir_version: 6, producer_name: String::new(), graph: Some(graph), opset_import: Vec::new() };
        model.encode_to_vec()
    }

    #[test]
    fn the_last_layers_become_one_with_the_live_class_in_the_middle() {
        let converted = Model::decode(minifasnet(&published("MatMul")).unwrap().as_slice()).unwrap();
        let graph = converted.graph.unwrap();
        let tensors: Vec<_> = graph.initializer.iter().map(|t| Tensor::decode(t.as_slice()).unwrap()).collect();
        let [.., matrix, bias] = tensors.as_slice() else { panic!("no last layer") };
        // By hand: [1 2; 3 4] with its columns times 2 and 1, times [1 0 -1; 0 1 2], is [2 2 2; 6 4 2]; the bias before the last
        // matrix is (0 - 1) * 2 + 0.5 = -1.5 and 0, after it -1.5, 0 and 1.5. The first two columns change places.
        let values = |t: &Tensor| Constant::of(t).unwrap().values;
        for (found, expected) in values(matrix).into_iter().zip([2.0, 2.0, 2.0, 4.0, 6.0, 2.0]) {
            assert!((found - expected).abs() < 1e-4, "{:?}", values(matrix));
        }
        for (found, expected) in values(bias).into_iter().zip([0.0, -1.5, 1.5]) {
            assert!((found - expected).abs() < 1e-4, "{:?}", values(bias));
        }
        let names = graph.output.iter().map(|o| ValueInfo::decode(o.as_slice()).unwrap().name);
        assert_eq!(names.collect::<Vec<_>>(), ["probabilities", "logits", "features", "texture"]);
    }

    /// Two sums before a convolution that halves the map, and one after it.
    #[test]
    fn texture_is_of_the_last_sum_before_the_map_is_halved() {
        let (_, mut graph) = onnx::read(&published("MatMul")).unwrap();
        let halving =
            vec![Attribute::ints("strides", &[2, 2]), Attribute::ints("pads", &[0; 4]), Attribute::int("group", 2)];
        let stage = [
            node("Add", &["7", "2"], "first", vec![]),
            node("Conv", &["first", "ones", "d"], "halved", halving),
            node("Add", &["halved", "halved"], "last", vec![]),
            node("Reshape", &["last", "8"], "9", vec![]),
        ];
        let at = graph.node.iter().position(|n| Node::decode(n.as_slice()).unwrap().op_type == "Reshape").unwrap();
        graph.node.splice(at..=at, stage);
        let model = Model { ir_version: 6, producer_name: String::new(), graph: Some(graph), opset_import: Vec::new() };
        let (_, graph) = onnx::read(&minifasnet(&model.encode_to_vec()).unwrap()).unwrap();
        let nodes: Vec<_> = graph.node.iter().map(|n| Node::decode(n.as_slice()).unwrap()).collect();
        let squared = nodes.iter().find(|n| n.op_type == "Mul" && n.input[0] == n.input[1]).unwrap();
        let halving = nodes.iter().find(|n| n.op_type == "Conv" && numbers(n, "strides", [1; 2]).unwrap() == [2, 2]);
        assert_eq!(squared.input[0], halving.unwrap().input[0]);
    }

    #[test]
    fn refuses_other_networks() {
        let error = |bytes: &[u8]| minifasnet(bytes).unwrap_err().to_string();
        assert!(error(&published("Gemm")).contains("the operator Gemm"), "{}", error(&published("Gemm")));
        assert!(error(&published("Relu")).contains("Relu lacks an input"), "{}", error(&published("Relu")));
        assert!(matches!(minifasnet(b""), Err(ConvertError::Malformed { .. })));
        assert!(matches!(minifasnet(b"\xff\xff\xff"), Err(ConvertError::Protobuf(_))));
    }

    #[test]
    fn survives_damaged_files() {
        survives_damage(&published("MatMul"), minifasnet);
    }
}
