//! Archives as some programs write them: links and other compressions in zip, holes in tar, and how much is unpacked.
#![allow(clippy::unwrap_used, reason = "a test that fails should stop")]

#[expect(dead_code, reason = "other tests take the rest")]
mod made;
mod opened;
mod tarred;

use std::fs;
use std::io::Write;

use cygnet_image::{DecodeLimits, Splits};
use rawzip::CompressionMethod;

use made::png;
use opened::{decoded, gzip, refusal};

const FILE: u32 = 0o100_644;
const LINK: u32 = 0o120_777;

/// Name, mode, method, what is inside, and that packed.
type Entry<'a> = (&'a str, u32, CompressionMethod, &'a [u8], &'a [u8]);

/// A zip archive of packed entries.
fn zip(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut archive = rawzip::ZipArchiveWriter::new(Vec::new());
    for &(name, mode, method, inside, packed) in entries {
        let file = archive.new_file(name).compression_method(method).unix_permissions(mode);
        let (mut entry, _) = file.start().unwrap();
        entry.write_all(packed).unwrap();
        let mut crc = flate2::Crc::new();
        crc.update(inside);
        entry.finish(rawzip::DataDescriptorOutput::new(crc.sum(), inside.len() as u64)).unwrap();
    }
    archive.finish().unwrap()
}

/// A whole tar entry.
fn tar_entry(kind: tar::EntryType, path: &str, body: &[u8]) -> Vec<u8> {
    tarred::tar_entry(kind, path, "", body.len() as u64, body)
}

#[test]
fn a_window_that_is_too_large_is_told_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("long.tar.zst");
    // Windows of 2 GB, as `zstd --long=31` makes, and the largest that there can be.
    for (window, told) in [(0xa8, "needs 2 GB of memory"), (0xff, "needs 3.75 TB of memory")] {
        fs::write(&path, [0x28, 0xb5, 0x2f, 0xfd, 0, window, 1, 0, 0]).unwrap();
        let error = Splits::open(&path).unwrap_err().to_string();
        assert!(error.contains(&format!("long.tar.zst: {told}")), "{error}");
        assert!(error.contains("limit of 256 MB; pack it again without --long"), "{error}");
    }
    fs::write(&path, [0x28, 0xb5, 0x2f, 0xfd, 0, 0, 7, 0, 0]).unwrap();
    let error = Splits::open(&path).unwrap_err().to_string();
    assert!(error.contains("download or copy the file again") && !error.contains('{'), "{error}");
}

#[test]
fn zip_entries_may_be_packed_by_bzip2_and_zstandard() {
    let folder = tempfile::tempdir().unwrap();
    let [ant, bee] = [[1, 2, 3], [4, 5, 6]].map(|colour| png(colour, 9));
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    encoder.write_all(&ant).unwrap();
    let by_bzip2 = encoder.finish().unwrap();
    let by_zstd = ruzstd::encoding::compress_to_vec(&bee[..], ruzstd::encoding::CompressionLevel::Fastest);
    let path = folder.path().join("a.zip");
    let entries = [
        ("ant/1.png", FILE, CompressionMethod::BZIP2, &ant[..], &by_bzip2[..]),
        ("bee/1.png", FILE, CompressionMethod::ZSTD, &bee, &by_zstd),
    ];
    fs::write(&path, zip(&entries)).unwrap();
    let read = decoded(&Splits::open(&path).unwrap().train);
    let stored = CompressionMethod::STORE;
    let plain = entries.map(|(name, mode, _, inside, _)| (name, mode, stored, inside, inside));
    fs::write(&path, zip(&plain)).unwrap();
    assert_eq!(read, decoded(&Splits::open(&path).unwrap().train));

    let damaged = [by_bzip2.clone(), by_zstd].map(|packed| packed[..packed.len() / 2].to_vec());
    let cut = [
        ("ant/1.png", FILE, CompressionMethod::BZIP2, &ant[..], &damaged[0][..]),
        ("bee/1.png", FILE, CompressionMethod::ZSTD, &bee, &damaged[1]),
    ];
    fs::write(&path, zip(&cut)).unwrap();
    for sample in Splits::open(&path).unwrap().train.samples {
        let error = sample.decode(DecodeLimits::default()).unwrap_err().to_string();
        assert!(error.contains(&format!("a.zip:{}/1.png: ", ["ant", "bee"][sample.class])), "{error}");
    }
}

