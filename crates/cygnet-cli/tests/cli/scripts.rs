//! What scripts rely on: exit codes, CSV, pipes, quiet, names of options, completions, manual pages.

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use serde_json::Value;

use crate::{Bench, MODEL, Run};

#[test]
fn without_arguments_help_is_printed_and_the_code_is_2() {
    let run = Bench::new().run(&[]);
    assert_eq!((run.code, run.out.as_str()), (2, ""));
    assert!(run.err.contains("Usage: cygnet") && run.err.contains("classify"), "{}", run.err);
}

#[test]
fn errors_name_their_causes_once() {
    let bench = Bench::new().with_model();
    bench.picture("a.bmp", 1);
    for args in [
        &["kernels"][..],
        &["classify", MODEL[0], MODEL[1], "a.bmp"],
        &["eval", MODEL[0], MODEL[1], "."],
        &["bench", "light.safetensors"],
        &["verify", "a.bmp"],
        &["train", "."],
    ] {
        let run = Run::of(bench.command(args).env("CYGNET_ISA", "foo").output().unwrap());
        assert_eq!(run.code, 2);
        assert!(run.err.starts_with("error: CYGNET_ISA: foo is no instruction set"), "{args:?}: {}", run.err);
        assert!(run.err.contains("scalar") && run.err.contains("\nhint: "), "{}", run.err);
        assert_eq!(run.err.matches("foo is no").count(), 1, "{}", run.err);
    }
    let run = bench.run(&["eval", MODEL[0], MODEL[1], "none"]);
    assert!(run.code == 1 && run.err == "error: none: no such file or folder\n", "{}", run.err);
    for command in ["bench", "show"] {
        let run = bench.run(&[command, "none.pth"]);
        assert_eq!((run.code, run.err.as_str()), (1, "error: none.pth: no such file or folder\n"));
    }
}

#[test]
fn an_option_of_another_name_is_answered_with_this_one() {
    let bench = Bench::new();
    for (args, wanted) in [
        (&["classify", "--network", "mobilenet_v2", "a.jpg"][..], "'--model'"),
        (&["eval", "--network=mobilenet_v2", "photos"], "'--model'"),
        (&["train", "--model", "mobilenet_v2", "photos"], "'--network', '--from'"),
        (&["convert", "--model", "mobilenet_v2", "a.pth", "b.safetensors"], "'--network'"),
        (&["predict", "--network", "mobilenet_v2", "a.jpg"], "'--model'"),
        (&["classify", "--workers", "2", "a.jpg"], "'--threads'"),
        (&["bench", "mobilenet_v2", "--imgsz", "160"], "'--image'"),
        (&["bench", "--model", "mobilenet_v2"], "cygnet bench mobilenet_v2"),
        (&["show", "--network", "mobilenet_v2"], "cygnet show mobilenet_v2"),
        (&["pull", "--model", "mobilenet_v2"], "cygnet pull mobilenet_v2"),
        (&["list", "--famly", "fbnet"], "'--family'"),
        (&["clasify", "a.jpg"], "'classify'"),
    ] {
        let run = bench.run(args);
        assert_eq!(run.code, 2, "{args:?}");
        assert!(run.err.contains(wanted), "{args:?}: {}", run.err);
    }
}

#[test]
fn short_options_and_predict_mean_the_same() {
    let bench = Bench::new().with_model();
    bench.picture("a.bmp", 250);
    let told = |args: &[&str]| {
        let mut line = bench.run(args).json().remove(0);
        line["ms"] = Value::Null;
        line
    };
    let long = told(&["classify", MODEL[0], MODEL[1], "--top", "1", "--threads", "2", "--json", "a.bmp"]);
    assert_eq!(long["model"], "light.safetensors", "a file is called as it was typed");
    assert_eq!(told(&["predict", "-m", MODEL[1], "-k1", "-j2", "--json", "a.bmp"]), long);
    let eval = bench.run(&["eval", "-m", MODEL[1], "-j", "1", "none"]);
    assert_eq!(eval.code, 1);
}

