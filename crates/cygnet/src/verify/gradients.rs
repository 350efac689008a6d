//! Golden files of training steps: losses, gradients, batch-norm statistics and parameters after steps, with batch norm
//! in training mode and frozen.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use cygnet_graph::{Graph, Limits, Param};
use cygnet_runtime::Level;
use cygnet_train::{Engine, EngineOptions};
use cygnet_zoo::{KeyMap, Spec, keymap::SAME_KEYS};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{Comparison, TensorRow, VerifyError, checked_batch, for_each_of, synthetic, synthetic_weights};

/// How many times the larger of the reference's own rounding error and the spread of its noisy runs a result may be off.
const FACTOR: f64 = 5.0;

/// How far a result may be off besides, relative to its norm.
const RELATIVE: f64 = 1e-5;

/// A gradient whose norm is below this share of all gradients' is zero but for rounding.
const ZERO: f64 = 1e-12;

/// Runs with the image disturbed by a unit in the last place, after one that fails: a unit that lies on an activation's
/// kink but for rounding may fall on either side, and moves every gradient before it.
const DISTURBED: u64 = 4;

/// A row of a table: name; norm and first values in float32, the same in float64, norm of the difference, spread.
#[derive(Deserialize)]
struct Row(String, IgnoredAny, IgnoredAny, f64, Vec<f64>, f64, f64);

#[derive(Deserialize)]
struct Optimizer {
    name: String,
    lr: f64,
    momentum: f64,
    weight_decay: f64,
    dampening: f64,
    nesterov: bool,
}

#[derive(Deserialize)]
struct Steps {
    lr: f64,
    losses: Vec<f64>,
    losses_f64: Vec<f64>,
    losses_spread: Vec<f64>,
}

#[derive(Deserialize)]
struct Golden {
    source: String,
    model: String,
    input_shape: [usize; 4],
    labels: Vec<usize>,
    gain: f64,
    bn_momentum: Vec<f64>,
    optimizer: Optimizer,
    state_dict: Vec<TensorRow>,
    #[serde(default)]
    unused_modules: Vec<String>,
    logits: Vec<Vec<f64>>,
    loss: f64,
    loss_f64: f64,
    loss_spread: f64,
    gradients: Vec<Row>,
    #[serde(default)]
    bn_buffers: Vec<Row>,
    step1_loss: f64,
    step1_loss_f64: f64,
    step1_loss_spread: f64,
    step1_params: Vec<Row>,
    step1_gradients: Vec<Row>,
    #[serde(default)]
    step1_bn_buffers: Vec<Row>,
    step2_loss: f64,
    step2_loss_f64: f64,
    step2_loss_spread: f64,
    gentle_steps: Steps,
    frozen_input_shape: [usize; 4],
    frozen_loss: f64,
    frozen_loss_f64: f64,
    frozen_loss_spread: f64,
    frozen_gradients: Vec<Row>,
    frozen_steps: Steps,
    frozen_steps_params: Vec<Row>,
}

