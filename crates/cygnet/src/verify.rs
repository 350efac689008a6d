//! Golden files: what a reference implementation computes with weights made by a formula from their names, against
//! what Cygnet computes with the same weights. Those of ONNX files hold what another runtime computes of numbers made by a
//! formula.

#[cfg(feature = "train")]
mod against;
#[cfg(feature = "train")]
mod gradients;
mod onnx;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use cygnet_graph::{BuildError, Graph, Limits, Param, Role, shape::elements};
#[cfg(feature = "train")]
use cygnet_runtime::Level;
use cygnet_runtime::{Plan, PlanOptions, Reference, RunError, Session};
use cygnet_weights::trimmed;
use cygnet_zoo::{KeyMap, Spec, keymap::SAME_KEYS};
use serde::{Deserialize, Serialize};
use thiserror::Error;

#[cfg(feature = "train")]
pub use against::{Against, Explanation, Layers, Parting, PhotoOutcome};

/// Largest golden file that is read.
const MAX_BYTES: u64 = 64 << 20;

/// How many times the reference's own rounding error the logits may be off.
const TOLERANCE: f64 = 10.0;

/// How far a layer's output may be off, relative to its mean absolute value, before it counts as diverging.
const LAYER_TOLERANCE: f64 = 1e-3;

/// Largest batch of a golden file.
const MAX_BATCH: usize = 64;

/// Largest number of elements of a golden file's input.
const MAX_INPUT: usize = 1 << 28;

