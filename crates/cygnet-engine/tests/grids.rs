//! Rounded values: forward what whole numbers compute, backward the gradients of the network without rounding as far as steps
//! are fine, and those of scales.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::num::NonZeroUsize;

use cygnet_engine::{Engine, EngineOptions, Grids, ValueGrid};
use cygnet_graph::{Conv, Graph, NodeId, Op, Pool, Role};
use cygnet_quantize::{QuantizedNetwork, guess, quantize_plainly};
use cygnet_runtime::{PlanOptions, QuantizedReference, integers::real_weights};
use cygnet_weights::{Quantization, WeightSet};

const BATCH: usize = 4;

/// Numbers from -1 to 1.
fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

fn weights(graph: &Graph) -> WeightSet {
    let of = |(i, param): (usize, cygnet_graph::Param)| {
        let inputs = param.shape[1..].iter().product::<usize>().max(1) as f32;
        let factor = if param.role == Role::Weight { (6.0 / inputs).sqrt() } else { 0.2 };
        let numbers = numbers(param.shape.iter().product(), i as u64 + 1);
        numbers.into_iter().map(|x| factor * x).collect::<Vec<f32>>()
    };
    WeightSet::of(graph, graph.params().into_iter().enumerate().map(of).collect::<Vec<_>>()).unwrap()
}

/// Whatever is put together in some way: residuals, gates, halves that are shuffled, poolings, tables.
fn graph() -> Graph {
    let built = Graph::build("all", [3, 12, 12], |net, image| {
        let x = net.at("stem").conv(image, Conv::new(8, 3).stride(2).bias()).relu6();
        let y = net.at("a").conv(x, Conv::new(8, 3).groups(2).bias()).hard_swish();
        let squeezed = net.at("down").conv(y.global_avg_pool(), Conv::new(4, 1).bias()).relu();
        let y = y * net.at("up").conv(squeezed, Conv::new(8, 1).bias()).hard_sigmoid();
        let x = (net.at("b").conv(y, Conv::new(8, 1).bias()) + x).relu();
        let [left, right] = x.halves();
        let right = net.at("c").depthwise(right, Conv::new(0, 3).bias());
        let right = net.at("d").conv(right, Conv::new(4, 1).bias()).relu();
        let x = left.concat(&[right]).channel_shuffle(2).pool(Pool::max(2, 2));
        net.at("fc").linear(net.at("e").conv(x, Conv::new(16, 1).bias()).relu().global_avg_pool(), 5)
    });
    built.unwrap()
}

/// Grids of a record, and the scales.
fn grids(graph: &Graph, record: &Quantization) -> (Grids, Vec<Vec<f32>>) {
    let mut grids = Grids { values: vec![None; graph.nodes().len()], scales: Vec::new() };
    let mut scales = Vec::new();
    for (id, grid) in &record.values {
        grids.values[id.0] = Some(ValueGrid { zero: grid.zero, scales: scales.len() });
        scales.push(grid.scales.clone());
    }
    grids.scales = scales.iter().map(Vec::len).collect();
    (grids, scales)
}

fn engine(graph: &Graph, grids: Grids, threads: usize) -> Engine {
    let threads = NonZeroUsize::new(threads).unwrap();
    Engine::new(graph, EngineOptions { grids, threads, ..EngineOptions::new(BATCH) }).unwrap()
}

fn quantized(graph: &Graph) -> QuantizedNetwork {
    let seen: Vec<Vec<f32>> = (0..8).map(|i| numbers(graph.input_shape().iter().product(), 50 + i)).collect();
    quantize_plainly(graph, &weights(graph), &seen, PlanOptions::default(), 1).unwrap()
}

#[test]
fn rounded_networks_answer_as_those_of_whole_numbers() {
    let QuantizedNetwork { graph, weights, quantization, .. } = quantized(&graph());
    let reference = QuantizedReference::new(graph.clone(), &weights, &quantization).unwrap();
    let (grids, scales) = grids(&graph, &quantization);
    assert!(grids.scales.len() >= 10, "{grids:?}");
    let mut params = real_weights(&graph, &weights, &quantization).to_lists(&graph).unwrap();
    params.extend(scales);
    let mut engine = engine(&graph, grids, 1);
    let image = graph.input_shape().iter().product::<usize>();
    let (mut apart, mut size, mut same) = (0.0f64, 0.0f64, 0);
    const BATCHES: usize = 25;
    for batch in 0..BATCHES {
        let images = numbers(BATCH * image, 200 + batch as u64);
        let logits = engine.forward(&params, &images).unwrap();
        for (image, logits) in images.chunks_exact(image).zip(logits.chunks_exact(5)) {
            let whole = reference.run(image).unwrap();
            let pairs = || whole.iter().zip(logits).map(|(a, b)| (f64::from(*a), f64::from(*b)));
            apart += pairs().map(|(a, b)| (a - b).powi(2)).sum::<f64>();
            size += pairs().map(|(a, _)| a * a).sum::<f64>();
            same += usize::from(guess(&whole) == guess(logits));
        }
    }
    assert!((apart / size).sqrt() < 1e-3, "{}", (apart / size).sqrt());
    assert!(same >= BATCH * BATCHES - 1, "{same}");
}

