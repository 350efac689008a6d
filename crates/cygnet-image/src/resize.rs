//! Resizing of RGB pictures, bit for bit as Pillow's `Image.resize` up to version 12. (Pillow 13 works vertically
//! first where a picture shrinks much more in height than in width.)
//!
//! Bilinear and bicubic widen their filter by the reduction factor (antialiasing), work horizontally first, round
//! to 8 bits between the passes and use weights of 22 fractional bits. Knows no aspect rules: see `preprocess`.

use std::collections::VecDeque;
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
    let mut pixels = Vec::with_capacity(width * height * 3);
    let mut waiting = rows.firsts.iter().zip(rows.weights.chunks_exact(rows.length)).peekable();
    let mut active = VecDeque::new();
    let mut spare = Vec::new();
    for y in down.source.clone() {
        while let Some((first, weights)) = waiting.next_if(|&(&first, _)| first <= y) {
            let mut sums: Vec<i32> = spare.pop().unwrap_or_default();
            sums.clear();
            sums.resize(width * 3, HALF);
            active.push_back((*first, weights, sums));
        }
        if active.is_empty() {
            continue;
        }
        columns.filter(&image.pixels[y * image.width * 3..][..image.width * 3], &mut line);
        for (first, weights, sums) in &mut active {
            let weight = weights[y - *first];
            for (sum, &value) in sums.iter_mut().zip(&line) {
                *sum += weight * i32::from(value);
            }
        }
        let finished = active.iter().take_while(|(first, ..)| first + rows.length == y + 1).count();
        for (_, _, sums) in active.drain(..finished) {
            pixels.extend(sums.iter().map(|&sum| rounded(sum)));
            spare.push(sums);
        }
    }
    Image { width, height, pixels }
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
        let center = |index: usize| (index as f64 + 0.5) * scale;
        let reach = |index: usize| {
            let start = (center(index) - support + 0.5).max(0.0) as usize;
            start..((center(index) + support + 0.5) as usize).min(size)
        };
        let length = axis.window.clone().map(|index| reach(index).len()).max().unwrap_or(1);
        let mut taps = Taps { length, firsts: Vec::new(), weights: vec![0; length * axis.window.len()] };
        let mut window = Vec::new();
        for (index, weights) in axis.window.clone().zip(taps.weights.chunks_exact_mut(length)) {
            let places = reach(index);
            let first = places.start.min(size - length);
            let distance = |place: usize| (place as f64 - center(index) + 0.5) * (1.0 / stretch);
            window.clear();
            window.extend(places.clone().map(|place| interpolation.weight(distance(place))));
            let sum: f64 = window.iter().sum();
            for (fixed, weight) in weights[places.start - first..].iter_mut().zip(&window) {
                *fixed = (weight / sum * f64::from(1 << PRECISION)).round() as i32;
            }
            taps.firsts.push(axis.source.start + first);
        }
        taps
    }

    /// Resizes one row.
    fn filter(&self, row: &[u8], out: &mut [u8]) {
        match self.length {
            2 => self.filter_by::<2>(row, out),
            3 => self.filter_by::<3>(row, out),
            4 => self.filter_by::<4>(row, out),
            5 => self.filter_by::<5>(row, out),
            6 => self.filter_by::<6>(row, out),
            7 => self.filter_by::<7>(row, out),
            8 => self.filter_by::<8>(row, out),
            length => {
                let outputs =
                    out.chunks_exact_mut(3).zip(&self.firsts).zip(self.weights.chunks_exact(length));
                for ((out, first), weights) in outputs {
                    out.copy_from_slice(&weighted(&row[first * 3..], weights));
                }
            }
        }
    }

    /// [`Taps::filter`] for a length known to the compiler, which unrolls the sum.
    fn filter_by<const LENGTH: usize>(&self, row: &[u8], out: &mut [u8]) {
        let (weights, _) = self.weights.as_chunks::<LENGTH>();
        for ((out, first), weights) in out.chunks_exact_mut(3).zip(&self.firsts).zip(weights) {
            out.copy_from_slice(&weighted(&row[first * 3..][..LENGTH * 3], weights));
        }
    }
}

/// The sum of the first pixels, each times its weight.
#[inline(always)]
fn weighted(pixels: &[u8], weights: &[i32]) -> [u8; 3] {
    let mut sums = [HALF; 3];
    for (pixel, weight) in pixels.chunks_exact(3).zip(weights) {
        for (sum, &value) in sums.iter_mut().zip(pixel) {
            *sum += weight * i32::from(value);
        }
    }
    sums.map(rounded)
}
