//! What `cygnet train` is asked.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use cygnet::train::{Start, Trained};

use super::limits::{DataLimits, GraphLimits};
use super::values::{bytes, duration, seconds, side, threads};

/// What numbers a trained network may come to compute with.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum TrainPrecision {
    /// Bytes; what does not bear it stays in floating point
    Int8,
}

#[derive(Args)]
pub(crate) struct Train {
    /// The labelled photos; with --print-recipe perhaps a model file
    #[arg(value_name = "DATA", required_unless_present = "print_recipe")]
    pub(crate) data: Option<PathBuf>,
    /// Network of the zoo, perhaps with .TAG of its weights [default: mobilenet_v2]
    #[arg(short, long, value_name = "ID[.TAG]")]
    pub(crate) network: Option<String>,
    /// Weights to start from
    #[arg(long, value_name = "pretrained|scratch|FILE", default_value = "pretrained")]
    pub(crate) from: Start,
    /// Name of a recipe, or a TOML file
    #[arg(long, value_name = "R")]
    pub(crate) recipe: Option<String>,
    /// Change a setting of the recipe, such as optimizer.rate=0.01
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) set: Vec<String>,
    /// Which part of the network learns
    #[arg(long, value_name = "all|last-N|head")]
    pub(crate) train: Option<Trained>,
    /// Learn with the rounding of whole numbers, from a trained network, which becomes one that computes with them
    #[arg(long, value_enum, value_name = "int8")]
    pub(crate) quantize: Option<TrainPrecision>,
    /// Passes over the photos
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) epochs: Option<u32>,
    /// Photos a step
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) batch: Option<u32>,
    /// Height and width of the network's image
    #[arg(long, value_name = "S", value_parser = side)]
    pub(crate) image: Option<usize>,
    /// Names all random numbers
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    pub(crate) seed: Option<u64>,
    /// End after this time, reading and evaluation included: 90s, 10m, 1h30m
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) time: Option<Duration>,
    /// Most memory of the training step, such as 2GB; batches are split to keep to it
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    pub(crate) memory: Option<u64>,
    /// Most memory for decoded photos [default: a quarter of this machine's]
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    pub(crate) cache: Option<u64>,
    /// Threads; their number does not change the result
    #[arg(short = 'j', long, value_name = "N|auto", default_value = "auto", value_parser = threads)]
    pub(crate) threads: NonZeroUsize,
    /// The model file to write [default: model.safetensors, or the next free of model-2.safetensors and so on]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Go on with the run that wrote FILE, or with the newest of those without a name
    #[arg(long)]
    pub(crate) resume: bool,
    /// Replace the files of an earlier run
    #[arg(long, conflicts_with = "resume")]
    pub(crate) overwrite: bool,
    /// Seconds between two saved states, at most
    #[arg(long, value_name = "SECONDS", default_value_t = 30.0, value_parser = seconds)]
    pub(crate) save_every: f64,
    /// Also write TensorBoard's event files, to NAME.events/
    #[arg(long)]
    pub(crate) tensorboard: bool,
    /// Print the recipe as TOML, with what each setting does, and do nothing else
    #[arg(long)]
    pub(crate) print_recipe: bool,
    /// Print one JSON object an epoch, and one at the end
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) data_limits: DataLimits,
    #[command(flatten)]
    pub(crate) graph_limits: GraphLimits,
}
