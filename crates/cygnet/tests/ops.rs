//! Every operator, against what PyTorch computes (`op_cases/make.py` writes the cases).
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use cygnet::graph::{Activation, Conv, Graph, Op};
use cygnet::runtime::{Level, Plan, Reference, Session};
use cygnet::verify::{synthetic, synthetic_param};
use serde::Deserialize;

#[derive(Deserialize)]
struct OpCase {
    graph: serde_json::Value,
    shape: Vec<usize>,
    output: Vec<f64>,
}

fn cases() -> Vec<(Graph, OpCase)> {
    let cases: Vec<OpCase> = serde_json::from_str(include_str!("op_cases/cases.json")).unwrap();
    cases.into_iter().map(|case| (Graph::from_json(&case.graph).unwrap(), case)).collect()
}

fn weights(graph: &Graph) -> Vec<Vec<f32>> {
    graph.params().iter().map(|param| synthetic_param(&param.name, param, 1.0)).collect()
}

fn assert_close(name: &str, given: &[f64], wanted: &[f64], tolerance: f64) {
    assert_eq!(given.len(), wanted.len(), "{name}");
    for (i, (given, wanted)) in given.iter().zip(wanted).enumerate() {
        assert!((given - wanted).abs() <= tolerance, "{name}: element {i} is {given}, PyTorch has {wanted}");
    }
}

#[test]
fn the_reference_executor_computes_what_pytorch_computes() {
    for (graph, case) in cases() {
        let image = synthetic("input", graph.input_shape().iter().product(), |v| v);
        assert_eq!(
            graph.node(graph.output()).shape.iter().product::<usize>(),
            case.shape.iter().product::<usize>()
        );

        let exact = Reference::<f64>::new(graph.clone(), &weights(&graph)).unwrap();
        let wide: Vec<f64> = image.iter().map(|&x| f64::from(x)).collect();
        assert_close(graph.name(), &exact.run(&wide).unwrap(), &case.output, 1e-6);

        let single = Reference::<f32>::new(graph.clone(), &weights(&graph)).unwrap();
        let output: Vec<f64> = single.run(&image).unwrap().into_iter().map(f64::from).collect();
        assert_close(graph.name(), &output, &case.output, 1e-5);
    }
}

#[test]
fn every_operator_has_a_case() {
    let mut seen: Vec<&str> =
        cases().iter().flat_map(|(graph, _)| graph.nodes()).map(|node| node.op.name()).collect();
    seen.sort_unstable();
    seen.dedup();
    let mut wanted: Vec<&str> = Activation::ALL.iter().map(|function| function.name()).collect();
    let others = [
        "adaptive_avg_pool",
        "add",
        "avg_pool",
        "batch_norm",
        "channel_shuffle",
        "concat",
        "conv",
        "dropout",
        "global_avg_pool",
        "input",
        "linear",
        "local_response_norm",
        "max_pool",
        "mul",
        "scale",
        "slice",
        "softmax",
        "upsample_like",
    ];
    wanted.extend(others);
    wanted.sort_unstable();
    assert_eq!(seen, wanted);
    // A new operator must be added to the list above: this match stops compiling until somebody looks.
    let _ = |op: &Op| match op {
        Op::Input
        | Op::Conv(_)
        | Op::BatchNorm(_)
        | Op::Activation { .. }
        | Op::Pool(_)
        | Op::GlobalAvgPool
        | Op::AdaptiveAvgPool { .. } => (),
        Op::LocalResponseNorm(_) | Op::Add | Op::Mul | Op::Scale { .. } | Op::Concat => (),
        Op::Slice { .. } | Op::ChannelShuffle { .. } | Op::UpsampleLike | Op::Linear { .. } => (),
        Op::Dropout { .. } | Op::Softmax => (),
    };
}

#[test]
fn wrong_inputs_are_errors_that_name_the_tensor() {
    let (graph, _) = cases().into_iter().find(|(graph, _)| graph.name() == "batch_norm").unwrap();
    let good = weights(&graph);
    let mut short = good.clone();
    short[2].pop();
    let error = Reference::<f32>::new(graph.clone(), &short).unwrap_err();
    assert_eq!(error.to_string(), "layer.running_mean needs 4 numbers, 3 were given");
    let error = Reference::<f32>::new(graph.clone(), &good[1..]).unwrap_err();
    assert_eq!(error.to_string(), "the graph has 4 parameters, 3 tensors were given");
    let error = Reference::<f32>::new(graph, &good).unwrap().run(&[0.0; 5]).unwrap_err();
    assert_eq!(error.to_string(), "the image needs [4, 3, 3] = 36 numbers, 5 were given");
}

