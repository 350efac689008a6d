//! The zoo's network that a graph of a file equals, up to names and to what exporters merge.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use cygnet_graph::{Conv, Graph, Node, NodeId, Op, Padding, Param, Pool, Role, shape};
use cygnet_weights::{Head, Naming, Tensors, WeightSet, fit};
use cygnet_zoo::{Network, Registry, Spec};

/// A network of the zoo that computes what another graph computes, with that graph's weights under its own names.
pub(super) struct Twin {
    pub(super) network: Network,
    pub(super) graph: Graph,
    pub(super) weights: WeightSet,
}

/// The network of the zoo that equals `graph`, if one does: of several the one whose names the weights have already, or
/// else the first.
pub(super) fn twin(graph: &Graph, weights: &WeightSet, registry: &Registry) -> Option<Twin> {
    twin_among(graph, weights, registry.networks())
}

/// As [`twin`], among some networks.
pub(super) fn twin_among(
    graph: &Graph,
    weights: &WeightSet,
    networks: impl Iterator<Item = Network>,
) -> Option<Twin> {
    let input = graph.input_shape();
    let numbers = weight_numbers(graph);
    let equal = |network: Network| {
        let classes = graph.classes();
        let built = (network.row.build)(&Spec { image: input, classes, ..network.spec() }).ok()?;
        let names = Some(&built).filter(|built| weight_numbers(built) == numbers);
        let names = names.and_then(|built| names_in(graph, built))?;
        let is_named = names.iter().all(|(own, theirs)| own == theirs);
        Some((is_named, network, built, names))
    };
    let mut found: Vec<_> = networks.filter_map(equal).collect();
    found.sort_by_key(|(is_named, ..)| !is_named);
    found.into_iter().find_map(|(_, network, built, names)| {
        let weights = fit(&built, &renamed(weights, &names), &Naming::own(), Head::Keep).ok()?;
        let graph = if graph.gives_probabilities() { built } else { built.without_softmax().ok()? };
        Some(Twin { network, graph, weights })
    })
}

/// Numbers in weights of convolutions and linear layers, which no exporter merges away.
fn weight_numbers(graph: &Graph) -> usize {
    let weights = graph.params().into_iter().filter(|param| param.role == Role::Weight);
    weights.map(|param| param.shape.iter().product::<usize>()).sum()
}

/// The value that a node stands for, without what changes nothing.
fn seen(graph: &Graph, mut id: NodeId) -> NodeId {
    while is_transparent(graph, graph.node(id)) {
        id = graph.node(id).inputs[0];
    }
    id
}

/// The logits of a graph.
fn logits(graph: &Graph) -> NodeId {
    let output = seen(graph, graph.output());
    let node = graph.node(output);
    if node.op == Op::Softmax { seen(graph, node.inputs[0]) } else { output }
}

/// An operator without what differs by exporter: padding is written out, and a bias may be that of a merged batch norm.
pub(crate) fn plain(graph: &Graph, id: NodeId) -> Op {
    let node = graph.node(id);
    let written = |padding: Padding, kernel, stride, dilation| {
        let [_, height, width] = graph.node(node.inputs[0]).shape[..] else { return padding };
        let [[top, bottom], [left, right]] =
            shape::pad_amounts(padding, [height, width], kernel, stride, dilation);
        Padding::Explicit { top, left, bottom, right }
    };
    match &node.op {
        Op::Conv(conv) => {
            let padding = written(conv.set_padding(), conv.kernel, conv.stride, conv.dilation);
            Op::Conv(Conv { bias: false, padding: Some(padding), ..conv.clone() })
        }
        Op::Pool(pool) => {
            let padding = written(pool.padding, pool.kernel, pool.stride, [1, 1]);
            let is_valid = padding == Padding::VALID;
            let count_include_pad = pool.count_include_pad || is_valid;
            let floored = Pool { padding, count_include_pad, ceil: false, ..pool.clone() };
            let inputs = graph.input_shapes(node);
            let is_floored =
                shape::infer(&Op::Pool(floored.clone()), &inputs).is_ok_and(|shape| shape == node.shape);
            Op::Pool(Pool { ceil: !is_floored, ..floored })
        }
        other => other.clone(),
    }
}

