//! Groups of channels, and networks without some of them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use cygnet_graph::{
    Activation, Channels, Conv, Cut, Graph, LocalResponseNorm, Node, NodeId, Op, Pool, Scope, Selection,
    Value,
};

fn built(network: impl for<'g> FnOnce(&Scope<'g>, Value<'g>) -> Value<'g>) -> Graph {
    Graph::build("network", [3, 8, 8], network).unwrap()
}

fn at(graph: &Graph, path: &str) -> NodeId {
    graph.iter().find(|(_, node)| node.path == path).map(|(id, _)| id).unwrap()
}

/// The network without some channels of the layers at paths.
fn without(graph: &Graph, channels: &[(&str, usize)]) -> Cut {
    let all = Channels::of(graph);
    let mut cut = vec![false; all.len()];
    channels.iter().for_each(|(path, channel)| cut[all.groups_of(at(graph, path))[*channel]] = true);
    all.cut(&cut).unwrap()
}

fn selection<'c>(cut: &'c Cut, name: &str) -> &'c Selection {
    cut.selections.iter().find(|selection| selection.name == name).unwrap()
}

/// Rows, and columns of each group of rows.
fn stays(cut: &Cut, name: &str) -> (Vec<usize>, Vec<Vec<usize>>) {
    let Selection { rows, columns, .. } = selection(cut, name);
    (rows.clone(), columns.clone())
}

fn names(node: &Node) -> &'static str {
    node.op.name()
}

#[test]
fn a_network_of_which_nothing_is_cut_is_the_same() {
    let graph = built(|net, image| {
        let x = net.at("a").conv(image, Conv::new(8, 3)).channel_shuffle(2);
        let [left, right] = x.halves();
        let x = net.at("b").conv(left, Conv::new(4, 1)).concat(&[right]).channel_shuffle(4);
        net.at("fc").linear(x, 5)
    });
    let cut = without(&graph, &[]);
    assert_eq!(cut.graph, graph);
    for (param, selection) in graph.params().iter().zip(&cut.selections) {
        assert_eq!((&param.name, &param.shape), (&selection.name, &selection.shape));
        assert!(selection.rows.iter().copied().eq(0..param.shape[0]));
        assert!(selection.columns.iter().all(|list| list.iter().copied().eq(0..param.shape[1])));
    }
}

#[test]
fn sums_and_gates_tie_channels_of_all_that_they_read() {
    let graph = built(|net, image| {
        let x = net.at("a").conv(image, Conv::new(4, 3));
        let y = net.at("bn").batch_norm(net.at("b").conv(x, Conv::new(4, 1).bias())).relu();
        let gate = net.at("squeeze").conv(y.global_avg_pool(), Conv::new(2, 1)).relu();
        let gate = net.at("excite").conv(gate, Conv::new(4, 1)).sigmoid();
        net.at("fc").linear((x + y * gate).global_avg_pool(), 5)
    });
    let channels = Channels::of(&graph);
    for path in ["b", "bn", "excite"] {
        assert_eq!(channels.groups_of(at(&graph, path)), channels.groups_of(at(&graph, "a")), "{path}");
    }
    assert_eq!(channels.len(), 3 + 4 + 2 + 5);
    let cut = without(&graph, &[("excite", 1), ("squeeze", 0)]);
    for (name, rows, columns) in [
        ("a.weight", vec![0, 2, 3], vec![vec![0, 1, 2]]),
        ("b.weight", vec![0, 2, 3], vec![vec![0, 2, 3]]),
        ("b.bias", vec![0, 2, 3], vec![]),
        ("bn.running_var", vec![0, 2, 3], vec![]),
        ("squeeze.weight", vec![1], vec![vec![0, 2, 3]]),
        ("excite.weight", vec![0, 2, 3], vec![vec![1]]),
        ("fc.weight", vec![0, 1, 2, 3, 4], vec![vec![0, 2, 3]]),
        ("fc.bias", vec![0, 1, 2, 3, 4], vec![]),
    ] {
        assert_eq!(stays(&cut, name), (rows, columns), "{name}");
    }
}

#[test]
fn depthwise_filters_go_with_their_input_however_many_each_channel_has() {
    let graph = built(|net, image| {
        let x = net.at("a").conv(image, Conv::new(3, 1));
        let x = net.at("dw").conv(x, Conv::new(6, 3).groups(3));
        net.at("b").conv(x, Conv::new(2, 1))
    });
    let cut = without(&graph, &[("dw", 3)]);
    assert_eq!(stays(&cut, "a.weight").0, [0, 2]);
    assert_eq!(stays(&cut, "dw.weight"), (vec![0, 1, 4, 5], vec![]));
    assert_eq!(stays(&cut, "b.weight").1, [[0, 1, 4, 5]]);
    let Op::Conv(conv) = &cut.graph.node(NodeId(2)).op else { panic!() };
    assert_eq!((conv.out, conv.groups), (4, 2));
}

