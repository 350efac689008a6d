//! JPEG, as baseline and as progressive.

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use image::metadata::Orientation;
use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::limits::ensure_memory;
use super::{DecodeLimits, Image};
use crate::error::{ImageError, Result};

/// Adds what the library does not promise: no panic on a broken file, no picture of a file without its end marker.
pub(super) fn decode(data: &[u8], limits: DecodeLimits) -> Result<(Image, Option<Orientation>)> {
    let format = "JPEG";
    let mut input = Cursor::new(data);
    let decoded = catch_unwind(AssertUnwindSafe(|| read_jpeg(&mut input, limits)));
    let rest = data.get((input.position() as usize).saturating_sub(2)..).unwrap_or_default();
    let ended = rest.windows(2).any(|marker| marker == b"\xFF\xD9");
    match decoded {
        Ok(Ok(_) | Err(ImageError::Corrupt { .. })) if !ended => Err(ImageError::Truncated { format }),
        Ok(decoded) => decoded,
        Err(_) => Err(ImageError::Corrupt { format, reason: "its parts do not fit together".to_owned() }),
    }
}

/// Width and height, if they stand in the beginning of a file.
pub(super) fn size(beginning: &[u8]) -> Option<(usize, usize)> {
    let mut decoder = JpegDecoder::new_with_options(Cursor::new(beginning), options());
    decoder.decode_headers().ok()?;
    decoder.dimensions()
}

fn options() -> DecoderOptions {
    let longest = usize::from(u16::MAX);
    DecoderOptions::default().set_max_width(longest).set_max_height(longest)
}

fn read_jpeg(input: &mut Cursor<&[u8]>, limits: DecodeLimits) -> Result<(Image, Option<Orientation>)> {
    let format = "JPEG";
    let length = input.get_ref().len();
    let refuse = |error| match error {
        DecodeErrors::IoErrors(_) | DecodeErrors::ExhaustedData => ImageError::Truncated { format },
        error => ImageError::Corrupt { format, reason: error.to_string().trim_matches('"').to_owned() },
    };
    let mut decoder = JpegDecoder::new_with_options(input, options());
    decoder.decode_headers().map_err(refuse)?;
    let info = decoder.info().unwrap_or_default();
    let (width, height) = (usize::from(info.width), usize::from(info.height));
    limits.check(width, height)?;
    if ![1, 3, 4].contains(&info.components) {
        return Err(ImageError::Unsupported { format, what: format!("{} channels", info.components) });
    }
    // Each block of eight by eight pixels takes a bit at least.
    if length.saturating_mul(8 * 64) < width * height {
        return Err(ImageError::Truncated { format });
    }
    // A progressive picture's coefficients are all held until the last scan.
    let coefficients = if info.sof.is_progressive() { 2 * usize::from(info.components) } else { 0 };
    ensure_memory(width * height * (3 + coefficients))?;
    let pixels = decoder.decode().map_err(refuse)?;
    let orientation = info.exif_data.as_deref().and_then(Orientation::from_exif_chunk);
    Ok((Image::from_rgb(width, height, pixels)?, orientation))
}
