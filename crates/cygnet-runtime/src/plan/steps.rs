//! From nodes to steps: which kernels are called, in which order, on which values. `layers` has those of
//! layers, `bytes` those over values on grids.

mod bytes;
mod layers;

pub(crate) use bytes::has_mean;

use std::ops::Range;
use std::rc::Rc;

use cygnet_graph::{Node, NodeId, Op, Pool, PoolKind, shape};
use cygnet_kernels::{self as kernels, Binary, Element, Plain, Pooling, Window};

use super::facts::Facts;
use super::key::{StepKernel, StepKey, StepValue};
use super::outline::PlanStep;
use super::places::{Buffers, Value, Values, picked, pieces, runs};
use super::quantized::Quantized;
use super::rules::{self, Affine, Layer, StepNode};
use crate::{RunError, kernel_activation};
pub(super) use bytes::{ByteChain, ByteWork};

/// A graph that needs more calls is refused: its channels lie in too many pieces.
const MOST_CALLS: usize = 1 << 17;

/// A kernel call whose values have no offsets yet and whose weights are not packed.
pub(super) struct Call<'g> {
    pub(super) work: Work<'g>,
    pub(super) inputs: Vec<Value>,
    pub(super) output: Value,
}

/// What a call does.
pub(super) enum Work<'g> {
    /// Some outputs of a dense layer, all of a group; a second input is added.
    Dense { layer: Rc<Layer<'g>>, window: Window, outputs: Range<usize>, of: usize },
    /// As [`Work::Dense`] of all outputs, with fewer products.
    Winograd { layer: Rc<Layer<'g>>, window: Window },
    /// As [`Work::Dense`] of all outputs, in bf16.
    Bf16Linear { layer: Rc<Layer<'g>> },
    /// Some channels of a depthwise layer.
    Depthwise { layer: Rc<Layer<'g>>, window: Window, channels: Vec<usize>, of: usize },
    /// Two layers; `between` is the shape of the map between them and the columns that windows reach over its edges.
    Pair { layers: Rc<[Layer<'g>; 2]>, windows: [Window; 2], between: ([usize; 3], [usize; 2]) },
    /// A factor and a term for each of some channels.
    Affine { affine: Affine<'g>, channels: Vec<usize> },
    /// An operator without parameters.
    Plain(Plain),
    /// What reads or writes bytes.
    Bytes(&'g Quantized<'g>, ByteWork<'g>),
}

/// The steps of a graph.
pub(super) struct Steps<'g> {
    pub(super) steps: Vec<PlanStep>,
    /// The calls of all steps.
    pub(super) calls: Vec<Call<'g>>,
    pub(super) buffers: Buffers,
    /// Bytes of packed weights, about.
    pub(super) packed: u64,
    pub(super) image: Value,
    pub(super) output: Value,
    /// The graph's outputs but for the first, then its features, if they are wanted.
    pub(super) kept: Vec<Value>,
}

struct Builder<'f, 'g> {
    facts: &'f Facts<'g>,
    /// The planes of the image.
    image: Value,
    values: Values,
    /// Values on grids that somebody needed as floats.
    reals: Values,
    buffers: Buffers,
    calls: Vec<Call<'g>>,
    packed: u64,
    steps: Vec<PlanStep>,
    /// The step after which a node's value is there; none for the image and its views.
    producers: Vec<Option<usize>>,
    /// Nodes without a step before them: views of the image.
    image_views: Vec<StepNode>,
    /// Bytes that the calls since the last step read and write.
    traffic: [u64; 2],
}

/// The steps of a graph's nodes in the order of its facts.
///
/// # Errors
/// [`RunError::Calls`].
pub(super) fn steps<'g>(facts: &Facts<'g>) -> Result<Steps<'g>, RunError> {
    let count = facts.graph.nodes().len();
    let mut builder = Builder {
        facts,
        image: Value::new(),
        values: Values::new(count),
        reals: Values::new(count),
        buffers: Buffers::default(),
        calls: Vec::new(),
        packed: 0,
        steps: Vec::new(),
        producers: vec![None; count],
        image_views: Vec::new(),
        traffic: [0, 0],
    };
    for &id in &facts.order {
        if builder.values.get(id).is_none() {
            builder.node(id, facts.node(id));
        }
    }
    let [kept @ .., output] = &facts.wanted[..] else { unreachable!("the output is always wanted") };
    let kept: Vec<Value> = kept.iter().map(|&id| builder.real(id)).collect();
    let output = builder.real_row(*output);
    let Builder { image, mut buffers, calls, packed, mut steps, image_views, .. } = builder;
    if calls.len() > MOST_CALLS {
        return Err(RunError::Calls { graph: facts.graph.name().into(), limit: MOST_CALLS });
    }
    buffers.keep(&output, calls.len());
    kept.iter().for_each(|value| buffers.keep(value, calls.len()));
    steps.iter_mut().take(1).for_each(|first| first.nodes.extend(image_views.iter()));
    Ok(Steps { steps, calls, buffers, packed, image, output, kept })
}

impl<'g> Builder<'_, 'g> {
    fn node(&mut self, id: NodeId, node: &'g Node) {
        if self.bytes(id, node) {
            return;
        }
        match &node.op {
            Op::Input => {
                let [channels, height, width] = self.facts.graph.input_shape();
                let plane = StepValue { shape: [1, height, width], element: Element::F32 };
                let planes: Value = (0..channels).map(|_| self.buffers.add(plane)[0]).collect();
                self.buffers.write(&planes, 0);
                self.image.clone_from(&planes);
                self.settle(id, &[], planes);
            }
            Op::Conv(conv) => self.conv(id, conv),
            Op::Linear { .. } => self.linear(id),
            Op::BatchNorm(norm) => self.affine(id, StepKernel::BatchNorm, Affine::BatchNorm(id, norm)),
            Op::Scale { scale, shift } => {
                self.affine(id, StepKernel::Scale, Affine::Constant { scale, shift });
            }
            Op::Activation { function } => {
                let plain = Plain::Activation(kernel_activation(*function));
                self.channelwise(id, StepKernel::Activation(*function), 0, |_| Work::Plain(plain.clone()));
            }
            Op::Pool(pool) => {
                let (window, plain) = pooling(pool, self.facts.input_map(id));
                let kernel = StepKernel::Pool { kind: pool.kind, window };
                self.channelwise(id, kernel, 0, |_| Work::Plain(plain.clone()));
            }
            Op::GlobalAvgPool => {
                self.channelwise(id, StepKernel::GlobalMean, 0, |_| Work::Plain(Plain::GlobalMean));
            }
            Op::AdaptiveAvgPool { size } => {
                let kernel = StepKernel::AdaptiveMean { size: *size };
                self.channelwise(id, kernel, 0, |_| Work::Plain(Plain::AdaptiveMean));
            }
            Op::LocalResponseNorm(norm) => {
                let plain =
                    Plain::LocalResponseNorm { size: norm.size, constants: [norm.alpha, norm.beta, norm.k] };
                self.whole(id, StepKernel::LocalResponseNorm { size: norm.size }, 1, plain);
            }
            Op::Add => {
                let plain = Plain::Binary(Binary::Add, kernels::Activation::None);
                self.whole(id, StepKernel::Add, 2, plain);
            }
            Op::Mul => {
                let plain = Plain::Binary(Binary::Mul, kernels::Activation::None);
                self.whole(id, StepKernel::Multiply, 2, plain);
            }
            Op::UpsampleLike => self.whole(id, StepKernel::Upsample, 1, Plain::Upsample),
            Op::Softmax => self.whole(id, StepKernel::Softmax, 1, Plain::Softmax),
            Op::Concat | Op::Slice { .. } | Op::ChannelShuffle { .. } | Op::Dropout { .. } => {
                self.view(id, node);
            }
        }
    }

    /// Places for a node's value.
    fn allocate(&mut self, id: NodeId) -> Value {
        let value = self.facts.value(id);
        match self.facts.homes[id.0] {
            Some((concat, start)) => {
                let channels = start..start + value.shape[0];
                self.buffers.part(concat, self.facts.value(concat), channels)
            }
            None => self.buffers.add(value),
        }
    }

    /// Places for a node's value as it is computed in floats.
    fn allocate_real(&mut self, id: NodeId) -> Value {
        if self.facts.grid(id).is_some() { self.buffers.add(self.facts.real(id)) } else { self.allocate(id) }
    }

    /// Adds a call; its first input is read with the columns that windows reach over the edges.
    fn call(&mut self, work: Work<'g>, inputs: Vec<Value>, pad: [usize; 2], output: Value) {
        let now = self.calls.len();
        if now > MOST_CALLS {
            return;
        }
        for (i, value) in inputs.iter().enumerate() {
            self.buffers.read(value, now, if i == 0 { pad } else { [0, 0] });
            self.traffic[0] += self.buffers.bytes(value);
        }
        self.buffers.write(&output, now);
        self.traffic[1] += self.buffers.bytes(&output);
        self.calls.push(Call { work, inputs, output });
    }

    /// Makes a step over floats of the calls since the last one, with the node whose value it writes and its numbers of weights.
    fn step(
        &mut self,
        kernel: StepKernel,
        inputs: &[NodeId],
        output: NodeId,
        nodes: &[StepNode],
        weights: usize,
    ) {
        let inputs = inputs.iter().map(|&input| self.facts.real(input)).collect();
        self.step_of(kernel, inputs, (output, Element::F32), nodes, weights * size_of::<f32>());
    }

    /// Makes a step of the calls since the last one, with the node whose value it writes, as which elements, and its bytes of
    /// weights.
    fn step_of(
        &mut self,
        kernel: StepKernel,
        inputs: Vec<StepValue>,
        (output, element): (NodeId, Element),
        nodes: &[StepNode],
        weight_bytes: usize,
    ) {
        let [bytes_read, bytes_written] = std::mem::take(&mut self.traffic);
        let start = self.steps.last().map_or(0, |step| step.calls.end);
        let calls = start..self.calls.len();
        nodes.iter().for_each(|node| self.producers[node.id.0] = Some(self.steps.len()));
        let facts = self.facts;
        self.steps.push(PlanStep {
            key: StepKey {
                kernel,
                inputs,
                output: StepValue { element, ..facts.real(output) },
                calls: calls.len(),
            },
            nodes: nodes.to_vec(),
            shape: facts.node(output).shape.clone(),
            macs: nodes.iter().map(|node| facts.graph.node_cost(node.id).macs).sum(),
            bytes_read,
            bytes_written,
            weight_bytes: weight_bytes as u64,
            calls,
        });
    }

    /// Makes a step of one node alone, whose value is then in some places.
    fn alone(&mut self, id: NodeId, kernel: StepKernel, inputs: usize, weights: usize, value: Value) {
        let inputs = &self.facts.node(id).inputs[..inputs];
        self.step(kernel, inputs, id, &[StepNode { id, rule: None }], weights);
        self.settle(id, &[], value);
    }

    /// Makes a step of a layer with all that joined it, which have its value.
    fn layer(&mut self, kernel: StepKernel, layer: &Layer<'g>, value: Value, weights: usize) {
        let input = self.facts.node(layer.first()).inputs[0];
        self.step(kernel, &[input], layer.last(), &layer.nodes, weights);
        self.settle(layer.last(), &layer.nodes, value);
    }

    /// Says where a node's value is that was computed in floats, which becomes bytes if it is on a grid; the nodes before
    /// it have the same.
    fn settle(&mut self, id: NodeId, joined: &[StepNode], value: Value) {
        let quantized = self.facts.quantized.filter(|quantized| quantized.grid(id).is_some());
        let value = match quantized {
            Some(quantized) => self.quantize(quantized, id, &value),
            None => value,
        };
        joined.iter().for_each(|node| self.values.set(node.id, value.clone()));
        self.values.set(id, value);
    }

    /// A node's value in floats.
    fn real(&mut self, id: NodeId) -> Value {
        let Some(quantized) = self.facts.quantized.filter(|quantized| quantized.grid(id).is_some()) else {
            return self.values.of(id).clone();
        };
        if self.reals.get(id).is_none() {
            let value = self.dequantize(quantized, id);
            self.reals.set(id, value);
        }
        self.reals.of(id).clone()
    }

    /// As [`Builder::real`], in one row of slots.
    fn real_row(&mut self, id: NodeId) -> Value {
        let value = self.real(id);
        self.row(id, value)
    }

    /// A node's value in one row of slots; copied there if need be.
    fn row(&mut self, id: NodeId, value: Value) -> Value {
        let runs = runs(&value);
        if runs.len() == 1 {
            return value;
        }
        let stored = StepValue { element: self.buffers.element(&value), ..self.facts.real(id) };
        let copy = self.buffers.add(stored);
        for run in runs {
            let (from, to) = (value[run.clone()].to_vec(), copy[run].to_vec());
            let same = match (stored.element, self.facts.quantized) {
                (Element::U8, Some(quantized)) => Work::Bytes(quantized, ByteWork::Copy { id }),
                _ => Work::Plain(Plain::Activation(kernels::Activation::None)),
            };
            self.call(same, vec![from], [0, 0], to);
        }
        self.step_of(StepKernel::Copy, vec![stored], (id, stored.element), &[], 0);
        copy
    }

    /// A call for every piece of a node's input that lies together, of a window that reaches `pad` columns over the edges;
    /// `work` gets a piece's channels. Where the value's channels then lie.
    fn by_piece(
        &mut self,
        input: &Value,
        output: &Value,
        pad: [usize; 2],
        work: impl Fn(Vec<usize>) -> Work<'g>,
    ) -> Value {
        let mut value = output.clone();
        let mut next = 0;
        for channels in pieces(input) {
            let from = picked(input, &channels);
            let to = output[next..next + channels.len()].to_vec();
            channels.iter().zip(&to).for_each(|(&c, &place)| value[c] = place);
            next += channels.len();
            self.call(work(channels), vec![from], pad, to);
        }
        value
    }

    /// A step that does the same to every channel.
    fn channelwise(
        &mut self,
        id: NodeId,
        kernel: StepKernel,
        weights: usize,
        work: impl Fn(Vec<usize>) -> Work<'g>,
    ) {
        let input = self.real(self.facts.node(id).inputs[0]);
        let output = self.allocate_real(id);
        let value = self.by_piece(&input, &output, [0, 0], work);
        self.alone(id, kernel, 1, weights, value);
    }

    /// A step that needs its first `inputs` inputs in one row of slots each.
    fn whole(&mut self, id: NodeId, kernel: StepKernel, inputs: usize, plain: Plain) {
        let facts = self.facts;
        let values = facts.node(id).inputs[..inputs].iter().map(|&input| self.real_row(input)).collect();
        let output = self.allocate_real(id);
        self.call(Work::Plain(plain), values, [0, 0], output.clone());
        self.alone(id, kernel, inputs, 0, output);
    }

    fn affine(&mut self, id: NodeId, kernel: StepKernel, affine: Affine<'g>) {
        let outputs = self.facts.map(id)[0];
        self.channelwise(id, kernel, 2 * outputs, |channels| Work::Affine { affine, channels });
    }

    /// A node that moves no data becomes part of the step after which its value is there.
    fn view(&mut self, id: NodeId, node: &Node) {
        let is_byte = self.facts.grid(id).is_some();
        let place = |&input: &NodeId| if is_byte { self.values.of(input).clone() } else { self.real(input) };
        let inputs: Vec<Value> = node.inputs.iter().map(place).collect();
        let view = rules::view(&inputs, node);
        let (rule, value) = view.expect("every operator without arithmetic is a view");
        self.values.set(id, value);
        let view = StepNode { id, rule: Some(rule) };
        let producer = node.inputs.iter().filter_map(|input| self.producers[input.0]).max();
        self.producers[id.0] = producer;
        producer.map_or(&mut self.image_views, |step| &mut self.steps[step].nodes).push(view);
    }
}

fn pooling(pool: &Pool, [_, height, width]: [usize; 3]) -> (Window, Plain) {
    let pads = shape::pad_amounts(pool.padding, [height, width], pool.kernel, pool.stride, [1, 1]);
    let pooling = match pool.kind {
        PoolKind::Max => Pooling::Max,
        PoolKind::Avg => Pooling::Mean { count_pad: pool.count_include_pad },
    };
    let pad = pads.map(|[before, _]| before);
    let window = Window { kernel: pool.kernel, stride: pool.stride, dilation: [1, 1], pad };
    (window, Plain::Pool { pooling, window, end_pad: pads.map(|[_, after]| after) })
}
