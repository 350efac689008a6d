//! The values of two networks, found in each other.

use std::collections::HashMap;

use cygnet_graph::{Graph, NodeId, Op};
use cygnet_quantize::folded;
use cygnet_runtime::{QuantizedReference, Reference};
use cygnet_weights::WeightSet;
use serde::Serialize;

use super::Tolerance;
use super::classes::Shared;
use super::numbers::{Summary, differences, largest};
use crate::model::misfit;
use crate::{Error, Model};

/// Numbers in the values of both networks at most.
const MOST: usize = 1 << 28;

/// How far two networks compute the same.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Layers {
    /// Values of the first network: those of its layers with weights.
    pub compared: usize,
    /// Those that the other has too.
    pub same: usize,
    /// The last that both have, in the order of computation.
    pub last_same: Option<String>,
    /// Where they part.
    pub parting: Option<Parting>,
}

/// The first value that the other network lacks, with all that is made of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Parting {
    /// The layer.
    pub layer: String,
    /// What stands in its place in the other network.
    pub other: Option<String>,
    /// How much the values there differ, of the spread; none where they have other shapes.
    pub diff: Option<f64>,
}

/// A network whose layers have taken the batch norms that alone read them.
pub(super) struct Folded {
    pub(super) graph: Graph,
    pub(super) weights: WeightSet,
}

/// Both networks with the nodes at which they part.
pub(super) struct Compared {
    pub(super) layers: Layers,
    pub(super) networks: [Folded; 2],
    pub(super) parting: [Option<NodeId>; 2],
}

/// A value of the first network.
struct Value {
    numbers: Vec<f32>,
    summary: Summary,
}

/// Runs both on the same input and finds the values of each in the other's: those of the first are kept meanwhile, those of the
/// second are looked at as they come. Nothing if they would take too much memory.
pub(super) fn compare(
    models: [&Model; 2],
    shared: Shared,
    input: &[f32],
    tolerance: Tolerance,
) -> Result<Option<Compared>, Error> {
    let numbers = |model: &Model| {
        let sizes = model.graph.nodes().iter().map(|node| node.shape.iter().product::<usize>());
        sizes.fold(0usize, usize::saturating_add)
    };
    if models.map(numbers).into_iter().fold(0, usize::saturating_add) > MOST {
        return Ok(None);
    }
    let networks = [fold(models[0])?, fold(models[1])?];
    let nodes = [0, 1].map(|side: usize| networks[side].graph.nodes().len());
    let mut ours: Vec<Option<Value>> = Vec::new();
    ours.resize_with(nodes[0], || None);
    let mut by_size: HashMap<usize, Vec<usize>> = HashMap::new();
    values(models[0], &networks[0], input, |id, value| {
        let numbers = shared.cut_value(0, &networks[0].graph, id, value).to_vec();
        by_size.entry(numbers.len()).or_default().push(id.0);
        ours[id.0] = Some(Value { summary: Summary::of(&numbers), numbers });
    })?;
    let mut found = nodes.map(|nodes| vec![false; nodes]);
    let mut is_there = [ours.iter().map(Option::is_some).collect(), vec![false; nodes[1]]];
    values(models[1], &networks[1], input, |id, value| {
        let theirs = shared.cut_value(1, &networks[1].graph, id, value);
        let summary = Summary::of(theirs);
        is_there[1][id.0] = true;
        for &i in by_size.get(&theirs.len()).into_iter().flatten() {
            if let Some(value) = ours[i].as_ref().filter(|_| !(found[0][i] && found[1][id.0]))
                && is_same(value, theirs, summary, tolerance)
            {
                (found[0][i], found[1][id.0]) = (true, true);
            }
        }
    })?;
    let is_whole = models.iter().any(|model| model.quantization.is_some());
    let first = [0, 1].map(|side: usize| first_lacking(&networks[side].graph, &found[side], &is_there[side]));
    // Of a chain of whole numbers, the layer is where they part and its end has the value.
    let in_chain = |side: usize, follow: fn(&Graph, NodeId) -> NodeId| {
        first[side].map(|id| if is_whole { follow(&networks[side].graph, id) } else { id })
    };
    let parting = [in_chain(0, layer_of), in_chain(1, layer_of)];
    let value = in_chain(0, end_of).and_then(|id| ours[id.0].as_ref());
    let diff = match (value, in_chain(1, end_of)) {
        (Some(value), Some(there)) => {
            let mut diff = None;
            values(models[1], &networks[1], input, |id, theirs| {
                let theirs = shared.cut_value(1, &networks[1].graph, id, theirs);
                if id == there && theirs.len() == value.numbers.len() {
                    diff = Some(largest(&value.numbers, theirs));
                }
            })?;
            diff
        }
        _ => None,
    };
    let name = |side: usize, id: NodeId| called(&networks[side].graph, id);
    let ended = |some: &[bool]| if is_whole { with_ends(&networks[0].graph, some) } else { some.to_vec() };
    let (is_there, has) = (ended(&is_there[0]), ended(&found[0]));
    let is_weighted = |id: &NodeId| networks[0].graph.node(*id).op.facts().is_weighted;
    let compared: Vec<NodeId> =
        (0..nodes[0]).map(NodeId).filter(|id| is_weighted(id) && is_there[id.0]).collect();
    let has = |id: NodeId| has[id.0];
    let before = |id: &NodeId| parting[0].is_none_or(|parting| *id < parting);
    let last = compared.iter().copied().rfind(|id| has(*id) && before(id));
    let layers = Layers {
        compared: compared.len(),
        same: compared.iter().filter(|id| has(**id)).count(),
        last_same: last.map(|id| name(0, id)),
        parting: parting[0].map(|id| Parting {
            layer: name(0, id),
            other: parting[1].map(|id| name(1, id)),
            diff,
        }),
    };
    Ok(Some(Compared { layers, networks, parting }))
}

