//! SE-PreResNet's rows.

use super::{Family, Name, Row, Variant};
use crate::sepreresnet::*;
use crate::{Built, Spec};

const fn row(id: &'static str, build: fn(&Spec) -> Built, variants: &'static [Variant]) -> Row {
    Row::new(id, Family::SENet, "pytorchcv", build, variants)
}

pub(super) const ROWS: &[Row] = &[
    row(
        "sepreresnet10",
        |spec| SEPRERESNET10.build(spec),
        &[Variant::new(&[Name::same("pytorchcv", "sepreresnet10")], &[])],
    ),
    row(
        "sepreresnet12",
        |spec| SEPRERESNET12.build(spec),
        &[Variant::new(&[Name::same("pytorchcv", "sepreresnet12")], &[])],
    ),
    row(
        "sepreresnet14",
        |spec| SEPRERESNET14.build(spec),
        &[Variant::new(&[Name::same("pytorchcv", "sepreresnet14")], &[])],
    ),
    row(
        "sepreresnet16",
        |spec| SEPRERESNET16.build(spec),
        &[Variant::new(&[Name::same("pytorchcv", "sepreresnet16")], &[])],
    ),
    row(
        "sepreresnet18",
        |spec| SEPRERESNET18.build(spec),
        &[Variant::new(&[Name::same("pytorchcv", "sepreresnet18")], &[])],
    ),
    row(
        "sepreresnet26",
        |spec| SEPRERESNET26.build(spec),
        &[Variant::new(&[Name::same("pytorchcv", "sepreresnet26")], &[])],
    ),
    row(
        "sepreresnetbc26b",
        |spec| SEPRERESNETBC26B.build(spec),
        &[Variant::new(&[Name::same("pytorchcv", "sepreresnetbc26b")], &[])],
    ),
    row(
        "sepreresnet34",
        |spec| SEPRERESNET34.build(spec),
        &[Variant::new(&[Name::same("pytorchcv", "sepreresnet34")], &[])],
    ),
    row(
        "sepreresnetbc38b",
        |spec| SEPRERESNETBC38B.build(spec),
        &[Variant::new(&[Name::same("pytorchcv", "sepreresnetbc38b")], &[])],
    ),
    row(
        "sepreresnet50",
        |spec| SEPRERESNET50.build(spec),
        &[Variant::new(&[Name::same("pytorchcv", "sepreresnet50")], &[])],
    ),
    row(
        "sepreresnet50b",
        |spec| SEPRERESNET50B.build(spec),
        &[Variant::new(&[Name::same("pytorchcv", "sepreresnet50b")], &[])],
    ),
    row(
        "sepreresnet101",
        |spec| SEPRERESNET101.build(spec),
        &[Variant::new(&[Name::same("pytorchcv", "sepreresnet101")], &[])],
    ),
    row(
        "sepreresnet101b",
        |spec| SEPRERESNET101B.build(spec),
        &[Variant::new(&[Name::same("pytorchcv", "sepreresnet101b")], &[])],
    ),
    row(
        "sepreresnet152",
        |spec| SEPRERESNET152.build(spec),
        &[Variant::new(&[Name::same("pytorchcv", "sepreresnet152")], &[])],
    ),
    row(
        "sepreresnet152b",
        |spec| SEPRERESNET152B.build(spec),
        &[Variant::new(&[Name::same("pytorchcv", "sepreresnet152b")], &[])],
    ),
    row(
        "sepreresnet200",
        |spec| SEPRERESNET200.build(spec),
        &[Variant::new(&[Name::same("pytorchcv", "sepreresnet200")], &[])],
    ),
    row(
        "sepreresnet200b",
        |spec| SEPRERESNET200B.build(spec),
        &[Variant::new(&[Name::same("pytorchcv", "sepreresnet200b")], &[])],
    ),
];
