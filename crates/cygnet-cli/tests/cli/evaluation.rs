//! What `eval` and `classify` tell of the model, the photos and the classes.

use std::path::PathBuf;

use cygnet::Model;
use cygnet::weights::{Accuracy, Origin, TrainingRecord};
use serde_json::Value;

use crate::{Bench, MODEL};

/// The keys of the only line.
fn keys(line: &Value) -> Vec<&String> {
    line.as_object().unwrap().keys().collect()
}

#[test]
fn the_keys_are_those_of_any_number_of_classes_and_what_is_not_known_is_null() {
    let bench = Bench::new().with_model();
    bench.picture("val/dark/1.bmp", 250);
    let few = bench.run(&["eval", MODEL[0], MODEL[1], "--json", "val"]).json().remove(0);
    assert_eq!(few["classes"][0], serde_json::json!({"images": 1, "precision": null, "recall": 0.0}));
    assert_eq!(few["classes"][1], serde_json::json!({"images": 0, "precision": 0.0, "recall": null}));
    assert_eq!(few["labels"], serde_json::json!(["dark", "bright"]));
    let csv = bench.run(&["eval", MODEL[0], MODEL[1], "--csv", "val"]).out;
    assert!(csv.contains("\ndark,1,,0,") && csv.contains("\nbright,0,0,,"), "{csv}");

    let mut model = Model::open(bench.path(MODEL[1])).unwrap();
    let graph = model.graph.with_classes(120).unwrap();
    let lists = graph.params().into_iter().map(|param| vec![0.5; param.shape.iter().product()]);
    model.weights = cygnet::weights::WeightSet::of(&graph, lists.collect::<Vec<_>>()).unwrap();
    model.graph = graph;
    model.labels = (0..120).map(|class| format!("class {class}")).collect();
    model.write(bench.path("many.safetensors")).unwrap();
    for class in 0..15 {
        bench.picture(&format!("many/class {class}/1.bmp"), 250);
    }
    let many = bench.run(&["eval", "-m", "many.safetensors", "--json", "many"]).json().remove(0);
    assert_eq!(keys(&many), keys(&few));
    assert_eq!(many["confusion"], Value::Null);
    assert_eq!(many["classes"].as_array().unwrap().len(), 120);
    assert_eq!(many["confused"].as_array().unwrap().len(), 14, "every kind of mistake");
}

#[test]
fn folders_that_are_numbers_are_told_with_the_labels_they_mean() {
    let bench = Bench::new().with_model();
    bench.picture("digits/0/1.bmp", 250);
    bench.picture("digits/1/1.bmp", 250);
    let run = bench.run(&["eval", MODEL[0], MODEL[1], "digits"]);
    assert!(run.err.contains("numbers of classes: 0 is dark, 1 is bright"), "{}", run.err);
    bench.picture("named/dark/1.bmp", 250);
    let run = bench.run(&["eval", MODEL[0], MODEL[1], "named"]);
    assert!(!run.err.contains("note:"), "{}", run.err);
}

#[test]
fn folders_of_other_classes_are_answered_with_what_makes_a_model_of_them() {
    let bench = Bench::new().with_model();
    bench.picture("pets/cat/1.bmp", 250);
    let run = bench.run(&["eval", MODEL[0], MODEL[1], "pets"]);
    assert!(run.code == 1 && run.err.contains("cat is no class of this model"), "{}", run.err);
    let hint =
        "hint: perhaps these are photos for another model than light.safetensors; `cygnet train pets` makes";
    assert!(run.err.contains(hint), "{}", run.err);
}

