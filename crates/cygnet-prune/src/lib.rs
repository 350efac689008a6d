//! Structured pruning: how important channels are, which are cut for a budget, and NetAdapt.
//!
//! What belongs together, and the smaller graph, are [`Channels`](cygnet_graph::Channels)' to say; weights are cut by
//! [`WeightSet::cut`](cygnet_weights::WeightSet::cut). What a network costs is asked of the caller, who may predict its time, count or
//! measure. No files, pictures, kernels or clocks.
#![warn(clippy::wildcard_enum_match_arm)]

mod choose;
mod error;
mod importance;
pub mod netadapt;
mod width;

pub use choose::{Budget, Ranking, by_cost, by_rank};
pub use error::PruneError;
pub use importance::{Criterion, first_order, importance};
pub use width::{Width, widths};
