//! The Cygnet model file on disk.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::fs;

use cygnet_weights::{
    Accuracy, MODEL_FORMAT, ModelFile, ModelRecord, Origin, Tensor, Tensors, TrainingRecord, is_model_file,
    open,
};
use serde_json::json;

fn model() -> ModelFile {
    ModelFile {
        record: ModelRecord {
            format: MODEL_FORMAT,
            network: "tiny".into(),
            graph: json!({"nodes": [{"op": "conv"}]}),
            preprocess: json!({"size": 8}),
            labels: vec!["goose".into(), "Schwan \u{1f9a2}".into()],
            licence: Some("MIT".into()),
            source: None,
            accuracy: Some(Accuracy { dataset: "pond".into(), top1: 71.9, top5: 90.3 }),
            recipe: Some(serde_json::json!({"epochs": 3})),
            training: Some(TrainingRecord {
                from: Origin { network: Some("big".into()), tag: Some("v1".into()), ..Origin::default() },
                dataset: "pond".into(),
                pictures: [8, 2, 0],
                class_pictures: vec![5, 3],
            }),
            quantization: None,
            compression: Some(json!({"methods": ["prune"]})),
            guessed: None,
            written_by: "cygnet 0.1.0".into(),
        },
        tensors: Tensors::from_iter([
            ("stem.weight".to_owned(), Tensor::from_f32([2, 2], &[1.0, -2.0, 3.5, 0.0]).unwrap()),
            ("stem.bias".to_owned(), Tensor::from_f32([2], &[0.5, 0.25]).unwrap()),
        ]),
    }
}

#[test]
fn a_model_comes_back_as_written_with_its_order_and_equal_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("a.safetensors"), folder.path().join("b.safetensors"));
    model().write(&first).unwrap();
    let read = ModelFile::read(&first).unwrap();
    assert_eq!(read, model());
    assert_eq!(read.tensors.keys().collect::<Vec<_>>(), ["stem.weight", "stem.bias"]);
    read.write(&second).unwrap();
    assert_eq!(fs::read(&first).unwrap(), fs::read(&second).unwrap());
    assert!(is_model_file(&open(&first).unwrap().metadata));
}

#[test]
fn what_a_run_started_from_is_told_in_words() {
    let told = |network: &str, tag: &str, file: &str, sha256: &str| {
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let [network, tag, file, sha256] = [network, tag, file, sha256].map(some);
        Origin { network, tag, file, sha256 }.to_string()
    };
    assert_eq!(told("", "", "", ""), "random weights");
    assert_eq!(
        told("ghostnet_100", "in1k", "", "0123456789abcdef"),
        "ghostnet_100.in1k (sha256 0123456789ab)"
    );
    assert_eq!(told("tiny", "", "mine.pth", "ä"), "tiny in mine.pth (sha256 ä)");
}

#[test]
fn writing_replaces_a_model_and_leaves_nothing_else_behind() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.safetensors");
    fs::write(&path, "old").unwrap();
    model().write(&path).unwrap();
    assert_eq!(ModelFile::read(&path).unwrap(), model());
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
}

#[test]
fn a_checkpoint_a_newer_format_and_a_damaged_record_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.safetensors");
    let message = |record: Option<&str>| {
        let metadata = record.map(|record| ("cygnet".to_owned(), record.to_owned()));
        cygnet_weights::safetensors::write(&path, &model().tensors, &metadata.into_iter().collect()).unwrap();
        ModelFile::read(&path).unwrap_err().to_string()
    };
    assert!(message(None).contains("not a cygnet model"));
    assert!(message(Some(r#"{"format": 4, "shape_of_things": "to come"}"#)).contains("update cygnet"));
    assert!(message(Some(r#"{"format": 1}"#)).contains("missing field"));
    assert!(message(Some("{")).starts_with(path.to_str().unwrap()));
}

/// Runs one test of this program with files limited to `blocks` of 512 bytes.
#[cfg(unix)]
fn with_small_disk(test: &str, blocks: u32) -> std::process::Output {
    let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
    let mut command = std::process::Command::new("sh");
    command.arg("-c").arg(script).arg(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]).env("SMALL_DISK", "1").output().unwrap()
}

#[cfg(unix)]
#[test]
fn a_full_disk_leaves_the_old_model_and_no_rubbish() {
    if std::env::var_os("SMALL_DISK").is_none() {
        let output = with_small_disk("a_full_disk_leaves_the_old_model_and_no_rubbish", 8);
        assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "{output:?}");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.safetensors");
    fs::write(&path, "old").unwrap();
    let mut large = model();
    large.tensors.insert("fc".into(), Tensor::from_f32([100_000], &[1.0; 100_000]).unwrap());
    let message = large.write(&path).unwrap_err().to_string();
    assert!(
        message.starts_with(path.to_str().unwrap()) && message.contains("cannot write 391 KB"),
        "{message}"
    );
    assert_eq!(fs::read(&path).unwrap(), b"old");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
}
