//! Single-Path NAS: kernels and expansions chosen as parts of one large kernel (Stamoulis et al. 2019, arXiv
//! 1904.02877).
//!
//! Names are timm's. The network is the one for a Pixel 1.

use cygnet_graph::Conv;

use crate::blocks::conv_bn_at;
use crate::inverted_residual::{
    Choices, InvertedResidual, Names, depthwise_separable, inverted_residual, k3, k5, stages,
};
use crate::{Built, Spec};

const CHANNELS: [usize; 7] = [16, 24, 40, 80, 96, 192, 320];

const CHOICES: Choices = [
    &[], // depthwise separable in every network of the search
    &[k3(3), k3(3), k3(3)],
    &[k5(6), k3(3), k3(3), k3(3)],
    &[k5(6), k3(3), k3(3), k3(3)],
    &[k5(6), k5(3), k5(3), k5(3)],
    &[k5(6), k5(6), k5(6), k5(6)],
    &[k3(6)],
];

/// The Single-Path NAS network at any width.
pub fn spnasnet(spec: &Spec) -> Built {
    spec.build(|net, image| {
        let channels = CHANNELS.map(|channels| spec.scaled(channels));
        let first = net.at("blocks.0.0");
        let x = conv_bn_at(net, ["conv_stem", "bn1"], image, Conv::new(spec.scaled(32), 3).stride(2)).relu();
        let x = first.feature(depthwise_separable(&first, x, channels[0]));
        let x = stages(net, x, channels, CHOICES, |place, x, [kernel, expand, _]| {
            let inside = x.channels().saturating_mul(expand);
            let block =
                InvertedResidual { kernel, stride: place.stride, ..InvertedResidual::new(inside, place.out) };
            inverted_residual(&place.scope, Names::TIMM, x, block)
        });
        let x = conv_bn_at(net, ["conv_head", "bn2"], x, Conv::new(1280, 1)).relu();
        net.at("classifier").linear(x.global_avg_pool().dropout(0.2), spec.classes)
    })
}
