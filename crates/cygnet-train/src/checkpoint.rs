//! A run's files: the best and the last model, and the state from which the run goes on.
//!
//! The state file holds all that a resumed run needs, the last model's weights among it, so that it does not matter
//! between which two writes a run is killed: each file is whole, and what follows is computed again to the same bytes.

use std::ffi::OsString;
use std::fs::{DirEntry, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use cygnet_graph::Graph;
use cygnet_weights::safetensors::{self, Metadata};
use cygnet_weights::{ModelFile, ModelRecord, RUN_KEY, Tensor, Tensors, WeightSet, Weights};
use serde::{Deserialize, Serialize};

use crate::TrainError;
use crate::callback::{Ended, EpochReport};
use crate::log::JsonLog;
use crate::recipe::Recipe;
use crate::report::GENERATOR;

/// Bytes at the start of a log or report by which it is known.
const START: u64 = 1 << 10;

/// Where the files of a run are, beside its model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunFiles {
    /// The best model, the run's result.
    pub model: PathBuf,
}

impl RunFiles {
    /// The files of a run whose result is `model`.
    #[must_use]
    pub fn of(model: impl Into<PathBuf>) -> RunFiles {
        RunFiles { model: model.into() }
    }

    /// Of `folder`, the files of the run without a name that began last and can be resumed.
    #[must_use]
    pub fn newest(folder: &Path) -> Option<RunFiles> {
        let runs = RunFiles::numbered(folder).take_while(|files| files.are_taken() || files.log().exists());
        runs.filter(|files| files.state().exists()).last()
    }

    /// Of `folder`, the files of runs without a name.
    pub(crate) fn numbered(folder: &Path) -> impl Iterator<Item = RunFiles> {
        let name = |number| match number {
            1 => "model.safetensors".into(),
            _ => format!("model-{number}.safetensors"),
        };
        (1..100_000u32).map(move |number| RunFiles::of(folder.join(name(number))))
    }

    /// Whether some of the files are there already.
    pub(crate) fn are_taken(&self) -> bool {
        self.taken().is_some()
    }

    /// The first of the files that is there already, be it as a link. An empty log is that of a run that did not begin.
    #[must_use]
    pub fn taken(&self) -> Option<PathBuf> {
        let is_there = |path: &PathBuf| match path.symlink_metadata() {
            Ok(found) => *path != self.log() || !found.is_file() || found.len() > 0,
            Err(_) => false,
        };
        self.all().into_iter().find(is_there)
    }

    /// The first of the files that cannot be written, because something else has its name.
    #[must_use]
    pub fn blocked(&self) -> Option<PathBuf> {
        let events = self.events();
        self.all().into_iter().find(|path| match path.metadata() {
            Ok(found) if *path == events => !found.is_dir(),
            Ok(found) => !found.is_file(),
            Err(_) => false,
        })
    }

    /// The first of the log and the report that is there and was not written by a run.
    #[must_use]
    pub fn foreign(&self) -> Option<PathBuf> {
        let begins = |path: &Path, with: &str| {
            let mut start = Vec::new();
            let read = File::open(path).and_then(|file| file.take(START).read_to_end(&mut start));
            read.is_err() || start.is_empty() || String::from_utf8_lossy(&start).contains(with)
        };
        let (log, report) = (self.log(), self.report());
        if log.exists() && !begins(&log, JsonLog::BEGIN) {
            return Some(log);
        }
        (report.exists() && !begins(&report, GENERATOR)).then_some(report)
    }

    /// All of them.
    fn all(&self) -> [PathBuf; 6] {
        [self.model.clone(), self.last(), self.state(), self.log(), self.report(), self.events()]
    }

    /// Removes what an earlier run left, but for its best model, which stays until there is a new one.
    ///
    /// # Errors
    /// Names the file that stays.
    pub fn clear(&self) -> Result<(), TrainError> {
        let mut old = vec![self.last(), self.state(), self.report()];
        let events = std::fs::read_dir(self.events()).into_iter().flatten().flatten();
        let is_events =
            |entry: &DirEntry| entry.file_name().to_string_lossy().starts_with("events.out.tfevents");
        old.extend(events.filter(is_events).map(|entry| entry.path()));
        old.into_iter().try_for_each(|path| match std::fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(TrainError::Write { path, source })
            }
            Ok(()) | Err(_) => Ok(()),
        })
    }

    fn beside(&self, ending: &str) -> PathBuf {
        let mut name: OsString = self.model.file_stem().unwrap_or_default().to_owned();
        name.push(ending);
        self.model.with_file_name(name)
    }

    /// The last model.
    #[must_use]
    pub fn last(&self) -> PathBuf {
        self.beside(".last.safetensors")
    }

    /// The state: optimiser, averages, place in the data.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.beside(".state.safetensors")
    }

    /// The log of metrics, a JSON object a line.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.beside(".log.jsonl")
    }

    /// The report.
    #[must_use]
    pub fn report(&self) -> PathBuf {
        self.beside(".html")
    }

    /// The folder of TensorBoard's event files.
    #[must_use]
    pub fn events(&self) -> PathBuf {
        self.beside(".events")
    }
}

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
            best: None,
            ended: None,
        }
    }

    /// What of it contradicts itself, as in a damaged file.
    fn contradiction(&self) -> Option<String> {
        let Progress { epoch, step, history, best, recipe, .. } = self;
        if let Err(reason) = recipe.check() {
            return Some(format!("its recipe is damaged: {reason}"));
        }
        let is_whole = *epoch == history.len() as u64
            && *epoch <= u64::from(recipe.epochs)
            && best.is_none_or(|best| (1..=*epoch).contains(&best))
            && (*step as u64) <= self.steps;
        (!is_whole).then(|| format!("is damaged: {} epochs of {epoch} are there", history.len()))
    }
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

