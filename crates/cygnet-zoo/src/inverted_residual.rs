//! The inverted residual of the searched networks under timm's names, and the seven stages of places in which
//! searches choose a block each.

use cygnet_graph::{Activation, Conv, Scope, Value};

use crate::blocks::{conv_bn_at, squeeze_excite};

/// An inverted residual: `[1×1,] depthwise, [squeeze-and-excitation,] 1×1`, and the input added where shapes allow.
#[derive(Clone, Copy, Debug)]
pub struct InvertedResidual {
    /// Kernel of the depthwise convolution.
    pub kernel: usize,
    /// Factor by which the block widens its input inside; 1 leaves out the first 1×1 convolution.
    pub expand: usize,
    /// Output channels.
    pub out: usize,
    /// Stride of the depthwise convolution.
    pub stride: usize,
    /// Whether squeeze-and-excitation follows the depthwise convolution, a quarter of the block's input wide.
    pub squeeze: bool,
    /// The function after every convolution but the last.
    pub activation: Activation,
}

/// Names of convolution and batch norm of an inverted residual's three steps: expansion, depthwise, projection.
pub type Names = [[&'static str; 2]; 3];

/// timm's names.
pub const TIMM: Names = [["conv_pw", "bn1"], ["conv_dw", "bn2"], ["conv_pwl", "bn3"]];

/// Applies an inverted residual to `x`.
pub fn inverted_residual<'g>(
    scope: &Scope<'g>,
    names: Names,
    x: Value<'g>,
    block: InvertedResidual,
) -> Value<'g> {
    let InvertedResidual { kernel, expand, out, stride, squeeze, activation } = block;
    let [expansion, depthwise, projection] = names;
    let inside = x.channels().saturating_mul(expand);
    let mut y = x;
    if expand != 1 {
        y = conv_bn_at(scope, expansion, y, Conv::new(inside, 1)).activation(activation);
    }
    let conv = Conv::new(inside, kernel).stride(stride).groups(inside);
    y = conv_bn_at(scope, depthwise, y, conv).activation(activation);
    if squeeze {
        let functions = [activation, Activation::Sigmoid];
        y = squeeze_excite(
            &scope.at("se"),
            ["conv_reduce", "conv_expand"],
            y,
            (x.channels() / 4).max(1),
            functions,
        );
    }
    y = conv_bn_at(scope, projection, y, Conv::new(out, 1));
    if stride == 1 && x.channels() == out { x + y } else { y }
}

/// Depthwise 3×3, then 1×1, without shortcut: the first block of most searched networks.
pub fn depthwise_separable<'g>(scope: &Scope<'g>, x: Value<'g>, out: usize) -> Value<'g> {
    let y = conv_bn_at(scope, ["conv_dw", "bn1"], x, Conv::new(x.channels(), 3).groups(x.channels())).relu();
    conv_bn_at(scope, ["conv_pw", "bn2"], y, Conv::new(out, 1))
}

/// What a search chose for the place of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// No block; the place keeps its number.
    Skip,
    /// An inverted residual.
    Block {
        /// Kernel of the depthwise convolution.
        kernel: usize,
        /// Factor by which the block widens its input inside.
        expand: usize,
        /// Channel groups of its 1×1 convolutions.
        groups: usize,
    },
}

/// The choices of a network, stage by stage.
pub type Choices = [&'static [Choice]; 7];

/// A 3×3 block.
#[must_use]
pub const fn k3(expand: usize) -> Choice {
    Choice::Block { kernel: 3, expand, groups: 1 }
}

/// A 5×5 block.
#[must_use]
pub const fn k5(expand: usize) -> Choice {
    Choice::Block { kernel: 5, expand, groups: 1 }
}

/// A 7×7 block.
#[must_use]
pub const fn k7(expand: usize) -> Choice {
    Choice::Block { kernel: 7, expand, groups: 1 }
}

/// A place for a block: its scope, and what the block has to produce.
pub struct Place<'g> {
    /// `blocks.STAGE.NUMBER`.
    pub scope: Scope<'g>,
    /// Output channels.
    pub out: usize,
    /// Stride.
    pub stride: usize,
}

/// The seven stages, with `channels` each: `block` builds what was chosen for a place, as kernel, expansion and
/// groups.
pub fn stages<'g>(
    net: &Scope<'g>,
    mut x: Value<'g>,
    channels: [usize; 7],
    choices: Choices,
    block: impl Fn(Place<'g>, Value<'g>, [usize; 3]) -> Value<'g>,
) -> Value<'g> {
    const STRIDES: [usize; 7] = [1, 2, 2, 2, 1, 2, 1];
    for (stage, (choices, out)) in choices.into_iter().zip(channels).enumerate() {
        for (number, &choice) in choices.iter().enumerate() {
            let Choice::Block { kernel, expand, groups } = choice else { continue };
            let scope = net.at("blocks").at(stage).at(number);
            let stride = if number == 0 { STRIDES[stage] } else { 1 };
            let place = Place { scope: scope.clone(), out, stride };
            x = scope.feature(block(place, x, [kernel, expand, groups]));
        }
    }
    x
}
