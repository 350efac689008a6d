//! Who reads each value, and until when.

use crate::{Graph, NodeId};

impl Graph {
    /// The nodes that read each node's value, in order; one that reads it twice is there twice.
    #[must_use]
    pub fn readers(&self) -> Vec<Vec<NodeId>> {
        let mut readers = vec![Vec::new(); self.nodes().len()];
        for (id, node) in self.iter() {
            node.inputs.iter().for_each(|input| readers[input.0].push(id));
        }
        readers
    }

    /// For each node, the one that alone reads its value, once; none for outputs and features, which are read from outside.
    #[must_use]
    pub fn sole_readers(&self) -> Vec<Option<NodeId>> {
        let sole = |readers: Vec<NodeId>| if let [reader] = readers[..] { Some(reader) } else { None };
        let mut readers: Vec<Option<NodeId>> = self.readers().into_iter().map(sole).collect();
        let outputs = self.outputs().iter().map(|output| output.node);
        let features = self.features().iter().map(|feature| feature.node);
        outputs.chain(features).for_each(|id| readers[id.0] = None);
        readers
    }

    /// The index of the last node that reads each value: the number of nodes for outputs, which live to the end,
    /// and its own index for a value that nobody reads.
    #[must_use]
    pub fn last_uses(&self) -> Vec<usize> {
        let mut last: Vec<usize> = (0..self.nodes().len()).collect();
        for (id, node) in self.iter() {
            for input in &node.inputs {
                last[input.0] = id.0;
            }
        }
        self.outputs().iter().for_each(|output| last[output.node.0] = self.nodes().len());
        last
    }
}
