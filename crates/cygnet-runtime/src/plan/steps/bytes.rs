//! Steps over values on grids, which are bytes.

use std::ops::Range;

use cygnet_graph::{Node, NodeId, Op, PoolKind};
use cygnet_kernels::{Element, Plain, Window};

use super::{Builder, Work, pooling};
use crate::Chain;
use crate::plan::key::{Sliding, StepKernel, StepValue};
use crate::plan::places::{Value, picked, pieces};
use crate::plan::pools::pools_bytes;
use crate::plan::quantized::Quantized;
use crate::plan::rules::{Rule, StepNode};

/// What a call does that reads or writes bytes. Nodes say whose grids count.
pub(in crate::plan) enum ByteWork<'g> {
    /// Some outputs of a dense layer, all of a group; a second input is added.
    Dense { chain: ByteChain<'g>, window: Window, outputs: Range<usize>, of: usize },
    /// Some channels of a depthwise layer; a second input is added.
    Depthwise { chain: ByteChain<'g>, window: Window, channels: Vec<usize>, of: usize },
    /// The sum of two values.
    Add { chain: &'g Chain },
    /// A function of each byte.
    Table { id: NodeId },
    /// The product of bytes by real factors, the second input.
    Gate { id: NodeId, scaled: NodeId },
    /// Pooling of some channels.
    Pool { id: NodeId, channels: Vec<usize>, pool: Plain },
    /// Some channels of floats as bytes.
    Quantize { id: NodeId, channels: Vec<usize> },
    /// Some channels of bytes as floats.
    Dequantize { id: NodeId, channels: Vec<usize> },
    /// The same bytes.
    Copy { id: NodeId },
}

/// A chain that begins with a layer, and the function of its bytes that alone reads it.
#[derive(Clone, Copy)]
pub(in crate::plan) struct ByteChain<'g> {
    pub(in crate::plan) chain: &'g Chain,
    pub(in crate::plan) table: Option<NodeId>,
}

impl ByteChain<'_> {
    /// The node whose value it makes.
    fn last(&self) -> NodeId {
        self.table.unwrap_or(self.chain.end)
    }
}

