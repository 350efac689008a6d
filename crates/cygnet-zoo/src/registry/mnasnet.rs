//! MnasNet's rows.

use super::{Checkpoint, Family, Name, Preset, Resize, Row, Variant};
use crate::keymap::{KeyMap, SAME_KEYS};
use crate::mnasnet::{mnasnet_a1, mnasnet_b1, mnasnet_small};

const B1_TIMM: KeyMap = KeyMap {
    source: "timm",
    rules: &[
        ("layers.0", "conv_stem"),
        ("layers.1", "bn1"),
        ("layers.3", "blocks.0.0.conv_dw"),
        ("layers.4", "blocks.0.0.bn1"),
        ("layers.6", "blocks.0.0.conv_pw"),
        ("layers.7", "blocks.0.0.bn2"),
        ("layers.{s}.{b}.layers.0", "blocks.{s-7}.{b}.conv_pw"),
        ("layers.{s}.{b}.layers.1", "blocks.{s-7}.{b}.bn1"),
        ("layers.{s}.{b}.layers.3", "blocks.{s-7}.{b}.conv_dw"),
        ("layers.{s}.{b}.layers.4", "blocks.{s-7}.{b}.bn2"),
        ("layers.{s}.{b}.layers.6", "blocks.{s-7}.{b}.conv_pwl"),
        ("layers.{s}.{b}.layers.7", "blocks.{s-7}.{b}.bn3"),
        ("layers.14", "conv_head"),
        ("layers.15", "bn2"),
        ("classifier.1", "classifier"),
    ],
    ..SAME_KEYS
};

const B1_PYTORCHCV: KeyMap = KeyMap {
    source: "pytorchcv",
    stages: &[0, 0, 0, 0, 0, 0, 0, 0, 3, 3, 3, 2, 4, 1],
    source_stages: &[3, 3, 5, 4],
    rules: &[
        ("layers.0", "features.init_block.conv1.conv"),
        ("layers.1", "features.init_block.conv1.bn"),
        ("layers.3", "features.init_block.conv2.dw_conv.conv"),
        ("layers.4", "features.init_block.conv2.dw_conv.bn"),
        ("layers.6", "features.init_block.conv2.pw_conv.conv"),
        ("layers.7", "features.init_block.conv2.pw_conv.bn"),
        ("layers.13.0.layers.0", "features.final_block.conv1.exp_conv.conv"),
        ("layers.13.0.layers.1", "features.final_block.conv1.exp_conv.bn"),
        ("layers.13.0.layers.3", "features.final_block.conv1.dw_conv.conv"),
        ("layers.13.0.layers.4", "features.final_block.conv1.dw_conv.bn"),
        ("layers.13.0.layers.6", "features.final_block.conv1.pw_conv.conv"),
        ("layers.13.0.layers.7", "features.final_block.conv1.pw_conv.bn"),
        ("layers.{S}.{B}.layers.0", "features.stage{S+1}.unit{B+1}.exp_conv.conv"),
        ("layers.{S}.{B}.layers.1", "features.stage{S+1}.unit{B+1}.exp_conv.bn"),
        ("layers.{S}.{B}.layers.3", "features.stage{S+1}.unit{B+1}.dw_conv.conv"),
        ("layers.{S}.{B}.layers.4", "features.stage{S+1}.unit{B+1}.dw_conv.bn"),
        ("layers.{S}.{B}.layers.6", "features.stage{S+1}.unit{B+1}.pw_conv.conv"),
        ("layers.{S}.{B}.layers.7", "features.stage{S+1}.unit{B+1}.pw_conv.bn"),
        ("layers.14", "features.final_block.conv2.conv"),
        ("layers.15", "features.final_block.conv2.bn"),
        ("classifier.1", "output"),
    ],
    ..SAME_KEYS
};

