//! Readers against files built by hand: valid, hostile and damaged ones.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod build;

use std::{collections::BTreeMap, io::Write, sync::LazyLock};

use build::*;

use cygnet_weights::{Checkpoint, Dtype, Format, Tensor, Tensors, WeightsError, parse, safetensors};
use proptest::prelude::*;
use zip::CompressionMethod;

fn two_tensors() -> Vec<u8> {
    dict(&[
        ("conv.weight", tensor(storage("FloatStorage", "0", 4, &[]), 0, &[2, 2], &[2, 1])),
        ("conv.steps", tensor(storage("LongStorage", "1", 1, &[]), 0, &[], &[])),
    ])
}

fn zipped(method: CompressionMethod) -> Vec<u8> {
    let entries = [
        ("any name/data.pkl", pickle(two_tensors())),
        ("any name/byteorder", b"little".to_vec()),
        ("any name/data/0", floats(&[1.0, 2.0, 3.0, 4.0])),
        ("any name/data/1", 7i64.to_le_bytes().to_vec()),
    ];
    archive(method, &entries)
}

fn legacy_file() -> Vec<u8> {
    let storages = [("1", 1, 7i64.to_le_bytes().to_vec()), ("0", 4, floats(&[1.0, 2.0, 3.0, 4.0]))];
    legacy(two_tensors(), &storages)
}

fn numpy_file() -> Vec<u8> {
    let weight = numpy_array(&[2, 3], true, &floats(&[1.0, 4.0, 2.0, 5.0, 3.0, 6.0]));
    pickle(dict(&[("fire2/expand", list(&[weight, numpy_array(&[1], false, &floats(&[9.0]))]))]))
}

fn safetensors_file() -> Vec<u8> {
    let tensors = Tensors::from_iter([
        ("b".to_owned(), Tensor::new([3], Dtype::I8, vec![1, 2, 3]).unwrap()),
        ("a".to_owned(), Tensor::from_f32([2, 1], &[1.0, 2.0]).unwrap()),
    ]);
    let path = tempfile::NamedTempFile::new().unwrap();
    safetensors::write(&path, &tensors, &BTreeMap::from([("note".into(), "x".into())])).unwrap();
    std::fs::read(path).unwrap()
}

static SAMPLES: LazyLock<[Vec<u8>; 5]> = LazyLock::new(|| {
    let deflated = zipped(CompressionMethod::Deflated);
    [zipped(CompressionMethod::Stored), deflated, legacy_file(), numpy_file(), safetensors_file()]
});

fn refusal(file: Vec<u8>) -> String {
    parse(file).unwrap_err().to_string()
}

#[test]
fn both_formats_of_torch_save_give_the_same_tensors() {
    let cases = [
        (zipped(CompressionMethod::Stored), Format::TorchZip),
        (zipped(CompressionMethod::Deflated), Format::TorchZip),
        (legacy_file(), Format::TorchLegacy),
    ];
    for (file, format) in cases {
        let checkpoint = parse(file).unwrap();
        assert_eq!((checkpoint.format, checkpoint.taken_key), (format, None));
        assert_eq!(checkpoint.tensors.keys().collect::<Vec<_>>(), ["conv.weight", "conv.steps"]);
        let weight = &checkpoint.tensors["conv.weight"];
        assert_eq!((weight.shape(), &*weight.to_f32()), (&[2, 2][..], &[1.0, 2.0, 3.0, 4.0][..]));
        let steps = &checkpoint.tensors["conv.steps"];
        assert_eq!((steps.shape(), steps.dtype(), &*steps.to_f32()), (&[][..], Dtype::I64, &[7.0][..]));
    }
}

#[test]
fn numpy_arrays_in_a_plain_pickle_are_named_by_their_place() {
    let checkpoint = parse(numpy_file()).unwrap();
    assert_eq!(checkpoint.format, Format::Pickle);
    assert_eq!(checkpoint.tensors.keys().collect::<Vec<_>>(), ["fire2/expand.0", "fire2/expand.1"]);
    let weight = &checkpoint.tensors["fire2/expand.0"];
    assert_eq!((weight.shape(), &*weight.to_f32()), (&[2, 3][..], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0][..]));
}

