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
use crate::owned;

/// A note is believed if it is so much younger than the file: times are coarse, and a file may change twice in one tick.
const TICK_NS: i128 = 50_000_000;

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
        if self.is_noted(&metadata, artifact) {
            return Ok(true);
        }
        let hash = File::open(path).and_then(part::hash_of).map_err(failed)?;
        if artifact.has_hash(&hash) {
            self.remember(path, artifact, &hash);
            return Ok(true);
        }
        Ok(false)
    }

    fn is_noted(&self, file: &fs::Metadata, artifact: &Artifact<'_>) -> bool {
        let note = self.beside(artifact, "ok");
        let is_private =
            |path: &Path| fs::symlink_metadata(path).is_ok_and(|metadata| owned::is_private(&metadata));
        if !(owned::is_private(file) && is_private(&self.folder) && is_private(&note)) {
            return false;
        }
        let Ok(noted) = fs::metadata(&note) else { return false };
        let text = fs::read_to_string(&note).unwrap_or_default();
        text.trim_end().split_once(' ').is_some_and(|(hash, stamp)| {
            let is_younger = owned::changed(&noted).0 >= owned::changed(file).0 + TICK_NS;
            is_younger && stamp == stamp_of(file) && artifact.has_hash(hash)
        })
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
