//! A graph and its weights as a program of kernel calls.
//!
//! A value is a list of places, one for each channel: a buffer and a slot in it. Concatenation, slicing and shuffling
//! rearrange such lists and move no data; a convolution reads its channels where they are, with its weights in that
//! order. What follows a convolution alone (batch norm, a constant scale, a term to add, an activation) joins it.

mod fuse;
mod layout;

use cygnet_graph::{Activation, Conv, Graph, Node, NodeId, Op, Pool, PoolKind, shape};
use cygnet_kernels::{self as kernels, Binary, Call, Level, Map, Plain, Pooling, Program, Window};

use crate::RunError;
use fuse::{Fused, fuse, readers};
use layout::{Layout, Place, Value, pieces};

/// Largest number of bytes of an arena.
const MEMORY_LIMIT: u64 = 4 << 30;

/// A graph made ready for an instruction set: packed weights and kernel calls, shared by all sessions.
#[derive(Debug)]
pub struct Plan {
    graph: Graph,
    program: Program,
    output: Map,
}

impl Plan {
    /// Packs the weights, one slice for each of [`Graph::params`], in its order.
    ///
    /// # Errors
    /// If their number or a length does not fit the graph, or its values would take more than 4 GiB.
    pub fn new<W: AsRef<[f32]>>(graph: Graph, weights: &[W], level: Level) -> Result<Plan, RunError> {
        let params = crate::reference::by_node(&graph, weights)?;
        let mut lowering = Lowering {
            graph: &graph,
            params: &params,
            level,
            readers: readers(&graph),
            values: vec![None; graph.nodes().len()],
            homes: vec![None; graph.nodes().len()],
            layout: Layout::default(),
            steps: Vec::new(),
        };
        lowering.find_homes();
        for (id, node) in graph.iter() {
            if lowering.values[id.0].is_none() {
                lowering.lower(id, node);
            }
        }
        let output = lowering.contiguous(graph.output());
        let Lowering { mut layout, steps, values, .. } = lowering;
        layout.keep(&output, steps.len());
        let arena = layout.place();
        let bytes = arena as u64 * size_of::<f32>() as u64;
        if bytes > MEMORY_LIMIT {
            return Err(RunError::Memory { graph: graph.name().into(), bytes, limit: MEMORY_LIMIT });
        }
        let calls = steps.into_iter().map(|step| step(&layout)).collect();
        let image = values[0].iter().flatten().map(|&place| layout.map(&[place])).collect();
        let output = layout.map(&output);
        let program = Program::new(level, image, calls, arena).map_err(RunError::Plan)?;
        Ok(Plan { graph, program, output })
    }

    /// The graph it runs.
    #[must_use]
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The kernel calls.
    #[must_use]
    pub fn program(&self) -> &Program {
        &self.program
    }

    pub(crate) fn output(&self) -> &Map {
        &self.output
    }
}

/// Makes a call once buffers have their offsets.
type Step = Box<dyn FnOnce(&Layout) -> Call>;

struct Lowering<'a> {
    graph: &'a Graph,
    params: &'a [Vec<&'a [f32]>],
    level: Level,
    readers: Vec<Vec<NodeId>>,
    values: Vec<Option<Value>>,
    /// Where in a concatenation's buffer a node writes its value.
    homes: Vec<Option<(NodeId, usize)>>,
    layout: Layout,
    steps: Vec<Step>,
}

impl<'a> Lowering<'a> {
    /// Gives the inputs of concatenations their part of one buffer.
    fn find_homes(&mut self) {
        for (id, node) in self.graph.iter().filter(|(_, node)| node.op == Op::Concat) {
            let mut start = 0;
            for input in &node.inputs {
                let source = self.graph.node(*input);
                let is_view = match source.op {
                    Op::Input
                    | Op::Concat
                    | Op::Slice { .. }
                    | Op::ChannelShuffle { .. }
                    | Op::Dropout { .. } => true,
                    Op::Conv(_)
                    | Op::BatchNorm(_)
                    | Op::Activation { .. }
                    | Op::Pool(_)
                    | Op::GlobalAvgPool
                    | Op::LocalResponseNorm(_)
                    | Op::Add
                    | Op::Mul
                    | Op::Scale { .. }
                    | Op::UpsampleLike
                    | Op::Linear { .. }
                    | Op::Softmax => false,
                };
                if !is_view && self.homes[input.0].is_none() {
                    self.homes[input.0] = Some((id, start));
                }
                start += source.shape[0];
            }
        }
    }

