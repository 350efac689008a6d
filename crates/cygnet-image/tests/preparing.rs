//! The preprocessing record: crops, borders, values, checks; and, where `CYGNET_SHARED` is set, real photos against
//! pictures prepared by Pillow.

#![allow(clippy::unwrap_used, reason = "a failed helper fails the test")]

use cygnet_image::{ChannelOrder, Image, ImageError, Interpolation, Preprocess, Resize};

/// A picture whose red is its column and whose green is its row.
fn ramp(width: usize, height: usize) -> Image {
    let places = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
    Image::from_rgb(width, height, places.flat_map(|(x, y)| [x as u8, y as u8, 9]).collect()).unwrap()
}

fn corner(image: &Image) -> [u8; 2] {
    [image.pixels[0], image.pixels[1]]
}

fn torchvision(size: [usize; 2], side: usize) -> Preprocess {
    Preprocess { size, ..Preprocess::torchvision(1, side) }
}

#[test]
fn center_crop_rounds_half_to_even() {
    for (width, start) in [(10, 0), (11, 0), (12, 1), (13, 2), (14, 2), (15, 2), (16, 3), (17, 4)] {
        let image = ramp(width, 10);
        let record = torchvision([10, 10], 10);
        assert_eq!(corner(&record.fit(&image).unwrap()), [start, 0], "width {width}");
    }
}

#[test]
fn the_longer_side_is_truncated() {
    let narrow = Image::from_rgb(3, 5, vec![255; 45]).unwrap();
    let fitted = torchvision([7, 4], 4).fit(&narrow).unwrap();
    let rows: Vec<u8> = fitted.pixels.chunks(12).map(|row| row[0]).collect();
    assert_eq!(rows, [255, 255, 255, 255, 255, 255, 0]);
}

#[test]
fn a_picture_smaller_than_the_crop_gets_black_borders() {
    let record = torchvision([6, 5], 2);
    let fitted = record.fit(&Image::from_rgb(2, 2, vec![200; 12]).unwrap()).unwrap();
    let lit: Vec<usize> = (0..30).filter(|place| fitted.pixels[place * 3] == 200).collect();
    assert_eq!(lit, [11, 12, 16, 17]);
}

#[test]
fn crop_pct_rounds_the_side_down() {
    let crop = |pct, size| Preprocess::imagenet(size, pct, Interpolation::Nearest);
    assert_eq!(corner(&crop(0.8, 80).fit(&ramp(100, 100)).unwrap()), [10, 10]);
    assert_eq!(corner(&crop(0.875, 7).fit(&ramp(8, 8)).unwrap()), [0, 0]);
    let wide = Preprocess { size: [10, 20], ..crop(1.0, 1) };
    assert_eq!(corner(&wide.fit(&ramp(40, 10)).unwrap()), [10, 0]);
}

#[test]
fn crop_fraction_takes_the_middle_of_both_sides() {
    let record =
        Preprocess { size: [4, 8], interpolation: Interpolation::Nearest, ..Preprocess::inception(1, 0.5) };
    assert_eq!(record.fit(&ramp(16, 8)).unwrap().pixels, {
        let places = (2..6).flat_map(|y| (4..12).map(move |x| [x, y, 9]));
        places.flatten().collect::<Vec<u8>>()
    });
}

#[test]
fn without_a_rule_another_size_is_refused_with_both_sizes() {
    let record = Preprocess { resize: Resize::None, size: [2, 3], ..Preprocess::inception(1, 1.0) };
    assert_eq!(record.fit(&ramp(3, 2)).unwrap(), ramp(3, 2));
    let message = record.fit(&ramp(2, 3)).unwrap_err().to_string();
    assert!(message.contains("2x3") && message.contains("3x2"), "{message}");
}

#[test]
fn values_are_scaled_shifted_and_divided_channel_by_channel() {
    let pixels = vec![10, 20, 30, 40, 50, 60];
    let image = Image::from_rgb(2, 1, pixels).unwrap();
    let record = Preprocess {
        size: [1, 2],
        resize: Resize::None,
        interpolation: Interpolation::Nearest,
        channels: ChannelOrder::Rgb,
        scale: 2.0,
        mean: vec![1.0, 2.0, 3.0],
        std: vec![0.5, 1.0, 2.0],
    };
    assert_eq!(record.apply(&image).unwrap(), [38.0, 158.0, 38.0, 98.0, 28.5, 58.5]);
    let bgr = Preprocess { channels: ChannelOrder::Bgr, ..record.clone() };
    assert_eq!(bgr.apply(&image).unwrap(), [118.0, 238.0, 38.0, 98.0, 8.5, 38.5]);
    let grey = Preprocess { channels: ChannelOrder::Grey, mean: vec![0.0], std: vec![1.0], ..record };
    assert_eq!(grey.apply(&image).unwrap(), [36.0, 96.0]);
    let mut short = [0.0; 1];
    let error = grey.apply_into(&image, &mut short).unwrap_err();
    assert!(matches!(error, ImageError::BufferLength { given: 1, expected: 2 }));
}

#[test]
fn constructors_give_the_published_values() {
    let black = Image::from_rgb(8, 8, vec![0; 192]).unwrap();
    let white = Image::from_rgb(8, 8, vec![255; 192]).unwrap();
    let first = |record: &Preprocess, image| record.apply(image).unwrap()[0];
    let close = |a: f32, b: f32| assert!((a - b).abs() < 1e-6, "{a} is not {b}");
    close(first(&Preprocess::inception(4, 0.875), &black), -1.0);
    close(first(&Preprocess::inception(4, 0.875), &white), 1.0);
    close(first(&Preprocess::caffe(4, 5), &black), -104.0);
    close(first(&Preprocess::imagenet(4, 0.875, Interpolation::Bicubic), &white), (1.0 - 0.485) / 0.229);
}

