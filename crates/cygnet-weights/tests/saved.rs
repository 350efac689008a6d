//! Checkpoints as training scripts save them: among plain data, averages and names of classes, pruned, in parts, and
//! hostile ones that claim too much.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod build;

use std::collections::BTreeMap;

use build::*;
use cygnet_weights::{
    Checkpoint, Dtype, Tensor, Tensors, WeightsError, open, open_key, parse, read_class_names, safetensors,
};
use zip::CompressionMethod;

fn weights(name: &str) -> Vec<u8> {
    dict(&[(name, first_three())])
}

/// An object of a class, with a dict of attributes.
fn object(module: &str, class: &str, attributes: &[(&str, Vec<u8>)]) -> Vec<u8> {
    [global(module, class), b")\x81".to_vec(), dict(attributes), b"b".to_vec()].concat()
}

fn names(checkpoint: &Checkpoint) -> Vec<&str> {
    checkpoint.tensors.keys().map(String::as_str).collect()
}

fn saved(object: Vec<u8>) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    let values: Vec<_> = (0..6).map(|value| value as f32).collect();
    std::fs::write(&file, legacy(object, &[("0", 6, floats(&values))])).unwrap();
    file
}

/// The archive with the records that `torch.save` writes before its end.
fn with_zip64_end(mut zip: Vec<u8>) -> Vec<u8> {
    let end = zip.split_off(zip.len() - 22);
    let field = |at: usize| u64::from(u32::from_le_bytes(end[at..at + 4].try_into().unwrap()));
    let entries = u64::from(u16::from_le_bytes(end[10..12].try_into().unwrap()));
    let start = zip.len() as u64;
    zip.extend(b"PK\x06\x06");
    zip.extend(44u64.to_le_bytes());
    zip.extend([0x1e, 3, 45, 0]);
    zip.extend([0; 8]);
    [entries, entries, field(12), field(16)].iter().for_each(|value| zip.extend(value.to_le_bytes()));
    zip.extend(b"PK\x06\x07\0\0\0\0");
    zip.extend(start.to_le_bytes());
    zip.extend([1, 0, 0, 0]);
    [zip, end].concat()
}

#[test]
fn archives_of_every_length_of_name_read_alike() {
    for length in 1..=64 {
        let name = "n".repeat(length);
        let entry = |rest: &str| format!("{name}/{rest}");
        let entries = [
            (&*entry("data.pkl"), pickle(weights("x"))),
            (&*entry("byteorder"), b"little".to_vec()),
            (&*entry("data/0"), floats(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])),
        ];
        let file = with_zip64_end(archive(CompressionMethod::Stored, &entries));
        let checkpoint = parse(file).unwrap_or_else(|error| panic!("{length} characters: {error}"));
        assert_eq!(&*checkpoint.tensors["x"].to_f32(), [1.0, 2.0, 3.0], "{length} characters");
    }
}

