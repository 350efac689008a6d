//! Model files and checkpoints: missing, converted, fetched, verified.

use std::path::Path;
use std::process::{Command, Stdio};

use cygnet::graph::Role;
use cygnet::verify::synthetic;
use serde_json::Value;

use super::{Bench, MODEL, Run};

#[test]
fn a_missing_or_bare_model_says_what_to_do() {
    let bench = Bench::new();
    bench.picture("a.bmp", 1);
    let run = bench.run(&["classify", "a.bmp"]);
    assert_eq!(run.code, 1);
    assert!(
        run.err.contains("mobilenet_v2-b0353104.pth") && run.err.to_lowercase().contains("offline"),
        "{}",
        run.err
    );
    let run = bench.run(&["classify", "--model", "none.safetensors", "a.bmp"]);
    assert!(run.code == 1 && run.err.contains("none.safetensors"), "{}", run.err);
    let run = bench.run(&["classify", "--model", "a.bmp", "a.bmp"]);
    assert!(run.code == 1 && run.err.contains("a.bmp"), "{}", run.err);
}

#[test]
fn a_name_without_ending_is_answered_with_the_file_and_other_programs_files_by_what_they_are() {
    let bench = Bench::new().with_model();
    bench.picture("a.bmp", 1);
    for args in [&["classify", "--model", "light", "a.bmp"][..], &["show", "light"], &["bench", "light"]] {
        let run = bench.run(args);
        assert!(run.code == 1 && run.err.contains("(did you mean light.safetensors?)"), "{}", run.err);
    }
    for (name, what) in [
        ("a.PB", "a TensorFlow graph"),
        ("a.pt2", "a program of torch.export"),
        ("a.h5", "a Keras model"),
        ("a.keras", "a Keras model"),
        ("a.mlmodel", "a Core ML model"),
    ] {
        let missing = bench.run(&["classify", "--model", name, "a.bmp"]);
        assert!(missing.code == 1 && missing.err.contains("no such file or folder"), "{}", missing.err);
        assert!(bench.run(&["show", name]).err.contains("no such file"));
        std::fs::write(bench.path(name), b"PK\x03\x04 and so on").unwrap();
        for args in [&["classify", "--model", name, "a.bmp"][..], &["convert", name, "b.safetensors"]] {
            let run = bench.run(args);
            assert!(run.code == 1 && run.err.contains(&format!("{name}: is {what}, which")), "{}", run.err);
        }
    }
}

#[cfg(unix)]
#[test]
fn what_is_no_file_is_neither_read_nor_replaced() {
    use std::os::unix::ffi::OsStrExt;
    let bench = Bench::new().with_model();
    let pipe = bench.path("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for name in ["photos/a/1.bmp", "photos/b/1.bmp", "photos/b/2.bmp"] {
        bench.picture(name, 9);
    }
    for place in ["pipe", "/dev/zero"] {
        for args in [
            &["classify", MODEL[0], MODEL[1], place][..],
            &["verify", place],
            &["convert", place, "out.safetensors"],
            &["convert", MODEL[1], "out.safetensors", "--labels", place],
            &["classify", "--model", place, MODEL[1]],
            &["show", place],
            &["eval", MODEL[0], MODEL[1], place],
            &["quantize", place],
            &["quantize", MODEL[1], "--data", place],
            &["train", place],
            &["train", "photos", "--from", place],
            &["train", "photos", "--recipe", place],
        ] {
            let run = bench.run(args);
            let told = run.err + &run.out;
            let known = ["is not a file", "is neither a file", "no recipe of that name"];
            assert!(run.code == 1 && known.iter().any(|known| told.contains(known)), "{args:?}: {told}");
        }
    }
    let run = bench.run(&["convert", MODEL[1], "pipe"]);
    assert!(run.code == 1 && run.err.contains("is not a file"), "{}", run.err);
    assert!(!pipe.is_file());

    std::os::unix::fs::symlink("real.safetensors", bench.path("link.safetensors")).unwrap();
    std::fs::write(bench.path("real.safetensors"), b"old").unwrap();
    assert_eq!(bench.run(&["convert", MODEL[1], "link.safetensors", "--overwrite"]).code, 0);
    assert!(bench.path("link.safetensors").is_symlink());
    assert!(std::fs::metadata(bench.path("real.safetensors")).unwrap().len() > 3);

    bench.picture("good.bmp", 250);
    std::fs::write(bench.path("").join(std::ffi::OsStr::from_bytes(b"odd\xff.bmp")), b"x").unwrap();
    let run = bench.run(&["classify", MODEL[0], MODEL[1], "--json", "*.bmp"]);
    assert_eq!((run.code, run.json().len()), (0, 1), "{}", run.err);
}