#[test]
fn views_follow_their_offset_and_strides() {
    let whole = || storage("FloatStorage", "0", 6, &[]);
    let part = storage("FloatStorage", "0", 6, &[tuple(&[text("v"), int(2), int(4)])]);
    let cases = [
        (tensor(whole(), 0, &[3, 2], &[1, 3]), vec![0.0, 3.0, 1.0, 4.0, 2.0, 5.0]),
        (tensor(whole(), 4, &[2], &[1]), vec![4.0, 5.0]),
        (tensor(whole(), 1, &[1, 3], &[99, 2]), vec![1.0, 3.0, 5.0]),
        (tensor(whole(), 2, &[2, 2], &[0, 1]), vec![2.0, 3.0, 2.0, 3.0]),
        (tensor(whole(), 6, &[0, 5], &[5, 1]), vec![]),
        (tensor(part, 1, &[2], &[2]), vec![3.0, 5.0]),
    ];
    for (view, values) in cases {
        assert_eq!(&*state_of(dict(&[("x", view)]), 6).unwrap().tensors["x"].to_f32(), values);
    }
}

#[test]
fn views_that_leave_their_storage_are_refused_by_name() {
    let whole = || storage("FloatStorage", "0", 6, &[]);
    let far = storage("FloatStorage", "0", 6, &[tuple(&[text("v"), int(4), int(4)])]);
    for view in [
        tensor(whole(), 4, &[3], &[1]),
        tensor(whole(), 0, &[2, 2], &[5, 1]),
        tensor(whole(), i32::MAX, &[1], &[1]),
        tensor(whole(), 0, &[i32::MAX; 4], &[i32::MAX; 4]),
        tensor(far, 0, &[1], &[1]),
    ] {
        let message = state_of(dict(&[("stem.weight", view)]), 6).unwrap_err().to_string();
        assert!(message.starts_with("stem.weight: "), "{message}");
    }
    let negative = tensor(whole(), 0, &[2], &[-1]);
    assert!(state_of(dict(&[("x", negative)]), 6).is_err());
    let expanded = tensor(whole(), 0, &[10_000, 10_000], &[0, 0]);
    assert!(state_of(dict(&[("x", expanded)]), 6).unwrap_err().to_string().contains("too often"));
}

#[test]
fn the_state_dict_is_found_among_other_things() {
    let weights = |name| dict(&[(name, first_three())]);
    let cases = [
        (dict(&[("epoch", int(3)), ("state_dict", weights("a"))]), "a", Some("state_dict")),
        (dict(&[("ema", weights("e")), ("model", weights("a"))]), "a", Some("model")),
        (dict(&[("state_dict_ema", weights("e")), ("epoch", int(3))]), "e", Some("state_dict_ema")),
        (dict(&[("net", int(1)), ("a", first_three())]), "a", None),
        (dict(&[("body", weights("a"))]), "body.a", None),
        (dict(&[("model", dict(&[("state_dict", weights("a"))]))]), "a", Some("model.state_dict")),
        (dict(&[("body", weights("a")), ("optimizer", weights("b"))]), "body.a", None),
    ];
    for (object, name, key) in cases {
        let checkpoint = state_of(object, 6).unwrap();
        assert_eq!(checkpoint.tensors.keys().collect::<Vec<_>>(), [name]);
        assert_eq!(checkpoint.taken_key.as_deref(), key);
    }
    let told = state_of(dict(&[("epoch", int(3)), ("model", weights("a"))]), 6).unwrap();
    assert_eq!(told.metadata, BTreeMap::from([("epoch".to_owned(), "3".to_owned())]));
}

