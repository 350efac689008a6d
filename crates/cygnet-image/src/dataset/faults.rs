//! What is wrong with an archive.

use std::io;
use std::path::Path;

use crate::error::ImageError;

/// What is wrong with an archive that cannot be read to its end.
pub(super) fn damaged(path: &Path, error: &io::Error) -> ImageError {
    let reason = match error.kind() {
        io::ErrorKind::UnexpectedEof => "damaged archive: ends early".into(),
        // What is refused has a whole sentence.
        io::ErrorKind::QuotaExceeded => error.to_string(),
        _ => format!("damaged archive: {error}"),
    };
    ImageError::Dataset { path: path.to_owned(), reason }
}

/// The reason, a whole sentence, why an archive that is sound is not read.
pub(super) fn refused(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::QuotaExceeded, reason)
}
