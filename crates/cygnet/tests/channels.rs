//! Every network of the zoo without some of its channels.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use cygnet::graph::{Channels, Cut, Graph, Role};
use cygnet::runtime::{Level, Plan, Reference, Session};
use cygnet::train::{Engine, EngineOptions};
use cygnet::verify::{synthetic, synthetic_param};
use cygnet::weights::{WeightSet, Weights};
use cygnet::zoo::{Network, Spec, networks};

/// The network with its auxiliary heads for the smallest images that it takes, and ten classes.
fn small(network: &Network) -> Graph {
    let build = |side, auxiliary| {
        (network.row.build)(&Spec { image: [3, side, side], classes: 10, auxiliary, ..network.spec() })
    };
    let sides = [32, 64, 96, 128, 160, 224, 299];
    sides.into_iter().find_map(|side| build(side, true).ok()).unwrap()
}

fn weights(graph: &Graph) -> Weights {
    graph.params().iter().map(|param| synthetic_param(&param.name, param, 1.0)).collect()
}

/// Random groups, about a share of them, as far as the rest is a network.
fn some(channels: &Channels, name: &str, share: f64) -> Vec<bool> {
    let mut cut: Vec<bool> = synthetic(name, channels.len(), |v| v)
        .into_iter()
        .map(|v| f64::from(v) < 2.0 * share - 1.0)
        .collect();
    let importance: Vec<f64> =
        synthetic("importance", channels.len(), |v| v).into_iter().map(f64::from).collect();
    channels.settle(&mut cut, &importance);
    cut
}

/// Zeroes all that makes channels that are cut.
fn silence(channels: &Channels, cut: &[bool], weights: &mut Weights) {
    for (param, numbers) in channels.graph().params().iter().zip(weights) {
        let groups = channels.groups_of(param.node);
        let each = numbers.len() / groups.len();
        let rows = numbers.chunks_exact_mut(each).zip(groups);
        rows.filter(|(_, group)| cut[**group] && param.role != Role::NormVar)
            .for_each(|(row, _)| row.fill(0.0));
    }
}

fn logits(graph: &Graph, weights: &[Vec<f32>], image: &[f32]) -> Vec<f32> {
    let graph = graph.without_auxiliary();
    let plan = Plan::new(graph.clone(), weights, Level::best()).unwrap();
    let mut logits = vec![0.0; graph.classes()];
    Session::new(Arc::new(plan)).run(image, &mut logits).unwrap();
    logits
}

/// The weights of the network in use.
fn used(graph: &Graph, weights: &Weights) -> Weights {
    let all = WeightSet::of(graph, weights.clone()).unwrap();
    all.to_lists(&graph.without_auxiliary()).unwrap()
}

