//! What can be typed.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use cygnet::runtime::Level;

/// Lightweight vision networks on a CPU: classify photos, look into networks, check them against their references.
#[derive(Parser)]
#[command(name = "cygnet", version, max_term_width = 100, after_help = ENVIRONMENT)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const ENVIRONMENT: &str = "\
Environment:
  CYGNET_CACHE    folder of fetched weights (default: cygnet in the user's cache folder)
  CYGNET_MIRROR   folders or URLs with weights by file name, tried first; separated by ;
  CYGNET_OFFLINE  1: never use the network
  CYGNET_ISA      best instruction set to use: avx512, avx2 or scalar
  HTTPS_PROXY     proxy for downloads
  NO_COLOR        no colours

Exit codes: 0 all went well, 1 something failed, 2 the command line is wrong.";

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Name what is in photos
    #[command(after_help = "\
Examples:
  cygnet classify photo.jpg
  cygnet classify --model ghostnet_100 --top 3 photos/ 'more/*.png'
  cygnet classify --json - < photo.jpg")]
    Classify(Classify),
    /// List the networks of the zoo
    #[command(after_help = "\
Examples:
  cygnet list --family mobilenetv3
  cygnet list --json | jq -r 'select(.macs < 1e8) | .id'")]
    List(List),
    /// Show a network: size, cost, input, stages, layers
    #[command(after_help = "\
Examples:
  cygnet show mobilenet_v2
  cygnet show mobilenet_v2_0.6 --image 160 --layers
  cygnet show shufflenet_v2_x1_0 --plan
  cygnet show model.safetensors --json")]
    Show(Show),
    /// Fetch a network's published weights into the cache and print the file's path
    #[command(after_help = "\
Examples:
  cygnet pull mobilenet_v2
  cygnet pull timm/mobilenetv2_100.ra_in1k")]
    Pull(Pull),
    /// Train a network on your own photos
    #[command(after_help = crate::commands::TRAIN_HELP)]
    Train(Box<crate::commands::Train>),
    /// Measure accuracy on labelled photos
    #[command(after_help = "\
DATA is a folder with one folder of photos a class, or anything else that `cygnet train` reads, of
which the test pictures are taken, or else those for validation, or else all. Classes are named by
label, WordNet id (n02099601) or, unless labels are numbers, index.

Examples:
  cygnet eval --model mobilenet_v2 imagenet/val
  cygnet eval --model mine.safetensors test/ --json
  cygnet eval --model mine.safetensors photos.zip")]
    Eval(Eval),
    /// Make a Cygnet model file of a checkpoint (.safetensors, .pth, .pt, .pkl)
    #[command(after_help = "\
Examples:
  cygnet convert mobilenet_v2-b0353104.pth mobilenet_v2.safetensors
  cygnet convert mine.pth mine.safetensors --network shufflenet_v2_x1_0
  cygnet convert mobilenet_v2-b0353104.pth start.safetensors --classes 10")]
    Convert(Convert),
    /// Time networks on this machine
    #[command(after_help = "\
Examples:
  cygnet bench mobilenet_v2 ghostnet_100
  cygnet bench mobilenet_v3_small --image 160 --isa avx2 --json
  cygnet bench mobilenet_v2 --threads 2 --batch 8
  cygnet bench mobilenet_v2 --layers
  cygnet bench model.safetensors --cold")]
    Bench(Bench),
    /// List the kernels, the instruction sets they are compiled for, and which are used
    #[command(after_help = "\
Examples:
  cygnet kernels --json
  CYGNET_ISA=avx2 cygnet kernels")]
    Kernels(Kernels),
    /// Check networks against golden files of their reference implementations
    #[command(after_help = "\
Examples:
  cygnet verify goldens/inference/*.json
  CYGNET_ISA=scalar cygnet verify --fast goldens/inference/*.json")]
    Verify(Verify),
}

#[derive(Args)]
pub(crate) struct Classify {
    /// Network of the zoo, perhaps with .TAG of its weights, or a model file
    #[arg(long, value_name = "ID[.TAG]|FILE", default_value = "mobilenet_v2")]
    pub(crate) model: String,
    /// How many guesses to show
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) top: u16,
    /// Threads, each with a photo at a time; auto: one a core
    #[arg(long, value_name = "N|auto", default_value = "auto", value_parser = threads)]
    pub(crate) threads: NonZeroUsize,
    /// Most pixels of a photo that is decoded, such as 500M; larger ones are refused
    #[arg(long, value_name = "N", default_value = "256M", value_parser = pixels)]
    pub(crate) max_pixels: usize,
    /// Print one JSON object a photo
    #[arg(long)]
    pub(crate) json: bool,
    /// Photos, folders, patterns, or - for standard input
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
}

#[derive(Args)]
pub(crate) struct List {
    /// Only this family, e.g. mobilenetv2
    #[arg(long, value_name = "FAMILY")]
    pub(crate) family: Option<String>,
    /// Print one JSON object a network
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct Show {
    /// Network of the zoo or model file
    #[arg(value_name = "ID|FILE")]
    pub(crate) network: String,
    /// Height and width of the image, if not the network's own
    #[arg(long, value_name = "PIXELS")]
    pub(crate) image: Option<usize>,
    /// Number of classes, if not the network's own
    #[arg(long, value_name = "N")]
    pub(crate) classes: Option<usize>,
    /// Channels of the image, if not the network's own
    #[arg(long, value_name = "N")]
    pub(crate) in_channels: Option<usize>,
    /// Show every layer
    #[arg(long)]
    pub(crate) layers: bool,
    /// Show what the runtime makes of it: every step with the nodes it computes and the rules that joined them
    #[arg(long)]
    pub(crate) plan: bool,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct Pull {
    /// Network, perhaps with .TAG of its weights
    #[arg(value_name = "ID[.TAG]")]
    pub(crate) network: String,
}

#[derive(Args)]
pub(crate) struct Eval {
    /// Network of the zoo, perhaps with .TAG of its weights, or a model file
    #[arg(long, value_name = "ID[.TAG]|FILE", default_value = "mobilenet_v2")]
    pub(crate) model: String,
    /// Threads, each with a photo at a time; auto: one a core
    #[arg(long, value_name = "N|auto", default_value = "auto", value_parser = threads)]
    pub(crate) threads: NonZeroUsize,
    /// Most pixels of a photo that is decoded, such as 500M; larger ones are refused
    #[arg(long, value_name = "N", default_value = "256M", value_parser = pixels)]
    pub(crate) max_pixels: usize,
    /// Print the result as one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    /// The labelled photos
    #[arg(value_name = "DATA")]
    pub(crate) folder: PathBuf,
}

#[derive(Args)]
pub(crate) struct Convert {
    /// The checkpoint
    #[arg(value_name = "IN")]
    pub(crate) input: PathBuf,
    /// The model file to write
    #[arg(value_name = "OUT")]
    pub(crate) output: PathBuf,
    /// The checkpoint's network, if its tensors do not tell, perhaps with the .TAG of published weights
    #[arg(long, value_name = "ID[.TAG]")]
    pub(crate) network: Option<String>,
    /// Number of classes; where the checkpoint has another, its classifier is initialised again
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) classes: Option<u32>,
}

#[derive(Args)]
pub(crate) struct Bench {
    /// Weights of networks of the zoo: made by a formula, or the published ones; --cold takes those
    #[arg(long, value_enum)]
    pub(crate) weights: Option<BenchWeights>,
    /// Threads; auto: as many as pay
    #[arg(long, value_name = "N|auto", default_value = "auto", value_parser = bench_threads)]
    pub(crate) threads: BenchThreads,
    /// Images a run
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) batch: u16,
    /// Height and width of the image
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) image: Option<u16>,
    /// Time for each network, without a quarter more to warm up
    #[arg(long, value_name = "S", default_value_t = 2.0, value_parser = seconds)]
    pub(crate) seconds: f64,
    /// Best instruction set to use: avx512, avx2 or scalar
    #[arg(long, value_name = "ISA")]
    pub(crate) isa: Option<Level>,
    /// Use no kernel that trades rounding for speed
    #[arg(long)]
    pub(crate) strict: bool,
    /// Time every step, on one thread or as many as --threads says
    #[arg(long, conflicts_with_all = ["batch", "cold"])]
    pub(crate) layers: bool,
    /// Time from the start of a new process to the first logits, with the files in the system's cache
    #[arg(long, conflicts_with = "batch")]
    pub(crate) cold: bool,
    /// Load one model, compute logits once and say how long that took: what --cold starts
    #[arg(long, hide = true, conflicts_with_all = ["layers", "cold", "batch"])]
    pub(crate) first_logits: bool,
    /// Print one JSON object a network, or a step
    #[arg(long)]
    pub(crate) json: bool,
    /// Networks of the zoo, perhaps with .TAG of their weights, or model files
    #[arg(required = true, value_name = "ID[.TAG]|FILE")]
    pub(crate) models: Vec<String>,
}

/// Threads of a benchmark; none: as many as pay.
#[derive(Clone, Copy)]
pub(crate) struct BenchThreads(pub(crate) Option<NonZeroUsize>);

fn bench_threads(text: &str) -> Result<BenchThreads, &'static str> {
    if text == "auto" {
        Ok(BenchThreads(None))
    } else {
        threads(text).map(|threads| BenchThreads(Some(threads)))
    }
}

#[derive(Args)]
pub(crate) struct Kernels {
    /// Print one JSON object a kernel and instruction set
    #[arg(long)]
    pub(crate) json: bool,
}

/// Where a benchmark's weights come from.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum BenchWeights {
    /// Made by a formula from their names
    Random,
    /// The published ones
    Default,
}

fn seconds(text: &str) -> Result<f64, &'static str> {
    let seconds = text.parse().ok().filter(|seconds| (0.0..=3600.0).contains(seconds));
    seconds.ok_or("give seconds from 0 to 3600")
}

/// What runs a network.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Executor {
    /// Node by node: slow, the oracle
    Reference,
    /// The fast runtime
    Runtime,
}

#[derive(Args)]
pub(crate) struct Verify {
    /// Print one JSON object a file
    #[arg(long)]
    pub(crate) json: bool,
    /// What runs the networks; CYGNET_ISA caps the runtime's instruction set
    #[arg(long, value_enum, default_value_t = Executor::Runtime)]
    pub(crate) executor: Executor,
    /// Let the runtime use kernels that trade rounding for speed, as the other commands do
    #[arg(long)]
    pub(crate) fast: bool,
    /// Golden files
    #[arg(required = true, value_name = "FILE.json")]
    pub(crate) files: Vec<PathBuf>,
}

pub(crate) fn threads(text: &str) -> Result<NonZeroUsize, &'static str> {
    if text == "auto" {
        return Ok(std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN));
    }
    text.parse().map_err(|_| "neither auto nor a number above 0")
}

/// A number of pixels, perhaps in thousands (k), millions (M) or thousand millions (G).
pub(crate) fn pixels(text: &str) -> Result<usize, &'static str> {
    const WRONG: &str = "give a number of pixels such as 500M";
    let number = text.trim_end_matches(['k', 'K', 'm', 'M', 'g', 'G']);
    let unit = match &text[number.len()..] {
        "" => 1.0,
        "k" | "K" => 1e3,
        "m" | "M" => 1e6,
        "g" | "G" => 1e9,
        _ => return Err(WRONG),
    };
    let pixels = number.parse::<f64>().map_err(|_| WRONG)? * unit;
    if (1.0..=1e12).contains(&pixels) { Ok(pixels as usize) } else { Err(WRONG) }
}
