//! The reference executor: one node after the other, as clear as possible.

mod quantized;

use std::borrow::Cow;

pub use quantized::QuantizedReference;

use cygnet_files::Size;
use cygnet_graph::{Activation, Conv, Graph, Node, NodeId, Op, Pool, PoolKind, shape};
use cygnet_kernels::cpu;
use cygnet_kernels::reference::{self as kernels, ConvShape, Float, PoolShape};
use thiserror::Error;

/// Why a graph could not be run.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RunError {
    /// Not one tensor for each of the graph's parameters.
    #[error("the graph has {wanted} parameters, {given} tensors were given")]
    ParamCount {
        /// Parameters of the graph.
        wanted: usize,
        /// Tensors given.
        given: usize,
    },
    /// A parameter has the wrong number of elements.
    #[error("{name} needs {wanted} numbers, {given} were given")]
    ParamSize {
        /// The parameter.
        name: String,
        /// Elements it has by its shape.
        wanted: usize,
        /// Elements given.
        given: usize,
    },
    /// The values alive at once would take too much memory.
    #[error("{graph} needs {} for its values, the limit is {}; use a smaller image", Size(*bytes), Size(*limit))]
    Memory {
        /// The graph's name.
        graph: String,
        /// Bytes it needs.
        bytes: u64,
        /// Bytes it may take.
        limit: u64,
    },
    /// The images of a batch and what is computed of them would take too much memory.
    #[error("{graph}: a batch of {batch} takes {}, the limit is {}; use a smaller batch", Size(*bytes), Size(*limit))]
    Batch {
        /// The graph's name.
        graph: String,
        /// Images.
        batch: usize,
        /// Bytes they need.
        bytes: u64,
        /// Bytes they may take.
        limit: u64,
    },
    /// The machine has less memory than values and weights would take.
    #[error(
        "{graph} needs {} for its values and weights, there are {}; use a smaller image or network",
        Size(*bytes), Size(*limit)
    )]
    Machine {
        /// The graph's name.
        graph: String,
        /// Bytes it needs.
        bytes: u64,
        /// Bytes that this process may have.
        limit: u64,
    },
    /// The plan would have too many kernel calls.
    #[error(
        "{graph} falls apart into more than {limit} kernel calls; its channels are cut and joined too often"
    )]
    Calls {
        /// The graph's name.
        graph: String,
        /// Calls that a plan may have.
        limit: usize,
    },
    /// The output has the wrong number of elements.
    #[error("the output has {wanted} numbers, room for {given} was given")]
    OutputSize {
        /// Elements of the output.
        wanted: usize,
        /// Elements given.
        given: usize,
    },
    /// The images have the wrong number of elements.
    #[error("the images need a multiple of {shape:?} = {wanted} numbers, {given} were given")]
    BatchSize {
        /// `[channels, height, width]` of each.
        shape: [usize; 3],
        /// Their product.
        wanted: usize,
        /// Elements given.
        given: usize,
    },
    /// All outputs together have the wrong number of elements.
    #[error("all outputs together have {wanted} numbers, room for {given} was given")]
    OutputsSize {
        /// Elements of all outputs.
        wanted: usize,
        /// Elements given.
        given: usize,
    },
    /// The features have the wrong number of elements.
    #[error("the features that the plan keeps have {wanted} numbers, room for {given} was given")]
    FeatureSize {
        /// Elements of all features; 0 for a plan made without them.
        wanted: usize,
        /// Elements given.
        given: usize,
    },
    /// The threads cannot be started.
    #[error("cannot start {wanted} threads: {reason}")]
    Threads {
        /// How many.
        wanted: usize,
        /// What the system says.
        reason: String,
    },
    /// There is no [clock](cygnet_kernels::cpu::now), by which runs were to be timed.
    #[error("this system has no clock to time runs by")]
    NoClock,
    /// No program could be made.
    #[error("{0}")]
    Plan(String),
    /// The image has the wrong number of elements.
    #[error("the image needs {shape:?} = {wanted} numbers, {given} were given")]
    ImageSize {
        /// `[channels, height, width]`.
        shape: [usize; 3],
        /// Their product.
        wanted: usize,
        /// Elements given.
        given: usize,
    },
}

