//! The tensors that a graph's nodes need.

use crate::{Graph, NodeId, Param, Role, shape};

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
