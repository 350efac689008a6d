//! A run that can begin, and what comes out of it.

use std::io::Write as _;
use std::path::PathBuf;

use cygnet_files::write_own;
use cygnet_train::{
    Callback, Ended, Fact, JsonLog, Outcome, Page, RunFiles, TensorBoard, TrainData, TrainError, Trainer,
    report,
};

use super::facts::{facts, made};
use crate::{Error, Model};

/// A run whose network is loaded and whose pictures are looked at.
pub struct Prepared {
    pub(super) trainer: Trainer,
    /// Where the run's data is, for its report.
    pub(super) data: PathBuf,
    /// The run's files and its log, which keeps other runs from them.
    pub(super) files: Option<(RunFiles, JsonLog)>,
    pub(super) resumes: bool,
    pub(super) tensorboard: bool,
    pub(super) command: Option<String>,
    pub(super) notes: Vec<String>,
}

/// What came out of a run.
#[derive(Clone, Debug)]
pub struct RunOutcome {
    /// How it went.
    pub outcome: Outcome,
    /// Where its files are, if there are some.
    pub files: Option<RunFiles>,
    /// What its report says first; nothing after an interruption.
    pub facts: Vec<Fact>,
}

impl RunOutcome {
    /// The model with its best weights; of an interrupted run that with the last.
    #[must_use]
    pub fn into_model(self) -> Model {
        self.outcome.into()
    }
}

impl From<Outcome> for Model {
    fn from(outcome: Outcome) -> Model {
        let Outcome { model, quantization, record, .. } = outcome;
        Model {
            id: model.id,
            graph: model.graph,
            weights: model.weights,
            preprocess: model.preprocess,
            guessed: record.guessed,
            labels: record.labels,
            licence: record.licence,
            source: record.source,
            accuracy: record.accuracy,
            recipe: record.recipe,
            training: record.training,
            compression: record.compression,
            quantization,
            written_by: Some(record.written_by),
        }
    }
}

impl Prepared {
    /// What is not as its user may think: pictures left out, settings that changed the network.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// What flatters or hides the accuracy, and what could not be read.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        warnings(self.trainer.data())
    }

    /// Trains, tells `callback` how it goes, and writes the files.
    ///
    /// # Errors
    /// As [`Trainer::run`], or if a file cannot be written.
    pub fn run(self, callback: &mut dyn Callback) -> Result<RunOutcome, Error> {
        let Prepared { trainer, data: place, files, resumes, tensorboard, command, .. } = self;
        let data = trainer.data().clone();
        let mut watchers: Vec<Box<dyn Callback + '_>> = vec![Box::new(callback)];
        let (files, log) = files.unzip();
        if let Some(files) = &files {
            if !resumes {
                files.clear()?;
            }
            if tensorboard {
                watchers.push(Box::new(TensorBoard::new(&files.events())?));
            }
        }
        watchers.extend(log.map(|log| Box::new(log) as Box<dyn Callback>));
        let outcome = trainer.run(&mut watchers);
        drop(watchers);
        if let (Err(_), Some(files)) = (&outcome, &files)
            && !files.state().exists()
        {
            // Nothing goes on from here; that the log stays is no error beside that of the run.
            _ = std::fs::remove_file(files.log());
        }
        let outcome = outcome?;
        if outcome.ended == Ended::Interrupted {
            return Ok(RunOutcome { outcome, files, facts: Vec::new() });
        }
        let facts = facts(&outcome, &data.pictures())?;
        if let Some(files) = &files {
            let title = format!("{} on {}", outcome.model.id, dataset(&outcome));
            let made = made(command.as_deref(), &place, outcome.record.training.as_ref());
            let page = Page { title: &title, facts: &facts, made: &made, model: &files.model };
            let html = report(&page, &outcome, &data);
            let failed = |source| TrainError::Write { path: files.report(), source };
            write_own(&files.report(), |file| file.write_all(html.as_bytes())).map_err(failed)?;
        }
        Ok(RunOutcome { outcome, files, facts })
    }
}

fn dataset(outcome: &Outcome) -> &str {
    outcome.record.training.as_ref().map_or("", |training| &training.dataset)
}

fn warnings(data: &TrainData) -> Vec<String> {
    const MOST: usize = 20;
    let mut told: Vec<String> = data
        .unreadable
        .iter()
        .take(MOST)
        .map(|(name, reason)| format!("{name}: {reason}; left out"))
        .collect();
    if data.unreadable.len() > MOST {
        told.push(match data.unreadable.len() - MOST {
            1 => "1 more file cannot be read; left out".into(),
            more => format!("{more} more files cannot be read; left out"),
        });
    }
    if let Some((theirs, ours)) = data.duplicates.first() {
        let (pictures, more) = match data.duplicates.len() {
            1 => ("1 picture for validation or test is".to_owned(), ""),
            count => (format!("{count} pictures for validation or test are"), ", and so on"),
        };
        told.push(format!(
            "{pictures} also trained on, which flatters the accuracy: {theirs} is {ours}{more}"
        ));
    }
    if let Some((one, other)) = data.contradictions.first() {
        let (times, more) = match data.contradictions.len() {
            1 => ("once".to_owned(), ""),
            count => (format!("{count} times"), ", and so on"),
        };
        told.push(format!(
            "the same picture in two classes, {times}, which cannot be learnt: {one} is {other}{more}"
        ));
    }
    if data.validation.samples().is_empty() {
        told.push("no pictures for validation; the last weights will be kept, not the best".into());
        return told;
    }
    let unseen = data.without_validation();
    if let Some(first) = unseen.first() {
        let more = match unseen.len() - 1 {
            0 => String::new(),
            more => format!(" and {more} other classes"),
        };
        told.push(format!(
            "no pictures of class {first}{more} for validation; the accuracy does not tell of them"
        ));
    }
    told
}
