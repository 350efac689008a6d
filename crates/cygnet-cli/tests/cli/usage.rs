//! Wrong usage ends with code 2, all else that fails with 1; the environment means what the help says.

use super::{Bench, MODEL, Run};

#[test]
fn wrong_usage_has_a_code_of_its_own() {
    let bench = Bench::new().with_model();
    bench.picture("a.bmp", 0);
    for args in [
        &["classify"][..],
        &["convert", "light.safetensors", "out.tflite"],
        &["convert", "light.safetensors", "out.safetensors", "--fp16"],
        &["convert", "light.safetensors", "out.safetensors", "--opset", "17"],
        &["convert", "light.safetensors", "out.safetensors", "--batch", "dynamic"],
        &["bench", "light.safetensors", "--weights", "random"],
        &["quantize", "light.safetensors", "--drop", "1"],
        &["verify", "golden.json", "--images", "5"],
        &["verify", "golden.json", "--max-pixels", "5"],
        &["verify", "golden.json", "--executor", "reference", "--fast"],
        &["quantize", "light.safetensors", "-o", "out.onnx"],
        &["show", "mobilenet_v2", "--in-channels", "2"],
        &["show", "light.safetensors", "--in-channels", "3"],
        &["list", "mobilenet"],
        &["man", "fly"],
        &["bench", "light.safetensors", "--cold", "--weights", "random"],
        &["train", "finetune", "--print-recipe"],
    ] {
        let run = bench.run(args);
        assert!(
            run.code == 2 && run.err.starts_with("error: ") && run.out.is_empty(),
            "{args:?}: {}",
            run.err
        );
    }
    for args in [
        &["classify", MODEL[0], MODEL[1], "none.jpg"][..],
        &["classify", "--model", "none", "a.bmp"],
        &["show", "none"],
        &["show", "none.safetensors"],
        &["pull", "mobilenet_v2.none"],
        &["list", "--family", "vgg"],
        &["train", "--print-recipe", "--recipe", "none"],
        &["train", "--print-recipe", "--set", "none=1"],
        &["convert", "light.safetensors", "light.safetensors"],
        &["quantize", "light.safetensors", "-o", "light.safetensors"],
        &["train", "none"],
    ] {
        let run = bench.run(args);
        assert!(run.code == 1 && run.err.contains("error: "), "{args:?}: {}", run.err);
    }
}

#[test]
fn a_switch_of_the_environment_is_on_or_off_and_nothing_else() {
    let bench = Bench::new();
    let pull = |value: &str| {
        let mut command = bench.command(&["pull", "mobilenet_v2"]);
        // Nobody listens there.
        command.env("CYGNET_OFFLINE", value).env("HTTPS_PROXY", "http://127.0.0.1:9");
        Run::of(command.output().unwrap())
    };
    for on in ["1", "true", "YES"] {
        let run = pull(on);
        assert!(run.code == 1 && run.err.contains("the network is switched off"), "{on}: {}", run.err);
    }
    for off in ["0", "False", "no", ""] {
        let run = pull(off);
        assert!(run.code == 1 && !run.err.contains("switched off"), "{off}: {}", run.err);
        assert!(run.err.contains("no source delivers it"), "{off}: {}", run.err);
    }
    let run = pull("maybe");
    assert!(run.code == 2 && run.err.contains("CYGNET_OFFLINE=maybe: neither 1 (also true"), "{}", run.err);

    let mut command = bench.command(&["man"]);
    let run = Run::of(command.env("SOURCE_DATE_EPOCH", "today").output().unwrap());
    assert!(run.code == 2 && run.err.contains("SOURCE_DATE_EPOCH=today: not a number"), "{}", run.err);
}

#[test]
fn every_command_looks_at_the_switches_of_the_environment() {
    let bench = Bench::new().with_model();
    bench.picture("a.bmp", 0);
    for args in [
        &["list"][..],
        &["show", "mobilenet_v2"],
        &["pull", "mobilenet_v2"],
        &["classify", MODEL[0], MODEL[1], "a.bmp"],
        &["convert", "light.safetensors", "out.safetensors"],
        &["bench", "light.safetensors"],
        &["kernels"],
        &["verify", "none.json"],
        &["completions", "bash"],
        &["man"],
        &["train", "photos"],
        &["quantize", "light.safetensors"],
        &["compress", "light.safetensors", "--data", "photos", "--drop", "1"],
        &["eval", MODEL[0], MODEL[1], "photos"],
    ] {
        for (name, told) in
            [("CYGNET_ISA", "CYGNET_ISA: foo is no instruction set"), ("CYGNET_OFFLINE", "=foo: neither")]
        {
            let run = Run::of(bench.command(args).env(name, "foo").output().unwrap());
            assert!(run.code == 2 && run.out.is_empty() && run.err.contains(told), "{args:?}: {}", run.err);
        }
    }
    assert!(!bench.path("out.safetensors").exists());
}

#[test]
fn a_cache_that_is_no_folder_is_told_so() {
    let bench = Bench::new();
    std::fs::write(bench.path("cache"), "mine").unwrap();
    let run = bench.run(&["pull", "mobilenet_v2"]);
    assert_eq!(run.code, 1);
    assert!(
        run.err.starts_with("error: ") && run.err.contains("is not a folder, and the cache is one"),
        "{}",
        run.err
    );
    assert_eq!(std::fs::read(bench.path("cache")).unwrap(), b"mine");
}

