//! The micro-kernel: a tile of output pixels × vectors of output channels in registers.

use cygnet_cpu::{ByteKernel, Bytes, in_order, opaque, prefetch, tuning::LINE};

use super::super::ending::Finish;
use super::{ByteConv, Panel};
use crate::unroll;

/// Equal tiles that follow each other in an output row, for one panel of output channels.
#[derive(Clone, Copy)]
pub(super) struct Strip<'a> {
    pub(super) conv: &'a ByteConv,
    pub(super) panel: &'a Panel,
    pub(super) arena: *const u8,
    /// Where the output map lies.
    pub(super) output: *mut u8,
    /// The biases of the panel's channels.
    pub(super) bias: *const i32,
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
        let level = self.conv.level;
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
            2: [1 2 3 4 5 6 7 8 9 10 11 12],
            4: [1 2 3 4 5 6 7],
        }
    }
}

/// The most bytes of a tile's sums.
const SUMS: usize = 28 * 64;

/// Room for the sums of a tile.
#[repr(C, align(64))]
struct Sums(std::mem::MaybeUninit<[u8; SUMS]>);

impl<const PIXELS: usize, const VECTORS: usize> ByteKernel for Sized<'_, PIXELS, VECTORS> {
    #[inline(always)]
    unsafe fn run<I: Bytes>(self) {
        if const { PIXELS > I::TILE[VECTORS / 2] } {
            return;
        }
        const { assert!(PIXELS * VECTORS * 4 * I::LANES <= SUMS) };
        let Strip { conv, panel, arena, output, bias, y, mut x, tiles } = self.0;
        let kys = conv.window.rows(y, conv.height);
        let top = conv.window.top(y);
        let (ending, map) = (&conv.ending, &conv.output);
        let size = map.element.bytes();
        let out_step = map.pixel * size;
        // SAFETY: `kys` lies in the window; the tiles lie in the output row, the maps in the arena, and weights and lists
        // have the panel's vectors.
        unsafe {
            let weights = conv.weights.as_ptr().add(panel.weights).cast::<u8>();
            let bias = bias.cast::<u8>();
            let taps = conv.taps.as_ptr();
            let first = taps.add(*conv.rows.get_unchecked(kys.start));
            let end = taps.add(*conv.rows.get_unchecked(kys.end));
            let mut out = output.wrapping_add((map.row_start(y) + x * map.pixel + panel.start) * size);
            let (mut term, mut term_step) = (arena, 0);
            if let Some(map) = ending.term() {
                term = arena.add(map.row_start(y) + x * map.pixel + panel.start);
                term_step = map.pixel;
            }
            // The first tiles of large weights bring the panel that comes next, a line of each group.
            let (mut line, mut ahead) = (y * tiles, 0);
            let lines = VECTORS * I::PARTS * 4 * I::LANES / LINE;
            for _ in 0..tiles {
                if !conv.rows_first {
                    ahead = if line < lines { conv.groups * lines * LINE + line * LINE } else { 0 };
                    line += 1;
                }
                let mut sums = [[I::splat(0); VECTORS]; PIXELS];
                unroll!(V < VECTORS, at most 4, {
                    let bias = I::load(bias.add(V * 4 * I::LANES));
                    unroll!(P < PIXELS, {
                        sums[P][V] = bias;
                    });
                });
                let mut tap = first;
                while tap != end {
                    let mut a = arena.offset((*tap).start(top, x));
                    let mut b = weights.add((*tap).first * (VECTORS * I::PARTS * 4 * I::LANES));
                    let mut step = (*tap).step;
                    let mut few = [0u32; PIXELS];
                    if (*tap).inputs < 4 {
                        for (pixel, few) in few.iter_mut().enumerate() {
                            *few = fewer(a.add(pixel * step), (*tap).inputs).to_le();
                        }
                        (a, step) = (few.as_ptr().cast(), size_of::<u32>());
                    }
                    for _ in 0..(*tap).groups {
                        a = opaque(a);
                        if const { VECTORS == 4 && I::LANES >= 16 } {
                            prefetch::<2>(b.wrapping_add(ahead).cast());
                        }
                        unroll!(H < I::PARTS, at most 4, {
                            if const { PIXELS < VECTORS } {
                                let mut inputs = [I::splat(0); PIXELS];
                                unroll!(P < PIXELS, {
                                    inputs[P] = I::part(I::splat(word(a.add(P * step))), H);
                                });
                                unroll!(V < VECTORS, at most 4, {
                                    let weights = I::load(b.add((H * VECTORS + V) * 4 * I::LANES));
                                    unroll!(P < PIXELS, {
                                        sums[P][V] = I::dot(sums[P][V], inputs[P], weights);
                                    });
                                    in_order();
                                });
                            } else if const { PIXELS * VECTORS > 24 } {
                                // A register is left for all inputs, one after another, and weights but for the last.
                                let mut weights = [I::splat(0); VECTORS];
                                unroll!(V < VECTORS, at most 4, {
                                    if V < VECTORS - 1 {
                                        weights[V] = I::load(b.add((H * VECTORS + V) * 4 * I::LANES));
                                    }
                                });
                                unroll!(P < PIXELS, {
                                    let inputs = I::part(I::splat(word(a.add(P * step))), H);
                                    unroll!(V < VECTORS, at most 4, {
                                        let weights = if V < VECTORS - 1 {
                                            weights[V]
                                        } else {
                                            I::load(b.add((H * VECTORS + V) * 4 * I::LANES))
                                        };
                                        sums[P][V] = I::dot(sums[P][V], inputs, weights);
                                    });
                                    in_order();
                                });
                            } else {
                                let mut weights = [I::splat(0); VECTORS];
                                unroll!(V < VECTORS, at most 4, {
                                    weights[V] = I::load(b.add((H * VECTORS + V) * 4 * I::LANES));
                                });
                                unroll!(P < PIXELS, {
                                    let inputs = I::part(I::splat(word(a.add(P * step))), H);
                                    unroll!(V < VECTORS, at most 4, {
                                        sums[P][V] = I::dot(sums[P][V], inputs, weights[V]);
                                    });
                                    in_order();
                                });
                            }
                        });
                        a = a.add(4);
                        b = b.add(VECTORS * I::PARTS * 4 * I::LANES);
                    }
                    tap = tap.add(1);
                }
                if ending.is_plain {
                    let mut packed = [I::splat(0); PIXELS];
                    unroll!(P < PIXELS, {
                        packed[P] = ending.plain::<I, VECTORS>(sums[P], panel.at);
                    });
                    if panel.channels == VECTORS * I::LANES {
                        unroll!(P < PIXELS, {
                            I::store_first(out.add(P * out_step), packed[P], VECTORS * I::LANES);
                        });
                    } else {
                        unroll!(P < PIXELS, {
                            I::store_first(out.add(P * out_step), packed[P], panel.channels);
                        });
                    }
                } else {
                    let mut kept = Sums(std::mem::MaybeUninit::uninit());
                    let place = kept.0.as_mut_ptr().cast::<u8>();
                    unroll!(P < PIXELS, {
                        unroll!(V < VECTORS, at most 4, {
                            I::store(place.add((P * VECTORS + V) * 4 * I::LANES), sums[P][V]);
                        });
                    });
                    ending.finish_all(Finish::<VECTORS> {
                        ending,
                        sums: place,
                        pixels: PIXELS,
                        at: panel.at,
                        out,
                        out_step,
                        term,
                        term_step,
                        channels: panel.channels,
                    });
                }
                out = out.wrapping_add(PIXELS * out_step);
                term = term.wrapping_add(PIXELS * term_step);
                x += PIXELS;
            }
        }
    }
}

/// Four bytes from memory.
///
/// # Safety
/// They must be there.
#[inline(always)]
unsafe fn word(p: *const u8) -> u32 {
    // SAFETY: the caller's promise.
    u32::from_le(unsafe { p.cast::<u32>().read_unaligned() })
}

/// Up to four bytes from memory, zeros after them.
///
/// # Safety
/// They must be there.
#[inline(always)]
unsafe fn fewer(p: *const u8, bytes: usize) -> u32 {
    let mut word = 0;
    for i in 0..bytes.min(4) {
        // SAFETY: the caller's promise.
        word |= u32::from(unsafe { *p.add(i) }) << (8 * i);
    }
    word
}
