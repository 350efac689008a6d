//! The state of a run, from which it goes on, and the models beside it.
//!
//! The state file holds all that a resumed run needs, the last model's weights among it, so that it does not matter
//! between which two writes a run is killed: each file is whole, and what follows is computed again to the same bytes.

mod damage;
mod same;

use std::collections::BTreeMap;
use std::path::Path;

use cygnet_graph::{BuildError, Graph, Limits};
use cygnet_weights::safetensors::{self, Metadata};
use cygnet_weights::{ModelFile, ModelRecord, RUN_KEY, Tensor, Tensors, WeightSet, Weights};
use serde::{Deserialize, Serialize};

use crate::TrainError;
use crate::callback::{Ended, EpochReport};
use crate::numbers::Numbers;
use crate::recipe::Recipe;

/// Version of the state that this crate writes.
const VERSION: u32 = 1;

/// The state of a run that is not a tensor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    pub(crate) version: u32,
    pub(crate) recipe: Recipe,
    /// What the model file says, of the model that is trained.
    pub(crate) record: ModelRecord,
    /// Names the pictures.
    pub(crate) fingerprint: u64,
    /// Whole epochs done; steps done in the epoch under way and in all.
    pub(crate) epoch: u64,
    pub(crate) step: usize,
    pub(crate) steps: u64,
    /// Seconds of training before this process.
    pub(crate) seconds: f64,
    /// Sums over the epoch under way.
    pub(crate) sums: Sums,
    pub(crate) history: Vec<EpochReport>,
    /// Of a run that learns with rounding, the byte that stands for 0 by the node whose value is rounded.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) zeros: BTreeMap<usize, u8>,
    /// Of such a run, the guesses for the validation pictures before anything was rounded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) unrounded: Vec<u32>,
    /// What tells the model of an earlier run that stays until there is a better one, where it may be replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) replaces: Option<u64>,
    /// The epoch with the best accuracy, counted from 1.
    pub(crate) best: Option<u64>,
    /// Why the run ended, if it did.
    pub(crate) ended: Option<Ended>,
}

/// Sums over the steps of an epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sums {
    pub(crate) loss: f64,
    pub(crate) right: u64,
    pub(crate) images: u64,
    pub(crate) seconds: f64,
}

impl Progress {
    pub(crate) fn new(recipe: Recipe, record: ModelRecord, fingerprint: u64) -> Progress {
        Progress {
            version: VERSION,
            recipe,
            record,
            fingerprint,
            epoch: 0,
            step: 0,
            steps: 0,
            seconds: 0.0,
            sums: Sums::default(),
            history: Vec::new(),
            zeros: BTreeMap::new(),
            unrounded: Vec::new(),
            replaces: None,
            best: None,
            ended: None,
        }
    }
}

/// What to do about a state from which no run goes on.
pub(crate) const BEGIN_AGAIN: &str = "--overwrite in place of --resume begins the run again";

/// The name of the entry that ends at `column` of a line of JSON, or the last before it.
fn entry_at(line: &str, column: usize) -> Option<&str> {
    let before = line.get(..column)?;
    before.get(..before.rfind("\":")?)?.rsplit('"').next()
}

/// A run's state as it lies in its file.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// What is not a tensor.
    pub progress: Progress,
    tensors: Tensors,
}

/// Names of groups of tensors in the state file.
pub(crate) const WEIGHTS: &str = "weights";
pub(crate) const AVERAGE: &str = "average";

/// How names of lists of scales begin.
pub(crate) const SCALES_OF: &str = "quantization.scales.";

/// The lists of numbers that a run trains, with their shapes: the parameters of a graph, then so many lists of scales.
pub(crate) fn lists(graph: &Graph, scales: &[usize]) -> Vec<(String, Vec<usize>)> {
    let params = graph.params().into_iter().map(|param| (param.name, param.shape));
    let scales = scales.iter().enumerate().map(|(i, &len)| (format!("{SCALES_OF}{i}"), vec![len]));
    params.chain(scales).collect()
}

impl State {
    pub(crate) fn new(progress: Progress) -> State {
        State { progress, tensors: Tensors::new() }
    }

    /// Adds the numbers of [`lists`]; empty ones are left out.
    pub(crate) fn insert(
        &mut self,
        group: &str,
        lists: &[(String, Vec<usize>)],
        values: &[Vec<f32>],
    ) -> Result<(), TrainError> {
        for ((name, shape), values) in lists.iter().zip(values).filter(|(_, values)| !values.is_empty()) {
            self.tensors.insert(format!("{group}/{name}"), Tensor::from_f32(shape.clone(), values)?);
        }
        Ok(())
    }

