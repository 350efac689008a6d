//! SE-ResNet-33-TS and SE-ResNeXt-26-TS: timm's bottlenecks with swish and the gate on the 3×3, the "inside" position
//! of squeeze-and-excitation (Hu et al. 2017, arXiv 1709.01507).
//!
//! Names are timm's.

use cygnet_graph::{Activation, Conv, Pool, Scope, Value};

use crate::blocks::{RELU_SIGMOID, Stage, conv_bn_at, make_divisible, squeeze_excite, stage};
use crate::{Built, Spec};

const RESNEXT26TS: [Stage; 4] = [
    //    narrow  channels  repeats  stride
    stage(4, 256, 2, 1),
    stage(4, 512, 2, 2),
    stage(4, 1024, 2, 2),
    stage(4, 2048, 2, 2),
];

const RESNET33TS: [Stage; 4] = [
    //    narrow  channels  repeats  stride
    stage(4, 256, 2, 1),
    stage(4, 512, 3, 2),
    stage(4, 1536, 3, 2),
    stage(4, 1536, 2, 2),
];

/// SE-ResNeXt-26-TS: 3×3 convolutions in groups of 32 channels, a max pool in the stem.
///
/// # Errors
/// If the image is too small.
pub fn seresnext26ts(spec: &Spec) -> Built {
    spec.build(|net, image| {
        let x = net.at("stem.conv3").feature(stem(net, image, 1)).pool(Pool::max(3, 2).pad(1));
        let x = stages(net, x, &RESNEXT26TS, Some(32));
        net.at("head.fc").linear(x.global_avg_pool(), spec.classes)
    })
}

/// SE-ResNet-33-TS: dense 3×3 convolutions, a strided stem, a last 1×1 convolution.
///
/// # Errors
/// If the image is too small.
pub fn seresnet33ts(spec: &Spec) -> Built {
    spec.build(|net, image| {
        let x = stages(net, stem(net, image, 2), &RESNET33TS, None);
        let last = net.at("final_conv");
        let x = last.feature(swish(layer(&last, x, Conv::new(1280, 1))));
        net.at("head.fc").linear(x.global_avg_pool(), spec.classes)
    })
}

fn stem<'g>(net: &Scope<'g>, image: Value<'g>, last_stride: usize) -> Value<'g> {
    let x = swish(layer(&net.at("stem.conv1"), image, Conv::new(24, 3).stride(2)));
    let second = net.at("stem.conv2");
    let x = second.feature(swish(layer(&second, x, Conv::new(32, 3))));
    swish(layer(&net.at("stem.conv3"), x, Conv::new(64, 3).stride(last_stride)))
}

fn stages<'g>(net: &Scope<'g>, mut x: Value<'g>, stages: &[Stage], group: Option<usize>) -> Value<'g> {
    for (number, &Stage { expand: narrow, channels, repeats, stride }) in stages.iter().enumerate() {
        for repeat in 0..repeats {
            let block = net.at(format!("stages.{number}.{repeat}"));
            let stride = if repeat == 0 { stride } else { 1 };
            x = block.feature(bottleneck(&block, x, [channels / narrow, channels], group, stride));
        }
    }
    x
}

fn bottleneck<'g>(
    block: &Scope<'g>,
    x: Value<'g>,
    [inner, out]: [usize; 2],
    group: Option<usize>,
    stride: usize,
) -> Value<'g> {
    let groups = group.map_or(1, |channels| inner / channels);
    let y = swish(layer(&block.at("conv1_1x1"), x, Conv::new(inner, 1)));
    let y = swish(layer(&block.at("conv2_kxk"), y, Conv::new(inner, 3).stride(stride).groups(groups)));
    let squeezed = make_divisible(inner as f64 / 16.0, 8);
    let y = squeeze_excite(&block.at("attn"), ["fc1", "fc2"], y, squeezed, RELU_SIGMOID);
    let y = layer(&block.at("conv3_1x1"), y, Conv::new(out, 1));
    if stride == 1 && x.channels() == out {
        return swish(y + x);
    }
    swish(y + layer(&block.at("shortcut"), x, Conv::new(out, 1).stride(stride)))
}

fn layer<'g>(scope: &Scope<'g>, x: Value<'g>, conv: Conv) -> Value<'g> {
    conv_bn_at(scope, ["conv", "bn"], x, conv)
}

fn swish(x: Value<'_>) -> Value<'_> {
    x.activation(Activation::Swish)
}
