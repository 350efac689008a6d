//! What each operator of the graph is in standard operators.
#![warn(clippy::wildcard_enum_match_arm)]

use std::borrow::Cow;

use cygnet_graph::{Activation, Graph, Node, NodeId, Op, Padding, Pool, PoolKind, shape::pad_amounts};

use super::grids::Grids;
use super::options::{ExportError, ExportOptions, Preparation};
use super::writer::{Setting, Writer};
use crate::schema::tensor_proto::DataType;

use Setting::{Float, Int, Ints, Text};

/// What the image is called.
const INPUT: &str = "input";

/// Writes all nodes that an output is computed from.
pub(super) fn lower(
    writer: &mut Writer,
    graph: &Graph,
    numbers: &[Cow<[f32]>],
    grids: Option<&Grids>,
    options: &ExportOptions,
) -> Result<(), ExportError> {
    let image = graph.input_shape();
    let mut first = match &options.preparation {
        Some(preparation) => pixels(writer, image, preparation, options.half)?,
        None => {
            writer.input(INPUT, &image, DataType::Float);
            INPUT.to_owned()
        }
    };
    if options.half && options.preparation.is_none() {
        first = writer.node("Cast", &[&first], "", vec![("to", Int(DataType::Float16 as i64))]);
    }
    let mut values: Vec<String> = Vec::new();
    let mut weights = numbers.iter();
    for (id, node) in graph.iter() {
        let params = graph.node_params(id);
        let names: Vec<String> = params
            .iter()
            .zip(&mut weights)
            .map(|(param, numbers)| {
                let integers = grids.and_then(|grids| grids.param(writer, param));
                integers.unwrap_or_else(|| writer.floats(&param.name, &param.shape, numbers))
            })
            .collect();
        let inputs: Vec<&str> = node.inputs.iter().map(|input| values[input.0].as_str()).collect();
        let value = if node.op == Op::Input {
            first.clone()
        } else {
            Lowering { writer, graph, id, node }.node(&inputs, &names)?
        };
        values.push(match grids {
            Some(grids) => grids.value(writer, id, value),
            None => value,
        });
    }
    for (index, output) in graph.outputs().iter().enumerate() {
        let mut value = values[output.node.0].clone();
        let mut shape = &graph.node(output.node).shape[..];
        if let [_, 1, 1] = shape {
            // A number a class, as who calls the file expects them.
            value = writer.node("Flatten", &[&value], "", vec![("axis", Int(1))]);
            shape = &shape[..1];
        }
        if index == 0 && options.softmax && !graph.gives_probabilities() {
            value = writer.node("Softmax", &[&value], "", vec![("axis", Int(1))]);
        }
        if options.half {
            value = writer.node("Cast", &[&value], "", vec![("to", Int(DataType::Float as i64))]);
        }
        writer.rename(&value, &output.name);
        writer.output(&output.name, shape, DataType::Float);
    }
    Ok(())
}

/// The image of pixels, whole numbers in rows of columns of channels.
fn pixels(
    writer: &mut Writer,
    [channels, height, width]: [usize; 3],
    preparation: &Preparation,
    half: bool,
) -> Result<String, ExportError> {
    let Preparation { scale, mean, std, is_reversed } = preparation;
    if mean.len() != channels || std.len() != channels {
        let reason = format!("{} means for {channels} channels", mean.len());
        return Err(ExportError::Unsayable { place: "the image".into(), reason });
    }
    writer.input(INPUT, &[height, width, channels], DataType::Uint8);
    let to = if half { DataType::Float16 } else { DataType::Float };
    let mut value = writer.node("Cast", &[INPUT], "", vec![("to", Int(to as i64))]);
    value = writer.node("Transpose", &[&value], "", vec![("perm", Ints(vec![0, 3, 1, 2]))]);
    if *is_reversed {
        let order: Vec<i64> = (0..channels as i64).rev().collect();
        let order = writer.ints("channel_order", &order);
        value = writer.node("Gather", &[&value, &order], "", vec![("axis", Int(1))]);
    }
    let shape = [channels, 1, 1];
    for (operator, name, numbers) in [
        ("Mul", "pixel_scale", &vec![*scale; channels]),
        ("Sub", "pixel_mean", mean),
        ("Div", "pixel_std", std),
    ] {
        let numbers = writer.floats(name, &shape, numbers);
        value = writer.node(operator, &[&value, &numbers], "", vec![]);
    }
    Ok(value)
}

