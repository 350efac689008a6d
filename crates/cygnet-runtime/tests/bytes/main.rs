//! Plans of networks that compute with whole numbers, on every instruction set against the reference of whole numbers.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod families;
mod made_up;

use std::sync::Arc;

use cygnet_graph::{Activation, Conv, Graph, NodeId, Pool, Scope, Value};
use cygnet_runtime::{ByteLevel, Level, Plan, PlanOptions, QuantizedReference, Session};
use cygnet_weights::{Grid, Quantization, WeightSet};
use made_up::{Scales, image, made_up};

fn build(network: impl for<'g> FnOnce(&Scope<'g>, Value<'g>) -> Value<'g>) -> Graph {
    Graph::build("net", [5, 9, 11], network).unwrap()
}

/// All instruction sets that this CPU has, those for bytes with the best for f32.
fn sets() -> impl Iterator<Item = PlanOptions> {
    let floats = Level::ALL.iter().filter(|level| level.is_supported()).map(|&level| level.into());
    let bytes = ByteLevel::ALL.iter().filter(|level| level.is_supported());
    floats.chain(bytes.map(|&bytes| PlanOptions { bytes, ..PlanOptions::default() }))
}

/// The outputs of a plan, on some threads.
fn outputs(plan: &Arc<Plan>, image: &[f32], threads: usize) -> Vec<f32> {
    let mut session = Session::with_threads(Arc::clone(plan), threads).unwrap();
    let mut outputs = vec![f32::NAN; session.all_outputs()];
    // Twice: what a run leaves in memory changes nothing.
    for _ in 0..2 {
        session.run_outputs(image, &mut outputs).unwrap();
    }
    outputs
}

/// Whether the plan gives, to the bit, what the reference does; its text.
fn check(graph: &Graph, (weights, record): &(WeightSet, Quantization)) -> String {
    let image = image(graph);
    let reference = QuantizedReference::new(graph.clone(), weights, record).unwrap();
    let mut wanted = vec![Vec::new(); graph.nodes().len()];
    reference.run_with(&image, |id, numbers, _| wanted[id.0] = numbers.to_vec()).unwrap();
    let wanted: Vec<f32> = graph.outputs().iter().flat_map(|output| wanted[output.node.0].clone()).collect();
    assert!(wanted.iter().any(|&x| x != wanted[0]), "no trivial case: {wanted:?}");
    let mut text = String::new();
    for options in sets() {
        let plan = Arc::new(Plan::quantized(graph.clone(), weights, record, options).unwrap());
        assert_eq!(plan.outline(), &Plan::quantized_outline_of(graph, weights, record, options).unwrap());
        text = plan.outline().to_string();
        for threads in [1, 3] {
            let given = outputs(&plan, &image, threads);
            assert_eq!(given.len(), wanted.len());
            let differs = given.iter().zip(&wanted).position(|(x, wanted)| x.to_bits() != wanted.to_bits());
            let place = differs.map(|i| (i, given[i], wanted[i]));
            assert_eq!(place, None, "{options:?}, {threads} threads:\n{text}");
        }
    }
    text
}

/// As [`check`] of made-up weights with all kinds of scales.
fn check_all(network: impl for<'g> Fn(&Scope<'g>, Value<'g>) -> Value<'g>) -> String {
    let graph = build(network);
    check(&graph, &made_up(&graph, Scales::Channels, |_| false));
    check(&graph, &made_up(&graph, Scales::Shared, |_| false))
}

#[test]
fn layers_take_what_alone_follows_them() {
    let text = check_all(|net, x| {
        let a = net.at("a").conv(x, Conv::new(8, 3).stride(2).bias()).relu6();
        let b = net.at("b").conv(a, Conv::new(24, 1).bias()).relu6();
        let b = net.at("b2").depthwise(b, Conv::new(0, 3).bias()).relu();
        let b = net.at("b3").conv(b, Conv::new(8, 1).bias()) + a;
        let c = net.at("c").conv(b, Conv::new(16, 3).groups(2).bias());
        let d = net.at("d").depthwise(c, Conv::new(0, 5).stride(2));
        net.at("fc").linear(d.relu().global_avg_pool(), 7)
    });
    assert_eq!(
        text,
        "quantize -> 5x9x11 u8\n\
         conv 3x3/2 u8 -> 8x5x6 u8  %1  %2 fuse activation\n\
         pointwise u8 -> 24x5x6 u8  %3  %4 fuse activation\n\
         depthwise 3x3 u8 -> 24x5x6 u8  %5  %6 fuse activation\n\
         pointwise u8 -> 8x5x6 u8  %7  %8 fuse add\n\
         grouped conv 3x3 u8 -> 16x5x6 u8  %9\n\
         depthwise 5x5/2 u8 -> 16x3x3 u8  %10  %11 fuse activation\n\
         global mean u8 -> 16x1x1 u8  %12\n\
         linear u8 -> 7  %13 linear as conv\n"
    );
}

