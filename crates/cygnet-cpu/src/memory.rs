//! Numbers in memory that vectors and pages fit.

use std::ops::{Deref, DerefMut, Range};
use std::sync::Arc;

use memmap2::MmapMut;

use crate::isa::Level;

/// f32s that begin at a cache line; many of them in large pages, where the system has such.
#[derive(Debug)]
pub struct Memory {
    block: Block,
    len: usize,
}

#[derive(Debug)]
enum Block {
    Lines(Vec<Line>),
    Pages(Pages),
}

#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Line([f32; LINE]);

const LINE: usize = 16;

/// Numbers at most that a thread works in by itself.
pub const SCRATCH: usize = 1 << 31;

/// Bytes of a large page.
const LARGE_PAGE: usize = 2 << 20;

/// From this size on, memory is asked of the system by pages.
const PAGES_FROM_BYTES: usize = 1 << 20;

/// Zeros that begin at a large page.
#[derive(Debug)]
struct Pages {
    map: MmapMut,
    /// Bytes before the first large page.
    skipped: usize,
}

impl Pages {
    fn zeros(bytes: usize) -> Option<Pages> {
        let map = MmapMut::map_anon(bytes.checked_add(LARGE_PAGE)?).ok()?;
        // Large pages only save time.
        #[cfg(target_os = "linux")]
        let _ = map.advise(memmap2::Advice::HugePage);
        let skipped = map.as_ptr().align_offset(LARGE_PAGE);
        (skipped <= LARGE_PAGE).then_some(Pages { map, skipped })
    }

    fn start(&self) -> *const f32 {
        self.map.as_ptr().wrapping_add(self.skipped).cast()
    }
}

impl Memory {
    /// `len` zeros.
    ///
    /// # Panics
    /// If that is more than can be addressed.
    pub fn zeros(len: usize) -> Memory {
        let bytes = len.checked_mul(size_of::<f32>()).expect("memory can be addressed");
        let pages = if bytes >= PAGES_FROM_BYTES { Pages::zeros(bytes) } else { None };
        let lines = || Block::Lines(vec![Line([0.0; LINE]); len.div_ceil(LINE)]);
        Memory { block: pages.map_or_else(lines, Block::Pages), len }
    }
}

impl Clone for Memory {
    fn clone(&self) -> Memory {
        let mut copy = Memory::zeros(self.len);
        copy.copy_from_slice(self);
        copy
    }
}

impl Deref for Memory {
    type Target = [f32];

    #[inline]
    fn deref(&self) -> &[f32] {
        let start = match &self.block {
            Block::Lines(lines) => lines.as_ptr().cast(),
            Block::Pages(pages) => pages.start(),
        };
        // SAFETY: the block holds `len` initialised numbers and begins at a multiple of their alignment.
        unsafe { std::slice::from_raw_parts(start, self.len) }
    }
}

impl DerefMut for Memory {
    #[inline]
    fn deref_mut(&mut self) -> &mut [f32] {
        let start = match &mut self.block {
            Block::Lines(lines) => lines.as_mut_ptr().cast(),
            Block::Pages(pages) => pages.map.as_mut_ptr().wrapping_add(pages.skipped).cast(),
        };
        // SAFETY: as in `deref`, and `self` is borrowed exclusively.
        unsafe { std::slice::from_raw_parts_mut(start, self.len) }
    }
}

/// A part of a [`Store`], only read.
#[derive(Clone, Debug)]
pub struct Weights {
    chunk: Arc<Chunk>,
    range: Range<usize>,
}

/// Where calls for an instruction set pack their weights, together in large pages.
#[derive(Debug)]
pub struct Store {
    level: Level,
    last: Option<(Arc<Chunk>, usize)>,
}

/// Numbers of a [`Store`], each written once, before anybody reads it.
#[derive(Debug)]
struct Chunk {
    start: *mut f32,
    len: usize,
    _memory: Memory,
}

// SAFETY: numbers that others can see are not written any more.
unsafe impl Send for Chunk {}
// SAFETY: as above.
unsafe impl Sync for Chunk {}

/// Numbers of a chunk at least. Pages that nothing was written to take no memory.
const CHUNK: usize = 8 << 20;

impl Store {
    /// A store for calls of an instruction set.
    #[must_use]
    pub fn new(level: Level) -> Store {
        Store { level, last: None }
    }

    /// The instruction set.
    #[must_use]
    pub fn level(&self) -> Level {
        self.level
    }

    /// `len` numbers, zeros until `fill` writes them.
    pub fn keep(&mut self, len: usize, fill: impl FnOnce(&mut [f32])) -> Weights {
        let fits = |(chunk, used): &(Arc<Chunk>, usize)| chunk.len - used >= len;
        let (chunk, used) = self.last.take().filter(fits).unwrap_or_else(|| {
            let mut memory = Memory::zeros(len.max(CHUNK));
            let chunk = Chunk { start: memory.as_mut_ptr(), len: memory.len(), _memory: memory };
            (Arc::new(chunk), 0)
        });
        // SAFETY: the chunk has room from `used` on, which nobody has been given.
        fill(unsafe { std::slice::from_raw_parts_mut(chunk.start.add(used), len) });
        self.last = Some((Arc::clone(&chunk), (used + len).next_multiple_of(LINE).min(chunk.len)));
        Weights { chunk, range: used..used + len }
    }

    /// Numbers followed by zeros up to whole vectors.
    pub fn padded(&mut self, numbers: &[f32]) -> Weights {
        let len = numbers.len().next_multiple_of(self.level.lanes());
        self.keep(len, |slot| slot[..numbers.len()].copy_from_slice(numbers))
    }
}

impl Deref for Weights {
    type Target = [f32];

    #[inline]
    fn deref(&self) -> &[f32] {
        // SAFETY: the range lies in the chunk and was written before it was given away.
        unsafe { std::slice::from_raw_parts(self.chunk.start.add(self.range.start), self.range.len()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_numbers_stay_where_and_what_they_are() {
        let mut store = Store::new(Level::best());
        let sizes = [1, 15, 16, 17, 0, 1000, CHUNK - 40, 100, CHUNK + 1, 3];
        let mut kept: Vec<Weights> = Vec::new();
        for (i, &size) in sizes.iter().enumerate() {
            kept.push(store.keep(size, |slot| slot.fill(i as f32)));
        }
        drop(store);
        for (i, (weights, &size)) in kept.iter().zip(&sizes).enumerate() {
            assert!(weights.len() == size && weights.iter().all(|&x| x == i as f32));
            assert!(weights.as_ptr().addr().is_multiple_of(64));
        }
    }
}
