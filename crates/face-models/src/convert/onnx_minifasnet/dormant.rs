//! Channels that training has driven to nothing, left out.
//!
//! A MiniFASNet widens its features by a pointwise convolution, looks at each channel with a depthwise one and narrows them again.
//! Of the channels that `fr_liveness` widens to, two fifths no longer depend on the picture: the product of their weights in the three
//! convolutions has decayed. Such a channel adds a constant to what comes after it, which its bias holds as well.

use std::collections::HashMap;

use super::{Constant, Constants, numbers};
use crate::convert::onnx::{GROUPS, Node};

/// The channels that go change what comes after them, all together, by no more than this part of what the strongest one does: eight
/// units in the last place of an f32. Features of about 1 are assumed.
const NOTHING: f64 = 1.0 / (1 << 20) as f64;

/// Convolutions of one widening, by their places in the list of nodes: pointwise (or the first of the network), depthwise, pointwise,
/// with a PReLU between them or without.
struct Widened {
    widen: usize,
    first: Option<usize>,
    depthwise: usize,
    second: Option<usize>,
    narrow: usize,
}

/// Leaves dormant channels out of the weights, wherever the weights are used once.
pub(super) fn leave_out(nodes: &mut [Node], constants: &mut Constants) {
    let edges = Edges::of(nodes);
    let all: Vec<Widened> = (0..nodes.len()).filter_map(|at| edges.around(nodes, at)).collect();
    for widened in all {
        if let Some((kept, smaller)) = widened.smaller(nodes, constants) {
            constants.0.extend(smaller);
            let groups = nodes[widened.depthwise].attribute.iter_mut().find(|a| a.name == GROUPS);
            groups.into_iter().for_each(|groups| groups.i = Some(kept as i64));
        }
    }
}

/// Who makes a value and who reads it.
struct Edges<'a> {
    maker: HashMap<&'a str, usize>,
    readers: HashMap<&'a str, Vec<usize>>,
}

impl<'a> Edges<'a> {
    fn of(nodes: &'a [Node]) -> Self {
        let mut edges = Self { maker: HashMap::new(), readers: HashMap::new() };
        for (at, node) in nodes.iter().enumerate() {
            edges.maker.extend(node.output.iter().map(|name| (name.as_str(), at)));
            for name in &node.input {
                edges.readers.entry(name).or_default().push(at);
            }
        }
        edges
    }

    /// The only reader of what a node gives.
    fn reader(&self, node: &Node) -> Option<usize> {
        let [name] = node.output.as_slice() else { return None };
        let &[reader] = self.readers.get(name.as_str())?.as_slice() else { return None };
        Some(reader)
    }

    /// The maker of what a node reads, when nobody else reads it.
    fn maker(&self, node: &Node) -> Option<usize> {
        let name = node.input.first()?.as_str();
        (self.readers.get(name)?.len() == 1).then(|| self.maker.get(name).copied())?
    }

    /// The widening round a depthwise convolution.
    fn around(&self, nodes: &[Node], depthwise: usize) -> Option<Widened> {
        let is = |at: usize, operator: &str| nodes[at].op_type == operator;
        let plain = |at: &usize| is(*at, "Conv") && nodes[*at].groups() == 1;
        if !is(depthwise, "Conv") || nodes[depthwise].groups() == 1 {
            return None;
        }
        let mut widen = self.maker(&nodes[depthwise])?;
        let first = is(widen, "PRelu").then_some(widen);
        if first.is_some() {
            widen = self.maker(&nodes[widen])?;
        }
        let mut narrow = self.reader(&nodes[depthwise])?;
        let second = is(narrow, "PRelu").then_some(narrow);
        if second.is_some() {
            narrow = self.reader(&nodes[narrow])?;
        }
        let widened = Widened { widen, first, depthwise, second, narrow };
        let mut weights = widened.weights().into_iter().filter_map(|(at, input)| nodes[at].input.get(input));
        let once = |name: &String| self.readers.get(name.as_str()).is_some_and(|readers| readers.len() == 1);
        ([widen, narrow].iter().all(plain) && weights.all(once)).then_some(widened)
    }
}

impl Widened {
    /// All its weights: node and input.
    fn weights(&self) -> Vec<(usize, usize)> {
        let slopes = [self.first, self.second].into_iter().flatten().map(|at| (at, 1));
        let convolutions = [self.widen, self.depthwise, self.narrow].into_iter().flat_map(|at| [(at, 1), (at, 2)]);
        convolutions.chain(slopes).collect()
    }

