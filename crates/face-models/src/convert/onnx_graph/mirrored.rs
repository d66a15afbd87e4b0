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
