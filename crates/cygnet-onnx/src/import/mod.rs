//! From the bytes of an ONNX file to a graph with weights.

pub(crate) mod arrange;
pub(crate) mod call;
pub(crate) mod draft;
pub(crate) mod grids;
pub(crate) mod imported;
mod inputs;
mod stored;
pub(crate) mod view;
pub(crate) mod walk;

use std::cell::Cell;
use std::io::Cursor;

use prost::Message;
use prost::bytes::Bytes;

use self::imported::{Imported, Options};
use self::walk::{Dialect, walk};
use crate::ImportError;
use crate::external::External;
use crate::schema::ModelProto;

/// Oldest version of the file's form that is read.
const OLDEST_IR: i64 = 3;
/// Oldest and newest operator set that rules know.
const OPSETS: std::ops::RangeInclusive<i64> = 1..=26;

/// Whether bytes begin as an ONNX file does: with its version, followed by one of its other fields.
#[must_use]
pub fn is_onnx(bytes: &[u8]) -> bool {
    // A safetensors file begins with the length of its header, which is no such version.
    let is_safetensors = bytes.get(8) == Some(&b'{') && bytes[4..8] == [0; 4];
    // Field 1, a number; then a text, the graph or the operator sets.
    !is_safetensors && matches!(bytes, [0x08, 1..=0x7f, 0x12 | 0x1a | 0x22 | 0x28 | 0x32 | 0x3a | 0x42, ..])
}

/// Makes a graph of the bytes of an ONNX file.
///
/// # Errors
/// As [`crate::import`].
pub(crate) fn import_onnx(bytes: &Bytes, options: &Options) -> Result<Imported, ImportError> {
    crate::scan::scan(&mut Cursor::new(bytes), bytes.len() as u64)?;
    let decoded =
        || ModelProto::decode(bytes.clone()).map_err(|error| ImportError::Damaged(error.to_string()));
    let mut model = decoded()?;
    let unfit = |reason: String| Err(ImportError::Unfit(reason));
    if model.ir_version() < OLDEST_IR {
        return unfit(format!(
            "version {} of the format; the oldest that is read is {OLDEST_IR}",
            model.ir_version()
        ));
    }
    let opset = model.opset_import.iter().find(|set| matches!(set.domain(), "" | "ai.onnx"));
    let Some(opset) = opset.map(|set| set.version()) else {
        return unfit("the file does not say which operators it means (opset_import)".into());
    };
    if !OPSETS.contains(&opset) {
        let (oldest, newest) = OPSETS.into_inner();
        return unfit(format!(
            "operator set {opset}; known are {oldest} to {newest}: export it with one of those"
        ));
    }
    if !model.training_info.is_empty() {
        return unfit("the file holds a training graph; export the network for inference".into());
    }
    if !model.functions.is_empty() {
        return unfit(
            "the file has operators of its own (local functions); export it with them inlined".into(),
        );
    }
    if model.graph.is_none() {
        return unfit("the file has no graph".into());
    }
    let external = External { folder: options.folder.clone() };
    let dialect = Dialect { opset, external, channels_first: false, mapped: bytes.len() };
    // What was decoded first is read first; most files are read once.
    let first = Cell::new(model.graph.take());
    let graph = || match first.take() {
        Some(graph) => Ok(graph),
        None => Ok(decoded()?.graph.unwrap_or_default()),
    };
    let mut imported = walk(graph, &dialect, options)?;
    imported.producer = format!("{} {}", model.producer_name(), model.producer_version()).trim().into();
    imported.metadata =
        model.metadata_props.iter().map(|entry| (entry.key().to_owned(), entry.value().to_owned())).collect();
    Ok(imported)
}
