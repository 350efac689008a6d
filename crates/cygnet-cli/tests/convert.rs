//! `cygnet convert`: what it writes, what it refuses, what it tells.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::{Command, Stdio};

use cygnet::Model;
use cygnet::weights::{Dtype, Tensor, Tensors, safetensors};

/// A checkpoint of ShuffleNetV2 0.5 whose names start with `prefix`.
fn checkpoint(path: &Path, prefixes: &[&str]) {
    checkpoint_with(path, prefixes, Tensors::new());
}

/// The same with more tensors, or others in the place of its own.
fn checkpoint_with(path: &Path, prefixes: &[&str], more: Tensors) {
    let graph = cygnet::network("shufflenet_v2_x0_5").unwrap().build().unwrap().with_classes(2).unwrap();
    let tensor = |shape: &[usize]| {
        let count = shape.iter().product();
        Tensor::new(shape, Dtype::I8, vec![1; count]).unwrap()
    };
    let mut tensors: Tensors = prefixes
        .iter()
        .flat_map(|prefix| {
            graph.params().into_iter().map(move |param| (format!("{prefix}{}", param.name), param.shape))
        })
        .map(|(name, shape)| (name, tensor(&shape)))
        .collect();
    tensors.extend(more);
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
    for out in ["out.tflite", "out.pth", "out", "out.safetensors.gz"] {
        let (code, err) = convert(folder, &["in.safetensors", out]);
        assert!(code == 2 && err.contains("writes .safetensors and .onnx files only; give out"), "{err}");
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
    assert!(
        err.contains("note: ema would fit as well: `cygnet convert` chooses with --weights-key"),
        "{err}"
    );
    let args = ["in.safetensors", "b.safetensors", "--weights-key", "ema", "--labels", "names.json"];
    let (code, err) = convert(folder, &args);
    assert!(code == 0 && !err.contains("model."), "{err}");
    assert_eq!(Model::open(folder.join("b.safetensors")).unwrap().labels, ["ant", "cat"]);
    let (code, err) = convert(folder, &["in.safetensors", "c.safetensors", "--weights-key", "swa"]);
    assert!(code == 1 && err.contains("no tensors under swa; there are model, ema"), "{err}");
}

#[test]
fn tensors_that_a_network_has_no_place_for_are_left_out_where_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let one = || Tensor::from_f32([1], &[1.0]).unwrap();
    let more = ["loss.scale", "loss.shift", "temperature"].map(|name| (name.to_owned(), one()));
    checkpoint_with(&folder.join("in.safetensors"), &[""], more.into_iter().collect());
    let args = ["in.safetensors", "out.safetensors"];
    for named in [&[][..], &["-n", "shufflenet_v2_x0_5"]] {
        let (code, err) = convert(folder, &[&args[..], named, &["--overwrite"]].concat());
        assert!(code == 1 && err.contains("3 unexpected") && err.contains("--ignore NAME"), "{err}");
        let ignored = [&args[..], named, &["--ignore", "loss.", "--ignore", "temperature", "--overwrite"]];
        let (code, err) = convert(folder, &ignored.concat());
        assert_eq!(code, 0, "{err}");
    }
    let (code, err) = convert(folder, &[&args[..], &["--overwrite", "--ignore", "los"]].concat());
    assert!(code == 1 && err.contains("in.safetensors: has no tensor los to ignore"), "{err}");
    // Nothing is proposed where more than that is wrong.
    let (_, err) = convert(folder, &[&args[..], &["--overwrite", "-n", "shufflenet_v2_x1_0"]].concat());
    assert!(err.contains("misshapen") && !err.contains("--ignore"), "{err}");
}

