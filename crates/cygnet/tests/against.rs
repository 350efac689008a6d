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
    let pair = Against::new(("ours", model()), ("theirs", other)).unwrap();
    (pair.image("photo", &photo()).unwrap(), pair.explain_images(&[photo()]).unwrap())
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
    let layers = why.layers.unwrap();
    assert_eq!((layers.compared, layers.same), (4, 4), "{:?}", layers.parting);
}

/// A network that ends in a softmax, as files of other programs do.
fn ending_in_softmax(softmax: bool) -> Model {
    let graph = Graph::build("tiny", [3, 32, 32], |net, image| {
        let stem = net.at("stem").conv(image, Conv::new(8, 3).stride(2)).relu6();
        let logits = net.at("fc").linear(stem.global_avg_pool(), 5);
        if softmax { logits.softmax() } else { logits }
    });
    let graph = graph.unwrap();
    let weights = WeightSet::of(&graph, random_weights(&graph)).unwrap();
    Model::new(graph, weights, Preprocess::torchvision(32, 36)).unwrap()
}

#[test]
fn whole_numbers_that_end_in_a_softmax_are_compared_by_their_logits() {
    let how = Quantizing { images: 8, ..Quantizing::default() };
    let whole = quantize(&ending_in_softmax(true), None, &how, &mut |_| {}).unwrap().model;
    let last = whole.graph.output();
    assert!(whole.graph.gives_probabilities() && whole.quantization.is_some());
    // Whether the record has the softmax's grid, and whether it is the last node's, must not matter.
    let mut with_grid = whole.clone();
    let grid = cygnet::weights::Grid::of_one(0, 1.0 / 256.0);
    with_grid.quantization.as_mut().unwrap().values.insert(last, grid);
    for whole in [whole, with_grid] {
        for float in [ending_in_softmax(true), ending_in_softmax(false)] {
            let pair = Against::new(("float", float), ("int8", whole.clone())).unwrap();
            let outcome = pair.image("photo", &photo()).unwrap();
            assert!(outcome.pass && outcome.mean_rel_diff > 1e-5, "{outcome:?}");
            let layers = pair.explain_images(&[photo()]).unwrap().layers.unwrap();
            assert_eq!((layers.compared, layers.same), (2, 2));
        }
    }
}

#[test]
fn rounding_is_told_as_the_cause_where_one_computes_with_fewer_bits() {
    let how = Quantizing { images: 8, ..Quantizing::default() };
    let mut whole = quantize(&model(), None, &how, &mut |_| {}).unwrap().model;
    // Grids that reach too far leave few bytes to what values are.
    for grid in whole.quantization.as_mut().unwrap().values.values_mut() {
        grid.scales.iter_mut().for_each(|scale| *scale *= 40.0);
    }
    for grid in whole.quantization.as_mut().unwrap().weights.values_mut() {
        grid.scales.iter_mut().for_each(|scale| *scale *= 40.0);
    }
    let (photo, why) = compared(whole);
    assert!(!photo.pass, "{photo:?}");
    assert!(why.causes[0].starts_with("rounding: f32 here, int8 there; that of values explains"), "{why:?}");
    assert!(why.causes.len() == 1, "{why:?}");
    if let Some(parting) = why.layers.unwrap().parting {
        assert_eq!(parting.other, Some(parting.layer), "a chain is called by its layer");
    }
}

#[test]
fn a_class_for_the_background_is_left_out() {
    let background = || {
        let mut labels: Vec<String> = model().labels.clone();
        labels.extend(["background", "a", "b", "c", "d", "e"].map(str::to_owned));
        let mut other = model();
        let [weight, bias] = ["fc.weight", "fc.bias"].map(|name| other.weights.get(name).unwrap().clone());
        other.graph = other.graph.with_classes(6).unwrap();
        let with_first = |tensor: &Tensor, count: usize| {
            let numbers: Vec<f32> =
                std::iter::repeat_n(9.0, count).chain(tensor.to_f32().iter().copied()).collect();
            let shape = std::iter::once(6).chain(tensor.shape()[1..].iter().copied());
            Tensor::from_numbers(shape.collect::<Vec<_>>(), numbers).unwrap()
        };
        let inputs = weight.shape()[1];
        other.weights.insert("fc.weight".to_owned(), with_first(&weight, inputs));
        other.weights.insert("fc.bias".to_owned(), with_first(&bias, 1));
        Model { labels, ..other }
    };
    let pair = Against::new(("ours", model()), ("theirs.tflite", background())).unwrap();
    assert!(pair.notes()[0].starts_with("theirs.tflite: its first class"), "{:?}", pair.notes());
    let outcome = pair.image("photo", &photo()).unwrap();
    assert!(outcome.pass && outcome.same_top1, "{outcome:?}");
    let why = pair.explain_images(&[photo()]).unwrap();
    let layers = why.layers.unwrap();
    assert_eq!((layers.same, layers.parting), (4, None), "{:?}", why.causes);
    let mut turned = background();
    let fc = turned.weights.get("fc.weight").unwrap();
    let numbers = fc.to_f32().iter().enumerate().map(|(i, x)| if i == 20 { x + 1.0 } else { *x }).collect();
    let fc = Tensor::from_numbers(fc.shape().to_vec(), numbers).unwrap();
    turned.weights.insert("fc.weight".to_owned(), fc);
    let pair = Against::new(("theirs.tflite", turned), ("ours", model())).unwrap();
    let why = pair.explain_images(&[photo()]).unwrap();
    assert!(why.causes[0].contains("at fc: 1 of 80 weights differ"), "{why:?}");
    let mut nameless = background();
    nameless.labels.clear();
    assert!(
        Against::new(("ours", model()), ("theirs", nameless)).is_err(),
        "six of five may be any class more"
    );
}

