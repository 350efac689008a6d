//! Under which names, and for how many classes, a checkpoint may hold a network.

use cygnet_graph::Graph;
use cygnet_weights::{Naming, Tensors, naming_by_execution};
use cygnet_zoo::{KeyMap, Network};

use crate::Error;
use crate::counted::counted;

/// Every naming a network's checkpoint may have: its own, its sources', and by order of execution.
pub(super) fn namings(network: &Network, graph: &Graph) -> Vec<(Option<&'static KeyMap>, Naming)> {
    let naming = |map: &'static KeyMap| Naming {
        key: Box::new(move |name| map.key(name)),
        channels_last: map.channels_last,
        prefix: String::new(),
    };
    let sources = network.key_maps().into_iter().map(|map| (Some(map), naming(map)));
    std::iter::once((None, Naming::own()))
        .chain(sources)
        .chain([(None, naming_by_execution(graph))])
        .collect()
}

/// The published graph for as many classes as asked for, or as the checkpoint's classifier has.
pub(super) fn graph_for(
    published: &Graph,
    tensors: &Tensors,
    naming: &Naming,
    classes: Option<usize>,
) -> Result<Graph, Error> {
    let usual = published.classes();
    let stored = || {
        let weight = published.params().into_iter().rev().find(|param| param.name.ends_with(".weight"))?;
        let stored = tensors.get(&(naming.key)(&weight.name))?.shape();
        let stored = *(if naming.channels_last { stored.last() } else { stored.first() })?;
        // One more than the published number is a background class, which loading drops.
        (stored > 0 && weight.shape[0] == usual && stored != usual + 1).then_some(stored)
    };
    match classes.or_else(stored) {
        Some(classes) if classes != usual => Ok(published.with_classes(classes)?),
        _ => Ok(published.clone()),
    }
}

/// That a checkpoint's classifier was not taken, if it was not.
pub(super) fn new_classifier(stored: usize, classes: usize) -> Option<String> {
    (stored != classes).then(|| {
        format!(
            "the classifier for {} is random and must be trained; the checkpoint's, for {stored}, is left out",
            counted(classes, "class")
        )
    })
}
