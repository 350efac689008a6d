//! What people and scripts see. Standard output is data: tables and lines for people, JSON lines or CSV for scripts.
//! Standard error is talk.
//!
//! Names and texts from files, folders and the network are foreign: [`plain`] takes from them what would steer a
//! terminal. What is printed passes [`guarded`] besides, which lets through no control but this program's own colours.

mod table;
mod text;

use std::error::Error;
use std::fmt::{self, Display, Formatter};
use std::io::{self, IsTerminal, StdoutLock, Write};
use std::sync::OnceLock;
use std::time::Duration;

use anstream::AutoStream;
use anstyle::{AnsiColor, Style};
use serde::Serialize;

pub(crate) use table::{Column, table};
pub(crate) use text::{
    bar, classes, count, end_of, escaped, folded, guarded, path_of, pictures, plain, shape, shortened,
    start_of, with_folded_examples, wrapped,
};

/// For headings and names.
pub(crate) const STRONG: Style = Style::new().bold();
/// For what is less important.
pub(crate) const FAINT: Style = Style::new().dimmed();
/// For bars.
pub(crate) const BAR: Style = AnsiColor::Cyan.on_default();
/// For what went well.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
/// For what went wrong.
pub(crate) const BAD: Style = AnsiColor::Red.on_default();

/// Every style that [`styled`] is given.
const STYLES: [Style; 5] = [STRONG, FAINT, BAR, GOOD, BAD];

/// Columns of lines that are wrapped where no terminal shows them.
const COLUMNS: usize = 100;

/// The fewest columns that lines are laid out for.
const FEWEST: usize = 40;

static QUIET: OnceLock<bool> = OnceLock::new();

static IS_CLOSED: OnceLock<bool> = OnceLock::new();

/// Makes this process say nothing but data, errors and warnings.
pub(crate) fn be_quiet(quiet: bool) {
    QUIET.get_or_init(|| quiet);
}

/// Whether only data, errors and warnings are wanted.
pub(crate) fn is_quiet() -> bool {
    QUIET.get().copied().unwrap_or(false)
}

/// Has all that is printed fail: this process began without a standard output.
pub(crate) fn be_closed(closed: bool) {
    IS_CLOSED.get_or_init(|| closed);
}

/// What results are written to.
///
/// # Errors
/// If the process began without one: where it was the system has something by now that takes all and keeps nothing.
pub(crate) fn results() -> io::Result<StdoutLock<'static>> {
    match IS_CLOSED.get() {
        Some(true) => Err(io::Error::other("is closed")),
        Some(false) | None => Ok(io::stdout().lock()),
    }
}

/// Columns of the terminal that shows standard output; none in a pipe or file, where nothing is cut.
pub(crate) fn width() -> Option<usize> {
    let out = io::stdout();
    out.is_terminal().then(|| columns_of(terminal_size::terminal_size_of(out)))
}

/// Columns of the terminal that shows standard error; none in a pipe or file.
pub(crate) fn talk_width() -> Option<usize> {
    let err = io::stderr();
    err.is_terminal().then(|| columns_of(terminal_size::terminal_size_of(err)))
}

fn columns_of(size: Option<(terminal_size::Width, terminal_size::Height)>) -> usize {
    let told = || std::env::var("COLUMNS").ok()?.parse().ok();
    size.map(|(width, _)| width.0.into()).or_else(told).unwrap_or(80).max(FEWEST)
}

/// Columns within which lines on standard output are wrapped.
pub(crate) fn columns() -> usize {
    width().unwrap_or(COLUMNS)
}

/// `text` in `style`; colours are removed where the output has none.
pub(crate) fn styled(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// Prints a line, or several.
pub(crate) fn line(text: &str) -> io::Result<()> {
    writeln!(AutoStream::auto(results()?), "{}", guarded(text))
}

/// Prints one JSON object as a line.
pub(crate) fn json(value: &impl Serialize) -> io::Result<()> {
    line(&escaped(&serde_json::to_string(value)?))
}

/// Prints a record of comma-separated values, without what would steer a terminal.
pub(crate) fn csv<T: AsRef<str>>(fields: impl IntoIterator<Item = T>) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(fields.into_iter().map(|field| plain(field.as_ref())))?;
    let record = writer.into_inner().map_err(|error| error.into_error())?;
    results()?.write_all(&record)
}

/// Says something on standard error, unless nothing is to be said. That nobody listens is no error.
pub(crate) fn talk(text: &str) {
    if !is_quiet() {
        // What has styles or lines of its own is laid out already.
        let is_plain = plain(text) == text;
        say(&if is_plain { folded(text, talk_width().unwrap_or(usize::MAX)) } else { text.to_owned() });
    }
}

/// Warns on standard error.
pub(crate) fn warning(text: &str) {
    say(&message(BAD, "warning:", text));
}

/// Tells on standard error how something was understood, unless nothing is to be said.
pub(crate) fn note(text: &str) {
    talk(&message(FAINT, "note:", text));
}

/// Tells an error on standard error.
pub(crate) fn error(text: &str) {
    say(&message(BAD, "error:", text));
}

/// Tells on standard error what to do about an error.
pub(crate) fn hint(text: &str) {
    say(&message(GOOD, "hint:", text));
}

fn say(text: &str) {
    _ = writeln!(anstream::stderr(), "{}", guarded(text));
}

/// Foreign text of several lines, the first of which follows a word: the others are indented, so that none looks like
/// the start of a message. On a terminal lines fit it.
fn message(style: Style, word: &str, text: &str) -> String {
    let room = talk_width().map_or(usize::MAX, |columns| columns.saturating_sub(word.len() + 1));
    let lines: Vec<String> =
        cygnet::in_own_words(text).lines().map(|line| folded(&shortened(&plain(line)), room)).collect();
    format!("{} {}", styled(style, word), lines.join("\n").replace('\n', "\n  "))
}

/// What is wrong, and what to do about it.
#[derive(Debug)]
pub(crate) struct Hinted {
    /// What is wrong.
    pub(crate) problem: String,
    /// What to do.
    pub(crate) hint: String,
}

impl Display for Hinted {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        f.write_str(&self.problem)
    }
}

impl Error for Hinted {}

/// An error with its causes, each once: `a: b: c`.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    cygnet::told(error)
}

/// Says on standard error how fast images were classified.
pub(crate) fn rate(images: usize, elapsed: Duration) {
    let seconds = elapsed.as_secs_f64();
    let text = format!("{images} images in {seconds:.1} s, {:.1} images/s", images as f64 / seconds);
    talk(&styled(FAINT, &text));
}
