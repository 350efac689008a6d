//! One set of weights for all networks of a space.
//!
//! There are no choice nodes and no masks: a path is an ordinary graph made of a gene, whose weights are parts of
//! those in a [`Store`]. A [`Supernet`] trains paths with engines that share threads and memory.

mod layout;
mod paths;
mod store;

pub use paths::{Path, Supernet, SupernetError};
pub use store::{Slices, Store};
