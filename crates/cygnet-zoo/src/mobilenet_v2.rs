//! MobileNetV2: inverted residuals with linear bottlenecks (Sandler et al. 2018, arXiv 1801.04381).
//!
//! Names are torchvision's. The last convolution does not shrink below 1280 channels.

use cygnet_graph::{Conv, Scope, Value};

use crate::blocks::{Stage, conv_bn, depthwise_bn, stage};
use crate::{Built, Spec};

const STAGES: [Stage; 7] = [
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
    spec.build(|net, image| {
        let mut blocks = net.at("features").numbered();
        let mut x = conv_bn(&blocks.next(), image, Conv::new(spec.scaled(32), 3).stride(2)).relu6();
        for Stage { expand, channels, repeats, stride } in STAGES {
            for repeat in 0..repeats {
                let stride = if repeat == 0 { stride } else { 1 };
                let block = blocks.next();
                x = block.feature(inverted_residual(
                    &block.at("conv"),
                    x,
                    expand,
                    spec.scaled(channels),
                    stride,
                ));
            }
        }
        x = conv_bn(&blocks.next(), x, Conv::new(spec.scaled(1280).max(1280), 1)).relu6();
        net.at("classifier.1").linear(x.global_avg_pool().dropout(0.2), spec.classes)
    })
}

fn inverted_residual<'g>(
    block: &Scope<'g>,
    x: Value<'g>,
    expand: usize,
    out: usize,
    stride: usize,
) -> Value<'g> {
    let mut layers = block.numbered();
    let mut y = x;
    if expand != 1 {
        y = conv_bn(&layers.next(), y, Conv::new(x.channels() * expand, 1)).relu6();
    }
    y = depthwise_bn(&layers.next(), y, 3, stride).relu6();
    y = layers.next().conv(y, Conv::new(out, 1));
    y = layers.next().batch_norm(y);
    if stride == 1 && x.channels() == out { x + y } else { y }
}
