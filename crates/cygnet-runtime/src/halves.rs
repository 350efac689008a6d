//! Layers in bf16 among those of whole numbers.

use cygnet_graph::{Graph, NodeId, Op, Param, Role};
use cygnet_weights::{Dtype, Tensor, WeightSet};

use crate::reference::map;

/// Whether a layer reads its whole input once: a linear one, or a convolution that makes a single pixel of all there are. Its
/// time is that of reading its weights, which are half as many bytes in bf16.
#[must_use]
pub fn reads_once(graph: &Graph, id: NodeId) -> bool {
    let node = graph.node(id);
    if let Op::Conv(conv) = &node.op {
        let [_, height, width] = map(&graph.node(node.inputs[0]).shape);
        let [_, rows, columns] = map(&node.shape);
        return conv.groups == 1 && conv.kernel == [height, width] && [rows, columns] == [1, 1];
    }
    matches!(node.op, Op::Linear { .. })
}

/// The weights with those in bf16 that layers in floating point [read once](reads_once), where `is_wanted` says so of a weight
/// and what it becomes.
#[must_use]
pub fn halved_once_read(
    graph: &Graph,
    mut weights: WeightSet,
    is_wanted: impl Fn(&Tensor, &Tensor) -> bool,
) -> WeightSet {
    let is_weight = |param: &Param| param.role == Role::Weight && reads_once(graph, param.node);
    for param in graph.params().into_iter().filter(is_weight) {
        let Some(whole) = weights.get(&param.name).filter(|tensor| tensor.dtype() == Dtype::F32) else {
            continue;
        };
        let half = whole.as_bf16();
        if is_wanted(whole, &half) {
            weights.insert(param.name, half);
        }
    }
    weights
}

/// Whether a layer of a network with types of its own is computed in bf16: it [reads its input once](reads_once), its weights are
/// bf16, and nothing that reads it is joined to it that bf16 has no place for.
pub(crate) fn is_bf16(graph: &Graph, weights: &WeightSet, id: NodeId) -> bool {
    let is_half =
        || weights.of_role(graph, id, Role::Weight).is_some_and(|weight| weight.dtype() == Dtype::BF16);
    let is_apart = |op: &Op| !matches!(op, Op::Add | Op::BatchNorm(_) | Op::Scale { .. });
    reads_once(graph, id)
        && is_half()
        && graph.iter().filter(|(_, node)| node.inputs.contains(&id)).all(|(_, node)| is_apart(&node.op))
}
