//! Writes the first files of `fuzz/corpus` whose formats are Cygnet's own; `fuzz/seeds.py` writes the others.
#![allow(clippy::unwrap_used, reason = "who runs it sees a panic")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use cygnet::latency::{Clocked, Device, Growing, Measured, Role, work_of};
use cygnet::runtime::Level;
use cygnet::train::Recipe;
use cygnet::zoo::{Spec, keymap::SAME_KEYS};
use cygnet::{Model, Precision, Quantizing};
use cygnet_graph::{Conv, Graph, Pool};
use cygnet_image::{Interpolation, Preprocess};
use cygnet_weights::{Tensor, WeightSet, safetensors};
use serde_json::{Value, json};

fn keep(target: &str, name: &str, bytes: &[u8]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(format!("seed-{name}")), bytes).unwrap();
}

fn main() {
    let graph = Graph::build("seed", [3, 8, 8], |net, image| {
        let x = net
            .at("stem.bn")
            .batch_norm(net.at("stem.conv").conv(image, Conv::new(4, 3).stride(2)))
            .hard_swish();
        let [left, right] = net.at("stem").feature(x).halves();
        let y = net.at("dw").depthwise(left, Conv::new(0, 3)).relu6();
        let x = right.concat(&[y]).channel_shuffle(2).pool(Pool::max(3, 2).pad(1).ceil());
        let gate = net.at("se").conv(x.global_avg_pool(), Conv::new(4, 1).bias()).hard_sigmoid();
        net.at("head").linear(x.adaptive_avg_pool([1, 1]), 2).auxiliary(0.3);
        net.at("fc").linear((x * gate + x).global_avg_pool().dropout(0.2), 2)
    })
    .unwrap();
    keep("graph_json", "heads", graph.to_json().to_string().as_bytes());
    let graph = graph.without_auxiliary();
    keep("graph_json", "bare", graph.to_json().to_string().as_bytes());
    let softmax = Graph::build("soft", [1, 4, 4], |net, image| {
        let x = net.at("fc").linear(image.scale(vec![2.0], vec![-1.0]).upsample_like(image), 3);
        x.softmax()
    });
    keep("graph_json", "softmax", softmax.unwrap().to_json().to_string().as_bytes());
    let small = made(graph, Preprocess::imagenet(8, 1.0, Interpolation::Bilinear));
    keep("model_file", "small", &bytes(&small));
    for (name, precision) in [("int8", Precision::Int8), ("bf16", Precision::Bf16)] {
        let how = Quantizing { precision, images: 2, ..Quantizing::default() };
        let quantized = cygnet::quantize(&small, None, &how, &mut |_| {}).unwrap();
        keep("model_file", name, &bytes(&quantized.model));
    }
    let least = Graph::build("least", [3, 2, 2], |net, image| net.at("fc").linear(image, 1)).unwrap();
    let preprocess = Preprocess::imagenet(2, 1.0, Interpolation::Bilinear);
    keep("model_file", "least", &bytes(&made(least.clone(), preprocess.clone())));
    state(&least, &preprocess);
    latency();
    golden();

    keep("recipe", "whole", Recipe::named("scratch").unwrap().to_toml().as_bytes());
    keep("recipe", "based", b"base = \"finetune\"\ntrain = \"last-2\"\n[optimizer]\nkind = \"adamw\"\n");
    keep("recipe", "settings", b"base = \"scratch\"\nepochs = 3\n---\noptimizer.rate=0.1\nepochs=2\n");

    for number in 0..24u32 {
        let byte =
            |i: u32| (i.wrapping_mul(2_654_435_761).wrapping_add(number.wrapping_mul(40_503)) >> 11) as u8;
        keep("networks", &number.to_string(), &(0..20 + 8 * number).map(byte).collect::<Vec<u8>>());
    }
}

fn made(graph: Graph, preprocess: Preprocess) -> Model {
    let numbers = graph.params().into_iter().map(|param| vec![0.25; param.shape.iter().product()]);
    let weights = WeightSet::of(&graph, numbers).unwrap();
    Model::new(graph, weights, preprocess).unwrap()
}

/// The bytes of a model file.
fn bytes(model: &Model) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("seed.safetensors");
    model.write(&path).unwrap();
    fs::read(path).unwrap()
}

