//! Results that cannot be written, files that may not grow and memory that is short: each ends with an error, and nothing is
//! left half done.

use std::process::{Command, Stdio};

use super::{Bench, MODEL, Run};

impl Bench {
    /// Runs a command that may have so much memory.
    pub(super) fn within(&self, kilobytes: u32, args: &[&str]) -> Run {
        self.shell(&format!("ulimit -v {kilobytes}; exec \"$@\""), args)
    }

    /// Runs a command as `script` starts it, which has it as `"$@"`.
    fn shell(&self, script: &str, args: &[&str]) -> Run {
        let own = self.command(args);
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(script).arg("sh").arg(own.get_program()).args(own.get_args());
        let set = own.get_envs().filter_map(|(name, value)| Some((name, value?)));
        shell.current_dir(self.path("")).stdin(Stdio::null()).envs(set);
        Run::of(shell.output().unwrap())
    }
}

#[test]
fn results_that_cannot_be_written_are_an_error() {
    let bench = Bench::new().with_model();
    bench.picture("a.bmp", 250);
    bench.picture("photos/bright/1.bmp", 250);
    bench.picture("photos/dark/1.bmp", 2);
    let by_model = |args: &[&'static str]| [&args[..1], &MODEL, &args[1..]].concat();
    for args in [
        vec!["--help"],
        vec!["--version"],
        vec!["train", "--help"],
        vec!["list"],
        vec!["list", "--csv"],
        vec!["show", "mobilenet_v2", "--json"],
        vec!["completions", "bash"],
        vec!["man"],
        vec!["kernels"],
        vec!["train", "--recipe", "finetune", "--print-recipe"],
        vec!["bench", "light.safetensors", "--seconds", "0"],
        by_model(&["classify", "a.bmp"]),
        by_model(&["classify", "a.bmp", "--json"]),
        by_model(&["classify", "a.bmp", "a.bmp", "--csv", "-j", "2"]),
        by_model(&["eval", "photos"]),
        by_model(&["eval", "photos", "--json"]),
    ] {
        for place in [">/dev/full", ">&-"] {
            let run = bench.shell(&format!("\"$@\" {place}"), &args);
            let told = run.code == 1 && run.err.contains("error: standard output: ");
            assert!(told, "{args:?} {place}: {} {}", run.code, run.err);
        }
        let unheard = bench.shell("\"$@\" >/dev/null 2>&-", &args);
        assert_eq!(unheard.code, 0, "{args:?}");
    }
}

#[test]
fn a_file_that_may_not_grow_is_told_and_not_half_there() {
    let bench = Bench::new().with_model();
    bench.picture("photos/bright/1.bmp", 250);
    bench.picture("photos/dark/1.bmp", 2);
    let there = || {
        let names = std::fs::read_dir(bench.path("")).unwrap();
        let mut names: Vec<String> =
            names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    let before = there();
    std::fs::create_dir(bench.path("pages")).unwrap();
    for args in [
        &["convert", "light.safetensors", "out.safetensors"][..],
        &["convert", "light.safetensors", "out.onnx"],
        &["quantize", "light.safetensors", "--images", "1", "-o", "out.safetensors"],
        &["man", "--out", "pages"],
    ] {
        let run = bench.shell("ulimit -f 0; \"$@\"", args);
        assert!(run.code == 1 && run.err.contains("File too large"), "{args:?}: {} {}", run.code, run.err);
    }
    assert_eq!(std::fs::read_dir(bench.path("pages")).unwrap().count(), 0);
    std::fs::remove_dir(bench.path("pages")).unwrap();
    assert_eq!(there(), before);
    let small = [
        "--from",
        "scratch",
        "-n",
        "mobilenet_v2_0.1",
        "--image",
        "16",
        "--epochs",
        "1",
        "-o",
        "out.safetensors",
    ];
    let run = bench.shell("ulimit -f 8; \"$@\"", &[&["train", "photos"][..], &small].concat());
    assert!(run.code == 1 && run.err.contains("File too large"), "{} {}", run.code, run.err);
    assert!(
        !there().iter().any(|name| name.ends_with(".safetensors") && name != "light.safetensors"),
        "{:?}",
        there()
    );
    let run = bench.shell("ulimit -f 0; \"$@\" > results", &["list"]);
    assert!(run.code == 1 && run.err.contains("error: standard output: File too large"), "{}", run.err);
}
