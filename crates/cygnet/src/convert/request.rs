//! What is asked of a conversion, and what comes of it.

use cygnet_zoo::{Network, Registry};

use crate::Model;

/// What becomes of the auxiliary heads in a checkpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Heads {
    /// They are left out.
    #[default]
    Drop,
    /// They stay if the checkpoint has all their tensors.
    #[cfg_attr(not(feature = "train"), allow(dead_code, reason = "only training wants them"))]
    KeepIfThere,
}

/// What decides how weights become a model, besides the file that they are in.
pub(crate) struct Request<'a> {
    /// The networks that there are.
    pub(crate) registry: &'a Registry,
    /// The network that was named.
    pub(crate) named: Option<Network>,
    /// Number of classes, if not the file's.
    pub(crate) classes: Option<usize>,
    pub(crate) heads: Heads,
}

/// A model made of a checkpoint.
#[derive(Clone, Debug)]
pub struct Converted {
    /// The model.
    pub model: Model,
    /// What was decided that the checkpoint leaves open, a sentence each.
    pub notes: Vec<String>,
}
