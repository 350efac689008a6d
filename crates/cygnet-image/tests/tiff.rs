//! TIFF files of every kind have the pixels that the `image` crate gives them.

#![cfg(feature = "tiff")]
#![allow(clippy::unwrap_used, reason = "a failed helper fails the test")]

mod reference;

use std::io::Cursor;

use cygnet_image::{DecodeLimits, Image, ImageError};
use image::ImageFormat;
use proptest::prelude::*;
use reference::{Damage, agree};
use tiff::encoder::colortype::{CMYK8, ColorType, Gray8, Gray16, RGB8, RGB16};
use tiff::encoder::{Compression, DeflateLevel, TiffEncoder};

/// What the other decoder refuses although the picture is there: strips that claim a few bytes more than 16 MB.
const LENIENT: [&str; 1] = ["Memory limit exceeded"];

#[derive(Debug, Clone)]
struct Tiff {
    is_little: bool,
    width: u16,
    height: u16,
    /// Zero is white, zero is black, RGB, palette, mask, CMYK, YCbCr.
    meaning: u16,
    bits: u16,
    samples: u16,
    /// Of the samples behind the colours: 0 unknown, 2 alpha.
    extra: Option<u16>,
    format: Option<u16>,
    in_planes: bool,
    orientation: Option<u16>,
    rows_a_strip: u16,
    data: Vec<u8>,
}

impl Tiff {
    /// Bytes of each strip.
    fn strips(&self) -> Vec<usize> {
        let together = if self.in_planes { 1 } else { usize::from(self.samples) };
        let row = (usize::from(self.width) * usize::from(self.bits) * together).div_ceil(8);
        let mut rows: Vec<usize> =
            (0..self.height).step_by(self.rows_a_strip.into()).map(|_| self.rows_a_strip.into()).collect();
        *rows.last_mut().unwrap() -= rows.iter().sum::<usize>() - usize::from(self.height);
        let strips: Vec<usize> = rows.into_iter().map(|rows| rows * row).collect();
        strips.repeat(if self.in_planes { self.samples.into() } else { 1 })
    }

    fn file(&self) -> Vec<u8> {
        let short = |value: u16| if self.is_little { value.to_le_bytes() } else { value.to_be_bytes() };
        let word = |value: u32| if self.is_little { value.to_le_bytes() } else { value.to_be_bytes() };
        let strips = self.strips();
        let sizes: Vec<u32> = strips.iter().map(|&bytes| bytes as u32).collect();
        let offsets: Vec<u32> =
            sizes.iter().scan(8, |at, bytes| Some(std::mem::replace(at, *at + bytes))).collect();
        let each = |value: u16| vec![value.into(); self.samples.into()];
        let mut fields: Vec<(u16, u16, Vec<u32>)> = vec![
            (256, 3, vec![self.width.into()]),
            (257, 3, vec![self.height.into()]),
            (258, 3, each(self.bits)),
            (259, 3, vec![1]),
            (262, 3, vec![self.meaning.into()]),
            (273, 4, offsets),
            (277, 3, vec![self.samples.into()]),
            (278, 3, vec![self.rows_a_strip.into()]),
            (279, 4, sizes),
            (284, 3, vec![if self.in_planes { 2 } else { 1 }]),
        ];
        fields.extend(self.orientation.map(|number| (274, 3, vec![number.into()])));
        fields.extend(self.extra.map(|kind| (338, 3, vec![kind.into()])));
        fields.extend(self.format.map(|format| (339, 3, each(format))));
        fields.sort();
        let mut file = if self.is_little { b"II*\0".to_vec() } else { b"MM\0*".to_vec() };
        file.extend([0; 4]);
        file.extend(self.data.iter().cycle().take(strips.iter().sum()));
        let mut list = short(fields.len() as u16).to_vec();
        for (tag, kind, values) in fields {
            let mut bytes: Vec<u8> = if kind == 3 {
                values.iter().flat_map(|&value| short(value as u16)).collect()
            } else {
                values.iter().flat_map(|&value| word(value)).collect()
            };
            if bytes.len() > 4 {
                let at = word(file.len() as u32);
                file.extend(bytes);
                bytes = at.to_vec();
            }
            bytes.resize(4, 0);
            list.extend([short(tag), short(kind)].concat());
            list.extend(word(values.len() as u32));
            list.extend(bytes);
        }
        list.extend([0; 4]);
        let at = word(file.len() as u32);
        file[4..8].copy_from_slice(&at);
        file.extend(list);
        file
    }
}

