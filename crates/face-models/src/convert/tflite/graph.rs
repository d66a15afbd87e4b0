//! The operators of a TensorFlow Lite graph as ONNX nodes.

use super::flatbuffer::{FORMAT, Table, Vector};
use crate::convert::ConvertError;
use crate::convert::array::{element_count, permuted};
use crate::convert::onnx_graph::{Convolution, GraphBuilder, MaxPool, Value};
use std::collections::BTreeMap;

/// The largest extent of an axis; it keeps products of extents far from overflow.
const MAX_EXTENT: usize = 1 << 16;

/// The most operators in a graph; the landmark network has 471.
const MAX_OPERATORS: usize = 10_000;

/// The most tensors that one operator reads or writes, or that the graph has as inputs or outputs.
const MAX_TENSORS: usize = 64;

/// The most axes of a tensor.
const MAX_AXES: usize = 4;

/// Activations in the layout `[N, C, H, W]`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Features {
    pub value: Value,
    /// Height and width.
    pub size: [usize; 2],
}

/// What a tensor of the file is.
#[derive(Clone, Copy)]
enum Content {
    /// Computed while the network runs.
    Features(Features),
    /// The contents of another tensor's buffer, widened to f32.
    Constant(usize),
}

/// Window placement (`Padding` in the schema).
#[derive(Clone, Copy, PartialEq)]
enum Padding {
    Same,
    Valid,
}

/// Element types (`TensorType` in the schema) that occur in weights.
const FLOAT32: u8 = 0;
const FLOAT16: u8 = 1;
const INT32: u8 = 2;

/// A graph under translation. Field numbers are those of TensorFlow Lite's public `schema.fbs`.
pub(super) struct Translation<'a> {
    buffers: Vector<'a>,
    tensors: Vector<'a>,
    operators: Vector<'a>,
    codes: Vec<i32>,
    subgraph: Table<'a>,
    contents: BTreeMap<usize, Content>,
    builder: &'a mut GraphBuilder,
}

fn malformed(reason: impl Into<String>) -> ConvertError {
    ConvertError::malformed(FORMAT, reason)
}

impl<'a> Translation<'a> {
    pub(super) fn new(model: &'a [u8], builder: &'a mut GraphBuilder) -> Result<Self, ConvertError> {
        let model = Table::root(model, b"TFL3")?;
        let code_tables = model.tables(1)?;
        ConvertError::check_size("the table of operator codes", code_tables.len(), MAX_OPERATORS)?;
        let code = |index| {
            let code: Table<'_> = code_tables.table(index)?;
            // Codes beyond 126 live in a newer, wider field; the older one is a signed byte.
            Ok(code.int(3, 0)?.max(code.byte(0, 0)?.cast_signed().into()))
        };
        let codes = (0..code_tables.len()).map(code).collect::<Result<_, ConvertError>>()?;
        let subgraphs = model.tables(2)?;
        if subgraphs.len() != 1 {
            return Err(ConvertError::unsupported(FORMAT, format!("{} subgraphs", subgraphs.len())));
        }
        let subgraph = subgraphs.table(0)?;
        let operators = subgraph.tables(3)?;
        ConvertError::check_size("the list of operators", operators.len(), MAX_OPERATORS)?;
        Ok(Self {
            buffers: model.tables(4)?,
            tensors: subgraph.tables(0)?,
            operators,
            codes,
            subgraph,
            contents: BTreeMap::new(),
            builder,
        })
    }

