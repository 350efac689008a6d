//! From nodes to steps: which kernels are called, in which order, on which values.

use std::ops::Range;
use std::rc::Rc;

use cygnet_graph::{Conv, Node, NodeId, Op, Pool, PoolKind, shape};
use cygnet_kernels::{self as kernels, Binary, Element, Plain, Pooling, Window};

use super::facts::Facts;
use super::key::{Sliding, StepKernel, StepKey, StepValue};
use super::outline::PlanStep;
use super::places::{Buffers, Value, Values, picked, pieces, runs};
use super::rules::{self, Affine, Layer, Rule, StepNode, fuse};
use crate::{RunError, kernel_activation};

/// A graph that needs more calls is refused: its channels lie in too many pieces.
const MOST_CALLS: usize = 1 << 17;

/// Most numbers of rows between a convolution and the depthwise one that works on them as they come.
const MOST_BETWEEN: usize = 1 << 22;

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
    /// Some channels of a depthwise layer.
    Depthwise { layer: Rc<Layer<'g>>, window: Window, channels: Vec<usize>, of: usize },
    /// Two layers; `between` is the shape of the map between them and the columns that windows reach over its edges.
    Pair { layers: Rc<[Layer<'g>; 2]>, windows: [Window; 2], between: ([usize; 3], [usize; 2]) },
    /// A factor and a term for each of some channels.
    Affine { affine: Affine<'g>, channels: Vec<usize> },
    /// An operator without parameters.
    Plain(Plain),
}

/// The steps of a graph.
pub(super) struct Steps<'g> {
    pub(super) steps: Vec<PlanStep>,
    /// The calls of all steps.
    pub(super) calls: Vec<Call<'g>>,
    pub(super) buffers: Buffers,
    /// Numbers of packed weights, about.
    pub(super) packed: u64,
    pub(super) image: Value,
    pub(super) output: Value,
    /// The graph's outputs but for the first, then its features, if they are wanted.
    pub(super) kept: Vec<Value>,
}

struct Builder<'f, 'g> {
    facts: &'f Facts<'g>,
    values: Values,
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
        values: Values::new(count),
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
    let output = builder.contiguous(facts.graph.output());
    let Builder { values, mut buffers, calls, packed, mut steps, image_views, .. } = builder;
    if calls.len() > MOST_CALLS {
        return Err(RunError::Calls { graph: facts.graph.name().into(), limit: MOST_CALLS });
    }
    buffers.keep(&output, calls.len());
    let [kept @ .., _] = &facts.wanted[..] else { unreachable!("the output is always wanted") };
    let kept: Vec<Value> = kept.iter().filter_map(|&id| values.get(id).cloned()).collect();
    kept.iter().for_each(|value| buffers.keep(value, calls.len()));
    steps.iter_mut().take(1).for_each(|first| first.nodes.extend(image_views.iter()));
    let image = facts.order.first().and_then(|&image| values.get(image).cloned()).unwrap_or_default();
    Ok(Steps { steps, calls, buffers, packed, image, output, kept })
}

impl<'g> Builder<'_, 'g> {
    fn node(&mut self, id: NodeId, node: &'g Node) {
        match &node.op {
            Op::Input => {
                let [channels, height, width] = self.facts.graph.input_shape();
                let plane = StepValue { shape: [1, height, width], element: Element::F32 };
                let planes: Value = (0..channels).map(|_| self.buffers.add(plane)[0]).collect();
                self.buffers.write(&planes, 0);
                self.values.set(id, planes);
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

    /// Makes a step of the calls since the last one, with the shape of what it writes and its numbers of weights.
    fn step(
        &mut self,
        kernel: StepKernel,
        inputs: &[NodeId],
        output: NodeId,
        nodes: &[StepNode],
        weights: usize,
    ) {
        let [bytes_read, bytes_written] = std::mem::take(&mut self.traffic);
        let start = self.steps.last().map_or(0, |step| step.calls.end);
        let calls = start..self.calls.len();
        nodes.iter().for_each(|node| self.producers[node.id.0] = Some(self.steps.len()));
        let facts = self.facts;
        self.steps.push(PlanStep {
            key: StepKey {
                kernel,
                inputs: inputs.iter().map(|&input| facts.value(input)).collect(),
                output: facts.value(output),
                calls: calls.len(),
            },
            nodes: nodes.to_vec(),
            shape: facts.node(output).shape.clone(),
            macs: nodes.iter().map(|node| facts.graph.node_cost(node.id).macs).sum(),
            bytes_read,
            bytes_written,
            weight_bytes: (weights * size_of::<f32>()) as u64,
            calls,
        });
    }

    /// Makes a step of one node alone.
    fn alone(&mut self, id: NodeId, kernel: StepKernel, inputs: usize, weights: usize) {
        let inputs = &self.facts.node(id).inputs[..inputs];
        self.step(kernel, inputs, id, &[StepNode { id, rule: None }], weights);
    }

    /// Makes a step of a layer with all that joined it, which have its value.
    fn layer(&mut self, kernel: StepKernel, layer: &Layer<'g>, value: &Value, weights: usize) {
        layer.nodes.iter().for_each(|node| self.values.set(node.id, value.clone()));
        let input = self.facts.node(layer.first()).inputs[0];
        self.step(kernel, &[input], layer.last(), &layer.nodes, weights);
    }

    /// The value's places in one row of slots; copied there if need be.
    fn contiguous(&mut self, id: NodeId) -> Value {
        let value = self.values.of(id).clone();
        let runs = runs(&value);
        if runs.len() == 1 {
            return value;
        }
        let copy = self.buffers.add(self.facts.value(id));
        for run in runs {
            let (from, to) = (value[run.clone()].to_vec(), copy[run].to_vec());
            let same = Work::Plain(Plain::Activation(kernels::Activation::None));
            self.call(same, vec![from], [0, 0], to);
        }
        self.step(StepKernel::Copy, &[id], id, &[], 0);
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
        let input = self.values.of(self.facts.node(id).inputs[0]).clone();
        let output = self.allocate(id);
        let value = self.by_piece(&input, &output, [0, 0], work);
        self.alone(id, kernel, 1, weights);
        self.values.set(id, value);
    }

    /// A step that needs its first `inputs` inputs in one row of slots each.
    fn whole(&mut self, id: NodeId, kernel: StepKernel, inputs: usize, plain: Plain) {
        let facts = self.facts;
        let values = facts.node(id).inputs[..inputs].iter().map(|&input| self.contiguous(input)).collect();
        let output = self.allocate(id);
        self.call(Work::Plain(plain), values, [0, 0], output.clone());
        self.alone(id, kernel, inputs, 0);
        self.values.set(id, output);
    }

    fn affine(&mut self, id: NodeId, kernel: StepKernel, affine: Affine<'g>) {
        let outputs = self.facts.map(id)[0];
        self.channelwise(id, kernel, 2 * outputs, |channels| Work::Affine { affine, channels });
    }

    /// A node that moves no data becomes part of the step after which its value is there.
    fn view(&mut self, id: NodeId, node: &Node) {
        let view = rules::view(&self.values, node);
        let (rule, value) = view.expect("every operator without arithmetic is a view");
        self.values.set(id, value);
        let view = StepNode { id, rule: Some(rule) };
        let producer = node.inputs.iter().filter_map(|input| self.producers[input.0]).max();
        self.producers[id.0] = producer;
        producer.map_or(&mut self.image_views, |step| &mut self.steps[step].nodes).push(view);
    }

    fn conv(&mut self, id: NodeId, conv: &Conv) {
        let (window, columns) = self.facts.window(id, conv);
        let is_depthwise = conv.is_depthwise(self.facts.input_map(id)[0]);
        let layer = fuse(self.facts, &self.values, StepNode { id, rule: None }, !is_depthwise);
        if is_depthwise {
            return self.depthwise(window, columns, conv.groups, layer);
        }
        let head = rules::pair_depthwise(self.facts, &layer).filter(|_| conv.groups == 1);
        match head.filter(|head| self.fits_between(*head)) {
            Some(head) => self.pair(window, columns, layer, head),
            None => self.dense(window, columns, conv.groups, layer),
        }
    }

    /// Whether the rows that a depthwise convolution's window spans are few enough to be kept by each thread.
    fn fits_between(&self, head: StepNode) -> bool {
        let Op::Conv(conv) = &self.facts.node(head.id).op else { return false };
        let (window, columns) = self.facts.window(head.id, conv);
        let rows = (window.kernel[0] - 1).saturating_mul(window.dilation[0]).saturating_add(1);
        let width = self.facts.input_map(head.id)[2].saturating_add(columns[0] + columns[1]);
        rows.saturating_mul(width) <= MOST_BETWEEN / (4 * self.facts.options.level.lanes())
    }

    /// Counts weights that are packed: `each` for every output, whole vectors of outputs.
    fn pack(&mut self, groups: usize, outputs: usize, each: usize) {
        let outputs = outputs.next_multiple_of(self.facts.options.level.lanes());
        let packed = [groups, outputs, each].into_iter().fold(1u64, |all, n| all.saturating_mul(n as u64));
        self.packed = self.packed.saturating_add(packed);
    }

    /// A convolution and the depthwise one that reads it.
    fn pair(&mut self, window: Window, pad: [usize; 2], dense: Layer<'g>, head: StepNode) {
        let facts = self.facts;
        let Op::Conv(conv) = &facts.node(head.id).op else { unreachable!("pairs end with a convolution") };
        let (second, columns) = facts.window(head.id, conv);
        let depthwise = fuse(facts, &self.values, head, false);
        let (source, last) = (facts.node(dense.first()).inputs[0], depthwise.last());
        let input = self.values.of(source).clone();
        let output = self.allocate(last);
        let shape = facts.map(dense.last());
        let [taps, depthwise_taps] = [window, second].map(|window| window.kernel[0] * window.kernel[1]);
        let weights = shape[0] * (input.len() * taps + 1) + shape[0] * (depthwise_taps + 1);
        self.pack(1, shape[0], input.len() * taps);
        self.pack(1, shape[0], depthwise_taps);
        let kernel = StepKernel::Pair {
            dense: sliding(window, 1, &dense),
            depthwise: sliding(second, conv.groups, &depthwise),
        };
        let nodes = [&dense.nodes[..], &depthwise.nodes].concat();
        let layers = Rc::new([dense, depthwise]);
        let work = Work::Pair { layers, windows: [window, second], between: (shape, columns) };
        self.call(work, vec![input], pad, output.clone());
        nodes.iter().for_each(|node| self.values.set(node.id, output.clone()));
        self.step(kernel, &[source], last, &nodes, weights);
    }

    fn linear(&mut self, id: NodeId) {
        let [_, height, width] = self.facts.input_map(id);
        let window = Window { kernel: [height, width], ..Window::POINT };
        let head = StepNode { id, rule: Some(Rule::LinearAsConv) };
        let layer = fuse(self.facts, &self.values, head, true);
        self.dense(window, [0, 0], 1, layer);
    }

    fn dense(&mut self, window: Window, pad: [usize; 2], groups: usize, layer: Layer<'g>) {
        let facts = self.facts;
        let input = self.values.of(facts.node(layer.first()).inputs[0]).clone();
        let output = self.allocate(layer.last());
        let residual = layer.residual.map(|other| self.values.of(other).clone());
        let (inputs, all) = (input.len() / groups, output.len());
        let outputs = all / groups;
        let [_, height, width] = facts.map(layer.last());
        let is_winograd = !facts.options.strict
            && pieces(&input).len() == 1
            && groups == 1
            && kernels::Winograd::pays(&window, inputs, outputs, [height, width]);
        let taps = window.kernel[0] * window.kernel[1];
        self.pack(groups, outputs, if is_winograd { 4 } else { 1 } * inputs * taps);
        let sliding = sliding(window, groups, &layer);
        let kernel = if matches!(facts.node(layer.first()).op, Op::Linear { .. }) {
            StepKernel::Linear(sliding)
        } else if is_winograd {
            StepKernel::Winograd(sliding)
        } else {
            StepKernel::Conv(sliding)
        };
        let layer = Rc::new(layer);
        for group in 0..groups {
            let range = group * outputs..(group + 1) * outputs;
            let from = input[group * inputs..][..inputs].to_vec();
            let term = residual.as_ref().map(|value| value[range.clone()].to_vec());
            let to = output[range.clone()].to_vec();
            let layer = Rc::clone(&layer);
            let work = match is_winograd {
                true => Work::Winograd { layer, window },
                false => Work::Dense { layer, window, outputs: range, of: all },
            };
            self.call(work, [from].into_iter().chain(term).collect(), pad, to);
        }
        self.layer(kernel, &layer, &output, all * (inputs * taps + 1));
    }

    fn depthwise(&mut self, window: Window, pad: [usize; 2], groups: usize, layer: Layer<'g>) {
        let input = self.values.of(self.facts.node(layer.first()).inputs[0]).clone();
        let output = self.allocate(layer.last());
        let taps = window.kernel[0] * window.kernel[1];
        self.pack(1, input.len(), taps);
        let kernel = StepKernel::Depthwise(sliding(window, groups, &layer));
        let (layer, of) = (Rc::new(layer), input.len());
        let value = self.by_piece(&input, &output, pad, |channels| Work::Depthwise {
            layer: Rc::clone(&layer),
            window,
            channels,
            of,
        });
        self.layer(kernel, &layer, &value, of * (taps + 1));
    }
}

fn sliding(window: Window, groups: usize, layer: &Layer<'_>) -> Sliding {
    Sliding { window, groups, adds: layer.residual.is_some(), activation: layer.activation }
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
