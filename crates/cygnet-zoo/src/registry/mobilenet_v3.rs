//! MobileNetV3's rows.

use super::{Checkpoint, Family, Interpolation, Name, Preset, Resize, Row, Variant};
use crate::keymap::{KeyMap, SAME_KEYS};
use crate::mobilenet_v3::{self as v3, large, small};
use crate::mobilenet_v3_flavours::{self as flavours, keras, minimalistic, pytorchcv, tf, timm};

const TIMM_LARGE: KeyMap = KeyMap {
    source: "timm",
    first: 1,
    source_stages: &[1, 2, 3, 4, 2, 3],
    rules: &[
        ("features.0.0", "conv_stem"),
        ("features.0.1", "bn1"),
        ("features.1.block.0.0", "blocks.0.0.conv_dw"),
        ("features.1.block.0.1", "blocks.0.0.bn1"),
        ("features.1.block.1.0", "blocks.0.0.conv_pw"),
        ("features.1.block.1.1", "blocks.0.0.bn2"),
        ("features.1.block.1.fc1", "blocks.0.0.se.conv_reduce"),
        ("features.1.block.1.fc2", "blocks.0.0.se.conv_expand"),
        ("features.1.block.2.0", "blocks.0.0.conv_pw"),
        ("features.1.block.2.1", "blocks.0.0.bn2"),
        ("features.{#}.block.0.0", "blocks.{S}.{B}.conv_pw"),
        ("features.{#}.block.0.1", "blocks.{S}.{B}.bn1"),
        ("features.{#}.block.1.0", "blocks.{S}.{B}.conv_dw"),
        ("features.{#}.block.1.1", "blocks.{S}.{B}.bn2"),
        ("features.{#}.block.2.0", "blocks.{S}.{B}.conv_pwl"),
        ("features.{#}.block.2.1", "blocks.{S}.{B}.bn3"),
        ("features.{#}.block.2.fc1", "blocks.{S}.{B}.se.conv_reduce"),
        ("features.{#}.block.2.fc2", "blocks.{S}.{B}.se.conv_expand"),
        ("features.{#}.block.3.0", "blocks.{S}.{B}.conv_pwl"),
        ("features.{#}.block.3.1", "blocks.{S}.{B}.bn3"),
        ("features.{#}.0", "blocks.{S}.{B}.conv"),
        ("features.{#}.1", "blocks.{S}.{B}.bn1"),
        ("classifier.0", "conv_head"),
        ("classifier.3", "classifier"),
    ],
    ..SAME_KEYS
};

const TIMM_SMALL: KeyMap = KeyMap { source_stages: &[1, 2, 3, 2, 3], ..TIMM_LARGE };

const TIMM_150D: KeyMap = KeyMap {
    source_stages: &[2, 3, 4, 5, 3, 4, 2],
    rules: &[
        ("features.0.0", "conv_stem"),
        ("features.0.1", "bn1"),
        ("features.1.block.0.0", "blocks.0.0.conv_dw"),
        ("features.1.block.0.1", "blocks.0.0.bn1"),
        ("features.1.block.1.0", "blocks.0.0.conv_pw"),
        ("features.1.block.1.1", "blocks.0.0.bn2"),
        ("features.2.block.0.0", "blocks.0.1.conv_dw"),
        ("features.2.block.0.1", "blocks.0.1.bn1"),
        ("features.2.block.1.0", "blocks.0.1.conv_pw"),
        ("features.2.block.1.1", "blocks.0.1.bn2"),
        ("features.{#}.block.0.0", "blocks.{S}.{B}.conv_pw"),
        ("features.{#}.block.0.1", "blocks.{S}.{B}.bn1"),
        ("features.{#}.block.1.0", "blocks.{S}.{B}.conv_dw"),
        ("features.{#}.block.1.1", "blocks.{S}.{B}.bn2"),
        ("features.{#}.block.2.0", "blocks.{S}.{B}.conv_pwl"),
        ("features.{#}.block.2.1", "blocks.{S}.{B}.bn3"),
        ("features.{#}.block.2.fc1", "blocks.{S}.{B}.se.conv_reduce"),
        ("features.{#}.block.2.fc2", "blocks.{S}.{B}.se.conv_expand"),
        ("features.{#}.block.3.0", "blocks.{S}.{B}.conv_pwl"),
        ("features.{#}.block.3.1", "blocks.{S}.{B}.bn3"),
        ("features.{#}.0", "blocks.{S}.{B}.conv"),
        ("features.{#}.1", "blocks.{S}.{B}.bn1"),
        ("classifier.0", "conv_head"),
        ("classifier.3", "classifier"),
    ],
    ..TIMM_LARGE
};

