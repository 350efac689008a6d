//! The arithmetic of inference. Functions see slices and sizes, never nodes of a graph.
//!
//! [`mod@reference`] is the clearest possible form of each operator and the oracle for every faster one. A [`Program`] is
//! a list of fast ones over one arena of channels-last [`Map`]s, compiled for each [`Level`] of instructions.

mod bf16;
mod conv;
mod depthwise;
mod int8;
mod map;
mod pair;
mod plain;
mod program;
pub mod reference;
mod window;
mod winograd;

pub use bf16::Bf16Linear;
pub use conv::{Conv, ConvWeights, Part};
pub use cygnet_cpu::{Activation, ByteLevel, Cap, Level, Store, machine as cpu, pool, probe, tuning};
pub use depthwise::Depthwise;
pub use int8::{
    ByteCall, ByteConv, ByteDepthwise, ByteGate, ByteMax, ByteMean, ByteScale, ByteTable, ByteWeights,
    Ending, Mean, Pixels, Quantise, Table, Term, ToBytes,
};
pub use map::{Element, Map};
pub use pair::Pair;
pub use plain::{Binary, Plain, PlainCall, Pooling};
pub use program::{Arena, Call, Program};
pub use window::Window;
pub use winograd::Winograd;

#[cfg(rolled)]
use cygnet_cpu::rolled as unroll;
#[cfg(not(rolled))]
use cygnet_cpu::unroll;

/// Whether kernels are compiled with optimisation. Without it they compute the same numbers, many times slower.
pub const OPTIMISED: bool = !cfg!(rolled);