#[test]
fn an_unreadable_photo_has_a_line_of_its_own() {
    let bench = Bench::new().with_model();
    bench.picture("photos/a.bmp", 250);
    bench.picture("photos/c.bmp", 250);
    std::fs::write(bench.path("photos/b.jpg"), b"not a photo").unwrap();
    let run = bench.run(&["classify", "-m", MODEL[1], "--json", "photos", "none.png"]);
    assert_eq!(run.code, 1);
    let lines = run.json();
    let paths: Vec<_> = lines.iter().map(|line| line["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["photos/a.bmp", "photos/b.jpg", "photos/c.bmp", "none.png"]);
    for (line, fails) in lines.iter().zip([false, true, false, true]) {
        assert_eq!(line["error"].is_string(), fails, "{line}");
        assert_eq!(line["top"].is_array(), !fails, "{line}");
        assert!(
            !line["error"].as_str().unwrap_or_default().contains(line["path"].as_str().unwrap()),
            "{line}"
        );
    }
    let run = bench.run(&["classify", "-m", MODEL[1], "--csv", "photos"]);
    let lines: Vec<&str> = run.out.lines().collect();
    assert_eq!((run.code, lines.len()), (1, 1 + 2 + 1 + 2), "{}", run.out);
    assert_eq!(lines[0], "path,rank,index,label,probability,error");
    assert!(lines[1].starts_with("photos/a.bmp,1,1,bright,") && lines[1].ends_with(','), "{}", lines[1]);
    assert!(lines[3].starts_with("photos/b.jpg,,,,,"), "{}", lines[3]);
}

#[test]
fn tables_come_as_csv() {
    let bench = Bench::new().with_model();
    bench.picture("val/dark/a.bmp", 250);
    bench.picture("val/bright/b, and \"c\".bmp", 250);
    let rows = |args: &[&str]| {
        let run = bench.run(&[args, &["--csv"]].concat());
        assert_eq!(run.code, 0, "{}", run.err);
        let rows: Vec<Vec<String>> =
            run.out.lines().map(|line| line.split(',').map(str::to_owned).collect()).collect();
        assert!(rows.iter().all(|row| row.len() == rows[0].len()), "{}", run.out);
        rows
    };
    let shown = rows(&["show", "mobilenet_v2"]);
    let macs: u64 = shown[1..].iter().map(|row| row[4].parse::<u64>().unwrap()).sum();
    assert_eq!((shown[0][4].as_str(), macs), ("macs", 300_774_272));
    let timed = rows(&["bench", "light.safetensors", "--seconds", "0"]);
    assert_eq!((timed[1][0].as_str(), timed[0][8].as_str()), ("light.safetensors", "median_ms"));
    assert!(timed[1][8].parse::<f64>().unwrap() > 0.0);
    assert!(rows(&["bench", "light.safetensors", "--seconds", "0", "--layers"]).len() > 2);
    assert_eq!(rows(&["bench", "light.safetensors", "--seconds", "0", "--cold"]).len(), 2);
    let judged = rows(&["eval", "-m", MODEL[1], "val"]);
    assert_eq!(judged[0][..2], ["class", "images"]);
    assert_eq!([&judged[1][0], &judged[2][0], &judged[3][0]], ["dark", "bright", ""]);
    assert_eq!((judged[2][3].as_str(), judged[3][4].as_str()), ("100", "50"));
    let kernels = rows(&["kernels"]);
    assert!(
        kernels[0] == ["kernel", "type", "isa", "lanes", "tile", "supported", "used"] && kernels.len() > 5
    );
    let listed = rows(&["list", "--family", "fbnet"]);
    assert!(listed[0].contains(&"id".to_owned()) && listed.len() > 3);
    let run = bench.run(&["classify", "-m", MODEL[1], "--csv", "val/bright"]);
    assert!(run.out.contains("\"val/bright/b, and \"\"c\"\".bmp\",1,"), "{}", run.out);
    for command in
        [&["list"][..], &["show", "mobilenet_v2"], &["eval", "x"], &["classify", "x"], &["bench", "x"]]
    {
        assert_eq!(bench.run(&[command, &["--csv", "--json"]].concat()).code, 2);
    }
}

#[test]
fn nothing_is_cut_in_a_pipe() {
    let bench = Bench::new().with_model();
    let long = format!("{}.bmp", "long-".repeat(40));
    bench.picture(&long, 250);
    let file = format!("{}.safetensors", "model-".repeat(20));
    std::fs::copy(bench.path(MODEL[1]), bench.path(&file)).unwrap();
    for args in [&["classify", "-m", &file, &long][..], &["bench", &file, "--seconds", "0"]] {
        let mut command = bench.command(args);
        command.env("COLUMNS", "40");
        let out = Run::of(command.output().unwrap()).out;
        assert!(out.contains(args.last().filter(|name| name.len() > 9).unwrap_or(&args[1])), "{out}");
    }
    let out = bench.run(&["show", "inception_resnet_v2", "--layers", "--plan"]).out;
    assert!(!out.contains('…'), "{out}");
    let mut model = cygnet::Model::open(bench.path(MODEL[1])).unwrap();
    model.labels = vec!["a very ".repeat(20) + "long label", "b".into()];
    model.write(bench.path("long.safetensors")).unwrap();
    let out = bench.run(&["classify", "-m", "long.safetensors", &long]).out;
    assert!(out.contains(&model.labels[0]), "{out}");
}

#[test]
fn quiet_leaves_results_and_errors() {
    let bench = Bench::new().with_model();
    bench.picture("photos/a.bmp", 250);
    bench.picture("photos/b.bmp", 250);
    let loud = bench.run(&["classify", "-m", MODEL[1], "photos"]);
    assert!(loud.err.contains("2 images in"), "{}", loud.err);
    for args in [
        &["-q", "classify", "-m", MODEL[1], "photos"][..],
        &["classify", "--quiet", "-m", MODEL[1], "photos"],
    ] {
        let run = bench.run(args);
        assert_eq!((run.code, run.err.as_str(), run.out.lines().count()), (0, "", loud.out.lines().count()));
    }
    let run = bench.run(&["classify", "-q", "-m", MODEL[1], "none.jpg"]);
    assert!(run.code == 1 && run.err.contains("none.jpg"), "{}", run.err);
    let run = bench.run(&["convert", "-q", MODEL[1], "copy.safetensors"]);
    assert_eq!((run.code, run.err.as_str()), (0, ""));
}

#[test]
fn a_reader_that_goes_away_ends_the_command_quietly() {
    let bench = Bench::new();
    for args in [
        &["show", "inception_resnet_v2", "--layers"][..],
        &["list", "--json"],
        &["list", "--csv"],
        &["kernels"],
        &["man", "train"],
        &["completions", "bash"],
        &["--help"],
    ] {
        let mut child = bench.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::with_capacity(16, child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let mut err = String::new();
        child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        assert_eq!((child.wait().unwrap().code(), err.as_str()), (Some(0), ""), "{args:?}");
        let mut child = bench.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop((child.stdout.take(), child.stderr.take()));
        assert_eq!(child.wait().unwrap().code(), Some(0), "{args:?}");
    }
    let mut child = bench.command(&["show", "nosuch"]).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stderr.take());
    assert_eq!(child.wait().unwrap().code(), Some(1), "an error that nobody reads is an error");
}

#[test]
fn a_model_file_tells_where_it_comes_from() {
    let bench = Bench::new().with_model();
    let mut model = cygnet::Model::open(bench.path(MODEL[1])).unwrap();
    model.accuracy =
        Some(cygnet::weights::Accuracy { dataset: "photos of mine".into(), top1: 91.25, top5: 100.0 });
    model.recipe = Some(serde_json::json!({"name": "finetune", "epochs": 20, "image": 0}));
    model.guessed = Some("photos may be prepared otherwise".into());
    model.source = Some("mobilenet_v2.IMAGENET1K_V2".into());
    model.training = Some(cygnet::weights::TrainingRecord {
        from: cygnet::weights::Origin { network: Some("mobilenet_v2".into()), ..Default::default() },
        dataset: "photos".into(),
        pictures: [80, 20, 0],
        class_pictures: vec![40, 40],
    });
    model.write(bench.path("told.safetensors")).unwrap();
    let shown = bench.run(&["show", "told.safetensors"]).out;
    for wanted in
        ["labels       dark  bright", "top-1 91.25 %  on photos of mine", "epochs 20", "IMAGENET1K_V2"]
    {
        assert!(shown.contains(wanted), "{wanted}: {shown}");
    }
    assert!(!shown.contains("image 0"), "{shown}");
    for command in [&["show", "told.safetensors"][..], &["classify", "-m", "told.safetensors", "a.bmp"]] {
        bench.picture("a.bmp", 9);
        let run = bench.run(command);
        assert!(run.code == 0 && run.err.contains("note: photos may be prepared otherwise"), "{}", run.err);
    }
    let line = &bench.run(&["show", "told.safetensors", "--json"]).json()[0];
    assert_eq!(line["labels"], serde_json::json!(["dark", "bright"]));
    assert_eq!((&line["accuracy"]["top1"], &line["recipe"]["epochs"]), (&91.25.into(), &20.into()));
    assert_eq!(line["notes"], serde_json::json!(["photos may be prepared otherwise"]));
    assert_eq!(line["source"], "mobilenet_v2.IMAGENET1K_V2");
    assert_eq!(line["training"]["from"]["network"], "mobilenet_v2");
    assert!(line["written_by"].as_str().unwrap().starts_with("cygnet "), "{line}");
}

#[test]
fn the_version_tells_the_instruction_set() {
    let bench = Bench::new();
    let run = bench.run(&["--version"]);
    assert!(run.out.starts_with(&format!("cygnet {}", env!("CARGO_PKG_VERSION"))), "{}", run.out);
    assert!(run.out.contains("\ninstruction set: ") && run.out.contains("scalar"), "{}", run.out);
    let capped = Run::of(bench.command(&["--version"]).env("CYGNET_ISA", "scalar").output().unwrap());
    assert!(capped.out.contains("instruction set: scalar, of "), "{}", capped.out);
    assert_eq!(bench.run(&["-V"]).out, format!("cygnet {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn shells_complete_every_command() {
    let bench = Bench::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let run = bench.run(&["completions", shell]);
        assert_eq!(run.code, 0);
        assert!(
            ["classify", "kernels", "overwrite"].iter().all(|word| run.out.contains(word)),
            "{}",
            run.out
        );
    }
    assert_eq!(bench.run(&["completions", "cmd"]).code, 2);
    let script = |shell| bench.run(&["completions", shell]).out;
    for known in [" mobilenet_v2 ", " mobilenet_v2.IMAGENET1K_V1 ", " scratch-small ", "pretrained scratch"] {
        for shell in ["bash", "zsh", "fish"] {
            assert!(script(shell).contains(known), "{shell}: {known}");
        }
    }
    // Wherever a network completes files do too.
    assert!(script("bash").contains("compgen -f -W \"${_cygnet_networks}\""));
    assert!(script("zsh").contains(":_cygnet_networks'") && script("zsh").contains("    _files\n"));
    assert!(script("fish").contains("using_subcommand bench\" -a \"$__cygnet_networks\""));
    assert!(!script("fish").contains("-f -a \"$__cygnet"));
    let sets: Vec<&str> = cygnet::runtime::Level::ALL.iter().map(|level| level.name()).collect();
    assert!(script("bash").contains(&sets.join(" ")) && script("bash").contains("mobilenetv2"));
}

#[test]
fn manual_pages_are_printed_or_written_but_not_over_others() {
    let bench = Bench::new();
    assert!(bench.run(&["man"]).out.contains(".TH cygnet 1"));
    assert!(bench.run(&["man", "classify"]).out.contains(".TH cygnet-classify 1"));
    let dated = |epoch| {
        let mut command = bench.command(&["man", "train"]);
        Run::of(command.env("SOURCE_DATE_EPOCH", epoch).output().unwrap()).out
    };
    let (page, version) = (dated("951868799"), env!("CARGO_PKG_VERSION"));
    let title = format!(".TH cygnet-train 1 2000-02-29 \"cygnet {version}\" \"Cygnet Manual\"");
    assert!(page.contains(&title), "{page}");
    assert!(page.contains(".SH EXAMPLES\n.nf\n  cygnet train photos/\n"), "{page}");
    assert!(page.contains(".SH NOTES\nDATA is a folder") && !page.contains("EXTRA"), "{page}");
    let whole = bench.run(&["man"]).out;
    assert!(
        ["ENVIRONMENT", "EXIT STATUS", "COMMANDS"].iter().all(|of| whole.contains(&format!(".SH {of}\n")))
    );
    let run = bench.run(&["man", "fly"]);
    assert!(run.code == 2 && run.err.contains("classify"), "{}", run.err);
    let run = bench.run(&["man", "--out", "pages/man1"]);
    assert_eq!((run.code, run.out.as_str()), (0, ""));
    let page = bench.path("pages/man1/cygnet-bench.1");
    assert!(std::fs::read_to_string(&page).unwrap().contains("Time networks"));
    std::fs::write(&page, "mine").unwrap();
    let run = bench.run(&["man", "--out", "pages/man1"]);
    assert!(
        run.code == 1 && run.err.contains("is there already") && run.err.contains("--overwrite"),
        "{}",
        run.err
    );
    assert_eq!(std::fs::read_to_string(&page).unwrap(), "mine");
    assert_eq!(bench.run(&["man", "--out", "pages/man1", "--overwrite"]).code, 0);
    assert!(std::fs::read_to_string(&page).unwrap().contains("Time networks"));
}
