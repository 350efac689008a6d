//! Which of several branches comes first.
//!
//! Nodes form chains: from one that may run next along only readers. A branch that gives memory back is best run
//! early, one that takes memory for long is best run late, after those that need more for a while (Liu, "An application
//! of generalized tree pebbling to sparse matrix factorization", 1987). On general graphs this is no proof, so the
//! orders are candidates, and whoever asks measures them.

use std::collections::HashMap;

use cygnet_graph::{Graph, NodeId};

/// Graphs with more nodes are run in their own order.
const LARGEST: usize = 4096;

/// Nodes and inputs that may be looked at for the order that [`by_memory`] finds.
const MOST_LOOKS: usize = 1 << 18;

/// Orders of execution, each different: the graph's own, then others. Nodes that nothing `wanted` needs are left out.
pub(super) fn candidates(graph: &Graph, wanted: &[NodeId]) -> Vec<Vec<NodeId>> {
    let own = needed(graph, wanted);
    let mut orders = vec![own];
    if graph.nodes().len() <= LARGEST {
        let others = [false, true].map(|reversed| depth_first(graph, wanted, reversed));
        for order in by_memory(graph, wanted, &orders[0]).into_iter().chain(others) {
            if !orders.contains(&order) {
                orders.push(order);
            }
        }
    }
    orders
}

fn needed(graph: &Graph, wanted: &[NodeId]) -> Vec<NodeId> {
    let mut is_needed = vec![false; graph.nodes().len()];
    is_needed[0] = true;
    wanted.iter().for_each(|id| is_needed[id.0] = true);
    for (id, node) in graph.iter().collect::<Vec<_>>().into_iter().rev() {
        if is_needed[id.0] {
            node.inputs.iter().for_each(|input| is_needed[input.0] = true);
        }
    }
    graph.iter().map(|(id, _)| id).filter(|id| is_needed[id.0]).collect()
}

/// Every node after its inputs, a branch to its end before the next; `reversed` takes the last input first.
fn depth_first(graph: &Graph, wanted: &[NodeId], reversed: bool) -> Vec<NodeId> {
    let mut order = vec![NodeId(0)];
    let mut is_done = vec![false; graph.nodes().len()];
    is_done[0] = true;
    // Each with the number of inputs that are known to be done.
    let mut stack: Vec<(NodeId, usize)> = wanted.iter().map(|&id| (id, 0)).collect();
    while let Some((id, next)) = stack.last_mut() {
        let (id, inputs) = (*id, &graph.node(*id).inputs);
        let nth = |n: usize| inputs[if reversed { inputs.len() - 1 - n } else { n }];
        *next += (*next..inputs.len()).take_while(|&n| is_done[nth(n).0]).count();
        if *next < inputs.len() {
            let input = nth(*next);
            stack.push((input, 0));
            continue;
        }
        stack.pop();
        if !is_done[id.0] {
            is_done[id.0] = true;
            order.push(id);
        }
    }
    order
}

/// What a chain does to memory.
struct Chain {
    nodes: Vec<NodeId>,
    /// The most it adds on the way.
    peak: i64,
    /// What it has added at its end.
    change: i64,
    /// Its nodes and the values they read.
    reads: usize,
}

struct Greedy<'a> {
    graph: &'a Graph,
    readers: Vec<Vec<NodeId>>,
    is_done: Vec<bool>,
    /// Readers of each value that are still to run.
    waiting: Vec<usize>,
}

/// Chains that give memory back first, the one with the lowest peak first; then the others, the one that falls most
/// below its peak first. None if that takes more than [`MOST_LOOKS`].
fn by_memory(graph: &Graph, wanted: &[NodeId], own: &[NodeId]) -> Option<Vec<NodeId>> {
    let count = graph.nodes().len();
    let mut readers = vec![Vec::new(); count];
    for &id in own {
        graph.node(id).inputs.iter().for_each(|input| readers[input.0].push(id));
    }
    let waiting = (0..count).map(|i| readers[i].len() + usize::from(wanted.contains(&NodeId(i)))).collect();
    let mut greedy = Greedy { graph, readers, is_done: vec![false; count], waiting };
    let mut order = Vec::with_capacity(own.len());
    let mut ready = vec![NodeId(0)];
    let mut looks = 0;
    while !ready.is_empty() {
        let chains: Vec<Chain> = ready.iter().map(|&start| greedy.chain(start)).collect();
        looks += chains.iter().map(|chain| chain.reads).sum::<usize>();
        if looks > MOST_LOOKS {
            return None;
        }
        let rank = |chain: &Chain| match chain.change {
            ..=0 => (0, chain.peak),
            change => (1, change - chain.peak),
        };
        let (i, chain) =
            chains.into_iter().enumerate().min_by_key(|(_, chain)| rank(chain)).expect("one is ready");
        ready.remove(i);
        for &id in &chain.nodes {
            greedy.is_done[id.0] = true;
            graph.node(id).inputs.iter().for_each(|input| greedy.waiting[input.0] -= 1);
        }
        let last = chain.nodes[chain.nodes.len() - 1];
        for &reader in &greedy.readers[last.0] {
            let inputs = &graph.node(reader).inputs;
            if !ready.contains(&reader) && inputs.iter().all(|input| greedy.is_done[input.0]) {
                ready.push(reader);
            }
        }
        order.extend(chain.nodes);
    }
    Some(order)
}

impl Greedy<'_> {
    fn size(&self, id: NodeId) -> i64 {
        self.graph.node(id).shape.iter().product::<usize>() as i64
    }

    fn chain(&self, start: NodeId) -> Chain {
        let mut chain = Chain { nodes: Vec::new(), peak: 0, change: 0, reads: 0 };
        let mut reads: HashMap<NodeId, usize> = HashMap::new();
        let mut next = Some(start);
        while let Some(id) = next {
            let node = self.graph.node(id);
            chain.reads += 1 + node.inputs.len();
            let mut inputs = node.inputs.clone();
            inputs.sort_unstable();
            let freed: i64 = inputs
                .chunk_by(|a, b| a == b)
                .filter(|same| {
                    let reads = reads.entry(same[0]).or_default();
                    *reads += same.len();
                    *reads == self.waiting[same[0].0]
                })
                .map(|same| self.size(same[0]))
                .sum();
            let added = self.size(id);
            let on_top = if node.op.facts().works_in_place { added - freed } else { added };
            chain.peak = chain.peak.max(chain.change + on_top);
            chain.change += added - freed;
            chain.nodes.push(id);
            next = match self.readers[id.0][..] {
                [reader] => {
                    let inputs = &self.graph.node(reader).inputs;
                    inputs.iter().all(|input| *input == id || self.is_done[input.0]).then_some(reader)
                }
                _ => None,
            };
        }
        chain
    }
}
