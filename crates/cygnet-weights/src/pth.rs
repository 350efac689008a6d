//! PyTorch checkpoints in both formats of `torch.save`, and plain pickles of NumPy arrays, read as data.
//!
//! A checkpoint is a dict of tensors, or a dict that holds one among other things: see [`STATE_KEYS`]. Whole
//! modules, TorchScript programs and anything that would run code are refused. Storages that no tensor of the
//! state dict uses (an optimiser's) are not read. Memory is bounded by the size of the file: see
//! [`MAX_INFLATION`].

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "a pickle may hold any value where one kind is wanted, and all others are refused alike"
)]

use std::{
    collections::{BTreeMap, HashMap},
    io::{self, Cursor, Read},
};

use zip::{CompressionMethod, ZipArchive, result::ZipError};

use crate::{
    Tensor, Tensors, WeightsError,
    pickle::{Id, Node, Pickle, Storage, View},
    tensor::{Bytes, element_count},
};

/// Where a training script puts the state dict, in order of preference.
pub const STATE_KEYS: [&str; 6] =
    ["state_dict", "model_state_dict", "model_state", "model", "net", "weights"];
/// Where it puts the moving average of the weights, taken if there is nothing else.
pub const AVERAGE_KEYS: [&str; 4] = ["state_dict_ema", "ema_state_dict", "model_ema", "ema"];

/// Most bytes that a byte of a compressed archive, or of strided storage, may become.
const MAX_INFLATION: usize = 32;
/// Bytes that any file may inflate to.
const FREE_BYTES: usize = 64 << 20;
/// Most bytes of `data.pkl` in an archive.
const MAX_PICKLE_BYTES: u64 = 256 << 20;
/// Most levels of dicts and lists above a tensor.
const MAX_DEPTH: usize = 32;

const MAGIC: i128 = 0x1950_a86a_20f9_469c_fc6c;
const PROTOCOL: i128 = 1001;

/// The content of a checkpoint.
#[derive(Debug, Clone)]
pub(crate) struct StateDict {
    pub(crate) tensors: Tensors,
    /// Numbers and texts beside the state dict, for instance the epoch.
    pub(crate) metadata: BTreeMap<String, String>,
    /// The key under which the state dict was found; none if it is the whole file.
    pub(crate) taken_key: Option<String>,
}

/// Reads an archive of `torch.save`.
pub(crate) fn parse_zip(file: &Bytes) -> Result<StateDict, WeightsError> {
    let mut archive = Archive::open(file)?;
    let pickle_bytes = archive.entry("data.pkl", None, MAX_PICKLE_BYTES)?;
    let pickle = Pickle::load(&pickle_bytes)?;
    let limit = file.len();
    collect(&pickle, &pickle_bytes, limit, |storage, key| {
        let needed = storage.count.checked_mul(storage.dtype.size_bytes()).map(|bytes| bytes as u64);
        archive.entry(&format!("data/{key}"), needed, u64::MAX)
    })
}

/// Reads a pickle: `torch.save`'s older format, or a plain pickle with NumPy arrays. The second value tells
/// whether it is `torch.save`'s.
pub(crate) fn parse_pickle(file: &Bytes) -> Result<(StateDict, bool), WeightsError> {
    let first = Pickle::load(file)?;
    if !matches!(first.root(), Node::Int(MAGIC)) {
        let state = collect(&first, file, file.len(), |_, _| {
            Err(WeightsError::Archive { reason: "a plain pickle refers to a PyTorch storage" })
        })?;
        return Ok((state, false));
    }
    let mut at = first.end;
    let mut next = |what| {
        let rest = at..file.len();
        let part = file.slice(rest).ok_or(WeightsError::Archive { reason: what })?;
        let pickle = Pickle::load(&file[at..])?;
        at += pickle.end;
        Ok((part, pickle))
    };
    if !matches!(next("no protocol number")?.1.root(), Node::Int(PROTOCOL)) {
        return Err(WeightsError::Archive { reason: "a protocol number other than 1001" });
    }
    next("no system record")?;
    let (pickle_bytes, pickle) = next("no object")?;
    let (_, keys) = next("no list of storages")?;
    let storages = legacy_storages(file, at, &pickle, &keys)?;
    let state = collect(&pickle, &pickle_bytes, file.len(), |_, key| {
        storages.get(key).cloned().ok_or(WeightsError::Archive { reason: "a tensor's storage is missing" })
    })?;
    Ok((state, true))
}