const A1_PYTORCHCV: KeyMap = KeyMap {
    source: "pytorchcv",
    stages: &[1, 2, 3, 4, 2, 3, 1],
    source_stages: &[1, 2, 3, 6, 3],
    rules: &[
        ("conv_stem", "features.init_block.conv1.conv"),
        ("bn1", "features.init_block.conv1.bn"),
        ("blocks.0.0.conv_dw", "features.init_block.conv2.dw_conv.conv"),
        ("blocks.0.0.bn1", "features.init_block.conv2.dw_conv.bn"),
        ("blocks.0.0.conv_pw", "features.init_block.conv2.pw_conv.conv"),
        ("blocks.0.0.bn2", "features.init_block.conv2.pw_conv.bn"),
        ("blocks.6.0.conv_pw", "features.final_block.conv1.exp_conv.conv"),
        ("blocks.6.0.bn1", "features.final_block.conv1.exp_conv.bn"),
        ("blocks.6.0.conv_dw", "features.final_block.conv1.dw_conv.conv"),
        ("blocks.6.0.bn2", "features.final_block.conv1.dw_conv.bn"),
        ("blocks.6.0.conv_pwl", "features.final_block.conv1.pw_conv.conv"),
        ("blocks.6.0.bn3", "features.final_block.conv1.pw_conv.bn"),
        ("blocks.{S}.{B}.conv_pw", "features.stage{S}.unit{B+1}.exp_conv.conv"),
        ("blocks.{S}.{B}.bn1", "features.stage{S}.unit{B+1}.exp_conv.bn"),
        ("blocks.{S}.{B}.conv_dw", "features.stage{S}.unit{B+1}.dw_conv.conv"),
        ("blocks.{S}.{B}.bn2", "features.stage{S}.unit{B+1}.dw_conv.bn"),
        ("blocks.{S}.{B}.se.conv_reduce", "features.stage{S}.unit{B+1}.se.conv1"),
        ("blocks.{S}.{B}.se.conv_expand", "features.stage{S}.unit{B+1}.se.conv2"),
        ("blocks.{S}.{B}.conv_pwl", "features.stage{S}.unit{B+1}.pw_conv.conv"),
        ("blocks.{S}.{B}.bn3", "features.stage{S}.unit{B+1}.pw_conv.bn"),
        ("conv_head", "features.final_block.conv2.conv"),
        ("bn2", "features.final_block.conv2.bn"),
        ("classifier", "output"),
    ],
    ..SAME_KEYS
};

const SMALL_PYTORCHCV: KeyMap =
    KeyMap { stages: &[1, 1, 2, 4, 3, 3, 1], source_stages: &[1, 1, 2, 7, 3], ..A1_PYTORCHCV };

const TORCHVISION_232: Preset = Preset { resize: Resize::ShorterSide(232), ..Preset::TORCHVISION };

const BSD: &str = "BSD-3-Clause";
const APACHE: &str = "Apache-2.0";

