//! Steps whose parts are timed compute what others do, and say what their parts are.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::num::NonZeroUsize;
use std::time::Duration;

use cygnet_engine::{Engine, EngineError, EngineOptions};
use cygnet_graph::{Conv, Graph};

fn graph() -> Graph {
    Graph::build("net", [3, 8, 8], |net, image| {
        let x = net.at("bn").batch_norm(net.at("a").conv(image, Conv::new(8, 3).stride(2))).relu6();
        let y = net.at("b").depthwise(x, Conv::new(0, 3).bias()).relu();
        net.at("fc").linear((y + x).global_avg_pool(), 3)
    })
    .unwrap()
}

#[test]
fn a_timed_step_is_a_step_with_a_time_for_each_of_its_parts() {
    let graph = graph();
    let start: Vec<Vec<f32>> = graph
        .params()
        .iter()
        .map(|param| (0..param.shape.iter().product()).map(|i: usize| 0.3 + (i % 7) as f32 / 20.0).collect())
        .collect();
    let images: Vec<f32> = (0..4 * 192).map(|i| (i * 31 % 101) as f32 / 50.0 - 1.0).collect();
    let targets: Vec<f32> = (0..12).map(|i| f32::from(u8::from(i % 3 == i / 3 % 3))).collect();
    let mut results = Vec::new();
    for (threads, is_timed) in [(1, false), (1, true), (3, true)] {
        let threads = NonZeroUsize::new(threads).unwrap();
        let mut engine = Engine::new(&graph, EngineOptions { threads, ..EngineOptions::new(4) }).unwrap();
        let (mut params, mut gradients) = (start.clone(), start.clone());
        let parts = engine.steps().unwrap();
        let mut times = vec![Duration::ZERO; parts.len()];
        let loss = if is_timed {
            let [params, gradients] = [&mut params, &mut gradients];
            let step = engine.step_timed(params, &images, &targets, 5, gradients, 1.0, &mut times);
            step.unwrap().loss
        } else {
            engine.step(&mut params, &images, &targets, 5, &mut gradients, 1.0).unwrap().loss
        };
        assert_eq!(times.iter().any(|time| !time.is_zero()), is_timed);
        results.push((loss.to_bits(), params.clone(), gradients.clone()));
        let short = &mut times[1..];
        let refused = engine.step_timed(&mut params, &images, &targets, 5, &mut gradients, 1.0, short);
        assert!(matches!(refused, Err(EngineError::Size { .. })));
    }
    assert!(results.iter().all(|result| *result == results[0]));
}

#[test]
fn parts_say_what_they_are_there_for_and_what_they_cost() {
    let graph = graph();
    let mut engine = Engine::new(&graph, EngineOptions::new(4)).unwrap();
    let parts = engine.steps().unwrap();
    let told = |wanted: &str| {
        let of = parts.iter().filter(|part| part.kernel == wanted);
        of.map(|part| (&*graph.node(part.node).path, part.is_backward, part.macs)).collect::<Vec<_>>()
    };
    let [conv, depthwise, linear] = [4 * 16 * 8 * 27, 4 * 16 * 8 * 9, 4 * 8 * 3];
    assert_eq!(told("conv 3x3/2"), [("a", false, conv)]);
    assert_eq!(told("conv 3x3/2 backward"), [("a", true, conv)], "nobody wants the image's gradient");
    assert_eq!(told("depthwise 3x3"), [("b", false, depthwise)]);
    assert_eq!(told("depthwise 3x3 backward"), [("b", true, 2 * depthwise)]);
    assert_eq!(told("pointwise"), [("fc", false, linear)]);
    assert_eq!(told("pointwise backward"), [("fc", true, 2 * linear)]);
    assert_eq!((told("batch norm").len(), told("batch norm")[0].0), (1, "bn"));
    assert_eq!(told("loss"), [("fc", true, 0)]);
    let import = parts.iter().find(|part| part.kernel == "import").unwrap();
    assert_eq!(import.bytes, 2 * 4 * 4 * 192);
    assert!(parts.is_sorted_by_key(|part| part.is_backward) && parts.iter().all(|part| part.bytes > 0));
}