    /// Translates all operators; gives the outputs in the file's order.
    pub(super) fn run(&mut self, input: Value, side: usize) -> Result<Vec<Features>, ConvertError> {
        let inputs = indices(&self.subgraph.ints(1, MAX_TENSORS)?)?;
        let &[index] = inputs.as_slice() else {
            return Err(malformed(format!("it has {} inputs instead of one", inputs.len())));
        };
        if self.shape(index)? != [1, side, side, input.channels()] {
            return Err(malformed("its input is not a picture of the expected size"));
        }
        self.contents.insert(index, Content::Features(Features { value: input, size: [side; 2] }));
        for position in 0..self.operators.len() {
            let operator = self.operators.table(position)?;
            self.operator(&operator)?;
        }
        let outputs = indices(&self.subgraph.ints(2, MAX_TENSORS)?)?;
        outputs.into_iter().map(|index| self.features(index)).collect()
    }

    fn operator(&mut self, operator: &Table<'_>) -> Result<(), ConvertError> {
        let code = usize::try_from(operator.int(0, 0)?).ok().and_then(|i| self.codes.get(i)).copied();
        let code = code.ok_or_else(|| malformed("an operator has no code"))?;
        let inputs = indices(&operator.ints(1, MAX_TENSORS)?)?;
        let outputs = indices(&operator.ints(2, MAX_TENSORS)?)?;
        let options = operator.table(4)?;
        let &[output] = outputs.as_slice() else {
            return Err(malformed("an operator does not have one output"));
        };
        // Numbers of `BuiltinOperator` in the schema.
        let content = match (code, inputs.as_slice()) {
            (0, &[a, b]) => Content::Features(self.add(a, b, options)?),
            (3, &[x, filter, bias]) => Content::Features(self.convolution(x, filter, bias, options)?),
            (4, &[x, filter, bias]) => Content::Features(self.depthwise_convolution(x, filter, bias, options)?),
            (6, &[constant]) => Content::Constant(constant),
            (14, &[x]) => {
                let x = self.features(x)?;
                Content::Features(Features { value: self.builder.sigmoid(x.value), ..x })
            }
            (17, &[x]) => Content::Features(self.max_pool(x, options)?),
            (22, &[x, ..]) => Content::Features(self.reshape(x, output)?),
            (34, &[x, paddings]) => Content::Features(self.pad_channels(x, paddings)?),
            (54, &[x, slopes]) => Content::Features(self.prelu(x, slopes)?),
            (code, inputs) => {
                let what = format!("operator {code} with {} inputs", inputs.len());
                return Err(ConvertError::unsupported(FORMAT, what));
            }
        };
        self.contents.insert(output, content);
        Ok(())
    }

    fn add(&mut self, a: usize, b: usize, options: Option<Table<'_>>) -> Result<Features, ConvertError> {
        no_activation(options.map_or(Ok(0), |o| o.byte(0, 0))?)?;
        let (a, b) = (self.features(a)?, self.features(b)?);
        if a.size != b.size {
            return Err(ConvertError::unsupported(FORMAT, "a sum of tensors with different shapes"));
        }
        Ok(Features { value: self.builder.add(a.value, b.value)?, ..a })
    }

    fn convolution(
        &mut self,
        x: usize,
        filter: usize,
        bias: usize,
        options: Option<Table<'_>>,
    ) -> Result<Features, ConvertError> {
        let options = options.ok_or_else(|| malformed("a convolution has no options"))?;
        let window = Window::read(&options, [2, 1])?;
        no_activation(options.byte(3, 0)?)?;
        no_dilation(&options, [5, 4])?;
        let x = self.features(x)?;
        let shape = self.shape(filter)?;
        let &[channels, height, width, inputs] = shape.as_slice() else {
            return Err(shape_error(shape, "four axes"));
        };
        // [out, height, width, in] becomes [out, in, height, width].
        let weights = self.constant(filter)?;
        let weights = permuted(&weights, [channels, height * width, inputs], [0, 2, 1]);
        let bias = self.constant(bias)?;
        let (pads, size) = window.place(x.size, [height, width])?;
        let convolution = Convolution {
            shape: [channels, inputs, height, width],
            weights: &weights,
            bias: &bias,
            strides: window.strides,
            pads,
            groups: 1,
        };
        let value = self.builder.convolution(x.value, &convolution)?;
        Ok(Features { value, size })
    }

