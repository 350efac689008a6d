//! Residual blocks, and a network without one.

use crate::{BuildError, Change, Graph, Node, NodeId, Op, Problem};

/// A sum of a value and what is computed from it: without the block the value stands for the sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Block {
    /// The sum.
    pub sum: NodeId,
    /// The value that passes by.
    pub shortcut: NodeId,
}

impl Graph {
    /// The residual blocks, in order of execution: sums of two values of one shape of which one is computed from the other, and
    /// has parameters of its own.
    ///
    /// ```
    /// use cygnet_graph::{Conv, Graph};
    ///
    /// let graph = Graph::build("residual", [3, 8, 8], |net, image| {
    ///     let x = net.at("stem").conv(image, Conv::new(8, 3)).relu();
    ///     let x = net.at("a").conv(x, Conv::new(8, 3)) + x;
    ///     let x = x + net.at("b").conv(x, Conv::new(8, 3));
    ///     net.at("fc").linear(x.global_avg_pool(), 10)
    /// })?;
    /// let blocks = graph.blocks();
    /// assert_eq!(blocks.len(), 2);
    /// let names: Vec<String> = graph.without_block(blocks[0])?.params().into_iter().map(|param| param.name).collect();
    /// assert_eq!(names, ["stem.weight", "b.weight", "fc.weight", "fc.bias"]);
    /// # Ok::<(), cygnet_graph::BuildError>(())
    /// ```
    #[must_use]
    pub fn blocks(&self) -> Vec<Block> {
        let sums = self.iter().filter(|(_, node)| node.op == Op::Add);
        let block = |(sum, node): (NodeId, &Node)| {
            let [a, b] = node.inputs[..] else { return None };
            let (shortcut, branch) = if a < b { (a, b) } else { (b, a) };
            let same = self.node(a).shape == self.node(b).shape && shortcut != NodeId(0);
            // Of what comes between, some is computed from the shortcut.
            let between = self.needed([branch], shortcut);
            let inside = || (shortcut.0 + 1..=branch.0).filter(|&index| between[index]).map(NodeId);
            let learns = || inside().any(|id| self.node(id).op.facts().has_params);
            (same && shortcut != branch && between[shortcut.0] && learns()).then_some(Block { sum, shortcut })
        };
        sums.filter_map(block).collect()
    }

    /// The network without a block: its shortcut stands for the sum, and what only the sum needed is gone. All other parameters
    /// keep names and shapes.
    ///
    /// # Errors
    /// If it is no block of this network.
    pub fn without_block(&self, block: Block) -> Result<Graph, BuildError> {
        let is_block = |sum: &Node| sum.op == Op::Add && sum.inputs.contains(&block.shortcut);
        if !self.nodes.get(block.sum.0).is_some_and(is_block) {
            return Err(self.error("the block".into(), Problem::Cut("this network has no such block")));
        }
        let mut needed = vec![false; self.nodes.len()];
        self.ends.all().for_each(|id| needed[id.0] = true);
        for index in (1..self.nodes.len()).rev() {
            if needed[index] && index == block.sum.0 {
                needed[block.shortcut.0] = true;
            } else if needed[index] {
                self.nodes[index].inputs.iter().for_each(|id| needed[id.0] = true);
            }
        }
        let (graph, _) = self.rebuilt(|id, _| match id {
            id if id == block.sum => Change::Pass(block.shortcut),
            id if needed[id.0] => Change::Keep,
            _ => Change::Drop,
        })?;
        Ok(graph)
    }
}
