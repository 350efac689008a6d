//! The table of kernels and the instruction sets that they are compiled for.

use cygnet_kernels::Level;

use crate::StepKernel;

/// A kernel compiled for an instruction set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelRow {
    /// What it computes.
    pub kernel: KernelKind,
    /// The set.
    pub level: Level,
    /// Largest number of pixels in its tile of 1, 2, 3 and 4 vectors of output channels, if it works in tiles.
    pub tile: Option<[usize; 4]>,
}

/// What computes steps of some kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KernelKind {
    /// Dense convolution, which serves 1×1 and grouped ones and linear layers too.
    Convolution,
    /// Dense 3×3 convolution with fewer products.
    Winograd,
    /// Depthwise convolution.
    Depthwise,
    /// Windowed pooling.
    Pooling,
    /// Mean over a map.
    Mean,
    /// Sum and product of two values.
    Binary,
    /// A factor and a term a channel.
    Affine,
    /// Element-wise functions, and copies.
    Activation,
    /// Nearest-neighbour enlargement.
    Upsample,
    /// Softmax.
    Softmax,
    /// Local response norm.
    LocalResponseNorm,
}

impl KernelKind {
    /// All of them.
    pub const ALL: [KernelKind; 11] = [
        KernelKind::Convolution,
        KernelKind::Winograd,
        KernelKind::Depthwise,
        KernelKind::Pooling,
        KernelKind::Mean,
        KernelKind::Binary,
        KernelKind::Affine,
        KernelKind::Activation,
        KernelKind::Upsample,
        KernelKind::Softmax,
        KernelKind::LocalResponseNorm,
    ];

    /// Its name in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            KernelKind::Convolution => "convolution",
            KernelKind::Winograd => "Winograd convolution",
            KernelKind::Depthwise => "depthwise convolution",
            KernelKind::Pooling => "pooling",
            KernelKind::Mean => "global mean",
            KernelKind::Binary => "sum and product",
            KernelKind::Affine => "scale and shift",
            KernelKind::Activation => "activation",
            KernelKind::Upsample => "enlargement",
            KernelKind::Softmax => "softmax",
            KernelKind::LocalResponseNorm => "local response norm",
        }
    }

    /// Whether its loops are vectors of the set's lanes; others are the same on every CPU.
    #[must_use]
    pub fn is_vector(self) -> bool {
        !matches!(self, KernelKind::Softmax | KernelKind::LocalResponseNorm)
    }
}

impl StepKernel {
    /// The kernels that it calls where its values are floats: one, or those of the two layers of a pair; none between floats
    /// and bytes.
    #[must_use]
    pub fn kinds(&self) -> &'static [KernelKind] {
        match self {
            StepKernel::Conv(_) | StepKernel::Linear(_) => &[KernelKind::Convolution],
            StepKernel::Winograd(_) => &[KernelKind::Winograd],
            StepKernel::Depthwise(_) => &[KernelKind::Depthwise],
            StepKernel::Pair { .. } => &[KernelKind::Convolution, KernelKind::Depthwise],
            StepKernel::Pool { .. } | StepKernel::AdaptiveMean { .. } => &[KernelKind::Pooling],
            StepKernel::GlobalMean => &[KernelKind::Mean],
            StepKernel::Add | StepKernel::Multiply => &[KernelKind::Binary],
            StepKernel::BatchNorm | StepKernel::Scale => &[KernelKind::Affine],
            StepKernel::Activation(_) | StepKernel::Copy => &[KernelKind::Activation],
            StepKernel::Upsample => &[KernelKind::Upsample],
            StepKernel::Quantize | StepKernel::Dequantize => &[],
            StepKernel::Softmax => &[KernelKind::Softmax],
            StepKernel::LocalResponseNorm { .. } => &[KernelKind::LocalResponseNorm],
        }
    }
}

/// Every kernel under every instruction set of this architecture, the best set first.
#[must_use]
pub fn kernels() -> Vec<KernelRow> {
    let row = |kernel, level: Level| {
        let tile = (kernel == KernelKind::Convolution).then(|| level.tile());
        KernelRow { kernel, level, tile }
    };
    let levels = |kernel: KernelKind| if kernel.is_vector() { Level::ALL } else { &[Level::Scalar] };
    let rows = |&kernel: &KernelKind| levels(kernel).iter().map(move |&level| row(kernel, level));
    KernelKind::ALL.iter().flat_map(rows).collect()
}

impl KernelRow {
    /// Lanes of its vectors.
    #[must_use]
    pub fn lanes(&self) -> usize {
        if self.kernel.is_vector() { self.level.lanes() } else { 1 }
    }

    /// Whether plans for `chosen` use it.
    #[must_use]
    pub fn is_used(&self, chosen: Level) -> bool {
        !self.kernel.is_vector() || self.level == chosen
    }
}
