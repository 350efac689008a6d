//! Limits on memory and numbers: of a picture while it is decoded, and of the pictures of a listing.
#![allow(clippy::unwrap_used, reason = "a test that fails should stop")]

mod made;
#[expect(dead_code, reason = "other tests take the rest")]
mod opened;
mod tarred;

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use cygnet_image::{DecodeLimits, Image, ImageError, Splits, collect_readable};
use image::{DynamicImage, ImageBuffer, ImageFormat, Luma, Rgb, Rgba};
use tar::EntryType;

use made::{pictures, write};
use opened::gzip;
use tarred::tar_entry;

const PIXELS: usize = 40 * 30;

fn encoded(picture: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    picture.into().write_to(&mut file, format).unwrap();
    file.into_inner()
}

/// Whether decoding takes so many bytes, by its own account.
fn assert_takes(bytes: usize, file: &[u8], what: &str) {
    let within = |max_bytes| Image::decode(file, DecodeLimits { max_bytes, ..DecodeLimits::default() });
    assert!(within(bytes).is_ok(), "{what}: {:?}", within(bytes).err());
    match within(bytes - 1).unwrap_err() {
        ImageError::TooMuchMemory { bytes: told, max_bytes } => {
            assert_eq!((told, max_bytes), (bytes, bytes - 1), "{what}");
        }
        other => panic!("{what}: {other}"),
    }
}

#[test]
fn what_decoding_takes_is_held_against_the_limit() {
    let rgb = || ImageBuffer::from_pixel(40, 30, Rgb([9_u8, 90, 200]));
    let rgba = || ImageBuffer::from_pixel(40, 30, Rgba([9_u8, 90, 200, 7]));
    let wide = || ImageBuffer::from_pixel(40, 30, Rgba([9_u16, 90, 200, 7]));
    let grey = || ImageBuffer::from_pixel(40, 30, Luma([9_u8]));
    for (file, a_pixel, what) in [
        (encoded(rgb(), ImageFormat::Png), 3, "png"),
        (encoded(wide(), ImageFormat::Png), 3, "png of 16 bits, row by row"),
        (encoded(rgb(), ImageFormat::Bmp), 3, "bmp"),
        (encoded(rgb(), ImageFormat::Jpeg), 3, "jpeg"),
        (encoded(rgb(), ImageFormat::WebP), 7, "lossless webp"),
        (encoded(rgba(), ImageFormat::WebP), 4, "lossless webp with alpha"),
        (encoded(rgb(), ImageFormat::Gif), 4, "gif"),
    ] {
        assert_takes(a_pixel * PIXELS, &file, what);
    }
    if cfg!(feature = "tiff") {
        assert_takes(8 * PIXELS, &encoded(wide(), ImageFormat::Tiff), "tiff of 16 bits");
        assert_takes(4 * PIXELS, &encoded(grey(), ImageFormat::Tiff), "grey tiff");
    }
    // A picture that is turned is there twice.
    let plain = encoded(rgb(), ImageFormat::Jpeg);
    for (orientation, a_pixel) in [(2, 3), (3, 3), (4, 3), (5, 6), (6, 6), (8, 6)] {
        let mut turned = plain[..2].to_vec();
        turned.extend([0xFF, 0xE1, 0, 34]);
        turned.extend(b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0");
        turned.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);
        turned.extend(&plain[2..]);
        assert_takes(a_pixel * PIXELS, &turned, &format!("orientation {orientation}"));
    }
    let told = ImageError::TooMuchMemory { bytes: 2 << 30, max_bytes: 3 << 29 }.to_string();
    assert!(
        told.contains("takes 2 GB of memory, more than the limit of 1.5 GB")
            && told.contains("--max-decode 2049MB"),
        "{told}"
    );
}

