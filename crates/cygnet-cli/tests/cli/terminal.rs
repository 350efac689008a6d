//! What the binary shows on a terminal: lines that fit, names that do not steer it, colours only where they are wanted.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Command, Stdio};

use cygnet::Model;
use cygnet::graph::{Conv, Graph};
use cygnet::image::{Interpolation, Preprocess};
use cygnet::weights::WeightSet;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::{Bench, MODEL, Run};

/// What the command writes to a terminal of so many columns, both outputs together.
fn on_terminal(mut command: Command, columns: u16) -> String {
    let screen = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&screen).unwrap();
    unlockpt(&screen).unwrap();
    tcsetwinsize(&screen, Winsize { ws_row: 40, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
    let name = ptsname(&screen, Vec::new()).unwrap();
    let no_control = i32::try_from(rustix::fs::OFlags::NOCTTY.bits()).unwrap();
    let open =
        || OpenOptions::new().read(true).write(true).custom_flags(no_control).open(name.to_str().unwrap());
    let line: File = open().unwrap();
    command.stdout(OwnedFd::from(line.try_clone().unwrap())).stderr(OwnedFd::from(line));
    command.env("TERM", "xterm");
    let mut child = command.spawn().unwrap();
    drop(command);
    let mut seen = Vec::new();
    // Once nobody holds the other end, reading fails.
    _ = File::from(screen).read_to_end(&mut seen);
    child.wait().unwrap();
    String::from_utf8(seen).unwrap()
}

/// What colours and bold text are written with.
const COLOURS: [&str; 9] = [
    "\u{1b}[0m",
    "\u{1b}[1m",
    "\u{1b}[2m",
    "\u{1b}[4m",
    "\u{1b}[31m",
    "\u{1b}[32m",
    "\u{1b}[33m",
    "\u{1b}[36m",
    "\r\n",
];

/// The lines of what a terminal was sent, without colours.
fn lines(seen: &str) -> Vec<String> {
    let mut text = seen.replace("\r\n", "\n");
    for colour in &COLOURS[..8] {
        text = text.replace(colour, "");
    }
    text.lines().map(str::to_owned).collect()
}

/// A name that would colour, clear, retitle and turn around what a terminal shows.
const HOSTILE: &str =
    "a\u{1b}[31mred\u{1b}[2J\u{9b}2J\u{1b}]0;title\u{7}\u{202e}gpj\u{2066}\u{200b}\u{e0041}b";

/// Whether nothing of [`HOSTILE`] arrived as it is.
fn is_harmless(seen: &str) -> bool {
    let mut rest = seen.to_owned();
    for colour in COLOURS {
        rest = rest.replace(colour, "");
    }
    !seen.contains("\u{1b}[31mred")
        && !rest.chars().any(|c| c != '\n' && c.is_control())
        && !rest.contains(['\u{202e}', '\u{2066}', '\u{200b}', '\u{e0041}'])
}

/// A model all of whose texts are hostile.
fn hostile_model() -> Model {
    let hostile = || HOSTILE.to_owned();
    let graph = Graph::build(HOSTILE, [3, 8, 8], |net, image| {
        let x = net.at(HOSTILE).conv(image, Conv::new(1, 1)).global_avg_pool();
        net.at("fc").linear(x, 2)
    });
    let graph = graph.unwrap();
    Model {
        id: hostile(),
        weights: WeightSet::of(&graph, [vec![1.0; 3], vec![-4.0, 4.0], vec![0.0, 0.0]]).unwrap(),
        graph,
        preprocess: Preprocess::imagenet(8, 1.0, Interpolation::Bilinear),
        labels: vec![hostile(), format!("{HOSTILE}2")],
        licence: Some(hostile()),
        source: Some(hostile()),
        accuracy: None,
        recipe: Some(serde_json::json!({ HOSTILE: HOSTILE })),
        training: None,
        compression: None,
        quantization: None,
        guessed: None,
        written_by: None,
    }
}

#[test]
fn names_from_files_do_not_steer_the_terminal() {
    let bench = Bench::new();
    let model = format!("{HOSTILE}.safetensors");
    hostile_model().write(bench.path(&model)).unwrap();
    let [good, bad, json] = ["bmp", "jpg", "json"].map(|extension| format!("{HOSTILE}.{extension}"));
    bench.picture(&format!("photos/{good}"), 250);
    std::fs::write(bench.path(&format!("photos/{bad}")), b"no photo").unwrap();
    bench.picture(&format!("set/{HOSTILE}/{good}"), 250);
    bench.picture(&format!("set/{HOSTILE}2/{good}"), 1);
    bench.picture(&format!("others/{HOSTILE}3/{good}"), 1);
    std::fs::write(bench.path(&json), b"{").unwrap();
    let commands: &[&[&str]] = &[
        &["classify", "-m", &model, "photos", HOSTILE],
        &["classify", "-m", &model, "--json", "photos", HOSTILE],
        &["classify", "-m", &model, "--csv", "photos", HOSTILE],
        &["classify", "-m", HOSTILE, "photos"],
        &["eval", "-m", &model, "set"],
        &["eval", "-m", &model, "--json", "set"],
        &["eval", "-m", &model, "--csv", "set"],
        &["eval", "-m", &model, "others"],
        &["eval", "-m", &model, HOSTILE],
        &["show", &model],
        &["show", &model, "--layers"],
        &["show", &model, "--plan"],
        &["show", &model, "--json", "--layers", "--plan"],
        &["show", &model, "--csv"],
        &["show", HOSTILE],
        &["bench", &model, "--seconds", "0"],
        &["bench", &model, "--seconds", "0", "--json"],
        &["bench", &model, "--seconds", "0", "--layers"],
        &["bench", &model, "--seconds", "0", "--cold"],
        &["bench", HOSTILE],
        &["verify", &json],
        &["verify", &json, "--json"],
        &["convert", &model, &format!("{HOSTILE}2.safetensors")],
        &["convert", &model, &format!("none/{HOSTILE}.safetensors")],
        &["convert", HOSTILE, "out.safetensors"],
        &["pull", HOSTILE],
        &["list", "--family", HOSTILE],
        &["train", HOSTILE],
        &["train", "photos", "--network", HOSTILE],
        &["train", "photos", "--recipe", HOSTILE],
        &["train", "photos", "--out", HOSTILE],
        &["train", "--print-recipe", &model],
        &["man", HOSTILE],
        &["man", "--out", HOSTILE],
        &["man", "--out", HOSTILE],
        &[HOSTILE],
        &["list", "--family", "fbnet", &format!("--{HOSTILE}")],
        &["bench", "mobilenet_v2", "--isa", HOSTILE],
    ];
    for args in commands {
        let mut command = bench.command(args);
        command.arg("--quiet").env("CYGNET_ISA", "");
        let seen = on_terminal(command, 100);
        assert!(is_harmless(&seen), "{args:?}: {seen:?}");
        assert!(!seen.is_empty() || args[0] == "man" || args[0] == "convert", "{args:?}");
    }
    let mut command = bench.command(&["kernels"]);
    command.env("CYGNET_ISA", HOSTILE);
    assert!(is_harmless(&on_terminal(command, 80)));

    let run = bench.run(&["classify", "-m", &model, "--json", &format!("photos/{good}")]);
    assert_eq!(run.json()[0]["top"][0]["label"], format!("{HOSTILE}2"), "JSON means the name as it is");
    assert!(is_harmless(&run.out), "{:?}", run.out);
}

#[test]
fn a_line_of_a_name_does_not_look_like_a_message() {
    let bench = Bench::new();
    let run = bench.run(&["show", "x\nerror: y"]);
    assert!(run.err.starts_with("error: ") && !run.err.contains("\nerror:"), "{}", run.err);
}

#[test]
fn lines_fit_the_terminal() {
    let bench = Bench::new().with_model();
    let long = "of-a-rather-long-name/".repeat(5);
    bench.picture(&format!("{long}/a.bmp"), 250);
    std::fs::copy(
        bench.path(MODEL[1]),
        bench.path("a-model-with-a-name-of-its-own-that-does-not-fit.safetensors"),
    )
    .unwrap();
    for class in ["bright", "dark"] {
        bench.picture(&format!("val/{class}/1.bmp"), 250);
    }
    let file = "a-model-with-a-name-of-its-own-that-does-not-fit.safetensors";
    let commands: &[&[&str]] = &[
        &["classify", MODEL[0], MODEL[1], &long],
        &["eval", MODEL[0], MODEL[1], "val"],
        &["list"],
        &["show", "mobilenet_v2", "--layers"],
        &["show", "googlenet", "--layers"],
        &["show", "inception_resnet_v2", "--plan"],
        &["show", "mobilenet_v3_small", "--plan"],
        &["show", "shufflenet_v2_x1_0", "--plan"],
        &["show", file],
        &["bench", "mobilenet_v3_small", file, "--seconds", "0"],
        &["bench", "mobilenet_v3_small", "--seconds", "0", "--layers"],
        &["bench", file, "--seconds", "0", "--cold"],
        &["kernels"],
    ];
    for columns in [80, 100, 140] {
        for args in commands {
            let mut command = bench.command(args);
            command.arg("--quiet");
            let seen = on_terminal(command, columns);
            let lines = lines(&seen);
            let widest = lines.iter().max_by_key(|line| line.chars().count()).unwrap();
            assert!(widest.chars().count() <= columns.into(), "{columns} {args:?}: {widest:?}");
            assert!(!seen.contains("error:"), "{seen}");
        }
    }
    let cut = lines(&on_terminal(bench.command(&["bench", file, "--seconds", "0", "-q"]), 80));
    assert!(cut.iter().any(|line| line.starts_with('…')), "{cut:?}");
}

/// A short run from random weights.
const SHORT: [&str; 12] = [
    "--from",
    "scratch",
    "--network",
    "mobilenet_v2_0.1",
    "--image",
    "16",
    "--batch",
    "4",
    "--epochs",
    "2",
    "--threads",
    "1",
];

#[test]
fn of_a_path_that_does_not_fit_the_middle_is_left_out() {
    let bench = Bench::new().with_model();
    let folder = "photos/of/a/long/summer/in/the/north";
    bench.picture(&format!("{folder}/cat.bmp"), 250);
    std::fs::copy(bench.path(MODEL[1]), bench.path(folder).join("m.safetensors")).unwrap();
    let model = format!("{folder}/m.safetensors");
    let seen =
        on_terminal(bench.command(&["classify", MODEL[0], MODEL[1], &format!("{folder}/cat.bmp")]), 80);
    assert!(seen.contains("photos/of") && seen.contains("…/cat.bmp"), "{seen:?}");
    let seen = on_terminal(bench.command(&["bench", &model, "--seconds", "0"]), 80);
    assert!(seen.contains("photo…/m.safetensors"), "{seen:?}");
    let seen = on_terminal(bench.command(&["verify", &format!("{folder}/cat.bmp")]), 40);
    assert!(seen.contains("photos/of") && seen.contains("…/cat.bmp"), "{seen:?}");
}

#[test]
fn training_fits_the_terminal_and_classes_do_not_steer_it() {
    let bench = Bench::new();
    for class in [HOSTILE.to_owned(), format!("{HOSTILE}2")] {
        for number in 0..8 {
            bench.picture(&format!("{HOSTILE}/{class}/{number}.bmp"), number * 9 + class.len() as u8);
        }
        std::fs::write(bench.path(&format!("{HOSTILE}/{class}/{HOSTILE}.png")), b"no photo").unwrap();
    }
    let train = |out: &str, more: &[&str]| {
        bench.command(&[&["train", HOSTILE, "--out", out][..], &SHORT, more].concat())
    };
    let model = format!("{HOSTILE}.safetensors");
    let seen = on_terminal(train(&model, &["--quiet"]), 80);
    assert!(is_harmless(&seen) && seen.contains("done:") && seen.contains("warning:"), "{seen:?}");
    let run = Run::of(train("piped.safetensors", &[]).output().unwrap());
    assert!(run.code == 0 && is_harmless(&run.err) && is_harmless(&run.out), "{}{}", run.err, run.out);
    assert!(is_harmless(&on_terminal(bench.command(&["show", &model]), 80)));

    let seen = on_terminal(train("loud.safetensors", &["--seed", "1"]), 80);
    let shown = without_sequences(&seen);
    let laid_out =
        |line: &&str| line.contains("epoch ") || line.contains(['━', '─']) || line.starts_with("  ");
    let widest = shown.split(['\r', '\n']).filter(laid_out).map(|line| line.chars().count()).max().unwrap();
    assert!(widest <= 80 && shown.contains("epoch 2/2"), "{widest}: {shown:?}");
    assert!(!shown.contains(['\u{9b}', '\u{202e}', '\u{7}']), "{shown:?}");
}

/// Text without the sequences that colour it; those that move or clear end a line.
fn without_sequences(seen: &str) -> String {
    let mut parts = seen.split("\u{1b}[");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let part = part.trim_start_matches(|c: char| c.is_ascii_digit() || "?;".contains(c));
        text.extend((!part.starts_with('m')).then_some('\r'));
        text.push_str(part.get(1..).unwrap_or_default());
    }
    text
}

