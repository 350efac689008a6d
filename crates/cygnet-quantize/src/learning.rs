//! What training has to know of a network that will compute with whole numbers: which values are rounded, which of their scales
//! are one, and what the integers of its weights are.

use std::collections::BTreeMap;

use cygnet_graph::{Graph, NodeId, Role};
use cygnet_runtime::halved_once_read;
use cygnet_runtime::integers::{integer_bias, real_weights};
use cygnet_weights::{Grid, Quantization, Tensor, WeightSet};

use crate::calibrate::grids;
use crate::network::Network;
use crate::places::Places;
use crate::plain::round_weights;
use crate::range::tidy;
use crate::survey::{Asked, Survey};
use crate::{QuantizeError, QuantizeOptions, folded, memory};

/// A network in floating point before it learns with rounding.
#[derive(Clone, Debug)]
pub struct Ranged {
    /// The graph without batch norms.
    pub graph: Graph,
    /// Its weights.
    pub weights: WeightSet,
    /// The grids of values that fit some images.
    pub quantization: Quantization,
}

/// Folds a network and finds grids for its values by images `[channels, height, width]`, prepared as it wants them.
///
/// # Errors
/// As [`quantize`](crate::quantize).
pub fn ranged(
    graph: &Graph,
    weights: &WeightSet,
    images: &[Vec<f32>],
    options: QuantizeOptions,
) -> Result<Ranged, QuantizeError> {
    if images.is_empty() {
        return Err(QuantizeError::NoImages { graph: graph.name().into() });
    }
    let (graph, weights) = folded(graph, weights)?;
    let places = places(&graph);
    let QuantizeOptions { threads, memory_bytes, .. } = options;
    let threads = memory::threads(&graph, &places, Asked::Numbers, images.len(), threads, memory_bytes)?;
    let network = Network::new(&graph, &weights, options.plan)?;
    let survey = Survey::new(&network, images, &places.has_grid, Asked::Numbers, threads)?;
    survey.finite(&graph)?;
    let quantization = grids(&graph, &weights, &places, &survey, options.method, threads)?;
    Ok(Ranged { graph, weights, quantization })
}

/// Places where every layer that can compute with whole numbers does.
fn places(graph: &Graph) -> Places {
    Places::of(graph, &vec![false; graph.nodes().len()])
}

/// How the values and weights of a folded graph are rounded, apart from scales, which are learnt: lists of numbers, one list for
/// all values that a table joins, else one for each with a scale for each channel.
#[derive(Clone, Debug)]
pub struct Rounding {
    is_layer: Vec<bool>,
    zeros: BTreeMap<NodeId, u8>,
    list_of: BTreeMap<NodeId, usize>,
    lens: Vec<usize>,
}

impl Rounding {
    /// The rounding of a graph whose values have these zeros; none if these are not its values that are rounded.
    #[must_use]
    pub fn new(graph: &Graph, zeros: BTreeMap<NodeId, u8>) -> Option<Rounding> {
        let places = places(graph);
        let mut rounding =
            Rounding { is_layer: places.is_layer, zeros, list_of: BTreeMap::new(), lens: Vec::new() };
        for group in places.groups {
            for (number, value) in group.values.iter().enumerate() {
                if !group.one_scale {
                    rounding.lens.push(graph.node(*value).shape[0]);
                } else if number == 0 {
                    rounding.lens.push(1);
                }
                rounding.list_of.insert(*value, rounding.lens.len() - 1);
            }
        }
        rounding.zeros.keys().eq(rounding.list_of.keys()).then_some(rounding)
    }

    /// The byte that stands for 0 of every value that is rounded.
    #[must_use]
    pub fn zeros(&self) -> &BTreeMap<NodeId, u8> {
        &self.zeros
    }

    /// The list of scales of a value that is rounded.
    #[must_use]
    pub fn list_of(&self, value: NodeId) -> Option<usize> {
        self.list_of.get(&value).copied()
    }

    /// Lengths of the lists of scales.
    #[must_use]
    pub fn lens(&self) -> &[usize] {
        &self.lens
    }

    /// The lists of scales of a record.
    #[must_use]
    pub fn scales(&self, record: &Quantization) -> Vec<Vec<f32>> {
        let mut scales: Vec<Vec<f32>> = self.lens.iter().map(|&len| vec![1.0; len]).collect();
        for (value, grid) in &record.values {
            let Some(list) = self.list_of(*value).and_then(|list| scales.get_mut(list)) else { continue };
            list.iter_mut().enumerate().for_each(|(channel, scale)| *scale = grid.scale(channel));
        }
        scales
    }

    /// The network of whole numbers that weights in floating point and lists of scales stand for: every scale is rounded to
    /// few bits, every weight to the nearest integer of its output's scale, which its largest weight has,
    /// and to bf16 in layers in floating point that read their input once.
    ///
    /// # Errors
    /// If the weights are not those of the graph.
    pub fn integers(
        &self,
        graph: &Graph,
        weights: &WeightSet,
        scales: &[Vec<f32>],
        threads: usize,
    ) -> Result<(WeightSet, Quantization), QuantizeError> {
        let misfit = |misfit| QuantizeError::Weights { graph: graph.name().into(), misfit };
        let mut weights = weights.part(graph).map_err(misfit)?;
        let mut record = Quantization::default();
        for (value, &zero) in &self.zeros {
            let scales = self.list_of(*value).and_then(|list| scales.get(list));
            let scales = scales.map(|scales| scales.iter().map(|&scale| tidy(scale)).collect());
            record.values.insert(*value, Grid { zero, scales: scales.unwrap_or_default() });
        }
        round_weights(graph, &mut weights, &mut record, &self.is_layer, threads)?;
        Ok((halved_once_read(graph, weights), record))
    }
}

/// The numbers by which floating point computes what a network of whole numbers does, but for the order of sums: what integer
/// weights stand for, and the biases of their layers in steps of the sums.
#[must_use]
pub fn simulated_weights(graph: &Graph, weights: &WeightSet, record: &Quantization) -> WeightSet {
    let mut real = real_weights(graph, weights, record);
    for param in graph.params().into_iter().filter(|param| param.role == Role::Bias) {
        let weight = graph.node_param(param.node, Role::Weight);
        let scales = weight.and_then(|weight| record.weights.get(&weight.name)).map(|grid| &grid.scales);
        let bias = real.get(&param.name).map(|bias| bias.to_f32().into_owned());
        let (Some(scales), Some(mut bias)) = (scales, bias) else { continue };
        for (bias, &scale) in bias.iter_mut().zip(scales) {
            *bias = (f64::from(integer_bias(*bias, scale)) * f64::from(scale)) as f32;
        }
        if let Ok(bias) = Tensor::from_numbers(param.shape, bias) {
            real.insert(param.name, bias);
        }
    }
    real
}
