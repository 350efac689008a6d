//! A call over bytes, as one kind of a program's calls.

use super::conv::ByteConv;
use super::depthwise::ByteDepthwise;
use super::element::{ByteGate, ByteScale, ByteTable};
use super::pool::{ByteMax, ByteMean};
use super::quantise::Quantise;
use super::work::ByteWork;

/// A call that reads or writes maps of bytes.
#[derive(Clone, Debug)]
pub enum ByteCall {
    /// A dense convolution, a 1×1 convolution or a linear layer.
    Conv(ByteConv),
    /// A depthwise convolution.
    Depthwise(ByteDepthwise),
    /// A sum, another grid, or floats.
    Scale(ByteScale),
    /// A function of bytes, or a copy.
    Table(ByteTable),
    /// A product with one float a channel.
    Gate(ByteGate),
    /// Maximum pooling.
    Max(ByteMax),
    /// Means.
    Mean(ByteMean),
    /// Floats as bytes.
    Quantise(Quantise),
}

impl ByteCall {
    /// What a program asks, of whichever kind it is.
    pub(crate) fn work(&self) -> &dyn ByteWork {
        match self {
            ByteCall::Conv(call) => call,
            ByteCall::Depthwise(call) => call,
            ByteCall::Scale(call) => call,
            ByteCall::Table(call) => call,
            ByteCall::Gate(call) => call,
            ByteCall::Max(call) => call,
            ByteCall::Mean(call) => call,
            ByteCall::Quantise(call) => call,
        }
    }
}
