//! Models: written and read again, converted from other names and layouts, and refused with what is wrong.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use cygnet::graph::{Conv, Graph, Limits, Param, Role};
use cygnet::image::{Interpolation, Preprocess};
use cygnet::verify::synthetic;
use cygnet::weights::{
    Head, ModelFile, ModelRecord, Naming, Tensor, Tensors, WeightSet, fit, naming_by_execution, safetensors,
};
use cygnet::{Classifier, Conversion, Error, Model};
use proptest::prelude::*;

fn tiny(classes: usize) -> Graph {
    Graph::build("tiny", [3, 16, 16], |net, image| {
        let x =
            net.at("stem.bn").batch_norm(net.at("stem.conv").conv(image, Conv::new(4, 3).stride(2))).relu6();
        let x = net.at("dw.bn").batch_norm(net.at("dw.conv").depthwise(x, Conv::new(0, 3))).relu6();
        net.at("fc").linear(x.global_avg_pool(), classes)
    })
    .unwrap()
}

fn value(param: &Param) -> Vec<f32> {
    let positive = if param.role == Role::NormVar { 1.0 } else { 0.0 };
    synthetic(&param.name, param.shape.iter().product(), |v| positive + 0.5 * v)
}

fn tensors(graph: &Graph) -> Tensors {
    let tensor =
        |param: Param| (param.name.clone(), Tensor::from_f32(param.shape.clone(), &value(&param)).unwrap());
    graph.params().into_iter().map(tensor).collect()
}

fn weights(graph: &Graph) -> WeightSet {
    WeightSet::of(graph, lists(graph)).unwrap()
}

fn lists(graph: &Graph) -> Vec<Vec<f32>> {
    graph.params().iter().map(value).collect()
}

fn numbers(weights: &WeightSet, name: &str) -> Vec<f32> {
    weights.get(name).unwrap().to_f32().into_owned()
}

/// The tensors but for the classifier's.
fn body(weights: &WeightSet) -> Vec<(&str, &Tensor)> {
    weights.iter().filter(|(name, _)| !name.starts_with("fc.")).collect()
}

fn model(classes: usize) -> Model {
    let graph = tiny(classes);
    Model {
        id: "tiny".into(),
        weights: weights(&graph),
        graph,
        preprocess: Preprocess::imagenet(16, 0.875, Interpolation::Bilinear),
        labels: (0..classes).map(|i| format!("label {i}")).collect(),
        licence: Some("MIT".into()),
        source: None,
        accuracy: None,
        recipe: None,
        training: None,
        compression: None,
        quantization: None,
        guessed: None,
        written_by: None,
    }
}

fn write(path: &Path, tensors: &Tensors) {
    safetensors::write(path, tensors, &safetensors::Metadata::default()).unwrap();
}

#[test]
fn a_model_is_the_same_after_writing_and_reading() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny.safetensors");
    let written = model(5);
    written.write(&path).unwrap();
    let read = Model::open(&path).unwrap();
    assert_eq!(
        (read.graph, read.weights, read.preprocess),
        (written.graph, written.weights, written.preprocess)
    );
    assert_eq!((read.labels, read.licence, read.id), (written.labels, written.licence, written.id));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
}

#[test]
fn a_model_that_cannot_be_written_leaves_the_old_one() {
    let folder = tempfile::tempdir().unwrap();
    assert!(model(5).write(folder.path().join("missing/tiny.safetensors")).is_err());
    assert!(model(5).write(folder.path()).is_err());
}

#[test]
fn a_record_that_contradicts_itself_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bad.safetensors");
    let refused = |model: Model| {
        model.write(&path).unwrap();
        Model::open(&path).unwrap_err().to_string()
    };
    let labels = refused(Model { labels: vec!["one".into()], ..model(5) });
    assert!(labels.ends_with("1 label for 5 classes"), "{labels}");
    let size = refused(Model { preprocess: Preprocess::torchvision(32, 40), ..model(5) });
    assert!(size.contains("prepared as 3x32x32 but the network reads 3x16x16"), "{size}");
    let mut preprocess = model(5).preprocess;
    preprocess.std[1] = 0.0;
    assert!(refused(Model { preprocess, ..model(5) }).contains("std"));
    assert!(Model { graph: tiny(6), ..model(5) }.write(&path).is_err(), "weights of another shape");
}

