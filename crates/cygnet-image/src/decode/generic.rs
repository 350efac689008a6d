//! Formats that the `image` crate decodes: BMP and TIFF.

use std::io::{Cursor, ErrorKind};

use image::codecs::bmp::BmpDecoder;
#[cfg(feature = "tiff")]
use image::codecs::tiff::TiffDecoder;
use image::metadata::Orientation;
use image::{ColorType, ImageDecoder};

use super::limits::METADATA;
use super::samples::Samples;
use super::{DecodeLimits, Image};
use crate::error::{ImageError, Result};

type Error = image::ImageError;

pub(super) fn decode_bmp(data: &[u8], limits: DecodeLimits) -> Result<(Image, Option<Orientation>)> {
    let decoder = BmpDecoder::new(Cursor::new(data)).map_err(|error| refuse("BMP", error))?;
    read(decoder, "BMP", limits)
}

#[cfg(feature = "tiff")]
pub(super) fn decode_tiff(data: &[u8], limits: DecodeLimits) -> Result<(Image, Option<Orientation>)> {
    let decoder = TiffDecoder::new(Cursor::new(data)).map_err(|error| refuse("TIFF", error))?;
    read(decoder, "TIFF", limits)
}

fn read(
    mut decoder: impl ImageDecoder,
    format: &'static str,
    limits: DecodeLimits,
) -> Result<(Image, Option<Orientation>)> {
    let (width, height) = decoder.dimensions();
    let (width, height) = (width as usize, height as usize);
    limits.check(width, height)?;
    let color = decoder.color_type();
    let (channels, is_grey, is_wide) = match color {
        ColorType::L8 => (1, true, false),
        ColorType::La8 => (2, true, false),
        ColorType::Rgb8 => (3, false, false),
        ColorType::Rgba8 => (4, false, false),
        ColorType::L16 => (1, true, true),
        ColorType::La16 => (2, true, true),
        ColorType::Rgb16 => (3, false, true),
        ColorType::Rgba16 => (4, false, true),
        _ => return Err(ImageError::Unsupported { format, what: format!("{color:?}") }),
    };
    let high_byte = usize::from(cfg!(target_endian = "little"));
    let samples = Samples { channels, is_grey, is_wide, high_byte };
    let bytes = width * height * samples.pixel_bytes();
    // The decoder's own buffers are at most as large as the picture, beside what describes it.
    let mut allocation = image::Limits::no_limits();
    allocation.max_alloc = Some((2 * bytes).min(limits.max_bytes).saturating_add(METADATA) as u64);
    decoder.set_limits(allocation).map_err(|error| refuse(format, error))?;
    let orientation = decoder.orientation().ok();
    limits.ensure_memory(samples.memory(width * height))?;
    let mut whole = vec![0; bytes];
    decoder.read_image(&mut whole).map_err(|error| refuse(format, error))?;
    Ok((Image::from_rgb(width, height, samples.into_rgb(whole))?, orientation))
}

fn refuse(format: &'static str, error: Error) -> ImageError {
    match error {
        Error::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => ImageError::Truncated { format },
        Error::Unsupported(error) => ImageError::Unsupported { format, what: error.to_string() },
        error => ImageError::Corrupt { format, reason: error.to_string() },
    }
}
