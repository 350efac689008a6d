//! The closed set of operators. A `match` over [`Op`] has no wildcard arm, so the compiler lists what a new
//! operator needs.

use serde::{Deserialize, Serialize};

use crate::Activation;

/// What a node computes. Feature maps are `[channels, height, width]`, vectors `[features]`; the batch is implicit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Op {
    /// The image. Exactly one, the first node.
    Input,
    /// 2-D convolution with weight `[out, in / groups, kernel height, kernel width]`.
    Conv(Conv),
    /// Batch normalisation over channels, with running statistics.
    BatchNorm(BatchNorm),
    /// An element-wise function.
    Activation {
        /// Which one.
        function: Activation,
    },
    /// Windowed pooling.
    Pool(Pool),
    /// Mean over height and width: `[c, h, w]` to `[c, 1, 1]`.
    GlobalAvgPool,
    /// Means over windows that cover the map and differ by at most one row or column, whatever its size: output `i` of
    /// `n` is the mean over `floor(i * size / n)..ceil((i + 1) * size / n)` (PyTorch's `adaptive_avg_pool2d`).
    AdaptiveAvgPool {
        /// Height and width of the output.
        size: [usize; 2],
    },
    /// Local response normalisation across channels.
    LocalResponseNorm(LocalResponseNorm),
    /// Sum of two values; dimensions of 1 are broadcast.
    Add,
    /// Product of two values; dimensions of 1 are broadcast.
    Mul,
    /// `x * scale + shift` with constants: one for all channels or one a channel.
    Scale {
        /// One factor, or one a channel.
        scale: Vec<f32>,
        /// One term, or one a channel.
        shift: Vec<f32>,
    },
    /// Channels of all inputs, one after the other.
    Concat,
    /// `len` channels from `start`.
    Slice {
        /// First channel.
        start: usize,
        /// Number of channels.
        len: usize,
    },
    /// Channels read as a `groups × (c / groups)` matrix, transposed (ShuffleNet, section 3.1).
    ChannelShuffle {
        /// Rows of the matrix.
        groups: usize,
    },
    /// Nearest-neighbour enlargement of the first input to the height and width of the second.
    UpsampleLike,
    /// Fully connected layer on the flattened input, weight `[out, in]`.
    Linear {
        /// Output features.
        out: usize,
        /// Whether a bias is learnt.
        bias: bool,
    },
    /// Zeroes activations with probability `rate` while training; the identity otherwise.
    Dropout {
        /// Probability of a zero, in `[0, 1)`.
        rate: f32,
    },
    /// Softmax over channels.
    Softmax,
}

/// What surrounds the image before a window slides over it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Padding {
    /// Rows and columns added at each side.
    Explicit {
        /// Rows above.
        top: usize,
        /// Columns to the left.
        left: usize,
        /// Rows below.
        bottom: usize,
        /// Columns to the right.
        right: usize,
    },
    /// TensorFlow's rule: the output has `ceil(in / stride)` rows; an odd row of padding goes below and right.
    Same,
}

impl Padding {
    /// No padding.
    pub const VALID: Padding = Padding::Explicit { top: 0, left: 0, bottom: 0, right: 0 };

    /// `rows` above and below, `columns` left and right.
    #[must_use]
    pub const fn symmetric(rows: usize, columns: usize) -> Padding {
        Padding::Explicit { top: rows, left: columns, bottom: rows, right: columns }
    }
}

/// Settings of a convolution. Input channels come from the value it is applied to.
///
/// Padding that is not set follows the [`Scope`](crate::Scope): by default "half" padding, `dilation * (k - 1) / 2`
/// on every side, or TensorFlow's "SAME" after [`Scope::same_padding`](crate::Scope::same_padding).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Conv {
    /// Output channels.
    pub out: usize,
    /// Height and width of the kernel.
    pub kernel: [usize; 2],
    /// Step in rows and columns.
    pub stride: [usize; 2],
    /// Distance between the kernel's elements.
    pub dilation: [usize; 2],
    /// Channel groups; `groups == in == out` is depthwise.
    pub groups: usize,
    /// Whether a bias is learnt.
    pub bias: bool,
    /// Padding; always set in a finished graph.
    pub padding: Option<Padding>,
}

impl Conv {
    /// A dense convolution without bias, `kernel × kernel`, stride 1.
    #[must_use]
    pub const fn new(out: usize, kernel: usize) -> Conv {
        Conv::rect(out, [kernel, kernel])
    }

    /// As [`Conv::new`] with a kernel of `[height, width]`.
    #[must_use]
    pub const fn rect(out: usize, kernel: [usize; 2]) -> Conv {
        Conv { out, kernel, stride: [1, 1], dilation: [1, 1], groups: 1, bias: false, padding: None }
    }

    /// Sets the step in both directions.
    #[must_use]
    pub const fn stride(mut self, stride: usize) -> Conv {
        self.stride = [stride, stride];
        self
    }

