//! Where a feature map lies in memory.

use std::ops::Range;

/// Channels of a feature map in the arena, channels last: channel `c` of pixel `(y, x)` is at
/// `offset + (y % ring) * row + x * pixel + c`. All numbers count f32s.
///
/// Strides make views: a slice of channels or a part of a concatenation is a `Map` with another offset. A plane of an
/// image in channel-major order is a `Map` of one channel with `pixel` 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Map {
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
    /// Rows that are kept; row `y` takes the place of row `y - ring`.
    pub ring: usize,
}

impl Map {
    /// A map without gaps at `offset`.
    #[must_use]
    pub fn dense(offset: usize, [channels, height, width]: [usize; 3]) -> Map {
        let row = width * channels;
        Map { offset, height, width, channels, pixel: channels, row, halo: [0, 0], ring: height }
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

    /// The first f32 it may touch, and the one after the last; none if the halo starts before the arena.
    #[must_use]
    pub fn extent(&self) -> Option<Range<usize>> {
        let start = self.offset.checked_sub(self.halo[0].checked_mul(self.pixel)?)?;
        let columns = self.width.checked_add(self.halo[1])?;
        if self.height == 0 || self.channels == 0 || self.ring == 0 || self.halo[0] == 0 && columns == 0 {
            return Some(start..start);
        }
        let rows = (self.height.min(self.ring) - 1).checked_mul(self.row)?;
        let columns = columns.saturating_sub(1).checked_mul(self.pixel)?;
        let end = self.offset.checked_add(rows)?.checked_add(columns)?.checked_add(self.channels)?;
        Some(start..end)
    }

    /// Whether the two have no number in common, as far as that can be told: they lie apart, or are different channels of
    /// pixels that are as far from each other.
    pub(crate) fn is_apart(&self, other: &Map) -> bool {
        let (Some(a), Some(b)) = (self.extent(), other.extent()) else { return false };
        let pixel = self.pixel;
        let is_grid = |map: &Map| map.pixel == pixel && (map.height == 1 || map.row.is_multiple_of(pixel));
        let meet = |a: &Map, b: &Map| (b.offset % pixel + pixel - a.offset % pixel) % pixel < a.channels;
        a.start.max(b.start) >= a.end.min(b.end)
            || (pixel > 0 && is_grid(self) && is_grid(other) && !meet(self, other) && !meet(other, self))
    }

    /// Whether its pixels follow each other at one distance, across rows too.
    #[must_use]
    pub fn is_flat(&self) -> bool {
        self.ring >= self.height && (self.height == 1 || self.row == self.width * self.pixel)
    }

    /// The same pixels as one row, of a flat map.
    pub(crate) fn flat(self) -> Map {
        Map { height: 1, width: self.height * self.width, ring: 1, ..self }
    }

    /// Writes zeros beside the channels of a row.
    ///
    /// # Safety
    /// `memory` must hold the row and its halo, for this thread to write.
    pub(crate) unsafe fn zero_halo(&self, memory: *mut f32, y: usize, channels: Range<usize>) {
        let row = memory.wrapping_add(self.row_start(y) + channels.start);
        let left = (0..self.halo[0]).map(|column| row.wrapping_sub((column + 1) * self.pixel));
        let right = (0..self.halo[1]).map(|column| row.wrapping_add((self.width + column) * self.pixel));
        for pixel in left.chain(right) {
            // SAFETY: the halo belongs to the map, whose row is the caller's.
            unsafe { pixel.write_bytes(0, channels.len()) };
        }
    }
}
