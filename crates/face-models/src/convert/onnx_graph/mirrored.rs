//! PReLUs that cost nothing, in the channels that only fill a block.
//!
//! A PReLU is `relu(x) - slope * relu(-x)`. Where a convolution fills at most half of the channels that are stored for it, the
//! other half can hold `-x`: one relu over all of them, which ONNX Runtime merges into that convolution, gives both summands.
//! A depthwise convolution looks at both with its own weights and `-slope` times these, and the convolution that gathers
//! its channels adds them up.

use std::ops::Range;

use super::{GraphBuilder, Step};

/// A PReLU as it was written down.
pub(super) struct Prelu {
    /// What it is of.
    pub x: usize,
    /// One per channel.
    pub slopes: Vec<f32>,
    /// Its steps, the last of which gives its value.
    pub steps: Range<usize>,
}

/// The steps around a PReLU that can be mirrored, by their places: before it, after it, and behind that.
struct Around {
    filled: usize,
    depthwise: usize,
    gathered: usize,
}

impl GraphBuilder {
    /// Replaces the steps of every PReLU whose mirror image has room beside it by one relu.
    pub(super) fn mirror_prelus(&mut self) {
        for prelu in std::mem::take(&mut self.prelus).into_iter().rev() {
            if let Some(around) = self.around(&prelu) {
                self.mirror(&prelu, &around);
            }
        }
    }

    fn around(&self, prelu: &Prelu) -> Option<Around> {
        let filled = self.steps.iter().position(|step| step.output == prelu.x)?;
        let [stored, ..] = self.extents(&self.steps[filled])?;
        let inside = self.readers(prelu.x).all(|reader| prelu.steps.contains(&reader));
        let depthwise = self.only_reader(self.steps[prelu.steps.end - 1].output)?;
        let gathered = self.only_reader(self.steps[depthwise].output)?;
        let [_, inputs, ..] = self.extents(&self.steps[gathered])?;
        let groups = |at: usize| self.steps[at].attributes.iter().find(|a| a.name == "group").and_then(|a| a.i);
        let kinds = [filled, depthwise, gathered].map(groups) == [1, stored as i64, 1].map(Some);
        let fits = 2 * prelu.slopes.len() <= stored && inputs == stored && kinds && inside;
        fits.then_some(Around { filled, depthwise, gathered })
    }

    fn mirror(&mut self, prelu: &Prelu, around: &Around) {
        let channels = prelu.slopes.len();
        let factors: Vec<f32> = prelu.slopes.iter().map(|slope| -slope).collect();
        // Each output channel's row, and its bias, once more.
        for (place, factors) in [(around.filled, &vec![-1.0; channels]), (around.depthwise, &factors)] {
            for input in [1, 2] {
                // The bias of the depthwise one is in the first half already.
                if (place, input) != (around.depthwise, 2) {
                    self.change_weights(place, input, |values, stored| {
                        let row = values.len() / stored;
                        for (channel, factor) in factors.iter().enumerate() {
                            for at in 0..row {
                                values[(channels + channel) * row + at] = factor * values[channel * row + at];
                            }
                        }
                    });
                }
            }
        }
        // Each input channel's column once more.
        let [_, inputs, height, width] = self.extents(&self.steps[around.gathered]).unwrap_or_default();
        let window = height * width;
        self.change_weights(around.gathered, 1, |values, _| {
            for row in values.chunks_exact_mut((inputs * window).max(1)) {
                row.copy_within(..channels * window, channels * window);
            }
        });
        let (first, last) = (prelu.steps.start, prelu.steps.end - 1);
        let output = self.steps[last].output;
        self.steps[first] = Step { operator: "Relu", inputs: vec![prelu.x], output, attributes: Vec::new() };
        self.steps.drain(first + 1..=last);
    }

    /// The extents of a convolution's weights.
    fn extents(&self, step: &Step) -> Option<[usize; 4]> {
        let name = &self.names[*step.inputs.get(1)?];
        let weights = self.weights.iter().find(|tensor| tensor.name == *name)?;
        let dims: Vec<usize> = weights.dims.iter().map(|&extent| extent as usize).collect();
        dims.try_into().ok().filter(|_| step.operator == "Conv")
    }

    fn readers(&self, value: usize) -> impl Iterator<Item = usize> {
        self.steps.iter().enumerate().filter(move |(_, step)| step.inputs.contains(&value)).map(|(at, _)| at)
    }

    /// The only step that reads a value, unless it is also an output of the graph.
    fn only_reader(&self, value: usize) -> Option<usize> {
        let mut readers = self.readers(value);
        let only = readers.next().filter(|_| readers.next().is_none())?;
        self.outputs.iter().all(|&(output, _)| output != value).then_some(only)
    }

