use std::fs::File;
use std::io::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use clap::error::{ContextKind, ContextValue};
use clap_mangen::Man as Page;
use cygnet_files::{write_new, write_whole};

use crate::args::{Man, command, wrong_usage};
use crate::output::{self, Hinted};

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
                    let known = names.join(", ");
                    let problem =
                        format!("{name}: no such command{}; there are {known}", nearest(&whole, name));
                    return Err(wrong_usage(problem));
                }
            },
        };
        output::results()?.write_all(&page(shown, &today()?)?)?;
        return Ok(true);
    };
    let date = today()?;
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    for shown in std::iter::once(&whole).chain(whole.get_subcommands()) {
        let path = folder.join(format!("{}.1", name(shown)));
        let text = page(shown, &date)?;
        let write = |file: &mut File| file.write_all(&text);
        let written = if args.overwrite { write_whole(&path, write) } else { write_new(&path, write) };
        if written.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::AlreadyExists) {
            let problem = format!("{}: is there already", path.display());
            return Err(Hinted { problem, hint: "give --overwrite to replace it".into() }.into());
        }
        written.with_context(|| path.display().to_string())?;
        output::talk(&output::plain(&path.to_string_lossy()));
    }
    Ok(true)
}

/// Which command may have been meant by a name, as a command line with it is told.
fn nearest(whole: &clap::Command, name: &str) -> String {
    let refused = whole.clone().try_get_matches_from([whole.get_name(), name]).err();
    match refused.as_ref().and_then(|refused| refused.get(ContextKind::SuggestedSubcommand)) {
        Some(ContextValue::Strings(names)) if !names.is_empty() => {
            format!(" (did you mean {}?)", names.join(" or "))
        }
        _ => String::new(),
    }
}

/// `cygnet`, or `cygnet-classify`.
fn name(command: &clap::Command) -> &str {
    command.get_display_name().unwrap_or(command.get_name())
}

fn page(command: &clap::Command, date: &str) -> io::Result<Vec<u8>> {
    let page = Page::new(command.clone())
        .date(date)
        .source(concat!("cygnet ", env!("CARGO_PKG_VERSION")))
        .manual("Cygnet Manual");
    let mut text = Vec::new();
    page.render_title(&mut text)?;
    page.render_name_section(&mut text)?;
    let usage = command.clone().render_usage().to_string();
    writeln!(text, ".SH SYNOPSIS\n{}", roff(usage.trim_start_matches("Usage:").trim()))?;
    page.render_description_section(&mut text)?;
    page.render_options_section(&mut text)?;
    if command.has_subcommands() {
        writeln!(text, ".SH COMMANDS")?;
        for of in command.get_subcommands() {
            let about = of.get_about().map(ToString::to_string).unwrap_or_default();
            writeln!(text, ".TP\n\\fB{}\\fR(1)\n{}", roff(name(of)), roff(&about))?;
        }
    }
    let below = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    sections(&below, &mut text)?;
    Ok(text)
}

/// Writes what stands below the options in the help as sections of a manual page: lines that are indented keep their
/// ends, the paragraph before them that ends with a colon is their heading, and other paragraphs are notes.
fn sections(below: &str, text: &mut Vec<u8>) -> io::Result<()> {
    let headings =
        [("Examples:", "EXAMPLES"), ("Environment:", "ENVIRONMENT"), ("Exit codes:", "EXIT STATUS")];
    let mut is_noted = false;
    for paragraph in below.split("\n\n") {
        let (first, rest) = paragraph.split_once('\n').unwrap_or((paragraph, ""));
        if let Some((_, heading)) = headings.iter().find(|(typed, _)| *typed == first) {
            is_noted = false;
            writeln!(text, ".SH {heading}\n.nf\n{}\n.fi", roff(rest))?;
        } else {
            writeln!(text, "{}\n{}", if is_noted { ".PP" } else { ".SH NOTES" }, roff(paragraph))?;
            is_noted = true;
        }
    }
    Ok(())
}

/// Text of which nothing steers the formatter.
fn roff(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq");
    let line = |line: &str| if line.starts_with('.') { format!("\\&{line}") } else { line.to_owned() };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// The day that pages are dated: that of `SOURCE_DATE_EPOCH`, as builds that are to be repeated set it, or this one.
fn today() -> anyhow::Result<String> {
    let seconds = match std::env::var_os("SOURCE_DATE_EPOCH").filter(|told| !told.is_empty()) {
        Some(told) => {
            let told = told.to_string_lossy();
            told.parse::<u64>().map_err(|_| {
                wrong_usage(format!(
                    "SOURCE_DATE_EPOCH={told}: not a number of seconds; leave it unset for this day"
                ))
            })?
        }
        None => SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
    };
    let [year, month, day] = cygnet::date(seconds.min(MOST_SECONDS) / 86_400);
    Ok(format!("{year}-{month:02}-{day:02}"))
}

/// The last second of the year 9999.
const MOST_SECONDS: u64 = 253_402_300_799;
