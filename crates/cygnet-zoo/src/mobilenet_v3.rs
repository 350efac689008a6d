//! MobileNetV3: found by search, with hard-swish and squeeze-and-excitation (Howard et al. 2019, arXiv 1905.02244).
//!
//! Names are torchvision's. Others scale, squeeze and end the same tables differently; see
//! [`crate::mobilenet_v3_flavours`].

use cygnet_graph::{Activation, Conv, Scope, Value};

use crate::blocks::{conv_bn, depthwise_bn, make_divisible, squeeze_excite};
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
        let x = features(&net, image, &plan, inverted_residual).global_avg_pool();
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
}

/// The network up to the pooling, with rows as `block` builds them.
pub(crate) fn features<'g>(
    net: &Scope<'g>,
    image: Value<'g>,
    plan: &Plan,
    block: impl Fn(&Scope<'g>, Value<'g>, &Bneck) -> Value<'g>,
) -> Value<'g> {
    let mut places = net.at("features").numbered();
    let layer =
        |place: &Scope<'g>, x, conv| place.feature(conv_bn(place, x, conv).activation(plan.activation));
    let mut x = layer(&places.next(), image, Conv::new(plan.stem, 3).stride(2));
    for row in &plan.rows {
        let place = places.next();
        x = place.feature(block(&place.at("block"), x, row));
    }
    for &channels in &plan.last {
        x = layer(&places.next(), x, Conv::new(channels, 1));
    }
    x
}

/// A row, with its shortcut where shapes allow one.
pub(crate) fn inverted_residual<'g>(block: &Scope<'g>, x: Value<'g>, row: &Bneck) -> Value<'g> {
    let y = branch(block, x, row, |place, x| {
        let squeezed = make_divisible(x.channels() as f64 / 4.0, 8);
        squeeze_excite(place, ["fc1", "fc2"], x, squeezed, [Activation::RELU, Activation::HARD_SIGMOID])
    });
    if row.stride == 1 && x.channels() == row.channels { x + y } else { y }
}

/// A row without its shortcut.
pub(crate) fn branch<'g>(
    block: &Scope<'g>,
    mut x: Value<'g>,
    row: &Bneck,
    squeeze: impl Fn(&Scope<'g>, Value<'g>) -> Value<'g>,
) -> Value<'g> {
    let mut layers = block.numbered();
    if row.expanded != x.channels() {
        x = conv_bn(&layers.next(), x, Conv::new(row.expanded, 1)).activation(row.activation);
    }
    x = depthwise_bn(&layers.next(), x, row.kernel, row.stride).activation(row.activation);
    if row.squeeze {
        x = squeeze(&layers.next(), x);
    }
    conv_bn(&layers.next(), x, Conv::new(row.channels, 1))
}
