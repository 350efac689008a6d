//! What the layers of a network compute with.

use std::collections::BTreeMap;

use cygnet_graph::{Graph, Node, NodeId, Role};
use cygnet_weights::{Dtype, Quantization, Tensor, WeightSet};
use serde::Serialize;

use crate::Model;
use crate::bench::Subject;

/// Numbers of layers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LayerCounts {
    /// That compute with bytes.
    pub int8: usize,
    /// Whose weights are bf16.
    pub bf16: usize,
    /// That compute in f32, perhaps between values that are rounded to bytes.
    pub f32: usize,
}

impl LayerCounts {
    /// All layers.
    #[must_use]
    pub fn all(&self) -> usize {
        self.int8 + self.bf16 + self.f32
    }

    /// How many layers of a network of whole numbers compute with them, and with what the others do: `int8, 12 of 63 layers,
    /// the others f32`, or `f32, between values of bytes`; none where all do.
    #[must_use]
    pub fn mixture(&self) -> Option<String> {
        let others = match (self.bf16, self.f32) {
            (0, 0) => return None,
            (0, _) if self.int8 == 0 => return Some("f32, between values of bytes".into()),
            (0, _) => "f32".into(),
            (_, 0) => "bf16".into(),
            (bf16, f32) => format!("bf16 ({bf16}) and f32 ({f32})"),
        };
        Some(format!("int8, {} of {} layers, the others {others}", self.int8, self.all()))
    }
}

impl Model {
    /// Layers by what they compute with.
    #[must_use]
    pub fn layer_counts(&self) -> LayerCounts {
        counts(&types(&self.graph, &self.weights, self.quantization.as_ref()))
    }
}

impl Subject {
    /// Layers by what they compute with.
    #[must_use]
    pub fn layer_counts(&self) -> LayerCounts {
        counts(&types(&self.graph, &self.weights, self.quantization.as_ref()))
    }
}

/// What layers compute with, by node: `int8`, `bf16` or `f32`.
pub(crate) fn types(
    graph: &Graph,
    weights: &WeightSet,
    record: Option<&Quantization>,
) -> BTreeMap<NodeId, &'static str> {
    let grids = record.map(|record| record.grids(graph));
    let reads_bytes = |node: &Node| grids.as_ref().is_some_and(|grids| grids[node.inputs[0].0].is_some());
    let of = |(id, node): (NodeId, &Node)| {
        let name = match weights.of_role(graph, id, Role::Weight).map(Tensor::dtype) {
            Some(Dtype::I8) if reads_bytes(node) => "int8",
            Some(Dtype::BF16) => "bf16",
            _ => "f32",
        };
        (id, name)
    };
    graph.iter().filter(|(_, node)| node.op.facts().is_weighted).map(of).collect()
}

/// Layers of each type.
pub(crate) fn counts(types: &BTreeMap<NodeId, &'static str>) -> LayerCounts {
    let count = |name: &str| types.values().filter(|of| **of == name).count();
    LayerCounts { int8: count("int8"), bf16: count("bf16"), f32: count("f32") }
}
