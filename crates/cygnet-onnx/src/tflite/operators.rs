//! What each operator is in operators of ONNX.

use super::call::Call;
use crate::Reason;
use crate::export::writer::Setting::{Float, Int, Ints, Text};

/// What makes nodes of an operator.
pub(super) type Rule = fn(&mut Call<'_, '_>) -> Result<(), Reason>;

/// Operators by their numbers in the schema, with their names and rules.
const OPERATORS: &[(i32, &str, Rule)] = &[
    (0, "ADD", |call| elementwise(call, "Add", Some(0))),
    (1, "AVERAGE_POOL_2D", |call| pool(call, "AveragePool")),
    (2, "CONCATENATION", concatenation),
    (3, "CONV_2D", conv),
    (4, "DEPTHWISE_CONV_2D", depthwise),
    (5, "DEPTH_TO_SPACE", |call| blocks(call, "DepthToSpace")),
    (6, "DEQUANTIZE", same),
    (9, "FULLY_CONNECTED", fully_connected),
    (14, "LOGISTIC", |call| unary(call, "Sigmoid")),
    (17, "MAX_POOL_2D", |call| pool(call, "MaxPool")),
    (18, "MUL", |call| elementwise(call, "Mul", Some(0))),
    (19, "RELU", |call| unary(call, "Relu")),
    (20, "RELU_N1_TO_1", |call| clip(call, [-1.0, 1.0])),
    (21, "RELU6", |call| clip(call, [0.0, 6.0])),
    (22, "RESHAPE", reshape),
    (23, "RESIZE_BILINEAR", |call| resize(call, "linear", [2, 3])),
    (25, "SOFTMAX", softmax),
    (26, "SPACE_TO_DEPTH", |call| blocks(call, "SpaceToDepth")),
    (28, "TANH", |call| unary(call, "Tanh")),
    (34, "PAD", pad),
    (39, "TRANSPOSE", transpose),
    (40, "MEAN", |call| reduce(call, "ReduceMean")),
    (41, "SUB", |call| elementwise(call, "Sub", Some(0))),
    (42, "DIV", |call| elementwise(call, "Div", Some(0))),
    (43, "SQUEEZE", reshape),
    (45, "STRIDED_SLICE", strided_slice),
    (49, "SPLIT", split),
    (54, "PRELU", p_relu),
    (55, "MAXIMUM", |call| elementwise(call, "Max", None)),
    (57, "MINIMUM", |call| elementwise(call, "Min", None)),
    (60, "PADV2", pad),
    (65, "SLICE", slice),
    (70, "EXPAND_DIMS", reshape),
    (82, "REDUCE_MAX", |call| reduce(call, "ReduceMax")),
    (97, "RESIZE_NEAREST_NEIGHBOR", |call| resize(call, "nearest", [0, 1])),
    (98, "LEAKY_RELU", leaky_relu),
    (101, "ABS", |call| unary(call, "Abs")),
    (114, "QUANTIZE", same),
    (117, "HARD_SWISH", |call| unary(call, "HardSwish")),
];

/// An operator's name and rule.
pub(super) fn find(number: i32) -> Option<(&'static str, Rule)> {
    OPERATORS.iter().find(|(of, ..)| *of == number).map(|&(_, name, rule)| (name, rule))
}

/// Names of the operators that are held, in order.
pub fn tflite_operators() -> impl Iterator<Item = &'static str> {
    OPERATORS.iter().map(|&(_, name, _)| name)
}

/// A setting that is a small number; 0 where none is given.
fn byte(call: &Call<'_, '_>, field: usize) -> Result<i8, Reason> {
    call.options.map_or(Ok(0), |options| options.byte(field)).map_err(damaged)
}

fn int(call: &Call<'_, '_>, field: usize, default: i32) -> Result<i64, Reason> {
    call.options.map_or(Ok(default), |options| options.int(field, default)).map(i64::from).map_err(damaged)
}

fn float(call: &Call<'_, '_>, field: usize, default: f32) -> Result<f32, Reason> {
    call.options.map_or(Ok(default), |options| options.float(field, default)).map_err(damaged)
}

fn damaged(error: crate::ImportError) -> Reason {
    Reason::new(error.to_string())
}

