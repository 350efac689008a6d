//! The files of a run: which it may write, and what it goes on with.

use std::path::{Path, PathBuf};

use cygnet_files::is_same_file;
use cygnet_image::Splits;
use cygnet_train::{Ended, JsonLog, Recipe, RunFiles, State, TrainError, Trainee};
use cygnet_weights::ModelFile;

use super::start::{Start, is_network, trainee_of};
use super::subject::Subject;
use super::training::{Out, Training};
use crate::Error;

/// Of so many steps one is logged.
const LOGGED: usize = 10;

impl Training {
    /// The run's files, with the log that keeps other runs from them.
    pub(super) fn files(&self) -> Result<Option<(RunFiles, JsonLog)>, Error> {
        Ok(match &self.out {
            Out::Nowhere => None,
            Out::Named(model) => {
                let files = RunFiles::of(model);
                self.check(&files)?;
                let log = JsonLog::new(&files.log(), self.resume, LOGGED)?;
                Some((files, log))
            }
            Out::NextFree(folder) => Some(JsonLog::of_next_free(folder, LOGGED)?),
        })
    }

    /// Whether the run may write these files.
    fn check(&self, files: &RunFiles) -> Result<(), Error> {
        let refuse = |path: &Path, reason: &str| {
            Err(Error::Train(TrainError::Run { path: path.into(), reason: reason.into() }))
        };
        if files.model.extension().is_none_or(|extension| extension != "safetensors") {
            return refuse(&files.model, "a model file's name ends in .safetensors");
        }
        if let Some(folder) =
            files.model.parent().filter(|folder| *folder != Path::new("") && !folder.is_dir())
        {
            return refuse(folder, "no such folder");
        }
        if let Some(blocked) = files.blocked() {
            return refuse(&blocked, "something else has the name of a file of the run; give another --out");
        }
        if let Some((file, source)) = self.replaced_source(files) {
            let reason =
                format!("would replace {}, which the run reads; give another --out", source.display());
            return refuse(&file, &reason);
        }
        if self.resume {
            if files.model.exists() && !files.state().exists() {
                let reason = "there is no state beside it from which its run could go on; --overwrite in place of --resume \
                              begins again, and --from this file with another --out starts from its weights";
                return refuse(&files.model, reason);
            }
            return match files.foreign() {
                Some(foreign) => {
                    refuse(&foreign, "was not written by the run, which would replace it; move it away")
                }
                None => Ok(()),
            };
        }
        match files.taken().filter(|_| !self.overwrite) {
            Some(there) if files.state().exists() => refuse(
                &there,
                "is there already; give --resume to go on with its run, --overwrite to replace it, or another --out",
            ),
            Some(there) => {
                refuse(&there, "is there already; give another --out, or --overwrite to replace it")
            }
            None => Ok(()),
        }
    }

    /// The first file of the run that something is under which it reads, and that.
    fn replaced_source(&self, files: &RunFiles) -> Option<(PathBuf, PathBuf)> {
        let start = match &self.start {
            // A run that goes on has its own weights.
            Some(Start::File(file)) if !self.resume => Some(file.clone()),
            Some(Start::File(_) | Start::Pretrained | Start::Scratch) | None => None,
        };
        let teachers = self.settings.iter().filter_map(|setting| {
            let (name, file) = setting.split_once('=')?;
            (name.trim() == "distill.teacher").then(|| file.trim().trim_matches('"').into())
        });
        let recipe = self.recipe.as_ref().map(PathBuf::from);
        let sources = start.into_iter().chain(teachers).chain(recipe).chain([self.data.clone()]);
        let sources: Vec<PathBuf> = sources.filter(|source| source.is_file()).collect();
        files.all().into_iter().find_map(|file| {
            let source = sources.iter().find(|source| is_same_file(&file, source))?;
            Some((file, source.clone()))
        })
    }

    /// Whether the model of these files is the best of the run that goes on, which replaces it when there is a better
    /// one and reads it at its end.
    pub(super) fn check_result(state: &State, files: &RunFiles) -> Result<(), Error> {
        let refuse = |what: String| {
            let last = files.last();
            let reason = format!(
                "{what}; put the run's own in its place, or go on from its last weights: --from {} with another --out; \
                 --overwrite in place of --resume begins again",
                last.display()
            );
            Err(Error::Train(TrainError::Run { path: files.model.clone(), reason }))
        };
        if !files.model.exists() {
            return match state.best() {
                Some(best) => {
                    refuse(format!("the best model of the run, of epoch {best}, is not there any more"))
                }
                None => Ok(()),
            };
        }
        if state.replaces(files) {
            return Ok(());
        }
        match ModelFile::read(&files.model) {
            Ok(model) if state.has_made(&model.record) => Ok(()),
            Ok(model) => refuse(format!(
                "is no result of the run whose state lies beside it but another {}, and the run would replace it",
                model.record.network
            )),
            Err(_) => {
                refuse("is no model file, and the run whose state lies beside it would replace it".into())
            }
        }
    }

    /// The recipe and network of a run that goes on, whose epochs may be changed.
    pub(super) fn go_on(
        &self,
        state: &mut State,
        path: &Path,
        splits: &Splits,
        notes: &mut Vec<String>,
    ) -> Result<(Recipe, Trainee), Error> {
        let refuse = |reason: String| Err(Error::Train(TrainError::Run { path: path.into(), reason }));
        if let Some(differs) = state.other_classes(&splits.train.classes) {
            return refuse(format!("is of a run on other classes: {differs}"));
        }
        let network = &state.record().network;
        if let Subject::Zoo(Some(name)) = &self.subject
            && !is_network(name, network)
        {
            return refuse(format!("its run trains {network}, not {name}"));
        }
        let before = state.recipe().clone();
        let mut asked = match &self.recipe {
            Some(_) => self.compose(Some(splits), splits.train.classes.len())?,
            None => before.with(&self.settings)?,
        };
        let is_epochs =
            |setting: &String| setting.split('=').next().is_some_and(|name| name.trim() == "epochs");
        let is_done = matches!(state.ended(), Some(Ended::Finished | Ended::Early));
        if is_done && asked.epochs <= before.epochs {
            notes.push(format!(
                "its run is finished, after {} of {} epochs: --epochs with more goes on",
                state.epochs_done(),
                before.epochs
            ));
        }
        if self.settings.iter().any(is_epochs) && asked.epochs != before.epochs {
            *state = state.clone().with_epochs(asked.epochs)?;
            notes.push(format!(
                "goes on after epoch {}, to {} epochs instead of {}; the learning rate follows the curve over {}",
                state.epochs_done(),
                asked.epochs,
                before.epochs,
                asked.epochs
            ));
        }
        let differences: Vec<String> =
            state.recipe().differences(&asked).iter().map(ToString::to_string).collect();
        if !differences.is_empty() {
            return refuse(format!(
                "its run has another recipe: {}; leave out what changes it to go on, or begin another run --from its model",
                differences.join(", ")
            ));
        }
        // Its name may be another.
        asked.clone_from(state.recipe());
        Ok((asked, trainee_of(state, path)?))
    }
}