    /// Changes the values of one input of a step; the function also gets the first extent.
    fn change_weights(&mut self, step: usize, input: usize, change: impl FnOnce(&mut [f32], usize)) {
        let name = &self.names[self.steps[step].inputs[input]];
        let Some(tensor) = self.weights.iter_mut().find(|tensor| tensor.name == *name) else { return };
        let mut values: Vec<f32> = tensor.raw_data.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect();
        change(&mut values, tensor.dims[0] as usize);
        tensor.raw_data = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::onnx::{self, Graph, Model, Node, Tensor};
    use crate::convert::onnx_graph::{BLOCK, Convolution, Value, batch};
    use prost::Message;

    const SLOPES: [f32; 2] = [0.25, -1.5];

    fn convolution(builder: &mut GraphBuilder, x: Value, shape: [usize; 2], groups: usize, weights: &[f32]) -> Value {
        let bias = [0.5, -0.25];
        let [out, per_group] = shape;
        let (bias, shape) = (&bias[..out], [out, per_group, 1, 1]);
        builder.convolution(x, &Convolution { shape, weights, bias, strides: [1; 2], pads: [0; 4], groups }).unwrap()
    }

    /// One pixel through a pointwise convolution, a PReLU, a depthwise convolution, and one that gathers. The PReLU's value may also
    /// be read by somebody else.
    fn network(read_elsewhere: bool) -> Graph {
        let mut builder = GraphBuilder::new("test");
        let x = builder.picture(3, 1);
        let x = convolution(&mut builder, x, [2, 3], 1, &[1.0, -2.0, 0.5, -1.0, 1.0, 2.0]);
        let x = builder.prelu(x, &SLOPES).unwrap();
        let y = convolution(&mut builder, x, [2, 1], 2, &[3.0, -0.5]);
        let y = if read_elsewhere { builder.add(x, y).unwrap() } else { y };
        let y = convolution(&mut builder, y, [1, 2], 1, &[2.0, 4.0]);
        let y = builder.reshape(y, &[-1]);
        builder.output(y, "y", &[batch()]);
        Model::decode(builder.finish().as_slice()).unwrap().graph.unwrap()
    }

    /// What the graph gives for one pixel.
    fn run(graph: &Graph, pixel: &[f32]) -> f32 {
        let tensors: Vec<Tensor> = graph.initializer.iter().map(|t| Tensor::decode(t.as_slice()).unwrap()).collect();
        let constant = |name: &str| -> Vec<f32> {
            let tensor = tensors.iter().find(|t| t.name == name && t.data_type == onnx::FLOAT).unwrap();
            tensor.raw_data.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect()
        };
        let mut values = vec![("input".to_owned(), pixel.to_vec())];
        for node in &graph.node {
            let node = Node::decode(node.as_slice()).unwrap();
            let of = |input: usize| values.iter().find(|(name, _)| *name == node.input[input]).unwrap().1.clone();
            let x = of(0);
            let y = match node.op_type.as_str() {
                "Conv" => {
                    let (weights, bias) = (constant(&node.input[1]), constant(&node.input[2]));
                    let depthwise = node.attribute.iter().any(|a| a.name == "group" && a.i != Some(1));
                    let sum = |row: &[f32]| row.iter().zip(&x).map(|(w, x)| w * x).sum::<f32>();
                    let row = |at: usize| &weights[at * weights.len() / bias.len()..][..weights.len() / bias.len()];
                    let each = |at: usize| if depthwise { weights[at] * x[at] } else { sum(row(at)) };
                    bias.iter().enumerate().map(|(at, bias)| bias + each(at)).collect()
                }
                "Relu" => x.iter().map(|x| x.max(0.0)).collect(),
                "Add" => x.iter().zip(of(1)).map(|(a, b)| a + b).collect(),
                "Slice" | "Reshape" => vec![x[0]],
                other => panic!("{other}"),
            };
            values.push((node.output[0].clone(), y));
        }
        values.pop().unwrap().1[0]
    }

    fn expected(pixel: [f32; 3], read_elsewhere: bool) -> f32 {
        let [a, b, c] = pixel;
        let prelu = |x: f32, slope: f32| if x > 0.0 { x } else { slope * x };
        let x = [prelu(a - 2.0 * b + 0.5 * c + 0.5, SLOPES[0]), prelu(-a + b + 2.0 * c - 0.25, SLOPES[1])];
        let also = if read_elsewhere { x } else { [0.0; 2] };
        let y = [3.0 * x[0] + 0.5 + also[0], -0.5 * x[1] - 0.25 + also[1]];
        2.0 * y[0] + 4.0 * y[1] + 0.5
    }

    #[test]
    fn a_prelu_with_room_beside_it_becomes_a_relu() {
        for (read_elsewhere, relus) in
            [(false, &["Conv", "Relu", "Conv", "Conv"][..]), (true, &["Conv", "Conv", "Relu", "Add"])]
        {
            let graph = network(read_elsewhere);
            let operators: Vec<String> =
                graph.node.iter().map(|n| Node::decode(n.as_slice()).unwrap().op_type).collect();
            assert_eq!(operators[..4], *relus);
            for pixel in [[1.0, 0.25, 0.5], [-1.0, 2.0, 0.5], [0.5, -3.0, 1.0], [2.0, 1.0, -4.0], [0.0, 0.0, 0.0]] {
                let (found, expected) = (run(&graph, &pixel), expected(pixel, read_elsewhere));
                assert!((found - expected).abs() < 1e-5, "{found} instead of {expected} for {pixel:?}");
            }
        }
    }

    #[test]
    fn a_prelu_that_fills_its_channels_stays() {
        let channels = BLOCK / 2 + 1;
        let (ones, zeros) = (vec![1.0; 3 * channels], vec![0.0; channels]);
        let mut builder = GraphBuilder::new("test");
        let mut x = builder.picture(3, 1);
        for (out, per_group, groups) in [(channels, 3, 1), (channels, 1, channels), (1, channels, 1)] {
            let (shape, bias) = ([out, per_group, 1, 1], &zeros[..out]);
            let weights = &ones[..out * per_group];
            let conv = Convolution { shape, weights, bias, strides: [1; 2], pads: [0; 4], groups };
            x = builder.convolution(x, &conv).unwrap();
            if (per_group, groups) == (3, 1) {
                x = builder.prelu(x, &vec![0.5; channels]).unwrap();
            }
        }
        let graph = Model::decode(builder.finish().as_slice()).unwrap().graph.unwrap();
        let operators: Vec<String> = graph.node.iter().map(|n| Node::decode(n.as_slice()).unwrap().op_type).collect();
        assert_eq!(operators, ["Conv", "Conv", "Relu", "Add", "Conv", "Conv"]);
    }
}
