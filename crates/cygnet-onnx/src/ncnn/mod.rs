//! ncnn's pairs of files, told in operators of ONNX: layers in a text, their numbers in the file beside it, one layer's after
//! the other's.

mod call;
mod numbers;
mod operators;
mod text;
mod translation;

use std::path::{Path, PathBuf};

use prost::bytes::Bytes;

use crate::ImportError;
use crate::import::imported::{Imported, Options};
use crate::import::walk::{Dialect, walk};

pub use operators::ncnn_operators as operators;

/// Program of the models that are made of such files: [`Imported::producer`].
pub const PRODUCER: &str = "ncnn";

/// Largest text that is read.
pub(crate) const MAX_TEXT: usize = 64 << 20;

/// Whether bytes begin as an ncnn .param file does.
#[must_use]
pub fn is_ncnn(bytes: &[u8]) -> bool {
    let rest = bytes.strip_prefix(text::MAGIC.as_bytes());
    rest.is_some_and(|rest| rest.first().is_none_or(u8::is_ascii_whitespace))
}

/// The file with the numbers of the layers that the .param file at `path` tells of.
#[must_use]
pub(crate) fn numbers_of(path: &Path) -> PathBuf {
    path.with_extension("bin")
}

/// Makes a graph of the bytes of a .param file and of the .bin file that goes with it.
///
/// # Errors
/// As [`crate::import`].
pub fn import_ncnn(text: &[u8], numbers: &[u8], options: &Options) -> Result<Imported, ImportError> {
    import(text, &Bytes::copy_from_slice(numbers), options)
}

/// As [`import_ncnn`], of numbers that are not copied.
pub(crate) fn import(text: &[u8], numbers: &Bytes, options: &Options) -> Result<Imported, ImportError> {
    if text.len() > MAX_TEXT {
        return Err(ImportError::Limit { what: "bytes of text", limit: MAX_TEXT });
    }
    let name = options.name.as_deref().unwrap_or(PRODUCER);
    let graph = || translation::translate(text, numbers.clone(), name, &options.limits);
    let mut imported = walk(graph, &Dialect::told(numbers.len()), options)?;
    imported.producer = PRODUCER.into();
    Ok(imported)
}
