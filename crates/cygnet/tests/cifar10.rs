//! The CIFAR-10 flavour of ShuffleNet v1 with the weights that its authors published.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use cygnet::image::{DecodeLimits, Image};
use cygnet::{Classifier, Model};

#[test]
fn published_weights_give_the_published_networks_outputs() {
    let Some(weights) = cygnet_testing::shared("data/weights/weights_05g3.pkl") else { return };
    let Some(golden) = cygnet_testing::shared("data/golden/shufflenet_v1_05x_g3_cifar10.json") else {
        return;
    };
    let model = Model::convert(weights, None, None).unwrap();
    assert_eq!(model.id, "shufflenet_v1_g3_cifar10_0.5");
    let classifier = Classifier::new(model).unwrap();
    let cases: serde_json::Value = serde_json::from_slice(&std::fs::read(&golden).unwrap()).unwrap();
    for case in cases["cases"].as_array().unwrap() {
        let png = std::fs::read(golden.with_file_name(case["png"].as_str().unwrap())).unwrap();
        let image = Image::decode(&png, DecodeLimits::default()).unwrap();
        let input = classifier.model().preprocess.apply(&image).unwrap();
        let outputs = classifier.logits(&input).unwrap();
        let wanted = case["output"].as_array().unwrap().iter().map(|value| value.as_f64().unwrap());
        assert_eq!(outputs.len(), wanted.len());
        for (ours, theirs) in outputs.into_iter().zip(wanted) {
            assert!((f64::from(ours) - theirs).abs() < 1e-4, "{}: {ours}, not {theirs}", case["png"]);
        }
    }
}
