//! Numbers of tensors that lie in other files, which must be in the folder of the file that names them.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

use crate::Reason;
use crate::schema::{TensorProto, tensor_proto::DataLocation};

/// The folder in which a file may name others, if it may.
#[derive(Clone, Debug, Default)]
pub(crate) struct External {
    pub(crate) folder: Option<PathBuf>,
}

impl External {
    /// The bytes of a tensor that lie in another file, of which there must be `wanted`; none if they lie in this one.
    pub(crate) fn bytes(&self, tensor: &TensorProto, wanted: usize) -> Result<Option<Vec<u8>>, Reason> {
        if tensor.data_location.unwrap_or_default() != DataLocation::External as i32 {
            return Ok(None);
        }
        let entry = |key: &str| {
            let entry = tensor.external_data.iter().find(|entry| entry.key() == key);
            entry.map(|entry| entry.value().to_owned())
        };
        let number = |key: &str| {
            let wrong = |value: &String| Reason::new(format!("the {key} of its data, {value}, is no number"));
            entry(key).map(|value| value.parse::<u64>().map_err(|_| wrong(&value))).transpose()
        };
        let name =
            entry("location").ok_or_else(|| Reason::new("its data lies in a file that is not named"))?;
        let failed = |what: &dyn std::fmt::Display| Reason::new(format!("its data in {name}: {what}"));
        let folder = self.folder.as_deref().ok_or_else(|| failed(&"no folder of other files is known"))?;
        let inside = Path::new(&name);
        if !inside.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
            return Err(failed(&"lies outside of the model's folder, which is not read"));
        }
        let whole = folder.join(inside).canonicalize().map_err(|error| failed(&error))?;
        let folder = folder.canonicalize().map_err(|error| failed(&error))?;
        if !whole.starts_with(folder) {
            return Err(failed(&"leads outside of the model's folder, which is not read"));
        }
        let (start, length) = (number("offset")?.unwrap_or(0), number("length")?);
        if length.is_some_and(|length| length != wanted as u64) {
            return Err(failed(&format!("{wanted} bytes are needed, {} are named", length.unwrap_or(0))));
        }
        let metadata = std::fs::metadata(&whole).map_err(|error| failed(&error))?;
        let end = start.checked_add(wanted as u64);
        if !metadata.is_file() || end.is_none_or(|end| end > metadata.len()) {
            return Err(failed(&format!("is no file of {wanted} bytes from {start}")));
        }
        let mut bytes = vec![0; wanted];
        let mut read = || -> std::io::Result<()> {
            let mut file = File::open(&whole)?;
            file.seek(SeekFrom::Start(start))?;
            file.read_exact(&mut bytes)
        };
        read().map_err(|error| failed(&error))?;
        Ok(Some(bytes))
    }
}
