//! Pieces that several families share unchanged.

use cygnet_graph::{Activation, Conv, Scope, Value};

/// A row of a paper's table: blocks that share a width, the first with the stride.
#[derive(Clone, Copy, Debug)]
pub struct Stage {
    /// Factor by which a block widens its input inside (for a sandglass, narrows it).
    pub expand: usize,
    /// Output channels at width 1.
    pub channels: usize,
    /// Number of blocks.
    pub repeats: usize,
    /// Stride of the first block.
    pub stride: usize,
}

/// A row of a table, in the papers' order of columns: t, c, n, s.
#[must_use]
pub const fn stage(expand: usize, channels: usize, repeats: usize, stride: usize) -> Stage {
    Stage { expand, channels, repeats, stride }
}

/// The multiple of `divisor` nearest to `channels`, at least `divisor`, and never below 90 % of `channels`
/// (TF-Slim's `_make_divisible`, used by MobileNetV2 and most families after it).
#[must_use]
pub fn make_divisible(channels: f64, divisor: usize) -> usize {
    let step = divisor as f64;
    let rounded = ((channels + step / 2.0) / step).floor().max(1.0) * step;
    (if rounded < 0.9 * channels { rounded + step } else { rounded }) as usize
}

/// Convolution at `names[0]`, then batch norm at `names[1]`.
pub fn conv_bn_at<'g>(scope: &Scope<'g>, names: [&str; 2], x: Value<'g>, conv: Conv) -> Value<'g> {
    scope.at(names[1]).batch_norm(scope.at(names[0]).conv(x, conv))
}

/// Convolution, then batch norm, in a PyTorch `Sequential`: `0` and `1`.
pub fn conv_bn<'g>(scope: &Scope<'g>, x: Value<'g>, conv: Conv) -> Value<'g> {
    conv_bn_at(scope, ["0", "1"], x, conv)
}

/// Depthwise convolution, then batch norm, at `0` and `1`.
pub fn depthwise_bn<'g>(scope: &Scope<'g>, x: Value<'g>, kernel: usize, stride: usize) -> Value<'g> {
    let conv = Conv::new(x.channels(), kernel).stride(stride).groups(x.channels());
    conv_bn(scope, x, conv)
}

/// The functions of squeeze-and-excitation as published: ReLU inside, sigmoid as the gate.
pub const RELU_SIGMOID: [Activation; 2] = [Activation::RELU, Activation::Sigmoid];

/// Squeeze-and-excitation (Hu et al. 2017): weighs the channels of `x` by what a network of two layers, at `names`,
/// makes of their means; `squeezed` is its inner width, `inner` and `gate` its functions.
pub fn squeeze_excite<'g>(
    scope: &Scope<'g>,
    names: [&str; 2],
    x: Value<'g>,
    squeezed: usize,
    [inner, gate]: [Activation; 2],
) -> Value<'g> {
    let means = x.global_avg_pool();
    let hidden = scope.at(names[0]).conv(means, Conv::new(squeezed, 1).bias()).activation(inner);
    x * scope.at(names[1]).conv(hidden, Conv::new(x.channels(), 1).bias()).activation(gate)
}

/// A residual block of two convolutions as `conv` says, the first with its stride (He et al. 2015, figure 2); the
/// shortcut is a 1×1 convolution where shapes differ. Names are torchvision's.
pub fn residual<'g>(scope: &Scope<'g>, x: Value<'g>, conv: Conv, activation: Activation) -> Value<'g> {
    let (out, stride) = (conv.out, conv.stride);
    let second = Conv { stride: [1, 1], ..conv.clone() };
    let y = conv_bn_at(scope, ["conv1", "bn1"], x, conv).activation(activation);
    let y = conv_bn_at(scope, ["conv2", "bn2"], y, second);
    let same = stride == [1, 1] && x.channels() == out;
    let shortcut =
        if same { x } else { conv_bn(&scope.at("downsample"), x, Conv { stride, ..Conv::new(out, 1) }) };
    (y + shortcut).activation(activation)
}
