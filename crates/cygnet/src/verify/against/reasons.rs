//! What differs where two networks part, in words.

use cygnet_graph::{Graph, NodeId, Op, Role};

use super::layers::{Compared, Folded, called};
use super::{Against, distance};
use crate::Error;
use crate::convert::plain;

/// How much less the answers must differ for a guess at the input to be a reason.
const EXPLAINS: f64 = 0.05;
/// What factors may differ by that are the same for all of a layer's numbers, or a channel's.
const EVEN: f32 = 1e-3;

/// Reasons why two networks answer otherwise, given the same input.
pub(super) fn reasons(
    against: &Against,
    input: &[f32],
    ours: &[f32],
    compared: Option<&Compared>,
) -> Result<Vec<String>, Error> {
    let mut reasons = Vec::new();
    if let Some(Compared { networks, parting: [Some(a), Some(b)], .. }) = compared {
        reasons.extend(at(networks, [*a, *b]));
    }
    if reasons.is_empty() {
        reasons.extend(guessed(against, input, ours)?);
    }
    Ok(reasons)
}

/// What differs between two nodes that stand in the same place.
fn at([ours, theirs]: &[Folded; 2], [a, b]: [NodeId; 2]) -> Option<String> {
    let name = called(&ours.graph, a);
    let [op, other] = [plain(&ours.graph, a), plain(&theirs.graph, b)];
    if op != other {
        return Some(format!("at {name}: {}", of_operators(&op, &other)));
    }
    if !op.facts().is_weighted {
        return None;
    }
    let numbers = |side: &Folded, id: NodeId, role| {
        side.weights.of_role(&side.graph, id, role).map(|tensor| tensor.to_f32().into_owned())
    };
    let weight = [numbers(ours, a, Role::Weight)?, numbers(theirs, b, Role::Weight)?];
    let bias = [numbers(ours, a, Role::Bias), numbers(theirs, b, Role::Bias)];
    let shape = shape_of(&ours.graph, a)?;
    let words = of_weights(&weight, shape).or_else(|| {
        (bias[0] != bias[1]).then(|| "biases differ (batch norm's mean or shift, or the layer's own)".into())
    })?;
    Some(format!("at {name}: {words}"))
}

/// Output channels, input channels of each, and taps of a layer's weight.
fn shape_of(graph: &Graph, id: NodeId) -> Option<[usize; 3]> {
    let param = graph.node_params(id).into_iter().find(|param| param.role == Role::Weight)?;
    let out = *param.shape.first()?;
    let inputs = *param.shape.get(1)?;
    Some([out, inputs, param.shape[2..].iter().product()])
}

/// What two operators do otherwise.
fn of_operators(op: &Op, other: &Op) -> String {
    let differing = |what: &str, a: &dyn std::fmt::Debug, b: &dyn std::fmt::Debug| {
        let [a, b] = [format!("{a:?}"), format!("{b:?}")];
        (a != b).then(|| format!("{what} {a} here, {b} there"))
    };
    let words: Vec<String> = match (op, other) {
        (Op::Conv(a), Op::Conv(b)) => [
            differing("padding", &a.padding, &b.padding),
            differing("stride", &a.stride, &b.stride),
            differing("kernel", &a.kernel, &b.kernel),
            differing("dilation", &a.dilation, &b.dilation),
            differing("groups", &a.groups, &b.groups),
            differing("output channels", &a.out, &b.out),
        ]
        .into_iter()
        .flatten()
        .collect(),
        (Op::Pool(a), Op::Pool(b)) if a.kind == b.kind => [
            differing("padding", &a.padding, &b.padding),
            differing("stride", &a.stride, &b.stride),
            differing("window", &a.kernel, &b.kernel),
            differing("padding in the mean", &a.count_include_pad, &b.count_include_pad),
            differing("a last, partly covered window", &a.ceil, &b.ceil),
        ]
        .into_iter()
        .flatten()
        .collect(),
        (Op::BatchNorm(a), Op::BatchNorm(b)) => differing("epsilon", &a.eps, &b.eps).into_iter().collect(),
        _ if op.name() != other.name() => vec![format!("{} here, {} there", op.name(), other.name())],
        _ => differing("settings", op, other).into_iter().collect(),
    };
    words.join(", ").replace("Some(", "").replace("})", "}").replace("Explicit ", "")
}

