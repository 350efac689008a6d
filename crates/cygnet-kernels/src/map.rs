//! Where a feature map lies in memory.

use std::ops::Range;

use cygnet_cpu::{FAR, Number, product};

/// What an element of a map is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Element {
    /// A float of 32 bits.
    F32,
    /// A byte; what it stands for, its readers know.
    U8,
}

impl Element {
    /// Its bytes.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Element::F32 => size_of::<f32>(),
            Element::U8 => size_of::<u8>(),
        }
    }

    /// Its name in tables: `f32`, `u8`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Element::F32 => "f32",
            Element::U8 => "u8",
        }
    }
}

/// Channels of a feature map in the arena, channels last: channel `c` of pixel `(y, x)` is at
/// `offset + (y % ring) * row + x * pixel + c`. All places and strides count elements; arenas begin where any element may.
///
/// Strides make views: a slice of channels or a part of a concatenation is a `Map` with another offset. A plane of an
/// image in channel-major order is a `Map` of one channel with `pixel` 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Map {
    /// What its elements are.
    pub element: Element,
    /// Channel 0 of pixel (0, 0).
    pub offset: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Channels.
    pub channels: usize,
    /// From a column to the next.
    pub pixel: usize,
    /// From a row to the next.
    pub row: usize,
    /// Columns of zeros kept before the first and after the last column, for windows that reach over the edge.
    pub halo: [usize; 2],
    /// Rows that are kept; row `y` takes the place of row `y - ring`. All of them in a map that a call writes.
    pub ring: usize,
}

impl Map {
    /// A map of f32s without gaps at `offset`.
    #[must_use]
    pub fn dense(offset: usize, [channels, height, width]: [usize; 3]) -> Map {
        let row = width * channels;
        let element = Element::F32;
        Map { element, offset, height, width, channels, pixel: channels, row, halo: [0, 0], ring: height }
    }

    /// As many elements of another type, at places and strides of as many of them.
    #[must_use]
    pub fn of(self, element: Element) -> Map {
        Map { element, ..self }
    }

    /// The bytes that its elements lie in, of a [checked](Map::check) map.
    fn in_bytes(self) -> Map {
        let bytes = |elements: usize| elements * self.element.bytes();
        let [offset, channels] = [self.offset, self.channels].map(bytes);
        let [pixel, row] = [self.pixel, self.row].map(bytes);
        Map { element: Element::U8, offset, channels, pixel, row, ..self }
    }

    /// `channels` of it from `start` on.
    #[must_use]
    pub fn slice(self, start: usize, channels: usize) -> Map {
        Map { offset: self.offset + start, channels, ..self }
    }

    /// Where row `y` begins.
    #[inline]
    #[must_use]
    pub fn row_start(&self, y: usize) -> usize {
        self.offset + if y < self.ring { y } else { y % self.ring } * self.row
    }

    /// The first element it may touch, and the one after the last; none if the halo starts before the arena or a place is no
    /// number.
    #[must_use]
    pub fn extent(&self) -> Option<Range<usize>> {
        let bounds = self.bounds()?;
        let is_empty = self.height == 0 || self.channels == 0 || self.ring == 0 || self.columns()? == 0;
        Some(if is_empty { bounds.start..bounds.start } else { bounds })
    }

    /// What the places of its rows and columns lie within, of an empty map those of its first pixel.
    fn bounds(&self) -> Option<Range<usize>> {
        let start = self.offset.checked_sub(self.halo[0].checked_mul(self.pixel)?)?;
        let last = |count: usize, step: usize| count.saturating_sub(1).checked_mul(step);
        let rows = last(self.height.min(self.ring), self.row)?;
        let columns = last(self.width.checked_add(self.halo[1])?, self.pixel)?;
        let end = self.offset.checked_add(rows)?.checked_add(columns)?.checked_add(self.channels)?;
        Some(start..end)
    }

