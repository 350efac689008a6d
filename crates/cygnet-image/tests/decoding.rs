//! Formats, orientation, limits and damaged files. Pictures are made by the `image` crate's encoders.

#![allow(clippy::unwrap_used, reason = "a failed helper fails the test")]

use std::io::Cursor;

use cygnet_image::{DecodeLimits, Image, ImageError};
use image::{DynamicImage, ImageBuffer, ImageFormat, Luma, LumaA, Rgb, Rgba};
use proptest::prelude::*;

const FORMATS: [ImageFormat; 6] = [
    ImageFormat::Jpeg,
    ImageFormat::Png,
    ImageFormat::WebP,
    ImageFormat::Bmp,
    ImageFormat::Gif,
    ImageFormat::Tiff,
];

fn encoded(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    picture.write_to(&mut file, format).unwrap();
    file.into_inner()
}

fn decoded(file: &[u8]) -> Image {
    Image::decode(file, DecodeLimits::default()).unwrap()
}

fn refusal(file: &[u8]) -> ImageError {
    Image::decode(file, DecodeLimits::default()).unwrap_err()
}

fn colors(x: u32, y: u32) -> [u8; 3] {
    [(x * 16) as u8, (y * 20) as u8, ((x ^ y) * 9) as u8]
}

fn rgb_picture() -> DynamicImage {
    ImageBuffer::from_fn(13, 11, |x, y| Rgb(colors(x, y))).into()
}

fn expected() -> Vec<u8> {
    rgb_picture().to_rgb8().into_raw()
}

#[test]
fn lossless_formats_keep_every_pixel_and_are_told_by_content() {
    for format in [ImageFormat::Png, ImageFormat::WebP, ImageFormat::Bmp, ImageFormat::Tiff] {
        let image = decoded(&encoded(&rgb_picture(), format));
        assert_eq!((image.width, image.height), (13, 11));
        assert_eq!(image.pixels, expected(), "{format:?}");
    }
}

#[test]
fn a_picture_is_written_as_png() {
    let image = Image::from_rgb(13, 11, expected()).unwrap();
    assert_eq!(decoded(&image.to_png().unwrap()), image);
}

#[test]
fn a_wrong_extension_does_not_matter() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("picture.jpg");
    std::fs::write(&path, encoded(&rgb_picture(), ImageFormat::Png)).unwrap();
    assert_eq!(Image::open(&path).unwrap().pixels, expected());
}

#[test]
fn alpha_is_dropped_not_blended() {
    let picture: DynamicImage = ImageBuffer::from_fn(13, 11, |x, y| {
        let [red, green, blue] = colors(x, y);
        Rgba([red, green, blue, (x * 3) as u8])
    })
    .into();
    assert_eq!(decoded(&encoded(&picture, ImageFormat::Png)).pixels, expected());
    assert_eq!(decoded(&encoded(&picture, ImageFormat::WebP)).pixels, expected());
}

#[test]
fn grey_is_repeated_and_its_alpha_dropped() {
    let grey: DynamicImage = ImageBuffer::from_fn(5, 4, |x, y| Luma([(x * 40 + y) as u8])).into();
    let grey_alpha: DynamicImage = ImageBuffer::from_fn(5, 4, |x, y| LumaA([(x * 40 + y) as u8, 7])).into();
    let expected: Vec<u8> = (0..4).flat_map(|y| (0..5).flat_map(move |x| [x * 40 + y; 3])).collect();
    assert_eq!(decoded(&encoded(&grey, ImageFormat::Png)).pixels, expected);
    assert_eq!(decoded(&encoded(&grey_alpha, ImageFormat::Png)).pixels, expected);
}

#[test]
#[cfg(feature = "jxl")]
fn jpeg_xl_keeps_every_pixel() {
    use zune_jpeg::zune_core;
    use zune_jpegxl::JxlSimpleEncoder;
    let options = zune_core::options::EncoderOptions::new(
        13,
        11,
        zune_core::colorspace::ColorSpace::RGB,
        zune_core::bit_depth::BitDepth::Eight,
    );
    let mut file = Vec::new();
    JxlSimpleEncoder::new(&expected(), options).encode(&mut file).unwrap();
    let image = decoded(&file);
    assert_eq!((image.width, image.height), (13, 11));
    assert_eq!(image.pixels, expected());
    for length in 0..file.len() * 3 / 4 {
        assert!(Image::decode(&file[..length], DecodeLimits::default()).is_err(), "cut to {length}");
    }
    let error =
        Image::decode(&file, DecodeLimits { max_pixels: 142, ..DecodeLimits::default() }).unwrap_err();
    assert!(matches!(error, ImageError::TooLarge { width: 13, height: 11, .. }), "{error}");
}

