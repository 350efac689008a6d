//! What the golden files do not say about the SENet family: which form a name means, taps, sizes timm cannot run.

use cygnet_zoo::find;

#[test]
fn a_bare_name_means_timms_form_and_a_source_its_own() {
    for (query, id) in [
        ("seresnet50", "seresnet50"),
        ("timm/seresnet50", "seresnet50"),
        ("seresnet50b", "seresnet50"),
        ("pytorchcv/seresnet50", "seresnet50_pytorchcv"),
        ("legacy_seresnet50", "seresnet50_caffe"),
        ("seresnet200", "seresnet200_pytorchcv"),
        ("pytorchcv/senet154", "senet154"),
        ("resnet50", "resnet50"),
    ] {
        assert_eq!(find(query).map(|network| network.id), Some(id.to_owned()), "{query}");
    }
    let tagged = find("seresnext50_32x4d.gluon_in1k").and_then(|network| network.checkpoint);
    assert_eq!(tagged.map(|checkpoint| checkpoint.tag), Some("gluon_in1k"));
}

#[test]
fn features_are_the_taps_of_timm() {
    for (id, channels) in [
        ("seresnet18", [64, 64, 128, 256, 512]),
        ("seresnet50_caffe", [64, 256, 512, 1024, 2048]),
        ("senet154", [128, 256, 512, 1024, 2048]),
        ("seresnetaa50d", [64, 256, 512, 1024, 2048]),
        ("seresnext26ts", [64, 256, 512, 1024, 2048]),
        ("seresnet33ts", [32, 256, 512, 1536, 1280]),
    ] {
        let network = find(id).expect("a known id");
        let graph = network.build().expect("its own size fits");
        let taps: Vec<_> = graph.features().iter().map(|tap| graph.node(tap.node).shape.clone()).collect();
        let side = network.row.side;
        let expected: Vec<_> = (1..)
            .zip(channels)
            .map(|(level, channels)| vec![channels, side >> level, side >> level])
            .collect();
        assert_eq!(taps, expected, "{id}");
    }
}

#[test]
fn pooled_branches_and_shortcuts_meet_at_odd_sizes() {
    let network = find("seresnetaa50d").expect("a known id");
    let mut spec = network.spec();
    spec.image = [3, 200, 200];
    let graph = (network.row.build)(&spec).expect("25 rows become 12 in branch and shortcut");
    assert!(graph.nodes().iter().any(|node| node.shape == [1024, 12, 12]));
}
