//! SE-ResNeXt's and SENet's rows, in timm's form.

use super::seresnet::{PYTORCHCV, pytorchcv, row};
use super::{Checkpoint, Name, Preset, Row, Variant};
use crate::keymap::{KeyMap, SAME_KEYS};
use crate::seresnet::*;
use crate::seresnet_ts::seresnext26ts;

const PYTORCHCV_SENET: KeyMap = KeyMap {
    source: "pytorchcv",
    rules: &[
        ("conv1.0", "features.init_block.conv1.conv"),
        ("conv1.1", "features.init_block.conv1.bn"),
        ("conv1.3", "features.init_block.conv2.conv"),
        ("conv1.4", "features.init_block.conv2.bn"),
        ("conv1.6", "features.init_block.conv3.conv"),
        ("bn1", "features.init_block.conv3.bn"),
        ("layer{s}.{b}.conv{n}", "features.stage{s}.unit{b+1}.body.conv{n}.conv"),
        ("layer{s}.{b}.bn{n}", "features.stage{s}.unit{b+1}.body.conv{n}.bn"),
        ("layer{s}.{b}.se.fc{n}", "features.stage{s}.unit{b+1}.se.conv{n}"),
        ("layer{s}.{b}.downsample.0", "features.stage{s}.unit{b+1}.identity_conv.conv"),
        ("layer{s}.{b}.downsample.1", "features.stage{s}.unit{b+1}.identity_conv.bn"),
        ("fc", "output.fc"),
    ],
    ..SAME_KEYS
};

