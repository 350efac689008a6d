//! What has been checked is noted beside the file, so that the next look is instant.
//!
//! A note holds for the very file and the time of its last change, which no program can set; whoever can write a note
//! could lie, so a note counts only where nobody else can.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

use super::{Artifact, Cache, FetchError, part};
use cygnet_files::owned;

/// A note is believed if it is so much younger than the file: times are coarse, and a file may change twice in one tick.
const TICK_NS: i128 = 50_000_000;

/// What a note says.
struct Noted {
    /// Hash of the file that was checked.
    hash: String,
    /// Whether that is the file of now, unchanged.
    is_this: bool,
}

impl Cache {
    /// Whether the file is here and is the published one.
    pub(super) fn verified(&self, path: &Path, artifact: &Artifact<'_>) -> Result<bool, FetchError> {
        let failed = |source| FetchError::Cache { path: path.to_owned(), action: "read", source };
        let metadata = match fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(failed(error)),
        };
        if artifact.size.is_some_and(|size| size != metadata.len()) {
            return Ok(false);
        }
        let noted = self.noted(&metadata, artifact);
        if noted.as_ref().is_some_and(|noted| noted.is_this && artifact.has_hash(&noted.hash)) {
            return Ok(true);
        }
        let hash = File::open(path).and_then(part::hash_of).map_err(failed)?;
        // Where not all of a hash is published, the file must also be the one that was fetched.
        let is_same = artifact.is_pinned() || noted.is_none_or(|noted| noted.hash == hash);
        if artifact.has_hash(&hash) && is_same {
            self.remember(path, artifact, &hash);
            return Ok(true);
        }
        Ok(false)
    }

    fn noted(&self, file: &fs::Metadata, artifact: &Artifact<'_>) -> Option<Noted> {
        let note = self.beside(artifact, "ok");
        let of_note = fs::symlink_metadata(&note).ok()?;
        let of_folder = fs::metadata(&self.folder).ok()?;
        if ![file, &of_note, &of_folder].into_iter().all(owned::is_private) {
            return None;
        }
        let text = fs::read_to_string(&note).ok()?;
        let (hash, stamp) = text.trim_end().split_once(' ')?;
        let is_younger = owned::changed(&of_note).0 >= owned::changed(file).0 + TICK_NS;
        Some(Noted { hash: hash.to_owned(), is_this: is_younger && stamp == stamp_of(file) })
    }

    /// Forgets a file that is not here any more.
    pub(super) fn forget(&self, path: &Path, artifact: &Artifact<'_>) {
        if !path.exists() {
            let _ = fs::remove_file(self.beside(artifact, "ok"));
        }
    }

    /// Notes that the file has been checked. A cache that cannot be written stays correct without the note.
    pub(super) fn remember(&self, path: &Path, artifact: &Artifact<'_>, hash: &str) {
        if let Ok(metadata) = fs::metadata(path) {
            let note = format!("{hash} {}\n", stamp_of(&metadata));
            let _ = owned::create(&self.beside(artifact, "ok"))
                .and_then(|mut file| file.write_all(note.as_bytes()));
        }
    }
}

/// Which file it is and when it last changed.
fn stamp_of(metadata: &fs::Metadata) -> String {
    let (changed, file) = owned::changed(metadata);
    format!("{changed} {file}")
}
