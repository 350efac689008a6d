//! Data sets from folders and archives.
#![allow(clippy::unwrap_used, reason = "a test that fails should stop")]

mod made;
mod opened;
mod tarred;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;

use cygnet_image::{Dataset, DecodeLimits, Splits};

use made::{pictures, png, write};
use opened::{decoded, gzip, refusal};
use tarred::tar_entry;

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
        assert!(message.contains("expected a folder train with a folder for each class"), "{message}");
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
    let splits = Splits::open_any(folder.path(), DecodeLimits::default()).unwrap();
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
    assert!(refusal(&folder.path().join("unlearnt")).contains("has val and test alone"));
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
