//! Xception's rows.

use super::{Checkpoint, Family, Name, Preset, Row, Variant};
use crate::keymap::{KeyMap, SAME_KEYS};
use crate::xception::{xception, xception_keras};
use crate::xception_aligned::{xception41, xception41p, xception65, xception65p, xception71};

const PYTORCHCV: KeyMap = KeyMap {
    source: "pytorchcv",
    first: 1,
    source_stages: &[1, 1, 9, 1],
    rules: &[
        ("conv1", "features.init_block.conv1.conv"),
        ("bn1", "features.init_block.conv1.bn"),
        ("conv2", "features.init_block.conv2.conv"),
        ("bn2", "features.init_block.conv2.bn"),
        ("block1.rep.0.conv1", "features.stage1.unit1.body.block1.conv.dw_conv"),
        ("block1.rep.0.pointwise", "features.stage1.unit1.body.block1.conv.pw_conv"),
        ("block1.rep.1", "features.stage1.unit1.body.block1.bn"),
        ("block1.rep.3.conv1", "features.stage1.unit1.body.block2.conv.dw_conv"),
        ("block1.rep.3.pointwise", "features.stage1.unit1.body.block2.conv.pw_conv"),
        ("block1.rep.4", "features.stage1.unit1.body.block2.bn"),
        ("block{#}.rep.1.conv1", "features.stage{S+1}.unit{B+1}.body.block1.conv.dw_conv"),
        ("block{#}.rep.1.pointwise", "features.stage{S+1}.unit{B+1}.body.block1.conv.pw_conv"),
        ("block{#}.rep.2", "features.stage{S+1}.unit{B+1}.body.block1.bn"),
        ("block{#}.rep.4.conv1", "features.stage{S+1}.unit{B+1}.body.block2.conv.dw_conv"),
        ("block{#}.rep.4.pointwise", "features.stage{S+1}.unit{B+1}.body.block2.conv.pw_conv"),
        ("block{#}.rep.5", "features.stage{S+1}.unit{B+1}.body.block2.bn"),
        ("block{#}.rep.7.conv1", "features.stage{S+1}.unit{B+1}.body.block3.conv.dw_conv"),
        ("block{#}.rep.7.pointwise", "features.stage{S+1}.unit{B+1}.body.block3.conv.pw_conv"),
        ("block{#}.rep.8", "features.stage{S+1}.unit{B+1}.body.block3.bn"),
        ("block{#}.skip", "features.stage{S+1}.unit{B+1}.identity_conv.conv"),
        ("block{#}.skipbn", "features.stage{S+1}.unit{B+1}.identity_conv.bn"),
        ("conv3.conv1", "features.final_block.conv1.conv.dw_conv"),
        ("conv3.pointwise", "features.final_block.conv1.conv.pw_conv"),
        ("bn3", "features.final_block.conv1.bn"),
        ("conv4.conv1", "features.final_block.conv2.conv.dw_conv"),
        ("conv4.pointwise", "features.final_block.conv2.conv.pw_conv"),
        ("bn4", "features.final_block.conv2.bn"),
        ("fc", "output"),
    ],
    ..SAME_KEYS
};

/// timm's for weights trained by TensorFlow's DeepLab.
const DEEPLAB: Preset = Preset::TIMM_INCEPTION.crop_pct(0.903);
/// timm's for its own weights.
const TIMM: Preset = Preset::TIMM_INCEPTION.crop_pct(0.94);
const RA3: &str = "timm RandAugment recipe (ra3)";

pub(super) const ROWS: &[Row] = &[
    Row::new(
        "xception",
        Family::Xception,
        "timm",
        xception,
        &[Variant::new(
            &[
                Name::same("timm", "legacy_xception"),
                Name::same("timm", "xception"),
                Name::mapped("xception", &PYTORCHCV),
            ],
            &[Checkpoint::new(
                "tf_in1k",
                "xception-43020ad28.pth",
                &["https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-cadene/xception-43020ad28.pth"],
                "43020ad28",
                "Apache-2.0",
                [79.058, 94.396],
            )
            .recipe("converted from Keras")],
        )],
    )
    .side(299)
    .preset(Preset::TIMM_INCEPTION.crop_pct(0.8975)),
    Row::new(
        "xception_keras",
        Family::Xception,
        "Keras",
        xception_keras,
        &[Variant::new(&[Name::same("keras", "Xception")], &[])],
    )
    .side(299)
    .preset(Preset::TENSORFLOW),
    Row::new(
        "xception41",
        Family::Xception,
        "timm",
        xception41,
        &[Variant::new(
            &[Name::same("timm", "xception41")],
            &[timm_checkpoint!("xception41", "tf_in1k", [78.55, 94.282])],
        )],
    )
    .side(299)
    .preset(DEEPLAB),
    Row::new(
        "xception65",
        Family::Xception,
        "timm",
        xception65,
        &[Variant::new(
            &[Name::same("timm", "xception65")],
            &[
                timm_checkpoint!("xception65", "ra3_in1k", [83.186, 96.596])
                .preset(TIMM)
                .recipe(RA3),
                timm_checkpoint!("xception65", "tf_in1k", [79.558, 94.656]),
            ],
        )],
    )
    .side(299)
    .preset(DEEPLAB),
    Row::new(
        "xception71",
        Family::Xception,
        "timm",
        xception71,
        &[Variant::new(
            &[Name::same("timm", "xception71")],
            &[timm_checkpoint!("xception71", "tf_in1k", [79.92, 94.908])],
        )],
    )
    .side(299)
    .preset(DEEPLAB),
    Row::new(
        "xception41p",
        Family::Xception,
        "timm",
        xception41p,
        &[Variant::new(
            &[Name::same("timm", "xception41p")],
            &[timm_checkpoint!("xception41p", "ra3_in1k", [81.978, 95.784])
            .recipe(RA3)],
        )],
    )
    .side(299)
    .preset(TIMM),
    Row::new(
        "xception65p",
        Family::Xception,
        "timm",
        xception65p,
        &[Variant::new(
            &[Name::same("timm", "xception65p")],
            &[timm_checkpoint!("xception65p", "ra3_in1k", [83.16, 96.506])
            .recipe(RA3)],
        )],
    )
    .side(299)
    .preset(TIMM),
];
