//! What differs where two networks part, in words.

use cygnet_graph::{NodeId, Op, Role};

use super::Against;
use super::classes::Shared;
use super::layers::{Compared, Folded, called};
use super::numbers::mean;
use super::rounding::Unrounded;
use super::weights::{Relation, apart, relation};
use crate::Error;
use crate::convert::plain;
use crate::counted::counted;

/// How much less the answers must differ for a guess at the input to be a reason.
const EXPLAINS: f64 = 0.05;

/// How far the weights of a layer are apart at most that are the same but for rounding to bytes.
const ROUNDED: f64 = 0.25;

/// How far weights are apart that are not the same, but for the last bits of floating point.
const SAME: f64 = 1e-4;

/// Reasons why two networks answer otherwise, given the same input.
pub(super) fn reasons(
    against: &Against,
    input: &[f32],
    answers: [&[f32]; 2],
    compared: Option<&Compared>,
    unrounded: Option<&Unrounded<'_>>,
) -> Result<Vec<String>, Error> {
    let mut reasons = Vec::new();
    let mut is_rounding = compared.is_none();
    if let Some(Compared { networks, parting, .. }) = compared {
        let pairs = pairs(networks, against.shared);
        is_rounding = pairs.as_ref().is_some_and(|pairs| pairs.iter().all(|pair| *pair <= ROUNDED));
        if let [Some(a), Some(b)] = *parting {
            let found = at(networks, [a, b], against.shared, pairs.as_deref());
            // That rounded weights differ is what rounding is.
            reasons.extend(
                found
                    .filter(|found| found.is_sure || !is_rounding || unrounded.is_none())
                    .map(|found| found.words),
            );
        }
    }
    // What values are rounded for is told whatever else is; what weights are, where they are near.
    let tells = |unrounded: &&Unrounded<'_>| is_rounding || unrounded.of_values() >= super::TOLD;
    reasons.extend(unrounded.filter(tells).map(|unrounded| unrounded.cause(is_rounding)));
    if reasons.is_empty() {
        reasons.extend(guessed(against, input, answers)?);
    }
    Ok(reasons)
}

/// A reason found at a layer.
struct Found {
    words: String,
    /// Whether it says more than that numbers are others.
    is_sure: bool,
}

/// The weight of a layer, with its outputs, the inputs of each and their taps.
struct Weight {
    numbers: Vec<f32>,
    shape: [usize; 3],
}

/// The weight of a layer, but for the outputs that are of no class of the other network.
fn weight_of(network: &Folded, id: NodeId, shared: Shared, side: usize) -> Option<Weight> {
    let Folded { graph, weights } = network;
    let param = graph.node_params(id).into_iter().find(|param| param.role == Role::Weight)?;
    let (&[outputs, inputs], taps) = param.shape.split_first_chunk()?;
    let skipped = if graph.classifier() == Some(id) { shared.first[side].min(outputs) } else { 0 };
    let taps = taps.iter().product::<usize>();
    let mut numbers = weights.of_role(graph, id, Role::Weight)?.to_f32().into_owned();
    numbers.drain(..skipped * inputs * taps);
    Some(Weight { numbers, shape: [outputs - skipped, inputs, taps] })
}

fn bias_of(network: &Folded, id: NodeId, shared: Shared, side: usize) -> Option<Vec<f32>> {
    let Folded { graph, weights } = network;
    let bias = weights.of_role(graph, id, Role::Bias)?.to_f32();
    Some(shared.cut_value(side, graph, id, &bias).to_vec())
}

/// How far the weights of each two layers are apart, in the order of the networks; nothing if these have other layers.
fn pairs(networks: &[Folded; 2], shared: Shared) -> Option<Vec<f64>> {
    let layers = [0, 1].map(|side: usize| {
        let weighted = networks[side].graph.iter().filter(|(_, node)| node.op.facts().is_weighted);
        weighted.map(|(id, _)| id).collect::<Vec<_>>()
    });
    if layers[0].len() != layers[1].len() {
        return None;
    }
    let pair = |(&a, &b): (&NodeId, &NodeId)| {
        let [a, b] = [weight_of(&networks[0], a, shared, 0)?, weight_of(&networks[1], b, shared, 1)?];
        (a.shape == b.shape).then(|| apart(&a.numbers, &b.numbers))
    };
    layers[0].iter().zip(&layers[1]).map(pair).collect()
}