#[test]
fn files_that_want_to_run_code_are_refused_with_the_name_of_what_they_want() {
    let system = || tuple(&[text("echo")]);
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (call(global("os", "system"), &[text("echo")]), "os.system"),
        (call(global("posix", "system"), &[text("echo")]), "posix.system"),
        (call(global("builtins", "eval"), &[text("1")]), "builtins.eval"),
        (call(global("__builtin__", "getattr"), &[text("1")]), "__builtin__.getattr"),
        ([text("os"), text("system"), vec![0x93], system(), b"R".to_vec()].concat(), "os.system"),
        (global("torch.storage", "_load_from_bytes"), "torch.storage._load_from_bytes"),
        (global("torch", "load"), "torch.load"),
        (global("torch", "EvilStorage"), "torch.EvilStorage"),
        ([b"(".to_vec(), text("echo"), b"ios\nsystem\n".to_vec()].concat(), "INST"),
        ([b"(".to_vec(), text("echo"), b"o".to_vec()].concat(), "OBJ"),
        ([text("a"), system(), b"}\x92".to_vec()].concat(), "NEWOBJ_EX"),
        (vec![0x82, 1], "EXT1"),
        (vec![0x83, 1, 0], "EXT2"),
        (vec![0x84, 1, 0, 0, 0], "EXT4"),
        (b"Pstorage\n".to_vec(), "PERSID"),
    ];
    for (body, name) in cases {
        for file in [
            pickle(body.clone()),
            legacy(body.clone(), &[]),
            archive(CompressionMethod::Stored, &[("a/data.pkl", pickle(body.clone()))]),
        ] {
            let message = refusal(file);
            assert!(message.contains(name) && message.contains("wants to run code"), "{message}");
        }
    }
}

#[test]
fn whole_modules_and_programs_are_refused_with_advice() {
    let module = pickle(global("torch.nn.modules.conv", "Conv2d"));
    let entries = [("a/data.pkl", pickle(dict(&[]))), ("a/constants.pkl", vec![])];
    for file in [module, archive(CompressionMethod::Stored, &entries)] {
        let message = refusal(file);
        assert!(message.contains("state_dict()") && message.contains("module"), "{message}");
    }
}

#[test]
fn values_that_contain_themselves_or_explode_end_with_an_error() {
    let itself = b"}q\x00X\x01\x00\x00\x00ah\x00s".to_vec();
    assert!(refusal(pickle(itself)).contains("contains itself"));
    let mut laughs = b")q\x00".to_vec();
    for level in 0..100u8 {
        laughs.extend(b"0(");
        laughs.extend([b'h', level].repeat(10));
        laughs.extend([b't', b'q', level + 1]);
    }
    assert!(parse(pickle(laughs.clone())).is_err());
    let message = refusal(pickle([b"}X\x01\x00\x00\x00a".to_vec(), laughs, b"s".to_vec()].concat()));
    assert!(message.contains("over and over") || message.contains("too deeply"), "{message}");
    let deep = [vec![b']'; 5000], vec![b'a'; 4999]].concat();
    assert!(refusal(pickle(deep)).contains("too deeply"));
    let pairs = list(&vec![tuple(&[text("k"), int(1)]); 1000]);
    let copies = [pairs, b"q\x00".to_vec()].concat();
    let again = [global("collections", "OrderedDict"), b"h\x00\x85R0".to_vec()].concat();
    assert!(refusal(pickle([copies, again.repeat(1000)].concat())).contains("over and over"));
}

#[test]
fn claimed_lengths_are_checked_before_memory_is_taken() {
    let huge = u64::MAX.to_le_bytes();
    for opcode in [0x8d, 0x8e, 0x96] {
        assert!(refusal(pickle([&[opcode][..], &huge].concat())).contains("cut off"));
    }
    for opcode in [b'X', b'B', b'T', 0x8b] {
        assert!(refusal(pickle([&[opcode][..], &huge[..4]].concat())).contains("cut off"));
    }
    let object = dict(&[("x", first_three())]);
    assert!(refusal(legacy(object.clone(), &[("0", u64::MAX, vec![])])).contains("cut off"));
    assert!(refusal(legacy(object, &[("0", 6, vec![0; 23])])).contains("needs 24 bytes, 23 are left"));
}

#[test]
fn decompression_bombs_are_refused() {
    let count = 25 << 20;
    let object = dict(&[("x", tensor(storage("FloatStorage", "0", count, &[]), 0, &[count], &[1]))]);
    let entries = [("a/data.pkl", pickle(object)), ("a/data/0", vec![0; 4 * count as usize])];
    assert!(refusal(archive(CompressionMethod::Deflated, &entries)).contains("decompression bomb"));
    let entries = [("a/data.pkl", vec![0; 100 << 20])];
    assert!(refusal(archive(CompressionMethod::Deflated, &entries)).contains("decompression bomb"));
}

