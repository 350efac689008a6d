//! What all arithmetic stands on: instruction sets and what is computed in their registers, threads, memory, and facts
//! about the machine. No kernel, no feature map, no node of a graph.
//!
//! A kernel is a struct of another crate that implements [`Kernel`], generic over [`Isa`]; [`Level::run`] compiles its
//! body for every set, in the crate that calls it.

mod activation;
mod isa;
pub mod machine;
mod memory;
pub mod pool;
pub mod probe;
mod size;
pub mod tuning;
mod unroll;

pub use activation::{Activation, SATURATION};
pub use isa::{
    ByteKernel, ByteLevel, Bytes, Cap, Floats, Isa, Kernel, Level, in_order, opaque, packed, prefetch,
};
pub use memory::{Memory, Number, SCRATCH, Store, Weights};
pub use size::{FAR, adaptive_window, product};
