//! From a command line to what it asks for, or to what is wrong with it.

use std::error::Error;
use std::ffi::OsString;
use std::fmt::{self, Display, Formatter};
use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, FromArgMatches};
use cygnet::runtime::{Cap, Level};
use cygnet::zoo::Family;

use super::Cli;
use super::misplaced::misplaced;
use crate::output::{self, plain};

/// What others call an option, and what it may be called here; those that a command has are proposed.
const SYNONYMS: [(&str, &[&str]); 18] = [
    ("--model", &["--network", "--from"]),
    ("--network", &["--model"]),
    ("--weights", &["--model", "--from"]),
    ("--arch", &["--network", "--model"]),
    ("--topk", &["--top"]),
    ("--workers", &["--threads"]),
    ("--jobs", &["--threads"]),
    ("--imgsz", &["--image"]),
    ("--img-size", &["--image"]),
    ("--size", &["--image"]),
    ("--batch-size", &["--batch"]),
    ("--num-classes", &["--classes"]),
    ("--output", &["--out"]),
    ("--force", &["--overwrite"]),
    ("--pretrained", &["--from", "--weights", "--model"]),
    ("--checkpoint", &["--from", "--model"]),
    ("--num-epochs", &["--epochs"]),
    ("--silent", &["--quiet"]),
];

/// What others have an option for, and what takes its place here.
const ELSEWHERE: [(&str, &str); 13] = [
    ("--lr", "the learning rate is a setting of the recipe: --set optimizer.rate=0.01"),
    ("--learning-rate", "the learning rate is a setting of the recipe: --set optimizer.rate=0.01"),
    ("--optimizer", "the optimiser is a setting of the recipe: --set optimizer.kind=adamw"),
    ("--momentum", "the momentum is a setting of the recipe: --set optimizer.momentum=0.9"),
    ("--weight-decay", "the weight decay is a setting of the recipe: --set optimizer.weight_decay=0.0001"),
    ("--dropout", "dropout is a setting of the recipe: --set dropout=0.2"),
    ("--classes", CLASSES),
    ("--num-classes", CLASSES),
    ("--labels", CLASSES),
    ("--device", CPU),
    ("--gpu", CPU),
    ("--gpus", CPU),
    ("--cuda", CPU),
];

const CLASSES: &str = "the classes are those of DATA, its folders' names or its table's labels: leave it out";

const CPU: &str = "cygnet computes on the CPU: leave it out";

/// A command line that was read and yet asks for what no command does.
#[derive(Debug)]
pub(crate) struct WrongUsage(String);

