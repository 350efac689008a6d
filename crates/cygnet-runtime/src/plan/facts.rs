//! What a plan asks of a graph: who reads what, what the caller wants, and which values are parts of a larger one.

use cygnet_graph::{Conv, Graph, Node, NodeId, Op, shape};
use cygnet_kernels::{Element, Window};
use cygnet_weights::Grid;

use super::PlanOptions;
use super::key::StepValue;
use super::quantized::Quantized;

/// A graph in an order of execution.
pub(super) struct Facts<'g> {
    pub(super) graph: &'g Graph,
    pub(super) options: PlanOptions,
    /// What of it is whole numbers.
    pub(super) quantized: Option<&'g Quantized<'g>>,
    /// The nodes that are computed, the image first.
    pub(super) order: Vec<NodeId>,
    /// The readers of every node; what the caller wants is also read by itself.
    pub(super) readers: Vec<Vec<NodeId>>,
    /// The concatenation, and its channel, that a node's value is written into.
    pub(super) homes: Vec<Option<(NodeId, usize)>>,
    /// The nodes whose values the caller gets, last the first output.
    pub(super) wanted: Vec<NodeId>,
}

/// The nodes whose values the caller gets: outputs but for the first, features if they are asked for, and last the first
/// output.
pub(super) fn wanted(graph: &Graph, options: PlanOptions) -> Vec<NodeId> {
    let features = graph.features().iter().filter(|_| options.features).map(|feature| feature.node);
    let [first, others @ ..] = graph.outputs() else { unreachable!("a graph has an output") };
    let others = others.iter().map(|output| output.node);
    others.chain(features).chain([first.node]).collect()
}

impl<'g> Facts<'g> {
    pub(super) fn new(
        graph: &'g Graph,
        options: PlanOptions,
        quantized: Option<&'g Quantized<'g>>,
        order: Vec<NodeId>,
    ) -> Facts<'g> {
        let wanted = wanted(graph, options);
        let mut readers = vec![Vec::new(); graph.nodes().len()];
        for &id in &order {
            graph.node(id).inputs.iter().for_each(|input| readers[input.0].push(id));
        }
        wanted.iter().for_each(|&id| readers[id.0].push(id));
        let is_byte = |id: NodeId| quantized.is_some_and(|quantized| quantized.grid(id).is_some());
        let homes = homes(graph, &order, is_byte);
        Facts { graph, options, quantized, order, readers, homes, wanted }
    }

    pub(super) fn node(&self, id: NodeId) -> &'g Node {
        self.graph.node(id)
    }

    /// A node's shape as `[channels, height, width]`.
    pub(super) fn map(&self, id: NodeId) -> [usize; 3] {
        crate::reference::map(&self.node(id).shape)
    }

    /// The grid that a node's value is on, if it is stored as bytes.
    pub(super) fn grid(&self, id: NodeId) -> Option<&'g Grid> {
        self.quantized.and_then(|quantized| quantized.grid(id))
    }

    /// A node's value as it is stored.
    pub(super) fn value(&self, id: NodeId) -> StepValue {
        let element = if self.grid(id).is_some() { Element::U8 } else { Element::F32 };
        StepValue { shape: self.map(id), element }
    }

    /// A node's value in f32.
    pub(super) fn real(&self, id: NodeId) -> StepValue {
        StepValue { shape: self.map(id), element: Element::F32 }
    }

    /// The shape of a node's first input.
    pub(super) fn input_map(&self, id: NodeId) -> [usize; 3] {
        self.map(self.node(id).inputs[0])
    }

    /// The only reader of a node, if it has one that is another node.
    pub(super) fn only_reader(&self, id: NodeId) -> Option<NodeId> {
        match self.readers[id.0][..] {
            [reader] if reader != id => Some(reader),
            _ => None,
        }
    }

    /// How a convolution's window slides, and the columns that it reaches over the edges.
    pub(super) fn window(&self, id: NodeId, conv: &Conv) -> (Window, [usize; 2]) {
        let [_, height, width] = self.input_map(id);
        let [rows, columns] =
            shape::pad_amounts(conv.set_padding(), [height, width], conv.kernel, conv.stride, conv.dilation);
        let window = Window {
            kernel: conv.kernel,
            stride: conv.stride,
            dilation: conv.dilation,
            pad: [rows[0], columns[0]],
        };
        (window, columns)
    }
}

/// Gives the inputs of concatenations their part of one buffer, if they are of its elements.
fn homes(graph: &Graph, order: &[NodeId], is_byte: impl Fn(NodeId) -> bool) -> Vec<Option<(NodeId, usize)>> {
    let mut homes = vec![None; graph.nodes().len()];
    for &id in order.iter().filter(|id| graph.node(**id).op == Op::Concat) {
        let mut start = 0;
        for input in &graph.node(id).inputs {
            let source = graph.node(*input);
            let is_alike = is_byte(*input) == is_byte(id);
            if is_alike && source.op != Op::Input && !source.op.facts().is_view {
                homes[input.0].get_or_insert((id, start));
            }
            start += source.shape[0];
        }
    }
    homes
}
