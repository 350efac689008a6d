//! The bytes of a picture's file, no more of them than a picture has.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use super::format::Format;
use super::limits::{DecodeLimits, METADATA};
use crate::error::{ImageError, Result};

/// Bytes that tell every format.
const SIGNATURE: u64 = 64;

/// Files up to this length are read if they begin as a picture does.
const USUAL_BYTES: usize = 256 << 20;

/// Bytes within which a file tells the picture's size, behind whatever metadata.
const BEFORE_SIZE: usize = 2 * METADATA;

/// Bytes a pixel of the least dense pictures, 16 bits in four channels.
const PIXEL_BYTES: usize = 8;

impl DecodeLimits {
    /// Reads the bytes of a picture's file. What does not begin as a picture is not read further, nor what is longer than
    /// any picture of its size.
    ///
    /// # Errors
    /// The outer one is the reader's; the inner one [`ImageError::UnknownFormat`], [`ImageError::TooLarge`] or
    /// [`ImageError::FileTooLong`].
    pub fn read(self, reader: impl Read) -> io::Result<Result<Vec<u8>>> {
        self.read_up_to(reader, None)
    }

    /// As [`DecodeLimits::read`], of a file whose length is known: one that is too long is not read further than its size is
    /// told.
    pub(crate) fn read_of(self, reader: impl Read, length: u64) -> io::Result<Result<Vec<u8>>> {
        self.read_up_to(reader, Some(length))
    }

    fn read_up_to(self, mut reader: impl Read, length: Option<u64>) -> io::Result<Result<Vec<u8>>> {
        let mut data = Vec::new();
        (&mut reader).take(SIGNATURE).read_to_end(&mut data)?;
        if let Err(refused) = Format::of(&data) {
            return Ok(Err(refused));
        }
        let mut most = USUAL_BYTES;
        let is_longer = |most: usize| length.is_some_and(|length| length > most as u64);
        let first = if is_longer(most) { BEFORE_SIZE } else { most + 1 };
        (&mut reader).take((first - data.len()) as u64).read_to_end(&mut data)?;
        if data.len() > most || is_longer(most) {
            match self.longest(&data) {
                Ok(longest) => most = longest,
                Err(refused) => return Ok(Err(refused)),
            }
            if !is_longer(most) {
                let more = (most + 1).saturating_sub(data.len()) as u64;
                (&mut reader).take(more).read_to_end(&mut data)?;
            }
        }
        if data.len() > most || is_longer(most) {
            return Ok(Err(ImageError::FileTooLong { max_bytes: most }));
        }
        Ok(Ok(data))
    }

    /// Reads the bytes of a picture's file as [`DecodeLimits::read`] does.
    ///
    /// # Errors
    /// [`ImageError::Read`], or [`ImageError::File`] with the reason.
    pub fn read_file(self, path: impl AsRef<Path>) -> Result<Vec<u8>> {
        let path = path.as_ref();
        let read = |source| ImageError::Read { path: path.to_owned(), source };
        // Before it is opened: a pipe would wait for its writer.
        let metadata = fs::metadata(path).map_err(read)?;
        if !metadata.is_file() {
            return Err(read(io::Error::other("is not a file")));
        }
        let bytes = File::open(path).and_then(|file| self.read_of(file, metadata.len())).map_err(read)?;
        bytes.map_err(|reason| ImageError::File { path: path.to_owned(), reason: Box::new(reason) })
    }

    /// The most bytes of a picture that begins so.
    fn longest(self, beginning: &[u8]) -> Result<usize> {
        let (width, height) = Format::of(beginning)?.size(beginning).unwrap_or((0, 0));
        self.check(width, height)?;
        Ok((width * height).saturating_mul(PIXEL_BYTES).max(USUAL_BYTES))
    }
}
