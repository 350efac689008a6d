//! Which nodes are computed together where a network computes with whole numbers. The reference and the planner both ask here,
//! because rounding happens only at the end of what is computed together.

use cygnet_graph::{Activation, Graph, NodeId, Op, Role};
use cygnet_weights::{Dtype, Grid, WeightSet};

/// A layer of whole numbers, or a sum of two values on grids, and what follows it alone. What lies between its head and its end
/// is never rounded, and no other node reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// The layer or sum that it begins with.
    pub head: NodeId,
    /// The sum by which another value on a grid joins a layer's.
    pub sum: Option<Joined>,
    /// The clamp that limits it.
    pub clamp: Option<NodeId>,
    /// The node whose value is that of the chain. It is on a grid, or the chain is a layer alone, whose value is real.
    pub end: NodeId,
}

impl Chain {
    /// Its nodes, in order.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> {
        [Some(self.head), self.sum.map(|sum| sum.node), self.clamp].into_iter().flatten()
    }
}

/// A value that a layer's output is added to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Joined {
    /// The sum.
    pub node: NodeId,
    /// The other value, on a grid.
    pub other: NodeId,
}

/// All chains of a graph, ordered by their heads. `grids` are those of all nodes
/// ([`Quantization::grids`](cygnet_weights::Quantization::grids)); a layer computes with whole numbers if its weights are signed
/// integers and its input is on a grid.
#[must_use]
pub fn chains(graph: &Graph, grids: &[Option<Grid>], weights: &WeightSet) -> Vec<Chain> {
    let readers = graph.sole_readers();
    let next = |id: NodeId| readers[id.0].map(|reader| (reader, graph.node(reader)));
    let is_on_grid = |id: NodeId| grids[id.0].is_some();
    let clamp_after = |id: NodeId| {
        let (reader, node) = next(id)?;
        let is_clamp = matches!(node.op, Op::Activation { function: Activation::Clamp { .. } });
        (is_clamp && is_on_grid(reader)).then_some(reader)
    };
    let mut chains = Vec::new();
    for (head, _) in graph.iter() {
        let alone = Chain { head, sum: None, clamp: None, end: head };
        let is_layer = computes_with_integers(graph, grids, weights, head);
        if is_layer && is_on_grid(head) {
            chains.push(alone);
        } else if is_layer {
            let sum = next(head).and_then(|(node, sum)| {
                let other = *sum.inputs.iter().find(|&&input| input != head)?;
                let is_same_shape = graph.node(other).shape == graph.node(head).shape;
                (sum.op == Op::Add && is_on_grid(other) && is_same_shape).then_some(Joined { node, other })
            });
            let last = sum.map_or(head, |sum| sum.node);
            if is_on_grid(last) {
                chains.push(Chain { sum, end: last, ..alone });
            } else if let Some(clamp) = clamp_after(last) {
                chains.push(Chain { sum, clamp: Some(clamp), end: clamp, ..alone });
            } else {
                chains.push(alone);
            }
        } else if is_sum_of_bytes(graph, grids, head) {
            if is_on_grid(head) {
                chains.push(alone);
            } else if let Some(clamp) = clamp_after(head) {
                chains.push(Chain { clamp: Some(clamp), end: clamp, ..alone });
            }
        }
    }
    chains
}

/// Whether a node is a layer of whole numbers.
fn computes_with_integers(graph: &Graph, grids: &[Option<Grid>], weights: &WeightSet, id: NodeId) -> bool {
    let node = graph.node(id);
    if !node.op.facts().is_weighted || grids[node.inputs[0].0].is_none() {
        return false;
    }
    weights.of_role(graph, id, Role::Weight).is_some_and(|weight| weight.dtype() == Dtype::I8)
}

fn is_sum_of_bytes(graph: &Graph, grids: &[Option<Grid>], id: NodeId) -> bool {
    let node = graph.node(id);
    let [left, right] = node.inputs[..] else { return false };
    node.op == Op::Add
        && [left, right].iter().all(|input| grids[input.0].is_some())
        && graph.node(left).shape == graph.node(right).shape
}
