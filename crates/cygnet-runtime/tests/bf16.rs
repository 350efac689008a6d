//! Networks in bf16: which layers compute in it, and what they give.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use cygnet_graph::{Conv, Graph};
use cygnet_kernels::reference::bf16;
use cygnet_runtime::{
    Level, Plan, PlanOptions, QuantizedReference, Reference, Session, halved_once_read, reads_once,
};
use cygnet_weights::{Dtype, Quantization, Tensor, WeightSet};

/// Numbers in (-1, 1) that differ.
fn numbers(count: usize, seed: usize) -> Vec<f32> {
    (0..count).map(|i| ((i * 7919 + seed * 104_729 + 13) % 2003) as f32 / 1001.5 - 1.0).collect()
}

fn weights(graph: &Graph) -> Vec<Vec<f32>> {
    let sizes = graph.params().into_iter().map(|param| param.shape.iter().product());
    sizes.enumerate().map(|(i, size)| numbers(size, i).into_iter().map(|x| x.abs() / 2.0).collect()).collect()
}

fn levels() -> impl Iterator<Item = PlanOptions> {
    let levels = Level::ALL.iter().filter(|level| level.is_supported());
    levels.map(|&level| PlanOptions { bf16: true, ..level.into() })
}

fn run(plan: Plan, threads: usize, image: &[f32]) -> Vec<f32> {
    let mut session = Session::with_threads(plan.into(), threads).unwrap();
    let mut output = vec![0.0; session.outputs()];
    session.run(image, &mut output).unwrap();
    output
}

#[test]
fn layers_that_read_their_input_once_compute_in_bf16() {
    let network = Graph::build("net", [4, 6, 7], |net, x| {
        let x = net.at("a").conv(x, Conv::new(8, 1)).relu();
        let gate = net.at("b").conv(x.global_avg_pool(), Conv::new(3, 1).bias()).relu();
        let gate = net.at("c").conv(gate, Conv::new(8, 1)).hard_sigmoid();
        let x = (x * gate).global_avg_pool();
        let y = net.at("d").conv(x, Conv::new(9, 1));
        let y = net.at("d.bn").batch_norm(y);
        let z = net.at("e").conv(x, Conv::new(9, 1));
        net.at("f").linear(y + z, 5)
    });
    let graph = network.unwrap();
    let (weights, image) = (weights(&graph), numbers(4 * 6 * 7, 99));
    let wanted = Reference::<f32>::new(graph.clone(), &weights).unwrap().run(&image).unwrap();
    for options in levels() {
        let plan = Plan::new(graph.clone(), &weights, options).unwrap();
        assert_eq!(
            plan.outline().to_string(),
            "\
pointwise -> 8x6x7  %1  %2 fuse activation
global mean -> 8x1x1  %3
linear bf16 -> 3x1x1  %4  %5 fuse activation
linear bf16 -> 8x1x1  %6  %7 fuse activation
multiply -> 8x6x7  %8
global mean -> 8x1x1  %9
pointwise -> 9x1x1  %10  %11 fold batch norm
pointwise -> 9x1x1  %12  %13 fuse add
linear bf16 -> 5  %14 linear as conv
"
        );
        assert_eq!(plan.outline(), &Plan::outline_of(&graph, options).unwrap());
        let step = &plan.steps()[2];
        assert_eq!((step.weight_bytes, step.macs), (3 * (8 * 2 + 4), 24));
        // Each of four roundings is within half a unit of eight bits.
        let got = run(plan, 1, &image);
        for (x, wanted) in got.iter().zip(&wanted) {
            assert!((x - wanted).abs() <= wanted.abs() / 32.0, "{x} is not {wanted}");
        }
        assert_ne!(got, wanted);
    }
}

#[test]
fn a_linear_layer_is_its_definition_to_the_bit() {
    let graph = Graph::build("net", [4, 6, 7], |net, x| net.at("a").linear(x, 300)).unwrap();
    let (weights, image) = (weights(&graph), numbers(4 * 6 * 7, 99));
    let last = |list: &[f32]| (0..168).map(|i| list[i % 4 * 42 + i / 4]).collect::<Vec<f32>>();
    let rows: Vec<f32> = weights[0].chunks(168).flat_map(last).collect();
    let wanted = bf16::linear(&last(&image), &rows, &weights[1]);
    for options in levels() {
        for threads in [1, 3] {
            let plan = Plan::new(graph.clone(), &weights, options).unwrap();
            assert_eq!(run(plan, threads, &image), wanted, "{options:?}");
        }
    }
}

#[test]
fn a_window_that_reaches_beyond_its_input_is_no_layer_in_bf16() {
    let conv = |conv: Conv| {
        Graph::build("net", [2, 4, 4], |net, x| net.at("a").conv(x, conv.stride(4).bias())).unwrap()
    };
    let image = numbers(2 * 4 * 4, 99);
    for (graph, is_bf16) in [(conv(Conv::new(3, 4).valid()), true), (conv(Conv::new(3, 4).pad(1)), false)] {
        let whole = WeightSet::of(&graph, weights(&graph)).unwrap();
        assert_eq!(reads_once(&graph, graph.output()), is_bf16);
        let halved = |name: &str| halved_once_read(&graph, whole.clone()).get(name).map(Tensor::dtype);
        assert_eq!(halved("a.weight"), Some(if is_bf16 { Dtype::BF16 } else { Dtype::F32 }));
        // Weights in bf16 all the same, as a file may have them.
        let mut halves = whole.clone();
        halves.insert("a.weight", whole.get("a.weight").unwrap().as_bf16());
        let real = halves.select(&graph).unwrap();
        let wanted = Reference::<f32>::new(graph.clone(), &real).unwrap().run(&image).unwrap();
        let record = Quantization::default();
        let network = QuantizedReference::new(graph.clone(), &halves, &record).unwrap();
        let plan = |options| Plan::quantized(graph.clone(), &halves, &record, options).unwrap();
        let planned = levels().map(|options| run(plan(PlanOptions { bf16: false, ..options }), 1, &image));
        for got in planned.chain([network.run(&image).unwrap()]) {
            let off = |(x, wanted): (&f32, &f32)| (x - wanted).abs() / wanted.abs();
            let off = got.iter().zip(&wanted).map(off).fold(0.0, f32::max);
            assert!(if is_bf16 { (1e-5..0.02).contains(&off) } else { off < 1e-5 }, "{got:?} {wanted:?}");
        }
    }
}