pub(super) const ROWS: &[Row] = &[
    row(
        "seresnext26d_32x4d",
        |spec| SERESNEXT26D_32X4D.build(spec),
        &[Variant::new(
            &[Name::same("timm", "seresnext26d_32x4d")],
            &[timm_checkpoint!("bt_in1k", "seresnext26d_32x4d" - "80fa48a3", [77.586, 93.61])
                .recipe("timm Bag-of-Tricks recipe (bt)")],
        )],
    ),
    row(
        "seresnext26t_32x4d",
        |spec| SERESNEXT26T_32X4D.build(spec),
        &[Variant::new(
            &[Name::same("timm", "seresnext26t_32x4d"), Name::same("timm", "seresnext26tn_32x4d")],
            &[timm_checkpoint!("bt_in1k", "seresnext26tn_32x4d" - "569cb627", [77.98, 93.75])
                .recipe("timm Bag-of-Tricks recipe (bt)")],
        )],
    ),
    row(
        "seresnext26ts",
        seresnext26ts,
        &[Variant::new(
            &[Name::same("timm", "seresnext26ts")],
            &[Checkpoint::new(
                "ch_in1k",
                "seresnext26ts_256-6f0d74a3.pth",
                &["https://github.com/rwightman/pytorch-image-models/releases/download/\
                     v0.1-attn-weights/seresnext26ts_256-6f0d74a3.pth"],
                "6f0d74a3",
                "Apache-2.0",
                [77.856, 93.79],
            )],
        )],
    )
    .side(256)
    .preset(Preset::TIMM_BICUBIC.crop_pct(0.9)),
    row(
        "seresnext50_32x4d",
        |spec| SERESNEXT50_32X4D.build(spec),
        &[Variant::new(
            &[
                Name::same("timm", "seresnext50_32x4d"),
                Name::same("timm", "gluon_seresnext50_32x4d").tag("gluon_in1k"),
                Name::mapped("seresnext50_32x4d", &PYTORCHCV),
            ],
            &[
                timm_checkpoint!("racm_in1k", "seresnext50_32x4d_racm" - "a304a460", [81.268, 95.624])
                    .recipe("timm RandAugment recipe (racm)"),
                Checkpoint::new(
                    "gluon_in1k",
                    "gluon_seresnext50_32x4d-90cf2d6e.pth",
                    &["https://github.com/rwightman/pytorch-pretrained-gluonresnet/releases/download/\
                         v0.1/gluon_seresnext50_32x4d-90cf2d6e.pth"],
                    "90cf2d6e",
                    "Apache-2.0",
                    [79.916, 94.816],
                )
                .recipe("GluonCV"),
            ],
        )],
    ),
    row(
        "seresnext101_32x4d",
        |spec| SERESNEXT101_32X4D.build(spec),
        &[Variant::new(
            &[
                Name::same("timm", "seresnext101_32x4d"),
                Name::same("timm", "gluon_seresnext101_32x4d").tag("gluon_in1k"),
                Name::mapped("seresnext101_32x4d", &PYTORCHCV),
            ],
            &[Checkpoint::new(
                "gluon_in1k",
                "gluon_seresnext101_32x4d-cf52900d.pth",
                &["https://github.com/rwightman/pytorch-pretrained-gluonresnet/releases/download/\
                     v0.1/gluon_seresnext101_32x4d-cf52900d.pth"],
                "cf52900d",
                "Apache-2.0",
                [80.886, 95.268],
            )
            .recipe("GluonCV")],
        )],
    ),
    row(
        "seresnext101_32x8d",
        |spec| SERESNEXT101_32X8D.build(spec),
        &[Variant::new(
            &[Name::same("timm", "seresnext101_32x8d")],
            &[Checkpoint::new(
                "ah_in1k",
                "seresnext101_32x8d_ah-e6bc4c0a.pth",
                &["https://github.com/rwightman/pytorch-image-models/releases/download/\
                     v0.1-tpu-weights/seresnext101_32x8d_ah-e6bc4c0a.pth"],
                "e6bc4c0a",
                "Apache-2.0",
                [83.618, 96.412],
            )
            .recipe("timm variant of ResNet strikes back (ah)")],
        )],
    )
    .preset(Preset::TIMM_BICUBIC.crop_pct(0.95)),
    row(
        "seresnext101d_32x8d",
        |spec| SERESNEXT101D_32X8D.build(spec),
        &[Variant::new(
            &[Name::same("timm", "seresnext101d_32x8d")],
            &[Checkpoint::new(
                "ah_in1k",
                "seresnext101d_32x8d_ah-191d7b94.pth",
                &["https://github.com/rwightman/pytorch-image-models/releases/download/\
                     v0.1-tpu-weights/seresnext101d_32x8d_ah-191d7b94.pth"],
                "191d7b94",
                "Apache-2.0",
                [83.700, 96.59],
            )
            .recipe("timm variant of ResNet strikes back (ah)")],
        )],
    )
    .preset(Preset::TIMM_BICUBIC.crop_pct(0.95)),
    row(
        "seresnextaa101d_32x8d",
        |spec| SERESNEXTAA101D_32X8D.build(spec),
        &[Variant::new(
            &[Name::same("timm", "seresnextaa101d_32x8d")],
            &[
                timm_checkpoint!("seresnextaa101d_32x8d", "sw_in12k_ft_in1k_288", [86.536, 98.094])
                    .recipe("pretrained on ImageNet-12k, fine-tuned"),
                timm_checkpoint!("seresnextaa101d_32x8d", "sw_in12k_ft_in1k", [85.956, 97.824])
                    .side(224)
                    .preset(Preset::TIMM_BICUBIC)
                    .recipe("pretrained on ImageNet-12k, fine-tuned"),
                Checkpoint::new(
                    "ah_in1k",
                    "seresnextaa101d_32x8d_ah-83c8ae12.pth",
                    &["https://github.com/rwightman/pytorch-image-models/releases/download/\
                         v0.1-tpu-weights/seresnextaa101d_32x8d_ah-83c8ae12.pth"],
                    "83c8ae12",
                    "Apache-2.0",
                    [83.900, 96.648],
                )
                .side(224)
                .recipe("timm variant of ResNet strikes back (ah)"),
            ],
        )],
    )
    .side(288)
    .preset(Preset::TIMM_BICUBIC.crop_pct(0.95)),
    row(
        "seresnextaa201d_32x8d",
        |spec| SERESNEXTAA201D_32X8D.build(spec),
        &[Variant::new(
            &[Name::same("timm", "seresnextaa201d_32x8d")],
            &[timm_checkpoint!("seresnextaa201d_32x8d", "sw_in12k_ft_in1k_384", [87.308, 98.334])
                .recipe("pretrained on ImageNet-12k, fine-tuned")],
        )],
    )
    .side(384)
    .preset(Preset::TIMM_BICUBIC.crop_pct(1.0)),
    row(
        "seresnext101_64x4d",
        |spec| SERESNEXT101_64X4D.build(spec),
        &[Variant::new(
            &[
                Name::same("timm", "seresnext101_64x4d"),
                Name::same("timm", "gluon_seresnext101_64x4d").tag("gluon_in1k"),
                Name::mapped("seresnext101_64x4d", &PYTORCHCV),
            ],
            &[Checkpoint::new(
                "gluon_in1k",
                "gluon_seresnext101_64x4d-f9926f93.pth",
                &["https://github.com/rwightman/pytorch-pretrained-gluonresnet/releases/download/\
                     v0.1/gluon_seresnext101_64x4d-f9926f93.pth"],
                "f9926f93",
                "Apache-2.0",
                [80.884, 95.308],
            )
            .recipe("GluonCV")],
        )],
    ),
    pytorchcv(
        "senet16",
        |spec| SENET16.build(spec),
        &[Variant::new(&[Name::mapped("senet16", &PYTORCHCV_SENET)], &[])],
    ),
    pytorchcv(
        "senet28",
        |spec| SENET28.build(spec),
        &[Variant::new(&[Name::mapped("senet28", &PYTORCHCV_SENET)], &[])],
    ),
    pytorchcv(
        "senet40",
        |spec| SENET40.build(spec),
        &[Variant::new(&[Name::mapped("senet40", &PYTORCHCV_SENET)], &[])],
    ),
    pytorchcv(
        "senet52",
        |spec| SENET52.build(spec),
        &[Variant::new(&[Name::mapped("senet52", &PYTORCHCV_SENET)], &[])],
    ),
    pytorchcv(
        "senet103",
        |spec| SENET103.build(spec),
        &[Variant::new(&[Name::mapped("senet103", &PYTORCHCV_SENET)], &[])],
    ),
    row(
        "senet154",
        |spec| SENET154.build(spec),
        &[Variant::new(
            &[
                Name::same("timm", "senet154"),
                Name::same("timm", "gluon_senet154").tag("gluon_in1k"),
                Name::mapped("senet154", &PYTORCHCV_SENET),
            ],
            &[Checkpoint::new(
                "gluon_in1k",
                "gluon_senet154-70a1a3c0.pth",
                &["https://github.com/rwightman/pytorch-pretrained-gluonresnet/releases/download/\
                     v0.1/gluon_senet154-70a1a3c0.pth"],
                "70a1a3c0",
                "Apache-2.0",
                [81.258, 95.358],
            )
            .recipe("GluonCV")],
        )],
    ),
];
