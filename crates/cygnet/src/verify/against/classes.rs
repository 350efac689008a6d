//! The classes that two models share: TensorFlow's of ImageNet have one for the background before all others.

use cygnet_graph::{Graph, NodeId};

use crate::counted::counted;
use crate::{Error, Model};

/// Labels of a class for what is none of the others.
const BACKGROUND: [&str; 3] = ["background", "__background__", "dummy"];

/// The classes of ImageNet, with one for the background.
const IMAGENET_WITH_BACKGROUND: usize = 1001;

/// Which outputs of two models are of the same classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shared {
    /// The first output of each that the other has too: all from there on.
    pub(super) first: [usize; 2],
}

impl Shared {
    /// Compares the classes of models that messages call by `names`.
    ///
    /// # Errors
    /// If their numbers differ by more than a class for the background.
    pub(super) fn of(models: [&Model; 2], names: [&str; 2]) -> Result<Shared, Error> {
        let counts = models.map(|model| model.graph.classes());
        let first = match counts {
            [a, b] if a == b => [0, 0],
            [a, b] if a == b + 1 && begins_with_background(models[0], models[1]) => [1, 0],
            [a, b] if b == a + 1 && begins_with_background(models[1], models[0]) => [0, 1],
            [ours, theirs] => {
                let [theirs, ours] = [counted(theirs, "class"), counted(ours, "class")];
                let reason =
                    format!("has {theirs}, {} has {ours}; give a model of the same classes", names[0]);
                return Err(Error::Record { path: names[1].into(), reason });
            }
        };
        Ok(Shared { first })
    }

    /// The outputs that both have, of those of one of the two.
    pub(super) fn cut(self, side: usize, outputs: &[f32]) -> &[f32] {
        &outputs[self.first[side].min(outputs.len())..]
    }

    /// As [`Shared::cut`], of the value of any node: only the classifier's and those made of it are of classes.
    pub(super) fn cut_value<'a>(self, side: usize, graph: &Graph, id: NodeId, value: &'a [f32]) -> &'a [f32] {
        let is_of_classes = graph.classifier().is_some_and(|classifier| id >= classifier);
        if self.first[side] > 0 && is_of_classes && value.len() == graph.classes() {
            return self.cut(side, value);
        }
        value
    }
}

/// Whether the first class of `model` is the background, and all others are those of `other`.
fn begins_with_background(model: &Model, other: &Model) -> bool {
    match model.labels.split_first() {
        Some((first, rest)) => {
            BACKGROUND.contains(&first.to_lowercase().as_str())
                || (!other.labels.is_empty() && rest == other.labels)
        }
        None => model.graph.classes() == IMAGENET_WITH_BACKGROUND,
    }
}
