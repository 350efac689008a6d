//! Bytes of files.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::Path;

use crate::{WeightsError, tensor::Bytes};

/// Longer files are looked at before they are read, which takes memory where they cannot be mapped.
const SHORT: u64 = 64 << 20;

/// Bytes that tell every format.
const BEGINNING: u64 = 16;

/// The bytes of a regular file, mapped if possible; anything else has no size that could be trusted. Of a long one `check`
/// sees the first bytes before.
pub(crate) fn read(
    path: &Path,
    check: impl FnOnce(&[u8]) -> Result<(), WeightsError>,
) -> Result<Bytes, WeightsError> {
    let metadata = std::fs::metadata(path).map_err(WeightsError::Read)?;
    if !metadata.is_file() {
        return Err(WeightsError::Read(io::Error::other("is not a file")));
    }
    let mut file = File::open(path).map_err(WeightsError::Read)?;
    if metadata.len() > SHORT {
        let mut first = Vec::new();
        (&mut file).take(BEGINNING).read_to_end(&mut first).map_err(WeightsError::Read)?;
        check(&first)?;
        file.rewind().map_err(WeightsError::Read)?;
    }
    whole(file).map_err(WeightsError::Read)
}

/// The bytes of a file, mapped if possible.
fn whole(mut file: File) -> io::Result<Bytes> {
    // Elsewhere no other file can be renamed to the place of a mapped one.
    #[cfg(unix)]
    if let Some(map) = Bytes::map(&file) {
        return Ok(map);
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes.into())
}

/// The bytes of a regular file. On Unix they lie in a map of it, which takes no memory that other work could not have: another
/// file may be renamed to its place meanwhile, but nobody may write into it.
#[derive(Clone)]
pub struct FileBytes(Bytes);

impl FileBytes {
    /// Opens the file at `path`.
    ///
    /// # Errors
    /// If it cannot be read, or is no regular file.
    pub fn open(path: &Path) -> io::Result<FileBytes> {
        if !std::fs::metadata(path)?.is_file() {
            return Err(io::Error::other("is not a file"));
        }
        whole(File::open(path)?).map(FileBytes)
    }
}

impl AsRef<[u8]> for FileBytes {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}