    /// Columns with those of the halo.
    fn columns(&self) -> Option<usize> {
        self.width.checked_add(self.halo[0])?.checked_add(self.halo[1])
    }

    /// Checks that every place of it and its halo lies in an arena of so many bytes, and that they have no more pixels than
    /// elements fit there. Then neither its number of elements nor a place wraps, nor does a small multiple of a stride.
    pub(crate) fn check(&self, arena: usize) -> Result<(), String> {
        let room = arena / self.element.bytes();
        if self.bounds().is_none_or(|bounds| bounds.end > room) {
            return Err(format!("leaves the arena of {arena} bytes: {self:?}"));
        }
        if self.ring == 0 && self.height > 0 {
            return Err(format!("keeps none of its rows: {self:?}"));
        }
        let pixels = self.columns().and_then(|columns| product(&[self.height.max(1), columns.max(1)]));
        let elements = pixels.and_then(|pixels| pixels.checked_mul(self.channels));
        let is_large = pixels.is_none_or(|n| n > room.max(PIXELS)) || elements.is_none_or(|n| n > FAR);
        if is_large || self.pixel.max(self.row) > FAR {
            return Err(format!("is larger than its arena: {self:?}"));
        }
        Ok(())
    }

    /// Checks that no two of its elements and halos share a place, so that threads may write them at once.
    pub(crate) fn check_written(&self) -> Result<(), String> {
        let span = self.columns().and_then(|columns| match columns {
            0 => Some(0),
            _ => (columns - 1).checked_mul(self.pixel)?.checked_add(self.channels),
        });
        let pixels_meet = self.pixel < self.channels && self.columns().is_none_or(|columns| columns > 1);
        let rows_meet = self.height > 1 && span.is_none_or(|span| self.row < span);
        if pixels_meet || rows_meet || self.ring < self.height {
            return Err(format!("has elements that share a place: {self:?}"));
        }
        Ok(())
    }

    /// Whether the two have no byte in common, as far as that can be told: they lie apart, or are different channels of
    /// pixels that are as far from each other. Both must be [checked](Map::check).
    pub(crate) fn is_apart(&self, other: &Map) -> bool {
        let [one, two] = [self, other].map(|map| map.in_bytes());
        let (Some(a), Some(b)) = (one.extent(), two.extent()) else { return false };
        if a.is_empty() || b.is_empty() {
            return true;
        }
        let pixel = one.pixel;
        let is_grid = |map: &Map| map.pixel == pixel && (map.height == 1 || map.row.is_multiple_of(pixel));
        let meet = |a: &Map, b: &Map| (b.offset % pixel + pixel - a.offset % pixel) % pixel < a.channels;
        a.start.max(b.start) >= a.end.min(b.end)
            || (pixel > 0 && is_grid(&one) && is_grid(&two) && !meet(&one, &two) && !meet(&two, &one))
    }

    /// Whether its pixels follow each other at one distance, across rows too.
    #[must_use]
    pub fn is_flat(&self) -> bool {
        let follows = self.width.checked_mul(self.pixel) == Some(self.row);
        self.ring >= self.height
            && (self.height == 1 || follows)
            && self.height.checked_mul(self.width).is_some()
    }

    /// The same pixels as one row, of a [flat](Map::is_flat) map.
    pub(crate) fn flat(self) -> Map {
        Map { height: 1, width: self.height * self.width, ring: 1, ..self }
    }

    /// Writes zeros beside the channels of a row.
    ///
    /// # Safety
    /// `memory` must hold the row and its halo, for this thread to write.
    pub(crate) unsafe fn zero_halo(&self, memory: *mut f32, y: usize, channels: Range<usize>) {
        // SAFETY: the caller's promise.
        unsafe { self.fill_halo(memory, y, channels, 0) };
    }

