//! The micro-kernel: a tile of output pixels × vectors of output channels in registers.

use std::ops::Range;

use super::Tap;
use crate::activation::Activation;
use crate::isa::{Isa, Kernel, Level, opaque};

/// One tile's work. The pointers are valid for the tile's pixels and channels.
#[derive(Clone)]
pub(super) struct Tile<'a> {
    pub(super) arena: *const f32,
    pub(super) taps: &'a [Tap],
    pub(super) rows: &'a [usize],
    /// Rows of the window on the image.
    pub(super) kys: Range<usize>,
    /// Input row of the window's first row, wrapping below 0.
    pub(super) top: usize,
    pub(super) dilation: usize,
    /// First output column.
    pub(super) x: usize,
    pub(super) weights: *const f32,
    pub(super) bias: *const f32,
    /// Null if nothing is added.
    pub(super) residual: *const f32,
    pub(super) residual_step: usize,
    pub(super) out: *mut f32,
    pub(super) out_step: usize,
    pub(super) channels: usize,
    pub(super) activation: Activation,
}

struct Sized<'t, 'a, const PIXELS: usize, const VECTORS: usize>(&'t Tile<'a>);

impl Tile<'_> {
    /// # Safety
    /// The tile's pointers must be valid for `pixels` and `vectors`, and the CPU must have `level`.
    #[inline(always)]
    pub(super) unsafe fn run(&self, level: Level, pixels: usize, vectors: usize) {
        macro_rules! sizes {
            ($($vectors:literal: [$($pixels:literal)*],)*) => {
                match (vectors, pixels) {
                    // SAFETY: the caller's promise.
                    $($(($vectors, $pixels) => unsafe { level.run(Sized::<$pixels, $vectors>(self)) },)*)*
                    _ => unreachable!("tiles are cut to the sizes that exist"),
                }
            };
        }
        sizes! {
            1: [1 2 3 4 5 6 7 8 9 10 11 12 13 14],
            2: [1 2 3 4 5 6 7 8 9 10 11 12 13 14],
            3: [1 2 3 4 5 6 7 8 9],
            4: [1 2 3 4 5 6],
        }
    }
}

impl<const PIXELS: usize, const VECTORS: usize> Kernel for Sized<'_, '_, PIXELS, VECTORS> {
    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        if PIXELS > I::TILE[VECTORS - 1] {
            return;
        }
        let t = self.0;
        // SAFETY: the tile's pointers are valid for its pixels, vectors and taps, as whoever made it promises.
        unsafe {
            let bias: [I::V; VECTORS] = std::array::from_fn(|j| I::load(t.bias.add(j * I::LANES)));
            let mut tile = [bias; PIXELS];
            for ky in t.kys.clone() {
                let y = t.top.wrapping_add(ky * t.dilation);
                for tap in &t.taps[t.rows[ky]..t.rows[ky + 1]] {
                    let mut a = t.arena.offset(tap.start(y, t.x));
                    let mut b = t.weights.add(tap.first * VECTORS * I::LANES);
                    for _ in 0..tap.len {
                        a = opaque(a);
                        let weights: [I::V; VECTORS] = std::array::from_fn(|j| I::load(b.add(j * I::LANES)));
                        for (i, sums) in tile.iter_mut().enumerate() {
                            let x = I::splat(*a.add(i * tap.step));
                            for (sum, weight) in sums.iter_mut().zip(weights) {
                                *sum = I::fma(x, weight, *sum);
                            }
                        }
                        a = a.add(1);
                        b = b.add(VECTORS * I::LANES);
                    }
                }
            }
            // A copy, so that only it, and not what the loop works on, is kept in memory.
            let mut sums = tile;
            let last = t.channels - (VECTORS - 1) * I::LANES;
            for (i, sums) in sums.iter_mut().enumerate() {
                if !t.residual.is_null() {
                    let term = t.residual.add(i * t.residual_step);
                    for (j, sum) in sums.iter_mut().enumerate() {
                        let lanes = if j + 1 < VECTORS { I::LANES } else { last };
                        *sum = I::add(*sum, I::load_first(term.add(j * I::LANES), lanes));
                    }
                }
                t.activation.cheap::<I, VECTORS>(sums);
                let out = t.out.add(i * t.out_step);
                for (j, sum) in sums.iter().enumerate() {
                    let lanes = if j + 1 < VECTORS { I::LANES } else { last };
                    I::store_first(out.add(j * I::LANES), *sum, lanes);
                }
            }
        }
    }
}
