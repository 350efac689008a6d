//! Some columns of the output rows that are computed together.

use std::ops::Range;

use cygnet_cpu::{ByteKernel, Bytes};

use super::blocks::Blocks;
use super::{ByteDepthwise, block_start};
use crate::map::Map;
use crate::unroll;
use crate::window::Window;

/// What is computed at once.
#[derive(Clone)]
pub(super) struct Band<'a> {
    pub(super) op: &'a ByteDepthwise,
    /// Where the input map lies.
    pub(super) input: *const u8,
    pub(super) arena: *mut u8,
    pub(super) scratch: *mut u8,
    /// One or two output rows.
    pub(super) rows: Range<usize>,
    pub(super) columns: Range<usize>,
}

impl Band<'_> {
    /// # Safety
    /// As [`ByteDepthwise::run`].
    pub(super) unsafe fn run(self) {
        let op = self.op;
        let (is_fallback, [whole, rest]) = (is_fallback(op.level.lanes()), op.blocks);
        let all = match (op.is_flat, whole) {
            (true, _) => [4, 0],
            (false, 0) => [0, rest],
            (false, _) => [4, rest],
        };
        // SAFETY: the caller's promise.
        unsafe {
            macro_rules! sizes {
                ($vectors:expr; $(($rows:literal, $groups:literal, $width:literal): [$($sizes:literal)*],)*) => {
                    match (op.together, op.groups, op.window.kernel[1], $vectors) {
                        $($(($rows, $groups, $width, $sizes) if !is_fallback => {
                            op.level.run(Sized::<$rows, $groups, $width, $sizes>(self.clone()));
                        })*)*
                        (2, ..) => op.level.run(Sized::<2, 0, 0, 4>(self.clone())),
                        _ => op.level.run(Sized::<1, 0, 0, 4>(self.clone())),
                    }
                };
            }
            for vectors in all.into_iter().filter(|&vectors| vectors > 0) {
                sizes! {
                    vectors;
                    (2, 1, 3): [1 2 4],
                    (1, 1, 3): [1 2 4],
                    (2, 2, 5): [4],
                    (1, 2, 5): [1 2 4],
                }
            }
        }
    }
}

/// Whether a set of so many lanes only stands in for one that the CPU lacks: it has windows of any size alone, which need
/// the least code.
pub(super) const fn is_fallback(lanes: usize) -> bool {
    cfg!(target_arch = "x86_64") && lanes < 8
}

/// Whether blocks of one or two vectors pay with so many lanes.
pub(super) const fn has_small_blocks(lanes: usize) -> bool {
    lanes >= 16
}

/// Whether the columns that a window of three sees fit the registers, by the output rows together and the stride.
pub(super) fn slides(together: usize, window: &Window) -> bool {
    matches!((together, window.stride[1]), (2, 1) | (1, 2)) && window.dilation[1] == 1
}

/// `ROWS` output rows together, `GROUPS` groups of input rows and `WIDTH` columns of the window, or as many as there are
/// if that is 0; blocks of `VECTORS` vectors.
struct Sized<'a, const ROWS: usize, const GROUPS: usize, const WIDTH: usize, const VECTORS: usize>(Band<'a>);

/// Where the four rows of a group are, and whether a row moves: rows of padding are the same bytes at all places.
#[derive(Clone, Copy)]
struct Source {
    from: [*const u8; 4],
    moves: [usize; 4],
}

