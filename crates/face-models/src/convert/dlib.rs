//! dlib's age and gender networks, which their package ships as ONNX files already.

use super::ConvertError;
use super::onnx::{self, Extent, FLOAT, Node, Tensor, ValueInfo};
use prost::Message;

/// Mean of red, green and blue that dlib subtracts (`input_rgb_image_sized`).
const MEAN_RGB: [f32; 3] = [122.782, 117.001, 104.298];

/// What dlib multiplies with after the subtraction: 1/256, exact in f32.
const SCALE: f32 = 1.0 / 256.0;

/// Puts the normalisation into the graph of `age-v1.onnx` (dlib's `dnn_age_predictor_v1`).
///
/// - Input `input` `[N, 3, 64, 64]`: RGB, 0..255, planes one after another: a dlib face chip (64 pixels, padding 0.2).
/// - Output `probabilities` `[N, 81]`: softmax; the classes stand for the ages 0.25, 1, 2, …, 80 years, the estimate is
///   their expectation.
///
/// # Errors
///
/// When the bytes are not an ONNX model with that input and output.
pub fn age(onnx: &[u8]) -> Result<Vec<u8>, ConvertError> {
    normalised(onnx, 64, 81)
}

/// Puts the normalisation into the graph of `gender-v1.onnx` (dlib's `dnn_gender_classifier_v1`).
///
/// - Input `input` `[N, 3, 32, 32]`: RGB, 0..255, planes one after another: a dlib face chip (32 pixels, padding 0.2).
/// - Output `probabilities` `[N, 2]`: softmax of female, male.
///
/// # Errors
///
/// When the bytes are not an ONNX model with that input and output.
pub fn gender(onnx: &[u8]) -> Result<Vec<u8>, ConvertError> {
    normalised(onnx, 32, 2)
}

/// Prepends `(input - mean) / 256`, names the input `input` and sets subnormal weights to zero; everything else stays as
/// it is. The sums are done in the order of the original, so the results are the same to the last bit or nearly so.
fn normalised(onnx: &[u8], side: i64, classes: i64) -> Result<Vec<u8>, ConvertError> {
    let (mut model, mut graph) = onnx::read(onnx)?;
    let input = onnx::only_input(&graph)?;
    let fits = matches!(
        input.float_shape().as_deref(),
        Some([Some(Extent::Symbolic(_)), Some(Extent::Fixed(3)), Some(Extent::Fixed(height)), Some(Extent::Fixed(width))])
            if *height == side && *width == side
    );
    if !fits {
        return Err(ConvertError::malformed("dlib ONNX", format!("its input is not [N, 3, {side}, {side}]")));
    }
    let [output] = graph.output.as_slice() else {
        return Err(ConvertError::malformed("dlib ONNX", "it has not exactly one output"));
    };
    let output = ValueInfo::decode(output.as_slice())?;
    let fits = matches!(output.float_shape().as_deref(), Some([_, Some(Extent::Fixed(n))]) if *n == classes);
    if !fits || output.name != "probabilities" {
        return Err(ConvertError::malformed("dlib ONNX", format!("it does not output {classes} probabilities")));
    }

    let node = |op: &str, left: &str, right: &str, output: &str| {
        let node = Node {
            input: vec![left.to_owned(), right.to_owned()],
            output: vec![output.to_owned()],
            name: output.to_owned(),
            op_type: op.to_owned(),
            attribute: Vec::new(),
        };
        node.encode_to_vec()
    };
    let steps =
        [node("Sub", "input", "input_mean", "input_centred"), node("Mul", "input_centred", "input_scale", &input.name)];
    graph.node.splice(0..0, steps);
    for weights in &mut graph.initializer {
        zero_subnormals(weights)?;
    }
    graph.initializer.push(Tensor::floats("input_mean", &[1, 3, 1, 1], &MEAN_RGB).encode_to_vec());
    graph.initializer.push(Tensor::floats("input_scale", &[1], &[SCALE]).encode_to_vec());
    let side = Extent::Fixed(side);
    let shape = [Extent::symbolic("N"), Extent::Fixed(3), side.clone(), side];
    graph.input = vec![ValueInfo::floats("input", &shape).encode_to_vec()];
    graph.value_info.clear();
    model.graph = Some(graph);
    Ok(model.encode_to_vec())
}

