//! SE-ResNet's rows, in timm's form and pytorchcv's.

use super::{Checkpoint, Family, Name, Preset, Row, Variant};
use crate::keymap::{KeyMap, SAME_KEYS};
use crate::seresnet::*;
use crate::seresnet_ts::seresnet33ts;
use crate::{Built, Spec};

/// pytorchcv's names.
pub(super) const PYTORCHCV: KeyMap = KeyMap {
    source: "pytorchcv",
    rules: &[
        ("conv1", "features.init_block.conv.conv"),
        ("bn1", "features.init_block.conv.bn"),
        ("layer{s}.{b}.conv{n}", "features.stage{s}.unit{b+1}.body.conv{n}.conv"),
        ("layer{s}.{b}.bn{n}", "features.stage{s}.unit{b+1}.body.conv{n}.bn"),
        ("layer{s}.{b}.se.fc{n}", "features.stage{s}.unit{b+1}.se.conv{n}"),
        ("layer{s}.{b}.downsample.0", "features.stage{s}.unit{b+1}.identity_conv.conv"),
        ("layer{s}.{b}.downsample.1", "features.stage{s}.unit{b+1}.identity_conv.bn"),
        ("fc", "output"),
    ],
    ..SAME_KEYS
};

/// A row in timm's form.
pub(super) const fn row(id: &'static str, build: fn(&Spec) -> Built, variants: &'static [Variant]) -> Row {
    Row::new(id, Family::SENet, "timm", build, variants).preset(Preset::TIMM_BICUBIC)
}

/// A row in pytorchcv's form, or of a size that only pytorchcv has.
pub(super) const fn pytorchcv(
    id: &'static str,
    build: fn(&Spec) -> Built,
    variants: &'static [Variant],
) -> Row {
    Row::new(id, Family::SENet, "pytorchcv", build, variants)
}

