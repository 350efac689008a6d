//! A graph and its weights as a program of kernel calls.
//!
//! A value is a list of places, one for each channel: a buffer and a slot in it. Views rearrange such lists and move no
//! data; a convolution reads its channels where they are, with its weights in that order. What follows a convolution
//! alone joins it.
//!
//! The way is a line. `order` proposes which branch comes first. In that order `facts` says who reads what, `rules` what
//! joins what, `steps` makes steps of calls on values, whose `key`s name them, `layout` gives buffers their places in the
//! arena, and `pack` makes the calls of kernels, with weights that `fold` has put together. `quantized` knows what of a
//! network is whole numbers: values on grids are bytes, and what is computed of them is exact. `places` are the values,
//! `outline` is what there is to see without weights.

mod facts;
mod fold;
mod key;
mod layout;
mod order;
mod outline;
mod pack;
mod places;
mod pools;
mod quantized;
mod rules;
mod steps;

use std::ops::Range;

use cygnet_graph::{Feature, Graph, Output};
use cygnet_kernels::{ByteLevel, Level, Map, Program, Store};
use cygnet_weights::{Quantization, WeightSet};

use crate::RunError;
use facts::Facts;
use fold::Params;
pub use key::{Sliding, StepKernel, StepKey, StepValue};
use layout::Layout;
pub use outline::{Outline, PlanBuffer, PlanStep};
use places::{Value, runs};
use quantized::Quantized;
pub use rules::{Rule, StepNode};
use steps::Steps;
pub(crate) use steps::has_mean;

/// Largest number of bytes of an arena.
const MEMORY_LIMIT: u64 = 4 << 30;

/// How a graph is planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlanOptions {
    /// The instruction set.
    pub level: Level,
    /// The instruction set of what is computed with whole numbers.
    pub bytes: ByteLevel,
    /// Whether only kernels may be used that sum products as the definition does, none that trade rounding for speed.
    pub strict: bool,
    /// Whether layers that read their whole input once, linear ones and convolutions of single pixels, compute in bf16: inputs and
    /// weights are rounded to it, sums are f32 ([`reference::bf16`](cygnet_kernels::reference::bf16)).
    pub bf16: bool,
    /// Whether the values of the graph's features stay to be read
    /// ([`Session::run_with_features`](crate::Session::run_with_features)), which takes memory for all of them.
    pub features: bool,
}

impl Default for PlanOptions {
    /// The best instruction set of this CPU, not strict.
    fn default() -> PlanOptions {
        Level::best().into()
    }
}

impl PlanOptions {
    /// Only strict kernels of an instruction set.
    #[must_use]
    pub fn strict(level: Level) -> PlanOptions {
        PlanOptions { strict: true, ..level.into() }
    }
}

impl From<Level> for PlanOptions {
    fn from(level: Level) -> PlanOptions {
        PlanOptions { level, bytes: ByteLevel::within(level), strict: false, bf16: false, features: false }
    }
}

/// A graph made ready for an instruction set: packed weights and kernel calls, shared by all sessions.
#[derive(Debug)]
pub struct Plan {
    graph: Graph,
    options: PlanOptions,
    made: Made,
}

/// What a plan is beside its graph.
#[derive(Debug)]
struct Made {
    program: Program,
    output: Map,
    outputs: Vec<PlanOutput>,
    /// Where each run of channels of the outputs but for the first lies, in order.
    other_maps: Vec<Map>,
    features: Vec<PlanFeature>,
    /// Where each run of channels of the features lies, in order.
    feature_maps: Vec<Map>,
    outline: Outline,
}

/// An output of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanOutput {
    /// Its name in the graph.
    pub name: String,
    /// `[channels, height, width]` or `[features]`.
    pub shape: Vec<usize>,
    /// Its numbers among those of all outputs.
    pub range: Range<usize>,
}

/// A feature that a plan keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanFeature {
    /// Its stage's path in the tree of parameters.
    pub name: String,
    /// How many times smaller than the image it is.
    pub stride: usize,
    /// `[channels, height, width]`.
    pub shape: [usize; 3],
    /// Its numbers among those of all features.
    pub range: Range<usize>,
}

