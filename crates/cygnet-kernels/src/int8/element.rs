//! Operators that compute each element by itself.

use std::ops::Range;

use cygnet_cpu::{ByteLevel, Bytes, Store, Weights};

use super::ending::{Ending, Packed, Table};
use super::work::{ByUnit, ByteWork, run_each};
use crate::map::{Element, Map, assert_elements};
use crate::unroll;

/// Rows whose elements are computed by themselves: of maps without gaps as if they were one pixel.
#[derive(Clone, Debug)]
struct Rows {
    /// Elements that follow each other, and how many channels they are over and over.
    len: usize,
    period: usize,
    /// Such pieces of a row.
    pieces: usize,
}

impl Rows {
    fn new<'a>(output: &'a Map, others: impl IntoIterator<Item = &'a Map>) -> Rows {
        let channels = output.channels;
        let is_flat = others.into_iter().chain([output]).all(|map| map.pixel == channels);
        match output.width.checked_mul(channels) {
            Some(len) if is_flat => Rows { len, period: channels, pieces: 1 },
            _ => Rows { len: channels, period: channels, pieces: output.width },
        }
    }

    /// Lists of one entry a channel go on as long as four vectors that begin at any channel.
    fn order(level: ByteLevel, channels: usize) -> Vec<Option<usize>> {
        (0..channels + 4 * level.lanes()).map(|i| i.checked_rem(channels)).collect()
    }
}

/// Repeats the block for every vector of bytes of a piece, with its first element, that one's channel, and its elements. The
/// last begins earlier than it could where that makes it whole.
macro_rules! pieces {
    ($isa:ident, $rows:expr, |$i:ident, $channel:ident, $left:ident| $body:block) => {
        let (width, rows): (usize, &Rows) = (4 * $isa::LANES, $rows);
        let (mut next, mut channel) = (0, 0);
        while next < rows.len {
            if rows.len >= width && rows.len - next < width {
                let back = width - (rows.len - next);
                next -= back;
                channel = (channel + rows.period * back.div_ceil(rows.period) - back) % rows.period;
            }
            let ($i, $channel, $left) = (next, channel, (rows.len - next).min(width));
            $body
            next += width;
            channel = (channel + width) % rows.period;
        }
    };
}

/// `N` vectors of bytes, the first `left` of which are there, as words.
///
/// # Safety
/// As [`Bytes`].
#[inline(always)]
pub(super) unsafe fn words<I: Bytes>(from: *const u8, left: usize) -> [I::V; 4] {
    // SAFETY: the caller's promise; fewer bytes than four vectors' are copied to where there are as many.
    unsafe {
        let mut first = [0u8; 64];
        let mut from = from;
        if left < 4 * I::LANES {
            I::store(first.as_mut_ptr(), I::load_first(from, left));
            from = first.as_ptr();
        }
        let mut words = [I::splat(0); 4];
        unroll!(V < 4, at most 4, {
            words[V] = I::widen(from.add(V * I::LANES));
        });
        words
    }
}

/// A map of bytes less its zero point, and what becomes of that: a sum of two maps, another grid, floats.
#[derive(Clone, Debug)]
pub struct ByteScale {
    level: ByteLevel,
    input: Map,
    zero: u8,
    output: Map,
    ending: Packed,
    rows: Rows,
}

impl ByteScale {
    /// Packs the ending's lists into a store.
    ///
    /// # Panics
    /// If maps are of other elements than they should be or differ in size, or lists have not one entry a channel.
    #[must_use]
    pub fn new(
        store: &mut Store,
        level: ByteLevel,
        input: Map,
        zero: u8,
        output: Map,
        ending: Ending<'_>,
    ) -> ByteScale {
        assert_elements(Element::U8, [&input]);
        assert_eq!(size(&input), size(&output));
        ending.assert(output.channels);
        let sums = vec![255; output.channels];
        let order = Rows::order(level, output.channels);
        let ending = Packed::new(store, level, &ending, &output, &order, &sums);
        let rows = Rows::new(&output, [&input].into_iter().chain(ending.term()));
        ByteScale { level, input, zero, output, ending, rows }
    }
}

impl ByteWork for ByteScale {
    fn level(&self) -> ByteLevel {
        self.level
    }

    fn reads(&self) -> Vec<Map> {
        [self.input].into_iter().chain(self.ending.term().copied()).collect()
    }

    fn writes(&self) -> Map {
        self.output
    }

    fn weight_bytes(&self) -> usize {
        self.ending.bytes()
    }

