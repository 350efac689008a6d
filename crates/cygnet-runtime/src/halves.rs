//! Layers in bf16 among those of whole numbers.

use cygnet_graph::{Graph, NodeId, Op, Role, shape};
use cygnet_weights::{Dtype, Tensor, WeightSet};

use crate::reference::map;

/// Whether a layer reads its whole input once: a linear one, or a convolution whose window is the input, of which it makes a
/// single pixel. Its time is that of reading its weights, which are half as many bytes in bf16.
#[must_use]
pub fn reads_once(graph: &Graph, id: NodeId) -> bool {
    let node = graph.node(id);
    if let Op::Conv(conv) = &node.op {
        let [_, height, width] = map(&graph.node(node.inputs[0]).shape);
        let [_, rows, columns] = map(&node.shape);
        let pads =
            shape::pad_amounts(conv.set_padding(), [height, width], conv.kernel, conv.stride, conv.dilation);
        return conv.groups == 1
            && (conv.kernel, pads) == ([height, width], [[0, 0]; 2])
            && [rows, columns] == [1, 1];
    }
    matches!(node.op, Op::Linear { .. })
}

/// The weights with those in bf16 that layers in floating point [read once](reads_once).
#[must_use]
pub fn halved_once_read(graph: &Graph, weights: WeightSet) -> WeightSet {
    halved_where(graph, weights, |_, _| true)
}

/// As [`halved_once_read`], but only of weights that bf16 holds exactly: those of a file that has no other type for them.
#[must_use]
pub fn halved_where_exact(graph: &Graph, weights: WeightSet) -> WeightSet {
    halved_where(graph, weights, |whole, half| whole.to_f32() == half.to_f32())
}

/// The weights that layers read once as bf16, where `is_wanted` says so of them and what they become.
fn halved_where(
    graph: &Graph,
    mut weights: WeightSet,
    is_wanted: impl Fn(&Tensor, &Tensor) -> bool,
) -> WeightSet {
    for param in graph.params() {
        if param.role != Role::Weight || !reads_once(graph, param.node) {
            continue;
        }
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

/// For each node of a network with types of its own, whether it is a layer in bf16: one that [reads its input once](reads_once),
/// with weights in bf16, and read by nothing that is joined to it and that bf16 has no place for.
pub(crate) fn bf16_layers(graph: &Graph, weights: &WeightSet) -> Vec<bool> {
    let is_half = |id: NodeId| {
        let weight = weights.of_role(graph, id, Role::Weight);
        weight.is_some_and(|weight| weight.dtype() == Dtype::BF16)
    };
    let mut layers: Vec<bool> = graph.iter().map(|(id, _)| reads_once(graph, id) && is_half(id)).collect();
    for node in graph.nodes() {
        if matches!(node.op, Op::Add | Op::BatchNorm(_) | Op::Scale { .. }) {
            node.inputs.iter().for_each(|input| layers[input.0] = false);
        }
    }
    layers
}
