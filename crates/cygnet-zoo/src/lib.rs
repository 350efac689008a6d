//! Every lightweight vision network, described once as a function that returns a graph.
//!
//! One file a family, each reading like its paper's table; [`blocks`] holds what several families share; one
//! [`registry`] table names everything that can be built and where its published weights are. Depends on
//! `cygnet-graph` only: no weights, no files, no network access.

pub mod blocks;
pub mod fbnet;
pub mod inverted_residual;
pub mod keymap;
pub mod mnasnet;
pub mod mobilenet_v2;
pub mod mobilenext;
pub mod proxylessnas;
pub mod registry;
mod spec;
pub mod spnasnet;

pub use keymap::KeyMap;
pub use registry::{Checkpoint, Family, Network, Row, find, networks};
pub use spec::{Built, Spec};
