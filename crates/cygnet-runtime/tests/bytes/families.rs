//! A network of every family with a made-up record.

use std::sync::Arc;

use cygnet_graph::{Change, Conv, Graph, NodeId, Op};
use cygnet_runtime::{Element, Plan, QuantizedReference};
use cygnet_zoo::{Family, Spec, networks};

use crate::made_up::{Scales, image, made_up};
use crate::{check, outputs, sets};

/// The smallest network of a family, narrow where that is possible, for small images and six classes, without batch norms.
fn small(family: Family) -> Graph {
    let network = networks()
        .filter(|network| network.row.family == family)
        .min_by_key(|network| network.build().unwrap().cost().params)
        .unwrap();
    let width = if network.row.any_width { 0.25 } else { network.width };
    let build = |side| {
        let spec = Spec { image: [3, side, side], classes: 6, width, ..network.spec() };
        (network.row.build)(&spec)
    };
    let graph = build(64).or_else(|_| build(96)).or_else(|_| build(224)).unwrap();
    let change = |_, node: &cygnet_graph::Node| match &node.op {
        Op::BatchNorm(_) => Change::Skip,
        Op::Conv(conv) => Change::Replace(Op::Conv(Conv { bias: true, ..conv.clone() })),
        _ => Change::Keep,
    };
    graph.rebuilt(change).unwrap().0.without_softmax().unwrap()
}

/// Whether a value is one that networks compute gates of.
fn is_of_a_gate(graph: &Graph, id: NodeId) -> bool {
    let gates = graph.iter().filter(|(_, node)| node.op == Op::Mul).flat_map(|(_, node)| &node.inputs);
    let mut ends: Vec<NodeId> = gates.copied().filter(|&gate| plane(graph, gate) == 1).collect();
    while let Some(end) = ends.pop() {
        if end == id {
            return true;
        }
        ends.extend(graph.node(end).inputs.iter().filter(|&&input| plane(graph, input) == 1));
    }
    false
}

fn plane(graph: &Graph, id: NodeId) -> usize {
    graph.node(id).shape[1..].iter().product()
}

#[test]
fn a_network_of_every_family_computes_what_the_reference_does() {
    for family in Family::ALL {
        let graph = small(family);
        let made = made_up(&graph, Scales::Shared, |id| is_of_a_gate(&graph, id));
        let has_floats = graph.iter().any(|(_, node)| {
            matches!(node.op, Op::Mul | Op::LocalResponseNorm(_) | Op::UpsampleLike | Op::Scale { .. })
        });
        if !has_floats {
            check(&graph, &made);
            continue;
        }
        let (weights, record) = made;
        let reference = QuantizedReference::new(graph.clone(), &weights, &record).unwrap();
        let wanted = reference.run(&image(&graph)).unwrap();
        let largest = wanted.iter().fold(0.0, |largest: f32, x| largest.max(x.abs()));
        for options in sets() {
            let plan = Arc::new(Plan::quantized(graph.clone(), &weights, &record, options).unwrap());
            let bytes = plan.steps().iter().filter(|step| step.key.output.element == Element::U8).count();
            assert!(bytes * 2 > plan.steps().len(), "{family:?}:\n{}", plan.outline());
            for (x, wanted) in outputs(&plan, &image(&graph), 1).iter().zip(&wanted) {
                assert!((x - wanted).abs() <= 0.02 * largest, "{family:?}, {options:?}: {x} is not {wanted}");
            }
        }
    }
}
