//! MobileNetV3 as others have it: TensorFlow's rule for widths (timm, Keras), pytorchcv's widths and heads, the
//! minimalistic networks, and two of timm's own.
//!
//! The blocks and the names are those of [`crate::mobilenet_v3`].

use cygnet_graph::{Activation, Conv, Scope, Value};

use crate::blocks::make_divisible;
use crate::inverted_residual::{Gate, InvertedResidual};
use crate::mobilenet_v3::{Bneck, Plan, features, large};
use crate::{Built, Spec};

/// How often timm's deeper network has each row.
const DEEPER: [usize; 15] = [2, 1, 2, 1, 1, 2, 1, 2, 1, 1, 1, 2, 1, 1, 2];

/// The network for hardware without fast 5×5 kernels, gates and hard-swish.
pub(crate) fn minimalistic(mut plan: Plan) -> Plan {
    for row in &mut plan.rows {
        *row = Bneck { kernel: 3, squeeze: false, activation: Activation::RELU, ..*row };
    }
    Plan { activation: Activation::RELU, ..plan }
}

/// MobileNetV3 as timm trains it.
pub(crate) fn timm(spec: &Spec, plan: Plan) -> Built {
    spec.build(|net, image| timm_at(net, image, spec, plan))
}

/// MobileNetV3 as timm holds TensorFlow's weights.
pub(crate) fn tf(spec: &Spec, plan: Plan) -> Built {
    spec.build(|net, image| timm_at(&net.batch_norm_eps(1e-3).same_padding(), image, spec, plan))
}

/// MobileNetV3-Large of width 1.5 with a fifth more blocks, for images of 256 × 256.
pub fn mobilenet_v3_large_150d(spec: &Spec) -> Built {
    let plan = large();
    let rows = plan.rows.iter().zip(DEEPER).flat_map(|(row, times)| [*row].repeat(times)).collect();
    timm(spec, Plan { rows, last: vec![960, 960], ..plan })
}

fn timm_at<'g>(net: &Scope<'g>, image: Value<'g>, spec: &Spec, plan: Plan) -> Value<'g> {
    let stem = if spec.width < 0.75 { plan.stem } else { spec.scaled(plan.stem) };
    let last = plan.last.iter().map(|&last| spec.scaled(last)).collect();
    let plan = Plan { stem, rows: by_ratio(spec, stem, &plan), last, ..plan };
    let x = features(net, image, &plan, plan.blocks()).global_avg_pool();
    let x = net.at("classifier.0").conv(x, Conv::new(plan.head, 1).bias()).activation(plan.activation);
    net.at("classifier.3").linear(x, spec.classes)
}

/// MobileNetV3 of Keras.
pub(crate) fn keras(spec: &Spec, plan: Plan) -> Built {
    let last = plan.last.iter().map(|last| 6 * spec.scaled(last / 6)).collect();
    let head = spec.scaled(plan.head).max(plan.head);
    let plan = Plan { rows: by_ratio(spec, plan.stem, &plan), last, head, ..plan };
    spec.build(|net, image| {
        let net = net.batch_norm_eps(1e-3).same_padding();
        let x = features(&net, image, &plan, plan.blocks()).global_avg_pool();
        let x = net.at("classifier.0").conv(x, Conv::new(plan.head, 1).bias()).activation(plan.activation);
        net.at("classifier.3").conv(x.dropout(0.2), Conv::new(spec.classes, 1).bias())
    })
}

/// Rows whose expanded widths keep the ratio to their input that they have at width 1.
fn by_ratio(spec: &Spec, stem: usize, plan: &Plan) -> Vec<Bneck> {
    let (mut input, mut full_input) = (stem, plan.stem);
    let scaled = |row: &Bneck| {
        let channels = spec.scaled(row.channels);
        let input = std::mem::replace(&mut input, channels);
        let full_input = std::mem::replace(&mut full_input, row.channels);
        let expanded = make_divisible((input * row.expanded) as f64 / full_input as f64, 8);
        Bneck { expanded, channels, ..*row }
    };
    plan.rows.iter().map(scaled).collect()
}

/// MobileNetV3 of pytorchcv: both networks end in 1280 channels.
pub(crate) fn pytorchcv(spec: &Spec, plan: Plan) -> Built {
    let last = plan.last.iter().map(|&last| spec.scaled(last).max(last)).collect();
    let plan = Plan { last, head: 1280, ..plan.scaled(spec) };
    spec.build(|net, image| {
        let x = features(net, image, &plan, plan.blocks()).global_avg_pool();
        let x = net.at("classifier.0").conv(x, Conv::new(plan.head, 1)).activation(plan.activation);
        net.at("classifier.3").conv(x.dropout(0.2), Conv::new(spec.classes, 1).bias())
    })
}

/// timm's own reading of MobileNetV3-Large: gates of exactly a quarter of the width, with the block's activation
/// inside, and no shortcut in the first block.
pub fn mobilenet_v3_large_rw(spec: &Spec) -> Built {
    let plan = large().scaled(spec);
    spec.build(|net, image| {
        let net = net.batch_norm_eps(1e-3);
        let mut blocks: Vec<InvertedResidual> = plan.rows.iter().map(rw_block).collect();
        blocks[0].shortcut = false;
        let x = features(&net, image, &plan, blocks).global_avg_pool();
        let x = net.at("classifier.0").conv(x, Conv::new(plan.head, 1)).activation(plan.activation);
        net.at("classifier.3").linear(x, spec.classes)
    })
}

fn rw_block(row: &Bneck) -> InvertedResidual {
    row.gated(Gate { squeezed: row.expanded / 4, functions: [row.activation, Activation::HARD_SIGMOID] })
}
