//! Lowering: a graph's forward and backward steps over one arena.
//!
//! Values lie channels last. Concatenations and slices are views where that is possible. What a batch norm and an
//! activation make of a convolution's output is not written to memory if the one reader is a convolution: it is computed
//! again whenever it is read, and its gradient likewise.

mod facts;
mod memory;

use cygnet_graph::{BatchNorm, Conv, Graph, Node, NodeId, Op, Pool, PoolKind, Role, shape};
use cygnet_kernels::Pooling as PoolingKind;
use cygnet_kernels::gradient::{self as steps, Gradient, Norm, Sink, Source, Step, View};
use cygnet_runtime::kernel_activation;

use crate::{EngineOptions, TrainError};
use facts::Facts;
pub(crate) use facts::Mode;
use memory::{Buffer, Memory};

/// A value in memory, channels last.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Tensor {
    buffer: Buffer,
    channel: usize,
    stride: usize,
    shape: [usize; 3],
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Value {
    Real(Tensor),
    /// What a group makes of its norm's input, as it is read.
    Virtual(usize),
}

/// What a group keeps between the passes.
#[derive(Clone, Copy, Debug)]
struct NormState {
    vectors: Buffer,
    spacing: usize,
}

/// A step list with the sizes it needs.
pub(crate) struct Plan {
    pub(crate) steps: Vec<Step>,
    pub(crate) arena: usize,
    /// Where the logits lie: offset, and distance of images.
    pub(crate) logits: [usize; 2],
    pub(crate) classes: usize,
}

struct Lowering<'a> {
    graph: &'a Graph,
    options: &'a EngineOptions,
    mode: Mode,
    facts: &'a Facts,
    /// For each parameter, whether its gradient is wanted.
    trainable: &'a [bool],
    /// For each node, the number of its first parameter.
    first_param: &'a [usize],
    memory: &'a mut Memory,
    steps: Vec<Step>,
    values: Vec<Option<Value>>,
    /// Where in a concatenation a node writes its value.
    homes: Vec<Option<(usize, usize)>>,
    gradients: Vec<Option<Tensor>>,
    norms: Vec<Option<NormState>>,
    /// Sums that a reader left for a group's backward pass, and their number.
    sums: Vec<Option<(Buffer, usize)>>,
    moments: Vec<Option<(Buffer, usize, usize)>>,
    /// A sum's side after stochastic depth.
    dropped: Vec<Option<Tensor>>,
    /// A linear layer's input as a vector, where it was a map.
    flat: Vec<Option<Tensor>>,
}

/// Makes the plan of a graph; `trainable` tells for each parameter whether its gradient is wanted.
pub(crate) fn plan(
    graph: &Graph,
    options: &EngineOptions,
    mode: Mode,
    trainable: &[bool],
) -> Result<Plan, TrainError> {
    let facts = Facts::new(graph, options, mode, trainable);
    let output = graph.node(NodeId(facts.output));
    if output.shape.iter().skip(1).any(|&n| n != 1) {
        return Err(TrainError::Output { graph: graph.name().into(), shape: output.shape.clone() });
    }
    let mut first_param = vec![0; graph.nodes().len() + 1];
    for param in graph.params() {
        first_param[param.node.0 + 1] += 1;
    }
    for i in 0..graph.nodes().len() {
        first_param[i + 1] += first_param[i];
    }
    let mut memory = Memory::default();
    let run = |memory: &mut Memory| {
        let n = graph.nodes().len();
        let lowering = Lowering {
            graph,
            options,
            mode,
            facts: &facts,
            trainable,
            first_param: &first_param,
            memory,
            steps: Vec::new(),
            values: vec![None; n],
            homes: vec![None; n],
            gradients: vec![None; n],
            norms: vec![None; facts.groups.len()],
            sums: vec![None; facts.groups.len()],
            moments: vec![None; facts.groups.len()],
            dropped: vec![None; n],
            flat: vec![None; n],
        };
        lowering.lower()
    };
    run(&mut memory)?;
    let too_large = |bytes| TrainError::Memory { graph: graph.name().into(), batch: options.batch, bytes };
    let arena = memory.place().ok_or(too_large(u64::MAX))?;
    let (steps, logits) = run(&mut memory)?;
    Ok(Plan { steps, arena, logits: [logits.offset, logits.stride], classes: logits.channels })
}

fn map(shape: &[usize]) -> [usize; 3] {
    [shape[0], shape.get(1).copied().unwrap_or(1), shape.get(2).copied().unwrap_or(1)]
}

/// Distance of pixels: one that does not put many of them into the same sets of the first cache.
fn stride(channels: usize) -> usize {
    if channels >= 128 && channels.is_multiple_of(128) { channels + 16 } else { channels }
}

fn spacing(channels: usize) -> usize {
    channels.next_multiple_of(16)
}

