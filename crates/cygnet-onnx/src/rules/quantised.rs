//! Numbers in fewer bits. The draft computes with the real numbers that they stand for; what falls outside of the range
//! that the bits can tell is bounded by it.

use cygnet_graph::{Activation, Op};

use super::{activation, arithmetic, joining, layers, norm, pool};
use crate::Reason;
use crate::array::{Array, Element, Numbers};
use crate::import::call::{Call, Entry, Scale, Tracked, dimension};
use crate::import::grids;
use crate::import::view::View;

/// The scale and zero at two inputs, for a tensor of one scale; the type is that of the zero, or `element`.
fn scale_at(call: &Call, scale: usize, zero: usize, element: Element) -> Result<Scale, Reason> {
    let scale = scales_at(call, scale, zero, element)?;
    scale.one()?;
    Ok(scale)
}

/// As [`scale_at`], for a tensor that may have a scale for each channel.
fn scales_at(call: &Call, scale: usize, zero: usize, element: Element) -> Result<Scale, Reason> {
    let zero = call.constant(zero)?;
    let element = zero.map_or(element, |zero| zero.element);
    let scales = call.known(scale)?;
    sensible(scales)?;
    let scales = scales.to_floats().to_vec();
    let zeros = zero.map(Array::to_floats).unwrap_or_default();
    let count = zeros.len();
    if scales.is_empty() || zero.is_some() && count != scales.len() {
        return Err(Reason::new(format!("{} scales and {count} zeros do not go together", scales.len())));
    }
    let zero = zeros.first().copied().unwrap_or(0.0);
    if zeros.iter().any(|&other| other != zero) {
        return Err(Reason::new("its channels have different zeros; quantise it with one for all"));
    }
    if element.range().is_some_and(|[low, high]| !(low..=high).contains(&zero)) {
        return Err(Reason::new(format!("a zero of {zero} is outside of its type")));
    }
    Ok(Scale { scales, zero, element })
}

/// Whether scales are numbers by which something can be computed.
fn sensible(scales: &Array) -> Result<(), Reason> {
    match scales.to_floats().iter().find(|scale| !(scale.is_finite() && **scale > 0.0)) {
        Some(scale) => {
            Err(Reason::new(format!("a scale of {scale} makes no sense; quantise the network again")))
        }
        None => Ok(()),
    }
}

/// A value rounded to bytes, or one of real numbers that is bounded by what the bits can tell. It `is_sole` if nothing else
/// reads it before that.
fn bounded(call: &mut Call, entry: Entry, to: Scale, is_sole: bool) -> Result<Entry, Reason> {
    let Entry::Tracked(tracked) = entry else { return Err(Reason::new("its output is a constant")) };
    if let Some(bytes) = &mut call.draft.bytes {
        match to.grid() {
            Some(grid) => {
                let view = grids::put(call.draft, &tracked.view, grid, is_sole)?;
                return Ok(Entry::Tracked(Tracked { view, scale: Some(to), ..tracked }));
            }
            None => {
                let name = call.node.name();
                bytes.obstacle = Some(format!("{name} rounds to {:?}, not to bytes", to.element));
            }
        }
    }
    let Some(range) = to.element.range() else {
        return Err(Reason::new("it quantises to a type of numbers that is not known for activations"));
    };
    let scale = to.one()?;
    let [low, high] = range.map(|bound| (bound - to.zero) * scale);
    let view = call.then(&tracked.view, Op::Activation { function: Activation::Clamp { low, high } })?;
    Ok(Entry::Tracked(Tracked { view, scale: Some(to), ..tracked }))
}

/// The real numbers of a constant, with one scale or one for each place of a dimension.
fn real(array: &Array, scale: &Array, zero: Option<&Array>, axis: i64) -> Result<Array, Reason> {
    let (numbers, scales) = (array.to_floats(), scale.to_floats());
    let zeros = zero.map(Array::to_floats);
    let zero_at = |at: usize| {
        zeros.as_ref().map_or(Some(0.0), |zeros| zeros.get(if zeros.len() == 1 { 0 } else { at }).copied())
    };
    let (dim, inner) = if scales.len() == 1 {
        (1, numbers.len().max(1))
    } else {
        let dim = dimension(axis, array.shape.len())?;
        if array.shape[dim] != scales.len() || scale.shape.len() != 1 {
            return Err(Reason::new(format!(
                "scales of {:?} for a tensor of {:?}",
                scale.shape, array.shape
            )));
        }
        (scales.len(), array.shape[dim + 1..].iter().product())
    };
    let wrong = || Reason::new("it has another number of zeros than of scales");
    let mut reals = Vec::with_capacity(numbers.len());
    for (at, number) in numbers.iter().enumerate() {
        let at = at / inner % dim;
        reals.push((number - zero_at(at).ok_or_else(wrong)?) * scales[at]);
    }
    Ok(Array { scales: Some(scales), ..Array::floats(array.shape.clone(), reals) })
}

