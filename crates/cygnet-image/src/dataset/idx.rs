//! IDX files of unsigned bytes, the format of MNIST and its successors (LeCun, Cortes and Burges), plain or gzipped.

use std::cmp::Ordering;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::container::{self, Contents, Kind};
use super::part::Part;
use super::sample::Source;
use super::structure::Found;
use crate::decode::DecodeLimits;
use crate::error::{ImageError, Result};

pub(super) fn is_images(name: &str) -> bool {
    let name = name.strip_suffix(".gz").unwrap_or(name);
    name.ends_with("idx3-ubyte") || name.ends_with(".idx3") || name.ends_with(".idx")
}

/// The pictures of a folder with IDX files: those with `t10k` or `test` in their names for validation, the others to learn from.
pub(super) fn in_folder(path: &Path, limits: DecodeLimits) -> Result<Option<Found>> {
    let read = |source| ImageError::Read { path: path.to_owned(), source };
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(path).map_err(read)? {
        let entry = entry.map_err(read)?.path();
        if is_images(&entry.file_name().unwrap_or_default().to_string_lossy().to_lowercase()) {
            files.push(entry);
        }
    }
    files.sort();
    // Where a file lies there both plain and gzipped, one is enough.
    files.dedup_by(|a, b| a.with_extension("") == *b || a.to_string_lossy() == format!("{}.gz", b.display()));
    let mut found = Found::default();
    for file in &files {
        add(file, limits, &mut found)?;
    }
    Ok((!files.is_empty()).then_some(found))
}

/// The pictures of one file.
pub(super) fn of_file(path: &Path, limits: DecodeLimits) -> Result<Found> {
    let mut found = Found::default();
    add(path, limits, &mut found)?;
    for picture in &mut found.pictures {
        picture.part = Part::Train;
    }
    Ok(found)
}

fn add(path: &Path, limits: DecodeLimits, found: &mut Found) -> Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let labels = ["", ".gz"].into_iter().find_map(|suffix| {
        let plain =
            name.strip_suffix(".gz").unwrap_or(&name).replace("images", "labels").replace("idx3", "idx1");
        let labels = path.with_file_name(plain + suffix);
        (labels != path && labels.is_file()).then_some(labels)
    });
    let Some(labels) = labels else {
        let reason = "no file of labels beside it; its name has labels for images and idx1 for idx3".into();
        return Err(ImageError::Dataset { path: path.to_owned(), reason });
    };
    let (shape, pixels) = read(path, 3, limits)?;
    let (label_shape, label_bytes) = read(&labels, 1, limits)?;
    if shape[0] != label_shape[0] {
        let reason = format!("{} labels for {} pictures", label_shape[0], shape[0]);
        return Err(ImageError::Dataset { path: labels, reason });
    }
    let lower = name.to_lowercase();
    let part = if lower.contains("t10k") || lower.contains("test") { Part::Validation } else { Part::Train };
    if found.pictures.len().saturating_add(label_bytes.len()) > limits.max_pictures {
        return Err(ImageError::Dataset { path: path.to_owned(), reason: limits.too_many_pictures() });
    }
    let (bytes, height, width) = (Arc::new(pixels), shape[1], shape[2]);
    for (index, label) in label_bytes.iter().enumerate() {
        let source =
            Source::Grey { bytes: Arc::clone(&bytes), offset: index * width * height, width, height };
        found.add(part, &label.to_string(), format!("{} #{index}", path.display()), source);
    }
    Ok(())
}

/// Sizes and elements.
fn read(path: &Path, dimensions: usize, limits: DecodeLimits) -> Result<(Vec<usize>, Vec<u8>)> {
    let failed = |source| ImageError::Read { path: path.to_owned(), source };
    let wrong = |reason: String| ImageError::Dataset { path: path.to_owned(), reason };
    let Contents { kind, is_compressed, mut reader } = container::open(path, limits)?;
    if kind != Kind::Idx {
        return Err(wrong("not an IDX file of unsigned bytes".into()));
    }
    let mut header = vec![0; 4 + 4 * dimensions];
    reader.read_exact(&mut header).map_err(|_| wrong("too short for an IDX file".into()))?;
    if header[..4] != [0, 0, 8, dimensions as u8] {
        let what = "not an IDX file of unsigned bytes in";
        return Err(wrong(format!(
            "{what} {dimensions} dimension{}",
            if dimensions == 1 { "" } else { "s" }
        )));
    }
    let shape: Vec<usize> =
        header[4..].as_chunks().0.iter().map(|size| u32::from_be_bytes(*size) as usize).collect();
    let length = shape.iter().try_fold(1usize, |product, &size| product.checked_mul(size));
    let most = limits.max_unpacked;
    let Some(length) = length.filter(|&length| length as u64 <= most) else {
        return Err(wrong(format!("{shape:?} is more than {most} bytes; --max-unpacked raises the limit")));
    };
    if length == 0 {
        return Err(wrong(format!("{shape:?} holds no picture")));
    }
    let check = |bytes: u64| {
        let than = match bytes.cmp(&(length as u64)) {
            Ordering::Less => "fewer",
            Ordering::Equal => return Ok(()),
            Ordering::Greater => "more",
        };
        Err(wrong(format!("has {than} bytes than its sizes {shape:?} promise")))
    };
    if !is_compressed {
        let whole = fs::metadata(path).map_err(failed)?.len();
        check(whole.saturating_sub(header.len() as u64))?;
    }
    let mut bytes = Vec::new();
    reader.take(length as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    check(bytes.len() as u64)?;
    Ok((shape, bytes))
}
