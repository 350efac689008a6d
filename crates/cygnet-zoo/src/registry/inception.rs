//! Inception's rows, v1 to v4 and with residuals.

use super::inception_keys::{CAFFE_V1, PYTORCHCV_RESNET_V1, PYTORCHCV_RESNET_V2, PYTORCHCV_V3, PYTORCHCV_V4};
use super::{Checkpoint, Family, Interpolation, Name, Preset, Resize, Row, Variant, rgb};
use crate::bn_inception::{bn_inception, se_bn_inception};
use crate::inception_resnet::{inception_resnet_v1, inception_resnet_v2, inception_resnet_v2_keras};
use crate::inception_v1::{googlenet, googlenet_caffe, googlenet_transform_input};
use crate::inception_v3::{inception_v3, inception_v3_keras, inception_v3_transform_input};
use crate::inception_v4::inception_v4;

/// torchvision's sizes and sampling, with pixels from -1 to 1: what `transform_input` makes of ImageNet's mean and
/// deviation.
const fn torchvision_half(shorter_side: usize) -> Preset {
    rgb(Resize::ShorterSide(shorter_side), Interpolation::Bilinear, [0.5; 3], [0.5; 3])
}

const GOOGLENET: &[Checkpoint] = &[Checkpoint::new(
    "IMAGENET1K_V1",
    "googlenet-1378be20.pth",
    &["https://download.pytorch.org/models/googlenet-1378be20.pth"],
    "1378be20",
    "BSD-3-Clause",
    [69.778, 89.53],
)
.recipe("converted from TensorFlow")];

const INCEPTION_V3: Checkpoint = Checkpoint::new(
    "IMAGENET1K_V1",
    "inception_v3_google-0cc3c7bd.pth",
    &["https://download.pytorch.org/models/inception_v3_google-0cc3c7bd.pth"],
    "0cc3c7bd",
    "BSD-3-Clause",
    [77.294, 93.45],
)
.recipe("converted from TensorFlow");

pub(super) const ROWS: &[Row] = &[
    Row::new(
        "googlenet",
        Family::Inception,
        "torchvision",
        googlenet,
        &[Variant::new(&[Name::same("torchvision", "googlenet")], GOOGLENET)],
    )
    .preset(torchvision_half(256)),
    Row::new(
        "googlenet_transform_input",
        Family::Inception,
        "torchvision",
        googlenet_transform_input,
        &[Variant::new(&[Name::same("torchvision", "googlenet.transform_input")], GOOGLENET)],
    ),
    Row::new(
        "googlenet_caffe",
        Family::Inception,
        "Caffe",
        googlenet_caffe,
        &[Variant::new(&[Name::mapped("bvlc_googlenet", &CAFFE_V1)], &[])],
    )
    .preset(Preset::CAFFE),
    Row::new(
        "bn_inception",
        Family::Inception,
        "pytorchcv",
        bn_inception,
        &[Variant::new(&[Name::same("pytorchcv", "bninception")], &[])],
    ),
    Row::new("se_bn_inception", Family::SENet, "official", se_bn_inception, &[Variant::new(&[], &[])])
        .preset(Preset::CAFFE),
    Row::new(
        "inception_v3",
        Family::Inception,
        "torchvision",
        inception_v3,
        &[Variant::new(
            &[
                Name::same("torchvision", "inception_v3"),
                Name::same("timm", "inception_v3"),
                Name::same("timm", "tf_inception_v3").tag("tf_in1k"),
                Name::same("timm", "adv_inception_v3").tag("tf_adv_in1k"),
                Name::same("timm", "gluon_inception_v3").tag("gluon_in1k"),
                Name::mapped("inceptionv3", &PYTORCHCV_V3),
            ],
            &[
                INCEPTION_V3,
                Checkpoint::new(
                    "tv_in1k",
                    "inception_v3_google-1a9a5a14.pth",
                    &["https://download.pytorch.org/models/inception_v3_google-1a9a5a14.pth"],
                    "1a9a5a14",
                    "BSD-3-Clause",
                    [77.472, 93.468],
                )
                .source("timm")
                .preset(Preset::TIMM_INCEPTION)
                .recipe("converted from TensorFlow"),
                timm_checkpoint!("inception_v3", "tf_in1k", [77.866, 93.644])
                    .preset(Preset::TIMM_INCEPTION)
                    .recipe("converted from TF-Slim"),
                timm_checkpoint!("inception_v3", "tf_adv_in1k", [77.598, 93.726])
                    .preset(Preset::TIMM_INCEPTION)
                    .recipe("adversarial training, converted from TensorFlow"),
                timm_checkpoint!("inception_v3", "gluon_in1k", [78.806, 94.372])
                    .preset(Preset::TIMM_BICUBIC)
                    .recipe("converted from GluonCV"),
            ],
        )],
    )
    .side(299)
    .preset(torchvision_half(342)),
    Row::new(
        "inception_v3_transform_input",
        Family::Inception,
        "torchvision",
        inception_v3_transform_input,
        &[Variant::new(&[Name::same("torchvision", "inception_v3.transform_input")], &[INCEPTION_V3])],
    )
    .side(299)
    .preset(Preset { resize: Resize::ShorterSide(342), ..Preset::TORCHVISION }),
    Row::new(
        "inception_v3_keras",
        Family::Inception,
        "Keras",
        inception_v3_keras,
        &[Variant::new(&[Name::same("keras", "InceptionV3")], &[])],
    )
    .side(299)
    .preset(Preset::TENSORFLOW),
    Row::new(
        "inception_v4",
        Family::Inception,
        "timm",
        inception_v4,
        &[Variant::new(
            &[Name::same("timm", "inception_v4"), Name::mapped("inceptionv4", &PYTORCHCV_V4)],
            &[timm_checkpoint!("inception_v4", "tf_in1k", [80.144, 94.982]).recipe("converted from TF-Slim")],
        )],
    )
    .side(299)
    .preset(Preset::TIMM_INCEPTION),
    Row::new(
        "inception_resnet_v1",
        Family::Inception,
        "facenet-pytorch",
        inception_resnet_v1,
        &[Variant::new(&[Name::mapped("inceptionresnetv1", &PYTORCHCV_RESNET_V1)], &[])],
    )
    .side(299),
    Row::new(
        "inception_resnet_v2",
        Family::Inception,
        "timm",
        inception_resnet_v2,
        &[Variant::new(
            &[
                Name::same("timm", "inception_resnet_v2"),
                Name::same("timm", "ens_adv_inception_resnet_v2").tag("tf_ens_adv_in1k"),
                Name::mapped("inceptionresnetv2", &PYTORCHCV_RESNET_V2),
            ],
            &[
                timm_checkpoint!("inception_resnet_v2", "tf_in1k", [80.434, 95.312])
                    .recipe("converted from TF-Slim"),
                timm_checkpoint!("inception_resnet_v2", "tf_ens_adv_in1k", [79.998, 94.94])
                    .recipe("ensemble adversarial training, converted from TensorFlow"),
            ],
        )],
    )
    .side(299)
    .preset(Preset::TIMM_INCEPTION.crop_pct(0.8975)),
    Row::new(
        "inception_resnet_v2_keras",
        Family::Inception,
        "Keras",
        inception_resnet_v2_keras,
        &[Variant::new(&[Name::same("keras", "InceptionResNetV2")], &[])],
    )
    .side(299)
    .preset(Preset::TENSORFLOW),
];
