//! Training from Python.

use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Duration;

use cygnet::train::{Callback, EpochReport, Quantize, Start, StepReport, TrainError, Training};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::errors::{plain, told};
use crate::model::Model;

/// Tells a function of Python's of every epoch, and ends the run where it raises, gives False, or Ctrl-C was pressed.
struct Listener {
    listener: Option<Py<PyAny>>,
    raised: Option<PyErr>,
    ends: bool,
}

impl Callback for Listener {
    fn step(&mut self, _: &StepReport) -> ControlFlow<()> {
        if self.raised.is_none() {
            self.raised = Python::attach(|py| py.check_signals()).err();
        }
        if self.ends || self.raised.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn epoch(&mut self, report: &EpochReport) -> Result<(), TrainError> {
        let Some(listener) = &self.listener else { return Ok(()) };
        let answer = Python::attach(|py| -> PyResult<bool> {
            let answer = listener.call1(py, (plain(py, report)?,))?;
            Ok(answer.extract::<bool>(py).is_ok_and(|goes_on| !goes_on))
        });
        match answer {
            Ok(ends) => self.ends = ends,
            Err(error) => self.raised = Some(error),
        }
        Ok(())
    }
}

/// A run as it is asked for.
struct Settings<'a, 'py>(&'a Bound<'py, PyDict>);

impl<'py> Settings<'_, 'py> {
    /// Changes the run by a setting, if it is there and not None.
    fn with<T: for<'a> FromPyObject<'a, 'py>>(
        &self,
        training: Training,
        name: &str,
        change: impl FnOnce(Training, T) -> Training,
    ) -> PyResult<Training> {
        match self.0.get_item(name)?.filter(|value| !value.is_none()) {
            Some(value) => match value.extract::<T>() {
                Ok(value) => Ok(change(training, value)),
                Err(error) => {
                    let (error, py): (PyErr, _) = (error.into(), self.0.py());
                    let text = format!("{name}: {}", error.value(py));
                    let is_type = error.is_instance_of::<PyTypeError>(py);
                    Err(if is_type { PyTypeError::new_err(text) } else { PyValueError::new_err(text) })
                }
            },
            None => Ok(training),
        }
    }
}

/// A year.
const MOST_MINUTES: f64 = 366.0 * 24.0 * 60.0;

/// Trains on a folder of labelled photos. Returns the model, and how it went. The names of `settings` are checked where they
/// are documented.
#[pyfunction]
#[pyo3(signature = (data, settings, listener=None))]
pub(crate) fn train<'py>(
    py: Python<'py>,
    data: PathBuf,
    settings: &Bound<'py, PyDict>,
    listener: Option<Py<PyAny>>,
) -> PyResult<(Model, Bound<'py, PyAny>)> {
    let settings = Settings(settings);
    let mut training = cygnet::train::train(data);
    training = settings.with(training, "network", |training, network: String| training.network(network))?;
    training = settings.with(training, "start", |training, start: PathBuf| {
        let Ok(start) = start.to_string_lossy().parse::<Start>();
        training.from(start)
    })?;
    training = settings.with(training, "recipe", |training, recipe: String| training.recipe(recipe))?;
    training = settings
        .with(training, "set", |training, set: Vec<String>| set.into_iter().fold(training, Training::set))?;
    training = settings.with(training, "epochs", Training::epochs)?;
    training = settings.with(training, "batch", Training::batch)?;
    training = settings.with(training, "image", Training::image)?;
    training = settings.with(training, "seed", Training::seed)?;
    training = settings.with(training, "out", |training, out: PathBuf| training.out(out))?;
    training = settings.with(training, "resume", Training::resume)?;
    training = settings.with(training, "overwrite", Training::overwrite)?;
    training =
        settings.with(training, "threads", |training, threads: NonZeroUsize| training.threads(threads))?;
    let mut minutes = None;
    training = settings.with(training, "minutes", |training, given: f64| {
        minutes = Some(given);
        training
    })?;
    if let Some(minutes) = minutes {
        if !(minutes > 0.0 && minutes <= MOST_MINUTES) {
            return Err(PyValueError::new_err(format!("minutes: {minutes} is no time that a run can take")));
        }
        training = training.time(Duration::from_secs_f64(60.0 * minutes));
    }
    training = settings.with(training, "int8", |training, is_int8: bool| {
        training.quantize(if is_int8 { Quantize::Int8 } else { Quantize::None })
    })?;
    let mut listener = Listener { listener, raised: None, ends: false };
    let run = py.detach(|| training.run_with(&mut listener));
    if let Some(raised) = listener.raised {
        return Err(raised);
    }
    let run = run.map_err(told)?;
    let outcome = &run.outcome;
    let file = run.files.as_ref().map(|files| files.model.clone());
    let history = serde_json::json!({
        "epochs": outcome.history, "best": outcome.best, "ended": outcome.ended, "file": file,
        "accuracy": outcome.record.accuracy,
    });
    let history = plain(py, &history)?;
    Ok((Model::new(py, run.into_model())?, history))
}
