//! Data sets from folders, tables, IDX files and archives; batches of them.
#![allow(clippy::unwrap_used, reason = "a test that fails should stop")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use cygnet_image::{
    Augment, BatchRecipe, Batches, Crop, Dataset, DecodeLimits, Image, Interpolation, Mix, Photos,
    Preprocess, Rng, Sample, Splits, contradictions, duplicates, epoch_order,
};

fn threads(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count).unwrap()
}

/// The bytes of a small PNG of one colour with a dot.
fn png(colour: [u8; 3], side: usize) -> Vec<u8> {
    let mut pixels = colour.repeat(side * side);
    pixels[..3].copy_from_slice(&[255, 255, 255]);
    let mut bytes = Vec::new();
    let encoder = image::codecs::png::PngEncoder::new(&mut bytes);
    let size = side as u32;
    image::ImageEncoder::write_image(encoder, &pixels, size, size, image::ExtendedColorType::Rgb8).unwrap();
    bytes
}

/// Files by path: `counts` pictures in class folders below `root`.
fn pictures(root: &str, counts: &[(&str, usize)]) -> BTreeMap<String, Vec<u8>> {
    let class = |(number, (class, count)): (usize, &(&str, usize))| {
        let (root, class) = (root.to_owned(), (*class).to_owned());
        (0..*count).map(move |i| {
            let colour = [(40 * number) as u8, i as u8, root.len() as u8];
            (format!("{root}{class}/{i:03}.png"), png(colour, 12))
        })
    };
    counts.iter().enumerate().flat_map(class).collect()
}

fn write(folder: &Path, files: &BTreeMap<String, Vec<u8>>) {
    for (name, bytes) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

fn tar(files: &BTreeMap<String, Vec<u8>>) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, &bytes[..]).unwrap();
    }
    builder.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut writer = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(1)).unwrap();
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

/// A zip archive, every other file of which is deflated.
fn zip(files: &BTreeMap<String, Vec<u8>>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut archive = rawzip::ZipArchiveWriter::new(&mut out);
    for (number, (name, bytes)) in files.iter().enumerate() {
        let is_deflated = number % 2 == 0;
        let method =
            if is_deflated { rawzip::CompressionMethod::DEFLATE } else { rawzip::CompressionMethod::STORE };
        let (mut entry, config) = archive.new_file(name).compression_method(method).start().unwrap();
        let descriptor = if is_deflated {
            let encoder = flate2::write::DeflateEncoder::new(&mut entry, flate2::Compression::fast());
            let mut writer = config.wrap(encoder);
            writer.write_all(bytes).unwrap();
            let (encoder, descriptor) = writer.finish().unwrap();
            encoder.finish().unwrap();
            descriptor
        } else {
            let mut writer = config.wrap(&mut entry);
            writer.write_all(bytes).unwrap();
            writer.finish().unwrap().1
        };
        entry.finish(descriptor).unwrap();
    }
    archive.finish().unwrap();
    out
}

fn decoded(dataset: &Dataset) -> Vec<(usize, Image)> {
    dataset
        .samples
        .iter()
        .map(|sample| (sample.class, sample.decode(DecodeLimits::default()).unwrap()))
        .collect()
}

fn refusal(path: &Path) -> String {
    Splits::open(path).unwrap_err().to_string()
}

#[test]
fn archives_hold_what_the_folder_holds() {
    let folder = tempfile::tempdir().unwrap();
    let mut files = pictures("photos/train/", &[("ant", 3), ("bee", 2), ("cat", 4)]);
    files.extend(pictures("photos/val/", &[("ant", 1), ("cat", 1)]));
    files.extend(pictures("photos/test/", &[("bee", 2)]));
    files.insert("photos/train/ant/.hidden.png".into(), vec![1]);
    files.insert("photos/train/notes.txt".into(), b"no picture".to_vec());
    files.extend(pictures("photos/drafts/", &[("ant", 1)]));
    files.insert("photos/cover.png".into(), png([1, 1, 1], 4));
    write(folder.path(), &files);
    let of_folder = Splits::open(folder.path().join("photos")).unwrap();
    assert_eq!(of_folder.train.classes, ["ant", "bee", "cat"]);
    assert_eq!(of_folder.train.counts(), [3, 2, 4]);
    assert_eq!(of_folder.validation.as_ref().unwrap().counts(), [1, 0, 1]);
    assert_eq!(of_folder.test.as_ref().unwrap().counts(), [0, 2, 0]);

    let tar = tar(&files);
    // The first bytes tell what it is, not the name.
    for (name, bytes) in [
        ("a.tar", tar.clone()),
        ("a.tar.gz", gzip(&tar)),
        ("a.tar.xz", xz(&tar)),
        ("a.tar.bz2", bzip2(&tar)),
        (
            "a.tar.zst",
            [zstd(&tar[..4096]), b"\x50\x2a\x4d\x18\x03\0\0\0abc".to_vec(), zstd(&tar[4096..])].concat(),
        ),
        ("a.zip", zip(&files)),
        ("gzip.tar", gzip(&tar)),
        ("zip.tar", zip(&files)),
        ("tar.zip", tar.clone()),
        ("nameless", xz(&tar)),
    ] {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        let splits = Splits::open(&path).unwrap();
        assert_eq!(splits.train.classes, of_folder.train.classes, "{name}");
        assert_eq!(decoded(&splits.train), decoded(&of_folder.train), "{name}");
        for (a, b) in [(&splits.validation, &of_folder.validation), (&splits.test, &of_folder.test)] {
            assert_eq!(decoded(a.as_ref().unwrap()), decoded(b.as_ref().unwrap()), "{name}");
        }
    }
}

