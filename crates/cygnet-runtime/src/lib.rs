//! Runs graphs. No training, no I/O.
//!
//! [`Reference`] interprets a graph node by node, in f32 or f64: the oracle for every faster executor.
#![warn(clippy::wildcard_enum_match_arm)]

mod reference;

pub use cygnet_kernels::reference::softmax;
pub use reference::{Reference, RunError};
