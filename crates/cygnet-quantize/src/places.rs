//! Which values of a network are on grids: those that layers of whole numbers read, never those inside a chain, and none of the
//! gates of squeeze-and-excitation.

use std::collections::BTreeMap;

use cygnet_graph::{Activation, Graph, Node, NodeId, Op, Role};
use cygnet_weights::Quantization;

/// What is to be quantised.
pub(crate) struct Places {
    /// For each node, whether its layer may compute with whole numbers.
    pub(crate) is_layer: Vec<bool>,
    /// For each node, whether its value is to be on a grid of its own.
    pub(crate) has_grid: Vec<bool>,
    /// For each node, whether it is rounded only together with the one that reads it.
    pub(crate) is_inside: Vec<bool>,
    /// Values whose grids share what their readers demand, by the node that is first of them.
    pub(crate) groups: Vec<Group>,
}

/// Values that are joined by views, and therefore need one zero.
pub(crate) struct Group {
    pub(crate) values: Vec<NodeId>,
    /// Whether a table reads them, so that they need one scale too.
    pub(crate) one_scale: bool,
}

impl Places {
    /// Places for a network in which the layers of `real` stay in floating point.
    pub(crate) fn of(graph: &Graph, real: &[bool]) -> Places {
        let count = graph.nodes().len();
        let gates = gates(graph);
        let readers = graph.readers();
        let fits: Vec<bool> = graph.iter().map(|(id, _)| fits(graph, id)).collect();
        let ends: Vec<bool> = (0..count).map(|i| is_end(graph, NodeId(i))).collect();
        let mut places = Places {
            is_layer: vec![false; count],
            has_grid: vec![false; count],
            is_inside: Vec::new(),
            groups: Vec::new(),
        };
        let wanted = wanted(graph, &readers, real, &gates, &ends);
        // Whether a value will be on a grid, its own or that of what it reads.
        let mut on_grid = vec![false; count];
        let mut inside = vec![false; count];
        for (id, node) in graph.iter() {
            let i = id.0;
            if node.op != Op::Input && Quantization::follows(&node.op) {
                on_grid[i] = node.inputs.iter().all(|input| on_grid[input.0]);
                continue;
            }
            if gates[i] || ends[i] {
                places.is_layer[i] = node.op.facts().is_weighted
                    && !gates[i]
                    && !real[i]
                    && fits[i]
                    && node.inputs.iter().all(|input| on_grid[input.0]);
                continue;
            }
            places.is_layer[i] =
                node.op.facts().is_weighted && on_grid[node.inputs[0].0] && !real[i] && fits[i];
            if !wanted[i] {
                continue;
            }
            let sole = |id: NodeId| match readers[id.0][..] {
                [reader] if !ends[reader.0] && !gates[reader.0] => Some((reader, graph.node(reader))),
                _ => None,
            };
            let is_clamp = |op: &Op| matches!(op, Op::Activation { function: Activation::Clamp { .. } });
            // Layers and sums are rounded after what alone reads them, and so is what has no form on bytes; behind those of real
            // numbers that may be any function.
            let is_joined = |(_, reader): (NodeId, &Node)| {
                let other = reader.inputs.iter().find(|&&input| input != id);
                let sums = reader.op == Op::Add
                    && other.is_some_and(|&other| {
                        other < id && on_grid[other.0] && graph.node(other).shape == node.shape
                    });
                if node.op == Op::Add {
                    is_clamp(&reader.op)
                } else if matches!(node.op, Op::BatchNorm(_) | Op::Scale { .. } | Op::LocalResponseNorm(_)) {
                    matches!(reader.op, Op::Activation { .. })
                } else {
                    let is_real = !places.is_layer[i] && matches!(reader.op, Op::Activation { .. });
                    node.op.facts().is_weighted && (sums || is_clamp(&reader.op) || is_real)
                }
            };
            if sole(id).is_some_and(is_joined) {
                inside[i] = true;
                continue;
            }
            places.has_grid[i] = true;
            on_grid[i] = true;
        }
        places.groups = groups(graph, &places.has_grid, &inside);
        places.is_inside = inside;
        places
    }
}

/// For each node, whether bytes of its value are of use: layers that stay in floating point read floats, and so does what only
/// leads to such.
fn wanted(graph: &Graph, readers: &[Vec<NodeId>], real: &[bool], gates: &[bool], ends: &[bool]) -> Vec<bool> {
    let mut wanted = vec![true; readers.len()];
    for i in (0..readers.len()).rev() {
        let wants = |&reader: &NodeId| {
            let j = reader.0;
            let is_layer = graph.node(reader).op.facts().is_weighted && !gates[j];
            if is_layer { !real[j] } else { ends[j] || wanted[j] }
        };
        wanted[i] = readers[i].is_empty() || readers[i].iter().any(wants);
    }
    wanted
}

