//! Shape rules: the output shape and the parameters of an operator, from its settings and input shapes.
//!
//! Everything a graph promises is checked here once, for graphs that are built and graphs that are read.

use crate::{Conv, Op, Padding, Pool, Problem, Role};

/// Largest number of elements of any value or parameter.
pub const MAX_ELEMENTS: usize = 1 << 31;

/// Kernels, strides, dilations and paddings are smaller.
const WINDOW_LIMIT: usize = 1 << 16;

/// Number of elements of a shape, `None` above [`MAX_ELEMENTS`].
#[must_use]
pub fn elements(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1usize, |product, &n| product.checked_mul(n)).filter(|&n| n <= MAX_ELEMENTS)
}

/// Rows (or columns) added before and after `size` for a window of `kernel` at `stride`.
#[must_use]
pub fn pad_amounts(
    padding: Padding,
    input: [usize; 2],
    kernel: [usize; 2],
    stride: [usize; 2],
    dilation: [usize; 2],
) -> [[usize; 2]; 2] {
    match padding {
        Padding::Explicit { top, left, bottom, right } => [[top, bottom], [left, right]],
        Padding::Same => std::array::from_fn(|axis| {
            let extent = dilation[axis].saturating_mul(kernel[axis] - 1).saturating_add(1);
            let out = input[axis].div_ceil(stride[axis]);
            let reach = (out - 1).saturating_mul(stride[axis]).saturating_add(extent);
            let total = reach.saturating_sub(input[axis]);
            [total / 2, total - total / 2]
        }),
    }
}

/// A parameter of an operator, without its path.
pub(crate) struct LocalParam {
    pub(crate) name: &'static str,
    pub(crate) shape: Vec<usize>,
    pub(crate) role: Role,
}

/// The parameters an operator with these inputs has, in PyTorch's order.
pub(crate) fn params(op: &Op, inputs: &[&[usize]]) -> Vec<LocalParam> {
    let param = |name, shape, role| LocalParam { name, shape, role };
    match op {
        Op::Conv(conv) => {
            let weight = vec![conv.out, inputs[0][0] / conv.groups, conv.kernel[0], conv.kernel[1]];
            let bias = conv.bias.then(|| param("bias", vec![conv.out], Role::Bias));
            [param("weight", weight, Role::Weight)].into_iter().chain(bias).collect()
        }
        Op::Linear { out, bias } => {
            let weight = vec![*out, inputs[0].iter().product()];
            let bias = bias.then(|| param("bias", vec![*out], Role::Bias));
            [param("weight", weight, Role::Weight)].into_iter().chain(bias).collect()
        }
        Op::BatchNorm(norm) => {
            let channels = vec![inputs[0][0]];
            let scale = norm.scale.then(|| param("weight", channels.clone(), Role::NormWeight));
            let rest = [
                param("bias", channels.clone(), Role::NormBias),
                param("running_mean", channels.clone(), Role::NormMean),
                param("running_var", channels, Role::NormVar),
            ];
            scale.into_iter().chain(rest).collect()
        }
        Op::Input
        | Op::Activation { .. }
        | Op::Pool(_)
        | Op::GlobalAvgPool
        | Op::AdaptiveAvgPool { .. }
        | Op::LocalResponseNorm(_)
        | Op::Add
        | Op::Mul
        | Op::Scale { .. }
        | Op::Concat
        | Op::Slice { .. }
        | Op::ChannelShuffle { .. }
        | Op::UpsampleLike
        | Op::Dropout { .. }
        | Op::Softmax => Vec::new(),
    }
}

