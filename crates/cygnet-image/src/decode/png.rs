//! PNG, row by row.

use std::io::{Cursor, ErrorKind};

use image::metadata::Orientation;
use png::{BitDepth, ColorType, DecodingError, Transformations};

use super::limits::METADATA;
use super::samples::Samples;
use super::{DecodeLimits, Image};
use crate::error::{ImageError, Result};

const FORMAT: &str = "PNG";

/// What deflate packs into a byte at most, and a little more.
const DENSEST: usize = 1040;

pub(super) fn decode(data: &[u8], limits: DecodeLimits) -> Result<(Image, Option<Orientation>)> {
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(data), png::Limits { bytes: METADATA });
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    decoder.set_transformations(Transformations::EXPAND);
    let (width, height) = decoder.read_header_info().map_err(refuse)?.size();
    let (width, height) = (width as usize, height as usize);
    limits.check(width, height)?;
    let mut reader = decoder.read_info().map_err(refuse)?;
    let info = reader.info();
    let orientation = info.exif_metadata.as_deref().and_then(Orientation::from_exif_chunk);
    if data.len().saturating_mul(DENSEST) < info.raw_bytes().saturating_sub(height) {
        return Err(ImageError::Truncated { format: FORMAT });
    }
    let (color, depth) = reader.output_color_type();
    let is_wide = depth == BitDepth::Sixteen;
    let samples = match color {
        ColorType::Grayscale | ColorType::GrayscaleAlpha => {
            Samples { channels: color.samples(), is_grey: true, is_wide, high_byte: 0 }
        }
        ColorType::Rgb | ColorType::Rgba => {
            Samples { channels: color.samples(), is_grey: false, is_wide, high_byte: 0 }
        }
        ColorType::Indexed => {
            return Err(ImageError::Unsupported { format: FORMAT, what: format!("{color:?}") });
        }
    };
    let bytes = width * height * 3;
    let mut row = vec![0; width * samples.pixel_bytes()];
    let pixels = if reader.info().interlaced {
        limits.ensure_memory(samples.memory(width * height))?;
        let mut whole = vec![0; row.len() * height];
        reader.next_frame(&mut whole).map_err(refuse)?;
        samples.into_rgb(whole)
    } else {
        limits.ensure_memory(bytes)?;
        let mut pixels = vec![0; bytes];
        for out in pixels.chunks_exact_mut(width * 3) {
            let line = if samples.is_rgb() { &mut *out } else { &mut row };
            reader.read_row(line).map_err(refuse)?;
            if !samples.is_rgb() {
                samples.write_rgb(&row, out);
            }
        }
        // What is left of the picture's data is read too, so that a file cut there is refused.
        reader.read_row(&mut row).map_err(refuse)?;
        pixels
    };
    Ok((Image::from_rgb(width, height, pixels)?, orientation))
}

fn refuse(error: DecodingError) -> ImageError {
    match error {
        DecodingError::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => {
            ImageError::Truncated { format: FORMAT }
        }
        error => ImageError::Corrupt { format: FORMAT, reason: error.to_string() },
    }
}