#[test]
fn plain_data_beside_the_weights_is_skipped() {
    let class = |module: &str, name: &str, arguments: &[Vec<u8>]| call(global(module, name), arguments);
    let list_of = |class: Vec<u8>| [class, b"(".to_vec(), int(1), int(2), b"e".to_vec()].concat();
    let dict_of = |class: Vec<u8>| [class, text("a"), int(1), b"s".to_vec()].concat();
    let scalar_type = call(global("numpy", "dtype"), &[text("f8"), int(0), int(1)]);
    let random = {
        let placeholder = [global("numpy", "ndarray"), sizes(&[0]), bytes(b"b")];
        let dtype = call(global("numpy", "dtype"), &[text("u4"), int(0), int(1)]);
        let state = tuple(&[int(1), sizes(&[1]), dtype, vec![0x89], bytes(&[1, 2, 3, 4])]);
        [call(global("numpy.core.multiarray", "_reconstruct"), &placeholder), state, b"b".to_vec()].concat()
    };
    let beside = [
        object("argparse", "Namespace", &[("lr", int(1)), ("out", text("runs/1"))]),
        object("__main__", "Config", &[("nested", object("my.code", "Inner", &[("x", int(2))]))]),
        object("omegaconf.dictconfig", "DictConfig", &[("_content", dict(&[]))]),
        object("torch.optim.sgd", "SGD", &[("state", dict(&[("0", first_three())]))]),
        class("pathlib", "PosixPath", &[text("/"), text("data")]),
        class("pathlib._local", "PosixPath", &[text("/")]),
        class("datetime", "datetime", &[bytes(&[7, 232, 1, 1, 0, 0, 0, 0, 0, 0])]),
        class("datetime", "timedelta", &[int(0), int(3), int(0)]),
        class("decimal", "Decimal", &[text("0.1")]),
        class("my.code", "Colour", &[int(1)]),
        class("builtins", "getattr", &[global("my.code", "Colour"), text("RED")]),
        class("functools", "partial", &[global("my.code", "make_model")]),
        class("numpy.core.multiarray", "scalar", &[scalar_type.clone(), bytes(&[0; 8])]),
        class("numpy._core.multiarray", "scalar", &[scalar_type, bytes(&[0; 8])]),
        class("torch", "device", &[text("cuda")]),
        class("torch", "Size", &[sizes(&[1, 2])]),
        class("collections", "Counter", &[dict(&[("a", int(1))])]),
        dict_of(class("collections", "defaultdict", &[global("builtins", "list")])),
        dict_of([global("my.code", "AttributeDict"), b")\x81".to_vec()].concat()),
        list_of(class("collections", "deque", &[list(&[]), int(9)])),
        class("builtins", "set", &[list(&[int(1)])]),
        global("torch", "float32"),
        global("torch", "channels_last"),
        global("typing", "Any"),
        global("builtins", "int"),
        global("my.code", "collate"),
        random,
    ];
    for (index, beside) in beside.into_iter().enumerate() {
        let object = dict(&[("model", weights("a")), ("args", beside)]);
        let checkpoint = state_of(object, 6).unwrap_or_else(|error| panic!("value {index}: {error}"));
        assert_eq!((names(&checkpoint), checkpoint.taken_key.as_deref()), (vec!["a"], Some("model")));
    }
}

#[test]
fn functions_are_never_called_and_whole_networks_never_made() {
    for (module, name) in
        [("my.code", "make_model"), ("subprocess", "Popen"), ("numpy", "load"), ("os", "system")]
    {
        let object = dict(&[("model", weights("a")), ("args", call(global(module, name), &[text("x")]))]);
        let message = state_of(object, 6).unwrap_err().to_string();
        assert!(message.contains(&format!("{module}.{name}")) && message.contains("run code"), "{message}");
    }
    let layer = || object("torch.nn.modules.conv", "Conv2d", &[("weight", first_three())]);
    let network = || object("my.code", "Net", &[("_modules", dict(&[("conv", layer())]))]);
    let message =
        state_of(dict(&[("model", network()), ("optimizer", weights("a"))]), 6).unwrap_err().to_string();
    assert!(
        message.contains("torch.nn.modules.conv.Conv2d") && message.contains("state_dict()"),
        "{message}"
    );
    let both = state_of(dict(&[("net", network()), ("state_dict", weights("a"))]), 6).unwrap();
    assert_eq!(names(&both), ["a"]);
}

#[test]
fn of_several_state_dicts_one_is_taken_the_others_are_told_and_a_key_chooses() {
    let file = saved(dict(&[
        ("epoch", int(3)),
        ("state_dict", dict(&[("student.a", first_three()), ("teacher.a", first_three())])),
        ("model_ema", dict(&[("module", weights("e"))])),
        ("optimizer", weights("o")),
        ("opt", weights("o")),
    ]));
    let checkpoint = open(&file).unwrap();
    assert_eq!(
        (checkpoint.taken_key.as_deref(), checkpoint.other_keys),
        (Some("state_dict"), vec!["model_ema".to_owned()])
    );
    for (key, expected) in [
        ("model_ema", vec!["module.e"]),
        ("model_ema.module", vec!["e"]),
        ("state_dict.teacher", vec!["a"]),
        ("teacher", vec!["a"]),
        ("optimizer", vec!["o"]),
    ] {
        assert_eq!(names(&open_key(&file, key).unwrap()), expected, "{key}");
    }
    let message = open_key(&file, "ema").unwrap_err().to_string();
    assert!(
        message.ends_with("no tensors under ema; there are state_dict, model_ema, student, teacher"),
        "{message}"
    );
}

