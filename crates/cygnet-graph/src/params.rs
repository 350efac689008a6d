//! The tensors that a graph's nodes need.

use crate::{Graph, NodeId, Op, Param, Role, shape};

impl Graph {
    /// Parameters of one node, in PyTorch's order.
    #[must_use]
    pub fn node_params(&self, id: NodeId) -> Vec<Param> {
        let node = self.node(id);
        shape::params(&node.op, &self.input_shapes(node))
            .into_iter()
            .map(|param| Param {
                name: format!("{}.{}", node.path, param.name),
                shape: param.shape,
                role: param.role,
                node: id,
            })
            .collect()
    }

    /// The parameter of a node that plays a role, if it has one.
    #[must_use]
    pub fn node_param(&self, id: NodeId, role: Role) -> Option<Param> {
        self.node_params(id).into_iter().find(|param| param.role == role)
    }

    /// The input channel that the number at `index` of a layer's weight multiplies.
    #[must_use]
    pub fn input_channel(&self, weight: &Param, index: usize) -> usize {
        let node = self.node(weight.node);
        let input = &self.node(node.inputs[0]).shape;
        let terms: usize = weight.shape[1..].iter().product();
        let (output, term) = (index / terms, index % terms);
        let Op::Conv(conv) = &node.op else { return term / input[1..].iter().product::<usize>() };
        let [group_in, group_out] = [input[0] / conv.groups, conv.out / conv.groups];
        output / group_out * group_in + term / conv.kernel.iter().product::<usize>()
    }

    /// Numbers of a node's parameters, running statistics too.
    pub(crate) fn node_numbers(&self, id: NodeId) -> u64 {
        let node = self.node(id);
        let params = shape::params(&node.op, &self.input_shapes(node));
        params.iter().map(|param| param.shape.iter().map(|&n| n as u64).product::<u64>()).sum()
    }

    /// Every tensor the graph needs, in order of execution.
    #[must_use]
    pub fn params(&self) -> Vec<Param> {
        (0..self.nodes().len()).flat_map(|i| self.node_params(NodeId(i))).collect()
    }
}
