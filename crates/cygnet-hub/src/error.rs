//! Why a file could not be fetched.

use std::{fmt::Write, io, path::PathBuf};

use cygnet_files::Size;

/// Why the network is not asked.
const OFFLINE: &str = if cfg!(feature = "fetch") {
    "the network is switched off (CYGNET_OFFLINE)"
} else {
    "this program is built without downloads (the feature fetch)"
};

/// Why a file could not be fetched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The artefact itself makes no sense.
    #[error("{file_name}: {reason}")]
    BadArtifact {
        /// Its name.
        file_name: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// There is no home folder to put a cache in.
    #[error("no home folder for the cache; set CYGNET_CACHE to a folder")]
    NoCacheFolder,
    /// A variable of the environment has a value that means nothing.
    #[error(
        "{name}={value}: neither 1 (also true or yes) nor 0 (also false, no or nothing); set one of these"
    )]
    Switch {
        /// The variable.
        name: &'static str,
        /// Its value.
        value: String,
    },
    /// A folder that should have weights is not there.
    #[error("{}: no such folder; CYGNET_MIRROR names it as a place of weights, which ; separates from others", folder.display())]
    NoMirror {
        /// The folder.
        folder: PathBuf,
    },
    /// What has the cache folder's name is no folder.
    #[error("{}: is not a folder, and the cache is one; CYGNET_CACHE names another", path.display())]
    NotAFolder {
        /// What is there.
        path: PathBuf,
    },
    /// The cache folder cannot be used.
    #[error("{}: cannot {action}: {source}; CYGNET_CACHE names another cache folder", path.display())]
    Cache {
        /// File or folder.
        path: PathBuf,
        /// What failed.
        action: &'static str,
        /// The system's reason.
        source: io::Error,
    },
    /// A write failed, for instance because the disk is full. What was written is removed.
    #[error("{}: cannot write{}: {source}", path.display(), needed.map_or(String::new(), |bytes| format!(" (needs {})", Size(bytes))))]
    Write {
        /// The file.
        path: PathBuf,
        /// Bytes the whole file needs, if known.
        needed: Option<u64>,
        /// The system's reason.
        source: io::Error,
    },
    /// The file would have to come from the network, which is switched off.
    #[error("{file_name}: not in the cache, and {OFFLINE}; put the file at {}", path.display())]
    Offline {
        /// Its name.
        file_name: String,
        /// Where it belongs.
        path: PathBuf,
    },
    /// An address did not deliver.
    #[error("{url}: {source}")]
    Address {
        /// The address, without a password.
        url: String,
        /// Why not.
        source: Box<AttemptError>,
    },
    /// An address would have to be asked, and the network is switched off.
    #[error("{url}: {OFFLINE}")]
    OfflineAddress {
        /// The address, without a password.
        url: String,
    },
    /// Every source failed.
    #[error(
        "{file_name}: no source delivers it:{}\nput the file at {}, or name a folder that has it in CYGNET_MIRROR",
        listed(attempts),
        path.display()
    )]
    Unavailable {
        /// Its name.
        file_name: String,
        /// Where it belongs.
        path: PathBuf,
        /// Each source and its failure, in order.
        attempts: Vec<(String, AttemptError)>,
    },
}

/// Why one source did not deliver.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttemptError {
    /// No connection, or not in time.
    #[cfg(feature = "fetch")]
    #[error("{0}")]
    Http(#[source] Box<ureq::Error>),
    /// The server has another answer than the file.
    #[error("the server answers with status {0}{reason}", reason = reason_of(*.0))]
    Status(u16),
    /// An address, or one that it leads to, is not encrypted.
    #[error("{url} is not encrypted; give an https address")]
    Unencrypted {
        /// The address.
        url: String,
    },
    /// The address makes no sense.
    #[error("not an address: {reason}")]
    BadUrl {
        /// What is wrong.
        reason: String,
    },
    /// The package index does not have the archive.
    #[error("the index lists no file of this package with SHA-256 {sha256}")]
    NotListed {
        /// The hash.
        sha256: String,
    },
    /// The package index cannot be understood.
    #[error("the index answers something else than a list of files")]
    BadIndex,
    /// The transfer broke off.
    #[error("the transfer broke off: {0}")]
    Interrupted(#[source] io::Error),
    /// The file is longer than it may be.
    #[error("the file has {found} bytes instead of at most {limit}")]
    TooLong {
        /// Most bytes.
        limit: u64,
        /// Size found, or promised by the server.
        found: u64,
    },
    /// The file has another size than published.
    #[error("the file has {found} bytes instead of {expected}")]
    WrongSize {
        /// Published size.
        expected: u64,
        /// Size found, or promised by the server.
        found: u64,
    },
    /// The file has another hash than published.
    #[error("the file is not the published one: its SHA-256 is {found}, not {expected}")]
    WrongHash {
        /// Published hash or its first digits.
        expected: String,
        /// Hash found.
        found: String,
    },
    /// No Python to run `pip` with.
    #[error("python3 is not installed, or only in a folder of PATH that is not absolute")]
    NoPython,
    /// Python has no `pip`.
    #[error("python3 has no pip (python3 -m ensurepip installs it)")]
    NoPip,
    /// `pip` failed.
    #[error("pip: {tail}")]
    Pip {
        /// The end of what it said.
        tail: String,
    },
    /// The package is not what was expected.
    #[error("the package {reason}")]
    Package {
        /// What is wrong with it.
        reason: String,
    },
}

/// A status in words.
#[cfg(not(feature = "fetch"))]
fn reason_of(_: u16) -> String {
    String::new()
}

/// A status in words.
#[cfg(feature = "fetch")]
fn reason_of(status: u16) -> String {
    let status = ureq::http::StatusCode::from_u16(status).ok();
    status
        .and_then(|status| status.canonical_reason())
        .map_or_else(String::new, |reason| format!(" ({reason})"))
}

fn listed(attempts: &[(String, AttemptError)]) -> String {
    attempts.iter().fold(String::new(), |mut text, (source, error)| {
        let _ = write!(text, "\n{source}: {error}");
        text
    })
}
