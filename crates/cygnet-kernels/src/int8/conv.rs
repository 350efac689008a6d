//! Dense convolution of bytes as an implicit matrix product: tiles of pixels × vectors of output channels stay in
//! registers while groups of four inputs stream by. Linear layers and 1×1 convolutions are the same.

mod taps;
mod tile;

use std::ops::Range;

use cygnet_cpu::{ByteLevel, Store, Weights, packed, product, tuning};

use super::ending::{Ending, Packed};
use super::work::ByteWork;
use crate::conv::Part;
use crate::map::{Element, Map, assert_elements, macs};
use crate::window::{Window, check_reach};
use taps::{Group, Tap, Taps};
use tile::Strip;

/// What a layer over bytes computes with: `bias + sum of (x - zero) * weight`, in i32.
#[derive(Clone, Copy, Debug)]
pub struct ByteWeights<'a> {
    /// `[out, inputs, kernel rows, kernel columns]`.
    pub weight: &'a [i8],
    /// One number an output channel.
    pub bias: &'a [i32],
    /// Input channels of the weight.
    pub inputs: usize,
    /// The zero point of the input's grid, which its halo holds.
    pub zero: u8,
}

impl ByteWeights<'_> {
    /// How large the sum of each output channel may be.
    ///
    /// # Panics
    /// If there is not one bias for each of `channels`, the weight has not `per_output` numbers for each, or a sum may leave
    /// i32.
    pub(super) fn sums(&self, channels: usize, per_output: Option<usize>) -> Vec<i64> {
        assert_eq!(self.bias.len(), channels);
        let per_output = per_output.expect("a window's inputs can be counted");
        assert_eq!(Some(self.weight.len()), product(&[channels, per_output]));
        let largest = |c: usize| {
            let weight = &self.weight[c * per_output..][..per_output];
            let sum: i64 = weight.iter().map(|&weight| i64::from(weight).abs()).sum();
            255 * sum + i64::from(self.bias[c]).abs()
        };
        let sums: Vec<i64> = (0..channels).map(largest).collect();
        assert!(sums.iter().all(|&sum| sum <= i32::MAX.into()), "sums do not fit 32 bits");
        sums
    }
}

/// Output channels of one column of tiles.
#[derive(Clone, Copy, Debug)]
struct Panel {
    /// First output channel.
    start: usize,
    /// Output channels; the last vector may be partly used.
    channels: usize,
    /// Vectors: 1, 2 or 4.
    vectors: usize,
    /// Place of its first channel in lists of constants.
    at: usize,
    /// Offset of its packed weights, in words.
    weights: usize,
}

/// A dense convolution of bytes with what follows it.
#[derive(Clone, Debug)]
pub struct ByteConv {
    level: ByteLevel,
    window: Window,
    height: usize,
    /// Inputs of an output.
    depth: usize,
    /// Groups of four of them.
    groups: usize,
    taps: Vec<Tap>,
    /// Index of the first tap of each row of the window.
    rows: Vec<usize>,
    panels: Vec<Panel>,
    weights: Weights<i32>,
    bias: Weights<i32>,
    /// What rows of padding add to the bias: a list of what the window's first rows do, for none, one, … all of them.
    missing: Weights<i32>,
    output: Map,
    ending: Packed,
    /// Columns that are computed together, a strip.
    columns: usize,
    strips: usize,
    rows_first: bool,
}

/// Columns of a strip are a multiple of these, which all tiles divide.
const COLUMNS: usize = 12;

impl ByteConv {
    /// Packs the weights into a store. A part's map may have up to three channels more than the part: these are read and
    /// are of no account, as the fourth byte of an image's pixels. Whole groups of four channels are fastest.
    ///
    /// # Panics
    /// If maps are of other elements than they should be, lengths contradict each other, an input's halo is narrower than the
    /// window reaches, or a sum may leave i32.
    #[must_use]
    pub fn new(
        store: &mut Store,
        level: ByteLevel,
        window: Window,
        parts: &[Part],
        data: ByteWeights<'_>,
        output: Map,
        ending: Ending<'_>,
    ) -> ByteConv {
        let [kh, kw] = window.kernel;
        assert_elements(Element::U8, parts.iter().map(|part| &part.map));
        let sums = data.sums(output.channels, product(&[data.inputs, kh, kw]));
        match parts {
            [] => window.assert(&Map::dense(0, [0, 0, 0]), &output),
            _ => parts.iter().for_each(|part| check_reach(&window, &part.map, &output)),
        }
        let joined = is_joined(&window, parts, &output, ending.term());
        let join = |map: Map| if joined { map.flat() } else { map };
        let join_part = |part: &Part| Part { map: join(part.map), channels: part.channels.clone() };
        let parts: Vec<Part> = parts.iter().map(join_part).collect();
        let (output, ending) = (join(output), ending.with_term(join));
        let Taps { taps, rows, order } = Taps::new(&window, &parts, &output);
        let height = parts.first().map_or(0, |part| part.map.height);

        let panels = panels(level, output.channels, order.len());
        let channel_of = places(level, &panels, !ending.is_plain(&sums));
        let packed = Packed::new(store, level, &ending, &output, &channel_of, &sums);
        let weights = pack(store, level, &panels, &channel_of, &order, &data, kh, kw);
        let (bias, missing) = biases(store, kh, kw, &channel_of, &data);

        let reads = product(&[order.len(), 4, output.width]).unwrap_or(usize::MAX);
        let strips = reads.div_ceil(tuning::STRIP).clamp(1, output.width.max(1));
        let columns = output.width.div_ceil(strips).max(1).next_multiple_of(COLUMNS);
        ByteConv {
            level,
            window,
            height,
            depth: data.inputs * kh * kw,
            groups: order.len(),
            taps,
            rows,
            rows_first: weights.len() * size_of::<i32>() <= tuning::RESIDENT,
            panels,
            weights,
            bias,
            missing,
            output,
            ending: packed,
            columns,
            strips: output.width.div_ceil(columns),
        }
    }

