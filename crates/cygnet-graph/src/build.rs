//! How networks are written: [`Value`] is a tensor on its way through the network, [`Scope`] a place in the tree of
//! parameters.
//!
//! Operators without parameters are methods of `Value`, operators that learn are methods of `Scope`, so a reader
//! sees at once what is trained. The first error is kept with its place and returned by [`Graph::build`]; until then
//! building goes on, so that network files need no `?` and a bad setting cannot panic.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt::Display;
use std::ops::{Add, Mul};

use crate::graph::Ends;
use crate::{
    Activation, Auxiliary, BatchNorm, BuildError, Conv, Feature, Graph, LocalResponseNorm, NodeId, Op,
    Output, Padding, Pool,
};

struct Builder {
    state: RefCell<State>,
}

struct State {
    graph: Graph,
    paths: HashSet<String>,
    outputs: Vec<Output>,
    error: Option<BuildError>,
}

impl Builder {
    fn add(&self, op: Op, inputs: &[NodeId], path: String) -> Value<'_> {
        let mut state = self.state.borrow_mut();
        let State { graph, paths, error, .. } = &mut *state;
        let id = if error.is_some() {
            inputs.first().copied()
        } else {
            graph.push(op, inputs.to_vec(), path, paths).map_err(|problem| *error = Some(problem)).ok()
        };
        Value { builder: self, id: id.or(inputs.first().copied()).unwrap_or(NodeId(0)) }
    }
}

impl Graph {
    /// Builds a network for images of `[channels, height, width]`: `network` gets the root of the parameter tree
    /// and the image and returns the output.
    ///
    /// # Errors
    /// The first thing that did not fit, with its place.
    pub fn build(
        name: impl Into<String>,
        image: [usize; 3],
        network: impl for<'g> FnOnce(&Scope<'g>, Value<'g>) -> Value<'g>,
    ) -> Result<Graph, BuildError> {
        let graph = Graph::checked(name.into(), image, [], Ends::of(NodeId(0)))?;
        let state = State { graph, paths: HashSet::new(), outputs: Vec::new(), error: None };
        let builder = Builder { state: RefCell::new(state) };
        let root = Scope { builder: &builder, path: String::new(), eps: 1e-5, same: false };
        let output = network(&root, Value { builder: &builder, id: NodeId(0) }).id;
        let State { graph, mut outputs, error, .. } = builder.state.into_inner();
        let named = outputs.iter().position(|other| other.node == output);
        let first = named.map_or_else(|| Output::unnamed(output), |index| outputs.remove(index));
        outputs.insert(0, first);
        let ends = Ends { outputs, ..graph.ends.clone() };
        error.map_or_else(|| graph.ended(ends), Err)
    }
}

/// A tensor on its way through the network.
#[derive(Clone, Copy)]
pub struct Value<'g> {
    builder: &'g Builder,
    id: NodeId,
}

