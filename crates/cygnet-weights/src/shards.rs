//! A checkpoint in parts: an index in JSON, `model.safetensors.index.json`, says which file beside it holds which
//! tensor.

use std::path::Path;

use indexmap::{IndexMap, IndexSet};
use serde_json::Value;

use crate::{Checkpoint, Tensors, WeightsError, checkpoint::open_part, json, tensor::Bytes};

/// Most bytes of an index.
const MAX_INDEX_BYTES: usize = 16 << 20;
/// Most parts of a checkpoint.
const MAX_PARTS: usize = 1000;

/// Whether these are the bytes of an index. A safetensors file, which may begin with the same byte, begins with a length
/// that it has.
pub(crate) fn is_index(bytes: &[u8]) -> bool {
    let length = bytes.first_chunk().map(|&length| u64::from_le_bytes(length));
    bytes.first() == Some(&b'{')
        && bytes.len() <= MAX_INDEX_BYTES
        && length.is_none_or(|length| length > bytes.len() as u64)
        && bytes.trim_ascii_end().last() == Some(&b'}')
}

/// Reads the parts that the index at `path` names.
pub(crate) fn read(path: &Path, index: &Bytes) -> Result<Checkpoint, WeightsError> {
    let wrong = |reason: String| WeightsError::Index { reason };
    let value = json::unique(index).map_err(WeightsError::Json)?;
    let Some(Value::Object(map)) = value.get("weight_map") else {
        return Err(wrong("has no weight_map of tensors and files".into()));
    };
    let files: IndexMap<&str, &str> =
        map.iter().filter_map(|(tensor, file)| Some((tensor.as_str(), file.as_str()?))).collect();
    let parts: IndexSet<&str> = files.values().copied().collect();
    if files.len() != map.len() || parts.is_empty() || parts.len() > MAX_PARTS {
        return Err(wrong(format!("its weight_map is not one of tensors and at most {MAX_PARTS} files")));
    }
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut whole: Option<Checkpoint> = None;
    let mut tensors = Tensors::new();
    for part in parts {
        if Path::new(part).components().count() != 1 || Path::new(part).file_name().is_none() {
            return Err(wrong(format!("{part} is no name of a file beside it")));
        }
        let part_path = folder.join(part);
        let checkpoint = open_part(&part_path)?;
        for (name, tensor) in &checkpoint.tensors {
            if files.get(name.as_str()) == Some(&part) {
                tensors.insert(name.clone(), tensor.clone());
            }
        }
        whole.get_or_insert(checkpoint);
    }
    if let Some((tensor, part)) = files.iter().find(|(tensor, _)| !tensors.contains_key(**tensor)) {
        return Err(wrong(format!("{part} has no tensor {tensor}")));
    }
    whole.map(|whole| Checkpoint { tensors, ..whole }).ok_or_else(|| wrong("names no file".into()))
}