#[test]
fn weights_that_are_no_numbers_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let bias = Tensor::from_f32([2], &[f32::NAN, 1.0]).unwrap();
    let path = folder.join("in.safetensors");
    checkpoint_with(&path, &[""], Tensors::from([("fc.bias".to_owned(), bias)]));
    let args = ["in.safetensors", "out.safetensors", "-n", "shufflenet_v2_x0_5"];
    let (code, err) = convert(folder, &args);
    assert!(code == 0 && err.contains("note: there are NaN or infinite numbers in fc.bias:"), "{err}");
    checkpoint(&path, &[""]);
    let (code, err) = convert(folder, &[&args[..], &["--overwrite"]].concat());
    assert!(code == 0 && !err.contains("NaN"), "{err}");
    // Two classes without names.
    assert!(err.contains("its 2 classes have no names") && err.contains("--labels FILE"), "{err}");
}

#[test]
fn names_that_do_not_tell_classes_apart_and_a_class_alone_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    checkpoint(&folder.join("in.safetensors"), &[""]);
    let args = ["in.safetensors", "out.safetensors", "-n", "shufflenet_v2_x0_5", "--overwrite"];
    let labelled = |names: &str, more: &[&str]| {
        std::fs::write(folder.join("names.txt"), names).unwrap();
        convert(folder, &[&args[..], &["--labels", "names.txt"], more].concat())
    };
    let (code, err) = labelled("crane\ncrane\n", &[]);
    let told = "note: names.txt: \"crane\" is the name of both class 0 and class 1";
    assert!(code == 0 && err.contains(told), "{err}");
    let (code, err) = labelled("\ncrane\n", &[]);
    assert!(code == 0 && err.contains("names.txt: class 0 has an empty name"), "{err}");
    let (code, err) = labelled("crane\nheron\n", &[]);
    assert!(code == 0 && !err.contains("names.txt: "), "{err}");
    let (code, err) = labelled("crane\n", &[]);
    assert!(code == 1 && err.contains("names.txt: 1 name for 2 classes"), "{err}");
    let (code, err) = convert(folder, &[&args[..], &["--classes", "1"]].concat());
    assert!(code == 0 && err.contains("of one class alone every answer is that class"), "{err}");
    assert!(err.contains("the classifier for 1 class is random") && err.contains("with 1 class\n"), "{err}");
}

#[test]
fn of_two_conversions_to_one_file_at_once_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    checkpoint(&folder.join("in.safetensors"), &[""]);
    for out in ["out.safetensors", "out.onnx"] {
        let args = ["convert", "in.safetensors", out, "-n", "shufflenet_v2_x0_5"];
        let start = || {
            let mut command = Command::new(env!("CARGO_BIN_EXE_cygnet"));
            command.args(args).current_dir(folder).stdout(Stdio::null());
            command.stderr(Stdio::piped()).spawn().unwrap()
        };
        let all = [start(), start(), start()].map(|child| child.wait_with_output().unwrap());
        let done = all.iter().filter(|output| output.status.success()).count();
        assert_eq!(done, 1, "{all:?}");
        for output in all.iter().filter(|output| !output.status.success()) {
            let err = String::from_utf8_lossy(&output.stderr);
            let told = format!("{out}: exists already; give another name, or --overwrite");
            assert!(err.contains(&told), "{err}");
        }
        assert!(Model::open(folder.join(out)).is_ok());
    }
}

#[test]
fn a_folder_that_is_not_there_is_told_and_what_a_killed_conversion_left_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    checkpoint(&folder.join("in.safetensors"), &[""]);
    let (code, err) = convert(folder, &["in.safetensors", "none/out.safetensors"]);
    assert!(code == 1 && err.contains("error: none: no such folder") && !err.contains(".cygnet-"), "{err}");
    let left = folder.join(".cygnet-Ab12cd");
    std::fs::write(&left, "half").unwrap();
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(60);
    std::fs::File::options().write(true).open(&left).unwrap().set_modified(old).unwrap();
    let args = ["in.safetensors", "out.safetensors", "-n", "shufflenet_v2_x0_5"];
    assert_eq!(convert(folder, &args).0, 0);
    assert!(!left.exists());
}