/// A network in floating point with folded norms.
fn fold(model: &Model) -> Result<Folded, Error> {
    let (graph, weights) = if model.quantization.is_some() {
        (model.graph.clone(), model.real_weights())
    } else {
        folded(&model.graph, &model.real_weights())?
    };
    Ok(Folded { graph, weights })
}

/// Has `watch` see the value of every node, but of those within a chain of whole numbers.
fn values(
    model: &Model,
    network: &Folded,
    input: &[f32],
    mut watch: impl FnMut(NodeId, &[f32]),
) -> Result<(), Error> {
    if let Some(record) = &model.quantization {
        let reference = QuantizedReference::new(model.graph.clone(), &model.weights, record)?;
        reference.run_with(input, |id, numbers, _| watch(id, numbers))?;
    } else {
        let numbers = network.weights.select(&network.graph).map_err(misfit(&network.graph))?;
        let reference = Reference::<f32>::new(network.graph.clone(), &numbers)?;
        reference.run_with(input, watch)?;
    }
    Ok(())
}

/// Whether two values are the same but for rounding.
fn is_same(ours: &Value, theirs: &[f32], summary: Summary, tolerance: Tolerance) -> bool {
    let scale = ours.summary.scale();
    let (Tolerance::Largest(share) | Tolerance::Mean(share)) = tolerance;
    // No mean is farther away than the numbers are on average, but for how it is rounded.
    let apart = (ours.summary.mean - summary.mean).abs();
    if apart.is_nan() || apart > (share + 1e-6) * scale {
        return false;
    }
    match tolerance {
        Tolerance::Largest(share) => {
            differences(&ours.numbers, theirs).all(|difference| difference <= share * scale)
        }
        Tolerance::Mean(share) => {
            let sum: f64 = differences(&ours.numbers, theirs).sum();
            sum <= share * scale * theirs.len() as f64
        }
    }
}

/// The first node whose value the other network lacks as it lacks all that is made of it.
fn first_lacking(graph: &Graph, found: &[bool], is_there: &[bool]) -> Option<NodeId> {
    let readers = graph.readers();
    let mut leads = found.to_vec();
    for id in (0..leads.len()).rev() {
        leads[id] = leads[id] || readers[id].iter().any(|reader| leads[reader.0]);
    }
    (0..leads.len()).find(|&id| is_there[id] && !leads[id]).map(NodeId)
}

/// The layer or sum whose activation a node is, or the node itself.
fn layer_of(graph: &Graph, mut id: NodeId) -> NodeId {
    while let Op::Activation { .. } = graph.node(id).op {
        id = graph.node(id).inputs[0];
    }
    id
}

/// The last of the activations that alone read a node, or the node itself.
fn end_of(graph: &Graph, mut id: NodeId) -> NodeId {
    let readers = graph.sole_readers();
    while let Some(reader) =
        readers[id.0].filter(|reader| matches!(graph.node(*reader).op, Op::Activation { .. }))
    {
        id = reader;
    }
    id
}

/// For each node whether it is one of `some`, or what alone is made of it before the next layer is: of a chain of whole numbers
/// only the end has a value.
fn with_ends(graph: &Graph, some: &[bool]) -> Vec<bool> {
    let readers = graph.sole_readers();
    let mut all = some.to_vec();
    for id in (0..all.len()).rev() {
        let reader = readers[id].filter(|reader| !graph.node(*reader).op.facts().is_weighted);
        all[id] = all[id] || reader.is_some_and(|reader| all[reader.0]);
    }
    all
}

/// A node by its path, or by its kind and the last path before it.
pub(super) fn called(graph: &Graph, id: NodeId) -> String {
    let node = graph.node(id);
    if !node.path.is_empty() {
        return node.path.clone();
    }
    let mut before = id;
    while graph.node(before).path.is_empty() {
        let Some(&input) = graph.node(before).inputs.first() else {
            return node.op.name().into();
        };
        before = input;
    }
    format!("{} after {}", node.op.name(), graph.node(before).path)
}