fn furthest(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

fn spread(logits: &[f32]) -> f32 {
    logits.iter().copied().fold(f32::MIN, f32::max) - logits.iter().copied().fold(f32::MAX, f32::min)
}

/// The narrowest network of each row of the zoo, or with `CYGNET_EXHAUSTIVE=1` all of them.
fn some_networks() -> impl Iterator<Item = Network> {
    let all = std::env::var_os("CYGNET_EXHAUSTIVE").is_some();
    let narrowest = |network: &Network| network.row.variants.iter().all(|other| network.width <= other.width);
    networks().filter(move |network| all || narrowest(network))
}

#[test]
fn every_network_is_one_without_random_channels_and_without_any_of_its_blocks() {
    let mut blocks = 0;
    for network in networks() {
        let id = &network.id;
        let graph = small(&network);
        let channels = Channels::of(&graph);
        for share in [0.2, 0.9] {
            let cut = some(&channels, id, share);
            let Cut { graph: smaller, selections } =
                channels.cut(&cut).unwrap_or_else(|e| panic!("{id}: {e}"));
            assert_eq!(Graph::from_json(&smaller.to_json()).unwrap(), smaller, "{id}");
            assert_eq!(smaller.auxiliary().len(), graph.auxiliary().len(), "{id}");
            assert_eq!(smaller.features().len(), graph.features().len(), "{id}");
            assert!(smaller.cost().macs < graph.cost().macs, "{id}");
            for (param, selection) in smaller.params().iter().zip(&selections) {
                let first = selection.columns.first();
                let columns = first.map_or(param.shape.get(1).copied(), |list| Some(list.len()));
                assert_eq!(param.name, selection.name, "{id}");
                assert_eq!(
                    (param.shape[0], param.shape.get(1).copied()),
                    (selection.rows.len(), columns),
                    "{id}"
                );
            }
        }
        let all = graph.params();
        for block in graph.blocks() {
            let less = graph.without_block(block).unwrap_or_else(|e| panic!("{id}: {block:?}: {e}"));
            let names =
                |graph: &Graph| graph.params().into_iter().map(|param| (param.name, param.shape)).collect();
            let left: Vec<(String, Vec<usize>)> = names(&less);
            assert!(left.len() < all.len(), "{id}: {block:?}");
            let whole: std::collections::HashSet<(String, Vec<usize>)> = names(&graph).into_iter().collect();
            assert!(left.iter().all(|param| whole.contains(param)), "{id}: {block:?}");
            blocks += 1;
        }
    }
    assert!(blocks > 1000, "{blocks}");
}

#[test]
fn networks_compute_the_same_without_channels_that_are_zero() {
    for network in some_networks() {
        let id = &network.id;
        let graph = small(&network);
        let channels = Channels::of(&graph);
        let cut = some(&channels, id, 0.4);
        let share = cut.iter().filter(|&&cut| cut).count() as f64 / channels.len() as f64;
        assert!(share > 0.1, "{id}: {share}");
        let mut whole = weights(&graph);
        silence(&channels, &cut, &mut whole);
        let Cut { graph: smaller, selections } = channels.cut(&cut).unwrap_or_else(|e| panic!("{id}: {e}"));
        let rest = WeightSet::of(&graph, whole.clone()).unwrap().cut(&selections).unwrap();
        let rest = rest.to_lists(&smaller).unwrap();
        let image = synthetic("image", graph.input_shape().iter().product(), |v| v);
        let wanted = logits(&graph, &used(&graph, &whole), &image);
        let given = logits(&smaller, &used(&smaller, &rest), &image);
        let apart = furthest(&wanted, &given) / spread(&wanted);
        assert!(apart < 1e-4, "{id}: {apart} of the spread {}", spread(&wanted));
    }
}

#[test]
fn networks_run_and_learn_without_random_channels() {
    for network in some_networks() {
        let id = &network.id;
        let graph = small(&network);
        let channels = Channels::of(&graph);
        let Cut { graph: smaller, selections } = channels.cut(&some(&channels, id, 0.6)).unwrap();
        let rest = WeightSet::of(&graph, weights(&graph)).unwrap().cut(&selections).unwrap();
        let mut rest = rest.to_lists(&smaller).unwrap();
        let image = synthetic("image", graph.input_shape().iter().product(), |v| v);
        let lean = smaller.without_auxiliary();
        let reference = Reference::<f32>::new(lean.clone(), &used(&smaller, &rest)).unwrap();
        let (wanted, given) =
            (reference.run(&image).unwrap(), logits(&smaller, &used(&smaller, &rest), &image));
        let apart = furthest(&wanted, &given) / spread(&wanted);
        assert!(apart < 1e-3, "{id}: {apart} of the spread {}", spread(&wanted));
        let mut engine = Engine::new(&smaller, EngineOptions::new(2)).unwrap();
        let mut gradients: Weights = rest.iter().map(|list| vec![0.0; list.len()]).collect();
        let targets: Vec<f32> = (0..20).map(|i| f32::from(u8::from(i % 11 == 3))).collect();
        let loss = engine.step(&mut rest, &image.repeat(2), &targets, 1, &mut gradients, 1.0).unwrap().loss;
        assert!(loss.is_finite(), "{id}: {loss}");
        let moves = gradients.iter().flatten().any(|&gradient| gradient != 0.0);
        assert!(moves, "{id}");
    }
}
