//! Tables of paths and labels.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use csv::{ReaderBuilder, StringRecord};

use super::{Found, Labelled, Part, Source};
use crate::error::{ImageError, Result};

const PATHS: [&str; 7] = ["path", "file", "filename", "file_name", "filepath", "image", "image_path"];
const LABELS: [&str; 5] = ["label", "class", "category", "target", "species"];
const PARTS: [&str; 3] = ["split", "part", "subset"];

/// Reads a table; paths are seen from its folder. Columns are found by their headings, or without headings are path,
/// label and perhaps split.
pub(super) fn read(path: &Path) -> Result<Found> {
    let wrong = |reason: String| ImageError::Dataset { path: path.to_owned(), reason };
    let delimiter = delimiter(path).map_err(|error| wrong(error.to_string()))?;
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(csv::Trim::All)
        .delimiter(delimiter)
        .from_path(path)
        .map_err(|error| wrong(error.to_string()))?;
    let mut rows = reader.records().peekable();
    let first = match rows.peek() {
        Some(Ok(row)) => row.clone(),
        Some(Err(error)) => return Err(wrong(error.to_string())),
        None => return Err(wrong("is empty; expected a path and a label a line".into())),
    };
    let folder = path.parent().unwrap_or(Path::new(""));
    let column = |names: &[&str]| {
        first
            .iter()
            .position(|field| names.contains(&field.trim_start_matches('\u{feff}').to_lowercase().as_str()))
    };
    let columns = match (column(&PATHS), column(&LABELS)) {
        (Some(file), Some(label)) => {
            rows.next();
            [Some(file), Some(label), column(&PARTS)]
        }
        (None, None) if first.get(0).is_some_and(|file| folder.join(file).exists()) => {
            [Some(0), Some(1), Some(2)]
        }
        (file, label) => {
            let reason = match (file, label) {
                (Some(_), _) => "has a column of paths but none called label",
                (_, Some(_)) => "has a column of labels but none called path",
                (None, None) => "starts with neither the headings path and label nor the path of a file",
            };
            return Err(wrong(format!(
                "{reason}; expected a path and a label a line, seen from the table's folder"
            )));
        }
    };
    let mut found = Found::default();
    for (number, row) in rows.enumerate() {
        let row = row.map_err(|error| wrong(error.to_string()))?;
        let line = row.position().map_or(number as u64 + 1, csv::Position::line);
        let field = |column: Option<usize>| column.and_then(|column| StringRecord::get(&row, column));
        let (Some(file), Some(label)) = (field(columns[0]), field(columns[1])) else {
            let between = match delimiter {
                b'\t' => "tab",
                b';' => "semicolon",
                _ => "comma",
            };
            return Err(wrong(format!("line {line} has no label; expected a path, a {between} and a label")));
        };
        if file.is_empty() || label.is_empty() {
            return Err(wrong(format!("line {line}: path or label is empty")));
        }
        let part = match field(columns[2]) {
            None | Some("") => Part::Train,
            Some(name) => Part::named(name)
                .ok_or_else(|| wrong(format!("line {line}: {name} is no split; use train, val or test")))?,
        };
        let file = folder.join(file);
        found.classes.insert(label.to_owned());
        let (name, class) = (file.display().to_string(), label.to_owned());
        found.pictures.push(Labelled { part, class, name, source: Source::File(file) });
    }
    Ok(found)
}

/// What stands between fields: a tab in a .tsv, else a comma, or the semicolon that spreadsheets write in its place where
/// the comma is the decimal sign.
fn delimiter(path: &Path) -> std::io::Result<u8> {
    if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("tsv")) {
        return Ok(b'\t');
    }
    let mut line = Vec::new();
    BufReader::new(File::open(path)?.take(1 << 16)).read_until(b'\n', &mut line)?;
    Ok(if line.contains(&b';') && !line.contains(&b',') { b';' } else { b',' })
}
