//! Standard output: tables for people, JSON lines for scripts.

use std::io::{self, Write};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use comfy_table::{CellAlignment, ContentArrangement, Table};

use serde::Serialize;

/// How wide tables may be.
pub(crate) const COLUMNS: usize = 100;

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

/// `text` in `style`; colours are removed where the output has none.
pub(crate) fn styled(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// Text from a file or a folder without characters that would steer a terminal.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Prints a line.
pub(crate) fn line(text: &str) -> io::Result<()> {
    writeln!(anstream::stdout(), "{text}")
}

/// Prints one JSON object as a line.
pub(crate) fn json(value: &impl Serialize) -> io::Result<()> {
    line(&serde_json::to_string(value)?)
}

/// Says on standard error how fast images were classified.
pub(crate) fn rate(images: usize, elapsed: Duration) {
    let seconds = elapsed.as_secs_f64();
    let text = format!("{images} images in {seconds:.1} s, {:.1} images/s", images as f64 / seconds);
    anstream::eprintln!("{}", styled(FAINT, &text));
}

/// Prints rows under headings; columns named in `right` hold numbers.
pub(crate) fn table(headings: &[&str], right: &[usize], rows: Vec<Vec<String>>) -> io::Result<()> {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header(headings).add_rows(rows);
    table.set_content_arrangement(ContentArrangement::Dynamic).set_width(COLUMNS as u16);
    for (i, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if right.contains(&i) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    line(&table.lines().map(|row| row.trim_end().to_owned()).collect::<Vec<_>>().join("\n"))
}

/// A count with a unit prefix and three digits: `3.50 M`.
pub(crate) fn count(n: u64) -> String {
    let (value, unit) = match n {
        0..1_000 => return n.to_string(),
        1_000..1_000_000 => (n as f64 / 1e3, "k"),
        1_000_000..1_000_000_000 => (n as f64 / 1e6, "M"),
        _ => (n as f64 / 1e9, "G"),
    };
    let decimals = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.decimals$} {unit}")
}

/// A shape as `3x224x224`.
pub(crate) fn shape(dims: &[usize]) -> String {
    dims.iter().map(ToString::to_string).collect::<Vec<_>>().join("x")
}

/// The end of a name of more than `width` characters: it tells more than the start.
pub(crate) fn end_of(name: &str, width: usize) -> String {
    let length = name.chars().count();
    if length <= width {
        return name.into();
    }
    std::iter::once('…').chain(name.chars().skip(length + 1 - width)).collect()
}

/// A bar of `width` characters filled to `share`.
pub(crate) fn bar(share: f32, width: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (share.clamp(0.0, 1.0) * (width * 8) as f32).round() as usize;
    let bar = format!("{}{}", "█".repeat(eighths / 8), EIGHTHS[eighths % 8]);
    let empty = width - bar.chars().count();
    format!("{}{}", styled(BAR, &bar), " ".repeat(empty))
}
