//! Graphs made of the zoo's graphs: for small images, without softmax, divided into body and classifier.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use cygnet_graph::{Graph, Op};
use cygnet_zoo::find;

fn params(graph: &Graph) -> Vec<(String, Vec<usize>)> {
    graph.params().into_iter().map(|param| (param.name, param.shape)).collect()
}

fn build(id: &str) -> Graph {
    find(id).unwrap().build().unwrap()
}

/// A network of each family that ends in a stride of 32.
const FAMILIES: [&str; 10] = [
    "mobilenet_v1",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "mobilenext",
    "shufflenet_v2_1.0",
    "mnasnet_1.0",
    "ghostnet_100",
    "seresnet50",
    "fbnetc_100",
    "spnasnet_100",
];

#[test]
fn networks_for_small_images_keep_their_parameters_and_as_many_rows_as_asked() {
    let mut checked = 0;
    for id in FAMILIES.iter().filter(|id| find(id).is_some()) {
        let graph = build(id);
        for (side, rows, most) in [(32, 3, 8), (64, 3, 16), (32, 2, 16), (32, 0, 32)] {
            let small = graph.for_small_images(side, rows).unwrap();
            assert_eq!(small.input_shape(), [3, side, side]);
            assert_eq!(params(&small), params(&graph), "{id}");
            let last = small.features().last().unwrap();
            assert_eq!(small.stride(last.node), most, "{id} at {side} with {rows}");
        }
        assert_eq!(
            graph.for_small_images(224, 3).unwrap().nodes(),
            graph.resized(224, 224).unwrap().nodes(),
            "{id}"
        );
        checked += 1;
    }
    assert!(checked >= 6, "only {checked} of the names are in the zoo");
}

#[test]
fn body_and_classifier_make_the_whole_again() {
    for id in ["mobilenet_v2", "mobilenet_v3_small", "squeezenet1_1", "shufflenet_v2_1.0", "ghostnet_100"] {
        let graph = build(id);
        let (body, head) = graph.body_and_head().unwrap();
        assert_eq!([params(&body), params(&head)].concat(), params(&graph), "{id}");
        assert_eq!(head.classes(), graph.classes());
        let features: usize = body.node(body.output()).shape.iter().product();
        assert_eq!(head.input_shape().iter().product::<usize>(), features, "{id}");
        assert_eq!(head.params().iter().filter(|param| param.name.ends_with("weight")).count(), 1, "{id}");
        assert!(
            !body.nodes().iter().any(|node| matches!(node.op, Op::Dropout { .. })) || id == "ghostnet_100",
            "{id}"
        );
    }
}

#[test]
fn dropout_and_softmax_can_be_changed_without_touching_the_rest() {
    let graph = build("mobilenet_v2");
    let rate = |graph: &Graph| {
        graph
            .nodes()
            .iter()
            .find_map(|node| if let Op::Dropout { rate } = node.op { Some(rate) } else { None })
    };
    let changed = graph.with_dropout(0.5).unwrap();
    assert_eq!((rate(&changed), changed.nodes().len()), (Some(0.5), graph.nodes().len()));
    assert!(graph.with_dropout(1.0).is_err());
    assert_eq!(graph.without_softmax().unwrap(), graph);
    let with = Graph::build("tiny", [3, 8, 8], |net, image| net.at("fc").linear(image, 4).softmax()).unwrap();
    let without = with.without_softmax().unwrap();
    assert_eq!((without.nodes().len(), without.classes()), (with.nodes().len() - 1, 4));
}