impl State {
    pub(crate) fn new(progress: Progress) -> State {
        State { progress, tensors: Tensors::new() }
    }

    /// Adds one vector for each parameter of `graph`; empty ones are left out.
    pub(crate) fn insert(
        &mut self,
        group: &str,
        graph: &Graph,
        values: &[Vec<f32>],
    ) -> Result<(), TrainError> {
        for (param, values) in graph.params().into_iter().zip(values).filter(|(_, values)| !values.is_empty())
        {
            self.tensors.insert(format!("{group}/{}", param.name), Tensor::from_f32(param.shape, values)?);
        }
        Ok(())
    }

    /// Reads one vector for each parameter of `graph` back; `wanted` says whose must be there.
    pub(crate) fn take(
        &self,
        path: &Path,
        group: &str,
        graph: &Graph,
        wanted: impl Fn(usize) -> bool,
    ) -> Result<Weights, TrainError> {
        let damaged = |reason: String| TrainError::Run { path: path.into(), reason };
        let values = graph.params().into_iter().enumerate().map(|(index, param)| {
            if !wanted(index) {
                return Ok(Vec::new());
            }
            let name = format!("{group}/{}", param.name);
            let tensor = self.tensors.get(&name).ok_or_else(|| damaged(format!("has no tensor {name}")))?;
            if tensor.shape() != param.shape {
                return Err(damaged(format!("{name} is {:?}, not {:?}", tensor.shape(), param.shape)));
            }
            Ok(tensor.to_f32().into_owned())
        });
        values.collect()
    }

    pub(crate) fn write(&self, path: &Path) -> Result<(), TrainError> {
        let progress = serde_json::to_string(&self.progress)
            .map_err(|error| TrainError::Run { path: path.into(), reason: error.to_string() })?;
        Ok(safetensors::write(path, &self.tensors, &Metadata::from([(RUN_KEY.into(), progress)]))?)
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
        let wrong = |reason: String| TrainError::Run { path: path.into(), reason };
        if !path.exists() {
            return Err(wrong(
                "is not there, so there is no run to resume; leave out --resume to begin one, with --overwrite over what is left of \
                 another".into(),
            ));
        }
        let (tensors, metadata) = safetensors::read(path)?;
        let progress = metadata.get(RUN_KEY).ok_or_else(|| wrong("is not the state of a run".into()))?;
        let progress: Progress = serde_json::from_str(progress)
            .map_err(|error| wrong(format!("is the state of another version or damaged: {error}")))?;
        if progress.version != VERSION {
            return Err(wrong(format!("has version {}, this program knows {VERSION}", progress.version)));
        }
        if let Some(reason) = progress.contradiction() {
            return Err(wrong(reason));
        }
        Ok(State { progress, tensors })
    }

    /// Whole epochs done.
    #[must_use]
    pub fn epochs_done(&self) -> u64 {
        self.progress.epoch
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
        Ok(WeightSet::of(graph, self.take(path, WEIGHTS, graph, |_| true)?)?)
    }
}

/// Writes a model file.
pub(crate) fn write_model(
    path: &Path,
    record: ModelRecord,
    graph: &Graph,
    weights: &WeightSet,
) -> Result<(), TrainError> {
    let tensors = weights.part(graph)?.into();
    Ok(ModelFile { record, tensors }.write(path)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_that_contradicts_itself_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.state.safetensors");
        let record = ModelRecord {
            format: cygnet_weights::MODEL_FORMAT,
            network: "tiny".into(),
            graph: serde_json::Value::Null,
            preprocess: serde_json::Value::Null,
            labels: Vec::new(),
            licence: None,
            source: None,
            accuracy: None,
            recipe: None,
            training: None,
            quantization: None,
            written_by: String::new(),
        };
        let read = |change: fn(&mut Progress)| {
            let mut progress = Progress::new(Recipe::default(), record.clone(), 0);
            change(&mut progress);
            State::new(progress).write(&path).unwrap();
            State::read(&path).map(|_| ()).map_err(|error| error.to_string())
        };
        assert_eq!(read(|_| ()), Ok(()));
        let damages: [fn(&mut Progress); 4] = [
            |progress| progress.recipe.batch = 0,
            |progress| progress.epoch = 1,
            |progress| progress.best = Some(1),
            |progress| progress.step = 7,
        ];
        for damage in damages {
            let reason = read(damage).unwrap_err();
            assert!(
                reason.contains("run.state.safetensors: is damaged") || reason.contains("batch is 0"),
                "{reason}"
            );
        }
    }
}