/// The constant at an input, in real numbers by the scale and zero after it.
fn real_at(call: &Call, index: usize, axis: i64) -> Result<Array, Reason> {
    sensible(call.known(index + 1)?)?;
    real(call.known(index)?, call.known(index + 1)?, call.constant(index + 2)?, axis)
}

/// Puts a tensor of real numbers, whose scale is at two inputs, in the place of the first input.
fn as_real(call: &mut Call, index: usize) -> Result<Entry, Reason> {
    if let Ok(Some(_)) = call.constant(index) {
        return Ok(real_at(call, index, 1)?.into());
    }
    let tracked = call.tracked_as_is(index)?;
    Ok(Entry::Tracked(Tracked { scale: None, ..tracked }))
}

/// Whether scales, if there are several, are those of a tensor's channels.
fn by_channel(call: &Call, view: &View, scale: &Scale, axis: i64) -> Result<(), Reason> {
    let (count, shape) = (scale.scales.len(), view.shape());
    if count == 1 {
        return Ok(());
    }
    let value = call.draft.shape(view.base);
    let is_channel = dimension(axis, shape.len())? == 1 && shape[1] == count && value[0] == count;
    if is_channel && view.is_in_order(value.iter().product()) {
        return Ok(());
    }
    Err(Reason::new(format!(
        "{count} scales along dimension {axis} of {shape:?} are not one for each channel"
    )))
}

pub(crate) fn quantize(call: &mut Call) -> Result<Vec<Entry>, Reason> {
    call.ignore(&["saturate", "precision"]);
    let axis = call.int("axis", 1);
    let element = match call.int("output_dtype", 0) {
        0 => Element::U8,
        code => Element::of(i32::try_from(code).unwrap_or(0))?,
    };
    if call.int("block_size", 0) != 0 {
        return Err(Reason::new("it has a scale for each block of numbers"));
    }
    if let Ok(Some(array)) = call.constant(0) {
        sensible(call.known(1)?)?;
        let (scale, zero) = (call.known(1)?.to_floats(), call.constant(2)?);
        let element = zero.map_or(element, |zero| zero.element);
        let inverse =
            Array::floats(call.known(1)?.shape.clone(), scale.iter().map(|scale| 1.0 / scale).collect());
        let scaled = real(array, &inverse, None, axis)?;
        let zeros = Array::floats(inverse.shape.clone(), vec![-1.0; inverse.count()]);
        let offset = match zero {
            Some(zero) => real(&super::fold::unary(&scaled, |_| 0.0), &zeros, Some(zero), axis)?,
            None => super::fold::unary(&scaled, |_| 0.0),
        };
        let [low, high] = element.range().ok_or_else(|| Reason::new("it quantises to an unknown type"))?;
        let (numbers, offset) = (scaled.to_floats(), offset.to_floats());
        let quantised = numbers
            .iter()
            .zip(offset.iter())
            .map(|(x, zero)| (x.round_ties_even() + zero).clamp(low, high) as i64);
        return Ok(vec![Array::ints(array.shape.clone(), element, quantised.collect()).into()]);
    }
    let to = scales_at(call, 1, 2, element)?;
    let view = call.tracked(0)?;
    by_channel(call, &view, &to, axis)?;
    let name = call.inputs[0].as_ref().map_or("", |(name, _)| *name);
    let is_sole = call.draft.bytes.as_ref().is_some_and(|bytes| !bytes.shared.contains(name));
    Ok(vec![bounded(call, view.into(), to, is_sole)?])
}

pub(crate) fn dequantize(call: &mut Call) -> Result<Vec<Entry>, Reason> {
    call.ignore(&["output_dtype"]);
    let axis = call.int("axis", 1);
    if call.int("block_size", 0) != 0 {
        return Err(Reason::new("it has a scale for each block of numbers"));
    }
    if let Ok(Some(_)) = call.constant(0) {
        return Ok(vec![real_at(call, 0, axis)?.into()]);
    }
    let tracked = call.tracked_as_is(0)?;
    let by = scales_at(call, 1, 2, Element::U8)?;
    by_channel(call, &tracked.view, &by, axis)?;
    match &tracked.scale {
        Some(scale) if (&scale.scales, scale.zero) == (&by.scales, by.zero) => {
            Ok(vec![Entry::Tracked(Tracked { scale: None, ..tracked })])
        }
        Some(_) => Err(Reason::new("it reads numbers by another scale than they were made with")),
        // The image itself, whose pixels are whole numbers.
        None => {
            let scale = by.one()?;
            arithmetic::scaled(call, &tracked.view, vec![scale], vec![-by.zero * scale])
        }
    }
}

