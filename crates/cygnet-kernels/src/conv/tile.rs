//! The micro-kernel: a tile of output pixels × vectors of output channels in registers.

use super::{Conv, Panel};
use cygnet_cpu::{Activation, Floats, Isa, Kernel, Level, in_order, opaque, prefetch};

use crate::unroll;

/// Equal tiles that follow each other in an output row, for one panel of output channels.
#[derive(Clone, Copy)]
pub(super) struct Strip<'a> {
    pub(super) conv: &'a Conv,
    pub(super) panel: &'a Panel,
    pub(super) arena: *mut f32,
    /// Where the output map lies.
    pub(super) output: *mut f32,
    /// Output row.
    pub(super) y: usize,
    /// First output column.
    pub(super) x: usize,
    /// Number of tiles.
    pub(super) tiles: usize,
    /// Weights that will be needed next, a part of which each tile fetches.
    pub(super) ahead: *const f32,
    /// How far each input channel goes in them.
    pub(super) ahead_step: usize,
}

struct Sized<'a, const PIXELS: usize, const VECTORS: usize, const HALF: bool>(Strip<'a>);

impl Strip<'_> {
    /// Computes tiles of `pixels` pixels.
    ///
    /// # Safety
    /// The tiles must lie in the output row, the maps in the arena, and the CPU must have the convolution's level.
    #[inline(always)]
    pub(super) unsafe fn run(self, pixels: usize) {
        let level: Level = self.conv.level;
        macro_rules! sizes {
            ($($vectors:literal $half:literal: [$($pixels:literal)*],)*) => {
                match (self.panel.vectors, self.panel.half, pixels) {
                    // SAFETY: the caller's promise.
                    $($(($vectors, $half, $pixels) => unsafe {
                        level.run(Sized::<$pixels, $vectors, $half>(self));
                    },)*)*
                    _ => unreachable!("tiles are cut to the sizes that exist"),
                }
            };
        }
        sizes! {
            1 false: [1 2 3 4 5 6 7 8 9 10 11 12 13 14],
            2 false: [1 2 3 4 5 6 7 8 9 10 11 12 13 14],
            3 false: [1 2 3 4 5 6 7 8 9],
            4 false: [1 2 3 4 5 6],
            0 true: [1 2 3 4 5 6 7 8 9 10 11 12 13 14],
            1 true: [1 2 3 4 5 6 7 8 9 10 11 12 13 14],
            2 true: [1 2 3 4 5 6 7 8 9],
            3 true: [1 2 3 4 5 6],
        }
    }
}

/// What the epilogue does with each full and half vector of a tile.
macro_rules! each_vector {
    ($tile:ident, $half:ident, |$pixel:ident, $x:ident, $set:ident, $place:ident| $body:expr) => {
        unroll!($pixel < PIXELS, {
            unroll!(V < VECTORS, at most 4, {
                type $set<I> = I;
                let ($place, $x) = (V * I::LANES, &mut $tile[$pixel][V]);
                $body
            });
            if HALF {
                type $set<I> = <I as Floats>::Half;
                let ($place, $x) = (VECTORS * I::LANES, &mut $half[$pixel]);
                $body
            }
        });
    };
}