    fn depthwise_convolution(
        &mut self,
        x: usize,
        filter: usize,
        bias: usize,
        options: Option<Table<'_>>,
    ) -> Result<Features, ConvertError> {
        let options = options.ok_or_else(|| malformed("a convolution has no options"))?;
        let window = Window::read(&options, [2, 1])?;
        no_activation(options.byte(4, 0)?)?;
        no_dilation(&options, [6, 5])?;
        let x = self.features(x)?;
        let shape = self.shape(filter)?;
        let &[1, height, width, channels] = shape.as_slice() else {
            return Err(shape_error(shape, "[1, height, width, channels]"));
        };
        // [1, height, width, channels] becomes [channels, 1, height, width].
        let weights = self.constant(filter)?;
        let weights = permuted(&weights, [1, height * width, channels], [0, 2, 1]);
        let bias = self.constant(bias)?;
        let (pads, size) = window.place(x.size, [height, width])?;
        let convolution = Convolution {
            shape: [channels, 1, height, width],
            weights: &weights,
            bias: &bias,
            strides: window.strides,
            pads,
            groups: channels,
        };
        let value = self.builder.convolution(x.value, &convolution)?;
        Ok(Features { value, size })
    }

    fn max_pool(&mut self, x: usize, options: Option<Table<'_>>) -> Result<Features, ConvertError> {
        let options = options.ok_or_else(|| malformed("a pooling has no options"))?;
        let window = Window::read(&options, [2, 1])?;
        no_activation(options.byte(5, 0)?)?;
        let x = self.features(x)?;
        let extents = [extent(options.int(4, 0)?)?, extent(options.int(3, 0)?)?];
        let (pads, size) = window.place(x.size, extents)?;
        let pool = MaxPool { window: extents, strides: window.strides, pads };
        Ok(Features { value: self.builder.max_pool(x.value, &pool), size })
    }

    /// Between tensors of one pixel the layout does not matter: the value passes through.
    fn reshape(&mut self, x: usize, output: usize) -> Result<Features, ConvertError> {
        let x = self.features(x)?;
        let elements = element_count(&self.shape(output)?);
        if x.size != [1, 1] || elements != Some(x.value.channels()) {
            return Err(ConvertError::unsupported(FORMAT, "a reshape of more than one pixel"));
        }
        Ok(x)
    }

    /// Appends channels of zeros.
    fn pad_channels(&mut self, x: usize, paddings: usize) -> Result<Features, ConvertError> {
        let x = self.features(x)?;
        // Two numbers per axis, before and after.
        let [0, 0, 0, 0, 0, 0, 0, more] = self.int_constant(paddings)? else {
            return Err(ConvertError::unsupported(FORMAT, "a padding of other axes than the end of the channels"));
        };
        Ok(Features { value: self.builder.append_channels(x.value, extent(more)?)?, ..x })
    }

    fn prelu(&mut self, x: usize, slopes: usize) -> Result<Features, ConvertError> {
        let x = self.features(x)?;
        let shape = self.shape(slopes)?;
        let expected = [1, 1, x.value.channels()];
        if shape != expected {
            return Err(shape_error(shape, &format!("{expected:?}")));
        }
        let slopes = self.constant(slopes)?;
        Ok(Features { value: self.builder.prelu(x.value, &slopes)?, ..x })
    }

    fn features(&self, index: usize) -> Result<Features, ConvertError> {
        match self.contents.get(&index) {
            Some(Content::Features(features)) => Ok(*features),
            _ => Err(malformed(format!("tensor {index} is used before it is computed"))),
        }
    }

    /// The extents of a tensor as the file declares them.
    fn shape(&self, index: usize) -> Result<Vec<usize>, ConvertError> {
        self.tensors.table(index)?.ints(0, MAX_AXES)?.into_iter().map(extent).collect()
    }

