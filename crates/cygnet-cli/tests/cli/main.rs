//! The real binary: what it prints, where, and how it exits.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod addresses;
mod scripts;
#[cfg(unix)]
mod terminal;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use cygnet::Model;
use cygnet::graph::{Conv, Graph, Role};
use cygnet::image::{Interpolation, Preprocess};
use cygnet::verify::synthetic;
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
        let weights = vec![vec![1.0; 3].into(), vec![-4.0, 4.0].into(), vec![0.0, 0.0].into()];
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
    for command in
        ["classify", "list", "show", "pull", "eval", "convert", "train", "bench", "kernels", "verify"]
    {
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
    ] {
        assert_eq!(bench.run(args).code, 2, "{args:?}");
    }
}

#[test]
fn photos_are_classified_and_an_unreadable_one_does_not_end_the_rest() {
    let bench = Bench::new().with_model();
    bench.picture("photos/a.bmp", 250);
    bench.picture("photos/c/d.bmp", 3);
    std::fs::write(bench.path("photos/b.jpg"), b"not a photo").unwrap();
    let run = bench.run(&["classify", MODEL[0], MODEL[1], "--json", "photos", "missing.png", "photos/*.bmp"]);
    assert_eq!(run.code, 1);
    let lines = run.json();
    let seen: Vec<_> = lines
        .iter()
        .filter(|line| line["error"].is_null())
        .map(|line| (line["path"].as_str().unwrap(), line["top"][0]["label"].as_str().unwrap()))
        .collect();
    let path = |name: &str| Path::new("photos").join(name).to_string_lossy().into_owned();
    let (a, d) = (path("a.bmp"), path("c/d.bmp"));
    assert_eq!(seen, [(a.as_str(), "bright"), (d.as_str(), "dark"), (a.as_str(), "bright")]);
    assert!(run.err.contains("b.jpg") && run.err.contains("missing.png"), "{}", run.err);
    let first = &lines[0];
    assert_eq!(first["model"], "light.safetensors");
    assert_eq!(first["top"].as_array().unwrap().len(), 2);
    assert_eq!(first["top"][0]["index"], 1);
    assert!(first["top"][0]["probability"].as_f64().unwrap() > 0.9);
    for part in ["decode", "prepare", "infer"] {
        assert!(first["ms"][part].as_f64().unwrap() >= 0.0);
    }
}

#[test]
fn the_number_of_threads_changes_no_answer_and_the_rate_is_talk() {
    let bench = Bench::new().with_model();
    for index in 0..40 {
        bench.picture(&format!("photos/{index:02}.bmp"), index * 6);
    }
    std::fs::write(bench.path("photos/20.bmp"), b"not a photo").unwrap();
    let [one, two, seven, auto] = ["1", "2", "7", "auto"].map(|threads| {
        let run = bench.run(&["classify", MODEL[0], MODEL[1], "--json", "--threads", threads, "photos"]);
        assert_eq!(run.code, 1);
        assert!(run.err.contains("20.bmp") && run.err.contains("39 images in "), "{}", run.err);
        let mut lines = run.json();
        lines.iter_mut().for_each(|line| line["ms"] = Value::Null);
        assert_eq!(lines.iter().filter(|line| line["error"].is_string()).count(), 1);
        lines.retain(|line| line["error"].is_null());
        lines
    });
    assert_eq!(one.len(), 39);
    assert!(one.is_sorted_by_key(|line| line["path"].as_str().unwrap()));
    assert_eq!((&two, &seven, &auto), (&one, &one, &one));
}

