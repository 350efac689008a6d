//! Layers with weights: convolutions and products with a matrix.

use cygnet_graph::{Conv, Op, Padding};

use super::rearrange::transposed;
use crate::Reason;
use crate::array::Array;
use crate::import::call::{Call, Entry};
use crate::import::draft::LayerScales;
use crate::import::view::{Axis, Part, View, axes, product};

/// Settings of a window in rows and columns.
pub(super) struct Window {
    pub(super) kernel: [usize; 2],
    pub(super) stride: [usize; 2],
    pub(super) dilation: [usize; 2],
    pub(super) padding: Padding,
}

/// What a window's attributes say, for the spatial dimensions of its input, whose padding is pending.
pub(super) fn window(
    call: &Call,
    kernel: &[usize],
    spatial: &[Axis],
    input: [usize; 2],
    pending: [usize; 4],
) -> Result<Window, Reason> {
    let rank = spatial.len();
    let given = |name: &str, default: usize, count: usize| {
        let list = call.sizes(name)?.filter(|list| !list.is_empty()).unwrap_or_else(|| vec![default; count]);
        if list.len() == count {
            Ok(list)
        } else {
            Err(Reason::new(format!("{name} has {} numbers", list.len())))
        }
    };
    // A dimension that the tensor does not have is one row or column, which a window of one covers.
    let pair = |list: &[usize], default: usize| {
        let at = |axis: Axis| spatial.iter().position(|&other| other == axis).map_or(default, |at| list[at]);
        [at(Axis::Row), at(Axis::Column)]
    };
    if kernel.len() != rank {
        return Err(Reason::new(format!("its window has {} dimensions, its input {rank}", kernel.len())));
    }
    let kernel = pair(kernel, 1);
    let stride = pair(&given("strides", 1, rank)?, 1);
    let dilation = pair(&given("dilations", 1, rank)?, 1);
    let pads = given("pads", 0, 2 * rank)?;
    let (before, after) = (pair(&pads[..rank], 0), pair(&pads[rank..], 0));
    if stride.contains(&0) || kernel.contains(&0) {
        return Err(Reason::new("its window has a kernel or a step of 0"));
    }
    let explicit = |[top, left, bottom, right]: [usize; 4]| Padding::Explicit { top, left, bottom, right };
    let padding = match call.text("auto_pad", "NOTSET").as_str() {
        "NOTSET" | "" => explicit(std::array::from_fn(|side| {
            let own = if side < 2 { before[side] } else { after[side - 2] };
            own.saturating_add(pending[side])
        })),
        "VALID" => explicit(pending),
        _ if pending != [0; 4] => {
            return Err(Reason::new("its input is padded, and it pads by a rule as well"));
        }
        "SAME_UPPER" => Padding::Same,
        "SAME_LOWER" => {
            let total = |axis: usize| {
                let extent = dilation[axis].saturating_mul(kernel[axis] - 1).saturating_add(1);
                let reach = (input[axis].div_ceil(stride[axis]) - 1).saturating_mul(stride[axis]);
                reach.saturating_add(extent).saturating_sub(input[axis])
            };
            let [rows, columns] = [total(0), total(1)];
            explicit([rows - rows / 2, columns - columns / 2, rows / 2, columns / 2])
        }
        other => return Err(Reason::new(format!("auto_pad {other} is not known"))),
    };
    Ok(Window { kernel, stride, dilation, padding })
}

/// A feature map that came of another, with the dimensions that the tensor had.
pub(super) fn map_view(call: &Call, base: usize, spatial: &[Axis]) -> View {
    let channel: &[&[Axis]] = &[&[Axis::Batch], &[Axis::Channel]];
    let dims: Vec<&[Axis]> =
        channel.iter().copied().chain(spatial.iter().map(std::slice::from_ref)).collect();
    View::whole(base, call.draft.shape(base), call.batch, &dims)
}

pub(crate) fn conv(call: &mut Call) -> Result<Vec<Entry>, Reason> {
    let weight = call.known(1)?.clone();
    let bias = call.constant(2)?.cloned();
    let name = call.layer(1);
    conv_with(call, &weight, bias.as_ref(), &name)
}

/// A convolution of the first input, with these weights.
pub(super) fn conv_with(
    call: &mut Call,
    weight: &Array,
    bias: Option<&Array>,
    name: &str,
) -> Result<Vec<Entry>, Reason> {
    let (base, spatial) = call.map(0)?;
    let pending = call.tracked_as_is(0)?.pads;
    let [channels, rows, columns] = axes(call.draft.shape(base));
    let [out, inputs, kernel @ ..] = &weight.shape[..] else {
        return Err(Reason::new(format!("its weight has the shape {:?}", weight.shape)));
    };
    if call.sizes("kernel_shape")?.is_some_and(|given| given != kernel) {
        return Err(Reason::new("its kernel_shape is not that of its weight"));
    }
    let groups = usize::try_from(call.int("group", 1)).unwrap_or(0);
    if groups == 0 || inputs.checked_mul(groups) != Some(channels) {
        return Err(Reason::new(format!(
            "a weight of {:?} in {groups} groups for {channels} channels",
            weight.shape
        )));
    }
    let Window { kernel, stride, dilation, padding } =
        window(call, kernel, &spatial, [rows, columns], pending)?;
    let conv =
        Conv { out: *out, kernel, stride, dilation, groups, bias: bias.is_some(), padding: Some(padding) };
    let mut params = vec![weight.to_floats().to_vec()];
    if let Some(bias) = bias {
        params.push(one_each(bias, *out)?);
    }
    let base = call.draft.emit_with(Op::Conv(conv), &[base], name, params)?;
    call.draft.nodes[base].scales = scales_of(weight, bias);
    Ok(vec![map_view(call, base, &spatial).into()])
}

