//! The rows of SE-ResNet, SE-ResNeXt and SENet in the authors' form.

use super::{Checkpoint, Family, Name, Preset, Row, Variant};
use crate::keymap::{KeyMap, SAME_KEYS};
use crate::seresnet::*;
use crate::{Built, Spec};

const TIMM: KeyMap = KeyMap {
    source: "timm",
    rules: &[
        ("conv1", "layer0.conv1"),
        ("bn1", "layer0.bn1"),
        ("layer{s}.{b}.se.{n}", "layer{s}.{b}.se_module.{n}"),
        ("fc", "last_linear"),
    ],
    ..SAME_KEYS
};

const TIMM_SENET: KeyMap = KeyMap {
    source: "timm",
    rules: &[
        ("conv1.0", "layer0.conv1"),
        ("conv1.1", "layer0.bn1"),
        ("conv1.3", "layer0.conv2"),
        ("conv1.4", "layer0.bn2"),
        ("conv1.6", "layer0.conv3"),
        ("bn1", "layer0.bn3"),
        ("layer{s}.{b}.se.{n}", "layer{s}.{b}.se_module.{n}"),
        ("fc", "last_linear"),
    ],
    ..SAME_KEYS
};

const fn row(id: &'static str, build: fn(&Spec) -> Built, variants: &'static [Variant]) -> Row {
    Row::new(id, Family::SENet, "timm", build, variants).preset(Preset::TIMM_BILINEAR)
}

pub(super) const ROWS: &[Row] = &[
    row(
        "seresnet18_caffe",
        |spec| SERESNET18.caffe().build(spec),
        &[Variant::new(
            &[Name::mapped("legacy_seresnet18", &TIMM)],
            &[timm_checkpoint!("in1k", "seresnet18" - "4bb0ce65", [71.742, 90.34]).keys(&TIMM)],
        )],
    )
    .preset(Preset::TIMM_BICUBIC),
    row(
        "seresnet34_caffe",
        |spec| SERESNET34.caffe().build(spec),
        &[Variant::new(
            &[Name::mapped("legacy_seresnet34", &TIMM)],
            &[timm_checkpoint!("in1k", "seresnet34" - "a4004e63", [74.788, 92.134]).keys(&TIMM)],
        )],
    ),
    row(
        "seresnet50_caffe",
        |spec| SERESNET50.caffe().build(spec),
        &[Variant::new(
            &[Name::mapped("legacy_seresnet50", &TIMM)],
            &[Checkpoint::new(
                "in1k",
                "se_resnet50-ce0d4300.pth",
                &["https://github.com/rwightman/pytorch-image-models/releases/download/\
                   v0.1-cadene/se_resnet50-ce0d4300.pth"],
                "ce0d4300",
                "Apache-2.0",
                [77.65, 93.732],
            )
            .keys(&TIMM)],
        )],
    ),
    row(
        "seresnet101_caffe",
        |spec| SERESNET101.caffe().build(spec),
        &[Variant::new(
            &[Name::mapped("legacy_seresnet101", &TIMM)],
            &[Checkpoint::new(
                "in1k",
                "se_resnet101-7e38fcc6.pth",
                &["https://github.com/rwightman/pytorch-image-models/releases/download/\
                   v0.1-cadene/se_resnet101-7e38fcc6.pth"],
                "7e38fcc6",
                "Apache-2.0",
                [78.37, 94.264],
            )
            .keys(&TIMM)],
        )],
    ),
    row(
        "seresnet152_caffe",
        |spec| SERESNET152.caffe().build(spec),
        &[Variant::new(
            &[Name::mapped("legacy_seresnet152", &TIMM)],
            &[Checkpoint::new(
                "in1k",
                "se_resnet152-d17c99b7.pth",
                &["https://github.com/rwightman/pytorch-image-models/releases/download/\
                   v0.1-cadene/se_resnet152-d17c99b7.pth"],
                "d17c99b7",
                "Apache-2.0",
                [78.662, 94.37],
            )
            .keys(&TIMM)],
        )],
    ),
    row(
        "seresnext26_32x4d_caffe",
        |spec| SERESNEXT26_32X4D.caffe().build(spec),
        &[Variant::new(
            &[Name::mapped("legacy_seresnext26_32x4d", &TIMM)],
            &[timm_checkpoint!("in1k", "seresnext26_32x4d" - "65ebdb501", [77.100, 93.332]).keys(&TIMM)],
        )],
    )
    .preset(Preset::TIMM_BICUBIC),
    row(
        "seresnext50_32x4d_caffe",
        |spec| SERESNEXT50_32X4D.caffe().build(spec),
        &[Variant::new(
            &[Name::mapped("legacy_seresnext50_32x4d", &TIMM)],
            &[timm_checkpoint!("in1k", "legacy_se_resnext50_32x4d" - "f3651bad", [79.080, 94.428])
                .keys(&TIMM)],
        )],
    ),
    row(
        "seresnext101_32x4d_caffe",
        |spec| SERESNEXT101_32X4D.caffe().build(spec),
        &[Variant::new(
            &[Name::mapped("legacy_seresnext101_32x4d", &TIMM)],
            &[timm_checkpoint!("in1k", "legacy_se_resnext101_32x4d" - "37725eac", [80.274, 95.032])
                .keys(&TIMM)],
        )],
    ),
    row(
        "senet154_caffe",
        |spec| SENET154.caffe().build(spec),
        &[Variant::new(
            &[Name::mapped("legacy_senet154", &TIMM_SENET)],
            &[timm_checkpoint!("in1k", "legacy_senet154" - "e9eb9fe6", [81.320, 95.502]).keys(&TIMM_SENET)],
        )],
    ),
];