    /// Computes some columns of an output row, a panel's channels.
    ///
    /// # Safety
    /// As [`ByteWork::run`]; row and columns must be within the output, which lies in memory of its own.
    #[inline(always)]
    unsafe fn strip(
        &self,
        arena: *const u8,
        output: *mut u8,
        y: usize,
        columns: Range<usize>,
        panel: &Panel,
    ) {
        let largest = self.level.tile()[panel.vectors / 2];
        let tiles = columns.len().div_ceil(largest);
        let (pixels, larger) = (columns.len() / tiles.max(1), columns.len() % tiles.max(1));
        let rows = self.window.rows(y, self.height);
        let mut clipped = [0; 64];
        let mut bias = self.bias[panel.at..].as_ptr();
        if rows != (0..self.window.kernel[0]) && !self.missing.is_empty() {
            self.clip(panel, rows, &mut clipped);
            bias = clipped.as_ptr();
        }
        let all = Strip { conv: self, panel, arena, output, bias, y, x: columns.start, tiles: larger };
        // SAFETY: rows of the window lie on the image and columns within it and its halo, as `check_reach` made sure; the
        // output row and the panel's channels lie in the output map.
        unsafe {
            if larger > 0 {
                all.run(pixels + 1);
            }
            if tiles > larger {
                Strip { x: all.x + larger * (pixels + 1), tiles: tiles - larger, ..all }.run(pixels);
            }
        }
    }
}

impl ByteWork for ByteConv {
    fn level(&self) -> ByteLevel {
        self.level
    }

    fn macs(&self) -> u64 {
        macs(&[self.output.height, self.output.width, self.output.channels, self.depth])
    }

    fn reads(&self) -> Vec<Map> {
        self.taps.iter().map(|tap| tap.map).chain(self.ending.term().copied()).collect()
    }

    fn writes(&self) -> Map {
        self.output
    }

    /// For each row, its strips, for each of those all panels; or panels
    /// outermost, if the weights are many.
    fn units(&self) -> usize {
        self.output.height * self.strips * self.panels.len()
    }

    fn weight_bytes(&self) -> usize {
        (self.weights.len() + self.bias.len() + self.missing.len()) * size_of::<i32>() + self.ending.bytes()
    }

    unsafe fn run(&self, arena: *mut u8, _scratch: *mut u8, units: Range<usize>) {
        let (panels, strips, height) = (self.panels.len(), self.strips, self.output.height);
        for unit in units {
            let (y, strip, panel) = if self.rows_first {
                (unit / panels / strips, unit / panels % strips, unit % panels)
            } else {
                (unit / strips % height, unit % strips, unit / strips / height)
            };
            let panel = &self.panels[panel];
            // SAFETY: as the caller promises; the unit lies within the output.
            unsafe {
                if strip == 0 && self.output.halo != [0, 0] {
                    let channels = panel.start..panel.start + panel.channels;
                    self.ending.fill_halo(&self.output, arena, y, channels);
                }
                let columns = strip * self.columns..self.output.width.min((strip + 1) * self.columns);
                self.strip(arena, arena, y, columns, panel);
            }
        }
    }
}

impl ByteConv {
    /// The bias of a panel's channels where the window sees some of its rows only.
    fn clip(&self, panel: &Panel, rows: Range<usize>, bias: &mut [i32; 64]) {
        let list = |row: usize| &self.missing[row * self.bias.len() + panel.at..];
        let (above, seen, all) = (list(rows.start), list(rows.end), list(self.window.kernel[0]));
        let full = &self.bias[panel.at..];
        for (i, bias) in bias.iter_mut().enumerate().take(full.len()) {
            *bias = full[i].wrapping_add(above[i]).wrapping_add(all[i].wrapping_sub(seen[i]));
        }
    }
}