#[test]
fn weights_that_are_no_numbers_are_told_as_such() {
    for number in [f32::NAN, f32::INFINITY] {
        let (photo, why) = compared(with_weight("last.weight", |i, x, _| if i == 3 { number } else { x }));
        assert!(!photo.pass, "{photo:?}");
        assert_eq!(why.causes, ["theirs has NaN or infinite numbers in last.weight"]);
    }
}

#[test]
fn another_training_is_told_from_a_changed_layer() {
    let mut other = model();
    for (index, name) in ["stem.weight", "wide.weight", "last.weight", "fc.weight"].into_iter().enumerate() {
        let tensor = other.weights.get(name).unwrap();
        let numbers: Vec<f32> =
            tensor.to_f32().iter().enumerate().map(|(i, x)| x + ((i * 7 + index) as f32).sin()).collect();
        let shape = tensor.shape().to_vec();
        other.weights.insert(name.to_owned(), Tensor::from_numbers(shape, numbers).unwrap());
    }
    let (_, why) = compared(other);
    assert!(
        why.causes[0].contains("as do those of 4 of 4 layers: the weights are of another training"),
        "{why:?}"
    );
    let one = with_weight("wide.weight", |i, x, _| if i == 7 { x + 1.0 } else { x });
    let (_, why) = compared(one);
    assert!(why.causes[0].ends_with("1 of 72 weights differ, those of no other layer do"), "{why:?}");
}

#[test]
fn what_causes_explain_is_judged_on_all_photos() {
    let even = |level: u8| Image::from_rgb(64, 48, vec![level; 64 * 48 * 3]).unwrap();
    let mut other = model();
    other.preprocess.resize = Resize::Squash;
    let pair = Against::new(("ours", model()), ("theirs", other)).unwrap();
    // A crop changes nothing of a photo of one colour, which alone would explain nothing.
    let causes = |photos: &[Image]| pair.explain_images(photos).unwrap().causes;
    assert_eq!(causes(&[even(90)]), [""; 0]);
    let all = causes(&[even(90), photo(), even(200)]);
    assert!(all[0].contains("crop") && all[0].contains("(explains 100 %)"), "{all:?}");
    let mut other = model();
    (other.preprocess.resize, other.preprocess.mean) = (Resize::Squash, vec![0.0; 3]);
    let pair = Against::new(("ours", model()), ("theirs", other)).unwrap();
    let causes = pair.explain_images(&[even(90)]).unwrap().causes;
    assert!(causes.len() == 1 && causes[0].contains("numbers"), "a share of 0 % is not told: {causes:?}");
}

#[test]
fn networks_of_thousands_of_layers_are_compared_in_little_time() {
    let deep = |shift: f32| {
        let graph = Graph::build("deep", [3, 16, 16], |net, image| {
            let mut x = net.at("stem").conv(image, Conv::new(4, 3).bias());
            for _ in 0..2000 {
                x = x.relu6();
            }
            net.at("fc").linear(x.global_avg_pool(), 5)
        });
        let graph = graph.unwrap();
        let mut weights = WeightSet::of(&graph, random_weights(&graph)).unwrap();
        weights.insert("stem.bias".to_owned(), Tensor::from_numbers([4], vec![shift; 4]).unwrap());
        Model::new(graph, weights, Preprocess::torchvision(16, 18)).unwrap()
    };
    for shift in [0.1, 0.4] {
        let began = std::time::Instant::now();
        let pair = Against::new(("ours", deep(0.1)), ("theirs", deep(shift))).unwrap();
        let why = pair.explain_images(&[photo()]).unwrap();
        assert_eq!(why.layers.unwrap().parting.is_some(), shift > 0.1, "{:?}", why.causes);
        assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
    }
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
    let refused = Against::new(("ours.onnx", model()), ("theirs.onnx", other)).unwrap_err().to_string();
    assert!(refused.starts_with("theirs.onnx: has 7 classes, ours.onnx has 5 classes"), "{refused}");
}
