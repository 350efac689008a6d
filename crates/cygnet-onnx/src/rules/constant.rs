//! What is known without the image: constants, shapes, and functions of them.

use super::fold;
use crate::Reason;
use crate::array::{Array, Element, MAX_RANK, Numbers, elements};
use crate::import::call::{Call, Entry};

pub(crate) fn constant(call: &mut Call) -> Result<Vec<Entry>, Reason> {
    call.ignore(&["value_string", "value_strings"]);
    let array = if let Some(tensor) = call.attribute("value").and_then(|attribute| attribute.t.as_ref()) {
        Array::of(tensor, call.external)?
    } else if let Some(attribute) = call.attribute("value_float") {
        Array::floats(vec![], vec![attribute.f()])
    } else if let Some(attribute) = call.attribute("value_floats") {
        Array::floats(vec![attribute.floats.len()], attribute.floats.clone())
    } else if let Some(attribute) = call.attribute("value_int") {
        Array::ints(vec![], Element::I64, vec![attribute.i()])
    } else if let Some(attribute) = call.attribute("value_ints") {
        Array::list(attribute.ints.clone())
    } else {
        return Err(Reason::new("a constant of text or of another kind is not read"));
    };
    Ok(vec![array.into()])
}

pub(crate) fn of_shape(call: &mut Call) -> Result<Vec<Entry>, Reason> {
    let sizes = call.known(0)?.to_ints()?;
    let shape = sizes.iter().map(|&n| usize::try_from(n)).collect::<Result<Vec<_>, _>>();
    let shape = shape.map_err(|_| Reason::new("a shape of negative numbers makes no sense"))?;
    if shape.len() > MAX_RANK {
        return Err(Reason::new(format!("it makes a tensor of {} dimensions", shape.len())));
    }
    let count = elements(&shape)?;
    call.fits(count)?;
    let value = match call.attribute("value").and_then(|attribute| attribute.t.as_ref()) {
        Some(tensor) => Array::of(tensor, call.external)?,
        None => Array::floats(vec![1], vec![0.0]),
    };
    value.scalar()?;
    Ok(vec![value.gathered(shape, std::iter::repeat_n(0, count)).into()])
}

/// The sizes of an input's dimensions, known or not.
fn shape_of(call: &Call) -> Result<Vec<i64>, Reason> {
    let shape = match call.inputs.first() {
        Some(Some((_, Entry::Constant(array)))) => array.shape.clone(),
        Some(Some((_, Entry::Tracked(tracked)))) if tracked.pads == [0; 4] => tracked.view.shape(),
        _ => return Err(Reason::new("the shape of its input is not known")),
    };
    Ok(shape.into_iter().map(|n| n as i64).collect())
}

pub(crate) fn shape(call: &mut Call) -> Result<Vec<Entry>, Reason> {
    let shape = shape_of(call)?;
    let rank = shape.len() as i64;
    let place = |n: i64| if n < 0 { n.saturating_add(rank) } else { n }.clamp(0, rank) as usize;
    let (start, end) = (place(call.int("start", 0)), place(call.int("end", rank)));
    Ok(vec![Array::list(shape.get(start..end).unwrap_or_default().to_vec()).into()])
}

pub(crate) fn size(call: &mut Call) -> Result<Vec<Entry>, Reason> {
    let count = shape_of(call)?.into_iter().fold(1i64, i64::saturating_mul);
    Ok(vec![Array::ints(vec![], Element::I64, vec![count]).into()])
}

