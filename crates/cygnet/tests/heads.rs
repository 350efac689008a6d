//! Auxiliary heads: where they are, and what they do to loss and gradients.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, HashMap};

use cygnet::graph::{Conv, Graph};
use cygnet::train::{Engine, EngineOptions};
use cygnet::verify::{synthetic, synthetic_param};
use cygnet::zoo::{Spec, find, networks};
use serde::Deserialize;

/// What an engine with frozen batch norm and without dropout computes from weights made by the formula.
fn step(graph: &Graph, batch: usize, gain: f64, factor: f32) -> (f64, HashMap<String, Vec<f32>>) {
    let mut params: Vec<Vec<f32>> =
        graph.params().iter().map(|param| synthetic_param(&param.name, param, gain)).collect();
    let mut gradients: Vec<Vec<f32>> = params.iter().map(|values| vec![0.0; values.len()]).collect();
    let images = synthetic("input", batch * graph.input_shape().iter().product::<usize>(), |v| v);
    let mut targets = vec![0.0; batch * graph.classes()];
    (0..batch).for_each(|i| targets[i * graph.classes() + (7 * i + 3) % graph.classes()] = 1.0);
    let mut options = EngineOptions::new(batch);
    (options.frozen_batch_norm, options.dropout, options.auxiliary) = (true, false, factor);
    let mut engine = Engine::new(graph, options).unwrap();
    let loss = engine.step(&mut params, &images, &targets, 0, &mut gradients, 1.0).unwrap().loss;
    let names = graph.params().into_iter().map(|param| param.name);
    (loss, names.zip(gradients).collect())
}

#[derive(Deserialize)]
struct Entry {
    input: [usize; 4],
    gain: f64,
    loss: f64,
    gradients: BTreeMap<String, [f64; 2]>,
}

#[test]
fn loss_and_gradients_with_heads_are_torchvisions() {
    let entries: HashMap<String, Entry> =
        serde_json::from_str(include_str!("heads/torchvision.json")).unwrap();
    for (name, Entry { input: [batch, channels, height, width], gain, loss, gradients }) in entries {
        let network = find(&format!("torchvision/{name}")).unwrap();
        let spec = Spec { image: [channels, height, width], auxiliary: true, ..network.spec() };
        let graph = (network.row.build)(&spec).unwrap();
        let (found, found_gradients) = step(&graph, batch, gain, 1.0);
        assert!((found - loss).abs() < 1e-5 * loss, "{name}: {found}, PyTorch has {loss}");
        let learnt = graph.params().iter().filter(|param| param.role.is_learnt()).count();
        assert_eq!(learnt, gradients.len());
        for (key, [norm, product]) in gradients {
            let gradient = &found_gradients[&key];
            let direction = synthetic(&format!("direction {key}"), gradient.len(), |v| v);
            let dot = |other: &[f32]| {
                gradient.iter().zip(other).map(|(g, d)| f64::from(*g) * f64::from(*d)).sum::<f64>()
            };
            for (found, wanted) in [(dot(gradient).sqrt(), norm), (dot(&direction), product)] {
                // In f32 a unit may fall on the other side of a kink.
                let bound = 2e-3 * norm;
                assert!((found - wanted).abs() < bound, "{name}: {key}: {found}, PyTorch has {wanted}");
            }
        }
    }
}

#[test]
fn heads_are_the_references_and_only_there_when_asked_for() {
    // The reference's count of parameters with heads, and how many there are.
    let with_heads = [
        ("googlenet", 13_004_888, 2),
        ("googlenet_transform_input", 13_004_888, 2),
        ("googlenet_caffe", 13_378_280, 2),
        ("inception_v3", 27_161_264, 1),
        ("inception_v3_transform_input", 27_161_264, 1),
    ];
    for network in networks() {
        let (plain, whole) = (network.build().unwrap(), network.build_with_heads().unwrap());
        assert!(plain.auxiliary().is_empty(), "{}", network.id);
        assert_eq!(whole.without_auxiliary(), plain);
        let known = with_heads.iter().find(|(id, ..)| *id == network.id);
        let (params, heads) = known.map_or((plain.cost().params, 0), |&(_, params, heads)| (params, heads));
        assert_eq!((whole.cost().params, whole.auxiliary().len()), (params, heads), "{}", network.id);
        assert_eq!(whole.classifier(), whole.params().last().map(|param| param.node), "{}", network.id);
        let few = whole.with_classes(7).unwrap();
        let classes = few.auxiliary().iter().map(|head| few.node(head.node).shape[0]);
        assert!(classes.chain([few.classes()]).all(|classes| classes == 7), "{}", network.id);
    }
}

#[test]
fn the_loss_is_the_weighted_sum_of_all_outputs() {
    let build = |output: usize| {
        Graph::build("three", [3, 8, 8], |net, image| {
            let x = net.at("stem").conv(image, Conv::new(8, 3));
            let x = net.at("norm").batch_norm(x).relu();
            // The first head reads what the second layer also reads, and is read itself.
            let first = net.at("first").conv(x.adaptive_avg_pool([3, 3]), Conv::new(5, 3).valid());
            let x = net.at("middle").conv(x, Conv::new(8, 3).stride(2).bias()).hard_swish();
            let second = net.at("second").linear(x, 5);
            let last = net.at("last").linear(x.global_avg_pool(), 5) + first.dropout(0.5);
            let outputs = [last, first, second];
            if output == 0 {
                first.auxiliary(0.3);
                second.auxiliary(0.25);
                second.auxiliary(0.25);
            }
            outputs[output]
        })
        .unwrap()
    };
    let whole = step(&build(0), 3, 1.0, 2.0);
    let parts = [(0, 1.0), (1, 0.6), (2, 1.0)].map(|(output, weight)| {
        let graph = if output == 0 { build(0).without_auxiliary() } else { build(output) };
        (step(&graph, 3, 1.0, 1.0), weight)
    });
    let loss: f64 = parts.iter().map(|((loss, _), weight)| weight * loss).sum();
    assert!((whole.0 - loss).abs() < 1e-6, "{} for {loss}", whole.0);
    for (name, gradient) in &whole.1 {
        for (i, &found) in gradient.iter().enumerate() {
            let parts = parts.iter().filter_map(|((_, g), weight)| Some(weight * f64::from(g.get(name)?[i])));
            let sum: f64 = parts.sum();
            assert!((f64::from(found) - sum).abs() < 1e-6, "{name}[{i}]: {found} for {sum}");
        }
    }
    let without = step(&build(0), 3, 1.0, 0.0);
    assert!((without.0 - parts[0].0.0).abs() < 1e-12);
    assert!(without.1["second.weight"].iter().all(|&g| g == 0.0), "a head that is off is left alone");
}
