//! A call over bytes, as one kind of a program's calls.

use std::ops::Range;

use cygnet_cpu::ByteLevel;

use super::conv::ByteConv;
use super::depthwise::ByteDepthwise;
use super::element::{ByteGate, ByteScale, ByteTable};
use super::pool::{ByteMax, ByteMean};
use super::quantise::Quantise;
use crate::map::Map;

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

/// What the call of each kind answers.
macro_rules! of_each {
    ($self:ident, $call:ident => $answer:expr) => {
        match $self {
            ByteCall::Conv($call) => $answer,
            ByteCall::Depthwise($call) => $answer,
            ByteCall::Scale($call) => $answer,
            ByteCall::Table($call) => $answer,
            ByteCall::Gate($call) => $answer,
            ByteCall::Max($call) => $answer,
            ByteCall::Mean($call) => $answer,
            ByteCall::Quantise($call) => $answer,
        }
    };
}

impl ByteCall {
    pub(crate) fn level(&self) -> ByteLevel {
        of_each!(self, call => call.level())
    }

    pub(crate) fn reads(&self) -> Vec<Map> {
        of_each!(self, call => call.reads())
    }

    pub(crate) fn writes(&self) -> Map {
        of_each!(self, call => call.writes())
    }

    pub(crate) fn weight_bytes(&self) -> usize {
        of_each!(self, call => call.weight_bytes())
    }

    pub(crate) fn macs(&self) -> u64 {
        match self {
            ByteCall::Conv(call) => call.macs(),
            ByteCall::Depthwise(call) => call.macs(),
            _ => 0,
        }
    }

    pub(crate) fn units(&self) -> usize {
        of_each!(self, call => call.units())
    }

    /// Bytes of a thread's own memory that it works in.
    pub(crate) fn scratch(&self) -> usize {
        match self {
            ByteCall::Depthwise(call) => call.scratch(),
            _ => 0,
        }
    }

    /// # Safety
    /// As [`ByteConv::run`]; `scratch` must be the thread's own, begin where any element may, and hold [`ByteCall::scratch`]
    /// bytes.
    pub(crate) unsafe fn run(&self, arena: *mut u8, scratch: *mut u8, units: Range<usize>) {
        // SAFETY: the caller's promise.
        unsafe {
            match self {
                ByteCall::Depthwise(call) => call.run(arena, scratch, units),
                ByteCall::Conv(call) => call.run(arena, units),
                ByteCall::Scale(call) => call.run(arena, units),
                ByteCall::Table(call) => call.run(arena, units),
                ByteCall::Gate(call) => call.run(arena, units),
                ByteCall::Max(call) => call.run(arena, units),
                ByteCall::Mean(call) => call.run(arena, units),
                ByteCall::Quantise(call) => call.run(arena, units),
            }
        }
    }
}