impl<'g> Value<'g> {
    fn then(self, op: Op) -> Value<'g> {
        self.builder.add(op, &[self.id], String::new())
    }

    fn with(self, op: Op, other: Value<'g>) -> Value<'g> {
        self.builder.add(op, &[self.id, other.id], String::new())
    }

    /// Its shape, `[channels, height, width]` or `[features]`.
    #[must_use]
    pub fn shape(self) -> Vec<usize> {
        self.builder.state.borrow().graph.node(self.id).shape.clone()
    }

    /// Its channels.
    #[must_use]
    pub fn channels(self) -> usize {
        self.builder.state.borrow().graph.node(self.id).shape[0]
    }

    /// Applies an element-wise function.
    #[must_use]
    pub fn activation(self, function: Activation) -> Value<'g> {
        self.then(Op::Activation { function })
    }

    /// `max(x, 0)`.
    #[must_use]
    pub fn relu(self) -> Value<'g> {
        self.activation(Activation::RELU)
    }

    /// `min(max(x, 0), 6)`.
    #[must_use]
    pub fn relu6(self) -> Value<'g> {
        self.activation(Activation::RELU6)
    }

    /// `min(max(x, low), high)`.
    #[must_use]
    pub fn clamp(self, low: f32, high: f32) -> Value<'g> {
        self.activation(Activation::Clamp { low, high })
    }

    /// `x * relu6(x + 3) / 6`.
    #[must_use]
    pub fn hard_swish(self) -> Value<'g> {
        self.activation(Activation::HardSwish)
    }

    /// `relu6(x + 3) / 6`.
    #[must_use]
    pub fn hard_sigmoid(self) -> Value<'g> {
        self.activation(Activation::HARD_SIGMOID)
    }

    /// `1 / (1 + exp(-x))`.
    #[must_use]
    pub fn sigmoid(self) -> Value<'g> {
        self.activation(Activation::Sigmoid)
    }

    /// Maximum or mean over windows.
    #[must_use]
    pub fn pool(self, pool: Pool) -> Value<'g> {
        self.then(Op::Pool(pool))
    }

    /// Mean over height and width, leaving `[c, 1, 1]`.
    #[must_use]
    pub fn global_avg_pool(self) -> Value<'g> {
        self.then(Op::GlobalAvgPool)
    }

    /// Means over windows that cover the map, as many as `size` says.
    #[must_use]
    pub fn adaptive_avg_pool(self, size: [usize; 2]) -> Value<'g> {
        self.then(Op::AdaptiveAvgPool { size })
    }

    /// Local response normalisation across channels.
    #[must_use]
    pub fn local_response_norm(self, norm: LocalResponseNorm) -> Value<'g> {
        self.then(Op::LocalResponseNorm(norm))
    }

    /// `x * scale + shift`, one constant for all channels or one a channel.
    #[must_use]
    pub fn scale(self, scale: impl Into<Vec<f32>>, shift: impl Into<Vec<f32>>) -> Value<'g> {
        self.then(Op::Scale { scale: scale.into(), shift: shift.into() })
    }

    /// Its channels and those of `others`, one after the other.
    #[must_use]
    pub fn concat(self, others: &[Value<'g>]) -> Value<'g> {
        let ids: Vec<NodeId> = std::iter::once(&self).chain(others).map(|value| value.id).collect();
        self.builder.add(Op::Concat, &ids, String::new())
    }

    /// `len` channels from `start`.
    #[must_use]
    pub fn slice(self, start: usize, len: usize) -> Value<'g> {
        self.then(Op::Slice { start, len })
    }

    /// Both halves of the channels.
    #[must_use]
    pub fn halves(self) -> [Value<'g>; 2] {
        let half = self.channels() / 2;
        [self.slice(0, half), self.slice(half, self.channels() - half)]
    }

    /// Channels read as a `groups × (c / groups)` matrix, transposed.
    #[must_use]
    pub fn channel_shuffle(self, groups: usize) -> Value<'g> {
        self.then(Op::ChannelShuffle { groups })
    }

    /// Nearest-neighbour enlargement to the height and width of `like`.
    #[must_use]
    pub fn upsample_like(self, like: Value<'g>) -> Value<'g> {
        self.with(Op::UpsampleLike, like)
    }

    /// Drops activations with probability `rate` while training.
    #[must_use]
    pub fn dropout(self, rate: f32) -> Value<'g> {
        self.then(Op::Dropout { rate })
    }

    /// Softmax over channels.
    #[must_use]
    pub fn softmax(self) -> Value<'g> {
        self.then(Op::Softmax)
    }

    /// Marks it as an output of this name, which runs return beside the one that the network ends in. Marked itself, that
    /// one has the name and stays the first; else it is called `output`.
    ///
    /// ```
    /// use cygnet_graph::{Conv, Graph};
    ///
    /// let graph = Graph::build("finder", [3, 32, 32], |net, image| {
    ///     let x = net.at("stem").conv(image, Conv::new(8, 3).stride(2)).relu();
    ///     net.at("boxes").conv(x, Conv::new(4, 1)).output("boxes");
    ///     net.at("scores").conv(x, Conv::new(10, 1)).output("scores")
    /// })?;
    /// let names: Vec<_> = graph.outputs().iter().map(|output| output.name.as_str()).collect();
    /// assert_eq!(names, ["scores", "boxes"]);
    /// # Ok::<(), cygnet_graph::BuildError>(())
    /// ```
    #[allow(clippy::must_use_candidate, reason = "marked in passing")]
    pub fn output(self, name: impl Into<String>) -> Value<'g> {
        let output = Output { name: name.into(), node: self.id };
        self.builder.state.borrow_mut().outputs.push(output);
        self
    }

    /// Marks it as an output that only training reads, whose loss times `weight` is added to the network's.
    pub fn auxiliary(self, weight: f32) {
        let graph = &mut self.builder.state.borrow_mut().graph;
        graph.ends.auxiliary.push(Auxiliary { node: self.id, weight });
    }
}

impl<'g> Add for Value<'g> {
    type Output = Value<'g>;

    fn add(self, other: Value<'g>) -> Value<'g> {
        self.with(Op::Add, other)
    }
}

impl<'g> Mul for Value<'g> {
    type Output = Value<'g>;

