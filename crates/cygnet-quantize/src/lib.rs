//! Quantises networks after training: finds how far values reach on some images, rounds weights so that little is lost, and
//! corrects biases layer by layer. The result is a graph without batch norms, integer weights, and the record of what they stand
//! for.
//!
//! ```text
//! graph, weights ─▶ fold ─▶ places (which values) ─▶ survey (what they reach) ─▶ range, balance (their grids)
//!                                   ▲                                                    │
//!                sensitivity: the worst layers stay real          calibrate: rounding, biases, layer by layer
//!                                   └──────────────── judge (agreement, divergence) ◀─────┘
//! ```
//!
//! What whole numbers mean is not said here but in [`cygnet_runtime::integers`]. No files, no pictures, no kernels.
#![warn(clippy::wildcard_enum_match_arm)]

mod balance;
mod calibrate;
mod distribution;
mod fold;
mod judge;
mod learning;
mod memory;
mod network;
mod places;
mod plain;
mod range;
mod rounding;
mod sensitivity;
mod survey;

use cygnet_files::Size;
use cygnet_graph::{BuildError, Graph, NodeId};
use cygnet_runtime::{PlanOptions, RunError};
use cygnet_weights::{Misfit, Quantization, WeightSet};
use thiserror::Error;

pub use distribution::Distribution;
pub use fold::folded;
pub use judge::{Agreement, Loss, compare, guess};
pub use learning::{Ranged, Rounding, ranged, simulated_weights};
pub use memory::{check_images, check_kept};
pub use plain::quantize_plainly;
pub use range::Method;
pub use sensitivity::{COMPARED, ROUNDS, Sensitivity, more_real, noise, worst};

use calibrate::Quantized;
use network::{Network, each};
use places::Places;
use survey::{Asked, Survey};

/// Why a network could not be quantised.
#[derive(Debug, Error)]
pub enum QuantizeError {
    /// The graph without batch norms is no graph.
    #[error(transparent)]
    Graph(#[from] BuildError),
    /// The weights are not those of the graph.
    #[error("{graph}: {misfit}")]
    Weights {
        /// The graph's name.
        graph: String,
        /// What does not fit.
        misfit: Misfit,
    },
    /// The network cannot be run.
    #[error(transparent)]
    Run(#[from] RunError),
    /// There is nothing to find ranges from.
    #[error("{graph}: no images to find ranges from; give one at least")]
    NoImages {
        /// The graph's name.
        graph: String,
    },
    /// What is kept of all images would take too much memory.
    #[error(
        "{graph}: what is kept of {images} images takes {}, the limit is {}; give fewer with --images, or raise it with --memory",
        Size(*bytes), Size(*limit)
    )]
    Memory {
        /// The graph's name.
        graph: String,
        /// Images given.
        images: usize,
        /// Bytes that are needed.
        bytes: u64,
        /// The most that it may be.
        limit: u64,
    },
    /// The network's answers are no numbers.
    #[error("{graph}: the answer for image {image} is not finite, already in floating point")]
    NotFinite {
        /// The graph's name.
        graph: String,
        /// Number of the image.
        image: usize,
    },
}

/// How a network is quantised.
#[derive(Clone, Copy, Debug)]
pub struct QuantizeOptions {
    /// How layers are planned while quantisation is tried.
    pub plan: PlanOptions,
    /// Threads; they change no result.
    pub threads: usize,
    /// How ranges are found; without, each value in the way that loses least on images by which it was not found.
    pub method: Option<Method>,
    /// What may be lost on these images, in points of top-1 accuracy, or of agreement without labels. Layers stay in
    /// floating point as long as more is lost, by more than the number of images leaves to chance (two standard
    /// errors, of some points where images are few): [`Loss`] says what that is.
    pub drop: f64,
    /// Most bytes for values, of all images and threads together; fewer threads work where they would take more. Without,
    /// 4 GiB, or 256 MiB a thread if that is more, and no more than half of what this process may have.
    pub memory_bytes: Option<u64>,
}

impl Default for QuantizeOptions {
    /// One thread, half a point, the best instruction set, sums as they are defined, and the usual memory.
    fn default() -> QuantizeOptions {
        let plan = PlanOptions { strict: true, ..PlanOptions::default() };
        QuantizeOptions { plan, threads: 1, method: None, drop: 0.5, memory_bytes: None }
    }
}

/// A network of whole numbers.
#[derive(Clone, Debug)]
pub struct QuantizedNetwork {
    /// The graph without batch norms.
    pub graph: Graph,
    /// Integer weights, and biases in floating point.
    pub weights: WeightSet,
    /// What the integers stand for.
    pub quantization: Quantization,
    /// The answers of the network in floating point and of this one for each image.
    pub outputs: [Vec<Vec<f32>>; 2],
    /// What each layer's rounding alone does, in the order of the graph.
    pub sensitivity: Vec<Sensitivity>,
    /// Where the numbers of the most sensitive layers lie on their grids when all layers are on such, the most sensitive first.
    pub distributions: Vec<Distribution>,
}

/// Layers whose numbers are told of.
const DRAWN: usize = 6;

