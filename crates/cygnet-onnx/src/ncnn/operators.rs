//! What each layer is in operators of ONNX.

use super::call::{Call, Made};
use crate::Reason;
use crate::export::writer::Setting::{self, Float, Int, Ints, Text};

/// What makes nodes of a layer.
pub(super) type Rule = fn(&mut Call<'_, '_>) -> Result<Vec<Made>, Reason>;

/// Layers with their rules.
const OPERATORS: &[(&str, Rule)] = &[
    ("BatchNorm", batch_norm),
    ("BinaryOp", binary),
    ("Clip", clip),
    ("Concat", concat),
    ("Convolution", |call| conv(call, false)),
    ("ConvolutionDepthWise", |call| conv(call, true)),
    ("Dropout", same),
    ("Eltwise", eltwise),
    ("Flatten", flatten),
    ("HardSigmoid", hard_sigmoid),
    ("HardSwish", hard_swish),
    ("InnerProduct", inner_product),
    ("LRN", lrn),
    ("Noop", same),
    ("PReLU", p_relu),
    ("Padding", padding),
    ("Pooling", pooling),
    ("ReLU", relu),
    ("Reduction", reduction),
    ("Reshape", reshape),
    ("Scale", scale),
    ("ShuffleChannel", shuffle),
    ("Sigmoid", |call| unary(call, "Sigmoid")),
    ("Slice", slice),
    ("Softmax", softmax),
    ("Split", split),
    ("Swish", swish),
    ("TanH", |call| unary(call, "Tanh")),
];

/// A layer's rule.
pub(super) fn find(kind: &str) -> Option<Rule> {
    OPERATORS.iter().find(|(name, _)| *name == kind).map(|(_, rule)| *rule)
}

/// Names of the layers that are held, in order.
pub fn ncnn_operators() -> impl Iterator<Item = &'static str> {
    OPERATORS.iter().map(|(name, _)| *name)
}

/// Padding that makes as many outputs as inputs, with the odd row or column at the end or the beginning.
const SAME_UPPER: i64 = -233;
const SAME_LOWER: i64 = -234;
/// Part of a slice, what is left; size of a reshaped value, none given.
const REST: i64 = -233;

/// A count of a setting.
fn count(call: &Call<'_, '_>, number: i64) -> Result<usize, Reason> {
    let value = call.layer.int(number, 0)?;
    let found = usize::try_from(value).ok().filter(|&n| n > 0);
    found.ok_or_else(|| Reason::new(format!("its setting {number} is {value}")))
}

/// The activation that a layer ends with.
fn fused(call: &mut Call<'_, '_>, made: String, [kind, settings]: [i64; 2]) -> Result<String, Reason> {
    let list = call.layer.list(settings)?.to_vec();
    let at = |place: usize, default: f64| list.get(place).copied().unwrap_or(default);
    Ok(match call.layer.int(kind, 0)? {
        0 => made,
        1 => call.node("Relu", &[&made], vec![]),
        2 => call.node("LeakyRelu", &[&made], vec![("alpha", Float(at(0, 0.0) as f32))]),
        3 => call.clip(&made, [at(0, f64::from(f32::MIN)), at(1, f64::from(f32::MAX))]),
        4 => call.node("Sigmoid", &[&made], vec![]),
        6 => hard_swished(call, &made, [at(0, 1.0 / 6.0), at(1, 0.5)]),
        other => return Err(Reason::new(format!("it ends with the activation {other}, which is not held"))),
    })
}

fn hard_swished(call: &mut Call<'_, '_>, made: &str, [slope, shift]: [f64; 2]) -> String {
    let settings = vec![("alpha", Float(slope as f32)), ("beta", Float(shift as f32))];
    let gate = call.node("HardSigmoid", &[made], settings);
    call.node("Mul", &[made, &gate], vec![])
}

/// A value with the rank and the channels of another.
fn like(of: &Made, name: String) -> Vec<Made> {
    vec![Made { name, ..of.clone() }]
}

