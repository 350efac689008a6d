//! SE-PreResNet: squeeze-and-excitation in pre-activation residual networks (Hu et al. 2017, arXiv 1709.01507, on
//! He et al. 2016, arXiv 1603.05027).
//!
//! Networks and names are pytorchcv's, the only source.
#![allow(missing_docs, reason = "the constants are the networks' names")]

use cygnet_graph::{Conv, Pool, Scope, Value};

use crate::blocks::{RELU_SIGMOID, conv_bn_at, squeeze_excite};
use crate::{Built, Spec};

/// A network of this family: the branch of its blocks, and their number in each stage.
#[derive(Clone, Copy, Debug)]
pub struct SePreResNet(Branch, [usize; 4]);

#[derive(Clone, Copy, Debug)]
enum Branch {
    /// Two 3×3.
    Basic,
    /// 1×1, 3×3, 1×1, four times as wide at the end; the first has the stride.
    Bottleneck,
    /// The same, the 3×3 has the stride.
    BottleneckB,
}

//                                                     branch               blocks of 64, 128, 256, 512
pub const SEPRERESNET10: SePreResNet = SePreResNet(Branch::Basic, [1, 1, 1, 1]);
pub const SEPRERESNET12: SePreResNet = SePreResNet(Branch::Basic, [2, 1, 1, 1]);
pub const SEPRERESNET14: SePreResNet = SePreResNet(Branch::Basic, [2, 2, 1, 1]);
pub const SEPRERESNET16: SePreResNet = SePreResNet(Branch::Basic, [2, 2, 2, 1]);
pub const SEPRERESNET18: SePreResNet = SePreResNet(Branch::Basic, [2, 2, 2, 2]);
pub const SEPRERESNET26: SePreResNet = SePreResNet(Branch::Basic, [3, 3, 3, 3]);
pub const SEPRERESNETBC26B: SePreResNet = SePreResNet(Branch::BottleneckB, [2, 2, 2, 2]);
pub const SEPRERESNET34: SePreResNet = SePreResNet(Branch::Basic, [3, 4, 6, 3]);
pub const SEPRERESNETBC38B: SePreResNet = SePreResNet(Branch::BottleneckB, [3, 3, 3, 3]);
pub const SEPRERESNET50: SePreResNet = SePreResNet(Branch::Bottleneck, [3, 4, 6, 3]);
pub const SEPRERESNET50B: SePreResNet = SePreResNet(Branch::BottleneckB, [3, 4, 6, 3]);
pub const SEPRERESNET101: SePreResNet = SePreResNet(Branch::Bottleneck, [3, 4, 23, 3]);
pub const SEPRERESNET101B: SePreResNet = SePreResNet(Branch::BottleneckB, [3, 4, 23, 3]);
pub const SEPRERESNET152: SePreResNet = SePreResNet(Branch::Bottleneck, [3, 8, 36, 3]);
pub const SEPRERESNET152B: SePreResNet = SePreResNet(Branch::BottleneckB, [3, 8, 36, 3]);
pub const SEPRERESNET200: SePreResNet = SePreResNet(Branch::Bottleneck, [3, 24, 36, 3]);
pub const SEPRERESNET200B: SePreResNet = SePreResNet(Branch::BottleneckB, [3, 24, 36, 3]);

impl SePreResNet {
    /// Builds it.
    ///
    /// # Errors
    /// If the image is too small.
    pub fn build(&self, spec: &Spec) -> Built {
        let &SePreResNet(branch, blocks) = self;
        spec.build(|net, image| {
            let features = net.at("features");
            let stem = features.at("init_block");
            let x = conv_bn_at(&stem, ["conv", "bn"], image, Conv::new(64, 7).stride(2)).relu();
            let mut x = stem.feature(x).pool(Pool::max(3, 2).pad(1));
            for (stage, &blocks) in blocks.iter().enumerate() {
                for number in 0..blocks {
                    let stride = if number == 0 && stage > 0 { 2 } else { 1 };
                    let unit = features.at(format!("stage{}.unit{}", stage + 1, number + 1));
                    x = unit.feature(residual(&unit, x, branch, 64 << stage, stride));
                }
            }
            x = features.feature(features.at("post_activ.bn").batch_norm(x).relu());
            net.at("output").linear(x.global_avg_pool(), spec.classes)
        })
    }
}

fn residual<'g>(unit: &Scope<'g>, x: Value<'g>, branch: Branch, base: usize, stride: usize) -> Value<'g> {
    let convs = match branch {
        Branch::Basic => vec![Conv::new(base, 3).stride(stride), Conv::new(base, 3)],
        Branch::Bottleneck => {
            vec![Conv::new(base, 1).stride(stride), Conv::new(base, 3), Conv::new(base * 4, 1)]
        }
        Branch::BottleneckB => {
            vec![Conv::new(base, 1), Conv::new(base, 3).stride(stride), Conv::new(base * 4, 1)]
        }
    };
    let active = unit.at("body.conv1.bn").batch_norm(x).relu();
    let mut y = active;
    for (number, conv) in (1..).zip(convs) {
        let layer = unit.at(format!("body.conv{number}"));
        if number > 1 {
            y = layer.at("bn").batch_norm(y).relu();
        }
        y = layer.at("conv").conv(y, conv);
    }
    y = squeeze_excite(&unit.at("se"), ["conv1", "conv2"], y, y.channels() / 16, RELU_SIGMOID);
    let same = stride == 1 && x.channels() == y.channels();
    let out = Conv::new(y.channels(), 1).stride(stride);
    y + if same { x } else { unit.at("identity_conv").conv(active, out) }
}
