//! What a run goes on with: its own state, model and pictures, and nothing that only has their names.

use crate::{Bench, SMALL};

const RESUME: [&str; 7] = ["train", "photos", "--out", "run.safetensors", "--resume", "--epochs", "3"];

impl Bench {
    /// With a run of two epochs on `photos`.
    fn with_run(of_a_class: usize) -> Bench {
        let bench = Bench::new(of_a_class);
        bench.train("run.safetensors", &["--epochs", "2"]);
        bench
    }

    /// Writes the state again after a change of its text, of the same length.
    fn change_state(&self, from: &str, to: &str) {
        assert_eq!(from.len(), to.len());
        let state = self.bytes("run.state.safetensors");
        let at = state.windows(from.len()).position(|bytes| bytes == from.as_bytes()).unwrap();
        let changed = [&state[..at], to.as_bytes(), &state[at + from.len()..]].concat();
        std::fs::write(self.path("run.state.safetensors"), changed).unwrap();
    }
}

#[test]
fn a_damaged_state_is_refused_by_the_name_of_the_entry() {
    let bench = Bench::with_run(6);
    let whole = bench.bytes("run.state.safetensors");
    for (from, to, told) in [
        (r#"\"scale\":0.00"#, r#"\"scaly\":0.00"#, "record.preprocess: "),
        (r#"\"std\":[0.2290"#, r#"\"std\":[-0.229"#, "record.preprocess.std: -0.229"),
        (r#"\"std\":[0.2290"#, r#"\"std\":[0e0000"#, "record.preprocess.std: 0 is not above zero"),
        (
            r#"\"shorter_side\":{\"side\":16"#,
            r#"\"shorter_side\":{\"side\": 0"#,
            "record.preprocess.resize: side 0 is not",
        ),
        (r#"\"size\":[16,16]"#, r#"\"size\":[16,17]"#, "record.preprocess: photos are prepared as"),
        (r#"\"best\":true"#, r#"\"best\":null"#, "best: invalid type: null"),
        (r#"\"epoch\":2,\"step"#, r#"\"epoch\":3,\"step"#, "epoch is 3 and step 0"),
        (r#"\"steps\":2"#, r#"\"steps\":9"#, "steps is 9, but its epochs have 2"),
    ] {
        bench.change_state(from, to);
        let refusal = bench.refusal(&RESUME);
        assert!(refusal.contains("run.state.safetensors: is "), "{refusal}");
        assert!(refusal.contains("damaged: ") && refusal.contains(told), "{told}: {refusal}");
        assert!(refusal.contains("--overwrite in place of --resume"), "{refusal}");
        std::fs::write(bench.path("run.state.safetensors"), &whole).unwrap();
    }
    // The last bytes are a number of a tensor.
    let (start, _) = whole.split_at(whole.len() - 4);
    let broken = [start, &f32::NAN.to_le_bytes()].concat();
    std::fs::write(bench.path("run.state.safetensors"), broken).unwrap();
    let refusal = bench.refusal(&RESUME);
    assert!(refusal.contains("is damaged: ") && refusal.contains("has the number NaN"), "{refusal}");
    std::fs::write(bench.path("run.state.safetensors"), &whole).unwrap();
    assert!(bench.run(&RESUME).status.success());
}

#[test]
fn a_model_that_the_run_did_not_make_is_not_replaced() {
    let bench = Bench::with_run(6);
    bench.train("other.safetensors", &["--epochs", "1", "--seed", "3"]);
    let own = bench.bytes("run.safetensors");
    let refused = |told: &str| {
        let refusal = bench.refusal(&RESUME);
        assert!(refusal.contains(&format!("run.safetensors: {told}")), "{refusal}");
        assert!(
            refusal.contains("--from run.last.safetensors") && refusal.contains("--overwrite"),
            "{refusal}"
        );
    };
    for other in [bench.bytes("other.safetensors"), b"mine".to_vec(), Vec::new()] {
        std::fs::write(bench.path("run.safetensors"), &other).unwrap();
        refused("is no ");
        assert!(bench.bytes("run.safetensors") == other);
    }
    std::fs::remove_file(bench.path("run.safetensors")).unwrap();
    refused("the best model of the run, of epoch ");
    std::fs::write(bench.path("run.safetensors"), own).unwrap();
    assert!(bench.run(&RESUME).status.success());
}

#[test]
fn other_data_than_the_run_s_is_told_by_what_differs() {
    let bench = Bench::with_run(6);
    let picture = |class: &str, name: &str| bench.path("other").join(class).join(name);
    let begin = |classes: [&str; 2]| {
        _ = std::fs::remove_dir_all(bench.path("other"));
        for (from, to) in ["left", "right"].into_iter().zip(classes) {
            std::fs::create_dir_all(bench.path("other").join(to)).unwrap();
            for entry in std::fs::read_dir(bench.path("photos").join(from)).unwrap() {
                let entry = entry.unwrap();
                std::fs::copy(entry.path(), picture(to, &entry.file_name().to_string_lossy())).unwrap();
            }
        }
    };
    let args = [&["train", "other"][..], &RESUME[2..]].concat();
    let refused = |told: &str| {
        let refusal = bench.refusal(&args);
        assert!(refusal.contains("run.state.safetensors: is of a run on other "), "{refusal}");
        assert!(refusal.contains(told), "{told}: {refusal}");
    };
    begin(["cats", "dogs"]);
    refused("classes: it learnt left, right and none of cats, dogs");
    begin(["left", "wrong"]);
    refused("classes: class right is now wrong");
    begin(["left", "right"]);
    std::fs::create_dir(bench.path("other/up")).unwrap();
    std::fs::copy(picture("left", "000.png"), picture("up", "000.png")).unwrap();
    refused("classes: up came since");
    begin(["left", "right"]);
    std::fs::copy(picture("left", "000.png"), picture("left", "001.png")).unwrap();
    refused(
        "10 to learn from and 2 for validation of photos then, as many of other now, some of them others",
    );
    begin(["left", "right"]);
    (0..4).for_each(|i| _ = std::fs::copy(picture("left", "000.png"), picture("left", &format!("9{i}.png"))));
    refused("of photos then, 13 and 3 of other now (left had 5 and has 8)");
    begin(["left", "right"]);
    std::fs::write(picture("left", "001.png"), "broken").unwrap();
    refused("1 cannot be read");
    // The same pictures elsewhere are the same data.
    begin(["left", "right"]);
    assert!(bench.run(&args).status.success());
}

#[test]
fn pictures_for_the_test_may_come_later() {
    let bench = Bench::new(6);
    std::fs::create_dir(bench.path("parts")).unwrap();
    for part in ["train", "val", "test"] {
        std::fs::create_dir(bench.path("parts").join(part)).unwrap();
        for class in ["left", "right"] {
            let folder = bench.path("parts").join(part).join(class);
            std::fs::create_dir(&folder).unwrap();
            for entry in std::fs::read_dir(bench.path("photos").join(class)).unwrap() {
                let entry = entry.unwrap();
                std::fs::copy(entry.path(), folder.join(entry.file_name())).unwrap();
            }
        }
    }
    std::fs::rename(bench.path("parts/test"), bench.path("later")).unwrap();
    let args = ["train", "parts", "--out", "run.safetensors"];
    assert!(bench.run(&[&args[..], &SMALL, &["--epochs", "1"]].concat()).status.success());
    std::fs::rename(bench.path("later"), bench.path("parts/test")).unwrap();
    let resumed = bench.run(&[&args[..], &["--resume", "--epochs", "2"]].concat());
    let told = String::from_utf8(resumed.stderr).unwrap();
    assert!(resumed.status.success(), "{told}");
    assert!(told.contains("the run began with 0 pictures for the test, now there are 12"), "{told}");
}

#[cfg(unix)]
#[test]
fn links_are_replaced_by_the_run_s_own_files() {
    use std::os::unix::fs::symlink;

    let bench = Bench::with_run(6);
    let is_link = |name: &str| bench.path(name).symlink_metadata().unwrap().is_symlink();
    let names =
        ["run.safetensors", "run.log.jsonl", "run.html", "run.state.safetensors", "run.last.safetensors"];
    for name in names {
        std::fs::write(bench.path("precious"), "mine").unwrap();
        std::fs::remove_file(bench.path(name)).unwrap();
        symlink("precious", bench.path(name)).unwrap();
        bench.train("run.safetensors", &["--epochs", "2", "--overwrite"]);
        assert!(!is_link(name), "{name}");
        assert_eq!(bench.bytes("precious"), b"mine", "{name}");
    }
    for (number, name) in ["run.log.jsonl", "run.html"].into_iter().enumerate() {
        std::fs::rename(bench.path(name), bench.path("before")).unwrap();
        symlink("before", bench.path(name)).unwrap();
        let before = bench.bytes("before");
        let epochs = (3 + number).to_string();
        assert!(bench.run(&[&RESUME[..6], &[&epochs]].concat()).status.success());
        assert!(!is_link(name), "{name}");
        assert!(bench.bytes("before") == before, "{name}");
    }
    for name in ["run.safetensors", "run.last.safetensors", "run.state.safetensors"] {
        let elsewhere = format!("elsewhere-{name}");
        std::fs::rename(bench.path(name), bench.path(&elsewhere)).unwrap();
        symlink(&elsewhere, bench.path(name)).unwrap();
    }
    let before =
        ["elsewhere-run.safetensors", "elsewhere-run.last.safetensors", "elsewhere-run.state.safetensors"];
    let bytes = before.map(|name| bench.bytes(name));
    assert!(bench.run(&[&RESUME[..6], &["24"]].concat()).status.success());
    assert_eq!(before.map(|name| bench.bytes(name)), bytes);
    assert!(!is_link("run.last.safetensors") && !is_link("run.state.safetensors"));
    // A link to the best model stays as long as none is better.
    let state = cygnet::train::State::read(&bench.path("run.state.safetensors")).unwrap();
    assert_eq!(is_link("run.safetensors"), state.best() <= Some(4));
    let log = String::from_utf8(bench.bytes("run.log.jsonl")).unwrap();
    assert_eq!(crate::epochs_of(&log), (1..=24).collect::<Vec<u64>>());
}

#[test]
fn learning_from_whole_numbers_is_told_and_short_runs_have_tenths_of_seconds() {
    let bench = Bench::with_run(6);
    let small = bench.run(&["quantize", "run.safetensors", "--data", "photos", "-o", "small.safetensors"]);
    assert!(small.status.success());
    let args = ["train", "photos", "--from", "small.safetensors", "--image", "16", "--batch", "8"];
    let output = bench.run(&[&args[..], &["--epochs", "1", "--out", "again.safetensors"]].concat());
    let (told, shown) = (String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
    assert!(told.contains("note: small.safetensors is int8") && told.contains("in floating point"), "{told}");
    let seconds = shown.split("best 1, ").nth(1).and_then(|rest| rest.split(" s of steps").next()).unwrap();
    assert!(seconds.contains('.') && seconds.parse::<f64>().is_ok(), "{shown}");
    assert!(cygnet::Model::open(bench.path("again.safetensors")).unwrap().quantization.is_none());
}
