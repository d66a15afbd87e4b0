//! Builds ONNX graphs: the one place where converters write nodes.
//!
//! Activations are `[N, C, H, W]` with a symbolic batch `N`, one channel plane after another; convolution weights are
//! `[out, in / groups, height, width]`.

use super::ConvertError;
use super::onnx::{self, Attribute, Extent, Node, Tensor, ValueInfo};
use prost::Message;

/// The most weights that one graph may hold: 64 MB of f32, six times the largest network here.
const MAX_ELEMENTS: usize = 16 << 20;

/// A value that flows through the graph: its position among all values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Value(usize);

/// A convolution with its weights.
pub(super) struct Convolution<'a> {
    /// `[out, in / groups, height, width]`.
    pub shape: [usize; 4],
    /// The last axis of `shape` fastest.
    pub weights: &'a [f32],
    /// One per output channel.
    pub bias: &'a [f32],
    /// Vertical and horizontal step.
    pub strides: [usize; 2],
    /// Zeros added at the top, left, bottom and right.
    pub pads: [usize; 4],
    /// 1, or the number of channels for a depthwise convolution.
    pub groups: usize,
}

/// A max pooling.
pub(super) struct MaxPool {
    /// Height and width of the window.
    pub window: [usize; 2],
    /// Vertical and horizontal step.
    pub strides: [usize; 2],
    /// Cells without influence added at the top, left, bottom and right.
    pub pads: [usize; 4],
}

struct Step {
    operator: &'static str,
    inputs: Vec<Value>,
    output: Value,
    attributes: Vec<Attribute>,
}

/// A graph under construction.
pub(super) struct GraphBuilder {
    name: &'static str,
    names: Vec<String>,
    steps: Vec<Step>,
    weights: Vec<Tensor>,
    elements: usize,
    inputs: Vec<(Value, Vec<Extent>)>,
    outputs: Vec<(Value, Vec<Extent>)>,
}

/// The symbolic batch axis.
pub(super) fn batch() -> Extent {
    Extent::symbolic("N")
}

fn ints(values: &[usize]) -> Vec<i64> {
    values.iter().map(|&v| v as i64).collect()
}

impl GraphBuilder {
    pub(super) fn new(name: &'static str) -> Self {
        Self {
            name,
            names: Vec::new(),
            steps: Vec::new(),
            weights: Vec::new(),
            elements: 0,
            inputs: Vec::new(),
            outputs: Vec::new(),
        }
    }

    fn value(&mut self, prefix: &str) -> Value {
        let value = Value(self.names.len());
        self.names.push(format!("{prefix}_{}", value.0));
        value
    }

    fn step(&mut self, operator: &'static str, inputs: Vec<Value>, attributes: Vec<Attribute>) -> Value {
        let output = self.value(operator);
        self.steps.push(Step { operator, inputs, output, attributes });
        output
    }

    /// Declares an f32 input.
    pub(super) fn input(&mut self, name: &str, shape: &[Extent]) -> Value {
        let value = Value(self.names.len());
        self.names.push(name.to_owned());
        self.inputs.push((value, shape.to_vec()));
        value
    }

    /// Makes a value an f32 output under the given name.
    pub(super) fn output(&mut self, value: Value, name: &str, shape: &[Extent]) {
        name.clone_into(&mut self.names[value.0]);
        self.outputs.push((value, shape.to_vec()));
    }

    /// Adds f32 weights.
    pub(super) fn constant(&mut self, shape: &[usize], values: &[f32]) -> Result<Value, ConvertError> {
        let expected = shape.iter().try_fold(1usize, |product, &d| product.checked_mul(d));
        if expected != Some(values.len()) {
            let reason = format!("{} values do not fill the shape {shape:?}", values.len());
            return Err(ConvertError::malformed("weights", reason));
        }
        self.elements += values.len();
        ConvertError::check_size("the network", self.elements, MAX_ELEMENTS)?;
        let value = self.value("weights");
        let name = self.names[value.0].clone();
        self.weights.push(Tensor::floats(&name, shape, values));
        Ok(value)
    }

    fn int_constant(&mut self, values: &[i64]) -> Value {
        let value = self.value("shape");
        let name = self.names[value.0].clone();
        self.weights.push(Tensor::ints(&name, values));
        value
    }

    pub(super) fn convolution(&mut self, x: Value, conv: &Convolution<'_>) -> Result<Value, ConvertError> {
        let [out, _, height, width] = conv.shape;
        let weights = self.constant(&conv.shape, conv.weights)?;
        let bias = self.constant(&[out], conv.bias)?;
        let attributes = vec![
            Attribute::ints("kernel_shape", &ints(&[height, width])),
            Attribute::ints("strides", &ints(&conv.strides)),
            Attribute::ints("pads", &ints(&conv.pads)),
            Attribute::int("group", conv.groups as i64),
        ];
        Ok(self.step("Conv", vec![x, weights, bias], attributes))
    }