/// Most products of a sum, half of what 32 bits hold.
const MOST_TERMS: usize = 1 << 15;

/// Whether the sums of a layer fit their integers, whatever its weights.
fn fits(graph: &Graph, id: NodeId) -> bool {
    let weight = graph.node_param(id, Role::Weight);
    weight.is_some_and(|weight| weight.shape[1..].iter().product::<usize>() <= MOST_TERMS)
}

/// Whether a value is an output, or a number a class on the way to it that only functions of probabilities read.
fn is_end(graph: &Graph, id: NodeId) -> bool {
    let mut ends = graph.outputs().iter().map(|output| output.node);
    ends.any(|end| {
        let mut end = end;
        loop {
            if end == id {
                return true;
            }
            let node = graph.node(end);
            let passes = matches!(node.op, Op::Softmax | Op::Activation { function: Activation::Sigmoid })
                || node.op.facts().is_view && node.inputs.len() == 1;
            if !passes {
                return false;
            }
            end = node.inputs[0];
        }
    })
}

/// For each node, whether it is part of what computes a gate: a number a channel, which only multiplies.
fn gates(graph: &Graph) -> Vec<bool> {
    let count = graph.nodes().len();
    let readers = graph.readers();
    let plane = |id: NodeId| graph.node(id).shape[1..].iter().product::<usize>();
    let mut is_gate = vec![false; count];
    for i in (1..count).rev() {
        let is_read = |&reader: &NodeId| {
            let node = graph.node(reader);
            let multiplies = node.op == Op::Mul && node.inputs.iter().any(|&other| plane(other) > 1);
            multiplies || is_gate[reader.0]
        };
        is_gate[i] = plane(NodeId(i)) == 1 && !readers[i].is_empty() && readers[i].iter().all(is_read);
    }
    is_gate
}

