//! Learning with the rounding of whole numbers. Steps are made with what the integers of the current weights stand for, and
//! values on grids; the gradients go to the weights that the integers are rounded from, and to the grids' scales. Batch norms
//! are folded before the first step. What is evaluated and stored are the integers.

use std::collections::BTreeMap;

use cygnet_engine::{Grids, Group, ValueGrid};
use cygnet_graph::{Graph, NodeId};
use cygnet_quantize::{QuantizeOptions, Ranged, Rounding, ranged, simulated_weights};
use cygnet_runtime::{Level, PlanOptions};
use cygnet_weights::{SCALES, WeightSet, Weights};

use crate::TrainError;
use crate::numbers::Numbers;

/// How the numbers of a run are rounded.
#[derive(Clone, Debug)]
pub(crate) struct Int8 {
    rounding: Rounding,
    /// Scales to begin with.
    pub(crate) start: Weights,
    threads: usize,
}

fn nothing(graph: &Graph) -> TrainError {
    let value = format!("int8, but no value of {} can be rounded", graph.name());
    TrainError::Setting { what: "quantize", value, wanted: "none for this network" }
}

impl Int8 {
    /// A network without batch norms, its weights, and how its numbers are rounded at first, by the ranges of some images.
    pub(crate) fn begin(
        graph: &Graph,
        weights: &WeightSet,
        images: &[Vec<f32>],
        level: Level,
        threads: usize,
    ) -> Result<(Graph, WeightSet, Int8), TrainError> {
        let plan = PlanOptions::strict(level);
        let how = QuantizeOptions { plan, threads, ..QuantizeOptions::default() };
        let Ranged { graph, weights, quantization } = ranged(graph, weights, images, how)?;
        let zeros = quantization.values.iter().map(|(id, grid)| (*id, grid.zero)).collect();
        let rounding = Rounding::new(&graph, zeros).ok_or_else(|| nothing(&graph))?;
        if rounding.lens().is_empty() {
            return Err(nothing(&graph));
        }
        let start = rounding.scales(&quantization);
        Ok((graph, weights, Int8 { rounding, start, threads }))
    }

    /// As it was when a run's state was written, but for scales; none if these are not the zeros of the graph's values.
    pub(crate) fn resumed(graph: &Graph, zeros: &BTreeMap<usize, u8>, threads: usize) -> Option<Int8> {
        let zeros = zeros.iter().map(|(&node, &zero)| (NodeId(node), zero)).collect();
        let rounding = Rounding::new(graph, zeros)?;
        let start = rounding.lens().iter().map(|&len| vec![1.0; len]).collect();
        Some(Int8 { rounding, start, threads })
    }

    /// Zeros by node, as a state has them.
    pub(crate) fn zeros(&self) -> BTreeMap<usize, u8> {
        self.rounding.zeros().iter().map(|(id, &zero)| (id.0, zero)).collect()
    }

    /// Lengths of the lists of scales.
    pub(crate) fn lens(&self) -> &[usize] {
        self.rounding.lens()
    }

    /// What the engine rounds.
    pub(crate) fn grids(&self, graph: &Graph) -> Grids {
        let mut values = vec![None; graph.nodes().len()];
        for (value, &zero) in self.rounding.zeros() {
            let list = self.rounding.list_of(*value);
            values[value.0] = list.map(|scales| ValueGrid { zero, scales });
        }
        Grids { values, scales: self.lens().to_vec() }
    }

    /// How scales are trained.
    pub(crate) fn groups(&self) -> impl Iterator<Item = Group> {
        self.lens().iter().map(|_| Group { trained: true, rate: 1.0, decays: false })
    }

    /// The integers that parameters and scales stand for.
    pub(crate) fn integers(&self, graph: &Graph, params: &[Vec<f32>]) -> Result<Numbers, TrainError> {
        let (weights, scales) = params.split_at(params.len() - self.lens().len());
        let weights = WeightSet::of(graph, weights.to_vec())?;
        let (weights, quantization) = self.rounding.integers(graph, &weights, scales, self.threads)?;
        Ok(Numbers { weights, quantization: Some(quantization) })
    }

    /// What these integers stand for, and the scales of values: the parameters that a step is made with.
    pub(crate) fn rounded(&self, graph: &Graph, params: &[Vec<f32>]) -> Result<Weights, TrainError> {
        let Numbers { weights, quantization } = self.integers(graph, params)?;
        let record = quantization.unwrap_or_default();
        let mut rounded = simulated_weights(graph, &weights, &record).to_lists(graph)?;
        rounded.extend(self.rounding.scales(&record));
        Ok(rounded)
    }

    /// Makes a step in which no scale becomes less than half or more than twice what it was.
    pub(crate) fn descend(&self, params: &mut [Vec<f32>], step: impl FnOnce(&mut [Vec<f32>])) {
        let first = params.len() - self.lens().len();
        let before = params[first..].to_vec();
        step(params);
        for (now, before) in params[first..].iter_mut().flatten().zip(before.iter().flatten()) {
            let [low, high] = [before / 2.0, before * 2.0];
            *now = now.clamp(low, high).clamp(*SCALES.start(), *SCALES.end());
        }
    }
}
