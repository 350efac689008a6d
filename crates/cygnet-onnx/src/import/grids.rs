//! What a file says of bytes, as a record of quantisation: grids of the draft's values, and integers that the real weights of
//! its layers stand for.

use std::collections::BTreeMap;
use std::sync::Arc;

use cygnet_graph::{Activation, Graph, NodeId, Op, Param, Role};
use cygnet_weights::{Dtype, Grid, Quantization, Tensor, WeightGrid, WeightSet};

use super::draft::{Draft, LayerScales};
use super::view::View;
use crate::Reason;

/// How far a weight may be from an integer, in steps: what rounding leaves.
const NEAR: f64 = 1e-3;

/// The grid of a value, where all that it is made of has one scale.
fn grid_of(draft: &Draft, node: usize) -> Option<Grid> {
    let made = &draft.nodes[node];
    if made.grid.is_some() || !Quantization::follows(&made.op) {
        return made.grid.clone();
    }
    let mut grids = made.inputs.iter().map(|&input| draft.nodes[input].grid.clone());
    let first = grids.next()??;
    (first.shared_scale().is_some() && grids.all(|grid| grid.as_ref() == Some(&first))).then_some(first)
}

/// Puts a value on a grid: that which makes it if it `is_sole`, being read for nothing else, or a bound after it.
pub(crate) fn put(draft: &mut Draft, view: &View, grid: Grid, is_sole: bool) -> Result<View, Reason> {
    let is_whole = view.is_whole(draft.shape(view.base));
    let view = if is_whole { view.clone() } else { draft.packed(view)? };
    if grid_of(draft, view.base).as_ref() == Some(&grid) {
        draft.nodes[view.base].grid = Some(grid);
        return Ok(view);
    }
    let made = &draft.nodes[view.base];
    if made.grid.is_none() && is_sole && !Quantization::follows(&made.op) {
        draft.nodes[view.base].grid = Some(grid);
        return Ok(view);
    }
    let largest = grid.scales.iter().copied().fold(0.0, f32::max);
    let [low, high] = [0, 255].map(|byte| (byte - i32::from(grid.zero)) as f32 * largest);
    let base = draft.emit(Op::Activation { function: Activation::Clamp { low, high } }, &[view.base])?;
    let bound = &mut draft.nodes[base];
    if bound.grid.as_ref().is_some_and(|other| *other != grid) {
        return Err(Reason::new("it rounds a value that is rounded otherwise, too"));
    }
    bound.grid = Some(grid);
    Ok(View { base, ..view })
}

/// The record of a graph whose nodes have these grids, and whose layers came with these scales. Weights become integers.
///
/// # Errors
/// What the record cannot hold.
pub(crate) fn record(
    graph: &Graph,
    weights: &mut WeightSet,
    values: BTreeMap<NodeId, Grid>,
    scales: &BTreeMap<NodeId, LayerScales>,
) -> Result<Quantization, String> {
    let mut record = Quantization { values, weights: BTreeMap::new() };
    let grids = record.grids(graph);
    for (&id, layer) in scales {
        let Some(param) = graph.node_param(id, Role::Weight) else { continue };
        let input = grids[graph.node(id).inputs[0].0].as_ref();
        let Some(tensor) = weights.get(&param.name) else { continue };
        let real = tensor.to_f32().into_owned();
        let found = candidates(graph, &param, layer, input)
            .into_iter()
            .find_map(|scales| integers(graph, &param, &real, scales, input));
        if let Some((tensor, grid)) = found {
            weights.insert(param.name.clone(), tensor);
            record.weights.insert(param.name, grid);
        }
    }
    record.check(graph, weights).map_err(|error| error.to_string())?;
    Ok(record)
}

/// What the layers of a network of bytes compute with.
pub(crate) fn told(graph: &Graph, weights: &WeightSet) -> String {
    let layers = graph.iter().filter(|(_, node)| node.op.facts().is_weighted);
    let kinds = layers.map(|(id, _)| weights.of_role(graph, id, Role::Weight).map(Tensor::dtype));
    let kinds: Vec<Option<Dtype>> = kinds.collect();
    let all = kinds.len();
    match kinds.iter().filter(|kind| **kind != Some(Dtype::I8)).count() {
        0 => "the network computes with its whole numbers".into(),
        wide if wide == all => {
            "its values are bytes, between which the network computes in floating point: the weights of \
                                its layers are no signed bytes"
                .into()
        }
        wide => format!(
            "the network computes with its whole numbers, but for {wide} of {all} layers, whose weights are no signed bytes: \
             these compute in floating point between values of bytes"
        ),
    }
}

/// What the scales of sums of a layer's products may be. Those of the bias are exact, those of the weights are not where they
/// must be multiplied.
fn candidates(graph: &Graph, param: &Param, layer: &LayerScales, input: Option<&Grid>) -> Vec<Vec<f32>> {
    let outputs = param.shape[0];
    let each = |scales: &Arc<Vec<f32>>| match scales[..] {
        [scale] => Some(vec![scale; outputs]),
        _ => (scales.len() == outputs).then(|| scales.to_vec()),
    };
    let [weight, bias] = layer.each_ref().map(|scales| scales.as_ref().and_then(each));
    let Some(input) = input else { return weight.into_iter().collect() };
    let terms = param.shape[1..].iter().product::<usize>();
    let product = weight.map(|scales| {
        let by = |output: usize| input.scale(graph.input_channel(param, output * terms));
        scales.iter().enumerate().map(|(output, scale)| scale * by(output)).collect()
    });
    bias.into_iter().chain(product).collect()
}

/// The integers that real weights stand for, if the scales are theirs and bytes hold them.
fn integers(
    graph: &Graph,
    param: &Param,
    real: &[f32],
    scales: Vec<f32>,
    input: Option<&Grid>,
) -> Option<(Tensor, WeightGrid)> {
    let terms: usize = param.shape[1..].iter().product();
    let step = |(index, &weight): (usize, &f32)| {
        let by = input.map_or(1.0, |input| input.scale(graph.input_channel(param, index)));
        let steps = f64::from(weight) * f64::from(by) / f64::from(scales[index / terms]);
        let whole = steps.round();
        ((steps - whole).abs() < NEAR && whole.abs() < 256.0).then_some(whole as i16)
    };
    let steps: Vec<i16> = real.iter().enumerate().map(step).collect::<Option<_>>()?;
    if steps.iter().all(|steps| (-127..=127).contains(steps)) {
        let bytes = steps.iter().map(|&step| (step as i8).cast_unsigned()).collect();
        let tensor = Tensor::new(param.shape.clone(), Dtype::I8, bytes).ok()?;
        return Some((tensor, WeightGrid { scales, zeros: Vec::new() }));
    }
    let zero = |row: &[i16]| u8::try_from(-row.iter().copied().min().unwrap_or(0).min(0)).ok();
    let zeros: Vec<u8> = steps.chunks(terms).map(zero).collect::<Option<_>>()?;
    let byte = |(index, &step): (usize, &i16)| u8::try_from(step + i16::from(zeros[index / terms])).ok();
    let bytes = steps.iter().enumerate().map(byte).collect::<Option<_>>()?;
    Some((Tensor::new(param.shape.clone(), Dtype::U8, bytes).ok()?, WeightGrid { scales, zeros }))
}