#[test]
fn impossible_records_are_refused_by_field() {
    let good = Preprocess::torchvision(224, 256);
    good.check().unwrap();
    let bad = [
        ("size", Preprocess { size: [0, 224], ..good.clone() }),
        ("size", Preprocess { size: [224, usize::MAX], ..good.clone() }),
        ("mean", Preprocess { mean: vec![0.0], ..good.clone() }),
        ("mean", Preprocess { channels: ChannelOrder::Grey, ..good.clone() }),
        ("std", Preprocess { std: vec![1.0, 0.0, 1.0], ..good.clone() }),
        ("std", Preprocess { std: vec![1.0, f32::NAN, 1.0], ..good.clone() }),
        ("scale", Preprocess { scale: f32::INFINITY, ..good.clone() }),
        ("resize", Preprocess { resize: Resize::ShorterSide { side: 0 }, ..good.clone() }),
        ("resize", Preprocess { resize: Resize::CropFraction { fraction: 0.0 }, ..good.clone() }),
        ("resize", Preprocess { resize: Resize::CropPct { pct: 1e-9 }, ..good.clone() }),
        ("resize", Preprocess { resize: Resize::CropPct { pct: f64::NAN }, ..good }),
    ];
    for (expected, record) in bad {
        let error = record.apply(&ramp(4, 4)).unwrap_err();
        let named = matches!(error, ImageError::Record { field, .. } if field == expected);
        assert!(named, "{record:?}: {error}");
    }
}

#[test]
fn extreme_shapes_are_prepared_or_refused_without_great_cost() {
    let thread = Image::from_rgb(1, 300_000, vec![7; 900_000]).unwrap();
    for resize in [Resize::ShorterSide { side: 256 }, Resize::Squash, Resize::CropFraction { fraction: 0.1 }]
    {
        for interpolation in [Interpolation::Nearest, Interpolation::Bilinear, Interpolation::Bicubic] {
            let record = Preprocess { resize, interpolation, ..Preprocess::torchvision(32, 1) };
            assert!(record.fit(&thread).unwrap().pixels.iter().all(|&value| value == 7));
        }
    }
    let long = Image::from_rgb(3_000_000, 1, vec![7; 9_000_000]).unwrap();
    let error = Preprocess::torchvision(32, 256).fit(&long).unwrap_err();
    assert!(matches!(error, ImageError::TooNarrow { width: 3_000_000, height: 1 }));
}

#[test]
fn the_record_has_a_plain_json_form() {
    let record =
        Preprocess { mean: vec![0.0; 3], std: vec![1.0; 3], scale: 1.0, ..Preprocess::torchvision(224, 256) };
    let text = serde_json::to_string(&record).unwrap();
    assert_eq!(
        text,
        r#"{"size":[224,224],"resize":{"shorter_side":{"side":256}},"interpolation":"bilinear","channels":"rgb","scale":1.0,"mean":[0.0,0.0,0.0],"std":[1.0,1.0,1.0]}"#
    );
    assert_eq!(serde_json::from_str::<Preprocess>(&text).unwrap(), record);
    let form = |resize: Resize| serde_json::to_string(&resize).unwrap();
    assert_eq!(form(Resize::CropPct { pct: 0.875 }), r#"{"crop_pct":{"pct":0.875}}"#);
    assert_eq!(form(Resize::CropFraction { fraction: 0.875 }), r#"{"crop_fraction":{"fraction":0.875}}"#);
    assert_eq!(
        (form(Resize::Squash), form(Resize::None)),
        (r#""squash""#.to_owned(), r#""none""#.to_owned())
    );
}

#[test]
fn real_photos_are_prepared_as_by_pillow() {
    let Some(data) = cygnet_testing::shared("data") else { return };
    let photo = Image::open(data.join("images/coral_ccby/parrot.jpg")).unwrap();
    let records = [
        ("224x224_r256c224", Preprocess::torchvision(224, 256)),
        ("227x227_r256c227", Preprocess::torchvision(227, 256)),
        ("224x224_cc875_224", Preprocess::inception(224, 0.875)),
        ("128x128_cc875_128", Preprocess::inception(128, 0.875)),
    ];
    for (suffix, record) in records {
        let golden = Image::open(data.join(format!("golden/parrot_{suffix}.png"))).unwrap();
        let fitted = record.fit(&photo).unwrap();
        assert_eq!((fitted.width, fitted.height), (golden.width, golden.height));
        let largest = fitted.pixels.iter().zip(&golden.pixels).map(|(&a, &b)| a.abs_diff(b)).max().unwrap();
        println!("parrot_{suffix}: largest difference {largest}");
        assert!(largest <= 1, "parrot_{suffix}: largest difference {largest}");
    }
}

#[test]
fn another_size_shows_the_same_share_of_the_photo() {
    let larger = Preprocess::torchvision(224, 256).resized(320, 448).unwrap();
    assert_eq!((larger.size, larger.resize), ([320, 448], Resize::ShorterSide { side: 366 }));
    let relative = Preprocess::imagenet(224, 0.875, Interpolation::Bicubic);
    assert_eq!(relative.resized(64, 64).unwrap(), Preprocess { size: [64, 64], ..relative });
    for [height, width] in [[0, 32], [32, 0], [usize::MAX, 32]] {
        assert!(matches!(
            Preprocess::torchvision(224, 256).resized(height, width),
            Err(ImageError::Record { field: "size", .. })
        ));
    }
}