/// For each node a number that says what it computes of the image, whatever its weights.
fn prints(graph: &Graph) -> Vec<u64> {
    let mut prints = Vec::with_capacity(graph.nodes().len());
    for (id, node) in graph.iter() {
        let mut inputs: Vec<u64> = node.inputs.iter().map(|&input| prints[seen(graph, input).0]).collect();
        if matches!(node.op, Op::Add | Op::Mul) {
            inputs.sort_unstable();
        }
        let mut hasher = DefaultHasher::new();
        format!("{:?}", plain(graph, id)).hash(&mut hasher);
        inputs.hash(&mut hasher);
        node.shape.iter().product::<usize>().hash(&mut hasher);
        prints.push(hasher.finish());
    }
    prints
}

/// The parameters of `graph` with the names that they have in `other`, if both compute the same.
fn names_in(graph: &Graph, other: &Graph) -> Option<Vec<(String, String)>> {
    let (own, theirs) = (prints(graph), prints(other));
    let mut pairs: HashMap<NodeId, NodeId> = HashMap::new();
    let mut open = vec![(logits(graph), logits(other))];
    while let Some((a, b)) = open.pop() {
        if own[a.0] != theirs[b.0] {
            return None;
        }
        if let Some(before) = pairs.insert(a, b) {
            if before != b {
                return None;
            }
            continue;
        }
        let [a_node, b_node] = [graph.node(a), other.node(b)];
        let a_inputs: Vec<NodeId> = a_node.inputs.iter().map(|&id| seen(graph, id)).collect();
        let mut b_inputs: Vec<NodeId> = b_node.inputs.iter().map(|&id| seen(other, id)).collect();
        if matches!(a_node.op, Op::Add | Op::Mul) && own[a_inputs[0].0] != theirs[b_inputs[0].0] {
            b_inputs.swap(0, 1);
        }
        open.extend(a_inputs.into_iter().zip(b_inputs));
    }
    let mut names = Vec::new();
    let mut pair = |a: NodeId, b: NodeId| {
        let (path, params): (_, Vec<Param>) = (&other.node(b).path, graph.node_params(a));
        names.extend(params.into_iter().map(|param| {
            let tensor = param.name.rsplit('.').next().unwrap_or_default().to_owned();
            (param.name, format!("{path}.{tensor}"))
        }));
    };
    for (&a, &b) in &pairs {
        pair(a, b);
    }
    // A batch norm that both have belongs to the convolution before it.
    for (id, node) in graph.iter().filter(|(_, node)| matches!(node.op, Op::BatchNorm(_))) {
        let (conv, is_hidden) = (node.inputs[0], is_transparent(graph, node));
        let theirs = pairs.get(&conv).filter(|_| is_hidden);
        let found = theirs.and_then(|conv| {
            let mut norms = other.iter().filter(|(_, node)| matches!(node.op, Op::BatchNorm(_)));
            norms.find(|(_, node)| node.inputs[0] == *conv)
        });
        if is_hidden {
            pair(id, found?.0);
        }
    }
    Some(names)
}

/// Whether a node changes nothing that is computed in use, but for weights that may be merged with others.
fn is_transparent(graph: &Graph, node: &Node) -> bool {
    match &node.op {
        Op::Dropout { .. } => true,
        Op::BatchNorm(_) => matches!(graph.node(node.inputs[0]).op, Op::Conv(_)),
        _ => false,
    }
}

/// The weights of a graph under other names.
fn renamed(weights: &WeightSet, names: &[(String, String)]) -> Tensors {
    let tensor = |(from, to): &(String, String)| Some((to.clone(), weights.get(from)?.clone()));
    names.iter().filter_map(tensor).collect()
}