    fn value(&self, id: NodeId) -> &Value {
        self.values[id.0].as_ref().expect("inputs come first")
    }

    /// Places for a node's value.
    fn allocate(&mut self, id: NodeId) -> Value {
        let shape = &self.graph.node(id).shape;
        match self.homes[id.0] {
            Some((concat, start)) => {
                let joint = &self.graph.node(concat).shape;
                let buffer = self.layout.shared(concat, crate::reference::map(joint));
                (start..start + shape[0]).map(|slot| Place { buffer, slot }).collect()
            }
            None => self.layout.buffer(crate::reference::map(shape)),
        }
    }

    /// Adds a call that reads and writes these places; `pad` is the columns that windows reach over each edge.
    fn step(
        &mut self,
        reads: &[&[Place]],
        writes: &[Place],
        pad: [usize; 2],
        make: impl FnOnce(&Layout) -> Call + 'static,
    ) {
        let now = self.steps.len();
        reads.iter().for_each(|value| self.layout.read(value, now, pad));
        self.layout.write(writes, now);
        self.steps.push(Box::new(make));
    }

    /// The value's places in one row of slots; copied there if need be.
    fn contiguous(&mut self, id: NodeId) -> Value {
        let value = self.value(id).clone();
        let runs = layout::runs(&value);
        if runs.len() == 1 {
            return value;
        }
        let copy = self.layout.buffer(crate::reference::map(&self.graph.node(id).shape));
        for run in runs {
            let (from, to) = (value[run.clone()].to_vec(), copy[run].to_vec());
            let plain = Plain::Activation(kernels::Activation::None);
            self.plain(plain, vec![from], to);
        }
        copy
    }

    fn plain(&mut self, op: Plain, inputs: Vec<Value>, output: Value) {
        let level = self.level;
        let reads: Vec<&[Place]> = inputs.iter().map(Vec::as_slice).collect();
        let (maps, out) = (inputs.clone(), output.clone());
        self.step(&reads, &output, [0, 0], move |layout| {
            let maps = maps.iter().map(|value| layout.map(value)).collect();
            Call::Plain(Box::new(kernels::PlainCall::new(level, op, maps, layout.map(&out))))
        });
    }

    /// A channel-wise operator on every piece of a value that lies together; `make` gets a piece's channels.
    fn channelwise(&mut self, id: NodeId, make: impl Fn(&[usize]) -> Plain) {
        let input = self.value(self.graph.node(id).inputs[0]).clone();
        let output = self.allocate(id);
        let mut value = output.clone();
        let mut next = 0;
        for channels in pieces(&input) {
            let from: Value = channels.iter().map(|&c| input[c]).collect();
            let to = output[next..next + channels.len()].to_vec();
            channels.iter().zip(&to).for_each(|(&c, &place)| value[c] = place);
            next += channels.len();
            self.plain(make(&channels), vec![from], to);
        }
        self.values[id.0] = Some(value);
    }

    fn whole(&mut self, id: NodeId, op: Plain) {
        let inputs = self.graph.node(id).inputs.clone();
        let wanted = if matches!(op, Plain::Binary(..)) { 2 } else { 1 };
        let inputs = inputs.into_iter().take(wanted).map(|input| self.contiguous(input)).collect();
        let output = self.allocate(id);
        self.plain(op, inputs, output.clone());
        self.values[id.0] = Some(output);
    }

