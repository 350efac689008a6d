//! Finds a network among the tensors of a checkpoint, where training scripts save it as a part of something larger or
//! with another last layer.

use std::collections::HashSet;

use cygnet_graph::{Graph, Param};

use crate::{
    Tensors,
    matching::{Naming, is_ignored, trimmed},
};

/// Most places that are tried.
const MAX_PLACES: usize = 32;
/// Parts of the names of weights that follow others: they are taken if nothing else fits as well.
const FOLLOWERS: [&str; 8] = ["ema", "teacher", "target", "momentum", "average", "averaged", "shadow", "swa"];

/// Where the tensors of a graph are in a checkpoint.
pub struct Located {
    /// How the checkpoint names them.
    pub naming: Naming,
    /// Starts of names, without a dot at their end, under which as many tensors of the graph are.
    pub others: Vec<String>,
    /// Tensors that are not under the start of names that was chosen.
    pub outside: Vec<String>,
    /// The layer that stands where the graph's classifier should: its name in the graph, and in the checkpoint.
    pub moved: Option<(String, String)>,
}

impl Located {
    /// The start of all names, without a dot at its end; empty if names start as the graph's.
    #[must_use]
    pub fn prefix(&self) -> &str {
        self.naming.prefix.trim_end_matches('.')
    }

    /// What a user should know about where the tensors were found, a sentence each.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let prefix = self.prefix();
        if !prefix.is_empty() {
            notes.push(match &self.outside[..] {
                [] => format!("the names of the network's tensors start with {prefix}., which is left out"),
                [only] => format!("the network's tensors are those under {prefix}.; {only} is left out"),
                [first, .., last] => format!(
                    "the network's tensors are those under {prefix}.; {} others are left out, {first} to {last}",
                    self.outside.len()
                ),
            });
        }
        if self.outside.iter().any(|name| name == "n_averaged") {
            notes.push("the weights are the average of a run (n_averaged)".into());
        }
        if let Some((own, theirs)) = &self.moved {
            notes.push(format!("{theirs} is taken for {own}: no other layer has its shape"));
        }
        notes
    }
}

/// Finds `graph` among `tensors`, which are named as `naming` says but for a common start of their names and for the
/// name of the classifier. Of several places the one with the most tensors counts, of equal ones that which is no
/// average of another, of these the first.
#[must_use]
pub fn locate(graph: &Graph, tensors: &Tensors, naming: Naming) -> Located {
    let params = graph.params();
    let first = params.first().map_or_else(String::new, |param| (naming.key)(&param.name));
    let places = prefixes(tensors, &first);
    if places.is_empty() {
        return Located { naming, others: Vec::new(), outside: Vec::new(), moved: None };
    }
    let names: Vec<String> = params.iter().map(|param| (naming.key)(&param.name)).collect();
    let found =
        |prefix: &str| names.iter().filter(|name| tensors.contains_key(&format!("{prefix}{name}"))).count();
    let counted: Vec<(usize, &str)> = places.into_iter().map(|prefix| (found(prefix), prefix)).collect();
    let most = counted.iter().map(|&(count, _)| count).max();
    let mut best: Vec<&str> =
        counted.into_iter().filter(|&(count, _)| Some(count) == most).map(|(_, prefix)| prefix).collect();
    best.sort_by_key(|prefix| follows(prefix));
    let prefix = best.remove(0);
    let others = best.into_iter().map(|prefix| prefix.trim_end_matches('.').to_owned()).collect();

    let channels_last = naming.channels_last;
    let mut naming = naming.below(prefix.to_owned());
    let keys: Vec<String> = names.iter().map(|name| format!("{prefix}{name}")).collect();
    let head = graph.classifier();
    let pairs = params.iter().zip(&keys).filter(|(param, _)| Some(param.node) == head);
    let classifier: Vec<(&Param, &str)> = pairs.map(|(param, key)| (param, key.as_str())).collect();
    let mut outside: Vec<String> = tensors.keys().filter(|key| !key.starts_with(prefix)).cloned().collect();
    let mut moved = None;
    if let Some((own, theirs)) = moved_layer(&classifier, &keys, prefix, tensors, channels_last) {
        outside.retain(|key| key.rsplit_once('.').is_none_or(|(layer, _)| layer != theirs));
        let layer = classifier[0].0.name.rsplit_once('.').map_or("", |(layer, _)| layer);
        moved = Some((layer.to_owned(), theirs.clone()));
        naming = naming.renaming(own, theirs);
    }
    Located { naming, others, outside, moved }
}

/// Starts of names before which `key` stands, in the order of the checkpoint.
fn prefixes<'t>(tensors: &'t Tensors, key: &str) -> Vec<&'t str> {
    let before = |name: &'t String| {
        let prefix = name.strip_suffix(key)?;
        (prefix.is_empty() || prefix.ends_with('.')).then_some(prefix)
    };
    tensors.keys().filter_map(before).take(MAX_PLACES).collect()
}

/// Whether a part of the start of names says that these weights follow others.
fn follows(prefix: &str) -> bool {
    prefix.split(['.', '_']).any(|part| FOLLOWERS.contains(&part.to_ascii_lowercase().as_str()))
}

/// The name of the graph's classifier and of the one layer that can be meant by it, if the checkpoint has no such name:
/// of all tensors that the graph has no place for, under the prefix or else beside it, which are all of one layer, each
/// has the shape that is needed, but for the number of classes.
fn moved_layer(
    classifier: &[(&Param, &str)],
    keys: &[String],
    prefix: &str,
    tensors: &Tensors,
    channels_last: bool,
) -> Option<(String, String)> {
    if classifier.is_empty() || classifier.iter().any(|(_, key)| tensors.contains_key(*key)) {
        return None;
    }
    let known: HashSet<&str> = keys.iter().map(String::as_str).collect();
    let is_left = |name: &str, within: bool| {
        let rest = name.strip_prefix(prefix);
        rest.is_some() == within && !known.contains(name) && !is_ignored(rest.unwrap_or(name))
    };
    let left = |within| {
        let left = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor));
        left.filter(|(name, _)| is_left(name, within)).take(classifier.len() + 1).collect::<Vec<_>>()
    };
    let inside = left(true);
    let left = if inside.is_empty() { left(false) } else { inside };
    let (layer, _) = left.first()?.0.rsplit_once('.')?;
    let (own, _) = classifier[0].1.rsplit_once('.')?;
    let mut classes = HashSet::new();
    let mut fits = |(param, key): &(&Param, &str)| {
        let name = key.strip_prefix(own)?.strip_prefix('.')?;
        let (_, tensor) = left.iter().find(|(key, _)| {
            key.strip_prefix(layer).is_some_and(|rest| rest.strip_prefix('.') == Some(name))
        })?;
        let mut shape = tensor.shape().to_vec();
        if channels_last {
            shape.reverse();
        }
        classes.insert(*shape.first()?);
        let inputs = |shape: &[usize]| trimmed(shape.get(1..).unwrap_or_default()).to_vec();
        (inputs(&shape) == inputs(&param.shape)).then_some(())
    };
    let all_fit = left.len() == classifier.len() && classifier.iter().all(|part| fits(part).is_some());
    (all_fit && classes.len() == 1).then(|| (own.to_owned(), layer.to_owned()))
}
