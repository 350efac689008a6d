//! What a graph's nodes are to each other: who reads whom, what is live, what is joined.

use cygnet_cpu::Activation as Function;
use cygnet_graph::{Graph, NodeId, Op};
use cygnet_runtime::kernel_activation;

use crate::EngineOptions;

/// Whether a plan is for training or for evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Train,
    Evaluate,
}

/// A batch norm, the term and the activation that follow it alone.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) norm: usize,
    pub(super) term: Option<usize>,
    pub(super) activation: Function,
    /// The node whose value is the group's.
    pub(super) last: usize,
    /// Whether a convolution that nobody else reads made its input.
    pub(super) follows_conv: bool,
    /// Whether its value is computed by its one reader, a convolution, as it reads.
    pub(super) is_virtual: bool,
}

/// Facts about each node.
pub(super) struct Facts {
    /// Inputs, with operators that do nothing left out.
    pub(super) inputs: Vec<Vec<usize>>,
    /// Live readers; one that reads twice is there twice.
    pub(super) readers: Vec<Vec<usize>>,
    pub(super) live: Vec<bool>,
    /// Whether a gradient must reach it.
    pub(super) needs: Vec<bool>,
    /// The nodes whose losses are summed, each once, with their weights; the network's output is the first.
    pub(super) outputs: Vec<(usize, f32)>,
    pub(super) groups: Vec<Group>,
    /// The group whose value the node's is.
    pub(super) group_of_last: Vec<Option<usize>>,
    /// The group that a node lies in.
    pub(super) group: Vec<Option<usize>>,
    /// For a convolution, the group that follows it.
    pub(super) group_after: Vec<Option<usize>>,
    /// For a convolution, the clamp that joins it.
    pub(super) clamp_after: Vec<Option<(usize, [f32; 2])>>,
    /// For an activation, whether it joins the convolution before it.
    pub(super) joins: Vec<bool>,
    /// For a sum with stochastic depth, the side that is dropped and the probability.
    pub(super) drop: Vec<Option<(usize, f32)>>,
    /// For a concatenation, whether only a shuffle reads it, from its parts.
    pub(super) in_parts: Vec<bool>,
    /// Whether its value is rounded, so that nothing joins it.
    is_rounded: Vec<bool>,
}

impl Facts {
    pub(super) fn new(graph: &Graph, options: &EngineOptions, mode: Mode, trainable: &[bool]) -> Facts {
        let nodes = graph.nodes();
        let n = nodes.len();
        let drops = |rate: f32| mode == Mode::Train && options.dropout && rate != 0.0;
        let does_nothing = |i: usize| matches!(nodes[i].op, Op::Dropout { rate } if !drops(rate));
        let mut resolved: Vec<usize> = (0..n).collect();
        for i in 0..n {
            if does_nothing(i) {
                resolved[i] = resolved[nodes[i].inputs[0].0];
            }
        }
        let inputs: Vec<Vec<usize>> =
            nodes.iter().map(|node| node.inputs.iter().map(|id| resolved[id.0]).collect()).collect();
        let mut outputs = vec![(resolved[graph.output().0], 1.0)];
        if mode == Mode::Train && options.auxiliary > 0.0 {
            for head in graph.auxiliary() {
                let (node, weight) = (resolved[head.node.0], options.auxiliary * head.weight);
                match outputs.iter_mut().find(|(known, _)| *known == node) {
                    Some((_, sum)) => *sum += weight,
                    None => outputs.push((node, weight)),
                }
            }
        }
        let mut live = vec![false; n];
        outputs.iter().for_each(|&(output, _)| live[output] = true);
        live[0] = true;
        for i in (0..n).rev().filter(|&i| !does_nothing(i)) {
            if live[i] {
                inputs[i].iter().for_each(|&input| live[input] = true);
            }
        }
        let mut readers = vec![Vec::new(); n];
        for i in (0..n).filter(|&i| live[i]) {
            inputs[i].iter().for_each(|&input: &usize| readers[input].push(i));
        }
        let mut own = vec![false; n];
        for (param, &wanted) in graph.params().iter().zip(trainable) {
            own[param.node.0] |= wanted;
        }
        let mut needs = vec![false; n];
        for i in 0..n {
            needs[i] = own[i] || inputs[i].iter().any(|&input| needs[input]);
        }
        let mut facts = Facts {
            inputs,
            readers,
            live,
            needs,
            outputs,
            groups: Vec::new(),
            group_of_last: vec![None; n],
            group: vec![None; n],
            group_after: vec![None; n],
            clamp_after: vec![None; n],
            joins: vec![false; n],
            drop: vec![None; n],
            in_parts: vec![false; n],
            is_rounded: (0..n).map(|i| options.grids.of(i).is_some()).collect(),
        };
        if mode == Mode::Train && options.stochastic_depth > 0.0 {
            facts.find_drops(graph, options.stochastic_depth);
        }
        facts.find_groups(graph);
        facts.find_clamps(graph);
        facts.find_parts(graph);
        facts
    }

