//! What can go wrong.

use cygnet_files::Size;
use cygnet_graph::BuildError;
use thiserror::Error;

/// Why a graph cannot be trained, or a step not be made.
#[derive(Debug, Error)]
pub enum EngineError {
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
        "{graph} needs {} to learn from {batch} at a time, more than there may be; use fewer images a step, smaller ones, or a limit of memory that divides the step",
        Size(*bytes)
    )]
    Memory {
        /// Name of the graph.
        graph: String,
        /// Images of a micro-batch.
        batch: usize,
        /// Bytes of the plan.
        bytes: u64,
    },
    /// Not even the smallest parts of a batch keep to the limit.
    #[error(
        "{graph} needs {} to learn from {batch} at a time, the limit is {}; raise it or use smaller images",
        Size(*bytes),
        Size(*limit)
    )]
    MemoryLimit {
        /// Name of the graph.
        graph: String,
        /// Images of the smallest part.
        batch: usize,
        /// Bytes of the plan for it.
        bytes: u64,
        /// Bytes allowed.
        limit: u64,
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
    /// The output is that of a softmax, which the loss applies itself.
    #[error(
        "{graph} ends in a softmax, which the loss applies itself; train it as `Graph::without_softmax` makes it"
    )]
    Softmax {
        /// Name of the graph.
        graph: String,
    },
    /// The CPU lacks the instruction set, or a step was made wrongly.
    #[error("{0}")]
    Program(String),
    /// The graph cannot be changed as training needs it.
    #[error(transparent)]
    Build(#[from] BuildError),
}