#[test]
fn links_in_zip_archives_are_what_unpacking_gives() {
    let folder = tempfile::tempdir().unwrap();
    let [ant, bee] = [[1, 2, 3], [4, 5, 6]].map(|colour| png(colour, 9));
    let path = folder.path().join("a.zip");
    let file = |name, bytes| (name, FILE, CompressionMethod::STORE, bytes, bytes);
    let link = |name, target: &'static str| {
        (name, LINK, CompressionMethod::STORE, target.as_bytes(), target.as_bytes())
    };
    let entries = [
        file("ant/1.png", &ant[..]),
        file("bee/1.png", &bee),
        file("store/x.png", &bee),
        link("ant/2.png", "1.png"),
        link("ant/3.png", "../../../../etc/picture.png"),
        link("ant/4.png", "/etc/picture.png"),
        link("ant/5.png", "5.png"),
        link("bee/2.png", "../store/x.png"),
    ];
    fs::write(&path, zip(&entries)).unwrap();
    let splits = Splits::open(&path).unwrap();
    let names: Vec<&str> =
        splits.train.samples.iter().map(|sample| sample.name.rsplit_once("a.zip:").unwrap().1).collect();
    assert_eq!(names, ["ant/1.png", "ant/2.png", "bee/1.png", "bee/2.png", "store/x.png"]);
    let read = decoded(&splits.train);
    assert_eq!((&read[0], &read[2].1), (&read[1], &read[3].1));
    assert!(
        splits.notes.iter().any(|note| note.contains("3 ") && note.contains("link")),
        "{:?}",
        splits.notes
    );
}

#[test]
fn pictures_that_tar_stores_without_their_holes_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let picture = png([1, 2, 3], 4);
    let pax = |records: &[&str]| {
        let record = |text: &&str| format!("{} {text}\n", text.len() + 4);
        let records: String = records.iter().map(record).collect();
        tar_entry(tar::EntryType::XHeader, "PaxHeaders/x", records.as_bytes())
    };
    let plain = |path| tar_entry(tar::EntryType::Regular, path, &picture);
    // The formats of GNU tar: the old one, and those of POSIX archives.
    let old = [tar_entry(tar::EntryType::GNUSparse, "b/1.png", &picture)].concat();
    let first = [pax(&["GNU.sparse.size=900", "GNU.sparse.map=0,900"]), plain("b/1.png")].concat();
    let last = [
        pax(&["GNU.sparse.major=1", "GNU.sparse.name=b/1.png", "GNU.sparse.realsize=9"]),
        plain("GNUSparseFile.7/1.png"),
    ]
    .concat();
    let path = folder.path().join("holes.tar");
    for sparse in [old, first, last] {
        let bytes = [plain("a/1.png"), sparse].concat();
        for bytes in [gzip(&bytes), bytes] {
            fs::write(&path, bytes).unwrap();
            let refusal = refusal(&path);
            assert!(refusal.contains("holes.tar: b/1.png is stored as a sparse file"), "{refusal}");
        }
    }
    // Other files do not matter.
    let notes = [pax(&["GNU.sparse.major=1", "GNU.sparse.name=notes"]), plain("GNUSparseFile.7/notes")];
    let bytes = [notes.concat(), plain("a/1.png"), plain("b/1.png")].concat();
    fs::write(&path, bytes).unwrap();
    assert_eq!(Splits::open(&path).unwrap().train.classes, ["a", "b"]);
}

#[test]
fn pictures_unpack_to_as_much_as_the_caller_allows() {
    let folder = tempfile::tempdir().unwrap();
    // What stands behind a picture's end is no part of it, but kept.
    let picture = [png([1, 2, 3], 40), vec![7; 10_000]].concat();
    let entry = |path| tar_entry(tar::EntryType::Regular, path, &picture);
    let path = folder.path().join("a.tar.gz");
    fs::write(&path, gzip(&[entry("a/1.png"), entry("b/1.png")].concat())).unwrap();
    let within = |max_unpacked| {
        let limits = DecodeLimits { max_unpacked, ..DecodeLimits::default() };
        Splits::open_within(&path, limits).map(|splits| splits.train.counts())
    };
    let bytes = 2 * picture.len() as u64;
    assert_eq!(within(bytes).unwrap(), [1, 1]);
    let error = within(bytes - 1).unwrap_err().to_string();
    assert!(error.contains("a.tar.gz: has more than") && error.contains("--max-unpacked"), "{error}");
    let error = within(100).unwrap_err().to_string();
    assert!(error.contains("--max-unpacked"), "{error}");
}