#[test]
fn options_and_environment_name_the_same_instruction_sets() {
    let bench = Bench::new().with_model();
    let version = bench.run(&["--version"]).out;
    let sets = version.split_once(", of ").unwrap().1.trim();
    let (help, known) = (bench.run(&["bench", "--help"]).out, sets.split(", ").collect::<Vec<_>>());
    assert!(
        help.contains("CYGNET_ISA") && known.ends_with(&["scalar"]) || known.contains(&"scalar"),
        "{sets}"
    );
    let kernels = bench.run(&["kernels", "--json"]).json();
    assert!(kernels.iter().all(|line| known.contains(&line["isa"].as_str().unwrap())), "{sets}");
    for set in known {
        let timed = |option: &[&str], variable: &str| {
            let args = [&["bench", "light.safetensors", "--seconds", "0", "--json"], option].concat();
            let run = Run::of(bench.command(&args).env("CYGNET_ISA", variable).output().unwrap());
            assert_eq!(run.code, 0, "{set}: {}", run.err);
            run.json()[0]["isa"].clone()
        };
        assert_eq!(timed(&["--isa", set], ""), timed(&[], set), "{set}");
    }
    for run in [
        bench.run(&["bench", "light.safetensors", "--isa", "mmx"]),
        Run::of(bench.command(&["kernels"]).env("CYGNET_ISA", "mmx").output().unwrap()),
    ] {
        assert!(run.err.contains(&format!("there are {sets}")), "{}", run.err);
    }
}

#[test]
fn the_limit_of_arithmetic_is_one_for_all_that_run_a_file() {
    let bench = Bench::new().with_model();
    bench.picture("a.bmp", 250);
    for name in ["photos/bright/1.bmp", "photos/dark/1.bmp"] {
        bench.picture(name, 9);
    }
    let golden = serde_json::json!({
        "source": "torchvision", "model": "mobilenet_v2", "input_shape": [1, 3, 32, 32], "gain": 1.0,
        "logits": vec![0.0; 1000], "logits_std": 1.0, "max_abs_diff_f32_f64": 0.0, "state_dict": [], "trace": []
    });
    std::fs::write(bench.path("golden.json"), golden.to_string()).unwrap();
    for args in [
        &["classify", MODEL[0], MODEL[1], "a.bmp"][..],
        &["eval", MODEL[0], MODEL[1], "photos"],
        &["show", "light.safetensors"],
        &["convert", "light.safetensors", "out.safetensors"],
        &["quantize", "light.safetensors", "--images", "1"],
        &["compress", "light.safetensors", "--data", "photos", "--drop", "1"],
        &["bench", "light.safetensors"],
        &["bench", "light.safetensors", "--cold"],
        &["train", "photos", "--from", "light.safetensors"],
        &["train", "photos", "--from", "scratch", "--set", "distill.teacher=light.safetensors"],
        &["verify", "golden.json"],
        &["verify", "golden.json", "--executor", "reference"],
    ] {
        let run = bench.run(&[args, &["--max-macs", "100"]].concat());
        let told = run.err + &run.out;
        assert!(
            run.code == 1 && told.contains("the limit is 100;") && told.contains("--max-macs"),
            "{args:?}: {told}"
        );
    }
}

#[test]
fn options_that_do_not_apply_are_told_together_with_where_they_would() {
    let bench = Bench::new().with_model();
    let args = ["convert", MODEL[1], "out.safetensors", "--opset", "17", "--softmax"];
    let run = bench.run(&args);
    let expected = "error: --opset and --softmax are for an OUT that ends in .onnx; leave them out\n";
    assert_eq!((run.code, run.err.as_str()), (2, expected));
    assert!(!bench.path("out.safetensors").exists());
    let run = bench.run(&["convert", MODEL[1], "out.ONNX", "--opset", "17", "--softmax", "--batch", "2"]);
    assert_eq!(run.code, 0, "{}", run.err);
    for args in [
        &["classify", "a.bmp"][..],
        &["show", "mobilenet_v2"],
        &["bench", "mobilenet_v2", "ghostnet"],
        &["convert", "mobilenet_v2", "out.safetensors"],
        &["eval", "photos"],
        &["quantize", "mobilenet_v2"],
        &["train", "photos", "--from", "scratch"],
        &["verify", "mobilenet_v2", "--against", "ghostnet", "--data", "photos"],
    ] {
        let run = bench.run(&[args, &["--max-macs", "2T"]].concat());
        assert!(
            run.code == 2 && run.err.contains("--max-macs is for networks in files"),
            "{args:?}: {}",
            run.err
        );
    }
}

#[test]
fn a_family_without_its_option_is_answered_with_the_option() {
    let bench = Bench::new();
    for (typed, wanted) in [
        ("mobilenet", "--family mobilenetv1 or --family mobilenetv2"),
        ("FBNet", "--family fbnet"),
        ("mobilenet_v2", "cygnet show mobilenet_v2"),
        ("elephant", "--family NAME"),
    ] {
        let run = bench.run(&["list", typed]);
        assert!(run.code == 2 && run.err.contains(wanted), "{typed}: {}", run.err);
    }
}