/// Joins the values that views put together.
fn groups(graph: &Graph, has_grid: &[bool], inside: &[bool]) -> Vec<Group> {
    // For each node, one of the values that its own is made of, if that is on a grid.
    let mut source: Vec<Option<usize>> = vec![None; has_grid.len()];
    let mut parent: Vec<usize> = (0..has_grid.len()).collect();
    fn root(parent: &mut [usize], mut i: usize) -> usize {
        while parent[i] != i {
            parent[i] = parent[parent[i]];
            i = parent[i];
        }
        i
    }
    let mut is_read_by_table = vec![false; has_grid.len()];
    for (id, node) in graph.iter() {
        if has_grid[id.0] {
            source[id.0] = Some(id.0);
        } else if node.op != Op::Input && Quantization::follows(&node.op) {
            for joined in node.inputs.iter().filter_map(|input| source[input.0]).collect::<Vec<_>>() {
                let first = *source[id.0].get_or_insert(joined);
                let [first, joined] = [first, joined].map(|i| root(&mut parent, i));
                parent[first.max(joined)] = first.min(joined);
            }
        }
        let is_table = matches!(node.op, Op::Activation { .. }) && has_grid[id.0];
        if is_table && !inside[node.inputs[0].0] {
            source[node.inputs[0].0].into_iter().chain([id.0]).for_each(|i| is_read_by_table[i] = true);
        }
    }
    let mut groups: BTreeMap<usize, Group> = BTreeMap::new();
    for i in (0..has_grid.len()).filter(|&i| has_grid[i]) {
        let group = groups.entry(root(&mut parent, i));
        let group = group.or_insert_with(|| Group { values: Vec::new(), one_scale: false });
        group.values.push(NodeId(i));
        group.one_scale |= is_read_by_table[i];
    }
    groups.into_values().collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::sync::Arc;

    use cygnet_graph::Conv;
    use cygnet_runtime::{Plan, PlanOptions, QuantizedReference, Session};
    use cygnet_weights::WeightSet;

    use super::*;
    use crate::calibrate::{self, Quantized};
    use crate::network::Network;
    use crate::survey::{Asked, Survey};

    fn graph() -> Graph {
        Graph::build("net", [3, 8, 8], |net, image| {
            let a = net.at("a").conv(image, Conv::new(8, 3).bias()).relu();
            let b = net.at("b").conv(a, Conv::new(8, 1).bias()).relu();
            let c = net.at("c").conv(b, Conv::new(8, 3).bias()) + a;
            let d = net.at("d").conv(c, Conv::new(8, 1).bias()).hard_swish();
            let squeezed = net.at("down").conv(d.global_avg_pool(), Conv::new(2, 1).bias()).relu();
            let gate = net.at("up").conv(squeezed, Conv::new(8, 1).bias()).hard_sigmoid();
            let e = net.at("e").conv((d * gate).dropout(0.1), Conv::new(8, 1).bias()).relu();
            net.at("fc").linear(e.global_avg_pool(), 3)
        })
        .unwrap()
    }

    /// Which nodes are on grids, and layers of integers, when the layers of some paths stay real.
    fn places(graph: &Graph, paths: &[&str]) -> (Places, String) {
        let real: Vec<bool> = graph.iter().map(|(_, node)| paths.contains(&&*node.path)).collect();
        let places = Places::of(graph, &real);
        let mut text = Vec::new();
        for (id, node) in graph.iter() {
            let name = if node.path.is_empty() { node.op.name() } else { &node.path };
            let layer = if places.is_layer[id.0] { "#" } else { "" };
            let grid = if places.has_grid[id.0] { "*" } else { "" };
            text.push(format!("{name}{layer}{grid}"));
        }
        (places, text.join(" "))
    }

    #[test]
    fn values_that_only_layers_in_floating_point_read_are_on_no_grid() {
        let graph = graph();
        let cases = [
            (
                &[][..],
                "input* a# relu* b# relu* c# add* d#* hard_swish* global_avg_pool down relu up hard_sigmoid mul* dropout e# relu* global_avg_pool* fc#",
            ),
            // A sum wants both its terms, whoever else reads them.
            (
                &["b"],
                "input* a# relu* b relu* c# add* d#* hard_swish* global_avg_pool down relu up hard_sigmoid mul* dropout e# relu* global_avg_pool* fc#",
            ),
            (
                &["b", "c"],
                "input* a# relu* b relu c add* d#* hard_swish* global_avg_pool down relu up hard_sigmoid mul* dropout e# relu* global_avg_pool* fc#",
            ),
            (
                &["b", "c", "d"],
                "input* a# relu b relu c add d hard_swish* global_avg_pool down relu up hard_sigmoid mul* dropout e# relu* global_avg_pool* fc#",
            ),
            // A gate wants no bytes of its own.
            (
                &["e"],
                "input* a# relu* b# relu* c# add* d# hard_swish global_avg_pool down relu up hard_sigmoid mul dropout e relu* global_avg_pool* fc#",
            ),
            (
                &["a", "b", "c", "d", "e", "fc"],
                "input a relu b relu c add d hard_swish global_avg_pool down relu up hard_sigmoid mul dropout e relu global_avg_pool fc",
            ),
        ];
        for (real, wanted) in cases {
            assert_eq!(places(&graph, real).1, wanted, "{real:?}");
        }
    }

    #[test]
    fn networks_that_are_real_in_parts_compute_what_their_record_says() {
        let graph = graph();
        let numbers = |count: usize, seed: usize| -> Vec<f32> {
            (0..count).map(|i| ((i * 7919 + seed * 104_729 + 13) % 2003) as f32 / 1001.5 - 1.0).collect()
        };
        let params = graph.params().into_iter().enumerate();
        let values = params.map(|(i, param)| numbers(param.shape.iter().product(), i)).collect::<Vec<_>>();
        let weights = WeightSet::of(&graph, values).unwrap();
        let images: Vec<Vec<f32>> = (0..4).map(|i| numbers(3 * 64, 90 + i)).collect();
        let options = PlanOptions::default();
        for real in [&["b"][..], &["b", "c"], &["b", "c", "d"], &["e"], &["a", "d", "fc"]] {
            let (places, text) = places(&graph, real);
            let network = || Network::new(&graph, &weights, options).unwrap();
            let survey = Survey::new(&network(), &images, &places.has_grid, Asked::Numbers, 1).unwrap();
            let record = calibrate::grids(&graph, &weights, &places, &survey, None, 1).unwrap();
            let (made, outputs) =
                Quantized::new(network(), &weights, &places, &survey, record, &images, 1).unwrap();
            made.record.check(&graph, &made.weights).unwrap();
            let layers = places.is_layer.iter().filter(|is| **is).count();
            assert_eq!((layers, made.record.weights.len()), (6 - real.len(), layers), "{real:?}: {text}");
            let reference = QuantizedReference::new(graph.clone(), &made.weights, &made.record).unwrap();
            let plan = Plan::quantized(graph.clone(), &made.weights, &made.record, options).unwrap();
            let mut session = Session::new(Arc::new(plan));
            for (image, simulated) in images.iter().zip(&outputs) {
                let wanted = reference.run(image).unwrap();
                let mut given = vec![0.0; wanted.len()];
                session.run(image, &mut given).unwrap();
                let largest = wanted.iter().fold(0.0, |largest: f32, x| largest.max(x.abs()));
                for (i, wanted) in wanted.iter().enumerate() {
                    let near = |x: f32| (x - wanted).abs() < 0.03 * largest;
                    assert!(
                        near(given[i]) && near(simulated[i]),
                        "{real:?}: {given:?} {simulated:?} {wanted}"
                    );
                }
            }
        }
    }
}