/// Largest number of bytes that a graph's values may take at once.
const MEMORY_LIMIT: u64 = 4 << 30;

/// A graph with its weights, ready to run on one image at a time in `T`: `f32`, or `f64` to see how far rounding
/// moves a result.
#[derive(Debug)]
pub struct Reference<T> {
    graph: Graph,
    params: Vec<Vec<Vec<T>>>,
    last_uses: Vec<usize>,
}

impl<T: Float> Reference<T> {
    /// Takes a copy of the weights, one slice for each of [`Graph::params`], in its order.
    ///
    /// # Errors
    /// If their number or a length does not fit the graph, or its values would take more than 4 GiB, or more memory than
    /// there is with the weights.
    pub fn new<W: AsRef<[f32]>>(graph: Graph, weights: &[W]) -> Result<Reference<T>, RunError> {
        let bytes = graph.peak_activation_bytes().saturating_mul(size_of::<T>() as u64) / 4;
        if bytes > MEMORY_LIMIT {
            return Err(RunError::Memory { graph: graph.name().into(), bytes, limit: MEMORY_LIMIT });
        }
        let weights_bytes = graph.params().iter().fold(0u64, |bytes, param| {
            let numbers = param.shape.iter().map(|&n| n as u64).product::<u64>();
            bytes.saturating_add(numbers.saturating_mul(size_of::<T>() as u64))
        });
        fits_machine(&graph, bytes.saturating_add(weights_bytes))?;
        let convert = |values: &[f32]| values.iter().map(|&x| T::from_f64(f64::from(x))).collect();
        let params = by_node(&graph, weights)?
            .into_iter()
            .map(|params| params.into_iter().map(convert).collect())
            .collect();
        Ok(Reference { last_uses: graph.last_uses(), graph, params })
    }

    /// The graph it runs.
    #[must_use]
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The network's output for one image `[channels, height, width]`.
    ///
    /// # Errors
    /// If the image has the wrong number of elements.
    pub fn run(&self, image: &[T]) -> Result<Vec<T>, RunError> {
        self.run_with(image, |_, _| {})
    }

    /// As [`Reference::run`]; `watch` sees every node's value as it is computed, the image's first.
    ///
    /// # Errors
    /// If the image has the wrong number of elements.
    pub fn run_with(&self, image: &[T], watch: impl FnMut(NodeId, &[T])) -> Result<Vec<T>, RunError> {
        let mut values = self.values(image, watch)?;
        Ok(values[self.graph.output().0].take().expect("outputs are kept to the end"))
    }

    /// The values of all of [`Graph::outputs`], in their order.
    ///
    /// # Errors
    /// If the image has the wrong number of elements.
    pub fn run_outputs(&self, image: &[T]) -> Result<Vec<Vec<T>>, RunError> {
        let mut values = self.values(image, |_, _| {})?;
        let mut take = |id: NodeId| values[id.0].take().expect("outputs are kept to the end");
        Ok(self.graph.outputs().iter().map(|output| take(output.node)).collect())
    }

    /// What is left when every node has been computed: the outputs.
    fn values(
        &self,
        image: &[T],
        mut watch: impl FnMut(NodeId, &[T]),
    ) -> Result<Vec<Option<Vec<T>>>, RunError> {
        let shape = self.graph.input_shape();
        let wanted = shape.iter().product();
        if image.len() != wanted {
            return Err(RunError::ImageSize { shape, wanted, given: image.len() });
        }
        let mut values: Vec<Option<Vec<T>>> = vec![None; self.graph.nodes().len()];
        for (id, node) in self.graph.iter() {
            let value = if node.op == Op::Input {
                image.to_vec()
            } else {
                let inputs = match node.inputs[..] {
                    // In-place operators take the value of an input that nobody reads later.
                    [input] if self.last_uses[input.0] == id.0 => values[input.0].take().map(Cow::Owned),
                    _ => None,
                };
                let inputs = match inputs {
                    Some(input) => vec![input],
                    None => {
                        let read = |input: &NodeId| values[input.0].as_deref().expect("computed before");
                        node.inputs.iter().map(|input| Cow::Borrowed(read(input))).collect()
                    }
                };
                self.compute(id, node, inputs)
            };
            watch(id, &value);
            values[id.0] = (self.last_uses[id.0] != id.0).then_some(value);
            for input in &node.inputs {
                if self.last_uses[input.0] == id.0 {
                    values[input.0] = None;
                }
            }
        }
        Ok(values)
    }

