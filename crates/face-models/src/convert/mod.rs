//! Readers of foreign weights. Every converter takes the bytes of a file as its package ships it and gives the bytes
//! of an ONNX model (or of a JSON document) whose interface is written down at the converter.
//!
//! The files are checked against their SHA-256 before they come here, but nothing in this module relies on that:
//! lengths are checked before they are used, nothing is executed, nothing recurses into the input, and memory stays
//! proportional to the size of the file.

mod array;
#[cfg(test)]
mod evaluated;
#[cfg(test)]
mod hostile;
mod onnx;
mod onnx_graph;
mod task;

pub mod dlib;
pub mod faceapi;
pub mod geometry;
pub mod onnx_minifasnet;
pub mod tflite;
pub mod torch;
pub mod yunet;

/// Why a file could not be converted.
#[derive(Debug, thiserror::Error)]
pub enum ConvertError {
    /// The file is not what its format prescribes.
    #[error("not a usable {format} file: {reason}")]
    Malformed {
        /// The format that was expected.
        format: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The file is valid but uses something that the converter does not know.
    #[error("the {format} file uses {what}, which the converter does not know")]
    Unsupported {
        /// The format of the file.
        format: &'static str,
        /// What it uses.
        what: String,
    },
    /// The file, or something that it describes, exceeds the converter's limits.
    #[error("{what} has a size of {size}, above the limit of {limit}")]
    TooLarge {
        /// What is too large.
        what: String,
        /// Its size in bytes or elements.
        size: usize,
        /// The largest size accepted.
        limit: usize,
    },
    /// A tensor that the network needs is not in the file.
    #[error("the weights hold no tensor `{0}`")]
    MissingTensor(String),
    /// A tensor does not have the shape that its place in the network asks for.
    #[error("tensor `{name}` has the shape {found:?}; expected {expected}")]
    Shape {
        /// Name of the tensor.
        name: String,
        /// Its shape in the file.
        found: Vec<usize>,
        /// The shape that was expected.
        expected: String,
    },
    /// A protocol buffer (ONNX, MediaPipe metadata) could not be decoded.
    #[error("not a valid protocol buffer: {0}")]
    Protobuf(#[from] prost::DecodeError),
}

impl ConvertError {
    fn malformed(format: &'static str, reason: impl Into<String>) -> Self {
        Self::Malformed { format, reason: reason.into() }
    }

    fn unsupported(format: &'static str, what: impl Into<String>) -> Self {
        Self::Unsupported { format, what: what.into() }
    }

    fn check_size(what: &str, size: usize, limit: usize) -> Result<(), Self> {
        if size > limit { Err(Self::TooLarge { what: what.to_owned(), size, limit }) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::onnx::{self, Extent, ValueInfo};
    use crate::{Group, ModelStore};
    use prost::Message;
    use std::fs;

    /// Name and shape of a value, symbolic extents by their names.
    fn describe(value: &ValueInfo) -> String {
        let extent = |extent: &Option<&Extent>| match extent {
            Some(Extent::Fixed(size)) => size.to_string(),
            Some(Extent::Symbolic(name)) => name.clone(),
            None => "?".to_owned(),
        };
        let shape = value.float_shape().unwrap_or_default();
        format!("{}[{}]", value.name, shape.iter().map(extent).collect::<Vec<_>>().join(","))
    }

    #[test]
    fn stored_models_have_the_documented_interfaces() {
        let store = ModelStore::open(ModelStore::default_dir().unwrap()).unwrap();
        store.ensure(Group::Models, &mut |_: crate::Event<'_>| {}).unwrap();
        let paths = store.paths().unwrap();
        let liveness = ("input[N,3,80,80]", "probabilities[N,3] logits[N,3] features[N,512] texture[N,64]");
        let expected = [
            (&paths.liveness_v2, liveness.0, liveness.1),
            (&paths.liveness_fr, "input[N,3,128,128]", liveness.1),
            (&paths.landmarks, "input[N,3,256,256]", "landmarks[N,478,3] presence[N]"),
            (&paths.age, "input[N,3,64,64]", "probabilities[N,81]"),
            (&paths.gender, "input[N,3,32,32]", "probabilities[N,2]"),
            (&paths.age_gender, "input[N,3,112,112]", "age[N,1] gender[N,2]"),
        ];
        for (path, input, outputs) in expected {
            let (_, graph) = onnx::read(&fs::read(path).unwrap()).unwrap();
            assert_eq!(describe(&onnx::only_input(&graph).unwrap()), input, "{}", path.display());
            let described = graph.output.iter().map(|o| describe(&ValueInfo::decode(o.as_slice()).unwrap()));
            assert_eq!(described.collect::<Vec<_>>().join(" "), outputs, "{}", path.display());
        }
        let (_, detector) = onnx::read(&fs::read(&paths.detector).unwrap()).unwrap();
        assert_eq!(describe(&onnx::only_input(&detector).unwrap()), "input[1,3,height,width]");
        let first = ValueInfo::decode(detector.output[0].as_slice()).unwrap();
        assert_eq!((describe(&first).as_str(), detector.output.len()), ("cls_8[1,anchors_8,1]", 12));
        let face: serde_json::Value = serde_json::from_slice(&fs::read(&paths.face_geometry).unwrap()).unwrap();
        assert_eq!(face["vertices"].as_array().map(Vec::len), Some(468));
        assert_eq!(face["basis"].as_array().map(Vec::len), Some(33));
    }
}
