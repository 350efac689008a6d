//! One network of every family goes out as an ONNX file and comes back: the same weights to the bit under the same names,
//! the same answers, and the zoo's network again.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashSet;
use std::path::Path;

use cygnet::bench::random_weights;
use cygnet::graph::{Conv, Graph};
use cygnet::image::{Interpolation, Preprocess};
use cygnet::runtime::Session;
use cygnet::weights::WeightSet;
use cygnet::zoo::{Network, find, networks};
use cygnet::{Conversion, Model, OnnxSettings};

/// What answers may differ by, of their spread: batch norms are merged in another order.
const TOLERANCE: f32 = 1e-5;

fn model(network: &Network) -> Model {
    let graph = network.build().unwrap();
    let weights = WeightSet::of(&graph, random_weights(&graph)).unwrap();
    let preprocess = cygnet::preprocess(&network.preset(), graph.input_shape());
    Model { id: network.id.clone(), ..Model::new(graph, weights, preprocess).unwrap() }
}

fn answer(model: &Model) -> Vec<f32> {
    let count = model.graph.input_shape().iter().product::<usize>();
    let image: Vec<f32> = (0..count).map(|i| ((i * 37 % 101) as f32 - 50.0) / 50.0).collect();
    let mut session = Session::new(model.plan().unwrap());
    let mut output = vec![0.0; session.outputs()];
    session.run(&image, &mut output).unwrap();
    output
}

fn back(model: &Model, settings: &OnnxSettings, folder: &Path) -> Model {
    let path = folder.join("out.onnx");
    model.write_onnx(&path, settings).unwrap();
    Conversion::default().run(&path).unwrap().model
}

fn assert_near(ours: &[f32], theirs: &[f32], tolerance: f32, what: &str) {
    let spread =
        ours.iter().copied().fold(f32::MIN, f32::max) - ours.iter().copied().fold(f32::MAX, f32::min);
    let worst = ours.iter().zip(theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(ours.len() == theirs.len() && worst <= tolerance * spread, "{what}: {worst} of {spread}");
}

#[test]
fn a_network_of_every_family_comes_back_as_it_went_out() {
    let folder = tempfile::tempdir().unwrap();
    let mut families = HashSet::new();
    for network in networks().filter(|network| families.insert(network.row.family)) {
        let model = model(&network);
        let returned = back(&model, &OnnxSettings::default(), folder.path());
        for (name, tensor) in model.weights.iter() {
            let other =
                returned.weights.get(name).unwrap_or_else(|| panic!("{}: {name} is lost", network.id));
            assert!(tensor.to_f32() == other.to_f32(), "{}: {name} differs", network.id);
        }
        assert_eq!((&returned.id, returned.weights.len()), (&model.id, model.weights.len()));
        assert_eq!(returned.preprocess, model.preprocess, "{}", network.id);
        assert_near(&answer(&model), &answer(&returned), TOLERANCE, &network.id);
    }
}

fn small() -> Model {
    let graph = Graph::build("small", [3, 16, 16], |net, image| {
        let x = net.at("stem").conv(image, Conv::new(8, 3).stride(2)).hard_swish();
        net.at("fc").linear(x.global_avg_pool(), 4)
    });
    let graph = graph.unwrap();
    let weights = WeightSet::of(&graph, random_weights(&graph)).unwrap();
    let mut model =
        Model::new(graph, weights, Preprocess::imagenet(16, 0.875, Interpolation::Bicubic)).unwrap();
    model.labels = ["a", "b", "c", "d"].map(str::to_owned).to_vec();
    model.licence = Some("CC0".into());
    model
}

#[test]
fn what_a_model_is_besides_its_graph_goes_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let model = small();
    let returned = back(&model, &OnnxSettings::default(), folder.path());
    assert_eq!((&returned.labels, &returned.licence), (&model.labels, &model.licence));
    assert_eq!((&returned.id, &returned.preprocess), (&model.id, &model.preprocess));
}

