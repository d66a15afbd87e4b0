//! YuNet, the face detector: the published file with its picture size made free.

use super::ConvertError;
use super::onnx::{self, Extent, ValueInfo};
use prost::Message;

/// Strides of the three levels of the network, in picture pixels.
const STRIDES: [u32; 3] = [8, 16, 32];

/// The four heads with their number of values per anchor.
const HEADS: [(&str, i64); 4] = [("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)];

/// Makes height and width of YuNet (`face_detection_yunet_2023mar.onnx`) symbolic.
///
/// The published file declares 640x640, although its weights and its reshapes (`[1, -1, C]`) hold for every size: only
/// the declared shapes of input, outputs and intermediate values stand in the way. They are replaced or dropped;
/// nodes and weights stay as they are.
///
/// - Input `input` `[1, 3, height, width]`: BGR, 0..255, planes one after another. Both sides must be multiples of 32.
/// - Outputs for each stride `s` of 8, 16 and 32, with `n = (height / s) * (width / s)` anchors in rows from the top
///   left: `cls_s` `[1, n, 1]` and `obj_s` `[1, n, 1]` (sigmoid applied; the score is the square root of their
///   product), `bbox_s` `[1, n, 4]` (dx, dy, log w, log h: the centre is at `(column + dx) * s`, the width is
///   `exp(log w) * s`), `kps_s` `[1, n, 10]` (right eye, left eye, nose, right and left corner of the mouth as x, y
///   in the same coordinates as the centre).
///
/// # Errors
///
/// When the bytes are not an ONNX model with YuNet's input and outputs.
pub fn make_dynamic(onnx: &[u8]) -> Result<Vec<u8>, ConvertError> {
    let (mut model, mut graph) = onnx::read(onnx)?;
    let input = onnx::only_input(&graph)?;
    let is_picture =
        matches!(input.float_shape().as_deref(), Some([Some(Extent::Fixed(1)), Some(Extent::Fixed(3)), _, _]));
    if !is_picture {
        return Err(ConvertError::malformed("YuNet", "its input is not one f32 picture of three channels"));
    }
    let sides = [Extent::symbolic("height"), Extent::symbolic("width")];
    let [height, width] = sides;
    let shape = [Extent::Fixed(1), Extent::Fixed(3), height, width];
    graph.input = vec![ValueInfo::floats(&input.name, &shape).encode_to_vec()];

    let names = graph.output.iter().map(|o| Ok(ValueInfo::decode(o.as_slice())?.name));
    let names: Vec<String> = names.collect::<Result<_, ConvertError>>()?;
    let expected = HEADS.iter().flat_map(|&(head, values)| STRIDES.map(|stride| (head, values, stride)));
    graph.output = expected
        .map(|(head, values, stride)| {
            let name = format!("{head}_{stride}");
            if !names.contains(&name) {
                return Err(ConvertError::malformed("YuNet", format!("it has no output `{name}`")));
            }
            let anchors = Extent::symbolic(format!("anchors_{stride}"));
            Ok(ValueInfo::floats(&name, &[Extent::Fixed(1), anchors, Extent::Fixed(values)]).encode_to_vec())
        })
        .collect::<Result<_, ConvertError>>()?;
    graph.value_info.clear();
    model.graph = Some(graph);
    Ok(model.encode_to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::hostile::survives_damage;
    use crate::convert::onnx::{Graph, Model};

    /// The interface of YuNet around a node that means nothing.
    fn published(outputs: usize) -> Vec<u8> {
        let fixed = |shape: &[i64]| shape.iter().map(|&e| Extent::Fixed(e)).collect::<Vec<_>>();
        let outputs = HEADS.iter().flat_map(|&(head, values)| STRIDES.map(|s| (head, values, s))).take(outputs);
        let outputs = outputs.map(|(head, values, stride)| {
            let anchors = (640 / i64::from(stride)).pow(2);
            ValueInfo::floats(&format!("{head}_{stride}"), &fixed(&[1, anchors, values])).encode_to_vec()
        });
        let graph = Graph {
            node: vec![b"opaque".to_vec()],
            name: "yunet".to_owned(),
            initializer: vec![b"weights".to_vec()],
            input: vec![ValueInfo::floats("input", &fixed(&[1, 3, 640, 640])).encode_to_vec()],
            output: outputs.collect(),
            value_info: vec![b"stale".to_vec()],
        };
        Model { ir_version: 6, producer_name: String::new(), graph: Some(graph), opset_import: Vec::new() }
            .encode_to_vec()
    }

    #[test]
    fn frees_the_sides_and_keeps_nodes_and_weights() {
        let converted = Model::decode(make_dynamic(&published(12)).unwrap().as_slice()).unwrap();
        let graph = converted.graph.unwrap();
        assert_eq!(graph.node, [b"opaque"]);
        assert_eq!(graph.initializer, [b"weights"]);
        assert!(graph.value_info.is_empty());
        let input = onnx::only_input(&graph).unwrap();
        let sides = ["height", "width"].map(Extent::symbolic);
        assert_eq!(input.float_shape().unwrap()[2..], [Some(&sides[0]), Some(&sides[1])]);
        assert_eq!(graph.output.len(), 12);
        for output in &graph.output {
            let output = ValueInfo::decode(output.as_slice()).unwrap();
            assert!(matches!(output.float_shape().unwrap()[1], Some(Extent::Symbolic(_))), "{}", output.name);
        }
    }

    #[test]
    fn refuses_other_models() {
        let error = make_dynamic(&published(11)).unwrap_err().to_string();
        assert_eq!(error, "not a usable YuNet file: it has no output `kps_32`");
        assert!(matches!(make_dynamic(b""), Err(ConvertError::Malformed { .. })));
        assert!(matches!(make_dynamic(b"\xff\xff\xff"), Err(ConvertError::Protobuf(_))));
        assert!(matches!(make_dynamic(&vec![0; 17 << 20]), Err(ConvertError::TooLarge { .. })));
    }

    #[test]
    fn survives_damaged_files() {
        survives_damage(&published(12), make_dynamic);
    }
}