    unsafe fn run(&self, arena: *mut u8, _scratch: *mut u8, units: Range<usize>) {
        // SAFETY: the caller's promise.
        unsafe { run_each(self, arena, units) }
    }
}

impl ByUnit for ByteScale {
    unsafe fn fill_halo(&self, arena: *mut u8, y: usize) {
        // SAFETY: the caller's promise.
        unsafe { self.ending.fill_halo(&self.output, arena, y, 0..self.output.channels) }
    }

    #[inline(always)]
    unsafe fn unit<I: Bytes>(&self, arena: *mut u8, y: usize) {
        // SAFETY: the caller's promise: the row lies in all maps; blocks lie in the row.
        unsafe {
            let zero = I::splat((-i32::from(self.zero)) as u32);
            for x in 0..self.rows.pieces {
                let from = at(arena, &self.input, y, x);
                let out = at(arena, &self.output, y, x);
                let term = self.ending.term().map_or(arena, |map| at(arena, map, y, x));
                pieces!(I, &self.rows, |i, channel, left| {
                    let mut sums = words::<I>(from.add(i), left);
                    unroll!(V < 4, at most 4, {
                        sums[V] = I::add(sums[V], zero);
                    });
                    let out = out.add(i * self.output.element.bytes());
                    self.ending.finish::<I, 4>(sums, channel, out, term.wrapping_add(i), left);
                });
            }
        }
    }
}

/// A map of bytes whose every byte becomes its place in a table, or stays what it is.
#[derive(Clone, Debug)]
pub struct ByteTable {
    level: ByteLevel,
    input: Map,
    output: Map,
    table: Option<Weights<u8>>,
    fill: u8,
    rows: Rows,
}

impl ByteTable {
    /// A function of bytes.
    ///
    /// # Panics
    /// If the maps are not of bytes or differ in size.
    #[must_use]
    pub fn new(store: &mut Store, level: ByteLevel, input: Map, table: Table<'_>, output: Map) -> ByteTable {
        let bytes = store.keep(256, |slot: &mut [u8]| slot.copy_from_slice(table.bytes));
        ByteTable { table: Some(bytes), ..ByteTable::copy(level, input, table.zero, output) }
    }

    /// A copy on a grid with this zero point.
    ///
    /// # Panics
    /// If the maps are not of bytes or differ in size.
    #[must_use]
    pub fn copy(level: ByteLevel, input: Map, zero: u8, output: Map) -> ByteTable {
        assert_elements(Element::U8, [&input, &output]);
        assert_eq!(size(&input), size(&output));
        let rows = Rows::new(&output, [&input]);
        ByteTable { level, input, output, table: None, fill: zero, rows }
    }
}

impl ByteWork for ByteTable {
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
        self.table.as_ref().map_or(0, |table| table.len())
    }

    unsafe fn run(&self, arena: *mut u8, _scratch: *mut u8, units: Range<usize>) {
        // SAFETY: the caller's promise.
        unsafe { run_each(self, arena, units) }
    }
}

impl ByUnit for ByteTable {
    unsafe fn fill_halo(&self, arena: *mut u8, y: usize) {
        // SAFETY: the caller's promise.
        unsafe { self.output.fill_halo(arena, y, 0..self.output.channels, self.fill) }
    }

    #[inline(always)]
    unsafe fn unit<I: Bytes>(&self, arena: *mut u8, y: usize) {
        // SAFETY: the caller's promise: the row lies in both maps; blocks lie in the row.
        unsafe {
            for x in 0..self.rows.pieces {
                let (from, out) = (at(arena, &self.input, y, x), at(arena, &self.output, y, x));
                pieces!(I, &self.rows, |i, _channel, left| {
                    let mut bytes = I::load_first(from.add(i), left);
                    if let Some(table) = &self.table {
                        bytes = I::table(bytes, table.as_ptr());
                    }
                    I::store_first(out.add(i), bytes, left);
                });
            }
        }
    }
}

/// A map of bytes times one float a channel, as squeeze-and-excitation does: `f = gate * scale`, then
/// `t = f32(byte - its zero) * f`, rounded, plus `zero`, saturated.
#[derive(Clone, Debug)]
pub struct ByteGate {
    level: ByteLevel,
    input: Map,
    gate: Map,
    output: Map,
    scale: Weights<f32>,
    /// Zero points of input and output.
    zeros: [u8; 2],
}

