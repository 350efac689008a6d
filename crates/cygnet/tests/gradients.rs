//! Training steps of the reference implementations.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::PathBuf;

use cygnet::runtime::PlanOptions;
use cygnet::verify::{Executor, Outcome, verify};
use serde_json::{Value, json};

fn files() -> Vec<PathBuf> {
    let Some(folder) = cygnet_testing::shared("goldens/gradients") else { return Vec::new() };
    let files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() >= 11, "{} golden files", files.len());
    files
}

#[test]
fn losses_gradients_statistics_and_steps_are_those_of_the_references() {
    let outcomes: Vec<Outcome> = std::thread::scope(|scope| {
        let check = |file: PathBuf| verify(&file, Executor::Runtime(PlanOptions::default()));
        let (mut even, mut odd) = (Vec::new(), Vec::new());
        for (i, file) in files().into_iter().enumerate() {
            if i % 2 == 0 { even.push(file) } else { odd.push(file) }
        }
        let other = scope.spawn(move || odd.into_iter().map(check).collect::<Vec<_>>());
        let mut all: Vec<Outcome> = even.into_iter().map(check).collect();
        all.extend(other.join().unwrap());
        all
    });
    let failed: Vec<&Outcome> = outcomes.iter().filter(|outcome| !outcome.pass).collect();
    assert!(failed.is_empty(), "{} of {} fail: {failed:#?}", failed.len(), outcomes.len());
}

#[test]
fn heads_learn_in_the_runs_whose_file_has_gradients_of_theirs() {
    let mut golden: Value = serde_json::from_str(include_str!("heads/golden.json")).unwrap();
    let is_head = |row: &&Value| row[0].as_str().unwrap().starts_with("aux");
    let heads: Vec<Value> = golden["gradients"].as_array().unwrap().iter().filter(is_head).cloned().collect();
    assert_eq!(
        (heads.len(), golden["frozen_gradients"].as_array().unwrap().iter().find(is_head)),
        (14, None)
    );
    // What has no part in a loss may also be written as gradients of zero.
    let zero = |row: &Value| json!([row[0], 0.0, [0.0], 0.0, [0.0], 0.0, 0.0]);
    golden["frozen_gradients"].as_array_mut().unwrap().extend(heads.iter().map(zero));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("golden.json");
    std::fs::write(&path, golden.to_string()).unwrap();
    let outcome = verify(&path, Executor::Runtime(PlanOptions::default()));
    assert!(outcome.pass, "{outcome:?}");
}
