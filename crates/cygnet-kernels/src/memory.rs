//! Numbers in memory that vectors and pages fit.

use std::ops::{Deref, DerefMut};

use memmap2::MmapMut;

/// f32s that begin at a cache line; many of them in large pages, where the system has such.
#[derive(Debug)]
pub(crate) struct Memory {
    block: Block,
    len: usize,
}

#[derive(Debug)]
enum Block {
    Lines(Vec<Line>),
    Pages(MmapMut),
}

#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Line([f32; LINE]);

const LINE: usize = 16;

/// From this size on, memory is asked of the system by pages.
const PAGES_FROM_BYTES: usize = 1 << 20;

impl Memory {
    /// `len` zeros.
    pub(crate) fn zeros(len: usize) -> Memory {
        let bytes = len * size_of::<f32>();
        if bytes >= PAGES_FROM_BYTES
            && let Ok(pages) = MmapMut::map_anon(bytes)
        {
            // Large pages only save time.
            #[cfg(target_os = "linux")]
            let _ = pages.advise(memmap2::Advice::HugePage);
            return Memory { block: Block::Pages(pages), len };
        }
        Memory { block: Block::Lines(vec![Line([0.0; LINE]); len.div_ceil(LINE)]), len }
    }

    fn start(&self) -> *const f32 {
        match &self.block {
            Block::Lines(lines) => lines.as_ptr().cast(),
            Block::Pages(pages) => pages.as_ptr().cast(),
        }
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

    fn deref(&self) -> &[f32] {
        // SAFETY: the block holds `len` initialised numbers and begins at a multiple of their alignment.
        unsafe { std::slice::from_raw_parts(self.start(), self.len) }
    }
}

impl DerefMut for Memory {
    fn deref_mut(&mut self) -> &mut [f32] {
        let start = match &mut self.block {
            Block::Lines(lines) => lines.as_mut_ptr().cast(),
            Block::Pages(pages) => pages.as_mut_ptr().cast(),
        };
        // SAFETY: as in `deref`, and `self` is borrowed exclusively.
        unsafe { std::slice::from_raw_parts_mut(start, self.len) }
    }
}