#[test]
fn what_does_not_begin_as_a_picture_is_not_read_from_an_archive() {
    let folder = tempfile::tempdir().unwrap();
    let mut files = pictures("", &[("a", 1), ("b", 1)]);
    files.insert("a/long.png".into(), vec![0; 2 << 20]);
    let path = folder.path().join("a.tar");
    fs::write(&path, tar(&files)).unwrap();
    let train = Splits::open(&path).unwrap().train;
    let wrong: Vec<String> = train
        .samples
        .iter()
        .filter_map(|sample| Some(sample.decode(DecodeLimits::default()).err()?.to_string()))
        .collect();
    assert!(matches!(&wrong[..], [one] if one.contains("a.tar:a/long.png: not a known image")), "{wrong:?}");
}

#[test]
fn pictures_beside_the_class_folders_of_an_archive_are_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let mut files = pictures("photos/", &[("a", 2), ("b", 2)]);
    files.insert("cover.png".into(), png([1, 1, 1], 4));
    files.insert("photos/cover.png".into(), png([1, 1, 1], 4));
    let path = folder.path().join("a.tar");
    fs::write(&path, tar(&files)).unwrap();
    let train = Splits::open(&path).unwrap().train;
    assert_eq!((train.classes.clone(), train.counts()), (vec!["a".into(), "b".into()], vec![2, 2]));
}

#[test]
fn train_may_be_a_class() {
    let folder = tempfile::tempdir().unwrap();
    let files = pictures("vehicles/", &[("plane", 2), ("test", 1), ("train", 2)]);
    write(folder.path(), &files);
    fs::write(folder.path().join("vehicles.tar"), tar(&files)).unwrap();
    for name in ["vehicles", "vehicles.tar"] {
        let train = Splits::open(folder.path().join(name)).unwrap().train;
        assert_eq!((train.classes.join(" "), train.counts()), ("plane test train".into(), vec![2, 1, 2]));
    }
}

#[test]
fn damaged_archives_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let files = pictures("", &[("a", 3), ("b", 3)]);
    let tar = tar(&files);
    for (name, bytes) in [
        ("cut.tar", tar.clone()),
        ("cut.tar.gz", gzip(&tar)),
        ("cut.tar.xz", xz(&tar)),
        ("cut.tar.bz2", bzip2(&tar)),
        ("cut.tar.zst", zstd(&tar)),
        ("cut.zip", zip(&files)),
    ] {
        let path = folder.path().join(name);
        fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        match Splits::open(&path) {
            Err(error) => assert!(error.to_string().contains(name), "{error}"),
            Ok(splits) => assert!(
                splits.train.samples.iter().any(|sample| sample.decode(DecodeLimits::default()).is_err()),
                "{name}: half an archive reads like a whole one"
            ),
        }
    }
}

