//! `cygnet search`: what it finds, leaves behind and refuses, and that nothing can stop it for good.

use std::process::Stdio;
use std::time::{Duration, Instant};

use cygnet::image::Rng;
use cygnet::search::Space;
use cygnet::zoo::{Gene, Spec};

use super::{Bench, json};

const SPACE: &str = r#"
image = [16]
stem = ["{4,8}s1"]
head = ["{8,16}"]

[[stage]]
channels = [8, 12]
stride = 2
depth = [1, 2]
blocks = ["m3e{1,2,3}", "f3e{1,2}", "s3"]

[[stage]]
channels = [16]
stride = 2
depth = [1, 2]
blocks = ["m{3,5}e2", "x", "r3"]
"#;

const SMALL: [&str; 14] = [
    "--space",
    "space.toml",
    "--recipe",
    "tiny.toml",
    "--image",
    "16",
    "--macs",
    "250k",
    "--work",
    "7",
    "--first-epochs",
    "1",
    "--epochs",
    "3",
];

fn bench() -> Bench {
    let bench = Bench::new(20);
    std::fs::write(bench.path("space.toml"), SPACE).unwrap();
    std::fs::write(bench.path("tiny.toml"), "base = \"scratch-small\"\nbatch = 8\n").unwrap();
    bench
}

fn args<'a>(out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["search", "photos", "--out", out][..], &SMALL, more].concat()
}

#[test]
fn a_search_tries_networks_within_the_limit_and_trains_the_best() {
    let bench = bench();
    for method in ["evolution", "random"] {
        let out = format!("{method}.safetensors");
        let run = bench.run(&args(&out, &["--method", method, "--json"]));
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        let said = String::from_utf8_lossy(&run.stderr).into_owned();
        assert!(said.contains("plan: 7 networks for 1 epochs"), "{said}");
        let lines = json(&run);
        let trials: Vec<_> = lines.iter().filter(|line| line["event"] == "trial").collect();
        // Seven, then two for twice as long, then one for four times as long.
        let rungs: Vec<_> = trials.iter().map(|trial| trial["rung"].as_u64().unwrap()).collect();
        assert_eq!(rungs, [0, 0, 0, 0, 0, 0, 0, 1, 1, 2]);
        let space = Space::read("space.toml", SPACE).unwrap().for_image(16);
        for trial in &trials {
            let gene: Gene = trial["gene"].as_str().unwrap().parse().unwrap();
            assert!(space.choices(&gene).is_some(), "{gene}");
            let macs = gene.build(&Spec { classes: 2, ..gene.spec() }).unwrap().cost().macs;
            assert!(macs <= 250_000 && trial["cost"] == macs as f64, "{gene}: {macs}");
        }
        let end = lines.last().unwrap();
        assert_eq!((&end["event"], &end["candidates"]), (&"end".into(), &10.into()));
        assert_eq!(end["gene"], trials[9]["gene"]);
        let shown = &json(&bench.run(&["show", &out, "--json"]))[0];
        assert_eq!(shown["id"], end["gene"]);
        let source = shown["source"].as_str().unwrap();
        assert!(
            source.contains("space space.toml") && source.contains("7 networks, seed 0, 0.250 M MACs"),
            "{source}"
        );
        assert!(bench.run(&["classify", "--model", &out, "photos/left/000.png"]).status.success());
        let log = String::from_utf8(bench.bytes(&format!("{method}.search/log.jsonl"))).unwrap();
        assert_eq!(log.lines().count(), 11);
    }
}

#[test]
fn a_search_that_is_killed_again_and_again_ends_with_the_bytes_of_one_that_is_not() {
    let bench = bench();
    let begun = Instant::now();
    let run = bench.run(&args("whole.safetensors", &["--threads", "1"]));
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let whole = begun.elapsed();
    let mut rng = Rng::new(begun.elapsed().as_nanos() as u64);
    let mut kills = 0;
    for tries in 0.. {
        let how: &[&str] = if bench.path("torn.search/log.jsonl").exists() { &["--resume"] } else { &[] };
        let mut command = bench.command(&args("torn.safetensors", how));
        let mut child = command.stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        let patience = if tries < 6 { whole.mul_f64(rng.between(0.05, 0.5)) } else { Duration::MAX };
        let started = Instant::now();
        let status = loop {
            match child.try_wait().unwrap() {
                Some(status) => break Some(status),
                None if started.elapsed() > patience => break None,
                None => std::thread::sleep(Duration::from_millis(2)),
            }
        };
        match status {
            Some(status) => {
                // One that was killed before its log had a first line begins again.
                if status.success() {
                    break;
                }
                std::fs::remove_dir_all(bench.path("torn.search")).unwrap();
            }
            None => {
                child.kill().unwrap();
                child.wait().unwrap();
                kills += 1;
            }
        }
        assert!(tries < 20, "it does not end");
    }
    assert!(kills > 0);
    for file in [".safetensors", ".search/log.jsonl"] {
        assert!(bench.bytes(&format!("torn{file}")) == bench.bytes(&format!("whole{file}")), "{file}");
    }
}

#[test]
fn searches_that_cannot_be_made_are_refused_before_anything_is_trained() {
    let bench = bench();
    let refusal = |more: &[&str]| {
        let run = bench
            .run(&[&["search", "photos", "--out", "no.safetensors", "--image", "16"][..], more].concat());
        assert_eq!(run.status.code(), Some(1), "{more:?}");
        String::from_utf8(run.stderr).unwrap()
    };
    let unreachable = refusal(&["--macs", "100"]);
    assert!(
        unreachable.contains("0.000 M MACs: too little for space cpu: the cheapest of 300"),
        "{unreachable}"
    );
    assert!(refusal(&["--macs", "1M", "--space", "phone"]).contains("no space is called phone"));
    assert!(refusal(&["--macs", "1M", "--resume"]).contains("no search can go on; leave out --resume"));
    assert!(!bench.path("no.search").exists());
    let wrong = |more: &[&str]| bench.run(&[&["search", "photos"][..], more].concat()).status.code();
    assert_eq!(wrong(&[]), Some(2));
    assert_eq!(wrong(&["--macs", "1M", "--params", "1M"]), Some(2));
    assert_eq!(wrong(&["--macs", "1M", "--method", "luck"]), Some(2));
    assert_eq!(wrong(&["--macs", "1M", "--work", "0"]), Some(2));

    let run = bench.run(&args("s.safetensors", &[]));
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    assert!(bench.refusal(&args("s.safetensors", &[])).contains("is there already; give --resume to go on"));
    let other = bench.refusal(&args("s.safetensors", &["--resume", "--seed", "5"]));
    assert!(other.contains("of another search (") && other.contains("seed was 0 and would be 5"), "{other}");
    let log = bench.path("s.search/log.jsonl");
    let text = std::fs::read_to_string(&log).unwrap();
    std::fs::write(&log, text.replacen("\"rung\":0", "\"rung\":1", 1)).unwrap();
    let changed = bench.refusal(&args("s.safetensors", &["--resume"]));
    assert!(changed.contains("trial 0 of the log is not what this search does"), "{changed}");
    std::fs::write(&log, "").unwrap();
    assert!(bench.refusal(&args("s.safetensors", &["--resume"])).contains("no first line"));
}
