//! What `compress` writes and tells.

use serde_json::Value;

use super::{Bench, Run};

/// Few epochs on few threads.
const FEW: [&str; 6] = ["--epochs", "1", "--set", "batch=8", "-j", "1"];

/// Dark and bright pictures, and a network that was trained on them.
fn trained() -> Bench {
    let bench = Bench::new();
    for number in 0..16u8 {
        bench.picture(&format!("photos/dark/{number}.bmp"), 7 * number);
        bench.picture(&format!("photos/bright/{number}.bmp"), 255 - 7 * number);
    }
    let network =
        ["train", "photos", "--network", "mobilenet_v2_0.25", "--from", "scratch", "-o", "m.safetensors"];
    let run =
        bench.run(&[&network[..], &["--image", "16", "--epochs", "4", "--batch", "8", "-j", "1"]].concat());
    assert_eq!(run.code, 0, "{}", run.err);
    bench
}

fn compress(bench: &Bench, more: &[&str]) -> Run {
    bench.run(&[&["compress", "m.safetensors", "--data", "photos"], more, &FEW].concat())
}

fn card(bench: &Bench, file: &str) -> Value {
    let run = bench.run(&["show", file, "--json"]);
    assert_eq!(run.code, 0, "{}", run.err);
    run.json().remove(0)
}

#[test]
fn a_smaller_model_keeps_to_its_goal_and_is_a_model_like_any_other() {
    let bench = trained();
    let whole = std::fs::read(bench.path("m.safetensors")).unwrap();
    let macs = card(&bench, "m.safetensors")["macs"].as_u64().unwrap();
    let goal = (macs * 6 / 10).to_string();
    let run = compress(&bench, &["--macs", &goal, "--json", "-o", "s.safetensors"]);
    let last = run.json().pop().unwrap();
    // On so small a network cutting may win no time, which is then not met.
    let file = if last["met"] == true { "s.safetensors" } else { "s.best.safetensors" };
    assert_eq!((run.code == 0, &last["file"]), (last["met"] == true, &Value::from(file)), "{}", run.err);
    let [before, after] = [&last["before"], &last["after"]];
    assert_eq!(before["macs"], macs);
    assert!(after["macs"].as_u64().unwrap() <= macs * 6 / 10, "{last}");
    assert!(after["params"].as_u64() < before["params"].as_u64(), "{last}");
    assert_eq!(after["bytes"], std::fs::metadata(bench.path(file)).unwrap().len());
    for figure in ["top1", "ms", "ms_all", "peak_bytes"] {
        assert!(before[figure].as_f64().is_some() && after[figure].as_f64().is_some(), "{figure}: {last}");
    }
    assert_eq!(last["tried"].as_array().unwrap().len(), 1);
    assert!(!bench.path("s.compress").exists());
    assert_eq!(std::fs::read(bench.path("m.safetensors")).unwrap(), whole);

    let small = card(&bench, file);
    assert_eq!(small["macs"], after["macs"]);
    for args in [
        &["classify", "-m", file, "photos/dark/0.bmp"][..],
        &["eval", "-m", file, "photos"],
        &["quantize", file, "--data", "photos", "-o", "bytes.safetensors"],
        &["convert", file, "small.onnx"],
        &["convert", file, "copy.safetensors"],
        &[
            "train",
            "photos",
            "--from",
            file,
            "--epochs",
            "1",
            "--batch",
            "8",
            "-j",
            "1",
            "-o",
            "on.safetensors",
        ],
    ] {
        let run = bench.run(args);
        assert_eq!(run.code, 0, "{args:?}: {}", run.err);
    }
    for other in ["copy.safetensors", "on.safetensors", "bytes.safetensors"] {
        assert_eq!(card(&bench, other)["macs"], after["macs"], "{other}");
        let text = std::fs::read(bench.path(other)).unwrap();
        assert!(String::from_utf8_lossy(&text).contains("compression"), "{other} has the record");
    }
    let exported = bench.run(&["verify", "small.onnx", "--against", file, "--data", "photos"]);
    assert_eq!(exported.code, 0, "{}{}", exported.out, exported.err);
}