#[test]
fn whatever_is_wrong_with_a_model_its_file_is_named_and_large_graphs_are_refused_unless_they_are_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("outside.safetensors");
    let write = |change: &dyn Fn(&mut ModelRecord)| {
        model(5).write(&path).unwrap();
        let mut file = ModelFile::read(&path).unwrap();
        change(&mut file.record);
        file.write(&path).unwrap();
    };
    let refused = |change: &dyn Fn(&mut ModelRecord)| {
        write(change);
        let error = Model::open(&path).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{}: ", path.display())), "{error}");
        error
    };
    refused(&|record| record.graph = serde_json::json!({ "name": "none" }));
    refused(&|record| record.preprocess["std"][1] = 0.0.into());
    refused(&|record| record.preprocess["size"] = serde_json::json!([7, 7]));
    refused(&|record| record.labels.push("one too many".into()));
    let doubled = |record: &mut ModelRecord| {
        let nodes = record.graph["nodes"].as_array_mut().unwrap();
        let first = nodes.len();
        nodes
            .extend((0..22).map(|i| serde_json::json!({ "op": "concat", "inputs": [first + i, first + i] })));
        record.graph["output"] = (first + 22).into();
    };
    assert!(refused(&doubled).contains("channels in all values, the limit is"));
    write(&|_| {});
    let macs = model(5).graph.cost().macs;
    let within = |macs| Conversion { limits: Limits { macs, ..Limits::default() }, ..Conversion::default() };
    let error = within(macs / 2).run(&path).unwrap_err().to_string();
    assert!(error.contains("--max-macs"), "{error}");
    // What a network without many products moves counts too.
    assert!(within(1000 * macs).run(&path).is_ok());
}

#[test]
fn all_that_does_not_fit_is_reported_together_with_the_nearest_name() {
    let graph = tiny(5);
    let mut given = tensors(&graph);
    let moved = given.shift_remove("stem.conv.weight").unwrap();
    given.insert("stem.conv0.weight".into(), moved);
    given.insert("dw.bn.bias".into(), Tensor::from_f32([3], &[0.0; 3]).unwrap());
    given.insert("extra".into(), Tensor::from_f32([1], &[0.0]).unwrap());
    let mismatch = fit(&graph, &given, &Naming::own(), Head::Keep).unwrap_err();
    assert_eq!(mismatch.missing, ["stem.conv.weight"]);
    assert_eq!(mismatch.unexpected, ["stem.conv0.weight", "extra"]);
    assert_eq!(mismatch.misshapen, [("dw.bn.bias".into(), vec![3], vec![4])]);
    assert_eq!(
        mismatch.to_string(),
        "the tensors do not fit tiny
  1 missing:
    stem.conv.weight (nearest: stem.conv0.weight)
  2 unexpected:
    stem.conv0.weight
    extra
  1 misshapen:
    dw.bn.bias: [3], needs [4]"
    );
}

#[test]
fn counters_and_auxiliary_heads_are_left_out() {
    let graph = tiny(5);
    let mut given = tensors(&graph);
    for key in ["stem.bn.num_batches_tracked", "aux1.fc1.weight", "aux2.conv.bn.bias", "AuxLogits.fc.bias"] {
        given.insert(key.into(), Tensor::from_f32([1], &[1.0]).unwrap());
    }
    assert_eq!(fit(&graph, &given, &Naming::own(), Head::Keep).unwrap(), weights(&graph));
}

#[test]
fn a_background_class_is_dropped() {
    let with_background = tiny(1001);
    let fitted = fit(&tiny(1000), &tensors(&with_background), &Naming::own(), Head::Keep).unwrap();
    let all = weights(&with_background);
    assert_eq!(numbers(&fitted, "fc.weight"), numbers(&all, "fc.weight")[4..]);
    assert_eq!(numbers(&fitted, "fc.bias"), numbers(&all, "fc.bias")[1..]);
    assert!(fit(&tiny(5), &tensors(&tiny(6)), &Naming::own(), Head::Keep).is_err(), "only ImageNet has one");
}

#[test]
fn other_classes_renew_the_classifier_only_when_asked() {
    let given = tensors(&tiny(5));
    assert!(fit(&tiny(3), &given, &Naming::own(), Head::Keep).is_err());
    let renewed = fit(&tiny(3), &given, &Naming::own(), Head::Renew { seed: 1 }).unwrap();
    assert_eq!(body(&renewed), body(&weights(&tiny(5))));
    assert_eq!(numbers(&renewed, "fc.bias"), [0.0; 3]);
    let spread = numbers(&renewed, "fc.weight").iter().map(|x| x * x).sum::<f32>() / 12.0;
    assert!((0.05..0.75).contains(&spread), "variance {spread}, 1 / fan_in is 0.25");
    let again = fit(&tiny(3), &given, &Naming::own(), Head::Renew { seed: 1 }).unwrap();
    assert_eq!(again, renewed, "the same seed gives the same weights");
    let mut broken = given.clone();
    broken.shift_remove("stem.bn.bias");
    assert!(
        fit(&tiny(3), &broken, &Naming::own(), Head::Renew { seed: 1 }).is_err(),
        "the body must be whole"
    );
}