pub(crate) fn cast(call: &mut Call) -> Result<Vec<Entry>, Reason> {
    call.ignore(&["saturate", "round_mode"]);
    let element = Element::of(i32::try_from(call.int("to", 0)).unwrap_or(0))?;
    if let Some([array]) = call.constants().as_deref() {
        let (shape, numbers) = (array.shape.clone(), &array.numbers);
        let array = match (element, numbers) {
            (Element::Float, _) => Array::floats(shape, array.to_floats().to_vec()),
            (Element::Bool, Numbers::Floats(numbers)) => {
                Array::ints(shape, element, numbers.iter().map(|&x| i64::from(x != 0.0)).collect())
            }
            (Element::Bool, Numbers::Ints(numbers)) => {
                Array::ints(shape, element, numbers.iter().map(|&n| i64::from(n != 0)).collect())
            }
            (_, Numbers::Floats(numbers)) => {
                Array::ints(shape, element, numbers.iter().map(|&x| x as i64).collect())
            }
            (_, Numbers::Ints(numbers)) => Array::ints(shape, element, numbers.to_vec()),
        };
        return Ok(vec![array.into()]);
    }
    if element != Element::Float {
        return Err(Reason::new("it makes whole numbers of values of the image"));
    }
    Ok(vec![Entry::Tracked(call.tracked_as_is(0)?)])
}

fn only_constant(call: &mut Call, function: impl Fn(f32) -> f32) -> Result<Vec<Entry>, Reason> {
    Ok(vec![fold::unary(call.known(0)?, function).into()])
}

pub(crate) fn ceil(call: &mut Call) -> Result<Vec<Entry>, Reason> {
    only_constant(call, f32::ceil)
}

pub(crate) fn floor(call: &mut Call) -> Result<Vec<Entry>, Reason> {
    only_constant(call, f32::floor)
}

pub(crate) fn sqrt(call: &mut Call) -> Result<Vec<Entry>, Reason> {
    only_constant(call, f32::sqrt)
}

pub(crate) fn reciprocal(call: &mut Call) -> Result<Vec<Entry>, Reason> {
    only_constant(call, f32::recip)
}

pub(crate) fn equal(call: &mut Call) -> Result<Vec<Entry>, Reason> {
    let (a, b) = (call.known(0)?.clone(), call.known(1)?.clone());
    fold::binary(call, &a, &b, |x, y| f32::from(x == y), |x, y| Some(i64::from(x == y)))
}

pub(crate) fn choose(call: &mut Call) -> Result<Vec<Entry>, Reason> {
    let (chosen, a, b) = (call.known(0)?.to_floats(), call.known(1)?.clone(), call.known(2)?.clone());
    let shape = fold::broadcast(&fold::broadcast(&a.shape, &b.shape)?, &call.known(0)?.shape)?;
    let count = elements(&shape)?;
    call.fits(count)?;
    let of = |from: &[usize]| fold::places(from, &shape);
    let (at, left, right) = (of(&call.known(0)?.shape), of(&a.shape), of(&b.shape));
    let is_first = |i: usize| chosen[at[i]] != 0.0;
    let array = match (&a.numbers, &b.numbers) {
        (Numbers::Ints(a), Numbers::Ints(b)) => {
            let pick = |i: usize| if is_first(i) { a[left[i]] } else { b[right[i]] };
            Array::ints(shape.clone(), Element::I64, (0..count).map(pick).collect())
        }
        _ => {
            let (a, b) = (a.to_floats(), b.to_floats());
            let pick = |i: usize| if is_first(i) { a[left[i]] } else { b[right[i]] };
            Array::floats(shape.clone(), (0..count).map(pick).collect())
        }
    };
    Ok(vec![array.into()])
}

pub(crate) fn range(call: &mut Call) -> Result<Vec<Entry>, Reason> {
    let one = |index: usize| -> Result<i64, Reason> {
        let numbers = call.known(index)?.to_ints()?;
        numbers.first().copied().ok_or_else(|| Reason::new("a bound of its range is missing"))
    };
    let (start, end, step) = (one(0)?, one(1)?, one(2)?);
    if step == 0 {
        return Err(Reason::new("its range has a step of 0"));
    }
    let count = (i128::from(end) - i128::from(start)).abs() / i128::from(step).abs() + 1;
    call.fits(usize::try_from(count).unwrap_or(usize::MAX))?;
    let goes_on = |n: i64| if step > 0 { n < end } else { n > end };
    let numbers = std::iter::successors(Some(start), |n| n.checked_add(step)).take_while(|&n| goes_on(n));
    Ok(vec![Array::list(numbers.collect()).into()])
}