/// A tar header with a right checksum, and the body filled up to whole blocks.
fn tar_entry(kind: tar::EntryType, path: &str, link: &str, claimed: u64, body: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_path(path).unwrap();
    if !link.is_empty() {
        header.set_link_name_literal(link).unwrap();
    }
    header.set_size(claimed);
    header.set_mode(0o644);
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend(body);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

#[test]
fn long_names_are_read_and_endless_ones_refused() {
    let folder = tempfile::tempdir().unwrap();
    let long = format!("{}/a", "deep".repeat(60));
    let mut files = pictures(&format!("{long}/"), &[("x", 1)]);
    files.extend(pictures(&format!("{}/b/", "deep".repeat(60)), &[("y", 1)]));
    let path = folder.path().join("long.tar");
    fs::write(&path, tar(&files)).unwrap();
    assert_eq!(Splits::open(&path).unwrap().train.classes, ["a", "b"]);

    let picture = png([1, 2, 3], 4);
    let size = picture.len() as u64;
    let pax = b"20 path=b/other.png\n";
    let bytes = [
        tar_entry(tar::EntryType::XHeader, "PaxHeaders/x", "", pax.len() as u64, pax),
        tar_entry(tar::EntryType::Regular, "short", "", size, &picture),
        tar_entry(tar::EntryType::Regular, "a/1.png", "", size, &picture),
    ];
    fs::write(&path, bytes.concat()).unwrap();
    assert_eq!(Splits::open(&path).unwrap().train.classes, ["a", "b"]);

    for kind in [
        tar::EntryType::GNULongName,
        tar::EntryType::GNULongLink,
        tar::EntryType::XHeader,
        tar::EntryType::XGlobalHeader,
    ] {
        let claim = tar_entry(kind, "long", "", 5 << 30, &[b'a'; 2000]);
        for bytes in [claim.clone(), gzip(&claim)] {
            fs::write(&path, bytes).unwrap();
            let message = refusal(&path);
            assert!(message.contains("long.tar: has a record of a name or of attributes"), "{message}");
        }
    }
}

#[test]
fn links_in_an_archive_are_what_unpacking_gives() {
    let folder = tempfile::tempdir().unwrap();
    let [red, blue] = [png([200, 0, 0], 4), png([0, 0, 200], 4)];
    let file = |path, bytes: &[u8]| tar_entry(tar::EntryType::Regular, path, "", bytes.len() as u64, bytes);
    let hard = |path, to| tar_entry(tar::EntryType::Link, path, to, 0, &[]);
    let soft = |path, to| tar_entry(tar::EntryType::Symlink, path, to, 0, &[]);
    let bytes = [
        file("red/0.png", &red),
        file("blue/0.png", &red),
        file("blue/0.png", &blue),
        file("store/.objects/abc.png", &blue),
        hard("red/1.png", "red/0.png"),
        hard("red/2.png", "./red/1.png"),
        soft("blue/1.png", "../blue/0.png"),
        soft("blue/2.png", "1.png"),
        soft("blue/lost.png", "../../etc/passwd.png"),
        soft("blue/gone.png", "nowhere.png"),
        soft("azure", "blue"),
        soft("red/up", ".."),
    ]
    .concat();
    for (name, bytes) in [("links.tar", bytes.clone()), ("links.tar.gz", gzip(&bytes))] {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        let Splits { train, notes, .. } = Splits::open(&path).unwrap();
        assert_eq!(train.classes, ["azure", "blue", "red"], "{name}");
        assert_eq!(train.counts(), [3, 3, 3], "{name}");
        for (class, image) in decoded(&train) {
            assert_eq!(image.pixels[3..6], if class == 2 { [200, 0, 0] } else { [0, 0, 200] }, "{name}");
        }
        assert!(notes[0].contains("3 links to nothing in the archive left out"), "{notes:?}");
    }
}

#[test]
fn backslashes_in_a_zip_archive_divide_folders() {
    let folder = tempfile::tempdir().unwrap();
    let files: BTreeMap<String, Vec<u8>> = pictures("set/", &[("a", 2), ("b", 1)])
        .into_iter()
        .map(|(name, bytes)| (name.replace('/', "\\"), bytes))
        .collect();
    let path = folder.path().join("windows.zip");
    fs::write(&path, zip(&files)).unwrap();
    let train = Splits::open(&path).unwrap().train;
    assert_eq!((train.classes.join(" "), train.counts()), ("a b".into(), vec![2, 1]));
    assert_eq!(decoded(&train).len(), 3);
}

#[test]
fn a_zip_entry_that_unpacks_to_more_than_it_says_is_unreadable() {
    let folder = tempfile::tempdir().unwrap();
    let mut bytes = zip(&pictures("", &[("a", 2), ("b", 1)]));
    let place = bytes.windows(4).rposition(|bytes| bytes == b"PK\x01\x02").unwrap();
    bytes[place + 24] ^= 1;
    let path = folder.path().join("odd.zip");
    fs::write(&path, &bytes).unwrap();
    let train = Splits::open(&path).unwrap().train;
    let wrong: Vec<_> =
        train.samples.iter().filter_map(|sample| sample.decode(DecodeLimits::default()).err()).collect();
    assert!(matches!(&wrong[..], [one] if one.to_string().contains("odd.zip:b/000.png")), "{wrong:?}");
}

#[test]
fn containers_that_are_not_read_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("set.tar.gz");
    for (bytes, name) in [
        (&b"7z\xbc\xaf\x27\x1c......."[..], "a 7z archive"),
        (b"Rar!\x1a\x07\x01\0.....", "a rar archive"),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    ] {
        fs::write(&path, bytes).unwrap();
        assert!(refusal(&path).contains(name), "{}", refusal(&path));
    }
    fs::write(&path, gzip(b"some text")).unwrap();
    assert!(refusal(&path).contains("not a data set"));
}