/// A constant.
fn ints(call: &Call<'_, '_>, input: usize) -> Result<Vec<i64>, Reason> {
    call.to.ints(call.given(input)?)
}

/// The activation that an operator ends with.
fn fused(call: &mut Call<'_, '_>, made: String, field: usize) -> Result<String, Reason> {
    Ok(match byte(call, field)? {
        0 => made,
        1 => call.node("Relu", &[&made], vec![]),
        2 => call.clip(&made, [-1.0, 1.0]),
        3 => call.clip(&made, [0.0, 6.0]),
        4 => call.node("Tanh", &[&made], vec![]),
        other => return Err(Reason::new(format!("it ends with the activation {other}, which is not known"))),
    })
}

fn padding(call: &Call<'_, '_>) -> Result<&'static str, Reason> {
    match byte(call, 0)? {
        0 => Ok("SAME_UPPER"),
        1 => Ok("VALID"),
        other => Err(Reason::new(format!("its padding is {other}, which is not known"))),
    }
}

/// The name of a layer by that of its weight in the file: what training scripts and converters append is left out.
fn layer(name: &str) -> String {
    const APPENDED: [&str; 10] = [
        "weights",
        "weights_quant",
        "depthwise_weights",
        "kernel",
        "depthwise_kernel",
        "Conv2D",
        "depthwise",
        "MatMul",
        "ReadVariableOp",
        "FakeQuantWithMinMaxVars",
    ];
    let name = name.split(';').next().unwrap_or_default();
    let mut parts: Vec<&str> = name.split('/').filter(|part| !part.is_empty()).collect();
    while parts.len() > 1 && parts.last().is_some_and(|last| APPENDED.contains(last)) {
        parts.pop();
    }
    parts.dedup();
    parts.join("/")
}

/// A layer's name, and its weight with its dimensions in another order and its bias.
fn weights(call: &mut Call<'_, '_>, order: &[usize]) -> Result<(String, Vec<String>), Reason> {
    let weight = call.given(1)?;
    let mut layer = layer(call.to.value(weight).name);
    let named = |layer: &str| format!("{layer}.weight");
    if call.to.is_taken(&named(&layer)) {
        layer = call.to.fresh(&layer);
    }
    let mut made = vec![call.to.constant(weight, &named(&layer), order)?];
    if call.inputs.len() > 2 && call.inputs[2].is_some() {
        made.push(call.real(2)?);
    }
    Ok((layer, made))
}

fn conv(call: &mut Call<'_, '_>) -> Result<(), Reason> {
    let strides = vec![int(call, 2, 1)?, int(call, 1, 1)?];
    let dilations = vec![int(call, 5, 1)?, int(call, 4, 1)?];
    let settings = vec![
        ("auto_pad", Text(padding(call)?)),
        ("strides", Ints(strides)),
        ("dilations", Ints(dilations)),
        ("group", Int(groups(call)?)),
    ];
    layer_of_windows(call, &[0, 3, 1, 2], settings, 3)
}

/// Groups of a convolution, which the shapes of its input and its weight tell.
fn groups(call: &Call<'_, '_>) -> Result<i64, Reason> {
    let (input, weight) = (call.shape(0)?.last().copied(), call.shape(1)?.last().copied());
    match (input, weight) {
        (Some(input), Some(weight)) if weight > 0 && input % weight == 0 => Ok((input / weight) as i64),
        _ => Err(Reason::new(format!("weights of {weight:?} channels for an input of {input:?}"))),
    }
}

fn depthwise(call: &mut Call<'_, '_>) -> Result<(), Reason> {
    let strides = vec![int(call, 2, 1)?, int(call, 1, 1)?];
    let dilations = vec![int(call, 6, 1)?, int(call, 5, 1)?];
    let channels = call.shape(0)?.last().copied().unwrap_or(0);
    let settings = vec![
        ("auto_pad", Text(padding(call)?)),
        ("strides", Ints(strides)),
        ("dilations", Ints(dilations)),
        ("group", Int(channels as i64)),
    ];
    layer_of_windows(call, &[3, 0, 1, 2], settings, 4)
}

