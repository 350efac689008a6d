//! What the `image` crate makes of a file.

use std::io::Cursor;

use cygnet_image::{DecodeLimits, Image};
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader};
use proptest::prelude::*;

/// Larger pictures, which damaged headers claim, are not compared.
pub(crate) const LIMITS: DecodeLimits =
    DecodeLimits { max_pixels: 100_000, max_bytes: 1 << 24, max_pictures: 1, max_unpacked: 0 };

fn decoded(file: &[u8], format: ImageFormat) -> Result<Image, String> {
    let text = |error: image::ImageError| error.to_string();
    let mut decoder = ImageReader::with_format(Cursor::new(file), format).into_decoder().map_err(text)?;
    let (width, height) = decoder.dimensions();
    if width as usize * height as usize > LIMITS.max_pixels {
        return Err("more pixels than are compared".to_owned());
    }
    let mut limits = image::Limits::no_limits();
    limits.max_alloc = Some(2 * decoder.total_bytes() + (16 << 20));
    decoder.set_limits(limits).map_err(text)?;
    let orientation = decoder.orientation().ok();
    let mut picture = DynamicImage::from_decoder(decoder).map_err(text)?;
    if let Some(orientation) = orientation {
        picture.apply_orientation(orientation);
    }
    let high = |wide: Vec<u16>| wide.into_iter().map(|sample| (sample >> 8) as u8).collect();
    let (channels, samples): (usize, Vec<u8>) = match picture.clone() {
        DynamicImage::ImageLuma8(samples) => (1, samples.into_raw()),
        DynamicImage::ImageRgb8(samples) => (3, samples.into_raw()),
        DynamicImage::ImageRgba8(samples) => (4, samples.into_raw()),
        DynamicImage::ImageLuma16(samples) => (1, high(samples.into_raw())),
        DynamicImage::ImageRgb16(samples) => (3, high(samples.into_raw())),
        DynamicImage::ImageRgba16(samples) => (4, high(samples.into_raw())),
        other => return Err(format!("{:?} is not compared", other.color())),
    };
    let colours = |pixel: &[u8]| if channels == 1 { [pixel[0]; 3] } else { [pixel[0], pixel[1], pixel[2]] };
    let pixels = samples.chunks(channels).flat_map(colours).collect();
    Image::from_rgb(picture.width() as usize, picture.height() as usize, pixels).map_err(|e| e.to_string())
}

/// Fails unless the picture is the other decoder's, or both refuse the file, or that one alone for one of these reasons.
/// Whether there is a picture of both.
pub(crate) fn agree(file: &[u8], format: ImageFormat, lenient: &[&str]) -> Result<bool, TestCaseError> {
    match (Image::decode(file, LIMITS), decoded(file, format)) {
        (Ok(own), Ok(other)) => {
            prop_assert_eq!((own.width, own.height), (other.width, other.height));
            prop_assert_eq!(own.pixels, other.pixels);
            Ok(true)
        }
        (Err(own), Ok(_)) => Err(TestCaseError::fail(format!("only refused here: {own}"))),
        (Ok(_), Err(other)) => {
            prop_assert!(lenient.iter().any(|reason| other.contains(reason)), "only refused there: {other}");
            Ok(false)
        }
        (Err(_), Err(_)) => Ok(false),
    }
}

/// Bits that are turned, and the place where a file is cut.
#[derive(Debug, Clone)]
pub(crate) struct Damage {
    flips: Vec<(prop::sample::Index, u32)>,
    cut: Option<prop::sample::Index>,
}

impl Damage {
    pub(crate) fn any() -> impl Strategy<Value = Damage> {
        let flips = prop::collection::vec((any::<prop::sample::Index>(), 0_u32..8), 0..4);
        let cut = prop::option::weighted(0.2, any::<prop::sample::Index>());
        (flips, cut).prop_map(|(flips, cut)| Damage { flips, cut })
    }

    /// Flips lie in the first `header` bytes.
    pub(crate) fn apply(&self, file: &mut Vec<u8>, header: usize) {
        for (place, bit) in &self.flips {
            let place = place.index(header.min(file.len()));
            file[place] ^= 1 << bit;
        }
        if let Some(cut) = self.cut {
            file.truncate(cut.index(file.len()));
        }
    }
}
