//! How a file is written, and why it is not.

use cygnet_graph::BuildError;
use cygnet_weights::{BadQuantization, Misfit, Quantization};
use thiserror::Error;

/// Oldest and newest operator set that is written.
pub(super) const OPSETS: std::ops::RangeInclusive<i64> = 13..=22;

/// How pixels become the network's input: `(pixel * scale - mean) / std`.
#[derive(Clone, Debug, PartialEq)]
pub struct Preparation {
    /// Factor on a pixel of 0 to 255.
    pub scale: f32,
    /// Subtracted after that, one a channel.
    pub mean: Vec<f32>,
    /// Divisor after that, one a channel.
    pub std: Vec<f32>,
    /// Whether the network's first channel is the last of the pixels': blue first.
    pub is_reversed: bool,
}

/// How a file is written.
#[derive(Clone, Debug, PartialEq)]
pub struct ExportOptions {
    /// Version of the operator set, 13 to 22.
    pub opset: i64,
    /// Images of a batch; none: any number.
    pub batch: Option<usize>,
    /// With it pixels, whole numbers in rows of columns of channels, go in and the file prepares them.
    pub preparation: Option<Preparation>,
    /// Whether a network that gives logits ends in a softmax.
    pub softmax: bool,
    /// Whether numbers are of half precision, but for those that go in and come out.
    pub half: bool,
    /// Which values and weights are integers. Values on grids are then rounded to them by pairs of `QuantizeLinear` and
    /// `DequantizeLinear`, and integers are stored as they are.
    pub quantization: Option<Quantization>,
    /// Names and texts that go with it.
    pub metadata: Vec<(String, String)>,
}

impl Default for ExportOptions {
    fn default() -> ExportOptions {
        ExportOptions {
            opset: 17,
            batch: None,
            preparation: None,
            softmax: false,
            half: false,
            quantization: None,
            metadata: Vec::new(),
        }
    }
}

/// Why a graph is not written.
#[derive(Debug, Error)]
pub enum ExportError {
    /// No such operator set is written.
    #[error("operator set {opset}: {} to {} are written", OPSETS.start(), OPSETS.end())]
    Opset {
        /// Its version.
        opset: i64,
    },
    /// What standard operators cannot say.
    #[error("{place}: {reason}")]
    Unsayable {
        /// The layer, or the one before it.
        place: String,
        /// What it is.
        reason: String,
    },
    /// The graph has outputs that only training reads.
    #[error("the graph is for training: leave out its auxiliary outputs")]
    Training,
    /// The weights are not the graph's.
    #[error(transparent)]
    Weights(#[from] Misfit),
    /// The record of quantisation is not one of the graph and its weights.
    #[error(transparent)]
    Quantization(#[from] BadQuantization),
    /// Whole numbers are not written with half precision.
    #[error("computes with whole numbers, between which there is no half precision: leave out --fp16")]
    HalfIntegers,
    /// The graph cannot be what is asked for.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The file would be larger than the form allows.
    #[error("the file would be larger than 2 GB, which this form cannot be")]
    TooLarge,
}
