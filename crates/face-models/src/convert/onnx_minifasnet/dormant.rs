//! Channels that training has driven to nothing, left out.
//!
//! A MiniFASNet widens its features by a pointwise convolution, looks at each channel with a depthwise one and narrows them again.
//! Of the widened channels of `fr_liveness` 40 to 50 % no longer depend on the picture: their weights have decayed to
//! 1e-20 and less. Such a channel adds a constant to what comes after it, which its bias holds as well.

use std::collections::HashMap;

use super::{Constant, Constants};
use crate::convert::onnx::Node;

/// A channel goes when it changes what comes after it by no more than this part of what the strongest one does: eight units in
/// the last place of an f32.
const NOTHING: f64 = 1.0 / (1 << 20) as f64;

const GROUPS: &str = "group";

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
        let groups = |at: usize| nodes[at].attribute.iter().find(|a| a.name == GROUPS).and_then(|a| a.i).unwrap_or(1);
        let plain = |at: &usize| is(*at, "Conv") && groups(*at) == 1;
        if !is(depthwise, "Conv") || groups(depthwise) == 1 {
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
        let weights = widened.weights().into_iter().filter_map(|(at, input)| nodes[at].input.get(input));
        let once = |name: &String| self.readers.get(name.as_str()).is_some_and(|readers| readers.len() == 1);
        ([widen, narrow].iter().all(plain) && weights.into_iter().all(once)).then_some(widened)
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
        let channels = widen_bias.values.len();
        let &[outputs, inputs, 1, 1] = narrow.shape.as_slice() else { return None };
        let per_channel =
            [widen, depthwise, depthwise_bias].into_iter().map(|constant| constant.shape.first().copied());
        let fit = channels > 0 && inputs == channels && narrow_bias.values.len() == outputs;
        if !fit || per_channel.into_iter().any(|extent| extent != Some(channels)) {
            return None;
        }
        let slopes = match slopes {
            [Some(None), _] | [_, Some(None)] => return None,
            known => known.map(Option::flatten),
        };
        if slopes.iter().flatten().any(|slopes| slopes.values.len() != channels) {
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
        let strongest = all.iter().map(Channel::influence).fold(0.0, f64::max);
        let awake = |channel: &Channel<'_>| channel.influence() + channel.at_the_edge() > NOTHING * strongest;
        let kept: Vec<usize> = (0..channels).filter(|&channel| awake(&all[channel])).collect();
        if kept.is_empty() || kept.len() == channels {
            return None;
        }
        let mut bias: Vec<f64> = narrow_bias.values.iter().map(|&value| value.into()).collect();
        for channel in all.iter().filter(|channel| !awake(channel)) {
            let constant = channel.constant();
            bias.iter_mut().zip(&channel.column).for_each(|(bias, &weight)| *bias += constant * f64::from(weight));
        }
        let rows = |constant: &Constant| Constant {
            shape: [&[kept.len()], &constant.shape[1..]].concat(),
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

    /// The most that a dormant channel differs from its constant where the depthwise window reaches beyond the picture's edge.
    fn at_the_edge(&self) -> f64 {
        prelu(self.bias.into(), self.first).abs() * self.passed_on()
    }

    /// The most that comes through the window and what follows.
    fn passed_on(&self) -> f64 {
        sum(self.window) * steepest(self.second) * sum(&self.column)
    }

    /// What a channel gives after its second PReLU when the picture does not matter.
    fn constant(&self) -> f64 {
        let window: f64 = self.window.iter().map(|&weight| f64::from(weight)).sum();
        prelu(f64::from(self.window_bias) + prelu(self.bias.into(), self.first) * window, self.second)
    }
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
    use crate::convert::onnx::Attribute;

    const SIDE: usize = 4;

    fn node(operator: &str, inputs: &[&str], output: &str, groups: i64) -> Node {
        Node {
            input: inputs.iter().map(|&name| name.to_owned()).collect(),
            output: vec![output.to_owned()],
            name: String::new(),
            op_type: operator.to_owned(),
            attribute: vec![Attribute::int("group", groups)],
        }
    }

    /// Two channels widened to three, of which the middle one has a row of nearly nothing and the given bias.
    fn widening(bias: f32, slopes: bool) -> (Vec<Node>, Constants) {
        let mut nodes = vec![
            node("Conv", &["picture", "w", "wb"], "1", 1),
            node("PRelu", &["1", "s"], "2", 1),
            node("Conv", &["2", "d", "db"], "3", 3),
            node("PRelu", &["3", "t"], "4", 1),
            node("Conv", &["4", "n", "nb"], "5", 1),
        ];
        if !slopes {
            nodes.retain(|node| node.op_type == "Conv");
            nodes[1].input[0] = "1".to_owned();
            nodes[2].input[0] = "3".to_owned();
        }
        let windows = (0..27).map(|at| [0.25, -0.5, 1.0, 0.75][at % 4]).collect();
        let constants: [(&str, &[usize], Vec<f32>); 8] = [
            ("w", &[3, 2, 1, 1], vec![1.0, -2.0, 1e-20, -1e-21, 0.5, 1.0]),
            ("wb", &[3], vec![0.25, bias, -0.5]),
            ("s", &[3, 1, 1], vec![0.5, 0.25, -1.5]),
            ("d", &[3, 1, 3, 3], windows),
            ("db", &[3], vec![-1.0, -0.75, 0.5]),
            ("t", &[3, 1, 1], vec![0.125, -0.5, 2.0]),
            ("n", &[2, 3, 1, 1], vec![1.0, 2.0, 3.0, -1.0, 4.0, 0.5]),
            ("nb", &[2], vec![0.0, 1.0]),
        ];
        let constant = |shape: &[usize], values| Constant { shape: shape.to_vec(), values };
        (nodes, Constants(constants.into_iter().map(|(n, s, v)| (n.to_owned(), constant(s, v))).collect()))
    }

    /// The narrowed channels of a picture of two, channel by channel; windows see zeros beyond the edge.
    fn run(nodes: &[Node], constants: &Constants, picture: &[f32]) -> Vec<f32> {
        let pixels = SIDE * SIDE;
        let mut x = picture.to_vec();
        for node in nodes {
            let weights = &constants.of(node, 1).unwrap().values;
            if node.op_type == "PRelu" {
                let slope = |at: usize| weights[at / pixels];
                x = x.iter().enumerate().map(|(at, &x)| if x > 0.0 { x } else { slope(at) * x }).collect();
                continue;
            }
            let bias = &constants.of(node, 2).unwrap().values;
            let groups = node.attribute[0].i.unwrap() as usize;
            assert!(groups == 1 || groups == bias.len());
            let value = |at: usize| {
                let (channel, row, column) = (at / pixels, at / SIDE % SIDE, at % SIDE);
                let row_of = |length: usize| &weights[channel * length..][..length];
                if groups == 1 {
                    let planes = x.iter().skip(at % pixels).step_by(pixels);
                    return bias[channel]
                        + row_of(x.len() / pixels).iter().zip(planes).map(|(w, x)| w * x).sum::<f32>();
                }
                let near = |at: usize, step: usize| (at + step).checked_sub(1).filter(|&at| at < SIDE);
                let seen = (0..9).filter_map(|place| {
                    let (row, column) = (near(row, place / 3)?, near(column, place % 3)?);
                    Some(row_of(9)[place] * x[channel * pixels + row * SIDE + column])
                });
                bias[channel] + seen.sum::<f32>()
            };
            x = (0..bias.len() * pixels).map(value).collect();
        }
        x
    }

    fn extents(constants: &Constants) -> Vec<usize> {
        ["w", "wb", "d", "db", "nb"].map(|name| constants.0[name].shape[0]).to_vec()
    }

    #[test]
    fn a_channel_without_influence_goes_and_its_constant_stays() {
        let picture: Vec<f32> = (0..2 * SIDE * SIDE).map(|at| (at * 7 % 11) as f32 / 4.0 - 1.0).collect();
        for slopes in [true, false] {
            let (mut nodes, mut constants) = widening(1e-18, slopes);
            let before = run(&nodes, &constants, &picture);
            leave_out(&mut nodes, &mut constants);
            assert_eq!(extents(&constants), [2, 2, 2, 2, 2]);
            assert_eq!(constants.0["n"].shape, [2, 2, 1, 1]);
            let after = run(&nodes, &constants, &picture);
            for (before, after) in before.iter().zip(&after) {
                assert!((before - after).abs() < 1e-4, "{after} instead of {before}");
            }
        }
    }

    #[test]
    fn a_constant_that_shows_at_the_edge_stays() {
        let (mut nodes, mut constants) = widening(0.5, true);
        leave_out(&mut nodes, &mut constants);
        assert_eq!(extents(&constants), [3, 3, 3, 3, 2]);
    }

    #[test]
    fn weights_that_are_used_twice_stay() {
        let (mut nodes, mut constants) = widening(0.0, true);
        nodes.push(node("Conv", &["5", "w", "wb"], "6", 1));
        leave_out(&mut nodes, &mut constants);
        assert_eq!(extents(&constants), [3, 3, 3, 3, 2]);
    }
}
