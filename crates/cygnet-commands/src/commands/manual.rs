use std::fs::OpenOptions;
use std::io::{self, Write};

use anyhow::{Context, bail};
use clap_mangen::Man as Page;

use crate::args::{Completions, Man, command};
use crate::output::{self, Hinted};

pub(crate) fn completions(args: &Completions) -> anyhow::Result<bool> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command(None), "cygnet", &mut script);
    io::stdout().lock().write_all(&script)?;
    Ok(true)
}

pub(crate) fn man(args: &Man) -> anyhow::Result<bool> {
    let mut whole = command(None).disable_help_subcommand(true);
    whole.build();
    let Some(folder) = &args.out else {
        let shown = match &args.page {
            None => &whole,
            Some(name) => match whole.find_subcommand(name) {
                Some(found) => found,
                None => {
                    let names: Vec<&str> = whole.get_subcommands().map(clap::Command::get_name).collect();
                    bail!("{name}: no such command; there are {}", names.join(", "));
                }
            },
        };
        io::stdout().lock().write_all(&page(shown)?)?;
        return Ok(true);
    };
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    for shown in std::iter::once(&whole).chain(whole.get_subcommands()) {
        let path = folder.join(format!("{}.1", name(shown)));
        let mut options = OpenOptions::new();
        options.write(true);
        if args.overwrite {
            options.create(true).truncate(true)
        } else {
            options.create_new(true)
        };
        let file = options.open(&path);
        if file.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::AlreadyExists) {
            let problem = format!("{}: is there already", path.display());
            return Err(Hinted { problem, hint: "give --overwrite to replace it".into() }.into());
        }
        let written = file.and_then(|mut file| file.write_all(&page(shown)?));
        written.with_context(|| path.display().to_string())?;
        output::talk(&output::plain(&path.to_string_lossy()));
    }
    Ok(true)
}

/// `cygnet`, or `cygnet-classify`.
fn name(command: &clap::Command) -> &str {
    command.get_display_name().unwrap_or(command.get_name())
}

fn page(command: &clap::Command) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    Page::new(command.clone()).render(&mut text)?;
    Ok(text)
}
