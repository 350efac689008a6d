//! What is joined when all operators of a file are known: foreign pieces that are one operator of the graph.

use cygnet_graph::{Activation, Op, Padding, PoolKind};

use crate::import::draft::{Draft, DraftNode};

/// A rule on a node of the draft: whether it changed it.
type Join = fn(&mut Draft, usize, &[usize]) -> bool;

/// In the order in which they are tried.
const JOINS: &[Join] = &[whole_window, shift_as_bias, scale_of_scale, hard_sigmoid, gate, divided_gate];

/// Joins what can be joined and leaves out what no root is computed from. Returns where each node now is.
pub(crate) fn rewrite(draft: &mut Draft, roots: &[usize]) -> Vec<usize> {
    let mut readers = readers(draft, roots);
    for node in 1..draft.nodes.len() {
        // Each join makes a node simpler; what joined may join again.
        while JOINS.iter().any(|join| join(draft, node, &readers)) {
            readers = self::readers(draft, roots);
        }
    }
    sweep(draft, roots)
}

/// For each node, how many others read it; a root is read once more.
fn readers(draft: &Draft, roots: &[usize]) -> Vec<usize> {
    let mut readers = draft.readers();
    roots.iter().for_each(|&root| readers[root] += 1);
    readers
}

/// Leaves out what no root is computed from.
fn sweep(draft: &mut Draft, roots: &[usize]) -> Vec<usize> {
    let mut needed = vec![false; draft.nodes.len()];
    needed[0] = true;
    roots.iter().for_each(|&root| needed[root] = true);
    for node in (1..draft.nodes.len()).rev() {
        if needed[node] {
            draft.nodes[node].inputs.iter().for_each(|&input| needed[input] = true);
        }
    }
    let mut places = Vec::new();
    let mut kept = Vec::new();
    for (mut node, needed) in std::mem::take(&mut draft.nodes).into_iter().zip(needed) {
        places.push(kept.len());
        if needed {
            node.inputs.iter_mut().for_each(|input| *input = places[*input]);
            kept.push(node);
        }
    }
    draft.nodes = kept;
    places
}

/// The only input of a node, if nobody else reads it and it is not rounded.
fn own_input(draft: &Draft, node: usize, readers: &[usize]) -> Option<usize> {
    match draft.nodes[node].inputs[..] {
        [input] if readers[input] == 1 && draft.nodes[input].grid.is_none() => Some(input),
        _ => None,
    }
}

/// A mean over a window that is the whole map is that of any map.
fn whole_window(draft: &mut Draft, node: usize, _: &[usize]) -> bool {
    let DraftNode { op: Op::Pool(pool), inputs, .. } = &draft.nodes[node] else { return false };
    let [_, rows, columns] = draft.shape(inputs[0]) else { return false };
    let is_whole = pool.kernel == [*rows, *columns] && pool.padding == Padding::VALID;
    if pool.kind != PoolKind::Avg || !is_whole {
        return false;
    }
    draft.nodes[node].op = Op::GlobalAvgPool;
    true
}

/// A layer without bias and what is added to it: a layer with bias.
fn shift_as_bias(draft: &mut Draft, node: usize, readers: &[usize]) -> bool {
    let Op::Scale { scale, shift } = &draft.nodes[node].op else { return false };
    let Some(input) = own_input(draft, node, readers) else { return false };
    if scale.iter().any(|&factor| factor != 1.0) {
        return false;
    }
    let shift = shift.clone();
    let layer = &draft.nodes[input];
    let mut op = layer.op.clone();
    let out = if let Op::Conv(conv) = &mut op
        && !conv.bias
    {
        conv.bias = true;
        conv.out
    } else if let Op::Linear { out, bias } = &mut op
        && !*bias
    {
        *bias = true;
        *out
    } else {
        return false;
    };
    let mut layer = DraftNode { op, grid: draft.nodes[node].grid.clone(), ..layer.clone() };
    layer.params.push(if shift.len() == 1 { vec![shift[0]; out] } else { shift });
    draft.nodes[node] = layer;
    true
}

