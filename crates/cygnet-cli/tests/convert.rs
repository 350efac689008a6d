//! `cygnet convert`: what it writes, what it refuses, what it tells.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::Command;

use cygnet::Model;
use cygnet::weights::{Dtype, Tensor, Tensors, safetensors};

/// A checkpoint of ShuffleNetV2 0.5 whose names start with `prefix`.
fn checkpoint(path: &Path, prefixes: &[&str]) {
    let graph = cygnet::network("shufflenet_v2_x0_5").unwrap().build().unwrap().with_classes(2).unwrap();
    let tensor = |shape: &[usize]| {
        let count = shape.iter().product();
        Tensor::new(shape, Dtype::I8, vec![1; count]).unwrap()
    };
    let tensors: Tensors = prefixes
        .iter()
        .flat_map(|prefix| {
            graph.params().into_iter().map(move |param| (format!("{prefix}{}", param.name), param.shape))
        })
        .map(|(name, shape)| (name, tensor(&shape)))
        .collect();
    safetensors::write(path, &tensors, &safetensors::Metadata::default()).unwrap();
}

/// Exit code and standard error of `cygnet convert`.
fn convert(folder: &Path, args: &[&str]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cygnet"));
    let output = command.arg("convert").args(args).current_dir(folder).env("NO_COLOR", "1").output().unwrap();
    assert!(output.stdout.is_empty());
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn only_model_files_are_written_and_none_is_replaced_unasked() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    checkpoint(&folder.join("in.safetensors"), &[""]);
    for out in ["out.onnx", "out.pth", "out", "out.safetensors.gz"] {
        let (code, err) = convert(folder, &["in.safetensors", out]);
        assert!(code == 1 && err.contains("writes .safetensors files only; give out"), "{err}");
        assert!(!folder.join(out).exists());
    }
    let args = ["in.safetensors", "out.safetensors"];
    assert_eq!(convert(folder, &args).0, 0);
    std::fs::write(folder.join("out.safetensors"), "mine").unwrap();
    let (code, err) = convert(folder, &args);
    assert!(
        code == 1 && err.contains("out.safetensors: exists already") && err.contains("--overwrite"),
        "{err}"
    );
    assert_eq!(std::fs::read(folder.join("out.safetensors")).unwrap(), b"mine");
    assert_eq!(convert(folder, &[&args[..], &["--overwrite"]].concat()).0, 0);
    assert!(Model::open(folder.join("out.safetensors")).is_ok());
}

#[test]
fn what_was_decided_is_told_and_options_decide_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    checkpoint(&folder.join("in.safetensors"), &["model.", "ema."]);
    std::fs::write(folder.join("names.json"), r#"{"cat": 1, "ant": 0}"#).unwrap();
    let (code, err) = convert(folder, &["in.safetensors", "a.safetensors"]);
    assert!(code == 0 && err.contains("note: the network's tensors are those under model."), "{err}");
    assert!(err.contains("note: ema would fit as well: --weights-key chooses"), "{err}");
    let args = ["in.safetensors", "b.safetensors", "--weights-key", "ema", "--labels", "names.json"];
    let (code, err) = convert(folder, &args);
    assert!(code == 0 && !err.contains("model."), "{err}");
    assert_eq!(Model::open(folder.join("b.safetensors")).unwrap().labels, ["ant", "cat"]);
    let (code, err) = convert(folder, &["in.safetensors", "c.safetensors", "--weights-key", "swa"]);
    assert!(code == 1 && err.contains("no tensors under swa; there are model, ema"), "{err}");
}