#[test]
fn a_graph_whose_values_would_fill_the_memory_is_refused_before_any_is_taken() {
    let graph = Graph::build("vast", [1, 1024, 1024], |net, image| {
        let x = net.at("conv").conv(image, Conv::new(2000, 1));
        x + x.relu()
    })
    .unwrap();
    let weights = [vec![0.0; 2000]];
    let error = Reference::<f32>::new(graph, &weights).unwrap_err().to_string();
    assert!(error.contains("vast needs") && error.contains("use a smaller image"), "{error}");
}

#[test]
fn a_convolution_that_is_unrolled_in_bands_is_the_same_as_one_that_is_not() {
    let graph = |side| {
        Graph::build("bands", [16, side, 40], |net, image| {
            net.at("layer").conv(image, Conv::new(3, 9).stride(2))
        })
        .unwrap()
    };
    let (tall, short) = (graph(200), graph(60));
    let weights = weights(&tall);
    let image = synthetic("input", 16 * 200 * 40, |v| v);
    let cut: Vec<f32> = image.chunks_exact(200 * 40).flat_map(|plane| &plane[..60 * 40]).copied().collect();
    let run = |graph, image: &[f32]| Reference::<f32>::new(graph, &weights).unwrap().run(image).unwrap();
    let (whole, part) = (run(tall, &image), run(short, &cut));
    for channel in 0..3 {
        // The last rows of the short image see its border.
        let (whole, part) = (&whole[channel * 100 * 20..][..26 * 20], &part[channel * 30 * 20..][..26 * 20]);
        assert!(whole.iter().zip(part).all(|(a, b)| (a - b).abs() < 1e-4));
    }
}

#[test]
fn activations_without_a_name_are_computed_by_every_executor_as_their_constants_say() {
    type Formula = fn(f64) -> f64;
    let functions: [(Activation, Formula); 4] = [
        (Activation::Clamp { low: -0.5, high: 0.75 }, |x| x.clamp(-0.5, 0.75)),
        (Activation::Clamp { low: 0.25, high: f32::INFINITY }, |x| x.max(0.25)),
        (Activation::Clamp { low: f32::NEG_INFINITY, high: 0.5 }, |x| x.min(0.5)),
        (Activation::HardSigmoid { scale: -1.5, shift: 0.25, high: 1.25, factor: 0.5 }, |x| {
            (0.25 - 1.5 * x).clamp(0.0, 1.25) * 0.5
        }),
    ];
    for (function, formula) in functions {
        let plain = Graph::build("plain", [3, 7, 5], |_, x| x.activation(function)).unwrap();
        let joined = Graph::build("joined", [3, 7, 5], |net, x| {
            net.at("layer").conv(x, Conv::new(4, 3)).activation(function)
        });
        let before = Graph::build("before", [3, 7, 5], |net, x| net.at("layer").conv(x, Conv::new(4, 3)));
        for (graph, before) in [(plain, None), (joined.unwrap(), Some(before.unwrap()))] {
            let weights = weights(&graph);
            let image = synthetic("input", 3 * 7 * 5, |v| v);
            let wide: Vec<f64> = image.iter().map(|&x| f64::from(x)).collect();
            let inner = match before {
                Some(before) => Reference::<f64>::new(before, &weights).unwrap().run(&wide).unwrap(),
                None => wide.clone(),
            };
            let wanted: Vec<f64> = inner.into_iter().map(formula).collect();
            let exact = Reference::<f64>::new(graph.clone(), &weights).unwrap().run(&wide).unwrap();
            assert_close(&format!("{function:?}"), &exact, &wanted, 1e-12);
            for &level in Level::ALL.iter().filter(|level| level.is_supported()) {
                let mut session = Session::new(Plan::new(graph.clone(), &weights, level).unwrap().into());
                let mut output = vec![0.0; session.outputs()];
                session.run(&image, &mut output).unwrap();
                let output: Vec<f64> = output.into_iter().map(f64::from).collect();
                assert_close(&format!("{function:?} {level:?}"), &output, &wanted, 1e-5);
            }
        }
    }
}