    /// How many channels are kept, and the weights without the others by their names; `None` where none is dormant, or the weights
    /// do not fit each other.
    fn smaller(&self, nodes: &[Node], constants: &Constants) -> Option<(usize, Vec<(String, Constant)>)> {
        let of = |at: usize, input: usize| constants.of(&nodes[at], input).ok();
        let (widen, widen_bias) = (of(self.widen, 1)?, of(self.widen, 2)?);
        let (depthwise, depthwise_bias) = (of(self.depthwise, 1)?, of(self.depthwise, 2)?);
        let (narrow, narrow_bias) = (of(self.narrow, 1)?, of(self.narrow, 2)?);
        let slopes = [self.first, self.second].map(|at| at.map(|at| of(at, 1)));
        let slopes = match slopes {
            [Some(None), _] | [_, Some(None)] => return None,
            known => known.map(Option::flatten),
        };
        let channels = widen_bias.values.len();
        let &[outputs, inputs, 1, 1] = narrow.shape.as_slice() else { return None };
        let &[rows, _, _, _] = widen.shape.as_slice() else { return None };
        let &[windows, 1, _, _] = depthwise.shape.as_slice() else { return None };
        let one_each =
            [depthwise_bias].into_iter().chain(slopes.into_iter().flatten()).all(|c| c.values.len() == channels);
        let fit =
            [rows, windows, inputs] == [channels; 3] && nodes[self.depthwise].groups() == channels as i64 && one_each;
        // Beyond the edge of a padded map a constant would not be there.
        let unpadded = numbers(&nodes[self.narrow], "pads", [0; 4]).is_ok_and(|pads| pads == [0; 4]);
        if channels == 0 || narrow_bias.values.len() != outputs || !fit || !unpadded {
            return None;
        }
        let at = |channel: usize| Channel {
            row: row(widen, channels, channel),
            bias: widen_bias.values[channel],
            first: slopes[0].map_or(1.0, |slopes| slopes.values[channel]),
            window: row(depthwise, channels, channel),
            window_bias: depthwise_bias.values[channel],
            second: slopes[1].map_or(1.0, |slopes| slopes.values[channel]),
            column: narrow.values.iter().skip(channel).step_by(channels).copied().collect(),
        };
        let all: Vec<Channel<'_>> = (0..channels).map(at).collect();
        let dormant = dormant(&all);
        let kept: Vec<usize> = (0..channels).filter(|&channel| !dormant[channel]).collect();
        if kept.is_empty() || kept.len() == channels {
            return None;
        }
        let mut bias: Vec<f64> = narrow_bias.values.iter().map(|&value| value.into()).collect();
        for (channel, _) in all.iter().zip(&dormant).filter(|(_, dormant)| **dormant) {
            let constant = channel.constant();
            bias.iter_mut().zip(&channel.column).for_each(|(bias, &weight)| *bias += constant * f64::from(weight));
        }
        let rows = |constant: &Constant| Constant {
            shape: [&[kept.len()], constant.shape.get(1..).unwrap_or_default()].concat(),
            values: kept.iter().flat_map(|&channel| row(constant, channels, channel)).copied().collect(),
        };
        let columns = narrow.values.chunks_exact(channels).flat_map(|row| kept.iter().map(|&channel| row[channel]));
        let name = |at: usize, input: usize| nodes[at].input[input].clone();
        let mut smaller = vec![
            (name(self.widen, 1), rows(widen)),
            (name(self.widen, 2), rows(widen_bias)),
            (name(self.depthwise, 1), rows(depthwise)),
            (name(self.depthwise, 2), rows(depthwise_bias)),
            (name(self.narrow, 1), Constant { shape: vec![outputs, kept.len(), 1, 1], values: columns.collect() }),
            (name(self.narrow, 2), Constant { shape: vec![outputs], values: bias.iter().map(|&b| b as f32).collect() }),
        ];
        for (place, slopes) in [self.first, self.second].into_iter().zip(slopes) {
            smaller.extend(place.zip(slopes).map(|(place, slopes)| (name(place, 1), rows(slopes))));
        }
        Some((kept.len(), smaller))
    }
}

/// The values of one channel, the first axis of a constant.
fn row(constant: &Constant, channels: usize, channel: usize) -> &[f32] {
    let length = constant.values.len() / channels;
    &constant.values[channel * length..][..length]
}

/// One of the widened channels.
struct Channel<'a> {
    row: &'a [f32],
    bias: f32,
    first: f32,
    window: &'a [f32],
    window_bias: f32,
    second: f32,
    column: Vec<f32>,
}

