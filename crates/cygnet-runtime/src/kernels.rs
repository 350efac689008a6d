//! The table of kernels and the instruction sets that they are compiled for.

use cygnet_kernels::{ByteLevel, Element, Level};

use crate::StepKernel;

/// A kernel compiled for an instruction set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelRow {
    /// What it computes.
    pub kernel: KernelKind,
    /// The set.
    pub set: KernelSet,
    /// Largest number of pixels in its tile of 1, 2, 3 and 4 vectors of output channels, if it works in tiles of so many.
    pub tile: Option<[Option<usize>; 4]>,
}

/// An instruction set, and what it computes with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KernelSet {
    /// For f32.
    Floats(Level),
    /// For bytes.
    Bytes(ByteLevel),
}

impl KernelSet {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            KernelSet::Floats(level) => level.name(),
            KernelSet::Bytes(level) => level.name(),
        }
    }

    /// Whether this CPU has it.
    #[must_use]
    pub fn is_supported(self) -> bool {
        match self {
            KernelSet::Floats(level) => level.is_supported(),
            KernelSet::Bytes(level) => level.is_supported(),
        }
    }

    /// What its kernels read and write.
    #[must_use]
    pub fn element(self) -> Element {
        match self {
            KernelSet::Floats(_) => Element::F32,
            KernelSet::Bytes(_) => Element::U8,
        }
    }
}

/// What computes steps of some kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KernelKind {
    /// Dense convolution, which serves 1×1 and grouped ones and linear layers too.
    Convolution,
    /// Dense 3×3 convolution with fewer products.
    Winograd,
    /// Linear layers in bf16.
    Bf16Linear,
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
    /// Floats as bytes, and bytes as floats.
    Conversion,
    /// Nearest-neighbour enlargement.
    Upsample,
    /// Softmax.
    Softmax,
    /// Local response norm.
    LocalResponseNorm,
}

impl KernelKind {
    /// All of them.
    pub const ALL: [KernelKind; 13] = [
        KernelKind::Convolution,
        KernelKind::Winograd,
        KernelKind::Bf16Linear,
        KernelKind::Depthwise,
        KernelKind::Pooling,
        KernelKind::Mean,
        KernelKind::Binary,
        KernelKind::Affine,
        KernelKind::Activation,
        KernelKind::Conversion,
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
            KernelKind::Bf16Linear => "linear layer in bf16",
            KernelKind::Depthwise => "depthwise convolution",
            KernelKind::Pooling => "pooling",
            KernelKind::Mean => "global mean",
            KernelKind::Binary => "sum and product",
            KernelKind::Affine => "scale and shift",
            KernelKind::Activation => "activation",
            KernelKind::Conversion => "floats and bytes",
            KernelKind::Upsample => "enlargement",
            KernelKind::Softmax => "softmax",
            KernelKind::LocalResponseNorm => "local response norm",
        }
    }

    /// Whether it computes on maps of an element.
    #[must_use]
    pub fn is_of(self, element: Element) -> bool {
        match self {
            KernelKind::Convolution
            | KernelKind::Depthwise
            | KernelKind::Pooling
            | KernelKind::Mean
            | KernelKind::Binary
            | KernelKind::Activation => true,
            KernelKind::Conversion => element == Element::U8,
            KernelKind::Winograd
            | KernelKind::Bf16Linear
            | KernelKind::Affine
            | KernelKind::Upsample
            | KernelKind::Softmax
            | KernelKind::LocalResponseNorm => element == Element::F32,
        }
    }

    /// Whether its loops are vectors of the set's lanes; others are the same on every CPU.
    #[must_use]
    pub fn is_vector(self) -> bool {
        !matches!(self, KernelKind::Softmax | KernelKind::LocalResponseNorm)
    }
}

impl StepKernel {
    /// The kernels that it calls: one, or those of the two layers of a pair.
    #[must_use]
    pub fn kinds(&self) -> &'static [KernelKind] {
        match self {
            StepKernel::Conv(_) | StepKernel::Linear(_) => &[KernelKind::Convolution],
            StepKernel::Winograd(_) => &[KernelKind::Winograd],
            StepKernel::Bf16Linear(_) => &[KernelKind::Bf16Linear],
            StepKernel::Depthwise(_) => &[KernelKind::Depthwise],
            StepKernel::Pair { .. } => &[KernelKind::Convolution, KernelKind::Depthwise],
            StepKernel::Pool { .. } | StepKernel::AdaptiveMean { .. } => &[KernelKind::Pooling],
            StepKernel::GlobalMean => &[KernelKind::Mean],
            StepKernel::Add | StepKernel::Multiply => &[KernelKind::Binary],
            StepKernel::BatchNorm | StepKernel::Scale => &[KernelKind::Affine],
            StepKernel::Activation(_) | StepKernel::Copy => &[KernelKind::Activation],
            StepKernel::Upsample => &[KernelKind::Upsample],
            StepKernel::Quantize | StepKernel::Dequantize => &[KernelKind::Conversion],
            StepKernel::Softmax => &[KernelKind::Softmax],
            StepKernel::LocalResponseNorm { .. } => &[KernelKind::LocalResponseNorm],
        }
    }
}

/// Every kernel under every instruction set of this architecture, those of f32 first, the best set first.
#[must_use]
pub fn kernels() -> Vec<KernelRow> {
    let floats = |kernel: KernelKind| if kernel.is_vector() { Level::ALL } else { &[Level::Scalar] };
    let row = |kernel: KernelKind, set: KernelSet| {
        let tile = match set {
            KernelSet::Floats(level) => level.tile().map(Some),
            KernelSet::Bytes(level) => {
                let [one, two, four] = level.tile();
                [Some(one), Some(two), None, Some(four)]
            }
        };
        KernelRow { kernel, set, tile: (kernel == KernelKind::Convolution).then_some(tile) }
    };
    let sets = |&kernel: &KernelKind| {
        let floats = floats(kernel).iter().map(|&level| KernelSet::Floats(level));
        let all = floats.chain(ByteLevel::ALL.iter().map(|&level| KernelSet::Bytes(level)));
        all.filter(move |set| kernel.is_of(set.element())).map(move |set| row(kernel, set))
    };
    KernelKind::ALL.iter().flat_map(sets).collect()
}

impl KernelRow {
    /// Numbers of 32 bits in its vectors; each is four bytes in a kernel over bytes.
    #[must_use]
    pub fn lanes(&self) -> usize {
        match self.set {
            KernelSet::Floats(level) if self.kernel.is_vector() => level.lanes(),
            KernelSet::Floats(_) => 1,
            KernelSet::Bytes(level) => level.lanes(),
        }
    }

    /// Whether plans for `chosen` use it.
    #[must_use]
    pub fn is_used(&self, chosen: Level) -> bool {
        match self.set {
            KernelSet::Floats(level) => !self.kernel.is_vector() || level == chosen,
            KernelSet::Bytes(level) => level == ByteLevel::within(chosen),
        }
    }
}
