//! Importance by hand, and choices that keep to budgets.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use cygnet_graph::{Channels, Conv, Graph, NodeId};
use cygnet_prune::{
    Budget, Criterion, PruneError, Ranking, by_cost, by_rank, first_order, importance, widths,
};
use cygnet_weights::WeightSet;

/// Two layers of two and three channels and a classifier.
fn tiny() -> (Graph, WeightSet) {
    let graph = Graph::build("tiny", [1, 2, 2], |net, image| {
        let x = net.at("bn").batch_norm(net.at("a").conv(image, Conv::new(2, 1))).relu();
        let x = net.at("b").conv(x, Conv::new(3, 1).bias());
        net.at("fc").linear_without_bias(x.global_avg_pool(), 2)
    })
    .unwrap();
    let lists = [
        vec![3.0, -1.0],
        vec![0.5, -2.0],
        vec![0.1, 0.2],
        vec![0.0; 2],
        vec![1.0; 2],
        vec![3.0, 4.0, 0.0, 1.0, -6.0, 8.0],
        vec![1.0, 2.0, 3.0],
        vec![1.0; 6],
    ];
    let weights = WeightSet::of(&graph, lists).unwrap();
    (graph, weights)
}

fn of_layer(channels: &Channels, values: &[f64], path: &str) -> Vec<f64> {
    let (id, _) = channels.graph().iter().find(|(_, node)| node.path == path).unwrap();
    channels.groups_of(id).iter().map(|&group| values[group]).collect()
}

fn near(given: &[f64], wanted: &[f64]) {
    let is_near = given.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-6);
    assert!(given.len() == wanted.len() && is_near, "{given:?} for {wanted:?}");
}

#[test]
fn importance_is_that_of_the_definitions() {
    let (graph, weights) = tiny();
    let channels = Channels::of(&graph);
    let by = |criterion| importance(&channels, &weights, criterion).unwrap();
    near(&of_layer(&channels, &by(Criterion::L1), "a"), &[3.0 / 2.0, 1.0 / 2.0]);
    near(&of_layer(&channels, &by(Criterion::L1), "b"), &[7.0 * 3.0 / 22.0, 3.0 / 22.0, 14.0 * 3.0 / 22.0]);
    near(&of_layer(&channels, &by(Criterion::L2), "b"), &[5.0 * 3.0 / 16.0, 3.0 / 16.0, 10.0 * 3.0 / 16.0]);
    near(&of_layer(&channels, &by(Criterion::Gamma), "a"), &[0.5, 2.0]);
    let lists = weights.to_lists(&graph).unwrap();
    let mut gradients: Vec<Vec<f32>> = lists.iter().map(|list| vec![1.0; list.len()]).collect();
    gradients[2] = vec![10.0, -10.0];
    let taylor = first_order(&channels, &lists, &gradients).unwrap();
    // Scale and shift of the norm; filters and bias where there is none.
    near(&of_layer(&channels, &taylor, "a"), &[1.5f64.powi(2), 4.0f64.powi(2)]);
    near(&of_layer(&channels, &taylor, "b"), &[8.0f64.powi(2), 3.0f64.powi(2), 5.0f64.powi(2)]);
    gradients.pop();
    assert!(matches!(first_order(&channels, &lists, &gradients), Err(PruneError::Weights(_))));
}

#[test]
fn networks_without_scales_are_refused_by_their_criterion() {
    let graph =
        Graph::build("plain", [1, 2, 2], |net, image| net.at("a").conv(image, Conv::new(2, 1))).unwrap();
    let channels = Channels::of(&graph);
    let weights = WeightSet::of(&graph, [vec![1.0; 2]]).unwrap();
    let error = importance(&channels, &weights, Criterion::Gamma).unwrap_err();
    assert_eq!(error.to_string(), "plain: has no batch norm with a scale; take another criterion");
    let error = by_rank(&channels, &[0.0; 3], Ranking::Global, Budget::of(1.0), &mut |_| 1.0).unwrap_err();
    assert_eq!(error.to_string(), "plain: has no channels that can be cut");
}

/// Layers of 32 and 64 channels, and another of 32 that is added to the first's.
fn residual() -> Graph {
    Graph::build("residual", [3, 8, 8], |net, image| {
        let x = net.at("a").conv(image, Conv::new(32, 3)).relu();
        let y = net.at("b").conv(x, Conv::new(64, 1)).relu();
        let x = x + net.at("c").conv(y, Conv::new(32, 1));
        net.at("fc").linear(x.global_avg_pool(), 10)
    })
    .unwrap()
}

fn macs(graph: &Graph) -> f64 {
    graph.cost().macs as f64
}

#[test]
fn choices_are_within_the_budget_and_in_multiples() {
    let graph = residual();
    let channels = Channels::of(&graph);
    let found: Vec<_> = widths(&channels).iter().map(|width| (width.node, width.groups.len())).collect();
    assert_eq!(found, [(NodeId(1), 32), (NodeId(3), 64)]);
    let importance: Vec<f64> = (0..channels.len()).map(|group| (group * 37 % 101) as f64).collect();
    for share in [0.9, 0.7, 0.5, 0.3] {
        let budget = Budget::of(share * macs(&graph));
        let choices = [
            by_rank(&channels, &importance, Ranking::Global, budget, &mut macs).unwrap(),
            by_rank(&channels, &importance, Ranking::PerLayer, budget, &mut macs).unwrap(),
            by_cost(&channels, &importance, budget, &mut macs).unwrap(),
        ];
        for cut in choices {
            let smaller = channels.cut(&cut).unwrap().graph;
            assert!(macs(&smaller) <= budget.cost, "{share}");
            for width in widths(&channels) {
                let mut groups = width.groups;
                let kept = groups.iter().filter(|&&group| !cut[group]).count();
                assert!(kept >= 8 && kept.is_multiple_of(8), "{share}: {kept}");
                // The most important are those that are kept.
                groups.sort_by(|&a, &b| importance[b].total_cmp(&importance[a]));
                assert!(groups.iter().enumerate().all(|(place, &group)| cut[group] == (place >= kept)));
            }
        }
    }
}

#[test]
fn widths_that_save_nothing_are_not_cut() {
    let graph = residual();
    let channels = Channels::of(&graph);
    let importance: Vec<f64> = (0..channels.len()).map(|group| group as f64).collect();
    // Only the expansion costs anything.
    let mut cost = |graph: &Graph| graph.params()[1].shape[0] as f64;
    let cut = by_cost(&channels, &importance, Budget::of(40.0), &mut cost).unwrap();
    let shapes: Vec<_> =
        channels.cut(&cut).unwrap().graph.params().into_iter().map(|param| param.shape).collect();
    assert_eq!(shapes[..2], [[32, 3, 3, 3], [40, 32, 1, 1]]);
    // What cannot be reached is approached.
    let cut = by_cost(&channels, &importance, Budget { least: 0.5, ..Budget::of(1.0) }, &mut cost).unwrap();
    assert_eq!(cost(&channels.cut(&cut).unwrap().graph), 32.0);
    let refused = by_cost(&channels, &importance, Budget::of(1.0), &mut |_| f64::NAN);
    assert_eq!(refused.unwrap_err().to_string(), "residual: costs NaN, which is no cost");
}