/// Compares all runs of a file.
pub(super) fn compare(
    path: &Path,
    text: &[u8],
    level: Level,
    limits: &Limits,
) -> Result<Comparison, VerifyError> {
    let golden: Golden =
        serde_json::from_slice(text).map_err(|source| VerifyError::Format { path: path.into(), source })?;
    let contradiction = |reason: String| VerifyError::Contradiction { path: path.into(), reason };
    let classes = golden.logits.first().map_or(0, Vec::len);
    for shape in [golden.input_shape, golden.frozen_input_shape] {
        if !checked_batch(shape) || shape[0] != golden.labels.len() {
            return Err(contradiction(format!("an input of {shape:?} with {} labels", golden.labels.len())));
        }
    }
    if let Some(label) = golden.labels.iter().find(|&&label| label >= classes) {
        return Err(contradiction(format!("label {label} of {classes} classes")));
    }
    let optimizer = &golden.optimizer;
    if optimizer.name != "sgd" || optimizer.dampening != 0.0 || optimizer.nesterov {
        return Err(contradiction(format!(
            "an optimizer called {} with settings that it has not",
            optimizer.name
        )));
    }
    let mut momenta = golden.bn_momentum.clone();
    momenta.dedup();
    if momenta.len() > 1 {
        return Err(contradiction(format!("batch-norm momenta {momenta:?}")));
    }
    let momentum = momenta.first().map_or(0.1, |&momentum| momentum as f32);
    let start = |frozen: bool, disturbance: u64| {
        let shape = if frozen { golden.frozen_input_shape } else { golden.input_shape };
        let steps = 4 + golden.gentle_steps.losses.len().max(golden.frozen_steps.losses.len());
        let limits = for_each_of(shape[0].saturating_mul(steps), limits);
        Training::new(&golden, shape, classes, level, momentum, frozen, disturbance, &limits)
    };
    let mut worst: f64 = 0.0;
    let mut first_bad = None;
    for (frozen, judge) in
        [(false, train as Judge), (false, gentle_steps), (true, frozen_gradients), (true, frozen_steps)]
    {
        let mut verdict = Verdict::default();
        judge(&golden, start(frozen, 0)?, &mut verdict)?;
        for disturbance in 1..=DISTURBED {
            if verdict.first_bad.is_none() {
                break;
            }
            let mut again = Verdict::default();
            judge(&golden, start(frozen, disturbance)?, &mut again)?;
            if again.first_bad.is_none() {
                verdict = again;
            }
        }
        worst = worst.max(verdict.worst);
        first_bad = first_bad.or(verdict.first_bad);
    }
    Ok(Comparison { pass: first_bad.is_none(), max_rel_diff: worst, first_bad_layer: first_bad })
}

/// Compares one run of a file with what it must come to.
type Judge = fn(&Golden, Training, &mut Verdict) -> Result<(), VerifyError>;

fn train(golden: &Golden, mut run: Training, verdict: &mut Verdict) -> Result<(), VerifyError> {
    let (optimizer, lr) = (&golden.optimizer, golden.optimizer.lr);
    let loss = run.step()?;
    verdict.number("train: loss", loss, [golden.loss, golden.loss_f64, golden.loss_spread]);
    verdict.table("train: gradient", &golden.gradients, &run, &run.gradients)?;
    verdict.table("train: statistics", &golden.bn_buffers, &run, &run.params)?;
    run.descend(optimizer, lr);
    verdict.table("train: step 1: parameter", &golden.step1_params, &run, &run.params)?;
    let loss = run.step()?;
    let wanted = [golden.step1_loss, golden.step1_loss_f64, golden.step1_loss_spread];
    verdict.number("train: step 1: loss", loss, wanted);
    verdict.table("train: step 1: gradient", &golden.step1_gradients, &run, &run.gradients)?;
    verdict.table("train: step 1: statistics", &golden.step1_bn_buffers, &run, &run.params)?;
    run.descend(optimizer, lr);
    let loss = run.step()?;
    let wanted = [golden.step2_loss, golden.step2_loss_f64, golden.step2_loss_spread];
    verdict.number("train: step 2: loss", loss, wanted);
    Ok(())
}

fn gentle_steps(golden: &Golden, mut run: Training, verdict: &mut Verdict) -> Result<(), VerifyError> {
    verdict.steps("gentle steps", &golden.gentle_steps, &mut run, &golden.optimizer)
}

fn frozen_gradients(golden: &Golden, mut run: Training, verdict: &mut Verdict) -> Result<(), VerifyError> {
    let loss = run.step()?;
    let wanted = [golden.frozen_loss, golden.frozen_loss_f64, golden.frozen_loss_spread];
    verdict.number("frozen: loss", loss, wanted);
    verdict.table("frozen: gradient", &golden.frozen_gradients, &run, &run.gradients)
}

