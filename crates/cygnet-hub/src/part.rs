//! The unfinished file beside the final one: hashed while it grows, renamed when it is right.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use super::{Artifact, AttemptError, Failure, FetchError, Progress};
use cygnet_files::owned;

/// Most bytes of a file whose size is not published.
pub(super) const MAX_BYTES: u64 = 4 << 30;
const CHUNK_BYTES: usize = 64 << 10;

pub(super) struct Part<'a> {
    artifact: &'a Artifact<'a>,
    path: PathBuf,
    file: File,
    hasher: Sha256,
    length: u64,
}

impl<'a> Part<'a> {
    /// An empty part.
    pub(super) fn create(path: PathBuf, artifact: &'a Artifact<'a>) -> Result<Part<'a>, FetchError> {
        match owned::create(&path) {
            Ok(file) => Ok(Part { artifact, path, file, hasher: Sha256::new(), length: 0 }),
            Err(source) => Err(FetchError::Cache { path, action: "create", source }),
        }
    }

    /// The part that an earlier transfer left, or an empty one.
    pub(super) fn resume(path: PathBuf, artifact: &'a Artifact<'a>) -> Result<Part<'a>, FetchError> {
        let Ok(mut file) = owned::reopen(&path) else { return Part::create(path, artifact) };
        let mut hasher = Sha256::new();
        match hash_into(&mut hasher, &mut file) {
            Ok(length) if length <= artifact.size.unwrap_or(MAX_BYTES) => {
                Ok(Part { artifact, path, file, hasher, length })
            }
            _ => Part::create(path, artifact),
        }
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Forgets what is there.
    pub(super) fn restart(&mut self) -> Result<(), FetchError> {
        *self = Part::create(self.path.clone(), self.artifact)?;
        Ok(())
    }

    /// Refuses a transfer that would end at another size than published.
    pub(super) fn expect(&self, total: u64) -> Result<(), AttemptError> {
        match self.artifact.size {
            Some(expected) if total != expected => Err(AttemptError::WrongSize { expected, found: total }),
            None if total > MAX_BYTES => Err(AttemptError::TooLong { limit: MAX_BYTES, found: total }),
            _ => Ok(()),
        }
    }

    /// Appends all of `content`. On a failed write the part is removed, else it stays for the next try.
    pub(super) fn pull(
        &mut self,
        content: &mut dyn Read,
        total: Option<u64>,
        what: &str,
        progress: &mut dyn Progress,
    ) -> Result<(), Failure> {
        progress.start(total, what);
        progress.advance(self.length);
        let result = self.pull_chunks(content, progress);
        progress.finish();
        result
    }

    fn pull_chunks(&mut self, content: &mut dyn Read, progress: &mut dyn Progress) -> Result<(), Failure> {
        let limit = self.artifact.size.unwrap_or(MAX_BYTES);
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let read = match content.read(&mut chunk) {
                Ok(0) => return Ok(()),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(AttemptError::Interrupted(error).into()),
            };
            let length = self.length + read as u64;
            if length > limit {
                let _ = fs::remove_file(&self.path);
                return Err(match self.artifact.size {
                    Some(expected) => AttemptError::WrongSize { expected, found: length },
                    None => AttemptError::TooLong { limit, found: length },
                }
                .into());
            }
            self.file.write_all(&chunk[..read]).map_err(|source| self.unwritable(source))?;
            self.hasher.update(&chunk[..read]);
            self.length = length;
            progress.advance(read as u64);
        }
    }

    fn unwritable(&self, source: io::Error) -> FetchError {
        let _ = fs::remove_file(&self.path);
        FetchError::Write { path: self.path.clone(), needed: self.artifact.size, source }
    }

    /// Keeps what has arrived, if anything, for a later try.
    pub(super) fn leave(self) {
        if self.length == 0 {
            self.discard();
        }
    }

    /// Removes what has arrived and cannot be continued.
    pub(super) fn discard(self) {
        let _ = fs::remove_file(&self.path);
    }

    /// Renames the part to `target` if it is the published file, and returns its hash; else removes it.
    pub(super) fn accept(mut self, target: &Path) -> Result<String, Failure> {
        let found = hex(&self.hasher.finalize_reset());
        let wrong = self.expect(self.length).err().or_else(|| {
            let expected = self.artifact.sha256.to_owned();
            (!self.artifact.has_hash(&found))
                .then(|| AttemptError::WrongHash { expected, found: found.clone() })
        });
        if let Some(error) = wrong {
            let _ = fs::remove_file(&self.path);
            return Err(error.into());
        }
        self.file.sync_all().map_err(|source| self.unwritable(source))?;
        fs::rename(&self.path, target).map_err(|source| FetchError::Cache {
            path: target.to_owned(),
            action: "rename to",
            source,
        })?;
        Ok(found)
    }
}

/// SHA-256 in hexadecimal.
pub(super) fn hash_of(mut content: impl Read) -> io::Result<String> {
    let mut hasher = Sha256::new();
    hash_into(&mut hasher, &mut content)?;
    Ok(hex(&hasher.finalize()))
}

fn hash_into(hasher: &mut Sha256, content: &mut impl Read) -> io::Result<u64> {
    let mut content = BufReader::with_capacity(CHUNK_BYTES, content);
    let mut length = 0;
    loop {
        let chunk = content.fill_buf()?;
        if chunk.is_empty() {
            return Ok(length);
        }
        hasher.update(chunk);
        let read = chunk.len();
        content.consume(read);
        length += read as u64;
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