    fn mul(self, other: Value<'g>) -> Value<'g> {
        self.with(Op::Mul, other)
    }
}

/// A place in the tree of parameters, with the settings that hold below it.
#[derive(Clone)]
pub struct Scope<'g> {
    builder: &'g Builder,
    path: String,
    eps: f64,
    same: bool,
}

impl<'g> Scope<'g> {
    /// The place `name` below this one. `name` may have dots of its own, and may be empty.
    #[must_use]
    pub fn at(&self, name: impl Display) -> Scope<'g> {
        let name = name.to_string();
        let dot = if self.path.is_empty() || name.is_empty() { "" } else { "." };
        Scope { path: format!("{}{dot}{name}", self.path), ..self.clone() }
    }

    /// The places `0`, `1`, `2`… below this one, as in a PyTorch `Sequential`.
    #[must_use]
    pub fn numbered(&self) -> Numbered<'g> {
        Numbered { scope: self.clone(), number: 0 }
    }

    /// Its path from the root.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Uses `eps` in every batch norm below.
    #[must_use]
    pub fn batch_norm_eps(&self, eps: f64) -> Scope<'g> {
        Scope { eps, ..self.clone() }
    }

    /// Pads convolutions below that do not say otherwise by TensorFlow's "SAME" rule.
    #[must_use]
    pub fn same_padding(&self) -> Scope<'g> {
        Scope { same: true, ..self.clone() }
    }

    /// Whether [`Scope::same_padding`] holds here.
    #[must_use]
    pub fn pads_same(&self) -> bool {
        self.same
    }

    /// The padding a `kernel` gets here when it does not say otherwise.
    #[must_use]
    pub fn default_padding(&self, kernel: [usize; 2], dilation: [usize; 2]) -> Padding {
        if self.same {
            return Padding::Same;
        }
        let half = |axis: usize| dilation[axis].saturating_mul(kernel[axis].saturating_sub(1)) / 2;
        Padding::symmetric(half(0), half(1))
    }

    /// Convolution of `x`.
    #[must_use]
    pub fn conv(&self, x: Value<'g>, mut conv: Conv) -> Value<'g> {
        conv.padding = conv.padding.or(Some(self.default_padding(conv.kernel, conv.dilation)));
        self.builder.add(Op::Conv(conv), &[x.id], self.path.clone())
    }

    /// Depthwise convolution of `x`: as many groups and outputs as it has channels. `conv.out` is ignored.
    #[must_use]
    pub fn depthwise(&self, x: Value<'g>, mut conv: Conv) -> Value<'g> {
        conv.out = x.channels();
        conv.groups = conv.out;
        self.conv(x, conv)
    }

    /// Batch normalisation of `x`.
    #[must_use]
    pub fn batch_norm(&self, x: Value<'g>) -> Value<'g> {
        self.norm(x, BatchNorm { eps: self.eps, scale: true })
    }

    /// Batch normalisation of `x` without a learnt scale.
    #[must_use]
    pub fn batch_norm_without_scale(&self, x: Value<'g>) -> Value<'g> {
        self.norm(x, BatchNorm { eps: self.eps, scale: false })
    }

    fn norm(&self, x: Value<'g>, norm: BatchNorm) -> Value<'g> {
        self.builder.add(Op::BatchNorm(norm), &[x.id], self.path.clone())
    }

    /// Fully connected layer on the flattened `x`, with bias.
    #[must_use]
    pub fn linear(&self, x: Value<'g>, out: usize) -> Value<'g> {
        self.builder.add(Op::Linear { out, bias: true }, &[x.id], self.path.clone())
    }

    /// Fully connected layer on the flattened `x`, without bias.
    #[must_use]
    pub fn linear_without_bias(&self, x: Value<'g>, out: usize) -> Value<'g> {
        self.builder.add(Op::Linear { out, bias: false }, &[x.id], self.path.clone())
    }

    /// Marks `x` as the output of the stage at this place and returns it. Of several marks at one stride the last
    /// one counts, so every block may be marked; a finer value takes the place of coarser ones.
    pub fn feature(&self, x: Value<'g>) -> Value<'g> {
        let feature = Feature { name: self.path.clone(), node: x.id };
        self.builder.state.borrow_mut().graph.mark(feature);
        x
    }
}

/// The places `0`, `1`, `2`… below a scope, one after the other.
pub struct Numbered<'g> {
    scope: Scope<'g>,
    number: usize,
}

impl<'g> Numbered<'g> {
    /// The next place.
    #[allow(clippy::should_implement_trait, reason = "it never ends, so callers need no Option")]
    pub fn next(&mut self) -> Scope<'g> {
        self.number += 1;
        self.scope.at(self.number - 1)
    }

    /// Leaves out `count` numbers: layers without parameters have numbers too.
    pub fn skip(&mut self, count: usize) {
        self.number += count;
    }
}
