//! MobileNetV2: inverted residuals with linear bottlenecks (Sandler et al. 2018, arXiv 1801.04381).
//!
//! Names are torchvision's. The last convolution does not shrink below 1280 channels.

use cygnet_graph::{Conv, Scope, Value};

use crate::blocks::{Stage, conv_bn, depthwise_bn, stage};
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
        let x = features(&net.at("features"), image, ends, &stages, |expand| expand != 1);
        net.at("classifier.1").linear(x.global_avg_pool().dropout(0.2), spec.classes)
    })
}

/// All before the pooling: `stages` between two convolutions that are `ends` wide. `expands` says whether a block
/// that widens so many times has a layer for it.
pub(crate) fn features<'g>(
    net: &Scope<'g>,
    image: Value<'g>,
    ends: [usize; 2],
    stages: &[Stage],
    expands: impl Fn(usize) -> bool,
) -> Value<'g> {
    let mut blocks = net.numbered();
    let mut x = conv_bn(&blocks.next(), image, Conv::new(ends[0], 3).stride(2)).relu6();
    for &Stage { expand, channels, repeats, stride } in stages {
        for repeat in 0..repeats {
            let (block, stride) = (blocks.next(), if repeat == 0 { stride } else { 1 });
            let mut layers = block.at("conv").numbered();
            let mut y = x;
            if expands(expand) {
                y = conv_bn(&layers.next(), y, Conv::new(x.channels() * expand, 1)).relu6();
            }
            y = depthwise_bn(&layers.next(), y, 3, stride).relu6();
            y = layers.next().conv(y, Conv::new(channels, 1));
            y = layers.next().batch_norm(y);
            x = block.feature(if stride == 1 && x.channels() == channels { x + y } else { y });
        }
    }
    conv_bn(&blocks.next(), x, Conv::new(ends[1], 1)).relu6()
}
