//! The model of a bare checkpoint: its network, the place of the weights in it, and what was decided.

use std::path::Path;

use cygnet_graph::Graph;
use cygnet_image::Preprocess;
use cygnet_weights::{Accuracy, Checkpoint, Head, Located, Mismatch, WeightSet, fit, locate};
use cygnet_zoo::{KeyMap, Network, Registry, imagenet, registry};

use super::naming::{graph_for, namings, new_classifier};
use super::recognise::recognise;
use super::request::{Converted, Heads, Request};
use crate::finite::not_finite;
use crate::named::{exact, preprocess};
use crate::{Error, Model};

/// What weights were measured on when the zoo's table says nothing else.
const IMAGENET: &str = "ImageNet-1k validation";

/// The model of a checkpoint whose file has this hash.
pub(super) fn model(
    path: &Path,
    checkpoint: &Checkpoint,
    hash: Option<&str>,
    request: Request<'_>,
) -> Result<Converted, Error> {
    let Request { registry, named, classes, heads } = request;
    let published = hash
        .and_then(|hash| published_as(registry, hash))
        .filter(|published| named.as_ref().is_none_or(|named| named.id == published.id));
    let proven = published.as_ref().and_then(|published| published.checkpoint);
    let mut told_by_name = None;
    let network = match named {
        Some(named) => Network { checkpoint: named.checkpoint.or(proven), ..named },
        None => {
            let (network, others) = published
                .map_or_else(|| recognise(path, checkpoint, registry), |network| Ok((network, Vec::new())))?;
            if !others.is_empty() {
                told_by_name = Some(format!(
                    "the names of its tensors are those of {}; their shapes would also be those of {}, for which photos may be \
                     prepared otherwise: `cygnet convert` takes it for that one with --network",
                    network.id,
                    others.join(" or ")
                ));
            }
            network
        }
    };
    let mut converted = from_checkpoint(path, checkpoint, &network, proven, classes, heads)?;
    if converted.model.guessed.is_none() {
        converted.model.guessed.clone_from(&told_by_name);
    }
    converted.notes.extend(told_by_name);
    converted.notes.extend(not_finite(&converted.model.weights).map(|broken| {
        format!("there are NaN or infinite numbers in {broken}: the training that made them diverged")
    }));
    let taken = checkpoint.taken_key.as_deref().unwrap_or_default();
    if !checkpoint.other_keys.is_empty() {
        let others = checkpoint.other_keys.join(", ");
        converted.notes.insert(
            0,
            format!(
                "the weights are those under {taken}; there are also {others}: `cygnet convert` chooses with --weights-key"
            ),
        );
    }
    Ok(converted)
}

/// The network that published the file of this very hash, and as which checkpoint.
fn published_as(registry: &Registry, found: &str) -> Option<Network> {
    let is_it = |checkpoint: &&registry::Checkpoint| {
        !checkpoint.sha256.is_empty() && found.starts_with(&checkpoint.sha256.to_lowercase())
    };
    registry.networks().find_map(|network| {
        let checkpoint = network.checkpoints().iter().find(is_it)?;
        Some(Network { checkpoint: Some(checkpoint), ..network })
    })
}

/// The model of a network from a file that was published as its weights.
pub(crate) fn published_model(
    path: &Path,
    checkpoint: &Checkpoint,
    network: &Network,
    published: &'static registry::Checkpoint,
    classes: Option<usize>,
    heads: Heads,
) -> Result<Model, Error> {
    Ok(from_checkpoint(path, checkpoint, network, Some(published), classes, heads)?.model)
}

