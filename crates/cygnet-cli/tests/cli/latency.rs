//! Latency tables: built, shown, asked, refused.

use cygnet::latency::{Clocked, Device, Growing, Measured, Role, StepTable, work_of};
use cygnet::runtime::{Level, PlanOptions};
use serde_json::Value;

use super::Bench;

/// The device that the command runs on, with one thread.
fn device() -> Device {
    Device::this(PlanOptions::from(Level::best()), 1)
}

/// A table in which every step of a network takes a hundredth of a millisecond, and a run as long as all of them.
fn made(bench: &Bench, file: &str, device: &Device, network: &str) -> usize {
    let graph = cygnet::network(network).unwrap().build().unwrap();
    let work = work_of(&graph, PlanOptions::from(Level::best())).unwrap();
    let steps = vec![0.01; work.steps.len()];
    let ms = steps.iter().sum();
    let clocked = Clocked { ms, steps, spread: 0.01, is_disturbed: false, peak_gflops: 100.0 };
    let (mut table, _) = Growing::begin(&bench.path(file), device).unwrap();
    table.network(&Measured::new("zoo", 0, network, Role::Steps, &work, &clocked)).unwrap();
    work.steps.len()
}

/// The file of the device's table.
fn own(bench: &Bench) -> String {
    let cache = bench.path("cache");
    let path = StepTable::path_in(&cache, &device());
    format!("cache/{}", path.file_name().unwrap().to_str().unwrap())
}

#[test]
fn a_table_predicts_a_network_without_running_it() {
    let bench = Bench::new().with_model();
    let none = bench.run(&["latency", "predict", "mobilenet_v2"]);
    assert!(none.code == 1 && none.err.contains("cygnet latency build"), "{}", none.err);
    let steps = made(&bench, &own(&bench), &device(), "mobilenet_v2");
    let run = bench.run(&["latency", "predict", "mobilenet_v2", "--json"]);
    assert_eq!(run.code, 0, "{}", run.err);
    let line = &run.json()[0];
    let wanted = 0.01 * steps as f64;
    assert!((line["predicted_ms"].as_f64().unwrap() / wanted - 1.0).abs() < 1e-6, "{line} {wanted}");
    assert_eq!([&line["missing_keys"], &line["threads"]], [0, 1]);
    assert_eq!(line["isa"], Level::best().name());
    // Another network, another size, a file: what was not measured is counted.
    for args in [&["mobilenet_v2_0.5"][..], &["mobilenet_v2", "--image", "96"], &["light.safetensors"]] {
        let run = bench.run(&[&["latency", "predict", "--json"], args].concat());
        assert_eq!(run.code, 0, "{}", run.err);
        let line = &run.json()[0];
        assert!(line["missing_keys"].as_u64().unwrap() > 0, "{line}");
        assert!(line["predicted_ms"].as_f64().unwrap() > 0.0, "{line}");
    }
    let shown = bench.run(&["latency", "predict", "mobilenet_v2"]).out;
    assert!(shown.contains(" ms on ") && shown.contains("every step was measured"), "{shown}");
    assert_eq!(bench.run(&["latency", "predict", "nothing"]).code, 1);
    // Whoever times and shows networks is told too.
    let quick = ["--seconds", "0", "--threads", "1"];
    let timed = bench.run(&[&["bench", "mobilenet_v2", "--json"], &quick[..]].concat());
    assert_eq!(timed.json()[0]["predicted_ms"], line["predicted_ms"], "{}", timed.err);
    let table = bench.run(&[&["bench", "mobilenet_v2"], &quick[..]].concat()).out;
    assert!(table.contains("predicted ms"), "{table}");
    let described = bench.run(&["show", "mobilenet_v2", "--json"]).json();
    assert_eq!(described[0]["predicted_ms"], line["predicted_ms"]);
    assert!(bench.run(&["show", "mobilenet_v2"]).out.contains("by the latency table of this device"));
    let others = bench.run(&["bench", "mobilenet_v2", "--seconds", "0", "-j", "2", "--json"]);
    assert_eq!(others.json()[0]["predicted_ms"], Value::Null, "the table is of one thread");
}