const KERAS: KeyMap = KeyMap {
    source: "keras",
    first: 1,
    rules: &[
        ("features.0.0", "conv"),
        ("features.0.1", "conv_bn"),
        ("features.1.block.0.0", "expanded_conv_depthwise"),
        ("features.1.block.0.1", "expanded_conv_depthwise_bn"),
        ("features.1.block.1.0", "expanded_conv_project"),
        ("features.1.block.1.1", "expanded_conv_project_bn"),
        ("features.1.block.1.fc1", "expanded_conv_squeeze_excite_conv"),
        ("features.1.block.1.fc2", "expanded_conv_squeeze_excite_conv_1"),
        ("features.1.block.2.0", "expanded_conv_project"),
        ("features.1.block.2.1", "expanded_conv_project_bn"),
        ("features.{#}.block.0.0", "expanded_conv_{#}_expand"),
        ("features.{#}.block.0.1", "expanded_conv_{#}_expand_bn"),
        ("features.{#}.block.1.0", "expanded_conv_{#}_depthwise"),
        ("features.{#}.block.1.1", "expanded_conv_{#}_depthwise_bn"),
        ("features.{#}.block.2.0", "expanded_conv_{#}_project"),
        ("features.{#}.block.2.1", "expanded_conv_{#}_project_bn"),
        ("features.{#}.block.2.fc1", "expanded_conv_{#}_squeeze_excite_conv"),
        ("features.{#}.block.2.fc2", "expanded_conv_{#}_squeeze_excite_conv_1"),
        ("features.{#}.block.3.0", "expanded_conv_{#}_project"),
        ("features.{#}.block.3.1", "expanded_conv_{#}_project_bn"),
        ("features.{#}.0", "conv_1"),
        ("features.{#}.1", "conv_1_bn"),
        ("classifier.0", "conv_2"),
        ("classifier.3", "logits"),
    ],
    tensors: &[
        ("{a}_bn.weight", "gamma"),
        ("{a}_bn.bias", "beta"),
        ("running_mean", "moving_mean"),
        ("running_var", "moving_variance"),
        ("{a}_depthwise.weight", "depthwise_kernel"),
        ("weight", "kernel"),
    ],
    ..SAME_KEYS
};

const PYTORCHCV_LARGE: KeyMap = KeyMap {
    source: "pytorchcv",
    first: 1,
    source_stages: &[1, 2, 3, 6, 3],
    rules: &[
        ("features.0.0", "features.init_block.conv"),
        ("features.0.1", "features.init_block.bn"),
        ("features.1.block.0.0", "features.stage1.unit1.conv1.conv"),
        ("features.1.block.0.1", "features.stage1.unit1.conv1.bn"),
        ("features.1.block.1.0", "features.stage1.unit1.conv2.conv"),
        ("features.1.block.1.1", "features.stage1.unit1.conv2.bn"),
        ("features.1.block.1.fc1", "features.stage1.unit1.se.conv1"),
        ("features.1.block.1.fc2", "features.stage1.unit1.se.conv2"),
        ("features.1.block.2.0", "features.stage1.unit1.conv2.conv"),
        ("features.1.block.2.1", "features.stage1.unit1.conv2.bn"),
        ("features.{#}.block.0.0", "features.stage{S+1}.unit{B+1}.exp_conv.conv"),
        ("features.{#}.block.0.1", "features.stage{S+1}.unit{B+1}.exp_conv.bn"),
        ("features.{#}.block.1.0", "features.stage{S+1}.unit{B+1}.conv1.conv"),
        ("features.{#}.block.1.1", "features.stage{S+1}.unit{B+1}.conv1.bn"),
        ("features.{#}.block.2.0", "features.stage{S+1}.unit{B+1}.conv2.conv"),
        ("features.{#}.block.2.1", "features.stage{S+1}.unit{B+1}.conv2.bn"),
        ("features.{#}.block.2.fc1", "features.stage{S+1}.unit{B+1}.se.conv1"),
        ("features.{#}.block.2.fc2", "features.stage{S+1}.unit{B+1}.se.conv2"),
        ("features.{#}.block.3.0", "features.stage{S+1}.unit{B+1}.conv2.conv"),
        ("features.{#}.block.3.1", "features.stage{S+1}.unit{B+1}.conv2.bn"),
        ("features.{#}.0", "features.final_block.conv.conv"),
        ("features.{#}.1", "features.final_block.conv.bn"),
        ("classifier.0", "output.conv1"),
        ("classifier.3", "output.conv2"),
    ],
    ..SAME_KEYS
};