/// Sets the subnormal weights of an encoded tensor (below 1.2e-38, far too small to matter) to zero.
///
/// The age network has 6,667 of them, left by its training in the first two convolutions. A processor multiplies by
/// them in microcode: the network took 8.4 ms instead of 1.2 ms.
fn zero_subnormals(encoded: &mut Vec<u8>) -> Result<(), ConvertError> {
    let mut tensor = Tensor::decode(encoded.as_slice())?;
    if tensor.data_type != FLOAT {
        return Ok(());
    }
    let mut changed = false;
    for bytes in tensor.raw_data.as_chunks_mut::<4>().0 {
        if f32::from_le_bytes(*bytes).is_subnormal() {
            *bytes = [0; 4];
            changed = true;
        }
    }
    if changed {
        *encoded = tensor.encode_to_vec();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::hostile::survives_damage;
    use crate::convert::onnx::{Graph, Model};

    fn published(side: i64, classes: i64) -> Vec<u8> {
        let shape = |rest: &[i64]| {
            let rest = rest.iter().map(|&e| Extent::Fixed(e));
            std::iter::once(Extent::symbolic("N")).chain(rest).collect::<Vec<_>>()
        };
        let graph = Graph {
            node: vec![b"opaque".to_vec()],
            name: "dlib".to_owned(),
            initializer: vec![
                Tensor::floats("weights", &[4], &[1e-38, -1e-40, 0.5, f32::MIN_POSITIVE]).encode_to_vec(),
            ],
            input: vec![ValueInfo::floats("images", &shape(&[3, side, side])).encode_to_vec()],
            output: vec![ValueInfo::floats("probabilities", &shape(&[classes])).encode_to_vec()],
            value_info: Vec::new(),
        };
        Model { ir_version: 10, producer_name: String::new(), graph: Some(graph), opset_import: Vec::new() }
            .encode_to_vec()
    }

    #[test]
    fn puts_the_normalisation_before_the_network() {
        let converted = Model::decode(age(&published(64, 81)).unwrap().as_slice()).unwrap();
        let graph = converted.graph.unwrap();
        assert_eq!(onnx::only_input(&graph).unwrap().name, "input");
        assert_eq!(graph.node.len(), 3);
        assert_eq!(graph.node[2], b"opaque");
        let [sub, mul] = [0, 1].map(|i| Node::decode(graph.node[i].as_slice()).unwrap());
        assert_eq!((sub.op_type.as_str(), sub.input[0].as_str()), ("Sub", "input"));
        assert_eq!((mul.op_type.as_str(), mul.output[0].as_str()), ("Mul", "images"));
        assert_eq!(mul.input[0], sub.output[0]);
    }

    #[test]
    fn subnormal_weights_become_zero_and_no_others() {
        let converted = Model::decode(age(&published(64, 81)).unwrap().as_slice()).unwrap();
        let weights = Tensor::decode(converted.graph.unwrap().initializer[0].as_slice()).unwrap();
        assert_eq!(weights, Tensor::floats("weights", &[4], &[0.0, 0.0, 0.5, f32::MIN_POSITIVE]));
    }

    #[test]
    fn refuses_the_other_network() {
        assert!(age(&published(32, 2)).is_err());
        assert!(gender(&published(64, 81)).is_err());
        assert!(gender(&published(32, 81)).is_err());
        assert!(gender(&published(32, 2)).is_ok());
    }

    #[test]
    fn survives_damaged_files() {
        survives_damage(&published(64, 81), age);
    }
}
