//! MobileNetV1's rows.

use super::{Checkpoint, Family, Name, Preset, Row, Variant};
use crate::keymap::{KeyMap, SAME_KEYS};
use crate::mobilenet_v1 as v1;

const KERAS: KeyMap = KeyMap {
    source: "keras",
    stages: &[1, 2, 2, 6, 2],
    rules: &[
        ("conv_stem", "conv1"),
        ("bn1", "conv1_bn"),
        ("blocks.{S}.{B}.conv_dw", "conv_dw_{#+1}"),
        ("blocks.{S}.{B}.bn1", "conv_dw_{#+1}_bn"),
        ("blocks.{S}.{B}.conv_pw", "conv_pw_{#+1}"),
        ("blocks.{S}.{B}.bn2", "conv_pw_{#+1}_bn"),
        ("classifier", "conv_preds"),
    ],
    tensors: &[
        ("{a}_bn.weight", "gamma"),
        ("{a}_bn.bias", "beta"),
        ("running_mean", "moving_mean"),
        ("running_var", "moving_variance"),
        ("conv_dw_{a}.weight", "depthwise_kernel"),
        ("weight", "kernel"),
    ],
    ..SAME_KEYS
};

const PYTORCHCV: KeyMap = KeyMap {
    source: "pytorchcv",
    stages: &[1, 2, 2, 6, 2],
    rules: &[
        ("conv_stem", "features.init_block.conv"),
        ("bn1", "features.init_block.bn"),
        ("blocks.{S}.{B}.conv_dw", "features.stage{S+1}.unit{B+1}.dw_conv.conv"),
        ("blocks.{S}.{B}.bn1", "features.stage{S+1}.unit{B+1}.dw_conv.bn"),
        ("blocks.{S}.{B}.conv_pw", "features.stage{S+1}.unit{B+1}.pw_conv.conv"),
        ("blocks.{S}.{B}.bn2", "features.stage{S+1}.unit{B+1}.pw_conv.bn"),
        ("classifier", "output"),
    ],
    ..SAME_KEYS
};

const PYTORCHCV_FD: KeyMap = KeyMap { stages: &[1, 2, 2, 5, 1], source_stages: &[1, 2, 2, 6], ..PYTORCHCV };

const RA4: &str = "timm RandAugment recipe (ra4), 3600 epochs at 224";

const fn row(
    id: &'static str,
    flavour: &'static str,
    build: fn(&crate::Spec) -> crate::Built,
    variants: &'static [Variant],
) -> Row {
    Row::new(id, Family::MobileNetV1, flavour, build, variants).any_width()
}

const fn pytorchcv(name: &'static str) -> Name {
    Name::mapped(name, &PYTORCHCV)
}

pub(super) const ROWS: &[Row] = &[
    row(
        "mobilenet_v1",
        "timm",
        v1::mobilenet_v1,
        &[
            Variant::new(
                &[Name::same("timm", "mobilenetv1_100")],
                &[timm_checkpoint!("mobilenetv1_100", "ra4_e3600_r224_in1k", [75.388, 92.310]).recipe(RA4)],
            ),
            Variant::width(0.25, &[], &[]),
            Variant::width(0.5, &[], &[]),
            Variant::width(0.75, &[], &[]),
            Variant::width(
                1.25,
                &[Name::same("timm", "mobilenetv1_125")],
                &[timm_checkpoint!("mobilenetv1_125", "ra4_e3600_r224_in1k", [76.920, 93.232])
                    .preset(Preset::TIMM_INCEPTION.crop_pct(0.9))
                    .recipe(RA4)],
            ),
        ],
    )
    .preset(Preset::TIMM_INCEPTION),
    row(
        "mobilenet_v1_head",
        "timm",
        v1::mobilenet_v1_head,
        &[Variant::new(
            &[Name::same("timm", "mobilenetv1_100h")],
            &[timm_checkpoint!("mobilenetv1_100h", "ra4_e3600_r224_in1k", [75.664, 92.522]).recipe(RA4)],
        )],
    )
    .preset(Preset::TIMM_INCEPTION),
    row(
        "mobilenet_v1_keras",
        "keras",
        v1::mobilenet_v1_keras,
        &[
            Variant::new(&[Name::mapped("MobileNet", &KERAS)], &[]),
            Variant::width(0.25, &[Name::mapped("MobileNet_0.25", &KERAS)], &[]),
            Variant::width(0.5, &[Name::mapped("MobileNet_0.5", &KERAS)], &[]),
            Variant::width(0.75, &[Name::mapped("MobileNet_0.75", &KERAS)], &[]),
        ],
    )
    .preset(Preset::TENSORFLOW),
    row(
        "mobilenet_v1_pytorchcv",
        "pytorchcv",
        v1::mobilenet_v1_pytorchcv,
        &[
            Variant::new(&[pytorchcv("mobilenet_w1")], &[]),
            Variant::width(0.25, &[pytorchcv("mobilenet_wd4")], &[]),
            Variant::width(0.5, &[pytorchcv("mobilenet_wd2")], &[]),
            Variant::width(0.75, &[pytorchcv("mobilenet_w3d4")], &[]),
        ],
    ),
    row(
        "mobilenet_v1b",
        "pytorchcv",
        v1::mobilenet_v1b,
        &[
            Variant::new(&[pytorchcv("mobilenetb_w1")], &[]),
            Variant::width(0.25, &[pytorchcv("mobilenetb_wd4")], &[]),
            Variant::width(0.5, &[pytorchcv("mobilenetb_wd2")], &[]),
            Variant::width(0.75, &[pytorchcv("mobilenetb_w3d4")], &[]),
        ],
    ),
    row(
        "fd_mobilenet",
        "pytorchcv",
        v1::fd_mobilenet,
        &[
            Variant::new(&[Name::mapped("fdmobilenet_w1", &PYTORCHCV_FD)], &[]),
            Variant::width(0.25, &[Name::mapped("fdmobilenet_wd4", &PYTORCHCV_FD)], &[]),
            Variant::width(0.5, &[Name::mapped("fdmobilenet_wd2", &PYTORCHCV_FD)], &[]),
            Variant::width(0.75, &[Name::mapped("fdmobilenet_w3d4", &PYTORCHCV_FD)], &[]),
        ],
    ),
    row("mobilenet_v1_shallow", "paper", v1::mobilenet_v1_shallow, &[Variant::new(&[], &[])]),
    row("mobilenet_v1_conv", "paper", v1::mobilenet_v1_conv, &[Variant::new(&[], &[])]),
    row("se_mobilenet_v1", "paper", v1::se_mobilenet_v1, &[Variant::new(&[], &[])]),
];
