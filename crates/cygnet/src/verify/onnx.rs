//! Golden files of ONNX files: what another runtime computes of inputs that a formula makes.

use std::path::{Path, PathBuf};

use cygnet_graph::{Limits, shape::elements};
use cygnet_hub::sha256_of;
use cygnet_onnx::{Imported, ImportedOutput, Options};
use cygnet_runtime::{Plan, QuantizedReference, Reference, Session};
use half::f16;
use serde::Deserialize;

use super::{Comparison, Executor, MAX_BATCH, MAX_INPUT, VerifyError, for_each_of};

/// Why an import's weights can be had.
const COMPLETE: &str = "an import has the weights of its graph";
/// What a float's difference may be, of the spread of the output and of its largest number.
const FLOAT: f64 = 1e-4;
/// The same in half precision.
const HALF: f64 = 1e-2;
/// What any number's difference may be, of the largest number.
const LARGEST: f64 = 1e-5;
/// How many times the other runtime's own difference, when it rearranges its arithmetic, ours may be.
const REARRANGED: f64 = 3.0;
/// What the mean difference of quantised outputs may be, of the spread.
const QUANTISED: f64 = 0.05;
/// What it may be of how far outputs move when the input is hardly changed.
const MOVED: f64 = 0.5;

#[derive(Deserialize)]
struct Golden {
    file: String,
    sha256: String,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    inputs: Vec<Input>,
    outputs: Vec<Output>,
}

#[derive(Deserialize)]
struct Input {
    name: String,
    shape: Vec<usize>,
    dtype: String,
    #[serde(default)]
    lo: f64,
    #[serde(default)]
    hi: f64,
    #[serde(default)]
    offset: u32,
}

#[derive(Deserialize)]
struct Output {
    name: String,
    shape: Vec<usize>,
    dtype: String,
    sum: f64,
    sum_abs: f64,
    min: f64,
    max: f64,
    #[serde(default)]
    max_abs_diff_ort_optimised: f64,
    #[serde(rename = "max_abs_diff_input_scaled_1e-6")]
    moved: Option<f64>,
    values: Vec<f64>,
}

impl Input {
    /// The numbers by the formula.
    fn numbers(&self, count: usize) -> Option<Vec<f32>> {
        let bits = |i: usize| {
            let mut x = (i as u32).wrapping_mul(2_654_435_761).wrapping_add(self.offset);
            x ^= x >> 16;
            x = x.wrapping_mul(2_246_822_519);
            x ^ (x >> 13)
        };
        let float =
            |i: usize| (self.lo + (self.hi - self.lo) * (f64::from(bits(i)) / 4_294_967_296.0)) as f32;
        match self.dtype.as_str() {
            "float32" => Some((0..count).map(float).collect()),
            "float16" => Some((0..count).map(|i| f16::from_f32(float(i)).to_f32()).collect()),
            "uint8" => Some((0..count).map(|i| (bits(i) >> 24) as f32).collect()),
            _ => None,
        }
    }
}

/// The file that a golden file is of: beside it, or one folder above.
fn beside(golden: &Path, name: &str) -> Option<PathBuf> {
    let plain = Path::new(name).file_name().filter(|file| Path::new(file) == Path::new(name))?;
    let folder = golden.parent()?;
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    [folder.join(plain), folder.join("..").join(plain)].into_iter().find(|file| file.is_file())
}

pub(super) fn compare(
    path: &Path,
    text: &[u8],
    executor: Executor,
    limits: &Limits,
) -> Result<Comparison, VerifyError> {
    let golden: Golden =
        serde_json::from_slice(text).map_err(|source| VerifyError::Format { path: path.into(), source })?;
    let wrong = |reason: String| VerifyError::Contradiction { path: path.into(), reason };
    let file = beside(path, &golden.file)
        .ok_or_else(|| wrong(format!("{} lies neither beside it nor one folder above", golden.file)))?;
    let failed = |source| VerifyError::Read { path: file.clone(), source };
    let found = sha256_of(&file).map_err(failed)?;
    if found != golden.sha256.to_lowercase() {
        return Err(wrong(format!(
            "{} is not the file that was measured: its sha256 is {found}",
            golden.file
        )));
    }
    if golden.cases.is_empty() {
        return Err(wrong("it has no cases".into()));
    }
    let mut comparison = Comparison { pass: true, max_rel_diff: 0.0, first_bad_layer: None };
    for case in &golden.cases {
        let [input] = &case.inputs[..] else {
            return Err(wrong(format!("{} inputs; networks have one", case.inputs.len())));
        };
        let count = elements(&input.shape).filter(|&count| (1..=MAX_INPUT).contains(&count));
        let count = count.ok_or_else(|| wrong(format!("an input of {:?}", input.shape)))?;
        let numbers = input.numbers(count).ok_or_else(|| wrong(format!("an input of {}", input.dtype)))?;
        let options = Options { shape: input.shape.clone(), limits: *limits, ..Options::default() };
        let imported = cygnet_onnx::open(&file, &options)?;
        let (batch, shape) = (imported.input.batch(), &imported.input.shape);
        if *shape != input.shape || imported.input.name != input.name || batch > MAX_BATCH {
            let (name, given) = (&imported.input.name, &input.shape);
            return Err(wrong(format!("the input is {name} {shape:?}, not {} {given:?}", input.name)));
        }
        imported.graph.check(&for_each_of(golden.cases.len().saturating_mul(batch), limits))?;
        let tensors = run(&imported, &numbers, executor)?;
        for output in &case.outputs {
            let found = imported.outputs.iter().position(|other| other.name == output.name);
            let found = found.ok_or_else(|| wrong(format!("the file has no output {}", output.name)))?;
            let ImportedOutput { shape, .. } = &imported.outputs[found];
            if *shape != output.shape {
                return Err(wrong(format!(
                    "the output {} is {shape:?}, not {:?}",
                    output.name, output.shape
                )));
            }
            let (difference, pass) = output.judge(&tensors[found], imported.is_quantised, &input.dtype);
            comparison.max_rel_diff = comparison.max_rel_diff.max(difference);
            comparison.pass &= pass;
            if !pass && comparison.first_bad_layer.is_none() {
                comparison.first_bad_layer = Some(output.name.clone());
            }
        }
    }
    Ok(comparison)
}

