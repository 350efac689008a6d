//! Graphs made of graphs node by node.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use cygnet_graph::{Change, Conv, Graph, NodeId, Op};

fn network() -> Graph {
    Graph::build("network", [3, 16, 16], |net, image| {
        let x = net.at("fine").feature(net.at("fine").conv(image, Conv::new(8, 3).stride(2)).relu());
        let y = net.at("coarse").feature(net.at("coarse").conv(x, Conv::new(8, 3).stride(2)).dropout(0.5));
        net.at("head").linear(x, 10).auxiliary(0.3);
        net.at("fc").linear(y.global_avg_pool(), 10)
    })
    .unwrap()
}

#[test]
fn a_graph_of_which_everything_stays_is_the_same() {
    let graph = network();
    let (same, places) = graph.rebuilt(|_, _| Change::Keep).unwrap();
    assert_eq!(same, graph);
    assert!(graph.iter().all(|(id, _)| places.get(id) == Some(id)));
    assert_eq!(places.get(NodeId(graph.nodes().len())), None);
}

#[test]
fn what_is_skipped_hands_its_input_on_and_what_is_dropped_takes_its_ends_along() {
    let graph = network();
    let (less, places) = graph
        .rebuilt(|_, node| match (&node.op, node.path.as_str()) {
            (_, "head") => Change::Drop,
            (Op::Dropout { .. }, _) => Change::Skip,
            (Op::Conv(conv), "fine") => Change::Replace(Op::Conv(Conv { out: 6, ..conv.clone() })),
            _ => Change::Keep,
        })
        .unwrap();
    assert_eq!(
        less.to_string(),
        "network 3x16x16
%1 = conv 6 3x3 /2 pad 1 %0 -> 6x8x8  fine
%2 = relu %1 -> 6x8x8
%3 = conv 8 3x3 /2 pad 1 %2 -> 8x4x4  coarse
%4 = global_avg_pool %3 -> 8x1x1
%5 = linear 10 bias %4 -> 10  fc
feature %2 fine
feature %3 coarse
output %5
"
    );
    let moved: Vec<_> = graph.iter().map(|(id, _)| places.get(id).map(|id| id.0)).collect();
    assert_eq!(moved, [Some(0), Some(1), Some(2), Some(3), Some(3), None, Some(4), Some(5)]);
}

#[test]
fn features_that_come_to_lie_at_one_stride_leave_the_last() {
    let graph = network();
    let (flat, _) = graph
        .rebuilt(|_, node| match &node.op {
            Op::Conv(conv) => Change::Replace(Op::Conv(Conv { stride: [1, 1], ..conv.clone() })),
            _ => Change::Keep,
        })
        .unwrap();
    let names: Vec<_> = flat.features().iter().map(|feature| feature.name.as_str()).collect();
    assert_eq!(names, ["coarse"]);
}

#[test]
fn what_is_left_out_must_not_be_read() {
    let graph = network();
    let drop = |path: &'static str| {
        let change = graph.rebuilt(|_, node| if node.path == path { Change::Drop } else { Change::Keep });
        change.unwrap_err().to_string()
    };
    assert_eq!(drop("coarse"), "network: after coarse: a value that was left out is read");
    assert_eq!(drop("fc"), "network: the output: a value that was left out is read");
}
