//! Depthwise convolution of bytes. The rows that a window sees are interleaved in a thread's own memory: words of the same
//! column of four rows, so that a dot product takes a column of the window at once. Two output rows share them where windows
//! move by one row.

mod rows;

use std::ops::Range;

use cygnet_cpu::{ByteLevel, Store, Weights, product, tuning};

use super::conv::ByteWeights;
use super::ending::{Ending, Packed};
use crate::map::{Element, Map, assert_elements, macs};
use crate::window::{Window, check_reach};
use rows::Band;

/// A depthwise convolution of bytes with what follows it.
#[derive(Clone, Debug)]
pub struct ByteDepthwise {
    level: ByteLevel,
    window: Window,
    input: Map,
    output: Map,
    zero: u8,
    /// Output rows that are computed together: 1 or 2.
    together: usize,
    /// Groups of four rows that their windows see.
    groups: usize,
    /// For each column of the window, group of rows, part and output row of those together: a word a channel, over and over.
    weights: Weights<i32>,
    /// Words of each of these lists.
    list: usize,
    bias: Weights<i32>,
    ending: Packed,
    /// Channels that are computed together.
    block: usize,
    /// Output columns that are computed together.
    columns: usize,
}

/// Channels from which on they are computed in blocks.
const BLOCK: usize = 256;

/// Channels of a block are a multiple of these, whole vectors of every set.
const WHOLE: usize = 64;

impl ByteDepthwise {
    /// Packs `weight`, `[channels, kernel rows, kernel columns]`, into a store.
    ///
    /// # Panics
    /// If maps are of other elements than they should be, lengths contradict each other, the input's halo is narrower than the
    /// window reaches, or a sum may leave i32.
    #[must_use]
    pub fn new(
        store: &mut Store,
        level: ByteLevel,
        window: Window,
        input: Map,
        data: ByteWeights<'_>,
        output: Map,
        ending: Ending<'_>,
    ) -> ByteDepthwise {
        let [kh, kw] = window.kernel;
        assert_elements(Element::U8, [&input]);
        assert_eq!((data.inputs, input.channels), (1, output.channels));
        let (channels, taps) = (output.channels, product(&window.kernel));
        let sums = data.sums(channels, taps);
        check_reach(&window, &input, &output);
        let together =
            if window.stride[0] == 1 && window.dilation[0] == 1 && output.height > 1 { 2 } else { 1 };
        let groups = (kh + together - 1).div_ceil(4);
        let (lanes, parts) = (level.lanes(), level.parts());
        // Lists go on as long as four vectors that begin at any channel.
        let order: Vec<Option<usize>> = (0..channels + 4 * lanes).map(|i| i.checked_rem(channels)).collect();
        let list = order.len();
        let lists = product(&[kw, groups, parts, together]).and_then(|lists| lists.checked_mul(list));
        let weights = store.keep(lists.expect("weights can be counted"), |words: &mut [i32]| {
            let mut lists = words.chunks_exact_mut(list);
            let places = (0..kw).flat_map(|kx| (0..groups).map(move |group| (kx, group)));
            for (kx, group) in places {
                for part in 0..parts {
                    for row in 0..together {
                        let Some(list) = lists.next() else { return };
                        for (word, c) in list.iter_mut().zip(&order) {
                            let Some(c) = c else { continue };
                            let weight = |i: usize| {
                                let ky = (4 * group + i).checked_sub(row).filter(|&ky| ky < kh);
                                ky.map_or(0, |ky| data.weight[(c * kh + ky) * kw + kx])
                            };
                            *word =
                                level.weight_words([weight(0), weight(1), weight(2), weight(3)])[part] as i32;
                        }
                    }
                }
            }
        });
        let bias = store.keep(list, |bias: &mut [i32]| {
            for (bias, c) in bias.iter_mut().zip(&order) {
                let Some(c) = *c else { continue };
                let taps = taps.unwrap_or(0);
                let sum: i64 = data.weight[c * taps..][..taps].iter().map(|&weight| i64::from(weight)).sum();
                *bias = (i64::from(data.bias[c]) - i64::from(data.zero) * sum) as i32;
            }
        });
        let ending = Packed::new(store, level, &ending, &output, &order, &sums);
        let mut call = ByteDepthwise {
            level,
            window,
            input,
            output,
            zero: data.zero,
            together,
            groups,
            weights,
            list,
            bias,
            ending,
            block: channels,
            columns: 1,
        };
        if channels > BLOCK {
            call.block = channels.div_ceil(channels.div_ceil(BLOCK)).next_multiple_of(WHOLE);
        }
        call.columns = call.columns_within(tuning::STRIP);
        call
    }

