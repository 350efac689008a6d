//! What a run tells while it goes.

use std::fmt::{self, Display, Formatter};
use std::io::{self, Write as _};
use std::ops::ControlFlow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::TrainError;

/// What is known before the first step.
#[derive(Clone, Debug, Serialize)]
pub struct RunInfo {
    /// Registry id of the network.
    pub network: String,
    /// Name of the recipe.
    pub recipe: String,
    /// Pictures to learn from and to choose by.
    pub images: [usize; 2],
    /// Number of classes.
    pub classes: usize,
    /// Parameters that are trained.
    pub trained_params: usize,
    /// Auxiliary heads that are trained along, which the model will not have.
    pub auxiliary: usize,
    /// Epochs at most, and steps of each.
    pub epochs: u64,
    /// Steps an epoch.
    pub steps: usize,
    /// Pictures a step.
    pub batch: usize,
    /// Parts into which a batch is split.
    pub parts: usize,
    /// Memory of the training plan.
    pub memory_bytes: u64,
    /// Epochs done before, if the run is resumed.
    pub resumed_at: u64,
    /// Steps of the next epoch done before.
    pub resumed_step: usize,
}

/// What a step did.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct StepReport {
    /// The epoch, counted from 1.
    pub epoch: u64,
    /// Epochs at most.
    pub epochs: u64,
    /// The step in the epoch, counted from 1, and steps an epoch.
    pub step: usize,
    /// Steps an epoch.
    pub steps: usize,
    /// Mean loss of the epoch so far, against the mixed and smoothed targets, auxiliary heads' included.
    pub loss: f64,
    /// Percent of right guesses of the epoch so far, on the changed pictures.
    pub accuracy: f64,
    /// Learning rate.
    pub rate: f64,
    /// Pictures learnt from in a second of the epoch so far.
    pub images_per_s: f64,
    /// Share of the whole run that is done, 0 to 1.
    pub done: f64,
    /// Seconds of training so far, those before a resumption included; where the run has a limit of time also those of
    /// what came before.
    pub seconds: f64,
    /// Seconds that the run will still take, if it goes on as before.
    pub left: f64,
}

/// What an epoch came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochReport {
    /// The epoch, counted from 1.
    pub epoch: u64,
    /// The share of its steps that were made: 1 unless the time was up.
    #[serde(default = "whole")]
    pub share: f64,
    /// Mean loss while training, against the mixed and smoothed targets, auxiliary heads' included.
    pub loss: f64,
    /// Percent of right guesses while training, on the changed pictures.
    pub accuracy: f64,
    /// Learning rate of the last step.
    pub rate: f64,
    /// Mean cross-entropy on the validation pictures.
    pub validation_loss: Option<f64>,
    /// Percent of right guesses on the validation pictures.
    pub validation_top1: Option<f64>,
    /// Percent of the validation pictures whose class is among the first five guesses.
    pub validation_top5: Option<f64>,
    /// Whether no epoch before was as good.
    pub best: bool,
    /// Seconds that its steps took.
    #[serde(default)]
    pub seconds: f64,
    /// Pictures learnt from in a second.
    #[serde(default)]
    pub images_per_s: f64,
}

fn whole() -> f64 {
    1.0
}

impl Display for EpochReport {
    /// What a person wants to read of an epoch, in about 50 characters.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "loss {:.3}  accuracy {:.1} %", self.loss, self.accuracy)?;
        if let (Some(loss), Some(top1)) = (self.validation_loss, self.validation_top1) {
            write!(f, "  validation {loss:.3}  {top1:.1} %")?;
        }
        if self.share < 1.0 {
            write!(f, "  ({:.0} % of an epoch)", 100.0 * self.share)?;
        }
        Ok(())
    }
}

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// All epochs are done.
    Finished,
    /// No better accuracy for as many epochs as the recipe waits.
    Early,
    /// The time is up.
    Time,
    /// A callback asked for it; the run can be resumed.
    Interrupted,
}

/// Is told how a run goes, and may end it.
pub trait Callback {
    /// Before the first step.
    fn begin(&mut self, info: &RunInfo) {
        _ = info;
    }

    /// After a step. `Break` ends the run after saving its state.
    fn step(&mut self, report: &StepReport) -> ControlFlow<()> {
        _ = report;
        ControlFlow::Continue(())
    }

    /// After the evaluation of an epoch.
    ///
    /// # Errors
    /// Ends the run.
    fn epoch(&mut self, report: &EpochReport) -> Result<(), TrainError> {
        _ = report;
        Ok(())
    }
}

impl Callback for () {}

impl<C: Callback + ?Sized> Callback for &mut C {
    fn begin(&mut self, info: &RunInfo) {
        (**self).begin(info);
    }

    fn step(&mut self, report: &StepReport) -> ControlFlow<()> {
        (**self).step(report)
    }

    fn epoch(&mut self, report: &EpochReport) -> Result<(), TrainError> {
        (**self).epoch(report)
    }
}

/// Tells several.
impl Callback for Vec<Box<dyn Callback + '_>> {
    fn begin(&mut self, info: &RunInfo) {
        self.iter_mut().for_each(|callback| callback.begin(info));
    }

    fn step(&mut self, report: &StepReport) -> ControlFlow<()> {
        let mut flow = ControlFlow::Continue(());
        // All are told, whoever ends the run.
        for callback in self.iter_mut() {
            if callback.step(report).is_break() {
                flow = ControlFlow::Break(());
            }
        }
        flow
    }

    fn epoch(&mut self, report: &EpochReport) -> Result<(), TrainError> {
        self.iter_mut().try_for_each(|callback| callback.epoch(report))
    }
}

/// Prints a line an epoch on standard error.
#[derive(Clone, Copy, Debug, Default)]
pub struct PrintEpochs;

impl Callback for PrintEpochs {
    fn epoch(&mut self, report: &EpochReport) -> Result<(), TrainError> {
        let best = if report.best { "  best" } else { "" };
        // Who does not listen does not end the run.
        _ = writeln!(io::stderr(), "epoch {}  {report}{best}", report.epoch);
        Ok(())
    }
}

/// Called from any thread with what is done, the pictures done and all there are.
#[derive(Clone)]
pub struct Watch(pub Arc<dyn Fn(&'static str, usize, usize) + Send + Sync>);

impl Default for Watch {
    fn default() -> Watch {
        Watch(Arc::new(|_, _, _| ()))
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("Watch")
    }
}
