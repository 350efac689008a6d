//! FBNet's rows.

use super::{Checkpoint, Family, Name, Preset, Row, Variant};
use crate::fbnet::{
    fbnet_96, fbnet_a, fbnet_a_dense, fbnet_b, fbnet_b_dense, fbnet_b_paper, fbnet_c, fbnet_c_dense,
    fbnet_c_pytorchcv, fbnet_c_timm, fbnet_iphonex, fbnet_s8,
};
use crate::keymap::{KeyMap, SAME_KEYS};
use crate::{Built, Spec};

const OFFICIAL: KeyMap = KeyMap {
    source: "official",
    stages: &[1, 4, 4, 4, 4, 4, 1],
    source_stages: &[1, 4, 4, 8, 5],
    rules: &[
        ("conv_stem", "backbone.stages.xif0_0.conv"),
        ("bn1", "backbone.stages.xif0_0.bn"),
        ("blocks.{S}.{B}.conv_pw", "backbone.stages.xif{S+1}_{B}.pw.conv"),
        ("blocks.{S}.{B}.bn1", "backbone.stages.xif{S+1}_{B}.pw.bn"),
        ("blocks.{S}.{B}.conv_dw", "backbone.stages.xif{S+1}_{B}.dw.conv"),
        ("blocks.{S}.{B}.bn2", "backbone.stages.xif{S+1}_{B}.dw.bn"),
        ("blocks.{S}.{B}.conv_pwl", "backbone.stages.xif{S+1}_{B}.pwl.conv"),
        ("blocks.{S}.{B}.bn3", "backbone.stages.xif{S+1}_{B}.pwl.bn"),
        ("conv_head", "backbone.stages.xif6_0.conv"),
        ("bn2", "backbone.stages.xif6_0.bn"),
        ("classifier", "head.conv"),
    ],
    ..SAME_KEYS
};

const OFFICIAL_96: KeyMap =
    KeyMap { stages: &[1, 2, 2, 1, 1, 2, 1], source_stages: &[1, 2, 2, 2, 3], ..OFFICIAL };

/// Every block a stage of its own, as the official builder has it for a list of blocks.
const OFFICIAL_LIST: KeyMap = KeyMap {
    source: "official",
    stages: &[1, 4, 4, 4, 4, 4, 1],
    rules: &[
        ("conv_stem", "backbone.stages.xif0_0.conv"),
        ("bn1", "backbone.stages.xif0_0.bn"),
        ("blocks.{S}.{B}.conv_pw", "backbone.stages.xif{#+1}_0.pw.conv"),
        ("blocks.{S}.{B}.bn1", "backbone.stages.xif{#+1}_0.pw.bn"),
        ("blocks.{S}.{B}.conv_dw", "backbone.stages.xif{#+1}_0.dw.conv"),
        ("blocks.{S}.{B}.bn2", "backbone.stages.xif{#+1}_0.dw.bn"),
        ("blocks.{S}.{B}.conv_pwl", "backbone.stages.xif{#+1}_0.pwl.conv"),
        ("blocks.{S}.{B}.bn3", "backbone.stages.xif{#+1}_0.pwl.bn"),
        ("conv_head", "backbone.stages.xif23_0.conv"),
        ("bn2", "backbone.stages.xif23_0.bn"),
        ("classifier", "head.conv"),
    ],
    ..SAME_KEYS
};

const PYTORCHCV: KeyMap = KeyMap {
    source: "pytorchcv",
    stages: &[1, 3, 4, 4, 4, 4, 1],
    source_stages: &[1, 3, 4, 8, 5],
    rules: &[
        ("conv_stem", "features.init_block.conv1.conv"),
        ("bn1", "features.init_block.conv1.bn"),
        ("blocks.0.0.conv_pw", "features.init_block.conv2.exp_conv.conv"),
        ("blocks.0.0.bn1", "features.init_block.conv2.exp_conv.bn"),
        ("blocks.0.0.conv_dw", "features.init_block.conv2.conv1.conv"),
        ("blocks.0.0.bn2", "features.init_block.conv2.conv1.bn"),
        ("blocks.0.0.conv_pwl", "features.init_block.conv2.conv2.conv"),
        ("blocks.0.0.bn3", "features.init_block.conv2.conv2.bn"),
        ("blocks.{S}.{B}.conv_pw", "features.stage{S}.unit{B+1}.exp_conv.conv"),
        ("blocks.{S}.{B}.bn1", "features.stage{S}.unit{B+1}.exp_conv.bn"),
        ("blocks.{S}.{B}.conv_dw", "features.stage{S}.unit{B+1}.conv1.conv"),
        ("blocks.{S}.{B}.bn2", "features.stage{S}.unit{B+1}.conv1.bn"),
        ("blocks.{S}.{B}.conv_pwl", "features.stage{S}.unit{B+1}.conv2.conv"),
        ("blocks.{S}.{B}.bn3", "features.stage{S}.unit{B+1}.conv2.bn"),
        ("conv_head", "features.final_block.conv"),
        ("bn2", "features.final_block.bn"),
        ("classifier", "output"),
    ],
    ..SAME_KEYS
};