#[test]
fn an_interlaced_png_keeps_every_pixel() {
    let mut file = Vec::new();
    let mut header = png_header(13, 11);
    header.truncate(8 + 4 + 4 + 13);
    // Method 1 is Adam7, whose passes are rows of their own.
    *header.last_mut().unwrap() = 1;
    file.extend(&header);
    file.extend(crc(&header[12..]).to_be_bytes());
    let mut rows = Vec::new();
    for [left, top, across, down] in
        [[0, 0, 8, 8], [4, 0, 8, 8], [0, 4, 4, 8], [2, 0, 4, 4], [0, 2, 2, 4], [1, 0, 2, 2], [0, 1, 1, 2]]
    {
        for y in (top..11).step_by(down) {
            rows.push(0);
            rows.extend((left..13).step_by(across).flat_map(|x| colors(x as u32, y as u32)));
        }
    }
    let mut packed = flate2::write::ZlibEncoder::new(b"IDAT".to_vec(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packed, &rows).unwrap();
    for chunk in [packed.finish().unwrap(), b"IEND".to_vec()] {
        file.extend((chunk.len() as u32 - 4).to_be_bytes());
        file.extend(&chunk);
        file.extend(crc(&chunk).to_be_bytes());
    }
    assert_eq!(decoded(&file).pixels, expected());
}

#[test]
fn sixteen_bits_keep_the_high_byte() {
    let color: DynamicImage = ImageBuffer::from_pixel(2, 1, Rgb([0x12FF_u16, 0x80FF, 0xFFFF])).into();
    let grey: DynamicImage = ImageBuffer::from_pixel(2, 1, Luma([0x34FF_u16])).into();
    assert_eq!(decoded(&encoded(&color, ImageFormat::Png)).pixels, [0x12, 0x80, 0xFF, 0x12, 0x80, 0xFF]);
    assert_eq!(decoded(&encoded(&grey, ImageFormat::Png)).pixels, [0x34; 6]);
}

#[test]
fn a_small_gif_frame_lies_on_its_screen() {
    let mut file = encoded(&ImageBuffer::from_pixel(2, 2, Rgb([200_u8, 100, 50])).into(), ImageFormat::Gif);
    file[6..10].copy_from_slice(&[5, 0, 4, 0]);
    let frame = file.windows(9).position(|bytes| bytes == [b',', 0, 0, 0, 0, 2, 0, 2, 0]).unwrap();
    file[frame + 1..frame + 5].copy_from_slice(&[3, 0, 1, 0]);
    let image = decoded(&file);
    assert_eq!((image.width, image.height), (5, 4));
    let pixel = |x: usize, y: usize| &image.pixels[(y * 5 + x) * 3..][..3];
    for (x, y) in [(3, 1), (4, 1), (3, 2), (4, 2)] {
        assert_eq!(pixel(x, y), [200, 100, 50]);
    }
}

#[test]
fn every_exif_orientation_is_turned_upright() {
    const RED: [u8; 3] = [255, 0, 0];
    const GREEN: [u8; 3] = [0, 255, 0];
    let picture: DynamicImage = ImageBuffer::from_fn(32, 16, |x, y| {
        Rgb(if y >= 8 {
            [0, 0, 255]
        } else if x < 16 {
            RED
        } else {
            GREEN
        })
    })
    .into();
    let plain = encoded(&picture, ImageFormat::Jpeg);
    let [top_left, top_right, bottom_left, bottom_right] = [(0, 0), (1, 0), (0, 1), (1, 1)];
    let places = [
        (top_left, top_right),
        (top_right, top_left),
        (bottom_right, bottom_left),
        (bottom_left, bottom_right),
        (top_left, bottom_left),
        (top_right, bottom_right),
        (bottom_right, top_right),
        (bottom_left, top_left),
    ];
    for (orientation, (red, green)) in (1_u8..).zip(places) {
        let mut file = plain[..2].to_vec();
        file.extend([0xFF, 0xE1, 0, 34]);
        file.extend(b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0");
        file.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);
        file.extend(&plain[2..]);
        let image = decoded(&file);
        let size = if orientation < 5 { (32, 16) } else { (16, 32) };
        assert_eq!((image.width, image.height), size, "orientation {orientation}");
        for ((right, bottom), color) in [(red, RED), (green, GREEN)] {
            let (x, y) = (right * (image.width - 1), bottom * (image.height - 1));
            let pixel = &image.pixels[(y * image.width + x) * 3..][..3];
            let near = pixel.iter().zip(color).all(|(&a, b)| a.abs_diff(b) < 40);
            assert!(near, "orientation {orientation}: {pixel:?} is not {color:?}");
        }
    }
}

fn crc(chunk: &[u8]) -> u32 {
    !chunk.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg()))
    })
}