/// Runs a rule on real inputs and bounds what it makes by the scale and zero at two inputs.
fn through(
    call: &mut Call,
    inputs: Vec<Entry>,
    to: Scale,
    rule: impl FnOnce(&mut Call) -> Result<Vec<Entry>, Reason>,
) -> Result<Vec<Entry>, Reason> {
    call.inputs = inputs.into_iter().map(|entry| Some(("", entry))).collect();
    let mut outputs = rule(call)?;
    let output = outputs.pop().ok_or_else(|| Reason::new("it returns nothing"))?;
    Ok(vec![bounded(call, output, to, true)?])
}

/// The bias of a quantised layer, in units of the product of its input's and its weight's scales.
fn bias(call: &Call, index: usize, input: f32, weight: &Array) -> Result<Option<Array>, Reason> {
    let Some(bias) = call.constant(index)? else { return Ok(None) };
    if matches!(bias.numbers, Numbers::Floats(_)) {
        return Ok(Some(bias.clone()));
    }
    let scales = super::fold::unary(weight, |scale| scale * input);
    Ok(Some(real(bias, &scales, None, 0)?))
}

pub(crate) fn conv(call: &mut Call) -> Result<Vec<Entry>, Reason> {
    let to = scale_at(call, 6, 7, Element::U8)?;
    let from = scale_at(call, 1, 2, Element::U8)?;
    let weight = real_at(call, 3, 0)?;
    let bias = bias(call, 8, from.one()?, call.known(4)?)?;
    let name = call.layer(3);
    let input = as_real(call, 0)?;
    through(call, vec![input], to, |call| layers::conv_with(call, weight, bias.as_ref(), &name))
}

pub(crate) fn mat_mul(call: &mut Call) -> Result<Vec<Entry>, Reason> {
    let to = scale_at(call, 6, 7, Element::U8)?;
    let weight = real_at(call, 3, 1)?;
    let input = as_real(call, 0)?;
    through(call, vec![input, weight.into()], to, layers::mat_mul)
}

pub(crate) fn gemm(call: &mut Call) -> Result<Vec<Entry>, Reason> {
    let to = scale_at(call, 7, 8, Element::U8)?;
    let from = scale_at(call, 1, 2, Element::U8)?;
    let axis = if call.int("transB", 0) == 0 { 1 } else { 0 };
    let weight = real_at(call, 3, axis)?;
    let bias = bias(call, 6, from.one()?, call.known(4)?)?;
    let input = as_real(call, 0)?;
    let inputs = [input, weight.into()].into_iter().chain(bias.map(Entry::from)).collect();
    through(call, inputs, to, layers::gemm)
}

pub(crate) fn add(call: &mut Call) -> Result<Vec<Entry>, Reason> {
    let to = scale_at(call, 6, 7, Element::U8)?;
    let inputs = vec![as_real(call, 0)?, as_real(call, 3)?];
    through(call, inputs, to, arithmetic::add)
}

pub(crate) fn mul(call: &mut Call) -> Result<Vec<Entry>, Reason> {
    let to = scale_at(call, 6, 7, Element::U8)?;
    let inputs = vec![as_real(call, 0)?, as_real(call, 3)?];
    through(call, inputs, to, arithmetic::mul)
}

/// A rule of one quantised input.
fn one(
    call: &mut Call,
    rule: impl FnOnce(&mut Call) -> Result<Vec<Entry>, Reason>,
) -> Result<Vec<Entry>, Reason> {
    let to = scale_at(call, 3, 4, Element::U8)?;
    let input = as_real(call, 0)?;
    through(call, vec![input], to, rule)
}

/// Channels last is told by an attribute of its own.
fn channels_first(call: &Call) -> Result<(), Reason> {
    match call.int("channels_last", 0) {
        0 => Ok(()),
        _ => Err(Reason::new("its channels come last")),
    }
}

pub(crate) fn average_pool(call: &mut Call) -> Result<Vec<Entry>, Reason> {
    channels_first(call)?;
    one(call, pool::average)
}

pub(crate) fn global_average_pool(call: &mut Call) -> Result<Vec<Entry>, Reason> {
    channels_first(call)?;
    one(call, pool::global_average)
}

pub(crate) fn sigmoid(call: &mut Call) -> Result<Vec<Entry>, Reason> {
    one(call, activation::sigmoid)
}

pub(crate) fn leaky_relu(call: &mut Call) -> Result<Vec<Entry>, Reason> {
    one(call, activation::leaky_relu)
}

pub(crate) fn softmax(call: &mut Call) -> Result<Vec<Entry>, Reason> {
    call.opset = call.int("opset", call.opset);
    one(call, norm::softmax)
}

pub(crate) fn concat(call: &mut Call) -> Result<Vec<Entry>, Reason> {
    let to = scale_at(call, 0, 1, Element::U8)?;
    let count = call.inputs.len();
    let inputs = (2..count).step_by(3).map(|index| as_real(call, index)).collect::<Result<Vec<_>, _>>()?;
    through(call, inputs, to, joining::concat)
}
