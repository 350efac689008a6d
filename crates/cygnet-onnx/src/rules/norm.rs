//! Normalisations, softmax and dropout.

use cygnet_graph::{BatchNorm, LocalResponseNorm, Op};

use super::rearrange::identity;
use crate::Reason;
use crate::import::call::{Call, Entry, dimension};
use crate::import::view::{Axis, axes};

pub(crate) fn batch(call: &mut Call) -> Result<Vec<Entry>, Reason> {
    call.ignore(&["momentum", "consumed_inputs"]);
    let eps = exact(call.float("epsilon", 1e-5));
    if call.int("training_mode", 0) != 0
        || call.int("spatial", 1) == 0
        || (call.opset < 7 && call.int("is_test", 0) == 0)
    {
        return Err(Reason::new(
            "it normalises by the batch itself, as in training; export the network for inference",
        ));
    }
    call.ignore(&["is_test"]);
    if call.node.output.iter().skip(1).any(|name| !name.is_empty()) {
        return Err(Reason::new("it returns statistics of the batch, as in training"));
    }
    let (view, parts) = call.packed(0)?;
    let [channels, ..] = axes(call.draft.shape(view.base));
    let is_channels = |parts: &[crate::import::view::Part]| {
        parts.iter().all(|part| part.axis == Axis::Channel)
            && parts.iter().map(|part| part.size).product::<usize>() == channels
    };
    if parts.len() < 2 || !is_channels(&parts[1]) {
        return Err(Reason::new(format!(
            "its input {:?} does not have the channels in its second dimension",
            view.shape()
        )));
    }
    let mut params = Vec::new();
    for index in 1..5 {
        let numbers = call.known(index)?.to_floats();
        if numbers.len() != channels {
            return Err(Reason::new(format!(
                "its input {index} has {} numbers for {channels} channels",
                numbers.len()
            )));
        }
        params.push(numbers.to_vec());
    }
    let op = Op::BatchNorm(BatchNorm { eps, scale: true });
    let base = call.draft.emit_with(op, &[view.base], &call.layer(1), params)?;
    Ok(vec![crate::import::view::View { base, ..view }.into()])
}

/// The decimal that was written for a constant: 0.00001, not its nearest f32.
fn exact(x: f32) -> f64 {
    x.to_string().parse().unwrap_or(f64::from(x))
}

pub(crate) fn local_response(call: &mut Call) -> Result<Vec<Entry>, Reason> {
    let size = usize::try_from(call.int("size", 0)).unwrap_or(0);
    if size.is_multiple_of(2) {
        return Err(Reason::new(format!("its window of {size} channels has no middle")));
    }
    let (alpha, beta, k) = (call.float("alpha", 1e-4), call.float("beta", 0.75), call.float("bias", 1.0));
    call.tracked(0)?;
    let (base, spatial) = call.map(0)?;
    let base = call.draft.emit(Op::LocalResponseNorm(LocalResponseNorm { size, alpha, beta, k }), &[base])?;
    Ok(vec![super::layers::map_view(call, base, &spatial).into()])
}

pub(crate) fn softmax(call: &mut Call) -> Result<Vec<Entry>, Reason> {
    // Before version 13 the tensor counted as a matrix, cut at the axis.
    let is_matrix = call.opset < 13;
    let axis = call.int("axis", if is_matrix { 1 } else { -1 });
    let (view, parts) = call.packed(0)?;
    let dim = dimension(axis, view.dims.len())?;
    let end = if is_matrix { parts.len() } else { dim + 1 };
    let [channels, ..] = axes(call.draft.shape(view.base));
    let within = parts[dim..end].iter().flatten();
    let is_channels = within.clone().all(|part| part.axis == Axis::Channel)
        && within.map(|part| part.size).product::<usize>() == channels;
    if !is_channels {
        return Err(Reason::new(format!(
            "of {:?} along dimension {axis}, which are not the channels",
            view.shape()
        )));
    }
    Ok(vec![call.then(&view, Op::Softmax)?.into()])
}

pub(crate) fn dropout(call: &mut Call) -> Result<Vec<Entry>, Reason> {
    call.ignore(&["seed", "is_test"]);
    let rate =
        call.constant(1)?.map(|rate| rate.scalar()).transpose()?.unwrap_or_else(|| call.float("ratio", 0.5));
    if call.constant(2)?.is_some_and(|training| training.scalar().is_ok_and(|training| training != 0.0)) {
        return Err(Reason::new("it drops values, as in training; export the network for inference"));
    }
    let mut outputs = match call.tracked_as_is(0) {
        Ok(tracked) if tracked.pads == [0; 4] && (0.0..1.0).contains(&rate) => {
            let view = call.then(&tracked.view, Op::Dropout { rate })?;
            vec![Entry::Tracked(crate::import::call::Tracked { view, ..tracked })]
        }
        _ => identity(call)?,
    };
    if call.node.output.len() > 1 {
        outputs.push(Entry::Nothing("is the mask of a dropout, which no operator tells"));
    }
    Ok(outputs)
}
