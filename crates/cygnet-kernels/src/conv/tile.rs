//! The micro-kernel: a tile of output pixels × vectors of output channels in registers.

use super::{Conv, Panel};
use crate::activation::Activation;
use crate::isa::{Isa, Kernel, Level, opaque};

/// Equal tiles that follow each other in an output row, for one panel of output channels.
#[derive(Clone, Copy)]
pub(super) struct Strip<'a> {
    pub(super) conv: &'a Conv,
    pub(super) panel: &'a Panel,
    pub(super) arena: *mut f32,
    /// Output row.
    pub(super) y: usize,
    /// First output column.
    pub(super) x: usize,
    /// Number of tiles.
    pub(super) tiles: usize,
}

struct Sized<'a, const PIXELS: usize, const VECTORS: usize>(Strip<'a>);

impl Strip<'_> {
    /// Computes tiles of `pixels` pixels.
    ///
    /// # Safety
    /// The tiles must lie in the output row, the maps in the arena, and the CPU must have the convolution's level.
    #[inline(always)]
    pub(super) unsafe fn run(self, pixels: usize) {
        let level: Level = self.conv.level;
        macro_rules! sizes {
            ($($vectors:literal: [$($pixels:literal)*],)*) => {
                match (self.panel.vectors, pixels) {
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

/// Repeats the block with `i` from 0 up to the constant `n`, without a loop: arrays indexed by it stay in registers.
macro_rules! unroll {
    ($i:ident < $n:expr, $body:block) => {
        unroll!(@ $i, $n, $body, 0 1 2 3 4 5 6 7 8 9 10 11 12 13)
    };
    (@ $i:ident, $n:expr, $body:block, $($k:literal)*) => {
        $(if $k < $n {
            const $i: usize = $k;
            $body
        })*
    };
}

impl<const PIXELS: usize, const VECTORS: usize> Kernel for Sized<'_, PIXELS, VECTORS> {
    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        if PIXELS > I::TILE[VECTORS - 1] {
            return;
        }
        let Strip { conv, panel, arena, y, mut x, tiles } = self.0;
        let kys = conv.window.rows(y, conv.height);
        let top = (y * conv.window.stride[0]).wrapping_sub(conv.window.pad[0]);
        let last = panel.channels - (VECTORS - 1) * I::LANES;
        // SAFETY: `kys` lies in the window; the tiles lie in the output row, the maps in the arena, and weights and bias are
        // padded to whole vectors.
        unsafe {
            let weights = conv.weights.as_ptr().add(panel.weights);
            let bias = conv.bias.as_ptr().add(panel.start);
            let mut out = arena.add(conv.output.row_start(y) + x * conv.output.pixel + panel.start);
            let mut term = std::ptr::null::<f32>();
            let mut term_step = 0;
            if let Some(map) = &conv.residual {
                term = arena.add(map.row_start(y) + x * map.pixel + panel.start);
                term_step = map.pixel;
            }
            for _ in 0..tiles {
                let bias: [I::V; VECTORS] = std::array::from_fn(|j| I::load(bias.add(j * I::LANES)));
                let mut tile = [bias; PIXELS];
                for ky in kys.clone() {
                    let y = top.wrapping_add(ky * conv.window.dilation[0]);
                    let mut tap = conv.taps.as_ptr().add(*conv.rows.get_unchecked(ky));
                    let end = conv.taps.as_ptr().add(*conv.rows.get_unchecked(ky + 1));
                    while tap != end {
                        let mut a = arena.offset((*tap).start(y, x)).cast_const();
                        let mut b = weights.add((*tap).first * VECTORS * I::LANES);
                        let step = (*tap).step;
                        for _ in 0..(*tap).len {
                            a = opaque(a);
                            let weights: [I::V; VECTORS] =
                                std::array::from_fn(|j| I::load(b.add(j * I::LANES)));
                            for (i, sums) in tile.iter_mut().enumerate() {
                                let x = I::splat(*a.add(i * step));
                                for (sum, weight) in sums.iter_mut().zip(weights) {
                                    *sum = I::fma(x, weight, *sum);
                                }
                            }
                            a = a.add(1);
                            b = b.add(VECTORS * I::LANES);
                        }
                        tap = tap.add(1);
                    }
                }
                if !term.is_null() {
                    unroll!(P < PIXELS, {
                        unroll!(V < VECTORS, {
                            let lanes = if V + 1 < VECTORS { I::LANES } else { last };
                            tile[P][V] = I::add(tile[P][V], I::load_first(term.add(V * I::LANES), lanes));
                        });
                        term = term.add(term_step);
                    });
                }
                match conv.activation {
                    Activation::Clamp { low, high } if high == f32::INFINITY => {
                        let low = I::splat(low);
                        unroll!(P < PIXELS, {
                            unroll!(V < VECTORS, {
                                tile[P][V] = I::at_least(tile[P][V], low);
                            });
                        });
                    }
                    Activation::Clamp { low, high } => {
                        let (low, high) = (I::splat(low), I::splat(high));
                        unroll!(P < PIXELS, {
                            unroll!(V < VECTORS, {
                                tile[P][V] = I::at_most(I::at_least(tile[P][V], low), high);
                            });
                        });
                    }
                    Activation::HardSwish => {
                        let [zero, three, six, sixth] = [0.0, 3.0, 6.0, 1.0 / 6.0].map(|c| I::splat(c));
                        unroll!(P < PIXELS, {
                            unroll!(V < VECTORS, {
                                let gate = I::at_most(I::at_least(I::add(tile[P][V], three), zero), six);
                                tile[P][V] = I::mul(I::mul(tile[P][V], gate), sixth);
                            });
                        });
                    }
                    Activation::HardSigmoid { scale, shift, high, factor } => {
                        let [scale, shift, high, factor] = [scale, shift, high, factor].map(|c| I::splat(c));
                        let zero = I::splat(0.0);
                        unroll!(P < PIXELS, {
                            unroll!(V < VECTORS, {
                                let inner = I::fma(tile[P][V], scale, shift);
                                tile[P][V] = I::mul(I::at_most(I::at_least(inner, zero), high), factor);
                            });
                        });
                    }
                    Activation::None | Activation::Sigmoid | Activation::Swish => {}
                }
                if last == I::LANES {
                    unroll!(P < PIXELS, {
                        unroll!(V < VECTORS, {
                            I::store(out.add(V * I::LANES), tile[P][V]);
                        });
                        out = out.add(conv.output.pixel);
                    });
                } else {
                    unroll!(P < PIXELS, {
                        unroll!(V < VECTORS, {
                            if V + 1 < VECTORS {
                                I::store(out.add(V * I::LANES), tile[P][V]);
                            } else {
                                I::store_first(out.add(V * I::LANES), tile[P][V], last);
                            }
                        });
                        out = out.add(conv.output.pixel);
                    });
                }
                x += PIXELS;
            }
        }
    }
}
