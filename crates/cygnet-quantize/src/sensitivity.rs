//! What each layer's rounding alone does to the answers.

use cygnet_graph::{NodeId, Op};
use cygnet_runtime::RunError;

use crate::calibrate::Quantized;
use crate::network::{Network, Worker, each, plane, round};
use crate::places::Places;

/// What the answers lose if one layer alone, with its input, is rounded.
#[derive(Clone, Debug, PartialEq)]
pub struct Sensitivity {
    /// The layer.
    pub node: NodeId,
    /// Its path.
    pub path: String,
    /// The mean square by which logits change, as a share of the mean square by which they differ from their own mean.
    pub noise: f64,
}

/// Images by which layers are compared.
pub const COMPARED: usize = 8;

/// Most times that a network is tried with more layers in floating point.
pub const ROUNDS: usize = 5;

/// How many more of so many layers stay in floating point after the try `round`, the first 0: a sixteenth, then each time twice
/// as many.
#[must_use]
pub fn more_real(layers: usize, round: usize) -> usize {
    (layers / 16).max(1) << round
}

/// Those of the layers that are asked for, the most sensitive first.
#[must_use]
pub fn worst(all: &[Sensitivity], is_asked: impl Fn(&Sensitivity) -> bool) -> Vec<&Sensitivity> {
    let mut worst: Vec<&Sensitivity> = all.iter().filter(|layer| is_asked(layer)).collect();
    worst.sort_by(|a, b| b.noise.total_cmp(&a.noise));
    worst
}

/// All values of an image in floating point.
struct Values(Vec<Vec<f32>>);

impl Values {
    fn new(network: &Network, worker: &mut Worker, image: &[f32]) -> Result<Values, RunError> {
        let mut values: Vec<Vec<f32>> = Vec::with_capacity(network.graph.nodes().len());
        for (id, node) in network.graph.iter() {
            values.push(if node.op == Op::Input {
                image.to_vec()
            } else {
                let inputs: Vec<&[f32]> = node.inputs.iter().map(|input| &*values[input.0]).collect();
                network.value(worker, id, &inputs)?
            });
        }
        Ok(Values(values))
    }

    /// The output if a node had another value.
    fn output_with(
        &self,
        network: &Network,
        worker: &mut Worker,
        id: NodeId,
        value: Vec<f32>,
    ) -> Result<Vec<f32>, RunError> {
        let graph = &network.graph;
        let mut changed: Vec<Option<Vec<f32>>> = vec![None; graph.nodes().len()];
        changed[id.0] = Some(value);
        for (id, node) in graph.iter().skip(id.0 + 1) {
            if node.inputs.iter().any(|input| changed[input.0].is_some()) {
                let read = |input: &NodeId| changed[input.0].as_deref().unwrap_or(&self.0[input.0]);
                let inputs: Vec<&[f32]> = node.inputs.iter().map(read).collect();
                changed[id.0] = Some(network.value(worker, id, &inputs)?);
            }
        }
        let output = graph.output();
        Ok(changed[output.0].take().unwrap_or_else(|| self.0[output.0].clone()))
    }
}

/// The sensitivity of every layer of whole numbers.
pub(crate) fn layers(
    float: &Network,
    quantized: &Quantized,
    places: &Places,
    images: &[Vec<f32>],
    threads: usize,
) -> Result<Vec<Sensitivity>, RunError> {
    let graph = &float.graph;
    let layers: Vec<NodeId> = graph.iter().map(|(id, _)| id).filter(|id| places.is_layer[id.0]).collect();
    let mut items: Vec<usize> = (0..images.len()).collect();
    let own = || (float.worker(), quantized.network.worker());
    let noises = each(threads, &mut items, own, |(worker, rounded), index, _| {
        let values = Values::new(float, worker, &images[index])?;
        let wanted = &values.0[graph.output().0];
        layers
            .iter()
            .map(|&layer| {
                let input = graph.node(layer).inputs[0];
                let mut read = values.0[input.0].clone();
                if let Some(grid) = &quantized.grids[input.0] {
                    round(&mut read, grid, plane(graph.node(input)));
                }
                let value = quantized.network.value(rounded, layer, &[&read])?;
                Ok(noise(wanted, &values.output_with(float, worker, layer, value)?))
            })
            .collect::<Result<Vec<f64>, RunError>>()
    })?;
    let mean = |i: usize| noises.iter().map(|noises| noises[i]).sum::<f64>() / noises.len().max(1) as f64;
    let of = |(i, &node): (usize, &NodeId)| Sensitivity {
        node,
        path: graph.node(node).path.clone(),
        noise: mean(i),
    };
    Ok(layers.iter().enumerate().map(of).collect())
}

/// How far an answer is from that wanted, as a share of how far the numbers of this are from their mean, both mean squares
/// without a common shift.
#[must_use]
pub fn noise(wanted: &[f32], given: &[f32]) -> f64 {
    let mean =
        |of: &dyn Fn(usize) -> f64| (0..wanted.len()).map(of).sum::<f64>() / wanted.len().max(1) as f64;
    let square = |of: &dyn Fn(usize) -> f64| {
        let middle = mean(of);
        mean(&|i| (of(i) - middle).powi(2))
    };
    let signal = square(&|i| wanted[i].into());
    if signal == 0.0 { 0.0 } else { square(&|i| f64::from(given[i]) - f64::from(wanted[i])) / signal }
}
