//! Activations in the text and JSON forms.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use cygnet_graph::{Activation, BuildError, Graph};
use serde_json::{Value, json};

fn graph(function: Activation) -> Result<Graph, BuildError> {
    Graph::build("one", [3, 4, 4], |_, image| image.activation(function))
}

fn form(function: Activation) -> Value {
    let graph = graph(function).unwrap();
    let json = graph.to_json();
    assert_eq!(Graph::from_json(&json).unwrap(), graph);
    let again: Value = serde_json::from_str(&json.to_string()).unwrap();
    assert_eq!(Graph::from_json(&again).unwrap(), graph);
    assert_eq!(graph.format(), if function.is_named() { 1 } else { 2 });
    json["nodes"][0]["function"].clone()
}

#[test]
fn functions_with_names_are_known_by_them() {
    for function in Activation::ALL {
        assert_eq!(form(function), json!(function.name()));
        let line = format!("%1 = {} %0 -> 3x4x4", function.name());
        assert!(graph(function).unwrap().to_string().contains(&line));
    }
    assert_eq!(form(Activation::Clamp { low: 0.0, high: 6.0 }), json!("relu6"));
}

#[test]
fn others_carry_their_constants() {
    let [both, low, high] = [(-1.0, 2.5), (0.1, f32::INFINITY), (f32::NEG_INFINITY, 1.0)]
        .map(|(low, high)| Activation::Clamp { low, high });
    assert_eq!(form(both), json!({"clamp": {"low": -1.0, "high": 2.5}}));
    assert_eq!(form(low), json!({"clamp": {"low": 0.1f32}}));
    assert_eq!(form(high), json!({"clamp": {"high": 1.0}}));
    assert!(graph(both).unwrap().to_string().contains("%1 = clamp -1..2.5 %0 -> 3x4x4"));
    let sigmoid = Activation::HardSigmoid { scale: 1.0 / 6.0, shift: 0.5, high: 1.0, factor: 1.0 };
    let constants = json!({"scale": 1.0f32 / 6.0, "shift": 0.5, "high": 1.0, "factor": 1.0});
    assert_eq!(form(sigmoid), json!({"hard_sigmoid_with": constants}));
    let text = graph(sigmoid).unwrap().to_string();
    assert!(text.contains("%1 = hard_sigmoid_with scale 0.16666667 shift 0.5 high 1 factor 1 %0"), "{text}");
}

#[test]
fn constants_that_make_no_function_are_refused() {
    let clamp = |low, high| graph(Activation::Clamp { low, high });
    for (low, high) in [(2.0, 1.0), (f32::NAN, 1.0), (0.0, f32::NAN), (f32::INFINITY, f32::INFINITY)] {
        let error = clamp(low, high).unwrap_err().to_string();
        assert!(error.starts_with("one: at the image: clamp: constants is Clamp"), "{error}");
    }
    let with = |high, factor| graph(Activation::HardSigmoid { scale: 1.0, shift: 0.0, high, factor });
    assert!(with(-1.0, 1.0).is_err() && with(f32::INFINITY, 1.0).is_err() && with(1.0, f32::NAN).is_err());
    let mut json = graph(Activation::RELU).unwrap().to_json();
    for function in [json!("gelu"), json!({"clamp": {"low": 1, "high": 0}}), json!({"clamp": 3}), json!(7)] {
        json["nodes"][0]["function"] = function;
        assert!(Graph::from_json(&json).is_err());
    }
}
