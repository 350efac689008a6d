//! MobileNetV2 as others have it: Keras' padding, timm's deeper networks, pytorchcv's widths and heads.
//!
//! The blocks and the names are those of [`crate::mobilenet_v2`].

use cygnet_graph::Conv;

use crate::blocks::{Stage, make_divisible};
use crate::mobilenet_v2::{STAGES, features};
use crate::{Built, Spec};

/// MobileNetV2 of Keras and TensorFlow, which drop a width's fraction before they round it.
pub fn mobilenet_v2_keras(spec: &Spec) -> Built {
    let stages = STAGES
        .map(|stage| Stage { channels: make_divisible(spec.truncated(stage.channels) as f64, 8), ..stage });
    spec.build(|net, image| {
        let net = net.batch_norm_eps(1e-3).same_padding();
        let ends = [spec.scaled(32), spec.scaled(1280).max(1280)];
        let x = features(&net.at("features"), image, ends, &stages, false);
        net.at("classifier.1").linear(x.global_avg_pool(), spec.classes)
    })
}

/// MobileNetV2 of width 1.1 with a fifth more blocks.
pub fn mobilenet_v2_110d(spec: &Spec) -> Built {
    deeper(spec, [1, 3, 4, 5, 4, 4, 1])
}

/// MobileNetV2 of width 1.2 with two fifths more blocks.
pub fn mobilenet_v2_120d(spec: &Spec) -> Built {
    deeper(spec, [1, 3, 5, 6, 5, 5, 1])
}

/// timm's: both ends keep their widths.
fn deeper(spec: &Spec, repeats: [usize; 7]) -> Built {
    let mut stages = STAGES.map(|stage| Stage { channels: spec.scaled(stage.channels), ..stage });
    for (stage, repeats) in stages.iter_mut().zip(repeats) {
        stage.repeats = repeats;
    }
    spec.build(|net, image| {
        let x = features(&net.at("features"), image, [32, 1280], &stages, false);
        net.at("classifier.1").linear(x.global_avg_pool(), spec.classes)
    })
}

/// MobileNetV2 of pytorchcv: the first block has a layer that expands by 1, too.
pub fn mobilenet_v2_pytorchcv(spec: &Spec) -> Built {
    pytorchcv(spec, true)
}

/// MobileNetV2 with pytorchcv's widths and head, and the paper's first block.
pub fn mobilenet_v2b(spec: &Spec) -> Built {
    pytorchcv(spec, false)
}

fn pytorchcv(spec: &Spec, always_expands: bool) -> Built {
    let stages = STAGES.map(|stage| Stage { channels: spec.truncated(stage.channels), ..stage });
    spec.build(|net, image| {
        let ends = [spec.truncated(32), spec.truncated(1280).max(1280)];
        let x = features(&net.at("features"), image, ends, &stages, always_expands);
        net.at("classifier.1").conv(x.global_avg_pool(), Conv::new(spec.classes, 1))
    })
}
