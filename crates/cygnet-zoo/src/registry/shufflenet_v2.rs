//! The rows of ShuffleNet v2, v2+, v2 Large and v2 ExLarge.

use super::{Checkpoint, Family, Name, Preset, Resize, Row, Variant};
use crate::keymap::{KeyMap, SAME_KEYS};
use crate::shufflenet_v2::{
    shufflenet_v2, shufflenet_v2_official, shufflenet_v2_pytorchcv, shufflenet_v2b_pytorchcv,
};
use crate::shufflenet_v2_large::{shufflenet_v2_exlarge, shufflenet_v2_large};
use crate::shufflenet_v2_plus::{Size, shufflenet_v2_plus};

const OFFICIAL: KeyMap = KeyMap {
    source: "official",
    stages: &[0, 0, 4, 8, 4],
    rules: &[
        ("conv1.{k}", "first_conv.{k}"),
        ("stage{S}.{B}.branch1.{k}", "features.{#}.branch_proj.{k}"),
        ("stage{S}.{B}.branch2.{k}", "features.{#}.branch_main.{k}"),
        ("conv5.{k}", "conv_last.{k}"),
        ("fc", "classifier.0"),
    ],
    ..SAME_KEYS
};

const PYTORCHCV: KeyMap = KeyMap {
    source: "pytorchcv",
    rules: &[
        ("conv1.0", "features.init_block.conv.conv"),
        ("conv1.1", "features.init_block.conv.bn"),
        ("stage{s}.{b}.branch1.0", "features.stage{s-1}.unit{b+1}.dw_conv4"),
        ("stage{s}.{b}.branch1.1", "features.stage{s-1}.unit{b+1}.dw_bn4"),
        ("stage{s}.{b}.branch1.2", "features.stage{s-1}.unit{b+1}.expand_conv5"),
        ("stage{s}.{b}.branch1.3", "features.stage{s-1}.unit{b+1}.expand_bn5"),
        ("stage{s}.{b}.branch2.0", "features.stage{s-1}.unit{b+1}.compress_conv1"),
        ("stage{s}.{b}.branch2.1", "features.stage{s-1}.unit{b+1}.compress_bn1"),
        ("stage{s}.{b}.branch2.3", "features.stage{s-1}.unit{b+1}.dw_conv2"),
        ("stage{s}.{b}.branch2.4", "features.stage{s-1}.unit{b+1}.dw_bn2"),
        ("stage{s}.{b}.branch2.5", "features.stage{s-1}.unit{b+1}.expand_conv3"),
        ("stage{s}.{b}.branch2.6", "features.stage{s-1}.unit{b+1}.expand_bn3"),
        ("conv5.0", "features.final_block.conv"),
        ("conv5.1", "features.final_block.bn"),
        ("fc", "output"),
    ],
    ..SAME_KEYS
};

const PYTORCHCV_B: KeyMap = KeyMap {
    source: "pytorchcv",
    rules: &[
        ("conv1.0", "features.init_block.conv.conv"),
        ("conv1.1", "features.init_block.conv.bn"),
        ("stage{s}.{b}.branch1.0", "features.stage{s-1}.unit{b+1}.shortcut_dconv.conv"),
        ("stage{s}.{b}.branch1.1", "features.stage{s-1}.unit{b+1}.shortcut_dconv.bn"),
        ("stage{s}.{b}.branch1.2", "features.stage{s-1}.unit{b+1}.shortcut_conv.conv"),
        ("stage{s}.{b}.branch1.3", "features.stage{s-1}.unit{b+1}.shortcut_conv.bn"),
        ("stage{s}.{b}.branch2.0", "features.stage{s-1}.unit{b+1}.conv1.conv"),
        ("stage{s}.{b}.branch2.1", "features.stage{s-1}.unit{b+1}.conv1.bn"),
        ("stage{s}.{b}.branch2.3", "features.stage{s-1}.unit{b+1}.dconv.conv"),
        ("stage{s}.{b}.branch2.4", "features.stage{s-1}.unit{b+1}.dconv.bn"),
        ("stage{s}.{b}.branch2.5", "features.stage{s-1}.unit{b+1}.conv2.conv"),
        ("stage{s}.{b}.branch2.6", "features.stage{s-1}.unit{b+1}.conv2.bn"),
        ("conv5.0", "features.final_block.conv"),
        ("conv5.1", "features.final_block.bn"),
        ("fc", "output"),
    ],
    ..SAME_KEYS
};

const RESIZE_232: Preset = Preset { resize: Resize::ShorterSide(232), ..Preset::TORCHVISION };
const PORTED: &str = "trained to reproduce the paper, ported from ericsun99/Shufflenet-v2-Pytorch";
const NEW_RECIPE: &str = "torchvision's new training recipe";