/// The output shape of `op`.
///
/// # Errors
/// What is wrong with the settings or the inputs.
pub fn infer(op: &Op, inputs: &[&[usize]]) -> Result<Vec<usize>, Problem> {
    let arity = op.facts().inputs;
    if !arity.allow(inputs.len()) {
        return Err(Problem::Inputs { op: op.name(), wanted: arity.wanted(), given: inputs.len() });
    }
    let shape = match op {
        Op::Input => unreachable!("an input has no inputs to infer from"),
        Op::Conv(conv) => conv_shape(conv, map(op, inputs[0])?)?,
        Op::Pool(pool) => pool_shape(op.name(), pool, map(op, inputs[0])?)?,
        Op::GlobalAvgPool => {
            let [channels, ..] = map(op, inputs[0])?;
            vec![channels, 1, 1]
        }
        Op::AdaptiveAvgPool { size } => {
            let [channels, ..] = map(op, inputs[0])?;
            setting("adaptive_avg_pool", "size", format!("{size:?}"), !size.contains(&0))?;
            vec![channels, size[0], size[1]]
        }
        Op::BatchNorm(norm) => {
            setting("batch_norm", "eps", norm.eps, norm.eps.is_finite() && norm.eps >= 0.0)?;
            inputs[0].to_vec()
        }
        Op::LocalResponseNorm(norm) => {
            setting("local_response_norm", "size", norm.size, (1..WINDOW_LIMIT).contains(&norm.size))?;
            let finite = [norm.alpha, norm.beta, norm.k].iter().all(|constant| constant.is_finite());
            setting("local_response_norm", "constants", format!("{norm:?}"), finite)?;
            map(op, inputs[0])?.to_vec()
        }
        Op::Dropout { rate } => {
            setting("dropout", "rate", rate, (0.0..1.0).contains(rate))?;
            inputs[0].to_vec()
        }
        Op::Activation { function } => {
            setting(op.name(), "constants", format!("{function:?}"), function.is_sane())?;
            inputs[0].to_vec()
        }
        Op::Softmax => inputs[0].to_vec(),
        Op::Add | Op::Mul => broadcast(op.name(), inputs[0], inputs[1])?,
        Op::Scale { scale, shift } => {
            let channels = inputs[0][0];
            setting("scale", "number of factors", scale.len(), [1, channels].contains(&scale.len()))?;
            setting("scale", "number of terms", shift.len(), [1, channels].contains(&shift.len()))?;
            let wild = scale.iter().chain(shift).find(|constant| !constant.is_finite());
            setting("scale", "a constant", wild.unwrap_or(&0.0), wild.is_none())?;
            inputs[0].to_vec()
        }
        Op::Concat => concat_shape(inputs)?,
        Op::Slice { start, len } => {
            let [channels, height, width] = map(op, inputs[0])?;
            if *len == 0 || start.checked_add(*len).is_none_or(|end| end > channels) {
                return Err(Problem::SliceOutOfRange { start: *start, len: *len, channels });
            }
            vec![*len, height, width]
        }
        Op::ChannelShuffle { groups } => {
            let [channels, ..] = map(op, inputs[0])?;
            divides(op.name(), channels, *groups)?;
            inputs[0].to_vec()
        }
        Op::UpsampleLike => {
            let ([channels, ..], [_, height, width]) = (map(op, inputs[0])?, map(op, inputs[1])?);
            vec![channels, height, width]
        }
        Op::Linear { out, .. } => {
            setting("linear", "out", out, *out > 0)?;
            vec![*out]
        }
    };
    let parameters = params(op, inputs).into_iter().map(|param| param.shape);
    for tensor in std::iter::once(shape.clone()).chain(parameters) {
        if elements(&tensor).is_none() {
            return Err(Problem::TooLarge { op: op.name(), shape: tensor });
        }
    }
    Ok(shape)
}

fn setting(op: &'static str, what: &'static str, value: impl ToString, right: bool) -> Result<(), Problem> {
    if right { Ok(()) } else { Err(Problem::Setting { op, what, value: value.to_string() }) }
}

fn map(op: &Op, shape: &[usize]) -> Result<[usize; 3], Problem> {
    shape.try_into().map_err(|_| Problem::NotAMap { op: op.name(), shape: shape.to_vec() })
}

fn divides(op: &'static str, channels: usize, groups: usize) -> Result<(), Problem> {
    if groups == 0 || !channels.is_multiple_of(groups) {
        return Err(Problem::Groups { op, channels, groups });
    }
    Ok(())
}

fn window(
    op: &'static str,
    kernel: [usize; 2],
    stride: [usize; 2],
    dilation: [usize; 2],
) -> Result<(), Problem> {
    let sane = |n: usize| (1..WINDOW_LIMIT).contains(&n);
    setting(op, "kernel", format!("{kernel:?}"), kernel.into_iter().all(sane))?;
    setting(op, "stride", format!("{stride:?}"), stride.into_iter().all(sane))?;
    setting(op, "dilation", format!("{dilation:?}"), dilation.into_iter().all(sane))
}