/// The storages that follow the list of their keys, each as a count of elements and the elements.
fn legacy_storages<'a>(
    file: &Bytes,
    mut at: usize,
    pickle: &Pickle<'a>,
    keys: &Pickle<'a>,
) -> Result<HashMap<&'a str, Bytes>, WeightsError> {
    let sizes: HashMap<&str, usize> = pickle
        .nodes
        .iter()
        .filter_map(|node| match node {
            Node::Storage(storage) => Some((pickle.text(storage.key)?, storage.dtype.size_bytes())),
            _ => None,
        })
        .collect();
    let Node::List(list) = keys.root() else {
        return Err(WeightsError::Archive { reason: "the list of storages is not a list" });
    };
    let mut take = |what, length: usize| {
        let left = file.len() - at;
        let part = at
            .checked_add(length)
            .and_then(|end| file.slice(at..end))
            .ok_or(WeightsError::Truncated { what, needed: length as u64, left: left as u64 })?;
        at += length;
        Ok(part)
    };
    let mut storages = HashMap::new();
    for &key in list {
        let Some((key, &size)) = keys.text(key).and_then(|key| Some((key, sizes.get(key)?))) else {
            return Err(WeightsError::Archive { reason: "a storage that no tensor uses" });
        };
        let count = take("a storage's length", 8)?;
        let count = count.first_chunk().map_or(0, |&count| u64::from_le_bytes(count));
        let length = usize::try_from(count).ok().and_then(|count| count.checked_mul(size));
        storages.insert(key, take("a storage", length.unwrap_or(usize::MAX))?);
    }
    Ok(storages)
}

/// A zip archive and what may still be inflated from it.
struct Archive<'a> {
    file: &'a Bytes,
    zip: ZipArchive<Cursor<&'a [u8]>>,
    /// First part of every name, with its slash.
    root: String,
    budget: u64,
}

