//! Where numbers lie on the grids that they are rounded to.

use std::collections::BTreeSet;
use std::ops::Range;

use cygnet_graph::{Graph, NodeId, Role};
use cygnet_runtime::integers::inverse;

use crate::calibrate::Quantized;
use crate::places::Places;
use crate::survey::Survey;

/// Where the inputs and the weights of a layer lie on their grids, in shares of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Distribution {
    /// The layer's path.
    pub path: String,
    /// The byte that stands for 0.
    pub zero: u8,
    /// Inputs before they are rounded, by the byte that they would be if bytes did not end: shares of
    /// [`Distribution::STEPS`] bytes each over [`Distribution::INPUTS`], those beyond at the ends.
    pub inputs: Vec<f64>,
    /// Integer weights, likewise over [`Distribution::WEIGHTS`].
    pub weights: Vec<f64>,
}

impl Distribution {
    /// Steps of a grid that are counted together.
    pub const STEPS: i32 = 4;
    /// Bytes that inputs would be; below 0 and above 255 they are cut off.
    pub const INPUTS: Range<i32> = -64..320;
    /// Integers that weights may be.
    pub const WEIGHTS: Range<i32> = -128..128;

    /// That of a layer of integers.
    pub(crate) fn of(
        layer: NodeId,
        quantized: &Quantized,
        places: &Places,
        survey: &Survey,
    ) -> Option<Distribution> {
        let graph = &quantized.network.graph;
        let node = graph.node(layer);
        let input = *node.inputs.first()?;
        let weights = quantized.weights.of_role(graph, layer, Role::Weight)?;
        let mut bytes = Vec::new();
        for value in sources(graph, places, input) {
            let grid = quantized.grids[value.0].as_ref()?;
            for (channel, halves) in survey.samples[value.0].iter().enumerate() {
                let inverse = inverse(grid.scale(channel));
                let numbers = halves.iter().flat_map(|half| &half.sorted);
                bytes.extend(numbers.map(|&x| f64::from(x * inverse) + f64::from(grid.zero)));
            }
        }
        Some(Distribution {
            path: node.path.clone(),
            zero: quantized.grids[input.0].as_ref()?.zero,
            inputs: shares(bytes.into_iter(), Distribution::INPUTS),
            weights: shares(
                weights.bytes().iter().map(|byte| byte.cast_signed().into()),
                Distribution::WEIGHTS,
            ),
        })
    }
}

/// The values with a grid of their own that a value is made of by views, each once.
fn sources(graph: &Graph, places: &Places, value: NodeId) -> BTreeSet<NodeId> {
    let (mut found, mut seen, mut open) = (BTreeSet::new(), BTreeSet::new(), vec![value]);
    while let Some(value) = open.pop() {
        if places.has_grid[value.0] {
            found.insert(value);
        } else if seen.insert(value) {
            open.extend(&graph.node(value).inputs);
        }
    }
    found
}

/// Shares of numbers in each of the bins of a range.
fn shares(numbers: impl Iterator<Item = f64>, range: Range<i32>) -> Vec<f64> {
    let bins = ((range.end - range.start) / Distribution::STEPS).max(1);
    let mut counts = vec![0u64; bins as usize];
    let mut all = 0;
    for number in numbers {
        let bin = ((number.round() - f64::from(range.start)) / f64::from(Distribution::STEPS)).floor();
        counts[bin.clamp(0.0, f64::from(bins - 1)) as usize] += 1;
        all += 1;
    }
    counts.iter().map(|&count| count as f64 / f64::from(all.max(1))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_beyond_a_range_are_counted_at_its_ends() {
        let found = shares([-900.0, -8.0, -4.6, -3.9, 0.2, 3.4, 4.0, 700.0].into_iter(), -8..8);
        assert_eq!(found, [3.0 / 8.0, 1.0 / 8.0, 2.0 / 8.0, 2.0 / 8.0]);
        assert_eq!(shares(std::iter::empty(), -8..8), [0.0; 4]);
    }
}
