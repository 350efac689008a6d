//! What can be wrong.

use cygnet_graph::BuildError;
use cygnet_weights::Misfit;
use thiserror::Error;

/// Why a network cannot be pruned.
#[derive(Debug, Error)]
pub enum PruneError {
    /// There is no smaller graph.
    #[error(transparent)]
    Graph(#[from] BuildError),
    /// Weights or gradients are not those of the graph.
    #[error(transparent)]
    Weights(#[from] Misfit),
    /// No channels can be cut.
    #[error("{graph}: has no channels that can be cut")]
    Nothing {
        /// The graph's name.
        graph: String,
    },
    /// The criterion asks for scales of batch norms, of which there are none.
    #[error("{graph}: has no batch norm with a scale; take another criterion")]
    NoScales {
        /// The graph's name.
        graph: String,
    },
    /// A cost is no number.
    #[error("{graph}: costs {cost}, which is no cost")]
    Cost {
        /// The graph's name.
        graph: String,
        /// What it was said to cost.
        cost: f64,
    },
}
