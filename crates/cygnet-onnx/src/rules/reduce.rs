//! Sums, means and largest numbers along dimensions.

use std::cell::Cell;

use cygnet_graph::{Op, Pool};

use super::arithmetic::scaled;
use super::pool::whole_max;
use crate::Reason;
use crate::array::{Array, Element};
use crate::import::arrange::Choice;
use crate::import::call::{Call, Entry, dimension};
use crate::import::view::{Axis, Place, View, axes};

pub(crate) fn mean(call: &mut Call) -> Result<Vec<Entry>, Reason> {
    let whole = |call: &mut Call, base| call.draft.emit(Op::GlobalAvgPool, &[base]);
    reduced(call, whole, mean_over)
}

pub(crate) fn max(call: &mut Call) -> Result<Vec<Entry>, Reason> {
    reduced(call, whole_max, |call, base, kernel| {
        call.draft.emit(Op::Pool(Pool { kernel, ..Pool::max(1, 1) }), &[base])
    })
}

pub(crate) fn sum(call: &mut Call) -> Result<Vec<Entry>, Reason> {
    let area = Cell::new(1);
    let whole = |call: &mut Call, base| {
        let [_, rows, columns] = axes(call.draft.shape(base));
        area.set(rows * columns);
        call.draft.emit(Op::GlobalAvgPool, &[base])
    };
    let outputs = reduced(call, whole, |call, base, kernel| {
        area.set(kernel[0] * kernel[1]);
        mean_over(call, base, kernel)
    })?;
    let area = area.get();
    match (&outputs[..], area) {
        ([Entry::Tracked(tracked)], 2..) => scaled(call, &tracked.view, vec![area as f32], vec![0.0]),
        _ => Ok(outputs),
    }
}

/// Means over windows of whole rows or columns.
fn mean_over(call: &mut Call, base: usize, kernel: [usize; 2]) -> Result<usize, Reason> {
    call.draft.emit(Op::Pool(Pool { kernel, ..Pool::avg(1, 1) }), &[base])
}

/// The place of the largest number, which only an output tells.
pub(crate) fn arg_max(call: &mut Call) -> Result<Vec<Entry>, Reason> {
    let view = call.tracked(0)?;
    let dim = dimension(call.int("axis", 0), view.dims.len())?;
    let (keeps, is_last) = (call.int("keepdims", 1) != 0, call.int("select_last_index", 0) != 0);
    if view.dims[dim].iter().any(|atom| atom.place == Place::Batch) {
        return Err(Reason::new("it compares the images of a batch"));
    }
    Ok(vec![Entry::Chosen(view, Choice { dim, is_last, keeps })])
}

/// Products are those of shapes alone.
pub(crate) fn prod(call: &mut Call) -> Result<Vec<Entry>, Reason> {
    let keeps = call.int("keepdims", 1) != 0;
    let axes = call.list("axes", 1)?;
    let array = call.known(0)?;
    if array.shape.len() != 1 || axes.is_some_and(|axes| axes != [0]) {
        return Err(Reason::new("only the product of a list is computed"));
    }
    let product = array.to_ints()?.iter().try_fold(1i64, |product, &n| product.checked_mul(n));
    let product = product.ok_or_else(|| Reason::new("its product grows too large"))?;
    let shape = if keeps { vec![1] } else { Vec::new() };
    Ok(vec![Array::ints(shape, Element::I64, vec![product]).into()])
}

/// A tensor without its rows and columns, one number a channel of which `pool` makes.
fn reduced(
    call: &mut Call,
    whole: impl FnOnce(&mut Call, usize) -> Result<usize, Reason>,
    windowed: impl FnOnce(&mut Call, usize, [usize; 2]) -> Result<usize, Reason>,
) -> Result<Vec<Entry>, Reason> {
    let (view, parts) = call.packed(0)?;
    let rank = view.dims.len();
    let keeps = call.int("keepdims", 1) != 0;
    let does_nothing = call.int("noop_with_empty_axes", 0) != 0;
    let listed = call.list("axes", 1)?.unwrap_or_default();
    if listed.is_empty() && does_nothing {
        return Ok(vec![view.into()]);
    }
    let dims = match &listed[..] {
        [] => (0..rank).collect(),
        axes => axes.iter().map(|&axis| dimension(axis, rank)).collect::<Result<Vec<_>, _>>()?,
    };
    let gone: Vec<Axis> = dims.iter().flat_map(|&dim| &parts[dim]).map(|part| part.axis).collect();
    let mut left: Vec<_> = parts.clone();
    dims.iter().for_each(|&dim| left[dim].clear());
    let is_spatial = |axis: &Axis| matches!(axis, Axis::Row | Axis::Column);
    let others = left.iter().flatten().any(|part| is_spatial(&part.axis));
    let along: Vec<Axis> = gone.iter().copied().filter(is_spatial).collect();
    let view = if let ([axis], true, true) = (&along[..], gone.len() == 1, others) {
        let [_, rows, columns] = axes(call.draft.shape(view.base));
        let kernel = if *axis == Axis::Row { [rows, 1] } else { [1, columns] };
        let base = windowed(call, view.base, kernel)?;
        View::of_parts(base, call.draft.shape(base), &left)
    } else if gone.is_empty() {
        View { dims: left.iter().zip(&view.dims).map(|(_, atoms)| atoms.clone()).collect(), ..view }
    } else if gone.iter().all(is_spatial) && !others {
        let base = whole(call, view.base)?;
        View::of_parts(base, call.draft.shape(base), &left)
    } else {
        let shape = view.shape();
        return Err(Reason::new(format!(
            "it reduces dimensions {dims:?} of {shape:?}, which are not all rows and columns"
        )));
    };
    let shape = view.shape();
    let kept = |dim: &usize| keeps || !dims.contains(dim);
    let wanted: Vec<usize> = (0..rank).filter(kept).map(|dim| shape[dim]).collect();
    Ok(vec![view.reshaped(&wanted).ok_or_else(|| Reason::new("its dimensions are mixed"))?.into()])
}
