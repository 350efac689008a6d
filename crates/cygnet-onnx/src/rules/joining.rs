//! Values of values: concatenations, and parts.

use cygnet_graph::Op;

use crate::Reason;
use crate::array::{Array, Numbers, elements};
use crate::import::call::{Call, Entry, dimension};
use crate::import::view::{Axis, View};

pub(crate) fn concat(call: &mut Call) -> Result<Vec<Entry>, Reason> {
    let axis = call.int("axis", 1);
    if let Some(arrays) = call.constants() {
        return of_constants(call, &arrays, axis);
    }
    if call.inputs.len() == 1 {
        return Ok(vec![call.tracked(0)?.into()]);
    }
    let mut bases = Vec::new();
    let mut all: Option<(View, Vec<Vec<crate::import::view::Part>>)> = None;
    for index in 0..call.inputs.len() {
        let (view, parts) = call.packed(index)?;
        let dim = dimension(axis, view.dims.len())?;
        let is_channels = parts[dim].iter().all(|part| part.axis == Axis::Channel);
        let others = parts.iter().enumerate().filter(|(other, _)| *other != dim);
        let apart = others.flat_map(|(_, parts)| parts).all(|part| part.axis != Axis::Channel);
        if !is_channels || !apart {
            return Err(Reason::new(format!(
                "it joins {:?} along dimension {axis}, which are no channels",
                view.shape()
            )));
        }
        bases.push(view.base);
        match &mut all {
            None => all = Some((view, parts)),
            Some((first, first_parts)) => {
                let mut same = first_parts.clone();
                same[dim].clone_from(&parts[dim]);
                if same != parts {
                    let shapes = (first.shape(), view.shape());
                    return Err(Reason::new(format!(
                        "it joins {:?} and {:?}, which lie differently",
                        shapes.0, shapes.1
                    )));
                }
            }
        }
    }
    let Some((view, mut parts)) = all else { return Err(Reason::new("it has no inputs")) };
    let dim = dimension(axis, view.dims.len())?;
    let ranks: Vec<usize> = bases.iter().map(|&base| call.draft.shape(base).len()).collect();
    if ranks.contains(&3) {
        let vectors = bases.iter().zip(&ranks).filter(|(_, rank)| **rank == 1).map(|(&base, _)| base);
        if !vectors.collect::<Vec<_>>().into_iter().all(|base| call.draft.widen(base)) {
            return Err(Reason::new("it joins vectors and feature maps"));
        }
    }
    let base = call.draft.emit(Op::Concat, &bases)?;
    let channels = call.draft.shape(base)[0];
    parts[dim] = vec![crate::import::view::Part { axis: Axis::Channel, size: channels, step: 1 }];
    Ok(vec![View::of_parts(base, call.draft.shape(base), &parts).into()])
}

fn of_constants(call: &mut Call, arrays: &[Array], axis: i64) -> Result<Vec<Entry>, Reason> {
    let Some(first) = arrays.first() else { return Err(Reason::new("it has no inputs")) };
    let dim = dimension(axis, first.shape.len())?;
    let mut shape = first.shape.clone();
    shape[dim] = 0;
    for array in arrays {
        let fits = array.shape.len() == shape.len()
            && array.shape.iter().zip(&first.shape).enumerate().all(|(other, (a, b))| other == dim || a == b);
        if !fits {
            return Err(Reason::new(format!("it joins {:?} and {:?}", first.shape, array.shape)));
        }
        shape[dim] = shape[dim].saturating_add(array.shape[dim]);
    }
    call.fits(elements(&shape)?)?;
    let outer: usize = shape[..dim].iter().product();
    let rows = |array: &Array| array.count() / outer.max(1);
    let numbers = if arrays.iter().all(|array| matches!(array.numbers, Numbers::Ints(_))) {
        let lists = arrays.iter().map(Array::to_ints).collect::<Result<Vec<_>, _>>()?;
        let row = |row: usize| {
            lists
                .iter()
                .zip(arrays)
                .flat_map(move |(list, array)| list[row * rows(array)..][..rows(array)].to_vec())
        };
        Numbers::Ints((0..outer).flat_map(row).collect::<Vec<_>>().into())
    } else {
        let lists: Vec<_> = arrays.iter().map(Array::to_floats).collect();
        let row = |row: usize| {
            lists
                .iter()
                .zip(arrays)
                .flat_map(move |(list, array)| list[row * rows(array)..][..rows(array)].to_vec())
        };
        Numbers::Floats((0..outer).flat_map(row).collect::<Vec<_>>().into())
    };
    Ok(vec![Array { shape, element: first.element, numbers, scales: None }.into()])
}

/// `len` places of a dimension of an input, each `step` after the other.
fn cut(call: &mut Call, entry: &Entry, dim: usize, [start, len, step]: [usize; 3]) -> Result<Entry, Reason> {
    match entry {
        Entry::Constant(array) => {
            let mut shape = array.shape.clone();
            let (size, inner) = (shape[dim], shape[dim + 1..].iter().product::<usize>());
            let outer: usize = shape[..dim].iter().product();
            shape[dim] = len;
            let row = |outer: usize| (0..len).map(move |i| (outer * size + start + i * step) * inner);
            let places = (0..outer).flat_map(row).flat_map(|place| place..place + inner);
            Ok(array.gathered(shape, places).into())
        }
        Entry::Tracked(_) => {
            let view = call.tracked(0)?;
            if len == 0 {
                return Err(Reason::new("nothing is left of its input"));
            }
            if let Some(view) = view.sliced(dim, start, len, step) {
                return Ok(view.into());
            }
            let packed = call.draft.packed(&view)?;
            let sliced = packed.sliced(dim, start, len, step);
            sliced.map(Entry::from).ok_or_else(|| Reason::new("it cuts a dimension that is made of several"))
        }
        Entry::Chosen(..) | Entry::Refused | Entry::Nothing(_) => Err(Reason::new("its input is missing")),
    }
}