fn layer_of_windows(
    call: &mut Call<'_, '_>,
    order: &[usize],
    settings: Vec<(&str, crate::export::writer::Setting<'_>)>,
    activation: usize,
) -> Result<(), Reason> {
    let input = call.map(0)?;
    let (name, weights) = weights(call, order)?;
    let inputs: Vec<&str> = [&input].into_iter().chain(&weights).map(String::as_str).collect();
    let made = call.layer("Conv", &name, &inputs, settings);
    let made = fused(call, made, activation)?;
    call.settle_map(&made)
}

fn fully_connected(call: &mut Call<'_, '_>) -> Result<(), Reason> {
    if byte(call, 1)? != 0 {
        return Err(Reason::new("its weights are shuffled"));
    }
    let inputs = call.shape(1)?.last().copied().unwrap_or(0) as i64;
    let mut input = call.real(0)?;
    if call.shape(0)?.len() != 2 {
        let shape = call.list(&[-1, inputs]);
        input = call.node("Reshape", &[&input, &shape], vec![]);
    }
    let (name, weights) = weights(call, &[0, 1])?;
    let inputs: Vec<&str> = [&input].into_iter().chain(&weights).map(String::as_str).collect();
    let made = call.layer("Gemm", &name, &inputs, vec![("transB", Int(1))]);
    let made = fused(call, made, 0)?;
    let shape = call.to.value(call.output).shape.clone();
    if shape.len() == 2 {
        return call.settle(made);
    }
    let shape: Vec<i64> = shape.iter().map(|&n| n as i64).collect();
    let shape = call.list(&shape);
    let made = call.node("Reshape", &[&made, &shape], vec![]);
    call.settle(made)
}

fn pool(call: &mut Call<'_, '_>, operator: &str) -> Result<(), Reason> {
    let settings = vec![
        ("auto_pad", Text(padding(call)?)),
        ("strides", Ints(vec![int(call, 2, 1)?, int(call, 1, 1)?])),
        ("kernel_shape", Ints(vec![int(call, 4, 1)?, int(call, 3, 1)?])),
    ];
    let input = call.map(0)?;
    let made = call.node(operator, &[&input], settings);
    let made = fused(call, made, 5)?;
    call.settle_map(&made)
}

fn elementwise(call: &mut Call<'_, '_>, operator: &str, activation: Option<usize>) -> Result<(), Reason> {
    let [left, right] = [call.real(0)?, call.real(1)?];
    let made = call.node(operator, &[&left, &right], vec![]);
    let made = match activation {
        Some(field) => fused(call, made, field)?,
        None => made,
    };
    call.settle(made)
}

fn unary(call: &mut Call<'_, '_>, operator: &str) -> Result<(), Reason> {
    let input = call.real(0)?;
    let made = call.node(operator, &[&input], vec![]);
    call.settle(made)
}

fn clip(call: &mut Call<'_, '_>, bounds: [f32; 2]) -> Result<(), Reason> {
    let input = call.real(0)?;
    let made = call.clip(&input, bounds);
    call.settle(made)
}

/// Numbers in another form, which stand for the same.
fn same(call: &mut Call<'_, '_>) -> Result<(), Reason> {
    let made = call.real(0)?;
    call.settle(made)
}

fn leaky_relu(call: &mut Call<'_, '_>) -> Result<(), Reason> {
    let slope = float(call, 0, 0.0)?;
    let input = call.real(0)?;
    let made = call.node("LeakyRelu", &[&input], vec![("alpha", Float(slope))]);
    call.settle(made)
}

fn p_relu(call: &mut Call<'_, '_>) -> Result<(), Reason> {
    let input = call.map(0)?;
    let slope = call.real(1)?;
    let shape = call.list(&[-1, 1, 1]);
    if call.shape(1)?.iter().rev().skip(1).any(|&n| n != 1) {
        return Err(Reason::new(format!("slopes of {:?} are not one for each channel", call.shape(1)?)));
    }
    let slope = call.node("Reshape", &[&slope, &shape], vec![]);
    let made = call.node("PRelu", &[&input, &slope], vec![]);
    call.settle_map(&made)
}

/// The shape that the file says the output has.
fn reshape(call: &mut Call<'_, '_>) -> Result<(), Reason> {
    let shape: Vec<i64> = call.to.value(call.output).shape.iter().map(|&n| n as i64).collect();
    let input = call.real(0)?;
    let shape = call.list(&shape);
    let made = call.node("Reshape", &[&input, &shape], vec![]);
    call.settle(made)
}

fn softmax(call: &mut Call<'_, '_>) -> Result<(), Reason> {
    let beta = float(call, 0, 0.0)?;
    let mut input = call.real(0)?;
    // A file that says nothing of beta means 0 by the schema and 1 by what every runtime does.
    if beta != 1.0 && beta != 0.0 {
        let beta = call.number(beta);
        input = call.node("Mul", &[&input, &beta], vec![]);
    }
    let made = call.node("Softmax", &[&input], vec![("axis", Int(-1))]);
    call.settle(made)
}

fn concatenation(call: &mut Call<'_, '_>) -> Result<(), Reason> {
    let axis = int(call, 0, 0)?;
    let inputs: Vec<String> =
        (0..call.inputs.len()).map(|input| call.real(input)).collect::<Result<_, _>>()?;
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let made = call.node("Concat", &inputs, vec![("axis", Int(axis))]);
    let made = fused(call, made, 1)?;
    call.settle(made)
}

fn transpose(call: &mut Call<'_, '_>) -> Result<(), Reason> {
    let order = ints(call, 1)?;
    let input = call.real(0)?;
    let made = call.node("Transpose", &[&input], vec![("perm", Ints(order))]);
    call.settle(made)
}

fn reduce(call: &mut Call<'_, '_>, operator: &str) -> Result<(), Reason> {
    let axes = ints(call, 1)?;
    let keeps = i64::from(byte(call, 0)? != 0);
    let input = call.real(0)?;
    let made = call.node(operator, &[&input], vec![("axes", Ints(axes)), ("keepdims", Int(keeps))]);
    call.settle(made)
}

/// Rows and columns that surround a map, with zeros or the number at the third input.
fn pad(call: &mut Call<'_, '_>) -> Result<(), Reason> {
    let amounts = ints(call, 1)?;
    let [0, 0, top, bottom, left, right, before, after] = amounts[..] else {
        return Err(Reason::new(format!("pads of {amounts:?} are not those of maps")));
    };
    let input = call.map(0)?;
    let pads = call.list(&[0, before, top, left, 0, after, bottom, right]);
    let mut inputs = vec![input, pads];
    if call.inputs.len() > 2 {
        inputs.push(call.real(2)?);
    }
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let made = call.node("Pad", &inputs, vec![]);
    call.settle_map(&made)
}

/// `fields` are those that say whether corners are aligned and pixels have their centres at halves.
fn resize(call: &mut Call<'_, '_>, mode: &str, fields: [usize; 2]) -> Result<(), Reason> {
    let [aligned, halves] = [byte(call, fields[0])? != 0, byte(call, fields[1])? != 0];
    let shape = call.to.value(call.output).shape.clone();
    let [batch, rows, columns, channels] = shape[..] else {
        return Err(Reason::new(format!("its output has the shape {shape:?}, not that of maps")));
    };
    let place = match (aligned, halves) {
        (true, _) => "align_corners",
        (false, true) => "half_pixel",
        (false, false) => "asymmetric",
    };
    let input = call.map(0)?;
    let sizes = call.list(&[batch, channels, rows, columns].map(|n| n as i64));
    let mut settings = vec![("mode", Text(mode)), ("coordinate_transformation_mode", Text(place))];
    if mode == "nearest" {
        settings.push(("nearest_mode", Text(if aligned || halves { "round_prefer_ceil" } else { "floor" })));
    }
    let made = call.node("Resize", &[&input, "", "", &sizes], settings);
    call.settle_map(&made)
}

fn blocks(call: &mut Call<'_, '_>, operator: &str) -> Result<(), Reason> {
    let size = int(call, 0, 1)?;
    let input = call.map(0)?;
    let made = call.node(operator, &[&input], vec![("blocksize", Int(size))]);
    call.settle_map(&made)
}

fn split(call: &mut Call<'_, '_>) -> Result<(), Reason> {
    let axis = ints(call, 0)?.first().copied().unwrap_or(0);
    let input = call.real(1)?;
    let shape = call.shape(1)?.to_vec();
    let dim = usize::try_from(if axis < 0 { axis + shape.len() as i64 } else { axis }).unwrap_or(usize::MAX);
    let count = call.outputs.len();
    let whole = shape.get(dim).copied().filter(|size| size % count == 0);
    let whole =
        whole.ok_or_else(|| Reason::new(format!("{shape:?} is not split into {count} along {axis}")))?;
    let each = (whole / count) as i64;
    for (part, output) in call.outputs.clone().into_iter().enumerate() {
        let made = sliced(call, &input, &[part as i64 * each], &[(part as i64 + 1) * each], &[axis], &[1]);
        call.settle_as(output, made)?;
    }
    Ok(())
}

fn sliced(
    call: &mut Call<'_, '_>,
    input: &str,
    begins: &[i64],
    ends: &[i64],
    axes: &[i64],
    steps: &[i64],
) -> String {
    let [begins, ends, axes, steps] = [begins, ends, axes, steps].map(|list| call.list(list));
    call.node("Slice", &[input, &begins, &ends, &axes, &steps], vec![])
}

fn slice(call: &mut Call<'_, '_>) -> Result<(), Reason> {
    let (begins, sizes) = (ints(call, 1)?, ints(call, 2)?);
    let end = |(begin, size): (&i64, &i64)| if *size < 0 { i64::MAX } else { begin.saturating_add(*size) };
    let ends: Vec<i64> = begins.iter().zip(&sizes).map(end).collect();
    let input = call.real(0)?;
    let axes: Vec<i64> = (0..begins.len() as i64).collect();
    let made = sliced(call, &input, &begins, &ends, &axes, &vec![1; begins.len()]);
    call.settle(made)
}

fn strided_slice(call: &mut Call<'_, '_>) -> Result<(), Reason> {
    let [mut begins, mut ends, steps] = [ints(call, 1)?, ints(call, 2)?, ints(call, 3)?];
    let [no_begin, no_end, ellipsis, new, shrink] =
        [int(call, 0, 0)?, int(call, 1, 0)?, int(call, 2, 0)?, int(call, 3, 0)?, int(call, 4, 0)?];
    if ellipsis != 0 || new != 0 {
        return Err(Reason::new("it adds dimensions (ellipsis or new axis)"));
    }
    let rank = begins.len();
    if ends.len() != rank || steps.len() != rank || rank > 8 || steps.iter().any(|&step| step < 1) {
        return Err(Reason::new(format!(
            "begins {begins:?}, ends {ends:?} and steps {steps:?} are not held"
        )));
    }
    for dim in 0..rank {
        let has = |mask: i64| mask >> dim & 1 == 1;
        if has(no_begin) {
            begins[dim] = 0;
        }
        if has(no_end) {
            ends[dim] = i64::MAX;
        }
        if has(shrink) {
            ends[dim] = if begins[dim] == -1 { i64::MAX } else { begins[dim] + 1 };
        }
    }
    let axes: Vec<i64> = (0..rank as i64).collect();
    let input = call.real(0)?;
    let mut made = sliced(call, &input, &begins, &ends, &axes, &steps);
    if shrink != 0 {
        let shape: Vec<i64> = call.to.value(call.output).shape.iter().map(|&n| n as i64).collect();
        let shape = call.list(&shape);
        made = call.node("Reshape", &[&made, &shape], vec![]);
    }
    call.settle(made)
}

#[cfg(test)]
mod tests {
    use super::layer;

    #[test]
    fn layers_are_named_without_what_converters_append() {
        for (name, wanted) in [
            (
                "MobilenetV1/MobilenetV1/Conv2d_0/weights_quant/FakeQuantWithMinMaxVars",
                "MobilenetV1/Conv2d_0",
            ),
            ("MobilenetV3/Conv/Conv2D", "MobilenetV3/Conv"),
            ("model/conv1/Conv2D;model/bn/FusedBatchNormV3", "model/conv1"),
            ("kernel", "kernel"),
            ("", ""),
        ] {
            assert_eq!(layer(name), wanted);
        }
    }
}
