//! What a program asks of a call over bytes, whichever kind it is.

use std::ops::Range;

use cygnet_cpu::{ByteKernel, ByteLevel, Bytes};

use crate::map::Map;

/// What a program asks of each kind of call.
pub(crate) trait ByteWork {
    /// The set that it is computed with.
    fn level(&self) -> ByteLevel;

    /// The maps that it reads.
    fn reads(&self) -> Vec<Map>;

    /// The map that it writes.
    fn writes(&self) -> Map;

    /// Bytes of weights and lists of constants.
    fn weight_bytes(&self) -> usize {
        0
    }

    /// Multiply-accumulates.
    fn macs(&self) -> u64 {
        0
    }

    /// Parts that can be computed independently: rows of the output, unless the call says otherwise.
    fn units(&self) -> usize {
        self.writes().height
    }

    /// Bytes of a thread's own memory that it works in.
    fn scratch(&self) -> usize {
        0
    }

    /// Computes some units.
    ///
    /// # Safety
    /// `arena` must begin where any element may and hold the extents of all maps, nobody else may write what is read or touch
    /// what is written, and the CPU must have the level. `scratch` must be the thread's own, begin where any element may, and
    /// hold [`ByteWork::scratch`] bytes.
    unsafe fn run(&self, arena: *mut u8, scratch: *mut u8, units: Range<usize>);
}

/// A call whose units are compiled for every set, each by itself.
pub(super) trait ByUnit: ByteWork {
    /// Fills what of the output's halo is beside a unit.
    ///
    /// # Safety
    /// As [`ByteWork::run`]; the unit must be one.
    unsafe fn fill_halo(&self, arena: *mut u8, unit: usize);

    /// Computes a unit; must be marked `#[inline(always)]`, so that it is compiled with the set's instructions.
    ///
    /// # Safety
    /// As [`ByteWork::run`]; the unit must be one.
    unsafe fn unit<I: Bytes>(&self, arena: *mut u8, unit: usize);
}

/// Computes some units of a call.
///
/// # Safety
/// As [`ByteWork::run`].
pub(super) unsafe fn run_each<C: ByUnit>(call: &C, arena: *mut u8, units: Range<usize>) {
    for unit in units {
        // SAFETY: the caller's promise.
        unsafe {
            call.fill_halo(arena, unit);
            call.level().run(Unit { call, arena, unit });
        }
    }
}

struct Unit<'a, C> {
    call: &'a C,
    arena: *mut u8,
    unit: usize,
}

impl<C: ByUnit> ByteKernel for Unit<'_, C> {
    #[inline(always)]
    unsafe fn run<I: Bytes>(self) {
        // SAFETY: the caller's promise.
        unsafe { self.call.unit::<I>(self.arena, self.unit) }
    }
}
