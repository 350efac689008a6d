//! The formats of files that bring their graphs: which one a file is of, and what it becomes.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use crate::import::imported::{Imported, Options};
use crate::import::import_onnx;
use crate::{ImportError, ncnn, scan, tflite};

/// Largest file that is read: the form has no larger ones.
const MAX_BYTES: u64 = 1 << 31;
/// Largest text of layers that is read, which has a line for each.
const MAX_TEXT_BYTES: u64 = 64 << 20;

/// Makes a graph of the ONNX file at `path`, whose further numbers may lie in other files of its folder.
///
/// # Errors
/// As [`import`]; if it cannot be read.
pub fn open(path: &Path, options: &Options) -> Result<Imported, ImportError> {
    let metadata = std::fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(std::io::Error::other("is not a file").into());
    }
    if metadata.len() > MAX_BYTES {
        return Err(std::io::Error::other("is larger than 2 GB, which no file of this form can be").into());
    }
    // What is no such file is not read to its end.
    let mut file = BufReader::new(File::open(path)?);
    let first = file.fill_buf()?;
    if ncnn::is_ncnn(first) {
        if metadata.len() > MAX_TEXT_BYTES {
            return Err(std::io::Error::other("is longer than any list of layers").into());
        }
        return open_ncnn(path, &std::fs::read(path)?, options);
    }
    if !tflite::is_tflite(first) {
        scan::scan(&mut file, metadata.len())?;
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = Some(folder.unwrap_or(Path::new(".")).to_owned());
    import(std::fs::read(path)?, &Options { folder, ..options.clone() })
}

/// Makes a graph of an ncnn .param file, whose numbers lie beside it.
fn open_ncnn(path: &Path, text: &[u8], options: &Options) -> Result<Imported, ImportError> {
    let beside = ncnn::numbers_of(path);
    let metadata = std::fs::metadata(&beside).ok().filter(|metadata| metadata.is_file());
    let Some(metadata) = metadata else {
        let name = beside.file_name().unwrap_or_default().to_string_lossy();
        return Err(ImportError::Unfit(format!(
            "the numbers of its layers are in {name}, which is not beside it"
        )));
    };
    if metadata.len() > MAX_BYTES {
        return Err(std::io::Error::other("its numbers take more than 2 GB").into());
    }
    ncnn::import_ncnn(text, &std::fs::read(&beside)?, options)
}

/// Makes a graph of the bytes of an ONNX or TFLite file.
///
/// # Errors
/// What the file is instead, or all operators that no graph can hold, with the names of their nodes.
pub fn import(bytes: Vec<u8>, options: &Options) -> Result<Imported, ImportError> {
    if ncnn::is_ncnn(&bytes) {
        return Err(ImportError::Unfit(
            "the numbers of an ncnn file's layers are in the .bin file beside it".into(),
        ));
    }
    if tflite::is_tflite(&bytes) {
        return tflite::import(&bytes, options);
    }
    import_onnx(bytes, options)
}
