//! MobileNetV1: depthwise separable convolutions (Howard et al. 2017, arXiv 1704.04861).
//!
//! Names are timm's. The paper's comparisons are here too (shallow, and with full convolutions), SE-MobileNet
//! (Hu et al. 2017, table 3), FD-MobileNet (Qin et al. 2018, arXiv 1802.03750), and the versions of Keras and
//! pytorchcv.

use cygnet_graph::{Activation, Conv, Padding, Scope, Value};

use crate::blocks::{RELU_SIGMOID, conv_bn_at, squeeze_excite};
use crate::{Built, Spec};

/// Rows of the table that share a width, the first with the stride.
#[derive(Clone, Copy)]
struct Stage {
    channels: usize,
    repeats: usize,
    stride: usize,
}

const fn stage(channels: usize, repeats: usize, stride: usize) -> Stage {
    Stage { channels, repeats, stride }
}

const STAGES: [Stage; 5] = [
    //   channels repeats stride      — table 1 of the paper
    stage(64, 1, 1),
    stage(128, 2, 2),
    stage(256, 2, 2),
    stage(512, 6, 2),
    stage(1024, 2, 2),
];

const SHALLOW: [Stage; 5] =
    [stage(64, 1, 1), stage(128, 2, 2), stage(256, 2, 2), stage(512, 1, 2), stage(1024, 2, 2)];

const FAST: [Stage; 5] = [
    //   channels repeats stride      — table 1 of the FD-MobileNet paper
    stage(64, 1, 2),
    stage(128, 2, 2),
    stage(256, 2, 2),
    stage(512, 5, 2),
    stage(1024, 1, 1),
];

/// MobileNetV1 at any width, as timm has it.
pub fn mobilenet_v1(spec: &Spec) -> Built {
    rounded(spec, &STAGES, separable)
}

/// MobileNetV1 with one more pointwise convolution before the pooling, of no fewer than 1024 channels.
pub fn mobilenet_v1_head(spec: &Spec) -> Built {
    spec.build(|net, image| {
        let x = features(net, image, Activation::RELU6, scaled(spec), &STAGES, separable);
        let head = Conv::new(spec.scaled(1024).max(1024), 1);
        classify(net, conv_bn_at(net, ["conv_head", "bn2"], x, head).relu6(), spec)
    })
}

/// MobileNetV1 without the five blocks of 512 channels in the middle (table 5).
pub fn mobilenet_v1_shallow(spec: &Spec) -> Built {
    rounded(spec, &SHALLOW, separable)
}

/// MobileNetV1 with a full convolution in the place of each separable one (table 4).
pub fn mobilenet_v1_conv(spec: &Spec) -> Built {
    rounded(spec, &STAGES, |block, x, out, stride| {
        conv_bn_at(block, ["conv", "bn1"], x, Conv::new(out, 3).stride(stride)).relu6()
    })
}

/// MobileNetV1 with squeeze-and-excitation after each block.
pub fn se_mobilenet_v1(spec: &Spec) -> Built {
    rounded(spec, &STAGES, |block, x, out, stride| {
        let x = separable(block, x, out, stride);
        squeeze_excite(&block.at("se"), ["conv_reduce", "conv_expand"], x, out.div_ceil(16), RELU_SIGMOID)
    })
}

/// MobileNetV1 of pytorchcv: ReLU without a limit, widths cut down to whole numbers.
pub fn mobilenet_v1_pytorchcv(spec: &Spec) -> Built {
    truncated(spec, &STAGES, separable_relu)
}

/// MobileNetV1 with nothing between the depthwise and the pointwise convolution.
pub fn mobilenet_v1b(spec: &Spec) -> Built {
    truncated(spec, &STAGES, |block, x, out, stride| {
        let x = block.at("conv_dw").depthwise(x, Conv::new(0, 3).stride(stride));
        conv_bn_at(block, ["conv_pw", "bn2"], x, Conv::new(out, 1)).relu()
    })
}