fn tiff() -> impl Strategy<Value = Tiff> {
    let kind = prop::sample::select(vec![
        (0, 1, 1),
        (1, 1, 1),
        (0, 8, 1),
        (1, 8, 1),
        (0, 16, 1),
        (1, 16, 1),
        (1, 4, 1),
        (1, 32, 1),
        (1, 8, 2),
        (2, 8, 3),
        (2, 8, 4),
        (2, 16, 3),
        (2, 16, 4),
        (2, 32, 3),
        (3, 8, 1),
        (5, 8, 4),
        (5, 16, 4),
        (5, 8, 5),
        (6, 8, 3),
        (2, 8, 2),
    ]);
    let size = (any::<bool>(), 1_u16..30, 1_u16..9, 1_u16..10);
    let rare = (prop::option::weighted(0.3, 0_u16..3), prop::option::weighted(0.2, 0_u16..5));
    let more = (any::<bool>(), prop::option::of(0_u16..10), prop::collection::vec(any::<u8>(), 97));
    (kind, size, rare, more).prop_map(
        |(
            (meaning, bits, samples),
            (is_little, width, height, rows_a_strip),
            (extra, format),
            (in_planes, orientation, data),
        )| Tiff {
            is_little,
            width,
            height,
            meaning,
            bits,
            samples,
            extra,
            format,
            in_planes,
            orientation,
            rows_a_strip,
            data,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whole_files_have_the_pixels_of_another_decoder(tiff in tiff()) {
        agree(&tiff.file(), ImageFormat::Tiff, &[])?;
    }

    #[test]
    fn damaged_files_do_too_or_are_refused(tiff in tiff(), damage in Damage::any()) {
        let mut file = tiff.file();
        // The list of fields stands at the end.
        file.reverse();
        damage.apply(&mut file, 200);
        file.reverse();
        agree(&file, ImageFormat::Tiff, &LENIENT)?;
    }
}

fn plain(meaning: u16, bits: u16, samples: u16) -> Tiff {
    Tiff {
        is_little: true,
        width: 11,
        height: 5,
        meaning,
        bits,
        samples,
        extra: None,
        format: None,
        in_planes: false,
        orientation: None,
        rows_a_strip: 2,
        data: (0..=250).collect(),
    }
}

#[test]
fn every_usual_kind_is_read() {
    for (meaning, bits, samples) in [
        (0, 1, 1),
        (1, 1, 1),
        (0, 8, 1),
        (1, 16, 1),
        (2, 8, 3),
        (2, 8, 4),
        (2, 16, 3),
        (2, 16, 4),
        (5, 8, 4),
        (5, 16, 4),
    ] {
        for is_little in [true, false] {
            for in_planes in [false, true] {
                let file = Tiff { is_little, in_planes, ..plain(meaning, bits, samples) }.file();
                if meaning == 5 && in_planes {
                    let refused = Image::decode(&file, DecodeLimits::default()).unwrap_err().to_string();
                    assert!(refused.starts_with("TIFF: CMYK in planes is not supported"), "{refused}");
                } else {
                    assert!(agree(&file, ImageFormat::Tiff, &[]).unwrap(), "{meaning} {bits} {samples}");
                }
            }
        }
    }
}

#[test]
fn every_compression_is_read() {
    fn check<C: ColorType>(samples: &[C::Inner])
    where
        [C::Inner]: tiff::encoder::TiffValue,
    {
        for compression in [
            Compression::Uncompressed,
            Compression::Lzw,
            Compression::Deflate(DeflateLevel::Fast),
            Compression::Packbits,
        ] {
            let mut file = Cursor::new(Vec::new());
            let mut encoder = TiffEncoder::new(&mut file).unwrap().with_compression(compression);
            encoder.write_image::<C>(12, 10, samples).unwrap();
            assert!(agree(file.get_ref(), ImageFormat::Tiff, &[]).unwrap());
        }
    }
    let bytes: Vec<u8> = (0..480).map(|i| (i / 3 * 5) as u8).collect();
    let words: Vec<u16> = (0..480).map(|i| i * 131).collect();
    check::<Gray8>(&bytes[..120]);
    check::<RGB8>(&bytes[..360]);
    check::<CMYK8>(&bytes);
    check::<Gray16>(&words[..120]);
    check::<RGB16>(&words[..360]);
}

#[test]
fn what_is_not_read_is_named() {
    for (tiff, said) in [
        (plain(3, 8, 1), "Photometric interpretation RGBPalette with bits per sample [8]"),
        (plain(2, 32, 3), "the colour type RGB(32)"),
        (plain(1, 4, 1), "the colour type Gray(4)"),
        (Tiff { format: Some(2), ..plain(1, 8, 1) }, "the sample format 2"),
    ] {
        let refused = Image::decode(&tiff.file(), DecodeLimits::default()).unwrap_err().to_string();
        assert!(refused.starts_with(&format!("TIFF: {said} is not supported")), "{refused}");
    }
}

#[test]
fn what_decoding_takes_is_held_against_the_limit() {
    let pixels = 11 * 5;
    for (tiff, bytes) in [
        (plain(1, 1, 1), 2 * 5 + 3 * pixels),
        (plain(5, 8, 4), 4 * pixels),
        (plain(5, 16, 4), 8 * pixels),
        (Tiff { in_planes: true, ..plain(2, 16, 4) }, 11 * pixels),
    ] {
        let within =
            |max_bytes| Image::decode(&tiff.file(), DecodeLimits { max_bytes, ..DecodeLimits::default() });
        assert!(within(bytes).is_ok());
        assert!(matches!(within(bytes - 1), Err(ImageError::TooMuchMemory { .. })));
    }
}
