//! Pickles and archives built by hand, instruction by instruction.

#![allow(dead_code, missing_docs, unreachable_pub, reason = "each test uses a part")]

use std::io::{Cursor, Write};

use cygnet_weights::{Checkpoint, WeightsError, parse};
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

pub fn text(value: &str) -> Vec<u8> {
    [b"X", &(value.len() as u32).to_le_bytes()[..], value.as_bytes()].concat()
}

pub fn bytes(value: &[u8]) -> Vec<u8> {
    [b"B", &(value.len() as u32).to_le_bytes()[..], value].concat()
}

pub fn int(value: i32) -> Vec<u8> {
    [b"J", &value.to_le_bytes()[..]].concat()
}

pub fn tuple(items: &[Vec<u8>]) -> Vec<u8> {
    [b"(", &items.concat()[..], b"t"].concat()
}

pub fn list(items: &[Vec<u8>]) -> Vec<u8> {
    [b"](", &items.concat()[..], b"e"].concat()
}

pub fn dict(items: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let items: Vec<_> = items.iter().flat_map(|(key, value)| [text(key), value.clone()]).collect();
    [b"}(", &items.concat()[..], b"u"].concat()
}

pub fn global(module: &str, name: &str) -> Vec<u8> {
    format!("c{module}\n{name}\n").into_bytes()
}

pub fn call(function: Vec<u8>, arguments: &[Vec<u8>]) -> Vec<u8> {
    [function, tuple(arguments), b"R".to_vec()].concat()
}

pub fn sizes(values: &[i32]) -> Vec<u8> {
    tuple(&values.iter().map(|&value| int(value)).collect::<Vec<_>>())
}

pub fn storage(class: &str, key: &str, count: i32, more: &[Vec<u8>]) -> Vec<u8> {
    let fields = [text("storage"), global("torch", class), text(key), text("cuda:0"), int(count)];
    [tuple(&[&fields[..], more].concat()), b"Q".to_vec()].concat()
}

pub fn tensor(storage: Vec<u8>, offset: i32, shape: &[i32], strides: &[i32]) -> Vec<u8> {
    let hooks = call(global("collections", "OrderedDict"), &[]);
    let arguments = [storage, int(offset), sizes(shape), sizes(strides), vec![0x89], hooks];
    call(global("torch._utils", "_rebuild_tensor_v2"), &arguments)
}

pub fn pickle(body: Vec<u8>) -> Vec<u8> {
    [&[0x80, 2][..], &body, b"."].concat()
}

pub fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// A file of `torch.save` before 1.6; each storage has its number of elements.
pub fn legacy(object: Vec<u8>, storages: &[(&str, u64, Vec<u8>)]) -> Vec<u8> {
    let magic = [&[0x8a, 10][..], &0x1950_a86a_20f9_469c_fc6c_u128.to_le_bytes()[..10]].concat();
    let keys: Vec<_> = storages.iter().map(|(key, ..)| text(key)).collect();
    let data = storages.iter().flat_map(|(_, count, data)| [&count.to_le_bytes()[..], data].concat());
    let system = dict(&[("little_endian", vec![0x88])]);
    let pickles = [magic, int(1001), system, object, list(&keys)].map(pickle).concat();
    pickles.into_iter().chain(data).collect()
}

pub fn archive(method: CompressionMethod, entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in entries {
        zip.start_file(*name, SimpleFileOptions::default().compression_method(method)).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

pub fn numpy_array(shape: &[i32], column_major: bool, data: &[u8]) -> Vec<u8> {
    let placeholder = [global("numpy", "ndarray"), sizes(&[0]), bytes(b"b")];
    let dtype = call(global("numpy", "dtype"), &[text("f4"), int(0), int(1)]);
    let order = tuple(&[int(3), text("<"), vec![b'N'], vec![b'N'], vec![b'N'], int(-1), int(-1), int(0)]);
    let dtype = [dtype, order, b"b".to_vec()].concat();
    let column_major = vec![if column_major { 0x88 } else { 0x89 }];
    let state = tuple(&[int(1), sizes(shape), dtype, column_major, bytes(data)]);
    [call(global("numpy.core.multiarray", "_reconstruct"), &placeholder), state, b"b".to_vec()].concat()
}

pub fn first_three() -> Vec<u8> {
    tensor(storage("FloatStorage", "0", 6, &[]), 0, &[3], &[1])
}

pub fn state_of(object: Vec<u8>, count: u64) -> Result<Checkpoint, WeightsError> {
    let values: Vec<_> = (0..count).map(|value| value as f32).collect();
    parse(legacy(object, &[("0", count, floats(&values))]))
}
