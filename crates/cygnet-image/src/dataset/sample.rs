//! A labelled picture, and where its bytes are.

use std::borrow::Cow;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::zipped::Zipped;
use crate::decode::{DecodeLimits, Image};
use crate::error::{ImageError, Result};

/// A picture with its class.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Its path, or its place in an archive or IDX file.
    pub name: String,
    /// The number of its class.
    pub class: usize,
    pub(super) source: Source,
}

/// Where a picture's bytes are.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// A file of its own.
    File(PathBuf),
    /// A part of a file.
    Part { file: Arc<Mutex<File>>, offset: u64, length: u64 },
    /// An encoded picture in memory.
    Memory { bytes: Arc<Vec<u8>> },
    /// A file in a zip archive.
    Zipped(Zipped),
    /// Grey levels in memory.
    Grey { bytes: Arc<Vec<u8>>, offset: usize, width: usize, height: usize },
}

impl Sample {
    /// A picture in a file of its own.
    #[must_use]
    pub fn file(path: PathBuf, class: usize) -> Sample {
        Sample { name: path.display().to_string(), class, source: Source::File(path) }
    }

    /// The picture's file, if it has one of its own.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        if let Source::File(path) = &self.source { Some(path) } else { None }
    }

    /// The bytes of the picture's file, or its pixels where it has none.
    ///
    /// # Errors
    /// [`ImageError::Read`]; [`ImageError::File`] if it is too long for a picture within the limits.
    pub fn bytes(&self, limits: DecodeLimits) -> Result<Cow<'_, [u8]>> {
        let read = |source| ImageError::Read { path: self.name.clone().into(), source };
        let refused = |reason| ImageError::File { path: self.name.clone().into(), reason: Box::new(reason) };
        match &self.source {
            Source::File(path) => limits.read_file(path).map(Cow::Owned),
            Source::Part { file, offset, length } => {
                let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
                file.seek(SeekFrom::Start(*offset)).map_err(read)?;
                let bytes = limits.read_of(Read::take(&mut *file, *length), *length).map_err(read)?;
                bytes.map(Cow::Owned).map_err(refused)
            }
            Source::Zipped(zipped) => {
                let bytes = zipped.read(|reader| limits.read(reader));
                bytes.map_err(read)?.map(Cow::Owned).map_err(refused)
            }
            Source::Memory { bytes } => Ok(Cow::Borrowed(bytes)),
            Source::Grey { bytes, offset, width, height } => {
                Ok(Cow::Borrowed(&bytes[*offset..offset + width * height]))
            }
        }
    }

    /// The decoded picture.
    ///
    /// # Errors
    /// [`ImageError::Read`] and [`ImageError::File`].
    pub fn decode(&self, limits: DecodeLimits) -> Result<Image> {
        self.picture(&self.bytes(limits)?, limits)
    }

    /// The picture that its bytes hold.
    pub(crate) fn picture(&self, bytes: &[u8], limits: DecodeLimits) -> Result<Image> {
        if let Source::Grey { width, height, .. } = self.source {
            return Image::from_rgb(width, height, bytes.iter().flat_map(|&level| [level; 3]).collect());
        }
        Image::decode(bytes, limits)
            .map_err(|reason| ImageError::File { path: self.name.clone().into(), reason: Box::new(reason) })
    }
}
