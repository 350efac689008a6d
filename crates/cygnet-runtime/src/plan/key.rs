//! What decides how long a step takes: its kernel, windows, sizes, and what joined it.

use std::fmt::{self, Display, Formatter};

use cygnet_graph::{Activation, PoolKind};
use cygnet_kernels::{Element, Window};

/// All that a step's time depends on but the machine. Steps of equal keys do the same work on other numbers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StepKey {
    /// What computes it.
    pub kernel: StepKernel,
    /// The values it works on.
    pub inputs: Vec<StepValue>,
    /// The value it makes.
    pub output: StepValue,
    /// Its calls: a kernel is called for every group, or for every piece of a value that lies together.
    pub calls: usize,
}

/// A value of a step, as far as its time depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StepValue {
    /// `[channels, height, width]`.
    pub shape: [usize; 3],
    /// What it is stored as.
    pub element: Element,
}

/// A layer's window and what joined the layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sliding {
    /// How its window slides.
    pub window: Window,
    /// Groups of channels.
    pub groups: usize,
    /// Whether another value is added to its own.
    pub adds: bool,
    /// The function that is applied last.
    pub activation: Option<Activation>,
}

/// What computes a step. As text it is a name such as `conv 3x3/2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StepKernel {
    /// A convolution, also of groups and of single pixels.
    Conv(Sliding),
    /// A dense 3×3 convolution with fewer products.
    Winograd(Sliding),
    /// A depthwise convolution.
    Depthwise(Sliding),
    /// A dense convolution and the depthwise one that works on its rows.
    Pair {
        /// The dense one.
        dense: Sliding,
        /// The depthwise one.
        depthwise: Sliding,
    },
    /// A linear layer.
    Linear(Sliding),
    /// A linear layer, or a convolution of a single pixel, in bf16.
    Bf16Linear(Sliding),
    /// Batch norm that no layer took.
    BatchNorm,
    /// A constant scale that no layer took.
    Scale,
    /// A function that no layer took.
    Activation(Activation),
    /// Windowed pooling.
    Pool {
        /// Which value a window yields.
        kind: PoolKind,
        /// How the window slides.
        window: Window,
    },
    /// Mean over all pixels.
    GlobalMean,
    /// Means over windows that cover the map.
    AdaptiveMean {
        /// Rows and columns of the output.
        size: [usize; 2],
    },
    /// Sum of two values.
    Add,
    /// Product of two values.
    Multiply,
    /// Nearest-neighbour enlargement.
    Upsample,
    /// Local response norm over a window of channels.
    LocalResponseNorm {
        /// Channels of the window.
        size: usize,
    },
    /// Softmax over channels.
    Softmax,
    /// A value put together from pieces.
    Copy,
    /// Floats as bytes on a grid.
    Quantize,
    /// Bytes on a grid as floats.
    Dequantize,
}

impl Display for StepKernel {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let windowed = |f: &mut Formatter<'_>, name: &str, window: &Window| {
            write!(f, "{name} {}{}", dims(&window.kernel), step(window))
        };
        match self {
            StepKernel::Conv(Sliding { window, groups: 1, .. }) if window.kernel == [1, 1] => {
                write!(f, "pointwise{}", step(window))
            }
            StepKernel::Conv(Sliding { window, groups: 1, .. }) => windowed(f, "conv", window),
            StepKernel::Conv(Sliding { window, .. }) => windowed(f, "grouped conv", window),
            StepKernel::Winograd(Sliding { window, .. }) => windowed(f, "winograd", window),
            StepKernel::Depthwise(Sliding { window, .. }) => windowed(f, "depthwise", window),
            StepKernel::Pair { dense, depthwise } => {
                write!(f, "{} + {}", StepKernel::Conv(*dense), StepKernel::Depthwise(*depthwise))
            }
            StepKernel::Linear(_) => f.write_str("linear"),
            StepKernel::Bf16Linear(_) => f.write_str("linear bf16"),
            StepKernel::BatchNorm => f.write_str("batch norm"),
            StepKernel::Scale => f.write_str("scale"),
            StepKernel::Activation(function) => f.write_str(&function.name().replace('_', " ")),
            StepKernel::Pool { kind: PoolKind::Max, window } => windowed(f, "max pool", window),
            StepKernel::Pool { kind: PoolKind::Avg, window } => windowed(f, "mean pool", window),
            StepKernel::GlobalMean => f.write_str("global mean"),
            StepKernel::AdaptiveMean { size } => write!(f, "mean to {}", dims(size)),
            StepKernel::Add => f.write_str("add"),
            StepKernel::Multiply => f.write_str("multiply"),
            StepKernel::Upsample => f.write_str("upsample"),
            StepKernel::LocalResponseNorm { .. } => f.write_str("local response norm"),
            StepKernel::Softmax => f.write_str("softmax"),
            StepKernel::Copy => f.write_str("copy"),
            StepKernel::Quantize => f.write_str("quantize"),
            StepKernel::Dequantize => f.write_str("dequantize"),
        }
    }
}

/// A window's stride, if it has one.
fn step(window: &Window) -> String {
    match window.stride {
        [1, 1] => String::new(),
        [rows, columns] if rows == columns => format!("/{rows}"),
        stride => format!("/{}", dims(&stride)),
    }
}

/// Numbers as `3x224x224`.
pub(super) fn dims(shape: &[usize]) -> String {
    shape.iter().map(ToString::to_string).collect::<Vec<_>>().join("x")
}
