//! Memory that vectors and pages fit, and the numbers in it.

use std::fmt::Debug;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use memmap2::MmapMut;

use crate::isa::Level;
use crate::size::FAR;
use crate::tuning::LINE;

/// Bytes that begin at a cache line; many of them in large pages, where the system has such.
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
struct Line([u8; LINE]);

/// Numbers at most that a thread works in by itself.
pub const SCRATCH: usize = if FAR < 1 << 31 { FAR } else { 1 << 31 };

/// Bytes of a large page.
const LARGE_PAGE: usize = 2 << 20;

/// From this size on, memory is asked of the system by pages.
const PAGES_FROM_BYTES: usize = 1 << 20;

/// What memory holds: numbers of which every pattern of bits is one, and zeros are 0.
pub trait Number: Copy + Debug + Send + Sync + sealed::Sealed + 'static {}

mod sealed {
    /// Only for types without padding of which every pattern of bits is a value, and that a cache line's start is aligned
    /// for: memory is read as they are.
    pub trait Sealed {}
}

macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl Number for $number {}
        impl sealed::Sealed for $number {}
    )*};
}

numbers!(u8, i8, u16, i32, f32);

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

    fn start(&self) -> *const u8 {
        self.map.as_ptr().wrapping_add(self.skipped)
    }
}

impl Memory {
    /// `len` bytes of zeros.
    ///
    /// # Panics
    /// If that is more than can be addressed.
    pub fn zeros(len: usize) -> Memory {
        let pages = if len >= PAGES_FROM_BYTES { Pages::zeros(len) } else { None };
        let lines = || Block::Lines(vec![Line([0; LINE]); len.div_ceil(LINE)]);
        Memory { block: pages.map_or_else(lines, Block::Pages), len }
    }

    /// The bytes as whole numbers.
    #[must_use]
    pub fn numbers<T: Number>(&self) -> &[T] {
        // SAFETY: the bytes begin at a cache line, and every pattern of them is a number.
        unsafe { std::slice::from_raw_parts(self.as_ptr().cast(), self.len / size_of::<T>()) }
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
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        let start = match &self.block {
            Block::Lines(lines) => lines.as_ptr().cast(),
            Block::Pages(pages) => pages.start(),
        };
        // SAFETY: the block holds `len` initialised bytes.
        unsafe { std::slice::from_raw_parts(start, self.len) }
    }
}

impl DerefMut for Memory {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        let start = match &mut self.block {
            Block::Lines(lines) => lines.as_mut_ptr().cast(),
            Block::Pages(pages) => pages.map.as_mut_ptr().wrapping_add(pages.skipped),
        };
        // SAFETY: as in `deref`, and `self` is borrowed exclusively.
        unsafe { std::slice::from_raw_parts_mut(start, self.len) }
    }
}

/// Numbers in a part of a [`Store`], only read.
#[derive(Clone, Debug)]
pub struct Weights<T = f32> {
    chunk: Arc<Chunk>,
    /// Bytes of the chunk before the first.
    start: usize,
    len: usize,
    number: PhantomData<T>,
}

/// Where calls for an instruction set pack their weights, of whatever types, together in large pages.
#[derive(Debug)]
pub struct Store {
    level: Level,
    /// The last chunk, and its bytes in use: whole cache lines.
    last: Option<(Arc<Chunk>, usize)>,
}

/// Bytes of a [`Store`], each written once, before anybody reads it.
#[derive(Debug)]
struct Chunk {
    start: *mut u8,
    len: usize,
    _memory: Memory,
}

// SAFETY: bytes that others can see are not written any more.
unsafe impl Send for Chunk {}
// SAFETY: as above.
unsafe impl Sync for Chunk {}

/// Bytes of a chunk at least. Pages that nothing was written to take no memory.
const CHUNK: usize = 32 << 20;

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

    /// `len` numbers that begin at a cache line, zeros until `fill` writes them.
    ///
    /// # Panics
    /// If they are more than can be addressed.
    pub fn keep<T: Number>(&mut self, len: usize, fill: impl FnOnce(&mut [T])) -> Weights<T> {
        let bytes = len.checked_mul(size_of::<T>()).and_then(|bytes| bytes.checked_next_multiple_of(LINE));
        let bytes = bytes.expect("weights can be addressed");
        let fits = |(chunk, used): &(Arc<Chunk>, usize)| chunk.len - used >= bytes;
        let (chunk, used) = self.last.take().filter(fits).unwrap_or_else(|| {
            let mut memory = Memory::zeros(bytes.max(CHUNK));
            let chunk = Chunk { start: memory.as_mut_ptr(), len: memory.len(), _memory: memory };
            (Arc::new(chunk), 0)
        });
        // SAFETY: the chunk has room for the numbers from a cache line on, which nobody has been given; zeros are numbers.
        fill(unsafe { std::slice::from_raw_parts_mut(chunk.start.add(used).cast(), len) });
        self.last = Some((Arc::clone(&chunk), used + bytes));
        Weights { chunk, start: used, len, number: PhantomData }
    }

    /// Numbers followed by zeros up to a multiple of the f32s of a vector.
    pub fn padded<T: Number>(&mut self, numbers: &[T]) -> Weights<T> {
        let len = numbers.len().next_multiple_of(self.level.lanes());
        self.keep(len, |slot| slot[..numbers.len()].copy_from_slice(numbers))
    }
}

impl<T: Number> Deref for Weights<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: as `Store::keep` made it: the numbers lie in the chunk and were written before they were given away.
        unsafe { std::slice::from_raw_parts(self.chunk.start.add(self.start).cast(), self.len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_numbers_stay_where_and_what_they_are() {
        let mut store = Store::new(Level::best());
        let sizes = [1, 15, 16, 17, 0, 1000, CHUNK / 4 - 40, 100, CHUNK / 4 + 1, 3];
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
    #[test]
    fn numbers_of_several_types_lie_beside_each_other() {
        let mut store = Store::new(Level::Scalar);
        let bytes = store.keep(CHUNK - 129, |slot: &mut [u8]| slot.fill(7));
        let signed = store.keep(3, |slot: &mut [i8]| slot.fill(-7));
        let sums = store.padded(&[i32::MIN, i32::MAX]);
        let floats = store.keep(5, |slot: &mut [f32]| slot[4] = 0.5);
        let halves = store.keep(0, |slot: &mut [u16]| assert!(slot.is_empty()));
        assert!(bytes.iter().all(|&x| x == 7) && bytes.len() == CHUNK - 129);
        assert_eq!((&*signed, &sums[..2]), (&[-7; 3][..], &[i32::MIN, i32::MAX][..]));
        assert!(sums.len().is_multiple_of(Level::Scalar.lanes()) && sums[2..].iter().all(|&x| x == 0));
        assert_eq!((&*floats, &*halves), (&[0.0, 0.0, 0.0, 0.0, 0.5][..], &[][..]));
        for start in [bytes.as_ptr().addr(), signed.as_ptr().addr(), sums.as_ptr().addr()] {
            assert!(start.is_multiple_of(LINE));
        }
        assert_eq!(signed.as_ptr().addr(), bytes.as_ptr().addr() + CHUNK - 128);
    }

    #[test]
    fn memory_is_read_as_whole_numbers() {
        let mut memory = Memory::zeros(11);
        memory[4..8].copy_from_slice(&1.5f32.to_ne_bytes());
        assert_eq!((memory.numbers::<f32>(), memory.numbers::<u8>().len()), (&[0.0, 1.5][..], 11));
    }
}
