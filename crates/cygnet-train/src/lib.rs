//! Trains graphs. No network-specific code.
//!
//! An [`Engine`] is a graph differentiated into a static plan of forward and backward steps, with all its memory.
#![warn(clippy::wildcard_enum_match_arm)]

mod budget;
mod callback;
mod checkpoint;
mod data;
mod distil;
mod engine;
mod error;
mod evaluate;
mod init;
mod log;
mod metrics;
mod optimizer;
mod plan;
mod recipe;
mod report;
mod run;
mod schedule;
mod task;
mod trainer;

pub use callback::{Callback, Ended, EpochReport, PrintEpochs, RunInfo, StepReport, Watch};
pub use checkpoint::{Progress, RunFiles, State};
pub use cygnet_weights::top5_tells;
pub use data::TrainData;
pub use distil::Teacher;
pub use engine::{Engine, EngineOptions, StepOutcome};
pub use error::TrainError;
pub use init::initial_weights;
pub use log::{JsonLog, TensorBoard};
pub use metrics::{ClassMetrics, Metrics, Verdict};
pub use optimizer::{Group, Optimizer, OptimizerConfig, OptimizerKind, average, clip};
pub use recipe::{Balance, Difference, Distill, Recipe, Trained};
pub use report::{Fact, Page, report, shell_word};
pub use schedule::{Schedule, ScheduleKind};
pub use trainer::{Outcome, TrainOptions, Trainee, Trainer};
