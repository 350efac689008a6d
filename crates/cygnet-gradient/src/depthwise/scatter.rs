//! The input's gradient where windows step further than a pixel.

use cygnet_cpu::{Isa, Kernel};

use super::{framed, margins};
use crate::chunk::Rows;
use crate::geometry::Geometry;
use crate::value::View;

/// Input pixels whose rows and columns have one remainder by the stride, and the window positions that they see.
pub(super) struct Phase {
    /// First row and column.
    start: [usize; 2],
    /// For each window position, the pixel of the framed gradient that the first of these pixels sees, and the
    /// position's number.
    taps: Vec<(usize, usize)>,
}

/// The phases of a convolution's input; `columns` is the framed gradient's width.
pub(super) fn phases(geometry: &Geometry, input: &View, output: &View) -> Vec<Phase> {
    let margins = margins(geometry, input, output);
    let [_, columns] = framed(geometry, input, output);
    let [kh, kw] = geometry.kernel;
    // Window positions along an axis with the row of the framed gradient that the first pixel sees.
    let along = |axis: usize, start: usize| {
        (0..geometry.kernel[axis]).filter_map(move |k| {
            let distance = (start + geometry.pad[axis]) as isize - (k * geometry.dilation[axis]) as isize;
            let stride = geometry.stride[axis] as isize;
            let place = distance.div_euclid(stride) + margins[axis][0] as isize;
            (distance.rem_euclid(stride) == 0).then_some((k, place.max(0).unsigned_abs()))
        })
    };
    debug_assert!(kh > 0 && kw > 0);
    let [rows_seen, columns_seen] =
        [geometry.stride[0].min(input.height), geometry.stride[1].min(input.width)];
    let starts = (0..rows_seen).flat_map(|y| (0..columns_seen).map(move |x| [y, x]));
    starts
        .map(|start| {
            let taps = along(0, start[0]).flat_map(|(ky, row)| {
                along(1, start[1]).map(move |(kx, column)| (row * columns + column, ky * kw + kx))
            });
            Phase { start, taps: taps.collect() }
        })
        .collect()
}

/// The input's gradient, for one vector of channels and the pixels of a phase.
pub(super) struct Scatter<'a> {
    /// The framed gradient.
    pub(super) d: *const f32,
    pub(super) columns: usize,
    pub(super) phase: &'a Phase,
    pub(super) stride: [usize; 2],
    pub(super) weight: *const f32,
    pub(super) weight_step: usize,
    pub(super) to: Rows,
    /// Of the input.
    pub(super) size: [usize; 2],
    pub(super) lanes: usize,
    pub(super) accumulate: bool,
}

impl Kernel for Scatter<'_> {
    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        let [height, width] = self.size;
        let [first_y, first_x] = self.phase.start;
        // SAFETY: the framed gradient holds what every input pixel sees.
        unsafe {
            let (mut y, mut u) = (first_y, 0);
            while y < height {
                let (mut x, mut v) = (first_x, 0);
                while x < width {
                    let at = u * self.columns + v;
                    if x + 3 * self.stride[1] < width {
                        self.some::<I, 4>(y, x, at);
                        (x, v) = (x + 4 * self.stride[1], v + 4);
                    } else {
                        self.some::<I, 1>(y, x, at);
                        (x, v) = (x + self.stride[1], v + 1);
                    }
                }
                (y, u) = (y + self.stride[0], u + 1);
            }
        }
    }
}

impl Scatter<'_> {
    #[inline(always)]
    unsafe fn some<I: Isa, const X: usize>(&self, y: usize, x: usize, at: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            let mut sums = [I::splat(0.0); X];
            for &(place, tap) in &self.phase.taps {
                let weight = I::load_first(self.weight.add(tap * self.weight_step), self.lanes);
                let d = self.d.add((at + place) * I::LANES);
                for i in 0..X {
                    sums[i] = I::fma(I::load(d.add(i * I::LANES)), weight, sums[i]);
                }
            }
            for i in 0..X {
                let to = self.to.get(y * self.size[1] + x + i * self.stride[1], 0);
                if self.accumulate {
                    sums[i] = I::add(sums[i], I::load_first(to, self.lanes));
                }
                I::store_first(to, sums[i], self.lanes);
            }
        }
    }
}