#[test]
fn a_foreign_or_stale_table_is_refused_by_name_unless_it_is_named() {
    let bench = Bench::new();
    let stale = Device { version: "0.0.1".into(), ..device() };
    let steps = made(&bench, &own(&bench), &stale, "squeezenet1_1");
    let refused = bench.run(&["latency", "predict", "squeezenet1_1"]);
    assert!(refused.code == 1 && refused.err.contains("version 0.0.1"), "{}", refused.err);
    assert!(refused.err.contains(".jsonl") && refused.err.contains("--table"), "{}", refused.err);
    // Others go on without it.
    let shown = bench.run(&["show", "squeezenet1_1", "--json"]);
    assert_eq!((shown.code, &shown.json()[0]["predicted_ms"]), (0, &Value::Null));
    assert!(shown.err.contains("version 0.0.1"), "{}", shown.err);
    let board = Device { cpu: "board".into(), isa: "neon".into(), lanes: 4, threads: 3, ..stale };
    assert!(made(&bench, "board.jsonl", &board, "squeezenet1_1") == steps);
    let named = bench.run(&["latency", "predict", "squeezenet1_1", "--table", "board.jsonl", "--json"]);
    assert_eq!(named.code, 0, "{}", named.err);
    let line = &named.json()[0];
    assert_eq!((&line["isa"], &line["threads"]), (&Value::from("neon"), &Value::from(3)));
    assert!(line["predicted_ms"].as_f64().unwrap() > 0.0, "{line}");
    // Times of another device are nothing to compare those of this one with, and nothing to add to.
    for args in [&["check", "--table", "board.jsonl"][..], &["build", "--out", "board.jsonl"]] {
        let run = bench.run(&[&["latency"], args].concat());
        assert!(run.code == 1 && run.err.contains("CPU board"), "{}", run.err);
    }
    let shown = bench.run(&["latency", "show", "board.jsonl"]);
    assert!(shown.code == 0 && shown.out.contains("board, neon, 3 threads"), "{} {}", shown.out, shown.err);
    for wrong in ["nothing.jsonl", "."] {
        assert_eq!(bench.run(&["latency", "show", wrong]).code, 1, "{wrong}");
    }
    std::fs::write(bench.path("other.jsonl"), "{}\n").unwrap();
    let other = bench.run(&["latency", "show", "other.jsonl"]);
    assert!(other.code == 1 && other.err.contains("is no latency table"), "{}", other.err);
    assert_eq!(bench.run(&["latency", "build", "--out", "other.jsonl"]).code, 1);
    assert_eq!(std::fs::read_to_string(bench.path("other.jsonl")).unwrap(), "{}\n");
}

#[test]
fn a_table_is_measured_once_and_checked_on_other_networks() {
    let bench = Bench::new();
    let quick = ["latency", "build", "--image", "32", "--seconds", "0", "--json"];
    let run = bench.run(&quick);
    assert_eq!(run.code, 0, "{}", run.err);
    assert!(run.err.contains("too little time"), "{}", run.err);
    let line = &run.json()[0];
    assert!(line["networks"].as_u64().unwrap() >= 12 && line["steps"].as_u64().unwrap() > 100, "{line}");
    let fit = &line["corrections"][0];
    assert_eq!((&fit["fitted"], &fit["networks"]), (&Value::from(2), &Value::from(2)), "{fit}");
    let before = std::fs::read(bench.path(&own(&bench))).unwrap();
    let again = bench.run(&quick);
    assert_eq!((again.code, again.json()), (0, run.json()), "{}", again.err);
    assert!(again.err.contains("already") && before == std::fs::read(bench.path(&own(&bench))).unwrap());
    let shown = bench.run(&["latency", "show"]).out;
    assert!(
        shown.contains("median error") && shown.lines().all(|line| line.chars().count() <= 100),
        "{shown}"
    );
    let checked = bench.run(&["latency", "check", "--networks", "2", "--json"]);
    assert_eq!(checked.code, 0, "{}", checked.err);
    let line = &checked.json()[0];
    let number = |key: &str| line[key].as_f64().unwrap_or_else(|| panic!("{key}: {line}"));
    assert_eq!((&line["networks"], &line["image"]), (&Value::from(2), &Value::from(32)));
    assert!(0.0 <= number("median_error") && number("median_error") <= number("p95_error"), "{line}");
    assert!(number("p95_error") <= number("max_error"), "{line}");
}
