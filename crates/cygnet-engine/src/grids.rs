//! Values that are rounded in training as they will be where a network computes with whole numbers.

use cygnet_graph::Graph;

use crate::EngineError;

/// Which values of a graph are rounded, in both passes and in evaluation, to the numbers that bytes stand for:
/// `(q - zero) * scale` with `q = clamp(round(x / scale) + zero, 0, 255)`, ties to even. Every reader of the value sees the
/// rounded one; nothing else of the graph changes.
///
/// Scales are parameters that follow those of the graph. Their gradients, and the value's, are those of Esser et al. 2020
/// ("LSQ"): rounding is passed straight through between the ends; a scale's gradient is divided by the root of 255 times the
/// numbers of an image that it is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grids {
    /// For each node, the grid of its value if it has one; empty: none has.
    pub values: Vec<Option<ValueGrid>>,
    /// Lengths of the lists of scales: 1, or one number a channel. Several values may have one list.
    pub scales: Vec<usize>,
}

/// The grid of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValueGrid {
    /// The byte that stands for 0.
    pub zero: u8,
    /// Which list of scales is its own.
    pub scales: usize,
}

impl Grids {
    /// The grid of a node's value.
    pub(crate) fn of(&self, node: usize) -> Option<ValueGrid> {
        self.values.get(node).copied().flatten()
    }

    pub(crate) fn check(&self, graph: &Graph) -> Result<(), EngineError> {
        let setting = |value: String, wanted| Err(EngineError::Setting { what: "the grids", value, wanted });
        if !self.values.is_empty() && self.values.len() != graph.nodes().len() {
            return setting(format!("a list of {}", self.values.len()), "empty or one for each node");
        }
        for (node, grid) in graph.nodes().iter().zip(&self.values) {
            let Some(grid) = grid else { continue };
            if node.op.facts().is_view {
                let value = format!("one for {} {}", node.op.name(), node.path);
                return setting(value, "for what is computed; views have those of what they show");
            }
            match self.scales.get(grid.scales) {
                Some(&scales) if scales == 1 || scales == node.shape[0] => {}
                Some(scales) => {
                    let value = format!("of {scales} scales for {} channels", node.shape[0]);
                    return setting(value, "of one scale, or one for each channel");
                }
                None => {
                    return setting(format!("of list {} of scales", grid.scales), "of a list that there is");
                }
            }
        }
        Ok(())
    }
}
