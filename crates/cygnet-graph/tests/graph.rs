//! What a graph promises, whether it is built or read.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use cygnet_graph::{Conv, Graph, Padding, Pool};
use proptest::prelude::*;

fn small() -> Graph {
    Graph::build("small", [3, 16, 16], |net, image| {
        let x = net.at("stem").at(0).conv(image, Conv::new(8, 3).stride(2));
        let x = net.feature(net.at("stem").at(1).batch_norm(x).relu6());
        let y = net.at("block.dw").depthwise(x, Conv::new(0, 5));
        let gate = net.at("block.se").conv(y.global_avg_pool(), Conv::new(8, 1).bias()).hard_sigmoid();
        let x = net.at("block").feature(x + y * gate).pool(Pool::max(3, 2).ceil());
        net.at("fc").linear(x.global_avg_pool().dropout(0.2), 10)
    })
    .unwrap()
}

#[test]
fn the_text_form_has_a_line_for_each_node() {
    assert_eq!(
        small().to_string(),
        "small 3x16x16
%1 = conv 8 3x3 /2 pad 1 %0 -> 8x8x8  stem.0
%2 = batch_norm eps 1e-5 %1 -> 8x8x8  stem.1
%3 = relu6 %2 -> 8x8x8
%4 = conv 8 5x5 pad 2 groups 8 %3 -> 8x8x8  block.dw
%5 = global_avg_pool %4 -> 8x1x1
%6 = conv 8 1x1 bias %5 -> 8x1x1  block.se
%7 = hard_sigmoid %6 -> 8x1x1
%8 = mul %4 %7 -> 8x8x8
%9 = add %3 %8 -> 8x8x8
%10 = max_pool 3x3 /2 ceil %9 -> 8x4x4
%11 = global_avg_pool %10 -> 8x1x1
%12 = dropout 0.2 %11 -> 8x1x1
%13 = linear 10 bias %12 -> 10  fc
feature %9 block
output %13
"
    );
}

#[test]
fn auxiliary_outputs_are_checked_and_can_be_left_out_with_what_only_they_need() {
    let build = |classes: usize, weight: f32| {
        Graph::build("heads", [3, 16, 16], |net, image| {
            let x = net.feature(net.at("stem").conv(image, Conv::new(8, 3).stride(2)).relu());
            let head = net.at("head.conv").conv(x.adaptive_avg_pool([2, 3]), Conv::new(4, 1));
            net.at("head.fc").linear(head, classes).auxiliary(weight);
            net.at("fc").linear(x.global_avg_pool(), 10)
        })
    };
    let graph = build(10, 0.3).unwrap();
    assert!(graph.to_string().contains("\n%3 = adaptive_avg_pool 2x3 %2 -> 8x2x3\n"), "{graph}");
    assert!(graph.to_string().ends_with("auxiliary %5 weight 0.3\noutput %7\n"), "{graph}");
    assert_eq!(Graph::from_json(&graph.to_json()).unwrap(), graph);
    let bare = graph.without_auxiliary();
    assert_eq!(
        bare.to_string(),
        "heads 3x16x16
%1 = conv 8 3x3 /2 pad 1 %0 -> 8x8x8  stem
%2 = relu %1 -> 8x8x8
%3 = global_avg_pool %2 -> 8x1x1
%4 = linear 10 bias %3 -> 10  fc
feature %2 
output %4
"
    );
    assert!(!bare.to_json().to_string().contains("auxiliary"), "the form is that of graphs without heads");
    let changed = graph.with_classes(4).unwrap().resized(20, 12).unwrap();
    assert_eq!(changed.node(changed.auxiliary()[0].node).shape, [4]);
    let (body, head) = graph.body_and_head().unwrap();
    assert!(body.params().len() == 1 && head.auxiliary().is_empty());
    let error = build(9, 0.3).unwrap_err().to_string();
    assert_eq!(error, "heads: the auxiliary output 5: auxiliary: [9] and [10] differ");
    for weight in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        assert!(build(10, weight).unwrap_err().to_string().contains("auxiliary: weight is"));
    }
}

#[test]
fn costs_follow_the_fields_counting_rules() {
    let graph = small();
    let cost = graph.cost();
    assert_eq!(cost.params, 8 * 27 + 16 + 8 * 25 + (64 + 8) + (80 + 10));
    assert_eq!(cost.macs, 8 * 27 * 64 + 8 * 25 * 64 + 64 + 80);
    assert_eq!(cost.activations, 8 * 64 + 8 * 64 + 8);
    let plane = 4 * 8 * 64;
    assert_eq!(
        graph.peak_activation_bytes(),
        3 * plane + 32,
        "x, y, y * gate and the gate are alive together"
    );
}