impl Plan {
    /// Packs the weights, one slice for each of [`Graph::params`], in its order.
    ///
    /// # Errors
    /// If their number or a length does not fit the graph, or its values would take more than 4 GiB, or more memory than
    /// there is with the weights, or it falls apart into too many kernel calls.
    pub fn new<W: AsRef<[f32]>>(
        graph: Graph,
        weights: &[W],
        options: impl Into<PlanOptions>,
    ) -> Result<Plan, RunError> {
        let options = options.into();
        let params = crate::reference::by_node(&graph, weights)?;
        let made = made(&graph, &params, None, options)?;
        Ok(Plan { graph, options, made })
    }

    /// As [`Plan::new`], of a network that computes with whole numbers, to the bit as
    /// [`QuantizedReference`](crate::QuantizedReference) does where only they are computed with.
    ///
    /// # Errors
    /// As [`Plan::new`], or if the record is not one of the graph and the weights.
    pub fn quantized(
        graph: Graph,
        weights: &WeightSet,
        quantization: &Quantization,
        options: impl Into<PlanOptions>,
    ) -> Result<Plan, RunError> {
        let options = options.into();
        let quantized = Quantized::new(&graph, weights, quantization, options.bytes)?;
        let reals = quantized.real_params()?;
        let params = crate::reference::split_by_node(&graph, &reals);
        let made = made(&graph, &params, Some(&quantized), options)?;
        Ok(Plan { graph, options, made })
    }

    /// What a plan of a graph would do, without weights.
    ///
    /// # Errors
    /// If its values would take more than 4 GiB, or it falls apart into too many kernel calls.
    pub fn outline_of(graph: &Graph, options: impl Into<PlanOptions>) -> Result<Outline, RunError> {
        Ok(draft(graph, None, options.into())?.outline)
    }

    /// As [`Plan::outline_of`], of a network that computes with whole numbers.
    ///
    /// # Errors
    /// As [`Plan::outline_of`], or if the record is not one of the graph and the weights.
    pub fn quantized_outline_of(
        graph: &Graph,
        weights: &WeightSet,
        quantization: &Quantization,
        options: impl Into<PlanOptions>,
    ) -> Result<Outline, RunError> {
        let options = options.into();
        let quantized = Quantized::new(graph, weights, quantization, options.bytes)?;
        Ok(draft(graph, Some(&quantized), options)?.outline)
    }

    /// The graph it runs.
    #[must_use]
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// How it was planned.
    #[must_use]
    pub fn options(&self) -> PlanOptions {
        self.options
    }

    /// The kernel calls.
    #[must_use]
    pub fn program(&self) -> &Program {
        &self.made.program
    }

    /// Its steps and memory.
    #[must_use]
    pub fn outline(&self) -> &Outline {
        &self.made.outline
    }

    /// What is done, in order.
    #[must_use]
    pub fn steps(&self) -> &[PlanStep] {
        self.made.outline.steps()
    }

    /// As [`Outline::lower_bound_bytes`].
    #[must_use]
    pub fn lower_bound_bytes(&self) -> usize {
        self.made.outline.lower_bound_bytes()
    }

    /// The features that it keeps, the finest first; none unless [`PlanOptions::features`] asked for them.
    #[must_use]
    pub fn features(&self) -> &[PlanFeature] {
        &self.made.features
    }

    /// What a run returns: the graph's outputs, one after the other.
    #[must_use]
    pub fn outputs(&self) -> &[PlanOutput] {
        &self.made.outputs
    }

    pub(crate) fn other_maps(&self) -> &[Map] {
        &self.made.other_maps
    }

    pub(crate) fn feature_maps(&self) -> &[Map] {
        &self.made.feature_maps
    }

    pub(crate) fn output(&self) -> &Map {
        &self.made.output
    }
}

