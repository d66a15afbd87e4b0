//! The part of the ONNX file format that the converters read and write.
//!
//! Field numbers are those of the public `onnx.proto` (IR version 8). Nodes, initialisers and value descriptions
//! stay encoded (`Vec<u8>`) until someone asks for them: a rewritten model keeps them byte for byte, and a hostile
//! file cannot make one input byte cost a whole structure.

use super::ConvertError;
use prost::Message;

/// IR version of the files written here: old enough for every ONNX Runtime since 1.14.
pub(super) const IR_VERSION: i64 = 8;

/// Operator set of the graphs built here. Set 13 has `Softmax` over one axis and is older than every runtime in use.
pub(super) const OPSET: i64 = 13;

/// The largest ONNX file read here; the age network, the largest of them, has 10.8 MB.
const MAX_BYTES: usize = 16 << 20;

#[derive(Clone, PartialEq, Message)]
pub(super) struct Model {
    #[prost(int64, tag = "1")]
    pub ir_version: i64,
    #[prost(string, tag = "2")]
    pub producer_name: String,
    #[prost(message, optional, tag = "7")]
    pub graph: Option<Graph>,
    #[prost(message, repeated, tag = "8")]
    pub opset_import: Vec<OperatorSet>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct OperatorSet {
    #[prost(string, tag = "1")]
    pub domain: String,
    #[prost(int64, tag = "2")]
    pub version: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Graph {
    /// Encoded [`Node`]s in execution order.
    #[prost(bytes = "vec", repeated, tag = "1")]
    pub node: Vec<Vec<u8>>,
    #[prost(string, tag = "2")]
    pub name: String,
    /// Encoded [`Tensor`]s.
    #[prost(bytes = "vec", repeated, tag = "5")]
    pub initializer: Vec<Vec<u8>>,
    /// Encoded [`ValueInfo`]s.
    #[prost(bytes = "vec", repeated, tag = "11")]
    pub input: Vec<Vec<u8>>,
    /// Encoded [`ValueInfo`]s.
    #[prost(bytes = "vec", repeated, tag = "12")]
    pub output: Vec<Vec<u8>>,
    /// Encoded [`ValueInfo`]s of intermediate values.
    #[prost(bytes = "vec", repeated, tag = "13")]
    pub value_info: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Node {
    #[prost(string, repeated, tag = "1")]
    pub input: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub output: Vec<String>,
    #[prost(string, tag = "3")]
    pub name: String,
    #[prost(string, tag = "4")]
    pub op_type: String,
    #[prost(message, repeated, tag = "5")]
    pub attribute: Vec<Attribute>,
}

impl Node {
    /// The convolution's groups: 1 where it does not say.
    pub(super) fn groups(&self) -> i64 {
        self.attribute.iter().find(|attribute| attribute.name == GROUPS).and_then(|groups| groups.i).unwrap_or(1)
    }
}

/// The attribute of a convolution that says in how many groups its channels are.
pub(super) const GROUPS: &str = "group";

#[derive(Clone, PartialEq, Message)]
pub(super) struct Attribute {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(int64, optional, tag = "3")]
    pub i: Option<i64>,
    #[prost(int64, repeated, packed = "false", tag = "8")]
    pub ints: Vec<i64>,
    /// Which of the fields holds the value: 2 for `i`, 7 for `ints`.
    #[prost(int32, tag = "20")]
    pub kind: i32,
}

impl Attribute {
    pub(super) fn int(name: &str, value: i64) -> Self {
        Self { name: name.to_owned(), i: Some(value), ints: Vec::new(), kind: 2 }
    }

    pub(super) fn ints(name: &str, values: &[i64]) -> Self {
        Self { name: name.to_owned(), i: None, ints: values.to_vec(), kind: 7 }
    }
}

/// Element type code of f32.
pub(super) const FLOAT: i32 = 1;
/// Element type code of i64.
pub(super) const INT64: i32 = 7;

#[derive(Clone, PartialEq, Message)]
pub(super) struct Tensor {
    #[prost(int64, repeated, tag = "1")]
    pub dims: Vec<i64>,
    #[prost(int32, tag = "2")]
    pub data_type: i32,
    #[prost(string, tag = "8")]
    pub name: String,
    /// Little-endian elements, the last axis fastest.
    #[prost(bytes = "vec", tag = "9")]
    pub raw_data: Vec<u8>,
}

impl Tensor {
    pub(super) fn floats(name: &str, dims: &[usize], values: &[f32]) -> Self {
        Self {
            dims: dims.iter().map(|&d| d as i64).collect(),
            data_type: FLOAT,
            name: name.to_owned(),
            raw_data: values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        }
    }

    /// The elements of an f32 tensor.
    pub(super) fn values(&self) -> Vec<f32> {
        self.raw_data.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()
    }

    pub(super) fn ints(name: &str, values: &[i64]) -> Self {
        Self {
            dims: vec![values.len() as i64],
            data_type: INT64,
            name: name.to_owned(),
            raw_data: values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        }
    }
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ValueInfo {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(message, optional, tag = "2")]
    pub r#type: Option<Type>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Type {
    #[prost(message, optional, tag = "1")]
    pub tensor: Option<TensorType>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct TensorType {
    #[prost(int32, tag = "1")]
    pub element: i32,
    #[prost(message, optional, tag = "2")]
    pub shape: Option<Shape>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Shape {
    #[prost(message, repeated, tag = "1")]
    pub dim: Vec<Dimension>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Dimension {
    #[prost(oneof = "Extent", tags = "1, 2")]
    pub extent: Option<Extent>,
}

/// The size of one axis: a number or the name of a number that the caller chooses.
#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum Extent {
    #[prost(int64, tag = "1")]
    Fixed(i64),
    #[prost(string, tag = "2")]
    Symbolic(String),
}

impl Extent {
    pub(super) fn symbolic(name: impl Into<String>) -> Self {
        Self::Symbolic(name.into())
    }
}

impl ValueInfo {
    /// An f32 tensor of the given shape.
    pub(super) fn floats(name: &str, shape: &[Extent]) -> Self {
        let dim = shape.iter().cloned().map(|extent| Dimension { extent: Some(extent) }).collect();
        let tensor = TensorType { element: FLOAT, shape: Some(Shape { dim }) };
        Self { name: name.to_owned(), r#type: Some(Type { tensor: Some(tensor) }) }
    }

    /// The shape, when this is an f32 tensor whose rank is known; an axis without a size is `None`.
    pub(super) fn float_shape(&self) -> Option<Vec<Option<&Extent>>> {
        let tensor = self.r#type.as_ref()?.tensor.as_ref()?;
        let shape = tensor.shape.as_ref().filter(|_| tensor.element == FLOAT)?;
        Some(shape.dim.iter().map(|d| d.extent.as_ref()).collect())
    }
}

/// Reads a model and its graph; everything below the graph's lists stays encoded.
pub(super) fn read(bytes: &[u8]) -> Result<(Model, Graph), ConvertError> {
    ConvertError::check_size("ONNX", bytes.len(), MAX_BYTES)?;
    let mut model = Model::decode(bytes)?;
    let graph = model.graph.take().ok_or_else(|| ConvertError::malformed("ONNX", "it holds no graph"))?;
    Ok((model, graph))
}

/// The graph's only input.
pub(super) fn only_input(graph: &Graph) -> Result<ValueInfo, ConvertError> {
    match graph.input.as_slice() {
        [input] => Ok(ValueInfo::decode(input.as_slice())?),
        inputs => Err(ConvertError::malformed("ONNX", format!("it has {} inputs instead of one", inputs.len()))),
    }
}
