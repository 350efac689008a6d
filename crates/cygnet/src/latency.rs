//! How long any network takes on a device, by the table of that device: building it, checking it, asking it.
//!
//! A table holds for a processor, an instruction set, a number of threads and a version of Cygnet. Asking takes neither
//! weights nor a run: what counts is the plan of a graph ([`Work`]).

mod build;
mod check;
mod space;

use std::path::Path;

use cygnet_graph::{BuildError, Graph};
use cygnet_runtime::{Plan, PlanOptions, RunError};
use thiserror::Error;

pub use build::{Building, Built, Progress, build};
pub use check::{Checked, Row, check};
pub use cygnet_latency::{
    Clocked, Correction, Device, Errors, Fit, Growing, Key, Measured, Prediction, Predictor, Protocol, Role,
    Step, StepTable, TableError, TimedStep, Work,
};
pub use space::{Draw, Space, Zoo};

use crate::Model;

/// Why there is no table, or no time by it.
#[derive(Debug, Error)]
pub enum LatencyError {
    /// The file.
    #[error(transparent)]
    Table(#[from] TableError),
    /// A network that does not run.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A network that cannot be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// A model whose weights do not fit.
    #[error(transparent)]
    Model(#[from] crate::Error),
    /// A space without networks for these images.
    #[error("space {space}: none of its networks looks at images of {image}x{image}")]
    NoNetworks {
        /// The space.
        space: String,
        /// Height and width of images.
        image: usize,
    },
}

/// What a network in f32 runs.
///
/// # Errors
/// If its values would take too much memory, or it falls apart into too many kernel calls.
pub fn work_of(graph: &Graph, options: PlanOptions) -> Result<Work, RunError> {
    Ok(Work::of(&Plan::outline_of(graph, options)?, graph.input_shape()))
}

/// What a model runs, in the numbers that it computes with.
///
/// # Errors
/// As [`Model::outline`].
pub fn work_of_model(model: &Model, options: PlanOptions) -> Result<Work, crate::Error> {
    Ok(Work::of(&model.outline(options)?, model.graph.input_shape()))
}

/// The predictor of this device, where there is a table of it in a cache folder.
///
/// # Errors
/// If there is one that cannot be read, or that is of another device or version.
pub fn predictor_of(folder: &Path, device: &Device) -> Result<Option<Predictor>, TableError> {
    let path = StepTable::path_in(folder, device);
    let Some(table) = StepTable::find(&path)? else { return Ok(None) };
    Ok(Predictor::new(&table.of_device(device, &path)?))
}
