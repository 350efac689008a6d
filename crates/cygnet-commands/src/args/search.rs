//! What `cygnet search` is asked.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;
use cygnet::search::Method;

use super::values::{quantity, side, threads};

#[derive(Args)]
pub(crate) struct Search {
    /// The labelled photos
    #[arg(value_name = "DATA")]
    pub(crate) data: PathBuf,
    /// Most multiply-accumulates of the network, such as 5M
    #[arg(long, value_name = "N", value_parser = quantity, required_unless_present = "params", conflicts_with = "params")]
    pub(crate) macs: Option<u64>,
    /// Most params of the network, such as 200k
    #[arg(long, value_name = "N", value_parser = quantity)]
    pub(crate) params: Option<u64>,
    /// Who chooses
    #[arg(long, value_name = "evolution|random", default_value = "evolution")]
    pub(crate) method: Method,
    /// What is chosen from: cpu, fbnet, mnasnet, mobilenet_v3, proxylessnas, spnasnet, or a TOML file
    #[arg(long, value_name = "NAME|FILE.toml", default_value = "cpu")]
    pub(crate) space: String,
    /// Networks that are tried at first; a sixth of them goes on
    #[arg(long, value_name = "N", default_value_t = 48, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) work: u32,
    /// Epochs for which each of them is trained
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) first_epochs: u32,
    /// Epochs of the last training [default: the recipe's]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) epochs: Option<u32>,
    /// Height and width of images [default: as small photos are, else 96]
    #[arg(long, value_name = "S", value_parser = side)]
    pub(crate) image: Option<usize>,
    /// Name of a recipe, or a TOML file
    #[arg(long, value_name = "R")]
    pub(crate) recipe: Option<String>,
    /// Names all random numbers
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    pub(crate) seed: u64,
    /// Threads; their number does not change the result
    #[arg(short = 'j', long, value_name = "N|auto", default_value = "auto", value_parser = threads)]
    pub(crate) threads: NonZeroUsize,
    /// The model file to write, with what was tried in NAME.search beside it
    #[arg(short, long, value_name = "FILE", default_value = "searched.safetensors")]
    pub(crate) out: PathBuf,
    /// Go on with the search that wrote these files
    #[arg(long)]
    pub(crate) resume: bool,
    /// Replace the files of an earlier search
    #[arg(long, conflicts_with = "resume")]
    pub(crate) overwrite: bool,
    /// Print JSON lines: the plan, each network that was tried, what was found
    #[arg(long)]
    pub(crate) json: bool,
}
