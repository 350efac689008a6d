//! Differentiates graphs and makes steps: what learns, without pictures, files or recipes.
//!
//! An [`Engine`] is a graph differentiated into a static plan of forward and backward steps, with all its memory. An
//! [`Optimizer`] turns the gradients into steps, a [`Schedule`] says how long they are.
#![warn(clippy::wildcard_enum_match_arm)]

mod engine;
mod error;
mod grids;
mod optimizer;
mod plan;
mod resources;
mod schedule;

pub use cygnet_gradient::OPTIMISED;
pub use engine::{Engine, EngineOptions, EngineStep, StepOutcome};
pub use error::EngineError;
pub use grids::{Grids, ValueGrid};
pub use optimizer::{Group, Optimizer, OptimizerConfig, OptimizerKind, average, clip};
pub use resources::Resources;
pub use schedule::{Schedule, ScheduleKind};