/// Whether all pixels can be computed as one row.
fn is_joined(window: &Window, parts: &[Part], output: &Map, term: Option<&Map>) -> bool {
    let flat = |map: &Map| map.is_flat() && map.halo == [0, 0];
    // Rows of padding below count as others above and at the sides do.
    let is_point = [window.kernel, window.stride] == [[1, 1], [1, 1]]
        && window.pad == [0, 0]
        && parts.iter().all(|part| [part.map.height, part.map.width] == [output.height, output.width]);
    is_point && parts.iter().map(|part| &part.map).chain([output]).chain(term).all(flat)
}

/// Cuts output channels into panels, of four vectors as long as there are so many; the weights of each are `groups` times
/// four for every channel.
fn panels(level: ByteLevel, channels: usize, groups: usize) -> Vec<Panel> {
    let lanes = level.lanes();
    let mut panels: Vec<Panel> = Vec::new();
    let (mut start, mut at) = (0, 0);
    while start < channels {
        let vectors = match (channels - start).div_ceil(lanes) {
            4.. => 4,
            2 | 3 => 2,
            _ => 1,
        };
        let width = vectors * lanes;
        let weights = at * groups * level.parts();
        panels.push(Panel { start, channels: width.min(channels - start), vectors, at, weights });
        start += width;
        at += width;
    }
    panels
}

/// The channel at each place of lists of constants: in line, or as four vectors are packed.
fn places(level: ByteLevel, panels: &[Panel], in_line: bool) -> Vec<Option<usize>> {
    let lanes = level.lanes();
    let mut places = Vec::new();
    for panel in panels {
        for word in 0..panel.vectors * lanes {
            let place = if in_line { word } else { packed(lanes, panel.vectors, word / lanes, word % lanes) };
            places.push((place < panel.channels).then_some(panel.start + place));
        }
    }
    places
}

/// Packs `[out, in, kh, kw]` for panels: for each group of four inputs and each part of it, the words of the panel's output
/// channels, zeros where there is no channel or no input.
#[allow(clippy::too_many_arguments, reason = "once, where all of it is known")]
fn pack(
    store: &mut Store,
    level: ByteLevel,
    panels: &[Panel],
    channel_of: &[Option<usize>],
    order: &[Group],
    data: &ByteWeights<'_>,
    kh: usize,
    kw: usize,
) -> Weights<i32> {
    let per_output = data.inputs * kh * kw;
    let place = |[c, ky, kx]: [usize; 3]| (c * kh + ky) * kw + kx;
    let places: Vec<[Option<usize>; 4]> =
        order.iter().map(|group| group.map(|input| input.map(place))).collect();
    assert!(places.iter().flatten().flatten().all(|&place| place < per_output));
    let parts = level.parts();
    store.keep(channel_of.len() * order.len() * parts, |words: &mut [i32]| {
        for panel in panels {
            let width = panel.vectors * level.lanes();
            let words = &mut words[panel.weights..][..width * order.len() * parts];
            for (i, c) in channel_of[panel.at..][..width].iter().enumerate() {
                let Some(c) = c else { continue };
                let of_channel = &data.weight[c * per_output..][..per_output];
                for (words, group) in words.chunks_exact_mut(width * parts).zip(&places) {
                    let four = group.map(|place| place.map_or(0, |place| of_channel[place]));
                    for (part, word) in level.weight_words(four).into_iter().take(parts).enumerate() {
                        words[part * width + i] = word as i32;
                    }
                }
            }
        }
    })
}

/// `bias - zero * (sum of its weights)` of the channel at each place; and `zero * (sum of the weights of the window's first
/// rows)`, of none, one, … all of them.
fn biases(
    store: &mut Store,
    kh: usize,
    kw: usize,
    channel_of: &[Option<usize>],
    data: &ByteWeights<'_>,
) -> (Weights<i32>, Weights<i32>) {
    let of_input = |c: usize, i: usize| &data.weight[(c * data.inputs + i) * kh * kw..][..kh * kw];
    // Sums of fewer weights than all fit as those do.
    let zero_times =
        |weights: &[i8]| i64::from(data.zero) * weights.iter().map(|&weight| i64::from(weight)).sum::<i64>();
    let bias = store.keep(channel_of.len(), |bias: &mut [i32]| {
        for (bias, c) in bias.iter_mut().zip(channel_of) {
            let Some(c) = *c else { continue };
            let sum: i64 = (0..data.inputs).map(|i| zero_times(of_input(c, i))).sum();
            *bias = (i64::from(data.bias[c]) - sum) as i32;
        }
    });
    let lists = if data.zero == 0 { 0 } else { kh + 1 };
    let len = product(&[lists, channel_of.len()]).expect("sums can be counted");
    let missing = store.keep(len, |all: &mut [i32]| {
        for (place, c) in channel_of.iter().enumerate() {
            let Some(c) = *c else { continue };
            let mut sum = 0;
            for (ky, list) in all.chunks_exact_mut(channel_of.len()).enumerate() {
                list[place] = sum as i32;
                if ky < kh {
                    sum +=
                        (0..data.inputs).map(|i| zero_times(&of_input(c, i)[ky * kw..][..kw])).sum::<i64>();
                }
            }
        }
    });
    (bias, missing)
}
