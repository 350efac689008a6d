//! WebP, lossy and lossless: the first frame.

use std::io::{Cursor, ErrorKind};

use image_webp::{DecodingError, WebPDecoder};

use super::limits::{DecodeLimits, METADATA};
use super::picture::Image;
use super::samples::Samples;
use super::turn::Orientation;
use crate::error::{ImageError, Result};

const FORMAT: &str = "WebP";

pub(super) fn decode(data: &[u8], limits: DecodeLimits) -> Result<(Image, Orientation)> {
    let mut decoder = WebPDecoder::new(Cursor::new(data)).map_err(refuse)?;
    // Of the whole chunks that it takes into memory; a chunk that claims more is as good as absent.
    decoder.set_memory_limit(METADATA);
    let (width, height) = decoder.dimensions();
    let (width, height) = (width as usize, height as usize);
    limits.check(width, height)?;
    let exif = decoder.exif_metadata().ok().flatten();
    let orientation = exif.as_deref().map_or(Orientation::Upright, Orientation::of_exif);
    let channels = if decoder.has_alpha() { 4 } else { 3 };
    limits.ensure_memory(width * height * (channels + beside(&mut decoder)))?;
    let mut samples = vec![0; width * height * channels];
    decoder.read_image(&mut samples).map_err(refuse)?;
    let pixels = Samples { channels, is_grey: false, is_wide: false, high_byte: 0 }.into_rgb(samples);
    Ok((Image::from_rgb(width, height, pixels)?, orientation))
}

/// Bytes a pixel that the decoder needs beside the result: planes of luma and chroma, alpha as it was packed, colours with
/// alpha where the result has none, and the canvas and a frame of an animation.
fn beside(decoder: &mut WebPDecoder<Cursor<&[u8]>>) -> usize {
    match (decoder.is_animated(), decoder.is_lossy(), decoder.has_alpha()) {
        (true, ..) => 12,
        (false, true, true) => 7,
        (false, true, false) => 2,
        (false, false, true) => 0,
        (false, false, false) => 4,
    }
}

fn refuse(error: DecodingError) -> ImageError {
    match error {
        DecodingError::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => {
            ImageError::Truncated { format: FORMAT }
        }
        error => ImageError::Corrupt { format: FORMAT, reason: error.to_string() },
    }
}