    /// `x` where it is positive, `slope * x` where it is negative, with one slope per channel.
    pub(super) fn prelu(&mut self, x: Value, slopes: &[f32]) -> Result<Value, ConvertError> {
        let slopes = self.constant(&[slopes.len(), 1, 1], slopes)?;
        Ok(self.step("PRelu", vec![x, slopes], Vec::new()))
    }

    pub(super) fn relu(&mut self, x: Value) -> Value {
        self.step("Relu", vec![x], Vec::new())
    }

    pub(super) fn sigmoid(&mut self, x: Value) -> Value {
        self.step("Sigmoid", vec![x], Vec::new())
    }

    /// Softmax over the last axis.
    pub(super) fn softmax(&mut self, x: Value) -> Value {
        self.step("Softmax", vec![x], vec![Attribute::int("axis", -1)])
    }

    pub(super) fn add(&mut self, a: Value, b: Value) -> Value {
        self.step("Add", vec![a, b], Vec::new())
    }

    pub(super) fn sub(&mut self, a: Value, b: Value) -> Value {
        self.step("Sub", vec![a, b], Vec::new())
    }

    pub(super) fn mul(&mut self, a: Value, b: Value) -> Value {
        self.step("Mul", vec![a, b], Vec::new())
    }

    pub(super) fn max_pool(&mut self, x: Value, pool: &MaxPool) -> Value {
        let attributes = vec![
            Attribute::ints("kernel_shape", &ints(&pool.window)),
            Attribute::ints("strides", &ints(&pool.strides)),
            Attribute::ints("pads", &ints(&pool.pads)),
        ];
        self.step("MaxPool", vec![x], attributes)
    }

    /// Appends channels of zeros, so that `channels` become `wanted`.
    ///
    /// A pointwise convolution with ones on the diagonal, because ONNX Runtime computes it in the blocked layout of the
    /// convolutions around it and merges a following addition into it; `Pad` would have it change the layout twice.
    pub(super) fn append_channels(&mut self, x: Value, channels: usize, wanted: usize) -> Result<Value, ConvertError> {
        ConvertError::check_size("the network", wanted.saturating_mul(channels), MAX_ELEMENTS)?;
        let mut weights = vec![0.0; wanted * channels];
        weights.iter_mut().step_by(channels + 1).take(channels.min(wanted)).for_each(|w| *w = 1.0);
        let bias = vec![0.0; wanted];
        let shape = [wanted, channels, 1, 1];
        self.convolution(
            x,
            &Convolution { shape, weights: &weights, bias: &bias, strides: [1; 2], pads: [0; 4], groups: 1 },
        )
    }

    /// Means over height and width: `[N, C, H, W]` becomes `[N, C, 1, 1]`.
    pub(super) fn global_average_pool(&mut self, x: Value) -> Value {
        self.step("GlobalAveragePool", vec![x], Vec::new())
    }

    /// Changes the shape; one axis may be -1.
    pub(super) fn reshape(&mut self, x: Value, shape: &[i64]) -> Value {
        let shape = self.int_constant(shape);
        self.step("Reshape", vec![x, shape], Vec::new())
    }

    /// `x * weights + bias` for `x` `[N, in]`, `weights` `[in, out]`.
    pub(super) fn linear(
        &mut self,
        x: Value,
        shape: [usize; 2],
        weights: &[f32],
        bias: &[f32],
    ) -> Result<Value, ConvertError> {
        let weights = self.constant(&shape, weights)?;
        let bias = self.constant(&[shape[1]], bias)?;
        Ok(self.step("Gemm", vec![x, weights, bias], Vec::new()))
    }

    /// The finished model.
    pub(super) fn finish(self) -> Vec<u8> {
        let names = &self.names;
        let node = |step: &Step| Node {
            input: step.inputs.iter().map(|v| names[v.0].clone()).collect(),
            output: vec![names[step.output.0].clone()],
            name: names[step.output.0].clone(),
            op_type: step.operator.to_owned(),
            attribute: step.attributes.clone(),
        };
        let infos = |values: &[(Value, Vec<Extent>)]| {
            let info = |(value, shape): &(Value, Vec<Extent>)| ValueInfo::floats(&names[value.0], shape);
            values.iter().map(|v| info(v).encode_to_vec()).collect()
        };
        let graph = onnx::Graph {
            node: self.steps.iter().map(|s| node(s).encode_to_vec()).collect(),
            name: self.name.to_owned(),
            initializer: self.weights.iter().map(Message::encode_to_vec).collect(),
            input: infos(&self.inputs),
            output: infos(&self.outputs),
            value_info: Vec::new(),
        };
        let model = onnx::Model {
            ir_version: onnx::IR_VERSION,
            producer_name: "facegate".to_owned(),
            graph: Some(graph),
            opset_import: vec![onnx::OperatorSet { domain: String::new(), version: onnx::OPSET }],
        };
        model.encode_to_vec()
    }
}