impl<const ROWS: usize, const GROUPS: usize, const WIDTH: usize, const VECTORS: usize> ByteKernel
    for Sized<'_, ROWS, GROUPS, WIDTH, VECTORS>
{
    #[inline(always)]
    unsafe fn run<I: Bytes>(self) {
        if const { WIDTH > 0 && is_fallback(I::LANES) || VECTORS < 4 && !has_small_blocks(I::LANES) } {
            return;
        }
        let Band { op, arena, scratch, rows, columns, .. } = &self.0;
        let (seen, pitch) = (op.seen(columns.len()), op.pitch(VECTORS) * size_of::<u32>());
        let padding = [op.zero; 64];
        // SAFETY: the caller's promise: rows of windows are clipped to the image, columns lie within it and its halo.
        unsafe {
            let place =
                |map: &Map, y: usize| (map.row_start(y) + columns.start * map.pixel) * map.element.bytes();
            let mut blocks = Blocks::<I, ROWS, GROUPS, WIDTH, VECTORS> {
                op,
                bias: op.bias.as_ptr().cast(),
                weights: op.weights.as_ptr().cast(),
                scale: op.ending.scale().cast(),
                at: 0,
                list: op.list * size_of::<u32>(),
                rows: *scratch,
                plane: seen * pitch + if op.is_flat { 16 * I::LANES } else { 0 },
                column: op.window.dilation[1] * pitch,
                zero: op.ending.zero::<I>(),
                is_plain: op.ending.is_plain,
                both: rows.len() == ROWS,
                out: [*arena; ROWS],
                term: [*arena; ROWS],
            };
            for (row, y) in rows.clone().enumerate().take(ROWS) {
                blocks.out[row] = arena.add(place(&op.output, y));
                if let Some(term) = op.ending.term() {
                    blocks.term[row] = arena.add(place(term, y));
                }
            }
            if const { VECTORS == 4 } && op.is_flat {
                return self.0.flat(blocks, &padding);
            }
            let (block, channels) = (4 * I::LANES, op.output.channels);
            let [whole, _] = op.blocks;
            let all = if const { VECTORS < 4 } { whole..whole + 1 } else { 0..whole };
            for i in all {
                let start = if const { VECTORS < 4 } { i * block } else { block_start(i, block, channels) };
                let mut of_block = blocks;
                let words = i * block * size_of::<u32>();
                of_block.at = i * block;
                of_block.bias = blocks.bias.add(words);
                of_block.weights = blocks.weights.add(words);
                of_block.scale = blocks.scale.add(words);
                unroll!(R < ROWS, at most 4, {
                    of_block.out[R] = blocks.out[R].wrapping_add(start * op.output.element.bytes());
                    of_block.term[R] = blocks.term[R].wrapping_add(start);
                });
                if const { VECTORS < 4 } || channels < block {
                    self.0.block::<I, false, ROWS, GROUPS, WIDTH, VECTORS>(of_block, &padding, start);
                } else {
                    self.0.block::<I, true, ROWS, GROUPS, WIDTH, VECTORS>(of_block, &padding, start);
                }
            }
        }
    }
}