/// What two weights of the same shape have to do with each other, if they differ.
fn of_weights([a, b]: &[Vec<f32>; 2], [out, inputs, taps]: [usize; 3]) -> Option<String> {
    if a == b || a.len() != b.len() || a.len() != out * inputs * taps {
        return None;
    }
    let at = |o: usize, i: usize, t: usize| (o * inputs + i) * taps + t;
    let all = || {
        let places = (0..out).flat_map(move |o| (0..inputs).map(move |i| (o, i)));
        places.flat_map(move |(o, i)| (0..taps).map(move |t| (o, i, t)))
    };
    let largest = a.iter().fold(0.0f32, |m, x| m.max(x.abs())).max(f32::MIN_POSITIVE);
    let is_near = |x: f32, y: f32| (x - y).abs() <= EVEN * largest;
    let matches = |from: &dyn Fn(usize, usize, usize) -> usize| {
        all().all(|(o, i, t)| is_near(a[at(o, i, t)], b[from(o, i, t)]))
    };
    if inputs == 3 && matches(&|o, i, t| at(o, 2 - i, t)) {
        return Some("the other reads its channels in the other order (BGR for RGB)".into());
    }
    if taps > 1 && matches(&|o, i, t| at(o, i, taps - 1 - t)) {
        return Some("the other's kernels are turned by 180 degrees".into());
    }
    // One factor for all numbers of which `key` says the same.
    let factors = |key: &dyn Fn(usize, usize) -> usize, count: usize| -> Option<Vec<f32>> {
        let mut sums = vec![[0.0f64; 2]; count];
        for (o, i, t) in all() {
            let [x, y] = [a, b].map(|list| f64::from(list[at(o, i, t)]));
            let sum = &mut sums[key(o, i)];
            *sum = [sum[0] + x * y, sum[1] + x * x];
        }
        let factors: Vec<f32> =
            sums.iter().map(|[xy, xx]| if *xx > 0.0 { (xy / xx) as f32 } else { 1.0 }).collect();
        let fits = |(o, i, t): (usize, usize, usize)| {
            let factor = factors[key(o, i)];
            (b[at(o, i, t)] - factor * a[at(o, i, t)]).abs()
                <= EVEN * largest * factor.abs().max(f32::MIN_POSITIVE)
        };
        all().all(fits).then_some(factors)
    };
    if let Some(factor) = factors(&|_, _| 0, 1) {
        return Some(format!("the other's weights are {:.4} times as large", factor[0]));
    }
    if inputs <= 4
        && let Some(factors) = factors(&|_, i| i, inputs)
    {
        return Some(format!("the other's weights are {factors:.4?} times as large, by input channel"));
    }
    if let Some(factors) = factors(&|o, _| o, out) {
        let [least, most] = [f32::min as fn(f32, f32) -> f32, f32::max]
            .map(|of| factors.iter().copied().reduce(of).unwrap_or(1.0));
        return Some(format!(
            "each output channel has a factor of its own, {least:.4} to {most:.4} (batch norm: its epsilon, variance or scale)"
        ));
    }
    let count = a.iter().zip(b).filter(|(x, y)| !is_near(**x, **y)).count();
    Some(format!("{count} of {} weights differ", a.len()))
}

/// What the other may expect of its input, tried.
fn guessed(against: &Against, input: &[f32], ours: &[f32]) -> Result<Option<String>, Error> {
    let preprocess = &against.other.preprocess;
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
    let before = distance(ours, &against.sessions[1].run(input)?);
    for (words, input) in guesses {
        if distance(ours, &against.sessions[1].run(&input)?) <= EXPLAINS * before {
            return Ok(Some(words.into()));
        }
    }
    Ok(None)
}
