//! Zip archives: which pictures they hold. Each is unpacked when it is needed.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use rawzip::{RECOMMENDED_BUFFER_SIZE, ZipArchive};

use super::members::Members;
use super::part::text;
use super::sample::Source;
use super::zipped::Zipped;
use crate::decode::DecodeLimits;
use crate::error::{ImageError, Result};

/// The longest target of a link.
const LONGEST_TARGET: u64 = 4096;

pub(super) fn of_file(path: &Path, limits: DecodeLimits) -> Result<Members> {
    let damaged = |error: rawzip::Error| wrong(path, format!("damaged archive: {error}"));
    let file = File::open(path).map_err(|source| ImageError::Read { path: path.to_owned(), source })?;
    let mut buffer = vec![0; RECOMMENDED_BUFFER_SIZE];
    let archive = Arc::new(ZipArchive::from_file(file, &mut buffer).map_err(damaged)?);
    let mut members = Members::within(limits);
    let mut entries = archive.entries(&mut buffer);
    let mut seen = 0;
    while let Some(entry) = entries.next_entry().map_err(damaged)? {
        seen += 1;
        if entry.is_dir() {
            continue;
        }
        // Some archivers of Windows write its own separator.
        let name = text(entry.file_path().as_ref()).replace('\\', "/");
        let zipped = Zipped::of(&archive, &entry);
        let noted = if entry.mode().is_symlink() {
            let mut target = Vec::new();
            zipped
                .read(|reader| reader.take(LONGEST_TARGET).read_to_end(&mut target))
                .map_err(|error| wrong(path, format!("{name}: {error}")))?;
            members.link(&name, &text(&target), true)
        } else {
            members.file(&name, Source::Zipped(zipped))
        };
        noted.map_err(|reason| wrong(path, reason))?;
    }
    if seen < archive.entries_hint() {
        return Err(wrong(
            path,
            format!("damaged archive: lists {seen} of {} files", archive.entries_hint()),
        ));
    }
    Ok(members)
}

fn wrong(path: &Path, reason: String) -> ImageError {
    ImageError::Dataset { path: path.to_owned(), reason }
}
