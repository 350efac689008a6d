//! Searches for networks: what may be chosen, and who chooses.
//!
//! A [`Space`] is a list of decisions; a choice for each makes a [`Gene`](cygnet_zoo::Gene), whose network is a graph
//! as any other. A [`Supernet`](supernet::Supernet) trains all networks of a space with shared weights, one path at a
//! time. A [`Controller`](controller::Controller) chooses, and knows choices and scores alone. The room knows no
//! network, decodes no pictures and has no arithmetic of layers.
#![warn(clippy::wildcard_enum_match_arm)]

pub mod controller;
pub mod space;
pub mod supernet;

pub use space::{Choices, Decision, Space, SpaceError};