#[test]
fn sizes_are_kept_to_and_what_cannot_be_is_told() {
    let bench = trained();
    let whole = std::fs::metadata(bench.path("m.safetensors")).unwrap().len();
    let goal = (whole * 7 / 10).to_string();
    let run = compress(&bench, &["--size", &goal, "--json"]);
    assert_eq!(run.code, 0, "{}", run.err);
    let size = std::fs::metadata(bench.path("m-compressed.safetensors")).unwrap().len();
    assert!(size <= whole * 7 / 10, "{size} of {whole}");
    let taken = compress(&bench, &["--size", &goal]);
    assert!(taken.code == 1 && taken.err.contains("--overwrite"), "{}", taken.err);

    let run = compress(&bench, &["--macs", "10", "--json", "-o", "tiny.safetensors"]);
    let last = run.json().pop().unwrap();
    assert_eq!((run.code, &last["met"]), (1, &Value::from(false)), "{}", run.err);
    assert!(run.err.contains("the goal is not met"), "{}", run.err);
    assert!(bench.path("tiny.best.safetensors").exists() && !bench.path("tiny.safetensors").exists());

    let run = compress(&bench, &["--macs", "100G", "--json", "-o", "same.safetensors"]);
    assert_eq!(run.code, 0, "{}", run.err);
    assert!(run.err.contains("nothing is cut"), "{}", run.err);
}

#[test]
fn what_was_killed_goes_on_and_wrong_questions_are_told() {
    let bench = trained();
    let whole = std::fs::read(bench.path("m.safetensors")).unwrap();
    let macs = card(&bench, "m.safetensors")["macs"].as_u64().unwrap() * 6 / 10;
    let goal = macs.to_string();
    let ask = ["compress", "m.safetensors", "--data", "photos", "--macs", &goal, "--epochs", "40", "-j", "1"];
    let ask = [&ask[..], &["--set", "batch=8", "-o", "s.safetensors"]].concat();
    let mut child = bench.command(&ask).spawn().unwrap();
    let state = bench.path("s.compress/tuned-1.state.safetensors");
    let begins = std::time::Instant::now();
    while !state.exists() && begins.elapsed().as_secs() < 300 && child.try_wait().unwrap().is_none() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    _ = child.kill();
    _ = child.wait();
    if bench.path("s.compress").exists() {
        let again = bench.run(&ask);
        assert!(again.code == 1 && again.err.contains("--resume"), "{}", again.err);
        let other = bench.run(&[&ask[..], &["--resume", "--drop", "3"]].concat());
        assert!(other.code == 1 && other.err.contains("was asked otherwise"), "{}", other.err);
        let run = bench.run(&[&ask[..], &["--resume", "--json"]].concat());
        let last = run.json().pop().unwrap();
        assert!(last["after"]["macs"].as_u64().unwrap() <= macs, "{}{}", run.out, run.err);
    }
    assert_eq!(std::fs::read(bench.path("m.safetensors")).unwrap(), whole);

    let none = bench.run(&["compress", "m.safetensors", "--data", "photos"]);
    assert_eq!(none.code, 2, "{}", none.err);
    let both = bench.run(&["compress", "m.safetensors", "--data", "photos", "--macs", "1M", "--size", "1kB"]);
    assert_eq!(both.code, 2, "{}", both.err);
    for time in ["3", "0ms", "ms", "-1ms"] {
        let wrong = bench.run(&["compress", "m.safetensors", "--data", "photos", "--latency", time]);
        assert_eq!(wrong.code, 2, "{time}: {}", wrong.err);
    }
    bench.picture("others/cat/1.bmp", 9);
    bench.picture("others/dog/1.bmp", 9);
    let others = bench.run(&["compress", "m.safetensors", "--data", "others", "--drop", "1"]);
    assert!(others.code == 1 && others.err.contains("train it on them first"), "{}", others.err);
    assert!(!bench.path("m-compressed.compress").exists());
}

#[test]
fn where_nothing_pays_no_file_is_written() {
    let bench = Bench::new().with_model();
    for number in 0..8u8 {
        bench.picture(&format!("photos/dark/{number}.bmp"), 7 * number);
        bench.picture(&format!("photos/bright/{number}.bmp"), 255 - 7 * number);
    }
    std::fs::copy(bench.path("light.safetensors"), bench.path("m.safetensors")).unwrap();
    // Its classes are in the order of the folders.
    let run =
        bench.run(&["train", "photos", "--from", "m.safetensors", "--epochs", "1", "-o", "n.safetensors"]);
    assert_eq!(run.code, 0, "{}", run.err);
    let ask =
        ["compress", "n.safetensors", "--data", "photos", "--drop", "0", "--json", "-o", "s.safetensors"];
    let run = bench.run(&[&ask[..], &FEW].concat());
    assert_eq!(run.code, 0, "{}", run.err);
    let last = run.json().pop().unwrap();
    assert_eq!((&last["file"], &last["met"]), (&Value::Null, &Value::from(true)), "{last}");
    assert!(run.err.contains("nothing pays") && !bench.path("s.safetensors").exists(), "{}", run.err);
}