#[test]
fn an_entry_that_inflates_beyond_its_declared_size_is_refused() {
    let object = dict(&[("x", tensor(storage("FloatStorage", "0", 4, &[]), 0, &[4], &[1]))]);
    let real: u32 = 70_001;
    let entries = [("a/data.pkl", pickle(object)), ("a/data/0", vec![0; real as usize])];
    let mut file = archive(CompressionMethod::Deflated, &entries);
    let found: Vec<_> = (0..file.len() - 4).filter(|&at| file[at..at + 4] == real.to_le_bytes()).collect();
    assert_eq!(found.len(), 2);
    found.iter().for_each(|&at| file[at..at + 4].copy_from_slice(&16u32.to_le_bytes()));
    let message = refusal(file);
    assert!(message.contains("a/data/0"), "{message}");
}

#[test]
fn archives_that_disagree_with_their_pickle_are_refused() {
    let object = || pickle(two_tensors());
    let cases = [
        (vec![("a/data.pkl", object()), ("a/data/1", vec![0; 8])], "a/data/0"),
        (vec![("a/data.pkl", object()), ("a/data/0", vec![0; 12])], "has 12 bytes, its tensors need 16"),
        (vec![("a/data.pkl", object()), ("b/data.pkl", object())], "two entries"),
        (vec![("a/readme", vec![])], "without data.pkl"),
        (vec![("a/data.pkl", object()), ("a/byteorder", b"big".to_vec())], "big-endian"),
    ];
    for (entries, reason) in cases {
        let message = refusal(archive(CompressionMethod::Stored, &entries));
        assert!(message.contains(reason), "{message}");
    }
    let mut twice = archive(
        CompressionMethod::Stored,
        &[("a/data.pkl", object()), ("a/data/0", vec![0; 16]), ("a/data/1", vec![0; 8])],
    );
    let names: Vec<_> = (0..twice.len() - 8).filter(|&at| twice[at..].starts_with(b"a/data/1")).collect();
    names.iter().for_each(|&at| twice[at + 7] = b'0');
    assert!(refusal(twice).contains("same name"));
}

#[test]
fn a_flipped_bit_in_stored_tensor_data_is_noticed() {
    let mut file = zipped(CompressionMethod::Stored);
    let data = floats(&[1.0, 2.0, 3.0, 4.0]);
    let at = file.windows(16).position(|window| window == data).unwrap();
    file[at + 5] ^= 1;
    assert!(refusal(file).contains("any name/data/0"));
}

#[test]
fn safetensors_come_back_as_written_and_in_order() {
    let file = safetensors_file();
    assert_eq!(file, safetensors_file());
    let checkpoint = parse(file.clone()).unwrap();
    assert_eq!(checkpoint.format, Format::Safetensors);
    assert_eq!(checkpoint.metadata["note"], "x");
    assert_eq!(&*checkpoint.tensors["a"].to_f32(), [1.0, 2.0]);
    assert_eq!(checkpoint.tensors["b"].bytes(), [1, 2, 3]);
    let independent = ::safetensors::SafeTensors::deserialize(&file).unwrap();
    assert_eq!(independent.tensor("a").unwrap().shape(), [2, 1]);
}

#[test]
fn damaged_safetensors_say_what_is_wrong() {
    let file = |header: &str, data: usize| {
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &vec![0; data]].concat()
    };
    let one = |dtype: &str, shape: &str, offsets: &str| {
        format!(r#"{{"x":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}}}"#)
    };
    let overlap = r#"{"x":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},
        "y":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}}"#;
    let wide = u64::MAX / 2 + 1;
    let wraps = format!(
        r#"{{"x":{{"dtype":"U8","shape":[{wide}],"data_offsets":[0,{wide}]}},
        "y":{{"dtype":"U8","shape":[{}],"data_offsets":[{wide},{}]}}}}"#,
        wide - 1,
        u64::MAX
    );
    let cases = [
        (file(&one("F32", "[2]", "[0,8]"), 7), "the file has 7"),
        (file(&one("F32", "[2]", "[0,8]"), 9), "the file has 9"),
        (file(&one("F32", "[3]", "[0,8]"), 8), "header"),
        (file(&one("U16", "[4]", "[0,8]"), 8), "x: element type U16"),
        (file(&one("F99", "[4]", "[0,8]"), 8), "header"),
        (file(overlap, 6), "invalid offset"),
        (file(&wraps, 0), "header"),
        (file("{not json", 0), "header"),
        ([&u64::MAX.to_le_bytes()[..], b"{}"].concat(), "claims 18446744073709551615 bytes"),
        (vec![0; 3], "unknown format"),
        (vec![], "an empty file"),
        (b"<!DOCTYPE html>".to_vec(), "a web page"),
    ];
    for (file, reason) in cases {
        let message = refusal(file);
        assert!(message.contains(reason), "{message} does not say {reason}");
    }
}

