//! Some vectors of outputs in one or two rows: sums over interleaved rows, and what becomes of them.

use cygnet_cpu::Bytes;

use super::super::ending::{Finish, plain};
use super::ByteDepthwise;
use crate::unroll;

/// What all blocks have in common, by value: stores cannot change it.
#[derive(Clone, Copy)]
pub(super) struct Blocks<
    'a,
    I: Bytes,
    const ROWS: usize,
    const GROUPS: usize,
    const WIDTH: usize,
    const VECTORS: usize,
> {
    pub(super) op: &'a ByteDepthwise,
    pub(super) bias: *const u8,
    pub(super) weights: *const u8,
    pub(super) scale: *const u8,
    /// Place of the first channel in lists.
    pub(super) at: usize,
    /// Bytes of a list of weights.
    pub(super) list: usize,
    /// Interleaved rows.
    pub(super) rows: *mut u8,
    /// Bytes from an interleaved group of rows, or part of it, to the next.
    pub(super) plane: usize,
    /// Bytes from a column of the window to the next.
    pub(super) column: usize,
    pub(super) zero: Option<I::V>,
    pub(super) is_plain: bool,
    /// Whether both rows are there.
    pub(super) both: bool,
    /// Where output and term begin in each row.
    pub(super) out: [*mut u8; ROWS],
    pub(super) term: [*const u8; ROWS],
}

