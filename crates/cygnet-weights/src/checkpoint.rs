//! Opens a file of tensors in any known format, told by its content and never by its name.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read},
    path::Path,
};

use crate::{Tensors, WeightsError, deep_compression, pth, safetensors, tensor::Bytes};

/// What is in a file of tensors.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    /// The tensors in the order of the file, without a `module.` common to all names.
    pub tensors: Tensors,
    /// Text that came with them: safetensors metadata, or numbers and texts beside a state dict.
    pub metadata: BTreeMap<String, String>,
    /// The file's format.
    pub format: Format,
    /// The key under which a PyTorch file holds the tensors, for instance `state_dict`; none if they are the
    /// whole file.
    pub taken_key: Option<String>,
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

/// Opens the file at `path`. On Unix its tensors lie in a map of the file: another file may be renamed to its place, as
/// Cygnet writes files, but while the tensors are used nobody may write into it. Their numbers would change, and the
/// process ends with a bus error if the file is shortened.
///
/// # Errors
/// Names the file and what is damaged, refused or not supported.
pub fn open(path: impl AsRef<Path>) -> Result<Checkpoint, WeightsError> {
    let path = path.as_ref();
    read_file(path).and_then(parse_bytes).map_err(|error| error.in_file(path))
}

/// The bytes of a regular file, mapped if possible; anything else has no size that could be trusted.
pub(crate) fn read_file(path: &Path) -> Result<Bytes, WeightsError> {
    if !std::fs::metadata(path).map_err(WeightsError::Read)?.is_file() {
        return Err(WeightsError::Read(io::Error::other("is not a file")));
    }
    let mut file = File::open(path).map_err(WeightsError::Read)?;
    // Elsewhere no other file can be renamed to the place of a mapped one.
    #[cfg(unix)]
    if let Some(map) = Bytes::map(&file) {
        return Ok(map);
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(WeightsError::Read)?;
    Ok(bytes.into())
}

/// Reads the bytes of a file.
///
/// # Errors
/// See [`open`].
pub fn parse(bytes: Vec<u8>) -> Result<Checkpoint, WeightsError> {
    parse_bytes(bytes.into())
}

fn parse_bytes(bytes: Bytes) -> Result<Checkpoint, WeightsError> {
    let header_fits =
        bytes.first_chunk().is_some_and(|&length| u64::from_le_bytes(length) < bytes.len() as u64);
    match &bytes[..] {
        [_, _, _, _, _, _, _, _, b'{', ..] if header_fits || bytes[0] != 0x80 => {
            let (tensors, metadata) = safetensors::parse_bytes(&bytes)?;
            Ok(Checkpoint { tensors, metadata, format: Format::Safetensors, taken_key: None })
        }
        file if deep_compression::recognises(file) => Ok(Checkpoint {
            tensors: deep_compression::parse(file)?,
            metadata: BTreeMap::new(),
            format: Format::DeepCompression,
            taken_key: None,
        }),
        [b'P', b'K', 3 | 5, 4 | 6, ..] => Ok(Checkpoint::of(pth::parse_zip(&bytes)?, Format::TorchZip)),
        [0x80, 2..=5, ..] => {
            let (state, torch) = pth::parse_pickle(&bytes)?;
            Ok(Checkpoint::of(state, if torch { Format::TorchLegacy } else { Format::Pickle }))
        }
        other => Err(WeightsError::UnknownFormat { looks_like: looks_like(other) }),
    }
}

impl Checkpoint {
    fn of(state: pth::StateDict, format: Format) -> Checkpoint {
        let pth::StateDict { tensors, metadata, taken_key } = state;
        Checkpoint { tensors, metadata, format, taken_key }
    }
}

fn looks_like(bytes: &[u8]) -> &'static str {
    let start = bytes.trim_ascii_start();
    match bytes {
        [] => "an empty file",
        [0x89, b'H', b'D', b'F', ..] => "an HDF5 (Keras) file",
        [_, _, _, _, b'T', b'F', b'L', b'3', ..] => "a TensorFlow Lite file",
        [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => "a NumPy array",
        _ if bytes.starts_with(b"version https://git-lfs") => {
            "a Git LFS pointer instead of the file (run git lfs pull)"
        }
        _ if start.first() == Some(&b'<') => "a web page or XML, perhaps a failed download",
        _ => "an unknown format",
    }
}