impl Channel<'_> {
    /// The most that what comes after it changes, per unit that the picture's features change.
    fn influence(&self) -> f64 {
        sum(self.row) * steepest(self.first) * self.passed_on()
    }

    /// The most that its bias adds, which is not in its constant: where the depthwise window reaches beyond the edge it adds less.
    fn of_its_bias(&self) -> f64 {
        prelu(self.bias.into(), self.first).abs() * self.passed_on()
    }

    /// The most that comes through the window and what follows.
    fn passed_on(&self) -> f64 {
        sum(self.window) * steepest(self.second) * sum(&self.column)
    }

    /// What a dormant channel gives after its second PReLU.
    fn constant(&self) -> f64 {
        prelu(self.window_bias.into(), self.second)
    }
}

/// Which channels go: the weakest, as long as they are [`NOTHING`] together. None where a weight is no number.
fn dormant(channels: &[Channel<'_>]) -> Vec<bool> {
    let mut weakest: Vec<(usize, f64)> =
        channels.iter().map(|channel| channel.influence() + channel.of_its_bias()).enumerate().collect();
    weakest.sort_by(|(_, a), (_, b)| a.total_cmp(b));
    let strongest = channels.iter().map(Channel::influence).fold(0.0, f64::max);
    let mut dormant = vec![false; channels.len()];
    let mut together = 0.0;
    if weakest.iter().all(|(_, change)| change.is_finite()) {
        for (channel, change) in weakest {
            together += change;
            dormant[channel] = together <= NOTHING * strongest;
        }
    }
    dormant
}

fn sum(values: &[f32]) -> f64 {
    values.iter().map(|&value| f64::from(value).abs()).sum()
}

fn steepest(slope: f32) -> f64 {
    f64::from(slope).abs().max(1.0)
}

fn prelu(x: f64, slope: f32) -> f64 {
    if x > 0.0 { x } else { f64::from(slope) * x }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::evaluated::{Map, evaluate};
    use crate::convert::onnx::Attribute;

    const CONVOLUTION: &str = "Conv";

    fn node(operator: &str, inputs: &[&str], output: &str, groups: i64, pads: i64) -> Node {
        Node {
            input: inputs.iter().map(|&name| name.to_owned()).collect(),
            output: vec![output.to_owned()],
            name: String::new(),
            op_type: operator.to_owned(),
            attribute: vec![Attribute::int(GROUPS, groups), Attribute::ints("pads", &[pads; 4])],
        }
    }

    /// Weights that are all of some size, and differ.
    fn some(count: usize) -> Vec<f32> {
        (0..count).map(|at| [0.25, -0.5, 1.0, 0.75, -1.25][at % 5]).collect()
    }

    /// Two widenings one after the other, so that what narrows the first widens the second: two channels, three, four, two.
    struct Network {
        nodes: Vec<Node>,
        constants: Constants,
    }

    impl Network {
        fn new() -> Self {
            let nodes = vec![
                node(CONVOLUTION, &["input", "w", "wb"], "1", 1, 1),
                node("PRelu", &["1", "s"], "2", 1, 0),
                node(CONVOLUTION, &["2", "d", "db"], "3", 3, 1),
                node("PRelu", &["3", "t"], "4", 1, 0),
                node(CONVOLUTION, &["4", "n", "nb"], "5", 1, 0),
                node(CONVOLUTION, &["5", "e", "eb"], "6", 4, 1),
                node("PRelu", &["6", "u"], "7", 1, 0),
                node(CONVOLUTION, &["7", "o", "ob"], "8", 1, 0),
            ];
            let shapes: [(&str, &[usize]); 11] = [
                ("w", &[3, 2, 3, 3]),
                ("wb", &[3]),
                ("s", &[3, 1, 1]),
                ("d", &[3, 1, 3, 3]),
                ("db", &[3]),
                ("t", &[3, 1, 1]),
                ("n", &[4, 3, 1, 1]),
                ("nb", &[4]),
                ("e", &[4, 1, 3, 3]),
                ("eb", &[4]),
                ("u", &[4, 1, 1]),
            ];
            let last: [(&str, &[usize]); 2] = [("o", &[2, 4, 1, 1]), ("ob", &[2])];
            let constant = |shape: &[usize]| Constant { shape: shape.to_vec(), values: some(shape.iter().product()) };
            let constants = shapes.into_iter().chain(last).map(|(name, shape)| (name.to_owned(), constant(shape)));
            Self { nodes, constants: Constants(constants.collect()) }
        }

        /// Multiplies the values of one channel of a constant.
        fn scale(mut self, name: &str, channel: usize, factor: f32) -> Self {
            let Constant { shape, values } = self.constants.0.get_mut(name).unwrap();
            let row = values.len() / shape[0];
            values[channel * row..][..row].iter_mut().for_each(|value| *value *= factor);
            self
        }

        /// The same for the weights of a channel that the next convolution reads.
        fn scale_column(mut self, name: &str, channel: usize, factor: f32) -> Self {
            let Constant { shape, values } = self.constants.0.get_mut(name).unwrap();
            values.iter_mut().skip(channel).step_by(shape[1]).for_each(|value| *value *= factor);
            self
        }

        fn run(&self) -> Vec<f32> {
            let weights =
                self.constants.0.iter().map(|(n, c)| (n.clone(), (c.shape.clone(), c.values.clone()))).collect();
            let values = (0..2 * 5 * 4).map(|at| (at * 7 % 11) as f32 / 4.0 - 1.0).collect();
            evaluate(&self.nodes, &weights, Map { values, shape: [2, 5, 4] })
        }

        /// The channels of both widenings once dormant ones are gone; the answer stays the same.
        fn left(mut self) -> [usize; 2] {
            let before = self.run();
            leave_out(&mut self.nodes, &mut self.constants);
            for (before, after) in before.iter().zip(self.run()) {
                assert!((before - after).abs() < 1e-4 * before.abs().max(1.0), "{after} instead of {before}");
            }
            ["d", "e"].map(|name| self.constants.0[name].shape[0])
        }
    }

    #[test]
    fn channels_without_influence_go_and_their_constants_stay() {
        assert_eq!(Network::new().left(), [3, 4]);
        let quiet = |network: Network| network.scale("w", 1, 1e-12).scale("wb", 1, 1e-12);
        assert_eq!(quiet(Network::new()).left(), [2, 4]);
        // A channel that is widened to, looked at, or read by nothing to speak of.
        assert_eq!(Network::new().scale("d", 2, 1e-12).left(), [2, 4]);
        assert_eq!(Network::new().scale_column("n", 0, 1e-12).left(), [2, 4]);
        // Of both widenings, and in the second one only.
        assert_eq!(quiet(Network::new()).scale("e", 3, 1e-12).scale("e", 0, 1e-12).left(), [2, 2]);
        assert_eq!(Network::new().scale("n", 2, 1e-12).scale("nb", 2, 1e-12).left(), [3, 3]);
    }

    #[test]
    fn a_bias_that_shows_at_the_edge_keeps_its_channel() {
        assert_eq!(Network::new().scale("w", 1, 1e-12).left(), [3, 4]);
    }

    #[test]
    fn channels_that_matter_together_stay() {
        // Each alone is less than nothing, all three together are not.
        let half = 0.7 * NOTHING as f32;
        let mut network =
            Network::new().scale_column("o", 0, half).scale_column("o", 1, half).scale_column("o", 2, half);
        leave_out(&mut network.nodes, &mut network.constants);
        assert!((2..=3).contains(&network.constants.0["e"].shape[0]));
    }

    #[test]
    fn what_is_used_twice_or_padded_stays() {
        let mut network = Network::new().scale("d", 2, 1e-12);
        network.nodes.push(node(CONVOLUTION, &["8", "o", "ob"], "9", 1, 0));
        network.nodes.push(node("Add", &["4", "4"], "10", 1, 0));
        leave_out(&mut network.nodes, &mut network.constants);
        assert_eq!(network.constants.0["d"].shape[0], 3);
        let mut network = Network::new().scale("d", 2, 1e-12);
        network.nodes[4] = node(CONVOLUTION, &["4", "n", "nb"], "5", 1, 1);
        assert_eq!(network.left(), [3, 4]);
    }

    #[test]
    fn weights_that_do_not_fit_are_left_as_they_are() {
        for (name, shape) in [
            ("db", vec![3, 0]),
            ("db", vec![3, 2]),
            ("s", vec![3, 0]),
            ("w", vec![0, 3, 1, 1]),
            ("n", vec![0, 3, 1, 1]),
        ] {
            let mut network = Network::new().scale("d", 2, 1e-12);
            let values = vec![0.5; shape.iter().product()];
            network.constants.0.insert(name.to_owned(), Constant { shape, values });
            leave_out(&mut network.nodes, &mut network.constants);
            assert_eq!(network.constants.0["d"].shape[0], 3, "{name}");
        }
        for groups in [-1, 0, 2, 4] {
            let mut network = Network::new().scale("d", 2, 1e-12);
            network.nodes[2] = node(CONVOLUTION, &["2", "d", "db"], "3", groups, 1);
            leave_out(&mut network.nodes, &mut network.constants);
            assert_eq!(network.constants.0["d"].shape[0], 3, "{groups}");
        }
        let mut network = Network::new().scale("d", 2, 1e-12).scale("w", 0, f32::NAN);
        leave_out(&mut network.nodes, &mut network.constants);
        assert_eq!(network.constants.0["d"].shape[0], 3);
    }
}
