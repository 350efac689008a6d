//! What is done to a few rows of channels while they are in cache.

mod activation;
mod passes;
mod sums;

use cygnet_cpu::{Isa, Kernel, Level};

use crate::View;

pub(crate) use activation::{activate, differentiate};
pub(crate) use passes::{ApplyRows, CombineRows, DeriveRows, UnnormRows};
pub(crate) use sums::{MomentsRows, SumRows};

/// Rows of a task that works row by row.
pub(crate) const ROWS: usize = 256;

/// Rows of channels in memory: channel `c` of row `i` is at `at + i * stride + c`.
#[derive(Clone, Copy)]
pub(crate) struct Rows {
    pub(crate) at: *mut f32,
    pub(crate) stride: usize,
}

impl Rows {
    /// Rows of a view from `first` on.
    ///
    /// # Safety
    /// The view must lie in the arena.
    #[inline(always)]
    pub(crate) unsafe fn of(arena: *mut f32, view: &View, first: usize) -> Rows {
        // SAFETY: the caller's promise.
        Rows { at: unsafe { arena.add(view.offset + first * view.stride) }, stride: view.stride }
    }

    /// # Safety
    /// The place must lie in the allocation.
    #[inline(always)]
    pub(crate) unsafe fn get(self, row: usize, channel: usize) -> *mut f32 {
        // SAFETY: the caller's promise.
        unsafe { self.at.add(row * self.stride + channel) }
    }
}

/// Work on vectors of channels; `V` vectors from `c` on, of which the last has `last` lanes.
pub(crate) trait Block {
    /// # Safety
    /// As the implementing kernel says; must be `#[inline(always)]`.
    unsafe fn block<I: Isa, const V: usize>(&self, c: usize, last: usize);
}

/// Runs a [`Block`] over all channels.
pub(crate) struct Blocks<B> {
    pub(crate) channels: usize,
    pub(crate) work: B,
}

impl<B: Block> Blocks<B> {
    /// # Safety
    /// The CPU must have `level`, and the block's own conditions must hold.
    pub(crate) unsafe fn go(channels: usize, work: B, level: Level) {
        // SAFETY: the caller's promise.
        unsafe { level.run(Blocks { channels, work }) }
    }
}

impl<B: Block> Kernel for Blocks<B> {
    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        let mut c = 0;
        // SAFETY: the caller's promise; blocks stay within the channels.
        unsafe {
            while c + 4 * I::LANES <= self.channels {
                self.work.block::<I, 4>(c, I::LANES);
                c += 4 * I::LANES;
            }
            while c + I::LANES <= self.channels {
                self.work.block::<I, 1>(c, I::LANES);
                c += I::LANES;
            }
            if c < self.channels {
                self.work.block::<I, 1>(c, self.channels - c);
            }
        }
    }
}

/// # Safety
/// As [`Isa`].
#[inline(always)]
pub(crate) unsafe fn load<I: Isa, const V: usize>(p: *const f32, last: usize) -> [I::V; V] {
    // SAFETY: the caller's promise.
    unsafe {
        let mut v = [I::splat(0.0); V];
        if last == I::LANES {
            for j in 0..V {
                v[j] = I::load(p.add(j * I::LANES));
            }
        } else {
            for j in 0..V {
                v[j] = I::load_first(p.add(j * I::LANES), if j + 1 < V { I::LANES } else { last });
            }
        }
        v
    }
}

/// # Safety
/// As [`Isa`].
#[inline(always)]
pub(crate) unsafe fn store<I: Isa, const V: usize>(p: *mut f32, v: [I::V; V], last: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        if last == I::LANES {
            for j in 0..V {
                I::store(p.add(j * I::LANES), v[j]);
            }
        } else {
            for j in 0..V {
                I::store_first(p.add(j * I::LANES), v[j], if j + 1 < V { I::LANES } else { last });
            }
        }
    }
}
