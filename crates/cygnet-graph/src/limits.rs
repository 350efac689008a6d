//! What a graph from a file may ask for.

use crate::{BuildError, Graph, NodeId, Op, Problem, shape};

/// How large a graph may be that is read ([`Graph::from_json_within`]). A file of a few bytes can describe a network that
/// would take all memory, or days, to run; it is refused before anything is computed or laid out. Graphs that are built
/// have no limit but [`shape::MAX_ELEMENTS`].
///
/// The defaults are several times what the largest networks of the field need.
///
/// ```
/// use cygnet_graph::{Conv, Graph, Limits};
///
/// let graph = Graph::build("wide", [3, 64, 64], |net, image| net.at("conv").conv(image, Conv::new(64, 3)))?;
/// let json = graph.to_json();
/// assert!(Graph::from_json(&json).is_ok());
/// let error = Graph::from_json_within(&json, &Limits { macs: 1_000_000, ..Limits::default() }).unwrap_err();
/// assert!(error.to_string().contains("the limit is 1000000"), "{error}");
/// # Ok::<(), cygnet_graph::BuildError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Nodes, the image's too.
    pub nodes: usize,
    /// Values that nodes read, all nodes together.
    pub inputs: usize,
    /// Channels of the image.
    pub image_channels: usize,
    /// Channels of values, all values together.
    pub channels: usize,
    /// Numbers of a value.
    pub elements: usize,
    /// Numbers of all parameters together, running statistics too.
    pub params: u64,
    /// Features, auxiliary outputs, and outputs but for the first.
    pub ends: usize,
    /// Multiply-accumulates for one image. Here every number that any operator reads to make one of its output counts as
    /// one, so that pooling over large windows is not free.
    pub macs: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            nodes: 1 << 15,
            inputs: 1 << 17,
            image_channels: 1 << 12,
            channels: 1 << 22,
            elements: 1 << 28,
            params: 1 << 30,
            ends: 64,
            macs: 1_000_000_000_000,
        }
    }
}

/// What the nodes of a graph ask for so far.
pub(crate) struct Tally<'l> {
    limits: &'l Limits,
    nodes: usize,
    inputs: usize,
    channels: usize,
    params: u64,
    macs: u64,
}

impl<'l> Tally<'l> {
    /// Of a graph that is an image only.
    pub(crate) fn new(graph: &Graph, limits: &'l Limits) -> Result<Tally<'l>, BuildError> {
        let [channels, ..] = graph.input_shape();
        let image = over("channels of the image", channels, limits.image_channels);
        image.map_err(|problem| graph.error("at the image".into(), problem))?;
        let mut tally = Tally { limits, nodes: 0, inputs: 0, channels: 0, params: 0, macs: 0 };
        tally.add(graph, NodeId(0))?;
        Ok(tally)
    }

    /// Counts a node.
    pub(crate) fn add(&mut self, graph: &Graph, id: NodeId) -> Result<(), BuildError> {
        let (node, limits) = (graph.node(id), self.limits);
        let elements = shape::elements(&node.shape).unwrap_or(usize::MAX);
        self.nodes += 1;
        self.inputs = self.inputs.saturating_add(node.inputs.len());
        self.channels = self.channels.saturating_add(node.shape[0]);
        self.params = self.params.saturating_add(graph.node_numbers(id));
        self.macs = self.macs.saturating_add(work(graph, id));
        let check = || {
            over("nodes", self.nodes, limits.nodes)?;
            over("values read by nodes", self.inputs, limits.inputs)?;
            over("channels in all values", self.channels, limits.channels)?;
            over("numbers in a value", elements, limits.elements)?;
            over("numbers in parameters", self.params, limits.params)?;
            over("multiply-accumulates", self.macs, limits.macs)
        };
        check().map_err(|problem| graph.error(graph.place_of(id), problem))
    }
}

impl Graph {
    /// Checks a graph that was made of one that was read, for other images or classes, say.
    ///
    /// # Errors
    /// The first limit that it is over, with its place.
    pub fn check(&self, limits: &Limits) -> Result<(), BuildError> {
        let mut tally = Tally::new(self, limits)?;
        (1..self.nodes().len()).try_for_each(|index| tally.add(self, NodeId(index)))
    }
}

/// Refuses what is over a limit.
pub(crate) fn over<N: Copy + PartialOrd + TryInto<u64>>(
    what: &'static str,
    value: N,
    limit: N,
) -> Result<(), Problem> {
    if value <= limit {
        return Ok(());
    }
    let [value, limit] = [value, limit].map(|n| n.try_into().unwrap_or(u64::MAX));
    Err(Problem::Limit { what, value, limit })
}

/// A number that a window reads for itself alone takes about as long as so many multiply-accumulates of a convolution,
/// which reads a number once for many.
const UNSHARED: u64 = 16;

/// The same of a number that is read for one other alone, from memory.
const ALONE: u64 = 64;

/// The same of a number whose exponential is taken one by one.
const EXPONENTIAL: u64 = 256;

/// How many numbers a node reads for all of its output; products of each with a weight, for layers with weights.
fn work(graph: &Graph, id: NodeId) -> u64 {
    let node = graph.node(id);
    let elements = |shape: &[usize]| shape.iter().map(|&n| n as u64).product::<u64>();
    let out = elements(&node.shape);
    let inputs = graph.input_shapes(node);
    match &node.op {
        Op::Conv(_) | Op::Linear { .. } => graph.node_cost(id).macs,
        Op::Pool(pool) => out.saturating_mul(elements(&pool.kernel)).saturating_mul(UNSHARED),
        Op::GlobalAvgPool => elements(inputs[0]).saturating_mul(UNSHARED),
        Op::Softmax => out.saturating_mul(EXPONENTIAL),
        Op::AdaptiveAvgPool { size } => {
            let window = |axis: usize| (inputs[0][axis + 1] / size[axis] + 2) as u64;
            out.saturating_mul(window(0)).saturating_mul(window(1)).saturating_mul(UNSHARED)
        }
        Op::LocalResponseNorm(norm) => {
            out.saturating_mul(norm.size.min(node.shape[0]) as u64).saturating_mul(UNSHARED)
        }
        Op::Input
        | Op::BatchNorm(_)
        | Op::Activation { .. }
        | Op::Add
        | Op::Mul
        | Op::Scale { .. }
        | Op::Concat
        | Op::Slice { .. }
        | Op::ChannelShuffle { .. }
        | Op::UpsampleLike
        | Op::Dropout { .. } => out.saturating_mul(ALONE),
    }
}
