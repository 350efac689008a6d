//! Numbers and weights that are made up, of which networks are quantised.

#![allow(missing_docs, unreachable_pub, reason = "each test uses a part")]

use cygnet_graph::{Graph, Param, Role};
use cygnet_weights::WeightSet;

/// Numbers in [-1, 1] that differ.
pub fn numbers(count: usize, seed: usize) -> Vec<f32> {
    (0..count).map(|i| ((i * 7919 + seed * 104_729 + 13) % 2003) as f32 / 1001.5 - 1.0).collect()
}

/// Weights by which values keep their size from layer to layer.
pub fn weights(graph: &Graph) -> WeightSet {
    let values = |(i, param): (usize, Param)| {
        let numbers = numbers(param.shape.iter().product(), i);
        let inputs: usize = param.shape[1..].iter().product();
        let scaled = |factor: f32, term: f32| numbers.iter().map(|x| factor * x + term).collect::<Vec<f32>>();
        match param.role {
            Role::NormVar => scaled(0.3, 0.7),
            Role::NormWeight => scaled(0.3, 1.0),
            Role::Weight => scaled(1.8 / (inputs as f32).sqrt(), 0.0),
            Role::Bias | Role::NormBias | Role::NormMean => scaled(0.3, 0.0),
        }
    };
    WeightSet::of(graph, graph.params().into_iter().enumerate().map(values).collect::<Vec<_>>()).unwrap()
}