/// What differs between two nodes that stand in the same place.
fn at(networks: &[Folded; 2], [a, b]: [NodeId; 2], shared: Shared, pairs: Option<&[f64]>) -> Option<Found> {
    let [ours, theirs] = networks;
    let name = called(&ours.graph, a);
    let found = |words: String, is_sure| Found { words: format!("at {name}: {words}"), is_sure };
    let [op, other] = [plain(&ours.graph, a), plain(&theirs.graph, b)];
    let weights = weight_of(ours, a, shared, 0).zip(weight_of(theirs, b, shared, 1));
    let is_of_same_shape = weights.as_ref().is_some_and(|(a, b)| a.shape == b.shape);
    let differs = if is_of_same_shape {
        of_operators(&op, &with_outputs_of(&other, &op))
    } else {
        of_operators(&op, &other)
    };
    if !differs.is_empty() {
        return Some(found(differs, true));
    }
    let (ours_at, theirs_at) = weights?;
    match relation([&ours_at.numbers, &theirs_at.numbers], ours_at.shape) {
        Relation::Follows(words) => Some(found(words, true)),
        Relation::Differ(count) => {
            let all = ours_at.numbers.len();
            let near = apart(&ours_at.numbers, &theirs_at.numbers) < ROUNDED;
            Some(found(other_weights(count, all, near, pairs), false))
        }
        Relation::Same => {
            let biases = [bias_of(ours, a, shared, 0), bias_of(theirs, b, shared, 1)];
            let words = "biases differ (batch norm's mean or shift, or the layer's own)";
            (biases[0] != biases[1]).then(|| found(words.into(), false))
        }
    }
}

/// That `count` of a layer's weights are others, and what that says about the networks.
fn other_weights(count: usize, all: usize, near: bool, pairs: Option<&[f64]>) -> String {
    let weights = format!("{count} of {} differ", counted(all, "weight"));
    let Some(pairs) = pairs else { return weights };
    let (others, layers) = (pairs.iter().filter(|pair| **pair > SAME).count(), pairs.len());
    if others <= 1 {
        return format!("{weights}, those of no other layer do");
    }
    let places = format!("{weights}, as do those of {others} of {layers} layers");
    // A classifier and some layers before it may be trained again.
    if others * 2 < layers {
        return places;
    }
    if near {
        format!("{places}, but little: the weights are of another state of one training, or were rounded")
    } else {
        format!("{places}: the weights are of another training")
    }
}

/// An operator with as many outputs as another.
fn with_outputs_of(op: &Op, other: &Op) -> Op {
    let mut op = op.clone();
    match (&mut op, other) {
        (Op::Conv(op), Op::Conv(other)) => op.out = other.out,
        (Op::Linear { out, .. }, Op::Linear { out: other, .. }) => *out = *other,
        _ => {}
    }
    op
}

/// What two operators do otherwise; nothing if they do the same.
fn of_operators(op: &Op, other: &Op) -> String {
    if op == other {
        return String::new();
    }
    let differing = |what: &str, a: &dyn std::fmt::Debug, b: &dyn std::fmt::Debug| {
        let [a, b] = [format!("{a:?}"), format!("{b:?}")];
        (a != b).then(|| format!("{what} {a} here, {b} there"))
    };
    let words: Vec<Option<String>> = match (op, other) {
        (Op::Conv(a), Op::Conv(b)) => vec![
            differing("padding", &a.padding, &b.padding),
            differing("stride", &a.stride, &b.stride),
            differing("kernel", &a.kernel, &b.kernel),
            differing("dilation", &a.dilation, &b.dilation),
            differing("groups", &a.groups, &b.groups),
            differing("output channels", &a.out, &b.out),
        ],
        (Op::Pool(a), Op::Pool(b)) if a.kind == b.kind => vec![
            differing("padding", &a.padding, &b.padding),
            differing("stride", &a.stride, &b.stride),
            differing("window", &a.kernel, &b.kernel),
            differing("padding in the mean", &a.count_include_pad, &b.count_include_pad),
            differing("a last, partly covered window", &a.ceil, &b.ceil),
        ],
        (Op::BatchNorm(a), Op::BatchNorm(b)) => vec![differing("epsilon", &a.eps, &b.eps)],
        _ if op.name() != other.name() => vec![Some(format!("{} here, {} there", op.name(), other.name()))],
        _ => vec![differing("settings", op, other)],
    };
    let words: Vec<String> = words.into_iter().flatten().collect();
    words.join(", ").replace("Some(", "").replace("})", "}").replace("Explicit ", "")
}

/// What the other may expect of its input, tried.
fn guessed(against: &Against, input: &[f32], [ours, theirs]: [&[f32]; 2]) -> Result<Option<String>, Error> {
    let preprocess = &against.models[1].preprocess;
    let channels = preprocess.channels.count();
    let plane = input.len() / channels.max(1);
    let turned: Vec<f32> = input.chunks_exact(plane).rev().flatten().copied().collect();
    let raw = |unit: f32| -> Vec<f32> {
        let of_channel = |(c, values): (usize, &[f32])| {
            let (mean, std) = (preprocess.mean[c], preprocess.std[c]);
            values.iter().map(move |x| (x * std + mean) * unit).collect::<Vec<f32>>()
        };
        input.chunks_exact(plane).enumerate().flat_map(of_channel).collect()
    };
    let guesses = [
        ("the other reads its channels in the other order (BGR for RGB)", turned),
        ("the other expects pixels of 0 to 1 that are not normalised", raw(1.0)),
        ("the other expects pixels of 0 to 255 that are not normalised", raw(1.0 / preprocess.scale)),
    ];
    let before = mean(ours, theirs);
    for (words, input) in guesses {
        if before.is_finite() && mean(ours, &against.answer(1, &input)?) <= EXPLAINS * before {
            return Ok(Some(words.into()));
        }
    }
    Ok(None)
}