#[test]
fn a_key_chooses_among_the_names_of_safetensors() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("both.safetensors");
    let one = Tensor::from_f32([1], &[1.0]).unwrap();
    let tensors = Tensors::from_iter([("ema.a".to_owned(), one.clone()), ("model.a".to_owned(), one)]);
    safetensors::write(&path, &tensors, &BTreeMap::new()).unwrap();
    let checkpoint = open_key(&path, "ema").unwrap();
    assert_eq!((names(&checkpoint), checkpoint.taken_key.as_deref()), (vec!["a"], Some("ema")));
    let message = open_key(&path, "em").unwrap_err().to_string();
    assert!(message.contains("there are ema, model"), "{message}");
}

#[test]
fn names_of_classes_are_found_in_every_form() {
    let numbered = |pairs: &[(&str, i32)]| {
        dict(&pairs.iter().map(|&(name, index)| (name, int(index))).collect::<Vec<_>>())
    };
    let by_number = [b"}(".to_vec(), int(1), text("bee"), int(0), text("ant"), b"u".to_vec()].concat();
    let texts = || list(&[text("ant"), text("bee")]);
    let forms = [
        ("class_to_idx", numbered(&[("bee", 1), ("ant", 0)])),
        ("idx_to_class", by_number),
        ("idx_to_class", dict(&[("0", text("ant")), ("1", text("bee"))])),
        ("classes", texts()),
        ("class_names", tuple(&[text("ant"), text("bee")])),
        ("meta", dict(&[("labels", texts())])),
        ("meta", dict(&[("dataset_meta", dict(&[("CLASSES", texts())]))])),
        ("hyper_parameters", dict(&[("class_names", texts())])),
        ("args", object("argparse", "Namespace", &[("classes", texts())])),
    ];
    for (key, value) in forms {
        let checkpoint = state_of(dict(&[("state_dict", weights("a")), (key, value)]), 6).unwrap();
        assert_eq!(checkpoint.class_names.unwrap(), ["ant", "bee"], "{key}");
    }
    let others = [
        ("classes", int(2)),
        ("labels", list(&[int(0), int(1)])),
        ("class_to_idx", numbered(&[("ant", 0), ("bee", 2)])),
        ("class_to_idx", numbered(&[("ant", 0), ("bee", 0)])),
    ];
    for (key, value) in others {
        let checkpoint = state_of(dict(&[("state_dict", weights("a")), (key, value)]), 6).unwrap();
        assert_eq!(checkpoint.class_names, None, "{key}");
    }
}

