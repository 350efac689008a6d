//! From nodes to kernel calls, in a given order.

use std::rc::Rc;

use cygnet_graph::{Activation, Conv, Graph, Node, NodeId, Op, Pool, PoolKind, shape};
use cygnet_kernels::{self as kernels, Binary, Call, Map, Plain, Pooling, Store, Window};

use super::layout::{self, Layout, Place, Value, pieces};
use super::outline::{Outline, PlanStep, StepNode, dims};
use super::rules::{self, Affine, Fused, Rule, fuse};
use super::{MEMORY_LIMIT, PlanOptions};
use crate::RunError;

/// A graph that needs more calls is refused: its channels lie in too many pieces.
const MOST_CALLS: usize = 1 << 17;

/// Most numbers of rows between a convolution and the depthwise one that works on them as they come.
const MOST_BETWEEN: usize = 1 << 22;

/// Parameters by node.
pub(super) type Params<'p> = [Vec<&'p [f32]>];

/// Makes a call once buffers have their offsets.
type Make<'a> = Box<dyn FnOnce(&Layout, &Params<'_>, &mut Store) -> Call + 'a>;

/// A graph as calls that are still to be made.
pub(super) struct Lowered<'a> {
    pub(super) layout: Layout,
    pub(super) calls: Vec<Make<'a>>,
    /// Bytes of packed weights, about.
    pub(super) packed_bytes: u64,
    pub(super) image: Value,
    pub(super) output: Value,
    /// The graph's outputs but for the first, then its features, if they are wanted.
    pub(super) kept: Vec<Value>,
    pub(super) outline: Outline,
}

pub(super) struct Lowering<'a> {
    pub(super) graph: &'a Graph,
    options: PlanOptions,
    /// The readers of every node; what the caller wants is also read by itself.
    pub(super) readers: Vec<Vec<NodeId>>,
    pub(super) values: Vec<Option<Value>>,
    /// Where in a concatenation's buffer a node writes its value.
    pub(super) homes: Vec<Option<(NodeId, usize)>>,
    layout: Layout,
    calls: Vec<Make<'a>>,
    /// Numbers of packed weights, about.
    packed: u64,
    steps: Vec<PlanStep>,
    /// The step after which a node's value is there; none for the image and its views.
    producers: Vec<Option<usize>>,
    /// Nodes without a step before them: views of the image.
    image_views: Vec<StepNode>,
    /// Bytes that the calls since the last step read and write.
    traffic: [u64; 2],
}

/// Lowers the nodes of `order`, the image first.
///
/// # Errors
/// [`RunError::Memory`] and [`RunError::Calls`].
pub(super) fn lower<'a>(
    graph: &'a Graph,
    options: PlanOptions,
    order: &[NodeId],
) -> Result<Lowered<'a>, RunError> {
    let wanted = wanted(graph, options);
    let count = graph.nodes().len();
    let mut readers = vec![Vec::new(); count];
    for &id in order {
        graph.node(id).inputs.iter().for_each(|input| readers[input.0].push(id));
    }
    wanted.iter().for_each(|&id| readers[id.0].push(id));
    let mut lowering = Lowering {
        graph,
        options,
        readers,
        values: vec![None; count],
        homes: vec![None; count],
        layout: Layout::default(),
        calls: Vec::new(),
        packed: 0,
        steps: Vec::new(),
        producers: vec![None; count],
        image_views: Vec::new(),
        traffic: [0, 0],
    };
    lowering.find_homes(order);
    for &id in order {
        if lowering.values[id.0].is_none() {
            lowering.node(id, graph.node(id));
        }
    }
    let output = lowering.contiguous(graph.output());
    let Lowering { mut layout, calls, packed, mut steps, values, image_views, .. } = lowering;
    if calls.len() > MOST_CALLS {
        return Err(RunError::Calls { graph: graph.name().into(), limit: MOST_CALLS });
    }
    layout.keep(&output, calls.len());
    let [kept @ .., _] = &wanted[..] else { unreachable!("the output is always wanted") };
    let kept: Vec<Value> = kept.iter().filter_map(|id| values[id.0].clone()).collect();
    kept.iter().for_each(|value| layout.keep(value, calls.len()));
    steps.iter_mut().take(1).for_each(|first| first.nodes.extend(image_views.iter()));
    let memory = |bytes| RunError::Memory { graph: graph.name().into(), bytes, limit: MEMORY_LIMIT };
    let arena_bytes = layout.place().ok_or_else(|| memory(u64::MAX))? * size_of::<f32>();
    if arena_bytes as u64 > MEMORY_LIMIT {
        return Err(memory(arena_bytes as u64));
    }
    let lower_bound = layout.lower_bound(steps.iter().map(|step| step.calls.clone()));
    let outline = Outline {
        steps,
        buffers: layout.planned(),
        arena_bytes,
        lower_bound_bytes: lower_bound * size_of::<f32>(),
    };
    let image = values[0].clone().unwrap_or_default();
    let packed_bytes = packed.saturating_mul(size_of::<f32>() as u64);
    Ok(Lowered { image, layout, calls, packed_bytes, output, kept, outline })
}

