//! Resizing of RGB pictures, bit for bit as Pillow's `Image.resize`.
//!
//! Bilinear and bicubic widen their filter by the reduction factor (antialiasing), work horizontally first, round
//! to 8 bits between the passes and use weights of 22 fractional bits. Knows no aspect rules: see `preprocess`.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::decode::Image;
use crate::error::{ImageError, Result};

/// How pixels between pixels are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Interpolation {
    /// The pixel whose area holds the sample point.
    Nearest,
    /// A triangle filter.
    Bilinear,
    /// Keys' cubic filter with a = −0.5.
    Bicubic,
}

impl Interpolation {
    fn support(self) -> f64 {
        match self {
            Interpolation::Nearest => 0.5,
            Interpolation::Bilinear => 1.0,
            Interpolation::Bicubic => 2.0,
        }
    }

    fn weight(self, x: f64) -> f64 {
        const A: f64 = -0.5;
        let x = x.abs();
        match self {
            Interpolation::Nearest => 1.0,
            Interpolation::Bilinear => (1.0 - x).max(0.0),
            Interpolation::Bicubic if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
            Interpolation::Bicubic if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
            Interpolation::Bicubic => 0.0,
        }
    }
}

/// One axis of a resize: the `source` places are stretched over `resized` places, of which `window` is kept.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Axis {
    pub(crate) source: Range<usize>,
    pub(crate) resized: usize,
    pub(crate) window: Range<usize>,
}

impl Image {
    /// The whole picture at another size.
    ///
    /// # Errors
    /// [`ImageError::PixelCount`] for a size of zero.
    pub fn resized(&self, width: usize, height: usize, interpolation: Interpolation) -> Result<Image> {
        if width == 0 || height == 0 {
            return Err(ImageError::PixelCount { width, height, bytes: 0 });
        }
        let across = Axis { source: 0..self.width, resized: width, window: 0..width };
        let down = Axis { source: 0..self.height, resized: height, window: 0..height };
        Ok(resize(self, &across, &down, interpolation))
    }
}

/// The window of the resized picture. Rows and columns outside the window cost nothing and change nothing.
pub(crate) fn resize(image: &Image, across: &Axis, down: &Axis, interpolation: Interpolation) -> Image {
    let (width, height) = (across.window.len(), down.window.len());
    let (columns, rows) = (Taps::new(across, interpolation), Taps::new(down, interpolation));
    let mut line = vec![0; width * 3];
    let mut sums = vec![HALF; width * height * 3];
    let mut done = 0;
    for y in down.source.clone() {
        while rows.0.get(done).is_some_and(|tap| tap.first + tap.weights.len() <= y) {
            done += 1;
        }
        let users = rows.0[done..].iter().take_while(|tap| tap.first <= y).count();
        if users == 0 {
            continue;
        }
        columns.filter(&image.pixels[y * image.width * 3..][..image.width * 3], &mut line);
        let outputs = sums.chunks_exact_mut(width * 3).zip(&rows.0).skip(done).take(users);
        for (sums, tap) in outputs {
            let weight = tap.weights[y - tap.first];
            for (sum, &value) in sums.iter_mut().zip(&line) {
                *sum += weight * i32::from(value);
            }
        }
    }
    Image { width, height, pixels: sums.into_iter().map(rounded).collect() }
}

const PRECISION: u32 = 22;
const HALF: i32 = 1 << (PRECISION - 1);

fn rounded(sum: i32) -> u8 {
    (sum >> PRECISION).clamp(0, 255) as u8
}

/// For each output place of an axis, in order: the first source place and the weights from there on.
struct Taps(Vec<Tap>);

struct Tap {
    first: usize,
    weights: Vec<i32>,
}

impl Taps {
    fn new(axis: &Axis, interpolation: Interpolation) -> Taps {
        let length = axis.source.len();
        let scale = length as f64 / axis.resized as f64;
        if interpolation == Interpolation::Nearest {
            let places = std::iter::successors(Some(scale * 0.5), |place| Some(place + scale));
            let wanted = places.take(axis.window.end).skip(axis.window.start);
            let nearest = |place: f64| axis.source.start + (place as usize).min(length - 1);
            return Taps(
                wanted.map(|place| Tap { first: nearest(place), weights: vec![1 << PRECISION] }).collect(),
            );
        }
        let stretch = scale.max(1.0);
        let support = interpolation.support() * stretch;
        let tap = |index: usize| {
            let center = (index as f64 + 0.5) * scale;
            let first = (center - support + 0.5).max(0.0) as usize;
            let end = ((center + support + 0.5) as usize).min(length);
            let distance = |place: usize| (place as f64 - center + 0.5) * (1.0 / stretch);
            let weights: Vec<f64> = (first..end).map(|place| interpolation.weight(distance(place))).collect();
            let sum: f64 = weights.iter().sum();
            let fixed = |weight: &f64| (weight / sum * f64::from(1 << PRECISION)).round() as i32;
            Tap { first: axis.source.start + first, weights: weights.iter().map(fixed).collect() }
        };
        Taps(axis.window.clone().map(tap).collect())
    }

    /// Resizes one row.
    fn filter(&self, row: &[u8], out: &mut [u8]) {
        for (out, tap) in out.chunks_exact_mut(3).zip(&self.0) {
            let mut sums = [HALF; 3];
            for (pixel, weight) in row[tap.first * 3..].chunks_exact(3).zip(&tap.weights) {
                for (sum, &value) in sums.iter_mut().zip(pixel) {
                    *sum += weight * i32::from(value);
                }
            }
            out.copy_from_slice(&sums.map(rounded));
        }
    }
}
