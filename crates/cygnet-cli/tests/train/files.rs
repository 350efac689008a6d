//! Which files a run writes, replaces and goes on with.

use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::{Bench, SMALL};

const OUT: [&str; 4] = ["train", "photos", "--out", "run.safetensors"];

#[test]
fn files_that_no_run_wrote_are_not_replaced_unasked() {
    let bench = Bench::new(4);
    let args = [&OUT[..], &SMALL, &["--epochs", "1"]].concat();
    for name in ["run.html", "run.log.jsonl", "run.last.safetensors", "run.state.safetensors"] {
        std::fs::write(bench.path(name), "mine").unwrap();
        let refusal = bench.refusal(&args);
        assert!(refusal.contains(&format!("{name}: is there already")), "{refusal}");
        assert!(refusal.contains("--overwrite"), "{refusal}");
        assert_eq!(bench.bytes(name), b"mine");
        std::fs::remove_file(bench.path(name)).unwrap();
    }
    std::fs::write(bench.path("run.events"), "mine").unwrap();
    let refusal = bench.refusal(&[&args[..], &["--overwrite"]].concat());
    assert!(refusal.contains("run.events: something else has the name"), "{refusal}");
    std::fs::remove_file(bench.path("run.events")).unwrap();

    assert!(bench.run(&args).status.success());
    let refusal = bench.refusal(&args);
    assert!(refusal.contains("--resume to go on"), "{refusal}");
    // Whose run it is, is told by what is in the files.
    let resumed = [&OUT[..], &SMALL, &["--resume", "--epochs", "2"]].concat();
    for name in ["run.html", "run.log.jsonl"] {
        let own = bench.bytes(name);
        std::fs::write(bench.path(name), "<p>my own page</p>").unwrap();
        let refusal = bench.refusal(&resumed);
        assert!(refusal.contains(&format!("{name}: was not written by the run")), "{refusal}");
        assert_eq!(bench.bytes(name), b"<p>my own page</p>");
        std::fs::write(bench.path(name), own).unwrap();
    }
    assert!(bench.run(&[&resumed[..], &["-q"]].concat()).status.success());
    std::fs::write(bench.path("run.html"), "mine").unwrap();
    assert!(bench.run(&[&args[..], &["--overwrite"]].concat()).status.success());
    assert!(bench.bytes("run.html").starts_with(b"<!doctype html>"));
}

#[cfg(unix)]
#[test]
fn nothing_is_written_through_a_link_that_no_run_laid() {
    use std::os::unix::fs::symlink;

    let bench = Bench::new(4);
    let args = [&OUT[..], &SMALL, &["--epochs", "1"]].concat();
    std::fs::write(bench.path("precious"), "mine").unwrap();
    for name in ["run.html", "run.log.jsonl", "run.safetensors"] {
        for target in ["precious", "nowhere"] {
            symlink(target, bench.path(name)).unwrap();
            let refusal = bench.refusal(&args);
            assert!(refusal.contains(&format!("{name}: is there already")), "{refusal}");
            std::fs::remove_file(bench.path(name)).unwrap();
        }
    }
    symlink("precious", bench.path("model.html")).unwrap();
    let free = [&["train", "photos", "--epochs", "1"][..], &SMALL].concat();
    assert!(bench.run(&free).status.success());
    assert!(bench.path("model-2.html").is_file());
    assert_eq!(bench.bytes("precious"), b"mine");
    assert!(!bench.path("nowhere").exists());
}

#[test]
fn a_name_that_cannot_be_written_is_told_before_the_first_step() {
    let bench = Bench::new(4);
    for taken in ["run.safetensors", "run.html", "run.state.safetensors"] {
        std::fs::create_dir(bench.path(taken)).unwrap();
        for more in [&[][..], &["--overwrite"]] {
            let refusal = bench.refusal(&[&OUT[..], &SMALL, more].concat());
            assert!(refusal.contains(&format!("{taken}: something else has the name")), "{refusal}");
            assert!(!refusal.contains("epoch"), "{refusal}");
        }
        std::fs::remove_dir(bench.path(taken)).unwrap();
    }
}

#[test]
fn the_first_model_has_a_state_beside_it() {
    let bench = Bench::new(40);
    let args = [&OUT[..], &SMALL, &["--epochs", "500", "--save-every", "3600"]].concat();
    let began = Instant::now();
    let mut child = bench.command(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while !bench.path("run.state.safetensors").exists() && began.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let log = String::from_utf8(bench.bytes("run.log.jsonl")).unwrap();
    assert!(crate::epochs_of(&log).len() < 400, "the state was there long before the end");
    assert!(bench.path("run.safetensors").exists());
}

#[test]
fn a_model_without_a_state_is_answered_with_one_way_out() {
    let bench = Bench::new(4);
    let args = [&OUT[..], &SMALL, &["--epochs", "1"]].concat();
    assert!(bench.run(&args).status.success());
    std::fs::remove_file(bench.path("run.state.safetensors")).unwrap();
    let plain = bench.refusal(&args);
    assert!(plain.contains("--overwrite") && !plain.contains("--resume"), "{plain}");
    let resumed = bench.refusal(&[&args[..], &["--resume"]].concat());
    assert!(resumed.contains("run.safetensors: there is no state beside it"), "{resumed}");
    assert!(resumed.contains("--overwrite in place of --resume"), "{resumed}");
    assert!(bench.run(&[&args[..], &["--overwrite"]].concat()).status.success());
}

#[test]
fn a_finished_run_says_how_to_go_on() {
    let bench = Bench::new(4);
    let args = [&OUT[..], &SMALL, &["--epochs", "1"]].concat();
    assert!(bench.run(&args).status.success());
    let again = bench.run(&[&args[..], &["--resume"]].concat());
    let told = String::from_utf8(again.stderr).unwrap();
    assert!(told.contains("its run is finished, after 1 of 1 epochs: --epochs with more goes on"), "{told}");
}

#[test]
fn a_time_that_suffices_for_all_epochs_changes_no_byte() {
    let bench = Bench::new(12);
    let train = |out: &str, more: &[&str]| {
        bench.train(out, &[&["--epochs", "3"][..], more].concat());
        bench.bytes(out)
    };
    assert_eq!(train("timed.safetensors", &["--time", "1h"]), train("plain.safetensors", &[]));
}