pub(super) const ROWS: &[Row] = &[
    Row::new(
        "mnasnet_b1",
        Family::MnasNet,
        "torchvision",
        mnasnet_b1,
        &[
            Variant::new(
                &[
                    Name::same("torchvision", "mnasnet1_0"),
                    Name::mapped("mnasnet_100", &B1_TIMM),
                    Name::mapped("mnasnet_b1", &B1_TIMM),
                    Name::mapped("mnasnet_b1", &B1_PYTORCHCV),
                ],
                &[
                    Checkpoint::new(
                        "IMAGENET1K_V1",
                        "mnasnet1.0_top1_73.512-f206786ef8.pth",
                        &["https://download.pytorch.org/models/mnasnet1.0_top1_73.512-f206786ef8.pth"],
                        "f206786ef8",
                        BSD,
                        [73.456, 91.51],
                    ),
                    Checkpoint::new(
                        "rmsp_in1k",
                        "mnasnet_b1-74cb7081.pth",
                        &[
                            "https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-weights/mnasnet_b1-74cb7081.pth"],
                        "74cb7081",
                        APACHE,
                        [74.672, 92.108],
                    )
                    .keys(&B1_TIMM)
                    .preset(Preset::TIMM_BICUBIC)
                    .recipe("timm RMSProp recipe (rmsp)"),
                ],
            ),
            Variant::width(0.35, &[], &[]),
            Variant::width(0.5,
                &[Name::same("torchvision", "mnasnet0_5"), Name::mapped("mnasnet_050", &B1_TIMM)],
                &[Checkpoint::new(
                    "IMAGENET1K_V1",
                    "mnasnet0.5_top1_67.823-3ffadce67e.pth",
                    &["https://download.pytorch.org/models/mnasnet0.5_top1_67.823-3ffadce67e.pth"],
                    "3ffadce67e",
                    BSD,
                    [67.734, 87.49],
                )],
            ),
            Variant::width(0.75,
                &[Name::same("torchvision", "mnasnet0_75"), Name::mapped("mnasnet_075", &B1_TIMM)],
                &[Checkpoint::new(
                    "IMAGENET1K_V1",
                    "mnasnet0_75-7090bc5f.pth",
                    &["https://download.pytorch.org/models/mnasnet0_75-7090bc5f.pth"],
                    "7090bc5f",
                    BSD,
                    [71.18, 90.496],
                )
                .preset(TORCHVISION_232)],
            ),
            Variant::width(1.3,
                &[Name::same("torchvision", "mnasnet1_3")],
                &[Checkpoint::new(
                    "IMAGENET1K_V1",
                    "mnasnet1_3-a4c69d6f.pth",
                    &["https://download.pytorch.org/models/mnasnet1_3-a4c69d6f.pth"],
                    "a4c69d6f",
                    BSD,
                    [76.506, 93.522],
                )
                .preset(TORCHVISION_232)],
            ),
            Variant::width(1.4, &[Name::mapped("mnasnet_140", &B1_TIMM)], &[]),
        ],
    )
    .any_width(),
    Row::new(
        "mnasnet_a1",
        Family::MnasNet,
        "timm",
        mnasnet_a1,
        &[
            Variant::new(
                &[
                    Name::same("timm", "semnasnet_100"),
                    Name::same("timm", "mnasnet_a1"),
                    Name::mapped("mnasnet_a1", &A1_PYTORCHCV),
                ],
                &[Checkpoint::new(
                    "rmsp_in1k",
                    "mnasnet_a1-d9418771.pth",
                    &[
                        "https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-weights/mnasnet_a1-d9418771.pth"],
                    "d9418771",
                    APACHE,
                    [75.452, 92.608],
                )
                .recipe("timm RMSProp recipe (rmsp)")],
            ),
            Variant::width(0.35, &[], &[]),
            Variant::width(0.5, &[Name::same("timm", "semnasnet_050")], &[]),
            Variant::width(0.75,
                &[Name::same("timm", "semnasnet_075")],
                &[Checkpoint::new(
                    "rmsp_in1k",
                    "semnasnet_075-18710866.pth",
                    &[
                        "https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-weights/semnasnet_075-18710866.pth"],
                    "18710866",
                    APACHE,
                    [73.0, 91.124],
                )
                .recipe("timm RMSProp recipe (rmsp)")],
            ),
            Variant::width(1.4, &[Name::same("timm", "semnasnet_140")], &[]),
        ],
    )
    .any_width()
    .preset(Preset::TIMM_BICUBIC),
    Row::new(
        "mnasnet_small",
        Family::MnasNet,
        "timm",
        mnasnet_small,
        &[Variant::new(
            &[Name::same("timm", "mnasnet_small"), Name::mapped("mnasnet_small", &SMALL_PYTORCHCV)],
            &[Checkpoint::new(
                "lamb_in1k",
                "mnasnet_small_lamb-aff75073.pth",
                &[
                    "https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-weights/mnasnet_small_lamb-aff75073.pth"],
                "aff75073",
                APACHE,
                [66.204, 86.47],
            )
            .recipe("timm LAMB recipe (lamb)")],
        )],
    )
    .any_width()
    .preset(Preset::TIMM_BICUBIC),
];