/// Factors and then terms: one scale.
fn scale_of_scale(draft: &mut Draft, node: usize, readers: &[usize]) -> bool {
    let Op::Scale { scale, shift } = &draft.nodes[node].op else { return false };
    let Some(input) = own_input(draft, node, readers) else { return false };
    let Op::Scale { scale: first, shift: before } = &draft.nodes[input].op else { return false };
    let is = |numbers: &[f32], wanted: f32| numbers.iter().all(|&number| number == wanted);
    // Only where no number is rounded twice.
    if !is(before, 0.0) || !is(scale, 1.0) {
        return false;
    }
    let op = Op::Scale { scale: first.clone(), shift: shift.clone() };
    draft.nodes[node] =
        DraftNode { op, inputs: draft.nodes[input].inputs.clone(), ..draft.nodes[node].clone() };
    true
}

/// One number for all channels.
fn single(numbers: &[f32]) -> Option<f32> {
    if let [one] = numbers { Some(*one) } else { None }
}

/// `x + 3`, bounded by 0 and 6, divided by 6.
fn hard_sigmoid(draft: &mut Draft, node: usize, readers: &[usize]) -> bool {
    let found = || {
        let Op::Scale { scale, shift } = &draft.nodes[node].op else { return None };
        let (factor, 0.0) = (single(scale)?, single(shift)?) else { return None };
        let bound = own_input(draft, node, readers)?;
        let Op::Activation { function: Activation::Clamp { low: 0.0, high } } = draft.nodes[bound].op else {
            return None;
        };
        let sum = own_input(draft, bound, readers)?;
        let Op::Scale { scale, shift } = &draft.nodes[sum].op else { return None };
        let (slope, term) = (single(scale)?, single(shift)?);
        if !(high.is_finite() && factor > 0.0) {
            return None;
        }
        let function = if (slope, term, high) == (1.0, 3.0, 6.0) && (factor - 1.0 / 6.0).abs() < 1e-6 {
            Activation::HARD_SIGMOID
        } else {
            Activation::HardSigmoid { scale: slope, shift: term, high, factor }
        };
        Some((function, draft.nodes[sum].inputs.clone()))
    };
    let Some((function, inputs)) = found() else { return false };
    draft.nodes[node].op = Op::Activation { function };
    draft.nodes[node].inputs = inputs;
    true
}

/// A value times a gate of its own: Swish and HardSwish.
fn gate(draft: &mut Draft, node: usize, readers: &[usize]) -> bool {
    let DraftNode { op: Op::Mul, inputs, .. } = &draft.nodes[node] else { return false };
    let found = [(0, 1), (1, 0)].into_iter().find_map(|(value, gate)| {
        let (value, gate) = (inputs[value], inputs[gate]);
        let Op::Activation { function } = draft.nodes[gate].op else { return None };
        if draft.nodes[gate].inputs != [value] || readers[gate] != 1 || draft.nodes[gate].grid.is_some() {
            return None;
        }
        match function {
            Activation::Sigmoid => Some((Activation::Swish, value)),
            Activation::HARD_SIGMOID => Some((Activation::HardSwish, value)),
            _ => None,
        }
    });
    let Some((function, value)) = found else { return false };
    draft.nodes[node].op = Op::Activation { function };
    draft.nodes[node].inputs = vec![value];
    true
}

/// `x * relu6(x + 3)`, then divided by 6: HardSwish.
fn divided_gate(draft: &mut Draft, node: usize, readers: &[usize]) -> bool {
    let found = || {
        let Op::Scale { scale, shift } = &draft.nodes[node].op else { return None };
        let is_sixth = (single(scale)? - 1.0 / 6.0).abs() < 1e-6 && single(shift)? == 0.0;
        let product = own_input(draft, node, readers).filter(|_| is_sixth)?;
        let DraftNode { op: Op::Mul, inputs, .. } = &draft.nodes[product] else { return None };
        [(0, 1), (1, 0)].into_iter().find_map(|(value, gate)| {
            let (value, gate) = (inputs[value], inputs[gate]);
            let is_bound = draft.nodes[gate].op == Op::Activation { function: Activation::RELU6 };
            let sum = own_input(draft, gate, readers)
                .filter(|_| is_bound && readers[gate] == 1 && draft.nodes[gate].grid.is_none())?;
            let three = Op::Scale { scale: vec![1.0], shift: vec![3.0] };
            (draft.nodes[sum].op == three && draft.nodes[sum].inputs == [value]).then_some(value)
        })
    };
    let Some(value) = found() else { return false };
    draft.nodes[node].op = Op::Activation { function: Activation::HardSwish };
    draft.nodes[node].inputs = vec![value];
    true
}
