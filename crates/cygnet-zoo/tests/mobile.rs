//! What the golden files of MobileNets do not show: Keras' names, its padding at odd sizes and its rounding of widths.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
use cygnet_graph::Graph;
use cygnet_zoo::find;

fn built(id: &str, side: usize) -> Graph {
    let network = find(id).expect("a listed name");
    let mut spec = network.spec();
    spec.image = [3, side, side];
    (network.row.build)(&spec).expect("a size that fits")
}

fn feature_sides(graph: &Graph) -> Vec<usize> {
    graph.features().iter().map(|feature| graph.node(feature.node).shape[1]).collect()
}

#[test]
fn keras_names_a_tensor_by_the_kind_of_its_layer() {
    let cases = [
        ("MobileNet_0.25", "conv_stem.weight", "conv1.kernel"),
        ("MobileNet_0.25", "bn1.weight", "conv1_bn.gamma"),
        ("MobileNet_0.25", "blocks.3.5.conv_dw.weight", "conv_dw_11.depthwise_kernel"),
        ("MobileNet_0.25", "blocks.0.0.bn1.bias", "conv_dw_1_bn.beta"),
        ("MobileNet_0.25", "blocks.4.1.conv_pw.weight", "conv_pw_13.kernel"),
        ("MobileNet_0.25", "blocks.4.1.bn2.running_var", "conv_pw_13_bn.moving_variance"),
        ("MobileNet_0.25", "classifier.bias", "conv_preds.bias"),
        ("MobileNetV2", "features.0.1.bias", "bn_Conv1.beta"),
        ("MobileNetV2", "features.1.conv.0.0.weight", "expanded_conv_depthwise.depthwise_kernel"),
        ("MobileNetV2", "features.17.conv.3.weight", "block_16_project_BN.gamma"),
        ("MobileNetV2", "features.18.1.running_mean", "Conv_1_bn.moving_mean"),
        ("MobileNetV3Small", "features.1.block.1.fc2.bias", "expanded_conv_squeeze_excite_conv_1.bias"),
        ("MobileNetV3Small", "features.11.block.1.0.weight", "expanded_conv_10_depthwise.depthwise_kernel"),
        ("MobileNetV3Small", "features.12.1.weight", "conv_1_bn.gamma"),
    ];
    for (name, ours, theirs) in cases {
        assert_eq!(find(&format!("keras/{name}")).unwrap().keys.unwrap().key(ours), theirs);
    }
}

#[test]
fn keras_v1_pads_below_and_right_even_where_tensorflow_would_pad_all_around() {
    assert_eq!(feature_sides(&built("mobilenet_v1_keras", 97)), [49, 24, 12, 6, 3]);
    assert_eq!(feature_sides(&built("mobilenet_v2_keras", 97)), [49, 25, 13, 7, 4]);
}

#[test]
fn keras_v2_drops_the_fraction_of_a_width_before_rounding() {
    let second_stage = |id| {
        let graph = built(id, 224);
        graph.node(graph.features()[1].node).shape[0]
    };
    assert_eq!(second_stage("mobilenet_v2_0.371"), 16);
    assert_eq!(second_stage("mobilenet_v2_keras_0.371"), 8);
}

#[test]
fn a_network_that_halves_in_its_first_block_offers_the_stem_as_a_feature() {
    for id in ["fd_mobilenet", "mobilenet_v3_small", "mobilenet_v3_small_timm"] {
        assert_eq!(feature_sides(&built(id, 224)), [112, 56, 28, 14, 7], "{id}");
    }
}
