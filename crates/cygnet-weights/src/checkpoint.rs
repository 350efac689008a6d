//! Opens a file of tensors in any known format, told by its content and never by its name.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use crate::{
    Tensors, WeightsError, class_names, deep_compression, file, json, pruned, pth, safetensors,
    shards::Index,
    state::{self, StateDict},
    tensor::Bytes,
};

/// What is in a file of tensors.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    /// The tensors in the order of the file. Those that PyTorch prunes (`weight_orig` and `weight_mask`) are the product
    /// (`weight`).
    pub tensors: Tensors,
    /// Text that came with them: safetensors metadata, or numbers and texts beside a state dict.
    pub metadata: BTreeMap<String, String>,
    /// The file's format.
    pub format: Format,
    /// The key under which a PyTorch file holds the tensors, for instance `state_dict`, with dots between levels, or the
    /// start of their names that was asked for; none if they are the whole file.
    pub taken_key: Option<String>,
    /// Other keys of a PyTorch file that hold tensors, for instance `model_ema`.
    pub other_keys: Vec<String>,
    /// The names of classes beside the tensors, in the order of classes.
    pub class_names: Option<Vec<String>>,
}

/// A format that [`open`] reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A safetensors file.
    Safetensors,
    /// `torch.save` since PyTorch 1.6: a zip archive.
    TorchZip,
    /// `torch.save` before PyTorch 1.6: pickles and raw storages.
    TorchLegacy,
    /// A Python pickle with NumPy arrays.
    Pickle,
    /// The compressed SqueezeNet 1.0 of the Deep Compression paper.
    DeepCompression,
}

/// Opens the file at `path`, which may also be the index (`model.safetensors.index.json`) of a checkpoint in parts. On
/// Unix its tensors lie in a map of the file: another file may be renamed to its place, as
/// Cygnet writes files, but while the tensors are used nobody may write into it. Their numbers would change, and the
/// process ends with a bus error if the file is shortened.
///
/// # Errors
/// Names the file and what is damaged, refused or not supported.
pub fn open(path: impl AsRef<Path>) -> Result<Checkpoint, WeightsError> {
    open_with(path.as_ref(), None)
}

/// As [`open`], with the tensors under one key: a dotted path such as `model_ema.module` through the dicts of a PyTorch
/// file, or the start of names; both may follow each other.
///
/// # Errors
/// See [`open`]; where the key leads to no tensors, those that do are named.
pub fn open_key(path: impl AsRef<Path>, key: &str) -> Result<Checkpoint, WeightsError> {
    open_with(path.as_ref(), Some(key))
}

fn open_with(path: &Path, key: Option<&str>) -> Result<Checkpoint, WeightsError> {
    let opened = file::read(path, check_beginning).and_then(|bytes| match (shard(path), Index::of(&bytes)) {
        (Some(shard), _) => Err(shard),
        (None, Some(index)) => read_parts(path, &index?).and_then(|whole| whole.under_some(key)),
        (None, None) => parse_bytes(bytes, key),
    });
    opened.map(Checkpoint::with_masks).map_err(|error| error.in_file(path))
}

/// Reads the files that the index at `path` names.
fn read_parts(path: &Path, index: &Index) -> Result<Checkpoint, WeightsError> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut whole: Option<Checkpoint> = None;
    let mut tensors = Tensors::new();
    for name in index.parts() {
        let path = folder.join(name);
        let part = file::read(&path, check_beginning).and_then(|bytes| parse_bytes(bytes, None));
        let part = part.map_err(|error| error.in_file(&path))?;
        let held = part.tensors.iter().filter(|(tensor, _)| index.holds(name, tensor));
        tensors.extend(held.map(|(tensor, values)| (tensor.clone(), values.clone())));
        whole.get_or_insert(part);
    }
    let wrong = |reason: String| WeightsError::Index { reason };
    if let Some((tensor, name)) = index.tensors().find(|(tensor, _)| !tensors.contains_key(*tensor)) {
        return Err(wrong(format!("{name} has no tensor {tensor}")));
    }
    whole.map(|whole| Checkpoint { tensors, ..whole }).ok_or_else(|| wrong("names no file".into()))
}

/// Says that the file is one of several, if its name does: `model-00001-of-00002.safetensors`.
fn shard(path: &Path) -> Option<WeightsError> {
    let extension = path.extension()?.to_str()?;
    let (rest, parts) = path.file_stem()?.to_str()?.rsplit_once("-of-")?;
    let (name, part) = rest.rsplit_once('-')?;
    let number = |digits: &str| digits.parse().ok().filter(|_| digits.len() == 5);
    let (part, parts) = (number(part)?, number(parts).filter(|&parts| parts > 1)?);
    Some(WeightsError::Shard { part, parts, index: format!("{name}.{extension}.index.json") })
}

