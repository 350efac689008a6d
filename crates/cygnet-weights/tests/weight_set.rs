//! Weights by name.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use cygnet_graph::{Conv, Graph};
use cygnet_weights::{Dtype, Misfit, Tensor, WeightSet};

fn network() -> Graph {
    Graph::build("network", [3, 8, 8], |net, image| {
        let x = net.at("conv").conv(image, Conv::new(4, 1).bias()).relu();
        net.at("head").linear(x, 2).auxiliary(0.3);
        net.at("fc").linear(x.global_avg_pool(), 2)
    })
    .unwrap()
}

fn whole(graph: &Graph) -> WeightSet {
    let lists = graph.params().into_iter().enumerate().map(|(at, param)| {
        let count = param.shape.iter().product();
        (0..count).map(|i| at as f32 + i as f32 / 1024.0).collect::<Vec<_>>()
    });
    WeightSet::of(graph, lists).unwrap()
}

#[test]
fn the_weights_of_parts_of_a_network_are_those_of_the_whole() {
    let graph = network();
    let weights = whole(&graph);
    let names: Vec<_> = weights.iter().map(|(name, _)| name).collect();
    assert_eq!(names, graph.params().iter().map(|param| &param.name).collect::<Vec<_>>());
    assert_eq!(weights.get("conv.weight").unwrap().shape(), [4, 3, 1, 1]);
    let bare = graph.without_auxiliary();
    let (body, head) = bare.body_and_head().unwrap();
    for part in [&graph, &bare, &body, &head] {
        let selected = weights.select(part).unwrap();
        assert_eq!(selected.len(), part.params().len());
        for (numbers, param) in selected.iter().zip(part.params()) {
            assert_eq!(**numbers, *weights.get(&param.name).unwrap().to_f32(), "{}", param.name);
        }
        let own = weights.part(part).unwrap();
        assert_eq!((own.len(), own.select(part).unwrap()), (selected.len(), selected));
    }
    let shared = weights.part(&head).unwrap();
    let address = |weights: &WeightSet| weights.get("fc.weight").unwrap().bytes().as_ptr();
    assert_eq!(address(&shared), address(&weights), "no number is copied");
}

#[test]
fn tensors_of_another_type_are_read_as_floats_and_keep_it() {
    let graph = network().without_auxiliary();
    let mut weights = whole(&graph);
    let ones = Tensor::new([2], Dtype::BF16, vec![0x80, 0x3f, 0x80, 0x3f]).unwrap();
    weights.insert("fc.bias", ones);
    assert_eq!(*weights.select(&graph).unwrap()[3], [1.0, 1.0]);
    assert_eq!(weights.part(&graph).unwrap().get("fc.bias").unwrap().dtype(), Dtype::BF16);
}

#[test]
fn layers_of_one_pixel_take_each_others_shape() {
    let graph = network().without_auxiliary();
    let mut weights = whole(&graph);
    weights.insert("fc.weight", Tensor::from_f32([2, 4, 1, 1], &[0.5; 8]).unwrap());
    assert_eq!(weights.part(&graph).unwrap().get("fc.weight").unwrap().shape(), [2, 4]);
}

#[test]
fn what_does_not_fit_a_graph_is_named() {
    let graph = network();
    let of_lists = |lists: Vec<Vec<f32>>| WeightSet::of(&graph, lists).unwrap_err();
    assert_eq!(of_lists(vec![vec![0.0; 12]]), Misfit::Count { wanted: 6, given: 1 });
    let error = of_lists(vec![vec![0.0; 12]; 6]).to_string();
    assert_eq!(error, "12 numbers for conv.bias, which is [4]");
    let weights = whole(&graph.without_auxiliary());
    assert_eq!(weights.select(&graph).unwrap_err().to_string(), "there is no head.weight");
    let more = graph.without_auxiliary().with_classes(3).unwrap();
    assert_eq!(weights.part(&more).unwrap_err().to_string(), "8 numbers for fc.weight, which is [3, 4]");
}