#[test]
fn of_several_marks_at_one_stride_the_last_is_the_feature() {
    let graph = small();
    let features: Vec<_> = graph
        .features()
        .iter()
        .map(|f| (f.name.as_str(), graph.stride(f.node), graph.node(f.node).shape[0]))
        .collect();
    assert_eq!(features, [("block", 2, 8)]);
}

#[test]
fn the_first_error_is_kept_with_its_place() {
    let error = Graph::build("bad", [3, 8, 8], |net, image| {
        let x = net.at("features.0").conv(image, Conv::new(16, 3).stride(2)).relu();
        let wrong = image + x;
        net.at("features.1").conv(wrong, Conv::new(8, 3).groups(3))
    })
    .unwrap_err();
    assert_eq!(error.to_string(), "bad: after features.0: add: [3, 8, 8] and [16, 4, 4] differ");
}

#[test]
fn errors_say_what_does_not_fit() {
    type Network = for<'g> fn(&cygnet_graph::Scope<'g>, cygnet_graph::Value<'g>) -> cygnet_graph::Value<'g>;
    let cases: [(Network, &str); 9] = [
        (
            |net, x| net.at("c").conv(x, Conv::new(4, 3).groups(2)),
            "at c: conv: 3 channels cannot be cut into 2 groups",
        ),
        (|net, x| net.at("c").conv(x, Conv::new(0, 3)), "at c: conv: out is 0, which makes no sense"),
        (
            |net, x| net.at("c").conv(x, Conv::new(4, 3).stride(0)),
            "at c: conv: stride is [0, 0], which makes no sense",
        ),
        (
            |net, x| net.at("c").conv(x, Conv::new(4, 11).valid()),
            "at c: conv: a [11, 11] window does not fit into [3, 8, 8]; use a larger image",
        ),
        (
            |_, x| x.channel_shuffle(2),
            "at the image: channel_shuffle: 3 channels cannot be cut into 2 groups",
        ),
        (|_, x| x.slice(2, 2), "at the image: slice of 2 channels from 2: the input has 3"),
        (|net, x| net.conv(x, Conv::new(4, 3)), "at the image: conv has parameters but no path"),
        (
            |net, x| net.at("c").batch_norm(net.at("c").conv(x, Conv::new(3, 1))),
            "at c: the path c is used twice",
        ),
        (
            |net, x| net.at("c").conv(x, Conv::new(1 << 40, 1)),
            "at c: conv: a tensor of [1099511627776, 8, 8] is over the limit of 2^31 elements",
        ),
    ];
    for (network, message) in cases {
        let error = Graph::build("net", [3, 8, 8], network).unwrap_err();
        assert_eq!(error.to_string(), format!("net: {message}"));
    }
}

#[test]
fn same_padding_puts_the_odd_row_below() {
    let graph = Graph::build("same", [1, 8, 7], |net, image| {
        net.same_padding().at("c").conv(image, Conv::new(1, 3).stride(2))
    })
    .unwrap();
    assert_eq!(graph.node(graph.output()).shape, [1, 4, 4]);
    let pads = cygnet_graph::shape::pad_amounts(Padding::Same, [8, 7], [3, 3], [2, 2], [1, 1]);
    assert_eq!(pads, [[0, 1], [1, 1]]);
}

#[test]
fn a_graph_can_be_resized_unless_a_parameter_would_change() {
    let graph = small();
    let larger = graph.resized(33, 20).unwrap();
    assert_eq!(larger.node(cygnet_graph::NodeId(1)).shape, [8, 17, 10]);
    assert_eq!(larger.params(), graph.params());
    let flattened = Graph::build("flat", [1, 4, 4], |net, image| net.at("fc").linear(image, 2)).unwrap();
    assert!(flattened.resized(8, 8).is_err());
    assert!(graph.resized(0, 8).is_err());
}

#[test]
fn the_last_layer_with_parameters_decides_the_classes() {
    let graph = small();
    let changed = graph.with_classes(3).unwrap();
    assert_eq!((changed.classes(), changed.params().len()), (3, graph.params().len()));
    assert!(graph.with_classes(0).is_err());
    let gated =
        Graph::build("gated", [4, 8, 8], |net, image| image * net.at("gate").conv(image, Conv::new(1, 1)))
            .unwrap();
    assert!(gated.with_classes(2).is_err());
}