#[test]
fn files_that_are_cut_off_anywhere_never_pass_for_whole() {
    for file in &*SAMPLES {
        for length in 0..file.len() {
            assert!(parse(file[..length].to_vec()).is_err());
            assert!(opened(&file[..length]).is_err());
        }
    }
}

/// What is read of a file with this content.
fn opened(content: &[u8]) -> Result<Checkpoint, WeightsError> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(content).unwrap();
    cygnet_weights::open(file)
}

#[test]
fn files_read_like_their_bytes_also_when_they_are_removed_or_replaced() {
    for content in &*SAMPLES {
        let (file, bytes) = (opened(content).unwrap(), parse(content.clone()).unwrap());
        assert_eq!((file.tensors, file.metadata), (bytes.tensors, bytes.metadata));
    }
    let (path, other) = (tempfile::NamedTempFile::new().unwrap(), tempfile::NamedTempFile::new().unwrap());
    std::fs::write(&path, safetensors_file()).unwrap();
    let (tensors, _) = safetensors::read(&path).unwrap();
    std::fs::write(&other, b"shorter").unwrap();
    std::fs::rename(&other, &path).unwrap();
    assert_eq!(tensors, parse(safetensors_file()).unwrap().tensors);
}

#[test]
fn an_error_names_the_file() {
    let path = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&path, pickle(global("os", "system"))).unwrap();
    let message = cygnet_weights::open(&path).unwrap_err().to_string();
    assert!(message.starts_with(path.path().to_str().unwrap()), "{message}");
    assert!(cygnet_weights::open("no such file").unwrap_err().to_string().starts_with("no such file: "));
}

fn instruction() -> impl Strategy<Value = Vec<u8>> {
    let plain = b"N)]}(t\x85\x86\x87lduesab012RQ\x81\x93\x94\x8f\x90\x91\x88\x89.".to_vec();
    let names = [
        global("collections", "OrderedDict"),
        global("torch._utils", "_rebuild_tensor_v2"),
        global("torch", "FloatStorage"),
        global("numpy.core.multiarray", "_reconstruct"),
        global("numpy", "ndarray"),
        global("numpy", "dtype"),
        global("_codecs", "encode"),
        text("storage"),
        text("f4"),
        text("state_dict"),
        first_three(),
        numpy_array(&[1], false, &floats(&[1.0])),
    ];
    prop_oneof![
        4 => proptest::sample::select(plain).prop_map(|opcode| vec![opcode]),
        2 => (0..4u8).prop_map(|index| vec![b'q', index]),
        2 => (0..4u8).prop_map(|index| vec![b'h', index]),
        1 => any::<i32>().prop_map(int),
        3 => proptest::sample::select(names.to_vec()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn flipped_bytes_never_panic(sample in 0..5usize, flips in prop::collection::vec((any::<usize>(), any::<u8>()), 1..4)) {
        let mut file = SAMPLES[sample].clone();
        for (at, value) in flips {
            let at = at % file.len();
            file[at] = value;
        }
        assert_eq!(opened(&file).is_ok(), parse(file).is_ok());
    }

    #[test]
    fn arbitrary_bytes_never_panic(start in 0..5usize, rest in prop::collection::vec(any::<u8>(), 0..200)) {
        let starts: [&[u8]; 5] = [b"", b"PK\x03\x04", b"\x80\x02", b"\x80\x04\x95", b"\x40\0\0\0\0\0\0\0{"];
        let _ = parse([starts[start], &rest].concat());
    }

    #[test]
    fn arbitrary_instructions_never_panic(body in prop::collection::vec(instruction(), 0..40), torch in any::<bool>()) {
        let body = body.concat();
        let file = if torch { legacy(body, &[("0", 6, vec![0; 24])]) } else { pickle(body) };
        let _ = parse(file);
    }
}