/// A listing of a folder, of archives and of a table of the same files.
fn listings(folder: &Path) -> Vec<PathBuf> {
    let files = pictures("", &[("a", 3), ("b", 2)]);
    write(&folder.join("set"), &files);
    let entry = |(path, bytes): (&String, &Vec<u8>)| {
        tar_entry(EntryType::Regular, path, "", bytes.len() as u64, bytes)
    };
    let tar: Vec<u8> = files.iter().flat_map(entry).collect();
    fs::write(folder.join("set.tar.gz"), gzip(&tar)).unwrap();
    fs::write(folder.join("set.tar"), tar).unwrap();
    let mut zip = rawzip::ZipArchiveWriter::new(Vec::new());
    let mut table = String::from("path,label\n");
    for (path, bytes) in &files {
        let (mut entry, _) = zip.new_file(path).start().unwrap();
        std::io::Write::write_all(&mut entry, bytes).unwrap();
        let mut crc = flate2::Crc::new();
        crc.update(bytes);
        entry.finish(rawzip::DataDescriptorOutput::new(crc.sum(), bytes.len() as u64)).unwrap();
        table += &format!("set/{path},{}\n", &path[..1]);
    }
    fs::write(folder.join("set.zip"), zip.finish().unwrap()).unwrap();
    fs::write(folder.join("set.csv"), table).unwrap();
    ["set", "set.tar", "set.tar.gz", "set.zip", "set.csv"].map(|name| folder.join(name)).into()
}

fn of_most(max_pictures: usize) -> DecodeLimits {
    DecodeLimits { max_pictures, ..DecodeLimits::default() }
}

#[test]
fn a_listing_has_a_limit_that_an_option_raises() {
    let folder = tempfile::tempdir().unwrap();
    for path in listings(folder.path()) {
        let opened = Splits::open_within(&path, of_most(5)).map(|splits| splits.train.counts());
        assert_eq!(opened.unwrap(), [3, 2], "{}", path.display());
        let refused = Splits::open_within(&path, of_most(4)).unwrap_err().to_string();
        assert!(
            refused.contains("has more than 4 pictures") && refused.contains("--max-pictures"),
            "{refused}"
        );
    }
    assert_eq!(collect_readable(folder.path().join("set"), of_most(5)).unwrap().images.len(), 5);
    assert!(collect_readable(folder.path().join("set"), of_most(4)).is_err());
}

#[test]
fn links_to_folders_of_links_do_not_multiply_without_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fan.tar");
    let body = made::png([1, 2, 3], 4);
    let mut tar: Vec<u8> = (0..10)
        .flat_map(|i| tar_entry(EntryType::Regular, &format!("l0/{i}.png"), "", body.len() as u64, &body))
        .collect();
    for level in 1..30 {
        for side in ["a", "b"] {
            let (path, target) = (format!("l{level}/{side}"), format!("../l{}", level - 1));
            tar.extend(tar_entry(EntryType::Symlink, &path, &target, 0, &[]));
        }
    }
    fs::write(&path, &tar).unwrap();
    let refused = Splits::open_within(&path, of_most(1600)).unwrap_err().to_string();
    assert!(
        refused.contains("fan.tar: has links that stand for more than 100 pictures")
            && refused.contains("--max-pictures"),
        "{refused}"
    );
    // The default ends as soon.
    let began = std::time::Instant::now();
    assert!(Splits::open(&path).is_err());
    assert!(began.elapsed().as_secs() < 60);
}

#[test]
fn nothing_unpacked_is_a_limit_and_no_damage() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tar.gz");
    let body = made::png([1, 2, 3], 4);
    let tar = tar_entry(EntryType::Regular, "a/1.png", "", body.len() as u64, &body);
    fs::write(&path, gzip(&tar)).unwrap();
    let limits = DecodeLimits { max_unpacked: 0, ..DecodeLimits::default() };
    let refused = Splits::open_within(&path, limits).unwrap_err().to_string();
    assert!(refused.contains("--max-unpacked") && !refused.contains("damaged"), "{refused}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_folder_that_cannot_be_read_does_not_end_a_search() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write(root, &pictures("", &[("a", 2), ("c", 1)]));
    // A path longer than the system takes: even for the superuser it cannot be read.
    let long: PathBuf = std::iter::repeat_n("d".repeat(200), 15).collect();
    for part in ["b", "more"] {
        fs::create_dir_all(root.join(part).join(&long)).unwrap();
    }
    fs::rename(root.join("more"), root.join("b").join(&long).join("more")).unwrap();
    let found = collect_readable(root, DecodeLimits::default()).unwrap();
    assert_eq!((found.images.len(), found.unreadable.len()), (3, 1));
    assert!(
        matches!(&found.unreadable[0], ImageError::Read { path, .. } if path.starts_with(root.join("b")))
    );
    // Whoever learns is not to miss a class.
    assert!(matches!(Splits::open(root).unwrap_err(), ImageError::Read { .. }));
}