const PYTORCHCV_SMALL: KeyMap = KeyMap { source_stages: &[1, 2, 5, 3], ..PYTORCHCV_LARGE };

const TF: Preset = Preset::TIMM_INCEPTION.sampled(Interpolation::Bilinear);
const LAMB: &str = "timm LAMB recipe (lamb)";

const MIIL_IN21K_FT: Checkpoint = Checkpoint::new(
    "miil_in21k_ft_in1k",
    "mobilenetv3_large_100_1k_miil_78_0-66471c13.pth",
    &[concat!(
        "https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-tresnet/",
        "mobilenetv3_large_100_1k_miil_78_0-66471c13.pth"
    )],
    "66471c13",
    "Apache-2.0",
    [77.920, 92.894],
)
.keys(&TIMM_LARGE)
.preset(Preset { mean: [0.0; 3], std: [1.0; 3], ..Preset::TIMM_BILINEAR })
.recipe("MIIL ImageNet-21K pre-training, fine-tuned (miil_in21k_ft)");

const fn row(
    id: &'static str,
    flavour: &'static str,
    build: fn(&crate::Spec) -> crate::Built,
    variants: &'static [Variant],
) -> Row {
    Row::new(id, Family::MobileNetV3, flavour, build, variants)
}

pub(super) const ROWS: &[Row] = &[
    row(
        "mobilenet_v3_large",
        "torchvision",
        v3::mobilenet_v3_large,
        &[
            Variant::new(
                &[Name::same("torchvision", "mobilenet_v3_large")],
                &[
                    Checkpoint::new(
                        "IMAGENET1K_V2",
                        "mobilenet_v3_large-5c1a4163.pth",
                        &["https://download.pytorch.org/models/mobilenet_v3_large-5c1a4163.pth"],
                        "5c1a4163",
                        "BSD-3-Clause",
                        [75.274, 92.566],
                    )
                    .preset(Preset { resize: Resize::ShorterSide(232), ..Preset::TORCHVISION }),
                    Checkpoint::new(
                        "IMAGENET1K_V1",
                        "mobilenet_v3_large-8738ca79.pth",
                        &["https://download.pytorch.org/models/mobilenet_v3_large-8738ca79.pth"],
                        "8738ca79",
                        "BSD-3-Clause",
                        [74.042, 91.340],
                    ),
                ],
            ),
            Variant::width(0.75, &[], &[]),
        ],
    )
    .any_width(),
    row(
        "mobilenet_v3_small",
        "torchvision",
        v3::mobilenet_v3_small,
        &[
            Variant::new(
                &[Name::same("torchvision", "mobilenet_v3_small")],
                &[Checkpoint::new(
                    "IMAGENET1K_V1",
                    "mobilenet_v3_small-047dcff4.pth",
                    &["https://download.pytorch.org/models/mobilenet_v3_small-047dcff4.pth"],
                    "047dcff4",
                    "BSD-3-Clause",
                    [67.668, 87.402],
                )],
            ),
            Variant::width(0.75, &[], &[]),
        ],
    )
    .any_width(),
    row(
        "mobilenet_v3_large_timm",
        "timm",
        |spec| timm(spec, large()),
        &[
            Variant::new(
                &[Name::mapped("mobilenetv3_large_100", &TIMM_LARGE)],
                &[
                    timm_checkpoint!("ra_in1k", "mobilenetv3_large_100_ra" - "f55367f5", [75.784, 92.528])
                        .keys(&TIMM_LARGE)
                        .recipe("timm RandAugment recipe (ra)"),
                    timm_checkpoint!("mobilenetv3_large_100", "ra4_e3600_r224_in1k", [76.310, 92.842])
                        .keys(&TIMM_LARGE)
                        .preset(Preset::TIMM_INCEPTION.crop_pct(0.95))
                        .recipe("timm RandAugment recipe (ra4), 3600 epochs at 224"),
                    MIIL_IN21K_FT,
                ],
            ),
            Variant::width(
                0.75,
                &[Name::mapped("mobilenetv3_large_075", &TIMM_LARGE).preset(Preset::TIMM_BILINEAR)],
                &[],
            ),
        ],
    )
    .preset(Preset::TIMM_BICUBIC)
    .any_width(),
    row(
        "mobilenet_v3_small_timm",
        "timm",
        |spec| timm(spec, small()),
        &[
            Variant::new(
                &[Name::mapped("mobilenetv3_small_100", &TIMM_SMALL)],
                &[timm_checkpoint!("lamb_in1k", "mobilenetv3_small_100_lamb" - "266a294c", [67.636, 87.638])
                    .keys(&TIMM_SMALL)
                    .recipe(LAMB)],
            ),
            Variant::width(
                0.5,
                &[Name::mapped("mobilenetv3_small_050", &TIMM_SMALL)],
                &[timm_checkpoint!(
                    "lamb_in1k",
                    "mobilenetv3_small_050_lambc" - "4b7bbe87",
                    [57.918, 80.144]
                )
                .keys(&TIMM_SMALL)
                .recipe(LAMB)],
            ),
            Variant::width(
                0.75,
                &[Name::mapped("mobilenetv3_small_075", &TIMM_SMALL)],
                &[timm_checkpoint!(
                    "lamb_in1k",
                    "mobilenetv3_small_075_lambc" - "384766db",
                    [65.284, 85.462]
                )
                .keys(&TIMM_SMALL)
                .recipe(LAMB)],
            ),
        ],
    )
    .preset(Preset::TIMM_BICUBIC)
    .any_width(),
    row(
        "mobilenet_v3_large_150d",
        "timm",
        flavours::mobilenet_v3_large_150d,
        &[Variant::fixed(
            1.5,
            &[Name::mapped("mobilenetv3_large_150d", &TIMM_150D)],
            &[timm_checkpoint!("mobilenetv3_large_150d", "ra4_e3600_r256_in1k", [80.994, 95.474])
                .keys(&TIMM_150D)
                .recipe("timm RandAugment recipe (ra4), 3600 epochs at 256")],
        )],
    )
    .side(256)
    .preset(TF.crop_pct(0.95)),
    row(
        "mobilenet_v3_large_rw",
        "timm",
        flavours::mobilenet_v3_large_rw,
        &[Variant::new(
            &[Name::mapped("mobilenetv3_rw", &TIMM_LARGE)],
            &[timm_checkpoint!("rmsp_in1k", "mobilenetv3_100" - "35495452", [75.616, 92.696])
                .keys(&TIMM_LARGE)
                .recipe("timm RMSProp recipe (rmsp)")],
        )],
    )
    .preset(Preset::TIMM_BICUBIC),
    row(
        "mobilenet_v3_large_tf",
        "timm",
        |spec| tf(spec, large()),
        &[
            Variant::new(
                &[Name::mapped("tf_mobilenetv3_large_100", &TIMM_LARGE)],
                &[timm_checkpoint!("in1k", "tf_mobilenetv3_large_100" - "427764d5", [75.510, 92.600])
                    .keys(&TIMM_LARGE)],
            ),
            Variant::width(
                0.75,
                &[Name::mapped("tf_mobilenetv3_large_075", &TIMM_LARGE)],
                &[timm_checkpoint!("in1k", "tf_mobilenetv3_large_075" - "150ee8b0", [73.442, 91.332])
                    .keys(&TIMM_LARGE)],
            ),
        ],
    )
    .preset(TF)
    .any_width(),
    row(
        "mobilenet_v3_large_minimalistic_tf",
        "timm",
        |spec| tf(spec, minimalistic(large())),
        &[Variant::new(
            &[Name::mapped("tf_mobilenetv3_large_minimal_100", &TIMM_LARGE)],
            &[timm_checkpoint!("in1k", "tf_mobilenetv3_large_minimal_100" - "8596ae28", [72.270, 90.664])
                .keys(&TIMM_LARGE)],
        )],
    )
    .preset(TF)
    .any_width(),
    row(
        "mobilenet_v3_small_tf",
        "timm",
        |spec| tf(spec, small()),
        &[
            Variant::new(
                &[Name::mapped("tf_mobilenetv3_small_100", &TIMM_SMALL)],
                &[timm_checkpoint!("in1k", "tf_mobilenetv3_small_100" - "37f49e2b", [67.922, 87.686])
                    .keys(&TIMM_SMALL)],
            ),
            Variant::width(
                0.75,
                &[Name::mapped("tf_mobilenetv3_small_075", &TIMM_SMALL)],
                &[timm_checkpoint!("in1k", "tf_mobilenetv3_small_075" - "da427f52", [65.706, 86.130])
                    .keys(&TIMM_SMALL)],
            ),
        ],
    )
    .preset(TF)
    .any_width(),
    row(
        "mobilenet_v3_small_minimalistic_tf",
        "timm",
        |spec| tf(spec, minimalistic(small())),
        &[Variant::new(
            &[Name::mapped("tf_mobilenetv3_small_minimal_100", &TIMM_SMALL)],
            &[timm_checkpoint!("in1k", "tf_mobilenetv3_small_minimal_100" - "922a7843", [62.892, 84.270])
                .keys(&TIMM_SMALL)],
        )],
    )
    .preset(TF)
    .any_width(),
    row(
        "mobilenet_v3_large_keras",
        "keras",
        |spec| keras(spec, large()),
        &[
            Variant::new(&[Name::mapped("MobileNetV3Large", &KERAS)], &[]),
            Variant::width(0.75, &[Name::mapped("MobileNetV3Large_0.75", &KERAS)], &[]),
        ],
    )
    .preset(Preset::TENSORFLOW)
    .any_width(),
    row(
        "mobilenet_v3_large_minimalistic_keras",
        "keras",
        |spec| keras(spec, minimalistic(large())),
        &[Variant::new(&[Name::mapped("MobileNetV3Large_minimalistic", &KERAS)], &[])],
    )
    .preset(Preset::TENSORFLOW)
    .any_width(),
    row(
        "mobilenet_v3_small_keras",
        "keras",
        |spec| keras(spec, small()),
        &[
            Variant::new(&[Name::mapped("MobileNetV3Small", &KERAS)], &[]),
            Variant::width(0.75, &[Name::mapped("MobileNetV3Small_0.75", &KERAS)], &[]),
        ],
    )
    .preset(Preset::TENSORFLOW)
    .any_width(),
    row(
        "mobilenet_v3_small_minimalistic_keras",
        "keras",
        |spec| keras(spec, minimalistic(small())),
        &[Variant::new(&[Name::mapped("MobileNetV3Small_minimalistic", &KERAS)], &[])],
    )
    .preset(Preset::TENSORFLOW)
    .any_width(),
    row(
        "mobilenet_v3_large_pytorchcv",
        "pytorchcv",
        |spec| pytorchcv(spec, large()),
        &[
            Variant::new(&[Name::mapped("mobilenetv3_large_w1", &PYTORCHCV_LARGE)], &[]),
            Variant::width(0.35, &[Name::mapped("mobilenetv3_large_w7d20", &PYTORCHCV_LARGE)], &[]),
            Variant::width(0.5, &[Name::mapped("mobilenetv3_large_wd2", &PYTORCHCV_LARGE)], &[]),
            Variant::width(0.75, &[Name::mapped("mobilenetv3_large_w3d4", &PYTORCHCV_LARGE)], &[]),
            Variant::width(1.25, &[Name::mapped("mobilenetv3_large_w5d4", &PYTORCHCV_LARGE)], &[]),
        ],
    ),
    row(
        "mobilenet_v3_small_pytorchcv",
        "pytorchcv",
        |spec| pytorchcv(spec, small()),
        &[
            Variant::new(&[Name::mapped("mobilenetv3_small_w1", &PYTORCHCV_SMALL)], &[]),
            Variant::width(0.35, &[Name::mapped("mobilenetv3_small_w7d20", &PYTORCHCV_SMALL)], &[]),
            Variant::width(0.5, &[Name::mapped("mobilenetv3_small_wd2", &PYTORCHCV_SMALL)], &[]),
            Variant::width(0.75, &[Name::mapped("mobilenetv3_small_w3d4", &PYTORCHCV_SMALL)], &[]),
            Variant::width(1.25, &[Name::mapped("mobilenetv3_small_w5d4", &PYTORCHCV_SMALL)], &[]),
        ],
    ),
];
