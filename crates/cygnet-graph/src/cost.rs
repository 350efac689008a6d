//! What a graph costs, by the field's counting rules.

use serde::{Deserialize, Serialize};

use crate::{Graph, NodeId, Op, Role};

/// Cost of a node or a whole graph for one image, in f32.
///
/// Counting rules: params are learnt tensors only (no running statistics); MACs are those of convolutions and linear
/// layers; activations are the elements of convolution outputs. Bias, batch norm, activation functions, pooling and
/// element-wise operators count nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// Learnt numbers.
    pub params: u64,
    /// Multiply-accumulates.
    pub macs: u64,
    /// Elements of convolution outputs.
    pub activations: u64,
    /// Bytes of inputs and parameters, each read once.
    pub bytes_read: u64,
    /// Bytes of outputs.
    pub bytes_written: u64,
}

fn count(shape: &[usize]) -> u64 {
    shape.iter().map(|&n| n as u64).product()
}

impl Graph {
    /// Cost of one node.
    #[must_use]
    pub fn node_cost(&self, id: NodeId) -> Cost {
        let node = self.node(id);
        let params = self.node_params(id);
        let learnt = params.iter().filter(|param| param.role.is_learnt());
        let inputs = self.input_shapes(node);
        let out = count(&node.shape);
        // Each number of the output is a sum of products with the weights of its channel.
        let weight = params.iter().find(|param| param.role == Role::Weight);
        let macs = weight.map_or(0, |weight| out * count(&weight.shape[1..]));
        let activations = if matches!(node.op, Op::Conv(_)) { out } else { 0 };
        let read: u64 = inputs.iter().map(|shape| count(shape)).sum();
        let weights: u64 = params.iter().map(|param| count(&param.shape)).sum();
        Cost {
            params: learnt.map(|param| count(&param.shape)).sum(),
            macs,
            activations,
            bytes_read: 4 * (read + weights),
            bytes_written: if node.op == Op::Input { 0 } else { 4 * out },
        }
    }

    /// Cost of the whole graph; what is beyond a `u64` stays at its largest value.
    #[must_use]
    pub fn cost(&self) -> Cost {
        (0..self.nodes.len()).map(|i| self.node_cost(NodeId(i))).fold(Cost::default(), |sum, cost| Cost {
            params: sum.params.saturating_add(cost.params),
            macs: sum.macs.saturating_add(cost.macs),
            activations: sum.activations.saturating_add(cost.activations),
            bytes_read: sum.bytes_read.saturating_add(cost.bytes_read),
            bytes_written: sum.bytes_written.saturating_add(cost.bytes_written),
        })
    }

    /// Largest number of bytes of values alive at once, executed in order, with nothing fused or done in place.
    #[must_use]
    pub fn peak_activation_bytes(&self) -> u64 {
        let last = self.last_uses();
        let mut dying: Vec<Vec<usize>> = vec![Vec::new(); self.nodes.len() + 1];
        for (i, &end) in last.iter().enumerate() {
            dying[end].push(i);
        }
        let (mut live, mut peak) = (0, 0);
        for (id, node) in self.iter() {
            live += 4 * count(&node.shape);
            peak = peak.max(live);
            live -= dying[id.0].iter().map(|&i| 4 * count(&self.nodes[i].shape)).sum::<u64>();
        }
        peak
    }
}
