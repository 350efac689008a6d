//! Names of classes: those beside the tensors of a checkpoint, and files of them.

use std::path::Path;

use serde_json::Value;

use crate::{WeightsError, file, json};

/// Where training scripts put the names of their classes, in order of preference.
pub(crate) const KEYS: [&str; 9] = [
    "class_to_idx",
    "idx_to_class",
    "class_names",
    "classes",
    "id2label",
    "label2id",
    "label_names",
    "labels",
    "names",
];
/// Most classes that are named.
pub(crate) const MAX_CLASSES: usize = 100_000;
/// Most bytes of a file of names.
const MAX_FILE_BYTES: usize = 16 << 20;

/// Reads the names of classes from the file at `path`, in the order of classes: one a line, or a JSON list of them, or
/// a JSON object from names to indices or from indices to names. Of a list instead of a name, such as WordNet id and
/// label, the last is taken.
///
/// # Errors
/// Names the file, and what it is instead.
pub fn read_class_names(path: impl AsRef<Path>) -> Result<Vec<String>, WeightsError> {
    let path = path.as_ref();
    let bytes = file::read(path, |_| Err(WeightsError::ClassNames { reason: TOO_LARGE }));
    bytes.and_then(|bytes| parse(&bytes)).map_err(|error| error.in_file(path))
}

const TOO_LARGE: &str = "is larger than any list of class names";

fn parse(bytes: &[u8]) -> Result<Vec<String>, WeightsError> {
    let wrong = |reason| Err(WeightsError::ClassNames { reason });
    if bytes.len() > MAX_FILE_BYTES {
        return wrong(TOO_LARGE);
    }
    let Ok(text) = str::from_utf8(bytes) else { return wrong("is not text in UTF-8") };
    let text = text.trim_start_matches('\u{feff}');
    let names = if text.trim_start().starts_with(['{', '[']) {
        let value = json::unique(text.as_bytes()).map_err(WeightsError::Json)?;
        match of_json(&value) {
            Some(names) => names,
            None => {
                return wrong("is neither a list of names nor a table of names and the indices from 0 on");
            }
        }
    } else {
        text.trim_end().lines().map(|line| line.trim().to_owned()).collect()
    };
    match names.len() {
        0 => wrong("has no class names"),
        1..=MAX_CLASSES => Ok(names),
        _ => wrong("has more than 100000 class names"),
    }
}

/// The names in a JSON value, if it is one of the forms of [`read_class_names`].
pub(crate) fn of_json(value: &Value) -> Option<Vec<String>> {
    let name = |value: &Value| match value {
        Value::String(name) => Some(name.clone()),
        Value::Array(parts) => parts.last()?.as_str().map(str::to_owned),
        _ => None,
    };
    match value {
        Value::Array(names) => names.iter().map(name).collect(),
        Value::Object(entries) => {
            let pair = |(key, value): (&String, &Value)| match value.as_u64() {
                Some(index) => Some((index as usize, key.clone())),
                None => Some((key.parse().ok()?, name(value)?)),
            };
            in_order(entries.iter().map(pair).collect::<Option<_>>()?)
        }
        _ => None,
    }
}

/// The names by their indices, if these are all from 0 on, each once.
pub(crate) fn in_order(mut pairs: Vec<(usize, String)>) -> Option<Vec<String>> {
    pairs.sort();
    let complete = pairs.iter().enumerate().all(|(place, (index, _))| place == *index);
    (complete && !pairs.is_empty() && pairs.len() <= MAX_CLASSES)
        .then(|| pairs.into_iter().map(|(_, name)| name).collect())
}
