//! MiniFASNetV2 and MiniFASNetV1SE, the liveness networks of Minivision's Silent-Face-Anti-Spoofing.

use super::{ConvertError, StateDict, Tensor};
use crate::convert::onnx::Extent;
use crate::convert::onnx_graph::{Convolution, GraphBuilder, Value, batch};

/// Side of the square input in pixels.
const SIDE: usize = 80;

/// Side of the last feature map, after four strides of 2; one convolution without padding covers it.
const LAST_SIDE: usize = SIDE / 16;

/// What PyTorch adds to a variance by default.
const EPSILON: f64 = 1e-5;

/// The stage whose result is looked at for texture: the last before the map is halved for the third time.
const TEXTURED: &str = "conv_3";

/// The most blocks in a residual stack; the published networks have at most six.
const MAX_BLOCKS: usize = 64;

/// Converts a MiniFASNet (`2.7_80x80_MiniFASNetV2.pth`, `4_0_0_80x80_MiniFASNetV1SE.pth`).
///
/// - Input `input` `[N, 3, 80, 80]`: BGR, 0..255 (not scaled), planes one after another.
/// - Output `probabilities` `[N, 3]`: softmax of fake on a flat surface, live, fake in three dimensions.
/// - Output `logits` `[N, 3]`: the same before the softmax, from which log-odds follow that no rounding to 1 has cut off.
/// - Output `features` `[N, 512]`: what the last layer sees, for a head of one's own.
/// - Output `texture` `[N, 64]`: how much each channel varies over the picture (standard deviation) after the stage `conv_3`, for the
///   same.
///
/// The crop that the networks were trained with is the face box scaled about its centre by 2.7 (V2) or 4.0 (V1SE), the
/// scale limited so that the crop fits into the picture, and the crop shifted inside where it would leave it; resized
/// bilinearly without antialiasing (facegate averages instead, see face-analysis).
///
/// The graph follows from names and shapes of the tensors: a convolution with as many groups as its weights say, its
/// batch norm folded into it, a PReLU where slopes are stored, squeeze-and-excitation where `se_module` exists.
///
/// # Errors
///
/// When the bytes are not a legacy PyTorch file, or do not hold the tensors of such a network.
pub fn minifasnet(pth: &[u8]) -> Result<Vec<u8>, ConvertError> {
    let weights = StateDict::read(pth)?;
    let mut graph = GraphBuilder::new("MiniFASNet");
    let mut x = graph.picture(3, SIDE);
    let mut network = Network { weights: &weights, graph: &mut graph };

    x = network.block(x, "conv1", 2, 1)?;
    x = network.block(x, "conv2_dw", 1, 1)?;
    let mut texture = None;
    for (reduction, stack) in [("conv_23", "conv_3"), ("conv_34", "conv_4"), ("conv_45", "conv_5")] {
        x = network.bottleneck(x, reduction, 2)?;
        for block in (0..MAX_BLOCKS).map(|i| format!("{stack}.model.{i}")) {
            if !weights.contains(&format!("{block}.conv.conv.weight")) {
                break;
            }
            let inner = network.bottleneck(x, &block, 1)?;
            let inner = network.squeeze_and_excite(inner, &format!("{block}.se_module"))?;
            x = network.graph.add(inner, x)?;
            if stack == TEXTURED {
                texture = Some(x);
            }
        }
    }
    let first = format!("{TEXTURED}.model.0.conv.conv.weight");
    let texture = network.graph.spread(texture.ok_or(ConvertError::MissingTensor(first))?)?;
    x = network.block(x, "conv_6_sep", 1, 0)?;
    let last = weights.get("conv_6_dw.conv.weight")?;
    if last.shape.get(2..) != Some(&[LAST_SIDE; 2]) {
        return Err(last.unexpected("conv_6_dw.conv.weight", &format!("[_, _, {LAST_SIDE}, {LAST_SIDE}]")));
    }
    x = network.block(x, "conv_6_dw", 1, 0)?;
    let width = x.channels();
    let (features, logits) = network.classifier(x)?;
    let probabilities = graph.softmax(logits);
    graph.output(probabilities, "probabilities", &[batch(), Extent::Fixed(3)]);
    graph.output(logits, "logits", &[batch(), Extent::Fixed(3)]);
    graph.output(features, "features", &[batch(), Extent::Fixed(width as i64)]);
    graph.output(texture, "texture", &[batch(), Extent::Fixed(texture.channels() as i64)]);
    Ok(graph.finish())
}

struct Network<'a> {
    weights: &'a StateDict,
    graph: &'a mut GraphBuilder,
}

impl<'a> Network<'a> {
    /// `name.conv`, the batch norm `name.bn` and, where its slopes are stored, the PReLU `name.prelu`.
    fn block(&mut self, x: Value, name: &str, stride: usize, pad: usize) -> Result<Value, ConvertError> {
        let y = self.convolution(x, &format!("{name}.conv"), &format!("{name}.bn"), stride, pad)?;
        let slopes = format!("{name}.prelu.weight");
        if !self.weights.contains(&slopes) {
            return Ok(y);
        }
        let slopes = self.vector(&slopes, y.channels())?;
        self.graph.prelu(y, slopes)
    }

