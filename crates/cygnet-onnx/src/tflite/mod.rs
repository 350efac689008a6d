//! TFLite files, told in operators of ONNX: what these become is known by the rules for them.
//!
//! A file has one input and one list of operators over tensors whose channels come last. Each operator becomes nodes between
//! transpositions, which move nothing when they are imported. Tensors of bytes get a pair of QuantizeLinear and
//! DequantizeLinear, so that they become values on grids.

mod call;
mod operators;
mod reader;
mod tensors;
mod translation;

use std::collections::BTreeMap;

pub use operators::tflite_operators as operators;
use prost::bytes::Bytes;

use crate::ImportError;
use crate::import::imported::{Imported, Options};
use crate::import::walk::{Dialect, walk};

/// Where a file's name for its form stands.
const IDENTIFIER: std::ops::Range<usize> = 4..8;

/// Program of the models that are made of such files: [`Imported::producer`].
pub const PRODUCER: &str = "tflite";

/// Whether bytes begin as a TFLite file does.
#[must_use]
pub fn is_tflite(bytes: &[u8]) -> bool {
    bytes.get(IDENTIFIER) == Some(b"TFL3")
}

/// Makes a graph of the bytes of a TFLite file.
///
/// # Errors
/// As [`crate::import`].
pub(crate) fn import(bytes: &Bytes, options: &Options) -> Result<Imported, ImportError> {
    let name = options.name.as_deref().unwrap_or(PRODUCER);
    let graph = || translation::translate(bytes, name, &options.limits);
    let mut imported = walk(graph, &Dialect::told(bytes.len()), options)?;
    imported.producer = PRODUCER.into();
    imported.metadata = BTreeMap::new();
    Ok(imported)
}