pub(super) const ROWS: &[Row] = &[
    pytorchcv(
        "seresnet10",
        |spec| SERESNET10.pytorchcv().build(spec),
        &[Variant::new(&[Name::mapped("seresnet10", &PYTORCHCV)], &[])],
    ),
    pytorchcv(
        "seresnet12",
        |spec| SERESNET12.pytorchcv().build(spec),
        &[Variant::new(&[Name::mapped("seresnet12", &PYTORCHCV)], &[])],
    ),
    pytorchcv(
        "seresnet14",
        |spec| SERESNET14.pytorchcv().build(spec),
        &[Variant::new(&[Name::mapped("seresnet14", &PYTORCHCV)], &[])],
    ),
    pytorchcv(
        "seresnet16",
        |spec| SERESNET16.pytorchcv().build(spec),
        &[Variant::new(&[Name::mapped("seresnet16", &PYTORCHCV)], &[])],
    ),
    row(
        "seresnet18",
        |spec| SERESNET18.build(spec),
        &[Variant::new(&[Name::same("timm", "seresnet18")], &[])],
    ),
    pytorchcv(
        "seresnet18_pytorchcv",
        |spec| SERESNET18.pytorchcv().build(spec),
        &[Variant::new(&[Name::mapped("seresnet18", &PYTORCHCV)], &[])],
    ),
    pytorchcv(
        "seresnet26",
        |spec| SERESNET26.pytorchcv().build(spec),
        &[Variant::new(&[Name::mapped("seresnet26", &PYTORCHCV)], &[])],
    ),
    row(
        "seresnet34",
        |spec| SERESNET34.build(spec),
        &[Variant::new(&[Name::same("timm", "seresnet34")], &[])],
    ),
    pytorchcv(
        "seresnet34_pytorchcv",
        |spec| SERESNET34.pytorchcv().build(spec),
        &[Variant::new(&[Name::mapped("seresnet34", &PYTORCHCV)], &[])],
    ),
    pytorchcv(
        "seresnetbc26b",
        |spec| SERESNETBC26B.build(spec),
        &[Variant::new(&[Name::mapped("seresnetbc26b", &PYTORCHCV)], &[])],
    ),
    pytorchcv(
        "seresnetbc38b",
        |spec| SERESNETBC38B.build(spec),
        &[Variant::new(&[Name::mapped("seresnetbc38b", &PYTORCHCV)], &[])],
    ),
    row(
        "seresnet33ts",
        seresnet33ts,
        &[Variant::new(
            &[Name::same("timm", "seresnet33ts")],
            &[Checkpoint::new(
                "ra2_in1k",
                "seresnet33ts_256-f8ad44d9.pth",
                &["https://github.com/rwightman/pytorch-image-models/releases/download/\
                     v0.1-attn-weights/seresnet33ts_256-f8ad44d9.pth"],
                "f8ad44d9",
                "Apache-2.0",
                [80.372, 95.106],
            )
            .recipe("timm RandAugment recipe (ra2)")],
        )],
    )
    .side(256)
    .preset(Preset::TIMM_BICUBIC.crop_pct(0.9)),
    row(
        "seresnet50",
        |spec| SERESNET50.build(spec),
        &[Variant::new(
            &[Name::same("timm", "seresnet50"), Name::mapped("seresnet50b", &PYTORCHCV)],
            &[
                Checkpoint::new(
                    "a1_in1k",
                    "seresnet50_a1_0-ffa00869.pth",
                    &["https://github.com/huggingface/pytorch-image-models/releases/download/\
                         v0.1-rsb-weights/seresnet50_a1_0-ffa00869.pth"],
                    "ffa00869",
                    "Apache-2.0",
                    [80.012, 94.704],
                )
                .recipe("ResNet strikes back A1"),
                Checkpoint::new(
                    "a2_in1k",
                    "seresnet50_a2_0-850de0d9.pth",
                    &["https://github.com/huggingface/pytorch-image-models/releases/download/\
                         v0.1-rsb-weights/seresnet50_a2_0-850de0d9.pth"],
                    "850de0d9",
                    "Apache-2.0",
                    [80.102, 94.72],
                )
                .recipe("ResNet strikes back A2"),
                Checkpoint::new(
                    "a3_in1k",
                    "seresnet50_a3_0-317ecd56.pth",
                    &["https://github.com/huggingface/pytorch-image-models/releases/download/\
                         v0.1-rsb-weights/seresnet50_a3_0-317ecd56.pth"],
                    "317ecd56",
                    "Apache-2.0",
                    [77.036, 93.072],
                )
                .recipe("ResNet strikes back A3"),
                timm_checkpoint!("ra2_in1k", "seresnet50_ra_224" - "8efdb4bb", [80.26, 95.068])
                    .preset(Preset::TIMM_BICUBIC)
                    .recipe("timm RandAugment recipe (ra2)"),
            ],
        )],
    )
    .preset(Preset::TIMM_BICUBIC.crop_pct(0.95)),
    row(
        "seresnet50t",
        |spec| SERESNET50T.build(spec),
        &[Variant::new(&[Name::same("timm", "seresnet50t")], &[])],
    ),
    row(
        "seresnetaa50d",
        |spec| SERESNETAA50D.build(spec),
        &[Variant::new(&[Name::same("timm", "seresnetaa50d")], &[])],
    ),
    pytorchcv(
        "seresnet50_pytorchcv",
        |spec| SERESNET50.pytorchcv().build(spec),
        &[Variant::new(&[Name::mapped("seresnet50", &PYTORCHCV)], &[])],
    ),
    row(
        "seresnet101",
        |spec| SERESNET101.build(spec),
        &[Variant::new(&[Name::same("timm", "seresnet101"), Name::mapped("seresnet101b", &PYTORCHCV)], &[])],
    ),
    pytorchcv(
        "seresnet101_pytorchcv",
        |spec| SERESNET101.pytorchcv().build(spec),
        &[Variant::new(&[Name::mapped("seresnet101", &PYTORCHCV)], &[])],
    ),
    row(
        "seresnet152",
        |spec| SERESNET152.build(spec),
        &[Variant::new(&[Name::same("timm", "seresnet152"), Name::mapped("seresnet152b", &PYTORCHCV)], &[])],
    ),
    row(
        "seresnet152d",
        |spec| SERESNET152D.build(spec),
        &[Variant::new(
            &[Name::same("timm", "seresnet152d")],
            &[timm_checkpoint!("ra2_in1k", "seresnet152d_ra2" - "04464dd2", [83.694, 96.784])
                .recipe("timm RandAugment recipe (ra2)")],
        )],
    )
    .side(256)
    .preset(Preset::TIMM_BICUBIC.crop_pct(0.95)),
    pytorchcv(
        "seresnet152_pytorchcv",
        |spec| SERESNET152.pytorchcv().build(spec),
        &[Variant::new(&[Name::mapped("seresnet152", &PYTORCHCV)], &[])],
    ),
    pytorchcv(
        "seresnet200_pytorchcv",
        |spec| SERESNET200.pytorchcv().build(spec),
        &[Variant::new(&[Name::mapped("seresnet200", &PYTORCHCV)], &[])],
    ),
    pytorchcv(
        "seresnet200b",
        |spec| SERESNET200.build(spec),
        &[Variant::new(&[Name::mapped("seresnet200b", &PYTORCHCV)], &[])],
    ),
    row(
        "seresnet200d",
        |spec| SERESNET200D.build(spec),
        &[Variant::new(&[Name::same("timm", "seresnet200d")], &[])],
    )
    .side(256),
    row(
        "seresnet269d",
        |spec| SERESNET269D.build(spec),
        &[Variant::new(&[Name::same("timm", "seresnet269d")], &[])],
    )
    .side(256),
];