    /// Sets the dilation in both directions.
    #[must_use]
    pub const fn dilation(mut self, dilation: usize) -> Conv {
        self.dilation = [dilation, dilation];
        self
    }

    /// Sets the number of channel groups.
    #[must_use]
    pub const fn groups(mut self, groups: usize) -> Conv {
        self.groups = groups;
        self
    }

    /// Learns a bias.
    #[must_use]
    pub const fn bias(mut self) -> Conv {
        self.bias = true;
        self
    }

    /// Sets symmetric padding of `pad` on every side.
    #[must_use]
    pub const fn pad(self, pad: usize) -> Conv {
        self.padding(Padding::symmetric(pad, pad))
    }

    /// No padding.
    #[must_use]
    pub const fn valid(self) -> Conv {
        self.padding(Padding::VALID)
    }

    /// Sets the padding.
    #[must_use]
    pub const fn padding(mut self, padding: Padding) -> Conv {
        self.padding = Some(padding);
        self
    }

    /// Whether each of `inputs` channels has a filter of its own, and there are several.
    #[must_use]
    pub const fn is_depthwise(&self, inputs: usize) -> bool {
        self.groups == inputs && self.out == inputs && inputs > 1
    }

    /// The padding; every convolution of a graph has one.
    ///
    /// # Panics
    /// If none is set, which a graph does not allow.
    #[must_use]
    pub const fn set_padding(&self) -> Padding {
        self.padding.expect("a graph's convolutions have their padding")
    }
}

/// Settings of a batch normalisation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct BatchNorm {
    /// Added to the variance.
    pub eps: f64,
    /// Whether a scale (gamma, `weight`) is learnt; Keras' Inception networks have none.
    pub scale: bool,
}

/// Which value a pooling window yields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PoolKind {
    /// The largest; padding never wins.
    Max,
    /// The mean.
    Avg,
}

/// Settings of a pooling.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pool {
    /// Maximum or mean.
    pub kind: PoolKind,
    /// Height and width of the window.
    pub kernel: [usize; 2],
    /// Step in rows and columns.
    pub stride: [usize; 2],
    /// Padding.
    pub padding: Padding,
    /// Whether a last, partly covered window counts; it is dropped if it would start in the padding.
    pub ceil: bool,
    /// Whether padding counts in the mean's divisor.
    pub count_include_pad: bool,
}

impl Pool {
    /// Maximum over `kernel × kernel` windows, no padding, floor mode.
    #[must_use]
    pub const fn max(kernel: usize, stride: usize) -> Pool {
        Pool {
            kind: PoolKind::Max,
            kernel: [kernel, kernel],
            stride: [stride, stride],
            padding: Padding::VALID,
            ceil: false,
            count_include_pad: true,
        }
    }

    /// Mean over `kernel × kernel` windows, no padding, floor mode, padding counted once there is any.
    #[must_use]
    pub const fn avg(kernel: usize, stride: usize) -> Pool {
        let mut pool = Pool::max(kernel, stride);
        pool.kind = PoolKind::Avg;
        pool
    }

    /// Sets symmetric padding.
    #[must_use]
    pub const fn pad(self, pad: usize) -> Pool {
        self.padding(Padding::symmetric(pad, pad))
    }

    /// Sets the padding.
    #[must_use]
    pub const fn padding(mut self, padding: Padding) -> Pool {
        self.padding = padding;
        self
    }

    /// Rounds the output size up.
    #[must_use]
    pub const fn ceil(mut self) -> Pool {
        self.ceil = true;
        self
    }

    /// Leaves padding out of the mean.
    #[must_use]
    pub const fn exclude_pad(mut self) -> Pool {
        self.count_include_pad = false;
        self
    }
}

/// Settings of a local response normalisation: `x / (k + alpha / size * sum of squares)^beta`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LocalResponseNorm {
    /// Channels in a window, centred.
    pub size: usize,
    /// Weight of the mean square.
    pub alpha: f32,
    /// Exponent.
    pub beta: f32,
    /// Offset.
    pub k: f32,
}

impl Op {
    /// Its name in the text form and in messages.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Op::Input => "input",
            Op::Conv(_) => "conv",
            Op::BatchNorm(_) => "batch_norm",
            Op::Activation { function } => function.name(),
            Op::Pool(Pool { kind: PoolKind::Max, .. }) => "max_pool",
            Op::Pool(Pool { kind: PoolKind::Avg, .. }) => "avg_pool",
            Op::GlobalAvgPool => "global_avg_pool",
            Op::AdaptiveAvgPool { .. } => "adaptive_avg_pool",
            Op::LocalResponseNorm(_) => "local_response_norm",
            Op::Add => "add",
            Op::Mul => "mul",
            Op::Scale { .. } => "scale",
            Op::Concat => "concat",
            Op::Slice { .. } => "slice",
            Op::ChannelShuffle { .. } => "channel_shuffle",
            Op::UpsampleLike => "upsample_like",
            Op::Linear { .. } => "linear",
            Op::Dropout { .. } => "dropout",
            Op::Softmax => "softmax",
        }
    }
}
