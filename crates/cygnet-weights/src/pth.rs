//! PyTorch checkpoints in both formats of `torch.save`, and plain pickles of NumPy arrays, read as data.
//!
//! `state` finds the tensors among whatever else there is. Whole modules, TorchScript programs and anything that would
//! run code are refused. Storages that no tensor of the state dict uses (an optimiser's) are not read. Memory is bounded
//! by the size of the file (see [`MAX_INFLATION`]) and by [`MAX_VALUE_BYTES`](crate::pickle::MAX_VALUE_BYTES).

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "a pickle may hold any value where one kind is wanted, and all others are refused alike"
)]

use std::collections::HashMap;

use crate::{
    Tensor, Tensors, WeightsError,
    archive::{Archive, FREE_BYTES, MAX_INFLATION},
    pickle::{Node, Pickle, Storage, View},
    state::{self, StateDict},
    tensor::{Bytes, element_count},
};

/// Most bytes of `data.pkl` in an archive.
const MAX_PICKLE_BYTES: u64 = 64 << 20;

const MAGIC: i128 = 0x1950_a86a_20f9_469c_fc6c;
const PROTOCOL: i128 = 1001;

/// Reads an archive of `torch.save`.
pub(crate) fn parse_zip(file: &Bytes, key: Option<&str>) -> Result<StateDict, WeightsError> {
    let mut archive = Archive::open(file)?;
    let pickle_bytes = archive.entry("data.pkl", None, MAX_PICKLE_BYTES)?;
    let pickle = Pickle::load(&pickle_bytes)?;
    let limit = file.len();
    collect(&pickle, key, &pickle_bytes, limit, |storage, key| {
        let needed = storage.count.checked_mul(storage.dtype.size_bytes()).map(|bytes| bytes as u64);
        archive.entry(&format!("data/{key}"), needed, u64::MAX)
    })
}

/// Reads a pickle: `torch.save`'s older format, or a plain pickle with NumPy arrays. The second value tells
/// whether it is `torch.save`'s.
pub(crate) fn parse_pickle(file: &Bytes, key: Option<&str>) -> Result<(StateDict, bool), WeightsError> {
    let first = Pickle::load(file)?;
    if !matches!(first.root(), Node::Int(MAGIC)) {
        let state = collect(&first, key, file, file.len(), |_, _| {
            Err(WeightsError::Archive { reason: "a plain pickle refers to a PyTorch storage" })
        })?;
        return Ok((state, false));
    }
    let mut at = first.end;
    drop(first);
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
    let state = collect(&pickle, key, &pickle_bytes, file.len(), |_, key| {
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

/// Finds the state dict, flattens it and reads its tensors.
fn collect(
    pickle: &Pickle<'_>,
    key: Option<&str>,
    pickle_bytes: &Bytes,
    file_bytes: usize,
    mut storage_bytes: impl FnMut(&Storage, &str) -> Result<Bytes, WeightsError>,
) -> Result<StateDict, WeightsError> {
    let state::Found { tensors: found, taken_key, other_keys } = state::find(pickle, key)?;
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
        if tensors.insert(name.clone(), tensor).is_some() {
            return Err(WeightsError::Structure { key: name, reason: "two tensors have this name" });
        }
    }
    let (metadata, class_names) = (state::scalars(pickle), state::class_names(pickle));
    Ok(StateDict { tensors, metadata, taken_key, other_keys, class_names })
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
    // Where tensors share a storage, what they take together may exceed the file.
    *budget =
        budget.checked_sub(bytes).ok_or("it repeats its storage too often; save it with .contiguous()")?;
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
    let mut data = Vec::new();
    data.try_reserve_exact(bytes).map_err(|_| "it does not fit the memory that this process may have")?;
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