    /// The buffer of a constant tensor with its element type.
    fn buffer(&self, index: usize) -> Result<(u8, &'a [u8]), ConvertError> {
        let index = if let Some(Content::Constant(source)) = self.contents.get(&index) { *source } else { index };
        let tensor = self.tensors.table(index)?;
        if tensor.table(6)?.is_some() {
            return Err(ConvertError::unsupported(FORMAT, "sparse weights"));
        }
        let buffer = usize::try_from(tensor.int(2, 0)?).map_err(|_| malformed("a tensor has no buffer"))?;
        Ok((tensor.byte(1, 0)?, self.buffers.table(buffer)?.bytes(0)?))
    }

    fn constant(&self, index: usize) -> Result<Vec<f32>, ConvertError> {
        match self.buffer(index)? {
            (FLOAT32, data) => Ok(data.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect()),
            (FLOAT16, data) => Ok(data.as_chunks().0.iter().map(|&b| widen(u16::from_le_bytes(b))).collect()),
            (other, _) => Err(ConvertError::unsupported(FORMAT, format!("weights of type {other}"))),
        }
    }

    fn int_constant<const LENGTH: usize>(&self, index: usize) -> Result<[i32; LENGTH], ConvertError> {
        let (kind, data) = self.buffer(index)?;
        if kind != INT32 {
            return Err(ConvertError::unsupported(FORMAT, format!("sizes of type {kind}")));
        }
        let (numbers, rest) = data.as_chunks();
        let numbers = <&[_; LENGTH]>::try_from(numbers).ok().filter(|_| rest.is_empty());
        let numbers = numbers.ok_or_else(|| malformed("a list of sizes has the wrong length"))?;
        Ok(numbers.map(i32::from_le_bytes))
    }
}

/// How a window moves.
struct Window {
    padding: Padding,
    strides: [usize; 2],
}

impl Window {
    /// Reads the padding (field 0 in every table of options) and the vertical and horizontal stride.
    fn read(options: &Table<'_>, strides: [usize; 2]) -> Result<Self, ConvertError> {
        let padding = match options.byte(0, 0)? {
            0 => Padding::Same,
            1 => Padding::Valid,
            other => return Err(ConvertError::unsupported(FORMAT, format!("padding {other}"))),
        };
        let strides = [extent(options.int(strides[0], 0)?)?, extent(options.int(strides[1], 0)?)?];
        Ok(Self { padding, strides })
    }

    /// Padding at the top, left, bottom and right, and the extents of the result.
    fn place(&self, size: [usize; 2], window: [usize; 2]) -> Result<([usize; 4], [usize; 2]), ConvertError> {
        let mut pads = [0; 4];
        let mut out = [0; 2];
        for axis in 0..2 {
            let (size, window, stride) = (size[axis], window[axis], self.strides[axis]);
            out[axis] = match self.padding {
                Padding::Same => size.div_ceil(stride),
                Padding::Valid if window > size => return Err(malformed("a window is larger than its input")),
                Padding::Valid => (size - window) / stride + 1,
            };
            if self.padding == Padding::Same {
                // An odd total puts the larger half at the end.
                let total = ((out[axis] - 1) * stride + window).saturating_sub(size);
                pads[axis] = total / 2;
                pads[axis + 2] = total - total / 2;
            }
        }
        Ok((pads, out))
    }
}

fn no_activation(activation: u8) -> Result<(), ConvertError> {
    match activation {
        0 => Ok(()),
        other => Err(ConvertError::unsupported(FORMAT, format!("fused activation {other}"))),
    }
}

fn no_dilation(options: &Table<'_>, fields: [usize; 2]) -> Result<(), ConvertError> {
    for field in fields {
        if options.int(field, 1)? != 1 {
            return Err(ConvertError::unsupported(FORMAT, "a dilated convolution"));
        }
    }
    Ok(())
}

