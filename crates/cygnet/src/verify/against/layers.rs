//! The values of two networks, found in each other.

use std::collections::HashMap;

use cygnet_graph::{Graph, NodeId};
use cygnet_quantize::folded;
use cygnet_runtime::{QuantizedReference, Reference};
use cygnet_weights::WeightSet;
use serde::Serialize;

use super::{Tolerance, relative};
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

/// Runs both on the same input and finds the values of each in the other's. Nothing if these would take too much memory.
pub(super) fn compare(
    model: &Model,
    other: &Model,
    input: &[f32],
    tolerance: Tolerance,
) -> Result<Option<Compared>, Error> {
    let numbers = |graph: &Graph| {
        let sizes = graph.nodes().iter().map(|node| node.shape.iter().product::<usize>());
        sizes.fold(0usize, usize::saturating_add)
    };
    if numbers(&model.graph).saturating_add(numbers(&other.graph)) > MOST {
        return Ok(None);
    }
    let networks = [fold(model)?, fold(other)?];
    let values = [values(model, &networks[0], input)?, values(other, &networks[1], input)?];
    let [ours, theirs] = &values;
    let mut by_size: HashMap<usize, Vec<NodeId>> = HashMap::new();
    for id in (0..theirs.len()).map(NodeId).filter(|id| !theirs[id.0].is_empty()) {
        by_size.entry(theirs[id.0].len()).or_default().push(id);
    }
    let mut found = [vec![false; ours.len()], vec![false; theirs.len()]];
    for (i, value) in ours.iter().enumerate().filter(|(_, value)| !value.is_empty()) {
        for &id in by_size.get(&value.len()).into_iter().flatten() {
            if is_same(value, &theirs[id.0], tolerance) {
                (found[0][i], found[1][id.0]) = (true, true);
            }
        }
    }
    let parting: [Option<NodeId>; 2] =
        [0, 1].map(|side| first_lacking(&networks[side].graph, &found[side], &values[side]));
    let name = |side: usize, id: NodeId| called(&networks[side].graph, id);
    let weighted = |id: &NodeId| networks[0].graph.node(*id).op.facts().is_weighted;
    let compared: Vec<NodeId> = (0..ours.len())
        .map(NodeId)
        .filter(|id| weighted(id) && !ours[tail(&networks[0].graph, *id, ours).0].is_empty())
        .collect();
    let has = |id: NodeId| found[0][tail(&networks[0].graph, id, ours).0];
    let at = parting[0].map(|id| Parting {
        layer: name(0, id),
        other: parting[1].map(|id| name(1, id)),
        diff: parting[1]
            .map(|other| (&ours[id.0], &theirs[other.0]))
            .filter(|(a, b)| a.len() == b.len())
            .map(|(a, b)| relative(a, b)),
    });
    let before = |id: &NodeId| parting[0].is_none_or(|parting| *id < parting);
    let last = compared.iter().copied().rfind(|id| has(*id) && before(id));
    let layers = Layers {
        compared: compared.len(),
        same: compared.iter().filter(|id| has(**id)).count(),
        last_same: last.map(|id| name(0, id)),
        parting: at,
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

/// The value of every node; none of those within a chain of whole numbers.
fn values(model: &Model, network: &Folded, input: &[f32]) -> Result<Vec<Vec<f32>>, Error> {
    let mut values = vec![Vec::new(); network.graph.nodes().len()];
    if let Some(record) = &model.quantization {
        let reference = QuantizedReference::new(model.graph.clone(), &model.weights, record)?;
        reference.run_with(input, |id, numbers, _| values[id.0] = numbers.to_vec())?;
    } else {
        let numbers = network.weights.select(&network.graph).map_err(misfit(&network.graph))?;
        let reference = Reference::<f32>::new(network.graph.clone(), &numbers)?;
        reference.run_with(input, |id, value| values[id.0] = value.to_vec())?;
    }
    Ok(values)
}

/// Whether two values are the same but for rounding.
fn is_same(a: &[f32], b: &[f32], tolerance: Tolerance) -> bool {
    // Most are told apart by a few numbers.
    let step = (a.len() / 64).max(1);
    let thin = |x: &[f32]| x.iter().step_by(step).copied().collect::<Vec<f32>>();
    // Of fewer numbers the spread is smaller, so that more is let pass than is the same.
    let roughly = match tolerance {
        Tolerance::Largest(share) => Tolerance::Largest(10.0 * share),
        Tolerance::Mean(share) => Tolerance::Mean(2.0 * share),
    };
    (a.len() < 256 || roughly.judge(&thin(a), &thin(b)).1) && tolerance.judge(a, b).1
}

/// The first node whose value the other network lacks as it lacks all that is made of it.
fn first_lacking(graph: &Graph, found: &[bool], values: &[Vec<f32>]) -> Option<NodeId> {
    let readers = graph.readers();
    let mut leads = found.to_vec();
    for id in (0..leads.len()).rev() {
        leads[id] = leads[id] || readers[id].iter().any(|reader| leads[reader.0]);
    }
    let all = graph.iter().map(|(id, _)| id);
    all.filter(|id| !values[id.0].is_empty()).find(|id| !leads[id.0])
}

/// The node that has a layer's value: within a chain of whole numbers, its end.
fn tail(graph: &Graph, mut id: NodeId, values: &[Vec<f32>]) -> NodeId {
    let readers = graph.sole_readers();
    while values[id.0].is_empty() {
        let Some(reader) = readers[id.0] else { return id };
        id = reader;
    }
    id
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
