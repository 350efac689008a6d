//! GhostNet v1 (Han et al. 2019, arXiv 1911.11907), v2 with long-range attention (Tang et al. 2022, arXiv 2211.12905)
//! and v3 with parallel branches (Liu et al. 2024, arXiv 2404.11202): half of the features are made by a cheap
//! depthwise convolution from the other half.
//!
//! Names are timm's. Version 3 is the network as it is trained; its branches can be folded into one convolution.

use cygnet_graph::{Activation, Conv, Pool, Scope, Value};

use crate::blocks::{conv_bn, conv_bn_at, make_divisible, squeeze_excite};
use crate::{Built, Spec};

/// A row of table 1 of the paper.
#[derive(Clone, Copy, Debug)]
struct Row {
    kernel: usize,
    expanded: usize,
    channels: usize,
    squeezes: bool,
    stride: usize,
}

const fn row(kernel: usize, expanded: usize, channels: usize, squeezes: usize, stride: usize) -> Row {
    Row { kernel, expanded, channels, squeezes: squeezes == 1, stride }
}

const STAGES: [&[Row]; 9] = [
    //    kernel  expanded  channels  SE  stride      — table 1 of the paper
    &[row(3, 16, 16, 0, 1)],
    &[row(3, 48, 24, 0, 2)],
    &[row(3, 72, 24, 0, 1)],
    &[row(5, 72, 40, 1, 2)],
    &[row(5, 120, 40, 1, 1)],
    &[row(3, 240, 80, 0, 2)],
    &[
        row(3, 200, 80, 0, 1),
        row(3, 184, 80, 0, 1),
        row(3, 184, 80, 0, 1),
        row(3, 480, 112, 1, 1),
        row(3, 672, 112, 1, 1),
    ],
    &[row(5, 672, 160, 1, 2)],
    &[row(5, 960, 160, 0, 1), row(5, 960, 160, 1, 1), row(5, 960, 160, 0, 1), row(5, 960, 160, 1, 1)],
];

/// Units before the first with attention.
const PLAIN: usize = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    /// Version 1 as first published: another gate, another shortcut, batch norm in the head.
    Early,
    V1,
    V2,
    V3,
}

/// GhostNet at any width.
pub fn ghostnet(spec: &Spec) -> Built {
    network(spec, Version::V1)
}

/// GhostNet as pytorchcv has it, after the first published code.
pub fn ghostnet_pytorchcv(spec: &Spec) -> Built {
    network(spec, Version::Early)
}

/// GhostNetV2 at any width.
pub fn ghostnet_v2(spec: &Spec) -> Built {
    network(spec, Version::V2)
}

/// GhostNetV3 at any width.
pub fn ghostnet_v3(spec: &Spec) -> Built {
    network(spec, Version::V3)
}

fn network(spec: &Spec, version: Version) -> Built {
    let scaled = |channels: usize| make_divisible(channels as f64 * spec.width, 4);
    spec.build(|net, image| {
        let stem = net.at("conv_stem");
        let mut x = stem.feature(stem.conv(image, Conv::new(scaled(16), 3).stride(2)));
        x = net.at("bn1").batch_norm(x).relu();
        let mut unit = 0;
        for (stage, rows) in STAGES.into_iter().enumerate() {
            let scope = net.at("blocks").at(stage);
            for (place, &row) in rows.iter().enumerate() {
                let row = Row { expanded: scaled(row.expanded), channels: scaled(row.channels), ..row };
                let attends = unit >= PLAIN && matches!(version, Version::V2 | Version::V3);
                x = bottleneck(&scope.at(place), x, row, version, attends);
                unit += 1;
            }
            if rows[0].stride > 1 {
                x = scope.feature(x);
            }
        }
        x = conv_bn_at(&net.at("blocks.9.0"), ["conv", "bn1"], x, Conv::new(scaled(960), 1)).relu();
        x = x.global_avg_pool();
        let head = Conv::new(1280, 1);
        if version == Version::Early {
            x = conv_bn_at(net, ["conv_head", "bn2"], x, head).relu();
            return net.at("classifier").conv(x, Conv::new(spec.classes, 1).bias());
        }
        x = net.at("conv_head").conv(x, head.bias()).relu();
        net.at("classifier").linear(x.dropout(0.2), spec.classes)
    })
}

/// The bottleneck of version 1 (figure 3 of the paper), `inside` wide between its ghost modules; of `conv` are the
/// kernel of its depthwise convolutions, outputs and stride.
pub(crate) fn ghost_bottleneck<'g>(
    block: &Scope<'g>,
    x: Value<'g>,
    conv: Conv,
    inside: usize,
    squeezes: bool,
) -> Value<'g> {
    let ([kernel, _], [stride, _]) = (conv.kernel, conv.stride);
    let row = Row { kernel, expanded: inside, channels: conv.out, squeezes, stride };
    bottleneck(block, x, row, Version::V1, false)
}

