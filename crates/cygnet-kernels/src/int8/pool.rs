//! Windows of bytes that become one: the largest, or their mean.

use std::collections::BTreeSet;
use std::ops::Range;

use cygnet_cpu::{ByteLevel, Bytes, Store, adaptive_window, product};

use super::element::{at, words};
use super::ending::{Ending, Packed, ToBytes};
use super::work::{ByUnit, ByteWork, run_each};
use crate::map::{Element, Map, assert_elements};
use crate::unroll;
use crate::window::Window;

/// Which pixels become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pixels {
    /// All of them.
    All,
    /// Those of [windows that cover the map](crate::reference::adaptive_window), as many as the output has pixels.
    Adaptive,
    /// Those of a window of dilation 1; `end_pad` is the padding below and to the right.
    Window {
        /// The window.
        window: Window,
        /// Rows below and columns to the right.
        end_pad: [usize; 2],
    },
}

impl Pixels {
    /// # Panics
    /// If there are none, or sizes wrap or do not fit.
    fn assert(&self, input: &Map, output: &Map) {
        assert_eq!(input.channels, output.channels);
        assert!(input.height > 0 && input.width > 0);
        let scaled = |from: usize, to: usize| from.checked_add(1)?.checked_mul(to.checked_add(1)?);
        match self {
            Pixels::All => assert_eq!([output.height, output.width], [1, 1]),
            Pixels::Adaptive => {
                let scaled = [scaled(input.height, output.height), scaled(input.width, output.width)];
                assert!(scaled.iter().all(|size| size.is_some()), "sizes wrap");
            }
            Pixels::Window { window, end_pad } => {
                window.assert(input, output);
                let padded =
                    |size: usize, axis: usize| size.checked_add(window.pad[axis])?.checked_add(end_pad[axis]);
                assert!(
                    padded(input.height, 0).is_some() && padded(input.width, 1).is_some(),
                    "padding wraps"
                );
            }
        }
    }

    /// Rows (axis 0) or columns of the input that make an output row or column, and how many they are with the padding.
    #[inline(always)]
    fn extent(&self, axis: usize, input: &Map, output: &Map, i: usize) -> (Range<usize>, usize) {
        let size = [input.height, input.width][axis];
        match self {
            Pixels::All => (0..size, size),
            Pixels::Adaptive => {
                let all = adaptive_window(i, [output.height, output.width][axis], size);
                (all.clone(), all.len())
            }
            Pixels::Window { window, end_pad } => {
                let start = i * window.stride[axis];
                let before = window.pad[axis];
                let end = (start + window.kernel[axis]).min(size + before + end_pad[axis]);
                let clip = |i: usize| i.saturating_sub(before).min(size);
                (clip(start)..clip(end), end.saturating_sub(start))
            }
        }
    }
}

/// The largest byte of each window; 0 where a window sees no pixel.
#[derive(Clone, Debug)]
pub struct ByteMax {
    level: ByteLevel,
    pixels: Pixels,
    input: Map,
    output: Map,
    zero: u8,
}

/// How means become bytes or floats: `t = f32(sum - n * zero) * m` of the `n` places that count.
#[derive(Clone, Copy, Debug)]
pub struct Mean<'a> {
    /// Whether padding counts, as the zero point.
    pub count_pad: bool,
    /// The zero point of the input's grid.
    pub zero: u8,
    /// Its scale of each channel.
    pub scale: &'a [f32],
    /// The zero point and the scale of each channel of the output's grid; without, the output is of f32s.
    pub to: Option<(u8, &'a [f32])>,
}

/// The mean of each window.
#[derive(Clone, Debug)]
pub struct ByteMean {
    level: ByteLevel,
    pixels: Pixels,
    input: Map,
    output: Map,
    count_pad: bool,
    zero: u8,
    /// A list of factors for each number of places.
    ending: Packed,
    /// The numbers of places, in the order of their lists.
    numbers: Vec<usize>,
    /// Entries of a list.
    list: usize,
}

impl ByteMax {
    /// The output is on the input's grid, of this zero point.
    ///
    /// # Panics
    /// If maps are not of bytes, or sizes do not fit or wrap, or there is no pixel.
    #[must_use]
    pub fn new(level: ByteLevel, pixels: Pixels, input: Map, zero: u8, output: Map) -> ByteMax {
        assert_elements(Element::U8, [&input, &output]);
        pixels.assert(&input, &output);
        ByteMax { level, pixels, input, output, zero }
    }
}

impl ByteWork for ByteMax {
    fn level(&self) -> ByteLevel {
        self.level
    }

    fn reads(&self) -> Vec<Map> {
        vec![self.input]
    }

    fn writes(&self) -> Map {
        self.output
    }

    unsafe fn run(&self, arena: *mut u8, _scratch: *mut u8, units: Range<usize>) {
        // SAFETY: the caller's promise.
        unsafe { run_each(self, arena, units) }
    }
}

impl ByUnit for ByteMax {
    unsafe fn fill_halo(&self, arena: *mut u8, y: usize) {
        // SAFETY: the caller's promise.
        unsafe { self.output.fill_halo(arena, y, 0..self.output.channels, self.zero) }
    }