/// An extent of an axis, a stride or a window: between 1 and the limit.
fn extent(value: i32) -> Result<usize, ConvertError> {
    usize::try_from(value)
        .ok()
        .filter(|v| (1..=MAX_EXTENT).contains(v))
        .ok_or_else(|| malformed(format!("an extent of {value}")))
}

fn indices(values: &[i32]) -> Result<Vec<usize>, ConvertError> {
    let index = |&v| usize::try_from(v).map_err(|_| ConvertError::unsupported(FORMAT, "an optional tensor"));
    values.iter().map(index).collect()
}

fn shape_error(found: Vec<usize>, expected: &str) -> ConvertError {
    ConvertError::Shape { name: "weights".to_owned(), found, expected: expected.to_owned() }
}

/// Converts an IEEE half precision number.
fn widen(half: u16) -> f32 {
    let sign = u32::from(half >> 15) << 31;
    let exponent = u32::from(half >> 10) & 0x1f;
    let fraction = u32::from(half) & 0x3ff;
    match exponent {
        // Subnormal: fraction * 2^-24 is exact in f32.
        0 => f32::from_bits(sign | (fraction as f32 * 2f32.powi(-24)).to_bits()),
        0x1f => f32::from_bits(sign | 0x7f80_0000 | fraction << 13),
        _ => f32::from_bits(sign | (exponent + 112) << 23 | fraction << 13),
    }
}

#[cfg(test)]
mod tests {
    use super::super::flatbuffer::tests::{Field, write};
    use super::*;
    use crate::convert::hostile::survives_damage;
    use crate::convert::onnx;
    use prost::Message;

    type Fields = Vec<(usize, Field)>;

    /// A tensor of the file: its shape, element type and content.
    fn tensor(shape: &[i32], kind: u8, content: &[u8]) -> (Vec<i32>, u8, Vec<u8>) {
        (shape.to_vec(), kind, content.to_vec())
    }

    fn floats(shape: &[i32]) -> (Vec<i32>, u8, Vec<u8>) {
        let elements: i32 = shape.iter().product();
        tensor(shape, FLOAT32, &(0..elements).flat_map(|i| (i as f32).to_le_bytes()).collect::<Vec<_>>())
    }

    fn computed(shape: &[i32]) -> (Vec<i32>, u8, Vec<u8>) {
        tensor(shape, FLOAT32, &[])
    }

    /// A model whose first tensor is the input and whose last one is the output; operators are their number in the
    /// schema, inputs, output and options.
    fn model(tensors: &[(Vec<i32>, u8, Vec<u8>)], operators: Vec<(u8, Vec<i32>, i32, Fields)>) -> Vec<u8> {
        let last = i32::try_from(tensors.len()).unwrap() - 1;
        let codes = operators.iter().map(|(code, ..)| vec![(0, Field::Byte(*code))]).collect();
        let operators = operators.into_iter().zip(0..).map(|((_, inputs, output, options), code)| {
            vec![
                (0, Field::Int(code)),
                (1, Field::Ints(inputs)),
                (2, Field::Ints(vec![output])),
                (4, Field::Table(options)),
            ]
        });
        let descriptions = tensors.iter().zip(0..).map(|((shape, kind, _), buffer)| {
            vec![(0, Field::Ints(shape.clone())), (1, Field::Byte(*kind)), (2, Field::Int(buffer))]
        });
        let subgraph = vec![
            (0, Field::Tables(descriptions.collect())),
            (1, Field::Ints(vec![0])),
            (2, Field::Ints(vec![last])),
            (3, Field::Tables(operators.collect())),
        ];
        let buffers = tensors.iter().map(|(_, _, content)| vec![(0, Field::Bytes(content.clone()))]).collect();
        let root = [(1, Field::Tables(codes)), (2, Field::Tables(vec![subgraph])), (4, Field::Tables(buffers))];
        write(b"TFL3", &root)
    }

