//! Builds ONNX graphs: the one place where converters write nodes.
//!
//! Activations are `[N, C, H, W]` with a symbolic batch `N`, one channel plane after another; convolution weights are
//! `[out, in / groups, height, width]`.
//!
//! Two things are done for ONNX Runtime's sake, whose fast x86 kernels keep 8 or 16 channels side by side. The least of
//! 200 runs in ms on one thread of an AVX-512 machine, without and with them, version 1.24.4: MiniFASNetV2 2.1, 1.4;
//! MiniFASNetV1SE 2.1, 1.5; face landmarks 8.5, 4.7. Version 1.32.0: 4.1, 1.4; 4.0, 1.5; 14.7, 4.7.
//! - Convolutions get output channels of zeros up to a multiple of [`BLOCK`], because other numbers fall back to a slow
//!   kernel; every consumer gives them the weight 0.
//! - A PReLU, which has no fast kernel and makes its neighbours change the layout, is written as depthwise
//!   convolutions, or, where there is room, as a relu over the channels and their mirror images (`mirrored`).

mod mirrored;

use self::mirrored::Prelu;
use super::ConvertError;
use super::array::element_count;
use super::onnx::{self, Attribute, Extent, Node, Tensor, ValueInfo};
use prost::Message;
use std::collections::HashSet;

/// The most weights that one graph may hold: 64 MB of f32, six times the largest network here.
const MAX_ELEMENTS: usize = 16 << 20;

/// Channels of hidden convolutions come in multiples of this.
const BLOCK: usize = 16;

/// A convolution of at most so many weights per channel is computed twice rather than its result read once more: depthwise 3x3
/// and pointwise ones over 16 channels. On an AVX2 machine landmarks take 6.3 ms with it, 6.7 with none and with twice as many
/// weights, which the first convolution over the picture has too (the least of 200 runs, in turns); on an AVX-512 machine they took
/// 4.25 ms with twice as many and 4.39 with none, before PReLUs were mirrored; so many were not measured there.
const TWICE: usize = 16;

/// A value that flows through the graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Value {
    /// Position among all values.
    id: usize,
    /// Extent of the second axis as the network means it.
    channels: usize,
    /// Extent of the second axis with the channels of zeros behind.
    stored: usize,
}

impl Value {
    /// Extent of the second axis.
    pub(super) fn channels(self) -> usize {
        self.channels
    }
}

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
    inputs: Vec<usize>,
    output: usize,
    attributes: Vec<Attribute>,
}