#[test]
fn photos_that_the_model_learnt_from_are_told() {
    let bench = Bench::new().with_model();
    for number in 0..6 {
        bench.picture(&format!("mine/dark/{number}.bmp"), number);
        bench.picture(&format!("mine/bright/{number}.bmp"), 250 + number % 5);
        bench.picture(&format!("parted/val/dark/{number}.bmp"), number);
    }
    let mut model = Model::open(bench.path(MODEL[1])).unwrap();
    model.accuracy = Some(Accuracy { dataset: "validation".into(), top1: 75.0, top5: 100.0 });
    model.training = Some(TrainingRecord {
        from: Origin::default(),
        dataset: "mine".into(),
        pictures: [10, 2, 0],
        class_pictures: vec![5, 5],
    });
    model.write(bench.path("mine.safetensors")).unwrap();
    let told = |folder: &str| bench.run(&["eval", "-m", "mine.safetensors", folder]).err;
    let whole = told("mine/");
    assert!(
        whole.contains("learnt from 10 pictures of a data set called mine: if they are among these"),
        "{whole}"
    );
    assert!(whole.contains("of the 2 that it did not learn from it knew 75.00 %"), "{whole}");
    assert!(!told("mine/dark/..").is_empty());
    std::fs::rename(bench.path("mine"), bench.path("others")).unwrap();
    assert!(!told("others").contains("learnt"), "{}", told("others"));
    std::fs::rename(bench.path("parted"), bench.path("mine")).unwrap();
    assert!(!told("mine").contains("learnt"), "only its validation pictures are taken: {}", told("mine"));
}

#[test]
fn who_answers_and_what_was_decided_about_it_is_told() {
    let bench = Bench::new().with_model();
    bench.picture("a.bmp", 250);
    let run = bench.run(&["classify", MODEL[0], MODEL[1], "a.bmp"]);
    assert!(run.err.starts_with("by light.safetensors, light, 2 classes\n"), "{}", run.err);
    let run = bench.run(&["classify", MODEL[0], MODEL[1], "none.bmp"]);
    assert!(run.err.starts_with("error: none.bmp: ") && !run.err.contains("by light"), "{}", run.err);
    for quiet in ["--json", "--csv", "-q"] {
        let run = bench.run(&["classify", MODEL[0], MODEL[1], "a.bmp", quiet]);
        assert_eq!((run.code, run.err.as_str()), (0, ""), "{quiet}");
    }
    let mut model = Model::open(bench.path(MODEL[1])).unwrap();
    model.labels.clear();
    model.write(bench.path("nameless.safetensors")).unwrap();
    for command in ["classify", "eval"] {
        bench.picture("val/0/1.bmp", 250);
        let run = bench.run(&[command, "-m", "nameless.safetensors", "val"]);
        assert!(run.err.contains("note: its 2 classes have no names"), "{command}: {}", run.err);
        assert!(run.err.contains("--labels FILE"), "{}", run.err);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_folder_that_cannot_be_read_is_told_and_the_rest_goes_on() {
    let bench = Bench::new().with_model();
    bench.picture("photos/a/1.bmp", 250);
    bench.picture("photos/c/1.bmp", 250);
    // A path longer than the system takes: even for the superuser it cannot be read.
    let long: PathBuf = std::iter::repeat_n("d".repeat(200), 15).collect();
    for part in ["b", "more"] {
        std::fs::create_dir_all(bench.path("photos").join(part).join(&long)).unwrap();
    }
    std::fs::rename(
        bench.path("photos").join("more"),
        bench.path("photos").join("b").join(&long).join("more"),
    )
    .unwrap();
    let run = bench.run(&["classify", MODEL[0], MODEL[1], "--json", "photos"]);
    assert_eq!(run.code, 1);
    let lines = run.json();
    assert_eq!(lines.iter().filter(|line| line["top"].is_array()).count(), 2, "{}", run.out);
    let failed: Vec<_> = lines.iter().filter(|line| line["error"].is_string()).collect();
    assert!(
        failed.len() == 1 && failed[0]["path"].as_str().unwrap().starts_with("photos/b/ddd"),
        "{}",
        run.out
    );
    assert!(run.err.contains("error: photos/b/ddd"), "{}", run.err);
}

#[test]
fn text_that_steers_a_terminal_is_not_in_csv_even_in_a_pipe() {
    let bench = Bench::new().with_model();
    let mut model = Model::open(bench.path(MODEL[1])).unwrap();
    model.labels = vec!["\u{1b}[31mred\u{202e}".into(), "b, \"c\"".into()];
    model.write(bench.path("odd.safetensors")).unwrap();
    bench.picture("a.bmp", 250);
    let out = bench.run(&["classify", "-m", "odd.safetensors", "--csv", "a.bmp"]).out;
    assert!(!out.contains(['\u{1b}', '\u{202e}']) && out.contains("\u{fffd}[31mred\u{fffd}"), "{out}");
    assert!(out.contains("\"b, \"\"c\"\"\""), "{out}");
}