#[test]
fn json_that_is_no_graph_is_refused() {
    let good = small().to_json();
    let spoil = |change: fn(&mut serde_json::Value)| {
        let mut json = good.clone();
        change(&mut json);
        Graph::from_json(&json).unwrap_err().to_string()
    };
    assert!(spoil(|json| json["nodes"][0]["inputs"][0] = 7.into()).contains("read before it is computed"));
    assert!(
        spoil(|json| json["auxiliary"] = serde_json::json!([{"node": 99, "weight": 1.0}]))
            .contains("node 99 does not exist")
    );
    assert!(spoil(|json| json["output"] = 99.into()).contains("node 99 does not exist"));
    assert!(spoil(|json| json["features"][0]["node"] = 99.into()).contains("node 99 does not exist"));
    assert!(spoil(|json| json["input"] = serde_json::json!([3, 0, 8])).contains("[3, 0, 8]"));
    assert!(spoil(|json| json["nodes"][0]["op"] = "eval".into()).contains("unknown variant"));
    assert!(spoil(|json| json["nodes"][1]["path"] = "stem.0".into()).contains("used twice"));
    assert!(spoil(|json| json["nodes"][8]["inputs"] = serde_json::json!([3])).contains("takes two inputs"));
    assert!(spoil(|json| json["nodes"][0]["out"] = u64::MAX.into()).contains("limit"));
    assert!(spoil(|json| json["nodes"][0]["op"] = "input".into()).contains("first node"));
    assert!(spoil(|json| json["nodes"][0]["padding"] = serde_json::Value::Null).contains("padding"));
    assert!(
        spoil(
            |json| json["features"] = serde_json::json!([{"name": "a", "node": 9}, {"name": "b", "node": 3}])
        )
        .contains("finest")
    );
    let scale = |json: &mut serde_json::Value| {
        json["nodes"][2] =
            serde_json::json!({"op": "scale", "scale": [1e300], "shift": [0.0], "inputs": [2]});
    };
    assert!(spoil(scale).contains("scale"));
}

/// Networks of random layers, each fed with the last value or an earlier one.
fn networks() -> impl Strategy<Value = Graph> {
    let steps = prop::collection::vec((0..15usize, 1..5usize, 1..4usize, any::<bool>()), 1..12);
    (1..4usize, 4..20usize, steps).prop_filter_map("it fits", |(channels, side, steps)| {
        Graph::build("random", [channels, side, side], |net, image| {
            let mut values = vec![image];
            for (i, (kind, a, b, flag)) in steps.iter().copied().enumerate() {
                let x = values[values.len() - 1];
                let earlier = values[a % values.len()];
                let layer = net.at("layer").at(i);
                values.push(match kind {
                    0 => layer.conv(x, Conv::new(a * 2, b).stride(a)),
                    1 => layer.same_padding().conv(x, Conv::rect(a, [b, a]).dilation(b).bias()),
                    2 => layer.depthwise(x, Conv::new(0, 3).padding(Padding::symmetric(a, b))),
                    3 => layer.batch_norm_eps(1e-3).batch_norm(x),
                    4 => layer.batch_norm_without_scale(x),
                    5 => x.activation(cygnet_graph::Activation::ALL[a]),
                    6 => x.pool(if flag {
                        Pool::max(b, a).ceil()
                    } else {
                        Pool::avg(3, a).pad(1).exclude_pad()
                    }),
                    7 => x * x.global_avg_pool(),
                    8 => x + x,
                    9 => x.concat(&[x, x]).channel_shuffle(3),
                    10 => x.scale([a as f32 * 0.1], [-0.3]),
                    11 => x.halves()[usize::from(flag)],
                    12 => x.upsample_like(earlier),
                    13 => x.adaptive_avg_pool([a, b]),
                    _ => x.dropout(0.1).softmax(),
                });
                net.at("layer").feature(values[values.len() - 1]);
            }
            values[values.len() - 1].relu().auxiliary(0.5);
            values[values.len() - 1]
        })
        .ok()
    })
}