const fn official(id: &'static str, build: fn(&Spec) -> Built, variants: &'static [Variant]) -> Row {
    Row::new(id, Family::FBNet, "official", build, variants)
}

const fn published(file: &'static str, urls: &'static [&'static str], accuracy: [f32; 2]) -> Checkpoint {
    Checkpoint::new("in1k", file, urls, "", "Apache-2.0", accuracy).keys(&OFFICIAL)
}

pub(super) const ROWS: &[Row] = &[
    official(
        "fbnet_a",
        fbnet_a,
        &[Variant::new(
            &[Name::mapped("fbnet_a", &OFFICIAL)],
            &[published(
                "fbnet_a_f155351132.pth",
                &["https://dl.fbaipublicfiles.com/fbnet/models/20200103/rAuaZE/fbnet_a_f155351132/model.pth"],
                [73.298, 90.9239],
            )],
        )],
    ),
    official(
        "fbnet_b",
        fbnet_b,
        &[Variant::new(
            &[Name::mapped("fbnet_b", &OFFICIAL)],
            &[published(
                "fbnet_b_f153237418.pth",
                &["https://dl.fbaipublicfiles.com/fbnet/models/20200103/rAuaZE/fbnet_b_f153237418/model.pth"],
                [74.5441, 91.7846],
            )],
        )],
    ),
    official(
        "fbnet_c",
        fbnet_c,
        &[Variant::new(
            &[Name::mapped("fbnet_c", &OFFICIAL)],
            &[published(
                "fbnet_c_f152910217.pth",
                &["https://dl.fbaipublicfiles.com/fbnet/models/20200103/rAuaZE/fbnet_c_f152910217/model.pth"],
                [75.2499, 92.2925],
            )],
        )],
    ),
    official(
        "fbnet_a_dense",
        fbnet_a_dense,
        &[Variant::new(&[Name::mapped("fbnet_a_nobias_pw", &OFFICIAL)], &[])],
    ),
    official(
        "fbnet_b_dense",
        fbnet_b_dense,
        &[Variant::new(&[Name::mapped("fbnet_b_nobias_pw", &OFFICIAL)], &[])],
    ),
    official(
        "fbnet_c_dense",
        fbnet_c_dense,
        &[Variant::new(&[Name::mapped("fbnet_c_nobias_pw", &OFFICIAL)], &[])],
    ),
    official(
        "fbnet_b_paper",
        fbnet_b_paper,
        &[Variant::new(&[Name::mapped("fbnet_b_paper_nobias_pw", &OFFICIAL_LIST)], &[])],
    ),
    official(
        "fbnet_s8",
        fbnet_s8,
        &[Variant::new(&[Name::mapped("fbnet_s8_nobias_pw", &OFFICIAL_LIST)], &[])],
    ),
    official(
        "fbnet_iphonex",
        fbnet_iphonex,
        &[Variant::new(&[Name::mapped("fbnet_iphonex_nobias_pw", &OFFICIAL_LIST)], &[])],
    ),
    official("fbnet_96", fbnet_96, &[Variant::new(&[Name::mapped("fbnet_96", &OFFICIAL_96)], &[])])
        .side(96)
        .preset(Preset::TIMM_BILINEAR),
    Row::new(
        "fbnet_c_timm",
        Family::FBNet,
        "timm",
        fbnet_c_timm,
        &[Variant::new(
            &[Name::same("timm", "fbnetc_100")],
            &[timm_checkpoint!("rmsp_in1k", "fbnetc_100" - "c345b898", [75.12, 92.384])
                .recipe("timm RMSProp recipe (rmsp)")],
        )],
    )
    .preset(Preset::TIMM_BILINEAR),
    Row::new(
        "fbnet_c_pytorchcv",
        Family::FBNet,
        "pytorchcv",
        fbnet_c_pytorchcv,
        &[Variant::new(&[Name::mapped("fbnet_cb", &PYTORCHCV)], &[])],
    ),
];