    /// The options of convolutions and poolings as far as they agree: padding and strides of 2.
    fn strided(padding: u8) -> Fields {
        vec![(0, Field::Byte(padding)), (1, Field::Int(2)), (2, Field::Int(2))]
    }

    fn translate(model: &[u8], channels: usize) -> Result<(Vec<Features>, onnx::Graph), ConvertError> {
        let mut builder = GraphBuilder::new("test");
        let input = builder.picture(channels, 4);
        let outputs = Translation::new(model, &mut builder)?.run(input, 4)?;
        let (_, graph) = onnx::read(&builder.finish())?;
        Ok((outputs, graph))
    }

    fn first_weights(graph: &onnx::Graph) -> Vec<f32> {
        let tensor = onnx::Tensor::decode(graph.initializer[0].as_slice()).unwrap();
        tensor.raw_data.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect()
    }

    fn attribute(graph: &onnx::Graph, name: &str) -> Vec<i64> {
        let node = onnx::Node::decode(graph.node[0].as_slice()).unwrap();
        node.attribute.into_iter().find(|a| a.name == name).unwrap().ints
    }

    #[test]
    fn permutes_the_weights_of_convolutions_and_pads_the_end() {
        let tensors = [computed(&[1, 4, 4, 2]), floats(&[1, 3, 3, 2]), floats(&[1]), computed(&[1, 2, 2, 1])];
        let file = model(&tensors, vec![(3, vec![0, 1, 2], 3, strided(0))]);
        let (outputs, graph) = translate(&file, 2).unwrap();
        assert_eq!((outputs[0].size, outputs[0].value.channels()), ([2, 2], 1));
        assert_eq!(attribute(&graph, "pads"), [0, 0, 1, 1]);
        let (even, odd): (Vec<f32>, Vec<f32>) =
            ((0..9).map(|i| 2.0 * i as f32).collect(), (0..9).map(|i| 2.0 * i as f32 + 1.0).collect());
        assert_eq!(first_weights(&graph)[..18], [even, odd].concat());
    }

    #[test]
    fn translates_depthwise_convolutions_with_half_precision_weights() {
        let halves: Vec<u8> = [0x3c00u16, 0xc000, 0x3800, 0x0000].iter().flat_map(|h| h.to_le_bytes()).collect();
        let tensors = [
            computed(&[1, 4, 4, 2]),
            tensor(&[1, 2, 1, 2], FLOAT16, &halves),
            computed(&[1, 2, 1, 2]),
            floats(&[2]),
            computed(&[1, 2, 2, 2]),
        ];
        let operators = vec![(6, vec![1], 2, Vec::new()), (4, vec![0, 2, 3], 4, strided(1))];
        let (outputs, graph) = translate(&model(&tensors, operators), 2).unwrap();
        assert_eq!((outputs[0].size, outputs[0].value.channels()), ([2, 2], 2));
        assert_eq!(attribute(&graph, "pads"), [0; 4]);
        assert_eq!(first_weights(&graph)[..4], [1.0, 0.5, -2.0, 0.0]);
    }

    #[test]
    fn translates_pooling_padding_slopes_and_sums() {
        let paddings: Vec<u8> = [0i32, 0, 0, 0, 0, 0, 0, 3].iter().flat_map(|v| v.to_le_bytes()).collect();
        let tensors = [
            computed(&[1, 4, 4, 1]),
            computed(&[1, 2, 2, 1]),
            tensor(&[4, 2], INT32, &paddings),
            computed(&[1, 2, 2, 4]),
            floats(&[1, 1, 4]),
            computed(&[1, 2, 2, 4]),
            computed(&[1, 2, 2, 4]),
        ];
        let window = [strided(0), vec![(3, Field::Int(2)), (4, Field::Int(2))]].into_iter().flatten().collect();
        let operators = vec![
            (17, vec![0], 1, window),
            (34, vec![1, 2], 3, Vec::new()),
            (54, vec![3, 4], 5, Vec::new()),
            (0, vec![3, 5], 6, Vec::new()),
        ];
        let (outputs, graph) = translate(&model(&tensors, operators), 1).unwrap();
        assert_eq!((outputs[0].size, outputs[0].value.channels()), ([2, 2], 4));
        assert_eq!(onnx::Node::decode(graph.node[0].as_slice()).unwrap().op_type, "MaxPool");
        assert_eq!(onnx::Node::decode(graph.node.last().unwrap().as_slice()).unwrap().op_type, "Add");
    }

