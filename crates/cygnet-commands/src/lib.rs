//! The command `cygnet`: parse, call, print.

mod args;
mod commands;
mod output;
mod progress;

use std::io;
use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command};

/// Does what this process's arguments say. Its output and errors are those of the process.
#[must_use]
pub fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Classify(args) => commands::classify(&args),
        Command::List(args) => commands::list(&args),
        Command::Show(args) => commands::show(&args),
        Command::Pull(args) => commands::pull(&args),
        Command::Train(args) => commands::train(&args),
        Command::Eval(args) => commands::eval(&args),
        Command::Convert(args) => commands::convert(&args),
        Command::Bench(args) => commands::bench(&args),
        Command::Kernels(args) => commands::kernels(&args),
        Command::Verify(args) => commands::verify(&args),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let text: Vec<String> = error.to_string().lines().map(output::plain).collect();
            anstream::eprintln!("{} {}", output::styled(output::BAD, "error:"), text.join("\n"));
            ExitCode::FAILURE
        }
    }
}

/// Whether the reader of standard output went away, as `head` does.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
