//! Completions of the shells, with the names that the command knows.

use std::io::Write;

use clap::Arg;
use clap::builder::{PossibleValuesParser, Resettable};
use clap_complete::Shell;
use cygnet::runtime::Level;
#[cfg(feature = "train")]
use cygnet::train::Recipe;
use cygnet::zoo::{Family, networks};

use super::list::called;
use crate::args::{Completions, command};
use crate::output;

/// Names that complete some arguments beside files, and the word that stands for them in a script.
struct Names {
    word: &'static str,
    arguments: &'static [&'static str],
    names: Vec<String>,
}

pub(crate) fn completions(args: &Completions) -> anyhow::Result<bool> {
    let lists = [
        Names { word: "cygnet_networks", arguments: &["model", "models", "network"], names: known() },
        Names { word: "cygnet_recipes", arguments: &["recipe"], names: recipes() },
        Names {
            word: "cygnet_starts",
            arguments: &["from"],
            names: vec!["pretrained".into(), "scratch".into()],
        },
    ];
    let completed = |argument: Arg| {
        let id = argument.get_id().as_str();
        let list = lists.iter().find(|list| list.arguments.contains(&id));
        let names = match (list, id) {
            (Some(list), _) => vec![list.word.to_owned()],
            (None, "family") => Family::ALL.into_iter().map(called).collect(),
            (None, "isa") => Level::ALL.iter().map(|level| level.name().to_owned()).collect(),
            (None, _) => return argument,
        };
        // The arguments of a command line live as long as this process.
        let names = names.into_iter().map(|name| &*name.leak());
        argument.default_value(Resettable::Reset).value_parser(PossibleValuesParser::new(names))
    };
    let mut command = command(None).mut_subcommands(|of| of.mut_args(completed));
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "cygnet", &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    output::results()?
        .write_all(lists.iter().fold(script, |script, list| list.put(script, args.shell)).as_bytes())?;
    Ok(true)
}

impl Names {
    /// The script in which the names, and files, stand where the word stood.
    fn put(&self, script: String, shell: Shell) -> String {
        let Names { word, names, .. } = self;
        let names = names.join(" ");
        match shell {
            Shell::Bash => {
                let script = script
                    .replace(&format!("compgen -W \"{word}\""), &format!("compgen -f -W \"${{_{word}}}\""))
                    .replace(&format!(" {word}\""), &format!(" ${{_{word}}}\""));
                format!("_{word}=\"{names}\"\n{script}")
            }
            Shell::Zsh => {
                let script = script.replace(&format!(":({word})"), &format!(":_{word}"));
                let function =
                    format!("_{word}() {{\n    compadd -- {names}\n    _files\n}}\n\n_cygnet() {{");
                script.replacen("_cygnet() {", &function, 1)
            }
            Shell::Fish => {
                let script = script.replace(&format!("-f -a \"{word}\\t''\""), &format!("-a \"$__{word}\""));
                format!("set -g __{word} {names}\n{script}{}", self.positionals())
            }
            _ => script,
        }
    }

    /// What the generator for fish leaves out: names in places without an option.
    fn positionals(&self) -> String {
        let is_here = |of: &&clap::Command| {
            of.get_positionals().any(|argument| self.arguments.contains(&argument.get_id().as_str()))
        };
        let line = |of: &clap::Command| {
            let name = of.get_name();
            format!(
                "complete -c cygnet -n \"__fish_cygnet_using_subcommand {name}\" -a \"$__{}\"\n",
                self.word
            )
        };
        command(None).get_subcommands().filter(is_here).map(line).collect()
    }
}

/// Networks, and each with the tags of its weights.
fn known() -> Vec<String> {
    let mut known = Vec::new();
    for network in networks() {
        known.extend(network.choices().map(|weights| format!("{}.{}", network.id, weights.tag)));
        known.push(network.id);
    }
    known
}

fn recipes() -> Vec<String> {
    #[cfg(feature = "train")]
    return Recipe::built_in().map(|(name, _)| name.to_owned()).collect();
    #[cfg(not(feature = "train"))]
    Vec::new()
}