#[test]
fn tensorflows_layout_is_turned() {
    let graph = tiny(5);
    let turned = |param: Param| {
        let values = value(&param);
        let tensor = match param.shape[..] {
            [out, inputs, height, width] => {
                let mut data = vec![0.0; values.len()];
                for (i, x) in values.iter().enumerate() {
                    let (o, rest) = (i / (inputs * height * width), i % (inputs * height * width));
                    let (c, at) = (rest / (height * width), rest % (height * width));
                    data[(at * inputs + c) * out + o] = *x;
                }
                Tensor::from_f32([height, width, inputs, out], &data)
            }
            [out, inputs] => {
                let data: Vec<f32> = (0..inputs)
                    .flat_map(|c| (0..out).map(move |o| (c, o)))
                    .map(|(c, o)| values[o * inputs + c])
                    .collect();
                Tensor::from_f32([inputs, out], &data)
            }
            _ => Tensor::from_f32(param.shape.clone(), &values),
        };
        (param.name, tensor.unwrap())
    };
    let given: Tensors = graph.params().into_iter().map(turned).collect();
    let naming = Naming { channels_last: true, ..Naming::own() };
    assert_eq!(fit(&graph, &given, &naming, Head::Keep).unwrap(), weights(&graph));
}

#[test]
fn a_folded_network_computes_what_the_unfolded_one_did() {
    let graph = tiny(5);
    let whole = tensors(&graph);
    let mut folded = Tensors::new();
    for (number, (conv, norm)) in [("stem.conv", "stem.bn"), ("dw.conv", "dw.bn")].into_iter().enumerate() {
        let read = |name: String| whole[&name].to_f32().into_owned();
        let [weight, bias, mean, var] =
            ["weight", "bias", "running_mean", "running_var"].map(|tensor| read(format!("{norm}.{tensor}")));
        let kernel = read(format!("{conv}.weight"));
        let size = kernel.len() / 4;
        let scale: Vec<f32> = (0..4).map(|c| weight[c] / (var[c] + 1e-5).sqrt()).collect();
        let kernel: Vec<f32> = kernel.iter().enumerate().map(|(i, x)| x * scale[i / size]).collect();
        let shift: Vec<f32> = (0..4).map(|c| bias[c] - mean[c] * scale[c]).collect();
        let kind = ["conv", "dw"][number];
        let shape = whole[&format!("{conv}.weight")].shape().to_vec();
        folded.insert(format!("{number:02}.{kind}.weight"), Tensor::from_f32(shape, &kernel).unwrap());
        folded.insert(format!("{number:02}.{kind}.bias"), Tensor::from_f32([4], &shift).unwrap());
    }
    for tensor in ["weight", "bias"] {
        folded.insert(format!("02.conv.{tensor}"), whole[&format!("fc.{tensor}")].clone());
    }
    let fitted = fit(&graph, &folded, &naming_by_execution(&graph), Head::Keep).unwrap();
    let image = synthetic("input", 3 * 16 * 16, |v| v);
    let run =
        |weights: WeightSet| Classifier::new(Model { weights, ..model(5) }).unwrap().logits(&image).unwrap();
    for (folded, whole) in run(fitted).iter().zip(run(weights(&graph))) {
        assert!((folded - whole).abs() < 1e-5, "{folded} {whole}");
    }
}