proptest! {
    #[test]
    fn the_json_form_round_trips(graph in networks()) {
        let text = serde_json::to_string(&graph).unwrap();
        let read = Graph::from_json(&serde_json::from_str(&text).unwrap()).unwrap();
        prop_assert_eq!(read, graph);
    }

    #[test]
    fn damaged_json_is_an_error_or_a_graph_but_never_a_panic(graph in networks(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut text = serde_json::to_vec(&graph).unwrap();
        let at = at.index(text.len());
        text[at] = byte;
        if let Ok(json) = serde_json::from_slice(&text)
            && let Ok(graph) = Graph::from_json(&json)
        {
            let _ = (graph.cost(), graph.peak_activation_bytes(), graph.to_string());
        }
    }
}

#[test]
fn a_softmax_is_taken_off_wherever_its_node_stands_and_probabilities_are_no_logits() {
    let build = |network: &dyn for<'g> Fn(
        &cygnet_graph::Scope<'g>,
        cygnet_graph::Value<'g>,
    ) -> cygnet_graph::Value<'g>| {
        Graph::build("soft", [3, 4, 4], |net, image| network(net, image)).unwrap()
    };
    // Neither is the last node: what comes after is a head of its own.
    let graph = build(&|net, image| {
        let logits = net.at("fc").linear(image, 10);
        let output = logits.softmax();
        net.at("head").linear(image, 10).softmax().auxiliary(0.3);
        output
    });
    let bare = graph.without_softmax().unwrap();
    assert_eq!(
        bare.to_string(),
        "soft 3x4x4
%1 = linear 10 bias %0 -> 10  fc
%2 = linear 10 bias %0 -> 10  head
auxiliary %2 weight 0.3
output %1
"
    );
    assert!(graph.gives_probabilities() && !bare.gives_probabilities());
    assert_eq!(bare.without_softmax().unwrap(), bare);
    // An attention's softmax is a gate like any other.
    let attention = build(&|net, image| {
        let gate = net.at("gate").conv(image, Conv::new(3, 1)).softmax();
        net.at("fc").linear(image * gate, 10)
    });
    assert_eq!(attention.without_softmax().unwrap(), attention);
    assert!(
        !build(&|net, image| net.at("a").linear(image, 4) * net.at("b").linear(image, 4).softmax())
            .gives_probabilities()
    );
    // What is made of probabilities alone cannot be trained as logits.
    let made: [&dyn for<'g> Fn(cygnet_graph::Value<'g>) -> cygnet_graph::Value<'g>; 5] = [
        &|x| x.softmax().dropout(0.1),
        &|x| x.softmax().softmax(),
        &|x| x.softmax().channel_shuffle(2).slice(0, 2),
        &|x| (x.softmax() + x.softmax()).scale(vec![0.5], vec![0.0]),
        &|x| x.softmax().concat(&[x.softmax()]),
    ];
    for network in made {
        let graph = build(&|net, image| network(net.at("fc").conv(image, Conv::new(4, 4).valid())));
        assert!(graph.gives_probabilities(), "{graph}");
        let error = graph.without_softmax().unwrap_err().to_string();
        assert!(error.starts_with("soft: after fc: the output is made of probabilities"), "{error}");
    }
}

#[test]
fn a_node_without_readers_stays_with_what_it_reads_where_others_leave() {
    let graph = Graph::build("loose", [3, 4, 4], |net, image| {
        let head = net.at("head").linear(image, 2);
        let _ = head.relu();
        head.softmax().auxiliary(0.3);
        let output = net.at("fc").linear(image, 2).softmax();
        let _ = output.dropout(0.5);
        output
    })
    .unwrap();
    assert_eq!(
        graph.without_auxiliary().to_string(),
        "loose 3x4x4
%1 = linear 2 bias %0 -> 2  head
%2 = relu %1 -> 2
%3 = linear 2 bias %0 -> 2  fc
%4 = softmax %3 -> 2
%5 = dropout 0.5 %4 -> 2
output %4
"
    );
    assert_eq!(
        graph.without_softmax().unwrap().to_string(),
        "loose 3x4x4
%1 = linear 2 bias %0 -> 2  head
%2 = relu %1 -> 2
%3 = linear 2 bias %0 -> 2  fc
%4 = softmax %3 -> 2
%5 = dropout 0.5 %4 -> 2
auxiliary %1 weight 0.3
output %3
"
    );
}

#[test]
fn a_resized_graph_keeps_the_features_that_still_differ_in_size() {
    let graph = small();
    let features =
        |graph: &Graph| graph.features().iter().map(|feature| feature.name.clone()).collect::<Vec<_>>();
    let two = Graph::build("two", [3, 16, 16], |net, image| {
        let x = net.at("a").feature(net.at("a").conv(image, Conv::new(4, 3).stride(2)));
        let x = net.at("b").feature(net.at("b").conv(x, Conv::new(4, 3).stride(2)));
        net.at("fc").linear(x.global_avg_pool(), 10)
    })
    .unwrap();
    assert_eq!(features(&two.resized(8, 8).unwrap()), ["a", "b"]);
    assert_eq!(features(&two.resized(1, 1).unwrap()), ["b"]);
    assert_eq!((two.total_stride(), graph.total_stride()), (4, 4));
}