impl Display for WrongUsage {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for WrongUsage {}

/// That the command line asks for what no command does, whatever there is on this machine.
pub(crate) fn wrong_usage(problem: String) -> anyhow::Error {
    WrongUsage(problem).into()
}

/// The command with its options; `commit` is what it was built from.
pub(crate) fn command(commit: Option<&str>) -> clap::Command {
    let version = env!("CARGO_PKG_VERSION");
    let built = commit.map_or_else(|| version.to_owned(), |commit| format!("{version} ({commit})"));
    let used = Level::chosen().unwrap_or_else(|_| Level::best()).name();
    let sets = Cap::all().into_iter().map(Cap::name).collect::<Vec<_>>().join(", ");
    let long = format!("{built}\ninstruction set: {used}, of {sets}");
    // Of a negative number the option's own range says what is wrong.
    let numbers = |argument: clap::Arg| {
        let has_value = argument.get_action().takes_values();
        if has_value { argument.allow_negative_numbers(true) } else { argument }
    };
    let examples = |of: clap::Command| {
        let (help, columns) = (of.get_after_help().map(ToString::to_string), output::width());
        match (help, columns) {
            (Some(help), Some(columns)) => of.after_help(output::with_folded_examples(&help, columns)),
            _ => of,
        }
    };
    Cli::command().long_version(&*long.leak()).mut_subcommands(|of| examples(of).mut_args(numbers))
}

/// What this process's arguments ask for, or, once it is told what is wrong with them, the code to exit with. Help and
/// version are told likewise.
pub(crate) fn parse(commit: Option<&str>) -> Result<Cli, ExitCode> {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let mut command = command(commit);
    let matches = command.try_get_matches_from_mut(&arguments);
    if let Some(problem) = matches.as_ref().ok().and_then(|matches| misplaced(&command, matches)) {
        output::error(&problem);
        return Err(ExitCode::from(2));
    }
    matches.and_then(|matches| Cli::from_arg_matches(&matches)).map_err(|mut error| {
        if !error.use_stderr() {
            return shown(&error);
        }
        advise(&mut error, &command, &arguments);
        if arguments.iter().map(|argument| argument.to_string_lossy()).all(|text| plain(&text) == text) {
            _ = error.print();
        } else {
            let text = error.render().to_string();
            output::error(text.trim_start_matches("error: ").trim_end());
        }
        ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
    })
}

/// Prints help or the version.
fn shown(text: &clap::Error) -> ExitCode {
    match output::results().and_then(|_| text.print()).and_then(|()| io::stdout().flush()) {
        Err(problem) if problem.kind() != io::ErrorKind::BrokenPipe => {
            output::error(&format!("standard output: {problem}"));
            ExitCode::FAILURE
        }
        Ok(()) | Err(_) => ExitCode::SUCCESS,
    }
}

/// Adds what an option that others have is called here, and how to give what is no option.
fn advise(error: &mut clap::Error, command: &clap::Command, arguments: &[OsString]) {
    if error.kind() != ErrorKind::UnknownArgument {
        return;
    }
    let Some(ContextValue::String(typed)) = error.get(ContextKind::InvalidArg).cloned() else { return };
    let called = arguments.iter().skip(1).find_map(|argument| command.find_subcommand(argument));
    let Some(called) = called else { return };
    let advice = |advice: String| ContextValue::StyledStrs(vec![advice.into()]);
    if let Some(value) = hyphenated(called, arguments, &typed) {
        error.insert(ContextKind::Suggested, advice(value));
        return;
    }
    if called.get_name() == "list" && !typed.starts_with('-') {
        error.insert(ContextKind::Suggested, advice(listed(&typed)));
        return;
    }
    let recipes = called.get_arguments().any(|argument| argument.get_long() == Some("set"));
    if recipes && typed.contains('=') && !typed.starts_with('-') {
        error.insert(
            ContextKind::Suggested,
            advice(format!("a setting of the recipe is given as --set {typed}")),
        );
        return;
    }
    let elsewhere = ELSEWHERE.iter().find(|(name, told)| *name == typed && (recipes || *told == CPU));
    if let Some((_, told)) = elsewhere {
        error.insert(ContextKind::Suggested, advice((*told).to_owned()));
        return;
    }
    let Some((_, names)) = SYNONYMS.iter().find(|(name, _)| *name == typed) else { return };
    let has =
        |name: &&&str| called.get_arguments().any(|argument| argument.get_long() == name.strip_prefix("--"));
    let takes_networks =
        called.get_positionals().any(|argument| ["network", "models"].contains(&argument.get_id().as_str()));
    let names: Vec<String> = names.iter().filter(has).map(|name| (*name).to_owned()).collect();
    if !names.is_empty() {
        error.insert(ContextKind::SuggestedArg, ContextValue::Strings(names));
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(Vec::new()));
    } else if takes_networks && ["--model", "--network", "--arch", "--weights"].contains(&typed.as_str()) {
        let told = format!("networks are named without an option: cygnet {} mobilenet_v2", called.get_name());
        error.insert(ContextKind::Suggested, advice(told));
    }
}

/// How to list or show what is called `typed`.
fn listed(typed: &str) -> String {
    if cygnet::zoo::find(typed).is_some() {
        return format!("a network is shown by: cygnet show {typed}");
    }
    let meant = cygnet::family(typed).map_or_else(|meant| meant, |family| vec![family]);
    let called = |family: &Family| format!("--family {}", format!("{family:?}").to_lowercase());
    match &meant[..] {
        [] => "families are listed by --family NAME, perhaps with a pattern: cygnet list --family 'mobile*'"
            .into(),
        meant => {
            format!("families are listed by {}", meant.iter().map(called).collect::<Vec<_>>().join(" or "))
        }
    }
}

/// How to give an option the value `typed` that begins as options do.
fn hyphenated(called: &clap::Command, arguments: &[OsString], typed: &str) -> Option<String> {
    let pairs = arguments.windows(2).map(|pair| [&pair[0], &pair[1]].map(|word| word.to_string_lossy()));
    let [option, value] =
        pairs.skip(1).find(|[_, value]| value.starts_with(typed) && value.starts_with('-'))?;
    let takes = |argument: &clap::Arg| {
        let long = argument.get_long().is_some_and(|long| option.strip_prefix("--") == Some(long));
        let short =
            argument.get_short().is_some_and(|short| option.strip_prefix('-') == Some(&*short.to_string()));
        (long || short) && argument.get_action().takes_values()
    };
    called
        .get_arguments()
        .any(takes)
        .then(|| format!("a value that begins with - is given with =: {option}={value}"))
}