#[test]
fn a_zoo_checkpoint_is_recognised_by_its_tensors_and_keeps_its_class_count() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.safetensors");
    let network = cygnet::zoo::find("squeezenet1_1").unwrap();
    let spec = cygnet::zoo::Spec { classes: 7, ..network.spec() };
    let graph = (network.row.build)(&spec).unwrap();
    write(&path, &tensors(&graph));
    let model = Model::convert(&path, Some("squeezenet1_1"), None).unwrap();
    assert_eq!((model.id.as_str(), model.graph.classes()), ("squeezenet1_1", 7));
    assert!(model.labels.is_empty());
    let model = Model::convert(&path, Some("squeezenet1_1"), Some(3)).unwrap();
    assert_eq!(model.graph.classes(), 3);
    assert_eq!(Model::open(&path).unwrap().id, "squeezenet1_1", "pytorchcv's with bypass has other names");
    let error = Model::convert(&path, Some("mobilenet_v2"), None).unwrap_err().to_string();
    assert!(error.contains("the tensors do not fit mobilenet_v2") && error.contains("missing"), "{error}");
    write(&path, &tensors(&cygnet::network("squeezenet1_0").unwrap().build().unwrap()));
    let error = Model::open(&path).unwrap_err();
    let Error::Ambiguous { ids, .. } = &error else { panic!("{error}") };
    assert_eq!(ids, &["squeezenet1_0", "squeezenet1_0_caffe"]);
    assert!(error.to_string().contains("MODEL.safetensors --network squeezenet1_0_caffe"), "{error}");
    write(&path, &tensors(&tiny(5)));
    assert!(matches!(Model::convert(&path, None, None), Err(Error::Unrecognised { .. })));
    let network = cygnet::network("shufflenet_v2_official_0.5").unwrap();
    write(&path, &tensors(&network.build().unwrap()));
    assert_eq!(Model::open(&path).unwrap().id, "shufflenet_v2_official_0.5");
}

#[test]
fn a_model_file_keeps_its_record_and_may_get_other_classes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny.safetensors");
    model(5).write(&path).unwrap();
    let changed = Model::convert(&path, None, Some(3)).unwrap();
    assert_eq!(
        (changed.graph.classes(), changed.id.as_str(), changed.licence.as_deref()),
        (3, "tiny", Some("MIT"))
    );
    assert_eq!(body(&changed.weights), body(&model(5).weights));
    assert!(changed.labels.is_empty());
    assert_eq!(Model::convert(&path, None, Some(5)).unwrap().labels.len(), 5);
    let error = Model::convert(&path, Some("mobilenet_v2"), None).unwrap_err().to_string();
    assert!(error.ends_with("is a model of tiny, not of mobilenet_v2; leave out --network"), "{error}");
}

#[test]
fn the_bytes_of_a_file_are_the_model_of_that_file() {
    let folder = tempfile::tempdir().unwrap();
    let (own, bare) = (folder.path().join("own.safetensors"), folder.path().join("bare.pth"));
    model(5).write(&own).unwrap();
    write(&bare, &tensors(&cygnet::network("squeezenet1_1").unwrap().build().unwrap()));
    for path in [own, bare] {
        let (bytes, name) = (std::fs::read(&path).unwrap(), path.file_name().unwrap().to_str().unwrap());
        let (opened, given) = (Model::open(&path).unwrap(), Model::from_bytes(name, bytes).unwrap());
        assert_eq!(
            (opened.id, opened.graph, opened.labels, opened.source),
            (given.id, given.graph, given.labels, given.source)
        );
        for (name, tensor) in opened.weights.iter() {
            assert_eq!(given.weights.get(name).unwrap().to_f32(), tensor.to_f32(), "{name}");
        }
    }
    let error = Model::from_bytes("there.onnx", b"nothing".to_vec()).unwrap_err();
    assert!(error.to_string().contains("there.onnx"), "{error}");
}

#[test]
fn provenance_is_claimed_only_for_the_published_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mobilenet_v2-b0353104.pth");
    write(&path, &tensors(&cygnet::network("mobilenet_v2").unwrap().build().unwrap()));
    let model = Model::convert(&path, Some("mobilenet_v2"), None).unwrap();
    assert_eq!((model.licence, model.accuracy), (None, None));
    assert_eq!(model.source.as_deref(), Some("mobilenet_v2-b0353104.pth"));
}

#[test]
fn an_output_that_is_no_probability_is_an_error() {
    let mut broken = model(5);
    let mut bias = numbers(&broken.weights, "fc.bias");
    bias[2] = f32::NAN;
    broken.weights.insert("fc.bias", Tensor::from_numbers([5], bias).unwrap());
    let picture = cygnet::image::Image::from_rgb(16, 16, vec![9; 16 * 16 * 3]).unwrap();
    let input = broken.preprocess.apply(&picture).unwrap();
    let classifier = Classifier::new(broken).unwrap();
    assert!(classifier.logits(&input).unwrap()[2].is_nan());
    let mut bmp = b"BM".to_vec();
    for field in [58u32, 0, 54, 40, 1, 1, 1 | (24 << 16), 0, 4, 0, 0, 0, 0, 0] {
        bmp.extend(field.to_le_bytes());
    }
    let error = classifier.classify(&bmp, 5).unwrap_err().to_string();
    assert_eq!(
        error,
        "the output of tiny is not finite; its weights are damaged or not those of this network"
    );
}