#[test]
fn a_confusion_matrix_fits_or_becomes_a_list_of_mistakes() {
    let bench = Bench::new();
    let graph = Graph::build("light", [3, 8, 8], |net, image| {
        net.at("fc").linear(net.at("conv").conv(image, Conv::new(1, 1)).global_avg_pool(), 12)
    });
    let graph = graph.unwrap();
    let labels: Vec<String> = (0..12).map(|class| format!("class number {class} of a long name")).collect();
    let brightness = (0..12).map(|class| 8.0 * f32::from(class as u8)).collect::<Vec<_>>();
    let model = Model {
        id: "light".into(),
        weights: WeightSet::of(&graph, [vec![1.0; 3], brightness, vec![0.0; 12]]).unwrap(),
        graph,
        preprocess: Preprocess::imagenet(8, 1.0, Interpolation::Bilinear),
        labels: labels.clone(),
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
    model.write(bench.path("twelve.safetensors")).unwrap();
    for label in &labels {
        bench.picture(&format!("val/{label}/1.bmp"), 250);
    }
    for columns in [40, 80, 100, 140] {
        let command = bench.command(&["eval", "-q", "-m", "twelve.safetensors", "val"]);
        let lines = lines(&on_terminal(command, columns));
        let table = &lines[1..];
        assert!(table.iter().all(|line| line.chars().count() <= columns.into()), "{columns}: {table:#?}");
        assert_eq!(table[0].starts_with("right \\ guess"), columns >= 80, "{columns}: {table:#?}");
    }
}

#[test]
fn help_wraps_by_itself() {
    let bench = Bench::new();
    let commands = [
        "classify",
        "list",
        "show",
        "pull",
        "train",
        "eval",
        "convert",
        "bench",
        "kernels",
        "verify",
        "completions",
        "man",
    ];
    for columns in [80, 100, 140] {
        for args in
            commands.map(|name| vec![name, "--help"]).into_iter().chain([vec!["--help"], vec!["-h"], vec![]])
        {
            let lines = lines(&on_terminal(bench.command(&args), columns));
            let widest = lines.iter().map(|line| line.chars().count()).max().unwrap();
            assert!(widest <= usize::from(columns).min(100), "{columns} {args:?}: {lines:?}");
        }
        // A paragraph fills its lines.
        let lines = lines(&on_terminal(bench.command(&["train", "--help"]), columns));
        let start = lines.iter().position(|line| line.starts_with("DATA is a folder")).unwrap();
        let room = usize::from(columns).min(100);
        for pair in lines[start..].windows(2).take_while(|pair| !pair[1].is_empty()) {
            let next = pair[1].split(' ').next().unwrap();
            assert!(pair[0].chars().count() + 1 + next.chars().count() > room, "{columns}: {pair:?}");
        }
    }
}

#[test]
fn colours_are_there_where_they_are_wanted() {
    let bench = Bench::new();
    let shown = |set: &[(&str, &str)]| on_terminal_with(bench.command(&["show", "mobilenet_v2"]), set);
    assert!(shown(&[]).contains('\u{1b}'));
    for set in [("NO_COLOR", "1"), ("TERM", "dumb"), ("CLICOLOR", "0")] {
        assert!(!shown(&[set]).contains('\u{1b}'), "{set:?}");
    }
    let piped = |set: &[(&str, &str)]| {
        let mut command = bench.command(&["show", "mobilenet_v2"]);
        command.envs(set.iter().copied());
        Run::of(command.output().unwrap()).out
    };
    assert!(!piped(&[]).contains('\u{1b}'));
    assert!(piped(&[("CLICOLOR_FORCE", "1")]).contains('\u{1b}'));
}

/// As [`on_terminal`], with more of the environment set.
fn on_terminal_with(command: Command, set: &[(&str, &str)]) -> String {
    let mut wrapped = Command::new("/usr/bin/env");
    wrapped.args(set.iter().map(|(name, value)| format!("{name}={value}")));
    wrapped.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => wrapped.env(name, value),
            None => wrapped.env_remove(name),
        };
    }
    wrapped.stdin(Stdio::null());
    on_terminal(wrapped, 80)
}

