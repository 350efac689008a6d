//! The command `cygnet`: parse, call, print. All that is printed goes through `output`.
//!
//! Features, on by default: `fetch`, downloads of weights and photos; `train`, the commands `train`, `eval`, `quantize` and `compress`, and folders
//! of photos.
#![warn(clippy::print_stderr, clippy::disallowed_macros)]

mod args;
mod commands;
mod output;
mod process;
mod progress;

use std::io::{self, Write as _};
use std::process::ExitCode;

use args::{Command, WrongUsage};

/// Does what this process's arguments say. Its output and errors are those of the process. `commit` names the source
/// that it was built from, where that is known; `closed` says that the process began without a standard output.
#[must_use]
pub fn main(commit: Option<&str>, closed: bool) -> ExitCode {
    output::be_closed(closed);
    let cli = match args::parse(commit) {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    output::be_quiet(cli.quiet);
    let done = process::check().and_then(|()| done(&cli.command));
    // What is still in the buffer is lost if it cannot be written.
    let done = done.and_then(|done| Ok(io::stdout().flush().map(|()| done)?));
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let told = output::chain(error.as_ref());
            // Whatever else fails names its file.
            let is_output = error.chain().next().is_some_and(|error| error.is::<io::Error>());
            output::error(&if is_output { format!("standard output: {told}") } else { told });
            if let Some(hinted) = error.downcast_ref::<output::Hinted>() {
                output::hint(&hinted.hint);
            }
            if error.is::<WrongUsage>() { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}

/// Does what is asked, and says whether all went well.
fn done(command: &Command) -> anyhow::Result<bool> {
    match command {
        Command::Classify(args) => commands::classify(args),
        Command::List(args) => commands::list(args),
        Command::Show(args) => commands::show(args),
        Command::Pull(args) => commands::pull(args),
        #[cfg(feature = "train")]
        Command::Train(args) => commands::train(args),
        #[cfg(feature = "train")]
        Command::Search(args) => commands::search(args),
        #[cfg(feature = "train")]
        Command::Eval(args) => commands::eval(args),
        #[cfg(feature = "train")]
        Command::Quantize(args) => commands::quantize(args),
        #[cfg(feature = "train")]
        Command::Compress(args) => commands::compress(args),
        Command::Convert(args) => commands::convert(args),
        Command::Bench(args) => commands::bench(args),
        Command::Latency(args) => commands::latency(args),
        Command::Kernels(args) => commands::kernels(args),
        Command::Verify(args) => commands::verify(args),
        Command::Completions(args) => commands::completions(args),
        Command::Man(args) => commands::man(args),
    }
}

/// Whether the reader of standard output went away, as `head` does.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