/// Scales that weights and bias came with.
fn scales_of(weight: &Array, bias: Option<&Array>) -> LayerScales {
    [weight.scales.clone(), bias.and_then(|bias| bias.scales.clone())]
}

/// A bias that is broadcast to so many outputs.
fn one_each(bias: &Array, out: usize) -> Result<Vec<f32>, Reason> {
    let numbers = bias.to_floats();
    match numbers[..] {
        [one] => Ok(vec![one; out]),
        _ if numbers.len() == out && bias.shape.last() == Some(&out) => Ok(numbers.to_vec()),
        _ => Err(Reason::new(format!("a bias of {:?} for {out} outputs", bias.shape))),
    }
}

pub(crate) fn gemm(call: &mut Call) -> Result<Vec<Entry>, Reason> {
    let weight = call.known(1)?.clone();
    let bias = call.constant(2)?.cloned();
    let (alpha, beta) = (call.float("alpha", 1.0), call.float("beta", 1.0));
    call.ignore(&["broadcast"]);
    if call.int("transA", 0) != 0 {
        return Err(Reason::new("its first input is transposed, so that images are its columns"));
    }
    if weight.shape.len() != 2 || call.tracked(0)?.dims.len() != 2 {
        return Err(Reason::new("its inputs are no matrices"));
    }
    let weight = if call.int("transB", 0) == 0 { weight } else { transposed(&weight, &[1, 0]) };
    let scaled = |array: &Array, factor: f32| {
        if factor == 1.0 {
            return array.clone();
        }
        super::fold::unary(&Array::floats(array.shape.clone(), array.to_floats().to_vec()), |x| x * factor)
    };
    let bias = bias.map(|bias| scaled(&bias, beta));
    product_with(call, &scaled(&weight, alpha), bias.as_ref())
}

pub(crate) fn mat_mul(call: &mut Call) -> Result<Vec<Entry>, Reason> {
    let weight = call.known(1)?.clone();
    if weight.shape.len() != 2 {
        return Err(Reason::new(format!(
            "its second input has the shape {:?}, which is no matrix",
            weight.shape
        )));
    }
    product_with(call, &weight, None)
}

/// The product of the first input with a matrix of `[in, out]`.
pub(super) fn product_with(
    call: &mut Call,
    weight: &Array,
    bias: Option<&Array>,
) -> Result<Vec<Entry>, Reason> {
    let view = call.tracked(0)?;
    let [inputs, out] = [weight.shape[0], weight.shape[1]];
    let rank = view.dims.len();
    let shape = view.shape();
    if rank < 2 || shape[rank - 1] != inputs {
        return Err(Reason::new(format!("a matrix of {:?} for an input of {shape:?}", weight.shape)));
    }
    let numbers = weight.to_floats();
    let scales = scales_of(weight, bias);
    let bias = bias.map(|bias| one_each(bias, out)).transpose()?;
    let has_bias = bias.is_some();
    let columns = |places: &[usize]| {
        let mut rows = vec![0.0; numbers.len()];
        for (input, &place) in places.iter().enumerate() {
            (0..out).for_each(|output| rows[output * inputs + place] = numbers[input * out + output]);
        }
        let mut params = vec![rows];
        params.extend(bias.clone());
        params
    };
    let name = call.layer(1);
    // All numbers of an image in the last dimension, in whatever order: the weights take it.
    let is_batch = view.dims[..rank - 1].iter().enumerate().all(|(dim, atoms)| dim == 0 || atoms.is_empty());
    let is_whole = |draft: &crate::import::draft::Draft, view: &View| {
        product(draft.shape(view.base)) == inputs && view.batch_leads()
    };
    if is_batch && shape[0] == call.batch {
        let view = if is_whole(call.draft, &view) { view } else { call.draft.packed(&view)? };
        if is_whole(call.draft, &view) {
            let images =
                View { base: view.base, offset: view.offset, dims: vec![view.dims[rank - 1].clone()] };
            let params = columns(&images.places());
            let base =
                call.draft.emit_with(Op::Linear { out, bias: has_bias }, &[view.base], &name, params)?;
            call.draft.nodes[base].scales = scales;
            let mut wanted = shape;
            wanted[rank - 1] = out;
            let view = View::vector(base, &[out], call.batch);
            let view = view.reshaped(&wanted).ok_or_else(|| Reason::new("its images are mixed"))?;
            return Ok(vec![view.into()]);
        }
    }
    let (view, parts) = call.packed(0)?;
    let is_channels = parts[rank - 1].iter().all(|part| part.axis == Axis::Channel);
    let others = parts[..rank - 1].iter().flatten().all(|part| part.axis != Axis::Channel);
    if !is_channels || !others || call.draft.shape(view.base).len() != 3 {
        return Err(Reason::new(format!(
            "it multiplies {shape:?}, whose last dimension is not that of the channels"
        )));
    }
    let params = columns(&(0..inputs).collect::<Vec<_>>());
    let conv = Conv { bias: has_bias, ..Conv::new(out, 1).valid() };
    let base = call.draft.emit_with(Op::Conv(conv), &[view.base], &name, params)?;
    call.draft.nodes[base].scales = scales;
    let mut parts = parts;
    parts[rank - 1] = vec![Part { axis: Axis::Channel, size: out, step: 1 }];
    Ok(vec![View::of_parts(base, call.draft.shape(base), &parts).into()])
}