#[test]
fn a_tag_that_does_not_exist_is_answered_with_those_that_do() {
    let run = Bench::new().run(&["pull", "mobilenet_v2.nosuch"]);
    assert!(run.code == 1 && run.err.contains("there are IMAGENET1K_V1"), "{}", run.err);
}

/// A PyTorch-like MobileNetV2 checkpoint with made-up weights.
fn checkpoint(path: &Path) {
    use cygnet::weights::{Tensor, Tensors, safetensors};
    let graph = cygnet::network("mobilenet_v2").unwrap().build().unwrap();
    let tensors: Tensors = graph
        .params()
        .into_iter()
        .map(|param| {
            let one = f64::from(u8::from(param.role == Role::NormVar));
            let values = synthetic(&param.name, param.shape.iter().product(), |v| one + 0.1 * v);
            (param.name, Tensor::from_f32(param.shape, &values).unwrap())
        })
        .collect();
    safetensors::write(path, &tensors, &safetensors::Metadata::default()).unwrap();
}

#[test]
fn a_checkpoint_becomes_a_model_with_other_classes() {
    let bench = Bench::new();
    checkpoint(&bench.path("in.safetensors"));
    let run = bench.run(&[
        "convert",
        "in.safetensors",
        "out.safetensors",
        "--network",
        "mobilenet_v2",
        "--classes",
        "3",
    ]);
    assert_eq!(run.code, 0, "{}", run.err);
    assert_eq!(bench.run(&["show", "out.safetensors", "--json"]).json()[0]["classes"], 3);
    bench.picture("a.bmp", 9);
    assert_eq!(bench.run(&["classify", "--model", "out.safetensors", "a.bmp"]).code, 0);
    let run = bench.run(&["convert", "in.safetensors", "in.safetensors", "--network", "mobilenet_v2"]);
    assert!(run.code == 1 && run.err.contains("its own source"), "{}", run.err);
    let run =
        bench.run(&["convert", "in.safetensors", "other.safetensors", "--network", "mobilenet_v2_0.75"]);
    assert!(run.code == 1 && run.err.contains("misshapen"), "{}", run.err);
    assert!(!bench.path("other.safetensors").exists());
}