    /// Reads the numbers of [`lists`] back; `wanted` says whose must be there.
    pub(crate) fn take(
        &self,
        path: &Path,
        group: &str,
        lists: &[(String, Vec<usize>)],
        wanted: impl Fn(usize) -> bool,
    ) -> Result<Weights, TrainError> {
        let damaged = |reason: String| TrainError::Run { path: path.into(), reason };
        let values = lists.iter().enumerate().map(|(index, (name, shape))| {
            if !wanted(index) {
                return Ok(Vec::new());
            }
            let name = format!("{group}/{name}");
            let tensor = self.tensors.get(&name).ok_or_else(|| damaged(format!("has no tensor {name}")))?;
            if tensor.shape() != *shape {
                return Err(damaged(format!("{name} is {:?}, not {shape:?}", tensor.shape())));
            }
            Ok(tensor.to_f32().into_owned())
        });
        values.collect()
    }

    pub(crate) fn write(&self, path: &Path) -> Result<(), TrainError> {
        let progress = serde_json::to_string(&self.progress)
            .map_err(|error| TrainError::Run { path: path.into(), reason: error.to_string() })?;
        Ok(safetensors::write_own(path, &self.tensors, &Metadata::from([(RUN_KEY.into(), progress)]))?)
    }

    /// The same run with more or fewer epochs, over which the learning rate's curve is then drawn. A finished run goes
    /// on if epochs are left.
    ///
    /// # Errors
    /// If more epochs are done already.
    pub fn with_epochs(mut self, epochs: u32) -> Result<State, TrainError> {
        let progress = &mut self.progress;
        let begun = progress.epoch + u64::from(progress.step > 0);
        if u64::from(epochs) < begun {
            let reason = format!("{begun} epochs are done or begun; give as many or more");
            return Err(TrainError::Recipe { place: format!("epochs={epochs}"), reason });
        }
        if epochs > progress.recipe.epochs {
            progress.ended = progress.ended.filter(|ended| !matches!(ended, Ended::Finished | Ended::Early));
        }
        progress.recipe.epochs = epochs;
        Ok(self)
    }

    /// Reads the state of an unfinished or finished run.
    ///
    /// # Errors
    /// If the file cannot be read or is no state of a run.
    pub fn read(path: &Path) -> Result<State, TrainError> {
        State::read_within(path, &Limits::default())
    }

    /// As [`State::read`]; the network may ask for as much as `limits` say.
    ///
    /// # Errors
    /// As [`State::read`].
    pub fn read_within(path: &Path, limits: &Limits) -> Result<State, TrainError> {
        let wrong = |reason: String| TrainError::Run { path: path.into(), reason };
        if !path.exists() {
            return Err(wrong(
                "is not there, so there is no run to resume; leave out --resume to begin one, with --overwrite over what is left of \
                 another".into(),
            ));
        }
        let (tensors, metadata) = safetensors::read(path)?;
        let progress = metadata.get(RUN_KEY).ok_or_else(|| wrong("is not the state of a run".into()))?;
        let progress: Progress = serde_json::from_str(progress).map_err(|error| {
            let place =
                entry_at(progress, error.column()).map_or_else(String::new, |name| format!("{name}: "));
            wrong(format!("is the state of another version or damaged: {place}{error}; {BEGIN_AGAIN}"))
        })?;
        if progress.version != VERSION {
            return Err(wrong(format!("has version {}, this program knows {VERSION}", progress.version)));
        }
        let state = State { progress, tensors };
        state.check(limits).map_err(|reason| wrong(format!("is damaged: {reason}; {BEGIN_AGAIN}")))?;
        Ok(state)
    }

    /// Whole epochs done.
    #[must_use]
    pub fn epochs_done(&self) -> u64 {
        self.progress.epoch
    }

    /// The epoch with the best accuracy, counted from 1; none before the end of the first.
    #[must_use]
    pub fn best(&self) -> Option<u64> {
        self.progress.best
    }

    /// Why the run ended, if it did.
    #[must_use]
    pub fn ended(&self) -> Option<Ended> {
        self.progress.ended
    }

    /// The recipe of the run.
    #[must_use]
    pub fn recipe(&self) -> &Recipe {
        &self.progress.recipe
    }

