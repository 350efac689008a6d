//! What is said to command lines that mean something else than they say, and limits on values.

use crate::{Bench, MODEL, Run};

#[test]
fn an_option_that_others_have_is_answered_with_what_takes_its_place() {
    let bench = Bench::new();
    for (args, wanted) in [
        (&["train", "photos", "--lr", "0.1"][..], "--set optimizer.rate=0.01"),
        (&["train", "photos", "--classes", "5"], "the classes are those of DATA"),
        (&["train", "photos", "--labels", "names.txt"], "the classes are those of DATA"),
        (&["train", "photos", "--weight-decay=0.1"], "--set optimizer.weight_decay"),
        (&["train", "photos", "--optimizer", "adam"], "--set optimizer.kind=adamw"),
        (&["train", "photos", "epochs=2"], "--set epochs=2"),
        (&["train", "photos", "--pretrained"], "'--from'"),
        (&["classify", "--pretrained", "a.jpg"], "'--model'"),
        (&["train", "photos", "--device", "cpu"], "computes on the CPU"),
        (&["classify", "a.jpg", "--device", "cuda"], "computes on the CPU"),
        (&["train", "photos", "--num-epochs", "3"], "'--epochs'"),
        (&["train", "photos", "--time", "-5s"], "--time=-5s"),
        (&["train", "photos", "-o", "-x.safetensors"], "-o=-x.safetensors"),
    ] {
        let run = bench.run(args);
        assert_eq!(run.code, 2, "{args:?}");
        assert!(run.err.contains(wanted) && !run.err.contains("use '-- "), "{args:?}: {}", run.err);
    }
}

#[test]
fn a_negative_number_is_answered_with_the_range() {
    let bench = Bench::new();
    for args in [
        &["train", "photos", "--epochs", "-1"][..],
        &["train", "photos", "-e", "-1"],
        &["train", "photos", "-j", "-1"],
        &["train", "photos", "--seed", "-3"],
        &["train", "photos", "--time", "-5"],
        &["train", "photos", "--memory", "-5"],
        &["classify", "a.jpg", "-k", "-2"],
        &["bench", "mobilenet_v2", "--seconds", "-1"],
        &["show", "mobilenet_v2", "--image", "-1"],
        &["convert", "a.pth", "b.safetensors", "--classes", "-1"],
    ] {
        let run = bench.run(args);
        assert_eq!(run.code, 2, "{args:?}");
        assert!(run.err.contains("invalid value '-"), "{args:?}: {}", run.err);
    }
}

#[test]
fn sizes_times_and_sides_have_one_range_everywhere() {
    let bench = Bench::new();
    for (args, fits) in [
        (&["train", "photos", "--time", "1h1h"][..], false),
        (&["train", "photos", "--time", "5m1h"], false),
        (&["train", "photos", "--time", "1d2h3m4s"], true),
        (&["train", "photos", "--max-unpacked", "1e400"], false),
        (&["train", "photos", "--max-unpacked", "99999999999GB"], false),
        (&["train", "photos", "--max-unpacked", "0"], true),
        (&["train", "photos", "--max-decode", "2GB"], true),
        (&["classify", "none.jpg", "--max-pictures", "0"], false),
        (&["train", "photos", "--image", "16385"], false),
        (&["bench", "none.pth", "--image", "16385"], false),
        (&["show", "none.pth", "--image", "16385"], false),
        (&["train", "photos", "--image", "16384"], true),
        (&["bench", "none.pth", "--image", "16384"], true),
        (&["show", "none.pth", "--image", "16384"], true),
    ] {
        let run = bench.run(args);
        assert_eq!(run.code, if fits { 1 } else { 2 }, "{args:?}: {}", run.err);
    }
    let set = |setting: &str| bench.run(&["train", "--print-recipe", "--set", setting]);
    assert_eq!((set("image=16384").code, set("image=16385").code), (0, 1));
    let lines = set("epochs=3\nbatch=4");
    assert!(lines.code == 1 && lines.err.contains("give each setting by its own --set"), "{}", lines.err);
}

