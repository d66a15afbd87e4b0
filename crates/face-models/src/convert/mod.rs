//! Readers of foreign weights. Every converter takes the bytes of a file as its package ships it and gives the bytes
//! of an ONNX model (or of a JSON document) whose interface is written down at the converter.
//!
//! The files are checked against their SHA-256 before they come here, but nothing in this module relies on that:
//! lengths are checked before they are used, nothing is executed, nothing recurses into the input, and memory stays
//! proportional to the size of the file.

mod array;
#[cfg(test)]
mod hostile;
mod onnx;
mod onnx_graph;
mod task;

pub mod dlib;
pub mod faceapi;
pub mod geometry;
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
