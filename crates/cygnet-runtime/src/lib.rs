//! Runs graphs. No training, no I/O.
//!
//! [`Reference`] interprets a graph node by node, in f32 or f64: the oracle for every faster executor.

mod reference;

pub use reference::{Reference, RunError};