impl<'a> Archive<'a> {
    fn open(file: &'a Bytes) -> Result<Archive<'a>, WeightsError> {
        let damaged = |source| WeightsError::Zip { entry: "directory".into(), source };
        let zip = ZipArchive::new(Cursor::new(&file[..])).map_err(damaged)?;
        if zip.has_duplicate_names() {
            return Err(WeightsError::Archive { reason: "two entries have the same name" });
        }
        let mut roots = Vec::new();
        for name in zip.file_names() {
            let name = name.map_err(damaged)?;
            if let Some(root) = name.strip_suffix("data.pkl")
                && (root.is_empty() || root.find('/') == Some(root.len() - 1))
            {
                roots.push(root.to_owned());
            }
        }
        let root = match (roots.pop(), roots.is_empty()) {
            (Some(root), true) => root,
            (None, _) => return Err(WeightsError::Archive { reason: "a zip file without data.pkl" }),
            (Some(_), false) => return Err(WeightsError::Archive { reason: "two entries named data.pkl" }),
        };
        let budget = file.len().saturating_mul(MAX_INFLATION).saturating_add(FREE_BYTES) as u64;
        let mut archive = Archive { file, zip, root, budget };
        if archive.has("constants.pkl") {
            return Err(WeightsError::WholeModule { global: "a TorchScript program".into() });
        }
        if archive.has("byteorder") && &*archive.entry("byteorder", None, 16)? != b"little" {
            return Err(WeightsError::Archive { reason: "the numbers are big-endian" });
        }
        Ok(archive)
    }

    fn has(&self, name: &str) -> bool {
        self.zip.index_for_name(&format!("{}{name}", self.root)).is_some()
    }

    /// The content of an entry, which must have `needed` bytes if given. A stored entry shares the file.
    fn entry(&mut self, name: &str, needed: Option<u64>, limit: u64) -> Result<Bytes, WeightsError> {
        let name = format!("{}{name}", self.root);
        let damaged = |source| WeightsError::Zip { entry: name.clone(), source };
        let mut entry = self.zip.by_name(&name).map_err(damaged)?;
        let size = entry.size();
        if let Some(needed) = needed.filter(|&needed| needed != size) {
            return Err(WeightsError::EntrySize { entry: name, found: size, needed });
        }
        let limit = limit.min(self.budget);
        if size > limit {
            return Err(WeightsError::TooLarge { what: name, size, limit });
        }
        let damaged_data = |error| damaged(ZipError::Io(error));
        if entry.compression() == CompressionMethod::Stored
            && entry.compressed_size() == size
            && let Some(start) = entry.data_start()
            && let Some(shared) = self.file.slice(start as usize..start.saturating_add(size) as usize)
        {
            io::copy(&mut entry, &mut io::sink()).map_err(damaged_data)?;
            return Ok(shared);
        }
        self.budget -= size;
        let mut content = Vec::new();
        entry.take(size.saturating_add(1)).read_to_end(&mut content).map_err(damaged_data)?;
        if content.len() as u64 != size {
            let found = content.len() as u64;
            return Err(WeightsError::EntrySize { entry: name, found, needed: size });
        }
        Ok(content.into())
    }
}

/// Finds the state dict, flattens it and reads its tensors.
fn collect(
    pickle: &Pickle<'_>,
    pickle_bytes: &Bytes,
    file_bytes: usize,
    mut storage_bytes: impl FnMut(&Storage, &str) -> Result<Bytes, WeightsError>,
) -> Result<StateDict, WeightsError> {
    let (root, taken_key) = state_dict(pickle)?;
    let mut found = Vec::new();
    Walk::new(pickle).tensors(root, String::new(), &mut found)?;
    if found.is_empty() {
        return Err(WeightsError::NoTensors { found: describe(pickle, root) });
    }
    if found.iter().all(|(name, _)| name.starts_with("module.")) {
        found.iter_mut().for_each(|(name, _)| *name = name["module.".len()..].to_owned());
    }
    let mut storages = HashMap::<&str, Bytes>::new();
    let mut budget = file_bytes.saturating_mul(MAX_INFLATION).saturating_add(FREE_BYTES);
    let mut tensors = Tensors::with_capacity(found.len());
    for (name, view) in found {
        let bytes = match &pickle.nodes[view.storage] {
            Node::Storage(storage) => {
                let key = pickle.text(storage.key).unwrap_or_default();
                let whole = match storages.get(key) {
                    Some(bytes) => bytes.clone(),
                    None => {
                        let bytes = storage_bytes(storage, key)?;
                        storages.insert(key, bytes.clone());
                        bytes
                    }
                };
                part_of(whole, storage)
            }
            Node::Bytes(range) => pickle_bytes.slice(range.clone()),
            Node::Decoded(bytes) => Some(bytes.clone().into()),
            _ => None,
        };
        let tensor =
            bytes.ok_or("its storage is too short").and_then(|bytes| read_view(view, &bytes, &mut budget));
        let tensor = tensor.map_err(|reason| WeightsError::BadView { tensor: name.clone(), reason })?;
        tensors.insert(name, tensor);
    }
    Ok(StateDict { tensors, metadata: scalars(pickle), taken_key })
}

fn part_of(whole: Bytes, storage: &Storage) -> Option<Bytes> {
    let Some((offset, count)) = storage.part else { return Some(whole) };
    let size = storage.dtype.size_bytes();
    whole.slice(offset.checked_mul(size)?..offset.checked_add(count)?.checked_mul(size)?)
}

/// The tensor that `view` describes in `storage`; shared if it lies there row by row.
fn read_view(view: &View, storage: &Bytes, budget: &mut usize) -> Result<Tensor, &'static str> {
    const OUTSIDE: &str = "it reaches outside its storage";
    let View { dtype, offset, shape, strides, .. } = view;
    let size = dtype.size_bytes();
    let count = element_count(shape).ok_or(OUTSIDE)?;
    let bytes = count.checked_mul(size).ok_or(OUTSIDE)?;
    let over = |data| Tensor::over(shape.clone(), *dtype, data).map_err(|_| OUTSIDE);
    if count == 0 {
        return over(Vec::new().into());
    }
    let last = shape.iter().zip(strides).try_fold(*offset, |last, (&length, &stride)| {
        (length - 1).checked_mul(stride).and_then(|step| last.checked_add(step))
    });
    let end = last.and_then(|last| last.checked_add(1)?.checked_mul(size)).ok_or(OUTSIDE)?;
    if end > storage.len() {
        return Err(OUTSIDE);
    }
    let start = offset * size;
    let mut dense = 1;
    let row_major = shape.iter().zip(strides).rev().all(|(&length, &stride)| {
        let fits = length == 1 || stride == dense;
        dense *= length;
        fits
    });
    if row_major {
        return storage.slice(start..start + bytes).ok_or(OUTSIDE).and_then(over);
    }
    *budget =
        budget.checked_sub(bytes).ok_or("it repeats its storage too often; save it with .contiguous()")?;
    let mut data = Vec::with_capacity(bytes);
    let mut index = vec![0; shape.len()];
    for _ in 0..count {
        let element = offset + index.iter().zip(strides).map(|(index, stride)| index * stride).sum::<usize>();
        data.extend_from_slice(&storage[element * size..][..size]);
        for (index, &length) in index.iter_mut().zip(shape).rev() {
            *index += 1;
            if *index < length {
                break;
            }
            *index = 0;
        }
    }
    over(data.into())
}