/// One node on its way into the file.
struct Lowering<'l> {
    writer: &'l mut Writer,
    graph: &'l Graph,
    id: NodeId,
    node: &'l Node,
}

impl Lowering<'_> {
    fn refuse(&self, reason: impl Into<String>) -> ExportError {
        let path = &self.node.path;
        let place = if path.is_empty() {
            format!("node {} ({})", self.id.0, self.node.op.name())
        } else {
            path.clone()
        };
        ExportError::Unsayable { place, reason: reason.into() }
    }

    fn shape_of(&self, input: usize) -> &[usize] {
        &self.graph.node(self.node.inputs[input]).shape
    }

    fn node(mut self, inputs: &[&str], params: &[String]) -> Result<String, ExportError> {
        let path = self.node.path.as_str();
        let all: Vec<&str> = inputs.iter().copied().chain(params.iter().map(String::as_str)).collect();
        Ok(match &self.node.op {
            Op::Input => inputs.concat(),
            Op::Conv(conv) => {
                let pads = self.pads(conv.set_padding(), conv.kernel, conv.stride, conv.dilation);
                let settings = vec![
                    ("kernel_shape", pair(conv.kernel)),
                    ("strides", pair(conv.stride)),
                    ("dilations", pair(conv.dilation)),
                    ("group", Int(conv.groups as i64)),
                    ("pads", pads),
                ];
                self.writer.node("Conv", &all, path, settings)
            }
            Op::Linear { .. } => {
                let mut all: Vec<String> = all.iter().map(|&name| name.to_owned()).collect();
                if self.shape_of(0).len() > 1 {
                    all[0] = self.writer.node("Flatten", &[inputs[0]], "", vec![("axis", Int(1))]);
                }
                let all: Vec<&str> = all.iter().map(String::as_str).collect();
                self.writer.node("Gemm", &all, path, vec![("transB", Int(1))])
            }
            Op::BatchNorm(norm) => {
                let channels = self.node.shape[0];
                let ones = (!norm.scale)
                    .then(|| self.writer.floats(&format!("{path}.ones"), &[channels], &vec![1.0; channels]));
                let all: Vec<&str> = std::iter::once(inputs[0])
                    .chain(ones.as_deref())
                    .chain(params.iter().map(String::as_str))
                    .collect();
                self.writer.node("BatchNormalization", &all, path, vec![("epsilon", Float(norm.eps as f32))])
            }
            Op::Activation { function } => self.activation(*function, inputs[0]),
            Op::Pool(pool) => self.pool(pool, inputs[0]),
            Op::GlobalAvgPool => self.writer.node("GlobalAveragePool", inputs, "", vec![]),
            Op::AdaptiveAvgPool { size } => {
                let &[_, height, width] = self.shape_of(0) else {
                    return Err(self.refuse("means over windows of no map"));
                };
                if !height.is_multiple_of(size[0]) || !width.is_multiple_of(size[1]) {
                    let reason = format!(
                        "{height}x{width} cannot be cut into {size:?} equal windows; use another image size"
                    );
                    return Err(self.refuse(reason));
                }
                let window = [height / size[0], width / size[1]];
                let settings = vec![("kernel_shape", pair(window)), ("strides", pair(window))];
                self.writer.node("AveragePool", inputs, "", settings)
            }
            Op::LocalResponseNorm(norm) => {
                if norm.size.is_multiple_of(2) {
                    return Err(
                        self.refuse("a window of an even number of channels lies otherwise in this form")
                    );
                }
                let settings = vec![
                    ("size", Int(norm.size as i64)),
                    ("alpha", Float(norm.alpha)),
                    ("beta", Float(norm.beta)),
                    ("bias", Float(norm.k)),
                ];
                self.writer.node("LRN", inputs, "", settings)
            }
            Op::Add => self.joined("Add", inputs),
            Op::Mul => self.joined("Mul", inputs),
            Op::Scale { scale, shift } => self.scale(scale, shift, inputs[0]),
            Op::Concat => self.writer.node("Concat", inputs, "", vec![("axis", Int(1))]),
            Op::Slice { start, len } => {
                let name = self.writer.fresh("slice");
                let list = |writer: &mut Writer, what: &str, n: usize| {
                    writer.ints(&format!("{name}.{what}"), &[n as i64])
                };
                let start_name = list(self.writer, "start", *start);
                let end = list(self.writer, "end", start + len);
                let axis = list(self.writer, "axis", 1);
                self.writer.node("Slice", &[inputs[0], &start_name, &end, &axis], "", vec![])
            }
            Op::ChannelShuffle { groups } => {
                let [channels, height, width] = [0, 1, 2].map(|dim| self.node.shape[dim] as i64);
                let groups = *groups as i64;
                let name = self.writer.fresh("shuffle");
                let apart = [0, groups, channels / groups, height, width];
                let apart = self.writer.ints(&format!("{name}.groups"), &apart);
                let whole = self.writer.ints(&format!("{name}.channels"), &[0, channels, height, width]);
                let cut = self.writer.node("Reshape", &[inputs[0], &apart], "", vec![]);
                let turned =
                    self.writer.node("Transpose", &[&cut], "", vec![("perm", Ints(vec![0, 2, 1, 3, 4]))]);
                self.writer.node("Reshape", &[&turned, &whole], "", vec![])
            }
            Op::UpsampleLike => {
                let (&[_, height, width], to) = (self.shape_of(0), &self.node.shape) else {
                    return Err(self.refuse("an enlargement of no map"));
                };
                if !to[1].is_multiple_of(height) || !to[2].is_multiple_of(width) {
                    let reason = format!(
                        "{height}x{width} to {}x{} is no whole number of times; use another image size",
                        to[1], to[2]
                    );
                    return Err(self.refuse(reason));
                }
                let name = self.writer.fresh("scales");
                let scales = [1.0, 1.0, (to[1] / height) as f32, (to[2] / width) as f32];
                let scales = self.writer.singles(&name, &scales);
                let settings = vec![
                    ("mode", Text("nearest")),
                    ("coordinate_transformation_mode", Text("asymmetric")),
                    ("nearest_mode", Text("floor")),
                ];
                self.writer.node("Resize", &[inputs[0], "", &scales], "", settings)
            }
            Op::Dropout { .. } => inputs.concat(),
            Op::Softmax => self.writer.node("Softmax", inputs, "", vec![("axis", Int(1))]),
        })
    }

    fn pads(
        &self,
        padding: Padding,
        kernel: [usize; 2],
        stride: [usize; 2],
        dilation: [usize; 2],
    ) -> Setting<'static> {
        let shape = self.shape_of(0);
        let [[top, bottom], [left, right]] =
            pad_amounts(padding, [shape[1], shape[2]], kernel, stride, dilation);
        Ints([top, left, bottom, right].map(|n| n as i64).to_vec())
    }

    fn pool(&mut self, pool: &Pool, input: &str) -> String {
        let mut settings = vec![
            ("kernel_shape", pair(pool.kernel)),
            ("strides", pair(pool.stride)),
            ("pads", self.pads(pool.padding, pool.kernel, pool.stride, [1, 1])),
            ("ceil_mode", Int(pool.ceil.into())),
        ];
        let operator = match pool.kind {
            PoolKind::Max => "MaxPool",
            PoolKind::Avg => {
                // Without padding both mean the same, but partly covered windows are divided by what they cover.
                let is_padded = pool.padding != Padding::VALID;
                settings.push(("count_include_pad", Int((pool.count_include_pad && is_padded).into())));
                "AveragePool"
            }
        };
        self.writer.node(operator, &[input], "", settings)
    }

    fn activation(&mut self, function: Activation, input: &str) -> String {
        match function {
            Activation::RELU => self.writer.node("Relu", &[input], "", vec![]),
            Activation::Clamp { low, high } => self.clip(input, low, high),
            Activation::Sigmoid => self.writer.node("Sigmoid", &[input], "", vec![]),
            Activation::Swish => {
                let gate = self.writer.node("Sigmoid", &[input], "", vec![]);
                self.writer.node("Mul", &[input, &gate], "", vec![])
            }
            Activation::HardSwish => {
                let gate = self.hard_sigmoid(input, 1.0 / 6.0, 0.5);
                self.writer.node("Mul", &[input, &gate], "", vec![])
            }
            Activation::HARD_SIGMOID => self.hard_sigmoid(input, 1.0 / 6.0, 0.5),
            Activation::HardSigmoid { scale, shift, high: 1.0, factor: 1.0 } => {
                self.hard_sigmoid(input, scale, shift)
            }
            Activation::HardSigmoid { scale, shift, high, factor } => {
                let moved = self.scale(&[scale], &[shift], input);
                let bound = self.clip(&moved, 0.0, high);
                self.scale(&[factor], &[0.0], &bound)
            }
        }
    }

    fn hard_sigmoid(&mut self, input: &str, alpha: f32, beta: f32) -> String {
        self.writer.node("HardSigmoid", &[input], "", vec![("alpha", Float(alpha)), ("beta", Float(beta))])
    }

    /// A bound that is infinite is left out.
    fn clip(&mut self, input: &str, low: f32, high: f32) -> String {
        let name = self.writer.fresh("bounds");
        let mut bound = |what: &str, bound: f32| {
            let name = format!("{name}.{what}");
            if bound.is_finite() { self.writer.floats(&name, &[], &[bound]) } else { String::new() }
        };
        let (low, high) = (bound("min", low), bound("max", high));
        let inputs = [input, &low, &high];
        let inputs = if high.is_empty() { &inputs[..2] } else { &inputs[..] };
        self.writer.node("Clip", inputs, "", vec![])
    }

    fn scale(&mut self, scale: &[f32], shift: &[f32], input: &str) -> String {
        let name = self.writer.fresh("scale");
        let ones = vec![1; self.node.shape.len() - 1];
        let mut value = input.to_owned();
        for (operator, what, numbers, neutral) in
            [("Mul", "factors", scale, 1.0), ("Add", "terms", shift, 0.0)]
        {
            if numbers.iter().any(|&number| number != neutral) {
                let shape = if numbers.len() == 1 { vec![] } else { [&[numbers.len()], &ones[..]].concat() };
                let numbers = self.writer.floats(&format!("{name}.{what}"), &shape, numbers);
                value = self.writer.node(operator, &[&value, &numbers], "", vec![]);
            }
        }
        value
    }

    /// Two values, of which a vector counts as a map of one row and column.
    fn joined(&mut self, operator: &str, inputs: &[&str]) -> String {
        let rank = self.node.shape.len();
        let mut names = Vec::new();
        for (index, &input) in inputs.iter().enumerate() {
            let missing: Vec<i64> = (self.shape_of(index).len()..rank).map(|dim| dim as i64 + 1).collect();
            names.push(if missing.is_empty() {
                input.to_owned()
            } else {
                let name = self.writer.fresh("axes");
                let axes = self.writer.ints(&name, &missing);
                self.writer.node("Unsqueeze", &[input, &axes], "", vec![])
            });
        }
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        self.writer.node(operator, &names, "", vec![])
    }
}

fn pair(sizes: [usize; 2]) -> Setting<'static> {
    Ints(sizes.map(|n| n as i64).to_vec())
}