fn frozen_steps(golden: &Golden, mut run: Training, verdict: &mut Verdict) -> Result<(), VerifyError> {
    verdict.steps("frozen steps", &golden.frozen_steps, &mut run, &golden.optimizer)?;
    verdict.table("frozen steps: parameter", &golden.frozen_steps_params, &run, &run.params)
}

/// One run: the engine and everything it works on.
struct Training {
    engine: Engine,
    /// Key in the file and description of each parameter.
    known: Vec<(String, Param)>,
    /// Numbers of those that a step changes.
    learnt: Vec<usize>,
    params: Vec<Vec<f32>>,
    gradients: Vec<Vec<f32>>,
    momenta: Vec<Option<Vec<f32>>>,
    images: Vec<f32>,
    targets: Vec<f32>,
}

impl Training {
    #[allow(clippy::too_many_arguments, reason = "a run is told by so much")]
    fn new(
        golden: &Golden,
        [batch, channels, height, width]: [usize; 4],
        classes: usize,
        level: Level,
        momentum: f32,
        frozen: bool,
        disturbance: u64,
        limits: &Limits,
    ) -> Result<Training, VerifyError> {
        let name = format!("{}/{}", golden.source, golden.model);
        let network = cygnet_zoo::find(&name).ok_or(VerifyError::Unknown { name })?;
        let keys: &KeyMap = network.keys.unwrap_or(&SAME_KEYS);
        let spec = Spec { image: [channels, height, width], classes, ..network.spec() };
        let build = |auxiliary| (network.row.build)(&Spec { auxiliary, ..spec.clone() });
        let names = |graph: &Graph| -> Vec<String> {
            graph.params().iter().map(|param| keys.key(&param.name)).collect()
        };
        let plain = build(false)?;
        let body: HashSet<String> = names(&plain).into_iter().collect();
        let is_head = |name: &String| !body.contains(name);
        // Heads train in a run whose file has gradients of theirs.
        let rows = if frozen { &golden.frozen_gradients } else { &golden.gradients };
        let (mut graph, mut trains_heads) = (plain, false);
        if let Ok(whole) = build(true) {
            let heads: HashSet<String> = names(&whole).into_iter().filter(is_head).collect();
            if golden.state_dict.iter().any(|row| heads.contains(row.name())) {
                graph = whole;
                trains_heads = rows.iter().any(|row| heads.contains(&row.0) && row.3 > 0.0);
            }
        }
        graph.check(limits)?;
        let params =
            synthetic_weights(&graph, keys, &golden.state_dict, &golden.unused_modules, golden.gain)?;
        let mut options = EngineOptions::new(batch);
        options.level = level;
        options.frozen_batch_norm = frozen;
        options.batch_norm_momentum = momentum;
        options.dropout = false;
        options.auxiliary = if trains_heads { 1.0 } else { 0.0 };
        let mut targets = vec![0.0; batch * classes];
        golden.labels.iter().enumerate().for_each(|(image, label)| targets[image * classes + label] = 1.0);
        let known: Vec<_> = names(&graph).into_iter().zip(graph.params()).collect();
        let learns =
            |(name, param): &(String, Param)| param.role.is_learnt() && (trains_heads || !is_head(name));
        Ok(Training {
            engine: Engine::new(&graph, options)?,
            gradients: params.iter().map(|values| vec![0.0; values.len()]).collect(),
            momenta: vec![None; params.len()],
            learnt: (0..known.len()).filter(|&i| learns(&known[i])).collect(),
            known,
            params,
            images: disturbed(synthetic("input", batch * channels * height * width, |v| v), disturbance),
            targets,
        })
    }

    /// Computes the gradients anew; the loss.
    fn step(&mut self) -> Result<f64, VerifyError> {
        self.gradients.iter_mut().for_each(|gradient| gradient.fill(0.0));
        let Training { engine, params, images, targets, gradients, .. } = self;
        Ok(engine.step(params, images, targets, 0, gradients, 1.0)?.loss)
    }

