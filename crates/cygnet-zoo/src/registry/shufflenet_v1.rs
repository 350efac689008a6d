//! ShuffleNet v1's rows.

use super::{Checkpoint, Family, Interpolation, Name, Preset, Resize, Row, Variant, rgb};
use crate::keymap::{KeyMap, SAME_KEYS};
use crate::shufflenet_v1::{
    Column, se_shufflenet_v1, shufflenet_v1, shufflenet_v1_cifar10, shufflenet_v1_official,
};

const PYTORCHCV: KeyMap = KeyMap {
    source: "pytorchcv",
    source_stages: &[4, 8, 4],
    rules: &[
        ("first_conv.0", "features.init_block.conv"),
        ("first_conv.1", "features.init_block.bn"),
        ("features.{#}.branch_main_1.0", "features.stage{S+1}.unit{B+1}.compress_conv1"),
        ("features.{#}.branch_main_1.1", "features.stage{S+1}.unit{B+1}.compress_bn1"),
        ("features.{#}.branch_main_1.3", "features.stage{S+1}.unit{B+1}.dw_conv2"),
        ("features.{#}.branch_main_1.4", "features.stage{S+1}.unit{B+1}.dw_bn2"),
        ("features.{#}.branch_main_2.0", "features.stage{S+1}.unit{B+1}.expand_conv3"),
        ("features.{#}.branch_main_2.1", "features.stage{S+1}.unit{B+1}.expand_bn3"),
        ("classifier.0", "output"),
    ],
    ..SAME_KEYS
};

const CHENHANG98: KeyMap = KeyMap {
    source: "chenhang98",
    source_stages: &[4, 8, 4],
    rules: &[
        ("first_conv.0", "conv1"),
        ("first_conv.1", "bn1"),
        ("features.{#}.branch_main_1.0", "stage{S+2}.{B}.gconv1"),
        ("features.{#}.branch_main_1.1", "stage{S+2}.{B}.bn1"),
        ("features.{#}.branch_main_1.3", "stage{S+2}.{B}.dwconv"),
        ("features.{#}.branch_main_1.4", "stage{S+2}.{B}.bn"),
        ("features.{#}.branch_main_2.0", "stage{S+2}.{B}.gconv2"),
        ("features.{#}.branch_main_2.1", "stage{S+2}.{B}.bn2"),
        ("classifier.0", "fc"),
    ],
    ..SAME_KEYS
};

const CIFAR10: Preset =
    rgb(Resize::ShorterSide(32), Interpolation::Bilinear, [0.4914, 0.4822, 0.4465], [0.247, 0.243, 0.261]);

const fn paper(
    id: &'static str,
    build: fn(&crate::Spec) -> crate::Built,
    variants: &'static [Variant],
) -> Row {
    Row::new(id, Family::ShuffleNetV1, "pytorchcv", build, variants).any_width()
}

const fn official(
    id: &'static str,
    build: fn(&crate::Spec) -> crate::Built,
    variants: &'static [Variant],
) -> Row {
    Row::new(id, Family::ShuffleNetV1, "official", build, variants).preset(Preset::MEGVII)
}