#[test]
fn functions_are_tables_behind_layers_and_alone() {
    let text = check_all(|net, x| {
        let a = net.at("a").conv(x, Conv::new(8, 3).bias()).activation(Activation::HardSwish);
        let b = (a + a.sigmoid()).activation(Activation::Swish);
        net.at("b").conv(b, Conv::new(3, 1))
    });
    assert!(text.contains("conv 3x3 u8 -> 8x9x11 u8  %1  %2 fuse activation\n"), "{text}");
    assert!(text.contains("sigmoid u8 -> 8x9x11 u8  %3\nadd u8 -> 8x9x11 u8  %4\nswish u8 -> "), "{text}");
}

#[test]
fn views_move_no_bytes() {
    let text = check_all(|net, x| {
        let a = net.at("a").conv(x, Conv::new(8, 1).bias());
        let b = net.at("b").conv(a, Conv::new(6, 3)).relu();
        let c = net.at("c").depthwise(a.slice(2, 4), Conv::new(0, 3)).relu();
        let joined = a.concat(&[b, c]).channel_shuffle(3);
        let d = net.at("d").depthwise(joined.dropout(0.5), Conv::new(0, 3));
        net.at("e").conv(d.slice(5, 9), Conv::new(4, 2))
    });
    assert!(!text.contains("copy") && !text.contains("dequantize"), "{text}");
}

#[test]
fn sums_of_what_lies_in_pieces_copy_bytes() {
    let text = check_all(|net, x| {
        let a = net.at("a").conv(x, Conv::new(8, 1).bias());
        let shuffled = a.channel_shuffle(2);
        let b = net.at("b").conv(x, Conv::new(8, 3)) + shuffled;
        let c = net.at("c").depthwise(b, Conv::new(0, 3)) + shuffled;
        net.at("d").conv((shuffled + c).relu(), Conv::new(4, 1))
    });
    assert!(text.contains("copy u8 -> 8x9x11 u8"), "{text}");
}

#[test]
fn pools_and_gates_read_bytes() {
    let text = check_all(|net, x| {
        let a = net.at("a").conv(x, Conv::new(16, 3).bias()).relu();
        let most = a.pool(Pool::max(3, 2).pad(1));
        let mean = a.pool(Pool::avg(3, 2).pad(1));
        let other = a.pool(Pool { count_include_pad: false, ..Pool::avg(3, 2).pad(1) });
        let joined = most.concat(&[mean, other]);
        let b = net.at("b").conv(joined, Conv::new(16, 1).bias());
        net.at("fc").linear(b.adaptive_avg_pool([2, 3]), 7)
    });
    assert!(!text.contains("quantize u8"), "{text}");
}

#[test]
fn outputs_and_features_on_grids_are_read_as_floats() {
    let graph = build(|net, x| {
        let a = net.feature(net.at("a").conv(x, Conv::new(8, 3).stride(2).bias()).relu());
        net.at("boxes").conv(a, Conv::new(4, 1)).channel_shuffle(2).output("boxes");
        net.at("b").conv(a, Conv::new(6, 1).bias()).channel_shuffle(3)
    });
    let (weights, mut record) = made_up(&graph, Scales::Channels, |_| false);
    for id in [graph.output(), graph.outputs()[1].node].map(|id| graph.node(id).inputs[0]) {
        record.values.insert(id, Grid::of_one(99, 0.02));
    }
    check(&graph, &(weights.clone(), record.clone()));
    let reference = QuantizedReference::new(graph.clone(), &weights, &record).unwrap();
    let (mut wanted, id) = (Vec::new(), graph.features()[0].node);
    let watch = |node, numbers: &[f32], _: &[u8]| {
        if node == id {
            wanted = numbers.to_vec()
        }
    };
    let output = reference.run_with(&image(&graph), watch).unwrap();
    for options in sets() {
        let options = PlanOptions { features: true, ..options };
        let plan = Plan::quantized(graph.clone(), &weights, &record, options).unwrap();
        let mut session = Session::new(plan.into());
        let (mut logits, mut features) = (vec![0.0; session.outputs()], vec![0.0; session.features()]);
        session.run_with_features(&image(&graph), &mut logits, &mut features).unwrap();
        assert_eq!((&logits, &features), (&output, &wanted), "{options:?}");
    }
}

