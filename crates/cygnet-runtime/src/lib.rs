//! Runs graphs. No training, no I/O.
//!
//! A [`Plan`] is a graph made ready: fused, laid out in one arena, with packed weights; a [`Session`] runs it.
//! [`Reference`] interprets a graph node by node, in f32 or f64: the oracle for every faster executor; [`QuantizedReference`] does so
//! for networks that compute with whole numbers, of which [`integers`] says what they mean and [`chains()`] what is computed together.
#![warn(clippy::wildcard_enum_match_arm)]

mod activation;
mod chains;
mod halves;
pub mod integers;
mod kernels;
mod plan;
mod reference;
mod session;
mod threads;

pub use activation::kernel_activation;
pub use chains::{Chain, Joined, chains};
pub use cygnet_kernels::{
    ByteLevel, Cap, Element, Level, OPTIMISED, cpu,
    pool::Pool,
    probe::{peak_gflops, peak_gops_of_bytes},
    reference::softmax,
};
pub use halves::{halved_once_read, halved_where_exact, reads_once};
pub use kernels::{KernelKind, KernelRow, KernelSet, kernels};
pub use plan::{
    Outline, Plan, PlanBuffer, PlanFeature, PlanOptions, PlanOutput, PlanStep, Rule, Sliding, StepKernel,
    StepKey, StepNode, StepValue,
};
pub use reference::{QuantizedReference, Reference, RunError};
pub use session::{Session, team};
pub use threads::{at_once, room};
