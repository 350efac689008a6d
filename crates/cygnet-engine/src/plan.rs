//! Lowering: a graph's forward and backward steps over one arena.
//!
//! Values lie channels last. Concatenations and slices are views where that is possible. What a batch norm and an
//! activation make of a convolution's output is not written to memory if the one reader is a convolution: it is computed
//! again whenever it is read, and its gradient likewise.

mod backward;
mod facts;
mod forward;
mod layer;
mod memory;
mod round;

use cygnet_gradient::{Loss, Norm, Source, Step, View};
use cygnet_graph::{Graph, NodeId, Op, Role};

use crate::{EngineError, EngineOptions};
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

/// What a step is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) node: NodeId,
    pub(crate) is_backward: bool,
}

/// A step list with the sizes it needs.
pub(crate) struct Plan {
    pub(crate) steps: Vec<Step>,
    /// One for each step.
    pub(crate) origins: Vec<Origin>,
    pub(crate) arena: usize,
    /// Where the logits lie: offset, and distance of images.
    pub(crate) logits: [usize; 2],
    pub(crate) classes: usize,
    /// Losses of an image.
    pub(crate) losses: usize,
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
    /// Those of the steps so far, but for the node that is lowered now.
    origins: Vec<Origin>,
    values: Vec<Option<Value>>,
    /// Where in a concatenation a node writes its value.
    homes: Vec<Option<(usize, usize)>>,
    gradients: Vec<Option<Tensor>>,
    /// What was rounded to become the value.
    computed: Vec<Option<Tensor>>,
    norms: Vec<Option<NormState>>,
    /// Sums that a reader left for a group's backward pass, and their number.
    sums: Vec<Option<(Buffer, usize)>>,
    moments: Vec<Option<(Buffer, usize, usize)>>,
    /// A linear layer's input as a vector, where it was a map.
    flat: Vec<Option<Tensor>>,
}

/// Checks that a graph ends in vectors of classes, before softmax.
pub(crate) fn check_outputs(graph: &Graph, options: &EngineOptions) -> Result<(), EngineError> {
    if graph.without_softmax()? != *graph {
        return Err(EngineError::Softmax { graph: graph.name().into() });
    }
    let auxiliary = graph.auxiliary().iter().filter(|_| options.auxiliary > 0.0).map(|head| head.node);
    for output in [graph.output()].into_iter().chain(auxiliary) {
        let shape = &graph.node(output).shape;
        if shape.iter().skip(1).any(|&n| n != 1) {
            return Err(EngineError::Output { graph: graph.name().into(), shape: shape.clone() });
        }
    }
    Ok(())
}

/// Makes the plan of a graph whose outputs are [checked](check_outputs); `trainable` tells for each parameter whether its gradient is wanted.
pub(crate) fn plan(
    graph: &Graph,
    options: &EngineOptions,
    mode: Mode,
    trainable: &[bool],
) -> Result<Plan, EngineError> {
    let facts = Facts::new(graph, options, mode, trainable);
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
            origins: Vec::new(),
            values: vec![None; n],
            homes: vec![None; n],
            gradients: vec![None; n],
            computed: vec![None; n],
            norms: vec![None; facts.groups.len()],
            sums: vec![None; facts.groups.len()],
            moments: vec![None; facts.groups.len()],
            flat: vec![None; n],
        };
        lowering.lower()
    };
    run(&mut memory)?;
    let too_large = |bytes| EngineError::Memory { graph: graph.name().into(), batch: options.batch, bytes };
    let arena = memory.place().ok_or(too_large(u64::MAX))?;
    let (steps, origins, logits) = run(&mut memory)?;
    let (losses, classes) = (facts.outputs.len(), logits.channels);
    Ok(Plan { steps, origins, arena, logits: [logits.offset, logits.stride], classes, losses })
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
    fn lower(mut self) -> Result<(Vec<Step>, Vec<Origin>, View), EngineError> {
        self.find_homes();
        for i in 0..self.graph.nodes().len() {
            if self.facts.live[i] {
                self.forward(i)?;
                self.round(i);
                self.sign(i, false);
            }
        }
        let facts = self.facts;
        match self.mode {
            Mode::Train => {
                for (number, &(output, weight)) in facts.outputs.iter().enumerate() {
                    let logits = self.real(output);
                    let to = facts.needs[output].then(|| {
                        let to = self.fresh(logits.shape);
                        self.gradients[output] = Some(to);
                        to
                    });
                    let (logits, to) = (self.view(logits), to.map(|to| self.view(to)));
                    self.steps.push(Step::Loss(Loss { logits, to, weight, number }));
                    self.sign(output, true);
                }
                for i in (0..self.graph.nodes().len()).rev() {
                    if self.facts.live[i] && self.facts.needs[i] {
                        self.round_backward(i);
                        self.backward(i);
                        self.sign(i, true);
                    }
                }
            }
            Mode::Evaluate => {}
        }
        let logits = self.real(facts.outputs[0].0);
        let view = self.view(logits);
        Ok((self.steps, self.origins, view))
    }

    /// Gives the steps that came since the last call their origin: a node, or of those of a group its batch norm.
    fn sign(&mut self, i: usize, is_backward: bool) {
        let node = NodeId(self.facts.group[i].map_or(i, |group| self.facts.groups[group].norm));
        self.origins.resize(self.steps.len(), Origin { node, is_backward });
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

    /// Where a node writes what it computes.
    fn output(&mut self, i: usize) -> Tensor {
        let is_rounded = self.options.grids.of(i).is_some();
        let tensor = if is_rounded { self.fresh(self.shape(i)) } else { self.place_of(i) };
        self.values[i] = Some(Value::Real(tensor));
        tensor
    }

    /// Where a node's value lies.
    fn place_of(&mut self, i: usize) -> Tensor {
        let Some((concat, start)) = self.homes[i] else { return self.fresh(self.shape(i)) };
        let whole = match self.values[concat] {
            Some(Value::Real(whole)) => whole,
            Some(Value::Virtual(_)) | None => self.output(concat),
        };
        Lowering::part(whole, start, self.shape(i)[0])
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
                let lies_elsewhere = matches!(nodes[input].op, Op::Input | Op::Slice { .. });
                let is_view = lies_elsewhere || self.facts.in_parts[input];
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
}