/// The node with the state dict, and the key it was found under.
fn state_dict(pickle: &Pickle<'_>) -> Result<(Id, Option<String>), WeightsError> {
    let Node::Dict(entries) = pickle.root() else { return Ok((pickle.root, None)) };
    let value_of = |wanted: &str| {
        let (_, value) = entries.iter().rev().find(|&&(key, _)| pickle.text(key) == Some(wanted))?;
        matches!(pickle.nodes[*value], Node::Dict(_)).then_some(*value)
    };
    let holds_tensors = |id: Id| {
        let mut found = Vec::new();
        Walk::new(pickle).tensors(id, String::new(), &mut found)?;
        Ok(!found.is_empty())
    };
    let has_own = entries.iter().any(|&(_, value)| matches!(pickle.nodes[value], Node::View(_)));
    let averages = if has_own { &[][..] } else { &AVERAGE_KEYS[..] };
    for &key in STATE_KEYS.iter().chain(averages) {
        if let Some(value) = value_of(key)
            && holds_tensors(value)?
        {
            return Ok((value, Some(key.to_owned())));
        }
    }
    Ok((pickle.root, None))
}

/// A walk through dicts and lists that ends even if they contain themselves or share their parts.
struct Walk<'a, 'b> {
    pickle: &'a Pickle<'b>,
    /// The containers around the current value.
    path: Vec<Id>,
    /// Values that may still be visited.
    steps: usize,
    /// Bytes that the names may still take.
    name_bytes: usize,
}

impl<'a, 'b> Walk<'a, 'b> {
    fn new(pickle: &'a Pickle<'b>) -> Walk<'a, 'b> {
        Walk { pickle, path: Vec::new(), steps: pickle.end, name_bytes: pickle.end.saturating_mul(8) }
    }

    fn tensors(
        &mut self,
        id: Id,
        name: String,
        found: &mut Vec<(String, &'a View)>,
    ) -> Result<(), WeightsError> {
        let (entries, items): (&[(Id, Id)], &[Id]) = match &self.pickle.nodes[id] {
            Node::View(view) => {
                found.push((name, view));
                return Ok(());
            }
            Node::Dict(entries) => (entries, &[]),
            Node::List(items) | Node::Tuple(items) => (&[], items),
            _ => return Ok(()),
        };
        let refuse = |reason| Err(WeightsError::Structure { key: shortened(&name), reason });
        if self.path.contains(&id) {
            return refuse("contains itself");
        }
        if self.path.len() >= MAX_DEPTH {
            return refuse("nested too deeply");
        }
        match self.steps.checked_sub(entries.len() + items.len()) {
            Some(left) => self.steps = left,
            None => return refuse("the same values occur over and over"),
        }
        self.path.push(id);
        for &(key, value) in entries {
            match (self.pickle.text(key), &self.pickle.nodes[key]) {
                (Some(key), _) => self.child(value, &name, key, found)?,
                (None, Node::Int(key)) => self.child(value, &name, &key.to_string(), found)?,
                _ => {}
            }
        }
        for (index, &value) in items.iter().enumerate() {
            self.child(value, &name, &index.to_string(), found)?;
        }
        self.path.pop();
        Ok(())
    }

    fn child(
        &mut self,
        id: Id,
        parent: &str,
        key: &str,
        found: &mut Vec<(String, &'a View)>,
    ) -> Result<(), WeightsError> {
        match self.name_bytes.checked_sub(parent.len() + key.len()) {
            Some(left) => self.name_bytes = left,
            None => return Err(WeightsError::Structure { key: shortened(parent), reason: "too long names" }),
        }
        let name = if parent.is_empty() { key.to_owned() } else { format!("{parent}.{key}") };
        self.tensors(id, name, found)
    }
}

fn shortened(name: &str) -> String {
    if name.is_empty() { "the top level".into() } else { name.chars().take(80).collect() }
}

/// The first numbers and short texts at the top level.
fn scalars(pickle: &Pickle<'_>) -> BTreeMap<String, String> {
    let Node::Dict(entries) = pickle.root() else { return BTreeMap::new() };
    let value_of = |id: Id| match &pickle.nodes[id] {
        Node::Int(value) => Some(value.to_string()),
        Node::Float(value) => Some(value.to_string()),
        Node::Bool(value) => Some(value.to_string()),
        Node::Text(text) if text.len() <= 256 => pickle.text(id).map(str::to_owned),
        _ => None,
    };
    let scalars = entries.iter().filter_map(|&(key, value)| {
        let key = pickle.text(key).filter(|key| key.len() <= 256)?;
        Some((key.to_owned(), value_of(value)?))
    });
    scalars.take(256).collect()
}

fn describe(pickle: &Pickle<'_>, root: Id) -> String {
    match &pickle.nodes[root] {
        Node::Dict(entries) => {
            let keys: Vec<_> = entries.iter().filter_map(|&(key, _)| pickle.text(key)).take(8).collect();
            format!("a dict with the keys {}", shortened(&keys.join(", ")))
        }
        Node::List(_) | Node::Tuple(_) => "a list".into(),
        _ => "a single value".into(),
    }
}
