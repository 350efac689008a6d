//! Integer weights and a record for any graph: ranges of one image, weights of a formula.

use std::collections::BTreeMap;

use cygnet_graph::{Activation, Graph, NodeId, Op, Role};
use cygnet_runtime::Reference;
use cygnet_weights::{Dtype, Grid, Quantization, Tensor, WeightGrid, WeightSet};

/// Numbers from -1 to 1.
pub(crate) fn numbers(count: usize, seed: usize) -> Vec<f32> {
    let random =
        |i: usize| (i.wrapping_mul(2_654_435_761) ^ seed.wrapping_mul(40_503)).wrapping_mul(747_796_405);
    (0..count).map(|i| (random(i) >> 7) as u16 as f32 / 32_767.5 - 1.0).collect()
}

/// An image for a graph.
pub(crate) fn image(graph: &Graph) -> Vec<f32> {
    numbers(graph.input_shape().iter().product(), 99).into_iter().map(|x| 2.0 * x).collect()
}

/// How values are quantised.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Scales {
    /// One scale a value.
    Shared,
    /// A scale a channel, but one where functions need one.
    Channels,
}

/// Weights and record of a graph: all is quantised but outputs, what is only a part of a chain, and what `is_real`.
pub(crate) fn made_up(
    graph: &Graph,
    scales: Scales,
    is_real: impl Fn(NodeId) -> bool,
) -> (WeightSet, Quantization) {
    let mut weights = WeightSet::default();
    for (seed, param) in graph.params().into_iter().enumerate() {
        let numbers = numbers(param.shape.iter().product(), seed);
        let terms: usize = param.shape[1..].iter().product();
        let numbers: Vec<f32> = match param.role {
            Role::NormVar => numbers.into_iter().map(|x| 1.0 + 0.5 * x).collect(),
            Role::NormWeight => numbers.into_iter().map(|x| 1.0 + 0.2 * x).collect(),
            Role::Weight => numbers.into_iter().map(|x| 2.0 * x / (terms as f32).sqrt()).collect(),
            Role::Bias | Role::NormBias | Role::NormMean => numbers.into_iter().map(|x| 0.3 * x).collect(),
        };
        weights.insert(param.name, Tensor::from_numbers(param.shape, numbers).unwrap());
    }
    let mut ranges: BTreeMap<NodeId, [f32; 2]> = BTreeMap::new();
    let reference = Reference::<f32>::new(graph.clone(), &weights.select(graph).unwrap()).unwrap();
    reference
        .run_with(&image(graph), |id, value| {
            let range = value.iter().fold([0.0f32; 2], |[low, high], &x| [low.min(x), high.max(x)]);
            ranges.insert(id, range);
        })
        .unwrap();
    let mut record = Quantization::default();
    for (id, node) in graph.iter() {
        let is_kept = graph.outputs().iter().any(|output| output.node == id);
        if Quantization::follows(&node.op) || is_kept || is_part(graph, id) || is_real(id) {
            continue;
        }
        let [low, high] = ranges[&id];
        let is_joined =
            readers(graph, id).iter().any(|reader| Quantization::follows(&graph.node(*reader).op));
        let (zero, scale) = match low < 0.0 || is_joined {
            true => (128, high.max(-low).max(1e-3) / 127.0),
            false => (0, high.max(1e-3) / 255.0),
        };
        let is_function = |id: NodeId| matches!(graph.node(id).op, Op::Activation { .. });
        let is_shared = is_function(id) || readers(graph, id).into_iter().any(is_function);
        let count = if scales == Scales::Shared || is_shared { 1 } else { node.shape[0] };
        let scales = (0..count).map(|c| scale * (1.0 + (c % 5) as f32 / 9.0)).collect();
        record.values.insert(id, Grid { zero, scales });
    }
    let grids = record.grids(graph);
    for param in graph.params().into_iter().filter(|param| param.role == Role::Weight) {
        let Some(input) = &grids[graph.node(param.node).inputs[0].0] else { continue };
        let numbers = weights.get(&param.name).unwrap().to_f32().into_owned();
        let terms = numbers.len() / param.shape[0];
        let largest = |of: &[f32]| of.iter().fold(1e-6, |largest: f32, x| largest.max(x.abs()));
        let steps: Vec<f32> = numbers.chunks(terms).map(|of| largest(of) / 127.0).collect();
        let byte = |(i, x): (usize, &f32)| (x / steps[i / terms]).round_ties_even() as i8 as u8;
        let bytes = numbers.iter().enumerate().map(byte).collect();
        let scales = steps.iter().map(|step| step * input.scale(0)).collect();
        weights.insert(param.name.clone(), Tensor::new(param.shape, Dtype::I8, bytes).unwrap());
        record.weights.insert(param.name, WeightGrid { scales, zeros: vec![] });
    }
    (weights, record)
}

fn readers(graph: &Graph, id: NodeId) -> Vec<NodeId> {
    let reads = |reader: &NodeId| graph.node(*reader).inputs.contains(&id);
    graph.iter().map(|(reader, _)| reader).filter(reads).collect()
}

/// Whether a layer or sum is only read by what belongs to its chain.
fn is_part(graph: &Graph, id: NodeId) -> bool {
    let node = graph.node(id);
    let is_layer = node.op.facts().is_weighted;
    let [reader] = readers(graph, id)[..] else { return false };
    let follows = match graph.node(reader).op {
        Op::Add => is_layer && graph.node(reader).inputs[0] == id,
        Op::Activation { function: Activation::Clamp { .. } } => is_layer || node.op == Op::Add,
        _ => false,
    };
    follows && !graph.features().iter().any(|feature| feature.node == id)
}
