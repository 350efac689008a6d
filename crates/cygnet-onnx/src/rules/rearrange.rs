//! Other dimensions of the same numbers.

use super::fold;
use crate::Reason;
use crate::array::{Array, MAX_RANK, elements};
use crate::import::call::{Call, Entry, Tracked, dimension};
use crate::import::view::product;

/// The input with another shape.
fn with_shape(call: &mut Call, shape: &[usize]) -> Result<Vec<Entry>, Reason> {
    if shape.len() > MAX_RANK {
        return Err(Reason::new(format!("it makes a tensor of {} dimensions", shape.len())));
    }
    if let Some(Some((_, Entry::Constant(array)))) = call.inputs.first() {
        return Ok(vec![array.reshaped(shape.to_vec())?.into()]);
    }
    let tracked = call.tracked_as_is(0)?;
    if tracked.pads != [0; 4] {
        call.tracked(0)?;
    }
    let cannot = |view: &crate::import::view::View| {
        Reason::new(format!("{:?} cannot become {shape:?} without moving numbers", view.shape()))
    };
    let view = match tracked.view.reshaped(shape) {
        Some(view) => view,
        None => {
            let packed = call.draft.packed(&tracked.view)?;
            packed.reshaped(shape).ok_or_else(|| cannot(&packed))?
        }
    };
    Ok(vec![Entry::Tracked(Tracked { view, ..tracked })])
}

fn shape_of(call: &Call) -> Result<Vec<usize>, Reason> {
    match call.inputs.first() {
        Some(Some((_, Entry::Constant(array)))) => Ok(array.shape.clone()),
        _ => Ok(call.tracked_as_is(0)?.view.shape()),
    }
}

pub(crate) fn reshape(call: &mut Call) -> Result<Vec<Entry>, Reason> {
    call.ignore(&["consumed_inputs"]);
    let wanted = call.list("shape", 1)?.ok_or_else(|| Reason::new("its shape is missing"))?;
    let zero_is_zero = call.int("allowzero", 0) != 0;
    let given = shape_of(call)?;
    let wrong = || Reason::new(format!("{given:?} cannot become {wanted:?}"));
    let mut shape = Vec::new();
    for (dim, &size) in wanted.iter().enumerate() {
        shape.push(match size {
            -1 => 1,
            0 if !zero_is_zero => *given.get(dim).ok_or_else(wrong)?,
            size => usize::try_from(size).map_err(|_| wrong())?,
        });
    }
    let free: Vec<usize> = (0..wanted.len()).filter(|&dim| wanted[dim] == -1).collect();
    if let [dim] = free[..] {
        let (count, others) = (product(&given), product(&shape));
        if others == 0 || !count.is_multiple_of(others) {
            return Err(wrong());
        }
        shape[dim] = count / others;
    }
    if free.len() > 1 {
        return Err(wrong());
    }
    with_shape(call, &shape)
}

pub(crate) fn flatten(call: &mut Call) -> Result<Vec<Entry>, Reason> {
    let given = shape_of(call)?;
    let axis = call.int("axis", 1);
    let axis = if axis == given.len() as i64 { given.len() } else { dimension(axis, given.len())? };
    let (outer, inner) = given.split_at(axis);
    with_shape(call, &[product(outer), product(inner)])
}

pub(crate) fn squeeze(call: &mut Call) -> Result<Vec<Entry>, Reason> {
    let given = shape_of(call)?;
    let axes = match call.list("axes", 1)? {
        Some(axes) => {
            axes.into_iter().map(|axis| dimension(axis, given.len())).collect::<Result<Vec<_>, _>>()?
        }
        None => (0..given.len()).filter(|&dim| given[dim] == 1).collect(),
    };
    let shape: Vec<usize> =
        (0..given.len()).filter(|dim| !axes.contains(dim)).map(|dim| given[dim]).collect();
    with_shape(call, &shape)
}

pub(crate) fn unsqueeze(call: &mut Call) -> Result<Vec<Entry>, Reason> {
    let given = shape_of(call)?;
    let axes = call.list("axes", 1)?.ok_or_else(|| Reason::new("its axes are missing"))?;
    let rank = given.len() + axes.len();
    if rank > MAX_RANK {
        return Err(Reason::new(format!("it makes a tensor of {rank} dimensions")));
    }
    let axes = axes.into_iter().map(|axis| dimension(axis, rank)).collect::<Result<Vec<_>, _>>()?;
    let mut sizes = given.iter();
    let shape: Vec<usize> = (0..rank)
        .map(|dim| if axes.contains(&dim) { 1 } else { sizes.next().copied().unwrap_or(1) })
        .collect();
    with_shape(call, &shape)
}

