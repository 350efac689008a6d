//! Windows whose pixels become one: pooling and adaptive means.

use std::ops::Range;

use super::{Plain, PlainCall, Pooling, at};
use cygnet_cpu::{Isa, Kernel, adaptive_window, vectors};

use crate::unroll;

/// Some output rows.
pub(super) struct Windows<'a> {
    pub(super) call: &'a PlainCall,
    pub(super) arena: *mut f32,
    pub(super) rows: Range<usize>,
}

/// The most rows of a window whose places are looked up once for all columns.
const TALLEST: usize = 8;

impl Kernel for Windows<'_> {
    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        let Windows { call, arena, rows } = self;
        let (input, output) = (&call.inputs[0], &call.output);
        let (is_max, counts_pad) = match call.op {
            Plain::Pool { pooling: Pooling::Max, .. } => (true, false),
            Plain::Pool { pooling: Pooling::Mean { count_pad }, .. } => (false, count_pad),
            _ => (false, false),
        };
        for y in rows {
            let (rows, height) = call.extent(0, y);
            // SAFETY: rows and columns of a window are clipped to the input; the rest as the caller promises.
            unsafe {
                output.zero_halo(arena, y, 0..output.channels);
                let mut starts = [arena; TALLEST];
                for (start, y) in starts.iter_mut().zip(rows.clone()) {
                    *start = at(arena, input, y, 0);
                }
                for x in 0..output.width {
                    let (columns, width) = call.extent(1, x);
                    let divisor = if counts_pad { height * width } else { rows.len() * columns.len() };
                    let window = Fold { call, arena, starts: &starts, rows: rows.clone(), columns, divisor };
                    let out = at(arena, output, y, x);
                    match (is_max, window.columns.len()) {
                        (true, 3) => window.fold::<I, true, 3>(out),
                        (true, _) => window.fold::<I, true, 0>(out),
                        (false, 3) => window.fold::<I, false, 3>(out),
                        (false, _) => window.fold::<I, false, 0>(out),
                    }
                }
            }
        }
    }
}

impl PlainCall {
    /// Rows (axis 0) or columns of the input that make an output row or column, and how many they are with the padding.
    #[inline(always)]
    fn extent(&self, axis: usize, i: usize) -> (Range<usize>, usize) {
        let (input, output) = (&self.inputs[0], &self.output);
        let size = [input.height, input.width][axis];
        let Plain::Pool { window, end_pad, .. } = &self.op else {
            let all = adaptive_window(i, [output.height, output.width][axis], size);
            return (all.clone(), all.len());
        };
        let start = i * window.stride[axis];
        let before = window.pad[axis];
        let end = (start + window.kernel[axis]).min(size + before + end_pad[axis]);
        let clip = |i: usize| i.saturating_sub(before).min(size);
        (clip(start)..clip(end), end.saturating_sub(start))
    }
}

/// The pixels that make an output pixel.
struct Fold<'a> {
    call: &'a PlainCall,
    arena: *mut f32,
    /// Column 0 of the first [`TALLEST`] of the rows.
    starts: &'a [*mut f32; TALLEST],
    rows: Range<usize>,
    columns: Range<usize>,
    divisor: usize,
}

impl Fold<'_> {
    /// The largest or the mean of the pixels, in `COLUMNS` columns, or as many as there are if that is 0.
    ///
    /// # Safety
    /// Rows and columns must lie in the input, which must lie in the arena; `out` must hold the output's channels.
    #[inline(always)]
    unsafe fn fold<I: Isa, const MAX: bool, const COLUMNS: usize>(self, out: *mut f32) {
        let Fold { call, arena, starts, rows, columns, divisor } = self;
        let (input, channels) = (&call.inputs[0], call.output.channels);
        let pixel = input.pixel;
        // SAFETY: the caller's promise; loads and stores are of the first `lanes` lanes.
        unsafe {
            let divisor = I::splat(divisor.max(1) as f32);
            vectors!(I, channels, |c, lanes| {
                let mut all = I::splat(if MAX { f32::NEG_INFINITY } else { 0.0 });
                for row in 0..rows.len() {
                    let start = if row < TALLEST {
                        *starts.get_unchecked(row)
                    } else {
                        at(arena, input, rows.start + row, 0)
                    };
                    let mut from = start.wrapping_add(columns.start * pixel + c);
                    // A row by itself first, as one fold waits for the one before.
                    let mut one = I::splat(if MAX { f32::NEG_INFINITY } else { 0.0 });
                    macro_rules! take {
                        () => {
                            let value = I::load_first(from, lanes);
                            one = if MAX { I::max(one, value) } else { I::add(one, value) };
                            from = from.wrapping_add(pixel);
                        };
                    }
                    if COLUMNS == 0 {
                        for _ in columns.clone() {
                            take!();
                        }
                    } else {
                        unroll!(_X < COLUMNS, at most 4, {
                            take!();
                        });
                    }
                    all = if MAX { I::max(all, one) } else { I::add(all, one) };
                }
                I::store_first(out.add(c), if MAX { all } else { I::div(all, divisor) }, lanes);
            });
        }
    }
}
