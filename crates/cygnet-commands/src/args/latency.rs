//! What `cygnet latency` is asked.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::help;
use super::limits::GraphLimits;
use super::values::{seconds, side, threads};

#[cfg(feature = "train")]
const SPACES: &str = "zoo|cpu|fbnet|mnasnet|mobilenet_v3|FILE.toml";
#[cfg(not(feature = "train"))]
const SPACES: &str = "zoo";

/// The space that is measured where none is named.
#[cfg(feature = "train")]
const USUAL: &str = "cpu";
#[cfg(not(feature = "train"))]
const USUAL: &str = "zoo";

#[derive(Args)]
pub(crate) struct Latency {
    #[command(subcommand)]
    pub(crate) command: LatencyCommand,
}

#[derive(Subcommand)]
pub(crate) enum LatencyCommand {
    /// Measure the table of this device, or go on with one
    #[command(after_help = help::LATENCY_BUILD)]
    Build(LatencyBuild),
    /// Show what a table is of, what it has, and how good it is
    Show(LatencyShow),
    /// Time networks that the table has not seen, and compare predictions
    Check(LatencyCheck),
    /// Say how long a network takes, without running it
    #[command(after_help = help::LATENCY_PREDICT)]
    Predict(LatencyPredict),
}

#[derive(Args)]
pub(crate) struct LatencyBuild {
    /// Networks that are measured: a space of genes, or zoo for networks of the zoo at any width
    #[arg(long, value_name = SPACES, default_value = USUAL)]
    pub(crate) space: String,
    /// Height and width of their images
    #[arg(long, value_name = "N", default_value_t = 224, value_parser = side)]
    pub(crate) image: usize,
    /// Threads that work on an image; auto: one a core
    #[arg(short = 'j', long, value_name = "N|auto", default_value = "1", value_parser = threads)]
    pub(crate) threads: NonZeroUsize,
    /// Time after which no more networks are measured if there are enough; at most twice as long in any case
    #[arg(long, value_name = "S", default_value_t = 150.0, value_parser = seconds)]
    pub(crate) seconds: f64,
    /// The table's file, if not that in the cache folder
    #[arg(short, long, value_name = "F")]
    pub(crate) out: Option<PathBuf>,
    /// Begin the table anew, whatever it has
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct LatencyShow {
    /// The table's file, if not that of this device in the cache folder
    #[arg(value_name = "F")]
    pub(crate) file: Option<PathBuf>,
    /// Threads that work on an image, of tables in the cache folder; auto: one a core
    #[arg(short = 'j', long, value_name = "N|auto", default_value = "1", value_parser = threads)]
    pub(crate) threads: NonZeroUsize,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct LatencyCheck {
    /// How many networks
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) networks: u16,
    /// Networks that are checked, if not those that the table was last built of
    #[arg(long, value_name = SPACES)]
    pub(crate) space: Option<String>,
    /// Height and width of their images, if not those that the table was last built for
    #[arg(long, value_name = "N", value_parser = side)]
    pub(crate) image: Option<usize>,
    /// Threads that work on an image; auto: one a core
    #[arg(short = 'j', long, value_name = "N|auto", default_value = "1", value_parser = threads)]
    pub(crate) threads: NonZeroUsize,
    /// The table's file, if not that in the cache folder
    #[arg(long, value_name = "F")]
    pub(crate) table: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    /// Print comma-separated values, a line a network
    #[arg(long, conflicts_with = "json")]
    pub(crate) csv: bool,
}

#[derive(Args)]
pub(crate) struct LatencyPredict {
    /// Network of the zoo, a gene, or a model file
    #[arg(value_name = "ID|FILE|gene:…")]
    pub(crate) network: String,
    /// Height and width of the image, if not the network's own
    #[arg(long, value_name = "S", value_parser = side)]
    pub(crate) image: Option<usize>,
    /// Threads that work on an image, of tables in the cache folder; auto: one a core
    #[arg(short = 'j', long, value_name = "N|auto", default_value = "1", value_parser = threads)]
    pub(crate) threads: NonZeroUsize,
    /// The table's file, of whatever device, if not that of this one in the cache folder
    #[arg(long, value_name = "F", conflicts_with = "threads")]
    pub(crate) table: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) graph_limits: GraphLimits,
}
