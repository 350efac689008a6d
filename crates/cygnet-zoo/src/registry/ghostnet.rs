//! The rows of GhostNet v1 to v3 and Ghost-ResNet-50.

use super::{Checkpoint, Family, Name, Preset, Row, Variant};
use crate::ghost_resnet::{ghost_resnet50_s2, ghost_resnet50_s4};
use crate::ghostnet::{ghostnet, ghostnet_pytorchcv, ghostnet_v2, ghostnet_v3};
use crate::keymap::{KeyMap, SAME_KEYS};

const PYTORCHCV: KeyMap = KeyMap {
    source: "pytorchcv",
    stages: &[1, 1, 1, 1, 1, 1, 5, 1, 4],
    source_stages: &[1, 2, 2, 6, 5],
    rules: &[
        ("conv_stem", "features.init_block.conv"),
        ("bn1", "features.init_block.bn"),
        (
            "blocks.{S}.{B}.ghost1.primary_conv.0",
            "features.stage{S+1}.unit{B+1}.body.exp_conv.main_conv.conv",
        ),
        ("blocks.{S}.{B}.ghost1.primary_conv.1", "features.stage{S+1}.unit{B+1}.body.exp_conv.main_conv.bn"),
        (
            "blocks.{S}.{B}.ghost1.cheap_operation.0",
            "features.stage{S+1}.unit{B+1}.body.exp_conv.cheap_conv.conv",
        ),
        (
            "blocks.{S}.{B}.ghost1.cheap_operation.1",
            "features.stage{S+1}.unit{B+1}.body.exp_conv.cheap_conv.bn",
        ),
        ("blocks.{S}.{B}.conv_dw", "features.stage{S+1}.unit{B+1}.body.dw_conv.conv"),
        ("blocks.{S}.{B}.bn_dw", "features.stage{S+1}.unit{B+1}.body.dw_conv.bn"),
        ("blocks.{S}.{B}.se.conv_reduce", "features.stage{S+1}.unit{B+1}.body.se.conv1"),
        ("blocks.{S}.{B}.se.conv_expand", "features.stage{S+1}.unit{B+1}.body.se.conv2"),
        ("blocks.{S}.{B}.ghost2.primary_conv.0", "features.stage{S+1}.unit{B+1}.body.pw_conv.main_conv.conv"),
        ("blocks.{S}.{B}.ghost2.primary_conv.1", "features.stage{S+1}.unit{B+1}.body.pw_conv.main_conv.bn"),
        (
            "blocks.{S}.{B}.ghost2.cheap_operation.0",
            "features.stage{S+1}.unit{B+1}.body.pw_conv.cheap_conv.conv",
        ),
        (
            "blocks.{S}.{B}.ghost2.cheap_operation.1",
            "features.stage{S+1}.unit{B+1}.body.pw_conv.cheap_conv.bn",
        ),
        ("blocks.{S}.{B}.shortcut.0", "features.stage{S+1}.unit{B+1}.identity_conv.dw_conv.conv"),
        ("blocks.{S}.{B}.shortcut.1", "features.stage{S+1}.unit{B+1}.identity_conv.dw_conv.bn"),
        ("blocks.{S}.{B}.shortcut.2", "features.stage{S+1}.unit{B+1}.identity_conv.pw_conv.conv"),
        ("blocks.{S}.{B}.shortcut.3", "features.stage{S+1}.unit{B+1}.identity_conv.pw_conv.bn"),
        ("blocks.9.0.conv", "features.final_block.conv"),
        ("blocks.9.0.bn1", "features.final_block.bn"),
        ("conv_head", "output.conv1.conv"),
        ("bn2", "output.conv1.bn"),
        ("classifier", "output.conv2"),
    ],
    ..SAME_KEYS
};