pub(crate) fn transpose(call: &mut Call) -> Result<Vec<Entry>, Reason> {
    let given = shape_of(call)?;
    let rank = given.len();
    let order = match call.ints("perm") {
        Some(order) => order.into_iter().map(|axis| dimension(axis, rank)).collect::<Result<Vec<_>, _>>()?,
        None => (0..rank).rev().collect(),
    };
    if order.len() != rank || (0..rank).any(|dim| !order.contains(&dim)) {
        return Err(Reason::new(format!("{order:?} is no order of {rank} dimensions")));
    }
    if let Some(Some((_, Entry::Constant(array)))) = call.inputs.first() {
        return Ok(vec![transposed(array, &order).into()]);
    }
    let tracked = call.tracked_as_is(0)?;
    if tracked.pads != [0; 4] {
        call.tracked(0)?;
    }
    Ok(vec![Entry::Tracked(Tracked { view: tracked.view.transposed(&order), ..tracked })])
}

/// A constant with its dimensions in another order.
fn transposed(array: &Array, order: &[usize]) -> Array {
    let mut strides = vec![1; array.shape.len()];
    for dim in (1..array.shape.len()).rev() {
        strides[dim - 1] = strides[dim] * array.shape[dim];
    }
    let mut places = vec![0];
    for &dim in order {
        let steps = |place: usize| (0..array.shape[dim]).map(move |step| (place, step));
        places =
            places.into_iter().flat_map(steps).map(|(place, step)| place + step * strides[dim]).collect();
    }
    array.gathered(order.iter().map(|&dim| array.shape[dim]).collect(), places.into_iter())
}

pub(crate) fn identity(call: &mut Call) -> Result<Vec<Entry>, Reason> {
    call.ignore(&["consumed_inputs"]);
    Ok(call.inputs[..1.min(call.inputs.len())].iter().flatten().map(|(_, entry)| entry.clone()).collect())
}

pub(crate) fn expand(call: &mut Call) -> Result<Vec<Entry>, Reason> {
    let wanted = call.known(1)?.to_ints()?;
    if wanted.len() > MAX_RANK {
        return Err(Reason::new(format!("it makes a tensor of {} dimensions", wanted.len())));
    }
    let wanted = wanted.iter().map(|&n| usize::try_from(n)).collect::<Result<Vec<_>, _>>();
    let wanted = wanted.map_err(|_| Reason::new("its shape makes no sense"))?;
    let given = shape_of(call)?;
    let shape = fold::broadcast(&given, &wanted)?;
    if let Some(Some((_, Entry::Constant(array)))) = call.inputs.first().cloned() {
        call.fits(elements(&shape)?)?;
        let places = fold::places(&given, &shape);
        return Ok(vec![array.gathered(shape, places.into_iter()).into()]);
    }
    if product(&shape) != product(&given) {
        return Err(Reason::new(format!("it repeats the values of {given:?} to {shape:?}")));
    }
    with_shape(call, &shape)
}

pub(crate) fn tile(call: &mut Call) -> Result<Vec<Entry>, Reason> {
    if call.known(1)?.to_ints()?.iter().any(|&times| times != 1) {
        return Err(Reason::new("it repeats values, which no operator does"));
    }
    identity(call)
}

pub(crate) fn depth_to_space(call: &mut Call) -> Result<Vec<Entry>, Reason> {
    let given = shape_of(call)?;
    let block = usize::try_from(call.int("blocksize", 0)).unwrap_or(0);
    let blocks_last = call.text("mode", "DCR") == "CRD";
    let [batch, channels, rows, columns] = given[..] else {
        return Err(Reason::new("its input is no feature map"));
    };
    let area = block.saturating_mul(block);
    if block == 0 || !channels.is_multiple_of(area) {
        return Err(Reason::new(format!("{channels} channels in blocks of {block}")));
    }
    let left = channels / area;
    let (split, order) = if blocks_last {
        ([batch, left, block, block, rows, columns], [0, 1, 4, 2, 5, 3])
    } else {
        ([batch, block, block, left, rows, columns], [0, 3, 4, 1, 5, 2])
    };
    moved(call, &split, &order, &[batch, left, rows * block, columns * block])
}

pub(crate) fn space_to_depth(call: &mut Call) -> Result<Vec<Entry>, Reason> {
    let given = shape_of(call)?;
    let block = usize::try_from(call.int("blocksize", 0)).unwrap_or(0);
    let [batch, channels, rows, columns] = given[..] else {
        return Err(Reason::new("its input is no feature map"));
    };
    if block == 0 || !rows.is_multiple_of(block) || !columns.is_multiple_of(block) {
        return Err(Reason::new(format!("{rows} rows and {columns} columns in blocks of {block}")));
    }
    let (height, width) = (rows / block, columns / block);
    let split = [batch, channels, height, block, width, block];
    let channels = channels.saturating_mul(block).saturating_mul(block);
    moved(call, &split, &[0, 3, 5, 1, 2, 4], &[batch, channels, height, width])
}

/// The input in more dimensions, in another order, and in fewer again.
fn moved(call: &mut Call, split: &[usize], order: &[usize], joined: &[usize]) -> Result<Vec<Entry>, Reason> {
    let cannot = || Reason::new("its blocks cannot be told apart");
    let view = call.tracked(0)?.reshaped(split).ok_or_else(cannot)?.transposed(order);
    Ok(vec![view.reshaped(joined).ok_or_else(cannot)?.into()])
}