fn png_header(width: u32, height: u32) -> Vec<u8> {
    let mut chunk = b"IHDR".to_vec();
    chunk.extend(width.to_be_bytes());
    chunk.extend(height.to_be_bytes());
    chunk.extend([8, 2, 0, 0, 0]);
    let crc = crc(&chunk);
    let mut file = b"\x89PNG\r\n\x1a\n\0\0\0\x0d".to_vec();
    file.extend(chunk);
    file.extend(crc.to_be_bytes());
    file.extend(b"\0\0\0\x10IDAT");
    file
}

#[test]
fn a_huge_header_is_refused_with_its_size_and_the_limit() {
    let message = refusal(&png_header(60_000, 60_000)).to_string();
    assert!(message.contains("60000x60000") && message.contains("--max-pixels 3600000000"), "{message}");

    let mut gif = encoded(&rgb_picture(), ImageFormat::Gif);
    gif[6..10].fill(0xFF);
    assert!(matches!(refusal(&gif), ImageError::TooLarge { width: 65_535, height: 65_535, .. }));

    let mut gif = encoded(&rgb_picture(), ImageFormat::Gif);
    let frame = gif.windows(9).position(|bytes| bytes == [b',', 0, 0, 0, 0, 13, 0, 11, 0]).unwrap();
    gif[frame + 5..frame + 9].fill(0xFF);
    assert!(matches!(refusal(&gif), ImageError::TooLarge { width: 65_535, height: 65_535, .. }));

    let mut jpeg = encoded(&rgb_picture(), ImageFormat::Jpeg);
    let frame = jpeg.windows(2).position(|bytes| bytes == [0xFF, 0xC0]).unwrap();
    jpeg[frame + 5..frame + 9].fill(0xFF);
    assert!(matches!(refusal(&jpeg), ImageError::TooLarge { width: 65_535, height: 65_535, .. }));

    let mut bmp = encoded(&rgb_picture(), ImageFormat::Bmp);
    bmp[18..22].copy_from_slice(&60_000_u32.to_le_bytes());
    bmp[22..26].copy_from_slice(&60_000_u32.to_le_bytes());
    assert!(matches!(refusal(&bmp), ImageError::TooLarge { width: 60_000, height: 60_000, .. }));
}

/// A PNG of one grey level with a chunk of this name and content before its pixels.
fn png_with(chunk: &[u8], claimed: u32) -> Vec<u8> {
    let mut file = encoded(&rgb_picture(), ImageFormat::Png);
    let mut inserted = claimed.to_be_bytes().to_vec();
    inserted.extend(chunk);
    inserted.extend(crc(chunk).to_be_bytes());
    file.splice(33..33, inserted);
    file
}

#[test]
fn chunks_that_claim_or_unpack_to_gigabytes_take_no_memory() {
    // 64 MB of zeros as an ICC profile and as text: packed into 64 kB.
    let mut zeros = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut zeros, &vec![0; 64 << 20]).unwrap();
    let zeros = zeros.finish().unwrap();
    for name in [&b"iCCPx\0\0"[..], b"zTXtx\0\0"] {
        let chunk = [name, &zeros].concat();
        assert_eq!(decoded(&png_with(&chunk, chunk.len() as u32 - 4)).pixels, expected());
    }
    for name in [b"eXIf", b"iCCP", b"tEXt", b"prVt"] {
        assert!(matches!(refusal(&png_with(name, u32::MAX >> 1)), ImageError::Truncated { .. }));
    }
    let long = [&b"eXIf"[..], &vec![0; 20 << 20]].concat();
    let message = refusal(&png_with(&long, long.len() as u32 - 4)).to_string();
    assert!(message.contains("limits are exceeded"), "{message}");

    // An extended WebP file whose EXIF chunk claims all that four bytes can say.
    let plain = encoded(&rgb_picture(), ImageFormat::WebP);
    let mut webp = b"RIFF\xf0\xff\xff\xffWEBPVP8X\x0a\0\0\0\x08\0\0\0\x0c\0\0\x0a\0\0".to_vec();
    webp.extend(&plain[12..]);
    webp.extend(b"EXIF\xf0\xff\xff\xffII*\0");
    match Image::decode(&webp, DecodeLimits::default()) {
        Ok(image) => assert_eq!(image.pixels, expected()),
        Err(error) => {
            assert!(matches!(error, ImageError::Truncated { .. } | ImageError::Corrupt { .. }), "{error}")
        }
    }
}