/// The outputs of a network of a file, in the file's order, of an input in the file's order.
fn run(imported: &Imported, numbers: &[f32], executor: Executor) -> Result<Vec<Vec<f32>>, VerifyError> {
    let graph = &imported.graph;
    let images = imported.input.images(numbers);
    let images = images.chunks_exact(graph.input_shape().iter().product());
    let sizes: Vec<usize> =
        graph.outputs().iter().map(|output| graph.node(output.node).shape.iter().product()).collect();
    // For each image the values of all outputs.
    let mut values: Vec<Vec<Vec<f32>>> = Vec::new();
    match executor {
        Executor::Reference => {
            if let Some(record) = &imported.quantization {
                let reference = QuantizedReference::new(graph.clone(), &imported.weights, record)?;
                for image in images {
                    values.push(reference.run_outputs(image)?);
                }
            } else {
                let weights = imported.weights.select(graph).expect(COMPLETE);
                let reference = Reference::<f32>::new(graph.clone(), &weights)?;
                for image in images {
                    values.push(reference.run_outputs(image)?);
                }
            }
        }
        Executor::Runtime(options) => {
            let plan = match &imported.quantization {
                Some(record) => Plan::quantized(graph.clone(), &imported.weights, record, options)?,
                None => {
                    let weights = imported.weights.select(graph).expect(COMPLETE);
                    Plan::new(graph.clone(), &weights, options)?
                }
            };
            let mut session = Session::new(plan.into());
            for image in images {
                let mut all = vec![0.0; sizes.iter().sum()];
                session.run_outputs(image, &mut all)?;
                let mut rest = &all[..];
                let mut of_image = Vec::new();
                for &size in &sizes {
                    let (value, others) = rest.split_at(size);
                    of_image.push(value.to_vec());
                    rest = others;
                }
                values.push(of_image);
            }
        }
    }
    let tensor =
        |output: &ImportedOutput| output.tensor(values.iter().map(|image| &image[output.output][..]));
    Ok(imported.outputs.iter().map(tensor).collect())
}

impl Output {
    /// The largest difference, of the spread, and whether it is allowed.
    fn judge(&self, ours: &[f32], is_quantised: bool, dtype: &str) -> (f64, bool) {
        let spread = self.max - self.min;
        let largest = self.max.abs().max(self.min.abs());
        let differences: Vec<f64> = self
            .values
            .iter()
            .zip(ours)
            .map(|(theirs, &ours)| (theirs - f64::from(ours)).abs())
            .map(|difference| if difference.is_nan() { f64::INFINITY } else { difference })
            .collect();
        let worst = differences.iter().copied().fold(0.0, f64::max);
        let relative = worst / if spread > 0.0 { spread } else { largest.max(f64::MIN_POSITIVE) };
        if self.values.is_empty() || ours.len() < self.values.len() || ours.iter().any(|x| x.is_nan()) {
            return (relative, false);
        }
        if is_quantised {
            let mean = differences.iter().sum::<f64>() / differences.len() as f64;
            return (relative, mean <= (QUANTISED * spread).max(MOVED * self.moved.unwrap_or(0.0)));
        }
        let is_half = [dtype, &self.dtype].contains(&"float16");
        let share = if is_half { HALF } else { FLOAT };
        let allowed =
            (share * spread).max(LARGEST * largest).max(REARRANGED * self.max_abs_diff_ort_optimised);
        let total = |value: fn(f64) -> f64| ours.iter().map(|&x| value(x.into())).sum::<f64>();
        let bound =
            |fold: fn(f64, f64) -> f64| ours.iter().map(|&x| f64::from(x)).reduce(fold).unwrap_or(0.0);
        let count = ours.len() as f64;
        let whole = [
            (self.min - bound(f64::min)).abs(),
            (self.max - bound(f64::max)).abs(),
            (self.sum - total(|x| x)).abs() / count,
            (self.sum_abs - total(f64::abs)).abs() / count,
        ];
        (relative, worst <= allowed && whole.iter().all(|difference| *difference <= allowed))
    }
}
