//! What the Inception, Xception and SqueezeNet files promise beyond the published numbers.

use cygnet_graph::Op;
use cygnet_zoo::keymap::SAME_KEYS;
use cygnet_zoo::{KeyMap, Spec, find};

#[test]
fn short_names_resolve_to_the_canonical_flavour() {
    for name in ["googlenet", "inception_v3", "squeezenet1_1", "xception"] {
        assert_eq!(find(name).unwrap().id, name);
    }
    assert_eq!(find("legacy_xception.tf_in1k").unwrap().checkpoint.unwrap().tag, "tf_in1k");
    assert_eq!(find("torchvision/googlenet.transform_input").unwrap().id, "googlenet_transform_input");
}

#[test]
fn bn_inception_takes_images_whose_maps_are_odd() {
    let network = find("bn_inception").unwrap();
    let graph = (network.row.build)(&Spec { image: [3, 233, 257], ..network.spec() }).unwrap();
    let last = graph.features().last().unwrap();
    assert_eq!(graph.node(last.node).shape, [1024, 8, 8]);
}

#[test]
fn only_images_of_three_channels_have_imagenet_statistics_to_undo() {
    for id in ["googlenet_transform_input", "inception_v3_transform_input"] {
        let network = find(id).unwrap();
        let scales = |channels| {
            let spec = Spec { image: [channels, 299, 299], ..network.spec() };
            let graph = (network.row.build)(&spec).unwrap();
            graph.iter().filter(|(_, node)| matches!(node.op, Op::Scale { .. })).count()
        };
        assert_eq!((scales(3), scales(1)), (1, 0));
    }
}

#[test]
fn a_letter_with_an_offset_counts_in_the_alphabet() {
    let map = KeyMap { rules: &[("mixed_5{a}.{b}", "unit{a-1}.{b+0}"), ("kept_{a}", "{a}")], ..SAME_KEYS };
    assert_eq!(map.path("mixed_5c.7"), "unit2.7");
    assert_eq!(map.path("mixed_5b.a"), "unit1.1");
    assert_eq!(map.path("kept_c"), "c");
}
