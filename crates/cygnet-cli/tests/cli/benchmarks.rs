//! Networks timed.

use std::path::Path;

use cygnet::Model;
use cygnet::bench::{Case, Subject, Table, Times};
use cygnet::runtime::PlanOptions;
use serde_json::Value;

use super::Bench;

#[test]
fn a_benchmark_tells_times_and_what_they_are_of_the_peak() {
    let bench = Bench::new().with_model();
    let quick = ["--seconds", "0", "--json"];
    let run = bench.run(&[&["bench", "mobilenet_v3_small", "light.safetensors"], &quick[..]].concat());
    assert_eq!(run.code, 0, "{}", run.err);
    let lines = run.json();
    assert_eq!([&lines[0]["model"], &lines[1]["model"]], ["mobilenet_v3_small", "light.safetensors"]);
    for line in &lines {
        let number = |key: &str| line[key].as_f64().unwrap_or_else(|| panic!("{key}"));
        assert!(0.0 < number("min_ms") && number("min_ms") <= number("median_ms"), "{line}");
        assert!(number("median_ms") <= number("p95_ms"), "{line}");
        assert!((number("images_per_s") * number("median_ms") - 1e3).abs() < 1e-6, "{line}");
        assert_eq!(line["disturbed"], number("p95_ms") > 1.3 * number("min_ms"), "{line}");
        let share = 200.0 * number("gmacs_per_s") / number("peak_gflops") / number("threads");
        assert!((number("percent_of_peak") - share).abs() < 1e-6, "{line}");
        assert!(number("arena_bytes") > 0.0 && number("weight_bytes") > 0.0, "{line}");
    }
    let args = ["bench", "light.safetensors", "--batch", "3", "--threads", "2", "--image", "9"];
    let line = &bench.run(&[&args[..], &["--isa", "scalar", "--strict"], &quick].concat()).json()[0];
    assert_eq!([&line["batch"], &line["threads"]], [3, 2]);
    assert_eq!([&line["isa"], &line["strict"]], [&Value::from("scalar"), &Value::from(true)]);
    let shown = bench.run(&["bench", "light.safetensors", "--seconds", "0"]).out;
    assert!(shown.contains("min ms") && shown.contains("one image a run"), "{shown}");
    assert!(shown.lines().all(|line| line.chars().count() <= 100), "{shown}");
}

#[test]
fn a_benchmark_of_layers_tells_what_bounds_each() {
    let bench = Bench::new();
    let args = ["bench", "mobilenet_v3_small", "--layers", "--seconds", "0"];
    let lines = bench.run(&[&args[..], &["--json"]].concat()).json();
    let shown = &bench.run(&["show", "mobilenet_v3_small", "--plan", "--json"]).json()[0];
    let steps = shown["plan"]["steps"].as_array().unwrap();
    assert_eq!(lines.len(), steps.len());
    for (i, (line, step)) in lines.iter().zip(steps).enumerate() {
        assert_eq!(line["step"], i);
        assert!(line["disturbed"].is_boolean(), "{line}");
        assert_eq!(
            [&line["kernel"], &line["output"], &line["macs"]],
            [&step["kernel"], &step["output"], &step["macs"]]
        );
        assert!(["compute", "memory"].contains(&line["bound"].as_str().unwrap()), "{line}");
        assert!(line["macs"] != 0 || line["bound"] == "memory", "{line}");
    }
    let all: f64 = lines.iter().map(|line| line["percent"].as_f64().unwrap()).sum();
    assert!((all - 100.0).abs() < 1e-6, "{all}");
    let shown = bench.run(&args).out;
    assert!(shown.contains("% bound") && shown.contains("  x2  "), "{shown}");
    let on_two = bench.run(&[&args[..], &["--threads", "2", "--json"]].concat()).json();
    assert!(on_two.len() == steps.len() && on_two.iter().all(|line| line["threads"] == 2));
    assert_eq!(bench.run(&[&args[..], &["--cold"]].concat()).code, 2);
}

