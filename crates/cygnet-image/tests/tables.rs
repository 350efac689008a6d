//! Data sets from tables and IDX files.
#![allow(clippy::unwrap_used, reason = "a test that fails should stop")]

mod made;
mod opened;

use std::fs;

use cygnet_image::Splits;

use made::{pictures, write};
use opened::{decoded, gzip, refusal};

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
        ("path,breed", "has no column of labels: of its headings (path, breed) none is label, class"),
        ("img,label", "has no column of paths: of its headings (img, label) none is path, file"),
        (
            "img,breed",
            "begins with img, which is neither a file, seen from the table's folder, nor a heading",
        ),
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
    fs::write(&path, text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>()).unwrap();
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