    #[test]
    fn refuses_what_it_cannot_translate_exactly() {
        let picture = || computed(&[1, 4, 4, 1]);
        let unknown = model(&[picture(), picture()], vec![(99, vec![0], 1, Vec::new())]);
        let reshaped = model(&[picture(), computed(&[1, 16])], vec![(22, vec![0], 1, Vec::new())]);
        let relu: Fields = vec![(0, Field::Byte(1))];
        let activated = model(&[picture(), picture()], vec![(0, vec![0, 0], 1, relu)]);
        let tensors = [picture(), floats(&[1, 1, 1, 1]), floats(&[1]), computed(&[1, 2, 2, 1])];
        let dilated: Fields = strided(0).into_iter().chain([(4, Field::Int(2))]).collect();
        let dilated = model(&tensors, vec![(3, vec![0, 1, 2], 3, dilated)]);
        for file in [unknown, reshaped, activated, dilated] {
            assert!(matches!(translate(&file, 1), Err(ConvertError::Unsupported { .. })));
        }
        let early = model(&[picture(), picture(), picture()], vec![(0, vec![0, 2], 1, Vec::new())]);
        assert!(translate(&early, 1).unwrap_err().to_string().contains("used before it is computed"));
        let other_size = model(&[computed(&[1, 8, 8, 1]), picture()], Vec::new());
        assert!(translate(&other_size, 1).is_err());
    }

    #[test]
    fn survives_damaged_models() {
        let tensors = [computed(&[1, 4, 4, 2]), floats(&[1, 3, 3, 2]), floats(&[1]), computed(&[1, 2, 2, 1])];
        survives_damage(&model(&tensors, vec![(3, vec![0, 1, 2], 3, strided(0))]), |bytes| translate(bytes, 2));
    }

    #[test]
    fn places_windows_as_tensorflow_lite_does() {
        let place = |padding, size, window, stride| {
            Window { padding, strides: [stride; 2] }.place([size; 2], [window; 2]).unwrap()
        };
        assert_eq!(place(Padding::Same, 256, 3, 2), ([0, 0, 1, 1], [128; 2]));
        assert_eq!(place(Padding::Same, 5, 3, 1), ([1; 4], [5; 2]));
        assert_eq!(place(Padding::Same, 5, 2, 2), ([0, 0, 1, 1], [3; 2]));
        assert_eq!(place(Padding::Valid, 5, 2, 2), ([0; 4], [2; 2]));
        assert!(Window { padding: Padding::Valid, strides: [1; 2] }.place([1; 2], [2; 2]).is_err());
    }

    #[test]
    fn widens_half_precision() {
        let pairs = [
            (0x0000, 0.0),
            (0x8000, -0.0),
            (0x0001, 2f32.powi(-24)),
            (0x03ff, 1023.0 * 2f32.powi(-24)),
            (0x0400, 2f32.powi(-14)),
            (0x3555, 0.333_251_95),
            (0xc500, -5.0),
            (0x7bff, 65504.0),
            (0x7c00, f32::INFINITY),
            (0xfc00, f32::NEG_INFINITY),
        ];
        for (half, expected) in pairs {
            assert_eq!(widen(half).to_bits(), f32::to_bits(expected), "{half:#06x}");
        }
        assert!(widen(0x7e00).is_nan());
    }
}
