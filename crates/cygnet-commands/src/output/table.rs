//! Tables that fit their terminal.

use std::io;

use comfy_table::{CellAlignment, ContentArrangement, Table};
use unicode_width::UnicodeWidthStr;

use super::{end_of, line, note, path_of, start_of, width};

/// Columns between two columns of a table.
const GAP: usize = 2;

/// The fewest columns that a text is cut to while others could be left out instead.
const COMFORT: usize = 20;

/// The fewest columns that a text is cut to.
const LEAST: usize = 6;

/// A column: its heading, and what may be done to it where the terminal is narrow.
#[derive(Clone, Copy)]
pub(crate) struct Column<'a> {
    heading: &'a str,
    cell: Cell,
    is_spare: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Cell {
    /// To the right, never cut.
    Number,
    /// Never cut.
    Word,
    /// May lose its start.
    Name,
    /// May lose its middle.
    Path,
    /// May lose its end.
    Text,
}

impl<'a> Column<'a> {
    const fn new(heading: &'a str, cell: Cell) -> Column<'a> {
        Column { heading, cell, is_spare: false }
    }

    /// Numbers.
    pub(crate) const fn number(heading: &'a str) -> Column<'a> {
        Column::new(heading, Cell::Number)
    }

    /// Words that only whole mean something.
    pub(crate) const fn word(heading: &'a str) -> Column<'a> {
        Column::new(heading, Cell::Word)
    }

    /// Paths of files, and names of networks that stand among them.
    pub(crate) const fn path(heading: &'a str) -> Column<'a> {
        Column::new(heading, Cell::Path)
    }

    /// Names whose ends tell the most: those of layers.
    pub(crate) const fn name(heading: &'a str) -> Column<'a> {
        Column::new(heading, Cell::Name)
    }

    /// Texts whose starts tell the most: labels.
    pub(crate) const fn text(heading: &'a str) -> Column<'a> {
        Column::new(heading, Cell::Text)
    }

    /// Left out where the terminal is too narrow, the last such column first.
    pub(crate) const fn spare(self) -> Column<'a> {
        Column { is_spare: true, ..self }
    }
}

/// Prints rows under headings, within the width of the terminal where there is one.
pub(crate) fn table(columns: &[Column], rows: Vec<Vec<String>>) -> io::Result<()> {
    let layout = layout(columns, &rows, width().unwrap_or(usize::MAX));
    line(&laid_out(columns, rows, &layout))?;
    let left_out = columns.iter().zip(&layout).filter(|(_, width)| width.is_none());
    // A column of bars has no heading, and says what another does.
    let left_out = left_out.map(|(column, _)| column.heading).filter(|heading| !heading.is_empty());
    let left_out: Vec<&str> = left_out.collect();
    if !left_out.is_empty() {
        note(&format!("no room for {}; --json tells all", left_out.join(", ")));
    }
    Ok(())
}

fn laid_out(columns: &[Column], rows: Vec<Vec<String>>, layout: &[Option<usize>]) -> String {
    let shown = |cells: Vec<String>| -> Vec<String> {
        let cut = |((cell, column), width): ((String, &Column), &Option<usize>)| {
            let width = (*width)?;
            Some(match column.cell {
                Cell::Name => end_of(&cell, width),
                Cell::Path => path_of(&cell, width),
                Cell::Text => start_of(&cell, width),
                Cell::Number | Cell::Word => cell,
            })
        };
        cells.into_iter().zip(columns).zip(layout).filter_map(cut).collect()
    };
    let headings =
        columns.iter().zip(layout).filter_map(|(column, width)| Some(broken(column.heading, (*width)?)));
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(headings).add_rows(rows.into_iter().map(shown));
    let kept = columns.iter().zip(layout).filter(|(_, width)| width.is_some());
    for (column, (kept, _)) in table.column_iter_mut().zip(kept) {
        column.set_padding((0, GAP as u16));
        if kept.cell == Cell::Number {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.lines().map(|row| row.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

/// How wide each column is; none for those that are left out.
fn layout(columns: &[Column], rows: &[Vec<String>], room: usize) -> Vec<Option<usize>> {
    let widest = |i: usize| rows.iter().map(|row| row[i].width()).max().unwrap_or(0);
    let cells: Vec<usize> = (0..columns.len()).map(widest).collect();
    let full: Vec<_> =
        columns.iter().zip(&cells).map(|(column, cells)| Some(column.heading.width().max(*cells))).collect();
    if total(&full) <= room {
        return full;
    }
    let longest_word = |text: &str| text.split(' ').map(UnicodeWidthStr::width).max().unwrap_or(0);
    let mut widths: Vec<_> = columns
        .iter()
        .zip(&cells)
        .map(|(column, cells)| Some(longest_word(column.heading).max(*cells)))
        .collect();
    loop {
        let cut = narrowed(columns, &widths, COMFORT, room);
        let spare =
            columns.iter().zip(&widths).rposition(|(column, width)| column.is_spare && width.is_some());
        match spare {
            _ if total(&cut) <= room => return cut,
            Some(spare) => widths[spare] = None,
            None => return narrowed(columns, &widths, LEAST, room),
        }
    }
}

fn total(widths: &[Option<usize>]) -> usize {
    let shown = widths.iter().flatten();
    shown.clone().sum::<usize>() + GAP * shown.count().saturating_sub(1)
}

/// Widths of which those of names and texts are cut, the widest first, to `least` at least, until all fit.
fn narrowed(columns: &[Column], widths: &[Option<usize>], least: usize, room: usize) -> Vec<Option<usize>> {
    let mut widths = widths.to_vec();
    while total(&widths) > room {
        let may = |column: &Column| matches!(column.cell, Cell::Name | Cell::Path | Cell::Text);
        let wide = columns
            .iter()
            .zip(&mut widths)
            .filter_map(|(column, width)| width.as_mut().filter(|_| may(column)));
        match wide.max().filter(|width| **width > least) {
            Some(width) => *width -= 1,
            None => break,
        }
    }
    widths
}

/// A heading in lines of at most `width` columns, broken at spaces.
fn broken(heading: &str, width: usize) -> String {
    let mut text = String::new();
    let mut length = 0;
    for word in heading.split(' ') {
        if !text.is_empty() {
            let fits = length + 1 + word.width() <= width;
            text.push(if fits { ' ' } else { '\n' });
            length = if fits { length + 1 } else { 0 };
        }
        text.push_str(word);
        length += word.width();
    }
    text
}
