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
    assert!(run.code == 1 && run.err.contains("CYGNET_OFFLINE=maybe: neither 1 (also true"), "{}", run.err);

    let mut command = bench.command(&["man"]);
    let run = Run::of(command.env("SOURCE_DATE_EPOCH", "today").output().unwrap());
    assert!(run.code == 1 && run.err.contains("SOURCE_DATE_EPOCH=today: not a number"), "{}", run.err);
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
fn options_that_do_not_apply_are_told_together_with_where_they_would() {
    let bench = Bench::new().with_model();
    let args = ["convert", MODEL[1], "out.safetensors", "--opset", "17", "--softmax"];
    let run = bench.run(&args);
    let expected = "error: --opset and --softmax are for an OUT that ends in .onnx; leave them out\n";
    assert_eq!((run.code, run.err.as_str()), (2, expected));
    assert!(!bench.path("out.safetensors").exists());
    let run = bench.run(&["convert", MODEL[1], "out.ONNX", "--opset", "17", "--softmax", "--batch", "2"]);
    assert_eq!(run.code, 0, "{}", run.err);
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
