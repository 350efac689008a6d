//! MobileNetV2: inverted residuals with linear bottlenecks (Sandler et al. 2018, arXiv 1801.04381).
//!
//! Names are torchvision's. The last convolution does not shrink below 1280 channels.

use cygnet_graph::{Activation, Conv, Scope, Value};

use crate::blocks::{Stage, conv_bn, stage};
use crate::inverted_residual::{InvertedResidual, Names, inverted_residual};
use crate::{Built, Spec};

pub(crate) const STAGES: [Stage; 7] = [
    //    expand  channels  repeats  stride      — table 2 of the paper
    stage(1, 16, 1, 1),
    stage(6, 24, 2, 2),
    stage(6, 32, 3, 2),
    stage(6, 64, 4, 2),
    stage(6, 96, 3, 1),
    stage(6, 160, 3, 2),
    stage(6, 320, 1, 1),
];

/// MobileNetV2 at any width.
pub fn mobilenet_v2(spec: &Spec) -> Built {
    let stages = STAGES.map(|stage| Stage { channels: spec.scaled(stage.channels), ..stage });
    spec.build(|net, image| {
        let ends = [spec.scaled(32), spec.scaled(1280).max(1280)];
        let x = features(&net.at("features"), image, ends, &stages, false);
        net.at("classifier.1").linear(x.global_avg_pool().dropout(0.2), spec.classes)
    })
}

/// All before the pooling: `stages` between two convolutions that are `ends` wide. `always_expands` says whether a block
/// has a layer for widening once, too.
pub(crate) fn features<'g>(
    net: &Scope<'g>,
    image: Value<'g>,
    ends: [usize; 2],
    stages: &[Stage],
    always_expands: bool,
) -> Value<'g> {
    let mut blocks = net.numbered();
    let mut x = conv_bn(&blocks.next(), image, Conv::new(ends[0], 3).stride(2)).relu6();
    for &Stage { expand, channels, repeats, stride } in stages {
        for repeat in 0..repeats {
            let place = blocks.next();
            let block = InvertedResidual {
                stride: if repeat == 0 { stride } else { 1 },
                activation: Activation::RELU6,
                always_expands,
                ..InvertedResidual::new(x.channels().saturating_mul(expand), channels)
            };
            x = place.feature(inverted_residual(&place.at("conv"), Names::MOBILENET_V2, x, block));
        }
    }
    conv_bn(&blocks.next(), x, Conv::new(ends[1], 1)).relu6()
}