/// Pads of a window, or the rule for them.
fn pads(
    call: &Call<'_, '_>,
    [left, right, top, bottom]: [i64; 4],
) -> Result<(&'static str, Setting<'static>), Reason> {
    let first = call.layer.int(left, 0)?;
    Ok(match first {
        SAME_UPPER => ("auto_pad", Text("SAME_UPPER")),
        SAME_LOWER => ("auto_pad", Text("SAME_LOWER")),
        _ => {
            let above = call.layer.int(top, first)?;
            ("pads", Ints(vec![above, first, call.layer.int(bottom, above)?, call.layer.int(right, first)?]))
        }
    })
}

fn conv(call: &mut Call<'_, '_>, has_groups: bool) -> Result<Vec<Made>, Reason> {
    let input = call.input()?;
    if call.layer.int(8, 0)? != 0 || call.layer.int(19, 0)? != 0 || call.layer.float(18, 0.0)? != 0.0 {
        return Err(Reason::new("its weights are whole numbers or computed, or its padding is no zero"));
    }
    let [outputs, all] = [count(call, 0)?, count(call, 6)?];
    let groups = if has_groups && call.layer.int(7, 1)? != 1 { count(call, 7)? } else { 1 };
    let kernel = [call.layer.int(11, call.layer.int(1, 1)?)?, call.layer.int(1, 1)?];
    let taps = kernel.map(|n| usize::try_from(n).unwrap_or(0)).iter().product::<usize>();
    let each = outputs.checked_mul(taps).filter(|&each| each > 0 && all % each == 0);
    let inputs = each.map(|each| all / each).ok_or_else(|| {
        Reason::new(format!("{all} weights for {outputs} outputs of windows of {kernel:?}"))
    })?;
    let shape = [outputs, inputs, kernel[0] as usize, kernel[1] as usize];
    let mut operands = vec![input.name.clone(), call.weights("weight", &shape)?];
    if call.layer.int(5, 0)? != 0 {
        operands.push(call.floats("bias", &[outputs])?);
    }
    let at = |call: &Call<'_, '_>, rows: i64, columns: i64| -> Result<Setting<'_>, Reason> {
        let along = call.layer.int(columns, 1)?;
        Ok(Ints(vec![call.layer.int(rows, along)?, along]))
    };
    let settings = vec![
        ("kernel_shape", Ints(kernel.to_vec())),
        ("strides", at(call, 13, 3)?),
        ("dilations", at(call, 12, 2)?),
        pads(call, [4, 15, 14, 16])?,
        ("group", Int(groups as i64)),
    ];
    operands[0] = call.as_map(&input);
    let operands: Vec<&str> = operands.iter().map(String::as_str).collect();
    let made = call.named("Conv", &operands, settings);
    let name = fused(call, made, [9, 10])?;
    Ok(vec![Made { name, rank: 4, channels: Some(outputs) }])
}

fn inner_product(call: &mut Call<'_, '_>) -> Result<Vec<Made>, Reason> {
    let input = call.input()?;
    if call.layer.int(8, 0)? != 0 {
        return Err(Reason::new("its weights are whole numbers of ncnn, which are not read"));
    }
    let [outputs, all] = [count(call, 0)?, count(call, 2)?];
    if all % outputs != 0 {
        return Err(Reason::new(format!("{all} weights for {outputs} outputs")));
    }
    let flat = call.node("Flatten", &[&input.name], vec![("axis", Int(1))]);
    let mut operands = vec![flat, call.weights("weight", &[outputs, all / outputs])?];
    if call.layer.int(1, 0)? != 0 {
        operands.push(call.floats("bias", &[outputs])?);
    }
    let operands: Vec<&str> = operands.iter().map(String::as_str).collect();
    let made = call.named("Gemm", &operands, vec![("transB", Int(1))]);
    let name = fused(call, made, [9, 10])?;
    Ok(vec![Made { name, rank: 2, channels: Some(outputs) }])
}

