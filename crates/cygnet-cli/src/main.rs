//! The command `cygnet`: parse, call, print.
#![allow(clippy::print_stdout, reason = "printing is what it is for")]

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

#[derive(Parser)]
enum Command {
    /// Checks golden files of reference implementations.
    Verify {
        /// Golden files.
        files: Vec<PathBuf>,
    },
    /// Shows a network.
    Show {
        /// Its id or alias.
        id: String,
        /// Image side.
        #[arg(long)]
        image: Option<usize>,
    },
    /// Lists networks.
    List,
}

fn main() -> ExitCode {
    let mut failed = false;
    match Command::parse() {
        Command::Verify { files } => {
            for file in files {
                let outcome = cygnet::verify::verify(&file);
                failed |= !outcome.pass;
                println!("{}", serde_json::to_string(&outcome).expect("plain data"));
            }
        }
        Command::Show { id, image } => match cygnet::zoo::find(&id).map(|network| {
            let mut spec = network.spec();
            if let Some(side) = image {
                spec.image = [3, side, side];
            }
            (network.row.build)(&spec)
        }) {
            Some(Ok(graph)) => {
                print!("{graph}");
                println!("{:?}", graph.cost());
            }
            Some(Err(error)) => {
                eprintln!("{error}");
                failed = true;
            }
            None => {
                eprintln!("unknown network {id}");
                failed = true;
            }
        },
        Command::List => {
            for network in cygnet::zoo::networks() {
                match network.build() {
                    Ok(graph) => {
                        let cost = graph.cost();
                        let names: Vec<_> = network
                            .names()
                            .iter()
                            .map(|name| format!("{}/{}", name.source, name.name))
                            .collect();
                        println!(
                            "{}\t{}\t{}\t{}\t{}",
                            network.id,
                            cost.params,
                            cost.macs,
                            cost.activations,
                            names.join(",")
                        );
                    }
                    Err(error) => {
                        println!("{}\t{error}", network.id);
                        failed = true;
                    }
                }
            }
        }
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