#[test]
fn files_of_class_names_may_be_lines_or_json() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let read = |content: &str| {
        std::fs::write(&file, content).unwrap();
        read_class_names(&file)
    };
    for content in [
        "ant\nbee\n",
        "\u{feff}ant\r\nbee\r\n\r\n",
        r#"["ant", "bee"]"#,
        r#"{"ant": 0, "bee": 1}"#,
        r#"{"1": "bee", "0": "ant"}"#,
        r#"{"0": ["n02219486", "ant"], "1": ["n02206856", "bee"]}"#,
    ] {
        assert_eq!(read(content).unwrap(), ["ant", "bee"], "{content}");
    }
    for (content, reason) in [
        ("", "has no class names"),
        ("[]", "has no class names"),
        (r#"{"ant": 0, "bee": 2}"#, "neither a list"),
        (r#"{"ant": 0, "ant": 1}"#, "\"ant\" is there twice"),
        (r#"[1, 2]"#, "neither a list"),
        ("[\"ant\"", "damaged JSON"),
    ] {
        let message = read(content).unwrap_err().to_string();
        assert!(message.contains(reason) && message.starts_with(file.path().to_str().unwrap()), "{message}");
    }
}

#[test]
fn pruned_weights_are_multiplied_by_their_masks() {
    let part = |offset| tensor(storage("FloatStorage", "0", 6, &[]), offset, &[3], &[1]);
    let object = dict(&[
        ("a.weight_orig", part(3)),
        ("a.bias", part(0)),
        ("a.weight_mask", part(0)),
        ("b_orig", part(0)),
    ]);
    let checkpoint = state_of(object, 6).unwrap();
    assert_eq!(names(&checkpoint), ["a.weight", "a.bias", "b_orig"]);
    assert_eq!(&*checkpoint.tensors["a.weight"].to_f32(), [0.0, 4.0, 10.0]);
}

#[test]
fn a_key_that_is_there_twice_is_an_error_that_names_it() {
    let object = dict(&[("a.b", first_three()), ("a", weights("b"))]);
    let message = state_of(object, 6).unwrap_err().to_string();
    assert!(message.starts_with("a.b: two tensors"), "{message}");
    let file = |header: &str| [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0; 2]].concat();
    let tensor = |name: &str, at: usize| {
        format!(r#""{name}":{{"dtype":"U8","shape":[1],"data_offsets":[{at},{}]}}"#, at + 1)
    };
    for (header, key) in [
        (format!("{{{},{}}}", tensor("x", 0), tensor("x", 1)), "\"x\""),
        (format!(r#"{{"__metadata__":{{"k":"1","k":"2"}},{},{}}}"#, tensor("x", 0), tensor("y", 1)), "\"k\""),
        (
            format!(r#"{{"__metadata__":{{}},"__metadata__":{{}},{},{}}}"#, tensor("x", 0), tensor("y", 1)),
            "\"__metadata__\"",
        ),
    ] {
        let message = parse(file(&header)).unwrap_err().to_string();
        assert!(message.contains(&format!("the key {key} is there twice")), "{message}");
    }
    assert!(parse(file(&format!("{{{},{}}}", tensor("x", 0), tensor("y", 1)))).is_ok());
    let record = r#"{"format":1,"network":"n","graph":{"a":{"b":1,"b":2}},"preprocess":{},"written_by":"x"}"#;
    let metadata = BTreeMap::from([("cygnet".to_owned(), record.to_owned())]);
    let message = cygnet_weights::ModelRecord::from_metadata(&metadata).unwrap_err().to_string();
    assert!(message.contains("the key \"b\" is there twice"), "{message}");
}

/// A pickle that repeats one value many times over.
fn repeated(value: Vec<u8>, again: &[u8], times: usize) -> Vec<u8> {
    pickle([b"](".to_vec(), value, again.repeat(times), b"e".to_vec()].concat())
}

#[test]
fn values_that_take_more_memory_than_any_checkpoints_are_refused() {
    let view = |rank: usize| tensor(storage("FloatStorage", "0", 6, &[]), 0, &vec![1; rank], &vec![1; rank]);
    // The function and its arguments, kept in the memo and called again and again.
    let body = view(16);
    let (function, arguments) =
        body[..body.len() - 1].split_at(body.iter().position(|&byte| byte == b'(').unwrap());
    let kept = [function, b"q\x00", arguments, b"q\x01R"].concat();
    let entries = |body| [("a/data.pkl", body), ("a/data/0", vec![0; 24])];
    let views = archive(CompressionMethod::Deflated, &entries(repeated(kept, b"h\x00h\x01R", 2_000_000)));
    assert!(views.len() < 100_000);
    let message = parse(views).unwrap_err().to_string();
    assert!(message.contains("more memory than any checkpoint's"), "{message}");
    let lists = archive(CompressionMethod::Deflated, &entries(repeated(int(1), b"](K\x01K\x02e", 5_000_000)));
    assert!(parse(lists).unwrap_err().to_string().contains("more memory"));
    let shared = repeated([view(1), b"q\x02".to_vec()].concat(), b"h\x02", 100_000);
    let message = parse(archive(CompressionMethod::Deflated, &entries(shared))).unwrap_err().to_string();
    assert!(message.contains("one tensor more than any checkpoint has"), "{message}");
}

#[test]
fn archives_whose_entries_lie_over_each_other_are_refused() {
    const ENTRIES: usize = 3000;
    let block = vec![7u8; 1 << 20];
    let count = (block.len() / 4) as i32;
    let keys: Vec<String> = (0..ENTRIES).map(|index| format!("{index:04}")).collect();
    let views: Vec<_> =
        keys.iter().map(|key| tensor(storage("FloatStorage", key, count, &[]), 0, &[1], &[1])).collect();
    let mut zip =
        archive(CompressionMethod::Stored, &[("a/data.pkl", pickle(list(&views))), ("a/data/0000", block)]);
    let end = zip.split_off(zip.len() - 22);
    let start = u32::from_le_bytes(end[16..20].try_into().unwrap()) as usize;
    let mut directory = zip.split_off(start);
    let header = directory.split_off(directory.len() - 46 - "a/data/0000".len());
    for key in &keys {
        directory.extend(&header[..46]);
        directory.extend(format!("a/data/{key}").as_bytes());
    }
    let entries = (ENTRIES as u16 + 1).to_le_bytes();
    let size = (directory.len() as u32).to_le_bytes();
    let end = [&end[..8], &entries, &entries, &size, &end[16..]].concat();
    let message = parse([zip, directory, end].concat()).unwrap_err().to_string();
    assert!(message.contains("lie over each other") || message.contains("a/data/"), "{message}");
}

#[test]
fn a_directory_larger_than_any_checkpoints_is_refused() {
    let name = "a/".to_owned() + &"n".repeat(60_000);
    let names: Vec<String> = (0..200).map(|index| format!("{name}{index}")).collect();
    let entries: Vec<(&str, Vec<u8>)> = names.iter().map(|name| (&**name, vec![])).collect();
    let message = parse(archive(CompressionMethod::Stored, &entries)).unwrap_err().to_string();
    assert!(message.contains("directory is larger"), "{message}");
}

#[test]
fn an_archive_that_is_cut_off_says_so() {
    let entries = [("a/data.pkl", pickle(weights("x"))), ("a/data/0", floats(&[0.0; 6]))];
    let file = archive(CompressionMethod::Stored, &entries);
    for length in [30, file.len() / 2, file.len() - 23] {
        let message = parse(file[..length].to_vec()).unwrap_err().to_string();
        assert!(message.contains("cut off") && message.contains("download or copy it again"), "{message}");
    }
}

#[test]
fn a_checkpoint_in_parts_is_read_by_its_index() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let parts = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
    for (part, name) in parts.into_iter().zip(["a", "b"]) {
        let tensors = Tensors::from_iter([(name.to_owned(), Tensor::new([1], Dtype::U8, vec![1]).unwrap())]);
        safetensors::write(path(part), &tensors, &BTreeMap::new()).unwrap();
    }
    let index = path("model.safetensors.index.json");
    let read = |map: &str| {
        std::fs::write(&index, format!(r#"{{"metadata": {{}}, "weight_map": {map}}}"#)).unwrap();
        open(&index)
    };
    let map = format!(r#"{{"a": "{}", "b": "{}"}}"#, parts[0], parts[1]);
    assert_eq!(names(&read(&map).unwrap()), ["a", "b"]);
    let message = open(path(parts[1])).unwrap_err().to_string();
    assert!(message.contains("is part 2 of 2; give model.safetensors.index.json"), "{message}");
    for (map, reason) in [
        (format!(r#"{{"a": "{}", "a": "{}"}}"#, parts[0], parts[1]), "the key \"a\" is there twice"),
        (format!(r#"{{"c": "{}"}}"#, parts[0]), "has no tensor c"),
        (r#"{"a": "../a.safetensors"}"#.to_owned(), "no name of a file beside it"),
        (r#"{"a": "/etc/passwd"}"#.to_owned(), "no name of a file beside it"),
        (r#"{"a": "model-00003-of-00003.safetensors"}"#.to_owned(), "model-00003"),
        ("[]".to_owned(), "no weight_map"),
    ] {
        let message = read(&map).unwrap_err().to_string();
        assert!(message.contains(reason), "{message} does not say {reason}");
    }
    // A safetensors file whose first and last bytes are braces is no index.
    let header = r#"{"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#;
    let header = format!("{header:<0$}", usize::from(b'{'));
    std::fs::write(&index, [&u64::from(b'{').to_le_bytes()[..], header.as_bytes(), b"}"].concat()).unwrap();
    assert_eq!(names(&open(&index).unwrap()), ["x"]);
    assert!(matches!(parse(b"{}".to_vec()), Err(WeightsError::UnknownFormat { .. })));
}
