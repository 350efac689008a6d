//! BMP files of every kind have the pixels that the `image` crate gives them.

#![allow(clippy::unwrap_used, reason = "a failed helper fails the test")]

mod reference;

use cygnet_image::{DecodeLimits, Image, ImageError};
use image::ImageFormat;
use proptest::prelude::*;
use reference::{Damage, agree};

/// What the other decoder refuses although the picture is there: runs beyond a row's end, masks of alpha in two parts, sides
/// of more than 65535 pixels.
const LENIENT: [&str; 4] = ["Corrupt RLE data", "bitfield mask", "Image too large", "Invalid height"];

#[derive(Debug, Clone)]
struct Bmp {
    /// Bytes of the picture's header.
    header: usize,
    width: u32,
    height: i32,
    bits: u16,
    method: u32,
    colours: u32,
    masks: [u32; 4],
    /// Bytes between the palette or the masks and the pixels.
    gap: usize,
    pixels: Vec<u8>,
}

impl Bmp {
    fn row_bytes(&self) -> usize {
        (self.width as usize * usize::from(self.bits)).div_ceil(32) * 4
    }

    fn file(&self) -> Vec<u8> {
        let mut header = (self.header as u32).to_le_bytes().to_vec();
        if self.header == 12 {
            header
                .extend([self.width as u16, self.height as u16, 1, self.bits].map(u16::to_le_bytes).concat());
        } else {
            header.extend(self.width.to_le_bytes());
            header.extend(self.height.to_le_bytes());
            header.extend([1, self.bits].map(u16::to_le_bytes).concat());
            header.extend([self.method, 0, 0, 0, self.colours, 0].map(u32::to_le_bytes).concat());
            header.extend(self.masks.map(u32::to_le_bytes).concat());
            header.truncate(if self.method == 3 { 40 + 12 } else { 40 }.max(self.header));
            header.resize(header.len().max(self.header), 0);
        }
        if self.bits <= 8 {
            let colours = if self.colours == 0 { 1 << self.bits } else { self.colours };
            let each = if self.header == 12 { 3 } else { 4 };
            header.extend((0..colours as usize * each).map(|place| (place * 37 + 11) as u8));
        }
        header.resize(header.len() + self.gap, 0xee);
        let start = 14 + header.len();
        let mut file = b"BM".to_vec();
        file.extend([(start + self.pixels.len()) as u32, 0, start as u32].map(u32::to_le_bytes).concat());
        file.extend(header);
        file.extend(&self.pixels);
        file
    }
}

/// Bits in a row somewhere in a word of so many bits.
fn mask(bits: u16) -> impl Strategy<Value = u32> {
    (1..=u32::from(bits).min(12), any::<prop::sample::Index>()).prop_map(move |(length, place)| {
        (u32::MAX >> (32 - length)) << place.index(usize::from(bits) - length as usize + 1)
    })
}

fn runs() -> impl Strategy<Value = Vec<u8>> {
    let run = prop_oneof![
        4 => (1_u8..9, any::<u8>()).prop_map(|(count, index)| vec![count, index]),
        2 => (any::<u8>(), any::<u8>()).prop_map(|(count, index)| vec![count, index]),
        3 => prop::collection::vec(any::<u8>(), 3..9).prop_map(|mut bytes| {
            let mut run = vec![0, bytes.len() as u8];
            bytes.resize(bytes.len().next_multiple_of(2), 0);
            run.extend(bytes);
            run
        }),
        4 => Just(vec![0, 0]),
        1 => Just(vec![0, 1]),
        1 => (0_u8..4, 0_u8..3).prop_map(|(across, up)| vec![0, 2, across, up]),
    ];
    (prop::collection::vec(run, 0..40), any::<bool>()).prop_map(|(runs, is_ended)| {
        let mut bytes = runs.concat();
        bytes.extend(if is_ended { &[0, 1][..] } else { &[] });
        bytes
    })
}