/// The classes and numbers of pictures to learn from, for validation and for the test, of a set with these files: as a
/// folder, as a plain and a compressed archive and as a zip archive, which must agree.
fn read_alike(files: &BTreeMap<String, Vec<u8>>) -> Result<(String, [usize; 3], Vec<String>), String> {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("set");
    write(&root, files);
    let tar = tar(files);
    let mut answers = Vec::new();
    let sources = [("a.tar", tar.clone()), ("a.tgz", gzip(&tar)), ("a.zip", zip(files))];
    for (name, bytes) in &sources {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    for name in ["set", "a.tar", "a.tgz", "a.zip"] {
        let count = |part: Option<Dataset>| part.map_or(0, |part| part.samples.len());
        answers.push(match Splits::open(folder.path().join(name)) {
            Ok(Splits { train, validation, test, notes, .. }) => {
                let classes = train.classes.join(" ");
                Ok((classes, [train.samples.len(), count(validation), count(test)], notes))
            }
            Err(error) => Err(error.to_string().split_once(": ").unwrap().1.to_owned()),
        });
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    answers.swap_remove(0)
}

#[test]
fn parts_are_told_by_their_names_and_classes() {
    let two = |root: &str| pictures(root, &[("a", 2), ("b", 2)]);
    for (train, other) in [
        ("seg_train", "seg_test"),
        ("seg_train/seg_train", "seg_test/seg_test"),
        ("training_set", "test_set"),
        ("Training", "Testing"),
        ("train2017", "val2017"),
        ("train", "eval"),
        ("train", "validate"),
        ("train", "dev"),
        ("train", "holdout"),
        ("train", "hold-out"),
        ("TrainingSet", "ValidationSet"),
        ("train/images", "val/images"),
        ("pets-train", "pets-valid"),
        ("x_train", "y_test"),
        ("data/deep/train", "data/deep/test"),
    ] {
        let mut files = two(&format!("{train}/"));
        files.extend(pictures(&format!("{other}/"), &[("a", 1), ("b", 1)]));
        let (classes, counts, _) = read_alike(&files).unwrap();
        assert_eq!((classes.as_str(), counts), ("a b", [4, 2, 0]), "{train} {other}");
    }
    let mut files = two("train/");
    files.extend(two("eval/"));
    files.extend(pictures("test/", &[("a", 1)]));
    assert_eq!(read_alike(&files).unwrap().1, [4, 4, 1]);
    // Every class divided by itself.
    let mut files = BTreeMap::new();
    for class in ["ants", "bees"] {
        files.extend(pictures(&format!("set/{class}/"), &[("train", 3), ("test", 1)]));
    }
    let (classes, counts, _) = read_alike(&files).unwrap();
    assert_eq!((classes.as_str(), counts), ("ants bees", [6, 2, 0]));
}

#[test]
fn what_is_left_out_is_told() {
    let mut files = pictures("train/", &[("a", 2), ("b", 2)]);
    files.extend(pictures("", &[("test", 3)]));
    files.extend(pictures("drafts/", &[("a", 5)]));
    let (_, counts, notes) = read_alike(&files).unwrap();
    assert_eq!(counts, [4, 0, 0]);
    assert!(notes.iter().any(|note| note.contains("drafts: its 5 pictures left out")), "{notes:?}");
    assert!(
        notes.iter().any(|note| note.contains("3 pictures of the parts in no class folder")),
        "{notes:?}"
    );
    let mut files = pictures("__MACOSX/", &[("a", 1)]);
    files.extend(pictures("", &[("a", 2), ("b", 2)]));
    let (classes, counts, notes) = read_alike(&files).unwrap();
    assert_eq!((classes.as_str(), counts, notes), ("a b", [4, 0, 0], vec![]));
}

#[test]
fn parts_without_classes_are_never_learnt_as_classes() {
    for (train, other) in [("train2017", "val2017"), ("seg_train", "seg_test"), ("train", "test")] {
        let message = read_alike(&pictures("", &[(train, 3), (other, 2)])).unwrap_err();
        assert!(message.contains("no folder train with class folders"), "{message}");
    }
    // Two kinds of things, each by place: two folders to learn may be meant.
    let mut files = pictures("fold1/", &[("a", 1), ("b", 1)]);
    files.extend(pictures("fold2/", &[("a", 1), ("b", 1)]));
    let (classes, _, notes) = read_alike(&files).unwrap();
    assert_eq!(classes, "fold1 fold2");
    assert!(notes[0].contains("each has folders a, b inside"), "{notes:?}");
}

#[test]
fn what_has_classes_that_train_lacks_is_opened_to_evaluate() {
    let folder = tempfile::tempdir().unwrap();
    let mut files = pictures("train/", &[("a", 2), ("b", 2)]);
    files.extend(pictures("test/", &[("a", 1), ("c", 1)]));
    write(folder.path(), &files);
    assert!(refusal(folder.path()).contains("class c has pictures for validation but none"));
    let splits = Splits::open_any(folder.path()).unwrap();
    assert_eq!(splits.test.unwrap().counts(), [1, 0, 1]);
}

#[test]
fn only_test_beside_train_serves_as_validation() {
    let folder = tempfile::tempdir().unwrap();
    let mut files = pictures("train/", &[("a", 2), ("b", 2)]);
    files.extend(pictures("test/", &[("a", 1), ("b", 1)]));
    write(folder.path(), &files);
    let splits = Splits::open(folder.path()).unwrap();
    assert_eq!(splits.validation.unwrap().samples.len(), 2);
    assert!(splits.test.is_none());
}

#[test]
fn tables_are_read_with_and_without_headings() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &pictures("", &[("x", 4)]));
    let with = "split,Label,path\ntrain,red,x/000.png\ntrain,\"blue, dark\",x/001.png\nval,red,x/002.png\n";
    fs::write(folder.path().join("with.csv"), with).unwrap();
    let splits = Splits::open(folder.path().join("with.csv")).unwrap();
    assert_eq!(splits.train.classes, ["blue, dark", "red"]);
    assert_eq!((splits.train.samples.len(), splits.validation.unwrap().samples.len()), (2, 1));
    fs::write(folder.path().join("without.tsv"), "x/000.png\t10\nx/001.png\t9\n").unwrap();
    let splits = Splits::open(folder.path().join("without.tsv")).unwrap();
    assert_eq!(splits.train.classes, ["9", "10"], "numbers are sorted as numbers");
    assert_eq!(decoded(&splits.train).len(), 2);
    for text in ["\u{feff}path;label\r\nx/000.png;a, b\r\nx/001.png;c\r\n", "x/000.png;c\nx/001.png;a, b\n"] {
        fs::write(folder.path().join("semicolons.csv"), text).unwrap();
        let splits = Splits::open(folder.path().join("semicolons.csv")).unwrap();
        assert_eq!((splits.train.classes, splits.train.samples.len()), (vec!["a, b".into(), "c".into()], 2));
    }

    fs::write(folder.path().join("bad.csv"), "x/000.png,a\nx/001.png\n").unwrap();
    assert!(refusal(&folder.path().join("bad.csv")).contains("bad.csv: line 2 has no label"));
    for (headings, reason) in [
        ("path,breed", "a column of paths but none called label"),
        ("img,label", "a column of labels but none called path"),
        ("img,breed", "neither the headings path and label nor the path of a file"),
    ] {
        fs::write(folder.path().join("other.csv"), format!("{headings}\nx/000.png,a\n")).unwrap();
        assert!(refusal(&folder.path().join("other.csv")).contains(reason));
    }
    fs::write(folder.path().join("part.csv"), "x/000.png,a,trian\n").unwrap();
    assert!(refusal(&folder.path().join("part.csv")).contains("trian is no split"));
}

