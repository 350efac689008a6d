//! What a program asks of a step, whichever kind it is, and what it gives it.

use cygnet_cpu::Level;

use crate::area::Touches;

/// What a step must be able to say about itself.
pub(crate) trait Work {
    /// Whether its views are sound, its parts fit each other, the parameters and what a run is given, and no size wraps.
    fn fits(&self, limits: &Limits<'_>) -> bool;
    /// What it touches of the arena, if it [fits](Work::fits). Tasks share the elements of what is written.
    fn touches(&self, level: Level) -> Touches;
    /// Tasks it is cut into; they may run in any order and at the same time.
    fn tasks(&self) -> usize;
    /// Numbers of scratch memory that a task needs.
    fn scratch(&self) -> usize {
        0
    }
    /// Multiply-accumulates.
    fn macs(&self) -> u64 {
        0
    }
    /// Numbers of images, parameters and their gradients that it reads and writes.
    fn outside(&self) -> usize {
        0
    }
    /// Parameters whose gradients it adds to.
    fn gradients(&self) -> Vec<usize> {
        Vec::new()
    }
    /// # Safety
    /// `fits` must hold for the memory's sizes and what it `touches` be checked; `task` must be one of its tasks, no two of
    /// which may run at once for the same number.
    unsafe fn run(&self, memory: &Workspace<'_>, task: usize);
}

/// Sizes of everything a program may touch.
pub(crate) struct Limits<'a> {
    pub(crate) level: Level,
    pub(crate) params: &'a [usize],
    pub(crate) images: usize,
    pub(crate) targets: usize,
    pub(crate) losses: usize,
}

impl Limits<'_> {
    pub(crate) fn param(&self, index: usize, len: usize) -> bool {
        self.params.get(index) == Some(&len)
    }
}

/// Everything a step works on.
pub(crate) struct Workspace<'a> {
    pub(crate) level: Level,
    pub(crate) arena: *mut f32,
    pub(crate) params: &'a [*mut f32],
    pub(crate) gradients: &'a [*mut f32],
    pub(crate) images: *const f32,
    pub(crate) targets: *const f32,
    pub(crate) losses: *mut f64,
    pub(crate) seed: u64,
    pub(crate) scale: f32,
    /// This thread's own.
    pub(crate) scratch: *mut f32,
}
