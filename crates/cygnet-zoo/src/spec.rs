//! What may be chosen of every network: image size, channels, classes, width, auxiliary heads.

use cygnet_graph::{BuildError, Graph, Scope, Value};

/// A graph, or the first thing in it that did not fit.
pub type Built = Result<Graph, BuildError>;

/// The choices a network function reads.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// The graph's name.
    pub name: String,
    /// `[channels, height, width]` of the image.
    pub image: [usize; 3],
    /// Number of classes.
    pub classes: usize,
    /// Width multiplier.
    pub width: f64,
    /// Whether to build the auxiliary heads, which only training needs, where the reference implementation has some.
    pub auxiliary: bool,
}

impl Spec {
    /// Three channels of 224 × 224, 1000 classes, width 1, no auxiliary heads.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Spec {
        Spec { name: name.into(), image: [3, 224, 224], classes: 1000, width: 1.0, auxiliary: false }
    }

    /// Builds the network that `network` describes.
    ///
    /// # Errors
    /// The first thing that did not fit, with its place.
    pub fn build(&self, network: impl for<'g> FnOnce(&Scope<'g>, Value<'g>) -> Value<'g>) -> Built {
        Graph::build(self.name.clone(), self.image, network)
    }

    /// Channels multiplied by the width and rounded as [`make_divisible`](crate::blocks::make_divisible) does.
    #[must_use]
    pub fn scaled(&self, channels: usize) -> usize {
        crate::blocks::make_divisible(channels as f64 * self.width, 8)
    }

    /// Channels multiplied by the width, without the fraction.
    #[must_use]
    pub fn truncated(&self, channels: usize) -> usize {
        (channels as f64 * self.width) as usize
    }
}
