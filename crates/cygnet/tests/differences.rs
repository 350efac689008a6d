//! Gradients against finite differences: every operator, and a small network of every family.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::num::NonZeroUsize;

use cygnet::graph::{Graph, Role};
use cygnet::runtime::{Level, Reference};
use cygnet::train::{Engine, EngineError, EngineOptions};
use cygnet::verify::{synthetic, synthetic_param};
use cygnet::zoo::registry::Family;
use cygnet::zoo::{Spec, networks};
use serde_json::{Value, json};

/// Activations without a name of their own, behind and before a convolution, and behind a batch norm.
fn activations() -> Vec<Value> {
    let functions = [
        json!({"clamp": {"low": -0.3, "high": 0.4}}),
        json!({"clamp": {"low": 0.1}}),
        json!({"clamp": {"high": 0.2}}),
        json!({"hard_sigmoid_with": {"scale": 1.5, "shift": 0.7, "high": 1.2, "factor": -0.8}}),
    ];
    let case = |function: Value| {
        let activation = |input| json!({"op": "activation", "function": function.clone(), "inputs": [input]});
        let nodes = [
            activation(0),
            json!({
                "op": "conv", "out": 4, "kernel": [3, 3], "stride": [1, 1], "dilation": [1, 1], "groups": 1,
                "bias": false, "padding": {"explicit": {"top": 1, "left": 1, "bottom": 1, "right": 1}},
                "path": "conv", "inputs": [1]
            }),
            json!({"op": "batch_norm", "eps": 1e-5, "scale": true, "path": "norm", "inputs": [2]}),
            activation(3),
            json!({"op": "global_avg_pool", "inputs": [4]}),
        ];
        json!({"graph": {"name": function.to_string(), "input": [3, 5, 4], "nodes": nodes, "output": 5}})
    };
    functions.into_iter().map(case).collect()
}

/// The graphs of the operator cases, each behind a 1×1 convolution, so that its input's gradient is seen, and before a
/// linear layer.
fn operators() -> Vec<Graph> {
    let cases: Vec<Value> = serde_json::from_str(include_str!("op_cases/cases.json")).unwrap();
    let wrap = |case: Value| {
        let mut graph = case["graph"].clone();
        let channels = graph["input"][0].clone();
        let mut nodes = vec![json!({
            "op": "conv", "out": channels, "kernel": [1, 1], "stride": [1, 1], "dilation": [1, 1], "groups": 1,
            "bias": true, "padding": {"explicit": {"top": 0, "left": 0, "bottom": 0, "right": 0}},
            "path": "stem", "inputs": [0]
        })];
        for node in graph["nodes"].as_array().unwrap() {
            let mut node = node.clone();
            let inputs = node["inputs"].as_array().unwrap();
            node["inputs"] = inputs.iter().map(|id| json!(id.as_u64().unwrap() + 1)).collect();
            nodes.push(node);
        }
        let last = graph["output"].as_u64().unwrap() + 1;
        nodes.push(json!({"op": "linear", "out": 3, "bias": true, "path": "head", "inputs": [last]}));
        graph["output"] = json!(nodes.len());
        graph["nodes"] = json!(nodes);
        Graph::from_json(&graph).unwrap()
    };
    cases.into_iter().chain(activations()).map(wrap).collect()
}

fn weights(graph: &Graph) -> Vec<Vec<f32>> {
    graph.params().iter().map(|param| synthetic_param(&param.name, param, 1.0)).collect()
}

fn zeros(params: &[Vec<f32>]) -> Vec<Vec<f32>> {
    params.iter().map(|values| vec![0.0; values.len()]).collect()
}

/// Smoothed labels.
fn targets(batch: usize, classes: usize) -> Vec<f32> {
    let rest = 0.1 / classes as f32;
    let one = |i: usize| if i % classes == i / classes % classes { 0.9 + rest } else { rest };
    (0..batch * classes).map(one).collect()
}

/// The mean cross-entropy in f64, of the network as it is in evaluation.
fn exact_loss(graph: &Graph, params: &[Vec<f32>], images: &[f32], targets: &[f32]) -> f64 {
    let exact = Reference::<f64>::new(graph.clone(), params).unwrap();
    let size = graph.input_shape().iter().product();
    let losses: Vec<f64> = images
        .chunks_exact(size)
        .zip(targets.chunks_exact(graph.classes()))
        .map(|(image, targets)| {
            let image: Vec<f64> = image.iter().map(|&x| f64::from(x)).collect();
            let logits = exact.run(&image).unwrap();
            let largest = logits.iter().fold(f64::NEG_INFINITY, |a, &b| a.max(b));
            let sum = logits.iter().map(|x| (x - largest).exp()).sum::<f64>().ln() + largest;
            targets.iter().zip(&logits).map(|(&t, x)| f64::from(t) * (sum - x)).sum()
        })
        .collect();
    losses.iter().sum::<f64>() / losses.len() as f64
}

