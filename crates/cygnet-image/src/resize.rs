//! Resizing of RGB pictures, bit for bit as Pillow's `Image.resize` up to version 12. (Pillow 13 works vertically
//! first where a picture shrinks much more in height than in width.)
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
        done += rows.firsts[done..].iter().take_while(|&first| first + rows.length <= y).count();
        let users = rows.firsts[done..].iter().take_while(|&&first| first <= y).count();
        if users == 0 {
            continue;
        }
        columns.filter(&image.pixels[y * image.width * 3..][..image.width * 3], &mut line);
        let outputs = sums.chunks_exact_mut(width * 3).enumerate().skip(done).take(users);
        for (output, sums) in outputs {
            let weight = rows.weights[output * rows.length + y - rows.firsts[output]];
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

/// For each output place of an axis, in order: the first source place and the `length` weights from there on.
struct Taps {
    length: usize,
    firsts: Vec<usize>,
    weights: Vec<i32>,
}

impl Taps {
    fn new(axis: &Axis, interpolation: Interpolation) -> Taps {
        let size = axis.source.len();
        let scale = size as f64 / axis.resized as f64;
        if interpolation == Interpolation::Nearest {
            let places = std::iter::successors(Some(scale * 0.5), |place| Some(place + scale));
            let wanted = places.take(axis.window.end).skip(axis.window.start);
            let firsts = wanted.map(|place| axis.source.start + (place as usize).min(size - 1)).collect();
            return Taps { length: 1, firsts, weights: vec![1 << PRECISION; axis.window.len()] };
        }
        let stretch = scale.max(1.0);
        let support = interpolation.support() * stretch;
        let length = (2 * support.ceil() as usize + 1).min(size);
        let mut taps = Taps { length, firsts: Vec::new(), weights: vec![0; length * axis.window.len()] };
        let mut window = Vec::new();
        for (index, weights) in axis.window.clone().zip(taps.weights.chunks_exact_mut(length)) {
            let center = (index as f64 + 0.5) * scale;
            let start = (center - support + 0.5).max(0.0) as usize;
            let end = ((center + support + 0.5) as usize).min(size);
            let distance = |place: usize| (place as f64 - center + 0.5) * (1.0 / stretch);
            window.clear();
            window.extend((start..end).map(|place| interpolation.weight(distance(place))));
            let sum: f64 = window.iter().sum();
            let first = start.min(size - length);
            for (fixed, weight) in weights[start - first..].iter_mut().zip(&window) {
                *fixed = (weight / sum * f64::from(1 << PRECISION)).round() as i32;
            }
            taps.firsts.push(axis.source.start + first);
        }
        taps
    }

    /// Resizes one row.
    fn filter(&self, row: &[u8], out: &mut [u8]) {
        let outputs = out.chunks_exact_mut(3).zip(&self.firsts).zip(self.weights.chunks_exact(self.length));
        for ((out, first), weights) in outputs {
            let (mut red, mut green, mut blue) = (HALF, HALF, HALF);
            for (pixel, weight) in row[first * 3..].chunks_exact(3).zip(weights) {
                red += weight * i32::from(pixel[0]);
                green += weight * i32::from(pixel[1]);
                blue += weight * i32::from(pixel[2]);
            }
            out.copy_from_slice(&[rounded(red), rounded(green), rounded(blue)]);
        }
    }
}