/// The loss and gradients of a step.
fn step(engine: &mut Engine, params: &mut [Vec<f32>]) -> (f64, Vec<Vec<f32>>) {
    let mut gradients: Vec<Vec<f32>> = params.iter().map(|list| vec![0.0; list.len()]).collect();
    let images = numbers(BATCH * 3 * 12 * 12, 77);
    let targets: Vec<f32> = (0..BATCH * 5).map(|i| if i % 6 == 0 { 1.0 } else { 0.0 }).collect();
    let loss = engine.step(params, &images, &targets, 3, &mut gradients, 1.0).unwrap().loss;
    (loss, gradients)
}

#[test]
fn gradients_are_nearly_those_without_rounding() {
    let QuantizedNetwork { graph, weights, quantization, .. } = quantized(&graph());
    let (grids, mut scales) = grids(&graph, &quantization);
    // So wide that nothing reaches the ends.
    scales.iter_mut().flatten().for_each(|scale| *scale *= 1.5);
    let mut plain = real_weights(&graph, &weights, &quantization).to_lists(&graph).unwrap();
    let mut params = [plain.clone(), scales].concat();
    let (_, wanted) = step(&mut engine(&graph, Grids::default(), 1), &mut plain);
    let (loss, rounded) = step(&mut engine(&graph, grids.clone(), 1), &mut params);
    let (same, together) = step(&mut engine(&graph, grids.clone(), 3), &mut params);
    assert_eq!((loss.to_bits(), &rounded), (same.to_bits(), &together), "threads change nothing");
    for (param, (wanted, got)) in graph.params().iter().zip(wanted.iter().zip(&rounded)) {
        let square = |x: f32| f64::from(x).powi(2);
        let apart = wanted.iter().zip(got).map(|(a, b)| square(a - b)).sum::<f64>();
        let size = wanted.iter().map(|x| square(*x)).sum::<f64>();
        let share = (apart / size).sqrt();
        assert!(share < 0.2, "{}: {share}", param.name);
    }
    // What reads no parameter passes no gradient on, and nobody waits for its scale.
    let first = graph.params().len();
    let of = |id: usize| grids.values[id].map(|grid| &rounded[first + grid.scales]);
    assert!(of(0).is_some_and(|of_image| of_image.iter().all(|g| *g == 0.0)));
    let learnt = (1..graph.nodes().len()).filter_map(of);
    assert!(learnt.filter(|scales| scales.iter().any(|g| *g != 0.0)).count() > 8);
}

#[test]
fn scales_have_the_gradients_of_finite_differences_where_all_lies_beyond_the_ends() {
    let graph = Graph::build("ends", [3, 12, 12], |net, image| {
        let x = net.at("a").conv(image, Conv::new(6, 3).bias());
        net.at("fc").linear(net.at("b").depthwise(x, Conv::new(0, 3).bias()).global_avg_pool(), 5)
    })
    .unwrap();
    let conv = graph.iter().find(|(_, node)| matches!(node.op, Op::Conv(_))).map(|(id, _)| id.0).unwrap();
    for count in [1, 6] {
        let mut values = vec![None; graph.nodes().len()];
        values[conv] = Some(ValueGrid { zero: 100, scales: 0 });
        let mut engine = engine(&graph, Grids { values, scales: vec![count] }, 1);
        let mut params = weights(&graph).to_lists(&graph).unwrap();
        // So far beyond them that no change of a scale brings anything between.
        params[0].iter_mut().for_each(|w| *w *= 1e6);
        params.push((0..count).map(|i| 1e-3 + i as f32 * 1e-4).collect());
        let last = params.len() - 1;
        let (_, gradients) = step(&mut engine, &mut params);
        let of = 144.0 * if count == 1 { 6.0 } else { 1.0 };
        for i in 0..count {
            const STEP: f32 = 1e-4;
            let before = params[last][i];
            let [above, below] = [STEP, -STEP].map(|step_by| {
                params[last][i] = before + step_by;
                step(&mut engine, &mut params).0
            });
            params[last][i] = before;
            let wanted = (above - below) / (2.0 * f64::from(STEP)) / f64::sqrt(255.0 * of);
            let got = f64::from(gradients[last][i]);
            assert!(
                (got - wanted).abs() < 2e-3 * wanted.abs().max(0.01),
                "{i} of {count}: {got}, not {wanted}"
            );
        }
    }
}

#[test]
fn grids_that_do_not_belong_to_the_graph_are_refused() {
    let graph = graph();
    let shuffle = graph.iter().find(|(_, node)| matches!(node.op, Op::ChannelShuffle { .. })).unwrap().0;
    let at = |NodeId(node): NodeId, scales: usize, lists: Vec<usize>| {
        let mut values = vec![None; graph.nodes().len()];
        values[node] = Some(ValueGrid { zero: 0, scales });
        Grids { values, scales: lists }
    };
    let refused = |grids: Grids| {
        let options = EngineOptions { grids, ..EngineOptions::new(BATCH) };
        Engine::new(&graph, options).map(|_| ()).unwrap_err().to_string()
    };
    assert!(refused(at(shuffle, 0, vec![1])).contains("views have those of what they show"));
    assert!(refused(at(NodeId(1), 0, vec![7])).contains("7 scales for 8 channels"));
    assert!(refused(at(NodeId(1), 1, vec![1])).contains("of a list that there is"));
    let short = Grids { values: vec![None], scales: Vec::new() };
    assert!(refused(short).contains("a list of 1"));
}
