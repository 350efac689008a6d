//! What operators say of themselves, against what their values do when one number of an input changes.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};

use cygnet::graph::{Graph, Node, Op};
use cygnet::runtime::Reference;
use cygnet::verify::{synthetic, synthetic_param};
use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize)]
struct OpCase {
    graph: serde_json::Value,
}

/// What is seen of an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    is_elementwise: bool,
    is_channelwise: bool,
    is_linear: bool,
    is_selection: bool,
    is_view: bool,
}

impl Seen {
    fn stated(op: &Op) -> Seen {
        let facts = op.facts();
        Seen {
            is_elementwise: facts.is_elementwise,
            is_channelwise: facts.is_channelwise,
            is_linear: facts.is_linear,
            is_selection: facts.is_selection,
            is_view: facts.is_view,
        }
    }

    fn and(self, other: Seen) -> Seen {
        Seen {
            is_elementwise: self.is_elementwise && other.is_elementwise,
            is_channelwise: self.is_channelwise && other.is_channelwise,
            is_linear: self.is_linear && other.is_linear,
            is_selection: self.is_selection && other.is_selection,
            is_view: self.is_view && other.is_view,
        }
    }
}

/// The operator alone, with all of its inputs as channels of one image; none if they differ in size.
fn alone(graph: &Graph, node: &Node) -> Option<Graph> {
    let map = |shape: &[usize]| -> [usize; 3] { std::array::from_fn(|i| shape.get(i).copied().unwrap_or(1)) };
    let shapes: Vec<[usize; 3]> = node.inputs.iter().map(|id| map(&graph.node(*id).shape)).collect();
    let [_, height, width] = *shapes.first()?;
    if shapes.iter().any(|shape| shape[1..] != [height, width]) {
        return None;
    }
    let mut start = 0;
    let mut nodes = Vec::new();
    for [len, ..] in &shapes {
        nodes.push(json!({"op": "slice", "start": start, "len": len, "inputs": [0]}));
        start += len;
    }
    let count = nodes.len();
    let index = graph.nodes().iter().position(|other| std::ptr::eq(other, node))?;
    let mut op = graph.to_json()["nodes"][index - 1].clone();
    op["inputs"] = (1..=count).collect();
    nodes.push(op);
    let whole =
        json!({"name": node.op.name(), "input": [start, height, width], "nodes": nodes, "output": count + 1});
    Some(Graph::from_json(&whole).unwrap())
}

fn seen(graph: &Graph) -> Seen {
    let weights: Vec<Vec<f32>> =
        graph.params().iter().map(|param| synthetic_param(&param.name, param, 1.0)).collect();
    let executor = Reference::<f64>::new(graph.clone(), &weights).unwrap();
    let run = |image: &[f64]| executor.run(image).unwrap();
    let [channels, height, width] = graph.input_shape();
    let plane = height * width;
    let image = |seed: &str| -> Vec<f64> {
        synthetic(seed, channels * plane, |v| 4.0 * v).into_iter().map(f64::from).collect()
    };
    let (a, b) = (image("a"), image("b"));
    let (of_a, of_b) = (run(&a), run(&b));
    let output = &graph.node(graph.output()).shape;
    let out_plane = output.iter().skip(1).product::<usize>();

    let sums: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a + b).collect();
    let (of_sum, of_zero) = (run(&sums), run(&vec![0.0; a.len()]));
    let is_linear = (0..of_a.len())
        .all(|i| (of_a[i] + of_b[i] - of_zero[i] - of_sum[i]).abs() < 1e-9 * (1.0 + of_sum[i].abs()));
    let is_selection = of_a.iter().all(|x| a.contains(x));
    let is_view = out_plane == plane
        && of_a.chunks(out_plane).all(|channel| a.chunks(plane).any(|other| other == channel));

    // Every input begins at a channel of its own.
    let starts: Vec<usize> = graph.nodes()[1..]
        .iter()
        .take(graph.node(graph.output()).inputs.len())
        .map(|node| if let Op::Slice { start, .. } = node.op { start } else { 0 })
        .collect();
    let (mut is_elementwise, mut is_channelwise) = (out_plane == plane, true);
    for at in 0..a.len() {
        let mut changed = a.clone();
        changed[at] += 1.5;
        let start = *starts.iter().rfind(|&&start| start <= at / plane).unwrap();
        let (channel, place) = (at / plane - start, at % plane);
        for (i, _) in run(&changed).iter().zip(&of_a).enumerate().filter(|(_, (x, y))| x != y) {
            is_channelwise &= i / out_plane == channel;
            is_elementwise &= i / out_plane == channel && i % out_plane == place;
        }
    }
    Seen { is_elementwise, is_channelwise, is_linear, is_selection, is_view }
}

#[test]
fn operators_are_what_they_say() {
    let cases: Vec<OpCase> = serde_json::from_str(include_str!("op_cases/cases.json")).unwrap();
    let mut all: BTreeMap<&'static str, (Op, Seen)> = BTreeMap::new();
    let mut names = BTreeSet::new();
    let mut graphs: Vec<Graph> = cases.iter().map(|case| Graph::from_json(&case.graph).unwrap()).collect();
    // That of the cases multiplies maps by one number a channel.
    graphs.push(Graph::build("product", [4, 3, 3], |_, x| x.slice(0, 2) * x.slice(2, 2)).unwrap());
    for graph in graphs {
        for (id, node) in graph.iter() {
            names.insert(node.op.name());
            let facts = node.op.facts();
            assert_eq!(facts.has_params, !graph.node_params(id).is_empty(), "{}", node.op.name());
            let macs = graph.node_cost(id).macs > 0;
            assert_eq!(facts.is_weighted, macs, "{}", node.op.name());
            let Some(alone) = alone(&graph, node) else { continue };
            let now = seen(&alone);
            let known = all.entry(node.op.name()).or_insert((node.op.clone(), now));
            known.1 = known.1.and(now);
        }
    }
    for (name, (op, seen)) in &all {
        assert_eq!(*seen, Seen::stated(op), "{name}: left is what it does, right what it says");
    }
    names.retain(|name| !all.contains_key(name));
    assert_eq!(Vec::from_iter(names), ["input", "upsample_like"], "these were not tried");
}