fn bottleneck<'g>(block: &Scope<'g>, x: Value<'g>, row: Row, version: Version, attends: bool) -> Value<'g> {
    let Row { kernel, expanded, channels, squeezes, stride } = row;
    let depthwise =
        |channels: usize, kernel: usize| Conv::new(channels, kernel).stride(stride).groups(channels);
    let ghost = |name: &str, x, out: usize, activation: fn(Value<'g>) -> Value<'g>| match version {
        Version::Early | Version::V1 | Version::V2 => {
            ghost_module(&block.at(name), x, Conv::new(out, 1), 2, activation)
        }
        Version::V3 => branched_ghost_module(&block.at(name), x, out, activation),
    };
    let mut y = ghost("ghost1", x, expanded, Value::relu);
    if attends {
        y = attention(&block.at("ghost1.short_conv"), x, y);
    }
    if stride > 1 {
        y = match version {
            Version::Early | Version::V1 | Version::V2 => {
                conv_bn_at(block, ["conv_dw", "bn_dw"], y, depthwise(expanded, kernel))
            }
            Version::V3 => {
                rep_layer(&block.at("dw_rpr_scale"), y, depthwise(expanded, 1))
                    + branches(&block.at("dw_rpr_conv"), y, depthwise(expanded, kernel))
            }
        };
    }
    if squeezes {
        let (squeezed, gate) = match version {
            Version::Early => (expanded / 4, Activation::HARD_SIGMOID_CLAMP),
            Version::V1 | Version::V2 | Version::V3 => {
                (make_divisible(expanded as f64 / 4.0, 4), Activation::HARD_SIGMOID)
            }
        };
        let names = ["conv_reduce", "conv_expand"];
        y = squeeze_excite(&block.at("se"), names, y, squeezed, [Activation::RELU, gate]);
    }
    y = ghost("ghost2", y, channels, |y| y);
    if stride == 1 && x.channels() == channels {
        return y + x;
    }
    let shortcut = block.at("shortcut");
    let x = match version {
        Version::Early => conv_bn(&shortcut, x, depthwise(x.channels(), 3)).relu(),
        Version::V1 | Version::V2 | Version::V3 => conv_bn(&shortcut, x, depthwise(x.channels(), kernel)),
    };
    y + conv_bn_at(&shortcut, ["2", "3"], x, Conv::new(channels, 1))
}

/// The ghost module: `conv` makes one in `ratio` of its channels, a depthwise convolution of those the others.
pub(crate) fn ghost_module<'g>(
    scope: &Scope<'g>,
    x: Value<'g>,
    conv: Conv,
    ratio: usize,
    activation: impl Fn(Value<'g>) -> Value<'g>,
) -> Value<'g> {
    let (out, primary) = (conv.out, conv.out.div_ceil(ratio));
    let x = activation(conv_bn(&scope.at("primary_conv"), x, Conv { out: primary, ..conv }));
    let cheap = Conv::new(primary * (ratio - 1), 3).groups(primary);
    let y = x.concat(&[activation(conv_bn(&scope.at("cheap_operation"), x, cheap))]);
    if y.channels() > out { y.slice(0, out) } else { y }
}

/// Version 3's ghost module: each convolution is a sum of branches, one activation behind it.
fn branched_ghost_module<'g>(
    scope: &Scope<'g>,
    x: Value<'g>,
    out: usize,
    activation: impl Fn(Value<'g>) -> Value<'g>,
) -> Value<'g> {
    let half = out.div_ceil(2);
    let x = activation(branches(&scope.at("primary_rpr_conv"), x, Conv::new(half, 1)));
    let cheap = |kernel| Conv::new(half, kernel).groups(half);
    let y = rep_layer(&scope.at("cheap_rpr_scale"), x, cheap(1))
        + scope.at("cheap_rpr_skip").batch_norm(x)
        + branches(&scope.at("cheap_rpr_conv"), x, cheap(3));
    x.concat(&[activation(y)])
}

fn branches<'g>(scope: &Scope<'g>, x: Value<'g>, conv: Conv) -> Value<'g> {
    let branch = |i: usize| rep_layer(&scope.at(i), x, conv.clone());
    branch(0) + branch(1) + branch(2)
}

fn rep_layer<'g>(scope: &Scope<'g>, x: Value<'g>, conv: Conv) -> Value<'g> {
    conv_bn_at(scope, ["conv", "bn1"], x, conv)
}

/// Decoupled fully connected attention (GhostNetV2, section 3): `y` weighed by what `x` at half the size says.
fn attention<'g>(scope: &Scope<'g>, x: Value<'g>, y: Value<'g>) -> Value<'g> {
    let channels = y.channels();
    let mut gate = conv_bn(scope, x.pool(Pool::avg(2, 2)), Conv::new(channels, 1));
    gate = conv_bn_at(scope, ["2", "3"], gate, Conv::rect(channels, [1, 5]).groups(channels));
    gate = conv_bn_at(scope, ["4", "5"], gate, Conv::rect(channels, [5, 1]).groups(channels));
    y * gate.sigmoid().upsample_like(y)
}
