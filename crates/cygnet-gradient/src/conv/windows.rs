//! What windows see, as rows of a product: unfolded from an image, and folded back onto it.

use cygnet_cpu::{Activation, Isa, Kernel};

use super::spread;
use crate::chunk::{self, Blocks, Rows};
use crate::geometry::Geometry;
use crate::value::{Source, View};
use crate::work::Workspace;

/// A convolution's input, as rows of what each output pixel's window sees.
pub(super) struct Input<'a> {
    pub(super) source: &'a Source,
    pub(super) geometry: &'a Geometry,
    pub(super) output: &'a View,
    /// Whether rows are read where they lie.
    pub(super) is_direct: bool,
}

impl Input<'_> {
    /// Rows of a group from the output pixel `first` on: in place, or in `scratch`.
    ///
    /// # Safety
    /// The views must lie in the arena, and scratch have room for the rows.
    pub(super) unsafe fn rows(
        &self,
        memory: &Workspace<'_>,
        first: usize,
        n: usize,
        group: usize,
        scratch: *mut f32,
    ) -> Rows {
        let view = &self.source.view;
        let channels = view.channels / self.geometry.groups;
        // SAFETY: the caller's promise.
        unsafe {
            if self.geometry.is_point() {
                if self.is_direct {
                    let rows = Rows::of(memory.arena, view, first);
                    return Rows { at: rows.at.add(group * channels), ..rows };
                }
                let to = Rows { at: scratch, stride: spread(view.channels) };
                if group == 0 {
                    let apply = chunk::ApplyRows::source(memory.arena, self.source, first, n, to);
                    Blocks::go(view.channels, apply, memory.level);
                }
                return Rows { at: to.at.add(group * channels), ..to };
            }
            let to = Rows { at: scratch, stride: spread(channels * self.geometry.taps()) };
            let none = std::ptr::null_mut();
            let [scale, shift] = match self.source.norm {
                Some(norm) => [norm.scale(), norm.shift()].map(|at| memory.arena.add(at + group * channels)),
                None => [none, none],
            };
            memory.level.run(Unfold {
                windows: Windows {
                    geometry: self.geometry,
                    input: view,
                    output: self.output,
                    channels,
                    first,
                    rows: n,
                },
                from: memory.arena.add(view.offset + group * channels),
                scale,
                shift,
                activation: self.source.activation,
                to,
            });
            to
        }
    }
}

/// The windows of some output pixels.
pub(super) struct Windows<'a> {
    pub(super) geometry: &'a Geometry,
    pub(super) input: &'a View,
    pub(super) output: &'a View,
    pub(super) channels: usize,
    pub(super) first: usize,
    pub(super) rows: usize,
}

/// What is done with a run of window elements.
pub(super) trait Visit {
    /// `taps` window elements of a row from `tap` on; `pixel` is that of the first, or none outside the image. Runs have
    /// one element unless they are neighbours.
    ///
    /// # Safety
    /// The pixel must lie in the input; must be `#[inline(always)]`.
    unsafe fn visit<I: Isa>(&self, row: usize, tap: usize, taps: usize, pixel: Option<usize>);
}

impl Windows<'_> {
    /// # Safety
    /// As the visit says.
    #[inline(always)]
    unsafe fn each<I: Isa, F: Visit>(&self, f: &F) {
        let g = self.geometry;
        let [kh, kw] = g.kernel;
        let (w, pixels) = (self.output.width, self.output.pixels());
        // SAFETY: pixels are clipped to the image.
        unsafe {
            for row in 0..self.rows {
                let index = self.first + row;
                let (image, pixel) = (index / pixels, index % pixels);
                let (oy, ox) = (pixel / w, pixel % w);
                let left = (ox * g.stride[1]) as isize - g.pad[1] as isize;
                for ky in 0..kh {
                    let y = (oy * g.stride[0] + ky * g.dilation[0]) as isize - g.pad[0] as isize;
                    if y < 0 || y >= self.input.height as isize {
                        f.visit::<I>(row, ky * kw, kw, None);
                        continue;
                    }
                    let start = (image * self.input.height + y as usize) * self.input.width;
                    if g.dilation[1] == 1 && left >= 0 && left + kw as isize <= self.input.width as isize {
                        f.visit::<I>(row, ky * kw, kw, Some(start + left as usize));
                        continue;
                    }
                    for kx in 0..kw {
                        let x = left + (kx * g.dilation[1]) as isize;
                        let inside = x >= 0 && x < self.input.width as isize;
                        let pixel = if inside { Some(start + x as usize) } else { None };
                        f.visit::<I>(row, ky * kw + kx, 1, pixel);
                    }
                }
            }
        }
    }
}

