//! Options that do not apply to what they were given with. None is ignored: a rule for each says where it applies.

use std::path::{Path, PathBuf};

use clap::ArgMatches;
use clap::parser::ValueSource;
#[cfg(feature = "train")]
use cygnet::train::Start;

/// Options of a command that apply to some of what it is given.
struct Rule {
    command: &'static str,
    options: &'static [&'static str],
    applies: fn(&ArgMatches) -> bool,
    /// What they are for.
    only_for: &'static str,
}

/// What limits on networks are for.
const FILES: &str = "networks in files; those of the zoo have no limits";

/// Whether a name is that of a file, as far as the zoo does not know it.
fn is_file(name: &str) -> bool {
    cygnet::zoo::find(name).is_none() || (Path::new(name).extension().is_some() && Path::new(name).is_file())
}

/// Whether the argument `name` has a file.
fn has_file(given: &ArgMatches, name: &str) -> bool {
    given.get_many::<String>(name).into_iter().flatten().any(|name| is_file(name))
}

const RULES: &[Rule] = &[
    Rule {
        command: "classify",
        options: &["max_macs"],
        applies: |given| has_file(given, "model"),
        only_for: FILES,
    },
    Rule {
        command: "show",
        options: &["max_macs"],
        applies: |given| has_file(given, "network"),
        only_for: FILES,
    },
    Rule {
        command: "bench",
        options: &["max_macs"],
        applies: |given| has_file(given, "models"),
        only_for: FILES,
    },
    Rule {
        command: "convert",
        options: &["max_macs"],
        applies: |given| {
            let input = given.get_one::<PathBuf>("input").and_then(|input| input.to_str());
            input.is_none_or(is_file)
        },
        only_for: FILES,
    },
    #[cfg(feature = "train")]
    Rule {
        command: "eval",
        options: &["max_macs"],
        applies: |given| has_file(given, "model"),
        only_for: FILES,
    },
    #[cfg(feature = "train")]
    Rule {
        command: "quantize",
        options: &["max_macs"],
        applies: |given| has_file(given, "model"),
        only_for: FILES,
    },
    #[cfg(feature = "train")]
    Rule {
        command: "verify",
        options: &["max_macs"],
        applies: |given| {
            let mut files = given.get_many::<PathBuf>("files").into_iter().flatten();
            !given.contains_id("against")
                || has_file(given, "against")
                || files.any(|file| file.to_str().is_none_or(is_file))
        },
        only_for: FILES,
    },
    #[cfg(feature = "train")]
    Rule {
        command: "train",
        options: &["max_macs"],
        applies: |given| {
            let is_file = matches!(given.get_one::<Start>("from"), Some(Start::File(_)));
            // A recipe or a setting may name a teacher's file.
            is_file || given.get_flag("resume") || given.contains_id("recipe") || given.contains_id("set")
        },
        only_for: FILES,
    },
    Rule {
        command: "convert",
        options: &["opset", "batch", "preprocess", "softmax", "fp16"],
        applies: |given| {
            let out = given.get_one::<PathBuf>("output").and_then(|out| out.extension());
            out.is_some_and(|ending| ending.eq_ignore_ascii_case("onnx"))
        },
        only_for: "an OUT that ends in .onnx",
    },
    Rule {
        command: "bench",
        options: &["weights"],
        applies: |given| {
            let mut models = given.get_many::<String>("models").into_iter().flatten();
            // Of a cold start the weights are told with what it does.
            given.get_flag("cold") || models.all(|name| cygnet::zoo::find(name).is_some())
        },
        only_for: "networks of the zoo; a file has its own weights",
    },
    Rule {
        command: "bench",
        options: &["batch"],
        applies: |given| !given.get_flag("layers") || cfg!(feature = "train") && given.get_flag("train"),
        only_for: "whole runs, and the layers of --train; of others --layers times one image",
    },
    #[cfg(feature = "train")]
    Rule {
        command: "quantize",
        options: &["drop"],
        applies: |given| given.contains_id("data"),
        only_for: "what is lost on photos, which --data names",
    },
    #[cfg(feature = "train")]
    Rule {
        command: "quantize",
        options: &["max_pixels", "max_decode", "max_pictures", "max_unpacked"],
        applies: |given| given.contains_id("data"),
        only_for: "photos, which --data names",
    },
    #[cfg(feature = "train")]
    Rule {
        command: "verify",
        options: &["images", "max_pixels", "max_decode", "max_pictures"],
        applies: |given| given.contains_id("against"),
        only_for: "photos, over which --against compares models",
    },
    Rule {
        command: "verify",
        options: &["fast"],
        applies: |given| {
            let given = given.get_one::<super::Executor>("executor");
            !matches!(given, Some(super::Executor::Reference))
        },
        only_for: "the runtime, not --executor reference",
    },
];

/// Which options of a command line do not apply, and where they would.
pub(super) fn misplaced(command: &clap::Command, matches: &ArgMatches) -> Option<String> {
    let (name, given) = matches.subcommand()?;
    let arguments = command.find_subcommand(name)?;
    let is_typed = |option: &&&str| given.value_source(option) == Some(ValueSource::CommandLine);
    RULES.iter().filter(|rule| rule.command == name && !(rule.applies)(given)).find_map(|rule| {
        let typed = rule.options.iter().filter(is_typed).filter_map(|option| {
            let mut of_command = arguments.get_arguments().filter(|argument| argument.get_id() == option);
            of_command.next()?.get_long().map(|long| format!("--{long}"))
        });
        let typed: Vec<String> = typed.collect();
        let (are, them) = if typed.len() > 1 { ("are", "them") } else { ("is", "it") };
        let names = typed.join(" and ");
        (!typed.is_empty()).then(|| format!("{names} {are} for {}; leave {them} out", rule.only_for))
    })
}
