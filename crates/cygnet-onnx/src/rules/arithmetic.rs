//! Sums, products and their kin, of two values or of a value and constants.

use cygnet_graph::Op;

use super::fold;
use crate::Reason;
use crate::array::Array;
use crate::import::call::{Call, Entry, Tracked};
use crate::import::view::{Axis, Part, View, axes};

pub(crate) fn add(call: &mut Call) -> Result<Vec<Entry>, Reason> {
    ignore_old(call);
    match pair(call, [0, 1])? {
        Pair::Constants(a, b) => fold::binary(call, &a, &b, |x, y| x + y, i64::checked_add),
        Pair::Constant { view, numbers, .. } => scaled(call, &view, vec![1.0], numbers),
        Pair::Values { view, bases } => joined(call, &view, Op::Add, bases),
    }
}

pub(crate) fn sub(call: &mut Call) -> Result<Vec<Entry>, Reason> {
    ignore_old(call);
    match pair(call, [0, 1])? {
        Pair::Constants(a, b) => fold::binary(call, &a, &b, |x, y| x - y, i64::checked_sub),
        Pair::Constant { view, numbers, first: true } => scaled(call, &view, vec![-1.0], numbers),
        Pair::Constant { view, numbers, first: false } => {
            scaled(call, &view, vec![1.0], numbers.into_iter().map(|x| -x).collect())
        }
        Pair::Values { view, bases: [a, b] } => {
            let negative = Op::Scale { scale: vec![-1.0], shift: vec![0.0] };
            let b = call.draft.emit(negative, &[b])?;
            joined(call, &view, Op::Add, [a, b])
        }
    }
}

pub(crate) fn mul(call: &mut Call) -> Result<Vec<Entry>, Reason> {
    ignore_old(call);
    match pair(call, [0, 1])? {
        Pair::Constants(a, b) => fold::binary(call, &a, &b, |x, y| x * y, i64::checked_mul),
        Pair::Constant { view, numbers, .. } => scaled(call, &view, numbers, vec![0.0]),
        Pair::Values { view, bases } => joined(call, &view, Op::Mul, bases),
    }
}

pub(crate) fn div(call: &mut Call) -> Result<Vec<Entry>, Reason> {
    ignore_old(call);
    match pair(call, [0, 1])? {
        Pair::Constants(a, b) => fold::binary(call, &a, &b, |x, y| x / y, i64::checked_div),
        Pair::Constant { view, numbers, first: false } => {
            scaled(call, &view, numbers.into_iter().map(|x| 1.0 / x).collect(), vec![0.0])
        }
        Pair::Constant { .. } | Pair::Values { .. } => {
            Err(Reason::new("it divides by a value of the image, which no operator does"))
        }
    }
}

pub(crate) fn pow(call: &mut Call) -> Result<Vec<Entry>, Reason> {
    if let Some([base, exponent]) = call.constants().as_deref() {
        return fold::binary(call, base, exponent, f32::powf, |x, y| x.checked_pow(y.try_into().ok()?));
    }
    let exponent = call.known(1)?.scalar()?;
    let view = call.tracked(0)?;
    match exponent {
        1.0 => Ok(vec![view.into()]),
        2.0 => {
            let base = call.draft.emit(Op::Mul, &[view.base, view.base])?;
            Ok(vec![View { base, ..view }.into()])
        }
        other => Err(Reason::new(format!("the power {other} of a value, which no operator computes"))),
    }
}

pub(crate) fn sum(call: &mut Call) -> Result<Vec<Entry>, Reason> {
    let total = total(call)?;
    Ok(vec![total])
}

pub(crate) fn mean(call: &mut Call) -> Result<Vec<Entry>, Reason> {
    let count = call.inputs.len() as f32;
    match total(call)? {
        Entry::Tracked(Tracked { view, .. }) => scaled(call, &view, vec![1.0 / count], vec![0.0]),
        Entry::Constant(array) => {
            fold::binary(call, &array, &Array::floats(vec![], vec![count]), |x, y| x / y, |_, _| None)
        }
        Entry::Chosen(..) | Entry::Refused | Entry::Nothing(_) => Err(Reason::new("it has no inputs")),
    }
}

/// The sum of all inputs, from left to right.
fn total(call: &mut Call) -> Result<Entry, Reason> {
    let inputs = call.inputs.clone();
    if inputs.len() == 1
        && let Some((_, entry)) = &inputs[0]
    {
        return Ok(entry.clone());
    }
    for index in 1..inputs.len() {
        let mut made = add(call)?;
        let next = inputs.get(index + 1).cloned().flatten();
        match (made.pop(), next) {
            (Some(sum), None) => return Ok(sum),
            (Some(sum), Some(next)) => call.inputs = vec![Some(("", sum)), Some(next)],
            (None, _) => {}
        }
    }
    Err(Reason::new("it has no inputs"))
}

/// What old versions say about shapes, which rules read off them.
fn ignore_old(call: &Call) {
    call.ignore(&["consumed_inputs"]);
}

/// Two inputs, ready to be joined.
pub(super) enum Pair {
    Constants(Array, Array),
    /// A value and numbers, one or one a channel of it.
    Constant {
        view: View,
        numbers: Vec<f32>,
        /// Whether the constant is the first of the two.
        first: bool,
    },
    /// Two values and how the result lies in that of an operator on them.
    Values {
        view: View,
        bases: [usize; 2],
    },
}

