//! What holds for the plan of every network of the zoo.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::LazyLock;

use cygnet::graph::Graph;
use cygnet::runtime::{Element, KernelKind, Level, Outline, Plan, StepKey};
use cygnet::zoo::{Family, Network, networks};

/// The plan of every network, without weights.
static PLANS: LazyLock<Vec<(Network, Graph, Outline)>> = LazyLock::new(|| {
    let plan = |network: Network| {
        let graph = network.build().unwrap();
        let outline = Plan::outline_of(&graph, Level::Scalar).unwrap();
        (network, graph, outline)
    };
    networks().map(plan).collect()
});

fn meet(a: &Range<usize>, b: &Range<usize>) -> bool {
    a.start.max(b.start) < a.end.min(b.end)
}

#[test]
fn buffers_that_are_needed_at_one_time_do_not_overlap() {
    for (network, _, outline) in &*PLANS {
        let buffers = outline.buffers();
        for (i, a) in buffers.iter().enumerate() {
            assert!(a.bytes.end <= outline.arena_bytes(), "{}: {a:?}", network.id);
            for b in &buffers[i + 1..] {
                let overlap = meet(&a.calls, &b.calls) && meet(&a.bytes, &b.bytes);
                assert!(!overlap, "{}: {a:?} and {b:?}", network.id);
            }
        }
    }
}

#[test]
fn every_node_belongs_to_one_step_and_every_call_too() {
    for (network, graph, outline) in &*PLANS {
        let mut steps = vec![0; graph.nodes().len()];
        outline.steps().iter().flat_map(|step| &step.nodes).for_each(|node| steps[node.id.0] += 1);
        assert_eq!(steps[0], 0);
        assert!(steps[1..].iter().all(|&count| count == 1), "{}: {steps:?}", network.id);
        let follow = |end, step: &Range<usize>| (step.start == end && step.end > end).then_some(step.end);
        let end = outline.steps().iter().try_fold(0, |end, step| follow(end, &step.calls));
        assert!(end.is_some(), "{}", network.id);
        let macs: u64 = outline.steps().iter().map(|step| step.macs).sum();
        assert_eq!(macs, graph.cost().macs, "{}", network.id);
    }
}

#[test]
fn steps_of_one_key_do_the_same_work() {
    let mut works: HashMap<StepKey, [u64; 4]> = HashMap::new();
    let (mut kinds, mut steps) = (HashSet::<KernelKind>::new(), 0);
    for step in PLANS.iter().flat_map(|(_, _, outline)| outline.steps()) {
        let work = [step.macs, step.bytes_read, step.bytes_written, step.weight_bytes];
        assert_eq!(*works.entry(step.key.clone()).or_insert(work), work, "{:?}", step.key);
        kinds.extend(step.key.kernel.kinds());
        steps += 1;
    }
    assert!(works.len() * 3 < steps, "{} keys of {steps} steps", works.len());
    // Networks end with logits, and these have no weights of bf16.
    let unused = KernelKind::ALL.iter().filter(|kind| kind.is_of(Element::F32) && !kinds.contains(kind));
    assert_eq!(unused.collect::<Vec<_>>(), [&KernelKind::Bf16Linear, &KernelKind::Softmax]);
}

#[test]
fn arenas_are_hardly_larger_than_what_must_be_there_at_once() {
    for (network, graph, outline) in &*PLANS {
        // A shuffle keeps a few channels of each of many buffers.
        let most = if network.row.family == Family::ShuffleNetV2 { 3.25 } else { 1.25 };
        let (arena, bound) = (outline.arena_bytes(), outline.lower_bound_bytes());
        assert!(arena as f64 <= most * bound as f64, "{}: {arena} bytes for {bound}", network.id);
        assert!(bound as f64 <= 1.05 * graph.peak_activation_bytes() as f64, "{}: {bound}", network.id);
        assert!(arena >= bound, "{}: {arena} bytes for {bound}", network.id);
    }
}
