//! Every arithmetic loop of Cygnet. Functions see slices and sizes, never nodes of a graph.
//!
//! [`mod@reference`] is the clearest possible form of each operator and the oracle for every faster one. A [`Program`] is
//! a list of fast ones over one arena of channels-last [`Map`]s, compiled for each [`Level`] of instructions.

mod activation;
mod conv;
pub mod cpu;
mod depthwise;
pub mod gradient;
mod isa;
mod map;
mod memory;
mod pair;
mod plain;
pub mod pool;
pub mod probe;
mod program;
pub mod reference;
mod unroll;
mod window;
mod winograd;

pub use activation::Activation;
pub use conv::{Conv, ConvWeights, Part};
pub use depthwise::Depthwise;
pub use isa::Level;
pub use map::Map;
pub use memory::Store;
pub use pair::Pair;
pub use plain::{Binary, Plain, PlainCall, Pooling};
pub use program::{Arena, Call, Program};
pub use window::Window;
pub use winograd::Winograd;

/// Whether kernels are compiled with optimisation. Without it they compute the same numbers, many times slower.
pub const OPTIMISED: bool = !cfg!(rolled);