fn pooling(call: &mut Call<'_, '_>) -> Result<Vec<Made>, Reason> {
    let input = call.input()?;
    let is_max = match call.layer.int(0, 0)? {
        0 => true,
        1 => false,
        other => return Err(Reason::new(format!("its kind is {other}, neither maximum nor mean"))),
    };
    let map = call.as_map(&input);
    let is_whole = call.layer.int(7, 0)? != 0 && call.layer.int(8, 0)? == 1 && call.layer.int(18, 1)? == 1;
    if call.layer.int(4, 0)? != 0 || is_whole {
        let name = call.node(if is_max { "GlobalMaxPool" } else { "GlobalAveragePool" }, &[&map], vec![]);
        return Ok(like(&Made { rank: 4, ..input }, name));
    }
    if call.layer.int(7, 0)? != 0 {
        return Err(Reason::new("its windows adapt to the size of the output"));
    }
    let columns = call.layer.int(1, 1)?;
    let along = call.layer.int(2, 1)?;
    let mut settings = vec![
        ("kernel_shape", Ints(vec![call.layer.int(11, columns)?, columns])),
        ("strides", Ints(vec![call.layer.int(12, along)?, along])),
    ];
    settings.push(match call.layer.int(5, 0)? {
        2 => ("auto_pad", Text("SAME_UPPER")),
        3 => ("auto_pad", Text("SAME_LOWER")),
        _ => pads(call, [3, 14, 13, 15])?,
    });
    if call.layer.int(5, 0)? == 0 {
        settings.push(("ceil_mode", Int(1)));
    }
    if !is_max {
        settings.push(("count_include_pad", Int(call.layer.int(6, 0)?)));
    }
    let name = call.node(if is_max { "MaxPool" } else { "AveragePool" }, &[&map], settings);
    Ok(like(&Made { rank: 4, ..input }, name))
}

/// Two values of which one may be a number, or a vector beside maps.
fn binary(call: &mut Call<'_, '_>) -> Result<Vec<Made>, Reason> {
    let operation = call.layer.int(0, 0)?;
    let (operator, is_turned) = match operation {
        0 => ("Add", false),
        1 => ("Sub", false),
        2 => ("Mul", false),
        3 => ("Div", false),
        4 => ("Max", false),
        5 => ("Min", false),
        6 => ("Pow", false),
        7 => ("Sub", true),
        8 => ("Div", true),
        other => return Err(Reason::new(format!("its operation is {other}, which is not held"))),
    };
    let input = call.input()?;
    if call.layer.int(1, 0)? != 0 {
        let number = call.number(call.layer.float(2, 0.0)?);
        let operands = if is_turned { [&*number, &input.name] } else { [&*input.name, &number] };
        let name = call.node(operator, &operands, vec![]);
        return Ok(like(&input, name));
    }
    let other = call.at(1)?;
    let rank = input.rank.max(other.rank);
    let [left, right] =
        [&input, &other].map(|value| if rank == 4 { call.as_map(value) } else { value.name.clone() });
    let operands = if is_turned { [&*right, &left] } else { [&*left, &right] };
    let name = call.node(operator, &operands, vec![]);
    let of = if input.rank == rank { input } else { other };
    Ok(like(&of, name))
}

fn eltwise(call: &mut Call<'_, '_>) -> Result<Vec<Made>, Reason> {
    let operator = match call.layer.int(0, 0)? {
        0 => "Mul",
        1 if call.layer.list(1)?.iter().all(|&factor| factor == 1.0) => "Add",
        2 => "Max",
        _ => return Err(Reason::new("it is a weighted sum or an unknown operation")),
    };
    let input = call.input()?;
    let mut name = input.name.clone();
    for other in call.inputs.clone().into_iter().skip(1) {
        name = call.node(operator, &[&name, &other.name], vec![]);
    }
    Ok(like(&input, name))
}

