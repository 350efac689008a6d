//! How large a picture may be.

use std::hint::black_box;

use crate::error::{ImageError, Result};

/// The most bytes that chunks of metadata may take.
pub(super) const METADATA: usize = 16 << 20;

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
}

/// Refuses where so many bytes cannot be had, which would end the process where they are taken.
pub(crate) fn ensure_memory(bytes: usize) -> Result<()> {
    let mut room: Vec<u8> = Vec::new();
    room.try_reserve_exact(bytes).map_err(|_| ImageError::NoMemory { bytes })?;
    // Memory that nothing looks at need not be taken, and the compiler would leave it out.
    black_box(room.as_ptr());
    Ok(())
}