    #[inline(always)]
    unsafe fn unit<I: Bytes>(&self, arena: *mut u8, y: usize) {
        let (channels, width) = (self.output.channels, 4 * I::LANES);
        // SAFETY: the caller's promise; the last vector begins earlier than it could where that makes it whole.
        unsafe {
            if channels < width {
                return self.block::<I, false>(arena, y, 0);
            }
            for c in (0..channels).step_by(width) {
                self.block::<I, true>(arena, y, c.min(channels - width));
            }
        }
    }
}

impl ByteMax {
    /// A vector of channels of a row; all there are if they are no `WHOLE` one.
    ///
    /// # Safety
    /// As [`ByteWork::run`]; the row must lie in both maps, the channels in them.
    #[inline(always)]
    unsafe fn block<I: Bytes, const WHOLE: bool>(&self, arena: *mut u8, y: usize, c: usize) {
        let (input, output) = (&self.input, &self.output);
        let (rows, _) = self.pixels.extent(0, input, output, y);
        // SAFETY: the caller's promise; windows are clipped to the input.
        unsafe {
            // The largest of each of the last two columns, which the next window may see again.
            let (mut before, mut last, mut seen) = (I::splat(0), I::splat(0), 0);
            for x in 0..output.width {
                let (columns, _) = self.pixels.extent(1, input, output, x);
                let (mut most, mut next) = (I::splat(0), columns.start);
                if next + 2 == seen {
                    most = I::max_bytes(before, last);
                    next = seen;
                } else if next + 1 == seen {
                    most = last;
                    next = seen;
                }
                while next < columns.end {
                    let mut column = I::splat(0);
                    for row in rows.clone() {
                        let from = at(arena, input, row, next).wrapping_add(c);
                        let bytes = if WHOLE { I::load(from) } else { I::load_first(from, output.channels) };
                        column = I::max_bytes(column, bytes);
                    }
                    most = I::max_bytes(most, column);
                    (before, last) = (last, column);
                    next += 1;
                    seen = next;
                }
                let out = at(arena, output, y, x).wrapping_add(c);
                if WHOLE {
                    I::store(out, most);
                } else {
                    I::store_first(out, most, output.channels);
                }
            }
        }
    }
}

/// Rows and columns of means at most.
const MOST: usize = 1 << 16;

/// Factors of means at most.
const FACTORS: usize = 1 << 26;

/// Bytes in a vector at most.
const MOST_LANES: usize = 64;

/// Channels of a unit where all pixels become one.
const BLOCK: usize = 64;

impl ByteMean {
    /// Whether there are means of maps of such sizes: sums fit 32 bits, and windows on the map are not of too many sizes.
    #[must_use]
    pub fn is_of(pixels: &Pixels, count_pad: bool, input: &Map, output: &Map) -> bool {
        numbers(pixels, count_pad, input, output).is_some()
    }

    /// Packs factors into a store.
    ///
    /// # Panics
    /// If maps are of other elements than they should be, sizes do not fit or wrap, there is no pixel, lists have not one entry
    /// a channel, a factor is not finite, or there are [no means of such maps](ByteMean::is_of).
    #[must_use]
    pub fn new(
        store: &mut Store,
        level: ByteLevel,
        pixels: Pixels,
        input: Map,
        output: Map,
        mean: Mean<'_>,
    ) -> ByteMean {
        assert_elements(Element::U8, [&input]);
        pixels.assert(&input, &output);
        let channels = output.channels;
        assert_eq!(mean.scale.len(), channels);
        let numbers = numbers(&pixels, mean.count_pad, &input, &output);
        let numbers = numbers.expect("sums fit 32 bits, and windows are not of too many sizes");
        let largest = input.height * input.width;
        let len = channels + 4 * level.lanes();
        let factor = |n: usize, c: usize| {
            let to = mean.to.map_or(1.0, |(_, to)| f64::from(to[c]));
            (f64::from(mean.scale[c]) / (n as f64 * to)) as f32
        };
        let factors: Vec<f32> = numbers
            .iter()
            .flat_map(|&n| (0..len).map(move |c| (n, c)))
            .map(|(n, c)| if c < channels { factor(n, c) } else { 0.0 })
            .collect();
        assert!(factors.iter().all(|factor| factor.is_finite()), "factors are finite");
        let ending = match mean.to {
            None => Ending::Floats { scale: &factors },
            Some((zero, to)) => {
                assert_eq!(to.len(), channels);
                Ending::Bytes(ToBytes { scale: &factors, zero, term: None, limits: None, table: None })
            }
        };
        let order: Vec<Option<usize>> = (0..factors.len()).map(Some).collect();
        let sums = vec![255 * largest as i64; factors.len()];
        let of = Map { channels: factors.len(), ..output };
        let ending = Packed::new(store, level, &ending, &of, &order, &sums);
        let Mean { count_pad, zero, .. } = mean;
        ByteMean { level, pixels, input, output, count_pad, zero, ending, numbers, list: len }
    }