/// FD-MobileNet: at a 32nd of the image's size after a third of the blocks.
pub fn fd_mobilenet(spec: &Spec) -> Built {
    truncated(spec, &FAST, separable_relu)
}

/// MobileNetV1 of Keras and TensorFlow: other padding, and a convolution for a classifier.
pub fn mobilenet_v1_keras(spec: &Spec) -> Built {
    spec.build(|net, image| {
        let net = &net.batch_norm_eps(1e-3).same_padding();
        let x = features(net, image, Activation::RELU6, |n| spec.truncated(n), &STAGES, separable_keras);
        let x = x.global_avg_pool().dropout(1e-3);
        net.at("classifier").conv(x, Conv::new(spec.classes, 1).bias())
    })
}

type Block = for<'g> fn(&Scope<'g>, Value<'g>, usize, usize) -> Value<'g>;

fn rounded(spec: &Spec, stages: &[Stage], block: Block) -> Built {
    spec.build(|net, image| {
        classify(net, features(net, image, Activation::RELU6, scaled(spec), stages, block), spec)
    })
}

fn truncated(spec: &Spec, stages: &[Stage], block: Block) -> Built {
    spec.build(|net, image| {
        let width = |channels| spec.truncated(channels);
        classify(net, features(net, image, Activation::RELU, width, stages, block), spec)
    })
}

fn scaled(spec: &Spec) -> impl Fn(usize) -> usize {
    |channels| spec.scaled(channels)
}

fn features<'g>(
    net: &Scope<'g>,
    image: Value<'g>,
    activation: Activation,
    width: impl Fn(usize) -> usize,
    stages: &[Stage],
    block: Block,
) -> Value<'g> {
    let mut x = conv_bn_at(net, ["conv_stem", "bn1"], image, Conv::new(width(32), 3).stride(2));
    x = net.at("conv_stem").feature(x.activation(activation));
    for (number, &Stage { channels, repeats, stride }) in stages.iter().enumerate() {
        for repeat in 0..repeats {
            let stride = if repeat == 0 { stride } else { 1 };
            let place = net.at(format_args!("blocks.{number}.{repeat}"));
            x = place.feature(block(&place, x, width(channels), stride));
        }
    }
    x
}

fn classify<'g>(net: &Scope<'g>, x: Value<'g>, spec: &Spec) -> Value<'g> {
    net.at("classifier").linear(x.global_avg_pool(), spec.classes)
}

fn separable<'g>(block: &Scope<'g>, x: Value<'g>, out: usize, stride: usize) -> Value<'g> {
    separable_with(block, x, out, Conv::new(0, 3).stride(stride), Activation::RELU6)
}

fn separable_relu<'g>(block: &Scope<'g>, x: Value<'g>, out: usize, stride: usize) -> Value<'g> {
    separable_with(block, x, out, Conv::new(0, 3).stride(stride), Activation::RELU)
}

/// Keras pads below and right only where the stride is 2, whatever the size.
fn separable_keras<'g>(block: &Scope<'g>, x: Value<'g>, out: usize, stride: usize) -> Value<'g> {
    let below = Padding::Explicit { top: 0, left: 0, bottom: 1, right: 1 };
    let depthwise = Conv::new(0, 3).stride(stride);
    let depthwise = if stride == 1 { depthwise } else { depthwise.padding(below) };
    separable_with(block, x, out, depthwise, Activation::RELU6)
}

fn separable_with<'g>(
    block: &Scope<'g>,
    x: Value<'g>,
    out: usize,
    depthwise: Conv,
    activation: Activation,
) -> Value<'g> {
    let x = block.at("conv_dw").depthwise(x, depthwise);
    let x = block.at("bn1").batch_norm(x).activation(activation);
    conv_bn_at(block, ["conv_pw", "bn2"], x, Conv::new(out, 1)).activation(activation)
}