impl ByteGate {
    /// `zeros` are those of the input's grid and the output's, `scale` the input's scales by the output's; `gate` is a pixel of
    /// f32s.
    ///
    /// # Panics
    /// If maps are of other elements or sizes than they should be, or there is not one scale a channel.
    #[must_use]
    pub fn new(
        store: &mut Store,
        level: ByteLevel,
        [input, gate]: [Map; 2],
        zeros: [u8; 2],
        scale: &[f32],
        output: Map,
    ) -> ByteGate {
        assert_elements(Element::U8, [&input, &output]);
        assert_elements(Element::F32, [&gate]);
        assert_eq!(size(&input), size(&output));
        assert_eq!((size(&gate), scale.len()), ([1, 1, output.channels], output.channels));
        let len = scale.len() + 4 * level.lanes();
        let scale = store.keep(len, |slot: &mut [f32]| slot[..scale.len()].copy_from_slice(scale));
        ByteGate { level, input, gate, output, scale, zeros }
    }
}

impl ByteWork for ByteGate {
    fn level(&self) -> ByteLevel {
        self.level
    }

    fn reads(&self) -> Vec<Map> {
        vec![self.input, self.gate]
    }

    fn writes(&self) -> Map {
        self.output
    }

    fn weight_bytes(&self) -> usize {
        self.scale.len() * size_of::<f32>()
    }

    unsafe fn run(&self, arena: *mut u8, _scratch: *mut u8, units: Range<usize>) {
        // SAFETY: the caller's promise.
        unsafe { run_each(self, arena, units) }
    }
}

impl ByUnit for ByteGate {
    unsafe fn fill_halo(&self, arena: *mut u8, y: usize) {
        // SAFETY: the caller's promise.
        unsafe { self.output.fill_halo(arena, y, 0..self.output.channels, self.zeros[1]) }
    }

    #[inline(always)]
    unsafe fn unit<I: Bytes>(&self, arena: *mut u8, y: usize) {
        let (channels, width) = (self.output.channels, 4 * I::LANES);
        // SAFETY: the caller's promise: the row lies in both maps; blocks lie in the channels.
        unsafe {
            let zero = I::splat((-i32::from(self.zeros[0])) as u32);
            let to = Some(I::splat(u32::from(self.zeros[1]) * 0x1_0001));
            let gate = at(arena, &self.gate, 0, 0).cast_const();
            let mut next = 0;
            while next < channels {
                // The last vector begins earlier than it could where that makes it whole.
                let c = if channels >= width { next.min(channels - width) } else { next };
                let left = (channels - c).min(width);
                let mut factors = [I::splat(0); 4];
                unroll!(V < 4, at most 4, {
                    if V * I::LANES < left {
                        let place = (c + V * I::LANES) * size_of::<f32>();
                        let gate = I::load_first(gate.add(place), 4 * (left - V * I::LANES).min(I::LANES));
                        let factor = I::mul_float(gate, I::load(self.scale.as_ptr().cast::<u8>().add(place)));
                        factors[V] = limited::<I>(factor);
                    }
                });
                for x in 0..self.output.width {
                    let mut t = words::<I>(at(arena, &self.input, y, x).add(c), left);
                    unroll!(V < 4, at most 4, {
                        let product = I::mul_float(I::to_float(I::add(t[V], zero)), factors[V]);
                        t[V] = I::to_int(product);
                    });
                    I::store_first(at(arena, &self.output, y, x).add(c), I::in_line(I::pack(t, to)), left);
                }
                next = c + width;
            }
        }
    }
}

/// A factor of bytes within what leaves their products within i32: of a byte that is not 0 they saturate all the same. 0 for
/// NaN.
///
/// # Safety
/// As [`Bytes`].
#[inline(always)]
unsafe fn limited<I: Bytes>(factor: I::V) -> I::V {
    // Powers of two, by which numbers lose nothing.
    let [out, back] = [512.0f32, 1.0 / 512.0];
    // SAFETY: the caller's promise.
    unsafe {
        let negated = I::limit_float(I::mul_float(factor, I::splat((-out).to_bits())));
        I::mul_float(
            I::limit_float(I::mul_float(negated, I::splat((-1.0f32).to_bits()))),
            I::splat(back.to_bits()),
        )
    }
}

/// Height, width, channels.
pub(super) fn size(map: &Map) -> [usize; 3] {
    [map.height, map.width, map.channels]
}

/// Where pixel `(y, x)` of a map begins, which must lie in the arena.
#[inline(always)]
pub(super) fn at(arena: *mut u8, map: &Map, y: usize, x: usize) -> *mut u8 {
    arena.wrapping_add((map.row_start(y) + x * map.pixel) * map.element.bytes())
}
