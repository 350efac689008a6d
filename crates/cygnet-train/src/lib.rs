//! Trains graphs. No network-specific code.
//!
//! An [`Engine`] is a graph differentiated into a static plan of forward and backward steps, with all its memory.
#![warn(clippy::wildcard_enum_match_arm)]

mod engine;
mod error;
mod init;
mod optimizer;
mod recipe;
mod schedule;

pub use engine::{Engine, EngineOptions, StepOutcome};
pub use error::TrainError;
pub use init::initial_weights;
pub use optimizer::{Group, Optimizer, OptimizerConfig, OptimizerKind, average, clip};
pub use recipe::{Balance, Distill, Recipe, Trained};
pub use schedule::{Schedule, ScheduleKind};
