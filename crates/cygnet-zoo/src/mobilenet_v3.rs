//! MobileNetV3: found by search, with hard-swish and squeeze-and-excitation (Howard et al. 2019, arXiv 1905.02244).
//!
//! Names are torchvision's. Others scale, squeeze and end the same tables differently; see
//! [`crate::mobilenet_v3_flavours`].

use cygnet_graph::{Activation, Conv, Scope, Value};

use crate::blocks::{conv_bn, make_divisible};
use crate::inverted_residual::{Gate, InvertedResidual, Names, inverted_residual};
use crate::{Built, Spec};

const RE: Activation = Activation::RELU;
const HS: Activation = Activation::HardSwish;

/// A row of a table: an inverted residual.
#[derive(Clone, Copy)]
pub(crate) struct Bneck {
    pub kernel: usize,
    pub expanded: usize,
    pub channels: usize,
    pub squeeze: bool,
    pub activation: Activation,
    pub stride: usize,
}

/// A row in the paper's order of columns.
const fn bneck(
    kernel: usize,
    expanded: usize,
    channels: usize,
    squeeze: bool,
    activation: Activation,
    stride: usize,
) -> Bneck {
    Bneck { kernel, expanded, channels, squeeze, activation, stride }
}

const LARGE: [Bneck; 15] = [
    //  kernel  expanded  channels  SE  NL  stride      — table 1
    bneck(3, 16, 16, false, RE, 1),
    bneck(3, 64, 24, false, RE, 2),
    bneck(3, 72, 24, false, RE, 1),
    bneck(5, 72, 40, true, RE, 2),
    bneck(5, 120, 40, true, RE, 1),
    bneck(5, 120, 40, true, RE, 1),
    bneck(3, 240, 80, false, HS, 2),
    bneck(3, 200, 80, false, HS, 1),
    bneck(3, 184, 80, false, HS, 1),
    bneck(3, 184, 80, false, HS, 1),
    bneck(3, 480, 112, true, HS, 1),
    bneck(3, 672, 112, true, HS, 1),
    bneck(5, 672, 160, true, HS, 2),
    bneck(5, 960, 160, true, HS, 1),
    bneck(5, 960, 160, true, HS, 1),
];

const SMALL: [Bneck; 11] = [
    //  kernel  expanded  channels  SE  NL  stride      — table 2
    bneck(3, 16, 16, true, RE, 2),
    bneck(3, 72, 24, false, RE, 2),
    bneck(3, 88, 24, false, RE, 1),
    bneck(5, 96, 40, true, HS, 2),
    bneck(5, 240, 40, true, HS, 1),
    bneck(5, 240, 40, true, HS, 1),
    bneck(5, 120, 48, true, HS, 1),
    bneck(5, 144, 48, true, HS, 1),
    bneck(5, 288, 96, true, HS, 2),
    bneck(5, 576, 96, true, HS, 1),
    bneck(5, 576, 96, true, HS, 1),
];

/// The widths of a network and the activation at both ends of it.
pub(crate) struct Plan {
    /// The first convolution.
    pub stem: usize,
    pub rows: Vec<Bneck>,
    /// Pointwise convolutions before the pooling.
    pub last: Vec<usize>,
    /// The layer after the pooling.
    pub head: usize,
    pub activation: Activation,
}

pub(crate) fn large() -> Plan {
    Plan { stem: 16, rows: LARGE.to_vec(), last: vec![960], head: 1280, activation: HS }
}

pub(crate) fn small() -> Plan {
    Plan { stem: 16, rows: SMALL.to_vec(), last: vec![576], head: 1024, activation: HS }
}

/// MobileNetV3-Large at any width.
pub fn mobilenet_v3_large(spec: &Spec) -> Built {
    torchvision(spec, large())
}

/// MobileNetV3-Small at any width.
pub fn mobilenet_v3_small(spec: &Spec) -> Built {
    torchvision(spec, small())
}

fn torchvision(spec: &Spec, plan: Plan) -> Built {
    let plan = plan.scaled(spec);
    spec.build(|net, image| {
        let net = net.batch_norm_eps(1e-3);
        let x = features(&net, image, &plan, plan.blocks()).global_avg_pool();
        let x = net.at("classifier.0").linear(x, plan.head).activation(plan.activation);
        net.at("classifier.3").linear(x.dropout(0.2), spec.classes)
    })
}

impl Plan {
    /// Every width scaled, those of the last convolutions as six times their input.
    pub(crate) fn scaled(mut self, spec: &Spec) -> Plan {
        for row in &mut self.rows {
            row.expanded = spec.scaled(row.expanded);
            row.channels = spec.scaled(row.channels);
        }
        let last = self.last.iter().map(|last| 6 * spec.scaled(last / 6)).collect();
        Plan { stem: spec.scaled(self.stem), last, head: spec.scaled(self.head), ..self }
    }

    /// The blocks as the paper has them.
    pub(crate) fn blocks(&self) -> impl Iterator<Item = InvertedResidual> {
        self.rows.iter().map(Bneck::block)
    }
}

/// The network up to the pooling, with `blocks` for its rows.
pub(crate) fn features<'g>(
    net: &Scope<'g>,
    image: Value<'g>,
    plan: &Plan,
    blocks: impl IntoIterator<Item = InvertedResidual>,
) -> Value<'g> {
    let mut places = net.at("features").numbered();
    let layer =
        |place: &Scope<'g>, x, conv| place.feature(conv_bn(place, x, conv).activation(plan.activation));
    let mut x = layer(&places.next(), image, Conv::new(plan.stem, 3).stride(2));
    for block in blocks {
        let place = places.next();
        x = place.feature(inverted_residual(&place.at("block"), Names::MOBILENET_V3, x, block));
    }
    for &channels in &plan.last {
        x = layer(&places.next(), x, Conv::new(channels, 1));
    }
    x
}

impl Bneck {
    /// The row as the paper has it: the gate is a quarter of the inner width.
    fn block(&self) -> InvertedResidual {
        let squeezed = make_divisible(self.expanded as f64 / 4.0, 8);
        self.gated(Gate { squeezed, functions: [Activation::RELU, Activation::HARD_SIGMOID] })
    }

    /// The row with another gate, if it has one.
    pub(crate) fn gated(&self, gate: Gate) -> InvertedResidual {
        InvertedResidual {
            kernel: self.kernel,
            stride: self.stride,
            gate: self.squeeze.then_some(gate),
            activation: self.activation,
            ..InvertedResidual::new(self.expanded, self.channels)
        }
    }
}
