//! ProxylessNAS' rows.

use super::{Family, Name, Row, Variant};
use crate::keymap::{KeyMap, SAME_KEYS};
use crate::proxylessnas::{proxylessnas_cpu, proxylessnas_gpu, proxylessnas_mobile, proxylessnas_mobile14};
use crate::{Built, Spec};

const PYTORCHCV: KeyMap = KeyMap {
    source: "pytorchcv",
    stages: &[1, 4, 4, 4, 4, 4, 1],
    source_stages: &[1, 4, 4, 8, 5],
    rules: &[
        ("conv_stem", "features.init_block.conv"),
        ("bn1", "features.init_block.bn"),
        ("blocks.{S}.{B}.conv_pw", "features.stage{S+1}.unit{B+1}.body.bc_conv.conv"),
        ("blocks.{S}.{B}.bn1", "features.stage{S+1}.unit{B+1}.body.bc_conv.bn"),
        ("blocks.{S}.{B}.conv_dw", "features.stage{S+1}.unit{B+1}.body.dw_conv.conv"),
        ("blocks.{S}.{B}.bn2", "features.stage{S+1}.unit{B+1}.body.dw_conv.bn"),
        ("blocks.{S}.{B}.conv_pwl", "features.stage{S+1}.unit{B+1}.body.pw_conv.conv"),
        ("blocks.{S}.{B}.bn3", "features.stage{S+1}.unit{B+1}.body.pw_conv.bn"),
        ("conv_head", "features.final_block.conv"),
        ("bn2", "features.final_block.bn"),
        ("classifier", "output"),
    ],
    ..SAME_KEYS
};

const fn row(id: &'static str, build: fn(&Spec) -> Built, variants: &'static [Variant]) -> Row {
    Row::new(id, Family::MnasNet, "pytorchcv", build, variants)
}

pub(super) const ROWS: &[Row] = &[
    row(
        "proxylessnas_cpu",
        proxylessnas_cpu,
        &[Variant::new(&[Name::mapped("proxylessnas_cpu", &PYTORCHCV)], &[])],
    ),
    row(
        "proxylessnas_gpu",
        proxylessnas_gpu,
        &[Variant::new(&[Name::mapped("proxylessnas_gpu", &PYTORCHCV)], &[])],
    ),
    row(
        "proxylessnas_mobile",
        proxylessnas_mobile,
        &[Variant::new(&[Name::mapped("proxylessnas_mobile", &PYTORCHCV)], &[])],
    ),
    row(
        "proxylessnas_mobile14",
        proxylessnas_mobile14,
        &[Variant::new(&[Name::mapped("proxylessnas_mobile14", &PYTORCHCV)], &[])],
    ),
];