pub(super) const ROWS: &[Row] = &[
    paper(
        "shufflenet_v1_g1",
        |spec| shufflenet_v1(spec, Column::G1),
        &[
            Variant::new(&[Name::mapped("shufflenet_g1_w1", &PYTORCHCV)], &[]),
            Variant::width(0.75, &[Name::mapped("shufflenet_g1_w3d4", &PYTORCHCV)], &[]),
            Variant::width(0.5, &[Name::mapped("shufflenet_g1_wd2", &PYTORCHCV)], &[]),
            Variant::width(0.25, &[Name::mapped("shufflenet_g1_wd4", &PYTORCHCV)], &[]),
        ],
    ),
    paper(
        "shufflenet_v1_g2",
        |spec| shufflenet_v1(spec, Column::G2),
        &[Variant::new(&[Name::mapped("shufflenet_g2_w1", &PYTORCHCV)], &[])],
    ),
    paper(
        "shufflenet_v1_g3",
        |spec| shufflenet_v1(spec, Column::G3),
        &[
            Variant::new(&[Name::mapped("shufflenet_g3_w1", &PYTORCHCV)], &[]),
            Variant::width(2.0, &[], &[]),
            Variant::width(1.5, &[], &[]),
            Variant::width(0.75, &[Name::mapped("shufflenet_g3_w3d4", &PYTORCHCV)], &[]),
            Variant::width(0.5, &[Name::mapped("shufflenet_g3_wd2", &PYTORCHCV)], &[]),
            Variant::width(0.25, &[Name::mapped("shufflenet_g3_wd4", &PYTORCHCV)], &[]),
        ],
    ),
    paper(
        "shufflenet_v1_g4",
        |spec| shufflenet_v1(spec, Column::G4),
        &[Variant::new(&[Name::mapped("shufflenet_g4_w1", &PYTORCHCV)], &[])],
    ),
    paper(
        "shufflenet_v1_g8",
        |spec| shufflenet_v1(spec, Column::G8),
        &[
            Variant::new(&[Name::mapped("shufflenet_g8_w1", &PYTORCHCV)], &[]),
            Variant::width(2.0, &[], &[]),
            Variant::width(1.5, &[], &[]),
            Variant::width(0.5, &[], &[]),
            Variant::width(0.25, &[], &[]),
        ],
    ),
    paper(
        "se_shufflenet_v1_g3",
        |spec| se_shufflenet_v1(spec, Column::G3),
        &[Variant::new(&[], &[]), Variant::width(2.0, &[], &[])],
    ),
    official(
        "shufflenet_v1_g3_official",
        |spec| shufflenet_v1_official(spec, Column::G3),
        &[
            Variant::new(&[Name::same("official", "megvii_shufflenetv1_g3_1.0x")], &[]),
            Variant::width(2.0, &[Name::same("official", "megvii_shufflenetv1_g3_2.0x")], &[]),
            Variant::width(1.5, &[Name::same("official", "megvii_shufflenetv1_g3_1.5x")], &[]),
            Variant::width(0.5, &[Name::same("official", "megvii_shufflenetv1_g3_0.5x")], &[]),
        ],
    ),
    official(
        "shufflenet_v1_g8_official",
        |spec| shufflenet_v1_official(spec, Column::G8),
        &[
            Variant::new(&[Name::same("official", "megvii_shufflenetv1_g8_1.0x")], &[]),
            Variant::width(2.0, &[Name::same("official", "megvii_shufflenetv1_g8_2.0x")], &[]),
            Variant::width(1.5, &[Name::same("official", "megvii_shufflenetv1_g8_1.5x")], &[]),
            Variant::width(0.5, &[Name::same("official", "megvii_shufflenetv1_g8_0.5x")], &[]),
        ],
    ),
    Row::new(
        "shufflenet_v1_g3_cifar10",
        Family::ShuffleNetV1,
        "chenhang98",
        |spec| shufflenet_v1_cifar10(spec, Column::G3),
        &[Variant::width(0.5,
            &[],
            &[Checkpoint::new(
                "cifar10",
                "weights_05g3.pkl",
                &["https://raw.githubusercontent.com/chenhang98/shuffleNet-cifar10/fe1891c5b15b6cf695b6cefea29da6c7955103a1/bak/weights_05g3.pkl"],
                "6fa8e5dbb3813364795de489c05fbaabfc36389ebf7867553e5ae190d2be547d",
                "GPL-3.0-only",
                [f32::NAN; 2],
            )
            .keys(&CHENHANG98)
            .size(1_058_404)],
        )],
    )
    .side(32)
    .classes(10)
    .preset(CIFAR10)
    .any_width(),
];