#[test]
fn damaged_records_are_refused() {
    let graph = build(|net, x| net.at("a").conv(x, Conv::new(8, 3).bias()).relu());
    let (weights, mut record) = made_up(&graph, Scales::Shared, |_| false);
    record.values.insert(NodeId(0), Grid::of_one(0, f32::NAN));
    assert!(
        Plan::quantized(graph, &weights, &record, Level::Scalar)
            .unwrap_err()
            .to_string()
            .contains("scale NaN")
    );
}

#[test]
fn values_of_other_networks_are_floats_in_between() {
    let graph = build(|net, x| {
        let a = net.at("a").conv(x, Conv::new(8, 3).bias()).relu();
        let gate = net.at("gate").conv(a.global_avg_pool(), Conv::new(8, 1).bias());
        net.at("boxes").conv(a, Conv::new(4, 1)).output("boxes");
        (a * gate.activation(Activation::HARD_SIGMOID)).output("gated");
        net.at("b").conv(a, Conv::new(3, 1).bias())
    });
    for is_real in [(|id| id.0 == 3 || id.0 == 4 || id.0 == 5) as fn(NodeId) -> bool, |id| id.0 == 0] {
        let (weights, record) = made_up(&graph, Scales::Channels, is_real);
        for options in sets() {
            let plan = Arc::new(Plan::quantized(graph.clone(), &weights, &record, options).unwrap());
            let given = outputs(&plan, &image(&graph), 2);
            assert!(given.iter().all(|x| x.is_finite()));
        }
    }
}

#[test]
fn means_of_sizes_that_bytes_have_no_kernel_for_are_floats() {
    let graph = Graph::build("wide", [1, 1, 131_080], |_, x| {
        x.pool(Pool::avg(2, 2).pad(1)).pool(Pool::max(2, 2).pad(1))
    });
    let graph = graph.unwrap();
    let network = made_up(&graph, Scales::Shared, |_| false);
    let text = check(&graph, &network);
    assert!(text.contains("dequantize") && text.contains("mean pool 2x2/2 -> "), "{text}");
}

#[test]
fn layers_of_bf16_that_read_their_input_once_stand_among_those_of_bytes() {
    let graph = build(|net, x| {
        let a = net.at("a").conv(x, Conv::new(20, 1).bias()).relu();
        let gate = net.at("b").conv(a.global_avg_pool(), Conv::new(7, 1).bias()).relu();
        let gate = net.at("c").conv(gate, Conv::new(20, 1)).activation(Activation::HARD_SIGMOID);
        let b = net.at("d").conv(a * gate, Conv::new(6, 1).bias());
        net.at("fc").linear(b, 9)
    });
    let is_gate = |id: NodeId| ["b", "c"].contains(&&*graph.node(id).path);
    let is_float = |id: NodeId| {
        is_gate(id)
            || graph
                .node(id)
                .inputs
                .iter()
                .any(|input| is_gate(*input) && graph.node(id).shape[1..] == [1, 1])
    };
    let mean = graph.iter().find(|(id, _)| is_gate(*id)).map(|(_, node)| node.inputs[0]).unwrap();
    let (mut weights, record) = made_up(&graph, Scales::Channels, |id| is_float(id) || id == mean);
    for name in ["b.weight", "c.weight"] {
        let half = weights.get(name).unwrap().as_bf16();
        weights.insert(name, half);
    }
    let text = check(&graph, &(weights.clone(), record.clone()));
    assert!(
        text.contains("linear bf16 -> 7x1x1  %4  %5") && text.contains("linear bf16 -> 20x1x1"),
        "{text}"
    );
    assert!(text.contains("multiply u8 -> 20x9x11 u8") && text.contains("linear u8 -> 9"), "{text}");
    // A linear layer that reads a map pixel after pixel.
    let is_out = |id: NodeId| {
        graph.node(id).path == "fc" || graph.node(id).inputs.iter().any(|i| graph.node(*i).path == "fc")
    };
    let (mut weights, record) =
        made_up(&graph, Scales::Shared, |id| is_out(id) || graph.node(id).path == "d");
    let half = weights.get("fc.weight").unwrap().as_bf16();
    weights.insert("fc.weight", half);
    assert!(check(&graph, &(weights, record)).contains("linear bf16 -> 9"));
}
