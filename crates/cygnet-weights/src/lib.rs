//! Named tensors: safetensors and PyTorch files read as data, the Cygnet model file, the cache and its
//! downloads.
//!
//! [`open`] reads a checkpoint of any known format, [`ModelFile`] a network with its graph and labels,
//! [`Cache::fetch`] brings published files to this machine. Nothing that is read is ever executed, and no
//! claim of a file about its own size is believed before memory is taken.
//!
//! The feature `fetch`, on by default, has the downloads; without it [`Cache`] serves what is in its folder or in a mirror
//! that is a folder, and says where a missing file belongs.

mod archive;
mod checkpoint;
mod class_names;
mod deep_compression;
mod error;
mod fetch;
mod json;
mod locating;
mod matching;
mod model_file;
mod owned;
mod pickle;
mod pruned;
mod pth;
pub mod safetensors;
mod shards;
mod state;
mod tensor;
mod whole;

pub use checkpoint::{Checkpoint, Format, open, open_key, parse};
pub use class_names::read_class_names;
pub use error::WeightsError;
pub use fetch::{Artifact, AttemptError, Cache, FetchError, Progress, Source, is_url, sha256_of, shown_url};
pub use locating::{Located, locate};
pub use matching::{FileWeights, Head, Mismatch, Naming, Weights, fit, naming_by_execution, trimmed};
pub use model_file::{
    Accuracy, MODEL_FORMAT, ModelFile, ModelRecord, Origin, RUN_KEY, TrainingRecord, is_model_file,
    top5_tells,
};
pub use state::{AVERAGE_KEYS, STATE_KEYS};
pub use tensor::{Dtype, Numbers, Tensor, Tensors};
pub use whole::write_whole;
