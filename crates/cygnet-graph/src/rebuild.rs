//! Graphs made of graphs, node by node: the one loop that all of it goes through.

use crate::graph::Ends;
use crate::{Auxiliary, BuildError, Feature, Graph, Node, NodeId, Op, Output, Problem};

/// What becomes of a node in a graph that is made of another.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// It stays.
    Keep,
    /// Another operator takes its place, with its inputs and its path.
    Replace(Op),
    /// It is left out, and what reads it reads its first input instead.
    Skip,
    /// It is left out, and what reads it reads the value of this earlier node instead.
    Pass(NodeId),
    /// It is left out, and nothing that stays may read it. A feature, an auxiliary output or one beside the first that it
    /// is goes with it.
    Drop,
}

/// Where the values of a graph are in one that was made of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdMap(Vec<Option<NodeId>>);

impl IdMap {
    /// Every one of so many values in its own place.
    pub(crate) fn unchanged(nodes: usize) -> IdMap {
        IdMap((0..nodes).map(|id| Some(NodeId(id))).collect())
    }

    /// The node whose value stands for that of `id`: its own, that of its input if it was skipped, or none.
    #[must_use]
    pub fn get(&self, id: NodeId) -> Option<NodeId> {
        self.0.get(id.0).copied().flatten()
    }
}

impl Graph {
    /// A graph made of this one: `change` decides of every node but the image, in order. Shapes and parameters follow from
    /// the operators, as when a graph is built; features stay as far as they lie at strides of their own.
    ///
    /// ```
    /// use cygnet_graph::{Change, Conv, Graph, Op};
    ///
    /// let graph = Graph::build("tiny", [3, 8, 8], |net, image| {
    ///     let x = net.at("conv").conv(image, Conv::new(4, 3)).dropout(0.1).relu6();
    ///     net.at("fc").linear(x.global_avg_pool(), 10)
    /// })?;
    /// let (changed, places) = graph.rebuilt(|_, node| match &node.op {
    ///     Op::Dropout { .. } => Change::Skip,
    ///     Op::Conv(conv) => Change::Replace(Op::Conv(Conv { out: 2, ..conv.clone() })),
    ///     _ => Change::Keep,
    /// })?;
    /// assert_eq!(changed.nodes().len(), graph.nodes().len() - 1);
    /// assert_eq!(changed.params()[1].shape, [10, 2]);
    /// assert_eq!(places.get(graph.output()), Some(changed.output()));
    /// # Ok::<(), cygnet_graph::BuildError>(())
    /// ```
    ///
    /// # Errors
    /// The first thing that does not fit any more, with its place.
    pub fn rebuilt(&self, change: impl FnMut(NodeId, &Node) -> Change) -> Result<(Graph, IdMap), BuildError> {
        self.remade(NodeId(0), self.input_shape(), &self.ends, change)
    }

    /// As [`Graph::rebuilt`], with the node `image` as an image of `shape` and other ends.
    pub(crate) fn remade(
        &self,
        image: NodeId,
        shape: [usize; 3],
        ends: &Ends,
        mut change: impl FnMut(NodeId, &Node) -> Change,
    ) -> Result<(Graph, IdMap), BuildError> {
        let mut places = vec![None; self.nodes.len()];
        places[image.0] = Some(NodeId(0));
        let mut parts = Vec::with_capacity(self.nodes.len());
        for (id, node) in self.iter().skip(image.0 + 1) {
            let op = match change(id, node) {
                Change::Keep => node.op.clone(),
                Change::Replace(op) => op,
                Change::Skip => {
                    places[id.0] = places[node.inputs[0].0];
                    continue;
                }
                Change::Pass(from) if from < id => {
                    places[id.0] = places[from.0];
                    continue;
                }
                Change::Pass(_) => return Err(self.error(self.place_of(id), Problem::InputLeftOut)),
                Change::Drop => continue,
            };
            let inputs: Option<Vec<NodeId>> = node.inputs.iter().map(|input| places[input.0]).collect();
            let inputs = inputs.ok_or_else(|| self.error(self.place_of(id), Problem::InputLeftOut))?;
            parts.push((op, inputs, node.path.clone()));
            places[id.0] = Some(NodeId(parts.len()));
        }
        if places[ends.outputs[0].node.0].is_none() {
            return Err(self.error("the output".into(), Problem::InputLeftOut));
        }
        let mut outputs: Vec<Output> = Vec::new();
        for Output { name, node } in &ends.outputs {
            let place = places[node.0].filter(|place| outputs.iter().all(|other| other.node != *place));
            outputs.extend(place.map(|node| Output { name: name.clone(), node }));
        }
        let head = |head: &Auxiliary| Some(Auxiliary { node: places[head.node.0]?, ..*head });
        let auxiliary = ends.auxiliary.iter().filter_map(head).collect();
        let ends_now = Ends { outputs, features: Vec::new(), auxiliary };
        let mut graph = Graph::checked(self.name.clone(), shape, parts, ends_now)?;
        for feature in &ends.features {
            if let Some(node) = places[feature.node.0] {
                graph.mark(Feature { node, ..feature.clone() });
            }
        }
        Ok((graph, IdMap(places)))
    }
}
