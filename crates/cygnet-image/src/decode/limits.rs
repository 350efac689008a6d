//! How much of a file is read, and how large a picture may be.

use std::fs::{self, File};
use std::hint::black_box;
use std::io::{self, Read};
use std::path::Path;

use super::format::Format;
use crate::error::{ImageError, Result};

/// The most bytes that chunks of metadata may take.
pub(super) const METADATA: usize = 16 << 20;

/// Bytes that tell every format.
const SIGNATURE: u64 = 64;

/// Files up to this length are read if they begin as a picture does.
const USUAL_BYTES: usize = 256 << 20;

/// Bytes a pixel of the least dense pictures, 16 bits in four channels.
const PIXEL_BYTES: usize = 8;

/// What may be listed and decoded, checked before memory is taken.
///
/// Decoding takes 3 bytes a pixel for the result, and at the same time what the format needs (the coefficients of a
/// progressive JPEG, samples of 16 bits of an interlaced PNG, the canvas of a WebP), or 3 more where the picture is turned by
/// its EXIF orientation; beside that up to 16 MB for metadata. Of a file no more than 256 MB, or 8 bytes a pixel of a larger
/// picture, are read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DecodeLimits {
    /// Width times height.
    pub max_pixels: usize,
    /// Bytes of memory that decoding one picture takes, beside its file and its metadata.
    pub max_bytes: usize,
    /// Pictures of one listing: of a folder, an archive or a table. Of an archive a sixteenth as many may be there by links.
    pub max_pictures: usize,
    /// Bytes of all pictures in a compressed archive, which are kept in memory. Four times as many are unpacked to find
    /// them.
    pub max_unpacked: u64,
}

impl Default for DecodeLimits {
    /// 256 megapixels, 1.5 GiB, two million pictures, and 4 GiB of pictures in a compressed archive.
    fn default() -> Self {
        DecodeLimits {
            max_pixels: 256_000_000,
            max_bytes: 3 << 29,
            max_pictures: 1 << 21,
            max_unpacked: 4 << 30,
        }
    }
}

impl DecodeLimits {
    /// Why a listing of more pictures than the limit is refused.
    #[cfg(feature = "datasets")]
    pub(crate) fn too_many_pictures(self) -> String {
        format!(
            "has more than {} pictures; divide it, or raise the limit with --max-pictures",
            self.max_pictures
        )
    }

    pub(super) fn check(self, width: usize, height: usize) -> Result<()> {
        match width.checked_mul(height) {
            Some(pixels) if pixels <= self.max_pixels => Ok(()),
            _ => Err(ImageError::TooLarge { width, height, max_pixels: self.max_pixels }),
        }
    }

    /// Refuses to take so many bytes at once where they are too many or cannot be had.
    pub(super) fn ensure_memory(self, bytes: usize) -> Result<()> {
        if bytes > self.max_bytes {
            return Err(ImageError::TooMuchMemory { bytes, max_bytes: self.max_bytes });
        }
        ensure_memory(bytes)
    }

    /// Reads the bytes of a picture's file. What does not begin as a picture is not read further, nor what is longer than
    /// any picture of its size.
    ///
    /// # Errors
    /// The outer one is the reader's; the inner one [`ImageError::UnknownFormat`], [`ImageError::TooLarge`] or
    /// [`ImageError::FileTooLong`].
    pub fn read(self, mut reader: impl Read) -> io::Result<Result<Vec<u8>>> {
        let mut data = Vec::new();
        (&mut reader).take(SIGNATURE).read_to_end(&mut data)?;
        if let Err(refused) = Format::of(&data) {
            return Ok(Err(refused));
        }
        let mut most = USUAL_BYTES;
        (&mut reader).take((most + 1 - data.len()) as u64).read_to_end(&mut data)?;
        if data.len() > most {
            match self.longest(&data) {
                Ok(longest) => most = longest,
                Err(refused) => return Ok(Err(refused)),
            }
            (&mut reader).take((most + 1).saturating_sub(data.len()) as u64).read_to_end(&mut data)?;
        }
        if data.len() > most {
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
        if !fs::metadata(path).map_err(read)?.is_file() {
            return Err(read(io::Error::other("is not a file")));
        }
        let bytes = File::open(path).and_then(|file| self.read(file)).map_err(read)?;
        bytes.map_err(|reason| ImageError::File { path: path.to_owned(), reason: Box::new(reason) })
    }

    /// The most bytes of a picture that begins so.
    fn longest(self, beginning: &[u8]) -> Result<usize> {
        let (width, height) = Format::of(beginning)?.size(beginning).unwrap_or((0, 0));
        self.check(width, height)?;
        Ok((width * height).saturating_mul(PIXEL_BYTES).max(USUAL_BYTES))
    }
}

/// Refuses where so many bytes cannot be had, which would end the process where they are taken.
pub(crate) fn ensure_memory(bytes: usize) -> Result<()> {
    let mut room: Vec<u8> = Vec::new();
    room.try_reserve_exact(bytes).map_err(|_| ImageError::NoMemory { bytes })?;
    // Memory that nothing looks at need not be taken, and the compiler would leave it out.
    black_box(room.as_ptr());
    Ok(())
}