    /// The network, auxiliary heads included. What it may ask for was checked when the state was read.
    ///
    /// # Errors
    /// If the record's is none.
    pub fn graph(&self) -> Result<Graph, BuildError> {
        Graph::from_json_within(&self.record().graph, &Limits { macs: u64::MAX, ..Limits::default() })
    }

    /// What is trained, as in its model file.
    #[must_use]
    pub fn record(&self) -> &ModelRecord {
        &self.progress.record
    }

    /// The weights that are trained now.
    ///
    /// # Errors
    /// If the file lacks some.
    pub fn weights(&self, path: &Path, graph: &Graph) -> Result<WeightSet, TrainError> {
        Ok(WeightSet::of(graph, self.take(path, WEIGHTS, &lists(graph, &[]), |_| true)?)?)
    }
}

/// Writes the model file of a run.
pub(crate) fn write_model(
    path: &Path,
    record: ModelRecord,
    graph: &Graph,
    numbers: &Numbers,
) -> Result<(), TrainError> {
    let Numbers { weights, quantization } = numbers;
    Ok(ModelFile::new(record, graph, weights, quantization.as_ref())?.write_own(path)?)
}

#[cfg(test)]
mod tests {
    use cygnet_graph::Conv;
    use cygnet_image::Preprocess;

    use super::*;

    /// A run of 4 epochs of 3 steps with 2 pictures each, after a step of its third epoch.
    fn state() -> State {
        let graph = Graph::build("tiny", [3, 8, 8], |net, image| {
            let x = net.at("bn").batch_norm(net.at("conv").conv(image, Conv::new(2, 3))).relu();
            net.at("fc").linear(x.global_avg_pool(), 2)
        });
        let graph = graph.unwrap();
        let record = ModelRecord {
            format: 1,
            network: "tiny".into(),
            graph: graph.to_json(),
            preprocess: serde_json::to_value(Preprocess::torchvision(8, 8)).unwrap(),
            labels: vec!["dark".into(), "light".into()],
            licence: None,
            source: None,
            accuracy: None,
            recipe: None,
            training: None,
            compression: None,
            quantization: None,
            guessed: None,
            written_by: String::new(),
        };
        let mut progress = Progress::new(Recipe { epochs: 4, batch: 2, ..Recipe::default() }, record, 0);
        (progress.epoch, progress.step, progress.steps, progress.best) = (2, 1, 7, Some(1));
        progress.sums = Sums { loss: 0.5, right: 1, images: 2, seconds: 0.1 };
        progress.history = (1..=2)
            .map(|epoch| EpochReport {
                epoch,
                share: 1.0,
                loss: 0.7,
                accuracy: 50.0,
                rate: 0.1,
                validation_loss: Some(0.7),
                validation_top1: Some(50.0),
                validation_top5: Some(100.0),
                best: epoch == 1,
                seconds: 0.3,
                images_per_s: 20.0,
            })
            .collect();
        let mut state = State::new(progress);
        let numbers: Vec<Vec<f32>> =
            graph.params().iter().map(|param| vec![0.5; param.shape.iter().product()]).collect();
        for group in [WEIGHTS, AVERAGE, "mean_square"] {
            state.insert(group, &lists(&graph, &[]), &numbers).unwrap();
        }
        state
    }

