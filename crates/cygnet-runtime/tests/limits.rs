//! Graphs as large as a file may hold are planned, which ends only if time does not grow with the square of nodes, and
//! what no machine can run is refused before it is laid out.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use cygnet_graph::{Conv, Graph, Limits, Pool, Value};
use cygnet_runtime::{Level, Outline, Plan, Reference, RunError};

fn planned(
    name: &str,
    network: impl for<'g> FnOnce(&cygnet_graph::Scope<'g>, Value<'g>) -> Value<'g>,
) -> Result<Outline, RunError> {
    let graph = Graph::build(name, [4, 4, 4], network).unwrap();
    let json = graph.to_json();
    assert_eq!(Graph::from_json(&json).unwrap(), graph, "{name} is more than a file may hold");
    Plan::outline_of(&graph, Level::Scalar)
}

#[test]
fn graphs_of_as_many_nodes_as_may_be_are_planned() {
    let most = Limits::default().nodes;
    planned("chain", |_, image| (2..most).fold(image, |x, _| x.sigmoid())).unwrap();
    planned("convolutions", |net, image| {
        (0..most / 2 - 1).fold(image, |x, i| net.at(i).conv(x, Conv::new(4, 3)).relu())
    })
    .unwrap();
    planned("wide", |net, image| {
        let branches: Vec<Value<'_>> =
            (0..most / 2 - 1).map(|i| net.at(i).conv(image, Conv::new(4, 1))).collect();
        branches.into_iter().rev().reduce(|x, y| x + y).unwrap()
    })
    .unwrap();
    planned("ladder", |_, image| {
        let (mut x, mut y) = (image.sigmoid(), image.sigmoid());
        for _ in 0..most / 2 - 3 {
            (x, y) = (x + y, y.sigmoid());
        }
        x * y
    })
    .unwrap();
    planned("branches", |net, image| {
        let branch = |i: usize| {
            let mut x = net.at(i).conv(image, Conv::new(4, 1));
            for _ in 0..i % 61 {
                x = x.sigmoid();
            }
            x
        };
        let branches: Vec<Value<'_>> = (0..130).map(branch).collect();
        branches[0].concat(&branches[1..])
    })
    .unwrap();
}

#[test]
fn channels_in_pieces_take_seconds_or_are_refused() {
    planned("groups", |net, image| {
        let x = net.at("wide").conv(image, Conv::new(16_384, 1)).pool(Pool::avg(4, 4));
        let x = net.at("grouped").conv(x, Conv::new(32_768, 1).groups(16_384));
        net.at("norm").batch_norm(x)
    })
    .unwrap();
    let pieces = |readers: usize| {
        planned("pieces", move |net, image| {
            let pair = |name| net.at(name).conv(image, Conv::new(1000, 1));
            let (a, b) = (pair("a"), pair("b"));
            let slices: Vec<Value<'_>> = (0..1000).flat_map(|i| [a.slice(i, 1), b.slice(i, 1)]).collect();
            let all = slices[0].concat(&slices[1..]);
            (0..readers).map(|_| all.sigmoid().global_avg_pool()).reduce(|x, y| x + y).unwrap()
        })
    };
    assert!(pieces(10).is_ok());
    let error = pieces(200).unwrap_err();
    assert!(matches!(error, RunError::Calls { .. }), "{error}");
    assert!(
        error.to_string().starts_with("pieces falls apart into more than 131072 kernel calls"),
        "{error}"
    );
}

#[test]
fn values_that_no_memory_holds_are_refused_before_they_are_laid_out() {
    let graph = Graph::build("huge", [3, 8192, 8192], |net, image| {
        let x = net.at("a").conv(image, Conv::new(30, 1));
        x + net.at("b").conv(image, Conv::new(30, 3))
    })
    .unwrap();
    let weights: Vec<Vec<f32>> =
        graph.params().iter().map(|param| vec![0.1; param.shape.iter().product()]).collect();
    let error = Plan::new(graph.clone(), &weights, Level::Scalar).unwrap_err();
    assert!(matches!(error, RunError::Memory { .. }), "{error}");
    assert!(Reference::<f64>::new(graph, &weights).is_err());
    // Halos that reach far: a small value in rows that are long.
    let far = Graph::build("far", [1, 1, 1], |net, image| {
        let conv = Conv { dilation: [1, 60_000], ..Conv::new(1, 3) };
        (0..20_000).fold(image, |x, i| net.at(i).conv(x, conv.clone()))
    })
    .unwrap();
    assert!(matches!(Plan::outline_of(&far, Level::Scalar), Ok(_) | Err(RunError::Memory { .. })));
}
