//! A decoded photo.

use crate::error::{ImageError, Result};

/// A decoded photo.
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    /// Width in pixels, at least 1.
    pub width: usize,
    /// Height in pixels, at least 1.
    pub height: usize,
    /// Red, green, blue; row after row from the top left; `width * height * 3` bytes.
    pub pixels: Vec<u8>,
}

impl Image {
    /// Wraps RGB pixels.
    ///
    /// # Errors
    /// [`ImageError::PixelCount`] unless there are `width * height * 3 > 0` bytes.
    pub fn from_rgb(width: usize, height: usize, pixels: Vec<u8>) -> Result<Image> {
        let bytes = width.checked_mul(height).and_then(|count| count.checked_mul(3));
        if bytes != Some(pixels.len()) || pixels.is_empty() {
            return Err(ImageError::PixelCount { width, height, bytes: pixels.len() });
        }
        Ok(Image { width, height, pixels })
    }
}
