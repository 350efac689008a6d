//! ProxylessNAS: searched on ImageNet itself, for one kind of device each (Cai et al. 2018, arXiv 1812.00332).
//!
//! Layers are named as timm names those of its searched networks.

use cygnet_graph::{Activation, Conv};

use crate::blocks::conv_bn_at;
use crate::inverted_residual::{
    Choice::Skip as SKIP, Choices, InvertedResidual, Names, inverted_residual, k3, k5, k7, stages,
};
use crate::{Built, Spec};

const CPU: Choices = [
    &[k3(1)],
    &[k3(6), k3(3), k3(3), k3(3)],
    &[k3(6), k3(3), k3(3), k5(3)],
    &[k3(6), SKIP, SKIP, k3(3)],
    &[k5(6), k3(3), k3(3), k3(3)],
    &[k5(6), k5(3), k5(3), k3(3)],
    &[k5(6)],
];

const GPU: Choices = [
    &[k3(1)],
    &[k5(3), SKIP, SKIP, SKIP],
    &[k7(3), SKIP, SKIP, k3(3)],
    &[k7(6), SKIP, SKIP, k5(3)],
    &[k5(6), SKIP, k3(3), k5(3)],
    &[k7(6), k7(6), k7(6), k5(6)],
    &[k7(6)],
];

const MOBILE: Choices = [
    &[k3(1)],
    &[k5(3), k3(3), SKIP, SKIP],
    &[k7(3), k3(3), k5(3), k5(3)],
    &[k7(6), k5(3), k5(3), k5(3)],
    &[k5(6), k5(3), k5(3), k5(3)],
    &[k7(6), k7(6), k7(3), k7(3)],
    &[k7(6)],
];

/// The network for CPUs.
pub fn proxylessnas_cpu(spec: &Spec) -> Built {
    proxylessnas(spec, 40, [24, 32, 48, 88, 104, 216, 360], 1432, CPU)
}

/// The network for GPUs.
pub fn proxylessnas_gpu(spec: &Spec) -> Built {
    proxylessnas(spec, 40, [24, 32, 56, 112, 128, 256, 432], 1728, GPU)
}

/// The network for phones.
pub fn proxylessnas_mobile(spec: &Spec) -> Built {
    proxylessnas(spec, 32, [16, 32, 40, 80, 96, 192, 320], 1280, MOBILE)
}

/// The network for phones, about 1.4 times as wide.
pub fn proxylessnas_mobile14(spec: &Spec) -> Built {
    proxylessnas(spec, 48, [24, 40, 56, 112, 136, 256, 448], 1792, MOBILE)
}

fn proxylessnas(spec: &Spec, first: usize, channels: [usize; 7], last: usize, choices: Choices) -> Built {
    spec.build(|net, image| {
        let net = net.batch_norm_eps(1e-3);
        let x = conv_bn_at(&net, ["conv_stem", "bn1"], image, Conv::new(first, 3).stride(2)).relu6();
        let x = stages(&net, x, channels, choices, |place, x, [kernel, expand, _]| {
            let inside = x.channels().saturating_mul(expand);
            let block = InvertedResidual {
                kernel,
                stride: place.stride,
                activation: Activation::RELU6,
                ..InvertedResidual::new(inside, place.out)
            };
            inverted_residual(&place.scope, Names::TIMM, x, block)
        });
        let x = conv_bn_at(&net, ["conv_head", "bn2"], x, Conv::new(last, 1)).relu6();
        net.at("classifier").linear(x.global_avg_pool(), spec.classes)
    })
}