    fn lower(&mut self, id: NodeId, node: &'a Node) {
        let params = &self.params[id.0];
        match &node.op {
            Op::Input => {
                let [channels, height, width] = self.graph.input_shape();
                let planes: Value =
                    (0..channels).map(|_| self.layout.buffer([1, height, width])[0]).collect();
                self.layout.write(&planes, 0);
                self.values[id.0] = Some(planes);
            }
            Op::Conv(conv) => self.conv(id, conv),
            Op::Linear { .. } => self.linear(id),
            Op::BatchNorm(norm) => {
                let (scale, shift) = fuse::batch_norm(params, norm);
                self.channelwise(id, |channels| affine(channels, &scale, &shift));
            }
            Op::Scale { scale, shift } => {
                let channels = node.shape[0];
                let [scale, shift] = [scale, shift].map(|list| fuse::spread(list, channels));
                self.channelwise(id, |channels| affine(channels, &scale, &shift));
            }
            Op::Activation { function } => {
                let function = activation(*function);
                self.channelwise(id, |_| Plain::Activation(function));
            }
            Op::Pool(pool) => {
                let plain = pooling(pool, &self.graph.node(node.inputs[0]).shape);
                self.channelwise(id, |_| plain.clone());
            }
            Op::GlobalAvgPool => self.channelwise(id, |_| Plain::GlobalMean),
            Op::LocalResponseNorm(norm) => {
                let constants = [norm.alpha, norm.beta, norm.k];
                self.whole(id, Plain::LocalResponseNorm { size: norm.size, constants });
            }
            Op::Add => self.whole(id, Plain::Binary(Binary::Add, kernels::Activation::None)),
            Op::Mul => self.whole(id, Plain::Binary(Binary::Mul, kernels::Activation::None)),
            Op::UpsampleLike => self.whole(id, Plain::Upsample),
            Op::Softmax => self.whole(id, Plain::Softmax),
            Op::Concat => {
                let value = node.inputs.iter().flat_map(|input| self.value(*input).clone()).collect();
                self.values[id.0] = Some(value);
            }
            Op::Slice { start, len } => {
                let value = self.value(node.inputs[0])[*start..start + len].to_vec();
                self.values[id.0] = Some(value);
            }
            Op::ChannelShuffle { groups } => {
                let input = self.value(node.inputs[0]);
                let columns = input.len() / groups;
                let order =
                    (0..columns).flat_map(|column| (0..*groups).map(move |row| row * columns + column));
                let value = order.map(|c| input[c]).collect();
                self.values[id.0] = Some(value);
            }
            Op::Dropout { .. } => self.values[id.0] = Some(self.value(node.inputs[0]).clone()),
        }
    }

    fn conv(&mut self, id: NodeId, conv: &Conv) {
        let node = self.graph.node(id);
        let input = crate::reference::map(&self.graph.node(node.inputs[0]).shape);
        let [rows, columns] = shape::pad_amounts(
            conv.set_padding(),
            [input[1], input[2]],
            conv.kernel,
            conv.stride,
            conv.dilation,
        );
        let window = Window {
            kernel: conv.kernel,
            stride: conv.stride,
            dilation: conv.dilation,
            pad: [rows[0], columns[0]],
        };
        let is_depthwise = conv.groups == input[0] && conv.out == input[0] && conv.groups > 1;
        let fused = fuse(self, id, !is_depthwise);
        if is_depthwise {
            self.depthwise(id, window, columns, fused);
        } else {
            self.dense(id, window, columns, conv.groups, fused);
        }
    }

    fn linear(&mut self, id: NodeId) {
        let input = crate::reference::map(&self.graph.node(self.graph.node(id).inputs[0]).shape);
        let window = Window { kernel: [input[1], input[2]], ..Window::POINT };
        let fused = fuse(self, id, true);
        self.dense(id, window, [0, 0], 1, fused);
    }

    fn dense(&mut self, id: NodeId, window: Window, pad: [usize; 2], groups: usize, fused: Fused) {
        let level = self.level;
        let input = self.value(self.graph.node(id).inputs[0]).clone();
        let output = self.allocate(fused.last);
        let residual = fused.residual.map(|other| self.value(other).clone());
        let (inputs, outputs) = (input.len() / groups, output.len() / groups);
        let per_output = fused.weight.len() / output.len();
        for group in 0..groups {
            let input = input[group * inputs..][..inputs].to_vec();
            let range = group * outputs..(group + 1) * outputs;
            let output = output[range.clone()].to_vec();
            let residual = residual.as_ref().map(|value| value[range.clone()].to_vec());
            let weight = fused.weight[range.start * per_output..range.end * per_output].to_vec();
            let bias = fused.bias[range].to_vec();
            let activation = fused.activation;
            let out = output.clone();
            let term = residual.clone();
            let from = input.clone();
            if let Some(residual) = &residual {
                self.layout.read(residual, self.steps.len(), [0, 0]);
            }
            self.step(&[&input], &output, pad, move |layout| {
                let parts: Vec<kernels::Part> = pieces(&from)
                    .into_iter()
                    .map(|channels| {
                        let places: Value = channels.iter().map(|&c| from[c]).collect();
                        kernels::Part { map: layout.map(&places), channels }
                    })
                    .collect();
                let data = kernels::ConvWeights { weight: &weight, bias: &bias, inputs: from.len() };
                let term = term.map(|value| layout.map(&value));
                let out = layout.map(&out);
                Call::Conv(Box::new(kernels::Conv::new(level, window, &parts, data, out, term, activation)))
            });
        }
        self.finish(id, fused.last, &output);
    }