#[test]
fn a_named_network_that_the_layers_contradict_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.onnx");
    let named = |name: &str| Conversion { network: Some(name.into()), ..Conversion::default() }.run(&path);
    model(&find("mobilenet_v2_0.35").unwrap()).write_onnx(&path, &OnnxSettings::default()).unwrap();
    let refused = named("shufflenet_v2_x1_0").unwrap_err().to_string();
    assert!(
        refused.contains("is the network mobilenet_v2_0.35, not torchvision/shufflenet_v2_x1_0;"),
        "{refused}"
    );
    let converted = named("timm/mobilenetv2_035").unwrap();
    assert_eq!(converted.model.id, "mobilenet_v2_0.35");
    assert_eq!(converted.model.preprocess.interpolation, Interpolation::Bicubic, "as that source does");
    small().write_onnx(&path, &OnnxSettings::default()).unwrap();
    let notes = named("mobilenet_v2").unwrap().notes;
    assert!(
        notes.iter().any(|note| note.starts_with("photos are prepared as for mobilenet_v2; ")),
        "{notes:?}"
    );
}

#[test]
fn settings_of_a_file_change_what_goes_in_and_comes_out() {
    let folder = tempfile::tempdir().unwrap();
    let model = small();
    let half = back(&model, &OnnxSettings { half: true, ..OnnxSettings::default() }, folder.path());
    assert_near(&answer(&model), &answer(&half), 1e-2, "half");
    let ended = back(&model, &OnnxSettings { softmax: true, ..OnnxSettings::default() }, folder.path());
    assert!(ended.graph.gives_probabilities());
    let settings = OnnxSettings { preprocess: true, batch: Some(2), opset: 13, ..OnnxSettings::default() };
    let pixels = back(&model, &settings, folder.path());
    assert_eq!((pixels.preprocess.scale, &pixels.preprocess.mean), (1.0, &vec![0.0; 3]));
    let image =
        cygnet::image::Image { width: 16, height: 16, pixels: (0..768).map(|i| (i % 251) as u8).collect() };
    let run = |model: &Model| {
        let mut input = vec![0.0; 768];
        model.preprocess.normalize_into(&image, &mut input).unwrap();
        let mut session = Session::new(model.plan().unwrap());
        let mut output = vec![0.0; 4];
        session.run(&input, &mut output).unwrap();
        output
    };
    assert_near(&run(&model), &run(&pixels), TOLERANCE, "pixels");
}

/// The network with every layer that a quantiser could put on bytes on them.
fn in_bytes(model: &Model) -> Model {
    let how = cygnet::Quantizing { images: 4, ..cygnet::Quantizing::default() };
    cygnet::quantize(model, None, &how, &mut |_| {}).unwrap().model
}

#[test]
fn a_network_of_whole_numbers_comes_back_with_the_same_integers_and_answers() {
    let folder = tempfile::tempdir().unwrap();
    for id in ["mobilenet_v2_0.35", "mobilenet_v3_small", "shufflenet_v2_0.5", "squeezenet1_1"] {
        let network = networks().find(|network| network.id == id).unwrap_or_else(|| panic!("{id}"));
        let model = in_bytes(&model(&network).with_image_size(64, 64).unwrap());
        let returned = back(&model, &OnnxSettings::default(), folder.path());
        let [record, other] = [&model, &returned].map(|model| model.quantization.as_ref().unwrap());
        assert_eq!(
            (record.values.len(), record.weights.len()),
            (other.values.len(), other.weights.len()),
            "{id}"
        );
        for (name, tensor) in model.weights.iter().filter(|(name, _)| record.weights.contains_key(*name)) {
            assert!(Some(tensor) == returned.weights.get(name), "{id}: {name} differs");
            assert_eq!(record.weights[name].scales, other.weights[name].scales, "{id}: {name}");
        }
        assert!(answer(&model) == answer(&returned), "{id}: other answers");
    }
}

#[test]
fn an_ncnn_file_is_read_with_the_numbers_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.ncnn.param");
    let text = "7767517\n3 3\nInput in0 0 1 in0 0=8 1=8 2=3\nConvolution stem 1 1 in0 1 0=4 1=3 4=1 5=1 6=108 9=1\n\
                InnerProduct fc 1 1 1 out0 0=2 1=0 2=512\n";
    std::fs::write(&path, text).unwrap();
    let error = Model::open(&path).unwrap_err().to_string();
    assert!(error.contains("net.ncnn.bin, which is not beside it"), "{error}");
    let numbers = vec![0u8; 4 + 4 * 108 + 4 * 4 + 4 + 4 * 512];
    std::fs::write(folder.path().join("net.ncnn.bin"), numbers).unwrap();
    let model = Model::open(&path).unwrap();
    assert_eq!((model.graph.input_shape(), model.graph.classes()), ([3, 8, 8], 2));
    assert!(
        Model::from_bytes("net.param", text.into()).unwrap_err().to_string().contains(".bin file beside it")
    );
}