/// Why a golden file could not be compared at all.
#[derive(Debug, Error)]
pub enum VerifyError {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is no golden file.
    #[error("{}: not a golden file: {source}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// No network has that name.
    #[error("no network is called {name}; `cygnet list` shows all names")]
    Unknown {
        /// Source and model.
        name: String,
    },
    /// The file's numbers contradict each other.
    #[error("{}: {reason}", path.display())]
    Contradiction {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The network cannot be built for the file's image and classes.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The network's tensors are not those of the file.
    #[error("{} tensors do not fit: {}", problems.len(), problems[..problems.len().min(8)].join("; "))]
    Tensors {
        /// One line a tensor.
        problems: Vec<String>,
    },
    /// The network cannot be run.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The ONNX file does not become a graph.
    #[error(transparent)]
    Onnx(#[from] cygnet_onnx::ImportError),
    /// The file is of training steps, without which this program is built.
    #[cfg(not(feature = "train"))]
    #[error("{}: is of training steps, without which this program is built (the feature train)", path.display())]
    NoTraining {
        /// The file.
        path: PathBuf,
    },
    /// The network cannot be trained.
    #[cfg(feature = "train")]
    #[error(transparent)]
    Train(#[from] cygnet_train::EngineError),
}

/// A row of `state_dict`: name, shape, role, and the tensor it is an alias of.
#[derive(Deserialize)]
#[serde(untagged)]
enum TensorRow {
    Own(String, Vec<usize>, String),
    Alias(String, Vec<usize>, String, String),
}

#[cfg(feature = "train")]
impl TensorRow {
    fn name(&self) -> &str {
        match self {
            TensorRow::Own(name, ..) | TensorRow::Alias(name, ..) => name,
        }
    }
}

/// A row of `trace`: module, shape of its output, mean, mean of absolute values, first four values.
type TraceRow = (String, Vec<usize>, f64, f64, Vec<f64>);

#[derive(Deserialize)]
struct Golden {
    source: String,
    model: String,
    input_shape: [usize; 4],
    gain: f64,
    logits: Vec<f64>,
    logits_std: f64,
    max_abs_diff_f32_f64: f64,
    state_dict: Vec<TensorRow>,
    #[serde(default)]
    unused_modules: Vec<String>,
    trace: Vec<TraceRow>,
}

/// Tells files of training steps and of ONNX files from files of inference.
#[derive(Deserialize)]
struct Kind {
    gradients: Option<serde::de::IgnoredAny>,
    cases: Option<serde::de::IgnoredAny>,
}

/// How one golden file came out.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// The file.
    pub file: String,
    /// Whether every number is within the tolerance.
    pub pass: bool,
    /// Largest difference of a logit, relative to the logits' standard deviation; for training steps the largest
    /// difference of any number, relative to what is allowed; for ONNX files that of a number, relative to the spread of
    /// the output. None if nothing could be compared.
    pub max_rel_diff: Option<f64>,
    /// The first layer in the reference's trace that diverges, or the first number of a training step, or the first output
    /// of an ONNX file, for a file that fails.
    pub first_bad_layer: Option<String>,
    /// Why nothing could be compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What runs the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Executor {
    /// Node by node, the oracle.
    Reference,
    /// The fast runtime.
    Runtime(PlanOptions),
}

/// Compares one golden file.
#[must_use]
pub fn verify(path: &Path, executor: Executor) -> Outcome {
    verify_within(path, executor, &Limits::default())
}

/// As [`verify`]; the networks of a file may ask for as much as `limits` say, for all its images together.
#[must_use]
pub fn verify_within(path: &Path, executor: Executor, limits: &Limits) -> Outcome {
    outcome(path, read(path).and_then(|text| compare(path, &text, executor, limits)))
}

/// As [`verify`], of the bytes of a golden file that is called `name`.
#[must_use]
pub fn verify_bytes(name: &str, text: &[u8], executor: Executor) -> Outcome {
    outcome(Path::new(name), compare(Path::new(name), text, executor, &Limits::default()))
}

fn outcome(path: &Path, compared: Result<Comparison, VerifyError>) -> Outcome {
    let outcome = |pass, max_rel_diff, first_bad_layer, error| Outcome {
        file: path.to_string_lossy().into_owned(),
        pass,
        max_rel_diff,
        first_bad_layer,
        error,
    };
    match compared {
        Ok(Comparison { pass, max_rel_diff, first_bad_layer }) => {
            outcome(pass, Some(max_rel_diff), first_bad_layer.filter(|_| !pass), None)
        }
        Err(error) => outcome(false, None, None, Some(error.to_string())),
    }
}

struct Comparison {
    pass: bool,
    max_rel_diff: f64,
    first_bad_layer: Option<String>,
}

#[cfg(feature = "train")]
fn training_steps(
    path: &Path,
    text: &[u8],
    executor: Executor,
    limits: &Limits,
) -> Result<Comparison, VerifyError> {
    let level = match executor {
        Executor::Reference => Level::Scalar,
        Executor::Runtime(options) => options.level,
    };
    gradients::compare(path, text, level, limits)
}

#[cfg(not(feature = "train"))]
fn training_steps(path: &Path, _: &[u8], _: Executor, _: &Limits) -> Result<Comparison, VerifyError> {
    Err(VerifyError::NoTraining { path: path.into() })
}

fn read(path: &Path) -> Result<Vec<u8>, VerifyError> {
    let failed = |source| VerifyError::Read { path: path.into(), source };
    let metadata = std::fs::metadata(path).map_err(failed)?;
    if !metadata.is_file() {
        return Err(failed(std::io::Error::other("is not a file")));
    }
    if metadata.len() > MAX_BYTES {
        return Err(failed(std::io::Error::other("is larger than 64 MB, which no golden file is")));
    }
    std::fs::read(path).map_err(failed)
}

/// Limits of the network when it computes so many images.
fn for_each_of(images: usize, limits: &Limits) -> Limits {
    Limits { macs: limits.macs / images.max(1) as u64, ..*limits }
}

fn compare(path: &Path, text: &[u8], executor: Executor, limits: &Limits) -> Result<Comparison, VerifyError> {
    let format = |source| VerifyError::Format { path: path.into(), source };
    let kind: Kind = serde_json::from_slice(text).map_err(format)?;
    if kind.gradients.is_some() {
        return training_steps(path, text, executor, limits);
    }
    if kind.cases.is_some() {
        return onnx::compare(path, text, executor, limits);
    }
    let golden: Golden = serde_json::from_slice(text).map_err(format)?;
    let [batch, channels, height, width] = golden.input_shape;
    if !checked_batch(golden.input_shape)
        || golden.logits.is_empty()
        || !golden.logits.len().is_multiple_of(batch)
    {
        let reason = format!("an input of {:?} with {} logits", golden.input_shape, golden.logits.len());
        return Err(VerifyError::Contradiction { path: path.into(), reason });
    }
    let [scale, error, gain] = [golden.logits_std, golden.max_abs_diff_f32_f64, golden.gain];
    if !(scale.is_finite() && scale > 0.0 && (0.0..scale).contains(&error) && gain.is_finite()) {
        let reason = format!("logits of deviation {scale} with an error of {error} and a gain of {gain}");
        return Err(VerifyError::Contradiction { path: path.into(), reason });
    }
    let name = format!("{}/{}", golden.source, golden.model);
    let network = cygnet_zoo::find(&name).ok_or(VerifyError::Unknown { name })?;
    let keys = network.keys.unwrap_or(&SAME_KEYS);
    let classes = golden.logits.len() / batch;
    let graph = (network.row.build)(&Spec { image: [channels, height, width], classes, ..network.spec() })?;
    graph.check(&for_each_of(batch, limits))?;
    let weights = synthetic_weights(&graph, keys, &golden.state_dict, &golden.unused_modules, golden.gain)?;
    let input = synthetic("input", golden.input_shape.iter().product(), |v| v);
    let images = || input.chunks_exact(channels * height * width);
    let logits = match executor {
        Executor::Reference => Vec::new(),
        Executor::Runtime(options) => {
            let plan = Plan::new(graph.clone(), &weights, options)?;
            let mut session = Session::new(plan.into());
            let mut logits = vec![0.0; golden.logits.len()];
            if session.outputs() == classes {
                for (image, logits) in images().zip(logits.chunks_exact_mut(classes)) {
                    session.run(image, logits)?;
                }
            }
            logits
        }
    };
    let (max_diff, pass) = golden.judge(&logits);
    if pass {
        return Ok(Comparison { pass, max_rel_diff: max_diff / golden.logits_std, first_bad_layer: None });
    }
    let reference = Reference::<f32>::new(graph, &weights)?;
    let mut by_reference = Vec::new();
    let mut layers = Vec::new();
    // Its layers are those of the first image; the answers are those of all only where it is judged itself.
    let judged = if executor == Executor::Reference { batch } else { 1 };
    for (i, image) in images().take(judged).enumerate() {
        by_reference.extend(reference.run_with(image, |id, value| {
            let path = &reference.graph().node(id).path;
            if i == 0 && !path.is_empty() {
                layers.push((keys.path(path), statistics(value)));
            }
        })?);
    }
    let (max_diff, pass) =
        if executor == Executor::Reference { golden.judge(&by_reference) } else { (max_diff, pass) };
    let layers: HashMap<_, _> = layers.into_iter().collect();
    let diverges = |row: &TraceRow| {
        let (module, _, mean, mean_abs, first) = row;
        layers.get(module).is_none_or(|(our_mean, our_first)| {
            let tolerance = LAYER_TOLERANCE * mean_abs.max(f64::MIN_POSITIVE);
            let mut pairs = first.iter().zip(our_first).chain((batch == 1).then_some((mean, our_mean)));
            pairs.any(|(theirs, ours)| (theirs - ours).abs() > tolerance || ours.is_nan())
        })
    };
    Ok(Comparison {
        pass,
        max_rel_diff: max_diff / golden.logits_std,
        first_bad_layer: golden.trace.iter().find(|row| diverges(row)).map(|row| row.0.clone()),
    })
}

/// Whether an input's size is one that may be computed.
fn checked_batch(shape: [usize; 4]) -> bool {
    elements(&shape).is_some_and(|count| (1..=MAX_INPUT).contains(&count)) && shape[0] <= MAX_BATCH
}

impl Golden {
    /// The largest difference of a logit, and whether that is within the tolerance.
    fn judge(&self, logits: &[f32]) -> (f64, bool) {
        let differences =
            self.logits.iter().zip(logits).map(|(theirs, &ours)| (theirs - f64::from(ours)).abs());
        let largest = differences.fold(0.0, |a: f64, b| if b.is_nan() { f64::INFINITY } else { a.max(b) });
        let is_whole = logits.len() == self.logits.len();
        (largest, is_whole && largest <= TOLERANCE * self.max_abs_diff_f32_f64)
    }
}

/// Mean and first four values.
fn statistics(value: &[f32]) -> (f64, Vec<f64>) {
    let mean = value.iter().map(|&x| f64::from(x)).sum::<f64>() / value.len() as f64;
    (mean, value.iter().take(4).map(|&x| f64::from(x)).collect())
}

/// The graph's weights by the formula, each from the source's name of it; every tensor of the file must be used.
fn synthetic_weights(
    graph: &Graph,
    keys: &KeyMap,
    state_dict: &[TensorRow],
    unused_modules: &[String],
    gain: f64,
) -> Result<Vec<Vec<f32>>, VerifyError> {
    let mut rows: HashMap<&str, (&[usize], &str)> = HashMap::new();
    for row in state_dict {
        let (name, shape, role, origin) = match row {
            TensorRow::Own(name, shape, role) => (name, shape, role, name),
            TensorRow::Alias(name, shape, role, origin) => (name, shape, role, origin),
        };
        if role != "count" {
            rows.insert(name, (shape, origin));
        }
    }
    let mut problems = Vec::new();
    let mut weights = Vec::new();
    for param in graph.params() {
        let key = keys.key(&param.name);
        let Some((shape, origin)) = rows.remove(key.as_str()) else {
            problems.push(format!("{} ({}) is not in the file", key, param.name));
            continue;
        };
        if trimmed(shape) != trimmed(&param.shape) {
            problems.push(format!("{key} is {shape:?}, the network needs {:?}", param.shape));
            continue;
        }
        weights.push(synthetic_param(origin, &param, gain));
    }
    let unused = |name: &str| {
        unused_modules
            .iter()
            .any(|module| name.strip_prefix(module.as_str()).is_some_and(|rest| rest.starts_with('.')))
    };
    let needed = rows.into_iter().filter(|(name, (_, origin))| name == origin && !unused(name));
    let mut left: Vec<_> = needed.map(|(name, _)| name).collect();
    left.sort_unstable();
    problems.extend(left.into_iter().map(|name| format!("{name} has no place in the network")));
    if problems.is_empty() { Ok(weights) } else { Err(VerifyError::Tensors { problems }) }
}

/// The values of a parameter by the formula, as the tensor that a source calls `name`; `gain` widens weights.
#[must_use]
pub fn synthetic_param(name: &str, param: &Param, gain: f64) -> Vec<f32> {
    let fan_in: usize = param.shape.iter().skip(1).product();
    let spread = (3.0 / fan_in as f64).sqrt();
    synthetic(name, param.shape.iter().product(), |v| match param.role {
        Role::Weight => (v * gain) * spread,
        Role::Bias => 0.1 * v,
        Role::NormWeight => 1.0 + 0.2 * v,
        Role::NormBias | Role::NormMean => 0.2 * v,
        Role::NormVar => 1.0 + 0.4 * v,
    })
}

/// `count` values of the tensor `name`: SplitMix64 seeded with the name's FNV-1a hash, mapped to [-1, 1), then
/// through `value`.
#[must_use]
pub fn synthetic(name: &str, count: usize, value: impl Fn(f64) -> f64) -> Vec<f32> {
    let hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let unit = |i: u64| {
        let z = hash.wrapping_add((i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let u = ((z ^ (z >> 31)) >> 40) as f64 / f64::from(1u32 << 24);
        2.0 * u - 1.0
    };
    (0..count as u64).map(|i| value(unit(i)) as f32).collect()
}
