//! Writes the first files of `fuzz/corpus` whose formats are Cygnet's own; `fuzz/seeds.py` writes the others.
#![allow(clippy::unwrap_used, reason = "who runs it sees a panic")]

use std::fs;
use std::path::Path;

use cygnet::Model;
use cygnet::train::Recipe;
use cygnet_graph::{Conv, Graph, Pool};
use cygnet_image::{Interpolation, Preprocess};

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
    let weights =
        graph.params().iter().map(|param| vec![0.25; param.shape.iter().product()].into()).collect();
    let preprocess = Preprocess::imagenet(8, 1.0, Interpolation::Bilinear);
    let model = Model::new(graph, weights, preprocess).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("seed.safetensors");
    model.write(&path).unwrap();
    keep("model_file", "small", &fs::read(path).unwrap());

    for (name, _) in Recipe::built_in() {
        keep("recipe", name, Recipe::named(name).unwrap().to_toml().as_bytes());
    }
    keep("recipe", "settings", b"base = \"scratch\"\nepochs = 3\n---\noptimizer.rate=0.1\nepochs=2\n");

    for number in 0..24u32 {
        let byte =
            |i: u32| (i.wrapping_mul(2_654_435_761).wrapping_add(number.wrapping_mul(40_503)) >> 11) as u8;
        keep("networks", &number.to_string(), &(0..20 + 8 * number).map(byte).collect::<Vec<u8>>());
    }
}
