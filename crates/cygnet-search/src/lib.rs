//! Searches for networks: what may be chosen, and who chooses.
//!
//! A [`Space`] is a list of decisions; a choice for each makes a [`Gene`](cygnet_zoo::Gene), whose network is a graph as
//! any other. Knows no network, decodes no pictures and has no arithmetic of layers.

pub mod space;

pub use space::{Choices, Decision, Space, SpaceError};
