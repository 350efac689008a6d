//! What can go wrong.

use std::path::PathBuf;
use std::time::Duration;

use cygnet_graph::BuildError;
use cygnet_image::ImageError;
use cygnet_runtime::RunError;
use cygnet_weights::WeightsError;
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
        "{graph} needs {} to learn from {batch} at a time, more than there may be; use fewer images a step, smaller ones, or a limit of memory that divides the step",
        size(*bytes)
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
        size(*bytes),
        size(*limit)
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
    /// What must be done takes longer than the run may.
    #[error(
        "a time of {time:.1?} is too short: the first step takes at least {learning:.1?}, evaluation at least {judging:.1?}; give more time, smaller images or fewer pictures"
    )]
    TooShort {
        /// The time.
        time: Duration,
        /// The least that the first step, or its features, can take.
        learning: Duration,
        /// The least that evaluation and test can take.
        judging: Duration,
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
    /// A recipe or one of its settings cannot be used.
    #[error("{place}: {reason}")]
    Recipe {
        /// The recipe's name or file, or the setting.
        place: String,
        /// What is wrong.
        reason: String,
    },
    /// A run's files are in the way, missing or those of another run.
    #[error("{}: {reason}", path.display())]
    Run {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
    /// A file of the run cannot be written.
    #[error("{}: cannot write: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The loss is no number any more.
    #[error(
        "the loss is no longer finite in epoch {epoch}; use a lower optimizer.rate or a longer schedule.warmup"
    )]
    Diverged {
        /// The epoch, counted from 1.
        epoch: u64,
    },
    /// Too few pictures.
    #[error("{what}; add pictures")]
    TooFew {
        /// Of what.
        what: String,
    },
    /// The network cannot be changed as the recipe asks.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The network cannot be run.
    #[error(transparent)]
    Eval(#[from] RunError),
    /// The pictures cannot be read.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A file of tensors cannot be read or written.
    #[error(transparent)]
    Weights(#[from] WeightsError),
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
}

fn size(bytes: u64) -> String {
    let kilobytes = bytes as f64 / 1024.0;
    if kilobytes < 1024.0 { format!("{kilobytes:.1} KB") } else { format!("{:.0} MB", kilobytes / 1024.0) }
}