/// A latency table of a network that took a millisecond, and of one that has nothing but a device.
fn latency() {
    let graph = Graph::build("timed", [3, 8, 8], |net, image| {
        let x = net.at("stem").conv(image, Conv::new(4, 3).stride(2)).relu6();
        net.at("fc").linear(net.at("dw").depthwise(x, Conv::new(0, 3)).global_avg_pool(), 2)
    });
    let options = Level::Scalar.into();
    let device =
        Device { version: "1".into(), cpu: "seed".into(), l2_bytes: 1 << 20, ..Device::this(options, 1) };
    let work = work_of(&graph.unwrap(), options).unwrap();
    let steps = vec![0.1; work.steps.len()];
    let clocked = Clocked { ms: 1.0, steps, spread: 0.01, is_disturbed: false, peak_gflops: 100.0 };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("seed.jsonl");
    let (mut file, mut table) = Growing::begin(&path, &device).unwrap();
    keep("latency", "device", &fs::read(&path).unwrap());
    let network = Measured::new("made", 0, "timed", Role::Fit, &work, &clocked);
    file.network(&network).unwrap();
    let network = Measured { role: Role::Steps, ..network };
    file.network(&network).unwrap();
    table.insert(network);
    file.fit(&table.fit("made", [3, 8, 8]).unwrap()).unwrap();
    keep("latency", "corrected", &fs::read(&path).unwrap());
}

/// The state of a run that ended after an epoch, without the optimiser's tensors.
fn state(graph: &Graph, preprocess: &Preprocess) {
    let recipe = Recipe { epochs: 1, ..Recipe::named("scratch").unwrap() };
    let record = json!({
        "format": 1, "network": "least", "graph": graph.to_json(), "preprocess": preprocess, "labels": ["a"],
        "written_by": "cygnet",
    });
    let epoch = json!({
        "epoch": 1, "loss": 0.5, "accuracy": 50.0, "rate": 0.1, "validation_loss": 0.5, "validation_top1": 50.0,
        "validation_top5": 50.0, "best": true,
    });
    let progress = json!({
        "version": 1, "recipe": recipe, "record": record, "fingerprint": 1, "epoch": 1, "step": 0, "steps": 2,
        "seconds": 2.5, "sums": { "loss": 0.0, "right": 0, "images": 0, "seconds": 0.0 }, "history": [epoch],
        "best": 1, "ended": "finished",
    });
    let tensors = graph.params().into_iter().map(|param| {
        let values = vec![0.5; param.shape.iter().product()];
        (format!("weights/{}", param.name), Tensor::from_f32(param.shape, &values).unwrap())
    });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("seed.state.safetensors");
    let metadata = BTreeMap::from([("cygnet-run".to_owned(), progress.to_string())]);
    safetensors::write(&path, &tensors.collect(), &metadata).unwrap();
    keep("state", "least", &fs::read(path).unwrap());
}

/// Golden files of a small network that are complete: they are run, though nothing computes what they say.
fn golden() {
    let network = cygnet::network("pytorchcv/fdmobilenet_wd4").unwrap();
    let spec = Spec { image: [3, 17, 17], classes: 2, ..network.spec() };
    let graph = (network.row.build)(&spec).unwrap();
    let keys = network.keys.unwrap_or(&SAME_KEYS);
    let rows: Vec<Value> =
        graph.params().iter().map(|param| json!([keys.key(&param.name), param.shape, "weight"])).collect();
    let both = json!({
        "source": "pytorchcv", "model": "fdmobilenet_wd4", "input_shape": [2, 3, 17, 17], "gain": 1.4,
        "state_dict": rows,
    });
    let inference = json!({
        "logits": [0.5, 0.25, 0.5, 0.25], "logits_std": 0.5, "max_abs_diff_f32_f64": 1e-6,
        "trace": [["features.init_block", [1, 8, 9, 9], 0.0, 1.0, [0.0]]],
    });
    let table = json!([["features.init_block.conv.weight", [], [], 0.5, [0.1], 1e-7, 0.0]]);
    let steps = json!({ "lr": 0.01, "losses": [0.7], "losses_f64": [0.7], "losses_spread": [0.0] });
    let mut gradients = json!({
        "labels": [1, 0], "logits": [[0.0, 0.0]], "bn_momentum": [0.1],
        "optimizer": {
            "name": "sgd", "lr": 0.1, "momentum": 0.9, "weight_decay": 1e-4, "dampening": 0.0, "nesterov": false,
        },
        "frozen_input_shape": [2, 3, 17, 17], "gentle_steps": steps, "frozen_steps": steps,
    });
    for run in ["", "step1_", "step2_", "frozen_"] {
        for number in ["loss", "loss_f64", "loss_spread"] {
            gradients[format!("{run}{number}")] = 0.7.into();
        }
    }
    for name in ["gradients", "step1_params", "step1_gradients", "frozen_gradients", "frozen_steps_params"] {
        gradients[name] = table.clone();
    }
    for (name, own) in [("complete", inference), ("complete-gradients", gradients)] {
        let mut file = both.clone();
        file.as_object_mut().unwrap().extend(own.as_object().unwrap().clone());
        keep("golden", name, file.to_string().as_bytes());
    }
}