/// The model of a network whose tensors are in a bare checkpoint.
fn from_checkpoint(
    path: &Path,
    checkpoint: &Checkpoint,
    network: &Network,
    published: Option<&'static registry::Checkpoint>,
    classes: Option<usize>,
    heads: Heads,
) -> Result<Converted, Error> {
    let side = network.side();
    let head = if classes.is_some() { Head::Renew { seed: 0 } } else { Head::Keep };
    let tensors = &checkpoint.tensors;
    let plain = network.build()?;
    let whole = match heads {
        Heads::Drop => None,
        Heads::KeepIfThere => Some(network.build_with_heads()?),
    };
    let mut best: Option<Mismatch> = None;
    for (map, naming) in namings(network, &plain) {
        let built = whole.as_ref().filter(|whole| naming.covers(whole, tensors)).unwrap_or(&plain);
        let located = locate(built, tensors, naming);
        let graph = graph_for(built, tensors, &located.naming, classes)?;
        match fit(&graph, tensors, &located.naming, head) {
            Ok(weights) => {
                let graph = graph.resized(side, side)?;
                let mut notes = notes(checkpoint, &located);
                let stored = graph_for(built, tensors, &located.naming, None)?.classes();
                notes.extend(new_classifier(stored, graph.classes()));
                let network = &as_told(network, map);
                let guessed = otherwise_prepared(network, &graph);
                notes.extend(guessed.clone());
                let model = describe(path, network, published, graph, weights);
                return Ok(Converted { model: Model { guessed, ..model }, notes });
            }
            Err(mismatch) => {
                if best.as_ref().is_none_or(|best| mismatch.count() < best.count()) {
                    best = Some(mismatch);
                }
            }
        }
    }
    let source = best.expect("every network has a naming");
    Err(Error::Mismatch { path: path.into(), source: Box::new(source) })
}

/// The network as the source means it whose names the tensors have, unless weights or a source were named.
fn as_told(network: &Network, map: Option<&'static KeyMap>) -> Network {
    let Some(map) = map.filter(|_| network.name.is_none() && network.checkpoint.is_none()) else {
        return network.clone();
    };
    let named = network.of(map.source);
    let of_keys = network.checkpoints().iter().find(|published| published.keys == Some(map));
    Network { checkpoint: of_keys.filter(|_| named.name.is_none()), ..named }
}

/// That published weights of the same network, which none of the names tells apart, want photos with other numbers.
fn otherwise_prepared(network: &Network, graph: &Graph) -> Option<String> {
    if network.name.is_some() || network.checkpoint.is_some() || graph.classes() != network.spec().classes {
        return None;
    }
    let numbers = |network: &Network| {
        let Preprocess { channels, scale, mean, std, .. } =
            preprocess(&network.preset(), graph.input_shape());
        (channels, scale, mean, std)
    };
    let taken = numbers(network);
    let others: Vec<String> = network
        .checkpoints()
        .iter()
        .filter(|other| numbers(&Network { checkpoint: Some(other), ..network.clone() }) != taken)
        .map(|other| format!("--network {}.{} ({})", network.id, other.tag, network.source_of(other)))
        .collect();
    (!others.is_empty()).then(|| {
        format!(
            "photos are prepared as for {} of {}, which the weights do not tell; for those of another source `cygnet convert` \
             has {}",
            network.id,
            network.source(),
            others.join(" or ")
        )
    })
}

/// What a user should know about where the weights were found.
fn notes(checkpoint: &Checkpoint, located: &Located) -> Vec<String> {
    let mut notes = located.notes();
    if !located.others.is_empty() {
        let taken = checkpoint.taken_key.iter().map(String::as_str);
        let whole = |other: &String| taken.clone().chain([other.as_str()]).collect::<Vec<_>>().join(".");
        let others = located.others.iter().map(whole).collect::<Vec<_>>().join(", ");
        notes.push(format!("{others} would fit as well: `cygnet convert` chooses with --weights-key"));
    }
    notes
}

fn describe(
    path: &Path,
    network: &Network,
    published: Option<&'static registry::Checkpoint>,
    graph: Graph,
    weights: WeightSet,
) -> Model {
    let as_published = graph.classes() == network.spec().classes;
    let accuracy = published.filter(|published| as_published && published.accuracy[0].is_finite());
    Model {
        id: network.id.clone(),
        preprocess: preprocess(&network.preset(), graph.input_shape()),
        guessed: None,
        labels: if as_published { imagenet::labels(graph.classes()) } else { Vec::new() },
        licence: published.map(|published| published.licence.into()),
        source: Some(published.and_then(|published| published.urls.first()).map_or_else(
            || path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
            |url| (*url).to_owned(),
        )),
        accuracy: accuracy.map(|published| Accuracy {
            dataset: IMAGENET.into(),
            top1: exact(published.accuracy[0]),
            top5: exact(published.accuracy[1]),
        }),
        recipe: None,
        training: None,
        compression: None,
        quantization: None,
        written_by: None,
        graph,
        weights,
    }
}