#[test]
fn a_mirror_folder_serves_pulls_and_two_at_once_agree() {
    let Some(weights) = cygnet_testing::shared("data/weights") else { return };
    let bench = Bench::new();
    let pull = || {
        let mut command = bench.command(&["pull", "mobilenet_v2"]);
        command.env("CYGNET_MIRROR", std::fs::canonicalize(&weights).unwrap());
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let both = [pull(), pull()];
    let outs: Vec<String> = both
        .into_iter()
        .map(|child| {
            let run = Run::of(child.wait_with_output().unwrap());
            assert_eq!(run.code, 0, "{}", run.err);
            run.out
        })
        .collect();
    assert_eq!(outs[0], outs[1]);
    assert!(Path::new(outs[0].trim()).ends_with("cache/mobilenet_v2-b0353104.pth"));
    assert_eq!(bench.run(&["pull", "mobilenet_v2"]).out, outs[0], "the second time needs no mirror");
    let named = bench.run(&["convert", "mobilenet_v2", "named.safetensors"]);
    assert_eq!(named.code, 0, "{}", named.err);
    let model = bench.run(&["show", "named.safetensors", "--json"]).json().remove(0);
    assert_eq!(model["licence"], serde_json::json!("BSD-3-Clause"));
    let relabelled = bench.run(&["convert", "mobilenet_v2.ra_in1k", "other.onnx"]);
    assert!(relabelled.code == 1 && !bench.path("other.onnx").exists(), "{}", relabelled.err);
}

#[test]
fn a_map_of_numbers_is_no_answer() {
    let Some(detector) = cygnet_testing::shared("data/onnx/shufflenetv2_fastestdet_torch111_opset11.onnx")
    else {
        return;
    };
    let bench = Bench::new();
    std::fs::create_dir(bench.path("photos")).unwrap();
    bench.picture("photos/a.bmp", 9);
    let detector = std::fs::canonicalize(detector).unwrap();
    for command in ["classify", "eval"] {
        let run = bench.run(&[command, "-m", detector.to_str().unwrap(), "photos"]);
        assert!(run.code == 1 && run.err.contains("85x22x22") && run.out.is_empty(), "{}", run.err);
    }
}

#[test]
fn a_mirror_that_does_not_exist_is_told() {
    let bench = Bench::new();
    let missing = bench.path("weights/of/nobody");
    let run = bench.command(&["pull", "mobilenet_v2"]).env("CYGNET_MIRROR", &missing).output().unwrap();
    let run = Run::of(run);
    assert!(run.code == 1 && run.err.contains("of/nobody: no such folder; CYGNET_MIRROR"), "{}", run.err);
}

#[test]
fn golden_files_are_verified_and_a_failure_names_its_layer() {
    let Some(golden) = cygnet_testing::shared("goldens/inference/torchvision__mobilenet_v2.json") else {
        return;
    };
    let bench = Bench::new();
    let good = std::fs::canonicalize(golden).unwrap();
    let mut json: Value = serde_json::from_slice(&std::fs::read(&good).unwrap()).unwrap();
    json["gain"] = 1.0.into();
    std::fs::write(bench.path("bad.json"), json.to_string()).unwrap();
    let run = bench.run(&["verify", "--json", good.to_str().unwrap(), "bad.json", "none.json"]);
    assert_eq!(run.code, 1);
    let lines = run.json();
    assert_eq!((&lines[0]["pass"], &lines[0]["first_bad_layer"]), (&true.into(), &Value::Null));
    assert!(lines[0]["max_rel_diff"].as_f64().unwrap() < 1e-4);
    assert_eq!((&lines[1]["pass"], &lines[1]["first_bad_layer"]), (&false.into(), &"features.0.0".into()));
    assert_eq!((&lines[2]["pass"], &lines[2]["max_rel_diff"]), (&false.into(), &Value::Null));
    let run = bench.run(&["verify", "none.json", good.to_str().unwrap(), "--csv"]);
    let lines: Vec<&str> = run.out.lines().collect();
    assert_eq!(lines[0], "file,pass,max_rel_diff,first_bad_layer,error");
    assert!(lines[1].starts_with("none.json,false,,,") && lines[2].contains("golden"), "{}", run.out);
    let run = bench.run(&["verify", "none.json"]);
    assert!(run.code == 1 && run.out.matches("none.json").count() == 1, "{}", run.out);
    let run = bench.run(&["verify", good.to_str().unwrap()]);
    assert!(run.code == 0 && run.out.starts_with("pass"), "{}", run.out);
}

#[test]
fn models_are_held_against_each_other_over_photos() {
    let bench = Bench::new().with_model();
    bench.picture("dark.bmp", 20);
    bench.picture("bright.bmp", 200);
    assert_eq!(bench.run(&["convert", "light.safetensors", "light.onnx"]).code, 0);
    let run = bench.run(&["verify", "light.safetensors", "--against", "light.onnx", "--data", "."]);
    assert_eq!((run.code, run.out.matches("pass  ").count()), (0, 3), "{}{}", run.out, run.err);
    assert!(run.out.contains("2 of 2 layers compute the same"), "{}", run.out);
    let verdict =
        "pass  light.safetensors against light.onnx: 2 of 2 pictures pass, 2 have the same first guess";
    let quiet = bench.run(&["verify", "light.safetensors", "--against", "light.onnx", "--data", ".", "-q"]);
    assert!(quiet.out.starts_with(verdict) && quiet.err.is_empty(), "{}{}", quiet.out, quiet.err);

    std::fs::write(bench.path("torn.png"), b"\x89PNG\r\n\x1a\n").unwrap();
    let run = bench.run(&["verify", "light.safetensors", "--against", "light.onnx", "--data", ".", "--csv"]);
    assert!(run.code == 1 && run.err.contains("warning: not compared: ./torn.png"), "{}", run.err);
    assert!(run.err.contains("1 picture could not be read") && !run.err.contains("cause"), "{}", run.err);
    let lines: Vec<&str> = run.out.lines().collect();
    assert_eq!(lines.len(), 5, "{}", run.out);
    assert!(lines[0].starts_with("photo,pass,max_rel_diff,mean_rel_diff"), "{}", run.out);
    assert!(lines[3].starts_with("./torn.png,,,") && lines[4].starts_with(",false,"), "{}", run.out);
    std::fs::remove_file(bench.path("torn.png")).unwrap();

    let mut other = cygnet::Model::open(bench.path("light.safetensors")).unwrap();
    other.preprocess.mean = vec![0.0; 3];
    other.write(bench.path("other.safetensors")).unwrap();
    let against =
        ["verify", "light.safetensors", "--against", "other.safetensors", "--photo", "dark.bmp", "--json"];
    let run = bench.run(&against);
    let lines = run.json();
    assert_eq!((run.code, lines.len()), (1, 2), "{}", run.out);
    assert_eq!((&lines[0]["photo"], &lines[0]["pass"]), (&"dark.bmp".into(), &false.into()));
    assert_eq!((&lines[1]["failed"], &lines[1]["layers"]["same"]), (&1.into(), &2.into()));
    let cause = lines[1]["causes"][0].as_str().unwrap();
    assert!(cause.starts_with("photos are prepared differently: numbers"), "{cause}");

    std::fs::create_dir(bench.path("many")).unwrap();
    (0..14).for_each(|i| bench.picture(&format!("many/{i}.bmp"), 100 + 10 * i));
    let against = ["verify", "light.safetensors", "--against", "other.safetensors", "--data", "many"];
    let run = bench.run(&against);
    let lines: Vec<&str> = run.out.lines().collect();
    assert_eq!(lines.iter().filter(|line| line.contains(".bmp")).count(), 10, "{}", run.out);
    assert!(lines[10].starts_with("4 more fail; --csv and --json"), "{}", run.out);
    assert!(
        lines[11].starts_with("FAIL  light.safetensors against other.safetensors: 0 of 14"),
        "{}",
        run.out
    );
    assert!(
        lines.last().unwrap().trim_start().starts_with("likely cause: photos are prepared"),
        "{}",
        run.out
    );

    for (args, code, words) in [
        (&["light.safetensors", "--against", "light.onnx"][..], 2, "--photo, or a folder with --data"),
        (&["a", "b", "--against", "light.onnx", "--photo", "dark.bmp"], 2, "one argument, a model"),
        (&["light.safetensors", "--photo", "dark.bmp"], 2, "--against"),
        (&["light.safetensors", "--against", "none.onnx", "--photo", "dark.bmp"], 1, "none.onnx"),
        (
            &["light.safetensors", "--against", "light.onnx", "--photo", "light.onnx"],
            1,
            "no photo could be read",
        ),
    ] {
        let run = bench.run(&[&["verify"], args].concat());
        assert!(run.code == code && run.err.contains(words), "{args:?}: {} {}", run.code, run.err);
    }
}

#[test]
fn photos_are_prepared_as_a_conversion_says() {
    let bench = Bench::new().with_model();
    assert_eq!(bench.run(&["convert", "light.safetensors", "light.onnx"]).code, 0);
    let shown = |file: &str| {
        let run = bench.run(&["show", file, "--json"]);
        serde_json::from_str::<serde_json::Value>(run.out.lines().next().unwrap()).unwrap()["preprocess"]
            .clone()
    };
    let args = ["convert", "light.onnx", "other.safetensors", "--mean", "0.25,0.5,-0.75", "--std", "0.5"];
    let more =
        ["--resize", "shorter=12", "--interpolation", "bicubic", "--channels", "bgr", "--scale", "1/64"];
    let run = bench.run(&[&args[..], &more].concat());
    assert_eq!(run.code, 0, "{}", run.err);
    let other = shown("other.safetensors");
    for (field, wanted) in [
        ("mean", serde_json::json!([0.25, 0.5, -0.75])),
        ("std", serde_json::json!([0.5, 0.5, 0.5])),
        ("resize", serde_json::json!({"shorter_side": {"side": 12}})),
        ("interpolation", serde_json::json!("bicubic")),
        ("channels", serde_json::json!("bgr")),
        ("scale", serde_json::json!(0.015625)),
        ("size", serde_json::json!([8, 8])),
    ] {
        assert_eq!(other[field], wanted, "{field}: {other}");
    }
    let run = bench.run(&["convert", "light.onnx", "wide.safetensors", "--image", "16x24"]);
    assert_eq!(run.code, 0, "{}", run.err);
    assert_eq!(shown("wide.safetensors")["size"], serde_json::json!([16, 24]));
    for (option, value, why) in [
        ("--mean", "1,2", "light.onnx: preprocess: mean: has 2 values"),
        ("--std", "0", "light.onnx: preprocess: std: 0 is not above zero"),
        (
            "--channels",
            "grey",
            "light.onnx: preprocess: size: photos are prepared as 1x8x8 but the network reads 3x8x8",
        ),
    ] {
        let run = bench.run(&["convert", "light.onnx", "wrong.safetensors", option, value]);
        assert!(run.code == 1 && run.err.contains(why), "{option} {value}: {} {}", run.code, run.err);
        assert!(!bench.path("wrong.safetensors").exists());
    }
}

#[test]
fn files_are_called_by_their_format() {
    let bench = Bench::new().with_model();
    assert_eq!(bench.run(&["convert", "light.safetensors", "light.onnx"]).code, 0);
    std::fs::write(bench.path("light.tflite"), b"\x1c\0\0\0TFL3").unwrap();
    std::fs::write(bench.path("light.param"), b"7767517\n1 1\nInput in0 0 1 in0\n").unwrap();
    std::fs::write(bench.path("notes.txt"), b"some notes, which are no network").unwrap();
    let told = |args: &[&str]| {
        let run = bench.run(&[&["convert"], args, &["out.safetensors"]].concat());
        assert_eq!(run.code, 1, "{args:?}: {}", run.err);
        run.err
    };
    for (file, format) in [("onnx", "ONNX"), ("tflite", "TFLite"), ("param", "ncnn")] {
        let told = told(&[&format!("light.{file}"), "--weights-key", "model_ema"]);
        assert!(told.contains(&format!("is a file that brings its graph ({format} file)")), "{told}");
    }
    // What is left of a network whose body was cut off.
    let head = "7767517\n2 2\nInput in0 0 1 in0 0=1 1=1 2=8\nReLU r 1 1 in0 out0\n";
    std::fs::write(bench.path("head.param"), head).unwrap();
    std::fs::write(bench.path("head.bin"), b"").unwrap();
    let refused = told(&["head.param"]);
    assert!(refused.contains("head.param: reads 8x1x1, which no photo becomes"), "{refused}");
    let told = told(&["notes.txt"]);
    assert!(told.contains(".onnx, .tflite and .param (ncnn) files"), "{told}");
}