pub(super) struct Unfold<'a> {
    pub(super) windows: Windows<'a>,
    pub(super) from: *const f32,
    pub(super) scale: *const f32,
    pub(super) shift: *const f32,
    pub(super) activation: Activation,
    pub(super) to: Rows,
}

impl Kernel for Unfold<'_> {
    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        // SAFETY: the caller's promise.
        unsafe { self.windows.each::<I, Self>(&self) }
    }
}

impl Visit for Unfold<'_> {
    #[inline(always)]
    unsafe fn visit<I: Isa>(&self, row: usize, tap: usize, taps: usize, pixel: Option<usize>) {
        let (channels, stride) = (self.windows.channels, self.windows.input.stride);
        let is_plain = self.scale.is_null() && self.activation == Activation::None;
        // SAFETY: pixels lie within the input, rows and taps within scratch.
        unsafe {
            let to = self.to.get(row, tap * channels);
            let Some(pixel) = pixel else {
                to.write_bytes(0, taps * channels);
                return;
            };
            let from = self.from.add(pixel * stride);
            // Neighbouring pixels without a gap are one run of numbers.
            let (runs, len) =
                if is_plain && stride == channels { (1, taps * channels) } else { (taps, channels) };
            for run in 0..runs {
                let (from, to) = (from.add(run * stride), to.add(run * channels));
                let mut c = 0;
                while c < len {
                    let lanes = (len - c).min(I::LANES);
                    let mut x = chunk::load::<I, 1>(from.add(c), lanes);
                    if !is_plain {
                        if !self.scale.is_null() {
                            let scale = chunk::load::<I, 1>(self.scale.add(c), lanes);
                            let shift = chunk::load::<I, 1>(self.shift.add(c), lanes);
                            x[0] = I::fma(x[0], scale[0], shift[0]);
                        }
                        chunk::activate::<I, 1>(self.activation, &mut x);
                    }
                    chunk::store::<I, 1>(to.add(c), x, lanes);
                    c += I::LANES;
                }
            }
        }
    }
}

/// Adds rows of windows to the pixels they came from.
pub(super) struct Fold<'a> {
    pub(super) windows: Windows<'a>,
    pub(super) from: Rows,
    pub(super) to: *mut f32,
    pub(super) stride: usize,
}

impl Kernel for Fold<'_> {
    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        // SAFETY: the caller's promise.
        unsafe { self.windows.each::<I, Self>(&self) }
    }
}

impl Visit for Fold<'_> {
    #[inline(always)]
    unsafe fn visit<I: Isa>(&self, row: usize, tap: usize, taps: usize, pixel: Option<usize>) {
        let Some(pixel) = pixel else { return };
        let channels = self.windows.channels;
        // SAFETY: pixels lie within the input, rows and taps within scratch.
        unsafe {
            for run in 0..taps {
                let from = self.from.get(row, (tap + run) * channels);
                let to = self.to.add((pixel + run) * self.stride);
                let mut c = 0;
                while c < channels {
                    let lanes = (channels - c).min(I::LANES);
                    let x = chunk::load::<I, 1>(from.add(c), lanes);
                    let old = chunk::load::<I, 1>(to.add(c), lanes);
                    chunk::store::<I, 1>(to.add(c), [I::add(x[0], old[0])], lanes);
                    c += I::LANES;
                }
            }
        }
    }
}
