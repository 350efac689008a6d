//! The ONNX project's own tests of operators: those whose first input is a batch of vectors or maps of floats pass or are
//! refused, and docs/onnx.md tells which. `CYGNET_UPDATE=1` writes that page's tables anew.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::io::Read;
use std::path::Path;

use cygnet_onnx::{
    ImportError, LoneTensor, Options, import, ncnn_operators, operators, read_tensor, tflite_operators,
};
use cygnet_runtime::Reference;

/// The ONNX project's own tolerance.
const RELATIVE: f32 = 1e-3;
/// The same for numbers near zero.
const ABSOLUTE: f32 = 1e-7;
/// As many pass at least.
const LEAST: usize = 150;

enum Verdict {
    /// The first input is no batch of vectors or maps of floats.
    NotCounted,
    Passed,
    Refused(String),
    Wrong(String),
}

/// The files of each test, by name within it.
fn tests() -> Option<BTreeMap<String, BTreeMap<String, Vec<u8>>>> {
    let path = cygnet_testing::shared("data/onnx/node-tests-onnx-1.12.tar.xz")?;
    let reader = lzma_rust2::XzReader::new(std::fs::File::open(path).unwrap(), false);
    let mut archive = tar::Archive::new(reader);
    let mut tests: BTreeMap<String, BTreeMap<String, Vec<u8>>> = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().to_string_lossy().into_owned();
        let mut parts = path.splitn(4, '/').skip(1);
        let (Some(kind), Some(test), Some(file)) = (parts.next(), parts.next(), parts.next()) else {
            continue;
        };
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        tests.entry(format!("{kind}/{test}")).or_default().insert(file.into(), bytes);
    }
    Some(tests)
}

fn judge(files: &BTreeMap<String, Vec<u8>>) -> Verdict {
    let tensors = |kind: &str| -> Vec<Option<(String, LoneTensor)>> {
        let name = |index: usize| format!("test_data_set_0/{kind}_{index}.pb");
        (0..).map_while(|index| files.get(&name(index))).map(|bytes| read_tensor(bytes).ok()).collect()
    };
    let (inputs, wanted) = (tensors("input"), tensors("output"));
    let Some(Some((_, first))) = inputs.first() else { return Verdict::NotCounted };
    if !first.is_float || !matches!(first.shape.len(), 2 | 4) {
        return Verdict::NotCounted;
    }
    let others = inputs[1..].iter().enumerate();
    let constants = others
        .filter_map(|(index, tensor)| {
            let (name, _) = tensor.as_ref()?;
            Some((name.clone(), files[&format!("test_data_set_0/input_{}.pb", index + 1)].clone()))
        })
        .collect();
    let options = Options { constants, shape: first.shape.clone(), real_numbers: true, ..Options::default() };
    let imported = match import(files["model.onnx"].clone(), &options) {
        Ok(imported) => imported,
        Err(error @ (ImportError::Refused(_) | ImportError::Unfit(_) | ImportError::Build(_))) => {
            return Verdict::Refused(error.to_string());
        }
        Err(error) => return Verdict::Wrong(error.to_string()),
    };
    let graph = &imported.graph;
    let weights = imported.weights.select(graph).unwrap();
    let reference = Reference::<f32>::new(graph.clone(), &weights).unwrap();
    let images = imported.input.images(&first.numbers);
    let images = images.chunks_exact(graph.input_shape().iter().product());
    let values: Vec<Vec<Vec<f32>>> = images.map(|image| reference.run_outputs(image).unwrap()).collect();
    for (output, wanted) in imported.outputs.iter().zip(wanted) {
        let Some((_, wanted)) = wanted else { return Verdict::Wrong("an output that is not read".into()) };
        let ours = output.tensor(values.iter().map(|image| &image[output.output][..]));
        if output.shape != wanted.shape {
            return Verdict::Wrong(format!("{:?} instead of {:?}", output.shape, wanted.shape));
        }
        let is_far = |(ours, theirs): (&f32, &f32)| {
            let allowed = ABSOLUTE + RELATIVE * theirs.abs();
            // Numbers that are equal may be infinite.
            !((ours - theirs).abs() <= allowed || ours == theirs || ours.is_nan() && theirs.is_nan())
        };
        if let Some((ours, theirs)) = ours.iter().zip(&wanted.numbers).find(|pair| is_far(*pair)) {
            return Verdict::Wrong(format!("{ours} instead of {theirs}"));
        }
    }
    Verdict::Passed
}

#[test]
fn tests_of_the_onnx_project_pass_or_are_refused() {
    let Some(tests) = tests() else { return };
    let (mut passed, mut refused, mut wrong) = (Vec::new(), Vec::new(), Vec::new());
    for (name, files) in &tests {
        match judge(files) {
            Verdict::NotCounted => {}
            Verdict::Passed => passed.push(name.as_str()),
            Verdict::Refused(why) => refused.push((name.as_str(), why)),
            Verdict::Wrong(why) => wrong.push(format!("{name}: {why}")),
        }
    }
    assert!(wrong.is_empty(), "{} come out wrong:\n{}", wrong.len(), wrong.join("\n"));
    let mut page = format!(
        "Of {} tests of the ONNX project, {} are of a batch of vectors or maps of floats: {} pass, {} are refused.\n\n",
        tests.len(),
        passed.len() + refused.len(),
        passed.len(),
        refused.len()
    );
    writeln!(page, "| refused | why |\n|---|---|").unwrap();
    for (name, why) in &refused {
        let why = why.lines().last().unwrap_or_default().trim().replace('|', "\\|");
        writeln!(page, "| {name} | {why} |").unwrap();
    }
    writeln!(page, "\nThose that pass:\n\n{}.", passed.join(", ")).unwrap();
    replace("tests", &page);
    assert!(passed.len() >= LEAST, "{} pass; refused are\n{page}", passed.len());
}

#[test]
fn the_page_names_all_operators() {
    let names: Vec<String> = operators().map(|name| format!("`{name}`")).collect();
    replace("operators", &format!("{}.\n", names.join(", ")));
    let names: Vec<String> = tflite_operators().map(|name| format!("`{name}`")).collect();
    replace("TFLite operators", &format!("{}.\n", names.join(", ")));
    let names: Vec<String> = ncnn_operators().map(|name| format!("`{name}`")).collect();
    replace("ncnn layers", &format!("{}.\n", names.join(", ")));
}

/// Puts a text between the marks of that name in docs/onnx.md, or checks that it is there.
fn replace(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/onnx.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (start, end) = (format!("<!-- {name} -->\n"), format!("<!-- end of {name} -->"));
    let from = page.find(&start).unwrap() + start.len();
    let to = page.find(&end).unwrap();
    let changed = format!("{}\n{text}\n{}", &page[..from], &page[to..]);
    if std::env::var_os("CYGNET_UPDATE").is_some() {
        std::fs::write(&path, &changed).unwrap();
    }
    assert!(
        page == changed || std::env::var_os("CYGNET_UPDATE").is_some(),
        "docs/onnx.md is not what holds: CYGNET_UPDATE=1 writes it anew"
    );
}
