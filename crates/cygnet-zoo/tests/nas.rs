//! Facts about searched networks that no reference number covers.

use cygnet_zoo::find;

#[test]
fn fbnet_96_costs_what_the_official_definition_does() {
    let cost = find("fbnet_96").unwrap().build().unwrap().cost();
    assert_eq!((cost.params, cost.macs), (1_846_728, 12_796_752));
}

#[test]
fn a_skipped_first_block_leaves_the_stem_as_the_feature_at_stride_2() {
    for id in ["fbnet_a", "fbnet_a_dense", "fbnet_iphonex"] {
        let graph = find(id).unwrap().build().unwrap();
        let sides: Vec<_> =
            graph.features().iter().map(|feature| graph.node(feature.node).shape[1]).collect();
        assert_eq!(sides, [112, 56, 28, 14, 7], "{id}");
    }
}

#[test]
fn shortcuts_of_mobilenext_join_wide_ends_only() {
    let graph = find("mobilenext").unwrap().build().unwrap();
    let added: Vec<_> =
        graph.nodes().iter().filter(|node| node.op.name() == "add").map(|node| node.shape[0]).collect();
    assert_eq!(added, [192, 192, 288, 288, 384, 384, 384, 576, 576, 576, 960, 960]);
}