pub(super) fn pair(call: &mut Call, indices: [usize; 2]) -> Result<Pair, Reason> {
    let entry = |index: usize| match call.inputs.get(index) {
        Some(Some((_, entry))) => Ok(entry.clone()),
        Some(None) | None => Err(Reason::new(format!("its input {index} is missing"))),
    };
    match (entry(indices[0])?, entry(indices[1])?) {
        (Entry::Constant(a), Entry::Constant(b)) => Ok(Pair::Constants(a, b)),
        (Entry::Constant(array), _) => constant(call, indices[1], &array, true),
        (_, Entry::Constant(array)) => constant(call, indices[0], &array, false),
        _ => values(call, indices),
    }
}

fn constant(call: &mut Call, index: usize, array: &Array, first: bool) -> Result<Pair, Reason> {
    let mut view = call.tracked(index)?;
    let rank = view.dims.len().max(array.shape.len());
    view.dims.splice(0..0, vec![Vec::new(); rank - view.dims.len()]);
    let numbers = array.to_floats();
    let shape = [&vec![1; rank - array.shape.len()][..], &array.shape].concat();
    let enlarged = shape.iter().zip(view.shape()).any(|(&constant, value)| constant > 1 && value == 1);
    if enlarged {
        return Err(Reason::new(format!(
            "a constant of {:?} enlarges the value {:?}",
            array.shape,
            view.shape()
        )));
    }
    let Some(&one) = numbers.first() else { return Err(Reason::new("a constant has no numbers")) };
    if numbers.iter().all(|number| *number == one) {
        return Ok(Pair::Constant { view, numbers: vec![one], first });
    }
    let view = call.draft.packed(&view)?;
    let parts = call.parts(&view);
    Ok(Pair::Constant { numbers: by_channel(&parts, &shape, &numbers, &view)?, view, first })
}

/// One number a channel of a constant that is broadcast over a packed tensor.
pub(super) fn by_channel(
    parts: &[Vec<Part>],
    shape: &[usize],
    numbers: &[f32],
    view: &View,
) -> Result<Vec<f32>, Reason> {
    let mut places = vec![0];
    let mut stride = 1;
    let mut strides = vec![0; shape.len()];
    for dim in (0..shape.len()).rev() {
        strides[dim] = stride;
        stride *= shape[dim];
    }
    for (dim, parts) in parts.iter().enumerate() {
        let channels: usize =
            parts.iter().filter(|part| part.axis == Axis::Channel).map(|part| part.size).product();
        let all: usize = parts.iter().map(|part| part.size).product();
        let step = match shape[dim] {
            1 => 0,
            n if n == all && channels == all => strides[dim],
            _ => {
                let shape = (shape, view.shape());
                return Err(Reason::new(format!(
                    "a constant of {:?} for {:?} differs within a channel",
                    shape.0, shape.1
                )));
            }
        };
        let steps = |place: usize| (0..channels).map(move |channel| place + channel * step);
        places = places.into_iter().flat_map(steps).collect();
    }
    Ok(places.into_iter().map(|place| numbers[place]).collect())
}

fn values(call: &mut Call, [left, right]: [usize; 2]) -> Result<Pair, Reason> {
    let mut views = [call.tracked(left)?, call.tracked(right)?];
    let rank = views[0].dims.len().max(views[1].dims.len());
    for view in &mut views {
        let missing = rank - view.dims.len();
        view.dims.splice(0..0, vec![Vec::new(); missing]);
    }
    let [a, b] = &views;
    let shapes = [a, b].map(|view| call.draft.shape(view.base));
    if a.dims == b.dims && a.offset == b.offset && shapes[0] == shapes[1] && a.is_whole(shapes[0]) {
        return Ok(Pair::Values { view: a.clone(), bases: [a.base, b.base] });
    }
    let [a, b] = [call.draft.packed(a)?, call.draft.packed(b)?];
    let [a_parts, b_parts] = [call.parts(&a), call.parts(&b)];
    let mut parts = Vec::new();
    for (a_parts, b_parts) in a_parts.iter().zip(&b_parts) {
        let same = a_parts.len() == b_parts.len()
            && a_parts.iter().zip(b_parts).all(|(a, b)| (a.axis, a.size) == (b.axis, b.size));
        parts.push(match (&a_parts[..], &b_parts[..]) {
            (parts, []) | ([], parts) => parts.to_vec(),
            (parts, _) if same => parts.to_vec(),
            _ => return Err(Reason::new(format!("{:?} and {:?} lie differently", a.shape(), b.shape()))),
        });
    }
    let [a_axes, b_axes] = [&a, &b].map(|view| axes(call.draft.shape(view.base)));
    let shape: Vec<usize> = a_axes.iter().zip(b_axes).map(|(&a, b)| a.max(b)).collect();
    let fits = a_axes.iter().zip(b_axes).all(|(&a, b)| a == b || a == 1 || b == 1);
    let view = View::of_parts(0, &shape, &parts);
    if !fits
        || crate::import::view::product(&view.shape())
            != crate::import::view::product(&shape) * batches(&parts)
    {
        return Err(Reason::new(format!("{:?} and {:?} cannot be broadcast", a.shape(), b.shape())));
    }
    Ok(Pair::Values { view, bases: [a.base, b.base] })
}

fn batches(parts: &[Vec<Part>]) -> usize {
    parts.iter().flatten().filter(|part| part.axis == Axis::Batch).map(|part| part.size).product()
}

fn joined(call: &mut Call, view: &View, op: Op, bases: [usize; 2]) -> Result<Vec<Entry>, Reason> {
    let base = call.draft.emit(op, &bases)?;
    Ok(vec![View { base, ..view.clone() }.into()])
}

pub(super) fn scaled(
    call: &mut Call,
    view: &View,
    scale: Vec<f32>,
    shift: Vec<f32>,
) -> Result<Vec<Entry>, Reason> {
    Ok(vec![call.then(view, Op::Scale { scale, shift })?.into()])
}