/// The nodes whose values the caller gets: outputs but for the first, features if they are asked for, and last the first
/// output.
pub(super) fn wanted(graph: &Graph, options: PlanOptions) -> Vec<NodeId> {
    let features = graph.features().iter().filter(|_| options.features).map(|feature| feature.node);
    let [first, others @ ..] = graph.outputs() else { unreachable!("a graph has an output") };
    let others = others.iter().map(|output| output.node);
    others.chain(features).chain([first.node]).collect()
}

impl<'a> Lowering<'a> {
    /// Gives the inputs of concatenations their part of one buffer.
    fn find_homes(&mut self, order: &[NodeId]) {
        let graph = self.graph;
        for (id, node) in
            order.iter().map(|&id| (id, graph.node(id))).filter(|(_, node)| node.op == Op::Concat)
        {
            let mut start = 0;
            for input in &node.inputs {
                let source = graph.node(*input);
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
                    | Op::AdaptiveAvgPool { .. }
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

    pub(super) fn value(&self, id: NodeId) -> &Value {
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

    /// Adds a call that reads and writes these places; each read with the columns that windows reach over the edges.
    fn call(
        &mut self,
        reads: &[(&[Place], [usize; 2])],
        writes: &[Place],
        make: impl FnOnce(&Layout, &Params<'_>, &mut Store) -> Call + 'a,
    ) {
        let now = self.calls.len();
        if now > MOST_CALLS {
            return;
        }
        for (value, pad) in reads {
            self.layout.read(value, now, *pad);
            self.traffic[0] += self.layout.bytes(value);
        }
        self.layout.write(writes, now);
        self.traffic[1] += self.layout.bytes(writes);
        self.calls.push(Box::new(make));
    }

    /// Makes a step of the calls since the last one.
    fn step(&mut self, kernel: String, nodes: &[StepNode], shape: &[usize], weights: usize) {
        let [bytes_read, bytes_written] = std::mem::take(&mut self.traffic);
        let start = self.steps.last().map_or(0, |step| step.calls.end);
        nodes.iter().for_each(|node| self.producers[node.id.0] = Some(self.steps.len()));
        self.steps.push(PlanStep {
            kernel,
            nodes: nodes.to_vec(),
            shape: shape.to_vec(),
            macs: nodes.iter().map(|node| self.graph.node_cost(node.id).macs).sum(),
            bytes_read,
            bytes_written,
            weight_bytes: (weights * size_of::<f32>()) as u64,
            calls: start..self.calls.len(),
        });
    }

    /// Makes a step of one node alone.
    fn alone(&mut self, id: NodeId, weights: usize) {
        let node = self.graph.node(id);
        self.step(kernel_name(self.graph, node), &[StepNode { id, rule: None }], &node.shape, weights);
    }

    /// The value's places in one row of slots; copied there if need be.
    fn contiguous(&mut self, id: NodeId) -> Value {
        let value = self.value(id).clone();
        let runs = layout::runs(&value);
        if runs.len() == 1 {
            return value;
        }
        let shape = &self.graph.node(id).shape;
        let copy = self.layout.buffer(crate::reference::map(shape));
        for run in runs {
            let (from, to) = (value[run.clone()].to_vec(), copy[run].to_vec());
            self.plain(|_| Plain::Activation(kernels::Activation::None), vec![from], to);
        }
        self.step("copy".into(), &[], shape, 0);
        copy
    }

    fn plain(&mut self, op: impl FnOnce(&Params<'_>) -> Plain + 'a, inputs: Vec<Value>, output: Value) {
        let level = self.options.level;
        let reads: Vec<_> = inputs.iter().map(|value| (value.as_slice(), [0, 0])).collect();
        let (maps, out) = (inputs.clone(), output.clone());
        self.call(&reads, &output, move |layout, params, _| {
            let maps = maps.iter().map(|value| layout.map(value)).collect();
            Call::Plain(Box::new(kernels::PlainCall::new(level, op(params), maps, layout.map(&out))))
        });
    }

    /// A channel-wise operator on every piece of a value that lies together; `make` gets a piece's channels.
    fn channelwise(
        &mut self,
        id: NodeId,
        weights: usize,
        make: impl Fn(&Params<'_>, &[usize]) -> Plain + 'a,
    ) {
        let input = self.value(self.graph.node(id).inputs[0]).clone();
        let output = self.allocate(id);
        let mut value = output.clone();
        let mut next = 0;
        let make = Rc::new(make);
        for channels in pieces(&input) {
            let from: Value = channels.iter().map(|&c| input[c]).collect();
            let to = output[next..next + channels.len()].to_vec();
            channels.iter().zip(&to).for_each(|(&c, &place)| value[c] = place);
            next += channels.len();
            let make = Rc::clone(&make);
            self.plain(move |params| make(params, &channels), vec![from], to);
        }
        self.alone(id, weights);
        self.values[id.0] = Some(value);
    }

    fn whole(&mut self, id: NodeId, op: Plain) {
        let inputs = self.graph.node(id).inputs.clone();
        let wanted = if matches!(op, Plain::Binary(..)) { 2 } else { 1 };
        let inputs = inputs.into_iter().take(wanted).map(|input| self.contiguous(input)).collect();
        let output = self.allocate(id);
        self.plain(|_| op, inputs, output.clone());
        self.alone(id, 0);
        self.values[id.0] = Some(output);
    }

    fn affine(&mut self, id: NodeId, affine: Affine<'a>) {
        let outputs = self.graph.node(id).shape[0];
        self.channelwise(id, 2 * outputs, move |params, channels| {
            let [scale, shift] = affine.factors(params, channels);
            Plain::Affine { scale, shift, activation: kernels::Activation::None }
        });
    }

    /// A node that moves no data becomes part of the step after which its value is there.
    fn view(&mut self, id: NodeId, node: &Node) {
        let (rule, value) = rules::view(self, node).expect("every operator without arithmetic is a view");
        self.values[id.0] = Some(value);
        let view = StepNode { id, rule: Some(rule) };
        let producer = node.inputs.iter().filter_map(|input| self.producers[input.0]).max();
        self.producers[id.0] = producer;
        producer.map_or(&mut self.image_views, |step| &mut self.steps[step].nodes).push(view);
    }

    fn node(&mut self, id: NodeId, node: &'a Node) {
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
            Op::BatchNorm(norm) => self.affine(id, Affine::BatchNorm(id, norm)),
            Op::Scale { scale, shift } => self.affine(id, Affine::Constant { scale, shift }),
            Op::Activation { function } => {
                let function = kernel_activation(*function);
                self.channelwise(id, 0, move |_, _| Plain::Activation(function));
            }
            Op::Pool(pool) => {
                let plain = pooling(pool, &self.graph.node(node.inputs[0]).shape);
                self.channelwise(id, 0, move |_, _| plain.clone());
            }
            Op::GlobalAvgPool => self.channelwise(id, 0, |_, _| Plain::GlobalMean),
            Op::AdaptiveAvgPool { .. } => self.channelwise(id, 0, |_, _| Plain::AdaptiveMean),
            Op::LocalResponseNorm(norm) => {
                let constants = [norm.alpha, norm.beta, norm.k];
                self.whole(id, Plain::LocalResponseNorm { size: norm.size, constants });
            }
            Op::Add => self.whole(id, Plain::Binary(Binary::Add, kernels::Activation::None)),
            Op::Mul => self.whole(id, Plain::Binary(Binary::Mul, kernels::Activation::None)),
            Op::UpsampleLike => self.whole(id, Plain::Upsample),
            Op::Softmax => self.whole(id, Plain::Softmax),
            Op::Concat | Op::Slice { .. } | Op::ChannelShuffle { .. } | Op::Dropout { .. } => {
                self.view(id, node)
            }
        }
    }

    /// How a convolution's window slides, and the columns that it reaches over the edges.
    fn window(&self, id: NodeId, conv: &Conv) -> (Window, [usize; 2]) {
        let input = crate::reference::map(&self.graph.node(self.graph.node(id).inputs[0]).shape);
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
        (window, columns)
    }

    fn conv(&mut self, id: NodeId, conv: &Conv) {
        let inputs = self.graph.node(self.graph.node(id).inputs[0]).shape[0];
        let (window, columns) = self.window(id, conv);
        let is_depthwise = conv.is_depthwise(inputs);
        let fused = fuse(self, StepNode { id, rule: None }, !is_depthwise);
        if is_depthwise {
            self.depthwise(window, columns, fused);
        } else if let Some(head) =
            rules::pair_depthwise(self, &fused).filter(|head| conv.groups == 1 && self.fits_between(*head))
        {
            self.pair(window, columns, fused, head);
        } else {
            self.dense(window, columns, conv.groups, fused);
        }
    }

    /// Whether the rows that a depthwise convolution's window spans are few enough to be kept by each thread.
    fn fits_between(&self, head: StepNode) -> bool {
        let node = self.graph.node(head.id);
        let Op::Conv(conv) = &node.op else { return false };
        let (window, columns) = self.window(head.id, conv);
        let rows = (window.kernel[0] - 1).saturating_mul(window.dilation[0]).saturating_add(1);
        let width = self.graph.node(node.inputs[0]).shape[2].saturating_add(columns[0] + columns[1]);
        rows.saturating_mul(width) <= MOST_BETWEEN / (4 * self.options.level.lanes())
    }

    /// Counts weights that are packed: `each` for every output, whole vectors of outputs.
    fn pack(&mut self, groups: usize, outputs: usize, each: usize) {
        let outputs = outputs.next_multiple_of(self.options.level.lanes());
        let packed = [groups, outputs, each].into_iter().fold(1u64, |all, n| all.saturating_mul(n as u64));
        self.packed = self.packed.saturating_add(packed);
    }

    /// A convolution and the depthwise one that reads it.
    fn pair(&mut self, window: Window, pad: [usize; 2], dense: Fused<'a>, head: StepNode) {
        let Op::Conv(conv) = &self.graph.node(head.id).op else {
            unreachable!("pairs end with a convolution")
        };
        let (second, columns) = self.window(head.id, conv);
        let depthwise = fuse(self, head, false);
        let from = self.value(self.graph.node(dense.first()).inputs[0]).clone();
        let output = self.allocate(depthwise.last());
        let [channels, height, width] = crate::reference::map(&self.graph.node(dense.last()).shape);
        let nodes = [&dense.nodes[..], &depthwise.nodes].concat();
        let weights = channels * (from.len() * window.kernel[0] * window.kernel[1] + 1)
            + channels * (second.kernel[0] * second.kernel[1] + 1);
        self.pack(1, channels, from.len() * window.kernel[0] * window.kernel[1]);
        self.pack(1, channels, second.kernel[0] * second.kernel[1]);
        let (source, to) = (from.clone(), output.clone());
        self.call(&[(&source, pad)], &output, move |layout, params, store| {
            // The map between lies nowhere yet; its rows do not follow each other.
            let row = (columns[0] + width + columns[1]) * channels + 1;
            let middle = Map {
                offset: columns[0] * channels,
                row,
                halo: columns,
                ..Map::dense(0, [channels, height, width])
            };
            let all: Vec<usize> = (0..channels).collect();
            let [scale, bias] = dense.factors(params, &all);
            let weight = dense.weight(params);
            let data = kernels::ConvWeights { weight, scale: &scale, bias: &bias, inputs: from.len() };
            let parts = parts(layout, &from);
            let first = kernels::Conv::new(store, window, &parts, data, middle, None, dense.activation);
            let (weight, bias) = depthwise.scaled(params, channels, &all);
            let (out, activation) = (layout.map(&to), depthwise.activation);
            let second = kernels::Depthwise::new(store, second, middle, &weight, &bias, out, activation);
            Call::Pair(Box::new(kernels::Pair::new(first, second)))
        });
        nodes.iter().for_each(|node| self.values[node.id.0] = Some(output.clone()));
        let [first, last] = [nodes[0].id, nodes[nodes.len() - 1].id].map(|id| self.graph.node(id));
        let kernel = [first, self.graph.node(head.id)].map(|node| kernel_name(self.graph, node)).join(" + ");
        self.step(kernel, &nodes, &last.shape, weights);
    }

    fn linear(&mut self, id: NodeId) {
        let input = crate::reference::map(&self.graph.node(self.graph.node(id).inputs[0]).shape);
        let window = Window { kernel: [input[1], input[2]], ..Window::POINT };
        let fused = fuse(self, StepNode { id, rule: Some(Rule::LinearAsConv) }, true);
        self.dense(window, [0, 0], 1, fused);
    }

    fn dense(&mut self, window: Window, pad: [usize; 2], groups: usize, fused: Fused<'a>) {
        let strict = self.options.strict;
        let input = self.value(self.graph.node(fused.first()).inputs[0]).clone();
        let output = self.allocate(fused.last());
        let residual = fused.residual.map(|other| self.value(other).clone());
        let (inputs, all) = (input.len() / groups, output.len());
        let outputs = all / groups;
        let [_, height, width] = crate::reference::map(&self.graph.node(fused.last()).shape);
        let is_winograd = !strict
            && pieces(&input).len() == 1
            && groups == 1
            && kernels::Winograd::pays(&window, inputs, outputs, [height, width]);
        let times = if is_winograd { 4 } else { 1 };
        self.pack(groups, outputs, times * inputs * window.kernel[0] * window.kernel[1]);
        let fused = Rc::new(fused);
        for group in 0..groups {
            let from = input[group * inputs..][..inputs].to_vec();
            let range = group * outputs..(group + 1) * outputs;
            let to = output[range.clone()].to_vec();
            let term = residual.as_ref().map(|value| value[range.clone()].to_vec());
            let reads: Vec<_> =
                [(from.clone(), pad)].into_iter().chain(term.clone().map(|term| (term, [0, 0]))).collect();
            let reads: Vec<_> = reads.iter().map(|(value, pad)| (value.as_slice(), *pad)).collect();
            let (fused, out) = (Rc::clone(&fused), to.clone());
            self.call(&reads, &to, move |layout, params, store| {
                let parts = parts(layout, &from);
                let weight = fused.weight(params);
                let each = weight.len() / all;
                let weight = &weight[range.start * each..range.end * each];
                let [scale, bias] = fused.factors(params, &range.collect::<Vec<_>>());
                let data = kernels::ConvWeights { weight, scale: &scale, bias: &bias, inputs: from.len() };
                let term = term.map(|value| layout.map(&value));
                let (out, activation) = (layout.map(&out), fused.activation);
                if is_winograd {
                    let part = &parts[0];
                    let call = kernels::Winograd::new(store, window, part, data, out, term, activation);
                    return Call::Winograd(Box::new(call));
                }
                Call::Conv(Box::new(kernels::Conv::new(store, window, &parts, data, out, term, activation)))
            });
        }
        let weights = all * (inputs * window.kernel[0] * window.kernel[1] + 1);
        self.finish(&fused, &output, weights);
        if let (true, Some(step)) = (is_winograd, self.steps.last_mut()) {
            step.kernel = step.kernel.replace("conv", "winograd");
        }
    }

    fn depthwise(&mut self, window: Window, pad: [usize; 2], fused: Fused<'a>) {
        let input = self.value(self.graph.node(fused.first()).inputs[0]).clone();
        let output = self.allocate(fused.last());
        let mut value = output.clone();
        let mut next = 0;
        let fused = Rc::new(fused);
        self.pack(1, input.len(), window.kernel[0] * window.kernel[1]);
        for channels in pieces(&input) {
            let from: Value = channels.iter().map(|&c| input[c]).collect();
            let to = output[next..next + channels.len()].to_vec();
            channels.iter().zip(&to).for_each(|(&c, &place)| value[c] = place);
            next += channels.len();
            let (fused, all) = (Rc::clone(&fused), input.len());
            let (source, target) = (from.clone(), to.clone());
            self.call(&[(&from, pad)], &to, move |layout, params, store| {
                let (weight, bias) = fused.scaled(params, all, &channels);
                let (source, target) = (layout.map(&source), layout.map(&target));
                Call::Depthwise(Box::new(kernels::Depthwise::new(
                    store,
                    window,
                    source,
                    &weight,
                    &bias,
                    target,
                    fused.activation,
                )))
            });
        }
        let weights = input.len() * (window.kernel[0] * window.kernel[1] + 1);
        self.finish(&fused, &value, weights);
    }

    /// Makes a step of a layer with all that joined it, which have its value.
    fn finish(&mut self, fused: &Fused<'a>, value: &Value, weights: usize) {
        fused.nodes.iter().for_each(|node| self.values[node.id.0] = Some(value.clone()));
        let [first, last] = [fused.first(), fused.last()].map(|id| self.graph.node(id));
        self.step(kernel_name(self.graph, first), &fused.nodes, &last.shape, weights);
    }
}

/// A convolution's input: the pieces of a value.
fn parts(layout: &Layout, value: &[Place]) -> Vec<kernels::Part> {
    let part = |channels: Vec<usize>| {
        let places: Value = channels.iter().map(|&c| value[c]).collect();
        kernels::Part { map: layout.map(&places), channels }
    };
    pieces(value).into_iter().map(part).collect()
}

/// What computes an operator, as people call it.
fn kernel_name(graph: &Graph, node: &Node) -> String {
    let sized = |name: &str, kernel: [usize; 2], stride: [usize; 2]| {
        let step = match stride {
            [1, 1] => String::new(),
            [rows, columns] if rows == columns => format!("/{rows}"),
            _ => format!("/{}", dims(&stride)),
        };
        let size = if name == "pointwise" { String::new() } else { format!(" {}", dims(&kernel)) };
        format!("{name}{size}{step}")
    };
    match &node.op {
        Op::Conv(conv) => {
            let inputs = graph.node(node.inputs[0]).shape[0];
            let name = match conv.groups {
                1 if conv.kernel == [1, 1] => "pointwise",
                1 => "conv",
                _ if conv.is_depthwise(inputs) => "depthwise",
                _ => "grouped conv",
            };
            sized(name, conv.kernel, conv.stride)
        }
        Op::Pool(pool) => {
            let name = if pool.kind == PoolKind::Max { "max pool" } else { "mean pool" };
            sized(name, pool.kernel, pool.stride)
        }
        Op::GlobalAvgPool => "global mean".into(),
        Op::AdaptiveAvgPool { size } => format!("mean to {}", dims(size)),
        Op::Mul => "multiply".into(),
        Op::UpsampleLike => "upsample".into(),
        op @ (Op::Input
        | Op::BatchNorm(_)
        | Op::Activation { .. }
        | Op::LocalResponseNorm(_)
        | Op::Add
        | Op::Scale { .. }
        | Op::Concat
        | Op::Slice { .. }
        | Op::ChannelShuffle { .. }
        | Op::Linear { .. }
        | Op::Dropout { .. }
        | Op::Softmax) => op.name().replace('_', " "),
    }
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
#[must_use]
pub fn kernel_activation(function: Activation) -> kernels::Activation {
    use kernels::Activation as Kernel;
    match function {
        Activation::Clamp { low, high } => Kernel::Clamp { low, high },
        Activation::HardSigmoid { scale, shift, high, factor } => {
            Kernel::HardSigmoid { scale, shift, high, factor }
        }
        Activation::Sigmoid => Kernel::Sigmoid,
        Activation::Swish => Kernel::Swish,
        Activation::HardSwish => Kernel::HardSwish,
    }
}
