//! Copies of an image with zeros around, or of its gradient, a vector of channels at a time.

use cygnet_cpu::{Activation, Isa, Kernel};

use super::padded;
use crate::chunk::{self, Rows};
use crate::geometry::Geometry;
use crate::value::{Source, View};
use crate::work::Workspace;

/// Copies a vector of channels of an image into a larger one of whole vectors, with zeros around.
pub(super) struct Pad {
    pub(super) from: Rows,
    /// For a gradient: the norm's input, or the clamp's result.
    pub(super) other: Rows,
    pub(super) size: [usize; 2],
    pub(super) to: *mut f32,
    /// Rows and columns of the copy.
    pub(super) larger: [usize; 2],
    /// Rows above and columns to the left.
    pub(super) before: [usize; 2],
    pub(super) lanes: usize,
    pub(super) how: How,
}

#[derive(Clone, Copy)]
pub(super) enum How {
    Copy,
    Activate(Activation),
    Normalise(*const f32, *const f32, Activation),
    Combine([*const f32; 3]),
    Mask(Activation),
}

/// # Safety
/// The views must lie in the arena.
pub(super) unsafe fn pad_source(
    memory: &Workspace<'_>,
    source: &Source,
    geometry: &Geometry,
    output: &View,
    image: usize,
    c: usize,
    lanes: usize,
) -> Pad {
    let view = &source.view;
    // SAFETY: the caller's promise.
    unsafe {
        let from = Rows::of(memory.arena, view, image * view.pixels());
        Pad {
            from: Rows { at: from.at.add(c), ..from },
            other: from,
            size: [view.height, view.width],
            to: memory.scratch,
            larger: padded(geometry, output),
            before: geometry.pad,
            lanes,
            how: match source.norm {
                Some(norm) => How::Normalise(
                    memory.arena.add(norm.scale() + c),
                    memory.arena.add(norm.shift() + c),
                    source.activation,
                ),
                None if source.activation == Activation::None => How::Copy,
                None => How::Activate(source.activation),
            },
        }
    }
}

/// A vector's first lanes, or all of them.
///
/// # Safety
/// As [`Isa`].
#[inline(always)]
pub(super) unsafe fn get<I: Isa, const FULL: bool>(p: *const f32, lanes: usize) -> I::V {
    // SAFETY: the caller's promise.
    unsafe { if FULL { I::load(p) } else { I::load_first(p, lanes) } }
}

impl Kernel for Pad {
    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        // SAFETY: the caller's promise.
        unsafe { if self.lanes == I::LANES { self.all::<I, true>() } else { self.all::<I, false>() } }
    }
}

impl Pad {
    #[inline(always)]
    unsafe fn all<I: Isa, const FULL: bool>(&self) {
        let [left, columns] = [self.before[1].min(self.larger[1]), self.larger[1]];
        let width = self.size[1].min(columns - left);
        // SAFETY: pixels lie within the views; places outside the copy are skipped.
        unsafe {
            for row in 0..self.larger[0] {
                let line = self.to.add(row * columns * I::LANES);
                let y = row.wrapping_sub(self.before[0]);
                if y >= self.size[0] {
                    line.write_bytes(0, columns * I::LANES);
                    continue;
                }
                for x in 0..left {
                    I::store(line.add(x * I::LANES), I::splat(0.0));
                }
                for x in left + width..columns {
                    I::store(line.add(x * I::LANES), I::splat(0.0));
                }
                self.row::<I, FULL>(y * self.size[1], width, line.add(left * I::LANES));
            }
        }
    }

    /// Pixels of a row from `first` on.
    #[inline(always)]
    unsafe fn row<I: Isa, const FULL: bool>(&self, first: usize, width: usize, to: *mut f32) {
        let (from, other, lanes) = (self.from, self.other, self.lanes);
        // SAFETY: the caller's promise.
        unsafe {
            match self.how {
                How::Copy => {
                    for x in 0..width {
                        I::store(to.add(x * I::LANES), get::<I, FULL>(from.get(first + x, 0), lanes));
                    }
                }
                How::Activate(activation) => {
                    for x in 0..width {
                        let mut v = [get::<I, FULL>(from.get(first + x, 0), lanes)];
                        chunk::activate::<I, 1>(activation, &mut v);
                        I::store(to.add(x * I::LANES), v[0]);
                    }
                }
                How::Normalise(scale, shift, activation) => {
                    let (scale, shift) = (get::<I, FULL>(scale, lanes), get::<I, FULL>(shift, lanes));
                    if let Activation::Clamp { low, high } = activation {
                        let (low, high) = (I::splat(low), I::splat(high));
                        for x in 0..width {
                            let v = I::fma(get::<I, FULL>(from.get(first + x, 0), lanes), scale, shift);
                            I::store(to.add(x * I::LANES), I::at_most(I::at_least(v, low), high));
                        }
                        return;
                    }
                    for x in 0..width {
                        let mut v = [I::fma(get::<I, FULL>(from.get(first + x, 0), lanes), scale, shift)];
                        chunk::activate::<I, 1>(activation, &mut v);
                        I::store(to.add(x * I::LANES), v[0]);
                    }
                }
                How::Combine([p, q, r]) => {
                    let (p, q) = (get::<I, FULL>(p, lanes), get::<I, FULL>(q, lanes));
                    let r = get::<I, FULL>(r, lanes);
                    for x in 0..width {
                        let g = get::<I, FULL>(from.get(first + x, 0), lanes);
                        let v = get::<I, FULL>(other.get(first + x, 0), lanes);
                        I::store(to.add(x * I::LANES), I::fma(g, p, I::fma(v, q, r)));
                    }
                }
                How::Mask(activation) => {
                    for x in 0..width {
                        let mut g = [get::<I, FULL>(from.get(first + x, 0), lanes)];
                        let z = [get::<I, FULL>(other.get(first + x, 0), lanes)];
                        chunk::differentiate::<I, 1>(activation, &z, &mut g);
                        I::store(to.add(x * I::LANES), g[0]);
                    }
                }
            }
        }
    }
}
