//! Arithmetic of constants.

use crate::Reason;
use crate::array::{Array, Element, Numbers, elements};
use crate::import::call::{Call, Entry};

/// A function of two constants, which are broadcast.
pub(crate) fn binary(
    call: &mut Call,
    a: &Array,
    b: &Array,
    floats: impl Fn(f32, f32) -> f32,
    ints: impl Fn(i64, i64) -> Option<i64>,
) -> Result<Vec<Entry>, Reason> {
    let shape = broadcast(&a.shape, &b.shape)?;
    call.fits(elements(&shape)?)?;
    let [left, right] = [a, b].map(|array| places(&array.shape, &shape));
    let numbers = match (&a.numbers, &b.numbers) {
        (Numbers::Ints(a), Numbers::Ints(b)) => {
            let wrong = || Reason::new("integers of the file are divided by zero or grow too large");
            let both = left.into_iter().zip(right);
            let numbers: Option<Vec<i64>> = both.map(|(i, j)| ints(a[i], b[j])).collect();
            Numbers::Ints(numbers.ok_or_else(wrong)?.into())
        }
        _ => {
            let (a, b) = (a.to_floats(), b.to_floats());
            let both = left.into_iter().zip(right);
            Numbers::Floats(both.map(|(i, j)| floats(a[i], b[j])).collect::<Vec<_>>().into())
        }
    };
    Ok(vec![Array { shape, element: a.element, numbers, scales: None }.into()])
}

/// A function of one constant, or else what `other` makes of a value.
pub(crate) fn or_unary(
    call: &mut Call,
    function: impl Fn(f32) -> f32,
    other: impl FnOnce(&mut Call) -> Result<Vec<Entry>, Reason>,
) -> Result<Vec<Entry>, Reason> {
    let Some([array]) =
        call.constants().as_deref().and_then(|arrays| <&[Array; 1]>::try_from(arrays).ok().cloned())
    else {
        return other(call);
    };
    Ok(vec![unary(&array, function).into()])
}

pub(crate) fn unary(array: &Array, function: impl Fn(f32) -> f32) -> Array {
    let numbers: Vec<f32> = array.to_floats().iter().map(|&x| function(x)).collect();
    match array.element {
        Element::Float => Array::floats(array.shape.clone(), numbers),
        other => Array::ints(array.shape.clone(), other, numbers.into_iter().map(|x| x as i64).collect()),
    }
}

/// The shape of two that are broadcast.
pub(crate) fn broadcast(a: &[usize], b: &[usize]) -> Result<Vec<usize>, Reason> {
    let rank = a.len().max(b.len());
    let at = |shape: &[usize], dim: usize| (dim + shape.len()).checked_sub(rank).map_or(1, |dim| shape[dim]);
    let size = |dim: usize| match (at(a, dim), at(b, dim)) {
        (a, b) if a == b => Ok(a),
        (1, n) | (n, 1) => Ok(n),
        _ => Err(Reason::new(format!("{a:?} and {b:?} cannot be broadcast"))),
    };
    (0..rank).map(size).collect()
}

/// For each number of a shape, in order, the place of that of one that is broadcast to it.
pub(crate) fn places(from: &[usize], to: &[usize]) -> Vec<usize> {
    let mut places = vec![0];
    let skipped = to.len() - from.len();
    let mut strides = vec![0; to.len()];
    let mut stride = 1;
    for (dim, &size) in from.iter().enumerate().rev() {
        strides[skipped + dim] = if size == 1 { 0 } else { stride };
        stride *= size;
    }
    for (&size, stride) in to.iter().zip(strides) {
        places =
            places.into_iter().flat_map(|place| (0..size).map(move |step| place + step * stride)).collect();
    }
    places
}