/// A graph under construction.
pub(super) struct GraphBuilder {
    name: &'static str,
    /// Names of all values, by id.
    names: Vec<String>,
    steps: Vec<Step>,
    prelus: Vec<Prelu>,
    weights: Vec<Tensor>,
    elements: usize,
    inputs: Vec<ValueInfo>,
    outputs: Vec<(usize, Vec<Extent>)>,
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
            prelus: Vec::new(),
            weights: Vec::new(),
            elements: 0,
            inputs: Vec::new(),
            outputs: Vec::new(),
        }
    }

    fn named(&mut self, name: String) -> usize {
        self.names.push(name);
        self.names.len() - 1
    }

    fn step(&mut self, operator: &'static str, inputs: Vec<usize>, attributes: Vec<Attribute>) -> usize {
        let output = self.named(format!("{operator}_{}", self.names.len()));
        self.steps.push(Step { operator, inputs, output, attributes });
        output
    }

    /// A node that keeps the number of channels.
    fn unary(&mut self, operator: &'static str, x: Value, attributes: Vec<Attribute>) -> Value {
        Value { id: self.step(operator, vec![x.id], attributes), ..x }
    }

    /// A node over two values that agree in their channels.
    fn binary(&mut self, operator: &'static str, a: Value, b: Value) -> Result<Value, ConvertError> {
        if (a.channels, a.stored) != (b.channels, b.stored) {
            let reason = format!("it combines layers of {} and {} channels", a.channels, b.channels);
            return Err(ConvertError::malformed("network", reason));
        }
        Ok(Value { id: self.step(operator, vec![a.id, b.id], Vec::new()), ..a })
    }

    /// Declares the f32 input `[N, channels, height, width]`.
    pub(super) fn picture(&mut self, channels: usize, side: usize) -> Value {
        let extents = [channels, side, side].map(|e| Extent::Fixed(e as i64));
        let [c, h, w] = extents;
        self.inputs.push(ValueInfo::floats("input", &[batch(), c, h, w]));
        Value { id: self.named("input".to_owned()), channels, stored: channels }
    }

    /// Makes a value an f32 output under the given name.
    pub(super) fn output(&mut self, value: Value, name: &str, shape: &[Extent]) {
        name.clone_into(&mut self.names[value.id]);
        self.outputs.push((value.id, shape.to_vec()));
    }

    /// Adds f32 weights.
    fn constant(&mut self, shape: &[usize], values: &[f32]) -> Result<usize, ConvertError> {
        if element_count(shape) != Some(values.len()) {
            let reason = format!("{} values do not fill the shape {shape:?}", values.len());
            return Err(ConvertError::malformed("weights", reason));
        }
        self.reserve(values.len())?;
        let id = self.named(format!("weights_{}", self.names.len()));
        self.weights.push(Tensor::floats(&self.names[id], shape, values));
        Ok(id)
    }

    fn int_constant(&mut self, values: &[i64]) -> usize {
        let id = self.named(format!("sizes_{}", self.names.len()));
        self.weights.push(Tensor::ints(&self.names[id], values));
        id
    }

    /// Counts elements against the limit, before they are allocated.
    fn reserve(&mut self, elements: usize) -> Result<(), ConvertError> {
        self.elements = self.elements.saturating_add(elements);
        ConvertError::check_size("the network", self.elements, MAX_ELEMENTS)
    }

    /// `x - offsets`, one offset per channel.
    pub(super) fn subtract(&mut self, x: Value, offsets: &[f32]) -> Result<Value, ConvertError> {
        let offsets = self.constant(&[1, x.stored, 1, 1], offsets)?;
        Ok(Value { id: self.step("Sub", vec![x.id, offsets], Vec::new()), ..x })
    }

    pub(super) fn convolution(&mut self, x: Value, conv: &Convolution<'_>) -> Result<Value, ConvertError> {
        let [out, per_group, height, width] = conv.shape;
        let fits = match conv.groups {
            1 => per_group == x.channels,
            groups => per_group == 1 && groups == x.channels && out == groups,
        };
        let window = height.saturating_mul(width);
        let row = per_group.saturating_mul(window);
        if !fits || element_count(&conv.shape) != Some(conv.weights.len()) || conv.bias.len() != out || row == 0 {
            let reason = format!("a convolution of shape {:?} over {} channels", conv.shape, x.channels);
            return Err(ConvertError::malformed("network", reason));
        }
        let stored = out.next_multiple_of(BLOCK);
        let (stored_groups, stored_per_group) = if conv.groups == 1 { (1, x.stored) } else { (stored, 1) };
        let stored_row = stored_per_group.saturating_mul(window);
        ConvertError::check_size("the network", stored.saturating_mul(stored_row), MAX_ELEMENTS)?;
        let mut weights = vec![0.0; stored * stored_row];
        for (to, from) in weights.chunks_exact_mut(stored_row).zip(conv.weights.chunks_exact(row)) {
            to[..row].copy_from_slice(from);
        }
        let mut bias = conv.bias.to_vec();
        bias.resize(stored, 0.0);

        let weights = self.constant(&[stored, stored_per_group, height, width], &weights)?;
        let bias = self.constant(&[stored], &bias)?;
        let attributes = vec![
            Attribute::ints("kernel_shape", &ints(&[height, width])),
            Attribute::ints("strides", &ints(&conv.strides)),
            Attribute::ints("pads", &ints(&conv.pads)),
            Attribute::int("group", stored_groups as i64),
        ];
        Ok(Value { id: self.step("Conv", vec![x.id, weights, bias], attributes), channels: out, stored })
    }

    /// One factor per channel, as a depthwise convolution.
    fn scale(&mut self, x: Value, factors: &[f32]) -> Result<Value, ConvertError> {
        let channels = factors.len();
        let bias = vec![0.0; channels];
        let shape = [channels, 1, 1, 1];
        let groups = channels;
        self.convolution(
            x,
            &Convolution { shape, weights: factors, bias: &bias, strides: [1; 2], pads: [0; 4], groups },
        )
    }

    /// `x` where it is positive, `slope * x` where it is negative, with one slope per channel.
    ///
    /// Written as `x + s * relu(s * (slope - 1) * x)`, where `s` is 1 for a slope up to 1 and -1 for a steeper one: for
    /// positive `x` the second summand is 0, for negative `x` it is `(slope - 1) * x`. ONNX Runtime merges the relu into the
    /// convolution before it and the addition into one that it has yet to write, in place: into that of `s`, also where all of
    /// them are 1, or into that which makes `x`, where that is cheap enough to be computed twice. [`Self::finish`] may find a cheaper way.
    pub(super) fn prelu(&mut self, x: Value, slopes: &[f32]) -> Result<Value, ConvertError> {
        let first = self.steps.len();
        let signs: Vec<f32> = slopes.iter().map(|&slope| if slope > 1.0 { -1.0 } else { 1.0 }).collect();
        let factors: Vec<f32> = slopes.iter().zip(&signs).map(|(slope, sign)| sign * (slope - 1.0)).collect();
        let again = self.scaled_again(x, &factors)?;
        let scaled = again.map_or_else(|| self.scale(x, &factors), Ok)?;
        let mut change = self.relu(scaled);
        if again.is_none() || signs.contains(&-1.0) {
            change = self.scale(change, &signs)?;
        }
        let value = self.add(change, x)?;
        self.prelus.push(Prelu { x: x.id, slopes: slopes.to_vec(), steps: first..self.steps.len() });
        Ok(value)
    }

    /// A convolution of its own that gives `x` times one factor per channel, where `x` comes of one that is no dearer than
    /// reading `x` again.
    fn scaled_again(&mut self, x: Value, factors: &[f32]) -> Result<Option<Value>, ConvertError> {
        let made_by = self.steps.last().filter(|step| step.operator == "Conv" && step.output == x.id);
        let Some(step) = made_by.filter(|_| factors.len() == x.channels) else { return Ok(None) };
        let (input, attributes) = (step.inputs[0], step.attributes.clone());
        let mut scaled = [0; 2];
        for (id, place) in step.inputs.clone().into_iter().skip(1).zip(&mut scaled) {
            let Some(tensor) = self.weights.iter().rfind(|tensor| tensor.name == self.names[id]) else {
                return Ok(None);
            };
            let shape: Vec<usize> = tensor.dims.iter().map(|&extent| extent as usize).collect();
            let row = shape[1..].iter().product::<usize>();
            if row > TWICE {
                return Ok(None);
            }
            let factor = |at: usize| factors.get(at / row).copied().unwrap_or(0.0);
            let values: Vec<f32> =
                tensor.values().into_iter().enumerate().map(|(at, value)| value * factor(at)).collect();
            *place = self.constant(&shape, &values)?;
        }
        let id = self.step("Conv", vec![input, scaled[0], scaled[1]], attributes);
        Ok(Some(Value { id, ..x }))
    }

    pub(super) fn relu(&mut self, x: Value) -> Value {
        self.unary("Relu", x, Vec::new())
    }

    pub(super) fn sigmoid(&mut self, x: Value) -> Value {
        self.unary("Sigmoid", x, Vec::new())
    }

    /// Softmax over the last axis.
    pub(super) fn softmax(&mut self, x: Value) -> Value {
        self.unary("Softmax", x, vec![Attribute::int("axis", -1)])
    }

    pub(super) fn add(&mut self, a: Value, b: Value) -> Result<Value, ConvertError> {
        self.binary("Add", a, b)
    }

    pub(super) fn mul(&mut self, a: Value, b: Value) -> Result<Value, ConvertError> {
        self.binary("Mul", a, b)
    }

    pub(super) fn max_pool(&mut self, x: Value, pool: &MaxPool) -> Value {
        let attributes = vec![
            Attribute::ints("kernel_shape", &ints(&pool.window)),
            Attribute::ints("strides", &ints(&pool.strides)),
            Attribute::ints("pads", &ints(&pool.pads)),
        ];
        self.unary("MaxPool", x, attributes)
    }

    /// Means over height and width: `[N, C, H, W]` becomes `[N, C, 1, 1]`.
    pub(super) fn global_average_pool(&mut self, x: Value) -> Value {
        self.unary("GlobalAveragePool", x, Vec::new())
    }

    /// Standard deviations over height and width: `[N, C, H, W]` becomes `[N, C]`. As the mean of the squares less the square
    /// of the mean, which ONNX Runtime computes in the layout of the convolutions around it.
    pub(super) fn spread(&mut self, x: Value) -> Result<Value, ConvertError> {
        let squares = self.mul(x, x)?;
        let (mean, squares) = (self.global_average_pool(x), self.global_average_pool(squares));
        let square = self.mul(mean, mean)?;
        let variance = self.binary("Sub", squares, square)?;
        let variance = self.relu(variance);
        let spread = self.unary("Sqrt", variance, Vec::new());
        Ok(self.reshape(spread, &[-1, x.channels() as i64]))
    }

    /// Appends channels of zeros.
    ///
    /// A pointwise convolution with ones on the diagonal, because ONNX Runtime computes it in the layout of the
    /// convolutions around it and merges a following addition into it; `Pad` would have it change the layout twice.
    pub(super) fn append_channels(&mut self, x: Value, more: usize) -> Result<Value, ConvertError> {
        let wanted = x.channels.saturating_add(more);
        ConvertError::check_size("the network", wanted.saturating_mul(x.channels.max(1)), MAX_ELEMENTS)?;
        let mut weights = vec![0.0; wanted * x.channels];
        weights.iter_mut().step_by(x.channels + 1).take(x.channels).for_each(|w| *w = 1.0);
        let bias = vec![0.0; wanted];
        let shape = [wanted, x.channels, 1, 1];
        self.convolution(
            x,
            &Convolution { shape, weights: &weights, bias: &bias, strides: [1; 2], pads: [0; 4], groups: 1 },
        )
    }

    /// Takes the channels of one pixel, `[N, C, 1, 1]`, as another shape; the first extent is -1 for the batch.
    pub(super) fn reshape(&mut self, x: Value, shape: &[i64]) -> Value {
        let mut id = x.id;
        if x.stored != x.channels {
            let [start, end, axis] = [0, x.channels as i64, 1].map(|v| self.int_constant(&[v]));
            id = self.step("Slice", vec![id, start, end, axis], Vec::new());
        }
        let shape = self.int_constant(shape);
        Value { id: self.step("Reshape", vec![id, shape], Vec::new()), channels: x.channels, stored: x.channels }
    }

    /// `x * weights + bias` for `x` `[N, in]`, `weights` `[in, out]`.
    pub(super) fn linear(&mut self, x: Value, weights: &[f32], bias: &[f32]) -> Result<Value, ConvertError> {
        let channels = bias.len();
        let weights = self.constant(&[x.channels, channels], weights)?;
        let bias = self.constant(&[channels], bias)?;
        Ok(Value { id: self.step("Gemm", vec![x.id, weights, bias], Vec::new()), channels, stored: channels })
    }

    /// The finished model.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.mirror_prelus();
        let used: HashSet<usize> = self.steps.iter().flat_map(|step| &step.inputs).copied().collect();
        let used: HashSet<&str> = used.into_iter().map(|id| self.names[id].as_str()).collect();
        self.weights.retain(|tensor| used.contains(tensor.name.as_str()));
        let names = &self.names;
        let node = |step: &Step| Node {
            input: step.inputs.iter().map(|&id| names[id].clone()).collect(),
            output: vec![names[step.output].clone()],
            name: names[step.output].clone(),
            op_type: step.operator.to_owned(),
            attribute: step.attributes.clone(),
        };
        let outputs = self.outputs.iter().map(|(id, shape)| ValueInfo::floats(&names[*id], shape));
        let graph = onnx::Graph {
            node: self.steps.iter().map(|s| node(s).encode_to_vec()).collect(),
            name: self.name.to_owned(),
            initializer: self.weights.iter().map(Message::encode_to_vec).collect(),
            input: self.inputs.iter().map(Message::encode_to_vec).collect(),
            output: outputs.map(|o| o.encode_to_vec()).collect(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::evaluated::{self, Map, evaluate, nodes};
    use crate::convert::onnx::{Graph, Model};

    fn pointwise<'a>(shape: [usize; 2], weights: &'a [f32], bias: &'a [f32]) -> Convolution<'a> {
        let [out, per_group] = shape;
        Convolution { shape: [out, per_group, 1, 1], weights, bias, strides: [1; 2], pads: [0; 4], groups: 1 }
    }

    fn graph(builder: GraphBuilder) -> Graph {
        Model::decode(builder.finish().as_slice()).unwrap().graph.unwrap()
    }

    fn operators(graph: &Graph) -> Vec<String> {
        graph.node.iter().map(|n| Node::decode(n.as_slice()).unwrap().op_type).collect()
    }

    fn weights(graph: &Graph) -> Vec<(Vec<i64>, Vec<f32>)> {
        let tensors = graph.initializer.iter().map(|t| Tensor::decode(t.as_slice()).unwrap());
        let floats = tensors.filter(|t| t.data_type == onnx::FLOAT);
        floats.map(|t| (t.dims, t.raw_data.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect())).collect()
    }

    #[test]
    fn fills_hidden_channels_with_zeros_and_cuts_them_off_at_the_end() {
        let mut builder = GraphBuilder::new("test");
        let x = builder.picture(3, 1);
        let x = builder.convolution(x, &pointwise([2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &[7.0, 8.0])).unwrap();
        let x = builder.convolution(x, &pointwise([1, 2], &[9.0, 10.0], &[11.0])).unwrap();
        assert_eq!(x.channels(), 1);
        let x = builder.reshape(x, &[-1]);
        builder.output(x, "y", &[batch()]);
        let graph = graph(builder);
        assert_eq!(operators(&graph), ["Conv", "Conv", "Slice", "Reshape"]);
        let [first, first_bias, second, second_bias] = weights(&graph).try_into().unwrap();
        assert_eq!((first.0.as_slice(), &first.1[..6]), (&[16, 3, 1, 1][..], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0][..]));
        assert!(first.1[6..].iter().chain(&first_bias.1[2..]).all(|&w| w == 0.0));
        assert_eq!((second.0.as_slice(), &second.1[..2]), (&[16, 16, 1, 1][..], &[9.0, 10.0][..]));
        assert!(second.1[2..].iter().chain(&second_bias.1[1..]).all(|&w| w == 0.0));
    }

    /// The values of a PReLU over one channel of a convolution that has `of_x` (weight, bias), by the weights behind it.
    fn check_prelu(slope: f32, of_x: (f32, f32), of_change: (f32, f32), change_sees_x: bool, sign: f32) {
        for input in [-2.0f32, -0.5, 0.0, 0.5, 2.0] {
            let x = of_x.0 * input + of_x.1;
            let seen = if change_sees_x { x } else { input };
            let y = x + sign * (of_change.0 * seen + of_change.1).max(0.0);
            assert_eq!(y, if x > 0.0 { x } else { slope * x }, "slope {slope} at {x}");
        }
    }

    #[test]
    fn writes_prelu_so_that_it_gives_the_same_values() {
        // Over more input channels than are worth computing twice, and over few.
        for (inputs, twice) in [(TWICE + 1, false), (3, true)] {
            for slopes in [&[0.25, -1.5, 1.0][..], &[0.25, -1.5, 3.0]] {
                let mut builder = GraphBuilder::new("test");
                let x = builder.picture(inputs, 1);
                let mut diagonal = vec![0.0; 3 * inputs];
                (0..3).for_each(|channel| diagonal[channel * inputs + channel] = 2.0);
                let bias = [0.5, -0.25, 0.0];
                let x = builder.convolution(x, &pointwise([3, inputs], &diagonal, &bias)).unwrap();
                builder.prelu(x, slopes).unwrap();
                let graph = graph(builder);
                let signed = slopes.iter().any(|&s| s > 1.0) || !twice;
                let expected: &[&str] =
                    if signed { &["Conv", "Conv", "Relu", "Conv", "Add"] } else { &["Conv", "Conv", "Relu", "Add"] };
                assert_eq!(operators(&graph), expected);
                let weights = weights(&graph);
                for (channel, &slope) in slopes.iter().enumerate() {
                    let at = |tensor: usize, row: usize, column: usize| {
                        (weights[tensor].1[channel * row + column], weights[tensor + 1].1[channel])
                    };
                    let stored = weights[0].0[1] as usize;
                    let change = if twice { at(2, stored, channel) } else { at(2, 1, 0) };
                    let sign = if signed { weights[4].1[channel] } else { 1.0 };
                    check_prelu(slope, at(0, stored, channel), change, !twice, sign);
                }
            }
        }
    }

    #[test]
    fn refuses_weights_that_do_not_fit() {
        let mut builder = GraphBuilder::new("test");
        let x = builder.picture(3, 1);
        let missing = builder.convolution(x, &pointwise([1, 3], &[1.0, 2.0], &[0.0]));
        let wrong_channels = builder.convolution(x, &pointwise([1, 2], &[1.0, 2.0], &[0.0]));
        let wrong_bias = builder.convolution(x, &pointwise([1, 3], &[1.0, 2.0, 3.0], &[]));
        for result in [missing, wrong_channels, wrong_bias] {
            assert!(matches!(result, Err(ConvertError::Malformed { .. })));
        }
        let other = builder.convolution(x, &pointwise([1, 3], &[1.0, 2.0, 3.0], &[0.0])).unwrap();
        assert!(builder.add(x, other).is_err());
    }

    #[test]
    fn refuses_networks_beyond_the_limit_before_it_allocates() {
        let mut builder = GraphBuilder::new("test");
        let x = builder.picture(3, 1);
        for more in [1 << 40, usize::MAX] {
            assert!(matches!(builder.append_channels(x, more), Err(ConvertError::TooLarge { .. })));
        }
    }

    #[test]
    fn the_spread_is_the_standard_deviation_over_the_map() {
        let mut builder = GraphBuilder::new("test");
        let x = builder.picture(2, 2);
        let y = builder.spread(x).unwrap();
        builder.output(y, "y", &[batch()]);
        let graph = graph(builder);
        // By hand: of 1, 3, 5, 7 the mean is 4 and the mean square of what is left 5. What does not vary has none, however large.
        let picture = Map { values: vec![1.0, 3.0, 5.0, 7.0, 1e3, 1e3, 1e3, 1e3], shape: [2, 2, 2] };
        let found = evaluate(&nodes(&graph), &evaluated::weights(&graph), picture);
        assert!((found[0] - 5.0_f32.sqrt()).abs() < 1e-6 && found[1] == 0.0, "{found:?}");
    }

    #[test]
    fn appends_channels_of_zeros() {
        let mut builder = GraphBuilder::new("test");
        let x = builder.picture(2, 1);
        let y = builder.append_channels(x, 1).unwrap();
        assert_eq!(y.channels(), 3);
        assert_eq!(weights(&graph(builder))[0].1[..6], [1.0, 0.0, 0.0, 1.0, 0.0, 0.0]);
    }
}