impl<'g> Builder<'_, 'g> {
    /// Makes the steps of a node that is computed with bytes; whether it is such a node, or one that is computed with others.
    pub(super) fn bytes(&mut self, id: NodeId, node: &'g Node) -> bool {
        let Some(quantized) = self.facts.quantized else { return false };
        if quantized.is_inside(id) {
            return true;
        }
        if let Some(chain) = quantized.chain(id) {
            self.chain(quantized, chain);
            return true;
        }
        if quantized.is_table(id) {
            let kernel = quantized.function(id).map(StepKernel::Activation);
            let work = |_| Work::Bytes(quantized, ByteWork::Table { id });
            return kernel.map(|kernel| self.channels_of_bytes(id, kernel, work)).is_some();
        }
        if let Some([scaled, gate]) = quantized.gate(id) {
            let work = Work::Bytes(quantized, ByteWork::Gate { id, scaled });
            let (left, right) = (self.byte_row(scaled), self.real_row(gate));
            self.join(id, StepKernel::Multiply, [left, right], work, &[StepNode { id, rule: None }]);
            return true;
        }
        let Some((kernel, pool)) = self.pooling_of_bytes(id, node) else { return false };
        self.channels_of_bytes(id, kernel, |channels| {
            Work::Bytes(quantized, ByteWork::Pool { id, channels, pool: pool.clone() })
        });
        true
    }

    /// How a node pools bytes, if it does.
    fn pooling_of_bytes(&self, id: NodeId, node: &Node) -> Option<(StepKernel, Plain)> {
        self.facts.grid(*node.inputs.first()?)?;
        let input = self.facts.input_map(id);
        let (kernel, pool) = pooling_of(&node.op, input)?;
        let is_moved = self.facts.grid(id).is_some()
            || !matches!(&node.op, Op::Pool(pool) if pool.kind == PoolKind::Max);
        (is_moved && pools_bytes(&pool, input, self.facts.map(id))).then_some((kernel, pool))
    }

    /// A value on a grid, in one row of slots.
    fn byte_row(&mut self, id: NodeId) -> Value {
        let value = self.values.of(id).clone();
        self.row(id, value)
    }

    /// A step that does the same to every channel of bytes.
    fn channels_of_bytes(&mut self, id: NodeId, kernel: StepKernel, work: impl Fn(Vec<usize>) -> Work<'g>) {
        let facts = self.facts;
        let source = facts.node(id).inputs[0];
        let input = self.values.of(source).clone();
        let output = self.allocate(id);
        let value = self.by_piece(&input, &output, [0, 0], work);
        let nodes = [StepNode { id, rule: None }];
        self.step_of(kernel, vec![facts.value(source)], (id, facts.value(id).element), &nodes, 0);
        self.values.set(id, value);
    }

    /// A step of two values that each lie in one row of slots.
    fn join(
        &mut self,
        id: NodeId,
        kernel: StepKernel,
        inputs: [Value; 2],
        work: Work<'g>,
        nodes: &[StepNode],
    ) {
        let facts = self.facts;
        let elements = inputs.each_ref().map(|value| self.buffers.element(value));
        let output = self.allocate(id);
        self.call(work, inputs.into(), [0, 0], output.clone());
        let read = &facts.node(nodes[0].id).inputs;
        let read = read.iter().zip(elements).map(|(&id, element)| StepValue { element, ..facts.real(id) });
        self.step_of(kernel, read.collect(), (id, facts.value(id).element), nodes, 0);
        self.values.set(id, output);
    }

    fn chain(&mut self, quantized: &'g Quantized<'g>, chain: &'g Chain) {
        let facts = self.facts;
        let head = facts.node(chain.head);
        let with = |table| ByteChain { chain, table };
        if let Op::Conv(conv) = &head.op {
            let (window, columns) = facts.window(chain.head, conv);
            let chain = with(self.table_after(quantized, chain));
            if conv.is_depthwise(facts.input_map(chain.chain.head)[0]) {
                self.depthwise_of_bytes(quantized, chain, window, columns, conv.groups);
            } else {
                self.dense_of_bytes(quantized, chain, window, columns, conv.groups);
            }
        } else if let Op::Linear { .. } = &head.op {
            let [_, height, width] = facts.input_map(chain.head);
            let window = Window { kernel: [height, width], ..Window::POINT };
            let chain = with(self.table_after(quantized, chain));
            self.dense_of_bytes(quantized, chain, window, [0, 0], 1);
        } else {
            let rows = [0, 1].map(|input| self.byte_row(head.inputs[input]));
            let work = Work::Bytes(quantized, ByteWork::Add { chain });
            self.join(chain.end, StepKernel::Add, rows, work, &self.nodes(with(None)));
        }
    }

    /// The function of bytes that alone reads a chain's value.
    fn table_after(&self, quantized: &Quantized<'_>, chain: &Chain) -> Option<NodeId> {
        let reader = self.facts.only_reader(chain.end)?;
        (self.facts.homes[chain.end.0].is_none() && quantized.is_table(reader)).then_some(reader)
    }

    /// The nodes of a chain, in order.
    fn nodes(&self, ByteChain { chain, table }: ByteChain<'_>) -> Vec<StepNode> {
        let is_linear = matches!(self.facts.node(chain.head).op, Op::Linear { .. });
        let head = StepNode { id: chain.head, rule: is_linear.then_some(Rule::LinearAsConv) };
        let sum = chain.sum.map(|sum| StepNode { id: sum.node, rule: Some(Rule::FuseAdd) });
        let functions = [chain.clamp, table].into_iter().flatten();
        let functions = functions.map(|id| StepNode { id, rule: Some(Rule::FuseActivation) });
        [head].into_iter().chain(sum).chain(functions).collect()
    }

    fn sliding_of_bytes(
        &self,
        quantized: &Quantized<'_>,
        chain: ByteChain<'_>,
        window: Window,
        groups: usize,
    ) -> Sliding {
        let last = chain.table.or(chain.chain.clamp);
        let activation = last.and_then(|id| quantized.function(id));
        Sliding { window, groups, adds: chain.chain.sum.is_some(), activation }
    }

    fn dense_of_bytes(
        &mut self,
        quantized: &'g Quantized<'g>,
        chain: ByteChain<'g>,
        window: Window,
        pad: [usize; 2],
        groups: usize,
    ) {
        let facts = self.facts;
        let head = facts.node(chain.chain.head);
        let input = self.values.of(head.inputs[0]).clone();
        let term = chain.chain.sum.map(|sum| self.byte_row(sum.other));
        let output = self.allocate(chain.last());
        let (inputs, all) = (input.len() / groups, output.len());
        let outputs = all / groups;
        for group in 0..groups {
            let range = group * outputs..(group + 1) * outputs;
            let from = input[group * inputs..][..inputs].to_vec();
            let term = term.as_ref().map(|value| value[range.clone()].to_vec());
            let to = output[range.clone()].to_vec();
            let work = ByteWork::Dense { chain, window, outputs: range, of: all };
            self.call(Work::Bytes(quantized, work), [from].into_iter().chain(term).collect(), pad, to);
        }
        let sliding = self.sliding_of_bytes(quantized, chain, window, groups);
        let is_linear = matches!(head.op, Op::Linear { .. });
        let kernel = if is_linear { StepKernel::Linear(sliding) } else { StepKernel::Conv(sliding) };
        self.layer_of_bytes(kernel, chain, output, all, inputs * window.kernel[0] * window.kernel[1]);
    }

    fn depthwise_of_bytes(
        &mut self,
        quantized: &'g Quantized<'g>,
        chain: ByteChain<'g>,
        window: Window,
        pad: [usize; 2],
        groups: usize,
    ) {
        let source = self.facts.node(chain.chain.head).inputs[0];
        let of = self.facts.map(source)[0];
        let kernel = StepKernel::Depthwise(self.sliding_of_bytes(quantized, chain, window, groups));
        let work = |channels| Work::Bytes(quantized, ByteWork::Depthwise { chain, window, channels, of });
        let value = match chain.chain.sum {
            Some(sum) => {
                let inputs = [source, sum.other].map(|id| self.byte_row(id));
                let output = self.allocate(chain.last());
                self.call(work((0..of).collect()), inputs.into(), pad, output.clone());
                output
            }
            None => {
                let input = self.values.of(source).clone();
                let output = self.allocate(chain.last());
                self.by_piece(&input, &output, pad, work)
            }
        };
        self.layer_of_bytes(kernel, chain, value, of, window.kernel[0] * window.kernel[1]);
    }

    /// Makes a step of a chain with `outputs` outputs of `terms` weights each.
    fn layer_of_bytes(
        &mut self,
        kernel: StepKernel,
        chain: ByteChain<'g>,
        value: Value,
        outputs: usize,
        terms: usize,
    ) {
        let facts = self.facts;
        let (source, last) = (facts.node(chain.chain.head).inputs[0], chain.last());
        // A bias and a scale for each output.
        let weight_bytes = outputs.saturating_mul(terms.saturating_add(2 * size_of::<f32>()));
        self.packed = self.packed.saturating_add(weight_bytes as u64);
        let output = (last, facts.value(last).element);
        self.step_of(kernel, vec![facts.value(source)], output, &self.nodes(chain), weight_bytes);
        self.values.set(last, value);
    }

    /// Floats of a node on a grid as its value.
    pub(super) fn quantize(&mut self, quantized: &'g Quantized<'g>, id: NodeId, floats: &Value) -> Value {
        let output = self.allocate(id);
        let pieces = pieces(floats);
        let channels = pieces.concat();
        let mut value = output.clone();
        channels.iter().zip(&output).for_each(|(&c, &place)| value[c] = place);
        let inputs = pieces.iter().map(|channels| picked(floats, channels)).collect();
        self.call(Work::Bytes(quantized, ByteWork::Quantize { id, channels }), inputs, [0, 0], output);
        self.step_of(StepKernel::Quantize, vec![self.facts.real(id)], (id, Element::U8), &[], 0);
        value
    }

    /// A node's value on a grid as floats.
    pub(super) fn dequantize(&mut self, quantized: &'g Quantized<'g>, id: NodeId) -> Value {
        let (bytes, to) = (self.values.of(id).clone(), self.buffers.add(self.facts.real(id)));
        let work = |channels| Work::Bytes(quantized, ByteWork::Dequantize { id, channels });
        let value = self.by_piece(&bytes, &to, [0, 0], work);
        self.step_of(StepKernel::Dequantize, vec![self.facts.value(id)], (id, Element::F32), &[], 0);
        value
    }
}

