//! MnasNet: searched with latency on the phone in the reward (Tan et al. 2018, arXiv 1807.11626).
//!
//! Names of B1 are torchvision's, which has only that one; the others' are timm's. The last convolution has 1280
//! channels at every width.

use cygnet_graph::{Activation, Conv, Scope, Value};

use crate::blocks::conv_bn_at;
use crate::inverted_residual::{Gate, InvertedResidual, Names, depthwise_separable, inverted_residual};
use crate::{Built, Spec};

/// Blocks of one form, the first with the stride.
#[derive(Clone, Copy)]
struct Stage {
    expand: usize,
    kernel: usize,
    squeeze: bool,
    channels: usize,
    repeats: usize,
    stride: usize,
}

const SE: bool = true;
const NO: bool = false;

const fn mbconv(
    expand: usize,
    kernel: usize,
    squeeze: bool,
    channels: usize,
    repeats: usize,
    stride: usize,
) -> Stage {
    Stage { expand, kernel, squeeze, channels, repeats, stride }
}

const A1: [Stage; 6] = [
    //    expand  kernel  SE  channels  repeats  stride      — figure 7 of the paper
    mbconv(6, 3, NO, 24, 2, 2),
    mbconv(3, 5, SE, 40, 3, 2),
    mbconv(6, 3, NO, 80, 4, 2),
    mbconv(6, 3, SE, 112, 2, 1),
    mbconv(6, 5, SE, 160, 3, 2),
    mbconv(6, 3, NO, 320, 1, 1),
];

const B1: [Stage; 6] = [
    //    expand  kernel  SE  channels  repeats  stride      — mnasnet_models.py of the TPU repository
    mbconv(3, 3, NO, 24, 3, 2),
    mbconv(3, 5, NO, 40, 3, 2),
    mbconv(6, 5, NO, 80, 3, 2),
    mbconv(6, 3, NO, 96, 2, 1),
    mbconv(6, 5, NO, 192, 4, 2),
    mbconv(6, 3, NO, 320, 1, 1),
];

const SMALL: [Stage; 6] = [
    //    expand  kernel  SE  channels  repeats  stride      — mnasnet_models.py of the TPU repository
    mbconv(3, 3, NO, 16, 1, 2),
    mbconv(6, 3, NO, 16, 2, 2),
    mbconv(6, 5, SE, 32, 4, 2),
    mbconv(6, 3, SE, 32, 3, 1),
    mbconv(6, 5, SE, 88, 3, 2),
    mbconv(6, 3, NO, 144, 1, 1),
];

/// The network without squeeze-and-excitation, at any width.
pub fn mnasnet_b1(spec: &Spec) -> Built {
    spec.build(|net, image| {
        let layers = net.at("layers");
        let (stem, first) = (spec.scaled(32), spec.scaled(16));
        let mut x = conv_bn_at(&layers, ["0", "1"], image, Conv::new(stem, 3).stride(2)).relu();
        x = conv_bn_at(&layers, ["3", "4"], x, Conv::new(stem, 3).groups(stem)).relu();
        x = layers.at(7).feature(conv_bn_at(&layers, ["6", "7"], x, Conv::new(first, 1)));
        for (stage, number) in B1.into_iter().zip(8..) {
            for repeat in 0..stage.repeats {
                let scope = layers.at(number).at(repeat);
                let block = stage.block(spec, x, repeat);
                x = scope.feature(inverted_residual(&scope.at("layers"), Names::MNASNET, x, block));
            }
        }
        x = conv_bn_at(&layers, ["14", "15"], x, Conv::new(1280, 1)).relu();
        net.at("classifier.1").linear(x.global_avg_pool().dropout(0.2), spec.classes)
    })
}

/// The network with squeeze-and-excitation, the paper's MnasNet, at any width.
pub fn mnasnet_a1(spec: &Spec) -> Built {
    spec.build(|net, image| {
        let x = conv_bn_at(net, ["conv_stem", "bn1"], image, Conv::new(spec.scaled(32), 3).stride(2)).relu();
        let x = depthwise_separable(&net.at("blocks.0.0"), x, spec.scaled(16));
        let x = timm_stages(net, x, &A1, spec);
        net.at("classifier").linear(x.dropout(0.2), spec.classes)
    })
}

/// The small network, searched for a lower latency, at any width.
pub fn mnasnet_small(spec: &Spec) -> Built {
    spec.build(|net, image| {
        let x = conv_bn_at(net, ["conv_stem", "bn1"], image, Conv::new(spec.scaled(8), 3).stride(2)).relu();
        let x = x + depthwise_separable(&net.at("blocks.0.0"), x, spec.scaled(8));
        let x = timm_stages(net, x, &SMALL, spec);
        net.at("classifier").linear(x, spec.classes)
    })
}

fn timm_stages<'g>(net: &Scope<'g>, x: Value<'g>, stages: &[Stage], spec: &Spec) -> Value<'g> {
    let mut x = net.at("blocks.0.0").feature(x);
    for (stage, number) in stages.iter().zip(1..) {
        for repeat in 0..stage.repeats {
            let scope = net.at("blocks").at(number).at(repeat);
            x = scope.feature(inverted_residual(&scope, Names::TIMM, x, stage.block(spec, x, repeat)));
        }
    }
    conv_bn_at(net, ["conv_head", "bn2"], x, Conv::new(1280, 1)).relu().global_avg_pool()
}

impl Stage {
    /// The gate is a quarter of the block's input wide.
    fn block(self, spec: &Spec, x: Value<'_>, repeat: usize) -> InvertedResidual {
        let squeezed = (x.channels() / 4).max(1);
        let gate = Gate { squeezed, functions: [Activation::RELU, Activation::Sigmoid] };
        InvertedResidual {
            kernel: self.kernel,
            stride: if repeat == 0 { self.stride } else { 1 },
            gate: self.squeeze.then_some(gate),
            ..InvertedResidual::new(x.channels().saturating_mul(self.expand), spec.scaled(self.channels))
        }
    }
}
