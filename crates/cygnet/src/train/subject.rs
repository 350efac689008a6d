//! The network that a run trains.

use std::fmt::{self, Debug, Formatter};
use std::sync::Arc;

use cygnet_graph::{BuildError, Graph};

/// The network that is to learn.
#[derive(Clone)]
pub(super) enum Subject {
    /// One of the zoo; none: the one that is taken where none is named.
    Zoo(Option<String>),
    /// One's own, for a number of classes.
    Own { id: String, build: Arc<dyn Fn(usize) -> Result<Graph, BuildError> + Send + Sync> },
}

impl Debug for Subject {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Zoo(name) => f.debug_tuple("Zoo").field(name).finish(),
            Subject::Own { id, .. } => f.debug_struct("Own").field("id", id).finish_non_exhaustive(),
        }
    }
}

/// The network of the zoo that is trained where none is named.
pub(super) const USUAL: &str = "mobilenet_v2";