#[test]
fn tables_of_windows_are_read() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &pictures("deep/", &[("x", 3)]));
    let path = folder.path().join("table.csv");
    let text = "path,label\r\ndeep\\x\\000.png,Käfer\r\ndeep\\x\\001.png,ant\r\n";
    let utf16 = |unit: fn(u16) -> [u8; 2]| format!("\u{feff}{text}").encode_utf16().flat_map(unit).collect();
    for bytes in [text.as_bytes().to_vec(), utf16(u16::to_le_bytes), utf16(u16::to_be_bytes)] {
        fs::write(&path, bytes).unwrap();
        let train = Splits::open(&path).unwrap().train;
        assert_eq!(train.classes, ["Käfer", "ant"]);
        assert_eq!(decoded(&train).len(), 2);
    }
    let headless = text.split_once('\n').unwrap().1;
    fs::write(&path, headless).unwrap();
    assert_eq!(decoded(&Splits::open(&path).unwrap().train).len(), 2);
    let latin1: Vec<u8> = text.chars().map(|c| c as u8).collect();
    fs::write(&path, latin1).unwrap();
    assert!(refusal(&path).contains("line 2 is not UTF-8, perhaps Latin-1"), "{}", refusal(&path));
    fs::write(&path, &text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>()).unwrap();
    assert!(refusal(&path).contains("table.csv: "), "{}", refusal(&path));
}

fn idx(shape: &[u32], bytes: &[u8]) -> Vec<u8> {
    let mut file = vec![0, 0, 8, shape.len() as u8];
    shape.iter().for_each(|size| file.extend(size.to_be_bytes()));
    file.extend(bytes);
    file
}

#[test]
fn idx_files_are_read_plain_and_gzipped() {
    let folder = tempfile::tempdir().unwrap();
    let pixels: Vec<u8> = (0..3 * 2 * 4).collect();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("train-images-idx3-ubyte.gz"), gzip(&idx(&[3, 2, 4], &pixels))).unwrap();
    fs::write(at("train-labels-idx1-ubyte.gz"), gzip(&idx(&[3], &[7, 0, 7]))).unwrap();
    fs::write(at("t10k-images-idx3-ubyte"), idx(&[1, 2, 4], &pixels[8..16])).unwrap();
    fs::write(at("t10k-labels-idx1-ubyte"), idx(&[1], &[7])).unwrap();
    let splits = Splits::open(folder.path()).unwrap();
    assert_eq!(splits.train.classes, ["0", "7"]);
    let train = decoded(&splits.train);
    assert_eq!(train.iter().map(|(class, _)| *class).collect::<Vec<_>>(), [0, 1, 1]);
    assert_eq!((train[0].1.width, train[0].1.height), (4, 2));
    assert_eq!(train[0].1.pixels[..6], [8, 8, 8, 9, 9, 9]);
    assert_eq!(decoded(splits.validation.as_ref().unwrap())[0], (1, train[0].1.clone()));

    fs::write(at("t10k-labels-idx1-ubyte"), idx(&[2], &[7, 7])).unwrap();
    assert!(refusal(folder.path()).contains("t10k-labels-idx1-ubyte: 2 labels for 1 pictures"));
    fs::write(at("t10k-images-idx3-ubyte"), idx(&[1, 2, 4], &pixels[9..16])).unwrap();
    assert!(refusal(folder.path()).contains("fewer bytes"));
    fs::write(at("t10k-images-idx3-ubyte"), idx(&[u32::MAX, u32::MAX, 4], &[])).unwrap();
    assert!(refusal(folder.path()).contains("more than"));

    let other = tempfile::tempdir().unwrap();
    for (part, count) in [("train", 3), ("test", 1)] {
        let at = |kind: &str| other.path().join(format!("emnist-letters-{part}-{kind}-ubyte"));
        fs::write(at("images-idx3"), idx(&[count, 2, 4], &pixels[..8 * count as usize])).unwrap();
        fs::write(at("labels-idx1"), idx(&[count], &[7, 0, 7][..count as usize])).unwrap();
    }
    let splits = Splits::open(other.path()).unwrap();
    assert_eq!((splits.train.samples.len(), splits.validation.unwrap().samples.len()), (3, 1));
}

