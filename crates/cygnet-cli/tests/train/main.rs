//! `cygnet train` as the real binary: runs, resumption, killing, and what it refuses.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod files;
mod refusals;
mod resuming;
mod searching;

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use cygnet::image::{Image, Rng};
use serde_json::Value;
use tempfile::TempDir;

struct Bench {
    folder: TempDir,
}

/// A short run from random weights on tiny pictures.
const SMALL: [&str; 10] = [
    "--from",
    "scratch",
    "--network",
    "mobilenet_v2_0.1",
    "--image",
    "16",
    "--batch",
    "8",
    "--set",
    "ema=0.9",
];

impl Bench {
    /// Pictures of two classes: a bright spot on the left or on the right, on noise.
    fn new(of_a_class: usize) -> Bench {
        let bench = Bench { folder: tempfile::tempdir().unwrap() };
        for class in ["left", "right"] {
            let folder = bench.path("photos").join(class);
            std::fs::create_dir_all(&folder).unwrap();
            for number in 0..of_a_class {
                let mut rng = Rng::keyed(&[number as u64, class.len() as u64]);
                let mut pixels: Vec<u8> = (0..16 * 16 * 3).map(|_| rng.below(60) as u8).collect();
                let left = rng.below(4) + if class == "left" { 0 } else { 9 };
                let top = rng.below(12);
                for y in top..top + 4 {
                    pixels[(y * 16 + left) * 3..][..12].fill(250);
                }
                let png = Image::from_rgb(16, 16, pixels).unwrap().to_png().unwrap();
                std::fs::write(folder.join(format!("{number:03}.png")), png).unwrap();
            }
        }
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cygnet"));
        command.args(args).current_dir(self.folder.path()).stdin(Stdio::null());
        command
            .env("CYGNET_CACHE", self.path("cache"))
            .env("CYGNET_OFFLINE", "1")
            .env_remove("CYGNET_MIRROR");
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    fn train(&self, out: &str, more: &[&str]) -> Output {
        let args = [&["train", "photos", "--out", out][..], &SMALL, more].concat();
        let output = self.run(&args);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output
    }

    /// `command` as a script of a shell starts it.
    #[cfg(unix)]
    fn shell(&self, script: &str, command: &Command) -> Command {
        let mut shell = self.command(&[]);
        let environment: Vec<_> =
            shell.get_envs().map(|(name, value)| (name.to_owned(), value.map(ToOwned::to_owned))).collect();
        shell = Command::new("sh");
        shell.arg("-c").arg(script).arg(command.get_program()).args(command.get_args());
        shell.current_dir(self.folder.path()).stdin(Stdio::null());
        for (name, value) in environment {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        shell
    }

    fn refusal(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }
}

/// The epochs that a log tells of, in its order.
fn epochs_of(log: &str) -> Vec<u64> {
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["event"] == "epoch").map(|line| line["epoch"].as_u64().unwrap()).collect()
}

fn json(output: &Output) -> Vec<Value> {
    String::from_utf8_lossy(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_run_learns_and_leaves_a_model_a_log_and_a_report() {
    let bench = Bench::new(60);
    let set =
        ["augment.flip=0", "augment.crop=fit", "ema=0", "optimizer.rate=0.05", "optimizer.rate_batch=0"];
    let set: Vec<&str> = set.iter().flat_map(|setting| ["--set", setting]).collect();
    let more = [&["--epochs", "8", "--json", "--tensorboard"][..], &set].concat();
    let lines = json(&bench.train("spots.safetensors", &more));
    let (end, epochs) = lines.split_last().unwrap();
    assert_eq!(epochs.len(), 8);
    let loss = |epoch: &Value| epoch["loss"].as_f64().unwrap();
    assert!(loss(&epochs[7]) < 0.8 * loss(&epochs[0]), "{epochs:?}");
    assert_eq!(end["event"], "end");
    assert!(end["validation"]["top1"].as_f64().unwrap() >= 75.0, "{end}");
    let log = String::from_utf8(bench.bytes("spots.log.jsonl")).unwrap();
    assert!(log.starts_with("{\"event\":\"begin\"") && log.matches("\"event\":\"epoch\"").count() == 8);
    let report = String::from_utf8(bench.bytes("spots.html")).unwrap();
    let parts = ["Curves", "<svg", "Confusion matrix", "latency", "precision", "label_smoothing", ">epoch<"];
    let parts = parts.into_iter().chain([
        "cygnet classify --model spots",
        "Pictures learnt from",
        "UTC",
        "as they are learnt",
    ]);
    for part in parts {
        assert!(report.contains(part), "{part}");
    }
    assert!(!report.contains("http"), "the report needs nothing from elsewhere");
    assert_eq!(std::fs::read_dir(bench.path("spots.events")).unwrap().count(), 1);

    // The model is at once usable by the other commands.
    let eval = json(&bench.run(&["eval", "--model", "spots.safetensors", "--json", "photos"]));
    assert_eq!(eval[0]["images"], 120);
    assert!(eval[0]["top1"].as_f64().unwrap() > 75.0, "{eval:?}");
    let recipe = bench.run(&["train", "--print-recipe", "spots.safetensors"]);
    let recipe = String::from_utf8(recipe.stdout).unwrap();
    assert!(recipe.contains("epochs = 8") && recipe.contains("name = \"scratch-small\""), "{recipe}");
}

#[test]
fn a_gene_is_trained_at_its_size_and_goes_on_where_it_was_stopped() {
    let bench = Bench::new(12);
    let gene = "gene:16-8s1-16s2_m3e2-24s2_f3e2_x_s3-32";
    let train = |more: &[&str]| {
        let args =
            ["train", "photos", "--out", "g.safetensors", "--network", gene, "--from", "scratch", "--json"];
        bench.run(&[&args, &["--batch", "8"][..], more].concat())
    };
    let run = train(&["--epochs", "1"]);
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let shown = &json(&bench.run(&["show", "g.safetensors", "--json"]))[0];
    assert_eq!((&shown["id"], &shown["input"]), (&gene.into(), &serde_json::json!([3, 16, 16])));
    let run = train(&["--epochs", "2", "--resume"]);
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let classified = bench.run(&["classify", "--model", "g.safetensors", "photos/left/000.png", "--json"]);
    assert!(classified.status.success());
    assert_eq!(json(&bench.run(&["eval", "--model", "g.safetensors", "--json", "photos"]))[0]["images"], 24);
    let refusal = bench.refusal(&["train", "photos", "--out", "h.safetensors", "--network", gene]);
    assert!(refusal.contains("no published weights") && refusal.contains("--from scratch"), "{refusal}");
}

#[test]
fn the_number_of_threads_does_not_change_a_byte() {
    let bench = Bench::new(12);
    bench.train("one.safetensors", &["--epochs", "2", "--threads", "1"]);
    bench.train("two.safetensors", &["--epochs", "2", "--threads", "2"]);
    bench.train("other.safetensors", &["--epochs", "2", "--seed", "1"]);
    for kind in [".safetensors", ".last.safetensors"] {
        assert!(bench.bytes(&format!("one{kind}")) == bench.bytes(&format!("two{kind}")), "{kind}");
        assert!(bench.bytes(&format!("one{kind}")) != bench.bytes(&format!("other{kind}")), "{kind}");
    }
}

#[test]
fn a_run_that_is_killed_again_and_again_ends_with_the_bytes_of_one_that_is_not() {
    let bench = Bench::new(40);
    let more = ["--epochs", "6", "--save-every", "0"];
    let begun = Instant::now();
    bench.train("whole.safetensors", &more);
    let whole = begun.elapsed();

    let mut rng = Rng::new(begun.elapsed().as_nanos() as u64);
    let args = [&["train", "photos", "--out", "torn.safetensors"][..], &SMALL, &more].concat();
    let (mut kills, mut tries) = (0, 0);
    loop {
        let state = bench.path("torn.state.safetensors").exists();
        let how: &[&str] = if state { &["--resume"] } else { &["--overwrite"] };
        let mut child = bench
            .command(&[&args[..], how].concat())
            .stderr(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        tries += 1;
        // The first runs are killed at some moment; then one may end.
        let patience = if tries <= 5 { whole.mul_f64(rng.between(0.1, 0.7)) } else { Duration::MAX };
        let started = Instant::now();
        let status = loop {
            match child.try_wait().unwrap() {
                Some(status) => break Some(status),
                None if started.elapsed() > patience => break None,
                None => std::thread::sleep(Duration::from_millis(2)),
            }
        };
        if let Some(status) = status {
            assert!(status.success(), "try {tries}");
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
        // What is there is whole.
        for name in ["torn.safetensors", "torn.last.safetensors"] {
            if bench.path(name).exists() {
                let shown = bench.run(&["show", name, "--json"]);
                assert!(shown.status.success(), "{name} after {kills} kills");
            }
        }
    }
    assert!(kills > 0, "no run was killed");
    let log = String::from_utf8(bench.bytes("torn.log.jsonl")).unwrap();
    assert_eq!(epochs_of(&log), [1, 2, 3, 4, 5, 6], "after {kills} kills");
    for kind in [".safetensors", ".last.safetensors"] {
        let same = bench.bytes(&format!("torn{kind}")) == bench.bytes(&format!("whole{kind}"));
        assert!(same, "{kind} differs after {kills} kills");
    }
}

#[cfg(unix)]
#[test]
fn what_ends_processes_finishes_the_step_and_saves() {
    let bench = Bench::new(30);
    let kill = |signal: &str, id: u32| {
        assert!(Command::new("kill").args([signal, &id.to_string()]).status().unwrap().success());
    };
    let epochs = |name: &str| {
        let log = std::fs::read_to_string(bench.path(&format!("{name}.log.jsonl")));
        log.map_or(0, |text| text.matches("\"event\":\"epoch\"").count())
    };
    let wait = |name: &str, count: usize| {
        while epochs(name) < count {
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    let begin = |name: &str| {
        let out = format!("{name}.safetensors");
        let args = [&["train", "photos", "--epochs", "500", "-o", &out][..], &SMALL].concat();
        let mut command = bench.command(&args);
        command.stderr(Stdio::piped()).stdout(Stdio::piped());
        command
    };
    // Whoever runs the tests may have hang-ups ignored, as `nohup` does.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let is_ignored = mask.is_some_and(|mask| u64::from_str_radix(mask.trim(), 16).unwrap() & 1 == 1);
    for signal in ["-INT", "-TERM", "-HUP"].into_iter().take(if is_ignored { 2 } else { 3 }) {
        let name = format!("stopped{signal}");
        let child = begin(&name).spawn().unwrap();
        wait(&name, 1);
        kill(signal, child.id());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(130), "{signal}");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(told.contains(&format!("--resume --out {name}.safetensors")), "{told}");
        assert!(bench.path(&format!("{name}.state.safetensors")).exists());
        assert!(bench.run(&["show", &format!("{name}.last.safetensors")]).status.success());
    }
    // Under `nohup` a hang-up is ignored.
    if !cfg!(target_os = "linux") {
        return;
    }
    let run = begin("kept");
    let mut shell = bench.shell("trap '' HUP; exec \"$0\" \"$@\"", &run);
    let child = shell.stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    wait("kept", 1);
    kill("-HUP", child.id());
    wait("kept", epochs("kept") + 2);
    kill("-TERM", child.id());
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(130));
}

#[test]
fn a_run_without_a_name_takes_the_next_that_is_free_and_goes_on_with_the_newest() {
    let bench = Bench::new(6);
    let train = |more: &[&str]| {
        let args = [&["train", "photos", "--json"][..], &SMALL, more].concat();
        let output = bench.run(&args);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        json(&output).last().unwrap()["model"].as_str().unwrap().to_owned()
    };
    assert_eq!(train(&["--epochs", "1"]), "model.safetensors");
    let first = bench.bytes("model.safetensors");
    std::fs::write(bench.path("model-2.html"), "somebody's").unwrap();
    assert_eq!(train(&["--epochs", "1", "--seed", "1"]), "model-3.safetensors");
    for kind in ["last.safetensors", "state.safetensors", "log.jsonl", "html"] {
        assert!(bench.path(&format!("model-3.{kind}")).exists(), "{kind}");
    }
    assert_eq!(train(&["--resume", "--seed", "1", "--epochs", "2"]), "model-3.safetensors");
    assert!(bench.bytes("model.safetensors") == first);
    assert_eq!(bench.bytes("model-2.html"), b"somebody's");
}

#[test]
fn more_epochs_make_a_run_longer_and_nothing_else_may_differ() {
    let bench = Bench::new(12);
    bench.train("run.safetensors", &["--epochs", "2", "--tensorboard"]);
    let resume = |more: &[&str]| {
        let output = bench.train("run.safetensors", &[&["--resume", "--json"][..], more].concat());
        (json(&output).len() - 1, String::from_utf8(output.stderr).unwrap())
    };
    let (epochs, told) = resume(&["--epochs", "4", "--tensorboard"]);
    assert_eq!(epochs, 2);
    assert!(told.contains("goes on after epoch 2, to 4 epochs instead of 2"), "{told}");
    let (epochs, _) = resume(&["--epochs", "4"]);
    assert_eq!(epochs, 0);
    let recipe = bench.run(&["train", "--print-recipe", "run.safetensors"]);
    assert!(String::from_utf8_lossy(&recipe.stdout).contains("epochs = 4 "));
    let log = String::from_utf8(bench.bytes("run.log.jsonl")).unwrap();
    assert_eq!(epochs_of(&log), [1, 2, 3, 4]);

    let resumed = [&["train", "photos", "--out", "run.safetensors", "--resume"][..], &SMALL].concat();
    let refusal = |more: &[&str]| bench.refusal(&[&resumed[..], more].concat());
    let other = refusal(&["--epochs", "4", "--set", "optimizer.rate=7", "--seed", "5"]);
    assert!(other.contains("another recipe: optimizer.rate was"), "{other}");
    assert!(other.contains(" and would be 7.0, seed was 0 and would be 5"), "{other}");
    assert!(refusal(&["--epochs", "3"]).contains("epochs=3: 4 epochs are done"));
}

#[test]
fn a_model_tells_what_it_was_trained_from_and_on() {
    let bench = Bench::new(10);
    bench.train("first.safetensors", &["--epochs", "1"]);
    let first = cygnet::Model::open(bench.path("first.safetensors")).unwrap();
    assert_eq!(first.labels, ["left", "right"]);
    assert_eq!(first.accuracy.unwrap().dataset, "validation pictures of photos");
    assert!(first.written_by.unwrap().starts_with("cygnet "));
    let training = first.training.unwrap();
    assert_eq!(training.from.to_string(), "random weights");
    assert_eq!((training.dataset.as_str(), training.pictures), ("photos", [16, 4, 0]));
    assert_eq!(training.class_pictures, [8, 8]);

    let args = ["train", "photos/", "--from", "first.safetensors", "--image", "16", "--batch", "8"];
    let output = bench.run(&[&args[..], &["--epochs", "1", "--out", "second.safetensors"]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let second = cygnet::Model::open(bench.path("second.safetensors")).unwrap();
    let training = second.training.unwrap();
    let from = training.from;
    assert_eq!((from.network.as_deref(), from.tag), (Some("mobilenet_v2_0.1"), None));
    assert_eq!(from.file.as_deref(), Some("first.safetensors"));
    let sha256 = cygnet::hub::sha256_of(bench.path("first.safetensors")).unwrap();
    assert_eq!(from.sha256, Some(sha256));
    assert_eq!(training.dataset, "photos");
}

#[test]
fn a_run_whose_time_was_up_goes_on_when_there_is_more() {
    let bench = Bench::new(6);
    let ended = |more: &[&str]| {
        let args = [&["--epochs", "3", "--json"][..], more].concat();
        let lines = json(&bench.train("timed.safetensors", &args));
        (lines.len() - 1, lines.last().unwrap()["ended"].clone())
    };
    assert_eq!(ended(&["--time", "0.001s"]), (1, "time".into()));
    assert_eq!(ended(&["--time", "0.001s", "--resume"]), (0, "time".into()));
    assert_eq!(ended(&["--resume"]), (2, "finished".into()));
    assert_eq!(ended(&["--resume"]), (0, "finished".into()));
    let hardly = ["--time", "0.001s", "--batch", "2", "--out", "hardly.safetensors"];
    let args = ["train", "photos", "--from", "scratch", "--network", "mobilenet_v2_0.1", "--image", "16"];
    let warned = bench.run(&[&args[..], &hardly].concat()).stderr;
    let warned = String::from_utf8(warned).unwrap();
    assert!(warned.contains("% of an epoch, so the network has hardly learnt"), "{warned}");
    let large = ["train", "photos", "--from", "scratch", "--image", "4096", "--batch", "2", "--time", "1s"];
    let refusal = bench.refusal(&large);
    assert!(refusal.contains("a time of 1.0s is too short: the first step takes at least"), "{refusal}");
}

#[test]
fn a_run_whose_network_decided_its_recipe_goes_on_without_its_name() {
    let bench = Bench::new(8);
    let args = ["train", "photos", "--from", "scratch", "--epochs", "1", "--out", "plain.safetensors"];
    assert!(bench.run(&[&args[..], &["--network", "squeezenet1_1"]].concat()).status.success());
    let recipe = bench.run(&["train", "--print-recipe", "plain.safetensors"]);
    assert!(String::from_utf8_lossy(&recipe.stdout).contains("kind = \"adamw\""));
    let resumed = bench.run(&[&args[..], &["--resume"]].concat());
    assert!(resumed.status.success(), "{}", String::from_utf8_lossy(&resumed.stderr));
}

#[test]
fn parts_that_do_not_learn_keep_their_bytes_and_limits_of_memory_are_kept() {
    let bench = Bench::new(8);
    bench.train("base.safetensors", &["--epochs", "1"]);
    let tensors = |name: &str| cygnet::weights::ModelFile::read(bench.path(name)).unwrap().tensors;
    let base = tensors("base.safetensors");
    for part in ["head", "last-1"] {
        let out = format!("{part}.safetensors");
        let args = ["train", "photos", "--from", "base.safetensors", "--out", &out, "--epochs", "1"];
        let output = bench.run(&[&args[..], &["--batch", "8", "--train", part]].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let after = tensors(&out);
        let changed: Vec<&String> = base.keys().filter(|name| base[*name] != after[*name]).collect();
        assert!(changed.iter().any(|name| name.starts_with("classifier")), "{part}: {changed:?}");
        let stem = changed.iter().any(|name| name.starts_with("features.0.") || name.contains("running"));
        assert!(!stem, "{part}: {changed:?}");
        assert_eq!(changed.iter().all(|name| name.starts_with("classifier")), part == "head", "{changed:?}");
    }
    let told = bench.train("small.safetensors", &["--epochs", "1", "--memory", "2500KB"]);
    let told = String::from_utf8_lossy(&told.stderr).into_owned();
    assert!(told.contains("8 pictures a step in "), "{told}");
    let args = [&["train", "photos", "--overwrite", "--memory", "10KB"][..], &SMALL].concat();
    let refusal = bench.refusal(&args);
    assert!(
        refusal.contains("to learn from 1 at a time") && refusal.contains("the limit is 10 KB"),
        "{refusal}"
    );
}