fn padding_is_sane(op: &'static str, padding: Padding) -> Result<(), Problem> {
    match padding {
        Padding::Same => Ok(()),
        Padding::Explicit { top, left, bottom, right } => {
            let sane = [top, left, bottom, right].into_iter().all(|n| n < WINDOW_LIMIT);
            setting(op, "padding", format!("{:?}", [top, left, bottom, right]), sane)
        }
    }
}

fn conv_shape(conv: &Conv, [channels, height, width]: [usize; 3]) -> Result<Vec<usize>, Problem> {
    let op = "conv";
    let &Conv { out, kernel, stride, dilation, groups, .. } = conv;
    setting(op, "out", out, out > 0)?;
    window(op, kernel, stride, dilation)?;
    divides(op, channels, groups)?;
    divides(op, out, groups)?;
    setting(op, "padding", "missing", conv.padding.is_some())?;
    let padding = conv.set_padding();
    padding_is_sane(op, padding)?;
    let input = [height, width];
    let pads = pad_amounts(padding, input, kernel, stride, dilation);
    let extent = [0, 1].map(|axis| dilation[axis].saturating_mul(kernel[axis] - 1).saturating_add(1));
    let padded = padded(op, [channels, height, width], pads)?;
    let mut shape = vec![out];
    for axis in 0..2 {
        let room = padded[axis].checked_sub(extent[axis]).ok_or_else(|| Problem::WindowTooLarge {
            op,
            kernel: extent,
            shape: vec![channels, height, width],
        })?;
        shape.push(room / stride[axis] + 1);
    }
    Ok(shape)
}

fn pool_shape(
    op: &'static str,
    pool: &Pool,
    [channels, height, width]: [usize; 3],
) -> Result<Vec<usize>, Problem> {
    let &Pool { kernel, stride, padding, ceil, .. } = pool;
    window(op, kernel, stride, [1, 1])?;
    padding_is_sane(op, padding)?;
    let input = [height, width];
    let pads = pad_amounts(padding, input, kernel, stride, [1, 1]);
    let padded = padded(op, [channels, height, width], pads)?;
    let mut shape = vec![channels];
    for axis in 0..2 {
        let [before, after] = pads[axis];
        setting(op, "padding", before.max(after), before.max(after) < kernel[axis])?;
        let room = padded[axis].checked_sub(kernel[axis]).ok_or_else(|| Problem::WindowTooLarge {
            op,
            kernel,
            shape: vec![channels, height, width],
        })?;
        let mut out = room / stride[axis] + 1;
        if ceil && !room.is_multiple_of(stride[axis]) && out * stride[axis] < input[axis] + before {
            out += 1;
        }
        shape.push(out);
    }
    Ok(shape)
}

/// Height and width of a map with its padding, which has as many elements as a value may have at most.
fn padded(
    op: &'static str,
    [channels, height, width]: [usize; 3],
    pads: [[usize; 2]; 2],
) -> Result<[usize; 2], Problem> {
    let [rows, columns] = pads.map(|[before, after]| before.saturating_add(after));
    let padded = [channels, height.saturating_add(rows), width.saturating_add(columns)];
    match elements(&padded) {
        Some(_) => Ok([padded[1], padded[2]]),
        None => Err(Problem::TooLarge { op, shape: padded.to_vec() }),
    }
}

/// Shapes aligned at the channel: `[c]` stands for `[c, 1, 1]`.
fn broadcast(op: &'static str, left: &[usize], right: &[usize]) -> Result<Vec<usize>, Problem> {
    let differ = || Problem::Differ { op, left: left.to_vec(), right: right.to_vec() };
    let dims = left.len().max(right.len());
    let at = |shape: &[usize], i: usize| shape.get(i).copied().unwrap_or(1);
    (0..dims)
        .map(|i| match (at(left, i), at(right, i)) {
            (l, r) if l == r => Ok(l),
            (1, n) | (n, 1) => Ok(n),
            _ => Err(differ()),
        })
        .collect()
}

fn concat_shape(inputs: &[&[usize]]) -> Result<Vec<usize>, Problem> {
    let mut shape = inputs[0].to_vec();
    for next in &inputs[1..] {
        if next.len() != shape.len() || next[1..] != shape[1..] {
            return Err(Problem::Differ { op: "concat", left: shape, right: next.to_vec() });
        }
        shape[0] = shape[0].saturating_add(next[0]);
    }
    Ok(shape)
}