#[test]
fn every_operators_gradient_is_that_of_finite_differences() {
    const BATCH: usize = 3;
    for graph in operators() {
        let params = weights(&graph);
        let images = synthetic("input", BATCH * graph.input_shape().iter().product::<usize>(), |v| v);
        let targets = targets(BATCH, graph.classes());
        for &level in Level::ALL.iter().filter(|level| level.is_supported()) {
            let mut options = EngineOptions::new(BATCH);
            (options.level, options.frozen_batch_norm, options.dropout) = (level, true, false);
            let mut engine = Engine::new(&graph, options).unwrap();
            let (mut moved, mut gradients) = (params.clone(), zeros(&params));
            let loss = engine.step(&mut moved, &images, &targets, 0, &mut gradients, 1.0).unwrap().loss;
            assert_eq!(moved, params, "{}: frozen statistics moved", graph.name());
            let exact = exact_loss(&graph, &params, &images, &targets);
            assert!((loss - exact).abs() < 1e-5, "{} {level:?}: {loss} for {exact}", graph.name());
            for (i, param) in graph.params().iter().enumerate().filter(|(_, param)| param.role.is_learnt()) {
                let random = synthetic(&format!("direction {}", param.name), params[i].len(), |v| v);
                let signs: Vec<f32> = gradients[i].iter().map(|g| g.signum()).collect();
                for direction in [random, signs] {
                    let moved = |step: f32| {
                        let mut moved = params.clone();
                        moved[i].iter_mut().zip(&direction).for_each(|(p, d)| *p += step * d);
                        moved
                    };
                    let [up, down] = [moved(1e-4), moved(-1e-4)];
                    let [above, below] = [&up, &down].map(|p| exact_loss(&graph, p, &images, &targets));
                    let terms = up[i].iter().zip(&down[i]).zip(&gradients[i]);
                    let predicted: f64 = terms
                        .clone()
                        .map(|((u, d), g)| (f64::from(*u) - f64::from(*d)) * f64::from(*g))
                        .sum();
                    let scale: f64 = terms
                        .map(|((u, d), g)| ((f64::from(*u) - f64::from(*d)) * f64::from(*g)).abs())
                        .sum();
                    let difference = (above - below - predicted).abs();
                    assert!(
                        difference <= 2e-3 * scale + 1e-10,
                        "{} {level:?} {}: {predicted:e} predicted, {:e} found",
                        graph.name(),
                        param.name,
                        above - below
                    );
                }
            }
        }
    }
}

/// The smallest network of a family, narrow where that is possible, for small images and six classes.
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
    build(64).or_else(|_| build(96)).or_else(|_| build(224)).unwrap()
}

#[test]
fn the_gradient_of_a_network_of_every_family_is_that_of_finite_differences_in_training_mode() {
    const BATCH: usize = 8;
    const BOUND: f64 = 0.03;
    for family in Family::ALL {
        let graph = small(family);
        let params = weights(&graph);
        let images = synthetic("input", BATCH * graph.input_shape().iter().product::<usize>(), |v| v);
        let targets = targets(BATCH, 6);
        let mut options = EngineOptions::new(BATCH);
        options.stochastic_depth = 0.3;
        let mut engine = Engine::new(&graph, options).unwrap();
        let mut loss = |params: &[Vec<f32>], gradients: &mut [Vec<f32>]| {
            engine.step(&mut params.to_vec(), &images, &targets, 5, gradients, 1.0).unwrap().loss
        };
        let (mut gradients, mut ignored) = (zeros(&params), zeros(&params));
        loss(&params, &mut gradients);
        let roles: Vec<Role> = graph.params().iter().map(|param| param.role).collect();
        // Parts of the parameters, each moved along its own gradient.
        for part in 0..4 {
            let chosen = |i: usize| roles[i].is_learnt() && i * 7 % 4 == part;
            let squares = |gradient: &Vec<f32>| gradient.iter().map(|&g| f64::from(g).powi(2)).sum::<f64>();
            let slope: f64 =
                gradients.iter().enumerate().filter(|(i, _)| chosen(*i)).map(|(_, g)| squares(g)).sum();
            let mut closest = f64::INFINITY;
            // Curvature spoils long steps, rounding short ones.
            for change in [1e-3, 3e-4, 3e-3, 1e-4] {
                if closest < BOUND {
                    break;
                }
                let step = (change / slope) as f32;
                let mut moved = |sign: f32| {
                    let mut moved = params.clone();
                    for (i, values) in moved.iter_mut().enumerate().filter(|(i, _)| chosen(*i)) {
                        values.iter_mut().zip(&gradients[i]).for_each(|(p, g)| *p += sign * step * g);
                    }
                    loss(&moved, &mut ignored)
                };
                let found = (moved(1.0) - moved(-1.0)) / (2.0 * change);
                closest = closest.min((found - 1.0).abs());
            }
            assert!(closest < BOUND, "{} part {part}: off by {closest}", graph.name());
        }
    }
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    for family in
        [Family::MobileNetV2, Family::MobileNetV3, Family::ShuffleNetV2, Family::SqueezeNet, Family::SENet]
    {
        let graph = small(family);
        let batch = 6;
        let images = synthetic("input", batch * graph.input_shape().iter().product::<usize>(), |v| v);
        let run = |threads| {
            let mut options = EngineOptions::new(batch);
            options.threads = NonZeroUsize::new(threads).unwrap();
            options.stochastic_depth = 0.2;
            let mut engine = Engine::new(&graph, options).unwrap();
            let mut params = weights(&graph);
            let mut gradients = zeros(&params);
            let outcome =
                engine.step(&mut params, &images, &targets(batch, 6), 9, &mut gradients, 1.0).unwrap();
            let (loss, logits) = (outcome.loss.to_bits(), outcome.logits.to_vec());
            (loss, logits, params, gradients)
        };
        let one = run(1);
        assert!(one.1.iter().all(|x| x.is_finite()));
        assert!(one == run(2), "{} on 2 threads", graph.name());
        assert!(one == run(3), "{} on 3 threads", graph.name());
    }
}