#[test]
fn short_files_that_claim_large_pictures_are_truncated() {
    let mut jpeg = encoded(&rgb_picture(), ImageFormat::Jpeg);
    let frame = jpeg.windows(2).position(|bytes| bytes == [0xFF, 0xC0]).unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0x3e, 0x80, 0x3e, 0x80]);
    assert!(matches!(refusal(&jpeg), ImageError::Truncated { .. }));
    let png = png_header(16_000, 16_000);
    assert!(matches!(refusal(&png), ImageError::Truncated { .. }));
}

#[test]
fn what_does_not_begin_as_a_picture_is_not_read_on() {
    struct Endless(Vec<u8>, usize);
    impl std::io::Read for Endless {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let begun = self.0.len().min(buffer.len());
            buffer[..begun].copy_from_slice(&self.0[..begun]);
            buffer[begun..].fill(0);
            self.0.drain(..begun);
            self.1 += buffer.len();
            Ok(buffer.len())
        }
    }
    let mut reader = Endless(b"text".to_vec(), 0);
    let refused = DecodeLimits::default().read(&mut reader).unwrap().unwrap_err();
    assert!(matches!(refused, ImageError::UnknownFormat) && reader.1 <= 4096, "{refused} {}", reader.1);
    let mut reader = Endless(encoded(&rgb_picture(), ImageFormat::Png), 0);
    let refused = DecodeLimits::default().read(&mut reader).unwrap().unwrap_err();
    assert!(
        matches!(refused, ImageError::FileTooLong { .. }) && reader.1 <= 600 << 20,
        "{refused} {}",
        reader.1
    );
}

#[test]
fn more_than_a_hundred_megapixels_are_decoded() {
    let picture: DynamicImage = ImageBuffer::from_pixel(12_000, 9_000, Luma([77_u8])).into();
    let image = decoded(&encoded(&picture, ImageFormat::Png));
    assert_eq!((image.width, image.height), (12_000, 9_000));
    assert!(image.pixels.iter().all(|&level| level == 77));
}

#[test]
fn the_limit_is_the_callers() {
    let limits = DecodeLimits { max_pixels: 13 * 11 - 1, ..DecodeLimits::default() };
    for format in FORMATS {
        let error = Image::decode(&encoded(&rgb_picture(), format), limits).unwrap_err();
        assert!(
            matches!(error, ImageError::TooLarge { width: 13, height: 11, max_pixels: 142 }),
            "{format:?}"
        );
    }
}

#[test]
fn errors_name_the_file_and_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.png");
    assert!(matches!(Image::open(&path).unwrap_err(), ImageError::Read { .. }));
    std::fs::write(&path, "not a picture").unwrap();
    let message = Image::open(&path).unwrap_err().to_string();
    assert!(message.contains("notes.png: not a known image format"), "{message}");
    let message = refusal(b"\0\0\0\x1cftypheic........").to_string();
    assert!(message.contains("heif-convert"), "{message}");
    let message = refusal(b"\0\0\0\x1cftypavif........").to_string();
    assert!(message.contains("avifdec"), "{message}");
}

#[test]
fn files_cut_in_the_middle_are_refused() {
    for format in FORMATS {
        let file = encoded(&rgb_picture(), format);
        for length in 0..file.len() * 3 / 4 {
            assert!(
                Image::decode(&file[..length], DecodeLimits::default()).is_err(),
                "{format:?} cut to {length}"
            );
        }
    }
}