#[test]
fn an_embedding_is_what_the_classifier_reads() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("photo.png");
    let pixels = (0..20 * 18 * 3).map(|i| (i * 37 % 251) as u8).collect();
    let picture = cygnet::image::Image::from_rgb(20, 18, pixels).unwrap();
    std::fs::write(&path, picture.to_png().unwrap()).unwrap();
    let model = model(5);
    let [weight, bias] = ["fc.weight", "fc.bias"].map(|name| numbers(&model.weights, name));
    let classifier = Classifier::new(model).unwrap();
    let embedding = classifier.embed(&path).unwrap();
    assert_eq!(embedding.len(), 4);
    let logits = classifier.logits(&classifier.model().preprocess.apply(&picture).unwrap()).unwrap();
    for (row, (logit, bias)) in weight.chunks_exact(4).zip(logits.iter().zip(&bias)) {
        let again = row.iter().zip(&embedding).map(|(w, x)| w * x).sum::<f32>() + bias;
        assert!((logit - again).abs() < 1e-5, "{logit} {again}");
    }
}

#[test]
fn a_classifier_over_pixels_has_the_embedding_of_their_mean() {
    let network = cygnet::network("squeezenet1_1").unwrap();
    let graph = network.build().unwrap().resized(64, 64).unwrap();
    let weights = WeightSet::of(&graph, cygnet::bench::random_weights(&graph)).unwrap();
    let preprocess = cygnet::preprocess(&network.preset(), graph.input_shape());
    let classifier = Classifier::new(Model::new(graph, weights, preprocess).unwrap()).unwrap();
    let picture = cygnet::image::Image::from_rgb(64, 64, vec![77; 64 * 64 * 3]).unwrap();
    assert_eq!(classifier.embed_image(&picture).unwrap().len(), 512);
    let maps = classifier.features_image(&picture).unwrap();
    let strides: Vec<usize> = maps.iter().map(|map| map.stride).collect();
    assert!(strides.is_sorted() && strides.len() > 2, "{strides:?}");
    assert!(maps.iter().all(|map| map.values.len() == map.shape.iter().product::<usize>()));
}

#[test]
fn a_model_of_ones_own_graph_must_fit_it() {
    let (graph, preprocess) = (tiny(5), model(5).preprocess);
    let made = Model::new(graph.clone(), weights(&graph), preprocess.clone()).unwrap();
    assert_eq!((made.id.as_str(), made.labels.len()), ("tiny", 0));
    let mut short = lists(&graph);
    short.pop();
    let refused_lists = |lists| WeightSet::of(&graph, lists).unwrap_err().to_string();
    let refused = |weights, preprocess: &Preprocess| {
        Model::new(graph.clone(), weights, preprocess.clone()).unwrap_err().to_string()
    };
    assert!(refused_lists(short.clone()).contains("parameters for the"));
    short.push(vec![0.0; 1]);
    assert!(refused_lists(short).contains("1 numbers for fc.bias"));
    assert!(refused(weights(&tiny(6)), &preprocess).contains("fc.weight"));
    assert_eq!(refused(WeightSet::default(), &preprocess), "tiny: there is no stem.conv.weight");
    let other = preprocess.resized(32, 32).unwrap();
    assert!(refused(weights(&graph), &other).contains("the network reads 3x16x16"));
}

#[test]
fn a_map_for_an_output_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("map.safetensors");
    let graph =
        Graph::build("map", [3, 16, 16], |net, image| net.at("conv").conv(image, Conv::new(5, 3))).unwrap();
    Model { weights: weights(&graph), graph, ..model(5) }.write(&path).unwrap();
    let error = Model::open(&path).unwrap_err().to_string();
    assert!(error.ends_with("its output is [5, 16, 16], not one number a class"), "{error}");
}

#[test]
fn an_unknown_network_is_answered_with_the_nearest_names() {
    let error = cygnet::network("mobilnet_v2").unwrap_err().to_string();
    assert!(error.contains("did you mean mobilenet_v2"), "{error}");
}

proptest! {
    #[test]
    fn a_damaged_model_file_is_an_error_or_a_model_but_never_a_panic(
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0..8u8), 1..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
        header in any::<bool>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tiny.safetensors");
        model(5).write(&path).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        let end = if header { 4000.min(bytes.len()) } else { bytes.len() };
        for (at, bit) in flips {
            bytes[at.index(end)] ^= 1 << bit;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        std::fs::write(&path, &bytes).unwrap();
        if let Ok(model) = Model::open(&path) {
            let _ = Classifier::new(model);
        }
    }
}
