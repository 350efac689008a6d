//! Named tensors: safetensors and PyTorch files read as data, and the Cygnet model file.
//!
//! [`open`] reads a checkpoint of any known format, [`ModelFile`] a network with its graph and labels. Nothing that is
//! read is ever executed, and no claim of a file about its own size is believed before memory is taken.

mod archive;
mod checkpoint;
mod class_names;
mod cut;
mod deep_compression;
mod error;
mod file;
mod json;
mod locating;
mod matching;
mod model_file;
mod pickle;
mod pruned;
mod pth;
mod quantization;
pub mod safetensors;
mod shards;
mod state;
mod tensor;
mod weight_set;

pub use checkpoint::{Checkpoint, Format, open, open_key, parse, parse_key};
pub use class_names::read_class_names;
pub use error::WeightsError;
pub use file::FileBytes;
pub use locating::{Located, locate};
pub use matching::{Head, Mismatch, Naming, Weights, fit, naming_by_execution, trimmed};
pub use model_file::{
    Accuracy, MODEL_FORMAT, ModelFile, ModelRecord, Origin, QUANTIZED_FORMAT, RUN_KEY, TrainingRecord,
    is_model_file, top5_tells,
};
pub use quantization::{BadQuantization, Grid, Quantization, SCALES, WeightGrid};
pub use state::{AVERAGE_KEYS, STATE_KEYS};
pub use tensor::{Dtype, Tensor, Tensors};
pub use weight_set::{Misfit, WeightSet};
