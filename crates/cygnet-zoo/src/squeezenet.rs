//! SqueezeNet: Fire modules, 50 times fewer parameters than AlexNet (Iandola et al. 2016, arXiv 1602.07360), with and
//! without bypasses around them.
//!
//! Names are torchvision's.

use cygnet_graph::{Conv, Pool, Scope, Value};

use crate::{Built, Spec};

#[derive(Clone, Copy)]
enum Layer {
    /// Channels of the squeeze layer and of each half of the expand layer.
    Fire(usize, usize),
    /// Maxima of 3 × 3, stride 2.
    Halve,
}
use Layer::{Fire, Halve};

/// A release: the first convolution's channels and kernel, then the layers.
struct Version {
    stem: [usize; 2],
    layers: [Layer; 11],
}

/// Table 1 of the paper.
const V1_0: Version = Version {
    stem: [96, 7],
    layers: [
        Halve,
        Fire(16, 64),
        Fire(16, 64),
        Fire(32, 128),
        Halve,
        Fire(32, 128),
        Fire(48, 192),
        Fire(48, 192),
        Fire(64, 256),
        Halve,
        Fire(64, 256),
    ],
};

/// The authors' later release.
const V1_1: Version = Version {
    stem: [64, 3],
    layers: [
        Halve,
        Fire(16, 64),
        Fire(16, 64),
        Halve,
        Fire(32, 128),
        Fire(32, 128),
        Halve,
        Fire(48, 192),
        Fire(48, 192),
        Fire(64, 256),
        Fire(64, 256),
    ],
};

/// What is added to a Fire module's output: figure 2 of the paper.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bypass {
    None,
    /// Its input, where the channels agree.
    Simple,
    /// Its input, through a 1 × 1 convolution where the channels differ.
    Complex,
}

/// SqueezeNet 1.0.
pub fn squeezenet1_0(spec: &Spec) -> Built {
    network(spec, &V1_0, Bypass::None, 0)
}

/// SqueezeNet 1.0 as in the authors' Caffe model, whose last convolution pads by a pixel.
pub fn squeezenet1_0_caffe(spec: &Spec) -> Built {
    network(spec, &V1_0, Bypass::None, 1)
}

/// SqueezeNet 1.0 with simple bypass.
pub fn squeezenet1_0_simple_bypass(spec: &Spec) -> Built {
    network(spec, &V1_0, Bypass::Simple, 0)
}

/// SqueezeNet 1.0 with complex bypass.
pub fn squeezenet1_0_complex_bypass(spec: &Spec) -> Built {
    network(spec, &V1_0, Bypass::Complex, 0)
}

/// SqueezeNet 1.1.
pub fn squeezenet1_1(spec: &Spec) -> Built {
    network(spec, &V1_1, Bypass::None, 0)
}

/// SqueezeNet 1.1 with simple bypass.
pub fn squeezenet1_1_simple_bypass(spec: &Spec) -> Built {
    network(spec, &V1_1, Bypass::Simple, 0)
}

fn network(spec: &Spec, version: &Version, bypass: Bypass, last_pad: usize) -> Built {
    spec.build(|net, image| {
        let mut places = net.at("features").numbered();
        let stem = places.next();
        let [channels, kernel] = version.stem;
        let mut x =
            stem.feature(stem.conv(image, Conv::new(channels, kernel).stride(2).valid().bias()).relu());
        places.skip(1);
        for layer in version.layers {
            let at = places.next();
            x = match layer {
                Halve => x.pool(Pool::max(3, 2).ceil()),
                Fire(squeeze, expand) => at.feature(fire(&at, x, squeeze, expand, bypass)),
            };
        }
        let classifier = Conv::new(spec.classes, 1).bias().pad(last_pad);
        net.at("classifier.1").conv(x.dropout(0.5), classifier).relu().global_avg_pool()
    })
}

fn fire<'g>(at: &Scope<'g>, x: Value<'g>, squeeze: usize, expand: usize, bypass: Bypass) -> Value<'g> {
    let conv = |name, x, out, kernel| at.at(name).conv(x, Conv::new(out, kernel).bias());
    let squeezed = conv("squeeze", x, squeeze, 1).relu();
    let y = conv("expand1x1", squeezed, expand, 1).relu();
    let y = y.concat(&[conv("expand3x3", squeezed, expand, 3).relu()]);
    match bypass {
        Bypass::Simple | Bypass::Complex if x.channels() == y.channels() => y + x,
        Bypass::Complex => y + conv("bypass", x, y.channels(), 1),
        Bypass::None | Bypass::Simple => y,
    }
}