fn concat(call: &mut Call<'_, '_>) -> Result<Vec<Made>, Reason> {
    let axis = call.layer.int(0, 0)?;
    let axis = if axis < 0 { axis } else { axis + 1 };
    let inputs = call.inputs.clone();
    let first = call.input()?;
    let names: Vec<&str> = inputs.iter().map(|value| &*value.name).collect();
    let name = call.node("Concat", &names, vec![("axis", Int(axis))]);
    let channels = inputs.iter().map(|value| value.channels).sum::<Option<usize>>().filter(|_| axis == 1);
    let channels = channels.or(first.channels.filter(|_| axis != 1));
    Ok(vec![Made { name, channels, ..first }])
}

fn slice(call: &mut Call<'_, '_>) -> Result<Vec<Made>, Reason> {
    let input = call.input()?;
    let axis = call.layer.int(1, 0)?;
    let axis = if axis < 0 { axis } else { axis + 1 };
    let sizes = call.layer.ints(0)?;
    if sizes.is_empty() || axis != 1 && sizes.contains(&REST) {
        return Err(Reason::new(format!("parts of {sizes:?} along {axis} are not held")));
    }
    let known = sizes.iter().filter(|&&size| size != REST).fold(0i64, |all, &size| all.saturating_add(size));
    let rests = sizes.iter().filter(|&&size| size == REST).count() as i64;
    let all = || input.channels.ok_or_else(|| Reason::new("the channels that it cuts are not known"));
    let rest = if rests == 0 { 0 } else { (all()? as i64).saturating_sub(known) / rests };
    let (mut start, mut values) = (0i64, Vec::new());
    for size in sizes {
        let size = if size == REST { rest } else { size };
        if !(1..=i64::from(i32::MAX)).contains(&size) {
            return Err(Reason::new(format!("a part of {size} channels")));
        }
        let end = start + size;
        let [begins, ends, axes] = [start, end, axis].map(|n| call.list(&[n]));
        let name = call.node("Slice", &[&input.name, &begins, &ends, &axes], vec![]);
        let channels = if axis == 1 { Some(size as usize) } else { input.channels };
        values.push(Made { name, channels, ..input.clone() });
        start = end;
    }
    Ok(values)
}

fn shuffle(call: &mut Call<'_, '_>) -> Result<Vec<Made>, Reason> {
    let input = call.input()?;
    let channels =
        input.channels.ok_or_else(|| Reason::new("the channels that it shuffles are not known"))?;
    let groups = usize::try_from(call.layer.int(0, 1)?).ok().filter(|&n| n > 0 && channels.is_multiple_of(n));
    let groups = groups.ok_or_else(|| Reason::new(format!("{channels} channels are not of its groups")))?;
    let groups = if call.layer.int(1, 0)? != 0 { channels / groups } else { groups };
    // Rows and columns stay together as one dimension, whose size need not be known.
    let apart = call.list(&[0, groups as i64, (channels / groups) as i64, -1]);
    let name = call.node("Reshape", &[&input.name, &apart], vec![]);
    let name = call.node("Transpose", &[&name], vec![("perm", Ints(vec![0, 2, 1, 3]))]);
    let shape = call.node("Shape", &[&input.name], vec![]);
    let name = call.node("Reshape", &[&name, &shape], vec![]);
    Ok(like(&input, name))
}