    /// The value of one node but the image, from those of its inputs.
    #[must_use]
    pub fn value(&self, id: NodeId, inputs: &[&[T]]) -> Vec<T> {
        self.compute(id, self.graph.node(id), inputs.iter().map(|&input| Cow::Borrowed(input)).collect())
    }

    fn compute(&self, id: NodeId, node: &Node, mut inputs: Vec<Cow<'_, [T]>>) -> Vec<T> {
        let shapes = self.graph.input_shapes(node);
        let params: Vec<&[T]> = self.params[id.0].iter().map(Vec::as_slice).collect();
        let mut own = || inputs.swap_remove(0).into_owned();
        match &node.op {
            Op::Input => unreachable!("the image is given"),
            Op::Conv(conv) => {
                let geometry = conv_shape(conv, map(shapes[0]), map(&node.shape));
                kernels::conv(&geometry, &inputs[0], params[0], params.get(1).copied().unwrap_or(&[]))
            }
            Op::BatchNorm(norm) => {
                let mut x = own();
                let (weight, rest) =
                    if norm.scale { (params[0], &params[1..]) } else { (&[][..], &params[..]) };
                kernels::batch_norm(&mut x, weight, rest[0], rest[1], rest[2], norm.eps);
                x
            }
            Op::Activation { function } => {
                let mut x = own();
                activate(&mut x, *function);
                x
            }
            Op::Pool(pool) => pool_value(pool, map(shapes[0]), map(&node.shape), &inputs[0]),
            Op::GlobalAvgPool => kernels::global_avg_pool(&inputs[0], shapes[0][0]),
            Op::AdaptiveAvgPool { size } => kernels::adaptive_avg_pool(&inputs[0], map(shapes[0]), *size),
            Op::LocalResponseNorm(norm) => {
                let constants = [norm.alpha, norm.beta, norm.k].map(f64::from);
                kernels::local_response_norm(&inputs[0], shapes[0][0], norm.size, constants)
            }
            Op::Add => {
                kernels::broadcast((&inputs[0], map(shapes[0])), (&inputs[1], map(shapes[1])), |l, r| l + r)
            }
            Op::Mul => {
                kernels::broadcast((&inputs[0], map(shapes[0])), (&inputs[1], map(shapes[1])), |l, r| l * r)
            }
            Op::Scale { scale, shift } => {
                let mut x = own();
                kernels::scale(&mut x, shapes[0][0], scale, shift);
                x
            }
            Op::Concat => inputs.iter().flat_map(|input| input.iter()).copied().collect(),
            Op::Slice { start, len } => {
                let plane = shapes[0][1] * shapes[0][2];
                inputs[0][start * plane..(start + len) * plane].to_vec()
            }
            Op::ChannelShuffle { groups } => kernels::channel_shuffle(&inputs[0], shapes[0][0], *groups),
            Op::UpsampleLike => {
                kernels::upsample_nearest(&inputs[0], map(shapes[0]), [node.shape[1], node.shape[2]])
            }
            Op::Linear { out, .. } => {
                kernels::linear(&inputs[0], params[0], params.get(1).copied().unwrap_or(&[]), *out)
            }
            Op::Dropout { .. } => own(),
            Op::Softmax => {
                let mut x = own();
                kernels::softmax(&mut x, shapes[0][0]);
                x
            }
        }
    }
}

/// Less than this is not compared with the machine's memory.
const SMALL: u64 = 256 << 20;

/// Whether this process may have as much memory as a graph needs.
pub(crate) fn fits_machine(graph: &Graph, bytes: u64) -> Result<(), RunError> {
    match cpu::memory_bytes().filter(|&limit| bytes > SMALL && bytes > limit) {
        Some(limit) => Err(RunError::Machine { graph: graph.name().into(), bytes, limit }),
        None => Ok(()),
    }
}

