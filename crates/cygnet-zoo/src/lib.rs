//! Every lightweight vision network, described once as a function that returns a graph.
//!
//! One file a family, each reading like its paper's table; [`blocks`] holds what several families share; one
//! [`registry`] table names everything that can be built and where its published weights are. Depends on
//! `cygnet-graph` only: no weights, no files, no network access.

pub mod blocks;
pub mod imagenet;
pub mod keymap;
pub mod mobilenet_v1;
pub mod mobilenet_v2;
pub mod mobilenet_v2_flavours;
pub mod mobilenet_v3;
pub mod mobilenet_v3_flavours;
pub mod registry;
mod spec;

pub use keymap::KeyMap;
pub use registry::{Checkpoint, Family, Network, Row, find, networks};
pub use spec::{Built, Spec};
