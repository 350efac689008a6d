//! Trains graphs. No network-specific code.
//!
//! An [`Engine`] is a graph differentiated into a static plan of forward and backward steps, with all its memory.
#![warn(clippy::wildcard_enum_match_arm)]

mod engine;
mod error;
mod plan;

pub use engine::{Engine, EngineOptions, StepOutcome};
pub use error::TrainError;
