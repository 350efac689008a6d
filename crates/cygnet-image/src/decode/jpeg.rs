//! JPEG, as baseline and as progressive.

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::limits::DecodeLimits;
use super::picture::Image;
use super::turn::Orientation;
use crate::error::{ImageError, Result};

/// Adds what the library does not promise: no panic on a broken file, no picture of a file without its end marker.
pub(super) fn decode(data: &[u8], limits: DecodeLimits) -> Result<(Image, Orientation)> {
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

/// Bytes of a coefficient.
const COEFFICIENT: usize = 2;

/// The side of a block of coefficients.
const BLOCK: usize = 8;

/// Bytes of the coefficients that are all held until the last scan: those of a progressive picture, and of one whose first
/// scan does not have all components. None where the headers do not tell.
fn kept_coefficients(data: &[u8], is_progressive: bool) -> Option<usize> {
    let byte = |at: usize| data.get(at).copied().map(usize::from);
    let word = |at: usize| Some(byte(at)? << 8 | byte(at + 1)?);
    let (mut at, mut components, mut blocks) = (2, 0, 0);
    loop {
        let (mark, kind) = (byte(at)?, byte(at + 1)?);
        match (mark, kind) {
            (0xff, 0xff) => at += 1,
            // The start of a scan.
            (0xff, 0xda) => {
                let is_whole = byte(at + 4)? == components;
                let kept = is_progressive || !is_whole;
                return Some(if kept { blocks * BLOCK * BLOCK * COEFFICIENT } else { 0 });
            }
            (0xff, _) => {
                // The start of a frame: height, width, and the sampling of each component.
                if matches!(kind, 0xc0..=0xc2) {
                    let [height, width] = [word(at + 5)?, word(at + 7)?];
                    components = byte(at + 9)?;
                    let sampling = (0..components).map(|number| byte(at + 11 + 3 * number));
                    let sampling: Vec<[usize; 2]> =
                        sampling.map(|both| Some([both? >> 4, both? & 15])).collect::<Option<_>>()?;
                    let most = |side: usize| sampling.iter().map(|both| both[side]).max().filter(|&n| n > 0);
                    let across = width.div_ceil(BLOCK * most(0)?);
                    let down = height.div_ceil(BLOCK * most(1)?);
                    let each: usize = sampling.iter().map(|[across, down]| across * down).sum();
                    blocks = across * down * each;
                }
                at += 2 + word(at + 2)?;
            }
            _ => return None,
        }
    }
}

fn options() -> DecoderOptions {
    let longest = usize::from(u16::MAX);
    DecoderOptions::default().set_max_width(longest).set_max_height(longest)
}

fn read_jpeg(input: &mut Cursor<&[u8]>, limits: DecodeLimits) -> Result<(Image, Orientation)> {
    let format = "JPEG";
    let decoder_input = *input.get_ref();
    let length = decoder_input.len();
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
    let coefficients = kept_coefficients(decoder_input, info.sof.is_progressive())
        .unwrap_or(width * height * usize::from(info.components) * COEFFICIENT);
    limits.ensure_memory(width * height * 3 + coefficients)?;
    let pixels = decoder.decode().map_err(refuse)?;
    let orientation = info.exif_data.as_deref().map_or(Orientation::Upright, Orientation::of_exif);
    Ok((Image::from_rgb(width, height, pixels)?, orientation))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Headers of a picture of 100x50 pixels whose first component is sampled twice as often, up to the scan of `first`
    /// components.
    fn headers(frame: u8, first: u8) -> Vec<u8> {
        let mut data = b"\xff\xd8\xff\xe0\0\x04ab".to_vec();
        data.extend([0xff, 0xff, frame, 0, 17, 8, 0, 50, 0, 100, 3, 1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1]);
        data.extend([0xff, 0xda, 0, 12, first]);
        data
    }

    #[test]
    fn coefficients_are_kept_for_later_scans() {
        // Seven by four groups of six blocks.
        let bytes = 7 * 4 * 6 * 64 * 2;
        let kept = |frame, first, is_progressive| kept_coefficients(&headers(frame, first), is_progressive);
        assert_eq!(kept(0xc0, 3, false), Some(0));
        assert_eq!(kept(0xc0, 1, false), Some(bytes));
        assert_eq!(kept(0xc2, 3, true), Some(bytes));
        let data = headers(0xc2, 1);
        assert!((0..data.len()).all(|end| kept_coefficients(&data[..end], true).is_none()));
        assert_eq!(kept_coefficients(b"\xff\xd8\xff\xda\0\x03\0", false), Some(0));
        assert_eq!(kept_coefficients(b"\xff\xd8text", false), None);
    }
}
