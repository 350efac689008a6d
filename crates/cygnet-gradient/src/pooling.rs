//! Windowed pooling and its gradient.

use cygnet_cpu::{FAR, Isa, Kernel, Level};

use crate::area::Touches;
use crate::chunk::{self, Rows};
use crate::geometry::reaches;
use crate::value::{View, same, size};
use crate::work::{Limits, Work, Workspace};

/// Which value a window yields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolingKind {
    /// The largest; NaN wins, padding never.
    Max,
    /// The mean.
    Mean {
        /// Whether padding counts in the divisor.
        count_pad: bool,
    },
}

/// A pooling window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Rows and columns.
    pub kernel: [usize; 2],
    /// Steps.
    pub stride: [usize; 2],
    /// Rows above and columns to the left of the image.
    pub pad: [usize; 2],
    /// Rows below and columns to the right.
    pub end_pad: [usize; 2],
}

/// Windowed pooling, or its gradient.
#[derive(Clone, Debug)]
pub struct Pooling {
    /// Which value a window yields.
    pub kind: PoolingKind,
    /// The window.
    pub window: Window,
    /// Its input.
    pub x: View,
    /// Its result, or for the gradient that of the result.
    pub y: View,
    /// For the gradient, where that of the input goes and whether it is added to what is there.
    pub backward: Option<(View, bool)>,
}

impl Work for Pooling {
    fn fits(&self, _: &Limits<'_>) -> bool {
        let (x, y, window) = (&self.x, &self.y, &self.window);
        let axis = |i: usize, from: usize, to: usize| {
            let (before, after) = (window.pad[i], window.end_pad[i]);
            let pad = before.saturating_add(after);
            reaches([window.kernel[i], window.stride[i], 1, pad], from, to)
        };
        x.is_sound()
            && y.is_sound()
            && (x.images, x.channels) == (y.images, y.channels)
            && axis(0, x.height, y.height)
            && axis(1, x.width, y.width)
            && size(&window.kernel) <= FAR
            && self.backward.is_none_or(|(to, _)| to.is_sound() && same(&to, x))
    }

    fn touches(&self, _: Level) -> Touches {
        Touches::of_pass(self.x, self.y, self.backward.map(|(to, _)| to))
    }

    fn tasks(&self) -> usize {
        self.x.images
    }

    unsafe fn run(&self, memory: &Workspace<'_>, task: usize) {
        // SAFETY: the caller's promise.
        unsafe { memory.level.run(PoolImage { of: self, arena: memory.arena, image: task }) }
    }
}

struct PoolImage<'a> {
    of: &'a Pooling,
    arena: *mut f32,
    image: usize,
}

impl Kernel for PoolImage<'_> {
    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        let (x, y, window) = (&self.of.x, &self.of.y, &self.of.window);
        let size = [x.height, x.width];
        // SAFETY: `fits` checked the views; windows are clipped to the input.
        unsafe {
            let from = Rows::of(self.arena, x, self.image * x.pixels());
            let out = Rows::of(self.arena, y, self.image * y.pixels());
            let to = self.of.backward.map(|(to, accumulate)| {
                let to = Rows::of(self.arena, &to, self.image * x.pixels());
                if !accumulate {
                    (0..x.pixels()).for_each(|pixel| to.get(pixel, 0).write_bytes(0, x.channels));
                }
                to
            });
            for pixel in 0..y.pixels() {
                let place = [pixel / y.width, pixel % y.width];
                let [rows, columns] = [0, 1].map(|axis| {
                    let start = place[axis] * window.stride[axis];
                    let before = window.pad[axis];
                    let end = (start + window.kernel[axis]).min(size[axis] + before + window.end_pad[axis]);
                    let clip = |i: usize| i.saturating_sub(before).min(size[axis]);
                    (clip(start)..clip(end), end.saturating_sub(start))
                });
                let divisor = match self.of.kind {
                    PoolingKind::Mean { count_pad: true } => rows.1 * columns.1,
                    PoolingKind::Mean { count_pad: false } | PoolingKind::Max => {
                        rows.0.len() * columns.0.len()
                    }
                };
                let share = I::splat(1.0 / divisor.max(1) as f32);
                let mut c = 0;
                while c < x.channels {
                    let lanes = (x.channels - c).min(I::LANES);
                    let get = |y: usize, column: usize| {
                        chunk::load::<I, 1>(from.get(y * x.width + column, c), lanes)[0]
                    };
                    let mut folded =
                        I::splat(if self.of.kind == PoolingKind::Max { f32::NEG_INFINITY } else { 0.0 });
                    if to.is_none() || self.of.kind == PoolingKind::Max {
                        for y in rows.0.clone() {
                            for column in columns.0.clone() {
                                folded = match self.of.kind {
                                    PoolingKind::Max => I::max(folded, get(y, column)),
                                    PoolingKind::Mean { .. } => I::add(folded, get(y, column)),
                                };
                            }
                        }
                    }
                    let at = out.get(pixel, c);
                    let Some(to) = to else {
                        if self.of.kind != PoolingKind::Max {
                            folded = I::mul(folded, share);
                        }
                        chunk::store::<I, 1>(at, [folded], lanes);
                        c += I::LANES;
                        continue;
                    };
                    let mut g = chunk::load::<I, 1>(at, lanes)[0];
                    if self.of.kind != PoolingKind::Max {
                        g = I::mul(g, share);
                    }
                    for y in rows.0.clone() {
                        for column in columns.0.clone() {
                            let to = to.get(y * x.width + column, c);
                            let old = chunk::load::<I, 1>(to, lanes)[0];
                            let mut part = g;
                            if self.of.kind == PoolingKind::Max {
                                // The first of the largest takes all, and leaves nothing to the others.
                                let rest = I::where_above(folded, get(y, column), g);
                                part = I::sub(g, rest);
                                g = rest;
                            }
                            chunk::store::<I, 1>(to, [I::add(old, part)], lanes);
                        }
                    }
                    c += I::LANES;
                }
            }
        }
    }
}
