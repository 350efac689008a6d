//! Which channels of which parameters belong together, and the network without some of them.
//!
//! A fold over the graph says of every channel of every value where it comes from: a dense or grouped convolution and a
//! linear layer make new channels, all other operators hand theirs on, in another order or beside others. Channels that are
//! added or multiplied belong together from then on, and so do the filters, norms, gates and columns of weights behind them.

mod cut;
mod settle;

pub use cut::{Cut, Selection};

use crate::{Graph, Node, NodeId, Op};

/// The groups of a graph's channels that can only be cut together, by number from 0.
///
/// ```
/// use cygnet_graph::{Channels, Conv, Graph};
///
/// let graph = Graph::build("residual", [3, 8, 8], |net, image| {
///     let x = net.at("stem").conv(image, Conv::new(4, 3)).relu();
///     let y = net.at("inner").conv(x, Conv::new(6, 1)).relu();
///     let x = x + net.at("outer").conv(y, Conv::new(4, 1));
///     net.at("fc").linear(x.global_avg_pool(), 10)
/// })?;
/// let channels = Channels::of(&graph);
/// // Three of the image, four of the residual sum, six between its layers and ten classes.
/// assert_eq!(channels.len(), 3 + 4 + 6 + 10);
/// let free: Vec<usize> = (0..channels.len()).filter(|&group| !channels.is_fixed(group)).collect();
/// assert_eq!(free.len(), 4 + 6);
///
/// let mut cut = vec![false; channels.len()];
/// cut[free[0]] = true;
/// let smaller = channels.cut(&cut)?;
/// assert_eq!(smaller.graph.node_params(cygnet_graph::NodeId(1))[0].shape, [3, 3, 3, 3]);
/// # Ok::<(), cygnet_graph::BuildError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Channels<'g> {
    graph: &'g Graph,
    /// For each node, the group of each channel of its value.
    groups: Vec<Vec<usize>>,
    fixed: Vec<bool>,
}

impl<'g> Channels<'g> {
    /// The groups of a graph's channels, in time and memory proportional to the channels of all values together.
    #[must_use]
    pub fn of(graph: &'g Graph) -> Channels<'g> {
        let mut origins = Origins::default();
        let mut values: Vec<Vec<usize>> = Vec::with_capacity(graph.nodes().len());
        for node in graph.nodes() {
            let inputs: Vec<&[usize]> = node.inputs.iter().map(|id| values[id.0].as_slice()).collect();
            let value = origins.of_node(node, &inputs);
            values.push(value);
        }
        let heads = graph.auxiliary().iter().map(|head| head.node);
        for end in graph.outputs().iter().map(|output| output.node).chain(heads) {
            values[end.0].iter().for_each(|&origin| origins.fix(origin));
        }
        let mut channels = origins.grouped(graph, values);
        for shuffle in cut::shuffles_in_order(&channels) {
            channels.groups[shuffle.0].iter().for_each(|&group| channels.fixed[group] = true);
        }
        channels
    }

    /// The graph whose channels these are.
    #[must_use]
    pub fn graph(&self) -> &'g Graph {
        self.graph
    }

    /// Number of groups.
    #[must_use]
    pub fn len(&self) -> usize {
        self.fixed.len()
    }

    /// Whether there are none, which no graph has.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fixed.is_empty()
    }

    /// The group of each channel of a node's value. Rows of its weight, its bias and its norm's parameters are these channels,
    /// columns of its weight those of the value that it reads.
    ///
    /// # Panics
    /// If `id` belongs to a larger graph.
    #[must_use]
    pub fn groups_of(&self, id: NodeId) -> &[usize] {
        &self.groups[id.0]
    }

    /// Whether a group can never be cut: the image's channels, classes and other outputs, channels that are normalised
    /// with their neighbours, single ones that are spread over many, and those that are shuffled before they are added to others.
    ///
    /// # Panics
    /// If there is no such group.
    #[must_use]
    pub fn is_fixed(&self, group: usize) -> bool {
        self.fixed[group]
    }
}

