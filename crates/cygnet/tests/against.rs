//! Models held against others: where they part and why.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use cygnet::bench::random_weights;
use cygnet::graph::{BatchNorm, Change, Conv, Graph, Node, NodeId, Op, Padding, Pool};
use cygnet::image::{ChannelOrder, Image, Preprocess, Resize};
use cygnet::verify::{Against, Explanation, PhotoOutcome};
use cygnet::weights::{Tensor, WeightSet};
use cygnet::{Model, OnnxSettings, Quantizing, quantize};

/// A network with everything that exporters do otherwise: norms, a pool with padding, a sum, depthwise layers.
fn model() -> Model {
    let graph = Graph::build("tiny", [3, 32, 32], |net, image| {
        let stem = net.at("stem").conv(image, Conv::new(8, 3).stride(2));
        let stem = net.at("norm").batch_norm(stem).relu();
        let pooled = stem.pool(Pool::max(3, 2).pad(1));
        let wide = net.at("wide").conv(pooled, Conv::new(8, 3).groups(8));
        let wide = net.at("wide_norm").batch_norm(wide).relu6();
        let sum = wide + pooled;
        let last = net.at("last").conv(sum, Conv::new(16, 1).bias()).relu();
        net.at("fc").linear(last.global_avg_pool(), 5)
    })
    .unwrap();
    let weights = WeightSet::of(&graph, random_weights(&graph)).unwrap();
    Model::new(graph, weights, Preprocess::torchvision(32, 36)).unwrap()
}

fn photo() -> Image {
    let at = |x: usize, y: usize| [(x * 5 % 256) as u8, (y * 7 % 256) as u8, ((x * y) % 251) as u8];
    let pixels = (0..48 * 64).flat_map(|i| at(i % 64, i / 64)).collect();
    Image::from_rgb(64, 48, pixels).unwrap()
}

fn compared(other: Model) -> (PhotoOutcome, Explanation) {
    let pair = Against::new(model(), other).unwrap();
    (pair.image("photo", &photo()).unwrap(), pair.explain_image(&photo()).unwrap())
}

/// The same model with other operators.
fn changed(change: impl Fn(&Node) -> Option<Op>) -> Model {
    let model = model();
    let (graph, _) =
        model.graph.rebuilt(|_: NodeId, node| change(node).map_or(Change::Keep, Change::Replace)).unwrap();
    Model { graph, ..model }
}

/// The same model with other numbers in a weight.
fn with_weight(name: &str, change: impl Fn(usize, f32, &[f32]) -> f32) -> Model {
    let mut model = model();
    let tensor = model.weights.get(name).unwrap();
    let (shape, old) = (tensor.shape().to_vec(), tensor.to_f32().into_owned());
    let new = old.iter().enumerate().map(|(i, &x)| change(i, x, &old)).collect();
    model.weights.insert(name, Tensor::from_numbers(shape, new).unwrap());
    model
}

/// That they part at a layer for a reason.
fn parts(other: Model, layer: &str, reason: &str) {
    let (photo, why) = compared(other);
    assert!(!photo.pass, "{photo:?} {why:?}");
    let parting = why.layers.unwrap().parting.unwrap();
    assert_eq!(parting.layer, layer, "{parting:?} {:?}", why.causes);
    assert!(why.causes.iter().any(|cause| cause.contains(reason)), "{:?}", why.causes);
}

#[test]
fn a_model_agrees_with_itself_and_its_exports() {
    let folder = tempfile::tempdir().unwrap();
    let onnx = folder.path().join("tiny.onnx");
    model().write_onnx(&onnx, &OnnxSettings::default()).unwrap();
    for other in [model(), Model::open(&onnx).unwrap()] {
        let (photo, why) = compared(other);
        assert!(photo.pass && photo.top1[0] == photo.top1[1], "{photo:?}");
        let layers = why.layers.unwrap();
        assert_eq!((layers.compared, layers.same, layers.parting), (4, 4, None));
        assert!(why.causes.is_empty(), "{:?}", why.causes);
    }
    let half = OnnxSettings { half: true, ..OnnxSettings::default() };
    model().write_onnx(&onnx, &half).unwrap();
    let (photo, why) = compared(Model::open(&onnx).unwrap());
    assert!(photo.pass && photo.max_rel_diff > 0.0, "{photo:?}");
    assert_eq!(why.layers.unwrap().parting, None);
}

