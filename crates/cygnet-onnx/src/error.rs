//! Why a file does not become a graph.

use cygnet_graph::BuildError;
use thiserror::Error;

/// Why one operator cannot be held.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub(crate) struct Reason(String);

impl Reason {
    pub(crate) fn new(reason: impl Into<String>) -> Reason {
        Reason(reason.into())
    }
}

/// An operator of a file that no operator of a graph can hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The node's name, or that of its first output.
    pub node: String,
    /// Its operator.
    pub operator: String,
    /// Why not.
    pub reason: String,
}

impl Refusal {
    pub(crate) fn new(node: &str, operator: &str, reason: Reason) -> Refusal {
        Refusal { node: node.into(), operator: operator.into(), reason: reason.0 }
    }
}

/// Why a file does not become a graph.
#[derive(Debug, Error)]
pub enum ImportError {
    /// It cannot be read.
    #[error("cannot read: {0}")]
    Read(#[from] std::io::Error),
    /// It is no ONNX file, or only a part of one.
    #[error("damaged or of no known form: {0}")]
    Damaged(String),
    /// It is made of more parts than any network.
    #[error("the file has more than {limit} {what}, which no network has")]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// How much there may be.
        limit: usize,
    },
    /// What the file is as a whole cannot be held.
    #[error("{0}")]
    Unfit(String),
    /// Operators that cannot be held, all of them.
    #[error("{}", told(.0))]
    Refused(Vec<Refusal>),
    /// The graph would be larger than the limits, or is none.
    #[error(transparent)]
    Build(#[from] BuildError),
}

/// Most refusals that are told one by one.
const TOLD: usize = 20;

fn told(refusals: &[Refusal]) -> String {
    let line = |refusal: &Refusal| format!("\n  {} ({}): {}", refusal.node, refusal.operator, refusal.reason);
    let lines: String = refusals.iter().take(TOLD).map(line).collect();
    let rest = refusals.len().saturating_sub(TOLD);
    let more = if rest > 0 { format!("\n  and {rest} more") } else { String::new() };
    let operators = if refusals.len() == 1 { "operator" } else { "operators" };
    format!("{} {operators} cannot be held:{lines}{more}", refusals.len())
}
