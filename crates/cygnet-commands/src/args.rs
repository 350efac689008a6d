//! What can be typed.

#[cfg(feature = "train")]
mod compress;
mod help;
mod latency;
mod limits;
mod misplaced;
mod parse;
mod preparing;
#[cfg(feature = "train")]
mod search;
#[cfg(feature = "train")]
mod train;
mod values;

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use cygnet::runtime::Cap;

#[cfg(feature = "train")]
pub(crate) use compress::{Compress, CompressMethod, CompressRank};
pub(crate) use latency::{Latency, LatencyBuild, LatencyCheck, LatencyCommand, LatencyPredict, LatencyShow};
#[cfg(feature = "train")]
pub(crate) use limits::DataLimits;
pub(crate) use limits::{GraphLimits, PictureLimits};
pub(crate) use parse::{WrongUsage, command, parse, wrong_usage};
pub(crate) use preparing::PreparingArgs;
#[cfg(feature = "train")]
pub(crate) use search::Search;
#[cfg(feature = "train")]
pub(crate) use train::{Train, TrainPrecision};
pub(crate) use values::{Batch, BenchThreads};
use values::{batch, bench_threads, seconds, side, threads};
#[cfg(feature = "train")]
use values::{bytes, points};

/// Lightweight vision networks on a CPU: classify photos, look into networks, check them against their references.
#[derive(Parser)]
#[command(name = "cygnet", version, max_term_width = 100, after_help = help::CYGNET)]
pub(crate) struct Cli {
    /// Say nothing but results, errors and warnings
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Name what is in photos
    #[command(after_help = help::CLASSIFY, visible_alias = "predict")]
    Classify(Classify),
    /// List the networks of the zoo
    #[command(after_help = help::LIST)]
    List(List),
    /// Show a network or model: size, cost, input, stages, layers, where it comes from
    #[command(after_help = help::SHOW)]
    Show(Show),
    /// Fetch a network's published weights into the cache and print the file's path
    #[command(after_help = help::PULL)]
    Pull(Pull),
    #[cfg(feature = "train")]
    /// Train a network on your own photos
    #[command(after_help = help::TRAIN)]
    Train(Box<Train>),
    #[cfg(feature = "train")]
    /// Find a network for your own photos that costs no more than it may, and train it
    #[command(after_help = help::SEARCH)]
    Search(Box<Search>),
    #[cfg(feature = "train")]
    /// Measure accuracy on labelled photos
    #[command(after_help = help::EVAL)]
    Eval(Eval),
    #[cfg(feature = "train")]
    /// Make a model of fewer bits, smaller and faster, by looking at some photos
    #[command(after_help = help::QUANTIZE)]
    Quantize(Quantize),
    #[cfg(feature = "train")]
    /// Make a model smaller and faster: cut channels, let the rest learn, and keep what pays on this machine
    #[command(after_help = help::COMPRESS)]
    Compress(Box<Compress>),
    /// Make a Cygnet model file, or an ONNX file, of a checkpoint (.safetensors, .pth, .pt, .pkl, .onnx, .tflite, .param)
    #[command(after_help = help::CONVERT)]
    Convert(Convert),
    /// Time networks on this machine
    #[command(after_help = help::BENCH)]
    Bench(Bench),
    /// Predict how long networks take, by a table of this device that is measured once
    #[command(after_help = help::LATENCY)]
    Latency(Latency),
    /// List the kernels, the instruction sets they are compiled for, and which are used
    #[command(after_help = help::KERNELS)]
    Kernels(Kernels),
    /// Check networks against golden files of their reference implementations, or a model against another
    #[command(after_help = help::VERIFY)]
    Verify(Verify),
    /// Print what completes command lines in a shell
    #[command(after_help = help::COMPLETIONS)]
    Completions(Completions),
    /// Print a manual page, or write all of them
    #[command(after_help = help::MAN)]
    Man(Man),
}

#[derive(Args)]
pub(crate) struct Classify {
    /// Network of the zoo, perhaps with .TAG of its weights, or a model file or its https address
    #[arg(short, long, value_name = "ID[.TAG]|FILE", default_value = "mobilenet_v2")]
    pub(crate) model: String,
    /// How many guesses to show
    #[arg(short = 'k', long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) top: u16,
    /// Threads, each with a photo at a time; auto: one a core
    #[arg(short = 'j', long, value_name = "N|auto", default_value = "auto", value_parser = threads)]
    pub(crate) threads: NonZeroUsize,
    /// Print one JSON object a photo
    #[arg(long)]
    pub(crate) json: bool,
    /// Print comma-separated values, a line a guess
    #[arg(long, conflicts_with = "json")]
    pub(crate) csv: bool,
    /// Photos, folders, patterns, https addresses, or - for standard input
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) picture_limits: PictureLimits,
    #[command(flatten)]
    pub(crate) graph_limits: GraphLimits,
}

