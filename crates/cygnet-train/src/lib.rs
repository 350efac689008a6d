//! Trains graphs: recipes, runs and reports. No network-specific code.
//!
//! A [`Trainer`] is what a run is made of; the steps are those of an [`Engine`].
#![warn(clippy::wildcard_enum_match_arm)]

mod budget;
mod callback;
mod checkpoint;
mod data;
mod distil;
mod error;
mod evaluate;
mod files;
mod init;
mod int8;
mod log;
mod memory;
mod metrics;
mod numbers;
mod recipe;
mod report;
mod run;
mod task;
mod trainer;

pub use callback::{Callback, Ended, EpochReport, PrintEpochs, RunInfo, StepReport, Watch};
pub use checkpoint::{Progress, State};
pub use cygnet_engine::{
    Engine, EngineError, EngineOptions, EngineStep, Grids, Group, OPTIMISED, Optimizer, OptimizerConfig,
    OptimizerKind, Schedule, ScheduleKind, StepOutcome, ValueGrid, average, clip,
};
pub use cygnet_weights::top5_tells;
pub use data::TrainData;
pub use error::TrainError;
pub use files::RunFiles;
pub use init::initial_weights;
pub use log::{JsonLog, TensorBoard};
pub use metrics::{ClassMetrics, Metrics, Verdict};
pub use recipe::{Balance, Difference, Distill, Quantize, Recipe, Trained};
pub use report::{Fact, Page, page, report, shell_word};
pub use trainer::{Outcome, RoundingLoss, Teacher, TrainOptions, Trainee, Trainer};
