//! The table of kernels and the instruction sets that they are compiled for.

use cygnet_kernels::Level;

/// A kernel compiled for an instruction set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelRow {
    /// What it computes.
    pub kernel: &'static str,
    /// The set.
    pub level: Level,
    /// Largest number of pixels in its tile of 1, 2, 3 and 4 vectors of output channels, if it works in tiles.
    pub tile: Option<[usize; 4]>,
}

/// Kernels whose loops are vectors of the set's lanes. Convolution serves 1×1 and grouped ones and linear layers too.
const VECTOR: [&str; 10] = [
    "convolution",
    "Winograd convolution",
    "depthwise convolution",
    "pooling",
    "global mean",
    "sum and product",
    "scale and shift",
    "activation",
    "enlargement",
    "gathering of channels",
];

/// Kernels that are the same on every CPU.
const SCALAR: [&str; 2] = ["softmax", "local response norm"];

/// Every kernel under every instruction set of this architecture, the best set first.
#[must_use]
pub fn kernels() -> Vec<KernelRow> {
    let row = |kernel, level: Level| {
        let tile = (kernel == VECTOR[0]).then(|| level.tile());
        KernelRow { kernel, level, tile }
    };
    let vector = VECTOR.iter().flat_map(|kernel| Level::ALL.iter().map(move |&level| row(kernel, level)));
    vector.chain(SCALAR.iter().map(|kernel| row(kernel, Level::Scalar))).collect()
}

impl KernelRow {
    /// Lanes of its vectors.
    #[must_use]
    pub fn lanes(&self) -> usize {
        if SCALAR.contains(&self.kernel) { 1 } else { self.level.lanes() }
    }

    /// Whether plans for `chosen` use it.
    #[must_use]
    pub fn is_used(&self, chosen: Level) -> bool {
        SCALAR.contains(&self.kernel) || self.level == chosen
    }
}