impl<const PIXELS: usize, const VECTORS: usize, const HALF: bool> Kernel
    for Sized<'_, PIXELS, VECTORS, HALF>
{
    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        if const { PIXELS > I::TILE[VECTORS + HALF as usize - 1] || (HALF && !I::HALVES) } {
            return;
        }
        let Strip { conv, panel, arena, output, y, mut x, tiles, mut ahead, ahead_step } = self.0;
        let kys = conv.window.rows(y, conv.height);
        let top = conv.window.top(y);
        let activation = conv.activation;
        let out_step = conv.output.pixel;
        let last_lanes = if HALF { I::Half::LANES } else { I::LANES };
        let width = VECTORS * I::LANES + if HALF { I::Half::LANES } else { 0 };
        let last = panel.channels + last_lanes - width;
        // SAFETY: `kys` lies in the window; the tiles lie in the output row, the maps in the arena, and weights and bias are
        // padded to whole vectors.
        unsafe {
            let weights = conv.weights.as_ptr().add(panel.weights);
            let bias = conv.bias.as_ptr().add(panel.start);
            let taps = conv.taps.as_ptr();
            let first = taps.add(*conv.rows.get_unchecked(kys.start));
            let end = taps.add(*conv.rows.get_unchecked(kys.end));
            let is_lone = first.wrapping_add(1) == end;
            let (mut lone, lone_step) = if is_lone {
                (arena.offset((*first).start(top, x)).cast_const(), (*first).step)
            } else {
                (std::ptr::null(), 0)
            };
            let mut out = output.wrapping_add(conv.output.row_start(y) + x * out_step + panel.start);
            let mut term = std::ptr::null::<f32>();
            let mut term_step = 0;
            if let Some(map) = &conv.residual {
                term = arena.add(map.row_start(y) + x * map.pixel + panel.start);
                term_step = map.pixel;
            }
            for _ in 0..tiles {
                let full = vectors::<I, VECTORS>(bias);
                let mut tile = [full; PIXELS];
                let mut half = [I::Half::load(bias.add(if HALF { VECTORS * I::LANES } else { 0 })); PIXELS];
                let mut tap = first;
                while tap != end {
                    let mut a = if is_lone { lone } else { arena.offset((*tap).start(top, x)).cast_const() };
                    let mut b = weights.add((*tap).first * width);
                    let step = (*tap).step;
                    // Both ends of the next tile's inputs, as these may be many short runs far from each other.
                    unroll!(P < PIXELS, {
                        let next = a.wrapping_add((PIXELS + P) * step);
                        prefetch::<1>(next);
                        prefetch::<1>(next.wrapping_add((*tap).len).wrapping_sub(1));
                    });
                    let mut left = (*tap).len;
                    if const { I::INPUTS > 1 } {
                        while left >= I::INPUTS {
                            a = opaque(a);
                            // A line lasts two inputs at least.
                            prefetch::<2>(ahead);
                            prefetch::<2>(ahead.wrapping_add(2 * ahead_step));
                            ahead = ahead.wrapping_add(I::INPUTS * ahead_step);
                            let mut inputs = [I::splat(0.0); PIXELS];
                            unroll!(P < PIXELS, {
                                inputs[P] = I::inputs(a.add(P * step));
                            });
                            unroll!(L < I::INPUTS, at most 4, {
                                unroll!(V < VECTORS, at most 4, {
                                    let weight = I::load(b.add(L * width + V * I::LANES));
                                    unroll!(P < PIXELS, {
                                        tile[P][V] = I::fma_input(inputs[P], L, weight, tile[P][V]);
                                    });
                                });
                                in_order();
                            });
                            a = a.add(I::INPUTS);
                            b = b.add(I::INPUTS * width);
                            left -= I::INPUTS;
                        }
                    }
                    for _ in 0..left {
                        a = opaque(a);
                        prefetch::<2>(ahead);
                        ahead = ahead.wrapping_add(ahead_step);
                        if HALF {
                            let full = vectors::<I, VECTORS>(b);
                            let weight = I::Half::load(b.add(VECTORS * I::LANES));
                            // An input that is read once is a part of its multiply-add; two of them are faster than
                            // an instruction of its own.
                            let twin = opaque(a);
                            unroll!(P < PIXELS, {
                                let x = I::splat(*a.add(P * step));
                                unroll!(V < VECTORS, at most 4, {
                                    tile[P][V] = I::fma(x, full[V], tile[P][V]);
                                });
                                let x = if VECTORS == 1 {
                                    I::Half::splat(*twin.add(P * step))
                                } else {
                                    I::half(x)
                                };
                                half[P] = I::Half::fma(x, weight, half[P]);
                            });
                        } else if PIXELS < VECTORS {
                            let mut pixels = [I::splat(0.0); PIXELS];
                            unroll!(P < PIXELS, {
                                pixels[P] = I::splat(*a.add(P * step));
                            });
                            unroll!(V < VECTORS, at most 4, {
                                let weight = I::load(b.add(V * I::LANES));
                                unroll!(P < PIXELS, {
                                    tile[P][V] = I::fma(pixels[P], weight, tile[P][V]);
                                });
                                in_order();
                            });
                        } else {
                            let full = vectors::<I, VECTORS>(b);
                            unroll!(P < PIXELS, {
                                let x = I::splat(*a.add(P * step));
                                unroll!(V < VECTORS, at most 4, {
                                    tile[P][V] = I::fma(x, full[V], tile[P][V]);
                                });
                                in_order();
                            });
                        }
                        a = a.add(1);
                        b = b.add(width);
                    }
                    tap = tap.add(1);
                }
                if !term.is_null() {
                    each_vector!(tile, half, |P, x, S, place| {
                        let lanes = if place + S::<I>::LANES < width { S::<I>::LANES } else { last };
                        *x = S::<I>::add(*x, S::<I>::load_first(term.add(P * term_step + place), lanes));
                    });
                    term = term.wrapping_add(PIXELS * term_step);
                }
                match activation {
                    Activation::Clamp { low, high } if high == f32::INFINITY => {
                        each_vector!(tile, half, |P, x, S, _place| {
                            *x = S::<I>::at_least(*x, S::<I>::splat(low));
                        });
                    }
                    Activation::Clamp { low, high } => {
                        each_vector!(tile, half, |P, x, S, _place| {
                            *x = S::<I>::at_most(
                                S::<I>::at_least(*x, S::<I>::splat(low)),
                                S::<I>::splat(high),
                            );
                        });
                    }
                    Activation::HardSwish => {
                        each_vector!(tile, half, |P, x, S, _place| {
                            *x = Activation::HardSwish.hard::<S<I>>(*x);
                        });
                    }
                    sigmoid @ Activation::HardSigmoid { .. } => {
                        each_vector!(tile, half, |P, x, S, _place| {
                            *x = sigmoid.hard::<S<I>>(*x);
                        });
                    }
                    Activation::None | Activation::Sigmoid | Activation::Swish => {}
                }
                if last == last_lanes {
                    each_vector!(tile, half, |P, x, S, place| {
                        S::<I>::store(out.add(P * out_step + place), *x);
                    });
                } else {
                    each_vector!(tile, half, |P, x, S, place| {
                        if place + S::<I>::LANES < width {
                            S::<I>::store(out.add(P * out_step + place), *x);
                        } else {
                            S::<I>::store_first(out.add(P * out_step + place), *x, last);
                        }
                    });
                }
                out = out.wrapping_add(PIXELS * out_step);
                lone = lone.wrapping_add(PIXELS * lone_step);
                x += PIXELS;
            }
        }
    }
}

/// `N` vectors that follow each other.
///
/// # Safety
/// As [`Isa::load`].
#[inline(always)]
unsafe fn vectors<I: Isa, const N: usize>(from: *const f32) -> [I::V; N] {
    // SAFETY: the caller's promise.
    unsafe {
        let mut vectors = [I::splat(0.0); N];
        unroll!(V < N, at most 4, {
            vectors[V] = I::load(from.add(V * I::LANES));
        });
        vectors
    }
}