#[test]
fn standard_input_is_a_photo_too() {
    let bench = Bench::new().with_model();
    bench.picture("a.bmp", 250);
    let mut child = bench
        .command(&["classify", MODEL[0], MODEL[1], "--json", "--top", "1", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&std::fs::read(bench.path("a.bmp")).unwrap()).unwrap();
    let run = Run::of(child.wait_with_output().unwrap());
    assert_eq!((run.code, run.json()[0]["path"].as_str()), (0, Some("-")));
    assert_eq!(run.json()[0]["top"].as_array().unwrap().len(), 1);
}

#[test]
fn people_get_a_table_with_bars_and_times_but_no_colours_in_a_pipe() {
    let bench = Bench::new().with_model();
    bench.picture("a.bmp", 250);
    let run = bench.run(&["classify", MODEL[0], MODEL[1], "a.bmp"]);
    assert!(
        run.out.starts_with("a.bmp  decode ") && run.out.contains('█') && run.out.contains("bright"),
        "{}",
        run.out
    );
    assert!(!run.out.contains('\u{1b}'));
}

#[test]
fn accuracy_is_measured_by_label_and_index() {
    let bench = Bench::new().with_model();
    for (name, grey) in
        [("val/Bright/1.bmp", 250), ("val/bright/2.bmp", 255), ("val/0/3.bmp", 1), ("val/dark/4.bmp", 200)]
    {
        bench.picture(name, grey);
    }
    let run = bench.run(&["eval", MODEL[0], MODEL[1], "--json", "val"]);
    let json = &run.json()[0];
    assert_eq!((&json["images"], &json["top1"], &json["top5"]), (&4.into(), &75.0.into(), &100.0.into()));
    assert_eq!(json["confusion"], serde_json::json!([[1, 1], [0, 2]]));
    assert_eq!(json["confused"], serde_json::json!([{"class": "dark", "guess": "bright", "count": 1}]));
    assert_eq!(json["classes"][1]["recall"], 100.0);
    assert!(json["calibration_error"].as_f64().is_some_and(|error| error > 0.0 && error < 100.0), "{json}");
    assert_eq!(run.code, 0);
    let run = bench.run(&["eval", MODEL[0], MODEL[1], "val"]);
    assert!(run.out.contains("calibration error") && run.out.contains("right \\ guess"), "{}", run.out);
    bench.picture("val/purple/5.bmp", 1);
    let run = bench.run(&["eval", MODEL[0], MODEL[1], "val"]);
    assert_eq!(run.code, 1);
    assert!(run.err.contains("purple is no class of this model"), "{}", run.err);
    assert_eq!(bench.run(&["eval", MODEL[0], MODEL[1], "none"]).code, 1);
}

#[test]
fn the_zoo_is_listed_and_filtered_by_family() {
    let bench = Bench::new();
    let all = bench.run(&["list", "--json"]).json();
    assert!(all.len() > 1);
    let some = bench.run(&["list", "--family", "mobilenet-v2", "--json"]).json();
    assert!(some.iter().all(|line| line["family"] == "MobileNetV2") && !some.is_empty());
    let default = some.iter().find(|line| line["id"] == "mobilenet_v2").unwrap();
    assert_eq!((&default["params"], &default["macs"]), (&3_504_872.into(), &300_774_272.into()));
    let run = bench.run(&["list", "--family", "vgg"]);
    assert_eq!(run.code, 1);
    assert!(run.err.contains("mobilenetv2"), "{}", run.err);
}

#[test]
fn a_network_is_shown_with_its_cost_and_layers() {
    let bench = Bench::new();
    let run =
        bench.run(&["show", "mobilenet_v2_0.6", "--image", "160", "--classes", "10", "--layers", "--json"]);
    let line = &run.json()[0];
    for key in ["id", "family", "params", "macs", "activations", "input", "preprocess", "layers"] {
        assert!(!line[key].is_null(), "{key}");
    }
    assert_eq!(line["input"], serde_json::json!([3, 160, 160]));
    let layers = line["layers"].as_array().unwrap();
    let macs: u64 = layers.iter().map(|layer| layer["macs"].as_u64().unwrap()).sum();
    assert_eq!(macs, line["macs"].as_u64().unwrap());
    let shown = bench.run(&["show", "mobilenet_v2", "--layers"]).out;
    assert!(
        shown.contains("features.17 (1/32, 320 channels)") && shown.contains("shorter side to 256"),
        "{shown}"
    );
    assert!(shown.lines().all(|line| line.chars().count() <= 100), "{shown}");
    assert!(bench.run(&["show", "mobilenet_v2", "--json"]).json()[0].get("layers").is_none());
    let run = bench.run(&["show", "mobilnet_v2"]);
    assert_eq!(run.code, 1);
    assert!(run.err.contains("did you mean mobilenet_v2"), "{}", run.err);
    assert_eq!(bench.run(&["show", "mobilenet_v2", "--image", "1000000"]).code, 1);
    let bench = bench.with_model();
    assert_eq!(bench.run(&["show", MODEL[1], "--json"]).json()[0]["params"], 7);
}

#[test]
fn another_image_size_is_shown_with_what_is_done_to_photos_and_tiny_ones_are_told() {
    let bench = Bench::new().with_model();
    let shown = |network, side| bench.run(&["show", network, "--image", side, "--json"]);
    let run = shown("mobilenet_v2", "160");
    assert_eq!(run.json()[0]["preprocess"]["resize"]["shorter_side"]["side"], 183);
    assert_eq!(run.err, "");
    assert_eq!(shown("light.safetensors", "12").json()[0]["preprocess"]["size"], serde_json::json!([12, 12]));
    let tiny = shown("mobilenet_v2", "8");
    assert_eq!(tiny.json()[0]["input"], serde_json::json!([3, 8, 8]));
    assert!(tiny.err.contains("8x8 pixels are less than one step of its last layers, 32"), "{}", tiny.err);
    let timed = bench.run(&["bench", "mobilenet_v2", "--image", "1", "--seconds", "0", "--json"]);
    assert_eq!((timed.code, timed.json().len()), (0, 1), "{}", timed.err);
    let timed = bench.run(&["bench", "inception_v3", "--image", "1", "--seconds", "0"]);
    assert!(timed.code == 1 && timed.err.contains("use a larger image"), "{}", timed.err);
}

#[test]
fn a_plan_is_shown_with_a_line_a_step_and_the_rules_behind_it() {
    let bench = Bench::new();
    for (network, wanted) in [
        ("mobilenet_v2", "fold batch norm, fuse activation, pair depthwise"),
        ("shufflenet_v2_x1_0", "view concat shuffle slice\n"),
        ("googlenet", "max pool 3x3/2    64x56x56  max_pool"),
    ] {
        let shown = bench.run(&["show", network, "--plan"]).out;
        assert!(shown.contains(wanted), "{shown}");
        let line = &bench.run(&["show", network, "--plan", "--json"]).json()[0];
        let plan = &line["plan"];
        let steps = plan["steps"].as_array().unwrap();
        assert!(shown.contains(&format!("steps        {}\n", steps.len())), "{shown}");
        let macs: u64 = steps.iter().map(|step| step["macs"].as_u64().unwrap()).sum();
        assert_eq!(macs, line["macs"].as_u64().unwrap());
        assert!(plan["arena_bytes"].as_u64().unwrap() >= plan["lower_bound_bytes"].as_u64().unwrap());
        assert_eq!(steps[0]["nodes"][0]["rule"], Value::Null);
        assert_eq!(steps[0]["nodes"][1]["rule"], "fold batch norm");
    }
    let bench = bench.with_model();
    let shown = bench.run(&["show", MODEL[1], "--plan"]).out;
    assert!(shown.contains("linear as conv"), "{shown}");
}

#[test]
fn a_benchmark_tells_times_and_what_they_are_of_the_peak() {
    let bench = Bench::new().with_model();
    let quick = ["--seconds", "0", "--json"];
    let run = bench.run(&[&["bench", "mobilenet_v3_small", "light.safetensors"], &quick[..]].concat());
    assert_eq!(run.code, 0, "{}", run.err);
    let lines = run.json();
    assert_eq!([&lines[0]["model"], &lines[1]["model"]], ["mobilenet_v3_small", "light.safetensors"]);
    for line in &lines {
        let number = |key: &str| line[key].as_f64().unwrap_or_else(|| panic!("{key}"));
        assert!(0.0 < number("min_ms") && number("min_ms") <= number("median_ms"), "{line}");
        assert!(number("median_ms") <= number("p95_ms"), "{line}");
        assert!((number("images_per_s") * number("median_ms") - 1e3).abs() < 1e-6, "{line}");
        let share = 200.0 * number("gmacs_per_s") / number("peak_gflops") / number("threads");
        assert!((number("percent_of_peak") - share).abs() < 1e-6, "{line}");
        assert!(number("arena_bytes") > 0.0 && number("weight_bytes") > 0.0, "{line}");
    }
    let args = ["bench", "light.safetensors", "--batch", "3", "--threads", "2", "--image", "9"];
    let line = &bench.run(&[&args[..], &["--isa", "scalar", "--strict"], &quick].concat()).json()[0];
    assert_eq!([&line["batch"], &line["threads"]], [3, 2]);
    assert_eq!([&line["isa"], &line["strict"]], [&Value::from("scalar"), &Value::from(true)]);
    let shown = bench.run(&["bench", "light.safetensors", "--seconds", "0"]).out;
    assert!(shown.contains("min ms") && shown.contains("one image a run"), "{shown}");
    assert!(shown.lines().all(|line| line.chars().count() <= 100), "{shown}");
}

#[test]
fn a_benchmark_of_layers_tells_what_bounds_each() {
    let bench = Bench::new();
    let args = ["bench", "mobilenet_v3_small", "--layers", "--seconds", "0"];
    let lines = bench.run(&[&args[..], &["--json"]].concat()).json();
    let shown = &bench.run(&["show", "mobilenet_v3_small", "--plan", "--json"]).json()[0];
    let steps = shown["plan"]["steps"].as_array().unwrap();
    assert_eq!(lines.len(), steps.len());
    for (i, (line, step)) in lines.iter().zip(steps).enumerate() {
        assert_eq!(line["step"], i);
        assert_eq!(
            [&line["kernel"], &line["output"], &line["macs"]],
            [&step["kernel"], &step["output"], &step["macs"]]
        );
        assert!(["compute", "memory"].contains(&line["bound"].as_str().unwrap()), "{line}");
        assert!(line["macs"] != 0 || line["bound"] == "memory", "{line}");
    }
    let all: f64 = lines.iter().map(|line| line["percent"].as_f64().unwrap()).sum();
    assert!((all - 100.0).abs() < 1e-6, "{all}");
    let shown = bench.run(&args).out;
    assert!(shown.contains("% bound") && shown.contains("  x2  "), "{shown}");
    let on_two = bench.run(&[&args[..], &["--threads", "2", "--json"]].concat()).json();
    assert!(on_two.len() == steps.len() && on_two.iter().all(|line| line["threads"] == 2));
    assert_eq!(bench.run(&[&args[..], &["--cold"]].concat()).code, 2);
}

#[test]
fn a_cold_start_is_timed_from_outside_the_process() {
    let bench = Bench::new().with_model();
    let run = bench.run(&["bench", "light.safetensors", "--cold", "--seconds", "0", "--json"]);
    assert_eq!(run.code, 0, "{}", run.err);
    let line = &run.json()[0];
    let number = |key: &str| line[key].as_f64().unwrap_or_else(|| panic!("{key}"));
    let inside = number("load_ms") + number("plan_ms") + number("run_ms");
    assert!(0.0 < inside && inside < number("median_ms"), "{line}");
    assert!(!cfg!(target_os = "linux") || number("peak_rss_bytes") > 1e6, "{line}");
    let shown = bench.run(&["bench", "light.safetensors", "--cold", "--seconds", "0"]).out;
    assert!(shown.contains("cold ms") && shown.lines().count() == 2, "{shown}");
    for (name, args) in
        [("nothing", &["--cold"][..]), ("light.safetensors", &["--cold", "--weights", "random"])]
    {
        assert_eq!(bench.run(&[&["bench", name][..], args].concat()).code, 1);
    }
}

#[test]
fn a_benchmark_of_nothing_says_what_there_is() {
    let bench = Bench::new();
    let run = bench.run(&["bench", "mobilnet_v2", "--seconds", "0"]);
    assert_eq!(run.code, 1);
    assert!(run.err.contains("did you mean mobilenet_v2"), "{}", run.err);
    for wrong in [["--threads", "0"], ["--batch", "0"], ["--seconds", "-1"], ["--isa", "mmx"]] {
        assert_eq!(bench.run(&["bench", "mobilenet_v2", wrong[0], wrong[1]]).code, 2, "{wrong:?}");
    }
    let run = bench.run(&["bench", "mobilenet_v2", "--weights", "default", "--seconds", "0"]);
    assert_eq!(run.code, 1, "the network is off");
}

#[test]
fn kernels_are_listed_with_the_instruction_set_that_is_used() {
    let bench = Bench::new();
    let listed = |cap: &str| {
        let output = bench.command(&["kernels", "--json"]).env("CYGNET_ISA", cap).output().unwrap();
        Run::of(output)
    };
    for run in [listed(""), listed("scalar")] {
        let lines = run.json();
        let used = |line: &&Value| line["used"] == true;
        let conv: Vec<&Value> = lines.iter().filter(|line| line["kernel"] == "convolution").collect();
        assert_eq!(conv.iter().filter(|line| used(line)).count(), 1);
        assert!(lines.iter().filter(used).all(|line| line["supported"] == true));
        assert!(conv.iter().all(|line| line["tile"].as_array().unwrap().len() == 4));
    }
    let scalar = listed("scalar").json();
    assert!(scalar.iter().all(|line| (line["used"] == true) == (line["isa"] == "scalar")));
    assert_eq!(listed("mmx").code, 1);
    let shown = Run::of(bench.command(&["kernels"]).env("CYGNET_ISA", "scalar").output().unwrap()).out;
    assert!(shown.contains("scalar is used: CYGNET_ISA=scalar"), "{shown}");
}

#[test]
fn a_missing_or_bare_model_says_what_to_do() {
    let bench = Bench::new();
    bench.picture("a.bmp", 1);
    let run = bench.run(&["classify", "a.bmp"]);
    assert_eq!(run.code, 1);
    assert!(
        run.err.contains("mobilenet_v2-b0353104.pth") && run.err.to_lowercase().contains("offline"),
        "{}",
        run.err
    );
    let run = bench.run(&["classify", "--model", "none.safetensors", "a.bmp"]);
    assert!(run.code == 1 && run.err.contains("none.safetensors"), "{}", run.err);
    let run = bench.run(&["classify", "--model", "a.bmp", "a.bmp"]);
    assert!(run.code == 1 && run.err.contains("a.bmp"), "{}", run.err);
}

#[cfg(unix)]
#[test]
fn what_is_no_file_is_neither_read_nor_replaced() {
    use std::os::unix::ffi::OsStrExt;
    let bench = Bench::new().with_model();
    let pipe = bench.path("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for args in [
        &["classify", MODEL[0], MODEL[1], "pipe"][..],
        &["verify", "pipe"],
        &["convert", "pipe", "out.safetensors"],
    ] {
        let run = bench.run(args);
        assert!(run.code == 1 && (run.err + &run.out).contains("is not a file"), "{args:?}");
    }
    let run = bench.run(&["convert", MODEL[1], "pipe"]);
    assert!(run.code == 1 && run.err.contains("is not a file"), "{}", run.err);
    assert!(!pipe.is_file());

    std::os::unix::fs::symlink("real.safetensors", bench.path("link.safetensors")).unwrap();
    std::fs::write(bench.path("real.safetensors"), b"old").unwrap();
    assert_eq!(bench.run(&["convert", MODEL[1], "link.safetensors", "--overwrite"]).code, 0);
    assert!(bench.path("link.safetensors").is_symlink());
    assert!(std::fs::metadata(bench.path("real.safetensors")).unwrap().len() > 3);

    bench.picture("good.bmp", 250);
    std::fs::write(bench.path("").join(std::ffi::OsStr::from_bytes(b"odd\xff.bmp")), b"x").unwrap();
    let run = bench.run(&["classify", MODEL[0], MODEL[1], "--json", "*.bmp"]);
    assert_eq!((run.code, run.json().len()), (0, 1), "{}", run.err);
}

#[test]
fn a_tag_that_does_not_exist_is_answered_with_those_that_do() {
    let run = Bench::new().run(&["pull", "mobilenet_v2.nosuch"]);
    assert!(run.code == 1 && run.err.contains("there are IMAGENET1K_V1"), "{}", run.err);
}

/// A PyTorch-like MobileNetV2 checkpoint with made-up weights.
fn checkpoint(path: &Path) {
    use cygnet::weights::{Tensor, Tensors, safetensors};
    let graph = cygnet::network("mobilenet_v2").unwrap().build().unwrap();
    let tensors: Tensors = graph
        .params()
        .into_iter()
        .map(|param| {
            let one = f64::from(u8::from(param.role == Role::NormVar));
            let values = synthetic(&param.name, param.shape.iter().product(), |v| one + 0.1 * v);
            (param.name, Tensor::from_f32(param.shape, &values).unwrap())
        })
        .collect();
    safetensors::write(path, &tensors, &safetensors::Metadata::default()).unwrap();
}

#[test]
fn a_checkpoint_becomes_a_model_with_other_classes() {
    let bench = Bench::new();
    checkpoint(&bench.path("in.safetensors"));
    let run = bench.run(&[
        "convert",
        "in.safetensors",
        "out.safetensors",
        "--network",
        "mobilenet_v2",
        "--classes",
        "3",
    ]);
    assert_eq!(run.code, 0, "{}", run.err);
    assert_eq!(bench.run(&["show", "out.safetensors", "--json"]).json()[0]["classes"], 3);
    bench.picture("a.bmp", 9);
    assert_eq!(bench.run(&["classify", "--model", "out.safetensors", "a.bmp"]).code, 0);
    let run = bench.run(&["convert", "in.safetensors", "in.safetensors", "--network", "mobilenet_v2"]);
    assert!(run.code == 1 && run.err.contains("its own source"), "{}", run.err);
    let run =
        bench.run(&["convert", "in.safetensors", "other.safetensors", "--network", "mobilenet_v2_0.75"]);
    assert!(run.code == 1 && run.err.contains("misshapen"), "{}", run.err);
    assert!(!bench.path("other.safetensors").exists());
}

#[test]
fn a_mirror_folder_serves_pulls_and_two_at_once_agree() {
    let Some(weights) = cygnet_testing::shared("data/weights") else { return };
    let bench = Bench::new();
    let pull = || {
        let mut command = bench.command(&["pull", "mobilenet_v2"]);
        command.env("CYGNET_MIRROR", std::fs::canonicalize(&weights).unwrap());
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let both = [pull(), pull()];
    let outs: Vec<String> = both
        .into_iter()
        .map(|child| {
            let run = Run::of(child.wait_with_output().unwrap());
            assert_eq!(run.code, 0, "{}", run.err);
            run.out
        })
        .collect();
    assert_eq!(outs[0], outs[1]);
    assert!(Path::new(outs[0].trim()).ends_with("cache/mobilenet_v2-b0353104.pth"));
    assert_eq!(bench.run(&["pull", "mobilenet_v2"]).out, outs[0], "the second time needs no mirror");
}

#[test]
fn golden_files_are_verified_and_a_failure_names_its_layer() {
    let Some(golden) = cygnet_testing::shared("goldens/inference/torchvision__mobilenet_v2.json") else {
        return;
    };
    let bench = Bench::new();
    let good = std::fs::canonicalize(golden).unwrap();
    let mut json: Value = serde_json::from_slice(&std::fs::read(&good).unwrap()).unwrap();
    json["gain"] = 1.0.into();
    std::fs::write(bench.path("bad.json"), json.to_string()).unwrap();
    let run = bench.run(&["verify", "--json", good.to_str().unwrap(), "bad.json", "none.json"]);
    assert_eq!(run.code, 1);
    let lines = run.json();
    assert_eq!((&lines[0]["pass"], &lines[0]["first_bad_layer"]), (&true.into(), &Value::Null));
    assert!(lines[0]["max_rel_diff"].as_f64().unwrap() < 1e-4);
    assert_eq!((&lines[1]["pass"], &lines[1]["first_bad_layer"]), (&false.into(), &"features.0.0".into()));
    assert_eq!((&lines[2]["pass"], &lines[2]["max_rel_diff"]), (&false.into(), &Value::Null));
    let run = bench.run(&["verify", good.to_str().unwrap()]);
    assert!(run.code == 0 && run.out.starts_with("pass"), "{}", run.out);
}
