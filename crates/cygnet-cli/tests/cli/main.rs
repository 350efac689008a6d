//! The real binary: what it prints, where, and how it exits.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod addresses;
mod benchmarks;
mod compression;
#[cfg(target_os = "linux")]
mod endings;
mod evaluation;
mod genes;
mod hints;
mod latency;
mod models;
mod networks;
mod photos;
mod quantization;
mod scripts;
#[cfg(target_os = "linux")]
mod sparse;
#[cfg(unix)]
mod terminal;
mod usage;

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use cygnet::Model;
use cygnet::graph::{Conv, Graph};
use cygnet::image::{Interpolation, Preprocess};
use cygnet::weights::WeightSet;
use serde_json::Value;
use tempfile::TempDir;

/// A folder of its own for each test, which is also the cache, without a network.
struct Bench {
    folder: TempDir,
}

struct Run {
    code: i32,
    out: String,
    err: String,
}

impl Run {
    fn of(output: Output) -> Run {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Run { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
    }

    fn json(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Bench {
    fn new() -> Bench {
        Bench { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cygnet"));
        command.args(args).current_dir(self.folder.path());
        command
            .env("CYGNET_CACHE", self.path("cache"))
            .env("CYGNET_OFFLINE", "1")
            .env_remove("CYGNET_MIRROR");
        // Whatever runs the tests has wishes of its own about what output looks like.
        for name in ["CI", "CLICOLOR", "CLICOLOR_FORCE", "COLUMNS", "NO_COLOR"] {
            command.env_remove(name);
        }
        command.stdin(Stdio::null());
        command
    }

    fn run(&self, args: &[&str]) -> Run {
        Run::of(self.command(args).output().unwrap())
    }

    /// Writes a model that calls dark pictures `dark` and bright ones `bright`.
    fn with_model(self) -> Bench {
        let graph = Graph::build("light", [3, 8, 8], |net, image| {
            net.at("fc").linear(net.at("conv").conv(image, Conv::new(1, 1)).global_avg_pool(), 2)
        })
        .unwrap();
        let weights = WeightSet::of(&graph, [vec![1.0; 3], vec![-4.0, 4.0], vec![0.0, 0.0]]).unwrap();
        let model = Model {
            id: "light".into(),
            graph,
            weights,
            preprocess: Preprocess::imagenet(8, 1.0, Interpolation::Bilinear),
            labels: vec!["dark".into(), "bright".into()],
            licence: None,
            source: None,
            accuracy: None,
            recipe: None,
            training: None,
            compression: None,
            quantization: None,
            guessed: None,
            written_by: None,
        };
        model.write(self.path("light.safetensors")).unwrap();
        self
    }

    /// Writes a BMP of one grey level.
    fn picture(&self, name: &str, grey: u8) {
        let (width, height) = (10u32, 12u32);
        let row = (width * 3).next_multiple_of(4);
        let size = 54 + row * height;
        let mut bytes = b"BM".to_vec();
        for field in [size, 0, 54, 40, width, height, 1 | (24 << 16), 0, row * height, 0, 0, 0, 0] {
            bytes.extend(field.to_le_bytes());
        }
        bytes.resize(size as usize, grey);
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

const MODEL: [&str; 2] = ["--model", "light.safetensors"];

#[test]
fn help_has_an_example_for_every_command_and_lines_of_at_most_100_columns() {
    let bench = Bench::new();
    for command in [
        "classify", "list", "show", "pull", "eval", "convert", "train", "compress", "bench", "kernels",
        "verify",
    ] {
        let run = bench.run(&[command, "--help"]);
        assert_eq!(run.code, 0);
        assert!(run.out.contains(&format!("  cygnet {command} ")), "{}", run.out);
        assert!(run.out.lines().all(|line| line.chars().count() <= 100), "{}", run.out);
    }
    assert!(bench.run(&["--help"]).out.contains("CYGNET_MIRROR"));
}

#[test]
fn a_wrong_command_line_exits_with_2() {
    let bench = Bench::new();
    for args in [
        &["classify"][..],
        &["fly"],
        &["list", "--famly", "x"],
        &["classify", "--top", "0", "x.jpg"],
        &["classify", "--threads", "0", "x.jpg"],
        &["eval", "--threads", "many", "photos"],
        &["show"],
        &["train", "photos", "--epochs", "0"],
        &["train", "photos", "--batch", "0"],
        &["train", "photos", "--image", "0"],
    ] {
        assert_eq!(bench.run(args).code, 2, "{args:?}");
    }
}