#[derive(Args)]
pub(crate) struct List {
    /// Only this family, e.g. mobilenetv2, or families by a pattern, e.g. 'mobile*'
    #[arg(long, value_name = "FAMILY")]
    pub(crate) family: Option<String>,
    /// List the weights that can be had: from where, how accurate, and by how much of a hash they are checked
    #[arg(long)]
    pub(crate) weights: bool,
    /// Print one JSON object a network
    #[arg(long)]
    pub(crate) json: bool,
    /// Print comma-separated values, a line a network
    #[arg(long, conflicts_with = "json")]
    pub(crate) csv: bool,
}

#[derive(Args)]
pub(crate) struct Show {
    /// Network of the zoo or model file
    #[arg(value_name = "ID|FILE")]
    pub(crate) network: String,
    /// Height and width of the image, if not the network's own
    #[arg(long, value_name = "S", value_parser = side)]
    pub(crate) image: Option<usize>,
    /// Number of classes, if not the network's own
    #[arg(long, value_name = "N")]
    pub(crate) classes: Option<usize>,
    /// Channels of the image, if not the network's own
    #[arg(long, value_name = "N")]
    pub(crate) in_channels: Option<usize>,
    /// Show every layer
    #[arg(short, long)]
    pub(crate) layers: bool,
    /// Show what the runtime makes of it: every step with the nodes it computes and the rules that joined them
    #[arg(long)]
    pub(crate) plan: bool,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    /// Print the layers as comma-separated values
    #[arg(long, conflicts_with = "json", conflicts_with = "plan")]
    pub(crate) csv: bool,
    #[command(flatten)]
    pub(crate) graph_limits: GraphLimits,
}

#[derive(Args)]
pub(crate) struct Pull {
    /// Network, perhaps with .TAG of its weights
    #[arg(value_name = "ID[.TAG]")]
    pub(crate) network: String,
}

#[cfg(feature = "train")]
#[derive(Args)]
pub(crate) struct Eval {
    /// Network of the zoo, perhaps with .TAG of its weights, or a model file or its https address
    #[arg(short, long, value_name = "ID[.TAG]|FILE", default_value = "mobilenet_v2")]
    pub(crate) model: String,
    /// Threads, each with a photo at a time; auto: one a core
    #[arg(short = 'j', long, value_name = "N|auto", default_value = "auto", value_parser = threads)]
    pub(crate) threads: NonZeroUsize,
    /// Print the result as one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    /// Print comma-separated values: a line a class, then one for all, whose name is empty
    #[arg(long, conflicts_with = "json")]
    pub(crate) csv: bool,
    /// The labelled photos
    #[arg(value_name = "DATA")]
    pub(crate) folder: PathBuf,
    #[command(flatten)]
    pub(crate) data_limits: DataLimits,
    #[command(flatten)]
    pub(crate) graph_limits: GraphLimits,
}

#[cfg(feature = "train")]
#[derive(Args)]
pub(crate) struct Quantize {
    /// Network of the zoo, perhaps with .TAG of its weights, or a model file or its https address
    #[arg(value_name = "ID[.TAG]|FILE")]
    pub(crate) model: String,
    /// Photos to find ranges from; labels are used where there are some
    #[arg(long, value_name = "PHOTOS")]
    pub(crate) data: Option<PathBuf>,
    /// What to compute with
    #[arg(long, value_enum, default_value = "int8")]
    pub(crate) precision: QuantizePrecision,
    /// How many photos to look at
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) images: u32,
    /// Points of top-1 accuracy, or of agreement without labels, that may be lost on the photos, beyond what so many
    /// leave to chance, before layers stay in floating point
    #[arg(long, value_name = "POINTS", default_value_t = 0.5, value_parser = points, requires = "data")]
    pub(crate) drop: f64,
    /// The model file to write; by default ID-PRECISION.safetensors, or the FILE's name with its precision. The report is beside
    /// it, and ends in .html
    #[arg(short, long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Replace the file if it exists
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Threads, which change no result; auto: one a core
    #[arg(short = 'j', long, value_name = "N|auto", default_value = "auto", value_parser = threads)]
    pub(crate) threads: NonZeroUsize,
    /// Most memory for values of the photos, such as 8GB; fewer threads work where they would take more [default: 4GB]
    #[arg(long, value_name = "SIZE", value_parser = bytes, help_heading = "Limits")]
    pub(crate) memory: Option<u64>,
    /// Print the report as one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) data_limits: DataLimits,
    #[command(flatten)]
    pub(crate) graph_limits: GraphLimits,
}