#[test]
fn gradients_add_up_and_only_those_that_are_wanted_are_touched() {
    let graph = small(Family::MobileNetV2);
    let images = synthetic("input", 2 * graph.input_shape().iter().product::<usize>(), |v| v);
    let targets = targets(2, 6);
    let mut options = EngineOptions::new(2);
    (options.frozen_batch_norm, options.dropout) = (true, false);
    let mut params = weights(&graph);
    let mut whole = zeros(&params);
    let mut engine = Engine::new(&graph, options.clone()).unwrap();
    engine.step(&mut params, &images, &targets, 0, &mut whole, 1.0).unwrap();
    let mut twice = zeros(&params);
    engine.step(&mut params, &images, &targets, 0, &mut twice, 0.25).unwrap();
    engine.step(&mut params, &images, &targets, 0, &mut twice, 0.75).unwrap();
    let close = |a: &[f32], b: &[f32]| {
        let norm = a.iter().map(|x| x * x).sum::<f32>().sqrt();
        a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-5 * norm)
    };
    assert!(whole.iter().zip(&twice).all(|(a, b)| close(a, b)));

    let names: Vec<String> = graph.params().into_iter().map(|param| param.name).collect();
    options.trainable = names.iter().map(|name| name.starts_with("classifier")).collect();
    let mut head = zeros(&params);
    let mut engine = Engine::new(&graph, options).unwrap();
    engine.step(&mut params, &images, &targets, 0, &mut head, 1.0).unwrap();
    for (name, (head, whole)) in names.iter().zip(head.iter().zip(&whole)) {
        if name.starts_with("classifier") {
            assert!(close(whole, head), "{name}");
        } else {
            assert!(head.iter().all(|&g| g == 0.0), "{name}");
        }
    }
}

#[test]
fn wrong_inputs_are_errors_that_name_what_is_wrong() {
    let graph = small(Family::SqueezeNet);
    let engine = |change: fn(&mut EngineOptions)| {
        let mut options = EngineOptions::new(2);
        change(&mut options);
        Engine::new(&graph, options)
    };
    let message = |result: Result<Engine, EngineError>| result.unwrap_err().to_string();
    assert_eq!(message(engine(|o| o.batch = 0)), "the batch is 0, but must be at least 1");
    assert!(message(engine(|o| o.stochastic_depth = 1.0)).contains("stochastic depth"));
    assert!(message(engine(|o| o.trainable = vec![true])).contains("1 long"));
    assert!(message(engine(|o| o.batch = usize::MAX / 4)).contains(" TB to learn"));
    let mut good = engine(|_| {}).unwrap();
    let mut params = weights(&graph);
    let mut gradients = zeros(&params);
    let images = vec![0.0; 2 * graph.input_shape().iter().product::<usize>()];
    let mut step = |params: &mut [Vec<f32>], images: &[f32], targets: &[f32], gradients: &mut [Vec<f32>]| {
        good.step(params, images, targets, 0, gradients, 1.0).unwrap_err().to_string()
    };
    assert!(step(&mut params, &images[1..], &[0.0; 12], &mut gradients).contains("images needs"));
    assert_eq!(
        step(&mut params, &images, &[0.0; 11], &mut gradients),
        "the targets needs 12 numbers, 11 were given"
    );
    gradients[0].pop();
    assert!(step(&mut params, &images, &[0.0; 12], &mut gradients).starts_with("the gradient of "));
    params[1].clear();
    assert!(step(&mut params, &images, &[0.0; 12], &mut gradients).starts_with(&graph.params()[1].name));
}