    /// Input columns that so many output columns see.
    fn seen(&self, columns: usize) -> usize {
        (columns.max(1) - 1) * self.window.stride[1]
            + (self.window.kernel[1] - 1) * self.window.dilation[1]
            + 1
    }

    /// Bytes of interleaved rows of some columns.
    fn bytes(&self, columns: usize) -> Option<usize> {
        product(&[columns, self.block, self.groups, self.level.parts(), size_of::<u32>()])
    }

    /// Output columns, of a row in equal parts, whose interleaved rows take about so many bytes.
    fn columns_within(&self, bytes: usize) -> usize {
        let width = self.output.width.max(1);
        let column = self.bytes(1).unwrap_or(usize::MAX).max(1);
        let fit = (bytes / column).saturating_sub(self.seen(1)) / self.window.stride[1] + 1;
        width.div_ceil(width.div_ceil(fit.clamp(1, width)))
    }

    pub(super) fn level(&self) -> ByteLevel {
        self.level
    }

    pub(super) fn macs(&self) -> u64 {
        let [rows, columns] = self.window.kernel;
        macs(&[self.output.height, self.output.width, self.output.channels, rows, columns])
    }

    pub(super) fn reads(&self) -> Vec<Map> {
        [self.input].into_iter().chain(self.ending.term().copied()).collect()
    }

    pub(super) fn writes(&self) -> Map {
        self.output
    }

    pub(super) fn weight_bytes(&self) -> usize {
        (self.weights.len() + self.bias.len()) * size_of::<i32>() + self.ending.bytes()
    }

    /// Bytes of a thread's own memory that it works in: interleaved rows, and vectors after them.
    pub(super) fn scratch(&self) -> usize {
        let bytes = self.bytes(self.seen(self.columns)).and_then(|bytes| bytes.checked_add(self.slack()));
        bytes.unwrap_or(usize::MAX)
    }

    /// Bytes after each part's interleaved rows that whole vectors reach.
    fn slack(&self) -> usize {
        16 * self.level.lanes() * self.groups * self.level.parts()
    }

    /// For each block of channels, the output rows that are computed together.
    pub(super) fn units(&self) -> usize {
        self.output.channels.div_ceil(self.block.max(1)) * self.output.height.div_ceil(self.together)
    }

    /// Computes some units.
    ///
    /// # Safety
    /// As [`super::ByteConv::run`]; `scratch` must be the caller's alone and hold [`ByteDepthwise::scratch`] bytes.
    pub(super) unsafe fn run(&self, arena: *mut u8, scratch: *mut u8, units: Range<usize>) {
        let bands = self.output.height.div_ceil(self.together);
        for unit in units {
            let start = unit / bands * self.block;
            let channels = start..self.output.channels.min(start + self.block);
            // SAFETY: the caller's promise.
            unsafe { self.band(arena, arena, scratch, unit % bands * self.together, channels) };
        }
    }

    /// Computes the output rows from `y` on that are computed together, some channels, a whole block at most; the input lies in
    /// memory of its own.
    ///
    /// # Safety
    /// As [`ByteDepthwise::run`].
    pub(super) unsafe fn band(
        &self,
        input: *const u8,
        arena: *mut u8,
        scratch: *mut u8,
        y: usize,
        channels: Range<usize>,
    ) {
        let rows = y..self.output.height.min(y + self.together);
        for y in rows.clone() {
            // SAFETY: the caller's promise.
            unsafe { self.ending.fill_halo(&self.output, arena, y, channels.clone()) };
        }
        let width = self.output.width;
        for x in (0..width).step_by(self.columns) {
            let columns = x..width.min(x + self.columns);
            let band = Band {
                op: self,
                input,
                arena,
                scratch,
                rows: rows.clone(),
                columns,
                channels: channels.clone(),
            };
            // SAFETY: the caller's promise.
            unsafe { band.run() };
        }
    }
}