#[test]
fn what_cannot_be_learnt_from_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    assert!(refusal(&folder.path().join("nowhere")).contains("nowhere"));
    assert!(refusal(folder.path()).contains("no class folders inside"));
    fs::write(folder.path().join("data.bin"), [1]).unwrap();
    assert!(refusal(&folder.path().join("data.bin")).contains("not a data set"));
    write(folder.path(), &pictures("", &[("only", 2)]));
    assert!(refusal(folder.path()).contains("only one class, only"));
    fs::create_dir(folder.path().join("void")).unwrap();
    assert!(refusal(folder.path()).contains("class void has no picture"));
    let mut files = pictures("parted/train/", &[("a", 2), ("b", 2)]);
    files.extend(pictures("parted/val/", &[("c", 1)]));
    write(folder.path(), &files);
    assert!(refusal(&folder.path().join("parted")).contains("class c has pictures for validation but none"));
    let mut files = pictures("unlearnt/test/", &[("a", 1), ("b", 1)]);
    files.extend(pictures("unlearnt/val/", &[("a", 1), ("b", 1)]));
    write(folder.path(), &files);
    assert!(refusal(&folder.path().join("unlearnt")).contains("has val and test but no folder train"));
}

#[test]
fn a_split_takes_its_share_of_every_class_and_follows_its_seed() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &pictures("", &[("a", 20), ("b", 10), ("c", 2), ("d", 1)]));
    let whole = Splits::open(folder.path()).unwrap().train;
    let names =
        |dataset: &Dataset| dataset.samples.iter().map(|sample| sample.name.clone()).collect::<Vec<_>>();
    let (train, validation) = whole.clone().split(0.2, 5);
    assert_eq!((train.counts(), validation.counts()), (vec![16, 8, 1, 1], vec![4, 2, 1, 0]));
    assert_eq!(names(&validation), names(&whole.clone().split(0.2, 5).1));
    assert_ne!(names(&validation), names(&whole.clone().split(0.2, 6).1));
    let mut all = [names(&train), names(&validation)].concat();
    all.sort();
    assert_eq!(all, names(&whole));
    let weights = whole.balanced_weights();
    assert_eq!(weights, [33.0 / 80.0, 33.0 / 40.0, 33.0 / 8.0, 33.0 / 4.0]);
}

#[test]
fn a_survey_finds_unreadable_files_and_pictures_that_are_in_both_parts() {
    let folder = tempfile::tempdir().unwrap();
    let mut files = pictures("train/", &[("a", 3), ("b", 3)]);
    files.insert("train/a/broken.png".into(), b"\x89PNG\r\n\x1a\nbroken".to_vec());
    files.insert("val/a/copy.png".into(), files["train/b/001.png"].clone());
    files.insert("val/b/other.png".into(), png([9, 9, 9], 5));
    write(folder.path(), &files);
    let splits = Splits::open(folder.path()).unwrap();
    let train = Photos::new(splits.train.samples, None, 1 << 20);
    let validation = Photos::new(splits.validation.unwrap().samples, None, 0);
    let (survey, other) = (train.survey(threads(3), |_| ()), validation.survey(threads(1), |_| ()));
    let unreadable: Vec<_> = survey.unreadable.iter().map(|(index, _)| *index).collect();
    assert!(train.samples()[unreadable[0]].name.ends_with("broken.png"));
    assert!(survey.unreadable[0].1.to_string().contains("broken.png"));
    let pairs = duplicates((&train, &survey), (&validation, &other)).unwrap();
    assert_eq!(pairs.len(), 1);
    assert!(train.samples()[pairs[0].0].name.ends_with("001.png"));
    assert!(validation.samples()[pairs[0].1].name.ends_with("copy.png"));
    assert!(contradictions(&train, &survey).unwrap().is_empty());
    let train = train.without(&unreadable);
    assert_eq!(train.samples().len(), 6);
    assert!(train.survey(threads(2), |_| ()).unreadable.is_empty());
}

#[test]
fn one_picture_under_two_labels_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let mut files = pictures("", &[("a", 3), ("b", 3)]);
    files.insert("b/copy.png".into(), files["a/001.png"].clone());
    files.insert("b/same.png".into(), files["b/001.png"].clone());
    write(folder.path(), &files);
    let photos = Photos::new(Splits::open(folder.path()).unwrap().train.samples, None, 0);
    let pairs = contradictions(&photos, &photos.survey(threads(2), |_| ())).unwrap();
    let name = |index: usize| &photos.samples()[index].name;
    assert!(matches!(pairs[..], [(a, b)] if name(a).ends_with("001.png") && name(b).ends_with("copy.png")));
}

#[cfg(unix)]
#[test]
fn what_is_no_file_is_unreadable() {
    for path in ["/dev/zero", "/dev"] {
        let photos = Photos::new(vec![Sample::file(path.into(), 0)], None, 0);
        let survey = photos.survey(threads(1), |_| ());
        assert!(survey.unreadable[0].1.to_string().contains("is not a file"), "{:?}", survey.unreadable);
    }
}

