//! The formats of files that bring their graphs: which one a file is of, and what it becomes.

use std::fmt;
use std::io;
use std::path::Path;

use cygnet_weights::FileBytes;
use prost::bytes::Bytes;

use crate::ImportError;
use crate::import::imported::{Imported, Options};
use crate::import::{import_onnx, is_onnx};
use crate::ncnn::{self, is_ncnn};
use crate::tflite::{self, is_tflite};

/// Largest file that is read: the formats have no larger ones.
const MAX_BYTES: u64 = 1 << 31;

/// The format of a file that brings its graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A file of the Open Neural Network Exchange.
    Onnx,
    /// A file of TensorFlow Lite.
    Tflite,
    /// The text of a pair of ncnn's files, a .param file.
    Ncnn,
}

impl Format {
    /// The format of a file that begins with these bytes, of which 16 suffice.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Option<Format> {
        if is_ncnn(bytes) {
            Some(Format::Ncnn)
        } else if is_tflite(bytes) {
            Some(Format::Tflite)
        } else {
            is_onnx(bytes).then_some(Format::Onnx)
        }
    }
}

/// What a file of the format is called: `ONNX file`.
impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Format::Onnx => "ONNX file",
            Format::Tflite => "TFLite file",
            Format::Ncnn => "ncnn file",
        })
    }
}

/// Makes a graph of the ONNX, TFLite or ncnn file at `path`, whose further numbers may lie in other files of its folder.
///
/// # Errors
/// As [`import`]; if it cannot be read.
pub fn open(path: &Path, options: &Options) -> Result<Imported, ImportError> {
    let bytes = bytes(path, MAX_BYTES)?;
    let name = path.file_stem().map(|name| name.to_string_lossy().into_owned());
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = Some(folder.unwrap_or(Path::new(".")).to_owned());
    let options = Options { folder, name: options.name.clone().or(name), ..options.clone() };
    if is_ncnn(&bytes) {
        let beside = ncnn::numbers_of(path);
        let numbers = self::bytes(&beside, MAX_BYTES).map_err(|error| {
            let name = beside.file_name().unwrap_or_default().to_string_lossy();
            let reason = match error.kind() {
                io::ErrorKind::NotFound => "which is not beside it".into(),
                _ => format!("which cannot be read: {error}"),
            };
            ImportError::Unfit(format!("the numbers of its layers are in {name}, {reason}"))
        })?;
        return ncnn::import(&bytes, &numbers, &options);
    }
    read(&bytes, &options)
}

/// The bytes of a regular file that is not larger than `most`.
fn bytes(path: &Path, most: u64) -> io::Result<Bytes> {
    let metadata = std::fs::metadata(path)?;
    if metadata.is_dir() {
        return Err(io::Error::other("is a folder, not a file"));
    }
    if metadata.is_file() && metadata.len() > most {
        return Err(io::Error::other("is larger than 2 GB, which no file of this form can be"));
    }
    FileBytes::open(path).map(Bytes::from_owner)
}

/// Makes a graph of the bytes of an ONNX or TFLite file.
///
/// # Errors
/// What the file is instead, or all operators that no graph can hold, with the names of their nodes.
pub fn import(bytes: Vec<u8>, options: &Options) -> Result<Imported, ImportError> {
    read(&bytes.into(), options)
}

fn read(bytes: &Bytes, options: &Options) -> Result<Imported, ImportError> {
    if is_ncnn(bytes) {
        return Err(ImportError::Unfit(
            "the numbers of an ncnn file's layers are in the .bin file beside it".into(),
        ));
    }
    if is_tflite(bytes) { tflite::import(bytes, options) } else { import_onnx(bytes, options) }
}
