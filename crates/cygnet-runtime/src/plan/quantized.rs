//! What a plan asks of a network that computes with whole numbers: grids, chains, and the numbers of layers.

use std::borrow::Cow;

use cygnet_graph::{Activation, Graph, NodeId, Op, Param, Role};
use cygnet_kernels::ByteLevel;
use cygnet_weights::{Grid, Quantization, Tensor, WeightSet};

use crate::halves::bf16_layers;
use crate::integers::{integer_bias, real_weight, table};
use crate::{Chain, RunError, chains};

/// A graph with integer weights and the record of what is quantised.
pub(super) struct Quantized<'q> {
    graph: &'q Graph,
    weights: &'q WeightSet,
    record: &'q Quantization,
    level: ByteLevel,
    grids: Vec<Option<Grid>>,
    /// For each node, the chain that ends with it.
    ends: Vec<Option<Chain>>,
    /// Whether a node's value is only a part of a chain's.
    is_inside: Vec<bool>,
    /// Whether a node is a layer that computes with whole numbers.
    is_integer: Vec<bool>,
    /// Whether a node is a layer in bf16.
    is_bf16: Vec<bool>,
}

/// Some outputs of a layer that computes with whole numbers.
pub(super) struct Integers {
    /// `[outputs, in / groups, kernel rows, kernel columns]`.
    pub(super) weight: Vec<i8>,
    /// One for each output.
    pub(super) bias: Vec<i32>,
    /// What a step of each output's sum stands for.
    pub(super) scale: Vec<f32>,
}

impl<'q> Quantized<'q> {
    /// # Errors
    /// If the record is not one of the graph and the weights.
    pub(super) fn new(
        graph: &'q Graph,
        weights: &'q WeightSet,
        record: &'q Quantization,
        level: ByteLevel,
    ) -> Result<Quantized<'q>, RunError> {
        record.check(graph, weights).map_err(|bad| RunError::Plan(bad.to_string()))?;
        let count = graph.nodes().len();
        let (mut ends, mut is_inside) = (vec![None; count], vec![false; count]);
        let mut is_integer = vec![false; count];
        let grids = record.grids(graph);
        for chain in chains(graph, &grids, weights) {
            is_integer[chain.head.0] = graph.node(chain.head).op.facts().is_weighted;
            chain.nodes().filter(|&id| id != chain.end).for_each(|id| is_inside[id.0] = true);
            let end = chain.end.0;
            ends[end] = Some(chain);
        }
        let is_bf16 = bf16_layers(graph, weights);
        Ok(Quantized { graph, weights, record, level, grids, ends, is_inside, is_integer, is_bf16 })
    }

    /// The instruction set.
    pub(super) fn level(&self) -> ByteLevel {
        self.level
    }

    pub(super) fn grid(&self, id: NodeId) -> Option<&Grid> {
        self.grids[id.0].as_ref()
    }

    /// The grid of a value that is known to be on one.
    pub(super) fn grid_of(&self, id: NodeId) -> &Grid {
        self.grid(id).expect("the value is on a grid")
    }

    /// The chain that ends with a node.
    pub(super) fn chain(&self, id: NodeId) -> Option<&Chain> {
        self.ends[id.0].as_ref()
    }

    pub(super) fn is_inside(&self, id: NodeId) -> bool {
        self.is_inside[id.0]
    }

    /// Whether a layer computes in bf16.
    pub(super) fn is_bf16(&self, id: NodeId) -> bool {
        self.is_bf16[id.0]
    }

    /// Whether a node takes each byte of its input to another by a table.
    pub(super) fn is_table(&self, id: NodeId) -> bool {
        let node = self.graph.node(id);
        let is_shared = |id: NodeId| self.grid(id).is_some_and(|grid| grid.scales.len() == 1);
        matches!(node.op, Op::Activation { .. })
            && self.chain(id).is_none()
            && is_shared(id)
            && is_shared(node.inputs[0])
    }

    /// Which input of a product is a value on a grid, and which its real factors, one a channel, if it is such a product.
    pub(super) fn gate(&self, id: NodeId) -> Option<[NodeId; 2]> {
        let node = self.graph.node(id);
        let shape = |id: NodeId| &self.graph.node(id).shape;
        let fits = |&[scaled, gate]: &[NodeId; 2]| {
            self.grid(scaled).is_some()
                && self.grid(gate).is_none()
                && shape(scaled) == shape(id)
                && shape(gate)[0] == shape(id)[0]
                && shape(gate)[1..].iter().all(|&size| size == 1)
        };
        let [left, right] = node.inputs[..] else { return None };
        let is_product = node.op == Op::Mul && self.grid(id).is_some();
        [[left, right], [right, left]].into_iter().filter(|_| is_product).find(fits)
    }

    /// An input of a node.
    pub(super) fn input(&self, id: NodeId, input: usize) -> NodeId {
        self.graph.node(id).inputs[input]
    }

    /// The byte for each byte of a node that [is a table](Quantized::is_table).
    pub(super) fn table(&self, id: NodeId) -> [u8; 256] {
        let function = self.function(id).expect("tables are of functions");
        table(function, self.grid_of(self.input(id, 0)), self.grid_of(id))
    }

    /// The function of an activation.
    pub(super) fn function(&self, id: NodeId) -> Option<Activation> {
        if let Op::Activation { function } = self.graph.node(id).op { Some(function) } else { None }
    }

    /// The numbers of the outputs `channels` of `outputs` of a layer.
    pub(super) fn integers(&self, layer: NodeId, outputs: usize, channels: &[usize]) -> Integers {
        let (weight, tensor) = self.tensor(layer, Role::Weight).expect("a layer has weights");
        let scales = &self.record.weights.get(&weight.name).expect("integer weights have scales").scales;
        let each = tensor.element_count() / outputs;
        let weight = |&c: &usize| tensor.bytes()[c * each..][..each].iter().map(|byte| byte.cast_signed());
        let bias = self.tensor(layer, Role::Bias).map(|(_, bias)| bias.to_f32());
        let step = |&c: &usize| bias.as_ref().map_or(0, |bias| integer_bias(bias[c], scales[c]));
        Integers {
            weight: channels.iter().flat_map(weight).collect(),
            bias: channels.iter().map(step).collect(),
            scale: channels.iter().map(|&c| scales[c]).collect(),
        }
    }

    fn tensor(&self, layer: NodeId, role: Role) -> Option<(Param, &'q Tensor)> {
        let param = self.graph.node_param(layer, role)?;
        let tensor = self.weights.get(&param.name)?;
        Some((param, tensor))
    }

    /// The parameters of what is not computed with whole numbers, in the order of [`Graph::params`]; none for the others.
    pub(super) fn real_params(&self) -> Result<Vec<Cow<'q, [f32]>>, RunError> {
        let weights = self.weights;
        let real = |param: Param| {
            if self.is_integer[param.node.0] {
                return Ok(Cow::Borrowed(&[][..]));
            }
            let Some(tensor) = weights.get(&param.name) else {
                return Err(RunError::Plan(format!("there is no {}", param.name)));
            };
            let input = self.graph.node(param.node).inputs.first().and_then(|&input| self.grid(input));
            let grid = self.record.weights.get(&param.name);
            let numbers = grid.map(|grid| real_weight(self.graph, &param, tensor, grid, input).into());
            Ok(numbers.unwrap_or_else(|| tensor.to_f32()))
        };
        self.graph.params().into_iter().map(real).collect()
    }
}