/// Whether the mean of bytes that an operator takes is one of whole numbers, from a map of one size to one of another.
pub(crate) fn has_mean(op: &Op, input: [usize; 3], output: [usize; 3]) -> bool {
    pooling_of(op, input).is_some_and(|(_, pool)| pools_bytes(&pool, input, output))
}

/// How an operator pools a map of some size, if it does.
fn pooling_of(op: &Op, input: [usize; 3]) -> Option<(StepKernel, Plain)> {
    match op {
        Op::Pool(pool) => {
            let (window, plain) = pooling(pool, input);
            Some((StepKernel::Pool { kind: pool.kind, window }, plain))
        }
        Op::GlobalAvgPool => Some((StepKernel::GlobalMean, Plain::GlobalMean)),
        Op::AdaptiveAvgPool { size } => Some((StepKernel::AdaptiveMean { size: *size }, Plain::AdaptiveMean)),
        Op::Input
        | Op::Conv(_)
        | Op::Linear { .. }
        | Op::BatchNorm(_)
        | Op::Scale { .. }
        | Op::Activation { .. }
        | Op::LocalResponseNorm(_)
        | Op::Add
        | Op::Mul
        | Op::UpsampleLike
        | Op::Softmax
        | Op::Concat
        | Op::Slice { .. }
        | Op::ChannelShuffle { .. }
        | Op::Dropout { .. } => None,
    }
}
