//! What can go wrong.

use thiserror::Error;

/// Why training cannot go on.
#[derive(Debug, Error)]
pub enum TrainError {
    /// A setting makes no sense.
    #[error("{what} is {value}, but must be {wanted}")]
    Setting {
        /// Which one.
        what: &'static str,
        /// Its value.
        value: String,
        /// What it must be.
        wanted: &'static str,
    },
    /// A parameter or a buffer for it has the wrong number of elements.
    #[error("{name} needs {wanted} numbers, {given} were given")]
    Size {
        /// The tensor.
        name: String,
        /// Elements it needs.
        wanted: usize,
        /// Elements it has.
        given: usize,
    },
    /// The plan would not fit into memory.
    #[error(
        "{graph} with {batch} images a step needs {bytes} bytes; use fewer images a step or smaller images"
    )]
    Memory {
        /// Name of the graph.
        graph: String,
        /// Images of a micro-batch.
        batch: usize,
        /// Bytes of the plan.
        bytes: u64,
    },
    /// The threads cannot be started.
    #[error("{threads} threads cannot be started: {source}")]
    Threads {
        /// How many.
        threads: usize,
        /// Why.
        source: std::io::Error,
    },
    /// Batch norm over a single value has no variance to learn from.
    #[error(
        "{layer}: batch norm sees a single value a channel; use more images a step or larger images, or freeze it"
    )]
    SingleValue {
        /// The layer.
        layer: String,
    },
    /// The output is no vector of classes.
    #[error("{graph} ends in {shape:?}, but training needs one number for each class")]
    Output {
        /// Name of the graph.
        graph: String,
        /// Shape of its output.
        shape: Vec<usize>,
    },
    /// The CPU lacks the instruction set, or a step was made wrongly.
    #[error("{0}")]
    Program(String),
}
