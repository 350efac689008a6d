//! Models that compute with whole numbers, as files.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use cygnet::Model;
use cygnet::graph::{Conv, Graph, NodeId};
use cygnet::image::{Interpolation, Preprocess};
use cygnet::runtime::{PlanOptions, QuantizedReference};
use cygnet::weights::{Dtype, Grid, Quantization, Tensor, WeightGrid, WeightSet, safetensors};

/// A network of two layers of integers.
fn model() -> Model {
    let graph = Graph::build("tiny", [3, 8, 8], |net, image| {
        let x = net.at("conv").conv(image, Conv::new(4, 3).bias()).relu();
        net.at("fc").linear(x.global_avg_pool(), 5)
    })
    .unwrap();
    let bytes = |count: usize| (0..count).map(|i| ((i * 37 % 255) as i32 - 127) as u8).collect();
    let mut weights = WeightSet::default();
    weights.insert("conv.weight", Tensor::new([4, 3, 3, 3], Dtype::I8, bytes(108)).unwrap());
    weights.insert("conv.bias", Tensor::from_f32([4], &[0.1, -0.2, 0.3, 0.0]).unwrap());
    weights.insert("fc.weight", Tensor::new([5, 4], Dtype::I8, bytes(20)).unwrap());
    weights.insert("fc.bias", Tensor::from_f32([5], &[0.0, 1.0, 2.0, 3.0, 4.0]).unwrap());
    let mut record = Quantization::default();
    record.values.insert(NodeId(0), Grid::of_one(114, 0.018));
    record.values.insert(NodeId(2), Grid { zero: 0, scales: vec![0.01, 0.02, 0.03, 0.04] });
    record.values.insert(NodeId(3), Grid::of_one(0, 0.02));
    record.weights.insert("conv.weight".into(), WeightGrid { scales: vec![1e-4; 4], zeros: vec![] });
    record.weights.insert("fc.weight".into(), WeightGrid { scales: vec![3e-4; 5], zeros: vec![] });
    let model = Model::new(graph, weights, Preprocess::imagenet(8, 1.0, Interpolation::Bilinear)).unwrap();
    Model { quantization: Some(record), ..model }
}

fn image() -> Vec<f32> {
    (0..192).map(|i| (i * 31 % 101) as f32 / 25.0 - 2.0).collect()
}

/// Writes the model with `change` made to the tensors and the text of its record.
fn damaged(path: &Path, change: impl FnOnce(&mut cygnet::weights::Tensors, &mut String)) -> String {
    model().write(path).unwrap();
    let (mut tensors, mut metadata) = safetensors::read(path).unwrap();
    change(&mut tensors, metadata.get_mut("cygnet").unwrap());
    safetensors::write(path, &tensors, &metadata).unwrap();
    Model::open(path).unwrap_err().to_string()
}

#[test]
fn integers_come_back_as_written_and_mean_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny.safetensors");
    model().write(&path).unwrap();
    let read = Model::open(&path).unwrap();
    assert_eq!((&read.weights, &read.quantization), (&model().weights, &model().quantization));
    let record = safetensors::read(&path).unwrap().1["cygnet"].clone();
    assert!(record.starts_with(r#"{"format":3,"#), "{record}");
    let quantization = read.quantization.clone().unwrap();
    let reference = QuantizedReference::new(read.graph.clone(), &read.weights, &quantization).unwrap();
    let integers = reference.run(&image()).unwrap();
    let outline = read.outline(PlanOptions::default()).unwrap().to_string();
    assert!(outline.contains("conv 3x3 u8 -> 4x8x8 u8  %1  %2 fuse activation\n"), "{outline}");
    assert_eq!(cygnet::Classifier::new(read.clone()).unwrap().logits(&image()).unwrap(), integers);
    let classifier = cygnet::Classifier::new(read.in_floating_point()).unwrap();
    for (integer, real) in integers.iter().zip(classifier.logits(&image()).unwrap()) {
        assert!((integer - real).abs() < 0.05, "{integer} {real}");
    }
}

#[test]
fn a_model_of_floats_keeps_its_format() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny.safetensors");
    model().in_floating_point().write(&path).unwrap();
    let record = safetensors::read(&path).unwrap().1["cygnet"].clone();
    assert!(record.starts_with(r#"{"format":1,"#) && !record.contains("quantization"), "{record}");
}

#[test]
fn another_number_of_classes_makes_floats_of_integers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny.safetensors");
    model().write(&path).unwrap();
    let read = Model::convert(&path, None, Some(2)).unwrap();
    assert_eq!((read.quantization, read.weights.get("fc.weight").unwrap().shape()), (None, &[2, 4][..]));
    assert_eq!(read.weights.get("conv.weight"), model().real_weights().get("conv.weight"));
}

#[test]
fn a_damaged_record_is_refused_with_file_and_layer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny.safetensors");
    let bad = |wanted: &str, change: fn(&mut cygnet::weights::Tensors, &mut String)| {
        assert_eq!(damaged(&path, change), format!("{}: {wanted}", path.display()));
    };
    bad("conv.weight: scale 0 of channel 2, which is not from 9.094947e-13 to 1.0995116e12", |tensors, _| {
        let scales = Tensor::from_f32([4], &[1.0, 1.0, 0.0, 1.0]).unwrap();
        tensors.insert("conv.weight_scale".into(), scales);
    });
    bad("node 2 (relu): zero point 300, which is not from 0 to 255", |_, record| {
        *record = record.replacen(r#""zero":0"#, r#""zero":300"#, 1);
    });
    bad("a grid for node 99, but the graph has 5", |_, record| {
        *record = record.replacen(r#""node":2"#, r#""node":99"#, 1);
    });
    bad("fc.weight: weights of type I8 without scales", |tensors, _| {
        tensors.shift_remove("fc.weight_scale");
    });
    let unknown = damaged(&path, |tensors, _| {
        tensors.insert("fd.weight_scale".into(), Tensor::from_f32([1], &[1.0]).unwrap());
    });
    assert!(unknown.contains("fd.weight_scale"), "{unknown}");
}