/// What a model is quantised for.
#[cfg(feature = "train")]
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum QuantizePrecision {
    /// Bytes; what does not bear it stays in floating point
    Int8,
    /// Weights of half the bits
    Bf16,
}

#[derive(Args)]
pub(crate) struct Convert {
    /// The checkpoint or its https address, or an ID[.TAG] for published weights
    #[arg(value_name = "IN")]
    pub(crate) input: PathBuf,
    /// The model file to write: .safetensors, or .onnx
    #[arg(value_name = "OUT")]
    pub(crate) output: PathBuf,
    /// The checkpoint's network, if its tensors do not tell, perhaps with the .TAG of published weights
    #[arg(short, long, value_name = "ID[.TAG]")]
    pub(crate) network: Option<String>,
    /// Number of classes; where the checkpoint has another, its classifier is initialised again
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) classes: Option<u32>,
    /// Where in the checkpoint the weights are, e.g. model_ema or state_dict.teacher
    #[arg(long, value_name = "KEY")]
    pub(crate) weights_key: Option<String>,
    /// Names of the classes, if not those in the checkpoint: one a line, or JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) labels: Option<PathBuf>,
    /// Leave out a tensor, or with a dot at the end of NAME all whose names begin so; may be given several times
    #[arg(long, value_name = "NAME")]
    pub(crate) ignore: Vec<String>,
    #[command(flatten)]
    pub(crate) preparing: PreparingArgs,
    #[command(flatten)]
    pub(crate) onnx: OnnxArgs,
    /// Replace OUT if it exists
    #[arg(long)]
    pub(crate) overwrite: bool,
    #[command(flatten)]
    pub(crate) graph_limits: GraphLimits,
}

/// How OUT is written that ends in .onnx.
#[derive(Args)]
pub(crate) struct OnnxArgs {
    /// For OUT.onnx: version of the operator set [default: 17]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(13..=22))]
    pub(crate) opset: Option<u32>,
    /// For OUT.onnx: images of a batch, or dynamic: any number [default: dynamic]
    #[arg(long, value_name = "N|dynamic", value_parser = batch)]
    pub(crate) batch: Option<Batch>,
    /// For OUT.onnx: pixels from 0 to 255 go in, in rows of columns of red, green and blue, and are prepared by the file
    #[arg(long)]
    pub(crate) preprocess: bool,
    /// For OUT.onnx: a network that gives logits ends in a softmax
    #[arg(long)]
    pub(crate) softmax: bool,
    /// For OUT.onnx: numbers are of half precision, but for those that go in and come out
    #[arg(long)]
    pub(crate) fp16: bool,
}

#[derive(Args)]
pub(crate) struct Bench {
    /// Weights of networks of the zoo: made by a formula, or the published ones; --cold takes those
    #[arg(long, value_enum)]
    pub(crate) weights: Option<BenchWeights>,
    /// What to compute with, if not with what the file or network does; auto is the
    /// fastest of fp32, bf16 and int8 on this machine, measured once. A network of floats is quantised by generated images
    #[arg(
        long,
        value_enum,
        hide_possible_values = true,
        value_name = "fp32|int8|bf16|auto",
        conflicts_with = "cold"
    )]
    pub(crate) precision: Option<BenchPrecision>,
    /// Threads; auto: as many as pay
    #[arg(short = 'j', long, value_name = "N|auto", default_value = "auto", value_parser = bench_threads)]
    pub(crate) threads: BenchThreads,
    /// Images a run; without it 1, or 32 of a training step
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) batch: Option<u16>,
    /// Height and width of the image
    #[arg(long, value_name = "S", value_parser = side)]
    pub(crate) image: Option<usize>,
    /// Time for each network, without a quarter more to warm up
    #[arg(long, value_name = "S", default_value_t = 2.0, value_parser = seconds)]
    pub(crate) seconds: f64,
    /// Best instruction set to use, of those that --version and CYGNET_ISA have
    #[arg(long, value_name = "ISA")]
    pub(crate) isa: Option<Cap>,
    /// Use no kernel that trades rounding for speed
    #[arg(long)]
    pub(crate) strict: bool,
    /// Time every step, on one thread or as many as --threads says
    #[arg(long, conflicts_with = "cold")]
    pub(crate) layers: bool,
    #[cfg(feature = "train")]
    /// Time training steps: both passes over a batch, and SGD; --layers what each is made of
    #[arg(long, conflicts_with_all = ["cold", "first_logits", "precision", "strict", "weights"])]
    pub(crate) train: bool,
    /// Time from the start of a new process to the first logits, with the files in the system's cache
    #[arg(long, conflicts_with = "batch")]
    pub(crate) cold: bool,
    /// Load one model, compute logits once and say how long that took: what --cold starts
    #[arg(long, hide = true, conflicts_with_all = ["layers", "cold", "batch"])]
    pub(crate) first_logits: bool,
    /// Print one JSON object a network, or a step
    #[arg(long)]
    pub(crate) json: bool,
    /// Print comma-separated values, a line a network, or a step
    #[arg(long, conflicts_with = "json")]
    pub(crate) csv: bool,
    /// Networks of the zoo, perhaps with .TAG of their weights, or model files or their https addresses
    #[arg(required = true, value_name = "ID[.TAG]|FILE")]
    pub(crate) models: Vec<String>,
    #[command(flatten)]
    pub(crate) graph_limits: GraphLimits,
}