impl Band<'_> {
    /// The rows of a group, from a channel of the first column on that the window sees.
    #[inline(always)]
    fn source(&self, group: usize, channel: usize, padding: &[u8; 64]) -> Source {
        let (window, map) = (&self.op.window, &self.op.input);
        let top = window.top(self.rows.start);
        let first = self.columns.start * window.stride[1] * map.pixel;
        let (mut from, mut moves) = ([padding.as_ptr(); 4], [0; 4]);
        for i in 0..4 {
            let tap = 4 * group + i;
            let y = top.wrapping_add(tap * window.dilation[0]);
            // The last rows of a group may be no one's.
            if y < map.height && tap < window.kernel[0] + self.op.together - 1 {
                let row = self.input.wrapping_add(map.row_start(y) + channel);
                from[i] = row.wrapping_add(first).wrapping_sub(window.pad[1] * map.pixel);
                moves[i] = usize::MAX;
            }
        }
        Source { from, moves }
    }

    /// The first `left` bytes of four rows as words, of four vectors if it is `WHOLE`.
    ///
    /// # Safety
    /// As [`Bytes`].
    #[inline(always)]
    unsafe fn words<I: Bytes, const WHOLE: bool, const VECTORS: usize>(
        from: [*const u8; 4],
        left: usize,
        is_packed: bool,
    ) -> [I::V; VECTORS] {
        // SAFETY: the caller's promise; a vector that is not whole is loaded by its first bytes.
        unsafe {
            let mut words = [I::splat(0); VECTORS];
            if const { VECTORS < 4 } {
                unroll!(V < VECTORS, at most 4, {
                    let (first, mut rows) = (V * I::LANES, from);
                    unroll!(R < 4, at most 4, {
                        rows[R] = from[R].wrapping_add(first);
                    });
                    words[V] = I::interleave_first(rows, left.saturating_sub(first).min(I::LANES));
                });
                return words;
            }
            let mut four = [I::splat(0); 4];
            unroll!(R < 4, at most 4, {
                four[R] = if WHOLE { I::load(from[R]) } else { I::load_first(from[R], left) };
            });
            let mixed = if is_packed { I::mix(four) } else { I::interleave(four) };
            unroll!(V < VECTORS, at most 4, {
                words[V] = mixed[V];
            });
            words
        }
    }

    /// A block of some vectors of channels, `start` the first; fewer than four or not all of them if it is not `WHOLE`.
    ///
    /// # Safety
    /// As [`ByteDepthwise::run`].
    #[inline(always)]
    unsafe fn block<
        I: Bytes,
        const WHOLE: bool,
        const ROWS: usize,
        const GROUPS: usize,
        const WIDTH: usize,
        const VECTORS: usize,
    >(
        &self,
        mut blocks: Blocks<'_, I, ROWS, GROUPS, WIDTH, VECTORS>,
        padding: &[u8; 64],
        start: usize,
    ) {
        let (op, columns) = (self.op, self.columns.len());
        let (stride, reach, pixel) = (op.window.stride[1], op.reach(), op.input.pixel);
        let left = if WHOLE { 4 * I::LANES } else { op.output.channels - start };
        let pitch = 4 * VECTORS * I::LANES;
        let out_step = op.output.pixel * op.output.element.bytes();
        let term_step = op.ending.term().map_or(0, |map| map.pixel);
        let rows = blocks.rows;
        // SAFETY: the caller's promise; a vector that is not whole is loaded by its first bytes.
        unsafe {
            macro_rules! interleave {
                ($source:expr, $group:expr, $column:expr) => {
                    let place = $column * pixel;
                    let mut from = $source.from;
                    unroll!(R < 4, at most 4, {
                        from[R] = from[R].wrapping_add(place & $source.moves[R]);
                    });
                    let mixed = Self::words::<I, WHOLE, VECTORS>(from, left, blocks.is_plain);
                    let out = rows.wrapping_add($group * I::PARTS * blocks.plane + $column * pitch);
                    blocks.keep(mixed, out);
                };
            }
            if const { WIDTH == 3 && GROUPS == 1 && I::PARTS == 1 && I::TILE[2] >= 6 }
                && (const { VECTORS < 4 } || slides(ROWS, &op.window))
            {
                return self.slide::<I, WHOLE, ROWS, GROUPS, WIDTH, VECTORS>(blocks, padding, start);
            }
            // Dot products of one column are computed while the next is interleaved, in other units of the CPU.
            let mut made = 0;
            let [first, second] = [self.source(0, start, padding), self.source(1, start, padding)];
            if GROUPS == 0 {
                for group in 0..op.groups {
                    let source = self.source(group, start, padding);
                    for column in 0..op.seen(columns) {
                        interleave!(source, group, column);
                    }
                }
                made = usize::MAX;
            }
            for x in 0..columns {
                while made < x * stride + reach {
                    interleave!(first, 0, made);
                    if GROUPS > 1 {
                        interleave!(second, 1, made);
                    }
                    made += 1;
                }
                blocks.store(0, 0, left, blocks.is_plain);
                blocks.rows = blocks.rows.wrapping_add(stride * pitch);
                unroll!(R < ROWS, at most 4, {
                    blocks.out[R] = blocks.out[R].wrapping_add(out_step);
                    blocks.term[R] = blocks.term[R].wrapping_add(term_step);
                });
            }
        }
    }

    /// As [`Band::block`] for windows of three columns, which move by one where two rows are computed together and by two else.
    ///
    /// # Safety
    /// As [`ByteDepthwise::run`].
    #[inline(always)]
    unsafe fn slide<
        I: Bytes,
        const WHOLE: bool,
        const ROWS: usize,
        const GROUPS: usize,
        const WIDTH: usize,
        const VECTORS: usize,
    >(
        &self,
        mut blocks: Blocks<'_, I, ROWS, GROUPS, WIDTH, VECTORS>,
        padding: &[u8; 64],
        start: usize,
    ) {
        let op = self.op;
        let left = if WHOLE { 4 * I::LANES } else { op.output.channels - start };
        let out_step = op.output.pixel * op.output.element.bytes();
        let term_step = op.ending.term().map_or(0, |map| map.pixel);
        let Source { mut from, moves } = self.source(0, start, padding);
        // SAFETY: the caller's promise; a vector that is not whole is loaded by its first bytes.
        unsafe {
            let mut step = [0; 4];
            unroll!(R < 4, at most 4, {
                step[R] = op.input.pixel & moves[R];
            });
            macro_rules! next {
                () => {{
                    let words = Self::words::<I, WHOLE, VECTORS>(from, left, blocks.is_plain);
                    unroll!(R < 4, at most 4, {
                        from[R] = from[R].wrapping_add(step[R]);
                    });
                    words
                }};
            }
            macro_rules! outputs {
                ($columns:expr) => {
                    blocks.finish(blocks.sums_of($columns), 0, 0, left, blocks.is_plain);
                    unroll!(R < ROWS, at most 4, {
                        blocks.out[R] = blocks.out[R].wrapping_add(out_step);
                        blocks.term[R] = blocks.term[R].wrapping_add(term_step);
                    });
                };
            }
            let mut first = next!();
            if const { ROWS == 1 } {
                for _ in self.columns.clone() {
                    let second = next!();
                    let third = next!();
                    outputs!([first, second, third]);
                    first = third;
                }
                return;
            }
            let mut second = next!();
            for _ in self.columns.clone() {
                let third = next!();
                outputs!([first, second, third]);
                (first, second) = (second, third);
            }
        }
    }

    /// All channels of the columns, as if they were one pixel.
    ///
    /// # Safety
    /// As [`ByteDepthwise::run`].
    #[inline(always)]
    unsafe fn flat<
        I: Bytes,
        const ROWS: usize,
        const GROUPS: usize,
        const WIDTH: usize,
        const VECTORS: usize,
    >(
        &self,
        blocks: Blocks<'_, I, ROWS, GROUPS, WIDTH, VECTORS>,
        padding: &[u8; 64],
    ) {
        let (op, width) = (self.op, 4 * I::LANES);
        let period = op.output.channels;
        let (len, all) = (self.columns.len() * period, op.seen(self.columns.len()) * period);
        let ahead = width + (op.reach() - 1) * period;
        // SAFETY: the caller's promise; a vector that is not whole is loaded by its first bytes, and there is room for whole
        // ones in the scratch memory.
        unsafe {
            macro_rules! interleave {
                ($source:expr, $group:expr, $place:expr) => {
                    let mut four = [I::splat(0); 4];
                    unroll!(R < 4, at most 4, {
                        let from = $source.from[R].wrapping_add($place & $source.moves[R]);
                        four[R] = if all >= width { I::load(from) } else { I::load_first(from, all) };
                    });
                    let out = blocks.rows.wrapping_add($group * I::PARTS * blocks.plane + $place * size_of::<u32>());
                    let (mixed, mut words) = (I::interleave(four), [I::splat(0); VECTORS]);
                    unroll!(V < VECTORS, at most 4, {
                        words[V] = mixed[V];
                    });
                    blocks.keep(words, out);
                };
            }
            // The last vector begins earlier than it could where that makes it whole.
            let last = all.saturating_sub(width);
            let mut made = 0;
            let [first, second] = [self.source(0, 0, padding), self.source(1, 0, padding)];
            if GROUPS == 0 {
                for group in 0..op.groups {
                    let source = self.source(group, 0, padding);
                    for place in (0..all).step_by(width) {
                        let place = place.min(last);
                        interleave!(source, group, place);
                    }
                }
                made = all;
            }
            let (mut i, mut channel) = (0, 0);
            let step = width % period;
            while i < len {
                let need = all.min(i + ahead);
                while made < need {
                    let place = made.min(last);
                    interleave!(first, 0, place);
                    if GROUPS > 1 {
                        interleave!(second, 1, place);
                    }
                    made += width;
                }
                if len - i < width && len >= width {
                    let back = width - (len - i);
                    i -= back;
                    channel = (channel + period * back.div_ceil(period) - back) % period;
                }
                blocks.store(i, channel, (len - i).min(width), false);
                i += width;
                channel += step;
                if channel >= period {
                    channel -= period;
                }
            }
        }
    }
}