    /// Sets every byte beside the channels of a row.
    ///
    /// # Safety
    /// As [`Map::zero_halo`], with memory of the map's elements.
    pub(crate) unsafe fn fill_halo<T: Number>(
        &self,
        memory: *mut T,
        y: usize,
        channels: Range<usize>,
        byte: u8,
    ) {
        for side in [Side::Left, Side::Right] {
            // SAFETY: the caller's promise.
            unsafe { self.fill_side(memory, y, channels.clone(), side, byte) };
        }
    }

    /// Writes zeros on one side of the channels of a row.
    ///
    /// # Safety
    /// `memory` must hold the row and its halo, the side for this thread to write.
    pub(crate) unsafe fn zero_side(&self, memory: *mut f32, y: usize, channels: Range<usize>, side: Side) {
        // SAFETY: the caller's promise.
        unsafe { self.fill_side(memory, y, channels, side, 0) };
    }

    /// # Safety
    /// As [`Map::zero_side`], with memory of the map's elements.
    unsafe fn fill_side<T: Number>(
        &self,
        memory: *mut T,
        y: usize,
        channels: Range<usize>,
        side: Side,
        byte: u8,
    ) {
        let row = memory.wrapping_add(self.row_start(y) + channels.start);
        let columns = match side {
            Side::Left => 0..self.halo[0],
            Side::Right => self.width..self.width + self.halo[1],
        };
        for column in columns {
            let pixel = match side {
                Side::Left => row.wrapping_sub((column + 1) * self.pixel),
                Side::Right => row.wrapping_add(column * self.pixel),
            };
            // SAFETY: the halo belongs to the map, whose row is the caller's.
            unsafe { pixel.write_bytes(byte, channels.len()) };
        }
    }
}

/// Checks that all maps are of elements of a type, as the calls that read and write them take for granted.
///
/// # Panics
/// If one is not.
pub(crate) fn assert_elements<'a>(element: Element, maps: impl IntoIterator<Item = &'a Map>) {
    for map in maps {
        assert!(map.element == element, "a map of {} is needed, not {map:?}", element.name());
    }
}

/// A side of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// Before the first column.
    Left,
    /// After the last column.
    Right,
}

/// Pixels that a map may have however small its arena is: some are empty, or the same number many times.
const PIXELS: usize = 1 << 16;

/// Multiply-accumulates of so many sizes; the most there can be where that wraps.
pub(crate) fn macs(sizes: &[usize]) -> u64 {
    sizes.iter().fold(1, |product: u64, &size| product.saturating_mul(size as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_other_elements_are_compared_as_bytes() {
        let floats = Map::dense(4, [4, 2, 2]);
        let bytes = |offset| Map::dense(offset, [8, 2, 2]).of(Element::U8);
        for (offset, is_apart) in [(0, false), (15, false), (79, false), (80, true), (160, true)] {
            let bytes = bytes(offset);
            assert_eq!((floats.is_apart(&bytes), bytes.is_apart(&floats)), (is_apart, is_apart), "{offset}");
        }
        assert!(
            bytes(48).is_apart(&Map::dense(0, [4, 3, 1])) && !bytes(47).is_apart(&Map::dense(0, [4, 3, 1]))
        );
        // Bytes in the gaps of pixels of floats.
        let floats = Map { pixel: 4, row: 8, ..Map::dense(0, [3, 2, 2]) };
        let gap = |offset| Map { pixel: 16, row: 32, ..Map::dense(offset, [4, 2, 2]) }.of(Element::U8);
        assert!(floats.is_apart(&gap(12)) && !floats.is_apart(&gap(11)) && !gap(13).is_apart(&floats));
    }

    #[test]
    fn arenas_hold_as_many_elements_as_fit() {
        for (element, last) in [(Element::F32, 4), (Element::U8, 19)] {
            let map = |offset| Map::dense(offset, [1, 1, 1]).of(element);
            assert!(map(last).check(20).is_ok() && map(last + 1).check(20).is_err(), "{element:?}");
            assert!(map(last + 1).check(20 + element.bytes() - 1).is_err(), "{element:?}");
        }
    }
}
