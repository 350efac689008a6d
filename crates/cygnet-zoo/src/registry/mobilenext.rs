//! MobileNeXt's rows.

use super::{Family, Name, Row, Variant};
use crate::mobilenext::{mobilenext, mobilenext_dli14};

pub(super) const ROWS: &[Row] = &[
    Row::new(
        "mobilenext",
        Family::MobileNeXt,
        "official",
        mobilenext,
        &[
            Variant::new(&[Name::same("official", "mobilenext_zhoudaquan_w1.0")], &[]),
            Variant::width(0.35, &[Name::same("official", "mobilenext_zhoudaquan_w0.35")], &[]),
            Variant::width(0.5, &[Name::same("official", "mobilenext_zhoudaquan_w0.5")], &[]),
            Variant::width(0.75, &[Name::same("official", "mobilenext_zhoudaquan_w0.75")], &[]),
            Variant::width(1.4, &[Name::same("official", "mobilenext_zhoudaquan_w1.4")], &[]),
        ],
    )
    .any_width(),
    Row::new(
        "mobilenext_dli14",
        Family::MobileNeXt,
        "official",
        mobilenext_dli14,
        &[
            Variant::new(&[Name::same("official", "mobilenext_dli14_w1.0")], &[]),
            Variant::width(0.35, &[Name::same("official", "mobilenext_dli14_w0.35")], &[]),
            Variant::width(0.5, &[Name::same("official", "mobilenext_dli14_w0.5")], &[]),
            Variant::width(0.75, &[Name::same("official", "mobilenext_dli14_w0.75")], &[]),
            Variant::width(1.4, &[Name::same("official", "mobilenext_dli14_w1.4")], &[]),
        ],
    )
    .any_width(),
];