/// The weights of every node, checked against [`Graph::params`].
pub(crate) fn by_node<'a, W: AsRef<[f32]>>(
    graph: &Graph,
    weights: &'a [W],
) -> Result<Vec<Vec<&'a [f32]>>, RunError> {
    let wanted = graph.params();
    if wanted.len() != weights.len() {
        return Err(RunError::ParamCount { wanted: wanted.len(), given: weights.len() });
    }
    for (param, given) in wanted.into_iter().zip(weights.iter().map(AsRef::as_ref)) {
        let elements = param.shape.iter().product();
        if given.len() != elements {
            return Err(RunError::ParamSize { name: param.name, wanted: elements, given: given.len() });
        }
    }
    Ok(split_by_node(graph, weights))
}

/// Weights by node, one for each of [`Graph::params`].
pub(crate) fn split_by_node<'a, W: AsRef<[f32]>>(graph: &Graph, weights: &'a [W]) -> Vec<Vec<&'a [f32]>> {
    let mut params = vec![Vec::new(); graph.nodes().len()];
    graph.params().iter().zip(weights).for_each(|(param, given)| params[param.node.0].push(given.as_ref()));
    params
}

/// A shape as `[c, h, w]`; a vector is a map of one pixel.
pub(crate) fn map(shape: &[usize]) -> [usize; 3] {
    [shape[0], shape.get(1).copied().unwrap_or(1), shape.get(2).copied().unwrap_or(1)]
}

/// The sizes of a convolution.
fn conv_shape(conv: &Conv, input: [usize; 3], output: [usize; 3]) -> ConvShape {
    let pads =
        shape::pad_amounts(conv.set_padding(), [input[1], input[2]], conv.kernel, conv.stride, conv.dilation);
    ConvShape {
        input,
        output,
        kernel: conv.kernel,
        stride: conv.stride,
        dilation: conv.dilation,
        pad: pads.map(|[before, _]| before),
        groups: conv.groups,
    }
}

/// The sizes of a pooling.
fn pool_shape(pool: &Pool, input: [usize; 3], output: [usize; 3]) -> PoolShape {
    PoolShape {
        input,
        output: [output[1], output[2]],
        kernel: pool.kernel,
        stride: pool.stride,
        pad: shape::pad_amounts(pool.padding, [input[1], input[2]], pool.kernel, pool.stride, [1, 1]),
    }
}

fn pool_value<T: Float>(pool: &Pool, input: [usize; 3], output: [usize; 3], x: &[T]) -> Vec<T> {
    let geometry = pool_shape(pool, input, output);
    match pool.kind {
        PoolKind::Max => kernels::max_pool(&geometry, x),
        PoolKind::Avg => kernels::avg_pool(&geometry, x, pool.count_include_pad),
    }
}

pub(crate) fn activate<T: Float>(x: &mut [T], function: Activation) {
    fn each<T: Float>(x: &mut [T], f: impl Fn(f64) -> f64) {
        x.iter_mut().for_each(|x| *x = T::from_f64(f(x.to_f64())));
    }
    let relu6 = |x: f64| x.clamp(0.0, 6.0);
    match function {
        Activation::Sigmoid => each(x, |x| 1.0 / (1.0 + (-x).exp())),
        Activation::Swish => each(x, |x| x / (1.0 + (-x).exp())),
        // Constants as their sources have them, not as the nearest f32.
        Activation::HARD_SIGMOID => each(x, |x| relu6(x + 3.0) / 6.0),
        Activation::HARD_SIGMOID_KERAS => each(x, |x| (0.2 * x + 0.5).clamp(0.0, 1.0)),
        Activation::HARD_SIGMOID_SLIM => each(x, |x| relu6(x + 3.0) * 0.16667),
        Activation::HardSigmoid { scale, shift, high, factor } => {
            let [scale, shift, high, factor] = [scale, shift, high, factor].map(f64::from);
            each(x, |x| (x * scale + shift).clamp(0.0, high) * factor);
        }
        Activation::Clamp { low, high } => each(x, |x| x.clamp(f64::from(low), f64::from(high))),
        Activation::HardSwish => each(x, |x| x * relu6(x + 3.0) / 6.0),
    }
}