    /// A pointwise expansion, a depthwise 3x3 convolution and a pointwise projection.
    fn bottleneck(&mut self, x: Value, name: &str, stride: usize) -> Result<Value, ConvertError> {
        let x = self.block(x, &format!("{name}.conv"), 1, 0)?;
        let x = self.block(x, &format!("{name}.conv_dw"), stride, 1)?;
        self.block(x, &format!("{name}.project"), 1, 0)
    }

    /// Scales every channel by a factor that follows from the means of all, where the module exists.
    fn squeeze_and_excite(&mut self, x: Value, name: &str) -> Result<Value, ConvertError> {
        if !self.weights.contains(&format!("{name}.fc1.weight")) {
            return Ok(x);
        }
        let means = self.graph.global_average_pool(x);
        let mut y = self.convolution(means, &format!("{name}.fc1"), &format!("{name}.bn1"), 1, 0)?;
        y = self.graph.relu(y);
        y = self.convolution(y, &format!("{name}.fc2"), &format!("{name}.bn2"), 1, 0)?;
        let factors = self.graph.sigmoid(y);
        self.graph.mul(x, factors)
    }

    /// A convolution without bias with the batch norm that follows it folded in.
    fn convolution(
        &mut self,
        x: Value,
        conv: &str,
        norm: &str,
        stride: usize,
        pad: usize,
    ) -> Result<Value, ConvertError> {
        let name = format!("{conv}.weight");
        let tensor = self.weights.get(&name)?;
        let &[channels, inputs, height, width] = tensor.shape.as_slice() else {
            return Err(tensor.unexpected(&name, "four axes"));
        };
        let groups = if inputs == 1 && channels == x.channels() { channels } else { 1 };
        let norm = self.norm(norm, channels)?;
        let per_channel = inputs * height * width;
        let weights: Vec<f32> = tensor
            .values
            .chunks(per_channel.max(1))
            .zip(&norm.scale)
            .flat_map(|(row, scale)| row.iter().map(move |&w| (f64::from(w) * scale) as f32))
            .collect();
        let bias: Vec<f32> = norm.shift.iter().map(|&s| s as f32).collect();
        let convolution = Convolution {
            shape: [channels, inputs, height, width],
            weights: &weights,
            bias: &bias,
            strides: [stride; 2],
            pads: [pad; 4],
            groups,
        };
        self.graph.convolution(x, &convolution)
    }

    /// What the last layer sees, and `linear`, the batch norm `bn` and `prob` as one matrix on it.
    fn classifier(&mut self, x: Value) -> Result<(Value, Value), ConvertError> {
        let linear = self.weights.get("linear.weight")?;
        let &[hidden, inputs] = linear.shape.as_slice() else {
            return Err(linear.unexpected("linear.weight", "two axes"));
        };
        if inputs != x.channels() {
            return Err(linear.unexpected("linear.weight", &format!("{} channels in", x.channels())));
        }
        let prob = self.weights.get("prob.weight")?;
        let classes = 3;
        if prob.shape != [classes, hidden] {
            return Err(prob.unexpected("prob.weight", &format!("[{classes}, {hidden}]")));
        }
        let norm = self.norm("bn", hidden)?;
        let mut matrix = vec![0.0; inputs * classes];
        let mut bias = vec![0.0; classes];
        for (class, row) in prob.values.chunks(hidden.max(1)).enumerate() {
            for input in 0..inputs {
                let through = row.iter().zip(&norm.scale).zip(linear.values.iter().skip(input).step_by(inputs));
                let sum: f64 = through.map(|((&p, s), &l)| f64::from(p) * s * f64::from(l)).sum();
                matrix[input * classes + class] = sum as f32;
            }
            bias[class] = row.iter().zip(&norm.shift).map(|(&p, s)| f64::from(p) * s).sum::<f64>() as f32;
        }
        let flat = self.graph.reshape(x, &[-1, inputs as i64]);
        Ok((flat, self.graph.linear(flat, &matrix, &bias)?))
    }

    /// A batch norm as one factor and one summand per channel.
    fn norm(&self, name: &str, channels: usize) -> Result<Norm, ConvertError> {
        let [gamma, beta, mean, variance] = ["weight", "bias", "running_mean", "running_var"]
            .map(|part| self.vector(&format!("{name}.{part}"), channels));
        let (gamma, beta, mean, variance) = (gamma?, beta?, mean?, variance?);
        let scale: Vec<f64> = gamma
            .iter()
            .zip(variance)
            .map(|(&gamma, &variance)| f64::from(gamma) / (f64::from(variance) + EPSILON).sqrt())
            .collect();
        let shift = beta
            .iter()
            .zip(mean)
            .zip(&scale)
            .map(|((&beta, &mean), scale)| f64::from(beta) - f64::from(mean) * scale)
            .collect();
        Ok(Norm { scale, shift })
    }

    fn vector(&self, name: &str, length: usize) -> Result<&'a [f32], ConvertError> {
        let tensor = self.weights.get(name)?;
        if tensor.shape == [length] { Ok(&tensor.values) } else { Err(tensor.unexpected(name, &format!("[{length}]"))) }
    }
}

struct Norm {
    scale: Vec<f64>,
    shift: Vec<f64>,
}

impl Tensor {
    fn unexpected(&self, name: &str, expected: &str) -> ConvertError {
        ConvertError::Shape { name: name.to_owned(), found: self.shape.clone(), expected: expected.to_owned() }
    }
}