#[test]
fn a_ghost_module_loses_a_channel_with_its_cheap_copy() {
    let graph = built(|net, image| {
        let x = net.at("primary").conv(image, Conv::new(4, 1)).relu();
        let ghost = net.at("cheap").depthwise(x, Conv::new(0, 3)).relu();
        net.at("b").conv(x.concat(&[ghost]).slice(0, 7), Conv::new(2, 1))
    });
    let cut = without(&graph, &[("primary", 1)]);
    assert_eq!(stays(&cut, "cheap.weight").0, [0, 2, 3]);
    assert_eq!(stays(&cut, "b.weight").1, [[0, 2, 3, 4, 6]]);
    assert_eq!(cut.graph.nodes().iter().map(names).filter(|&name| name == "slice").count(), 1);
    let cut = without(&graph, &[("primary", 3)]);
    assert_eq!(stays(&cut, "b.weight").1, [[0, 1, 2, 4, 5, 6]]);
}

#[test]
fn groups_of_a_convolution_keep_equally_many_of_channels_of_their_own() {
    let graph = built(|net, image| {
        let x = net.at("a").conv(image, Conv::new(6, 1));
        net.at("b").conv(net.at("grouped").conv(x, Conv::new(4, 1).groups(2)), Conv::new(2, 1))
    });
    let cut = without(&graph, &[("a", 0), ("a", 5), ("grouped", 1), ("grouped", 2)]);
    assert_eq!(stays(&cut, "grouped.weight"), (vec![0, 3], vec![vec![1, 2], vec![0, 1]]));
    assert_eq!(selection(&cut, "grouped.weight").shape, [4, 3, 1, 1]);
    let channels = Channels::of(&graph);
    let mut uneven = vec![false; channels.len()];
    uneven[channels.groups_of(at(&graph, "a"))[0]] = true;
    assert_eq!(
        channels.cut(&uneven).unwrap_err().to_string(),
        "network: at grouped: cannot be cut: no channel is left, or not as many in each group of channels"
    );
    channels.settle(&mut uneven, &vec![0.0; channels.len()]);
    assert!(!uneven.contains(&true), "nothing is as little as one of the two");
}

#[test]
fn settling_keeps_the_most_important() {
    let graph = built(|net, image| {
        let x = net.at("a").conv(image, Conv::new(6, 1));
        net.at("b").conv(net.at("grouped").conv(x, Conv::new(4, 1).groups(2)), Conv::new(2, 1))
    });
    let channels = Channels::of(&graph);
    let a = channels.groups_of(at(&graph, "a")).to_vec();
    let mut cut = vec![true; channels.len()];
    let mut importance = vec![0.0; channels.len()];
    (importance[a[1]], importance[a[5]], cut[a[4]]) = (2.0, 1.0, false);
    channels.settle(&mut cut, &importance);
    let kept: Vec<usize> = (0..6).filter(|&channel| !cut[a[channel]]).collect();
    assert_eq!(kept, [1, 4], "the most important of one group, and what was not to be cut of the other");
    assert!((0..channels.len()).all(|group| !channels.is_fixed(group) || !cut[group]));
    channels.cut(&cut).unwrap();
}

#[test]
fn grouped_convolutions_around_a_shuffle_shrink_together() {
    let graph = built(|net, image| {
        let x = net.at("stem").conv(image, Conv::new(20, 1));
        let x = net.at("a").conv(x, Conv::new(60, 1).groups(4)).channel_shuffle(4);
        net.at("b").conv(net.at("dw").depthwise(x, Conv::new(0, 3)), Conv::new(8, 1).groups(4))
    });
    let channels = Channels::of(&graph);
    let a = channels.groups_of(at(&graph, "a")).to_vec();
    for gone in [5, 13, 30, 59] {
        let mut cut = vec![false; channels.len()];
        a.iter().step_by(7).chain(&a).take(gone).for_each(|&group| cut[group] = true);
        let asked = cut.iter().filter(|&&cut| cut).count();
        channels.settle(&mut cut, &vec![1.0; channels.len()]);
        let done = cut.iter().filter(|&&cut| cut).count();
        assert!(done <= asked && done + 4 > asked.min(56), "{done} of {asked}");
        channels.cut(&cut).unwrap();
    }
}

#[test]
fn flattened_maps_lose_all_numbers_of_a_channel() {
    let graph = built(|net, image| {
        let x = net.at("a").conv(image, Conv::new(3, 1)).pool(Pool::max(4, 4));
        net.at("b").linear(net.at("fc").linear(x, 4).relu(), 2)
    });
    let cut = without(&graph, &[("a", 1), ("fc", 2)]);
    assert_eq!(stays(&cut, "fc.weight"), (vec![0, 1, 3], vec![vec![0, 1, 2, 3, 8, 9, 10, 11]]));
    assert_eq!(stays(&cut, "b.weight"), (vec![0, 1], vec![vec![0, 1, 3]]));
}

#[test]
fn constants_go_with_their_channels() {
    let graph = built(|net, image| {
        let x = net.at("a").conv(image, Conv::new(3, 1)).scale([1.0, 2.0, 3.0], [0.5]);
        net.at("b").conv(x, Conv::new(2, 1))
    });
    let cut = without(&graph, &[("a", 1)]);
    assert_eq!(cut.graph.node(NodeId(2)).op, Op::Scale { scale: vec![1.0, 3.0], shift: vec![0.5] });
}