pub(super) const ROWS: &[Row] = &[
    Row::new(
        "shufflenet_v2",
        Family::ShuffleNetV2,
        "torchvision",
        shufflenet_v2,
        &[
            Variant::new(
                &[Name::same("torchvision", "shufflenet_v2_x1_0")],
                &[Checkpoint::new(
                    "IMAGENET1K_V1",
                    "shufflenetv2_x1-5666bf0f80.pth",
                    &["https://download.pytorch.org/models/shufflenetv2_x1-5666bf0f80.pth"],
                    "5666bf0f80",
                    "BSD-3-Clause",
                    [69.362, 88.316],
                )
                .recipe(PORTED)],
            ),
            Variant::width(
                2.0,
                &[Name::same("torchvision", "shufflenet_v2_x2_0")],
                &[Checkpoint::new(
                    "IMAGENET1K_V1",
                    "shufflenetv2_x2_0-8be3c8ee.pth",
                    &["https://download.pytorch.org/models/shufflenetv2_x2_0-8be3c8ee.pth"],
                    "8be3c8ee",
                    "BSD-3-Clause",
                    [76.23, 93.006],
                )
                .preset(RESIZE_232)
                .recipe(NEW_RECIPE)],
            ),
            Variant::width(
                1.5,
                &[Name::same("torchvision", "shufflenet_v2_x1_5")],
                &[Checkpoint::new(
                    "IMAGENET1K_V1",
                    "shufflenetv2_x1_5-3c479a10.pth",
                    &["https://download.pytorch.org/models/shufflenetv2_x1_5-3c479a10.pth"],
                    "3c479a10",
                    "BSD-3-Clause",
                    [72.996, 91.086],
                )
                .preset(RESIZE_232)
                .recipe(NEW_RECIPE)],
            ),
            Variant::width(
                0.5,
                &[Name::same("torchvision", "shufflenet_v2_x0_5")],
                &[Checkpoint::new(
                    "IMAGENET1K_V1",
                    "shufflenetv2_x0.5-f707e7126e.pth",
                    &["https://download.pytorch.org/models/shufflenetv2_x0.5-f707e7126e.pth"],
                    "f707e7126e",
                    "BSD-3-Clause",
                    [60.552, 81.746],
                )
                .recipe(PORTED)],
            ),
        ],
    )
    .any_width(),
    Row::new(
        "shufflenet_v2_official",
        Family::ShuffleNetV2,
        "official",
        shufflenet_v2_official,
        &[
            Variant::new(&[Name::mapped("megvii_shufflenetv2_1.0x", &OFFICIAL)], &[]),
            Variant::width(2.0, &[Name::mapped("megvii_shufflenetv2_2.0x", &OFFICIAL)], &[]),
            Variant::width(1.5, &[Name::mapped("megvii_shufflenetv2_1.5x", &OFFICIAL)], &[]),
            Variant::width(0.5, &[Name::mapped("megvii_shufflenetv2_0.5x", &OFFICIAL)], &[]),
        ],
    )
    .preset(Preset::MEGVII),
    Row::new(
        "shufflenet_v2_pytorchcv",
        Family::ShuffleNetV2,
        "pytorchcv",
        shufflenet_v2_pytorchcv,
        &[
            Variant::new(&[Name::mapped("shufflenetv2_w1", &PYTORCHCV)], &[]),
            Variant::width(2.0, &[Name::mapped("shufflenetv2_w2", &PYTORCHCV)], &[]),
            Variant::width(1.5, &[Name::mapped("shufflenetv2_w3d2", &PYTORCHCV)], &[]),
            Variant::width(0.5, &[Name::mapped("shufflenetv2_wd2", &PYTORCHCV)], &[]),
        ],
    ),
    Row::new(
        "shufflenet_v2b_pytorchcv",
        Family::ShuffleNetV2,
        "pytorchcv",
        shufflenet_v2b_pytorchcv,
        &[
            Variant::new(&[Name::mapped("shufflenetv2b_w1", &PYTORCHCV_B)], &[]),
            Variant::width(2.0, &[Name::mapped("shufflenetv2b_w2", &PYTORCHCV_B)], &[]),
            Variant::width(1.5, &[Name::mapped("shufflenetv2b_w3d2", &PYTORCHCV_B)], &[]),
            Variant::width(0.5, &[Name::mapped("shufflenetv2b_wd2", &PYTORCHCV_B)], &[]),
        ],
    ),
    Row::new(
        "shufflenet_v2_plus_small",
        Family::ShuffleNetV2,
        "official",
        |spec| shufflenet_v2_plus(spec, Size::SMALL),
        &[Variant::new(&[Name::same("official", "megvii_shufflenetv2plus_Small")], &[])],
    )
    .preset(Preset::MEGVII),
    Row::new(
        "shufflenet_v2_plus_medium",
        Family::ShuffleNetV2,
        "official",
        |spec| shufflenet_v2_plus(spec, Size::MEDIUM),
        &[Variant::new(&[Name::same("official", "megvii_shufflenetv2plus_Medium")], &[])],
    )
    .preset(Preset::MEGVII),
    Row::new(
        "shufflenet_v2_plus_large",
        Family::ShuffleNetV2,
        "official",
        |spec| shufflenet_v2_plus(spec, Size::LARGE),
        &[Variant::new(&[Name::same("official", "megvii_shufflenetv2plus_Large")], &[])],
    )
    .preset(Preset::MEGVII),
    Row::new(
        "shufflenet_v2_large",
        Family::ShuffleNetV2,
        "official",
        shufflenet_v2_large,
        &[Variant::new(&[Name::same("official", "megvii_shufflenetv2_large")], &[])],
    )
    // The authors subtract a mean image instead of a mean for each channel.
    .preset(Preset::CAFFE),
    Row::new(
        "shufflenet_v2_exlarge",
        Family::ShuffleNetV2,
        "official",
        shufflenet_v2_exlarge,
        &[Variant::new(&[Name::same("official", "megvii_shufflenetv2_exlarge")], &[])],
    )
    .preset(Preset::MEGVII),
];
