//! Pooling over windows and over whole maps.

use cygnet_graph::{Activation, Op, Padding, Pool, PoolKind};

use super::layers::{Window, map_view, window};
use crate::Reason;
use crate::import::call::{Call, Entry};
use crate::import::view::axes;

pub(crate) fn max(call: &mut Call) -> Result<Vec<Entry>, Reason> {
    call.ignore(&["storage_order"]);
    let pads = call.tracked_as_is(0)?.pads;
    if pads != [0; 4] {
        // Zeros around the map win over nothing where nothing is below zero.
        let base = call.map(0)?.0;
        let is_above = matches!(
            &call.draft.nodes[base].op,
            Op::Activation {
                function: Activation::Clamp { low: 0.0.., .. }
                    | Activation::HardSigmoid { factor: 0.0.., .. }
                    | Activation::Sigmoid
            }
        );
        if !is_above {
            return Err(Reason::new(
                "its input is padded with zeros, which would be the largest where values are negative",
            ));
        }
    }
    let mut outputs = windowed(call, PoolKind::Max)?;
    if call.node.output.len() > 1 {
        outputs.push(Entry::Nothing("are places of largest values, which no operator tells"));
    }
    Ok(outputs)
}

pub(crate) fn average(call: &mut Call) -> Result<Vec<Entry>, Reason> {
    windowed(call, PoolKind::Avg)
}

fn windowed(call: &mut Call, kind: PoolKind) -> Result<Vec<Entry>, Reason> {
    let (base, spatial) = call.map(0)?;
    let pending = call.tracked_as_is(0)?.pads;
    let [_, rows, columns] = axes(call.draft.shape(base));
    let kernel = call.sizes("kernel_shape")?.ok_or_else(|| Reason::new("its kernel_shape is missing"))?;
    let Window { kernel, stride, dilation, padding } =
        window(call, &kernel, &spatial, [rows, columns], pending)?;
    if dilation != [1, 1] {
        return Err(Reason::new("its window is dilated, which no pooling is"));
    }
    let counts = kind == PoolKind::Avg && call.int("count_include_pad", 0) != 0;
    let is_padded_apart = kind == PoolKind::Avg && pending != [0; 4];
    let own_pads = call.sizes("pads")?.is_some_and(|pads| pads.iter().any(|&pad| pad > 0));
    if is_padded_apart && own_pads && !counts {
        return Err(Reason::new(
            "its input is padded with zeros, which count in a mean, and again, which do not",
        ));
    }
    let ceil = call.int("ceil_mode", 0) != 0;
    let pool = Pool {
        kind,
        kernel,
        stride,
        padding,
        ceil,
        count_include_pad: kind == PoolKind::Max || counts || is_padded_apart,
    };
    let base = call.draft.emit(Op::Pool(pool.clone()), &[base])?;
    if ceil && kind == PoolKind::Avg && has_partial(&pool, [rows, columns], &call.draft.shape(base)[1..]) {
        return Err(Reason::new(
            "means of windows that reach past the padding are counted otherwise by others",
        ));
    }
    Ok(vec![map_view(call, base, &spatial).into()])
}

/// Whether a window reaches past the padding while the padding counts, about which implementations differ.
fn has_partial(pool: &Pool, input: [usize; 2], out: &[usize]) -> bool {
    let Padding::Explicit { top, left, bottom, right } = pool.padding else { return false };
    let padded = [input[0] + top + bottom, input[1] + left + right];
    let reaches = |axis: usize| (out[axis] - 1) * pool.stride[axis] + pool.kernel[axis] > padded[axis];
    pool.count_include_pad && [top, left, bottom, right] != [0; 4] && (reaches(0) || reaches(1))
}

pub(crate) fn global_average(call: &mut Call) -> Result<Vec<Entry>, Reason> {
    call.tracked(0)?;
    let (base, spatial) = call.map(0)?;
    let base = call.draft.emit(Op::GlobalAvgPool, &[base])?;
    Ok(vec![map_view(call, base, &spatial).into()])
}

pub(crate) fn global_max(call: &mut Call) -> Result<Vec<Entry>, Reason> {
    call.tracked(0)?;
    let (base, spatial) = call.map(0)?;
    let base = whole_max(call, base)?;
    Ok(vec![map_view(call, base, &spatial).into()])
}

/// The largest number of each channel.
pub(super) fn whole_max(call: &mut Call, base: usize) -> Result<usize, Reason> {
    let [_, rows, columns] = axes(call.draft.shape(base));
    call.draft.emit(Op::Pool(Pool { kernel: [rows, columns], ..Pool::max(1, 1) }), &[base])
}