fn reduction(call: &mut Call<'_, '_>) -> Result<Vec<Made>, Reason> {
    let input = call.input()?;
    let operator = match call.layer.int(0, 0)? {
        0 => "ReduceSum",
        3 => "ReduceMean",
        4 => "ReduceMax",
        other => return Err(Reason::new(format!("its operation is {other}, which is not held"))),
    };
    let is_all = call.layer.int(1, 1)? != 0;
    let axes: Vec<i64> = match is_all {
        true => (1..input.rank as i64).collect(),
        false => call.layer.ints(3)?.into_iter().map(|axis| if axis < 0 { axis } else { axis + 1 }).collect(),
    };
    let keeps = call.layer.int(4, 0)? != 0;
    let mut settings = vec![("keepdims", Int(i64::from(keeps)))];
    let mut operands = vec![input.name.clone()];
    if operator == "ReduceSum" {
        operands.push(call.list(&axes));
    } else {
        settings.push(("axes", Ints(axes.clone())));
    }
    let operands: Vec<&str> = operands.iter().map(String::as_str).collect();
    let mut name = call.node(operator, &operands, settings);
    let factor = call.layer.float(2, 1.0)?;
    if factor != 1.0 {
        let factor = call.number(factor);
        name = call.node("Mul", &[&name, &factor], vec![]);
    }
    let rank = if keeps { input.rank } else { input.rank.saturating_sub(axes.len()) };
    Ok(vec![Made { name, rank, ..input }])
}

fn reshape(call: &mut Call<'_, '_>) -> Result<Vec<Made>, Reason> {
    let input = call.input()?;
    // Columns, rows, depth, channels: those that are not given are no dimensions.
    let mut sizes = Vec::new();
    for number in [2, 11, 1, 0] {
        sizes.push(call.layer.int(number, REST)?);
    }
    sizes.retain(|&size| size != REST);
    if sizes.is_empty() || sizes.contains(&0) {
        return Err(Reason::new("it keeps dimensions that are not told"));
    }
    let shape = call.list(&[&[0], &sizes[..]].concat());
    let name = call.node("Reshape", &[&input.name, &shape], vec![]);
    let channels = usize::try_from(sizes[0]).ok();
    Ok(vec![Made { name, rank: sizes.len() + 1, channels }])
}

fn flatten(call: &mut Call<'_, '_>) -> Result<Vec<Made>, Reason> {
    let input = call.input()?;
    let name = call.node("Flatten", &[&input.name], vec![("axis", Int(1))]);
    Ok(vec![Made { name, rank: 2, channels: None }])
}

fn batch_norm(call: &mut Call<'_, '_>) -> Result<Vec<Made>, Reason> {
    let input = call.input()?;
    let channels = count(call, 0)?;
    // The file has them in another order than the operator.
    let weight = call.floats("weight", &[channels])?;
    let mean = call.floats("running_mean", &[channels])?;
    let var = call.floats("running_var", &[channels])?;
    let bias = call.floats("bias", &[channels])?;
    let eps = call.layer.float(1, 0.0)? as f32;
    let operands = [&*input.name, &weight, &bias, &mean, &var];
    let name = call.named("BatchNormalization", &operands, vec![("epsilon", Float(eps))]);
    Ok(like(&input, name))
}

fn scale(call: &mut Call<'_, '_>) -> Result<Vec<Made>, Reason> {
    let input = call.input()?;
    let channels = count(call, 0)?;
    let shape = if input.rank == 4 { vec![channels, 1, 1] } else { vec![channels] };
    let factors = call.floats("weight", &shape)?;
    let mut name = call.node("Mul", &[&input.name, &factors], vec![]);
    if call.layer.int(1, 0)? != 0 {
        let terms = call.floats("bias", &shape)?;
        name = call.node("Add", &[&name, &terms], vec![]);
    }
    Ok(like(&input, name))
}

fn relu(call: &mut Call<'_, '_>) -> Result<Vec<Made>, Reason> {
    let input = call.input()?;
    let name = match call.layer.float(0, 0.0)? {
        0.0 => call.node("Relu", &[&input.name], vec![]),
        slope => call.node("LeakyRelu", &[&input.name], vec![("alpha", Float(slope as f32))]),
    };
    Ok(like(&input, name))
}

fn p_relu(call: &mut Call<'_, '_>) -> Result<Vec<Made>, Reason> {
    let input = call.input()?;
    let slopes = count(call, 0)?;
    let slope = call.floats("weight", &[slopes, 1, 1])?;
    let name = call.named("PRelu", &[&input.name, &slope], vec![]);
    Ok(like(&input, name))
}