    /// One step of stochastic gradient descent; the first momentum is the gradient.
    fn descend(&mut self, optimizer: &Optimizer, lr: f64) {
        for &i in &self.learnt {
            let decayed = self.gradients[i].iter().zip(&self.params[i]);
            let decayed: Vec<f32> = decayed.map(|(g, p)| g + optimizer.weight_decay as f32 * p).collect();
            let momentum = match self.momenta[i].take() {
                None => decayed,
                Some(old) => {
                    old.iter().zip(decayed).map(|(m, g)| optimizer.momentum as f32 * m + g).collect()
                }
            };
            self.params[i].iter_mut().zip(&momentum).for_each(|(p, m)| *p -= lr as f32 * m);
            self.momenta[i] = Some(momentum);
        }
    }
}

/// Moves each number by a unit in the last place or leaves it, at random but for a disturbance of 0.
fn disturbed(mut images: Vec<f32>, disturbance: u64) -> Vec<f32> {
    if disturbance > 0 {
        let moves = synthetic(&format!("disturbance {disturbance}"), images.len(), |v| v);
        images.iter_mut().zip(moves).for_each(|(x, v)| *x *= 1.0 + (1.5 * v).round() * f32::EPSILON);
    }
    images
}

/// What came of a run's comparisons.
#[derive(Default)]
struct Verdict {
    /// Largest difference, in terms of what is allowed.
    worst: f64,
    first_bad: Option<String>,
}

impl Verdict {
    fn judge(&mut self, what: impl Fn() -> String, difference: f64, allowed: f64) {
        let ratio = difference / allowed.max(f64::MIN_POSITIVE);
        let ratio = if ratio.is_nan() { f64::INFINITY } else { ratio };
        self.worst = self.worst.max(ratio);
        if ratio > 1.0 && self.first_bad.is_none() {
            self.first_bad = Some(what());
        }
    }

    /// A number against `[float32, float64, spread]`.
    fn number(&mut self, what: &str, given: f64, [single, double, spread]: [f64; 3]) {
        let allowed = FACTOR * (single - double).abs().max(spread) + RELATIVE * double.abs();
        self.judge(|| what.into(), (given - double).abs(), allowed);
    }

    fn table(
        &mut self,
        what: &str,
        rows: &[Row],
        run: &Training,
        values: &[Vec<f32>],
    ) -> Result<(), VerifyError> {
        let places: HashMap<&str, usize> =
            run.known.iter().enumerate().map(|(i, (key, _))| (key.as_str(), i)).collect();
        let total = rows.iter().map(|row| row.3 * row.3).sum::<f64>().sqrt();
        for Row(name, _, _, norm, first, error, spread) in rows {
            let Some(&i) = places.get(name.as_str()) else {
                let problems = vec![format!("{name} has no place in the network")];
                return Err(VerifyError::Tensors { problems });
            };
            let given = &values[i];
            let given_norm = given.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt();
            let is_zero = *norm < ZERO * total;
            let allowed = FACTOR * error.max(*spread) + RELATIVE * if is_zero { total } else { *norm };
            let first = first.iter().zip(given).map(|(&wanted, &given)| (wanted - f64::from(given)).abs());
            let differences = first.chain([(given_norm - norm).abs()]);
            differences.for_each(|difference| self.judge(|| format!("{what} {name}"), difference, allowed));
        }
        Ok(())
    }

    fn steps(
        &mut self,
        what: &str,
        steps: &Steps,
        run: &mut Training,
        optimizer: &Optimizer,
    ) -> Result<(), VerifyError> {
        let wanted = steps.losses.iter().zip(&steps.losses_f64).zip(&steps.losses_spread);
        for (i, ((&single, &double), &spread)) in wanted.enumerate() {
            if i > 0 {
                run.descend(optimizer, steps.lr);
            }
            let loss = run.step()?;
            self.number(&format!("{what}: loss {i}"), loss, [single, double, spread]);
        }
        Ok(())
    }
}