/// Reads the bytes of a file.
///
/// # Errors
/// See [`open`].
pub fn parse(bytes: Vec<u8>) -> Result<Checkpoint, WeightsError> {
    parse_key(Arc::new(bytes), None)
}

/// As [`parse`], with the tensors under one key, as [`open_key`] takes them. Tensors share the bytes.
///
/// # Errors
/// See [`open_key`].
pub fn parse_key(bytes: Arc<Vec<u8>>, key: Option<&str>) -> Result<Checkpoint, WeightsError> {
    parse_bytes(bytes.into(), key).map(Checkpoint::with_masks)
}

fn parse_bytes(bytes: Bytes, key: Option<&str>) -> Result<Checkpoint, WeightsError> {
    let header_fits =
        bytes.first_chunk().is_some_and(|&length| u64::from_le_bytes(length) < bytes.len() as u64);
    match &bytes[..] {
        [_, _, _, _, _, _, _, _, b'{', ..] if header_fits || bytes[0] != 0x80 => {
            let (tensors, metadata) = safetensors::parse_bytes(&bytes)?;
            let names = class_names::KEYS
                .iter()
                .find_map(|&key| class_names::of_json(&json::unique(metadata.get(key)?.as_bytes()).ok()?));
            Checkpoint::whole(tensors, Format::Safetensors, metadata, names).under_some(key)
        }
        file if deep_compression::recognises(file) => {
            let tensors = deep_compression::parse(file)?;
            Checkpoint::whole(tensors, Format::DeepCompression, BTreeMap::new(), None).under_some(key)
        }
        [b'P', b'K', 3 | 5, 4 | 6, ..] => Ok(Checkpoint::of(pth::parse_zip(&bytes, key)?, Format::TorchZip)),
        [0x80, 2..=5, ..] => {
            let (state, torch) = pth::parse_pickle(&bytes, key)?;
            Ok(Checkpoint::of(state, if torch { Format::TorchLegacy } else { Format::Pickle }))
        }
        other => Err(WeightsError::UnknownFormat { looks_like: looks_like(other) }),
    }
}

impl Checkpoint {
    fn of(state: StateDict, format: Format) -> Checkpoint {
        let StateDict { tensors, metadata, taken_key, other_keys, class_names } = state;
        Checkpoint { tensors, metadata, format, taken_key, other_keys, class_names }
    }

    fn with_masks(self) -> Checkpoint {
        Checkpoint { tensors: pruned::multiplied(self.tensors), ..self }
    }

    fn whole(
        tensors: Tensors,
        format: Format,
        metadata: BTreeMap<String, String>,
        class_names: Option<Vec<String>>,
    ) -> Checkpoint {
        let (taken_key, other_keys) = (None, Vec::new());
        Checkpoint::of(StateDict { tensors, metadata, taken_key, other_keys, class_names }, format)
    }

    fn under_some(self, key: Option<&str>) -> Result<Checkpoint, WeightsError> {
        match key {
            Some(key) => self.under(key),
            None => Ok(self),
        }
    }

    /// The tensors whose names start with `key`, without it.
    fn under(mut self, key: &str) -> Result<Checkpoint, WeightsError> {
        let is_within = |name: &String| state::within(name, key).is_some();
        if !self.tensors.keys().any(is_within) {
            let known = state::first_parts(self.tensors.keys().map(String::as_str));
            return Err(WeightsError::UnknownKey { key: key.into(), known });
        }
        self.tensors.retain(|name, _| is_within(name));
        self.tensors = self
            .tensors
            .into_iter()
            .map(|(name, tensor)| (name[key.len() + 1..].to_owned(), tensor))
            .collect();
        self.taken_key = Some(key.into());
        Ok(self)
    }
}

/// Whether a long file begins as one of the formats that have such.
fn check_beginning(first: &[u8]) -> Result<(), WeightsError> {
    match first {
        [_, _, _, _, _, _, _, _, b'{', ..] | [b'P', b'K', 3 | 5, 4 | 6, ..] | [0x80, 2..=5, ..] => Ok(()),
        other => Err(WeightsError::UnknownFormat { looks_like: looks_like(other) }),
    }
}

fn looks_like(bytes: &[u8]) -> &'static str {
    let start = bytes.trim_ascii_start();
    match bytes {
        [] => "an empty file",
        [0x89, b'H', b'D', b'F', ..] => {
            "an HDF5 (Keras) file (python -m tf2onnx.convert --keras makes an .onnx file of it)"
        }
        [_, _, _, _, b'T', b'F', b'L', b'3', ..] => {
            "a TensorFlow Lite file (python -m tf2onnx.convert --tflite makes an .onnx file of it)"
        }
        [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => "a NumPy array",
        _ if bytes.starts_with(b"version https://git-lfs") => {
            "a Git LFS pointer instead of the file (run git lfs pull)"
        }
        _ if start.first() == Some(&b'<') => "a web page or XML, perhaps a failed download",
        _ => "an unknown format",
    }
}
