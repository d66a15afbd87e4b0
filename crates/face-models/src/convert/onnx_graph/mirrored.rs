//! PReLUs that cost nothing, in the channels that only fill a block.
//!
//! A PReLU is `relu(x) - slope * relu(-x)`. Where a convolution fills at most half of the channels that are stored for it, which is up to
//! half a block, the other half can hold `-x`: one relu over all of them, which ONNX Runtime merges into that convolution, gives both
//! summands. A depthwise convolution looks at both with its own weights and `-slope` times these, and the convolution that
//! gathers its channels adds them up.

use std::ops::Range;

use super::{BLOCK, GraphBuilder, Step};

/// A PReLU as it was written down.
pub(super) struct Prelu {
    /// The value that it is applied to.
    pub x: usize,
    /// One per channel.
    pub slopes: Vec<f32>,
    /// Its steps, the last of which gives its value.
    pub steps: Range<usize>,
}

/// The convolutions around a PReLU that can be mirrored, by their places among the steps.
struct Around {
    before: usize,
    depthwise: usize,
    gathering: usize,
}

impl GraphBuilder {
    /// Replaces the steps of every PReLU whose mirror image has room beside it by one relu.
    ///
    /// The last one first: places of earlier steps stay, and a depthwise convolution that was computed twice for the PReLU behind it
    /// has become one again when its turn comes.
    pub(super) fn mirror_prelus(&mut self) {
        for prelu in std::mem::take(&mut self.prelus).into_iter().rev() {
            if let Some(around) = self.around(&prelu) {
                self.mirror(&prelu, &around);
            }
        }
    }

    fn around(&self, prelu: &Prelu) -> Option<Around> {
        let channels = prelu.slopes.len();
        if 2 * channels > channels.next_multiple_of(BLOCK) {
            return None;
        }
        let before = self.steps[..prelu.steps.start].iter().rposition(|step| step.output == prelu.x)?;
        let [stored, ..] = self.extents(&self.steps[before])?;
        let inside = self.readers(prelu.x).all(|reader| prelu.steps.contains(&reader)) && !self.is_output(prelu.x);
        let depthwise = self.only_reader(self.steps[prelu.steps.end - 1].output)?;
        let gathering = self.only_reader(self.steps[depthwise].output)?;
        let [_, inputs, ..] = self.extents(&self.steps[gathering])?;
        let groups = |at: usize| self.steps[at].attributes.iter().find(|a| a.name == "group").and_then(|a| a.i);
        let kinds = [before, depthwise, gathering].map(groups) == [1, stored as i64, 1].map(Some);
        let fits = 2 * channels <= stored && inputs == stored && kinds && inside;
        fits.then_some(Around { before, depthwise, gathering })
    }

