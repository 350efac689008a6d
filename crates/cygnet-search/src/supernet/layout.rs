//! Which channels of a network are the same in a wider one.
//!
//! Of most layers the first channels are, those that narrower networks have. Where values are joined one after the
//! other, as in ghost modules, it is the first of each part, and so of what reads them.

use cygnet_graph::{Graph, NodeId, Op, Param, Role};

/// Lengths of the parts of an axis, in order; of one part for most.
pub(crate) type Parts = Vec<usize>;

/// How each axis of a parameter is divided; none for the sides of kernels, of which the centre is shared.
pub(crate) type Axes = Vec<Option<Parts>>;

/// The parameters of a graph in its order, with the parts of their axes.
pub(crate) fn axes(graph: &Graph) -> Vec<(Param, Axes)> {
    let mut outputs: Vec<Option<Parts>> = vec![None; graph.nodes().len()];
    let values = values(graph, &outputs);
    for node in graph.nodes() {
        if let (Op::Add | Op::Mul, [left, right]) = (&node.op, &node.inputs[..]) {
            // A single part joins what has several: its layer's outputs are divided alike.
            for (one, other) in [(*left, *right), (*right, *left)] {
                let joined = &values[other.0];
                let is_whole = values[one.0][..] == [joined.iter().sum::<usize>()];
                if let (true, Some(layer)) = (is_whole && joined.len() > 1, layer_of(graph, one)) {
                    outputs[layer.0] = Some(joined.clone());
                }
            }
        }
    }
    let values = self::values(graph, &outputs);
    let with_axes = |param: Param| {
        let axes = axes_of(graph, &param, &values);
        (param, axes)
    };
    graph.params().into_iter().map(with_axes).collect()
}

/// The convolution that a value comes from, but for what is done to each channel alone.
fn layer_of(graph: &Graph, mut id: NodeId) -> Option<NodeId> {
    loop {
        let node = graph.node(id);
        let is_depthwise = |groups: usize| groups == graph.node(node.inputs[0]).shape[0];
        match &node.op {
            Op::Conv(conv) if conv.groups == 1 || !is_depthwise(conv.groups) => return Some(id),
            Op::Conv(_)
            | Op::BatchNorm(_)
            | Op::Activation { .. }
            | Op::Pool(_)
            | Op::GlobalAvgPool
            | Op::AdaptiveAvgPool { .. }
            | Op::Scale { .. }
            | Op::UpsampleLike
            | Op::Dropout { .. } => id = node.inputs[0],
            Op::Input
            | Op::LocalResponseNorm(_)
            | Op::Add
            | Op::Mul
            | Op::Concat
            | Op::Slice { .. }
            | Op::ChannelShuffle { .. }
            | Op::Softmax
            | Op::Linear { .. } => return None,
        }
    }
}

/// The parts of every value; `outputs` says those of some convolutions.
fn values(graph: &Graph, outputs: &[Option<Parts>]) -> Vec<Parts> {
    let mut values: Vec<Parts> = Vec::with_capacity(outputs.len());
    for (id, node) in graph.iter() {
        let channels = node.shape[0];
        let of = |index: usize| &values[node.inputs[index].0];
        let parts = match &node.op {
            Op::Conv(conv) => {
                let input = of(0);
                let total: usize = input.iter().sum();
                if let Some(parts) = &outputs[id.0] {
                    parts.clone()
                } else if conv.groups == total && channels == total {
                    input.clone()
                } else {
                    vec![channels / conv.groups; conv.groups]
                }
            }
            Op::BatchNorm(_)
            | Op::Activation { .. }
            | Op::Pool(_)
            | Op::GlobalAvgPool
            | Op::AdaptiveAvgPool { .. }
            | Op::LocalResponseNorm(_)
            | Op::Scale { .. }
            | Op::UpsampleLike
            | Op::Dropout { .. }
            | Op::Softmax => of(0).clone(),
            Op::Add | Op::Mul => {
                // The wider one, where one is broadcast, else the one of more parts.
                let size = |parts: &Parts| (parts.iter().sum::<usize>(), parts.len());
                let [left, right] = [of(0), of(1)];
                if size(right) > size(left) { right.clone() } else { left.clone() }
            }
            Op::Concat => node.inputs.iter().flat_map(|input| values[input.0].clone()).collect(),
            Op::Slice { start, len } => cut(of(0), *start, *len),
            Op::Input | Op::ChannelShuffle { .. } | Op::Linear { .. } => vec![channels],
        };
        values.push(parts);
    }
    values
}

/// The parts of `len` channels from `start`.
fn cut(parts: &[usize], start: usize, len: usize) -> Parts {
    let mut cut = Vec::new();
    let mut first = 0;
    for part in parts {
        let [low, high] = [start.max(first), (start + len).min(first + part)];
        if high > low {
            cut.push(high - low);
        }
        first += part;
    }
    cut
}

fn axes_of(graph: &Graph, param: &Param, values: &[Parts]) -> Axes {
    let node = graph.node(param.node);
    let (input, output) = (&values[node.inputs[0].0], &values[param.node.0]);
    match (param.role, &node.op) {
        (Role::Weight, Op::Conv(conv)) => {
            let within = if conv.groups == 1 { input.clone() } else { vec![param.shape[1]] };
            vec![Some(output.clone()), Some(within), None, None]
        }
        (Role::Weight, _) if input.iter().sum::<usize>() == param.shape[1] => {
            vec![Some(output.clone()), Some(input.clone())]
        }
        (Role::Weight, _) => param.shape.iter().map(|&length| Some(vec![length])).collect(),
        (Role::Bias | Role::NormWeight | Role::NormBias | Role::NormMean | Role::NormVar, _) => {
            vec![Some(output.clone())]
        }
    }
}
