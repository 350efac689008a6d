//! Photos named, and accuracy measured.

use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use cygnet::Model;
use cygnet::graph::{Conv, Graph, Padding};
use cygnet::image::{Interpolation, Preprocess};
use cygnet::weights::WeightSet;
use serde_json::Value;

use super::{Bench, MODEL, Run};

#[test]
fn photos_are_classified_and_an_unreadable_one_does_not_end_the_rest() {
    let bench = Bench::new().with_model();
    bench.picture("photos/a.bmp", 250);
    bench.picture("photos/c/d.bmp", 3);
    std::fs::write(bench.path("photos/b.jpg"), b"not a photo").unwrap();
    let run = bench.run(&["classify", MODEL[0], MODEL[1], "--json", "photos", "missing.png", "photos/*.bmp"]);
    assert_eq!(run.code, 1);
    let lines = run.json();
    let seen: Vec<_> = lines
        .iter()
        .filter(|line| line["error"].is_null())
        .map(|line| (line["path"].as_str().unwrap(), line["top"][0]["label"].as_str().unwrap()))
        .collect();
    let path = |name: &str| Path::new("photos").join(name).to_string_lossy().into_owned();
    let (a, d) = (path("a.bmp"), path("c/d.bmp"));
    assert_eq!(seen, [(a.as_str(), "bright"), (d.as_str(), "dark"), (a.as_str(), "bright")]);
    assert!(run.err.contains("b.jpg") && run.err.contains("missing.png"), "{}", run.err);
    let first = &lines[0];
    assert_eq!(first["model"], "light.safetensors");
    assert_eq!(first["top"].as_array().unwrap().len(), 2);
    assert_eq!(first["top"][0]["index"], 1);
    assert!(first["top"][0]["probability"].as_f64().unwrap() > 0.9);
    for part in ["decode", "prepare", "infer"] {
        assert!(first["ms"][part].as_f64().unwrap() >= 0.0);
    }
}

#[test]
fn the_number_of_threads_changes_no_answer_and_the_rate_is_talk() {
    let bench = Bench::new().with_model();
    for index in 0..40 {
        bench.picture(&format!("photos/{index:02}.bmp"), index * 6);
    }
    std::fs::write(bench.path("photos/20.bmp"), b"not a photo").unwrap();
    let [one, two, seven, auto] = ["1", "2", "7", "auto"].map(|threads| {
        let run = bench.run(&["classify", MODEL[0], MODEL[1], "--json", "--threads", threads, "photos"]);
        assert_eq!(run.code, 1);
        assert!(run.err.contains("20.bmp") && run.err.contains("39 images in "), "{}", run.err);
        let mut lines = run.json();
        lines.iter_mut().for_each(|line| line["ms"] = Value::Null);
        assert_eq!(lines.iter().filter(|line| line["error"].is_string()).count(), 1);
        lines.retain(|line| line["error"].is_null());
        lines
    });
    assert_eq!(one.len(), 39);
    assert!(one.is_sorted_by_key(|line| line["path"].as_str().unwrap()));
    assert_eq!((&two, &seven, &auto), (&one, &one, &one));
}

