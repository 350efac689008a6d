//! What joins a convolution or linear layer: the nodes that alone read it, one after the other.

use cygnet_graph::{BatchNorm, Graph, NodeId, Op};
use cygnet_kernels::Activation;

use super::{Lowering, activation, layout};

/// A convolution or linear layer with all that joined it.
pub(super) struct Fused {
    /// The last node that joined.
    pub(super) last: NodeId,
    /// `[out, in / groups, kernel rows, kernel columns]`.
    pub(super) weight: Vec<f32>,
    pub(super) bias: Vec<f32>,
    /// A value to add before the activation.
    pub(super) residual: Option<NodeId>,
    pub(super) activation: Activation,
}

/// The readers of every node; the graph's output has one more, its caller.
pub(super) fn readers(graph: &Graph) -> Vec<Vec<NodeId>> {
    let mut readers = vec![Vec::new(); graph.nodes().len()];
    for (id, node) in graph.iter() {
        node.inputs.iter().for_each(|input| readers[input.0].push(id));
    }
    readers[graph.output().0].push(graph.output());
    readers
}

/// Batch norm with running statistics as a factor and a term a channel.
pub(super) fn batch_norm(params: &[&[f32]], norm: &BatchNorm) -> (Vec<f32>, Vec<f32>) {
    let (weight, rest) = if norm.scale { (params[0], &params[1..]) } else { (&[][..], params) };
    let [bias, mean, var] = [rest[0], rest[1], rest[2]];
    (0..bias.len())
        .map(|c| {
            let deviation = (f64::from(var[c]) + norm.eps).sqrt();
            let scale = weight.get(c).map_or(1.0, |&w| f64::from(w)) / deviation;
            (scale as f32, (f64::from(bias[c]) - f64::from(mean[c]) * scale) as f32)
        })
        .unzip()
}

/// One constant for each channel.
pub(super) fn spread(list: &[f32], channels: usize) -> Vec<f32> {
    if list.len() == 1 { vec![list[0]; channels] } else { list.to_vec() }
}

/// Follows the only readers of `id` for as long as they can join it.
pub(super) fn fuse(lowering: &Lowering<'_>, id: NodeId, may_add: bool) -> Fused {
    let graph = lowering.graph;
    let params = &lowering.params[id.0];
    let channels = graph.node(id).shape[0];
    let bias = params.get(1).map_or_else(|| vec![0.0; channels], |bias| bias.to_vec());
    let none = Activation::None;
    let mut fused = Fused { last: id, weight: params[0].to_vec(), bias, residual: None, activation: none };
    while let [reader] = lowering.readers[fused.last.0][..] {
        if reader == fused.last || lowering.homes[fused.last.0].is_some() {
            break;
        }
        let is_linear = fused.residual.is_none() && fused.activation == none;
        let node = graph.node(reader);
        match &node.op {
            Op::BatchNorm(norm) if is_linear => {
                let (scale, shift) = batch_norm(&lowering.params[reader.0], norm);
                fused.rescale(&scale, &shift);
            }
            Op::Scale { scale, shift } if is_linear => {
                fused.rescale(&spread(scale, channels), &spread(shift, channels));
            }
            Op::Add if is_linear && may_add => {
                let other = node.inputs[usize::from(node.inputs[0] == fused.last)];
                let joins = graph.node(other).shape == graph.node(id).shape
                    && lowering.values[other.0].as_ref().is_some_and(|value| layout::runs(value).len() == 1);
                if !joins {
                    break;
                }
                fused.residual = Some(other);
            }
            Op::Activation { function } if fused.activation == none => {
                let function = activation(*function);
                if matches!(function, Activation::Sigmoid | Activation::Swish) {
                    break;
                }
                fused.activation = function;
            }
            Op::Dropout { .. } => {}
            Op::Input
            | Op::Conv(_)
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
            | Op::Linear { .. }
            | Op::Softmax => break,
        }
        fused.last = reader;
    }
    fused
}

impl Fused {
    fn rescale(&mut self, scale: &[f32], shift: &[f32]) {
        let per_output = self.weight.len() / scale.len();
        for (weights, scale) in self.weight.chunks_exact_mut(per_output).zip(scale) {
            weights.iter_mut().for_each(|weight| *weight *= scale);
        }
        for ((bias, scale), shift) in self.bias.iter_mut().zip(scale).zip(shift) {
            *bias = *bias * scale + shift;
        }
    }
}
