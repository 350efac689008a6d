//! Networks with several outputs.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use cygnet_graph::{BuildError, Change, Conv, Graph, Op};

fn finder(names: [&str; 3]) -> Result<Graph, BuildError> {
    Graph::build("finder", [3, 16, 16], |net, image| {
        let x = net.at("stem").conv(image, Conv::new(8, 3).stride(2)).relu();
        net.at("boxes").conv(x, Conv::new(4, 1)).output(names[0]);
        let scores = net.at("fc").linear(x.global_avg_pool(), 10).output(names[1]);
        scores.softmax().output(names[2])
    })
}

fn names(graph: &Graph) -> Vec<&str> {
    graph.outputs().iter().map(|output| output.name.as_str()).collect()
}

#[test]
fn outputs_have_names_and_any_shape_and_the_one_it_ends_in_is_the_first() {
    let graph = finder(["boxes", "scores", "chances"]).unwrap();
    assert_eq!(names(&graph), ["chances", "boxes", "scores"]);
    let shapes: Vec<_> = graph.outputs().iter().map(|output| &graph.node(output.node).shape[..]).collect();
    assert_eq!(shapes, [&[10][..], &[4, 8, 8], &[10]]);
    assert!(graph.to_string().ends_with("output %6 chances\noutput %3 boxes\noutput %5 scores\n"), "{graph}");
    assert_eq!((graph.classes(), graph.output()), (10, graph.outputs()[0].node));
    assert_eq!((graph.format(), Graph::from_json(&graph.to_json()).unwrap()), (2, graph.clone()));
    let last_uses = graph.last_uses();
    assert!(graph.outputs().iter().all(|output| last_uses[output.node.0] == graph.nodes().len()));
}

#[test]
fn a_graph_with_one_output_has_the_form_that_all_readers_know() {
    let graph =
        Graph::build("one", [3, 4, 4], |net, image| net.at("conv").conv(image, Conv::new(2, 1))).unwrap();
    assert_eq!((names(&graph), graph.format()), (vec!["output"], 1));
    assert!(graph.to_json().get("outputs").is_none());
    assert!(graph.to_string().ends_with("output %1\n"));
}

#[test]
fn other_forms_of_a_network_keep_its_outputs() {
    let graph = finder(["boxes", "scores", "chances"]).unwrap();
    let more = graph.with_classes(7).unwrap().resized(24, 32).unwrap();
    assert_eq!(names(&more), names(&graph));
    assert_eq!(more.node(more.outputs()[1].node).shape, [4, 12, 16]);
    let logits = graph.without_softmax().unwrap();
    assert_eq!(names(&logits), ["chances", "boxes"], "two of them are one value now");
    let is_boxes = |path: &str| path == "boxes";
    let change =
        |_, node: &cygnet_graph::Node| if is_boxes(&node.path) { Change::Drop } else { Change::Keep };
    assert_eq!(names(&graph.rebuilt(change).unwrap().0), ["chances", "scores"]);
    let (body, head) = graph.body_and_head().unwrap();
    assert_eq!((names(&body), names(&head)), (vec!["output"], vec!["output"]));
    assert!(body.nodes().iter().all(|node| !matches!(node.op, Op::Linear { .. })));
}

#[test]
fn outputs_that_cannot_be_told_apart_are_refused() {
    let error = |names| finder(names).unwrap_err().to_string();
    assert_eq!(error(["a", "a", "b"]), "finder: at fc: a is an output twice, by its name or its value");
    assert_eq!(error(["a", "", "b"]), "finder: at fc: output: name is \"\", which makes no sense");
    let mut form = finder(["boxes", "scores", "chances"]).unwrap().to_json();
    form["outputs"][1]["node"] = 6.into();
    assert!(Graph::from_json(&form).unwrap_err().to_string().contains("boxes is an output twice"));
    form["outputs"][1]["node"] = 7.into();
    assert!(Graph::from_json(&form).unwrap_err().to_string().contains("node 7 does not exist"));
    form["output"] = 5.into();
    let error = Graph::from_json(&form).unwrap_err().to_string();
    assert_eq!(error, "finder: the output: not a graph: the first output is node 6, not 5");
}
