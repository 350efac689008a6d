//! What can go wrong.

use std::path::PathBuf;
use std::time::Duration;

use cygnet_engine::EngineError;
use cygnet_graph::BuildError;
use cygnet_image::ImageError;
use cygnet_quantize::QuantizeError;
use cygnet_runtime::RunError;
use cygnet_weights::{Misfit, WeightsError};
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
    /// Finding and looking at the pictures takes longer than the run may.
    #[error(
        "a time of {time:.1?} is too short to find {pictures} pictures and look at each once; give more time or fewer pictures"
    )]
    TooShortToLook {
        /// The time.
        time: Duration,
        /// Pictures for training, validation and test.
        pictures: usize,
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
    /// A network's weights are not those of its graph.
    #[error(transparent)]
    Misfit(#[from] Misfit),
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
    /// The network cannot be differentiated, or a step not be made.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The network cannot be changed as the recipe asks.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The network cannot be run.
    #[error(transparent)]
    Eval(#[from] RunError),
    /// The network cannot be made one of whole numbers.
    #[error(transparent)]
    Quantize(#[from] QuantizeError),
    /// The pictures cannot be read.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A file of tensors cannot be read or written.
    #[error(transparent)]
    Weights(#[from] WeightsError),
}
