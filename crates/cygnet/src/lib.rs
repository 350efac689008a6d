//! Lightweight vision networks in Rust: the public face.

pub mod verify;

pub use {cygnet_graph as graph, cygnet_runtime as runtime, cygnet_zoo as zoo};