    fn depthwise(&mut self, id: NodeId, window: Window, pad: [usize; 2], fused: Fused) {
        let level = self.level;
        let input = self.value(self.graph.node(id).inputs[0]).clone();
        let output = self.allocate(fused.last);
        let taps = window.kernel[0] * window.kernel[1];
        let mut value = output.clone();
        let mut next = 0;
        for channels in pieces(&input) {
            let from: Value = channels.iter().map(|&c| input[c]).collect();
            let to = output[next..next + channels.len()].to_vec();
            channels.iter().zip(&to).for_each(|(&c, &place)| value[c] = place);
            next += channels.len();
            let weight: Vec<f32> =
                channels.iter().flat_map(|c| &fused.weight[c * taps..][..taps]).copied().collect();
            let bias: Vec<f32> = channels.iter().map(|&c| fused.bias[c]).collect();
            let activation = fused.activation;
            let (source, target) = (from.clone(), to.clone());
            self.step(&[&from], &to, pad, move |layout| {
                let (source, target) = (layout.map(&source), layout.map(&target));
                Call::Depthwise(Box::new(kernels::Depthwise::new(
                    level, window, source, &weight, &bias, target, activation,
                )))
            });
        }
        self.finish(id, fused.last, &value);
    }

    /// Sets the value of a node and of all that joined it.
    fn finish(&mut self, first: NodeId, last: NodeId, value: &Value) {
        let mut id = first;
        self.values[id.0] = Some(value.clone());
        while id != last {
            id = self.readers[id.0][0];
            self.values[id.0] = Some(value.clone());
        }
    }
}

fn affine(channels: &[usize], scale: &[f32], shift: &[f32]) -> Plain {
    let pick = |list: &[f32]| channels.iter().map(|&c| list[c]).collect();
    Plain::Affine { scale: pick(scale), shift: pick(shift), activation: kernels::Activation::None }
}

fn pooling(pool: &Pool, input: &[usize]) -> Plain {
    let pads = shape::pad_amounts(pool.padding, [input[1], input[2]], pool.kernel, pool.stride, [1, 1]);
    Plain::Pool {
        pooling: match pool.kind {
            PoolKind::Max => Pooling::Max,
            PoolKind::Avg => Pooling::Mean { count_pad: pool.count_include_pad },
        },
        window: Window {
            kernel: pool.kernel,
            stride: pool.stride,
            dilation: [1, 1],
            pad: pads.map(|[before, _]| before),
        },
        end_pad: pads.map(|[_, after]| after),
    }
}

/// The kernels' form of an activation.
pub(crate) fn activation(function: Activation) -> kernels::Activation {
    use kernels::Activation as Kernel;
    match function {
        Activation::Relu => Kernel::RELU,
        Activation::Relu6 => Kernel::Clamp { low: 0.0, high: 6.0 },
        Activation::Sigmoid => Kernel::Sigmoid,
        Activation::Swish => Kernel::Swish,
        Activation::HardSigmoid => {
            Kernel::HardSigmoid { scale: 1.0, shift: 3.0, high: 6.0, factor: 1.0 / 6.0 }
        }
        Activation::HardSigmoidKeras => {
            Kernel::HardSigmoid { scale: 0.2, shift: 0.5, high: 1.0, factor: 1.0 }
        }
        Activation::HardSigmoidClamp => Kernel::Clamp { low: 0.0, high: 1.0 },
        Activation::HardSigmoidSlim => {
            Kernel::HardSigmoid { scale: 1.0, shift: 3.0, high: 6.0, factor: 0.16667 }
        }
        Activation::HardSwish => Kernel::HardSwish,
    }
}
