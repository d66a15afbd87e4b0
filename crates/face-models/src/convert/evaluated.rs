//! What a small graph gives, computed the slow and plain way: what converters write is compared by it.

use std::collections::HashMap;

use super::onnx::{FLOAT, Graph, Node, Tensor};
use prost::Message;

/// Channels of rows of values.
pub(super) struct Map {
    pub values: Vec<f32>,
    /// Channels, height, width.
    pub shape: [usize; 3],
}

/// Weights by their names, with their extents.
pub(super) type Weights = HashMap<String, (Vec<usize>, Vec<f32>)>;

/// The weights of a graph.
pub(super) fn weights(graph: &Graph) -> Weights {
    let tensors = graph.initializer.iter().map(|t| Tensor::decode(t.as_slice()).unwrap());
    let floats = tensors.filter(|tensor| tensor.data_type == FLOAT).map(|tensor| {
        let values = tensor.values();
        (tensor.name, (tensor.dims.iter().map(|&extent| extent as usize).collect(), values))
    });
    floats.collect()
}

/// The nodes of a graph.
pub(super) fn nodes(graph: &Graph) -> Vec<Node> {
    graph.node.iter().map(|node| Node::decode(node.as_slice()).unwrap()).collect()
}

/// What the last node gives for a picture.
pub(super) fn evaluate(nodes: &[Node], weights: &Weights, picture: Map) -> Vec<f32> {
    let mut values = HashMap::from([("input".to_owned(), picture)]);
    for node in nodes {
        let x = &values[&node.input[0]];
        let channel = |at: usize| at / (x.shape[1] * x.shape[2]);
        let each = |f: &dyn Fn(usize, f32) -> f32| x.values.iter().enumerate().map(|(at, &x)| f(at, x)).collect();
        let y = match node.op_type.as_str() {
            "Conv" => convolved(node, weights, x),
            "Relu" => Map { values: each(&|_, x| x.max(0.0)), ..*x },
            "PRelu" => {
                let slopes = &weights[&node.input[1]].1;
                Map { values: each(&|at, x| if x > 0.0 { x } else { slopes[channel(at)] * x }), ..*x }
            }
            binary @ ("Add" | "Sub" | "Mul") => {
                let other = &values[&node.input[1]].values;
                assert_eq!(other.len(), x.values.len());
                let of = match binary {
                    "Add" => |x: f32, other: f32| x + other,
                    "Sub" => |x, other| x - other,
                    _ => |x, other| x * other,
                };
                Map { values: each(&|at, x| of(x, other[at])), ..*x }
            }
            "Sqrt" => Map { values: each(&|_, x| x.sqrt()), ..*x },
            "Reshape" => Map { values: x.values.clone(), ..*x },
            "GlobalAveragePool" => {
                let pixels = x.shape[1] * x.shape[2];
                let means = x.values.chunks(pixels).map(|channel| channel.iter().sum::<f32>() / pixels as f32);
                Map { values: means.collect(), shape: [x.shape[0], 1, 1] }
            }
            other => panic!("{other}"),
        };
        values.insert(node.output[0].clone(), y);
    }
    values.remove(&nodes.last().unwrap().output[0]).unwrap().values
}

fn convolved(node: &Node, weights: &Weights, x: &Map) -> Map {
    let sizes = |name: &str, otherwise: &[i64]| {
        let found = node.attribute.iter().find(|a| a.name == name).map(|a| a.ints.clone());
        found.filter(|ints| !ints.is_empty()).unwrap_or_else(|| otherwise.to_vec())
    };
    let groups = node.groups() as usize;
    let (pads, strides) = (sizes("pads", &[0; 4]), sizes("strides", &[1; 2]));
    let (shape, window) = &weights[&node.input[1]];
    let &[out, per_group, height, width] = shape.as_slice() else { panic!("{shape:?}") };
    let [channels, rows, columns] = x.shape;
    assert_eq!((per_group * groups, out % groups), (channels, 0), "{}", node.output[0]);
    let bias = &weights[&node.input[2]].1;
    assert_eq!(bias.len(), out);
    let extent = |axis: usize, length: usize, window: usize| {
        (length + (pads[axis] + pads[axis + 2]) as usize - window) / strides[axis] as usize + 1
    };
    let (down, across) = (extent(0, rows, height), extent(1, columns, width));
    let value = |at: usize| {
        let (channel, y, x_at) = (at / (down * across), at / across % down, at % across);
        let near = |axis: usize, place: usize, step: usize, limit: usize| {
            let at = (place * strides[axis] as usize + step).checked_sub(pads[axis] as usize);
            at.filter(|&at| at < limit)
        };
        let group = channel / (out / groups);
        let mut sum = bias[channel];
        for (place, weight) in
            window[channel * per_group * height * width..][..per_group * height * width].iter().enumerate()
        {
            let (input, row, column) = (place / (height * width), place / width % height, place % width);
            if let (Some(row), Some(column)) = (near(0, y, row, rows), near(1, x_at, column, columns)) {
                sum += weight * x.values[((group * per_group + input) * rows + row) * columns + column];
            }
        }
        sum
    };
    Map { values: (0..out * down * across).map(value).collect(), shape: [out, down, across] }
}