    /// Whether the loss reads a value.
    pub(super) fn is_output(&self, i: usize) -> bool {
        self.outputs.iter().any(|&(output, _)| output == i)
    }

    /// The one node that reads a value, if the loss does not and it is not rounded.
    fn reader(&self, i: usize) -> Option<usize> {
        match self.readers[i].as_slice() {
            [reader] if !self.is_output(i) && !self.is_rounded[i] => Some(*reader),
            _ => None,
        }
    }

    fn find_drops(&mut self, graph: &Graph, most: f32) {
        let adds: Vec<(usize, usize)> = (0..graph.nodes().len())
            .filter(|&i| self.live[i] && graph.nodes()[i].op == Op::Add)
            .filter_map(|i| {
                let [a, b] = [self.inputs[i][0], self.inputs[i][1]];
                let shape = |i: usize| &graph.node(NodeId(i)).shape;
                if shape(a) != shape(b) || a == b {
                    None
                } else if self.leads_to(a, b) {
                    Some((i, 1))
                } else if self.leads_to(b, a) {
                    Some((i, 0))
                } else {
                    None
                }
            })
            .collect();
        let last = (adds.len().max(2) - 1) as f32;
        for (l, &(add, side)) in adds.iter().enumerate() {
            let share = if adds.len() == 1 { 1.0 } else { l as f32 / last };
            if most * share > 0.0 {
                self.drop[add] = Some((side, most * share));
            }
        }
    }

    /// Whether `to` is computed from `from`.
    fn leads_to(&self, from: usize, to: usize) -> bool {
        let mut reached = vec![false; to + 1];
        reached[to] = true;
        for i in (from + 1..=to).rev() {
            if reached[i] {
                self.inputs[i].iter().for_each(|&input| reached[input] = true);
            }
        }
        from < to && reached[from]
    }

    fn find_groups(&mut self, graph: &Graph) {
        let nodes = graph.nodes();
        for norm in 0..nodes.len() {
            if !self.live[norm] || !matches!(nodes[norm].op, Op::BatchNorm(_)) {
                continue;
            }
            let y = self.inputs[norm][0];
            let follows_conv = nodes[y].op.facts().is_weighted && self.reader(y).is_some();
            let mut last = norm;
            let mut term = None;
            if let Some(add) = self.reader(last)
                && nodes[add].op == Op::Add
                && self.drop[add].is_none()
                && self.group[add].is_none()
            {
                let other = *self.inputs[add].iter().find(|&&input| input != last).unwrap_or(&last);
                if other != last && nodes[other].shape == nodes[last].shape {
                    (last, term) = (add, Some(other));
                }
            }
            let mut activation = Function::None;
            if let Some(next) = self.reader(last)
                && let Op::Activation { function: f } = &nodes[next].op
            {
                (last, activation) = (next, kernel_activation(*f));
            }
            let is_cheap = match activation {
                Function::Sigmoid | Function::Swish => false,
                Function::None
                | Function::Clamp { .. }
                | Function::HardSigmoid { .. }
                | Function::HardSwish => true,
            };
            let is_pixel = nodes[last].shape.iter().skip(1).product::<usize>() == 1;
            let is_read_by_conv = self.reader(last).is_some_and(|reader| {
                let op = &nodes[reader].op;
                op.facts().is_weighted && (is_pixel || !matches!(op, Op::Linear { .. }))
            });
            let is_virtual = is_cheap && is_read_by_conv && term.is_none();
            let group = self.groups.len();
            for i in [Some(norm), term.map(|_| self.readers[norm][0]), Some(last)].into_iter().flatten() {
                self.group[i] = Some(group);
            }
            self.group_of_last[last] = Some(group);
            if follows_conv {
                self.group_after[y] = Some(group);
            }
            self.groups.push(Group { norm, term, activation, last, follows_conv, is_virtual });
        }
    }

    fn find_clamps(&mut self, graph: &Graph) {
        let nodes = graph.nodes();
        for i in 0..nodes.len() {
            let (true, None, Op::Activation { function: f }) = (self.live[i], self.group[i], &nodes[i].op)
            else {
                continue;
            };
            let before = self.inputs[i][0];
            if let Function::Clamp { low, high } = kernel_activation(*f)
                && nodes[before].op.facts().is_weighted
                && self.reader(before).is_some()
            {
                self.joins[i] = true;
                self.clamp_after[before] = Some((i, [low, high]));
            }
        }
    }

    fn find_parts(&mut self, graph: &Graph) {
        let nodes = graph.nodes();
        for i in 0..nodes.len() {
            let distinct = |inputs: &[usize]| (1..inputs.len()).all(|j| !inputs[..j].contains(&inputs[j]));
            self.in_parts[i] = self.live[i]
                && nodes[i].op == Op::Concat
                && distinct(&self.inputs[i])
                && self.reader(i).is_some_and(|reader| matches!(nodes[reader].op, Op::ChannelShuffle { .. }));
        }
    }
}
