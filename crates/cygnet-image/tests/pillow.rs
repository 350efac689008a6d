//! Pixels are compared with Pillow's, stored by `make_resize_reference.py` and `make_jpeg_reference.py`.

#![allow(clippy::unwrap_used, reason = "a failed helper fails the test")]

use cygnet_image::{DecodeLimits, Image, Interpolation};
use serde::Deserialize;

#[derive(Deserialize)]
struct ResizeCase {
    from: [usize; 2],
    to: [usize; 2],
    interpolation: Interpolation,
    pixels: String,
}

#[derive(Deserialize)]
struct JpegCase {
    name: String,
    size: [usize; 2],
    file: String,
    pixels: String,
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|place| u8::from_str_radix(&hex[place..place + 2], 16).unwrap()).collect()
}

fn picture(width: usize, height: usize) -> Image {
    let value = |x: usize, y: usize, c: usize| ((x * 37 + y * 91 + c * 53 + x * y * 29) % 256) as u8;
    let places = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
    let pixels = places.flat_map(|(x, y)| [value(x, y, 0), value(x, y, 1), value(x, y, 2)]).collect();
    Image::from_rgb(width, height, pixels).unwrap()
}

#[test]
fn resizes_are_pillows_bit_for_bit() {
    let cases: Vec<ResizeCase> = serde_json::from_str(include_str!("resize_reference.json")).unwrap();
    assert_eq!(cases.len(), 36);
    for ResizeCase { from, to, interpolation, pixels } in cases {
        let resized = picture(from[0], from[1]).resized(to[0], to[1], interpolation).unwrap();
        assert_eq!((resized.width, resized.height), (to[0], to[1]));
        assert_eq!(resized.pixels, bytes(&pixels), "{from:?} to {to:?} {interpolation:?}");
    }
}

/// Rounding of the inverse transform and of chroma smoothing, amplified by the colour conversion: 3 levels seen in
/// these pictures, and one of margin.
const MOST_LEVELS_OFF: u8 = 4;
/// Mean over a picture: 0.4 levels seen, and a tenth of margin.
const MEAN_LEVELS_OFF: f64 = 0.44;
/// Pillow's decoder does not smooth chroma of one or two columns, this one does: means of 7.8 seen.
const MEAN_LEVELS_OFF_WHEN_NARROW: f64 = 9.0;

#[test]
fn jpegs_of_every_kind_have_pillows_pixels_to_within_rounding() {
    let cases: Vec<JpegCase> = serde_json::from_str(include_str!("jpeg_reference.json")).unwrap();
    assert_eq!(cases.len(), 14);
    for JpegCase { name, size, file, pixels } in cases {
        let image = Image::decode(&bytes(&file), DecodeLimits::default()).unwrap();
        assert_eq!([image.width, image.height], size, "{name}");
        let expected = bytes(&pixels);
        assert_eq!(image.pixels.len(), expected.len(), "{name}");
        let off: Vec<u8> = image.pixels.iter().zip(&expected).map(|(&a, &b)| a.abs_diff(b)).collect();
        let most = off.iter().copied().max().unwrap();
        let mean = off.iter().copied().map(f64::from).sum::<f64>() / off.len() as f64;
        if name.starts_with("narrow") {
            assert!(mean <= MEAN_LEVELS_OFF_WHEN_NARROW, "{name}: {mean}");
        } else {
            assert!(most <= MOST_LEVELS_OFF && mean <= MEAN_LEVELS_OFF, "{name}: {most}, {mean}");
        }
    }
}

#[test]
fn every_jpeg_cut_short_is_refused() {
    let cases: Vec<JpegCase> = serde_json::from_str(include_str!("jpeg_reference.json")).unwrap();
    for JpegCase { name, file, .. } in cases {
        let file = bytes(&file);
        for length in 0..file.len() {
            let error = Image::decode(&file[..length], DecodeLimits::default()).unwrap_err().to_string();
            let known =
                ["truncated", "not a known image format", "is empty"].iter().any(|text| error.contains(text));
            assert!(known, "{name} cut to {length} bytes: {error}");
        }
    }
}
