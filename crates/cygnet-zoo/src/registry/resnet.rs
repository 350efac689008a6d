//! The rows of the plain ResNets that SENet is measured against.

use super::{Checkpoint, Family, Name, Preset, Resize, Row, Variant};
use crate::seresnet::*;
use crate::{Built, Spec};

const RESIZED_232: Preset = Preset { resize: Resize::ShorterSide(232), ..Preset::TORCHVISION };

const fn row(id: &'static str, build: fn(&Spec) -> Built, variants: &'static [Variant]) -> Row {
    Row::new(id, Family::SENet, "torchvision", build, variants)
}

/// A network whose default weights at timm, of which none are listed, are those of "ResNet strikes back".
const fn timm(name: &'static str) -> Name {
    Name::same("timm", name).preset(Preset::TIMM_BICUBIC.crop_pct(0.95))
}

pub(super) const ROWS: &[Row] = &[
    row(
        "resnet18",
        |spec| SERESNET18.plain().build(spec),
        &[Variant::new(
            &[Name::same("torchvision", "resnet18"), timm("resnet18")],
            &[Checkpoint::new(
                "IMAGENET1K_V1",
                "resnet18-f37072fd.pth",
                &["https://download.pytorch.org/models/resnet18-f37072fd.pth"],
                "f37072fd",
                "BSD-3-Clause",
                [69.758, 89.078],
            )],
        )],
    ),
    row(
        "resnet34",
        |spec| SERESNET34.plain().build(spec),
        &[Variant::new(
            &[Name::same("torchvision", "resnet34"), timm("resnet34")],
            &[Checkpoint::new(
                "IMAGENET1K_V1",
                "resnet34-b627a593.pth",
                &["https://download.pytorch.org/models/resnet34-b627a593.pth"],
                "b627a593",
                "BSD-3-Clause",
                [73.314, 91.420],
            )],
        )],
    ),
    row(
        "resnet50",
        |spec| SERESNET50.plain().build(spec),
        &[Variant::new(
            &[Name::same("torchvision", "resnet50"), timm("resnet50")],
            &[
                Checkpoint::new(
                    "IMAGENET1K_V2",
                    "resnet50-11ad3fa6.pth",
                    &["https://download.pytorch.org/models/resnet50-11ad3fa6.pth"],
                    "11ad3fa6",
                    "BSD-3-Clause",
                    [80.858, 95.434],
                )
                .preset(RESIZED_232),
                Checkpoint::new(
                    "IMAGENET1K_V1",
                    "resnet50-0676ba61.pth",
                    &["https://download.pytorch.org/models/resnet50-0676ba61.pth"],
                    "0676ba61",
                    "BSD-3-Clause",
                    [76.130, 92.862],
                ),
            ],
        )],
    ),
    row(
        "resnet101",
        |spec| SERESNET101.plain().build(spec),
        &[Variant::new(
            &[Name::same("torchvision", "resnet101"), timm("resnet101")],
            &[
                Checkpoint::new(
                    "IMAGENET1K_V2",
                    "resnet101-cd907fc2.pth",
                    &["https://download.pytorch.org/models/resnet101-cd907fc2.pth"],
                    "cd907fc2",
                    "BSD-3-Clause",
                    [81.886, 95.780],
                )
                .preset(RESIZED_232),
                Checkpoint::new(
                    "IMAGENET1K_V1",
                    "resnet101-63fe2227.pth",
                    &["https://download.pytorch.org/models/resnet101-63fe2227.pth"],
                    "63fe2227",
                    "BSD-3-Clause",
                    [77.374, 93.546],
                ),
            ],
        )],
    ),
    row(
        "resnet152",
        |spec| SERESNET152.plain().build(spec),
        &[Variant::new(
            &[Name::same("torchvision", "resnet152"), timm("resnet152")],
            &[
                Checkpoint::new(
                    "IMAGENET1K_V2",
                    "resnet152-f82ba261.pth",
                    &["https://download.pytorch.org/models/resnet152-f82ba261.pth"],
                    "f82ba261",
                    "BSD-3-Clause",
                    [82.284, 96.002],
                )
                .preset(RESIZED_232),
                Checkpoint::new(
                    "IMAGENET1K_V1",
                    "resnet152-394f9c45.pth",
                    &["https://download.pytorch.org/models/resnet152-394f9c45.pth"],
                    "394f9c45",
                    "BSD-3-Clause",
                    [78.312, 94.046],
                ),
            ],
        )],
    ),
    row(
        "resnext50_32x4d",
        |spec| SERESNEXT50_32X4D.plain().build(spec),
        &[Variant::new(
            &[Name::same("torchvision", "resnext50_32x4d"), timm("resnext50_32x4d")],
            &[
                Checkpoint::new(
                    "IMAGENET1K_V2",
                    "resnext50_32x4d-1a0047aa.pth",
                    &["https://download.pytorch.org/models/resnext50_32x4d-1a0047aa.pth"],
                    "1a0047aa",
                    "BSD-3-Clause",
                    [81.198, 95.340],
                )
                .preset(RESIZED_232),
                Checkpoint::new(
                    "IMAGENET1K_V1",
                    "resnext50_32x4d-7cdf4587.pth",
                    &["https://download.pytorch.org/models/resnext50_32x4d-7cdf4587.pth"],
                    "7cdf4587",
                    "BSD-3-Clause",
                    [77.618, 93.698],
                ),
            ],
        )],
    ),
];