/// Quantises a network by images `[channels, height, width]`, prepared as it wants them, with the class of each if `labels` has
/// some. `tell` hears what is done.
///
/// ```
/// use cygnet_graph::{Conv, Graph};
/// use cygnet_quantize::{QuantizeOptions, quantize};
/// use cygnet_weights::WeightSet;
///
/// let graph = Graph::build("tiny", [1, 4, 4], |net, image| {
///     net.at("fc").linear(net.at("conv").conv(image, Conv::new(2, 1)).relu().global_avg_pool(), 2)
/// })?;
/// let weights = WeightSet::of(&graph, [vec![0.5, -0.5], vec![1.0, -1.0, -1.0, 1.0], vec![0.0, 0.0]])?;
/// let images: Vec<Vec<f32>> = (0..8).map(|i| vec![i as f32 / 4.0 - 1.0; 16]).collect();
/// let quantized = quantize(&graph, &weights, &images, &[], QuantizeOptions::default(), &mut |_| {})?;
/// assert_eq!(quantized.quantization.weights.len(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// If weights or images do not fit the graph, or there are no images.
pub fn quantize(
    graph: &Graph,
    weights: &WeightSet,
    images: &[Vec<f32>],
    labels: &[usize],
    options: QuantizeOptions,
    tell: &mut dyn FnMut(&str),
) -> Result<QuantizedNetwork, QuantizeError> {
    if images.is_empty() {
        return Err(QuantizeError::NoImages { graph: graph.name().into() });
    }
    let (graph, weights) = folded(graph, weights)?;
    let mut real = vec![false; graph.nodes().len()];
    let mut places = Places::of(&graph, &real);
    let QuantizeOptions { threads, memory_bytes, .. } = options;
    let threads = memory::threads(&graph, &places, Asked::Numbers, images.len(), threads, memory_bytes)?;
    let network = || Network::new(&graph, &weights, options.plan);
    let float = network()?;
    tell("finding ranges");
    let survey = Survey::new(&float, images, &places.has_grid, Asked::Numbers, threads)?;
    survey.finite(&graph)?;
    let mut sensitivity: Vec<Sensitivity> = Vec::new();
    let mut distributions: Vec<Distribution> = Vec::new();
    let mut round = 0;
    loop {
        let record = calibrate::grids(&graph, &weights, &places, &survey, options.method, threads)?;
        tell("rounding layer by layer");
        let (quantized, outputs) =
            Quantized::new(network()?, &weights, &places, &survey, record, images, threads)?;
        if sensitivity.is_empty() {
            tell("comparing layers");
            let compared = &images[..images.len().min(COMPARED)];
            sensitivity = sensitivity::layers(&float, &quantized, &places, compared, threads)?;
            let shown = worst(&sensitivity, |_| true).into_iter().take(DRAWN).map(|layer| layer.node);
            distributions =
                shown.filter_map(|id| Distribution::of(id, &quantized, &places, &survey)).collect();
        }
        let loss = Loss::of(&survey.outputs, &outputs, labels);
        let left = sensitivity.iter().filter(|layer| !real[layer.node.0]).count();
        if !loss.exceeds(options.drop / 100.0) || round == ROUNDS || left == 0 {
            let Quantized { weights, record, .. } = quantized;
            let outputs = [survey.outputs, outputs];
            let quantization = record;
            return Ok(QuantizedNetwork {
                graph,
                weights,
                quantization,
                outputs,
                sensitivity,
                distributions,
            });
        }
        tell("more is lost than may be: the most sensitive layers stay in floating point");
        let count = more_real(sensitivity.len(), round);
        round += 1;
        let worst = worst(&sensitivity, |layer| !real[layer.node.0]);
        let worst: Vec<NodeId> = worst.iter().take(count).map(|layer| layer.node).collect();
        worst.iter().for_each(|id| real[id.0] = true);
        places = Places::of(&graph, &real);
    }
}

/// The answers of a quantised network, computed in floating point that is rounded where it is: those of
/// [`QuantizedReference`](cygnet_runtime::QuantizedReference) but for sums in another order, and much sooner.
///
/// # Errors
/// If images or weights do not fit the graph.
pub fn simulate(
    quantized: &QuantizedNetwork,
    images: &[Vec<f32>],
    options: QuantizeOptions,
) -> Result<Vec<Vec<f32>>, QuantizeError> {
    let QuantizedNetwork { graph, weights, quantization, .. } = quantized;
    let real = cygnet_runtime::integers::real_weights(graph, weights, quantization);
    let network = Network::new(graph, &real, options.plan)?;
    // Views need no rounding of their own.
    let mut grids = vec![None; graph.nodes().len()];
    quantization.values.iter().for_each(|(id, grid)| grids[id.0] = Some(grid.clone()));
    let mut items: Vec<usize> = (0..images.len()).collect();
    let run = |worker: &mut network::Worker, index: usize, _: &mut usize| {
        network.run(worker, &images[index], &grids, |_, _| {})
    };
    Ok(each(options.threads, &mut items, || network.worker(), run)?)
}