#[test]
fn large_photos_are_kept_reduced_whether_memory_suffices_or_not() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("a")).unwrap();
    fs::create_dir_all(folder.path().join("b")).unwrap();
    fs::write(folder.path().join("a/1.png"), png([1, 2, 3], 50)).unwrap();
    fs::write(folder.path().join("b/1.png"), png([4, 5, 6], 10)).unwrap();
    let samples = Splits::open(folder.path()).unwrap().train.samples;
    for budget in [0, u64::MAX] {
        let photos = Photos::new(samples.clone(), Some(20), budget);
        let sides = |index| photos.get(index).map(|image| (image.width, image.height)).unwrap();
        assert_eq!([sides(0), sides(1), sides(0)], [(20, 20), (10, 10), (20, 20)]);
    }
}

/// A recipe that uses every change there is.
fn recipe(folder: &Path, budget: u64) -> BatchRecipe {
    write(folder, &pictures("", &[("a", 9), ("b", 14)]));
    let samples = Splits::open(folder).unwrap().train.samples;
    BatchRecipe {
        photos: Arc::new(Photos::new(samples, None, budget)),
        classes: 2,
        preprocess: Preprocess::imagenet(10, 0.875, Interpolation::Bilinear),
        augment: Augment {
            crop: Crop::Resized,
            flip: 0.5,
            vertical_flip: 0.5,
            rotation: 20.0,
            brightness: 0.4,
            contrast: 0.4,
            saturation: 0.4,
            hue: 0.1,
            rand_augment: 2,
            erase: 0.5,
            ..Augment::default()
        },
        mix: Mix { mixup: 0.2, cutmix: 1.0, label_smoothing: 0.1 },
        finish: None,
        seed: 11,
    }
}

#[test]
fn batches_do_not_depend_on_threads_memory_or_where_they_begin() {
    let folder = tempfile::tempdir().unwrap();
    let all = |budget, epoch, first, count| {
        let recipe = recipe(folder.path(), budget);
        let labels: Vec<usize> = recipe.photos.samples().iter().map(|sample| sample.class).collect();
        let order = epoch_order(&labels, 2, false, 11, epoch);
        let batches = Batches::new(Arc::new(recipe), epoch, order, 4, first, threads(count));
        batches.map(|batch| batch.unwrap()).collect::<Vec<_>>()
    };
    let expected = all(0, 0, 0, 1);
    assert_eq!(expected.len(), 5, "23 pictures make 5 whole batches of 4");
    assert_eq!(all(1 << 20, 0, 0, 2), expected);
    assert_eq!(all(700, 0, 0, 5), expected);
    assert_eq!(all(0, 0, 3, 2), expected[3..]);
    assert_ne!(all(0, 1, 0, 1)[0].images, expected[0].images);
    for batch in &expected {
        assert!(batch.images.iter().all(|value| value.is_finite()));
        for row in batch.targets.chunks(2) {
            assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-6, "{row:?}");
        }
    }
}

#[test]
fn an_unreadable_picture_ends_the_epoch_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = recipe(folder.path(), 0);
    fs::remove_file(folder.path().join("b/003.png")).unwrap();
    let order = (0..recipe.photos.samples().len()).collect();
    let results: Vec<_> = Batches::new(Arc::new(recipe), 0, order, 4, 0, threads(2)).collect();
    assert!(results[3].as_ref().unwrap_err().to_string().contains("003.png"));
    assert!(results[4].is_ok());
}

#[test]
fn dropping_an_epoch_ends_its_threads() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = Arc::new(recipe(folder.path(), 0));
    let order = (0..23).cycle().take(2300).collect();
    let mut batches = Batches::new(Arc::clone(&recipe), 0, order, 4, 0, threads(3));
    assert!(batches.next().unwrap().is_ok());
    drop(batches);
    assert_eq!(Arc::strong_count(&recipe), 1);
}

#[test]
fn balanced_epochs_draw_each_class_equally_often() {
    let labels: Vec<usize> = [vec![0; 90], vec![1; 10], vec![3; 20]].concat();
    let order = epoch_order(&labels, 4, true, 1, 0);
    let mut counts = [0; 4];
    order.iter().for_each(|&index| counts[labels[index]] += 1);
    assert_eq!(counts, [40, 40, 0, 40]);
    let mut seen = order.clone();
    seen.retain(|&index| labels[index] == 1);
    seen.sort_unstable();
    assert_eq!(seen, (90..100).flat_map(|index| [index; 4]).collect::<Vec<_>>());
    let plain = epoch_order(&labels, 4, false, 1, 0);
    assert_ne!(plain, epoch_order(&labels, 4, false, 1, 1));
    let mut sorted = plain;
    sorted.sort_unstable();
    assert_eq!(sorted, (0..120).collect::<Vec<_>>());
}

#[test]
fn without_changes_a_training_picture_is_the_evaluated_one() {
    let image = Image::from_rgb(30, 20, (0..1800).map(|i| (i % 251) as u8).collect()).unwrap();
    let preprocess = Preprocess::imagenet(16, 0.875, Interpolation::Bilinear);
    let changed = Augment::default().apply(&image, &preprocess, &mut Rng::new(1)).unwrap();
    assert_eq!(changed, preprocess.fit(&image).unwrap());
}

