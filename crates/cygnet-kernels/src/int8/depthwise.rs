//! Depthwise convolution of bytes. The rows that a window sees are interleaved in a thread's own memory: words of the same
//! column of four rows, so that a dot product takes a column of the window at once. Two output rows share them where windows
//! move by one row.

mod band;
mod blocks;

use std::ops::Range;

use cygnet_cpu::{ByteLevel, Store, Weights, packed, product, tuning};

use super::conv::ByteWeights;
use super::ending::{Ending, Packed};
use super::work::ByteWork;
use crate::map::{Element, Map, assert_elements, macs};
use crate::window::{Window, check_reach};
use band::{Band, has_small_blocks, slides};

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
    /// Whether rows are computed as if they were one pixel; otherwise each block of channels by itself.
    is_flat: bool,
    /// Blocks of four vectors, and the vectors of one more, 0, 1 or 2.
    blocks: [usize; 2],
    /// For each column of the window, group of rows, part and output row of those together, a list of words, one a channel.
    weights: Weights<i32>,
    /// Words of each of these lists: of a row, the channels over and over; or else those of each block.
    list: usize,
    bias: Weights<i32>,
    ending: Packed,
    /// Output columns that are computed together.
    columns: usize,
}

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
        // Distances count rows of a group that no window has.
        let window = window.settled();
        let [kh, kw] = window.kernel;
        assert_elements(Element::U8, [&input]);
        assert_eq!((data.inputs, input.channels), (1, output.channels));
        let (channels, taps) = (output.channels, product(&window.kernel));
        let sums = data.sums(channels, taps);
        check_reach(&window, &input, &output);
        let taps = taps.unwrap_or(0);
        let together = together(&window, &output);
        let groups = rows_of(&window, together).div_ceil(4);
        let (lanes, parts) = (level.lanes(), level.parts());
        let blocks = blocks(lanes, &window, &output);
        let maps = [&input, &output].into_iter().chain(ending.term());
        let is_dense = window.stride[1] == 1 && maps.into_iter().all(|map| map.pixel == channels);
        let is_flat = is_dense && pays_flat(channels, (4 * blocks[0] + blocks[1]) * lanes);
        let order = if is_flat {
            (0..channels + 4 * lanes).map(|i| i.checked_rem(channels)).collect()
        } else {
            of_blocks(lanes, blocks, channels, ending.is_plain(&sums))
        };
        let list = order.len();
        let lists = product(&[kw, groups, parts, together]).and_then(|lists| lists.checked_mul(list));
        let weights = store.keep(lists.expect("weights can be counted"), |words: &mut [i32]| {
            let places = (0..kw).flat_map(|kx| (0..groups).map(move |group| (kx, group)));
            let places = places.flat_map(|place| (0..parts).map(move |part| (place, part)));
            let places = places.flat_map(|place| (0..together).map(move |row| (place, row)));
            for (list, (((kx, group), part), row)) in words.chunks_exact_mut(list.max(1)).zip(places) {
                for (word, c) in list.iter_mut().zip(&order) {
                    let Some(c) = c else { continue };
                    let weight = |i: usize| {
                        let ky = (4 * group + i).checked_sub(row).filter(|&ky| ky < kh);
                        ky.map_or(0, |ky| data.weight[c * taps + ky * kw + kx])
                    };
                    *word = level.weight_words([weight(0), weight(1), weight(2), weight(3)])[part] as i32;
                }
            }
        });
        let bias = store.keep(list, |bias: &mut [i32]| {
            for (bias, c) in bias.iter_mut().zip(&order) {
                let Some(c) = *c else { continue };
                let sum: i64 = data.weight[c * taps..][..taps].iter().map(|&weight| i64::from(weight)).sum();
                *bias = (i64::from(data.bias[c]) - i64::from(data.zero) * sum) as i32;
            }
        });
        let ending = Packed::new(store, level, &ending, &output, &order, &sums);
        let zero = data.zero;
        let mut call = ByteDepthwise {
            level,
            window,
            input,
            output,
            zero,
            together,
            groups,
            is_flat,
            blocks,
            weights,
            list,
            bias,
            ending,
            columns: 1,
        };
        call.columns = call.columns_within(tuning::STRIP);
        call
    }

    /// Input columns that so many output columns see.
    fn seen(&self, columns: usize) -> usize {
        (columns.max(1) - 1) * self.window.stride[1] + self.reach()
    }

    /// Columns that a window spans.
    fn reach(&self) -> usize {
        (self.window.kernel[1] - 1) * self.window.dilation[1] + 1
    }

    /// Channels of a column that is interleaved at once, by blocks of so many vectors.
    fn pitch(&self, vectors: usize) -> usize {
        if self.is_flat { self.output.channels } else { vectors * self.level.lanes() }
    }

    /// Bytes of interleaved rows of some columns.
    fn bytes(&self, columns: usize) -> Option<usize> {
        product(&[
            columns,
            self.pitch(if self.blocks[0] > 0 { 4 } else { 2 }),
            self.groups,
            self.level.parts(),
            size_of::<u32>(),
        ])
    }

    /// Output columns, of a row in equal parts, whose interleaved rows take about so many bytes.
    fn columns_within(&self, bytes: usize) -> usize {
        let width = self.output.width.max(1);
        let column = self.bytes(1).unwrap_or(usize::MAX).max(1);
        let fit = (bytes / column).saturating_sub(self.reach()) / self.window.stride[1] + 1;
        width.div_ceil(width.div_ceil(fit.clamp(1, width)))
    }

    /// Bytes after each part's interleaved rows that whole vectors reach.
    fn slack(&self) -> usize {
        16 * self.level.lanes() * self.groups * self.level.parts()
    }
}