    fn mirror(&mut self, prelu: &Prelu, around: &Around) {
        let channels = prelu.slopes.len();
        let factors: Vec<f32> = prelu.slopes.iter().map(|slope| -slope).collect();
        // Each output channel's row, and its bias, once more.
        for (place, factors) in [(around.before, &vec![-1.0; channels]), (around.depthwise, &factors)] {
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
        let [_, inputs, height, width] = self.extents(&self.steps[around.gathering]).unwrap_or_default();
        let window = height * width;
        self.change_weights(around.gathering, 1, |values, _| {
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
        if step.operator != "Conv" {
            return None;
        }
        let name = &self.names[*step.inputs.get(1)?];
        let weights = self.weights.iter().find(|tensor| tensor.name == *name)?;
        let dims: Vec<usize> = weights.dims.iter().map(|&extent| extent as usize).collect();
        dims.try_into().ok()
    }

    fn readers(&self, value: usize) -> impl Iterator<Item = usize> {
        self.steps.iter().enumerate().filter(move |(_, step)| step.inputs.contains(&value)).map(|(at, _)| at)
    }

    /// The only step that reads a value, unless it is also an output of the graph.
    fn only_reader(&self, value: usize) -> Option<usize> {
        let mut readers = self.readers(value);
        let only = readers.next().filter(|_| readers.next().is_none())?;
        (!self.is_output(value)).then_some(only)
    }

    fn is_output(&self, value: usize) -> bool {
        self.outputs.iter().any(|&(output, _)| output == value)
    }

    /// Changes the values of one input of a step; the function also gets the first extent.
    fn change_weights(&mut self, step: usize, input: usize, change: impl FnOnce(&mut [f32], usize)) {
        let name = &self.names[self.steps[step].inputs[input]];
        let Some(tensor) = self.weights.iter_mut().find(|tensor| tensor.name == *name) else { return };
        let mut values = tensor.values();
        change(&mut values, tensor.dims[0] as usize);
        tensor.raw_data = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::evaluated::{Map, Weights, evaluate, nodes, weights};
    use crate::convert::onnx::{Attribute, Extent, Graph, Model, Node};
    use crate::convert::onnx_graph::{Convolution, Value};
    use prost::Message;

    const ROWS: usize = 7;
    const COLUMNS: usize = 9;

    /// Weights that are all of some size, and differ.
    fn some(count: usize, from: usize) -> Vec<f32> {
        (0..count).map(|at| [0.25, -0.5, 1.0, 0.75, -1.25, 0.5, -0.75][(at + from) % 7]).collect()
    }

    /// A chain of convolutions as the builder writes it, and as its PReLUs are meant.
    struct Both {
        builder: GraphBuilder,
        value: Value,
        meant: Vec<Node>,
        weights: Weights,
    }

    impl Both {
        fn new() -> Self {
            let mut builder = GraphBuilder::new("test");
            let value = builder.picture(3, COLUMNS);
            Self { builder, value, meant: Vec::new(), weights: Weights::new() }
        }

        fn means(&mut self, operator: &str, weights: Vec<(Vec<usize>, Vec<f32>)>, attribute: Vec<Attribute>) {
            let at = self.meant.len();
            let from = self.meant.last().map_or("input".to_owned(), |node| node.output[0].clone());
            let names: Vec<String> = (0..weights.len()).map(|n| format!("weights {at} {n}")).collect();
            self.weights.extend(names.iter().cloned().zip(weights));
            let input = [vec![from], names].concat();
            let output = vec![format!("meant {at}")];
            self.meant.push(Node { input, output, name: String::new(), op_type: operator.to_owned(), attribute });
        }

        fn convolution(mut self, shape: [usize; 4], stride: usize, groups: usize) -> Self {
            let from = self.meant.len();
            let (weights, bias) = (some(shape.iter().product(), from), some(shape[0], from + 3));
            let pads = [shape[2] / 2; 4];
            let conv = Convolution { shape, weights: &weights, bias: &bias, strides: [stride; 2], pads, groups };
            self.value = self.builder.convolution(self.value, &conv).unwrap();
            let attributes = vec![
                Attribute::ints("pads", &pads.map(|pad| pad as i64)),
                Attribute::ints("strides", &[stride as i64; 2]),
                Attribute::int("group", groups as i64),
            ];
            self.means("Conv", vec![(shape.to_vec(), weights), (vec![shape[0]], bias)], attributes);
            self
        }

        fn prelu(mut self) -> Self {
            // Steeper than 1, and the other way round, too.
            let slopes: Vec<f32> = (0..self.value.channels()).map(|at| [0.25, 3.0, -1.5][at % 3]).collect();
            self.value = self.builder.prelu(self.value, &slopes).unwrap();
            self.means("PRelu", vec![(vec![slopes.len()], slopes)], Vec::new());
            self
        }

        /// The operators that were written, after a comparison of what both give.
        fn operators(self) -> Vec<String> {
            let graph = graph(self.builder);
            let picture = || Map { values: some(3 * ROWS * COLUMNS, 1), shape: [3, ROWS, COLUMNS] };
            let expected = evaluate(&self.meant, &self.weights, picture());
            let found = evaluate(&nodes(&graph), &weights(&graph), picture());
            assert!(!expected.is_empty() && expected.len() <= found.len());
            for (found, expected) in found.iter().zip(&expected) {
                assert!((found - expected).abs() < 1e-3 * expected.abs().max(1.0), "{found} instead of {expected}");
            }
            let read = nodes(&graph).into_iter().filter(|node| node.op_type == "Conv").count() * 2;
            assert_eq!(graph.initializer.len(), read, "weights that nobody reads");
            nodes(&graph).into_iter().map(|node| node.op_type).collect()
        }
    }

    fn graph(builder: GraphBuilder) -> Graph {
        Model::decode(builder.finish().as_slice()).unwrap().graph.unwrap()
    }

    #[test]
    fn a_prelu_with_room_beside_it_becomes_a_relu() {
        for channels in [2, BLOCK / 2] {
            // What gathers the first comes before the second.
            let both = Both::new().convolution([channels, 3, 3, 3], 2, 1).prelu();
            let both = both.convolution([channels, 1, 3, 3], 1, channels).convolution([channels, channels, 1, 1], 1, 1);
            let both = both.prelu().convolution([channels, 1, 3, 3], 2, channels);
            let both = both.convolution([channels + 2, channels, 3, 3], 1, 1);
            assert_eq!(both.operators(), ["Conv", "Relu", "Conv", "Conv", "Relu", "Conv", "Conv"]);
        }
    }

    #[test]
    fn two_prelus_round_a_depthwise_convolution_give_the_same_values() {
        let both = Both::new().convolution([6, 3, 1, 1], 1, 1).prelu().convolution([6, 1, 3, 3], 1, 6).prelu();
        assert!(both.convolution([6, 6, 1, 1], 1, 1).operators().contains(&"Add".to_owned()));
    }

    #[test]
    fn a_prelu_that_fills_its_channels_stays() {
        let channels = BLOCK / 2 + 1;
        let both = Both::new().convolution([channels, 3, 1, 1], 1, 1).prelu();
        let both = both.convolution([channels, 1, 3, 3], 1, channels).convolution([1, channels, 1, 1], 1, 1);
        assert!(both.operators().contains(&"Add".to_owned()));
    }

    #[test]
    fn values_that_others_see_stay() {
        let operators = |seen_by: fn(&mut GraphBuilder, [Value; 3])| {
            let convolution = |builder: &mut GraphBuilder, x: Value, shape: [usize; 4], groups: usize| {
                let (weights, bias) = (some(shape.iter().product(), 0), some(shape[0], 1));
                let conv = Convolution { shape, weights: &weights, bias: &bias, strides: [1; 2], pads: [0; 4], groups };
                builder.convolution(x, &conv).unwrap()
            };
            let mut builder = GraphBuilder::new("test");
            let x = builder.picture(3, 1);
            let x = convolution(&mut builder, x, [2, 3, 1, 1], 1);
            let y = builder.prelu(x, &[0.25, -1.5]).unwrap();
            let z = convolution(&mut builder, y, [2, 1, 1, 1], 2);
            convolution(&mut builder, z, [1, 2, 1, 1], 1);
            seen_by(&mut builder, [x, y, z]);
            nodes(&graph(builder)).len()
        };
        assert_eq!(operators(|_, _| ()), 4);
        assert!(operators(|builder, [x, ..]| builder.output(x, "seen", &[Extent::Fixed(2)])) > 4);
        assert!(operators(|builder, [_, y, _]| builder.output(y, "seen", &[Extent::Fixed(2)])) > 4);
        assert!(operators(|builder, [.., z]| builder.output(z, "seen", &[Extent::Fixed(2)])) > 4);
        let sum = |builder: &mut GraphBuilder, [_, y, z]: [Value; 3]| assert_ne!(builder.add(y, z).unwrap(), z);
        assert!(operators(sum) > 5);
    }
}
