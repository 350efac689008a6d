//! Layers with weights: convolutions and products with a matrix.

use cygnet_graph::{Conv, Op, Padding};

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
    let bias = call.constant(2)?.cloned();
    let name = call.layer(1);
    let weight = call.owned(1)?;
    conv_with(call, weight, bias.as_ref(), &name)
}

/// A convolution of the first input, with these weights.
pub(super) fn conv_with(
    call: &mut Call,
    weight: Array,
    bias: Option<&Array>,
    name: &str,
) -> Result<Vec<Entry>, Reason> {
    let (base, spatial) = call.map(0)?;
    let pending = call.tracked_as_is(0)?.pads;
    let [channels, rows, columns] = axes(call.draft.shape(base));
    let [out, inputs, kernel @ ..] = &weight.shape[..] else {
        return Err(Reason::new(format!("its weight has the shape {:?}", weight.shape)));
    };
    let (out, inputs) = (*out, *inputs);
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
    let conv = Conv { out, kernel, stride, dilation, groups, bias: bias.is_some(), padding: Some(padding) };
    let scales = scales_of(&weight, bias);
    let mut params = vec![weight.into_floats()];
    if let Some(bias) = bias {
        params.push(one_each(bias, out)?);
    }
    let base = call.draft.emit_with(Op::Conv(conv), &[base], name, params)?;
    call.draft.nodes[base].scales = scales;
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
    let bias = call.constant(2)?.cloned();
    let (alpha, beta) = (call.float("alpha", 1.0), call.float("beta", 1.0));
    call.ignore(&["broadcast"]);
    if call.int("transA", 0) != 0 {
        return Err(Reason::new("its first input is transposed, so that images are its columns"));
    }
    if call.known(1)?.shape.len() != 2 || call.tracked(0)?.dims.len() != 2 {
        return Err(Reason::new("its inputs are no matrices"));
    }
    let bias = bias.map(|bias| scaled(bias, beta));
    let is_turned = call.int("transB", 0) != 0;
    let name = call.layer(1);
    let array = scaled(call.owned(1)?, alpha);
    product_with(call, Matrix { array, is_turned }, bias.as_ref(), &name)
}

/// Numbers times a factor.
fn scaled(array: Array, factor: f32) -> Array {
    if factor == 1.0 {
        return array;
    }
    let shape = array.shape.clone();
    Array::floats(shape, array.into_floats().into_iter().map(|x| x * factor).collect())
}

/// A matrix of `[in, out]`, or of `[out, in]` if it `is_turned`.
struct Matrix {
    array: Array,
    is_turned: bool,
}

impl Matrix {
    /// Inputs and outputs.
    fn sizes(&self) -> [usize; 2] {
        let [first, second] = [self.array.shape[0], self.array.shape[1]];
        if self.is_turned { [second, first] } else { [first, second] }
    }

    /// Rows of a layer, one an output: the number of an input comes to its place.
    fn rows(self, places: &[usize]) -> Vec<f32> {
        let [inputs, outputs] = self.sizes();
        let is_turned = self.is_turned;
        let numbers = self.array.into_floats();
        if is_turned && places.iter().copied().eq(0..inputs) {
            return numbers;
        }
        let mut rows = vec![0.0; numbers.len()];
        for (input, &place) in places.iter().enumerate() {
            for output in 0..outputs {
                let from = if is_turned { output * inputs + input } else { input * outputs + output };
                rows[output * inputs + place] = numbers[from];
            }
        }
        rows
    }
}

pub(crate) fn mat_mul(call: &mut Call) -> Result<Vec<Entry>, Reason> {
    let shape = &call.known(1)?.shape;
    if shape.len() != 2 {
        return Err(Reason::new(format!("its second input has the shape {shape:?}, which is no matrix")));
    }
    let name = call.layer(1);
    let matrix = Matrix { array: call.owned(1)?, is_turned: false };
    product_with(call, matrix, None, &name)
}

/// The product of the first input with a matrix.
fn product_with(
    call: &mut Call,
    matrix: Matrix,
    bias: Option<&Array>,
    name: &str,
) -> Result<Vec<Entry>, Reason> {
    let view = call.tracked(0)?;
    let [inputs, out] = matrix.sizes();
    let rank = view.dims.len();
    let shape = view.shape();
    if rank < 2 || shape[rank - 1] != inputs {
        return Err(Reason::new(format!("a matrix of {inputs} by {out} for an input of {shape:?}")));
    }
    let scales = scales_of(&matrix.array, bias);
    let bias = bias.map(|bias| one_each(bias, out)).transpose()?;
    let has_bias = bias.is_some();
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
            let params = [matrix.rows(&images.places())].into_iter().chain(bias).collect();
            let base =
                call.draft.emit_with(Op::Linear { out, bias: has_bias }, &[view.base], name, params)?;
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
    let places: Vec<usize> = (0..inputs).collect();
    let params = [matrix.rows(&places)].into_iter().chain(bias).collect();
    let conv = Conv { bias: has_bias, ..Conv::new(out, 1).valid() };
    let base = call.draft.emit_with(Op::Conv(conv), &[view.base], name, params)?;
    call.draft.nodes[base].scales = scales;
    let mut parts = parts;
    parts[rank - 1] = vec![Part { axis: Axis::Channel, size: out, step: 1 }];
    Ok(vec![View::of_parts(base, call.draft.shape(base), &parts).into()])
}
