//! Networks in bf16: which layers compute in it, and what they give.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use cygnet_graph::{Conv, Graph};
use cygnet_kernels::reference::bf16;
use cygnet_runtime::{Level, Plan, PlanOptions, Reference, Session};

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