impl Lowering<'_> {
    fn lower(mut self) -> Result<(Vec<Step>, View), TrainError> {
        self.find_homes();
        for i in 0..self.graph.nodes().len() {
            if self.facts.live[i] {
                self.forward(i)?;
            }
        }
        let logits = self.real(self.facts.output);
        match self.mode {
            Mode::Train => {
                let to = self.facts.needs[self.facts.output].then(|| {
                    let to = self.fresh(logits.shape);
                    self.gradients[self.facts.output] = Some(to);
                    to
                });
                let step = steps::Loss { logits: self.view(logits), to: to.map(|to| self.view(to)) };
                self.steps.push(Step::Loss(step));
                for i in (0..self.graph.nodes().len()).rev() {
                    if self.facts.live[i] && self.facts.needs[i] {
                        self.backward(i);
                    }
                }
            }
            Mode::Evaluate => {}
        }
        let view = self.view(logits);
        Ok((self.steps, view))
    }

    // Memory.

    fn tensor(&mut self, shape: [usize; 3], stride: usize) -> Tensor {
        let pixels = self.options.batch.saturating_mul(shape[1] * shape[2]);
        let buffer = self.memory.buffer(pixels.saturating_mul(stride));
        Tensor { buffer, channel: 0, stride, shape }
    }

    fn fresh(&mut self, shape: [usize; 3]) -> Tensor {
        let stride = if shape[1] * shape[2] == 1 { shape[0] } else { stride(shape[0]) };
        self.tensor(shape, stride)
    }

    /// Where a tensor lies; the next step uses it.
    fn view(&mut self, tensor: Tensor) -> View {
        let offset = self.memory.touch(tensor.buffer, self.steps.len()) + tensor.channel;
        let [channels, height, width] = tensor.shape;
        View { offset, images: self.options.batch, height, width, channels, stride: tensor.stride }
    }

    /// Where a buffer lies; the next step uses it.
    fn place(&mut self, buffer: Buffer) -> usize {
        self.memory.touch(buffer, self.steps.len())
    }

    fn norm(&mut self, group: usize) -> Norm {
        let state = self.norms[group].expect("a norm's vectors are made before they are read");
        Norm { offset: self.place(state.vectors), spacing: state.spacing }
    }

    fn part(tensor: Tensor, start: usize, channels: usize) -> Tensor {
        let [_, height, width] = tensor.shape;
        Tensor { channel: tensor.channel + start, shape: [channels, height, width], ..tensor }
    }

    // Values.

    fn shape(&self, i: usize) -> [usize; 3] {
        map(&self.graph.nodes()[i].shape)
    }

    fn real(&self, i: usize) -> Tensor {
        match self.values[i] {
            Some(Value::Real(tensor)) => tensor,
            Some(Value::Virtual(_)) | None => unreachable!("only convolutions read what is not in memory"),
        }
    }

    fn source(&mut self, i: usize) -> Source {
        match self.values[i] {
            Some(Value::Virtual(group)) => self.group_source(group),
            Some(Value::Real(_)) | None => {
                let tensor = self.real(i);
                Source::plain(self.view(tensor))
            }
        }
    }

    fn group_source(&mut self, group: usize) -> Source {
        let y = self.real(self.facts.inputs[self.facts.groups[group].norm][0]);
        let activation = self.facts.groups[group].activation;
        Source { view: self.view(y), norm: Some(self.norm(group)), activation }
    }

    /// Where a node writes its value.
    fn output(&mut self, i: usize) -> Tensor {
        let tensor = match self.homes[i] {
            Some((concat, start)) => {
                let whole = match self.values[concat] {
                    Some(Value::Real(whole)) => whole,
                    Some(Value::Virtual(_)) | None => self.output(concat),
                };
                Lowering::part(whole, start, self.shape(i)[0])
            }
            None => self.fresh(self.shape(i)),
        };
        self.values[i] = Some(Value::Real(tensor));
        tensor
    }

    /// Gives inputs of concatenations their part of one buffer.
    fn find_homes(&mut self) {
        let nodes = self.graph.nodes();
        for i in (0..nodes.len()).rev() {
            if !self.facts.live[i] || nodes[i].op != Op::Concat || self.facts.in_parts[i] {
                continue;
            }
            let mut start = 0;
            for &input in &self.facts.inputs[i] {
                let is_view = match &nodes[input].op {
                    Op::Input | Op::Slice { .. } => true,
                    Op::Concat => self.facts.in_parts[input],
                    Op::Conv(_)
                    | Op::BatchNorm(_)
                    | Op::Activation { .. }
                    | Op::Pool(_)
                    | Op::GlobalAvgPool
                    | Op::LocalResponseNorm(_)
                    | Op::Add
                    | Op::Mul
                    | Op::Scale { .. }
                    | Op::ChannelShuffle { .. }
                    | Op::UpsampleLike
                    | Op::Linear { .. }
                    | Op::Dropout { .. }
                    | Op::Softmax => false,
                };
                if !is_view && self.homes[input].is_none() {
                    self.homes[input] = Some((i, start));
                }
                start += self.shape(input)[0];
            }
        }
    }

    // Parameters.

    /// The node's parameters: weight, bias.
    fn weight_and_bias(&self, i: usize) -> (usize, Option<usize>) {
        let first = self.first_param[i];
        (first, (self.first_param[i + 1] > first + 1).then_some(first + 1))
    }

    fn wanted(&self, param: usize) -> Option<usize> {
        self.trainable[param].then_some(param)
    }

    /// A norm's parameters: scale, shift, running mean and variance.
    fn norm_params(&self, i: usize) -> (Option<usize>, usize, usize, usize) {
        let roles: Vec<Role> = self.graph.node_params(NodeId(i)).iter().map(|param| param.role).collect();
        let first = self.first_param[i];
        let scale = roles.contains(&Role::NormWeight);
        let next = first + usize::from(scale);
        (scale.then_some(first), next, next + 1, next + 2)
    }

    fn is_frozen(&self) -> bool {
        self.options.frozen_batch_norm || self.mode == Mode::Evaluate
    }

    // Forward.

    fn forward(&mut self, i: usize) -> Result<(), TrainError> {
        let graph = self.graph;
        let node = &graph.nodes()[i];
        if let Some(group) = self.facts.group[i] {
            if self.facts.group_of_last[i] == Some(group) {
                self.group_forward(group)?;
            }
            return Ok(());
        }
        let inputs = &self.facts.inputs[i];
        match &node.op {
            Op::Input => {
                let to = self.tensor(self.shape(i), self.shape(i)[0]);
                self.values[i] = Some(Value::Real(to));
                let step = steps::Import { to: self.view(to) };
                self.steps.push(Step::Import(step));
            }
            Op::Conv(_) | Op::Linear { .. } => self.conv_forward(i, node),
            Op::BatchNorm(_) => unreachable!("a batch norm lies in a group"),
            Op::Activation { function: f } => {
                if !self.facts.joins[i] {
                    let (x, to) = (self.real(inputs[0]), self.output(i));
                    let step = steps::Elementwise::Activate {
                        x: self.view(x),
                        to: self.view(to),
                        activation: kernel_activation(*f),
                    };
                    self.steps.push(Step::Elementwise(step));
                }
            }
            Op::Pool(_) | Op::GlobalAvgPool => {
                let (x, y) = (self.real(inputs[0]), self.output(i));
                self.pooling(node, x, y, None);
            }
            Op::LocalResponseNorm(_) | Op::UpsampleLike | Op::Softmax => {
                let (x, y) = (self.real(inputs[0]), self.output(i));
                let step =
                    steps::Plain { op: plain(&node.op), x: self.view(x), y: self.view(y), backward: None };
                self.steps.push(Step::Plain(step));
            }
            Op::Add | Op::Mul => {
                let mut sides = [self.real(inputs[0]), self.real(inputs[1])];
                if let Some((side, rate)) = self.facts.drop[i] {
                    let to = self.fresh(sides[side].shape);
                    let x = sides[side];
                    self.mask(x, to, rate, i, true, false);
                    self.dropped[i] = Some(to);
                    sides[side] = to;
                }
                let to = self.output(i);
                let [a, b, to] = [sides[0], sides[1], to].map(|tensor| self.view(tensor));
                let step = if node.op == Op::Add {
                    steps::Binary::Add { a, b, to }
                } else {
                    steps::Binary::Mul { a, b, to }
                };
                self.steps.push(Step::Binary(step));
            }
            Op::Scale { scale, shift } => {
                let (x, to) = (self.real(inputs[0]), self.output(i));
                let step = steps::Elementwise::Affine {
                    x: self.view(x),
                    to: self.view(to),
                    scale: each_channel(scale, x.shape[0]),
                    shift: each_channel(shift, x.shape[0]),
                    accumulate: false,
                };
                self.steps.push(Step::Elementwise(step));
            }
            Op::Concat => {
                if self.facts.in_parts[i] {
                    return Ok(());
                }
                let whole = match self.values[i] {
                    Some(Value::Real(whole)) => whole,
                    Some(Value::Virtual(_)) | None => self.output(i),
                };
                let mut start = 0;
                for &input in inputs {
                    let x = self.real(input);
                    let to = Lowering::part(whole, start, x.shape[0]);
                    if x != to {
                        self.copy(x, to, false);
                    }
                    start += x.shape[0];
                }
            }
            Op::Slice { start, len } => {
                let x = self.real(inputs[0]);
                self.values[i] = Some(Value::Real(Lowering::part(x, *start, *len)));
            }
            Op::ChannelShuffle { groups } => {
                let (parts, sources) = self.shuffle(i, *groups);
                let whole = self.output(i);
                let parts = parts.into_iter().map(|part| self.real(part)).collect::<Vec<_>>();
                let step = steps::Gather {
                    parts: parts.into_iter().map(|part| Some(self.view(part))).collect(),
                    sources,
                    whole: self.view(whole),
                    backward: None,
                };
                self.steps.push(Step::Gather(step));
            }
            Op::Dropout { rate } => {
                let (x, to) = (self.real(inputs[0]), self.output(i));
                self.mask(x, to, *rate, i, false, false);
            }
        }
        Ok(())
    }

    /// The nodes whose channels a shuffle reads, and for each of its channels where it comes from.
    fn shuffle(&self, i: usize, groups: usize) -> (Vec<usize>, Vec<[usize; 2]>) {
        let input = self.facts.inputs[i][0];
        let parts = if self.facts.in_parts[input] { self.facts.inputs[input].clone() } else { vec![input] };
        let channels: Vec<[usize; 2]> = parts
            .iter()
            .enumerate()
            .flat_map(|(part, &node)| (0..self.shape(node)[0]).map(move |c| [part, c]))
            .collect();
        let each = channels.len() / groups;
        let sources = (0..channels.len()).map(|c| channels[c % groups * each + c / groups]).collect();
        (parts, sources)
    }

    fn copy(&mut self, x: Tensor, to: Tensor, accumulate: bool) {
        let step = steps::Elementwise::Derive {
            g: self.view(x),
            x: self.view(x),
            to: self.view(to),
            activation: cygnet_kernels::Activation::None,
            accumulate,
        };
        self.steps.push(Step::Elementwise(step));
    }

    fn mask(&mut self, x: Tensor, to: Tensor, rate: f32, node: usize, whole: bool, accumulate: bool) {
        let mask = steps::Mask { rate, stream: node as u64, whole };
        let step = steps::Elementwise::Mask { x: self.view(x), to: self.view(to), mask, accumulate };
        self.steps.push(Step::Elementwise(step));
    }

    fn pooling(&mut self, node: &Node, x: Tensor, y: Tensor, backward: Option<(Tensor, bool)>) {
        let [_, height, width] = x.shape;
        let window = |kernel, stride, pads: [[usize; 2]; 2]| steps::Window {
            kernel,
            stride,
            pad: [pads[0][0], pads[1][0]],
            end_pad: [pads[0][1], pads[1][1]],
        };
        let (kind, window) = match &node.op {
            Op::Pool(pool) => {
                let &Pool { kind, kernel, stride, padding, count_include_pad, .. } = pool;
                let pads = shape::pad_amounts(padding, [height, width], kernel, stride, [1, 1]);
                let kind = match kind {
                    PoolKind::Max => PoolingKind::Max,
                    PoolKind::Avg => PoolingKind::Mean { count_pad: count_include_pad },
                };
                (kind, window(kernel, stride, pads))
            }
            Op::GlobalAvgPool => {
                (PoolingKind::Mean { count_pad: false }, window([height, width], [1, 1], [[0; 2]; 2]))
            }
            Op::Input
            | Op::Conv(_)
            | Op::BatchNorm(_)
            | Op::Activation { .. }
            | Op::LocalResponseNorm(_)
            | Op::Add
            | Op::Mul
            | Op::Scale { .. }
            | Op::Concat
            | Op::Slice { .. }
            | Op::ChannelShuffle { .. }
            | Op::UpsampleLike
            | Op::Linear { .. }
            | Op::Dropout { .. }
            | Op::Softmax => unreachable!("not a pooling"),
        };
        let backward = backward.map(|(to, accumulate)| (self.view(to), accumulate));
        let step = steps::Pooling { kind, window, x: self.view(x), y: self.view(y), backward };
        self.steps.push(Step::Pooling(step));
    }

    /// A convolution's or linear layer's geometry and output channels.
    fn geometry(&self, i: usize) -> (steps::Geometry, usize) {
        match &self.graph.nodes()[i].op {
            Op::Conv(conv) => {
                let &Conv { out, kernel, stride, dilation, groups, .. } = conv;
                let [_, height, width] = self.shape(self.facts.inputs[i][0]);
                let pads = shape::pad_amounts(conv.set_padding(), [height, width], kernel, stride, dilation);
                let pad = [pads[0][0], pads[1][0]];
                let mut geometry = steps::Geometry { kernel, stride, pad, dilation, groups };
                let [_, out_height, out_width] = self.shape(i);
                if kernel == [1, 1] && pad == [0, 0] && [out_height, out_width] == [height, width] {
                    geometry.stride = [1, 1];
                }
                (geometry, out)
            }
            Op::Linear { out, .. } => (steps::Geometry::POINT, *out),
            Op::Input
            | Op::BatchNorm(_)
            | Op::Activation { .. }
            | Op::Pool(_)
            | Op::GlobalAvgPool
            | Op::LocalResponseNorm(_)
            | Op::Add
            | Op::Mul
            | Op::Scale { .. }
            | Op::Concat
            | Op::Slice { .. }
            | Op::ChannelShuffle { .. }
            | Op::UpsampleLike
            | Op::Dropout { .. }
            | Op::Softmax => unreachable!("not a convolution"),
        }
    }

    fn is_depthwise(&self, i: usize) -> bool {
        let (geometry, out) = self.geometry(i);
        let channels = self.shape(self.facts.inputs[i][0])[0];
        geometry.groups > 1 && geometry.groups == channels && channels == out
    }

    fn pack(&mut self, i: usize, form: steps::PackForm) -> Buffer {
        let (geometry, out) = self.geometry(i);
        let (weight, _) = self.weight_and_bias(i);
        let inner = self.input_channels(i) / geometry.groups;
        let mut pack = steps::Pack { weight, out, inner, geometry, form, to: 0, level: self.options.level };
        let buffer = self.memory.buffer(pack.len());
        pack.to = self.place(buffer);
        self.steps.push(Step::Pack(pack));
        buffer
    }

    /// Channels that a convolution or linear layer reads.
    fn input_channels(&self, i: usize) -> usize {
        let shape = self.shape(self.facts.inputs[i][0]);
        let is_linear = matches!(self.graph.nodes()[i].op, Op::Linear { .. });
        if is_linear { shape.iter().product() } else { shape[0] }
    }

    /// A convolution's input.
    fn conv_source(&mut self, i: usize) -> Source {
        match self.flat[i] {
            Some(flat) => Source::plain(self.view(flat)),
            None => self.source(self.facts.inputs[i][0]),
        }
    }

    fn conv_forward(&mut self, i: usize, node: &Node) {
        let input = self.facts.inputs[i][0];
        if matches!(node.op, Op::Linear { .. }) && self.shape(input)[1] * self.shape(input)[2] > 1 {
            let x = self.real(input);
            let y = self.fresh([self.shape(input).iter().product(), 1, 1]);
            let step = steps::Plain {
                op: steps::PlainOp::Flatten,
                x: self.view(x),
                y: self.view(y),
                backward: None,
            };
            self.steps.push(Step::Plain(step));
            self.flat[i] = Some(y);
        }
        let depthwise = self.is_depthwise(i);
        let packed =
            self.pack(i, if depthwise { steps::PackForm::Depthwise } else { steps::PackForm::Forward });
        let (geometry, _) = self.geometry(i);
        let (_, bias) = self.weight_and_bias(i);
        let (output, clamp) = match self.facts.clamp_after[i] {
            Some((after, limits)) => (self.output(after), Some(limits)),
            None => (self.output(i), None),
        };
        let view = self.view(output);
        let moments = match self.facts.group_after[i] {
            Some(group) if !self.is_frozen() => {
                let (blocks, unit) = if depthwise {
                    (steps::Depthwise::image_blocks(&view), view.pixels())
                } else {
                    (steps::Conv::row_blocks(&view), 1)
                };
                let spacing = spacing(view.channels);
                let buffer = self.memory.buffer(blocks * 2 * spacing);
                self.moments[group] = Some((buffer, blocks, unit));
                Some([self.place(buffer), spacing])
            }
            Some(_) | None => None,
        };
        let source = self.conv_source(i);
        let packed = self.place(packed);
        self.steps.push(if depthwise {
            let step = steps::Depthwise { source, output: view, geometry, packed, bias, clamp, moments };
            Step::Depthwise(Box::new(step))
        } else {
            Step::Conv(Box::new(steps::Conv { source, output: view, geometry, packed, bias, clamp, moments }))
        });
    }

    fn group_forward(&mut self, group: usize) -> Result<(), TrainError> {
        let facts = self.facts;
        let of = &facts.groups[group];
        let node = &self.graph.nodes()[of.norm];
        let Op::BatchNorm(BatchNorm { eps, .. }) = node.op else {
            unreachable!("a group begins with a batch norm")
        };
        let y = self.real(facts.inputs[of.norm][0]);
        let (channels, params) = (y.shape[0], self.norm_params(of.norm));
        let spacing = spacing(channels);
        let vectors = self.memory.buffer(Norm::VECTORS * spacing);
        self.norms[group] = Some(NormState { vectors, spacing });
        if self.is_frozen() {
            let step = steps::Freeze { channels, norm: self.norm(group), params, eps };
            self.steps.push(Step::Freeze(step));
        } else {
            let view = self.view(y);
            let rows = view.rows();
            if rows < 2 {
                return Err(TrainError::SingleValue { layer: node.path.clone() });
            }
            let (moments, blocks, unit) = self.moments[group].unwrap_or_else(|| {
                let blocks = steps::Moments::row_blocks(&view);
                let buffer = self.memory.buffer(blocks * 2 * spacing);
                let step = steps::Moments { view, to: self.place(buffer), spacing };
                self.steps.push(Step::Moments(step));
                (buffer, blocks, 1)
            });
            let step = steps::BatchNorm {
                moments: self.place(moments),
                blocks,
                unit,
                rows,
                channels,
                norm: self.norm(group),
                params,
                eps,
                momentum: self.options.batch_norm_momentum,
            };
            self.steps.push(Step::BatchNorm(step));
        }
        if of.is_virtual {
            self.values[of.last] = Some(Value::Virtual(group));
            return Ok(());
        }
        let output = self.output(of.last);
        let term = of.term.map(|term| self.real(term));
        let step = steps::Apply {
            source: self.group_source(group),
            term: term.map(|term| self.view(term)),
            output: self.view(output),
        };
        self.steps.push(Step::Apply(step));
        Ok(())
    }

    // Backward.

    /// Where a node's gradient goes, and whether something is there already.
    fn gradient(&mut self, i: usize) -> (Tensor, bool) {
        if let Some(tensor) = self.gradients[i] {
            return (tensor, true);
        }
        let tensor = match self.sliced(i) {
            Some((input, start)) => {
                let whole = match self.gradients[input] {
                    Some(whole) => whole,
                    None => {
                        let (whole, _) = self.gradient(input);
                        self.zero_gaps(input, whole);
                        whole
                    }
                };
                Lowering::part(whole, start, self.shape(i)[0])
            }
            None => self.fresh(self.shape(i)),
        };
        self.gradients[i] = Some(tensor);
        (tensor, false)
    }

    /// For a slice of a value that only slices without overlap read, what it is a slice of and from where.
    fn sliced(&self, i: usize) -> Option<(usize, usize)> {
        let Op::Slice { start, .. } = self.graph.nodes()[i].op else { return None };
        let input = self.facts.inputs[i][0];
        (input != self.facts.output && self.slices(input).is_some()).then_some((input, start))
    }

    /// The channels that a value's readers take, in order, if all are slices without overlap.
    fn slices(&self, input: usize) -> Option<Vec<[usize; 2]>> {
        let mut slices = Vec::new();
        for &reader in &self.facts.readers[input] {
            let Op::Slice { start, len } = self.graph.nodes()[reader].op else { return None };
            slices.push([start, start + len]);
        }
        slices.sort_unstable();
        slices.windows(2).all(|pair| pair[0][1] <= pair[1][0]).then_some(slices)
    }

    /// Zeros the channels of a gradient that no slice covers.
    fn zero_gaps(&mut self, input: usize, whole: Tensor) {
        let channels = self.shape(input)[0];
        let mut start = 0;
        let ends = self.slices(input).unwrap_or_default().into_iter().chain([[channels, channels]]);
        for [from, to] in ends {
            if from > start {
                let to = self.view(Lowering::part(whole, start, from - start));
                self.steps.push(Step::Elementwise(steps::Elementwise::Zero { to }));
            }
            start = to;
        }
    }

    /// Lets `i` have `tensor` as its gradient, or adds it to what is there.
    fn give(&mut self, i: usize, tensor: Tensor, may_share: bool) {
        if !self.facts.needs[i] {
            return;
        }
        if may_share && self.gradients[i].is_none() && self.sliced(i).is_none() {
            self.gradients[i] = Some(tensor);
            return;
        }
        let (to, accumulate) = self.gradient(i);
        self.copy(tensor, to, accumulate);
    }

    fn backward(&mut self, i: usize) {
        let graph = self.graph;
        let facts = self.facts;
        let node = &graph.nodes()[i];
        if let Some(group) = facts.group[i] {
            if facts.group_of_last[i] == Some(group) {
                self.group_backward(group);
            }
            return;
        }
        if matches!(node.op, Op::Conv(_) | Op::Linear { .. }) {
            return self.conv_backward(i);
        }
        let inputs = &facts.inputs[i];
        if facts.in_parts[i] || facts.joins[i] {
            return;
        }
        let Some(g) = self.gradients[i] else {
            unreachable!("a live node that needs a gradient has a reader that gives one")
        };
        match &node.op {
            Op::Input | Op::Conv(_) | Op::Linear { .. } | Op::BatchNorm(_) => {}
            Op::Activation { function: f } => {
                let x = self.real(inputs[0]);
                let in_place = self.gradients[inputs[0]].is_none() && self.sliced(inputs[0]).is_none();
                let (to, accumulate) = if in_place { (g, false) } else { self.gradient(inputs[0]) };
                self.gradients[inputs[0]] = Some(to);
                let step = steps::Elementwise::Derive {
                    g: self.view(g),
                    x: self.view(x),
                    to: self.view(to),
                    activation: kernel_activation(*f),
                    accumulate,
                };
                self.steps.push(Step::Elementwise(step));
            }
            Op::Pool(_) | Op::GlobalAvgPool => {
                let x = self.real(inputs[0]);
                let to = self.gradient(inputs[0]);
                self.pooling(node, x, g, Some(to));
            }
            Op::LocalResponseNorm(_) | Op::UpsampleLike | Op::Softmax => {
                if !facts.needs[inputs[0]] {
                    return;
                }
                let x = self.real(inputs[0]);
                let (to, accumulate) = self.gradient(inputs[0]);
                let step = steps::Plain {
                    op: plain(&node.op),
                    x: self.view(x),
                    y: self.view(g),
                    backward: Some((self.view(to), accumulate)),
                };
                self.steps.push(Step::Plain(step));
            }
            Op::Add => self.add_backward(i, g),
            Op::Mul => {
                for side in [0, 1] {
                    if !facts.needs[inputs[side]] {
                        continue;
                    }
                    let other = self.real(inputs[1 - side]);
                    let (to, accumulate) = self.gradient(inputs[side]);
                    let step = steps::Binary::Backward {
                        g: self.view(g),
                        other: Some(self.view(other)),
                        to: self.view(to),
                        accumulate,
                    };
                    self.steps.push(Step::Binary(step));
                }
            }
            Op::Scale { scale, .. } => {
                let (to, accumulate) = self.gradient(inputs[0]);
                let channels = g.shape[0];
                let step = steps::Elementwise::Affine {
                    x: self.view(g),
                    to: self.view(to),
                    scale: each_channel(scale, channels),
                    shift: vec![0.0; channels],
                    accumulate,
                };
                self.steps.push(Step::Elementwise(step));
            }
            Op::Concat => {
                let mut start = 0;
                for &input in inputs {
                    let channels = self.shape(input)[0];
                    self.give(input, Lowering::part(g, start, channels), true);
                    start += channels;
                }
            }
            Op::Slice { start, len } => {
                if self.sliced(i).is_some() {
                    return;
                }
                let is_first = self.gradients[inputs[0]].is_none();
                let (whole, _) = self.gradient(inputs[0]);
                if is_first {
                    let to = self.view(whole);
                    self.steps.push(Step::Elementwise(steps::Elementwise::Zero { to }));
                }
                self.copy(g, Lowering::part(whole, *start, *len), true);
            }
            Op::ChannelShuffle { groups } => {
                let (parts, sources) = self.shuffle(i, *groups);
                let places: Vec<Option<(Tensor, bool)>> =
                    parts.iter().map(|&part| facts.needs[part].then(|| self.gradient(part))).collect();
                let step = steps::Gather {
                    parts: places.iter().map(|place| place.map(|(to, _)| self.view(to))).collect(),
                    sources,
                    whole: self.view(g),
                    backward: Some(places.iter().map(|place| place.is_some_and(|(_, add)| add)).collect()),
                };
                self.steps.push(Step::Gather(step));
            }
            Op::Dropout { rate } => {
                let (to, accumulate) = self.gradient(inputs[0]);
                self.mask(g, to, *rate, i, false, accumulate);
            }
        }
    }

    fn add_backward(&mut self, i: usize, g: Tensor) {
        let facts = self.facts;
        let mut shared = false;
        for (side, &input) in facts.inputs[i].iter().enumerate() {
            if !facts.needs[input] {
                continue;
            }
            if let Some((dropped, rate)) = facts.drop[i]
                && dropped == side
            {
                let (to, accumulate) = self.gradient(input);
                self.mask(g, to, rate, i, true, accumulate);
            } else if self.shape(input) == g.shape {
                // The gradient itself can be that of one side, once the others have had what they need.
                let is_last = facts.inputs[i][side + 1..].iter().all(|&other| !facts.needs[other]);
                let may_share = is_last && !shared;
                shared |= may_share;
                self.give(input, g, may_share);
            } else {
                let (to, accumulate) = self.gradient(input);
                let step =
                    steps::Binary::Backward { g: self.view(g), other: None, to: self.view(to), accumulate };
                self.steps.push(Step::Binary(step));
            }
        }
    }

    fn group_backward(&mut self, group: usize) {
        let facts = self.facts;
        let of = &facts.groups[group];
        let g = self.gradients[of.last].expect("a group's reader gives its gradient");
        let y_node = facts.inputs[of.norm][0];
        let y = self.real(y_node);
        if self.sums[group].is_none() {
            let view = self.view(y);
            let blocks = steps::Normalise::row_blocks(&view);
            let spacing = spacing(y.shape[0]);
            let sums = self.memory.buffer(blocks * 2 * spacing);
            let term = of.term.map(|term| self.real(term));
            let step = steps::Normalise {
                source: self.group_source(group),
                term: term.map(|term| self.view(term)),
                g: self.view(g),
                to: self.view(g),
                sums: self.place(sums),
            };
            self.steps.push(Step::Normalise(step));
            self.sums[group] = Some((sums, blocks));
        }
        let (sums, blocks) = self.sums[group].expect("just made");
        let rows = self.options.batch * y.shape[1] * y.shape[2];
        let (scale, shift, ..) = self.norm_params(of.norm);
        let step = steps::NormaliseBackward {
            sums: self.place(sums),
            blocks,
            rows,
            channels: y.shape[0],
            norm: self.norm(group),
            scale: scale.and_then(|scale| self.wanted(scale)),
            shift: self.wanted(shift),
            frozen: self.is_frozen(),
        };
        self.steps.push(Step::NormaliseBackward(step));
        let needs_y = facts.needs[y_node];
        if needs_y && !of.follows_conv {
            let (to, accumulate) = self.gradient(y_node);
            let step = steps::InputGradient {
                g: self.view(g),
                y: self.view(y),
                norm: self.norm(group),
                to: self.view(to),
                accumulate,
            };
            self.steps.push(Step::InputGradient(step));
        }
        if let Some(term) = of.term {
            // Shared unless a node between the convolution and here adds to it before the convolution reads it.
            let others = facts.readers[term].iter().filter(|&&reader| facts.group[reader] != Some(group));
            let is_early = term < y_node && others.copied().all(|reader| reader < y_node || reader > of.last);
            let may_share = !needs_y || !of.follows_conv || is_early;
            self.give(term, g, may_share);
        }
    }

    fn conv_backward(&mut self, i: usize) {
        let facts = self.facts;
        let input = facts.inputs[i][0];
        let (geometry, out) = self.geometry(i);
        let (weight, bias) = self.weight_and_bias(i);
        let wanted = (self.wanted(weight), bias.and_then(|bias| self.wanted(bias)));
        let depthwise = self.is_depthwise(i);
        let inner = self.input_channels(i) / geometry.groups;
        let is_read = !depthwise && steps::ConvBackward::reads_weight(inner, &geometry, self.options.level);
        let packed = (facts.needs[input] && !is_read).then(|| {
            self.pack(i, if depthwise { steps::PackForm::Depthwise } else { steps::PackForm::Backward })
        });
        // Where the input's gradient goes.
        enum To {
            None,
            Plain(Tensor, bool),
            Norm(Tensor, Buffer),
        }
        let spacing_in = spacing(self.shape(input)[0]);
        let shape = self.shape(i);
        let flat = self.flat[i];
        let to = match self.values[input] {
            _ if !facts.needs[input] => To::None,
            Some(Value::Virtual(group)) => {
                let source = self.conv_source(i);
                let segments = self.segments(i, &source);
                let g = self.fresh(self.shape(input));
                self.gradients[input] = Some(g);
                let sums = self.memory.buffer(segments * 2 * spacing_in);
                self.sums[group] = Some((sums, segments));
                To::Norm(g, sums)
            }
            Some(Value::Real(_)) | None => match flat {
                Some(flat) => To::Plain(self.fresh(flat.shape), false),
                None => {
                    let (to, accumulate) = self.gradient(input);
                    To::Plain(to, accumulate)
                }
            },
        };
        let source = self.conv_source(i);
        let segments = self.segments(i, &source);
        let size = out * self.input_channels(i) / geometry.groups * geometry.taps();
        let partials = self.memory.buffer(if depthwise {
            segments * (geometry.taps() + 1) * spacing(out)
        } else {
            segments * (size + out)
        });
        let gradient = match (facts.group_after[i], facts.clamp_after[i]) {
            (Some(group), _) => {
                let g =
                    self.gradients[facts.groups[group].last].expect("a group's reader gives its gradient");
                let y = self.real(i);
                Gradient::Norm { g: self.view(g), y: self.view(y), norm: self.norm(group) }
            }
            (None, Some((clamp, [low, high]))) => {
                let g = self.gradients[clamp].expect("a clamp's reader gives its gradient");
                let z = self.real(clamp);
                let activation = cygnet_kernels::Activation::Clamp { low, high };
                Gradient::Clamp { g: self.view(g), z: self.view(z), activation }
            }
            (None, None) => {
                let g = self.gradients[i].expect("a live node has a reader that gives its gradient");
                Gradient::Plain(self.view(g))
            }
        };
        debug_assert_eq!(self.shape(i), shape);
        let sink = match to {
            To::None => Sink::None,
            To::Plain(to, accumulate) => Sink::Plain { view: self.view(to), accumulate },
            To::Norm(to, sums) => Sink::Norm { view: self.view(to), sums: self.place(sums) },
        };
        let partials_at = self.place(partials);
        let packed_at = packed.map_or(0, |packed| self.place(packed));
        let immediate = !depthwise
            && steps::ConvBackward::is_immediate(&source, &self.gradient_view(&gradient), &geometry);
        self.steps.push(if depthwise {
            let step = steps::DepthwiseBackward {
                source,
                gradient,
                geometry,
                packed: packed_at,
                weight: wanted.0.is_some(),
                bias: wanted.1.is_some(),
                partials: partials_at,
                sink,
            };
            Step::DepthwiseBackward(Box::new(step))
        } else {
            let step = steps::ConvBackward {
                source,
                gradient,
                geometry,
                packed: packed_at,
                unpacked: (is_read && facts.needs[input]).then_some(weight),
                weight: wanted.0,
                bias: wanted.1,
                partials: partials_at,
                sink,
            };
            Step::ConvBackward(Box::new(step))
        });
        if let (To::Plain(from, _), Some(_)) = (&to, flat) {
            let x = self.real(input);
            let (to, accumulate) = self.gradient(input);
            let step = steps::Plain {
                op: steps::PlainOp::Flatten,
                x: self.view(x),
                y: self.view(*from),
                backward: Some((self.view(to), accumulate)),
            };
            self.steps.push(Step::Plain(step));
        }
        if immediate {
            return;
        }
        use steps::{Reduce, WeightLayout};
        let (taps, channels) = (geometry.taps(), out);
        if let Some(param) = wanted.0 {
            let partials = self.place(partials);
            let reduce = if depthwise {
                let len = taps * spacing(out);
                let layout = WeightLayout::Depthwise { taps, channels };
                Reduce { partials, segments, len, param, size: taps * out, layout }
            } else {
                let layout = if taps == 1 { WeightLayout::Same } else { WeightLayout::Taps { taps, inner } };
                Reduce { partials, segments, len: size, param, size, layout }
            };
            self.steps.push(Step::Reduce(reduce));
        }
        if let Some(param) = wanted.1 {
            let start = self.place(partials);
            let reduce = if depthwise {
                let layout = WeightLayout::Depthwise { taps: 1, channels };
                let partials = start + segments * taps * spacing(out);
                Reduce { partials, segments, len: spacing(out), param, size: out, layout }
            } else {
                let partials = start + segments * size;
                Reduce { partials, segments, len: out, param, size: out, layout: WeightLayout::Same }
            };
            self.steps.push(Step::Reduce(reduce));
        }
    }

    fn gradient_view(&self, gradient: &Gradient) -> View {
        match *gradient {
            Gradient::Plain(g) | Gradient::Norm { g, .. } | Gradient::Clamp { g, .. } => g,
        }
    }

    /// Partial sums that a convolution's backward step leaves.
    fn segments(&self, i: usize, source: &Source) -> usize {
        let (geometry, _) = self.geometry(i);
        if self.is_depthwise(i) {
            return steps::DepthwiseBackward::segments(self.options.batch);
        }
        let [channels, height, width] = self.shape(i);
        let out = View { offset: 0, images: self.options.batch, height, width, channels, stride: channels };
        steps::ConvBackward::segments(source, &out, &geometry)
    }
}

fn each_channel(constants: &[f32], channels: usize) -> Vec<f32> {
    if constants.len() == 1 { vec![constants[0]; channels] } else { constants.to_vec() }
}

fn plain(op: &Op) -> steps::PlainOp {
    match op {
        Op::LocalResponseNorm(norm) => {
            steps::PlainOp::LocalResponseNorm { size: norm.size, constants: [norm.alpha, norm.beta, norm.k] }
        }
        Op::UpsampleLike => steps::PlainOp::Upsample,
        Op::Softmax => steps::PlainOp::Softmax,
        Op::Input
        | Op::Conv(_)
        | Op::BatchNorm(_)
        | Op::Activation { .. }
        | Op::Pool(_)
        | Op::GlobalAvgPool
        | Op::Add
        | Op::Mul
        | Op::Scale { .. }
        | Op::Concat
        | Op::Slice { .. }
        | Op::ChannelShuffle { .. }
        | Op::Linear { .. }
        | Op::Dropout { .. } => unreachable!("has a step of its own"),
    }
}