#[test]
fn a_classifier_that_is_made_up_and_names_that_are_one_too_few_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    checkpoint(&folder.join("in.safetensors"), &[""]);
    let made_up = "note: the classifier for 3 classes is random and must be trained";
    assert_eq!(convert(folder, &["in.safetensors", "model.safetensors"]).0, 0);
    assert_eq!(convert(folder, &["in.safetensors", "model.onnx"]).0, 0);
    for (number, from) in ["in.safetensors", "model.safetensors", "model.onnx"].iter().enumerate() {
        let out = format!("{number}.safetensors");
        let (code, err) = convert(folder, &[from, &out, "--classes", "3"]);
        assert!(code == 0 && err.contains(made_up), "{from}: {err}");
        let (code, err) = convert(folder, &[from, &format!("same-{out}"), "--classes", "2"]);
        assert!(code == 0 && !err.contains("random"), "{from}: {err}");
    }
    for (names, is_background) in [("cat", true), ("cat\ndog\nemu", false)] {
        std::fs::write(folder.join("names.txt"), names).unwrap();
        let (code, err) = convert(folder, &["in.safetensors", "b.safetensors", "--labels", "names.txt"]);
        assert!(code == 1 && err.contains(" for 2 classes"), "{err}");
        assert_eq!(err.contains("class for the background"), is_background, "{err}");
    }
}

#[test]
fn a_network_that_is_prepared_for_in_several_ways_is_told_with_the_name_of_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let graph = cygnet::network("squeezenet1_1").unwrap().build().unwrap();
    let zeros = |shape: &[usize]| Tensor::new(shape, Dtype::I8, vec![0; shape.iter().product()]).unwrap();
    let tensors: Tensors =
        graph.params().into_iter().map(|param| (param.name, zeros(&param.shape))).collect();
    safetensors::write(folder.join("in.safetensors"), &tensors, &safetensors::Metadata::default()).unwrap();
    let (code, err) = convert(folder, &["in.safetensors", "a.safetensors"]);
    assert!(
        code == 0 && err.contains("`cygnet convert` has --network squeezenet1_1.caffe_in1k (caffe)"),
        "{err}"
    );
    for (named, out) in [("squeezenet1_1.caffe_in1k", "b"), ("squeezenet1_1.IMAGENET1K_V1", "c")] {
        let out = format!("{out}.safetensors");
        let (code, err) = convert(folder, &["in.safetensors", &out, "--network", named]);
        assert!(code == 0 && !err.contains("caffe_in1k (caffe)"), "{err}");
    }
    let prepared = |name: &str| Model::open(folder.join(name)).unwrap().preprocess;
    assert_ne!(prepared("b.safetensors").scale, prepared("c.safetensors").scale);
    // The model file, and an ONNX file of it, are as unsure as the checkpoint; a name decides later too.
    let guessed = |name: &str| Model::open(folder.join(name)).unwrap().guessed;
    let (code, err) = convert(folder, &["a.safetensors", "a.onnx"]);
    assert!(code == 0 && err.contains("caffe_in1k"), "{err}");
    for name in ["a.safetensors", "a.onnx"] {
        assert!(guessed(name).is_some_and(|told| told.contains("caffe_in1k")), "{name}");
    }
    for (named, out, same) in [
        ("squeezenet1_1.caffe_in1k", "d.safetensors", "b.safetensors"),
        ("squeezenet1_1", "e.safetensors", "c.safetensors"),
    ] {
        let (code, err) = convert(folder, &["a.safetensors", out, "--network", named]);
        assert!(code == 0 && !err.contains("caffe_in1k (caffe)"), "{err}");
        assert_eq!((prepared(out), guessed(out)), (prepared(same), None), "{named}");
    }
    let (code, err) = convert(folder, &["a.safetensors", "f.safetensors", "--network", "mobilenet_v2"]);
    assert!(code == 1 && err.contains("is a model of squeezenet1_1, not of mobilenet_v2"), "{err}");
}
