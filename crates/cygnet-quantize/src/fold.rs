//! Networks without the batch norms that a layer can take.

use cygnet_graph::{BatchNorm, BuildError, Change, Conv, Graph, Node, NodeId, Op, Role};
use cygnet_weights::{Tensor, WeightSet};

use crate::QuantizeError;

/// The same network in which every convolution and linear layer has a bias and has taken the batch norm that alone reads it.
/// Parameters keep their names. A feature between the two, which GhostNets have, is none any more.
///
/// # Errors
/// If the weights are not those of the graph.
pub fn folded(graph: &Graph, weights: &WeightSet) -> Result<(Graph, WeightSet), QuantizeError> {
    let graph = &without_inner_features(&graph.without_auxiliary());
    let norms = norms(graph);
    let rebuilt = rebuilt(graph, &norms)?;
    let misfit = |misfit| QuantizeError::Weights { graph: graph.name().into(), misfit };
    let mut new = weights.part(graph).map_err(misfit)?;
    for (id, node) in graph.iter().filter(|(_, node)| node.op.facts().is_weighted) {
        let numbers = |id: NodeId, role: Role| {
            weights.of_role(graph, id, role).map(|tensor| tensor.to_f32().into_owned())
        };
        let outputs = node.shape[0];
        let list = |id, role, constant| numbers(id, role).unwrap_or_else(|| vec![constant; outputs]);
        let (mut weight, mut bias) = (list(id, Role::Weight, 0.0), list(id, Role::Bias, 0.0));
        if let Some(norm) = norms[id.0]
            && let Op::BatchNorm(BatchNorm { eps, .. }) = &graph.node(norm).op
        {
            let (gamma, beta) = (list(norm, Role::NormWeight, 1.0), list(norm, Role::NormBias, 0.0));
            let (mean, var) = (list(norm, Role::NormMean, 0.0), list(norm, Role::NormVar, 1.0));
            let terms = weight.len() / outputs;
            for o in 0..outputs {
                let factor = f64::from(gamma[o]) / (f64::from(var[o]) + eps).sqrt();
                weight[o * terms..][..terms].iter_mut().for_each(|w| *w = (f64::from(*w) * factor) as f32);
                bias[o] = (f64::from(beta[o]) + (f64::from(bias[o]) - f64::from(mean[o])) * factor) as f32;
            }
        }
        for (role, numbers) in [("weight", weight), ("bias", bias)] {
            let name = format!("{}.{role}", node.path);
            let count = numbers.len();
            new.insert(name, Tensor::from_numbers([count], numbers).expect("of this size"));
        }
    }
    let weights = new.part(&rebuilt).map_err(misfit)?;
    Ok((rebuilt, weights))
}

/// The graph that [`folded`] makes.
pub(crate) fn folded_graph(graph: &Graph) -> Result<Graph, BuildError> {
    let graph = without_inner_features(&graph.without_auxiliary());
    rebuilt(&graph, &norms(&graph))
}

/// The same network without features that lie between a layer and its batch norm.
fn without_inner_features(graph: &Graph) -> Graph {
    let readers = graph.readers();
    graph.with_features_of(|id| {
        let is_norm = |reader: &NodeId| matches!(graph.node(*reader).op, Op::BatchNorm(_));
        !(graph.node(id).op.facts().is_weighted && matches!(&readers[id.0][..], [norm] if is_norm(norm)))
    })
}

/// For each layer, the batch norm that alone reads it.
fn norms(graph: &Graph) -> Vec<Option<NodeId>> {
    let readers = graph.sole_readers();
    let norm = |(id, node): (NodeId, &Node)| {
        let reader = readers[id.0].filter(|_| node.op.facts().is_weighted)?;
        matches!(graph.node(reader).op, Op::BatchNorm(_)).then_some(reader)
    };
    graph.iter().map(norm).collect()
}

/// The graph without those batch norms that a layer takes.
fn rebuilt(graph: &Graph, norms: &[Option<NodeId>]) -> Result<Graph, BuildError> {
    let mut taken = vec![false; graph.nodes().len()];
    norms.iter().flatten().for_each(|norm| taken[norm.0] = true);
    let (rebuilt, _) = graph.rebuilt(|id, node| {
        if taken[id.0] {
            return Change::Skip;
        }
        let mut op = node.op.clone();
        if let Op::Conv(Conv { bias, .. }) | Op::Linear { bias, .. } = &mut op {
            *bias = true;
        }
        Change::Replace(op)
    })?;
    Ok(rebuilt)
}