#[derive(Args)]
pub(crate) struct Kernels {
    /// Print one JSON object a kernel and instruction set
    #[arg(long)]
    pub(crate) json: bool,
    /// Print comma-separated values, a line a kernel and instruction set
    #[arg(long, conflicts_with = "json")]
    pub(crate) csv: bool,
}

/// Where a benchmark's weights come from.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum BenchWeights {
    /// Made by a formula from their names
    Random,
    /// The published ones
    Default,
}

/// What a benchmark computes with.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum BenchPrecision {
    /// Floats
    #[value(alias = "f32")]
    Fp32,
    /// Bytes; what does not bear it stays in floating point
    Int8,
    /// Floats of half the bits
    Bf16,
    /// What is fastest on this machine, measured once
    Auto,
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
pub(crate) struct Completions {
    /// The shell
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Args)]
pub(crate) struct Man {
    /// The command whose page is printed; without one the page of cygnet
    #[arg(value_name = "COMMAND", conflicts_with = "out")]
    pub(crate) page: Option<String>,
    /// Write the pages of all commands to this folder
    #[arg(short, long, value_name = "FOLDER")]
    pub(crate) out: Option<PathBuf>,
    /// Replace pages that are there already
    #[arg(long, requires = "out")]
    pub(crate) overwrite: bool,
}

#[derive(Args)]
pub(crate) struct Verify {
    /// Print one JSON object a file; with --against one a photo, then one for all
    #[arg(long)]
    pub(crate) json: bool,
    /// Print comma-separated values, a line a file; with --against a line a photo, then one for all, whose photo is empty
    #[arg(long, conflicts_with = "json")]
    pub(crate) csv: bool,
    /// What runs the networks; CYGNET_ISA caps the runtime's instruction set
    #[arg(long, value_enum, default_value_t = Executor::Runtime)]
    pub(crate) executor: Executor,
    /// Let the runtime use kernels that trade rounding for speed, as the other commands do
    #[arg(long)]
    pub(crate) fast: bool,
    /// Hold a model against this one, over photos: an ONNX file, a checkpoint, a model file or a network of the zoo
    #[cfg(feature = "train")]
    #[arg(long, value_name = "ID[.TAG]|FILE", conflicts_with_all = ["executor", "fast"])]
    pub(crate) against: Option<String>,
    /// A photo for --against, or a folder or pattern of some; several times for several
    #[cfg(feature = "train")]
    #[arg(long, value_name = "PATH", requires = "against")]
    pub(crate) photo: Vec<PathBuf>,
    /// A folder of photos for --against
    #[cfg(feature = "train")]
    #[arg(long, value_name = "DIR", requires = "against")]
    pub(crate) data: Option<PathBuf>,
    /// How many photos to look at, from all over those that there are
    #[cfg(feature = "train")]
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) images: u32,
    #[cfg(feature = "train")]
    #[command(flatten)]
    pub(crate) picture_limits: PictureLimits,
    /// Golden files; with --against one model
    #[arg(required = true, value_name = "FILE.json|MODEL")]
    pub(crate) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) graph_limits: GraphLimits,
}
