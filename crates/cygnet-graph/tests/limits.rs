//! A graph from a file asks for no more than its reader allows, and settings of any size neither panic nor wrap.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::{Duration, Instant};

use cygnet_graph::{Conv, Graph, Limits, Padding, Pool};
use serde_json::{Value, json};

fn graph(input: [usize; 3], nodes: Vec<Value>) -> Value {
    let output = nodes.len();
    json!({ "name": "breaker", "input": input, "nodes": nodes, "output": output })
}

fn refused(json: &Value) -> String {
    let start = Instant::now();
    let error = Graph::from_json(json).unwrap_err().to_string();
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}: {error}", start.elapsed());
    assert!(error.starts_with("breaker: "), "{error}");
    error
}

fn conv(input: usize, path: &str, settings: &Value) -> Value {
    let mut node = json!({
        "op": "conv", "out": 8, "kernel": [1, 1], "stride": [1, 1], "dilation": [1, 1], "groups": 1,
        "bias": false, "padding": { "explicit": { "top": 0, "left": 0, "bottom": 0, "right": 0 } },
        "inputs": [input], "path": path,
    });
    node.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    node
}

#[test]
fn channels_that_double_are_refused() {
    for times in [22, 26, 60] {
        let nodes = (0..times).map(|i| json!({ "op": "concat", "inputs": [i, i] })).collect();
        let error = refused(&graph([3, 8, 8], nodes));
        assert!(error.contains("channels in all values, the limit is 4194304"), "{error}");
    }
    let doubled = (0..10).map(|i| json!({ "op": "concat", "inputs": [i, i] })).collect();
    assert_eq!(Graph::from_json(&graph([3, 8, 8], doubled)).unwrap().classes(), 3072);
}

#[test]
fn a_node_too_many_is_refused_and_as_many_as_may_be_are_read_at_once() {
    let relu = |i| json!({ "op": "activation", "function": "relu", "inputs": [i] });
    let most = Limits::default().nodes;
    let start = Instant::now();
    let json = graph([3, 8, 8], (0..most - 1).map(relu).collect());
    assert_eq!(Graph::from_json(&json).unwrap().nodes().len(), most);
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    let error = refused(&graph([3, 8, 8], (0..100_000).map(relu).collect()));
    assert!(error.contains("at the image: 32769 nodes, the limit is 32768"), "{error}");
}

#[test]
fn what_costs_time_without_weights_counts_too() {
    let chain = |node: &Value, times: usize| {
        let node = |i| {
            let mut node = node.clone();
            node["inputs"] = json!([i]);
            node
        };
        graph([64, 1024, 1024], (0..times).map(node).collect())
    };
    for (node, times) in
        [(json!({ "op": "activation", "function": "relu6" }), 1000), (json!({ "op": "softmax" }), 100)]
    {
        let error = refused(&chain(&node, times));
        assert!(error.contains("multiply-accumulates"), "{error}");
        Graph::from_json(&chain(&node, times / 20)).unwrap();
    }
}

#[test]
fn each_limit_is_told_with_its_place() {
    let small = json!({ "op": "global_avg_pool", "inputs": [0] });
    let wide = |out: usize| conv(1, "wide", &json!({ "out": out }));
    let cases = [
        (
            vec![small.clone(), json!({ "op": "concat", "inputs": vec![1; 200_000] })],
            "200001 values read by nodes",
        ),
        (vec![small.clone(), wide(1 << 22)], "at wide: 4194310 channels in all values"),
        (
            vec![small.clone(), wide(1 << 13), json!({ "op": "upsample_like", "inputs": [2, 0] })],
            "after wide: 536870912 numbers in a value",
        ),
        (
            vec![small.clone(), wide(1 << 15), conv(2, "square", &json!({ "out": 1 << 15 }))],
            "at square: 1073840128 numbers in parameters",
        ),
        (
            vec![conv(0, "long", &json!({ "out": 1 << 12, "kernel": [50, 50], "padding": "same" }))],
            "multiply-accumulates, the limit is 1000000000000; a file that you trust may have more: --max-macs raises it",
        ),
        (
            vec![
                json!({ "op": "pool", "kind": "max", "kernel": [256, 256], "stride": [1, 1], "padding": "same",
                "ceil": false, "count_include_pad": true, "inputs": [0] });
                10
            ],
            "multiply-accumulates",
        ),
    ];
    for (nodes, wanted) in cases {
        let error = refused(&graph([3, 256, 256], nodes));
        assert!(error.contains(wanted), "{error}");
    }
    let error = refused(&graph([5000, 1, 1], vec![json!({ "op": "softmax", "inputs": [0] })]));
    assert!(error.contains("at the image: 5000 channels of the image, the limit is 4096"), "{error}");
    let mut many = graph([3, 256, 256], vec![small]);
    many["features"] = (0..100).map(|i| json!({ "name": i.to_string(), "node": 0 })).collect();
    assert!(refused(&many).contains("100 features and further outputs, the limit is 64"));
}

#[test]
fn whoever_trusts_a_file_raises_the_limits_and_code_has_none() {
    let graph = Graph::build("long", [3, 512, 512], |net, image| {
        let x = net.at("a").conv(image, Conv::new(4096, 3));
        net.at("b").conv(x, Conv::new(4096, 3).stride(4))
    })
    .unwrap();
    let json = graph.to_json();
    let error = Graph::from_json(&json).unwrap_err().to_string();
    assert!(error.contains("numbers in a value"), "{error}");
    let limits = Limits { elements: usize::MAX, macs: u64::MAX, ..Limits::default() };
    assert_eq!(Graph::from_json_within(&json, &limits).unwrap(), graph);
}

#[test]
fn settings_of_any_size_are_errors_or_small_shapes() {
    let sizes = [0, 1, 2, 3, (1 << 16) - 1, 1 << 16, 1 << 31, 1 << 32, 1 << 53, usize::MAX >> 1, usize::MAX];
    for &a in &sizes {
        for &b in &sizes {
            for &c in &sizes {
                let built = [Padding::symmetric(a, b), Padding::Same].map(|padding| {
                    Graph::build("any", [1, 32, 3], |net, image| {
                        let window = Conv { kernel: [b, c], stride: [a.min(7), c], ..Conv::new(2, 3) };
                        let y = net.at("a").conv(image, Conv { dilation: [c, b], ..window }.padding(padding));
                        let pool = Pool { kernel: [a, b], stride: [1, c], ..Pool::max(2, 2) };
                        y.adaptive_avg_pool([b.min(9), c]).pool(pool.padding(padding).ceil())
                    })
                });
                for graph in built.into_iter().flatten() {
                    let _ = (graph.cost(), graph.peak_activation_bytes(), graph.resized(a, b));
                    let _ = graph.for_small_images(c, b);
                }
            }
        }
    }
}