fn clip(call: &mut Call<'_, '_>) -> Result<Vec<Made>, Reason> {
    let input = call.input()?;
    let bounds = [call.layer.float(0, f64::from(f32::MIN))?, call.layer.float(1, f64::from(f32::MAX))?];
    let name = call.clip(&input.name, bounds);
    Ok(like(&input, name))
}

fn hard_sigmoid(call: &mut Call<'_, '_>) -> Result<Vec<Made>, Reason> {
    let input = call.input()?;
    let [slope, shift] = [call.layer.float(0, 0.2)?, call.layer.float(1, 0.5)?].map(|x| Float(x as f32));
    let name = call.node("HardSigmoid", &[&input.name], vec![("alpha", slope), ("beta", shift)]);
    Ok(like(&input, name))
}

fn hard_swish(call: &mut Call<'_, '_>) -> Result<Vec<Made>, Reason> {
    let input = call.input()?;
    let settings = [call.layer.float(0, 0.2)?, call.layer.float(1, 0.5)?];
    let name = hard_swished(call, &input.name, settings);
    Ok(like(&input, name))
}

fn swish(call: &mut Call<'_, '_>) -> Result<Vec<Made>, Reason> {
    let input = call.input()?;
    let gate = call.node("Sigmoid", &[&input.name], vec![]);
    let name = call.node("Mul", &[&input.name, &gate], vec![]);
    Ok(like(&input, name))
}

fn lrn(call: &mut Call<'_, '_>) -> Result<Vec<Made>, Reason> {
    let input = call.input()?;
    if call.layer.int(0, 0)? != 0 {
        return Err(Reason::new("it looks at pixels, not at channels"));
    }
    let settings = vec![
        ("size", Int(call.layer.int(1, 5)?)),
        ("alpha", Float(call.layer.float(2, 1.0)? as f32)),
        ("beta", Float(call.layer.float(3, 0.75)? as f32)),
        ("bias", Float(call.layer.float(4, 1.0)? as f32)),
    ];
    let name = call.node("LRN", &[&input.name], settings);
    Ok(like(&input, name))
}

fn padding(call: &mut Call<'_, '_>) -> Result<Vec<Made>, Reason> {
    let input = call.input()?;
    if call.layer.int(4, 0)? != 0 || call.layer.int(7, 0)? != 0 || call.layer.int(8, 0)? != 0 {
        return Err(Reason::new("it repeats or mirrors pixels, or adds channels"));
    }
    let [top, bottom] = [call.layer.int(0, 0)?, call.layer.int(1, 0)?];
    let [left, right] = [call.layer.int(2, 0)?, call.layer.int(3, 0)?];
    let pads = call.list(&[0, 0, top, left, 0, 0, bottom, right]);
    let value = call.number(call.layer.float(5, 0.0)?);
    let name = call.node("Pad", &[&input.name, &pads, &value], vec![]);
    Ok(like(&input, name))
}

fn softmax(call: &mut Call<'_, '_>) -> Result<Vec<Made>, Reason> {
    let input = call.input()?;
    let axis = call.layer.int(0, 0)?;
    let axis = if axis < 0 { axis } else { axis + 1 };
    let name = call.node("Softmax", &[&input.name], vec![("axis", Int(axis))]);
    Ok(like(&input, name))
}

fn unary(call: &mut Call<'_, '_>, operator: &str) -> Result<Vec<Made>, Reason> {
    let input = call.input()?;
    let name = call.node(operator, &[&input.name], vec![]);
    Ok(like(&input, name))
}

fn same(call: &mut Call<'_, '_>) -> Result<Vec<Made>, Reason> {
    Ok(vec![call.input()?])
}

/// The same value for each reader.
fn split(call: &mut Call<'_, '_>) -> Result<Vec<Made>, Reason> {
    Ok(vec![call.input()?; call.layer.outputs.len()])
}
