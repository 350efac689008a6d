//! Bytes of files.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::{WeightsError, tensor::Bytes};

/// The bytes of a regular file, mapped if possible; anything else has no size that could be trusted.
pub(crate) fn read(path: &Path) -> Result<Bytes, WeightsError> {
    if !std::fs::metadata(path).map_err(WeightsError::Read)?.is_file() {
        return Err(WeightsError::Read(io::Error::other("is not a file")));
    }
    let mut file = File::open(path).map_err(WeightsError::Read)?;
    // Elsewhere no other file can be renamed to the place of a mapped one.
    #[cfg(unix)]
    if let Some(map) = Bytes::map(&file) {
        return Ok(map);
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(WeightsError::Read)?;
    Ok(bytes.into())
}