#[test]
fn no_bar_moves_on_a_dumb_terminal_or_in_quiet() {
    let bench = Bench::new().with_model();
    let args = ["bench", MODEL[1], MODEL[1], "--seconds", "0.2"];
    let moving = on_terminal(bench.command(&args), 80);
    assert!(moving.contains('━'), "{moving}");
    assert!(!on_terminal_with(bench.command(&args), &[("TERM", "dumb")]).contains('━'));
    let mut quiet = bench.command(&args);
    quiet.arg("-q");
    assert!(!on_terminal(quiet, 80).contains('━'));
}

#[test]
fn messages_fit_and_examples_can_be_copied() {
    let bench = Bench::new().with_model();
    let seen = |args: &[&str], columns: u16| lines(&on_terminal(bench.command(args), columns));
    let listed = seen(&["list", "--family", "mobilenetv2"], 50);
    assert!(listed.iter().any(|line| line.starts_with("note: no room for ")), "{listed:?}");
    assert!(!seen(&["list", "--family", "mobilenetv2"], 200).iter().any(|line| line.contains("no room")));
    let noted = seen(&["quantize", MODEL[1], "--images", "1", "-o", "q.safetensors"], 50);
    // What a spinner drew is gone.
    let noted: Vec<&str> =
        noted.iter().map(|line| line.rsplit("\u{1b}[2K").next().unwrap_or_default()).collect();
    assert!(noted.iter().any(|line| line.starts_with("note: without photos")), "{noted:?}");
    for line in listed.iter().map(String::as_str).chain(noted) {
        assert!(line.chars().count() <= 50 && !line.contains('\u{fffd}'), "{line}");
    }
    let help = seen(&["quantize", "--help"], 50).join("\n").replace(" \\\n    ", " ");
    for example in [
        "\n  cygnet quantize mine.safetensors --data val.zip --drop 0.3 -o small.safetensors\n",
        "\n  cygnet quantize mobilenet_v2 --data photos/\n",
    ] {
        assert!(help.contains(example), "{help}");
    }
    let help = seen(&["list", "--help"], 40).join("\n");
    assert!(help.contains("jq -r \\\n    'select(.macs < 1e8) | .id'"), "{help}");
    // A name in a file can be of any length.
    let model = Model::open(bench.path(MODEL[1])).unwrap();
    let (name, bias) = ("n".repeat(4000), model.weights.get("fc.bias").unwrap().clone());
    let mut tensors: cygnet::weights::Tensors = model.weights.into();
    tensors.insert(name.clone(), bias);
    cygnet::weights::safetensors::write(bench.path("long.safetensors"), &tensors, &Default::default())
        .unwrap();
    let run = bench.run(&["convert", "long.safetensors", "out.safetensors", "--network", "mobilenet_v2"]);
    assert!(run.code == 1 && run.err.len() < 3000 && !run.err.contains(&name), "{}", run.err.len());
}
