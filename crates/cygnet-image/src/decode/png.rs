//! PNG, row by row.

use std::io::{Cursor, ErrorKind};

use png::{BitDepth, ColorType, DecodingError, Transformations};

use super::limits::{DecodeLimits, METADATA};
use super::picture::Image;
use super::samples::Samples;
use super::turn::Orientation;
use crate::error::{ImageError, Result};

const FORMAT: &str = "PNG";

/// What deflate packs into a byte at most, and a little more.
const DENSEST: usize = 1040;

pub(super) fn decode(data: &[u8], limits: DecodeLimits) -> Result<(Image, Orientation)> {
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(data), png::Limits { bytes: METADATA });
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    decoder.set_transformations(Transformations::EXPAND);
    let (width, height) = decoder.read_header_info().map_err(refuse)?.size();
    let (width, height) = (width as usize, height as usize);
    limits.check(width, height)?;
    let mut reader = decoder.read_info().map_err(refuse)?;
    let info = reader.info();
    let orientation = info.exif_metadata.as_deref().map_or(Orientation::Upright, Orientation::of_exif);
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

/// Width and height, if they stand in the beginning of a file.
pub(super) fn size(beginning: &[u8]) -> Option<(usize, usize)> {
    let mut decoder = png::Decoder::new(Cursor::new(beginning));
    let (width, height) = decoder.read_header_info().ok()?.size();
    Some((width as usize, height as usize))
}

/// The picture as a file.
pub(super) fn encode(image: &Image) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let refuse =
        |error: png::EncodingError| ImageError::Corrupt { format: FORMAT, reason: error.to_string() };
    let mut encoder = png::Encoder::new(&mut bytes, image.width as u32, image.height as u32);
    encoder.set_color(ColorType::Rgb);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_compression(png::Compression::Fast);
    encoder.set_filter(png::Filter::Adaptive);
    let mut writer = encoder.write_header().map_err(refuse)?;
    writer.write_image_data(&image.pixels).map_err(refuse)?;
    writer.finish().map_err(refuse)?;
    Ok(bytes)
}

fn refuse(error: DecodingError) -> ImageError {
    match error {
        DecodingError::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => {
            ImageError::Truncated { format: FORMAT }
        }
        error => ImageError::Corrupt { format: FORMAT, reason: error.to_string() },
    }
}
