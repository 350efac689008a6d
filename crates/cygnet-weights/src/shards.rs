//! A checkpoint in parts: an index in JSON, `model.safetensors.index.json`, says which file beside it holds which
//! tensor.

use std::path::Path;

use indexmap::{IndexMap, IndexSet};
use serde_json::Value;

use crate::{WeightsError, json};

/// Most bytes of an index.
const MAX_INDEX_BYTES: usize = 16 << 20;
/// Most parts of a checkpoint.
const MAX_PARTS: usize = 1000;

/// Which file holds which tensor.
pub(crate) struct Index(IndexMap<String, String>);

/// Whether these are the bytes of an index. A safetensors file, which may begin with the same byte, begins with a length
/// that it has.
fn is_index(bytes: &[u8]) -> bool {
    let length = bytes.first_chunk().map(|&length| u64::from_le_bytes(length));
    bytes.first() == Some(&b'{')
        && bytes.len() <= MAX_INDEX_BYTES
        && length.is_none_or(|length| length > bytes.len() as u64)
        && bytes.trim_ascii_end().last() == Some(&b'}')
}

impl Index {
    /// The index that these bytes are, if they are one.
    pub(crate) fn of(bytes: &[u8]) -> Option<Result<Index, WeightsError>> {
        is_index(bytes).then(|| Index::parse(bytes))
    }

    fn parse(bytes: &[u8]) -> Result<Index, WeightsError> {
        let wrong = |reason: String| WeightsError::Index { reason };
        let value = json::unique(bytes).map_err(WeightsError::Json)?;
        let Some(Value::Object(map)) = value.get("weight_map") else {
            return Err(wrong("has no weight_map of tensors and files".into()));
        };
        let entry = |(tensor, file): (&String, &Value)| Some((tensor.clone(), file.as_str()?.to_owned()));
        let index = Index(map.iter().filter_map(entry).collect());
        let parts = index.parts();
        if index.0.len() != map.len() || parts.is_empty() || parts.len() > MAX_PARTS {
            return Err(wrong(format!("its weight_map is not one of tensors and at most {MAX_PARTS} files")));
        }
        let is_beside =
            |part: &str| Path::new(part).components().count() == 1 && Path::new(part).file_name().is_some();
        match parts.iter().find(|part| !is_beside(part)) {
            Some(part) => Err(wrong(format!("{part} is no name of a file beside it"))),
            None => Ok(index),
        }
    }

    /// The names of the files, each once.
    pub(crate) fn parts(&self) -> IndexSet<&str> {
        self.0.values().map(String::as_str).collect()
    }

    /// Whether a file holds a tensor.
    pub(crate) fn holds(&self, part: &str, tensor: &str) -> bool {
        self.0.get(tensor).is_some_and(|file| file == part)
    }

    /// Tensors and the file of each.
    pub(crate) fn tensors(&self) -> impl Iterator<Item = (&String, &String)> {
        self.0.iter()
    }
}
