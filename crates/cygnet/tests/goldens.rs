//! Every golden file of the reference implementations.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use cygnet::runtime::{Level, PlanOptions};
use cygnet::verify::{Executor, Outcome, verify};

/// Verifies files on all cores, largest nets and small ones mixed by name.
fn verify_all(files: &[PathBuf], executor: Executor) -> Vec<Outcome> {
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut done = Vec::new();
        while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            done.push(verify(file, executor));
        }
        done
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    })
}

fn all_pass(executor: Executor) {
    let Some(folder) = cygnet_testing::shared("goldens/inference") else { return };
    let files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() >= 154, "{} golden files", files.len());
    let outcomes = verify_all(&files, executor).into_iter();
    let failed: Vec<Outcome> = outcomes.filter(|outcome| !outcome.pass).collect();
    assert!(failed.is_empty(), "{} of {} fail: {failed:#?}", failed.len(), files.len());
}

#[test]
fn every_network_computes_what_its_reference_computes() {
    all_pass(Executor::Reference);
}

#[test]
fn the_runtime_computes_the_same_with_every_instruction_set() {
    for level in Level::ALL.iter().filter(|level| level.is_supported()) {
        println!("{}", level.name());
        all_pass(Executor::Runtime(PlanOptions::strict(*level)));
    }
}

#[test]
fn kernels_that_trade_rounding_for_speed_stay_within_the_same_bound() {
    all_pass(Executor::Runtime(Level::best().into()));
}

/// A golden file with one value changed.
fn spoilt(change: impl Fn(&mut serde_json::Value)) -> Option<Outcome> {
    let path = cygnet_testing::shared("goldens/inference/torchvision__squeezenet1_1.json")?;
    let mut golden: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    change(&mut golden);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("spoilt.json");
    std::fs::write(&file, golden.to_string()).unwrap();
    Some(verify(&file, Executor::Runtime(PlanOptions::strict(Level::best()))))
}

#[test]
fn a_wrong_gain_fails_and_names_the_first_layer() {
    let Some(outcome) = spoilt(|golden| golden["gain"] = 1.3.into()) else { return };
    assert!(!outcome.pass && outcome.max_rel_diff.unwrap() > 1e-3, "{outcome:?}");
    assert_eq!(outcome.first_bad_layer.as_deref(), Some("features.0"));
}

#[test]
fn a_single_wrong_logit_fails() {
    let Some(outcome) = spoilt(|golden| golden["logits"][123] = 9.into()) else { return };
    assert!(!outcome.pass && outcome.first_bad_layer.is_none(), "{outcome:?}");
}

#[test]
fn a_tensor_too_many_or_too_few_fails_with_its_name() {
    let Some(outcome) = spoilt(|golden| golden["state_dict"][0][0] = "features.0.kernel".into()) else {
        return;
    };
    let error = outcome.error.unwrap();
    assert!(
        error.contains("features.0.weight") && error.contains("features.0.kernel has no place"),
        "{error}"
    );
}

#[test]
fn a_file_that_is_no_golden_file_fails_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bad.json");
    std::fs::write(&file, "{}").unwrap();
    assert!(verify(&file, Executor::Reference).error.unwrap().contains("bad.json: not a golden file"));
    assert!(
        verify(&folder.path().join("none.json"), Executor::Reference).error.unwrap().contains("none.json")
    );
    let golden = |shape: &str| {
        format!(
            r#"{{"source":"torchvision","model":"mobilenet_v2","input_shape":{shape},"gain":1,"logits":[1,2],
            "logits_std":1,"max_abs_diff_f32_f64":1,"state_dict":[],"trace":[]}}"#
        )
    };
    for shape in ["[0,3,8,8]", "[3,3,32,32]", "[1,3,9000000000000,9000000000000]", "[1,3,1,0]"] {
        std::fs::write(&file, golden(shape)).unwrap();
        let error = verify(&file, Executor::Reference).error.unwrap();
        assert!(error.contains("bad.json: an input of"), "{error}");
    }
}
