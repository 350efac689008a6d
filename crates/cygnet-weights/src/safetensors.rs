//! The safetensors format: an eight-byte length, a JSON header, the data.
//!
//! A file must be described completely and without overlap by its header; nothing is guessed or repaired.
//! Files are written with sorted metadata and the tensors in their order (wider element types first, so that
//! each stays aligned), hence equal content gives equal bytes.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    fs::File,
    io::{self, Write},
    path::Path,
};

use indexmap::IndexMap;
use safetensors::tensor::{Dtype as FileDtype, Metadata as Header, TensorInfo};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::{Value, json};

use crate::{Dtype, Tensor, Tensors, WeightsError, file, json::twice, tensor::Bytes};

/// Free text of a safetensors file.
pub type Metadata = BTreeMap<String, String>;

const LENGTH_BYTES: usize = 8;
/// Most bytes of a header, as in the reference implementation of the format.
const MAX_HEADER_BYTES: usize = 32 << 20;

const DTYPES: [(Dtype, FileDtype); 10] = [
    (Dtype::F32, FileDtype::F32),
    (Dtype::F64, FileDtype::F64),
    (Dtype::F16, FileDtype::F16),
    (Dtype::BF16, FileDtype::BF16),
    (Dtype::I64, FileDtype::I64),
    (Dtype::I32, FileDtype::I32),
    (Dtype::I16, FileDtype::I16),
    (Dtype::I8, FileDtype::I8),
    (Dtype::U8, FileDtype::U8),
    (Dtype::Bool, FileDtype::BOOL),
];

/// Reads the file at `path`: its tensors in the order of their data, and its `__metadata__`. Nobody may write into it
/// while they are used: see [`open`](crate::open).
///
/// # Errors
/// Names the file and what is damaged, cut off or not supported.
pub fn read(path: impl AsRef<Path>) -> Result<(Tensors, Metadata), WeightsError> {
    let path = path.as_ref();
    let header = |first: &[u8]| match first.get(LENGTH_BYTES) {
        Some(b'{') => Ok(()),
        _ => Err(WeightsError::UnknownFormat { looks_like: "an unknown format" }),
    };
    file::read(path, header).and_then(|bytes| parse_bytes(&bytes)).map_err(|error| error.in_file(path))
}

/// Reads the bytes of a safetensors file; the tensors share them.
///
/// # Errors
/// See [`read`].
pub fn parse(bytes: Vec<u8>) -> Result<(Tensors, Metadata), WeightsError> {
    parse_bytes(&bytes.into())
}

pub(crate) fn parse_bytes(bytes: &Bytes) -> Result<(Tensors, Metadata), WeightsError> {
    let file = bytes.len();
    let Some(&length) = bytes.first_chunk::<LENGTH_BYTES>() else {
        return Err(WeightsError::HeaderLength { header: LENGTH_BYTES as u64, file: file as u64 });
    };
    let header = u64::from_le_bytes(length);
    let start = usize::try_from(header).ok().and_then(|header| header.checked_add(LENGTH_BYTES));
    let Some(start) = start.filter(|&start| start <= file) else {
        return Err(WeightsError::HeaderLength { header, file: file as u64 });
    };
    if start - LENGTH_BYTES > MAX_HEADER_BYTES {
        let (what, size, limit) = ("the header".into(), start as u64, MAX_HEADER_BYTES as u64);
        return Err(WeightsError::TooLarge { what, size, limit });
    }
    let UniqueHeader(header) =
        serde_json::from_slice(&bytes[LENGTH_BYTES..start]).map_err(WeightsError::Header)?;
    if header.data_len() != file - start {
        return Err(WeightsError::DataLength {
            described: header.data_len() as u64,
            present: (file - start) as u64,
        });
    }
    let metadata = header.metadata().clone().unwrap_or_default().into_iter().collect();
    let mut tensors = Tensors::new();
    for name in header.offset_keys() {
        let Some(info) = header.info(&name) else { continue };
        let Some((dtype, _)) = DTYPES.into_iter().find(|(_, stored)| *stored == info.dtype) else {
            return Err(WeightsError::UnsupportedDtype { tensor: name, dtype: info.dtype.to_string() });
        };
        let (from, to) = info.data_offsets;
        let data = bytes.slice(start + from..start + to).ok_or(WeightsError::BadView {
            tensor: name.clone(),
            reason: "its data lies outside the file",
        })?;
        tensors.insert(name, Tensor::over(info.shape.clone(), dtype, data)?);
    }
    Ok((tensors, metadata))
}

/// A header that has every key once.
struct UniqueHeader(Header);

impl<'de> Deserialize<'de> for UniqueHeader {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<UniqueHeader, D::Error> {
        deserializer.deserialize_map(HeaderFields)
    }
}

struct HeaderFields;

