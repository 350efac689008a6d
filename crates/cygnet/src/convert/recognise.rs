//! The network that a bare checkpoint is of, by the names and shapes of its tensors.

use std::collections::HashMap;
use std::path::Path;

use cygnet_graph::Graph;
use cygnet_weights::{Checkpoint, Format, Head, Mismatch, Naming, Tensors, fit, locate};
use cygnet_zoo::{Network, Registry};

use super::naming::{graph_for, namings};
use crate::Error;
use crate::named::network_in;

/// The network of the tensors of a file in the format of Deep Compression.
const DEEP_COMPRESSION: &str = "squeezenet1_0_caffe";

/// Most networks that are told where none fits.
const NEAREST: usize = 3;
/// Of so many parameters of a network that is told one at least is there.
const SHARED: usize = 8;
/// Of the weights of a network that is told by shapes alone, and of the checkpoint's, so many have one of the other's
/// shape.
const ALIKE: f64 = 0.9;
/// Most tensors that are compared with every network where none fits.
const MOST_TENSORS: usize = 10_000;

/// The one network whose tensors these are, and those of the same names and shapes that it was told from: a network
/// whose sources all use other names is not meant by its own. Of equal graphs the first of the zoo counts.
pub(super) fn recognise(
    path: &Path,
    checkpoint: &Checkpoint,
    registry: &Registry,
) -> Result<(Network, Vec<String>), Error> {
    if checkpoint.format == Format::DeepCompression {
        return Ok((network_in(registry, DEEP_COMPRESSION)?, Vec::new()));
    }
    let mut nearest = Vec::new();
    let mut found = fitting(checkpoint, registry, true, &mut nearest);
    if found.is_empty() && checkpoint.tensors.len() <= MOST_TENSORS {
        found = fitting(checkpoint, registry, false, &mut nearest);
    }
    let is_told = found.iter().any(|(used, ..)| *used);
    let mut distinct: Vec<(Network, Graph)> = Vec::new();
    let mut others = Vec::new();
    for (used, network, graph) in found {
        if is_told && !used {
            others.push(network.id);
        } else if !distinct.iter().any(|(_, other)| is_same(other, &graph)) {
            distinct.push((network, graph));
        }
    }
    match distinct.len() {
        0 => {
            if nearest.is_empty() && checkpoint.tensors.len() <= MOST_TENSORS {
                nearest = of_such_shapes(&checkpoint.tensors, registry);
            }
            nearest.sort_by_key(|(_, mismatch)| mismatch.count());
            nearest.truncate(NEAREST);
            Err(Error::Unrecognised { path: path.into(), nearest })
        }
        1 => Ok((distinct.remove(0).0, others)),
        _ => Err(Error::Ambiguous {
            path: path.into(),
            ids: distinct.into_iter().map(|(network, _)| network.id).collect(),
        }),
    }
}

/// The networks that fit, each with whether some source uses the names that it fits by. Without `whole` also those whose
/// batch norms are merged with what they follow; what differs of others that have tensors in common is added to
/// `nearest`.
fn fitting(
    checkpoint: &Checkpoint,
    registry: &Registry,
    whole: bool,
    nearest: &mut Vec<(String, Mismatch)>,
) -> Vec<(bool, Network, Graph)> {
    let tensors = &checkpoint.tensors;
    let mut found = Vec::new();
    // Few names begin many networks, and a checkpoint may have very many.
    let mut begun: HashMap<String, bool> = HashMap::new();
    let mut begins = |first: String| -> bool {
        let ends = |name: &String| {
            name.strip_suffix(&first).is_some_and(|prefix| prefix.is_empty() || prefix.ends_with('.'))
        };
        *begun.entry(first.clone()).or_insert_with(|| tensors.keys().any(ends))
    };
    for network in registry.networks() {
        let Ok(plain) = network.build() else { continue };
        let mut least: Option<Mismatch> = None;
        let first = plain.params().into_iter().next().map_or_else(String::new, |param| param.name);
        let mut fits = |naming: Naming| {
            if whole && !begins((naming.key)(&first)) {
                return false;
            }
            let naming = locate(&plain, tensors, naming).naming;
            if whole && !naming.covers(&plain, tensors) {
                return false;
            }
            let Ok(graph) = graph_for(&plain, tensors, &naming, None) else { return false };
            let Err(mismatch) = fit(&graph, tensors, &naming, Head::Keep) else { return true };
            if least.as_ref().is_none_or(|least| mismatch.count() < least.count()) {
                least = Some(mismatch);
            }
            false
        };
        let mut namings = namings(&network, &plain).into_iter();
        if namings.next().is_some_and(|(_, own)| fits(own)) {
            found.push((uses_own_names(&network), network, plain));
        } else if namings.any(|(_, naming)| fits(naming)) {
            found.push((true, network, plain));
        } else if let Some(least) = least.filter(|_| !whole) {
            let params = plain.params().len();
            if (params - least.missing.len()) * SHARED >= params {
                nearest.push((network.id, least));
            }
        }
    }
    found
}

/// The networks that have nearly the weights of a checkpoint by their shapes, whatever they are called, and how their
/// names differ.
fn of_such_shapes(tensors: &Tensors, registry: &Registry) -> Vec<(String, Mismatch)> {
    // What has one size or none is a bias, or one of a batch norm's numbers, and tells little.
    let counted = |shapes: &mut dyn Iterator<Item = Vec<usize>>| {
        let mut counts: HashMap<Vec<usize>, usize> = HashMap::new();
        shapes.filter(|shape| shape.len() > 1).for_each(|shape| *counts.entry(shape).or_default() += 1);
        counts
    };
    let there = counted(&mut tensors.values().map(|tensor| tensor.shape().to_vec()));
    let such = |network: Network| {
        let plain = network.build().ok()?;
        let wanted = counted(&mut plain.params().into_iter().map(|param| param.shape));
        let both: usize = wanted.iter().map(|(shape, n)| *n.min(there.get(shape).unwrap_or(&0))).sum();
        let all: usize = wanted.values().chain(there.values()).sum();
        let is_alike = 2.0 * both as f64 >= ALIKE * all as f64;
        let mismatch =
            fit(&plain, tensors, &Naming::own(), Head::Keep).err().filter(|_| is_alike && both > 0)?;
        Some((network.id, mismatch))
    };
    registry.networks().filter_map(such).collect()
}

/// Whether some source names the tensors of a network as Cygnet does, at any width, or no source is known.
fn uses_own_names(network: &Network) -> bool {
    let variants = network.row.variants.iter();
    let mut keys = variants.flat_map(|variant| {
        let names = variant.names.iter().map(|name| name.keys);
        names.chain(variant.checkpoints.iter().map(|checkpoint| checkpoint.keys))
    });
    keys.clone().next().is_none() || keys.any(|keys| keys.is_none())
}

/// Whether two graphs compute the same, by whatever names.
fn is_same(a: &Graph, b: &Graph) -> bool {
    let nodes = |graph: &Graph| {
        graph.nodes().iter().map(|node| (node.op.clone(), node.inputs.clone())).collect::<Vec<_>>()
    };
    a.input_shape() == b.input_shape() && a.output() == b.output() && nodes(a) == nodes(b)
}
