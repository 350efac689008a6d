//! The inverted residual of MobileNetV2 and the networks after it, under each source's names, and the seven stages of
//! places in which searches choose a block each.

use cygnet_graph::{Activation, Conv, Numbered, Scope, Value};

use crate::blocks::{conv_bn_at, squeeze_excite};

/// An inverted residual (Sandler et al. 2018, arXiv 1801.04381): `[1×1,] depthwise, [squeeze-and-excitation,] 1×1`, and
/// the input added where shapes allow.
#[derive(Clone, Copy, Debug)]
pub struct InvertedResidual {
    /// Kernel of the depthwise convolution.
    pub kernel: usize,
    /// Channels between the 1×1 convolutions.
    pub inside: usize,
    /// Output channels.
    pub out: usize,
    /// Stride of the depthwise convolution.
    pub stride: usize,
    /// Squeeze-and-excitation after the depthwise convolution.
    pub gate: Option<Gate>,
    /// The function after every convolution but the last.
    pub activation: Activation,
    /// Whether the first 1×1 convolution is there even if it widens nothing.
    pub always_expands: bool,
    /// Whether the input is added where shapes allow.
    pub shortcut: bool,
    /// Channel groups of the 1×1 convolutions; channels are shuffled between them if there are several.
    pub groups: usize,
    /// Whether convolutions learn a bias.
    pub bias: bool,
}

/// The squeeze-and-excitation of a block.
#[derive(Clone, Copy, Debug)]
pub struct Gate {
    /// Its inner width.
    pub squeezed: usize,
    /// Its inner function, and the one that makes the weights of channels.
    pub functions: [Activation; 2],
}

impl InvertedResidual {
    /// A 3×3 block with a shortcut, ReLU and nothing else.
    #[must_use]
    pub const fn new(inside: usize, out: usize) -> InvertedResidual {
        InvertedResidual {
            kernel: 3,
            inside,
            out,
            stride: 1,
            gate: None,
            activation: Activation::RELU,
            always_expands: false,
            shortcut: true,
            groups: 1,
            bias: false,
        }
    }
}

/// How a source names the layers of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// Each layer has its name, whatever others there are.
    Own {
        /// Convolution and batch norm of the three steps: expansion, depthwise, projection.
        steps: [[&'static str; 2]; 3],
        /// The place of squeeze-and-excitation, and its two layers below it.
        gate: [&'static str; 3],
    },
    /// Steps are items of a PyTorch `Sequential`, numbered as far as they are there; each is one of convolution and batch
    /// norm, and the gate's layers have names.
    Sequential {
        /// The gate's layers.
        gate: [&'static str; 2],
        /// Whether convolution and batch norm of the projection are items themselves.
        flat_projection: bool,
    },
}

impl Names {
    /// timm's.
    pub const TIMM: Names = Names::Own {
        steps: [["conv_pw", "bn1"], ["conv_dw", "bn2"], ["conv_pwl", "bn3"]],
        gate: ["se", "conv_reduce", "conv_expand"],
    };

    /// torchvision's in MnasNet, which has no gates.
    pub const MNASNET: Names =
        Names::Own { steps: [["0", "1"], ["3", "4"], ["6", "7"]], gate: ["5", "fc1", "fc2"] };

    /// torchvision's in MobileNetV2, which has no gates.
    pub const MOBILENET_V2: Names = Names::Sequential { gate: ["fc1", "fc2"], flat_projection: true };

    /// torchvision's in MobileNetV3.
    pub const MOBILENET_V3: Names = Names::Sequential { gate: ["fc1", "fc2"], flat_projection: false };
}

/// The places of a block's layers, step by step.
struct Places<'s, 'g> {
    scope: &'s Scope<'g>,
    names: Names,
    numbers: Numbered<'g>,
}

impl<'g> Places<'_, 'g> {
    /// Convolution, then batch norm, of one of the three steps.
    fn conv_bn(&mut self, step: usize, x: Value<'g>, conv: Conv) -> Value<'g> {
        match self.names {
            Names::Own { steps, .. } => conv_bn_at(self.scope, steps[step], x, conv),
            Names::Sequential { flat_projection: true, .. } if step == 2 => {
                let y = self.numbers.next().conv(x, conv);
                self.numbers.next().batch_norm(y)
            }
            Names::Sequential { .. } => conv_bn_at(&self.numbers.next(), ["0", "1"], x, conv),
        }
    }

    fn gate(&mut self, x: Value<'g>, Gate { squeezed, functions }: Gate) -> Value<'g> {
        let (place, names) = match self.names {
            Names::Own { gate: [place, first, second], .. } => (self.scope.at(place), [first, second]),
            Names::Sequential { gate, .. } => (self.numbers.next(), gate),
        };
        squeeze_excite(&place, names, x, squeezed, functions)
    }
}

/// Applies an inverted residual to `x`.
pub fn inverted_residual<'g>(
    scope: &Scope<'g>,
    names: Names,
    x: Value<'g>,
    block: InvertedResidual,
) -> Value<'g> {
    let InvertedResidual { kernel, inside, out, stride, gate, activation, groups, bias, .. } = block;
    let mut places = Places { scope, names, numbers: scope.numbered() };
    let pointwise = |out| Conv { bias, ..Conv::new(out, 1).groups(groups) };
    let mut y = x;
    if block.always_expands || inside != x.channels() {
        y = places.conv_bn(0, y, pointwise(inside)).activation(activation);
    }
    if groups != 1 {
        y = y.channel_shuffle(groups);
    }
    let depthwise = Conv::new(inside, kernel).stride(stride).groups(inside);
    y = places.conv_bn(1, y, Conv { bias, ..depthwise }).activation(activation);
    if let Some(gate) = gate {
        y = places.gate(y, gate);
    }
    y = places.conv_bn(2, y, pointwise(out));
    if block.shortcut && stride == 1 && x.channels() == out { x + y } else { y }
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