#[test]
fn a_start_that_is_no_file_is_answered_with_the_word() {
    let bench = Bench::new();
    bench.picture("photos/a/1.bmp", 1);
    bench.picture("photos/b/1.bmp", 2);
    let run = bench.run(&["train", "photos", "--from", "scrach", "--set", "validation=0"]);
    assert!(
        run.code == 1 && run.err.contains("scrach: no such file or folder (did you mean scratch?)"),
        "{}",
        run.err
    );
    let run = bench.run(&["train", "photos", "--from", "mine.pth", "--set", "validation=0"]);
    assert!(
        run.code == 1 && run.err.contains("mine.pth: no such file or folder; --from takes"),
        "{}",
        run.err
    );
}

#[test]
fn a_missing_file_is_told_in_one_way() {
    let bench = Bench::new().with_model();
    bench.picture("a.bmp", 1);
    for args in [
        &["classify", MODEL[0], MODEL[1], "none.jpg"][..],
        &["classify", "-m", "none.pth", "a.bmp"],
        &["eval", MODEL[0], MODEL[1], "none"],
        &["train", "none"],
        &["train", "--print-recipe", "none.safetensors"],
        &["train", "--print-recipe", "--recipe", "none.toml"],
        &["convert", "none.pth", "out.safetensors"],
        &["convert", MODEL[1], "out.safetensors", "--labels", "none.txt"],
        &["bench", "none.pth"],
        &["show", "none.safetensors"],
    ] {
        let run = bench.run(args);
        assert!(run.code == 1 && run.err.contains("no such file or folder"), "{args:?}: {}", run.err);
        assert!(!run.err.contains("os error"), "{args:?}: {}", run.err);
    }
}

#[test]
fn names_of_others_mean_the_network() {
    let bench = Bench::new();
    let shown = |name: &str| bench.run(&["show", name, "--json"]);
    for name in ["mobilenet-v2", "mobilenet_v2.DEFAULT", "mobilenet-v2.IMAGENET1K_V1"] {
        let run = shown(name);
        assert_eq!((run.code, &run.json()[0]["id"]), (0, &"mobilenet_v2".into()), "{}", run.err);
    }
    assert_eq!(shown("squeezenet1_0_caffe.DEFAULT").code, 1, "nobody published weights for it");
    let head = |name: &str| bench.run(&["show", name]).out.lines().next().unwrap().to_owned();
    assert!(head("mobilenet_v2").starts_with("mobilenet_v2  MobileNetV2"), "{}", head("mobilenet_v2"));
    let timm = bench.run(&["show", "timm/mobilenetv2_100"]).out;
    let expected = "timm/mobilenetv2_100  MobileNetV2\nnetwork      mobilenet_v2  torchvision flavour\n";
    assert!(timm.starts_with(expected), "{timm}");
}

#[test]
fn families_are_listed_by_patterns() {
    let bench = Bench::new();
    let families = |pattern: &str| {
        let run = bench.run(&["list", "--json", "--family", pattern]);
        let mut families: Vec<String> =
            run.json().iter().map(|line| line["family"].as_str().unwrap().to_owned()).collect();
        families.dedup();
        (run.code, families.join(" "))
    };
    assert_eq!(families("mobile*"), (0, "MobileNetV1 MobileNetV2 MobileNetV3 MobileNeXt".into()));
    assert_eq!(families("*FFLE*v2"), (0, "ShuffleNetV2".into()));
    let none = bench.run(&["list", "--family", "q*"]);
    assert!(
        none.code == 1 && none.err.contains("no family is called q*; there are inception"),
        "{}",
        none.err
    );
}

#[test]
fn a_set_that_is_no_text_is_refused_too() {
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt;
        let bench = Bench::new();
        let mut command = bench.command(&["kernels"]);
        command.env("CYGNET_ISA", std::ffi::OsStr::from_bytes(b"avx\xff"));
        let run = Run::of(command.output().unwrap());
        assert!(run.code == 2 && run.err.contains("is no instruction set"), "{}", run.err);
    }
}

#[test]
fn an_offline_command_leaves_no_cache_behind() {
    let bench = Bench::new();
    assert_eq!(bench.run(&["pull", "mobilenet_v2"]).code, 1);
    assert!(!bench.path("cache").exists());
}
