//! TIFF: the first picture, of whole numbers, in one plane or in one each colour.

use std::io::{Cursor, ErrorKind};

use tiff::decoder::{Decoder, Limits};
use tiff::tags::{SampleFormat, Tag};
use tiff::{ColorType, TiffError};

use super::limits::{DecodeLimits, METADATA};
use super::picture::Image;
use super::samples::Samples;
use super::turn::Orientation;
use crate::error::{ImageError, Result};

const FORMAT: &str = "TIFF";

/// What samples are.
enum Kind {
    /// Black or white, eight in a byte.
    Bits,
    Colours(Samples),
    /// Cyan, magenta, yellow and black.
    Inks(Samples),
}

pub(super) fn decode(data: &[u8], limits: DecodeLimits) -> Result<(Image, Orientation)> {
    let mut decoder = Decoder::new(Cursor::new(data)).map_err(refuse)?;
    let (width, height) = decoder.dimensions().map_err(refuse)?;
    let (width, height) = (width as usize, height as usize);
    limits.check(width, height)?;
    let kind = Kind::of(decoder.colortype().map_err(refuse)?)?;
    let formats: Option<Vec<u16>> = decoder.find_tag_unsigned_vec(Tag::SampleFormat).map_err(refuse)?;
    if let Some(format) = formats.iter().flatten().find(|&&format| format != SampleFormat::Uint.to_u16()) {
        return Err(unsupported(format!("the sample format {format}")));
    }
    let orientation = decoder.find_tag(Tag::Orientation).ok().flatten();
    let orientation = orientation.and_then(|number| number.into_u16().ok()).unwrap_or_default();

    let layout = decoder.image_buffer_layout().map_err(refuse)?;
    let (planes, plane, bytes) = (layout.planes, layout.len, layout.complete_len);
    if planes > 1 && !matches!(kind, Kind::Colours(_)) {
        return Err(unsupported("CMYK in planes".to_owned()));
    }
    let pixels = width * height;
    limits.ensure_memory(match kind {
        Kind::Colours(samples) if planes == 1 => samples.memory(pixels),
        Kind::Colours(_) | Kind::Bits => bytes + pixels * 3,
        Kind::Inks(_) => bytes,
    })?;
    // Of a strip as it stands in the file the decoder takes no more than the picture has, or little.
    let mut own = Limits::default();
    own.intermediate_buffer_size = bytes.max(pixels * 3).saturating_add(METADATA);
    let mut samples = vec![0; bytes];
    decoder.with_limits(own).read_image_bytes(&mut samples).map_err(refuse)?;
    let rgb = match kind {
        Kind::Colours(of) if planes == 1 => of.into_rgb(samples),
        Kind::Colours(of) => interleaved(of, &samples, plane),
        Kind::Bits => expanded(&samples, width, height),
        Kind::Inks(of) => without_inks(of, samples),
    };
    Ok((Image::from_rgb(width, height, rgb)?, Orientation::numbered(orientation)))
}

/// Width and height, if they and the places of the samples stand in the beginning of a file.
pub(super) fn size(beginning: &[u8]) -> Option<(usize, usize)> {
    let (width, height) = Decoder::new(Cursor::new(beginning)).ok()?.dimensions().ok()?;
    Some((width as usize, height as usize))
}

impl Kind {
    fn of(colours: ColorType) -> Result<Kind> {
        let samples = |is_grey| Samples {
            channels: usize::from(colours.num_samples()),
            is_grey,
            is_wide: colours.bit_depth() == 16,
            high_byte: usize::from(cfg!(target_endian = "little")),
        };
        match colours {
            ColorType::Gray(1) => Ok(Kind::Bits),
            ColorType::Gray(8 | 16) => Ok(Kind::Colours(samples(true))),
            ColorType::RGB(8 | 16) | ColorType::RGBA(8 | 16) => Ok(Kind::Colours(samples(false))),
            ColorType::CMYK(8 | 16) => Ok(Kind::Inks(samples(false))),
            other => Err(unsupported(format!("the colour type {other:?}"))),
        }
    }
}

/// The colours of planes of so many bytes.
fn interleaved(of: Samples, planes: &[u8], plane: usize) -> Vec<u8> {
    let (step, high) = if of.is_wide { (2, of.high_byte) } else { (1, 0) };
    let mut rgb = vec![0; plane / step * 3];
    for (number, samples) in planes.chunks_exact(plane).take(3).enumerate() {
        for (sample, pixel) in samples.chunks_exact(step).zip(rgb.as_chunks_mut::<3>().0) {
            pixel[number] = sample[high];
        }
    }
    rgb
}

fn expanded(bits: &[u8], width: usize, height: usize) -> Vec<u8> {
    let mut rgb = vec![0; width * height * 3];
    for (row, rgb) in bits.chunks_exact(width.div_ceil(8)).zip(rgb.chunks_exact_mut(width * 3)) {
        for (x, pixel) in rgb.as_chunks_mut::<3>().0.iter_mut().enumerate() {
            *pixel = [(row[x / 8] >> (7 - x % 8) & 1) * u8::MAX; 3];
        }
    }
    rgb
}

/// The colours of inks on white, in the place of these.
fn without_inks(of: Samples, mut samples: Vec<u8>) -> Vec<u8> {
    let own = of.pixel_bytes();
    let pixels = samples.len() / own;
    for pixel in 0..pixels {
        let inks = &samples[own * pixel..][..own];
        let (inks, most) = if of.is_wide {
            ([0, 1, 2, 3].map(|ink| u16::from_ne_bytes([inks[2 * ink], inks[2 * ink + 1]])), u16::MAX)
        } else {
            ([0, 1, 2, 3].map(|ink| u16::from(inks[ink])), u16::from(u8::MAX))
        };
        let [cyan, magenta, yellow, black] = inks.map(f32::from);
        let most = f32::from(most);
        let light = 1.0 - black / most;
        let levels = [cyan, magenta, yellow].map(|ink| ((most - ink) * light) as u16);
        let levels = levels.map(|level| if of.is_wide { level >> 8 } else { level } as u8);
        samples[3 * pixel..][..3].copy_from_slice(&levels);
    }
    samples.truncate(3 * pixels);
    samples.shrink_to_fit();
    samples
}

fn unsupported(what: String) -> ImageError {
    ImageError::Unsupported { format: FORMAT, what }
}

fn refuse(error: TiffError) -> ImageError {
    match error {
        TiffError::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => {
            ImageError::Truncated { format: FORMAT }
        }
        TiffError::UnsupportedError(error) => {
            let text = error.to_string();
            unsupported(text.strip_suffix(" is unsupported").unwrap_or(&text).to_owned())
        }
        error => ImageError::Corrupt { format: FORMAT, reason: error.to_string() },
    }
}
