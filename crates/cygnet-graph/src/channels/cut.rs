//! The smaller graph, and what its parameters are of those of the larger.
//!
//! Values keep their channels in order. Only of a shuffle's value the rest may be no shuffle of what is left any more; it is
//! then read as channels of the values before it, which layers with weights take in any order, so that few pieces are joined.

use std::collections::HashMap;

use super::{Channels, shuffled};
use crate::graph::Ends;
use crate::{Auxiliary, BuildError, Conv, Feature, Graph, Node, NodeId, Op, Output, Param, Problem, Role};

/// Most nodes that join channels which a shuffle does not bring together any more.
const MOST_PIECES: usize = 1 << 16;

/// A network without some channels of another.
#[derive(Clone, Debug, PartialEq)]
pub struct Cut {
    /// The smaller network, whose parameters have the names that they had.
    pub graph: Graph,
    /// What each of its parameters is of the one of that name, in the order of [`Graph::params`].
    pub selections: Vec<Selection>,
}

/// The part of a parameter that a smaller network has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// The parameter's name.
    pub name: String,
    /// The shape that it had.
    pub shape: Vec<usize>,
    /// The rows that stay, numbers along its first axis, in their new order.
    pub rows: Vec<usize>,
    /// The columns that stay, numbers along its second axis, in their new order: a list for each of as many equal runs of
    /// rows as there are lists, or no list where all stay.
    pub columns: Vec<Vec<usize>>,
}

impl Channels<'_> {
    /// The network without the groups that `cut` names. Where their channels were zero, it computes the same.
    ///
    /// # Errors
    /// If a fixed group is among them, nothing would be left of a value, or groups of a grouped convolution would keep
    /// different numbers of channels: see [`Channels::settle`].
    ///
    /// # Panics
    /// If there are fewer answers than [groups](Channels::len).
    pub fn cut(&self, cut: &[bool]) -> Result<Cut, BuildError> {
        let refuse = |id, reason| self.graph.error(self.graph.place_of(id), Problem::Cut(reason));
        for (id, _) in self.graph.iter() {
            if self.groups[id.0].iter().any(|&group| cut[group] && self.fixed[group]) {
                return Err(refuse(id, "a channel that has to stay is cut"));
            }
        }
        if let Some((id, _)) = self.parts().find(|(_, parts)| !parts.is_even(cut)) {
            return Err(refuse(id, "no channel is left, or not as many in each group of channels"));
        }
        let mut smaller = Smaller::of(self, cut);
        for (id, node) in self.graph.iter().skip(1) {
            let value = smaller.node(id, node);
            smaller.values.push(value);
            if smaller.parts.len() > id.0 + MOST_PIECES {
                return Err(refuse(id, "what is left of shuffles falls apart into too many pieces"));
            }
        }
        smaller.finish()
    }
}

/// Where a channel of the larger graph's value is in the smaller graph.
type Place = (NodeId, usize);

/// A value in the smaller graph.
#[derive(Clone)]
enum Value {
    /// That of a node.
    Node(Source),
    /// The channels that stay of a value that no node has, in its order.
    Places(Vec<Place>),
}

/// A value as a node reads it.
#[derive(Clone)]
struct Source {
    node: NodeId,
    /// The channel of the larger graph's value that each channel is.
    channels: Vec<usize>,
}

struct Smaller<'c> {
    channels: &'c Channels<'c>,
    cut: &'c [bool],
    orders: Orders,
    parts: Vec<(Op, Vec<NodeId>, String)>,
    /// Channels of each node's value.
    widths: Vec<usize>,
    /// By node of the larger graph.
    values: Vec<Value>,
    /// What nodes read values as that are places.
    joined: HashMap<NodeId, Source>,
    selections: Vec<Selection>,
}