const fn timm(file: &'static str, url: &'static [&'static str], accuracy: [f32; 2]) -> Checkpoint {
    Checkpoint::new("in1k", file, url, "", "Apache-2.0", accuracy)
}

pub(super) const ROWS: &[Row] = &[
    Row::new(
        "ghostnet",
        Family::GhostNet,
        "timm",
        ghostnet,
        &[
            Variant::new(
                &[Name::same("timm", "ghostnet_100"), Name::same("official", "huawei_ghostnet_w1.0")],
                &[timm(
                    "ghostnet_100.in1k.safetensors",
                    &["https://huggingface.co/timm/ghostnet_100.in1k/resolve/main/model.safetensors"],
                    [73.958, 91.542],
                )],
            ),
            Variant::width(
                1.3,
                &[Name::same("timm", "ghostnet_130"), Name::same("official", "huawei_ghostnet_w1.3")],
                &[],
            ),
            Variant::width(
                0.5,
                &[Name::same("timm", "ghostnet_050"), Name::same("official", "huawei_ghostnet_w0.5")],
                &[],
            ),
        ],
    )
    .preset(Preset::TIMM_BICUBIC)
    .any_width(),
    Row::new(
        "ghostnet_pytorchcv",
        Family::GhostNet,
        "pytorchcv",
        ghostnet_pytorchcv,
        &[Variant::new(&[Name::mapped("ghostnet", &PYTORCHCV)], &[])],
    ),
    Row::new(
        "ghostnet_v2",
        Family::GhostNet,
        "timm",
        ghostnet_v2,
        &[
            Variant::new(
                &[Name::same("timm", "ghostnetv2_100"), Name::same("official", "huawei_ghostnetv2_w1.0")],
                &[timm(
                    "ghostnetv2_100.in1k.safetensors",
                    &["https://huggingface.co/timm/ghostnetv2_100.in1k/resolve/main/model.safetensors"],
                    [75.186, 92.334],
                )],
            ),
            Variant::width(
                1.6,
                &[Name::same("timm", "ghostnetv2_160"), Name::same("official", "huawei_ghostnetv2_w1.6")],
                &[timm(
                    "ghostnetv2_160.in1k.safetensors",
                    &["https://huggingface.co/timm/ghostnetv2_160.in1k/resolve/main/model.safetensors"],
                    [77.836, 93.948],
                )],
            ),
            Variant::width(
                1.3,
                &[Name::same("timm", "ghostnetv2_130"), Name::same("official", "huawei_ghostnetv2_w1.3")],
                &[timm(
                    "ghostnetv2_130.in1k.safetensors",
                    &["https://huggingface.co/timm/ghostnetv2_130.in1k/resolve/main/model.safetensors"],
                    [76.746, 93.364],
                )],
            ),
        ],
    )
    .preset(Preset::TIMM_BICUBIC)
    .any_width(),
    Row::new(
        "ghostnet_v3",
        Family::GhostNet,
        "timm",
        ghostnet_v3,
        &[
            Variant::new(
                &[Name::same("timm", "ghostnetv3_100")],
                &[timm(
                    "ghostnetv3_100.in1k.safetensors",
                    &["https://huggingface.co/timm/ghostnetv3_100.in1k/resolve/main/model.safetensors"],
                    [76.936, 93.124],
                )],
            ),
            Variant::width(1.6, &[Name::same("timm", "ghostnetv3_160")], &[]),
            Variant::width(1.3, &[Name::same("timm", "ghostnetv3_130")], &[]),
            Variant::width(0.5, &[Name::same("timm", "ghostnetv3_050")], &[]),
        ],
    )
    .preset(Preset::TIMM_BICUBIC)
    .any_width(),
    Row::new("ghost_resnet50_s2", Family::GhostNet, "paper", ghost_resnet50_s2, &[Variant::new(&[], &[])]),
    Row::new("ghost_resnet50_s4", Family::GhostNet, "paper", ghost_resnet50_s4, &[Variant::new(&[], &[])]),
];
