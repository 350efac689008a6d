//! ShuffleNet v2 Large and ExLarge: the authors' largest networks, with grouped 3 × 3 convolutions, residuals and
//! squeeze-and-excitation, published with the code of ShuffleNet v2.
//!
//! Names are the authors'; the three classifiers that help training are left out.

use cygnet_graph::{Conv, Pool, Scope, Value};

use crate::blocks::conv_bn_at;
use crate::shufflenet_v2::even_odd;
use crate::{Built, Spec};

const LARGE: [(usize, usize); 4] = [
    // channels of half a unit, units
    (128, 10),
    (256, 10),
    (512, 23),
    (1024, 10),
];

const EXLARGE: [(usize, usize); 4] = [
    // channels, units
    (320, 8),
    (640, 16),
    (1280, 36),
    (2560, 10),
];

/// ShuffleNet v2 Large, also called SE-ShuffleNet v2-164.
pub fn shufflenet_v2_large(spec: &Spec) -> Built {
    spec.build(|net, image| {
        let net = net.batch_norm_eps(1e-9);
        let mut x = stem(&net, image, [64, 64, 128]);
        for (stage, (half, units)) in LARGE.into_iter().enumerate() {
            let blocks = net.at("features").at(stage);
            for (unit, letter) in (0..units).zip('a'..) {
                let stride = if stage > 0 && unit == 0 { 2 } else { 1 };
                let block = blocks.at(format!("{}{letter}", stage + 2));
                x = block.feature(large_unit(&block, x, half, stride, unit == 0));
            }
        }
        x = layer(&net.at("conv_last"), x, Conv::new(1280, 3)).relu().global_avg_pool();
        net.at("fc").linear(x.dropout(0.2), spec.classes)
    })
}

/// ShuffleNet v2 ExLarge.
pub fn shufflenet_v2_exlarge(spec: &Spec) -> Built {
    spec.build(|net, image| {
        let mut x = stem(net, image, [64, 128, 256]);
        for (stage, (out, units)) in EXLARGE.into_iter().enumerate() {
            let mut blocks = net.at("features").at(stage).numbered();
            for unit in 0..units {
                let stride = if stage > 0 && unit == 0 { 2 } else { 1 };
                x = exlarge_unit(&blocks.next(), x, out, stride, unit == 0);
            }
            let last = blocks.next();
            x = last.feature(layer(&last, x, Conv::new(out, 1)).relu());
        }
        net.at("fc.fc").linear(x.global_avg_pool().dropout(0.2), spec.classes)
    })
}

fn stem<'g>(net: &Scope<'g>, mut x: Value<'g>, channels: [usize; 3]) -> Value<'g> {
    let mut layers = net.at("first_conv").numbered();
    for (i, out) in channels.into_iter().enumerate() {
        x = layer(&layers.next(), x, Conv::new(out, 3).stride(if i == 0 { 2 } else { 1 })).relu();
    }
    net.at("first_conv").feature(x).pool(Pool::max(3, 2).pad(1))
}

fn layer<'g>(scope: &Scope<'g>, x: Value<'g>, conv: Conv) -> Value<'g> {
    conv_bn_at(scope, ["conv", "bn"], x, conv)
}

fn large_unit<'g>(block: &Scope<'g>, x: Value<'g>, half: usize, stride: usize, widens: bool) -> Value<'g> {
    let [kept, x] = even_odd(x);
    let mut layers = block.at("branch_main").numbered();
    let mut y = layer(&layers.next(), x, Conv::new(half, 1)).relu();
    y = layer(&layers.next(), y, Conv::new(half, 3).stride(stride).groups(8)).relu();
    y = layer(&layers.next(), y, Conv::new(half, 1));
    y = squeeze_excite(["se_fc1", "se_fc2"].map(|name| block.at(name)), y, half);
    let y = if widens {
        layer(&block.at("proj"), kept, Conv::new(half, 3).stride(stride)).concat(&[y]).relu()
    } else {
        kept.concat(&[x + y]).relu()
    };
    if stride == 1 { y } else { layer(&block.at("down"), y, Conv::new(y.channels(), 1)).relu() }
}

fn exlarge_unit<'g>(block: &Scope<'g>, x: Value<'g>, out: usize, stride: usize, widens: bool) -> Value<'g> {
    let [kept, x] = if widens { [x, x] } else { even_odd(x) };
    let half = out / 2;
    let mut layers = block.at("branch_main").numbered();
    let mut y = layer(&layers.next(), x, Conv::new(out, 1)).relu();
    y = layer(&layers.next(), y, Conv::new(out, 3).stride(stride).groups(16)).relu();
    y = layer(&layers.next(), y, Conv::new(out, 3).groups(out));
    y = layer(&layers.next(), y, Conv::new(half, 1));
    y = squeeze_excite(["se_fc1.fc", "se_fc2.fc"].map(|name| block.at(name)), y, half / 4);
    if widens {
        layer(&block.at("proj"), kept, Conv::new(half, 3).stride(stride)).relu().concat(&[y])
    } else {
        kept.concat(&[(x + y).relu()])
    }
}

/// Squeeze-and-excitation with fully connected layers.
fn squeeze_excite<'g>([first, second]: [Scope<'g>; 2], x: Value<'g>, squeezed: usize) -> Value<'g> {
    let inner = first.linear(x.global_avg_pool(), squeezed).relu();
    x * second.linear(inner, x.channels()).sigmoid()
}
