//! Element-wise functions.

use cygnet_graph::{Activation, Op};

use super::arithmetic::{by_channel, scaled};
use super::{arithmetic, fold};
use crate::Reason;
use crate::import::call::{Call, Entry};
use crate::import::view::View;

fn function(call: &mut Call, function: Activation) -> Result<Vec<Entry>, Reason> {
    call.ignore(&["consumed_inputs"]);
    let view = call.tracked(0)?;
    Ok(vec![call.then(&view, Op::Activation { function })?.into()])
}

pub(crate) fn relu(call: &mut Call) -> Result<Vec<Entry>, Reason> {
    fold::or_unary(call, |x| x.max(0.0), |call| function(call, Activation::RELU))
}

pub(crate) fn sigmoid(call: &mut Call) -> Result<Vec<Entry>, Reason> {
    function(call, Activation::Sigmoid)
}

pub(crate) fn hard_swish(call: &mut Call) -> Result<Vec<Entry>, Reason> {
    function(call, Activation::HardSwish)
}

/// A slope that is a sixth as a decimal of at least six digits.
fn is_sixth(x: f32) -> bool {
    (x - 1.0 / 6.0).abs() < 1e-6
}

pub(crate) fn hard_sigmoid(call: &mut Call) -> Result<Vec<Entry>, Reason> {
    let (scale, shift) = (call.float("alpha", 0.2), call.float("beta", 0.5));
    let chosen = if is_sixth(scale) && shift == 0.5 {
        Activation::HARD_SIGMOID
    } else {
        Activation::HardSigmoid { scale, shift, high: 1.0, factor: 1.0 }
    };
    function(call, chosen)
}

pub(crate) fn neg(call: &mut Call) -> Result<Vec<Entry>, Reason> {
    fold::or_unary(
        call,
        |x| -x,
        |call| {
            let view = call.tracked(0)?;
            scaled(call, &view, vec![-1.0], vec![0.0])
        },
    )
}

/// The parts of a value that are above and below zero.
fn halves(call: &mut Call, view: &View) -> Result<[View; 2], Reason> {
    let above = call.then(view, Op::Activation { function: Activation::RELU })?;
    let below = Activation::Clamp { low: f32::NEG_INFINITY, high: 0.0 };
    Ok([above, call.then(view, Op::Activation { function: below })?])
}

/// `max(x, 0) + slope * min(x, 0)`, the slope being one for all channels or one a channel.
fn sloped(call: &mut Call, view: &View, slope: Vec<f32>) -> Result<Vec<Entry>, Reason> {
    let [above, below] = halves(call, view)?;
    let below = call.then(&below, Op::Scale { scale: slope, shift: vec![0.0] })?;
    let base = call.draft.emit(Op::Add, &[above.base, below.base])?;
    Ok(vec![View { base, ..above }.into()])
}

pub(crate) fn abs(call: &mut Call) -> Result<Vec<Entry>, Reason> {
    fold::or_unary(call, f32::abs, |call| {
        let view = call.tracked(0)?;
        sloped(call, &view, vec![-1.0])
    })
}

pub(crate) fn leaky_relu(call: &mut Call) -> Result<Vec<Entry>, Reason> {
    call.ignore(&["consumed_inputs"]);
    let slope = call.float("alpha", 0.01);
    let view = call.tracked(0)?;
    sloped(call, &view, vec![slope])
}

pub(crate) fn p_relu(call: &mut Call) -> Result<Vec<Entry>, Reason> {
    call.ignore(&["consumed_inputs"]);
    let slope = call.known(1)?.clone();
    let numbers = slope.to_floats();
    let (view, parts) = call.packed(0)?;
    // One slope a channel may be given as a list, which is not aligned at the last dimension.
    let rank = view.dims.len();
    let mut shape = slope.shape.clone();
    if shape.len() == 1 && rank > 1 && shape[0] == view.shape()[1] && shape[0] != view.shape()[rank - 1] {
        shape.resize(rank - 1, 1);
    }
    if shape.len() > rank {
        return Err(Reason::new(format!("its slope has the shape {:?}", slope.shape)));
    }
    shape.splice(0..0, vec![1; rank - shape.len()]);
    let slope = match numbers[..] {
        [one] => vec![one],
        ref numbers => by_channel(&parts, &shape, numbers, &view)?,
    };
    sloped(call, &view, slope)
}

/// `2 * sigmoid(2 * x) - 1`.
pub(crate) fn tanh(call: &mut Call) -> Result<Vec<Entry>, Reason> {
    let view = call.tracked(0)?;
    let doubled = call.then(&view, Op::Scale { scale: vec![2.0], shift: vec![0.0] })?;
    let gate = call.then(&doubled, Op::Activation { function: Activation::Sigmoid })?;
    scaled(call, &gate, vec![2.0], vec![-1.0])
}

pub(crate) fn clip(call: &mut Call) -> Result<Vec<Entry>, Reason> {
    let bound = |name: &str, index: usize, none: f32| match call.constant(index)? {
        Some(array) => array.scalar(),
        None => Ok(call.float(name, none)),
    };
    let (low, high) = (bound("min", 1, f32::NEG_INFINITY)?, bound("max", 2, f32::INFINITY)?);
    clamped(call, low, high)
}

fn clamped(call: &mut Call, low: f32, high: f32) -> Result<Vec<Entry>, Reason> {
    // Exporters write the largest float for a bound that is not there.
    let low = if low <= f32::MIN { f32::NEG_INFINITY } else { low };
    let high = if high >= f32::MAX { f32::INFINITY } else { high };
    if (low, high) == (f32::NEG_INFINITY, f32::INFINITY) {
        return Ok(vec![call.tracked(0)?.into()]);
    }
    function(call, Activation::Clamp { low, high })
}

pub(crate) fn max(call: &mut Call) -> Result<Vec<Entry>, Reason> {
    bounded(call, f32::max, i64::max, |bound| [bound, f32::INFINITY])
}

pub(crate) fn min(call: &mut Call) -> Result<Vec<Entry>, Reason> {
    bounded(call, f32::min, i64::min, |bound| [f32::NEG_INFINITY, bound])
}

fn bounded(
    call: &mut Call,
    floats: fn(f32, f32) -> f32,
    ints: fn(i64, i64) -> i64,
    bounds: impl Fn(f32) -> [f32; 2],
) -> Result<Vec<Entry>, Reason> {
    if call.inputs.len() == 1 {
        return Ok(call.inputs[0].take().map(|(_, entry)| entry).into_iter().collect());
    }
    if call.inputs.len() != 2 {
        return Err(Reason::new("only two inputs are held"));
    }
    match arithmetic::pair(call, [0, 1])? {
        arithmetic::Pair::Constants(a, b) => fold::binary(call, &a, &b, floats, |x, y| Some(ints(x, y))),
        arithmetic::Pair::Constant { view, numbers, .. } if numbers.len() == 1 => {
            let [low, high] = bounds(numbers[0]);
            Ok(vec![call.then(&view, Op::Activation { function: Activation::Clamp { low, high } })?.into()])
        }
        arithmetic::Pair::Constant { .. } => Err(Reason::new("it has another bound for each channel")),
        arithmetic::Pair::Values { .. } => {
            Err(Reason::new("of two values of the image, which no operator does"))
        }
    }
}