/// Whether each channel of a convolution's input is read by outputs of its own, as many for each.
fn is_channelwise(groups: usize, inputs: usize) -> bool {
    groups == inputs && inputs > 1
}

/// A forest of disjoint sets over channels that operators made.
#[derive(Default)]
struct Origins {
    parents: Vec<usize>,
    fixed: Vec<bool>,
}

impl Origins {
    fn fresh(&mut self, count: usize) -> Vec<usize> {
        let first = self.parents.len();
        self.parents.extend(first..first + count);
        self.fixed.resize(first + count, false);
        (first..first + count).collect()
    }

    fn root(&mut self, mut origin: usize) -> usize {
        while self.parents[origin] != origin {
            self.parents[origin] = self.parents[self.parents[origin]];
            origin = self.parents[origin];
        }
        origin
    }

    fn join(&mut self, left: usize, right: usize) {
        let [left, right] = [left, right].map(|origin| self.root(origin));
        let [root, child] = [left.min(right), left.max(right)];
        self.parents[child] = root;
        self.fixed[root] |= self.fixed[child];
    }

    fn fix(&mut self, origin: usize) {
        let root = self.root(origin);
        self.fixed[root] = true;
    }

    /// Where the channels of a node's value come from.
    fn of_node(&mut self, node: &Node, inputs: &[&[usize]]) -> Vec<usize> {
        match &node.op {
            Op::Input => {
                let image = self.fresh(node.shape[0]);
                image.iter().for_each(|&origin| self.fix(origin));
                image
            }
            Op::Conv(conv) if is_channelwise(conv.groups, inputs[0].len()) => {
                let each = conv.out / conv.groups;
                (0..conv.out).map(|out| inputs[0][out / each]).collect()
            }
            Op::Conv(_) | Op::Linear { .. } => self.fresh(node.shape[0]),
            Op::BatchNorm(_)
            | Op::Activation { .. }
            | Op::Pool(_)
            | Op::GlobalAvgPool
            | Op::AdaptiveAvgPool { .. }
            | Op::Scale { .. }
            | Op::UpsampleLike
            | Op::Dropout { .. } => inputs[0].to_vec(),
            Op::LocalResponseNorm(_) | Op::Softmax => {
                inputs[0].iter().for_each(|&origin| self.fix(origin));
                inputs[0].to_vec()
            }
            Op::Add | Op::Mul => {
                let [few, many] = if inputs[0].len() < inputs[1].len() { [0, 1] } else { [1, 0] };
                if inputs[few].len() < inputs[many].len() {
                    self.fix(inputs[few][0]);
                } else {
                    inputs[0].iter().zip(inputs[1]).for_each(|(&left, &right)| self.join(left, right));
                }
                inputs[many].to_vec()
            }
            Op::Concat => inputs.concat(),
            Op::Slice { start, len } => inputs[0][*start..start + len].to_vec(),
            Op::ChannelShuffle { groups } => {
                shuffled(inputs[0].len(), *groups).map(|channel| inputs[0][channel]).collect()
            }
        }
    }

    /// Sets in order of their first channel as groups.
    fn grouped(mut self, graph: &Graph, mut values: Vec<Vec<usize>>) -> Channels<'_> {
        let mut numbers = vec![None; self.parents.len()];
        let mut fixed = Vec::new();
        for origin in values.iter_mut().flatten() {
            let root = self.root(*origin);
            *origin = *numbers[root].get_or_insert_with(|| {
                fixed.push(self.fixed[root]);
                fixed.len() - 1
            });
        }
        Channels { graph, groups: values, fixed }
    }
}

/// The input channel of each output channel of a shuffle.
fn shuffled(channels: usize, groups: usize) -> impl Iterator<Item = usize> {
    let columns = channels / groups;
    (0..channels).map(move |out| out % groups * columns + out / groups)
}