#[test]
fn whole_numbers_are_held_against_what_they_were_made_of() {
    let whole =
        quantize(&model(), None, &Quantizing { images: 8, ..Quantizing::default() }, &mut |_| {}).unwrap();
    assert_eq!(whole.model.precision(), Some("int8"));
    let (photo, why) = compared(whole.model);
    assert!(photo.pass && photo.max_rel_diff > 1e-4, "{photo:?}");
    assert_eq!(why.layers.unwrap().compared, 4);
}

#[test]
fn ways_to_prepare_photos_are_told_with_what_they_explain() {
    let with = |change: &dyn Fn(&mut Preprocess)| {
        let mut other = model();
        change(&mut other.preprocess);
        other
    };
    let cases: [(Model, &str); 4] = [
        (
            with(&|record| record.channels = ChannelOrder::Bgr),
            "channels rgb here, bgr there (explains 100 %)",
        ),
        (
            with(&|record| record.resize = Resize::Squash),
            "crop of the shorter side at 36 here, none, squashed there",
        ),
        (with(&|record| record.mean = vec![0.5; 3]), "numbers"),
        (
            with(&|record| record.interpolation = cygnet::image::Interpolation::Nearest),
            "filter bilinear here, nearest",
        ),
    ];
    for (other, words) in cases {
        let (photo, why) = compared(other);
        assert!(!photo.pass && photo.input_diff.unwrap() > 0.0, "{words}: {photo:?}");
        assert!(
            why.causes[0].contains(words) && why.causes[0].contains("100 %"),
            "{words}: {:?}",
            why.causes
        );
        assert_eq!(why.layers.unwrap().parting, None, "{words}: the networks are the same");
    }
    let (small, _) = (model().with_image_size(48, 48).unwrap(), ());
    let (_, why) = compared(small);
    assert!(why.causes[0].contains("3x32x32 here, 3x48x48 there"), "{:?}", why.causes);
}

#[test]
fn settings_of_operators_are_told() {
    let lopsided = |node: &Node| match &node.op {
        Op::Conv(conv) if node.path == "stem" => {
            let padding = Padding::Explicit { top: 0, left: 0, bottom: 2, right: 2 };
            Some(Op::Conv(Conv { padding: Some(padding), ..conv.clone() }))
        }
        _ => None,
    };
    parts(changed(lopsided), "stem", "padding { top: 1");
    let eps = |node: &Node| match &node.op {
        Op::BatchNorm(norm) if node.path == "wide_norm" => {
            Some(Op::BatchNorm(BatchNorm { eps: norm.eps + 0.1, ..*norm }))
        }
        _ => None,
    };
    parts(changed(eps), "wide", "epsilon");
    let mean = |node: &Node| match &node.op {
        Op::Pool(pool) => Some(Op::Pool(Pool { kind: cygnet::graph::PoolKind::Avg, ..pool.clone() })),
        _ => None,
    };
    parts(changed(mean), "max_pool after stem", "max_pool here, avg_pool there");
    let unlimited = |node: &Node| match node.op {
        Op::Activation { function } if function == cygnet::graph::Activation::RELU6 => {
            Some(Op::Activation { function: cygnet::graph::Activation::RELU })
        }
        _ => None,
    };
    let (photo, why) = compared(changed(unlimited));
    assert!(photo.pass || why.causes.iter().any(|cause| cause.contains("relu6 here, relu there")), "{why:?}");
}

#[test]
fn weights_that_differ_are_told_by_what_they_have_to_do_with_each_other() {
    let bgr = with_weight("stem.weight", |i, _, old| old[i / 27 * 27 + (2 - i / 9 % 3) * 9 + i % 9]);
    parts(bgr, "stem", "channels in the other order");
    parts(with_weight("stem.weight", |_, x, _| x / 255.0), "stem", "0.0039 times as large");
    parts(
        with_weight("last.weight", |i, x, _| if i == 7 { x + 1.0 } else { x }),
        "last",
        "1 of 128 weights differ",
    );
    parts(with_weight("fc.bias", |_, x, _| x + 0.5), "fc", "biases differ");
    let turned = with_weight("wide.weight", |i, _, old| old[i / 9 * 9 + 8 - i % 9]);
    parts(turned, "wide", "turned by 180 degrees");
}

#[test]
fn other_classes_are_refused() {
    let mut other = model();
    other.graph = other.graph.with_classes(7).unwrap();
    other.weights = WeightSet::of(&other.graph, random_weights(&other.graph)).unwrap();
    assert!(Against::new(model(), other).unwrap_err().to_string().contains("has 7 classes"));
}
