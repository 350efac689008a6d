//! Tables of paths and labels.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use csv::{ReaderBuilder, StringRecord};
use cygnet_files::Size;

use super::part::Part;
use super::sample::Source;
use super::structure::Found;
use crate::decode::DecodeLimits;
use crate::error::{ImageError, Result};

const PATHS: [&str; 7] = ["path", "file", "filename", "file_name", "filepath", "image", "image_path"];
const LABELS: [&str; 5] = ["label", "class", "category", "target", "species"];
const PARTS: [&str; 3] = ["split", "part", "subset"];

/// Reads a table; paths are seen from its folder. Columns are found by their headings, or without headings are path,
/// label and perhaps split.
pub(super) fn read(path: &Path, limits: DecodeLimits) -> Result<Found> {
    let wrong = |reason: String| ImageError::Dataset { path: path.to_owned(), reason };
    let text = text(path)?;
    let delimiter = delimiter(path, &text);
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(csv::Trim::All)
        .delimiter(delimiter)
        .from_reader(text.as_bytes());
    let mut rows = reader.records().peekable();
    let first = match rows.peek() {
        Some(Ok(row)) => row.clone(),
        Some(Err(error)) => return Err(wrong(error.to_string())),
        None => return Err(wrong("is empty; expected a path and a label a line".into())),
    };
    let folder = path.parent().unwrap_or(Path::new(""));
    let column =
        |names: &[&str]| first.iter().position(|field| names.contains(&field.to_lowercase().as_str()));
    let columns = match (column(&PATHS), column(&LABELS)) {
        (Some(file), Some(label)) => {
            rows.next();
            [Some(file), Some(label), column(&PARTS)]
        }
        (None, None) if first.get(0).is_some_and(|file| place(folder, file).exists()) => {
            [Some(0), Some(1), Some(2)]
        }
        (file, label) => {
            let headings = first.iter().collect::<Vec<_>>().join(", ");
            let lacks = |what: &str, names: &[&str]| {
                format!("has no column of {what}: of its headings ({headings}) none is {}", names.join(", "))
            };
            return Err(wrong(match (file, label) {
                (Some(_), _) => lacks("labels", &LABELS),
                (_, Some(_)) => lacks("paths", &PATHS),
                (None, None) => format!(
                    "begins with {}, which is neither a file, seen from the table's folder, nor a heading such as path; expected a \
                     path and a label a line",
                    first.get(0).unwrap_or_default()
                ),
            }));
        }
    };
    let mut found = Found::default();
    for (number, row) in rows.enumerate() {
        if number >= limits.max_pictures {
            return Err(wrong(limits.too_many_pictures()));
        }
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
        let file = place(folder, file);
        let name = file.display().to_string();
        found.add(part, label, name, Source::File(file));
    }
    Ok(found)
}

/// A path as the table writes it, seen from the table's folder; `\` is Windows' separator unless a file is called so.
fn place(folder: &Path, file: &str) -> PathBuf {
    let path = folder.join(file);
    if file.contains('\\') && !path.exists() { folder.join(file.replace('\\', "/")) } else { path }
}

pub(super) fn is_table(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| ["csv", "tsv"].iter().any(|known| extension.eq_ignore_ascii_case(known)))
}

/// The most bytes of a table, which is read into memory.
const MOST_BYTES: u64 = 1 << 30;

/// Bytes by which a file that is no text is mostly known.
const FIRST_BYTES: u64 = 1 << 16;

const ZEROS: &str = "has zero bytes, as UTF-16 has without a byte order mark; save the table as UTF-8";

/// The table's text: UTF-8, or UTF-16 behind a byte order mark, as spreadsheets write it.
fn text(path: &Path) -> Result<String> {
    let failed = |source| ImageError::Read { path: path.to_owned(), source };
    let wrong = |reason: String| ImageError::Dataset { path: path.to_owned(), reason };
    let too_long = || wrong(format!("is a table of more than {}; divide it", Size(MOST_BYTES)));
    if std::fs::metadata(path).map_err(failed)?.len() > MOST_BYTES {
        return Err(too_long());
    }
    let mut bytes = Vec::new();
    let mut file = File::open(path).map_err(failed)?.take(MOST_BYTES + 1);
    (&mut file).take(FIRST_BYTES).read_to_end(&mut bytes).map_err(failed)?;
    let is_utf16 = bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff");
    if !is_utf16 && bytes.contains(&0) {
        return Err(wrong(ZEROS.into()));
    }
    file.read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(too_long());
    }
    let utf16 = |unit: fn([u8; 2]) -> u16| {
        let (units, rest) = bytes[2..].as_chunks();
        let text: std::result::Result<String, _> =
            char::decode_utf16(units.iter().copied().map(unit)).collect();
        text.ok()
            .filter(|_| rest.is_empty())
            .ok_or_else(|| wrong("is damaged UTF-16; save it as UTF-8".into()))
    };
    match bytes.get(..2) {
        Some(b"\xff\xfe") => return utf16(u16::from_le_bytes),
        Some(b"\xfe\xff") => return utf16(u16::from_be_bytes),
        _ => {}
    }
    let mut text = String::from_utf8(bytes).map_err(|error| {
        let sound = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..sound].iter().filter(|&&byte| byte == b'\n').count() + 1;
        wrong(format!("line {line} is not UTF-8, perhaps Latin-1 or Windows-1252; save the table as UTF-8"))
    })?;
    if text.contains('\0') {
        return Err(wrong(ZEROS.into()));
    }
    if text.starts_with('\u{feff}') {
        text.remove(0);
    }
    Ok(text)
}

/// What stands between fields: a tab in a .tsv or where the first line has tabs only, else a comma, or the semicolon that
/// spreadsheets write in its place where the comma is the decimal sign.
fn delimiter(path: &Path, text: &str) -> u8 {
    let line = text.lines().next().unwrap_or_default();
    if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("tsv")) {
        b'\t'
    } else if line.contains(',') {
        b','
    } else if line.contains(';') {
        b';'
    } else if line.contains('\t') {
        b'\t'
    } else {
        b','
    }
}
