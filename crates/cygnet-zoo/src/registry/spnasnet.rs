//! Single-Path NAS' row.

use super::{Checkpoint, Family, Name, Preset, Row, Variant};
use crate::keymap::{KeyMap, SAME_KEYS};
use crate::spnasnet::spnasnet;

const PYTORCHCV: KeyMap = KeyMap {
    source: "pytorchcv",
    stages: &[1, 3, 4, 4, 4, 4, 1],
    source_stages: &[1, 3, 4, 4, 8],
    rules: &[
        ("conv_stem", "features.init_block.conv1.conv"),
        ("bn1", "features.init_block.conv1.bn"),
        ("blocks.0.0.conv_dw", "features.init_block.conv2.conv1.conv"),
        ("blocks.0.0.bn1", "features.init_block.conv2.conv1.bn"),
        ("blocks.0.0.conv_pw", "features.init_block.conv2.conv2.conv"),
        ("blocks.0.0.bn2", "features.init_block.conv2.conv2.bn"),
        ("blocks.6.0.conv_pw", "features.final_block.conv1.exp_conv.conv"),
        ("blocks.6.0.bn1", "features.final_block.conv1.exp_conv.bn"),
        ("blocks.6.0.conv_dw", "features.final_block.conv1.conv1.conv"),
        ("blocks.6.0.bn2", "features.final_block.conv1.conv1.bn"),
        ("blocks.6.0.conv_pwl", "features.final_block.conv1.conv2.conv"),
        ("blocks.6.0.bn3", "features.final_block.conv1.conv2.bn"),
        ("blocks.{S}.{B}.conv_pw", "features.stage{S}.unit{B+1}.exp_conv.conv"),
        ("blocks.{S}.{B}.bn1", "features.stage{S}.unit{B+1}.exp_conv.bn"),
        ("blocks.{S}.{B}.conv_dw", "features.stage{S}.unit{B+1}.conv1.conv"),
        ("blocks.{S}.{B}.bn2", "features.stage{S}.unit{B+1}.conv1.bn"),
        ("blocks.{S}.{B}.conv_pwl", "features.stage{S}.unit{B+1}.conv2.conv"),
        ("blocks.{S}.{B}.bn3", "features.stage{S}.unit{B+1}.conv2.bn"),
        ("conv_head", "features.final_block.conv2.conv"),
        ("bn2", "features.final_block.conv2.bn"),
        ("classifier", "output"),
    ],
    ..SAME_KEYS
};

pub(super) const ROWS: &[Row] = &[Row::new(
    "spnasnet",
    Family::MnasNet,
    "timm",
    spnasnet,
    &[Variant::new(
        &[Name::same("timm", "spnasnet_100"), Name::mapped("spnasnet", &PYTORCHCV)],
        &[timm_checkpoint!("rmsp_in1k", "spnasnet_100" - "048bc3f4", [74.086, 91.826])
            .recipe("timm RMSProp recipe (rmsp)")],
    )],
)
.any_width()
.preset(Preset::TIMM_BILINEAR)];