#[test]
fn a_jpeg_may_be_as_wide_as_the_format_allows_and_have_bytes_behind_its_end() {
    let wide: DynamicImage = ImageBuffer::from_pixel(65_535, 2, Rgb([90_u8, 90, 90])).into();
    let mut file = encoded(&wide, ImageFormat::Jpeg);
    file.extend(b"more bytes");
    let image = decoded(&file);
    assert_eq!((image.width, image.height), (65_535, 2));
    assert!(image.pixels.iter().all(|value| value.abs_diff(90) <= 1));
}

fn progressive_jpeg() -> Vec<u8> {
    let cases: serde_json::Value = serde_json::from_str(include_str!("jpeg_reference.json")).unwrap();
    let case = cases.as_array().unwrap().iter().find(|case| case["name"] == "progressive").unwrap();
    let hex = case["file"].as_str().unwrap();
    (0..hex.len()).step_by(2).map(|place| u8::from_str_radix(&hex[place..place + 2], 16).unwrap()).collect()
}

/// Must neither panic nor give a picture whose parts do not agree.
fn survives(file: &[u8]) -> Result<(), TestCaseError> {
    match Image::decode(file, DecodeLimits { max_pixels: 200_000, ..DecodeLimits::default() }) {
        Ok(image) => prop_assert_eq!(image.pixels.len(), image.width * image.height * 3),
        Err(error) => prop_assert!(!error.to_string().is_empty()),
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_behind_any_signature_do_no_harm(
        signature in prop::sample::select(vec![
            &b""[..], b"\xFF\xD8\xFF\xE0", b"\xFF\xD8\xFF\xC4", b"\xFF\xD8\xFF\xC2\0\x11\x08\0\x10\0\x10\x03",
            b"\x89PNG\r\n\x1a\n", b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR", b"RIFF\x40\0\0\0WEBPVP8 ",
            b"RIFF\x40\0\0\0WEBPVP8L", b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08", b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n", b"RIFF\x40\0\0\0WEBPVP8X", b"BM", b"GIF89a", b"GIF87a\x04\0\x04\0\x80\0\0",
        ]),
        rest in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        survives(&[signature, &rest].concat())?;
    }

    #[test]
    fn damaged_files_do_no_harm(
        which in 0..FORMATS.len() + 1,
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0_u32..8), 0..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut file = match FORMATS.get(which) {
            Some(&format) => encoded(&rgb_picture(), format),
            None => progressive_jpeg(),
        };
        for (place, bit) in flips {
            let place = place.index(file.len());
            file[place] ^= 1 << bit;
        }
        if let Some(cut) = cut {
            file.truncate(cut.index(file.len()));
        }
        survives(&file)?;
    }
}

#[test]
fn large_pictures_are_turned_to_the_pixel() {
    // Wider than a tile and no multiple of it, so that every edge is met.
    let [width, height] = [75_u32, 41];
    let picture: DynamicImage = ImageBuffer::from_fn(width, height, |x, y| Rgb([x as u8, y as u8, 9])).into();
    let file = encoded(&picture, ImageFormat::Png);
    let turned = |orientation: u8| {
        let mut chunk = b"eXIfII*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
        chunk.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);
        let mut inserted = (chunk.len() as u32 - 4).to_be_bytes().to_vec();
        inserted.extend(&chunk);
        inserted.extend(crc(&chunk).to_be_bytes());
        let mut file = file.clone();
        file.splice(33..33, inserted);
        decoded(&file)
    };
    let [right, bottom] = [width - 1, height - 1];
    for (orientation, at) in (1..).zip([
        (|x, y, _, _| [x, y]) as fn(u32, u32, u32, u32) -> [u32; 2],
        |x, y, right, _| [right - x, y],
        |x, y, right, bottom| [right - x, bottom - y],
        |x, y, _, bottom| [x, bottom - y],
        |x, y, _, _| [y, x],
        |x, y, _, bottom| [y, bottom - x],
        |x, y, right, bottom| [right - y, bottom - x],
        |x, y, right, _| [right - y, x],
    ]) {
        let image = turned(orientation);
        let size = if orientation < 5 { [width, height] } else { [height, width] };
        assert_eq!([image.width as u32, image.height as u32], size);
        let expected = (0..size[1]).flat_map(|y| (0..size[0]).map(move |x| [x, y]));
        for (pixel, [x, y]) in image.pixels.chunks(3).zip(expected) {
            let [x, y] = at(x, y, right, bottom);
            assert_eq!(pixel, [x as u8, y as u8, 9], "orientation {orientation}");
        }
    }
}
