//! What `cygnet compress` is asked.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args, ValueEnum};

use super::limits::{DataLimits, GraphLimits};
use super::values::{bytes, duration, milliseconds, points, quantity, threads};

#[derive(Args)]
#[command(
    override_usage = "cygnet compress [OPTIONS] --data <DATA> --latency|--size|--macs|--drop <GOAL> <ID[.TAG]|FILE>"
)]
#[command(group = ArgGroup::new("goal").args(["latency", "size", "macs"]))]
#[command(group = ArgGroup::new("wanted").args(["latency", "size", "macs", "drop"]).required(true).multiple(true))]
pub(crate) struct Compress {
    /// Network of the zoo, perhaps with .TAG of its weights, or a model file or its https address
    #[arg(value_name = "ID[.TAG]|FILE")]
    pub(crate) model: String,
    /// Labelled photos of the model's classes, to rank channels by, to learn from and to be judged by
    #[arg(long, value_name = "DATA")]
    pub(crate) data: PathBuf,
    /// Time that an image may take on one thread of this machine, such as 3ms or 800us
    #[arg(long, value_name = "TIME", value_parser = milliseconds)]
    pub(crate) latency: Option<f64>,
    /// Size that the model file may have, such as 500kB
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    pub(crate) size: Option<u64>,
    /// Multiply-accumulates that an image may take, such as 100M
    #[arg(long, value_name = "N", value_parser = quantity)]
    pub(crate) macs: Option<u64>,
    /// Points of top-1 accuracy that may be lost; alone: as fast as can be within them
    #[arg(long, value_name = "POINTS", value_parser = points)]
    pub(crate) drop: Option<f64>,
    /// How it is made smaller, one or more with commas between
    #[arg(long, value_enum, value_delimiter = ',', default_value = "prune")]
    pub(crate) with: Vec<CompressMethod>,
    /// By what channels are ranked: how the loss would change without them, to first order; absolute weights; their
    /// norm; the scales of batch norms
    #[arg(
        long,
        value_enum,
        hide_possible_values = true,
        value_name = "taylor|l1|l2|gamma",
        default_value = "taylor"
    )]
    pub(crate) rank: CompressRank,
    /// A network that what is left learns from, of the same classes [default: the model itself]
    #[arg(long, value_name = "ID[.TAG]|FILE")]
    pub(crate) teacher: Option<String>,
    /// Passes over the photos of each network that is tried [default: 12]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) epochs: Option<u32>,
    /// Change another setting of the recipe, such as optimizer.rate=0.01
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) set: Vec<String>,
    /// End after about this time: 90s, 10m, 1h30m
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) time: Option<Duration>,
    /// Threads for learning; auto: one a core
    #[arg(short = 'j', long, value_name = "N|auto", default_value = "auto", value_parser = threads)]
    pub(crate) threads: NonZeroUsize,
    /// The model file to write; by default ID-compressed.safetensors, or the FILE's name so. What is not finished is in a folder
    /// beside it, which ends in .compress
    #[arg(short, long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Go on with what was interrupted
    #[arg(long, conflicts_with = "overwrite")]
    pub(crate) resume: bool,
    /// Replace the file if it exists, and begin again
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Print one JSON object an epoch, and one at the end
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) data_limits: DataLimits,
    #[command(flatten)]
    pub(crate) graph_limits: GraphLimits,
}

/// How a model is made smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CompressMethod {
    /// Channels are cut, and what is left learns on
    Prune,
    /// It computes with bytes
    Int8,
}

/// By what channels are ranked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CompressRank {
    Taylor,
    L1,
    L2,
    Gamma,
}