/// Makes the calls of a graph, with weights by node.
fn made(
    graph: &Graph,
    params: &Params<'_>,
    quantized: Option<&Quantized<'_>>,
    options: PlanOptions,
) -> Result<Made, RunError> {
    let Draft { calls, layout, packed_bytes, image, output, kept, outline } =
        draft(graph, quantized, options)?;
    crate::reference::fits_machine(graph, packed_bytes.saturating_add(outline.arena_bytes as u64))?;
    let mut store = Store::new(options.level);
    let calls = calls.iter().map(|call| pack::pack(call, &layout, params, &mut store)).collect();
    let image = image.iter().map(|&place| layout.map(&[place])).collect();
    let output = layout.map(&output);
    let map = |value: &Value| runs(value).into_iter().map(|run| layout.map(&value[run])).collect();
    let maps = |values: &[Value]| values.iter().flat_map(|value| -> Vec<Map> { map(value) }).collect();
    let (others, stages) = kept.split_at(graph.outputs().len() - 1);
    let (other_maps, feature_maps) = (maps(others), maps(stages));
    let outputs = outputs(graph)?;
    let features = if options.features { features(graph) } else { Vec::new() };
    let program = Program::new(options.level, image, calls, outline.arena_bytes).map_err(RunError::Plan)?;
    Ok(Made { program, output, outputs, other_maps, features, feature_maps, outline })
}

/// The graph's outputs, one after the other.
fn outputs(graph: &Graph) -> Result<Vec<PlanOutput>, RunError> {
    let mut end = 0usize;
    let output = |output: &Output| {
        let shape = graph.node(output.node).shape.clone();
        let start = end;
        end = end.saturating_add(shape.iter().product());
        PlanOutput { name: output.name.clone(), shape, range: start..end }
    };
    let outputs = graph.outputs().iter().map(output).collect();
    // Outputs that lie in one place of the arena are returned apart.
    let bytes = (end as u64).saturating_mul(size_of::<f32>() as u64);
    if bytes > MEMORY_LIMIT {
        return Err(RunError::Memory { graph: graph.name().into(), bytes, limit: MEMORY_LIMIT });
    }
    Ok(outputs)
}

/// The graph's features, one after the other.
fn features(graph: &Graph) -> Vec<PlanFeature> {
    let mut end = 0;
    let feature = |feature: &Feature| {
        let shape = crate::reference::map(&graph.node(feature.node).shape);
        let start = end;
        end += shape.iter().product::<usize>();
        let stride = graph.stride(feature.node);
        PlanFeature { name: feature.name.clone(), stride, shape, range: start..end }
    };
    graph.features().iter().map(feature).collect()
}

/// A plan without weights.
struct Draft<'g> {
    calls: Vec<steps::Call<'g>>,
    layout: Layout,
    /// Bytes of packed weights, about.
    packed_bytes: u64,
    image: Value,
    output: Value,
    /// As [`Steps::kept`].
    kept: Vec<Value>,
    outline: Outline,
}

/// Drafts a graph in each promising order and keeps what needs the smallest arena, the graph's own order if equal.
fn draft<'g>(
    graph: &'g Graph,
    quantized: Option<&'g Quantized<'g>>,
    options: PlanOptions,
) -> Result<Draft<'g>, RunError> {
    let orders = order::candidates(graph, &facts::wanted(graph, options));
    let mut drafts = orders.into_iter().map(|order| draft_of(&Facts::new(graph, options, quantized, order)));
    let first = drafts.next().expect("a graph has its own order");
    let best = drafts.fold(first, |best, next| match (best, next) {
        (Ok(best), Ok(next)) if next.outline.arena_bytes < best.outline.arena_bytes => Ok(next),
        (Err(_), next) => next,
        (best, _) => best,
    })?;
    debug_assert!(best.layout.is_free_of_overlaps());
    Ok(best)
}

fn draft_of<'g>(facts: &Facts<'g>) -> Result<Draft<'g>, RunError> {
    let Steps { steps, calls, buffers, packed, image, output, kept } = steps::steps(facts)?;
    let graph = || facts.graph.name().into();
    let memory = |bytes| RunError::Memory { graph: graph(), bytes, limit: MEMORY_LIMIT };
    let layout = Layout::of(buffers).ok_or_else(|| memory(u64::MAX))?;
    let arena_bytes = layout.arena;
    if arena_bytes as u64 > MEMORY_LIMIT {
        return Err(memory(arena_bytes as u64));
    }
    let lower_bound = layout.lower_bound(steps.iter().map(|step| step.calls.clone()));
    let outline = Outline { steps, buffers: layout.planned(), arena_bytes, lower_bound_bytes: lower_bound };
    Ok(Draft { calls, layout, packed_bytes: packed, image, output, kept, outline })
}
