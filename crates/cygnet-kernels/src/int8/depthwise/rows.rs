//! Some channels and columns of the output rows that are computed together.

use std::ops::Range;

use cygnet_cpu::{ByteKernel, Bytes};

use super::ByteDepthwise;
use crate::unroll;

/// What is computed at once.
pub(super) struct Band<'a> {
    pub(super) op: &'a ByteDepthwise,
    /// Where the input map lies.
    pub(super) input: *const u8,
    pub(super) arena: *mut u8,
    pub(super) scratch: *mut u8,
    /// One or two output rows.
    pub(super) rows: Range<usize>,
    pub(super) columns: Range<usize>,
    pub(super) channels: Range<usize>,
}

impl Band<'_> {
    /// # Safety
    /// As [`ByteDepthwise::run`].
    pub(super) unsafe fn run(self) {
        let op = self.op;
        // SAFETY: the caller's promise.
        unsafe {
            match (op.together, op.groups, op.window.kernel[1]) {
                (2, 1, 3) => op.level.run(Sized::<2, 1, 3>(self)),
                (1, 1, 3) => op.level.run(Sized::<1, 1, 3>(self)),
                (2, 2, 5) => op.level.run(Sized::<2, 2, 5>(self)),
                (1, 2, 5) => op.level.run(Sized::<1, 2, 5>(self)),
                (2, ..) => op.level.run(Sized::<2, 0, 0>(self)),
                _ => op.level.run(Sized::<1, 0, 0>(self)),
            }
        }
    }
}

/// `ROWS` output rows together, `GROUPS` groups of input rows and `WIDTH` columns of the window, or as many as there are
/// if that is 0.
struct Sized<'a, const ROWS: usize, const GROUPS: usize, const WIDTH: usize>(Band<'a>);

impl<const ROWS: usize, const GROUPS: usize, const WIDTH: usize> ByteKernel
    for Sized<'_, ROWS, GROUPS, WIDTH>
{
    #[inline(always)]
    unsafe fn run<I: Bytes>(self) {
        let Band { op, columns, channels, .. } = &self.0;
        let (lanes, input, output) = (I::LANES, &op.input, &op.output);
        let (count, stride) = (channels.len(), op.window.stride[1]);
        let seen = op.seen(columns.len());
        let spread = Spread {
            // From an interleaved group of rows, or part of it, to the next.
            plane: (seen * count + 4 * lanes) * size_of::<u32>(),
            column: op.window.dilation[1] * count * size_of::<u32>(),
        };
        // Both without gaps: rows are computed as if they were one pixel.
        let is_flat = |pixel: usize| pixel == count;
        let terms_flat = op.ending.term().is_none_or(|term| is_flat(term.pixel));
        // SAFETY: the caller's promise: rows of windows are clipped to the image, columns lie within it and its halo.
        unsafe {
            if is_flat(input.pixel) {
                self.0.interleave::<I>(seen * count, 1, 0);
            } else {
                self.0.interleave::<I>(count, seen, input.pixel);
            }
            if stride == 1 && is_flat(output.pixel) && terms_flat {
                self.outputs::<I>(&spread, 0, 0, columns.len() * count, count);
                return;
            }
            for x in 0..columns.len() {
                self.outputs::<I>(&spread, x * stride * count, x, count, count);
            }
        }
    }
}

/// How far things lie from each other in interleaved rows, in bytes.
struct Spread {
    plane: usize,
    column: usize,
}

impl Band<'_> {
    /// Interleaves `pieces` times `len` bytes of the rows that the window sees, `step` bytes from each other, one after another.
    ///
    /// # Safety
    /// As [`ByteDepthwise::run`].
    #[inline(always)]
    unsafe fn interleave<I: Bytes>(&self, len: usize, pieces: usize, step: usize) {
        let Band { op, input, scratch, rows, columns, channels, .. } = self;
        let (window, map) = (&op.window, &op.input);
        let (bytes, words) = (4 * I::LANES, 4 * I::LANES * size_of::<u32>());
        let plane = len * pieces * size_of::<u32>() + words;
        let top = window.top(rows.start);
        // SAFETY: as the caller promises; a vector that is not whole is loaded by its first bytes, and the scratch memory has
        // room for whole ones.
        unsafe {
            let zero = I::splat(u32::from(op.zero) * 0x0101_0101);
            let first = columns.start * window.stride[1];
            for group in 0..op.groups {
                let mut from = [std::ptr::null::<u8>(); 4];
                let mut are_all = true;
                for (i, from) in from.iter_mut().enumerate() {
                    let tap = 4 * group + i;
                    let y = top.wrapping_add(tap * window.dilation[0]);
                    // The last rows of a group may be no one's.
                    if y < map.height && tap < window.kernel[0] + op.together - 1 {
                        let row = input.wrapping_add(map.row_start(y) + channels.start);
                        *from = row.wrapping_add(first * map.pixel).wrapping_sub(window.pad[1] * map.pixel);
                    } else {
                        are_all = false;
                    }
                }
                let out = scratch.add(group * I::PARTS * plane);
                for piece in 0..pieces {
                    let out = out.add(piece * len * size_of::<u32>());
                    let mut i = 0;
                    while i < len {
                        // The last vector begins earlier than it could where that makes it whole.
                        let start = if len >= bytes { i.min(len - bytes) } else { i };
                        let place = piece * step + start;
                        let mut four = [zero; 4];
                        if are_all && len >= bytes {
                            unroll!(R < 4, at most 4, {
                                four[R] = I::load(from[R].add(place));
                            });
                        } else {
                            unroll!(R < 4, at most 4, {
                                if !from[R].is_null() {
                                    four[R] = I::load_first(from[R].add(place), len - start);
                                }
                            });
                        }
                        let mixed = I::interleave(four);
                        unroll!(Q < 4, at most 4, {
                            let place = out.add((start + Q * I::LANES) * size_of::<u32>());
                            unroll!(H < I::PARTS, at most 4, {
                                I::store(place.add(H * plane), I::part(mixed[Q], H));
                            });
                        });
                        i += bytes;
                    }
                }
            }
        }
    }
}