#[test]
fn standard_input_is_a_photo_too() {
    let bench = Bench::new().with_model();
    bench.picture("a.bmp", 250);
    let mut child = bench
        .command(&["classify", MODEL[0], MODEL[1], "--json", "--top", "1", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&std::fs::read(bench.path("a.bmp")).unwrap()).unwrap();
    let run = Run::of(child.wait_with_output().unwrap());
    assert_eq!((run.code, run.json()[0]["path"].as_str()), (0, Some("-")));
    assert_eq!(run.json()[0]["top"].as_array().unwrap().len(), 1);
    let run = bench.run(&["classify", MODEL[0], MODEL[1], "-"]);
    assert!(run.code == 1 && run.err == "error: standard input is empty\n", "{}", run.err);
}

#[test]
fn formats_are_told_that_are_read() {
    let bench = Bench::new().with_model();
    std::fs::create_dir(bench.path("none")).unwrap();
    std::fs::write(bench.path("a.jpg"), "text").unwrap();
    for photo in ["none", "a.jpg"] {
        let run = bench.run(&["classify", MODEL[0], MODEL[1], photo]);
        assert!(run.code == 1 && run.err.contains("GIF, BMP"), "{}", run.err);
    }
}

#[test]
fn people_get_a_table_with_bars_and_times_but_no_colours_in_a_pipe() {
    let bench = Bench::new().with_model();
    bench.picture("a.bmp", 250);
    let run = bench.run(&["classify", MODEL[0], MODEL[1], "a.bmp"]);
    assert!(
        run.out.starts_with("a.bmp  decode ") && run.out.contains('█') && run.out.contains("bright"),
        "{}",
        run.out
    );
    assert!(!run.out.contains('\u{1b}'));
}

#[test]
fn accuracy_is_measured_by_label_and_index() {
    let bench = Bench::new().with_model();
    for (name, grey) in
        [("val/Bright/1.bmp", 250), ("val/bright/2.bmp", 255), ("val/0/3.bmp", 1), ("val/dark/4.bmp", 200)]
    {
        bench.picture(name, grey);
    }
    let run = bench.run(&["eval", MODEL[0], MODEL[1], "--json", "val"]);
    let json = &run.json()[0];
    assert_eq!((&json["images"], &json["top1"], &json["top5"]), (&4.into(), &75.0.into(), &100.0.into()));
    assert_eq!(json["confusion"], serde_json::json!([[1, 1], [0, 2]]));
    assert_eq!(json["confused"], serde_json::json!([{"class": "dark", "guess": "bright", "count": 1}]));
    assert_eq!(json["classes"][1]["recall"], 100.0);
    assert!(json["calibration_error"].as_f64().is_some_and(|error| error > 0.0 && error < 100.0), "{json}");
    assert_eq!(run.code, 0);
    let run = bench.run(&["eval", MODEL[0], MODEL[1], "val"]);
    assert!(run.out.contains("calibration error") && run.out.contains("right \\ guess"), "{}", run.out);
    bench.picture("val/3/5.bmp", 1);
    let run = bench.run(&["eval", MODEL[0], MODEL[1], "val"]);
    assert!(run.err.contains("3 is no class of this model, which has 2: dark, bright"), "{}", run.err);
    std::fs::remove_dir_all(bench.path("val/3")).unwrap();
    bench.picture("val/purple/5.bmp", 1);
    let run = bench.run(&["eval", MODEL[0], MODEL[1], "val"]);
    assert_eq!(run.code, 1);
    assert!(run.err.contains("purple is no class of this model"), "{}", run.err);
    assert_eq!(bench.run(&["eval", MODEL[0], MODEL[1], "none"]).code, 1);
}

/// A GIF of one frame as large as it claims, whose pixels end early.
fn large_gif(width: u16, height: u16) -> Vec<u8> {
    let [width, height] = [width, height].map(u16::to_le_bytes);
    let mut bytes = b"GIF89a".to_vec();
    bytes.extend([width, height].concat());
    bytes.extend([0x80, 0, 0, 0, 0, 0, 255, 255, 255, b',', 0, 0, 0, 0]);
    bytes.extend([width, height].concat());
    bytes.extend([0, 2, 1, 0x44, 0, b';']);
    bytes
}

#[cfg(target_os = "linux")]
#[test]
fn where_memory_is_short_a_picture_a_checkpoint_and_a_run_are_refused_and_the_rest_goes_on() {
    let bench = Bench::new().with_model();
    bench.picture("photos/a/1.bmp", 250);
    bench.picture("photos/b/1.bmp", 2);
    std::fs::write(bench.path("large.gif"), large_gif(16_000, 15_000)).unwrap();
    // A million empty lists, each in the list of the last.
    let pickle = [&b"\x80\x02"[..], &b"]q\0".repeat(1 << 20), &b"a".repeat((1 << 20) - 1), b"."].concat();
    std::fs::write(bench.path("deep.pkl"), pickle).unwrap();
    let photos = ["--json", "-j", "1", "large.gif", "photos/a/1.bmp"];
    let run = bench.within(400_000, &[&["classify", MODEL[0], MODEL[1]][..], &photos].concat());
    assert!(run.code == 1 && run.err.contains("large.gif: decoding takes 916 MB of memory"), "{}", run.err);
    assert_eq!(run.json()[1]["top"][0]["label"], "bright");
    for number in 0..300 {
        bench.picture(&format!("many/{number}.bmp"), 250);
    }
    let run = bench.within(400_000, &["classify", MODEL[0], MODEL[1], "--json", "-j", "1000", "many"]);
    assert_eq!((run.code, run.json().len()), (0, 300), "{}", run.err);
    let run = bench.within(200_000, &["classify", "--model", "deep.pkl", "photos/a/1.bmp"]);
    assert!(run.code == 1 && run.err.contains("deep.pkl: damaged pickle"), "{}", run.err);
    let large = ["--from", "scratch", "--image", "1024", "--epochs", "1", "-j", "1", "--set", "validation=0"];
    let run = bench.within(400_000, &[&["train", "photos"][..], &large].concat());
    assert!(run.code == 1 && run.err.contains("more than there may be"), "{}", run.err);
}

#[cfg(target_os = "linux")]
#[test]
fn threads_that_take_much_memory_take_turns() {
    let bench = Bench::new();
    let graph = Graph::build("wide", [3, 8, 8], |net, image| {
        let wide = Conv::new(16, 1).padding(Padding::symmetric(0, 65_535));
        net.at("fc").linear(net.at("conv").conv(image, wide).global_avg_pool(), 2)
    });
    let graph = graph.unwrap();
    let weights: Vec<Vec<f32>> =
        graph.params().iter().map(|param| vec![1.0; param.shape.iter().product()]).collect();
    let weights = WeightSet::of(&graph, weights).unwrap();
    let preprocess = Preprocess::imagenet(8, 1.0, Interpolation::Bilinear);
    let model = Model { id: "wide".into(), ..Model::new(graph, weights, preprocess).unwrap() };
    model.write(bench.path("wide.safetensors")).unwrap();
    for number in 0..24 {
        bench.picture(&format!("photos/0/{number}.bmp"), 250);
    }
    for args in [
        &["classify", "--model", "wide.safetensors", "-j", "24", "photos/0"][..],
        &["eval", "--model", "wide.safetensors", "-j", "24", "photos"],
    ] {
        let run = bench.within(1_500_000, args);
        assert_eq!(run.code, 0, "{}", run.err);
        assert!(run.err.contains("the network takes much memory: "), "{}", run.err);
    }
    let quantize = ["quantize", "wide.safetensors", "--data", "photos", "-j", "24"];
    let refused = bench.within(1_500_000, &quantize);
    assert!(refused.code == 1 && refused.err.contains("raise it with --memory"), "{}", refused.err);
}
