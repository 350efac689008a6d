//! Files to RGB pixels: JPEG, PNG, WebP, BMP, the first frame of a GIF, and with their features TIFF and JPEG XL.
//!
//! The format is taken from the content, never from the name. Pixels are those of Pillow's
//! `Image.open(f).convert("RGB")` turned upright by the EXIF orientation: palettes expanded, grey repeated, alpha
//! dropped, CMYK converted without a colour profile. Two differences are meant: 16-bit grey keeps its high byte as
//! 16-bit colour does, where Pillow clips it to white; and JPEG, whose standard leaves rounding and the smoothing
//! of chroma to the decoder, may be a few levels off, more along the edges of subsampled pictures.
//!
//! Refuses pictures beyond [`DecodeLimits`] before taking memory for them, and files that end early.

mod bmp;
mod file;
mod format;
mod gif;
mod jpeg;
#[cfg(feature = "jxl")]
mod jxl;
mod limits;
mod picture;
mod png;
mod samples;
#[cfg(feature = "tiff")]
mod tiff;
mod turn;
mod webp;

use std::path::Path;

use self::format::Format;
pub use self::limits::DecodeLimits;
pub(crate) use self::limits::ensure_memory;
pub use self::picture::Image;
use crate::error::{ImageError, Result};

impl Image {
    /// Reads and decodes a file within the default limits.
    ///
    /// # Errors
    /// [`ImageError::Read`], or [`ImageError::File`] with the reason of [`Image::decode`].
    pub fn open(path: impl AsRef<Path>) -> Result<Image> {
        Image::open_within(path, DecodeLimits::default())
    }

    /// Reads and decodes a file.
    ///
    /// # Errors
    /// As [`Image::open`].
    pub fn open_within(path: impl AsRef<Path>, limits: DecodeLimits) -> Result<Image> {
        let path = path.as_ref();
        let file = |reason| ImageError::File { path: path.to_owned(), reason: Box::new(reason) };
        Image::decode(&limits.read_file(path)?, limits).map_err(file)
    }

    /// Decodes the bytes of a file.
    ///
    /// # Errors
    /// [`ImageError::UnknownFormat`], [`ImageError::Unsupported`], [`ImageError::TooLarge`],
    /// [`ImageError::TooMuchMemory`], [`ImageError::Truncated`] or [`ImageError::Corrupt`].
    pub fn decode(data: &[u8], limits: DecodeLimits) -> Result<Image> {
        let (image, orientation) = Format::of(data)?.decode(data, limits)?;
        if orientation.swaps_sides() {
            limits.ensure_memory(2 * image.pixels.len())?;
        }
        Ok(image.turned(orientation))
    }

    /// The picture as a PNG file.
    ///
    /// # Errors
    /// [`ImageError::Corrupt`] if it cannot be encoded.
    pub fn to_png(&self) -> Result<Vec<u8>> {
        png::encode(self)
    }
}