    fn is_one(&self) -> bool {
        [self.output.height, self.output.width] == [1, 1]
    }

    /// The row and the channels of a unit.
    fn part(&self, unit: usize) -> (usize, Range<usize>) {
        let all = self.output.channels;
        if self.is_one() { (0, unit * BLOCK..all.min((unit + 1) * BLOCK)) } else { (unit, 0..all) }
    }
}

impl ByteWork for ByteMean {
    fn level(&self) -> ByteLevel {
        self.level
    }

    fn reads(&self) -> Vec<Map> {
        vec![self.input]
    }

    fn writes(&self) -> Map {
        self.output
    }

    fn weight_bytes(&self) -> usize {
        self.ending.bytes()
    }

    /// Blocks of channels where all pixels become one, rows elsewhere.
    fn units(&self) -> usize {
        if self.is_one() { self.output.channels.div_ceil(BLOCK) } else { self.output.height }
    }

    unsafe fn run(&self, arena: *mut u8, _scratch: *mut u8, units: Range<usize>) {
        // SAFETY: the caller's promise.
        unsafe { run_each(self, arena, units) }
    }
}

/// The numbers of places that count in windows, in order, if sums fit 32 bits and there are not too many of them.
fn numbers(pixels: &Pixels, count_pad: bool, input: &Map, output: &Map) -> Option<Vec<usize>> {
    input.height.checked_mul(input.width).filter(|&n| n <= i32::MAX as usize / 255)?;
    if output.height.max(output.width) > MOST {
        return None;
    }
    let [rows, columns] = [0, 1].map(|axis| counts(pixels, axis, input, output, count_pad));
    let len = output.channels.checked_add(MOST_LANES)?;
    product(&[rows.len(), columns.len(), len]).filter(|&factors| factors <= FACTORS)?;
    let numbers =
        rows.iter().flat_map(|rows| columns.iter().map(|columns| rows.saturating_mul(*columns).max(1)));
    Some(numbers.collect::<BTreeSet<usize>>().into_iter().collect())
}

/// The different numbers of places that count, of rows (axis 0) or columns.
fn counts(pixels: &Pixels, axis: usize, input: &Map, output: &Map, count_pad: bool) -> Vec<usize> {
    let count = |i| {
        let (seen, all) = pixels.extent(axis, input, output, i);
        if count_pad { all } else { seen.len() }
    };
    let counts: BTreeSet<usize> = (0..[output.height, output.width][axis]).map(count).collect();
    counts.into_iter().collect()
}

impl ByUnit for ByteMean {
    unsafe fn fill_halo(&self, arena: *mut u8, unit: usize) {
        let (y, channels) = self.part(unit);
        // SAFETY: the caller's promise.
        unsafe { self.ending.fill_halo(&self.output, arena, y, channels) }
    }

    #[inline(always)]
    unsafe fn unit<I: Bytes>(&self, arena: *mut u8, unit: usize) {
        let (y, channels) = self.part(unit);
        let (input, output, width) = (&self.input, &self.output, 4 * I::LANES);
        let (rows, all_rows) = self.pixels.extent(0, input, output, y);
        // SAFETY: the caller's promise; the window is clipped to the input, and there is a list for every number of places.
        unsafe {
            let ones = I::splat(if I::PARTS == 1 { 0x0101_0101 } else { 0x0001_0001 });
            for x in 0..output.width {
                let (columns, all_columns) = self.pixels.extent(1, input, output, x);
                let seen = rows.len() * columns.len();
                let counted = if self.count_pad { all_rows * all_columns } else { seen };
                let Ok(list) = self.numbers.binary_search(&counted.max(1)) else { continue };
                let zeros = I::splat((seen as u32).wrapping_mul(u32::from(self.zero)).wrapping_neg());
                let mut c = channels.start;
                while c < channels.end {
                    let left = (channels.end - c).min(width);
                    let mut sums = [zeros; 4];
                    for row in rows.clone() {
                        let mut from = at(arena, input, row, columns.start).wrapping_add(c);
                        let mut rest = columns.len();
                        while rest >= 4 {
                            let mut four = [zeros; 4];
                            unroll!(P < 4, at most 4, {
                                four[P] = I::load_first(from.wrapping_add(P * input.pixel), left);
                            });
                            let mixed = I::interleave(four);
                            unroll!(V < 4, at most 4, {
                                unroll!(H < I::PARTS, at most 4, {
                                    sums[V] = I::dot(sums[V], I::part(mixed[V], H), ones);
                                });
                            });
                            from = from.wrapping_add(4 * input.pixel);
                            rest -= 4;
                        }
                        for _ in 0..rest {
                            let pixel = words::<I>(from, left);
                            unroll!(V < 4, at most 4, {
                                sums[V] = I::add(sums[V], pixel[V]);
                            });
                            from = from.wrapping_add(input.pixel);
                        }
                    }
                    let out = at(arena, output, y, x).add(c * output.element.bytes());
                    self.ending.finish::<I, 4>(sums, list * self.list + c, out, arena, left);
                    c += width;
                }
            }
        }
    }
}