fn bmp() -> impl Strategy<Value = Bmp> {
    let kind = prop::sample::select(vec![
        (0, 1),
        (0, 2),
        (0, 4),
        (0, 8),
        (0, 16),
        (0, 24),
        (0, 32),
        (1, 8),
        (2, 4),
        (3, 16),
        (3, 32),
        (4, 24),
        (5, 0),
        (6, 32),
    ]);
    let header = prop::sample::select(vec![12_usize, 40, 52, 56, 108, 124, 64, 16]);
    let size = (header, 1_u32..40, -9_i32..10, 0_usize..5);
    (kind, size).prop_flat_map(|((method, bits), (header, width, height, gap))| {
        let height = if header == 12 || method == 1 || method == 2 { height.abs() } else { height };
        let method = if header == 12 { 0 } else { method };
        let depth = bits.max(16);
        let alpha = prop_oneof![Just(0), mask(depth)];
        let pixels = prop::collection::vec(any::<u8>(), 0..16);
        let colours = prop_oneof![Just(0_u32), 0..=1_u32 << bits.min(8)];
        ([mask(depth), mask(depth), mask(depth)], alpha, pixels, runs(), colours).prop_map(
            move |([red, green, blue], alpha, pattern, runs, colours)| {
                let masks = [red, green, blue, alpha];
                let mut bmp =
                    Bmp { header, width, height, bits, method, colours, masks, gap, pixels: Vec::new() };
                let bytes = bmp.row_bytes() * height.unsigned_abs() as usize;
                let byte = |place: usize| {
                    (place * 101 + place / 7) as u8 ^ pattern.get(place % 17).copied().unwrap_or(0)
                };
                bmp.pixels = if matches!(method, 1 | 2) { runs } else { (0..bytes).map(byte).collect() };
                bmp
            },
        )
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whole_files_have_the_pixels_of_another_decoder(bmp in bmp()) {
        agree(&bmp.file(), ImageFormat::Bmp, &LENIENT)?;
    }

    #[test]
    fn damaged_files_do_too_or_are_refused(bmp in bmp(), damage in Damage::any()) {
        let mut file = bmp.file();
        damage.apply(&mut file, 140);
        agree(&file, ImageFormat::Bmp, &LENIENT)?;
    }
}

/// Three rows of 5 pixels, whose bytes count up.
fn counted(header: usize, bits: u16, method: u32) -> Bmp {
    let masks = [0xf800, 0x07e0, 0x001f, 0];
    let mut bmp =
        Bmp { header, width: 5, height: 3, bits, method, colours: 0, masks, gap: 0, pixels: Vec::new() };
    bmp.pixels = (0..bmp.row_bytes() * 3).map(|place| (place * 7) as u8).collect();
    bmp
}

#[test]
fn every_usual_kind_is_read() {
    for header in [12, 40, 52, 56, 108, 124] {
        for (method, bits) in [(0, 1), (0, 2), (0, 4), (0, 8), (0, 16), (0, 24), (0, 32), (3, 16), (3, 32)] {
            let is_known = header > 12 || (method == 0 && matches!(bits, 1 | 4 | 8 | 24));
            for height in [3, -3] {
                if is_known && (height > 0 || header > 12) {
                    let file = Bmp { height, ..counted(header, bits, method) }.file();
                    let both = agree(&file, ImageFormat::Bmp, &[]).unwrap();
                    assert!(both, "{header} {method} {bits} {height}");
                }
            }
        }
    }
}

#[test]
fn runs_go_up_from_the_lowest_row_and_leave_black() {
    let black = [0; 3];
    let colour = |index: usize| [2, 1, 0].map(|byte| ((index * 4 + byte) * 37 + 11) as u8);
    let [a, b, c, d] = [0x1, 0x2, 0x3, 0xf].map(colour);
    let eight = [2, 0x1, 0, 3, 0x2, 0x3, 0xf, 0, 0, 0, 0, 2, 1, 1, 9, 0xf, 0, 1];
    let four = [2, 0x11, 0, 3, 0x23, 0xf0, 0, 0, 0, 2, 1, 1, 9, 0xff, 0, 1];
    let expected = [[black, d, d, d, d], [black; 5], [a, a, b, c, d]];
    for (method, bits, runs) in [(1, 8, &eight[..]), (2, 4, &four)] {
        let bmp = Bmp { pixels: runs.to_vec(), ..counted(40, bits, method) };
        let file = bmp.file();
        let image = Image::decode(&file, DecodeLimits::default()).unwrap();
        assert_eq!(image.pixels, expected.as_flattened().as_flattened(), "{bits} bits");
        for pixels in [&runs[..runs.len() - 2], &runs[..5]] {
            let cut = Bmp { pixels: pixels.to_vec(), ..bmp.clone() }.file();
            let refused = Image::decode(&cut, DecodeLimits::default()).unwrap_err();
            assert!(matches!(refused, ImageError::Truncated { .. }), "{refused}");
        }
        for beyond in [&[0, 2, 6, 0, 0, 1][..], &[0, 2, 0, 3, 0, 1], &[4, 1, 0, 3, 1, 1, 1, 1, 0, 1]] {
            let wrong = Bmp { pixels: beyond.to_vec(), ..bmp.clone() }.file();
            let refused = Image::decode(&wrong, DecodeLimits::default()).unwrap_err();
            assert!(refused.to_string().contains("its runs leave the picture"), "{refused}");
        }
    }
}

#[test]
fn what_a_header_claims_is_held_against_the_file_and_the_limits() {
    let refusal = |bmp: Bmp| Image::decode(&bmp.file(), DecodeLimits::default()).unwrap_err();
    let bmp = |bits, method| counted(40, bits, method);
    assert!(matches!(
        refusal(Bmp { width: 1 << 20, height: 1 << 20, ..bmp(24, 0) }),
        ImageError::TooLarge { .. }
    ));
    assert!(matches!(
        refusal(Bmp { width: i32::MAX as u32, height: i32::MIN, ..bmp(24, 0) }),
        ImageError::Corrupt { .. }
    ));
    // Far more than there is memory for, if it were taken before the file's length is seen.
    assert!(matches!(
        refusal(Bmp { width: 16_000, height: 16_000, ..bmp(1, 0) }),
        ImageError::Truncated { .. }
    ));
    for (bmp, said) in [
        (Bmp { width: 0, ..bmp(24, 0) }, "a size of 0x3"),
        (Bmp { colours: 17, ..bmp(4, 0) }, "17 colours of 4 bits"),
        (Bmp { masks: [0xff00, 0x1ff, 0xa, 0], ..bmp(16, 3) }, "in the bits 0xa of 16"),
        (Bmp { masks: [0x1_0000, 1, 2, 0], ..bmp(16, 3) }, "in the bits 0x10000 of 16"),
        (Bmp { masks: [1, 0, 2, 0], ..bmp(32, 3) }, "in the bits 0x0 of 32"),
        (bmp(24, 1), "24 bits a pixel by method 1"),
        (Bmp { height: -3, ..bmp(8, 1) }, "8 bits a pixel by method 1"),
        (bmp(24, 4), "a JPEG inside is not supported"),
        (Bmp { header: 64, ..bmp(24, 0) }, "a header of 64 bytes is not supported"),
    ] {
        let refused = refusal(bmp).to_string();
        assert!(refused.starts_with("BMP") && refused.contains(said), "{refused}");
    }
}