fn first_input(call: &Call) -> Result<(Entry, Vec<usize>), Reason> {
    match call.inputs.first() {
        Some(Some((_, Entry::Constant(array)))) => Ok((array.clone().into(), array.shape.clone())),
        _ => {
            let view = call.tracked(0)?;
            Ok((view.clone().into(), view.shape()))
        }
    }
}

pub(crate) fn slice(call: &mut Call) -> Result<Vec<Entry>, Reason> {
    let (mut entry, shape) = first_input(call)?;
    let missing = || Reason::new("where it starts or ends is missing");
    let starts = call.list("starts", 1)?.ok_or_else(missing)?;
    let ends = call.list("ends", 2)?.ok_or_else(missing)?;
    let axes = call.list("axes", 3)?.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = call.list("steps", 4)?.unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] {
        return Err(Reason::new("starts, ends, axes and steps differ in number"));
    }
    for index in 0..starts.len() {
        let dim = dimension(axes[index], shape.len())?;
        let size = shape[dim] as i64;
        let Some(step) = usize::try_from(steps[index]).ok().filter(|&step| step > 0) else {
            return Err(Reason::new("it steps backwards"));
        };
        let place = |n: i64| if n < 0 { n.saturating_add(size) } else { n }.clamp(0, size) as usize;
        let (start, end) = (place(starts[index]), place(ends[index]));
        let len = end.saturating_sub(start).div_ceil(step);
        entry = cut(call, &entry, dim, [start, len, step])?;
        call.inputs[0] = Some(("", entry.clone()));
    }
    Ok(vec![entry])
}

pub(crate) fn split(call: &mut Call) -> Result<Vec<Entry>, Reason> {
    let (entry, shape) = first_input(call)?;
    let dim = dimension(call.int("axis", 0), shape.len())?;
    let count = call.node.output.len();
    if call.int("num_outputs", count as i64) != count as i64 || count == 0 {
        return Err(Reason::new(format!("it has {count} outputs and names another number of them")));
    }
    let sizes = match call.list("split", 1)? {
        Some(sizes) => sizes.into_iter().map(|n| usize::try_from(n).unwrap_or(usize::MAX)).collect(),
        None => {
            let size = shape[dim].div_ceil(count);
            let mut sizes = vec![size; count];
            let before = size.saturating_mul(count - 1);
            sizes[count - 1] = shape[dim].saturating_sub(before);
            sizes
        }
    };
    let total = sizes.iter().fold(0usize, |total, &n| total.saturating_add(n));
    if total != shape[dim] || sizes.len() != count {
        return Err(Reason::new(format!("{sizes:?} are not the parts of {} in {count} outputs", shape[dim])));
    }
    let mut start = 0;
    let mut outputs = Vec::new();
    for len in sizes {
        outputs.push(cut(call, &entry, dim, [start, len, 1])?);
        start += len;
    }
    Ok(outputs)
}

pub(crate) fn gather(call: &mut Call) -> Result<Vec<Entry>, Reason> {
    let (entry, shape) = first_input(call)?;
    let dim = dimension(call.int("axis", 0), shape.len())?;
    let indices = call.known(1)?.clone();
    let size = shape[dim] as i64;
    let wrong = |n: i64| Reason::new(format!("place {n} of {size} does not exist"));
    let place = |&n: &i64| {
        let from_start = if n < 0 { n.saturating_add(size) } else { n };
        usize::try_from(from_start).ok().filter(|&n| n < shape[dim]).ok_or_else(|| wrong(n))
    };
    let places = indices.to_ints()?.iter().map(place).collect::<Result<Vec<_>, _>>()?;
    let mut wanted = shape.clone();
    wanted.splice(dim..=dim, indices.shape.iter().copied());
    if let Entry::Constant(array) = &entry {
        call.fits(elements(&wanted)?)?;
        let inner: usize = shape[dim + 1..].iter().product();
        let outer: usize = shape[..dim].iter().product();
        let rows = (0..outer)
            .flat_map(|outer| places.iter().map(move |place| (outer * size as usize + place) * inner));
        let all: Vec<usize> = rows.flat_map(|row| row..row + inner).collect();
        return Ok(vec![array.gathered(wanted, all.into_iter()).into()]);
    }
    let step = match places[..] {
        [] => return Err(Reason::new("it takes nothing of its input")),
        [_] => 1,
        [a, b, ..] => b.wrapping_sub(a),
    };
    let is_even = places.windows(2).all(|pair| pair[1].wrapping_sub(pair[0]) == step && pair[1] > pair[0]);
    let taken = if is_even {
        cut(call, &entry, dim, [places[0], places.len(), step])?
    } else {
        let (view, parts) = call.packed(0)?;
        let is_channels = parts[dim].iter().all(|part| part.axis == Axis::Channel);
        let all = parts[dim].iter().map(|part| part.size).product::<usize>();
        if !is_channels || all != call.draft.shape(view.base)[0] {
            return Err(Reason::new("it takes places in an order that only channels may have"));
        }
        let base = call.draft.selected(view.base, &places)?;
        let mut parts = parts;
        parts[dim] = vec![crate::import::view::Part { axis: Axis::Channel, size: places.len(), step: 1 }];
        View::of_parts(base, call.draft.shape(base), &parts).into()
    };
    let Entry::Tracked(tracked) = taken else { return Err(Reason::new("its input is missing")) };
    let view =
        tracked.view.reshaped(&wanted).ok_or_else(|| Reason::new("its indices have several dimensions"))?;
    Ok(vec![view.into()])
}