impl ByteWork for ByteDepthwise {
    fn level(&self) -> ByteLevel {
        self.level
    }

    fn macs(&self) -> u64 {
        let [rows, columns] = self.window.kernel;
        macs(&[self.output.height, self.output.width, self.output.channels, rows, columns])
    }

    fn reads(&self) -> Vec<Map> {
        [self.input].into_iter().chain(self.ending.term().copied()).collect()
    }

    fn writes(&self) -> Map {
        self.output
    }

    fn weight_bytes(&self) -> usize {
        (self.weights.len() + self.bias.len()) * size_of::<i32>() + self.ending.bytes()
    }

    fn scratch(&self) -> usize {
        let bytes = self.bytes(self.seen(self.columns)).and_then(|bytes| bytes.checked_add(self.slack()));
        bytes.unwrap_or(usize::MAX)
    }

    /// The output rows that are computed together.
    fn units(&self) -> usize {
        self.output.height.div_ceil(self.together)
    }

    unsafe fn run(&self, arena: *mut u8, scratch: *mut u8, units: Range<usize>) {
        for unit in units {
            let y = unit * self.together;
            let rows = y..self.output.height.min(y + self.together);
            for y in rows.clone() {
                // SAFETY: the caller's promise.
                unsafe { self.ending.fill_halo(&self.output, arena, y, 0..self.output.channels) };
            }
            for x in (0..self.output.width).step_by(self.columns) {
                let columns = x..self.output.width.min(x + self.columns);
                // SAFETY: the caller's promise.
                unsafe { Band { op: self, input: arena, arena, scratch, rows: rows.clone(), columns }.run() };
            }
        }
    }
}

/// Whether rows without gaps are computed in less time as if they were one pixel than by blocks of `all` channels: what blocks
/// compute in vain or twice against what they keep in registers.
fn pays_flat(channels: usize, all: usize) -> bool {
    channels > 0 && all * 3 > channels * 4
}

/// Output rows that are computed together.
fn together(window: &Window, output: &Map) -> usize {
    if window.stride[0] == 1 && window.dilation[0] == 1 && output.height > 1 { 2 } else { 1 }
}

/// Rows that the windows of so many output rows see.
fn rows_of(window: &Window, together: usize) -> usize {
    window.kernel[0] + together - 1
}

/// Blocks of four vectors, whose last begins earlier than it could where that makes it whole; and the vectors of one more for
/// few channels that are left, for windows of the sizes that are frequent.
fn blocks(lanes: usize, window: &Window, output: &Map) -> [usize; 2] {
    let (channels, together) = (output.channels, together(window, output));
    let is_frequent = match window.kernel {
        [3, 3] => slides(together, window),
        [5, 5] => together == 1,
        _ => false,
    } && has_small_blocks(lanes);
    match (channels % (4 * lanes)).div_ceil(lanes) {
        rest @ (1 | 2) if is_frequent => [channels / (4 * lanes), rest],
        _ => [channels.div_ceil(4 * lanes), 0],
    }
}

/// The channel at each place of the lists of blocks: as four vectors are packed, or in line.
fn of_blocks(
    lanes: usize,
    [whole, rest]: [usize; 2],
    channels: usize,
    is_packed: bool,
) -> Vec<Option<usize>> {
    let block = 4 * lanes;
    let channel = |i: usize| {
        let (start, place) = (block_start(i / block, block, channels), i % block);
        if i >= whole * block {
            return i;
        }
        start + if is_packed { packed(lanes, 4, place / lanes, place % lanes) } else { place }
    };
    let places = 0..whole * block + rest * lanes;
    places.map(channel).map(|c| (c < channels).then_some(c)).collect()
}

/// The first channel of a block.
fn block_start(i: usize, block: usize, channels: usize) -> usize {
    (i * block).min(channels.saturating_sub(block))
}