#[test]
fn resized_crops_have_the_asked_share_of_the_area() {
    // Each pixel's red and green tell its place, so the window can be read off the corners of the crop.
    let pixels = (0..200 * 200).flat_map(|i| [(i % 200) as u8, (i / 200) as u8, 0]).collect();
    let image = Image::from_rgb(200, 200, pixels).unwrap();
    let preprocess = Preprocess::imagenet(50, 1.0, Interpolation::Nearest);
    let augment = Augment { crop: Crop::Resized, crop_scale: [0.1, 0.5], ..Augment::default() };
    let mut shares = Vec::new();
    for seed in 0..200 {
        let crop = augment.apply(&image, &preprocess, &mut Rng::new(seed)).unwrap();
        let (first, last) = (&crop.pixels[..3], &crop.pixels[crop.pixels.len() - 3..]);
        let side = |channel: usize| f64::from(last[channel] - first[channel]) * 50.0 / 49.0;
        shares.push(side(0) * side(1) / 40_000.0);
        assert!((0.7..1.45).contains(&(side(0) / side(1))), "{first:?} {last:?}");
    }
    let (least, most) =
        (shares.iter().copied().fold(1.0, f64::min), shares.iter().copied().fold(0.0, f64::max));
    assert!((0.085..0.13).contains(&least) && (0.45..0.53).contains(&most), "{least} {most}");
}

#[test]
fn erased_windows_have_the_asked_share_and_probability() {
    let augment = Augment { erase: 0.25, erase_scale: [0.1, 0.2], ..Augment::default() };
    let mut hits = 0;
    for seed in 0..400 {
        let mut tensor = vec![1.0; 2 * 40 * 40];
        augment.erase(&mut tensor, [2, 40, 40], &mut Rng::new(seed));
        let zeros = tensor.iter().filter(|&&value| value == 0.0).count() as f64 / 3200.0;
        hits += usize::from(zeros > 0.0);
        assert!(zeros == 0.0 || (0.085..0.22).contains(&zeros), "{zeros}");
    }
    assert!((70..130).contains(&hits), "{hits}");
}

#[test]
fn mixed_targets_follow_the_mixed_pixels() {
    for (mix, whole) in
        [(Mix { mixup: 1.0, ..Mix::default() }, false), (Mix { cutmix: 1.0, ..Mix::default() }, true)]
    {
        for seed in 0..50 {
            // Every pixel is the number of its class, so the mean tells how much of each class there is.
            let labels = [0, 1, 2, 3];
            let mut images: Vec<f32> =
                labels.iter().flat_map(|&class| vec![class as f32; 3 * 8 * 8]).collect();
            let mut targets = vec![0.0; 16];
            mix.apply(&mut images, [8, 8], &labels, &mut targets, &mut Rng::new(seed));
            for (image, target) in images.chunks(192).zip(targets.chunks(4)) {
                let mean = image.iter().sum::<f32>() / 192.0;
                let expected: f32 =
                    target.iter().enumerate().map(|(class, share)| class as f32 * share).sum();
                assert!((mean - expected).abs() < 1e-4, "{mean} {expected}");
                assert!(!whole || image.iter().all(|value| value.fract() == 0.0), "cutmix mixes no pixels");
            }
        }
    }
}

#[test]
fn smoothed_labels_are_spread_evenly() {
    let mix = Mix { label_smoothing: 0.2, ..Mix::default() };
    let mut targets = vec![0.0; 8];
    mix.apply(&mut [0.0; 2], [1, 1], &[2, 0], &mut targets, &mut Rng::new(0));
    for (target, expected) in targets.iter().zip([0.05, 0.05, 0.85, 0.05, 0.85, 0.05, 0.05, 0.05]) {
        assert!((target - expected).abs() < 1e-6, "{targets:?}");
    }
}

#[test]
fn settings_out_of_range_are_named() {
    let refusal = |augment: Augment| augment.check().unwrap_err().to_string();
    assert!(refusal(Augment { flip: 1.5, ..Augment::default() }).contains("flip: 1.5"));
    assert!(refusal(Augment { crop_scale: [0.0, 1.0], ..Augment::default() }).contains("crop_scale"));
    assert!(refusal(Augment { brightness: f64::NAN, ..Augment::default() }).contains("brightness"));
    assert!(refusal(Augment { magnitude: 31, ..Augment::default() }).contains("magnitude"));
    assert!(Augment::default().check().is_ok());
}

#[test]
fn cifar_10_is_read_from_its_archive() {
    let Some(path) = cygnet_testing::shared("data/cifar10-jpeg.tar.xz") else { return };
    let splits = Splits::open(path).unwrap();
    assert_eq!(splits.train.counts(), [5000; 10]);
    assert_eq!(splits.validation.as_ref().unwrap().counts(), [1000; 10]);
    assert_eq!(splits.train.classes[0], "airplane");
    let image = splits.train.samples[49_999].decode(DecodeLimits::default()).unwrap();
    assert_eq!((image.width, image.height), (32, 32));
}