impl<'c> Smaller<'c> {
    fn of(channels: &'c Channels<'c>, cut: &'c [bool]) -> Smaller<'c> {
        let mut smaller = Smaller {
            channels,
            cut,
            orders: Orders::of(channels),
            parts: Vec::new(),
            widths: vec![channels.groups[0].len()],
            values: Vec::with_capacity(channels.groups.len()),
            joined: HashMap::new(),
            selections: Vec::new(),
        };
        let image = Source { node: NodeId(0), channels: smaller.kept(NodeId(0)) };
        smaller.values.push(Value::Node(image));
        smaller
    }

    /// The channels of a value that stay.
    fn kept(&self, id: NodeId) -> Vec<usize> {
        let groups = self.channels.groups[id.0].iter().enumerate();
        groups.filter(|&(_, &group)| !self.cut[group]).map(|(channel, _)| channel).collect()
    }

    fn push(&mut self, op: Op, inputs: Vec<NodeId>, path: String, width: usize) -> NodeId {
        self.parts.push((op, inputs, path));
        self.widths.push(width);
        NodeId(self.parts.len())
    }

    /// Where the channels of a value that stay are.
    fn places(&self, id: NodeId) -> Vec<Place> {
        match &self.values[id.0] {
            Value::Node(source) => (0..source.channels.len()).map(|channel| (source.node, channel)).collect(),
            Value::Places(places) => places.clone(),
        }
    }

    /// A value as a node, in an order that suits all that reads it.
    fn source(&mut self, id: NodeId) -> Source {
        let places = match &self.values[id.0] {
            Value::Node(source) => return source.clone(),
            Value::Places(places) => places,
        };
        if let Some(source) = self.joined.get(&id) {
            return source.clone();
        }
        let each = self.channels.groups[id.0].len() / self.orders.joined[id.0];
        let kept = self.kept(id);
        let mut order: Vec<(usize, Place, usize)> =
            kept.into_iter().zip(places).map(|(channel, &place)| (channel / each, place, channel)).collect();
        order.sort_unstable();
        let places: Vec<Place> = order.iter().map(|(_, place, _)| *place).collect();
        let channels = order.into_iter().map(|(_, _, channel)| channel).collect();
        let source = Source { node: self.join(&places), channels };
        self.joined.insert(id, source.clone());
        source
    }

    /// A node whose value has its channels at places.
    fn join(&mut self, places: &[Place]) -> NodeId {
        let follows = |a: &Place, b: &Place| a.0 == b.0 && a.1 + 1 == b.1;
        let mut pieces = Vec::new();
        for run in places.chunk_by(follows) {
            let (node, start) = run[0];
            let is_whole = run.len() == self.widths[node.0];
            let slice = Op::Slice { start, len: run.len() };
            pieces.push(if is_whole { node } else { self.push(slice, vec![node], String::new(), run.len()) });
        }
        if let [piece] = pieces[..] {
            piece
        } else {
            self.push(Op::Concat, pieces, String::new(), places.len())
        }
    }

    /// A node of the larger graph in the smaller.
    fn node(&mut self, id: NodeId, node: &Node) -> Value {
        let input = node.inputs[0];
        let whole = self.channels.groups[input.0].len();
        if let Some(places) = self.view(id, node) {
            return Value::Places(places);
        }
        let sources: Vec<Source> = node.inputs.iter().map(|&id| self.source(id)).collect();
        let from = &sources[0].channels;
        let hands_on = self.orders.hands_on[id.0];
        let kept = if hands_on { from.clone() } else { self.kept(id) };
        let op = match &node.op {
            Op::Conv(conv) => {
                let groups = if self.channels.is_channelwise(id) { from.len() } else { conv.groups };
                let each = whole / conv.groups;
                let part = |part: &[usize]| part.iter().map(|channel| channel % each).collect();
                let columns = from.chunks(from.len() / groups).map(part);
                let is_dense = !self.channels.is_channelwise(id);
                self.select(id, &kept, if is_dense { columns.collect() } else { Vec::new() });
                Op::Conv(Conv { out: kept.len(), groups, ..conv.clone() })
            }
            Op::Linear { bias, .. } => {
                let area: usize = self.channels.graph.node(input).shape[1..].iter().product();
                let features = from.iter().flat_map(|channel| channel * area..(channel + 1) * area);
                self.select(id, &kept, vec![features.collect()]);
                Op::Linear { out: kept.len(), bias: *bias }
            }
            Op::BatchNorm(_) => {
                self.select(id, &kept, Vec::new());
                node.op.clone()
            }
            Op::Scale { scale, shift } => {
                let stay = |constants: &[f32]| match constants {
                    [one] => vec![*one],
                    many => kept.iter().map(|&channel| many[channel]).collect(),
                };
                Op::Scale { scale: stay(scale), shift: stay(shift) }
            }
            Op::Slice { start, .. } => Op::Slice { start: rank(from, *start), len: kept.len() },
            Op::Input
            | Op::Activation { .. }
            | Op::Pool(_)
            | Op::GlobalAvgPool
            | Op::AdaptiveAvgPool { .. }
            | Op::LocalResponseNorm(_)
            | Op::Add
            | Op::Mul
            | Op::Concat
            | Op::ChannelShuffle { .. }
            | Op::UpsampleLike
            | Op::Dropout { .. }
            | Op::Softmax => node.op.clone(),
        };
        let inputs = sources.into_iter().map(|source| source.node).collect();
        let node = self.push(op, inputs, node.path.clone(), kept.len());
        Value::Node(Source { node, channels: kept })
    }

    /// The places of a value that is made of places, or of a shuffle of which no shuffle is left.
    fn view(&self, id: NodeId, node: &Node) -> Option<Vec<Place>> {
        let input = node.inputs[0];
        let are_places = |id: &NodeId| matches!(self.values[id.0], Value::Places(_));
        if let Op::ChannelShuffle { groups } = node.op {
            let stay = self.kept(input);
            let from: Vec<usize> = shuffled(self.channels.groups[input.0].len(), groups).collect();
            let kept = self.kept(id).into_iter();
            let ranks: Vec<usize> = kept.map(|channel| rank(&stay, from[channel])).collect();
            let is_shuffle =
                ranks.len().is_multiple_of(groups) && shuffled(ranks.len(), groups).eq(ranks.iter().copied());
            let places = (!is_shuffle || are_places(&input)).then(|| self.places(input))?;
            return Some(ranks.into_iter().map(|rank| places[rank]).collect());
        }
        if !node.inputs.iter().any(are_places) {
            return None;
        }
        if let Op::Slice { start, len } = node.op {
            let stay = self.kept(input);
            return Some(self.places(input)[rank(&stay, start)..rank(&stay, start + len)].to_vec());
        }
        let is_concat = node.op == Op::Concat;
        is_concat.then(|| node.inputs.iter().flat_map(|&input| self.places(input)).collect())
    }

    fn select(&mut self, id: NodeId, rows: &[usize], columns: Vec<Vec<usize>>) {
        for Param { name, shape, role, .. } in self.channels.graph.node_params(id) {
            let columns = if role == Role::Weight { columns.clone() } else { Vec::new() };
            self.selections.push(Selection { name, shape, rows: rows.to_vec(), columns });
        }
    }

    fn finish(mut self) -> Result<Cut, BuildError> {
        let graph = self.channels.graph;
        let mut ends = Ends { outputs: Vec::new(), features: Vec::new(), auxiliary: Vec::new() };
        for Output { name, node } in graph.outputs() {
            let node = self.source(*node).node;
            ends.outputs.push(Output { name: name.clone(), node });
        }
        for Auxiliary { node, weight } in graph.auxiliary() {
            let node = self.source(*node).node;
            ends.auxiliary.push(Auxiliary { node, weight: *weight });
        }
        for Feature { name, node } in graph.features() {
            let node = self.source(*node).node;
            ends.features.push(Feature { name: name.clone(), node });
        }
        let smaller = Graph::checked(graph.name().into(), graph.input_shape(), self.parts, ends)?;
        Ok(Cut { graph: smaller, selections: self.selections })
    }
}

/// How many channels before `channel` are among those that stay.
fn rank(stay: &[usize], channel: usize) -> usize {
    stay.partition_point(|&other| other < channel)
}

/// In how many equal parts the channels of each value have to stay in order; within a part any order will do.
struct Orders {
    /// Of values that nodes have.
    nodes: Vec<usize>,
    /// Of values that are places, which other views take in any order.
    joined: Vec<usize>,
    /// Whether a node's channels are those of the one value that it reads, in whichever order these are.
    hands_on: Vec<bool>,
}

impl Orders {
    fn of(channels: &Channels) -> Orders {
        let (graph, widths) = (channels.graph, channels.groups.iter().map(Vec::len).collect::<Vec<_>>());
        let count = widths.len();
        let mut orders =
            Orders { nodes: vec![1; count], joined: vec![1; count], hands_on: vec![false; count] };
        let heads = graph.auxiliary().iter().map(|head| head.node);
        for end in graph.outputs().iter().map(|output| output.node).chain(heads) {
            (orders.nodes[end.0], orders.joined[end.0]) = (widths[end.0], widths[end.0]);
        }
        for (id, node) in graph.iter().skip(1).collect::<Vec<_>>().into_iter().rev() {
            let facts = node.op.facts();
            let depthwise = channels.is_channelwise(id) && widths[id.0] == widths[node.inputs[0].0];
            let hands_on = depthwise || facts.is_channelwise && node.operands().len() == 1;
            orders.hands_on[id.0] = hands_on;
            for &input in node.operands() {
                let dense = facts.is_weighted && !channels.is_channelwise(id);
                let wanted = match (hands_on, dense) {
                    (true, _) => orders.nodes[id.0],
                    (_, true) => {
                        if let Op::Conv(conv) = &node.op {
                            conv.groups
                        } else {
                            1
                        }
                    }
                    _ => widths[input.0],
                };
                let both = |parts: usize| match (parts, wanted) {
                    (a, b) if a == b || b == 1 => a,
                    (1, b) => b,
                    _ => widths[input.0],
                };
                orders.nodes[input.0] = both(orders.nodes[input.0]);
                if !facts.is_view || hands_on {
                    orders.joined[input.0] = both(orders.joined[input.0]);
                }
            }
        }
        orders
    }
}

/// The shuffles whose values something reads in order, through slices and concatenations too. Without some of their channels
/// they would fall apart into a piece for each of the rest.
pub(super) fn shuffles_in_order(channels: &Channels) -> Vec<NodeId> {
    let (graph, orders) = (channels.graph, Orders::of(channels));
    let mut is_shuffled = vec![false; graph.nodes().len()];
    let is_moved = |node: &Node| node.op.facts().is_view && !node.op.facts().is_channelwise;
    for (id, node) in graph.iter() {
        let is_shuffle = matches!(node.op, Op::ChannelShuffle { .. });
        let from_one = is_moved(node) && node.inputs.iter().any(|input| is_shuffled[input.0]);
        is_shuffled[id.0] = is_shuffle || from_one;
    }
    let width = |index: usize| channels.groups[index].len();
    let mut in_order: Vec<bool> =
        orders.joined.iter().enumerate().map(|(i, &parts)| parts == width(i)).collect();
    for (id, node) in graph.iter().collect::<Vec<_>>().into_iter().rev() {
        in_order[id.0] &= is_shuffled[id.0] && width(id.0) > 1;
        if in_order[id.0] && is_moved(node) {
            node.inputs.iter().for_each(|input| in_order[input.0] = true);
        }
    }
    let shuffles = graph.iter().filter(|(_, node)| matches!(node.op, Op::ChannelShuffle { .. }));
    shuffles.map(|(id, _)| id).filter(|id| in_order[id.0]).collect()
}
