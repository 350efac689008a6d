//! MobileNeXt: sandglasses, with shortcuts between wide ends (Zhou et al. 2020, arXiv 2007.02269).
//!
//! Names are the authors'. Their code leaves out depthwise convolutions where the paper's figure has them; d-li14's
//! version is the figure's.

use cygnet_graph::{Conv, Scope, Value};

use crate::blocks::{Stage, conv_bn, conv_bn_at, make_divisible, stage};
use crate::{Built, Spec};

const STAGES: [Stage; 8] = [
    //   reduce  channels  repeats  stride      — table 2 of the paper
    stage(2, 96, 1, 2),
    stage(6, 144, 1, 1),
    stage(6, 192, 3, 2),
    stage(6, 288, 3, 2),
    stage(6, 384, 4, 1),
    stage(6, 576, 4, 2),
    stage(6, 960, 3, 1),
    stage(6, 1280, 1, 1),
];

/// MobileNeXt as in the authors' code, at any width. The last block does not shrink below 1280 channels.
pub fn mobilenext(spec: &Spec) -> Built {
    spec.build(|net, image| {
        let x = features(net, image, spec, |stage, x, repeat| {
            let out = spec.scaled(stage.channels);
            let out = if stage.channels == 1280 { out.max(1280) } else { out };
            let inside = x.channels() / stage.expand;
            let thin = inside * 6 < out;
            let single = stage.repeats == 1;
            let changes = !single && repeat == 0;
            Sandglass {
                kernel: 3,
                inside: if thin { make_divisible(out.div_ceil(6) as f64, 16) } else { inside },
                out,
                stride: if repeat == 0 { stage.stride } else { 1 },
                first: !changes,
                last: !changes || stage.stride == 2,
                shortcut: repeat > 0,
            }
        });
        net.at("classifier.1").linear(x.dropout(0.2), spec.classes)
    })
}

/// MobileNeXt with the figure's block everywhere, as d-li14 has it, at any width.
pub fn mobilenext_dli14(spec: &Spec) -> Built {
    spec.build(|net, image| {
        let x = features(net, image, spec, |stage, x, repeat| {
            let out = spec.scaled(stage.channels);
            let stride = if repeat == 0 { stage.stride } else { 1 };
            let shortcut = stride == 1 && x.channels() == out;
            let inside = x.channels() / stage.expand;
            Sandglass { kernel: 3, inside, out, stride, first: true, last: true, shortcut }
        });
        net.at("classifier").linear(x, spec.classes)
    })
}

/// A block: `[depthwise,] 1×1 to fewer channels, 1×1 to more, [depthwise with stride]`.
pub(crate) struct Sandglass {
    /// Side of the depthwise kernels.
    pub kernel: usize,
    /// Channels between the 1×1 convolutions.
    pub inside: usize,
    /// Output channels.
    pub out: usize,
    /// Stride of the last depthwise convolution.
    pub stride: usize,
    /// Whether it has the first depthwise convolution.
    pub first: bool,
    /// Whether it has the last one.
    pub last: bool,
    /// Whether the input is added.
    pub shortcut: bool,
}

fn features<'g>(
    net: &Scope<'g>,
    image: Value<'g>,
    spec: &Spec,
    block: impl Fn(Stage, Value<'g>, usize) -> Sandglass,
) -> Value<'g> {
    let mut blocks = net.at("features").numbered();
    let stem = blocks.next();
    let mut x = stem.feature(conv_bn(&stem, image, Conv::new(spec.scaled(32), 3).stride(2)).relu6());
    for stage in STAGES {
        for repeat in 0..stage.repeats {
            let scope = blocks.next();
            x = scope.feature(sandglass(&scope.at("conv"), x, block(stage, x, repeat)));
        }
    }
    x.global_avg_pool()
}

/// Applies a sandglass to `x`.
pub(crate) fn sandglass<'g>(scope: &Scope<'g>, x: Value<'g>, block: Sandglass) -> Value<'g> {
    let Sandglass { kernel, inside, out, stride, first, last, shortcut } = block;
    let layer = |number: usize, x: Value<'g>, conv| {
        conv_bn_at(scope, [&number.to_string(), &(number + 1).to_string()], x, conv)
    };
    let depthwise = |x: Value<'g>| Conv::new(x.channels(), kernel).groups(x.channels());
    let (mut y, mut number) = (x, 0);
    if first {
        y = layer(0, y, depthwise(y)).relu6();
        number = 3;
    }
    y = layer(number, y, Conv::new(inside, 1));
    y = layer(number + 2, y, Conv::new(out, 1)).relu6();
    if last {
        y = layer(number + 5, y, depthwise(y).stride(stride));
    }
    if shortcut { x + y } else { y }
}