impl<'de> Visitor<'de> for HeaderFields {
    type Value = UniqueHeader;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<UniqueHeader, A::Error> {
        let mut metadata = None;
        let mut tensors = IndexMap::<String, TensorInfo>::new();
        while let Some(name) = fields.next_key::<String>()? {
            if name == "__metadata__" {
                let UniqueTexts(texts) = fields.next_value()?;
                if metadata.replace(texts).is_some() {
                    return Err(A::Error::custom(twice(&name)));
                }
            } else if tensors.contains_key(&name) {
                return Err(A::Error::custom(twice(&name)));
            } else {
                tensors.insert(name, fields.next_value()?);
            }
        }
        tensors.sort_by_key(|_, info| info.data_offsets);
        let header = Header::new(metadata, tensors.into_iter().collect()).map_err(A::Error::custom)?;
        Ok(UniqueHeader(header))
    }
}

/// Texts that have every key once.
struct UniqueTexts(HashMap<String, String>);

impl<'de> Deserialize<'de> for UniqueTexts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<UniqueTexts, D::Error> {
        deserializer.deserialize_map(TextFields)
    }
}

struct TextFields;

impl<'de> Visitor<'de> for TextFields {
    type Value = UniqueTexts;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table of texts")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<UniqueTexts, A::Error> {
        let mut texts = HashMap::new();
        while let Some((key, text)) = fields.next_entry::<String, String>()? {
            if texts.contains_key(&key) {
                return Err(A::Error::custom(twice(&key)));
            }
            texts.insert(key, text);
        }
        Ok(UniqueTexts(texts))
    }
}

/// Writes `tensors` and `metadata` to `path`, atomically: the target is replaced when all is on disk, and
/// untouched on an error.
///
/// # Errors
/// Names the file and its size, for instance when the disk is full.
pub fn write(path: impl AsRef<Path>, tensors: &Tensors, metadata: &Metadata) -> Result<(), WeightsError> {
    Content::of(tensors, metadata)
        .put(path.as_ref(), |path, content| cygnet_files::write_whole(path, |file| content.write(file)))
}

/// As [`write()`], but a link of that name is replaced by the file.
///
/// # Errors
/// As [`write()`].
pub fn write_own(path: impl AsRef<Path>, tensors: &Tensors, metadata: &Metadata) -> Result<(), WeightsError> {
    Content::of(tensors, metadata)
        .put(path.as_ref(), |path, content| cygnet_files::write_own(path, |file| content.write(file)))
}

/// As [`write()`], but never in the place of a file.
///
/// # Errors
/// As [`write()`]; its source is of the kind [`io::ErrorKind::AlreadyExists`] if something has the name.
pub fn write_new(path: impl AsRef<Path>, tensors: &Tensors, metadata: &Metadata) -> Result<(), WeightsError> {
    Content::of(tensors, metadata)
        .put(path.as_ref(), |path, content| cygnet_files::write_new(path, |file| content.write(file)))
}

/// What a file holds: its header, and tensors in the order of their data.
struct Content<'a> {
    header: Vec<u8>,
    order: Vec<&'a Tensor>,
}

impl Content<'_> {
    fn of<'a>(tensors: &'a Tensors, metadata: &Metadata) -> Content<'a> {
        let (header, order) = header(tensors, metadata);
        Content { header, order }
    }

    fn length(&self) -> u64 {
        self.header.len() as u64 + self.order.iter().map(|tensor| tensor.bytes().len() as u64).sum::<u64>()
    }

    /// Writes it to `path` in the manner of `write`.
    fn put(
        &self,
        path: &Path,
        write: impl FnOnce(&Path, &Self) -> io::Result<()>,
    ) -> Result<(), WeightsError> {
        write(path, self).map_err(|source| WeightsError::Write { bytes: self.length(), source }.in_file(path))
    }

    fn write(&self, file: &mut File) -> io::Result<()> {
        file.write_all(&self.header)?;
        self.order.iter().try_for_each(|tensor| file.write_all(tensor.bytes()))
    }
}

/// Length and header, and the tensors in the order of their data.
fn header<'a>(tensors: &'a Tensors, metadata: &Metadata) -> (Vec<u8>, Vec<&'a Tensor>) {
    let mut order: Vec<_> = tensors.iter().collect();
    order.sort_by_key(|(_, tensor)| std::cmp::Reverse(tensor.dtype().size_bytes()));
    let mut fields = BTreeMap::<&str, Value>::new();
    if !metadata.is_empty() {
        fields.insert("__metadata__", json!(metadata));
    }
    let mut end = 0;
    for (name, tensor) in &order {
        let start = end;
        end += tensor.bytes().len();
        let dtype = tensor.dtype().to_string();
        fields.insert(name, json!({"dtype": dtype, "shape": tensor.shape(), "data_offsets": [start, end]}));
    }
    let mut json = json!(fields).to_string().into_bytes();
    json.resize(json.len().next_multiple_of(LENGTH_BYTES), b' ');
    let length = (json.len() as u64).to_le_bytes();
    ([&length[..], &json].concat(), order.into_iter().map(|(_, tensor)| tensor).collect())
}