impl<I: Bytes, const ROWS: usize, const GROUPS: usize, const WIDTH: usize, const VECTORS: usize>
    Blocks<'_, I, ROWS, GROUPS, WIDTH, VECTORS>
{
    /// Keeps interleaved words, in parts.
    ///
    /// # Safety
    /// There must be room for them.
    #[inline(always)]
    pub(super) unsafe fn keep(&self, words: [I::V; VECTORS], out: *mut u8) {
        unroll!(V < VECTORS, at most 4, {
            unroll!(H < I::PARTS, at most 4, {
                // SAFETY: the caller's promise.
                unsafe { I::store(out.add(V * 4 * I::LANES + H * self.plane), I::part(words[V], H)) };
            });
        });
    }

    /// The sums of some vectors of outputs from place `i` on, the first of which is of a channel.
    ///
    /// # Safety
    /// As [`ByteDepthwise::run`].
    #[inline(always)]
    pub(super) unsafe fn sums(&self, i: usize, channel: usize) -> [[I::V; VECTORS]; ROWS] {
        let vector = 4 * I::LANES;
        // SAFETY: the caller's promise; lists go on for four vectors after every channel.
        unsafe {
            let bias = self.bias.add(channel * size_of::<u32>());
            let mut sums = [[I::splat(0); VECTORS]; ROWS];
            unroll!(V < VECTORS, at most 4, {
                let bias = I::load(bias.add(V * vector));
                unroll!(R < ROWS, at most 4, {
                    sums[R][V] = bias;
                });
            });
            let weights = self.weights.add(channel * size_of::<u32>());
            let rows = self.rows.add(i * size_of::<u32>()).cast_const();
            macro_rules! group {
                ($column:expr, $group:expr, $groups:expr) => {
                    unroll!(H < I::PARTS, at most 4, {
                        let part = $group * I::PARTS + H;
                        let place = rows.wrapping_add($column * self.column + part * self.plane);
                        let list = ($column * $groups * I::PARTS + part) * ROWS;
                        let mut inputs = [I::splat(0); VECTORS];
                        unroll!(V < VECTORS, at most 4, {
                            inputs[V] = I::load(place.add(V * vector));
                        });
                        unroll!(R < ROWS, at most 4, {
                            let weights = weights.wrapping_add((list + R) * self.list);
                            unroll!(V < VECTORS, at most 4, {
                                sums[R][V] = I::dot(sums[R][V], inputs[V], I::load(weights.add(V * vector)));
                            });
                        });
                    });
                };
            }
            if WIDTH > 0 {
                unroll!(C < WIDTH, at most 7, {
                    unroll!(G < GROUPS, at most 4, {
                        group!(C, G, GROUPS);
                    });
                });
            } else {
                for column in 0..self.op.window.kernel[1] {
                    for group in 0..self.op.groups {
                        group!(column, group, self.op.groups);
                    }
                }
            }
            sums
        }
    }

    /// The sums of some vectors of outputs whose window sees three interleaved columns.
    ///
    /// # Safety
    /// As [`ByteDepthwise::run`].
    #[inline(always)]
    pub(super) unsafe fn sums_of(&self, columns: [[I::V; VECTORS]; 3]) -> [[I::V; VECTORS]; ROWS] {
        let vector = 4 * I::LANES;
        // SAFETY: the caller's promise.
        unsafe {
            let mut sums = [[I::splat(0); VECTORS]; ROWS];
            unroll!(V < VECTORS, at most 4, {
                let bias = I::load(self.bias.add(V * vector));
                unroll!(R < ROWS, at most 4, {
                    sums[R][V] = bias;
                });
            });
            macro_rules! column {
                ($column:literal) => {
                    unroll!(R < ROWS, at most 4, {
                        let weights = self.weights.wrapping_add(($column * ROWS + R) * self.list);
                        unroll!(V < VECTORS, at most 4, {
                            sums[R][V] = I::dot(sums[R][V], columns[$column][V], I::load(weights.add(V * vector)));
                        });
                    });
                };
            }
            column!(0);
            column!(1);
            column!(2);
            sums
        }
    }

    /// Some vectors of outputs from place `i` on, of which `left` are there, whose words are in line or as they are packed.
    ///
    /// # Safety
    /// As [`ByteDepthwise::run`].
    #[inline(always)]
    pub(super) unsafe fn store(&self, i: usize, channel: usize, left: usize, is_packed: bool) {
        // SAFETY: the caller's promise.
        unsafe { self.finish(self.sums(i, channel), i, channel, left, is_packed) };
    }

    /// Writes what sums become, as [`Blocks::store`] says.
    ///
    /// # Safety
    /// As [`ByteDepthwise::run`].
    #[inline(always)]
    pub(super) unsafe fn finish(
        &self,
        sums: [[I::V; VECTORS]; ROWS],
        i: usize,
        channel: usize,
        left: usize,
        is_packed: bool,
    ) {
        let vector = 4 * I::LANES;
        // SAFETY: the caller's promise.
        unsafe {
            if self.is_plain {
                let scale = self.scale.add(channel * size_of::<f32>());
                unroll!(R < ROWS, at most 4, {
                    if R == 0 || self.both {
                        let mut bytes = plain::<I, VECTORS>(sums[R], scale, self.zero);
                        if VECTORS == 4 && !is_packed {
                            bytes = I::in_line(bytes);
                        }
                        if VECTORS == 4 && left == vector {
                            I::store(self.out[R].add(i), bytes);
                        } else {
                            I::store_first(self.out[R].add(i), bytes, left);
                        }
                    }
                });
                return;
            }
            unroll!(R < ROWS, at most 4, {
                if R == 0 || self.both {
                    let mut kept = Sums([0; 4 * 64]);
                    unroll!(V < VECTORS, at most 4, {
                        I::store(kept.0.as_mut_ptr().add(V * vector), sums[R][V]);
                    });
                    self.op.ending.finish_all(Finish::<VECTORS> {
                        ending: &self.op.ending,
                        sums: kept.0.as_ptr(),
                        pixels: 1,
                        at: self.at + channel,
                        out: self.out[R].add(i * self.op.output.element.bytes()),
                        out_step: 0,
                        term: self.term[R].wrapping_add(i),
                        term_step: 0,
                        channels: left,
                    });
                }
            });
        }
    }
}

/// The sums of four vectors at most.
#[repr(C, align(64))]
struct Sums([u8; 4 * 64]);