impl<const ROWS: usize, const GROUPS: usize, const WIDTH: usize> Sized<'_, ROWS, GROUPS, WIDTH> {
    /// `len` outputs that follow each other from column `x` on, of `period` channels over and over. `from` is the place of the
    /// first in interleaved rows.
    ///
    /// # Safety
    /// As [`ByteDepthwise::run`].
    #[inline(always)]
    unsafe fn outputs<I: Bytes>(&self, spread: &Spread, from: usize, x: usize, len: usize, period: usize) {
        let lanes = I::LANES;
        let (mut i, mut channel) = (0, 0);
        // SAFETY: the caller's promise; a block of outputs that is not whole is the only one.
        unsafe {
            while i < len {
                let left = len - i;
                // As few vectors as hold what is left; the last begin earlier than they could where that makes them whole.
                let vectors = match left.div_ceil(lanes) {
                    3.. => 4,
                    vectors => vectors,
                };
                let width = vectors * lanes;
                if left < width && len >= width {
                    let back = width - left;
                    i -= back;
                    // Whole pixels are many enough to go back, as there are no blocks but of one pixel or of all.
                    channel = (channel + period * back.div_ceil(period) - back) % period;
                }
                let left = (len - i).min(width);
                match vectors {
                    1 => self.block::<I, 1>(spread, from + i, x, i, channel, left),
                    2 => self.block::<I, 2>(spread, from + i, x, i, channel, left),
                    _ => self.block::<I, 4>(spread, from + i, x, i, channel, left),
                }
                i += width;
                channel += width;
                while channel >= period {
                    channel -= period;
                }
            }
        }
    }

    /// `N` vectors of outputs, of which `left` are there, from byte `i` after column `x` on.
    ///
    /// # Safety
    /// As [`Sized::outputs`].
    #[inline(always)]
    unsafe fn block<I: Bytes, const N: usize>(
        &self,
        spread: &Spread,
        from: usize,
        x: usize,
        i: usize,
        channel: usize,
        left: usize,
    ) {
        let Band { op, arena, scratch, rows, columns, channels, .. } = &self.0;
        let vector = 4 * I::LANES;
        let at = channels.start + channel;
        // SAFETY: the caller's promise; lists go on for four vectors after every channel.
        unsafe {
            let bias = op.bias.as_ptr().add(at).cast::<u8>();
            let mut sums = [[I::splat(0); N]; ROWS];
            unroll!(V < N, at most 4, {
                let bias = I::load(bias.add(V * vector));
                unroll!(R < ROWS, at most 4, {
                    sums[R][V] = bias;
                });
            });
            let mut weights = op.weights.as_ptr().add(at).cast::<u8>();
            let list = op.list * size_of::<u32>();
            let mut column = scratch.add(from * size_of::<u32>()).cast_const();
            macro_rules! column {
                () => {
                    let mut place = column;
                    column = column.wrapping_add(spread.column);
                    let groups = if GROUPS > 0 { GROUPS } else { op.groups };
                    for _ in 0..groups {
                        unroll!(H < I::PARTS, at most 4, {
                            let mut inputs = [I::splat(0); N];
                            unroll!(V < N, at most 4, {
                                inputs[V] = I::load(place.add(V * vector));
                            });
                            unroll!(R < ROWS, at most 4, {
                                unroll!(V < N, at most 4, {
                                    sums[R][V] = I::dot(sums[R][V], inputs[V], I::load(weights.add(V * vector)));
                                });
                                weights = weights.add(list);
                            });
                            place = place.add(spread.plane);
                        });
                    }
                };
            }
            if WIDTH > 0 {
                unroll!(_C < WIDTH, at most 7, {
                    column!();
                });
                let _ = column;
            } else {
                for _ in 0..op.window.kernel[1] {
                    column!();
                }
            }
            let (map, size) = (&op.output, op.output.element.bytes());
            unroll!(R < ROWS, at most 4, {
                let y = rows.start + R;
                if R == 0 || y < rows.end {
                    let place = map.row_start(y) + (columns.start + x) * map.pixel + channels.start;
                    let out = arena.add((place + i) * size);
                    if op.ending.is_plain {
                        let packed = op.ending.plain::<I, N>(sums[R], at);
                        let packed = if N == 4 { I::in_line(packed) } else { packed };
                        I::store_first(out, packed, left);
                    } else {
                        let mut term = arena.cast_const();
                        if let Some(map) = op.ending.term() {
                            let place = map.row_start(y) + (columns.start + x) * map.pixel + channels.start;
                            term = term.add(place + i);
                        }
                        op.ending.finish::<I, N>(sums[R], at, out, term, left);
                    }
                }
            });
        }
    }
}