    fn read(state: &State) -> Result<(), String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.state.safetensors");
        state.write(&path).unwrap();
        State::read(&path).map(|_| ()).map_err(|error| error.to_string())
    }

    #[test]
    fn entries_that_no_run_writes_are_refused_by_name() {
        assert_eq!(read(&state()), Ok(()));
        type Damage = fn(&mut Progress);
        let damages: [(&str, Damage); 34] = [
            ("recipe.batch is 0", |p| p.recipe.batch = 0),
            ("recipe.optimizer.rate is -1", |p| p.recipe.optimizer.rate = -1.0),
            ("record.format is 77", |p| p.record.format = 77),
            ("record.graph: ", |p| p.record.graph = serde_json::Value::Null),
            ("record.preprocess: ", |p| p.record.preprocess = serde_json::Value::Null),
            ("record.preprocess.std: 0 is not above zero", |p| p.record.preprocess["std"][1] = 0.into()),
            ("record.preprocess.std: -1 is not", |p| p.record.preprocess["std"][1] = (-1).into()),
            ("record.preprocess: photos are prepared as 3x9x8", |p| {
                p.record.preprocess["size"][0] = 9.into()
            }),
            ("record.labels has 1 names", |p| _ = p.record.labels.pop()),
            ("epoch is 4 and step 1, more than the 4 epochs", |p| p.epoch = 4),
            ("epoch is 9", |p| p.epoch = 9),
            ("history has 2 epochs, epoch is 1", |p| p.epoch = 1),
            ("history[1].epoch is 7", |p| p.history[1].epoch = 7),
            ("history[0].share is -4", |p| p.history[0].share = -4.0),
            ("history[0].loss is -3", |p| p.history[0].loss = -3.0),
            ("history[1].accuracy is 101", |p| p.history[1].accuracy = 101.0),
            ("history[1].validation_top1 is 400", |p| p.history[1].validation_top1 = Some(400.0)),
            ("history[1].validation_loss is -2", |p| p.history[1].validation_loss = Some(-2.0)),
            ("history[0].loss is 1.0e300, not from 0 to 3.4e38", |p| p.history[0].loss = 1e300),
            ("history[0].rate is 1.0e300", |p| p.history[0].rate = 1e300),
            ("history[1].images_per_s is 1.0e300", |p| p.history[1].images_per_s = 1e300),
            ("history[1].seconds is 1.0e300", |p| p.history[1].seconds = 1e300),
            ("history[1].seconds is -1, not at least 0", |p| p.history[1].seconds = -1.0),
            ("history[1].validation_loss is 1.0e300", |p| p.history[1].validation_loss = Some(1e300)),
            ("history[0].validation_top1 is 50, not from 0 to 20", |p| {
                p.history[0].validation_top5 = Some(20.0)
            }),
            ("history[0].validation has a part", |p| p.history[0].validation_loss = None),
            ("sums.loss is 1.0e300", |p| p.sums.loss = 1e300),
            ("best is none, by history it is 1", |p| p.best = None),
            ("best is 2, by history it is 1", |p| p.best = Some(2)),
            ("steps is 0, less than the 1 of one epoch", |p| p.steps = 0),
            ("seconds is -1", |p| p.seconds = -1.0),
            ("sums.right is 3, of 2 images", |p| p.sums.right = 3),
            ("ended is finished, after 2 of 4 epochs", |p| p.ended = Some(Ended::Finished)),
            ("ended is told in the midst of an epoch", |p| p.ended = Some(Ended::Time)),
        ];
        for (told, damage) in damages {
            let mut state = state();
            damage(&mut state.progress);
            let reason = read(&state).unwrap_err();
            assert!(reason.contains("run.state.safetensors: is damaged: "), "{reason}");
            assert!(reason.contains(told) && reason.contains("--overwrite"), "{told}: {reason}");
        }
        let mut cut = state();
        // What is no number has no form in JSON.
        cut.progress.history[1].rate = f64::NAN;
        let reason = read(&cut).unwrap_err();
        assert!(reason.contains("damaged: rate: invalid type: null"), "{reason}");
    }

    #[test]
    fn tensors_with_numbers_that_no_run_computes_are_refused_by_name() {
        for (name, number, told) in [
            ("weights/conv.weight", f32::NAN, "has the number NaN"),
            ("average/fc.bias", f32::INFINITY, "has the number inf"),
            ("mean_square/fc.bias", -1.0, "no mean of squares"),
            ("average/bn.running_var", -0.5, "no variance"),
        ] {
            let mut state = state();
            let shape = state.tensors[name].shape().to_vec();
            let mut numbers = state.tensors[name].to_f32().into_owned();
            numbers[1] = number;
            state.tensors.insert(name.into(), Tensor::from_f32(shape, &numbers).unwrap());
            let reason = read(&state).unwrap_err();
            assert!(reason.contains(name) && reason.contains(told), "{reason}");
        }
    }

    #[test]
    fn steps_are_held_against_those_of_the_pictures() {
        let progress = state().progress;
        assert_eq!(progress.check_steps(2, 3), Ok(()));
        let told = |batch, steps| progress.check_steps(batch, steps).unwrap_err();
        assert_eq!(told(2, 0), "step is 1, but an epoch has 0 steps");
        assert_eq!(told(2, 4), "steps is 7, but its epochs have 9");
        assert_eq!(told(5, 3), "sums.images is 2, but its steps have 5");
        let mut cut = progress.clone();
        (cut.history[1].share, cut.steps) = (1.0 / 3.0, 5);
        assert_eq!(cut.check_steps(2, 3), Ok(()), "an epoch that the time ended");
    }
}
