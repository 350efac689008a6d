//! The zoo, networks, plans and kernels as they are shown.

use serde_json::Value;

use super::{Bench, MODEL, Run};

#[test]
fn the_zoo_is_listed_and_filtered_by_family() {
    let bench = Bench::new();
    let all = bench.run(&["list", "--json"]).json();
    assert!(all.len() > 1);
    let some = bench.run(&["list", "--family", "mobilenet-v2", "--json"]).json();
    assert!(some.iter().all(|line| line["family"] == "MobileNetV2") && !some.is_empty());
    let default = some.iter().find(|line| line["id"] == "mobilenet_v2").unwrap();
    assert_eq!((&default["params"], &default["macs"]), (&3_504_872.into(), &300_774_272.into()));
    let run = bench.run(&["list", "--family", "vgg"]);
    assert_eq!(run.code, 1);
    assert!(run.err.contains("mobilenetv2"), "{}", run.err);
}

#[test]
fn a_network_is_shown_with_its_cost_and_layers() {
    let bench = Bench::new();
    let run =
        bench.run(&["show", "mobilenet_v2_0.6", "--image", "160", "--classes", "10", "--layers", "--json"]);
    let line = &run.json()[0];
    for key in ["id", "family", "params", "macs", "activations", "input", "preprocess", "layers"] {
        assert!(!line[key].is_null(), "{key}");
    }
    assert_eq!(line["input"], serde_json::json!([3, 160, 160]));
    let layers = line["layers"].as_array().unwrap();
    let macs: u64 = layers.iter().map(|layer| layer["macs"].as_u64().unwrap()).sum();
    assert_eq!(macs, line["macs"].as_u64().unwrap());
    let shown = bench.run(&["show", "mobilenet_v2", "--layers"]).out;
    assert!(
        shown.contains("features.17 (1/32, 320 channels)") && shown.contains("shorter side to 256"),
        "{shown}"
    );
    assert!(shown.lines().all(|line| line.chars().count() <= 100), "{shown}");
    assert!(bench.run(&["show", "mobilenet_v2", "--json"]).json()[0].get("layers").is_none());
    let run = bench.run(&["show", "mobilnet_v2"]);
    assert_eq!(run.code, 1);
    assert!(run.err.contains("did you mean mobilenet_v2"), "{}", run.err);
    assert_eq!(bench.run(&["show", "mobilenet_v2", "--image", "1000000"]).code, 2);
    let bench = bench.with_model();
    assert_eq!(bench.run(&["show", MODEL[1], "--json"]).json()[0]["params"], 7);
}

#[test]
fn another_image_size_is_shown_with_what_is_done_to_photos_and_tiny_ones_are_told() {
    let bench = Bench::new().with_model();
    let shown = |network, side| bench.run(&["show", network, "--image", side, "--json"]);
    let run = shown("mobilenet_v2", "160");
    assert_eq!(run.json()[0]["preprocess"]["resize"]["shorter_side"]["side"], 183);
    assert_eq!(run.err, "");
    assert_eq!(shown("light.safetensors", "12").json()[0]["preprocess"]["size"], serde_json::json!([12, 12]));
    let tiny = shown("mobilenet_v2", "8");
    assert_eq!(tiny.json()[0]["input"], serde_json::json!([3, 8, 8]));
    assert!(
        tiny.err
            .contains("of 8x8 pixels its last layers see one place, for each of theirs is 32 pixels wide"),
        "{}",
        tiny.err
    );
    let timed = bench.run(&["bench", "mobilenet_v2", "--image", "1", "--seconds", "0", "--json"]);
    assert_eq!((timed.code, timed.json().len()), (0, 1), "{}", timed.err);
    let timed = bench.run(&["bench", "inception_v3", "--image", "1", "--seconds", "0"]);
    assert!(timed.code == 1 && timed.err.contains("use a larger image"), "{}", timed.err);
}

#[test]
fn a_plan_is_shown_with_a_line_a_step_and_the_rules_behind_it() {
    let bench = Bench::new();
    for (network, wanted) in [
        ("mobilenet_v2", "fold batch norm, fuse activation, pair depthwise"),
        ("shufflenet_v2_x1_0", "view concat shuffle slice\n"),
        ("googlenet", "max pool 3x3/2    64x56x56  max_pool"),
    ] {
        let shown = bench.run(&["show", network, "--plan"]).out;
        assert!(shown.contains(wanted), "{shown}");
        let line = &bench.run(&["show", network, "--plan", "--json"]).json()[0];
        let plan = &line["plan"];
        let steps = plan["steps"].as_array().unwrap();
        assert!(shown.contains(&format!("steps        {}\n", steps.len())), "{shown}");
        let macs: u64 = steps.iter().map(|step| step["macs"].as_u64().unwrap()).sum();
        assert_eq!(macs, line["macs"].as_u64().unwrap());
        assert!(plan["arena_bytes"].as_u64().unwrap() >= plan["lower_bound_bytes"].as_u64().unwrap());
        assert_eq!(steps[0]["nodes"][0]["rule"], Value::Null);
        assert_eq!(steps[0]["nodes"][1]["rule"], "fold batch norm");
    }
    let bench = bench.with_model();
    let shown = bench.run(&["show", MODEL[1], "--plan"]).out;
    assert!(shown.contains("linear as conv"), "{shown}");
}

#[test]
fn kernels_are_listed_with_the_instruction_set_that_is_used() {
    let bench = Bench::new();
    let listed = |cap: &str| {
        let output = bench.command(&["kernels", "--json"]).env("CYGNET_ISA", cap).output().unwrap();
        Run::of(output)
    };
    for run in [listed(""), listed("scalar")] {
        let lines = run.json();
        let used = |line: &&Value| line["used"] == true;
        let conv: Vec<&Value> = lines.iter().filter(|line| line["kernel"] == "convolution").collect();
        for element in ["f32", "u8"] {
            assert_eq!(conv.iter().filter(|line| used(line) && line["type"] == element).count(), 1);
        }
        assert!(lines.iter().filter(used).all(|line| line["supported"] == true));
        assert!(conv.iter().all(|line| line["tile"].as_array().unwrap().len() == 4));
    }
    let scalar = listed("scalar").json();
    assert!(scalar.iter().all(|line| (line["used"] == true) == (line["isa"] == "scalar")));
    assert_eq!(listed("mmx").code, 2);
    let shown = Run::of(bench.command(&["kernels"]).env("CYGNET_ISA", "scalar").output().unwrap()).out;
    assert!(shown.contains("scalar is used, scalar for bytes: CYGNET_ISA=scalar"), "{shown}");
}
