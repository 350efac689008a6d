//! Ghost-ResNet-50: ResNet-50 whose convolutions, but for the stem, are ghost modules (Han et al. 2019, table 6,
//! arXiv 1911.11907).
//!
//! No published weights; names are those of torchvision's ResNet and of timm's ghost module.

use cygnet_graph::{Conv, Pool, Scope, Value};

use crate::blocks::conv_bn_at;
use crate::ghostnet::ghost_module;
use crate::{Built, Spec};

const STAGES: [(usize, usize, usize); 4] = [
    // inner channels, blocks, stride
    (64, 3, 1),
    (128, 4, 2),
    (256, 6, 2),
    (512, 3, 2),
];

/// Ghost-ResNet-50 with s = 2: half of the channels come from dense convolutions.
pub fn ghost_resnet50_s2(spec: &Spec) -> Built {
    network(spec, 2)
}

/// Ghost-ResNet-50 with s = 4: a quarter of the channels come from dense convolutions.
pub fn ghost_resnet50_s4(spec: &Spec) -> Built {
    network(spec, 4)
}

fn network(spec: &Spec, ratio: usize) -> Built {
    spec.build(|net, image| {
        let stem = conv_bn_at(net, ["conv1", "bn1"], image, Conv::new(64, 7).stride(2)).relu();
        let mut x = net.at("conv1").feature(stem).pool(Pool::max(3, 2).pad(1));
        for (stage, (inner, repeats, stride)) in STAGES.into_iter().enumerate() {
            let mut blocks = net.at(format!("layer{}", stage + 1)).numbered();
            for repeat in 0..repeats {
                let block = blocks.next();
                let stride = if repeat == 0 { stride } else { 1 };
                x = block.feature(bottleneck(&block, x, inner, stride, ratio));
            }
        }
        net.at("fc").linear(x.global_avg_pool(), spec.classes)
    })
}

fn bottleneck<'g>(block: &Scope<'g>, x: Value<'g>, inner: usize, stride: usize, ratio: usize) -> Value<'g> {
    let mut y = ghost_module(&block.at("conv1"), x, Conv::new(inner, 1), ratio, Value::relu);
    y = ghost_module(&block.at("conv2"), y, Conv::new(inner, 3).stride(stride), ratio, Value::relu);
    y = ghost_module(&block.at("conv3"), y, Conv::new(4 * inner, 1), ratio, |y| y);
    let shortcut = if x.channels() == y.channels() {
        x
    } else {
        let conv = Conv::new(4 * inner, 1).stride(stride);
        ghost_module(&block.at("downsample"), x, conv, ratio, |y| y)
    };
    (y + shortcut).relu()
}
