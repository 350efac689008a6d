//! The graph a network is described as, and everything that can be read off it without weights.
//!
//! A network is a plain function that returns a [`Graph`]; shapes, parameter names, costs, plans, gradients and
//! exports are folds over its nodes. This crate holds no weights, does no arithmetic on tensors and no I/O.
//!
//! Read in this order: [`Op`] (what a node can be) and its [`Facts`], [`Graph`], [`Scope`] and [`Value`] (how networks are written),
//! [`shape`] (the rules), [`Cost`].
//!
//! ```
//! use cygnet_graph::{Conv, Graph};
//!
//! let graph = Graph::build("tiny", [3, 32, 32], |net, image| {
//!     let x = net.at("conv").conv(image, Conv::new(8, 3).stride(2));
//!     let x = net.at("bn").batch_norm(x).relu();
//!     net.at("fc").linear(x.global_avg_pool(), 10)
//! })?;
//! assert_eq!(graph.cost().params, 8 * 27 + 8 + 8 + 8 * 10 + 10);
//! # Ok::<(), cygnet_graph::BuildError>(())
//! ```
#![warn(clippy::wildcard_enum_match_arm)]

mod activation;
mod blocks;
mod build;
mod channels;
mod cost;
mod edit;
mod error;
mod facts;
mod graph;
mod json;
mod limits;
mod op;
mod params;
mod readers;
mod rebuild;
pub mod shape;
mod text;

pub use activation::Activation;
pub use blocks::Block;
pub use build::{Numbered, Scope, Value};
pub use channels::{Channels, Cut, Selection};
pub use cost::Cost;
pub use error::{BuildError, Problem};
pub use facts::{Facts, Inputs};
pub use graph::{Auxiliary, Feature, Graph, Node, NodeId, Output, Param, Role};
pub use limits::Limits;
pub use op::{BatchNorm, Conv, LocalResponseNorm, Op, Padding, Pool, PoolKind};
pub use rebuild::{Change, IdMap};