#[test]
fn what_other_channels_depend_on_stays() {
    let norm = LocalResponseNorm { size: 3, alpha: 1.0, beta: 0.5, k: 1.0 };
    let graph = built(|net, image| {
        let x = net.at("normed").conv(image, Conv::new(4, 1)).local_response_norm(norm);
        let mask = net.at("mask").conv(x, Conv::new(1, 1)).activation(Activation::Sigmoid);
        let x = net.at("free").conv(x, Conv::new(4, 1)) * mask;
        let x = net.at("softmax").conv(x, Conv::new(4, 1)).softmax();
        net.at("head").linear(x, 5).auxiliary(0.3);
        net.at("other").conv(x, Conv::new(4, 1)).output("other");
        net.at("fc").linear(net.at("inner").conv(x, Conv::new(4, 1)), 5)
    });
    let channels = Channels::of(&graph);
    for (path, fixed) in [
        ("normed", true),
        ("mask", true),
        ("free", false),
        ("softmax", true),
        ("head", true),
        ("other", true),
        ("inner", false),
        ("fc", true),
    ] {
        let groups = channels.groups_of(at(&graph, path));
        assert!(groups.iter().all(|&group| channels.is_fixed(group) == fixed), "{path}");
    }
    let mut cut = vec![false; channels.len()];
    cut[channels.groups_of(at(&graph, "fc"))[0]] = true;
    assert!(channels.cut(&cut).unwrap_err().to_string().contains("a channel that has to stay is cut"));
}

#[test]
fn of_a_shuffle_any_channels_can_be_cut() {
    let graph = built(|net, image| {
        let x = net.at("a").conv(image, Conv::new(6, 1)).channel_shuffle(2);
        net.at("b").conv(x, Conv::new(2, 1))
    });
    // Both rows lose their second channel: it stays a shuffle.
    let cut = without(&graph, &[("a", 1), ("a", 4)]);
    assert_eq!(cut.graph.node(NodeId(2)).op, Op::ChannelShuffle { groups: 2 });
    assert_eq!(stays(&cut, "b.weight").1, [[0, 1, 4, 5]]);
    // Otherwise what reads it takes the channels as they come: 0, 3, 1, 4, 2, 5 without the first two of them.
    let cut = without(&graph, &[("a", 0), ("a", 3)]);
    assert_eq!(cut.graph.node(NodeId(2)).op, Op::ChannelShuffle { groups: 2 });
    let cut = without(&graph, &[("a", 0)]);
    assert_eq!(cut.graph.nodes().iter().map(names).collect::<Vec<_>>(), ["input", "conv", "conv"]);
    assert_eq!(stays(&cut, "b.weight").1, [[2, 4, 1, 3, 5]]);
}

#[test]
fn a_shuffle_before_groups_of_channels_is_a_few_slices() {
    let graph = built(|net, image| {
        let x = net.at("stem").conv(image, Conv::new(6, 1));
        let x = net.at("a").conv(x, Conv::new(12, 1).groups(3)).channel_shuffle(3);
        let x = net.at("bn").batch_norm(net.at("dw").depthwise(x, Conv::new(0, 3)));
        net.at("b").conv(x, Conv::new(6, 1).groups(3))
    });
    // The shuffle's value is 0 4 8 1 | 5 9 2 6 | 10 3 7 11.
    let cut = without(&graph, &[("a", 0), ("a", 5), ("a", 10)]);
    assert_eq!(stays(&cut, "dw.weight").0, [3, 1, 2, 6, 7, 5, 9, 10, 11]);
    assert_eq!(stays(&cut, "bn.bias").0, [3, 1, 2, 6, 7, 5, 9, 10, 11]);
    assert_eq!(stays(&cut, "b.weight").1, [[3, 1, 2], [2, 3, 1], [1, 2, 3]]);
}

#[test]
fn what_is_shuffled_before_it_is_added_stays() {
    let graph = built(|net, image| {
        let x = net.at("a").conv(image, Conv::new(8, 1)).channel_shuffle(2);
        let [left, right] = x.halves();
        let y = net.at("c").conv(net.at("b").conv(left, Conv::new(6, 1)), Conv::new(4, 1));
        net.at("d").conv(right + y, Conv::new(2, 1))
    });
    let channels = Channels::of(&graph);
    let fixed =
        |path: &str| channels.groups_of(at(&graph, path)).iter().all(|&group| channels.is_fixed(group));
    assert!(fixed("a") && !fixed("b"));
    // Without the sum they are free.
    let graph = built(|net, image| {
        let x = net.at("a").conv(image, Conv::new(8, 1)).channel_shuffle(2);
        net.at("d").conv(net.at("dw").depthwise(x, Conv::new(0, 3)), Conv::new(2, 1))
    });
    let channels = Channels::of(&graph);
    assert!(!channels.groups_of(at(&graph, "a")).iter().any(|&group| channels.is_fixed(group)));
}