#[test]
fn training_steps_are_timed_as_a_whole_and_part_by_part() {
    let bench = Bench::new().with_model();
    let args = ["bench", "mobilenet_v3_small", "--train", "--image", "32", "--batch", "4", "--seconds", "0"];
    let run = bench.run(&[&args[..], &["--threads", "2", "--isa", "scalar", "--json"]].concat());
    assert_eq!(run.code, 0, "{}", run.err);
    let line = &run.json()[0];
    let number = |key: &str| line[key].as_f64().unwrap_or_else(|| panic!("{key}: {line}"));
    assert_eq!([&line["model"], &line["isa"]], ["mobilenet_v3_small", "scalar"]);
    assert_eq!([&line["threads"], &line["batch"], &line["image"][1]], [2, 4, 32]);
    assert!(0.0 < number("min_ms") && number("min_ms") <= number("step_ms"), "{line}");
    let parts = ["forward_ms", "backward_ms", "optimizer_ms"].map(number);
    assert!(parts.iter().all(|&part| part > 0.0), "{line}");
    // Of a single step the parts are the whole, but for what checks take.
    let (sum, step) = (parts.iter().sum::<f64>(), number("step_ms"));
    assert!(number("runs") > 1.0 || (0.5 * step < sum && sum <= step), "{line}");
    assert!((number("images_per_s") * step - 4e3).abs() < 1e-6, "{line}");
    let share = 200.0 * number("gmacs_per_s") / number("peak_gflops") / 2.0;
    assert!((number("percent_of_peak") - share).abs() < 1e-6, "{line}");
    let params =
        4.0 * bench.run(&["show", "mobilenet_v3_small", "--json"]).json()[0]["params"].as_f64().unwrap();
    assert!(number("peak_bytes") > 3.0 * params, "{line}");
    let lines = bench.run(&[&args[..], &["-j", "1", "--layers", "--json"]].concat()).json();
    let pass = |name: &str| lines.iter().position(|line| line["pass"] == name);
    assert!(pass("forward") == Some(0) && pass("backward") > Some(100), "{lines:?}");
    let all: f64 = lines.iter().map(|line| line["percent"].as_f64().unwrap()).sum();
    assert!((all - 100.0).abs() < 1e-6, "{all}");
    // The gradients of a layer take twice its multiply-accumulates; only the image's is not wanted.
    let macs = |is_backward: bool| {
        let of = lines.iter().filter(|line| (line["pass"] == "backward") == is_backward);
        of.map(|line| line["macs"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    let forward: Vec<u64> = macs(false).into_iter().filter(|&macs| macs > 0).collect();
    let sum: u64 = forward.iter().sum();
    assert_eq!(macs(true).iter().sum::<u64>(), 2 * sum - forward[0]);
    let shown = bench.run(&["show", "mobilenet_v3_small", "--image", "32", "--json"]).json();
    assert_eq!(sum, 4 * shown[0]["macs"].as_u64().unwrap());
    for line in &lines {
        assert!(line["memory_gbytes_per_s"].as_f64() > Some(0.0) && line["bytes"] != 0, "{line}");
        assert!(line["macs"] != 0 || line["bound"] == "memory", "{line}");
    }
    let shown = bench.run(&[&args[..], &["-j", "1", "--layers"]].concat()).out;
    assert!(shown.contains("depthwise 5x5/2 backward") && shown.contains("copies in memory"), "{shown}");
    let file = bench.run(&["bench", "light.safetensors", "--train", "--batch", "2", "--seconds", "0"]);
    assert!(file.code == 0 && file.out.contains("a step with 2 images"), "{}{}", file.out, file.err);
    let csv = bench.run(&["bench", "light.safetensors", "--train", "--csv", "--seconds", "0"]).out;
    assert_eq!(csv.lines().map(|line| line.split(',').count()).collect::<Vec<_>>(), [17, 17], "{csv}");
    for wrong in [&["--cold"][..], &["--strict"], &["--precision", "int8"], &["--weights", "random"]] {
        let args = [&["bench", "light.safetensors", "--train"][..], wrong].concat();
        assert_eq!(bench.run(&args).code, 2, "{wrong:?}");
    }
    let layers = bench.run(&["bench", "light.safetensors", "--layers", "--batch", "2"]);
    assert!(layers.code == 2 && layers.err.contains("--batch is for whole runs"), "{}", layers.err);
    let large = ["bench", "mobilenet_v2", "--train", "--image", "4096", "--batch", "65535"];
    let large = bench.run(&large);
    assert!(large.code == 1 && large.err.contains("65535"), "{}", large.err);
}

#[test]
fn a_cold_start_is_timed_from_outside_the_process() {
    let bench = Bench::new().with_model();
    let run = bench.run(&["bench", "light.safetensors", "--cold", "--seconds", "0", "--json"]);
    assert_eq!(run.code, 0, "{}", run.err);
    let line = &run.json()[0];
    let number = |key: &str| line[key].as_f64().unwrap_or_else(|| panic!("{key}"));
    let inside = number("load_ms") + number("plan_ms") + number("run_ms");
    assert!(0.0 < inside && inside < number("median_ms"), "{line}");
    assert!(!cfg!(target_os = "linux") || number("peak_rss_bytes") > 1e6, "{line}");
    let shown = bench.run(&["bench", "light.safetensors", "--cold", "--seconds", "0"]).out;
    assert!(shown.contains("cold ms") && shown.lines().count() == 2, "{shown}");
    assert!(number("start_ms") >= 0.0 && !shown.contains(" -"), "{shown}");
    assert_eq!(bench.run(&["bench", "nothing", "--cold"]).code, 1);
    assert_eq!(bench.run(&["bench", "light.safetensors", "--cold", "--weights", "random"]).code, 2);
}

#[test]
fn a_benchmark_of_nothing_says_what_there_is() {
    let bench = Bench::new();
    let run = bench.run(&["bench", "mobilnet_v2", "--seconds", "0"]);
    assert_eq!(run.code, 1);
    assert!(run.err.contains("did you mean mobilenet_v2"), "{}", run.err);
    for wrong in [["--threads", "0"], ["--batch", "0"], ["--seconds", "-1"], ["--isa", "mmx"]] {
        assert_eq!(bench.run(&["bench", "mobilenet_v2", wrong[0], wrong[1]]).code, 2, "{wrong:?}");
    }
    let large = ["bench", "mobilenet_v2_0.1", "--batch", "65535", "--image", "4096", "--seconds", "0"];
    let run = bench.run(&large);
    assert!(run.code == 1 && run.err.contains("65535"), "{}", run.err);
    let run = bench.run(&["bench", "mobilenet_v2", "--weights", "default", "--seconds", "0"]);
    assert_eq!(run.code, 1, "the network is off");
}

#[test]
fn a_benchmark_runs_in_the_precision_that_is_asked_for_or_in_the_networks_own() {
    let bench = Bench::new().with_model();
    let quick = ["--seconds", "0", "--json"];
    let run = |args: &[&str]| bench.run(&[&["bench"], args, &quick].concat());
    let ran = |args: &[&str]| {
        let run = run(args);
        assert_eq!(run.code, 0, "{}", run.err);
        run.json()[0]["precision"].as_str().unwrap().to_owned()
    };
    let made = bench.run(&["quantize", "light.safetensors", "--images", "3", "-o", "bytes.safetensors"]);
    assert_eq!(made.code, 0, "{}", made.err);
    assert_eq!([ran(&["light.safetensors"]), ran(&["bytes.safetensors"])], ["fp32", "int8"]);
    let made =
        bench.run(&["quantize", "light.safetensors", "--precision", "bf16", "-o", "halves.safetensors"]);
    assert_eq!(made.code, 0, "{}", made.err);
    assert_eq!(ran(&["halves.safetensors"]), "bf16");
    for [precision, wanted] in [["fp32", "fp32"], ["f32", "fp32"], ["bf16", "bf16"], ["int8", "int8"]] {
        for model in ["light.safetensors", "bytes.safetensors", "halves.safetensors"] {
            assert_eq!(ran(&[model, "--precision", precision]), wanted, "{model} {precision}");
        }
    }
    let args = ["mobilenet_v3_small", "--image", "64", "--weights", "random", "--precision", "int8"];
    let more = ["--threads", "2", "--batch", "3", "--strict", "--isa", "scalar"];
    let int8 = run(&[&args[..], &more].concat());
    assert_eq!(int8.err.matches("generated images").count(), 1, "{}", int8.err);
    let line = &int8.json()[0];
    assert_eq!([&line["precision"], &line["isa"]], ["int8", "scalar"]);
    assert_eq!([&line["threads"], &line["batch"]], [2, 3]);
    let layers = run(&[&args[..], &["--layers"]].concat()).json();
    let of = |key: &str| layers.iter().filter(|line| line[key] == "u8").count();
    assert!(of("input_type") > layers.len() / 3 && of("output_type") > layers.len() / 3, "{layers:?}");
    // Each layer is held against the peak of what it multiplies.
    let peaks = |is_bytes: bool| {
        let layers =
            layers.iter().filter(|line| line["macs"] != 0 && (line["input_type"] == "u8") == is_bytes);
        let mut peaks: Vec<f64> = layers.map(|line| line["peak_gflops"].as_f64().unwrap()).collect();
        peaks.dedup();
        peaks
    };
    assert!(peaks(true).len() == 1 && peaks(false).len() == 1 && peaks(true) != peaks(false), "{layers:?}");
    let shown = bench.run(&["bench", "bytes.safetensors", "--seconds", "0", "--layers"]).out;
    assert!(shown.contains(" u8") && shown.contains(" GOP/s of bytes"), "{shown}");
    let own = run(&["bytes.safetensors"]);
    assert!(!own.err.contains("generated"), "{}", own.err);
    let cold = run(&["bytes.safetensors", "--cold"]);
    assert_eq!((cold.code, cold.json().len()), (0, 1), "{}", cold.err);
}

#[test]
fn a_precision_that_is_not_there_is_refused() {
    let bench = Bench::new().with_model();
    for wrong in [&["--precision", "int4"][..], &["--cold", "--precision", "int8"]] {
        assert_eq!(bench.run(&[&["bench", "light.safetensors"][..], wrong].concat()).code, 2, "{wrong:?}");
    }
}

/// What is compared for a model file, on as many threads as pay.
fn compared(path: &Path) -> Case {
    let subject = Subject::from(Model::open(path).unwrap());
    let whole = subject.clone().in_whole_numbers(1).unwrap();
    let options = PlanOptions::default();
    let subjects = [subject.clone().in_floating_point(), subject.in_bf16(), whole];
    let plans = subjects.map(|subject| subject.plan(options).unwrap());
    Case::new(plans.iter().map(AsRef::as_ref), options.level.name(), None, 1)
}

#[test]
fn the_fastest_precision_is_measured_once_and_a_damaged_table_is_ignored() {
    let bench = Bench::new().with_model();
    let args = ["bench", "light.safetensors", "--precision", "auto", "--seconds", "0", "--json"];
    let run = || bench.run(&args);
    let first = run();
    assert_eq!(first.code, 0, "{}", first.err);
    let own = first.json()[0]["precision"].as_str().unwrap().to_owned();
    assert!(["fp32", "bf16", "int8"].contains(&&*own), "{}", first.out);
    let path = bench.path("cache/latency.jsonl");
    // What a busy machine disturbed is told and not kept.
    assert!(path.is_file() || first.err.contains("the next run measures again"), "{}", first.err);
    let case = compared(&bench.path("light.safetensors"));
    // What the table says is believed, and not measured again.
    let told = [[1.0, 2.0, 2.0], [2.0, 1.0, 1.5], [2.0, 1.5, 1.0], [2.0, 1.99, 1.99], [2.0, 2.0, 1.9]];
    for (times, wanted) in told.into_iter().zip(["fp32", "bf16", "int8", "fp32", "fp32"]) {
        _ = std::fs::remove_file(&path);
        let mut table = Table::default();
        table.insert(case.clone(), Times { ms: times.to_vec(), noise: 0.08 });
        table.write(&path).unwrap();
        let written = std::fs::read_to_string(&path).unwrap();
        let run = run();
        assert_eq!((run.code, &run.json()[0]["precision"]), (0, &Value::from(wanted)), "{}", run.err);
        assert!(!run.err.contains("measures again"), "{}", run.err);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), written);
    }
    let other = bench.run(&[&args[..], &["--threads", "2", "--batch", "2"]].concat());
    assert_eq!(other.code, 0, "{}", other.err);
    let is_kept = !other.err.contains("the next run measures again");
    assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 1 + usize::from(is_kept));
    std::fs::write(&path, "nonsense\n").unwrap();
    let damaged = run();
    assert_eq!(damaged.code, 0, "{}", damaged.err);
    assert!(damaged.err.contains("latency.jsonl: 1 damaged"), "{}", damaged.err);
    assert!(damaged.err.contains("the next run measures again") || !run().err.contains("damaged"));
}
