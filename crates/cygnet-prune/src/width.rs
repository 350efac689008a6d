//! Layers' widths: the groups of channels that the same layer makes.

use std::collections::BTreeMap;

use cygnet_graph::{Channels, NodeId};

/// Groups of channels that can be cut and that the same layer makes first: the filters of a layer, or of all layers whose
/// outputs are added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Width {
    /// The first node that has these channels.
    pub node: NodeId,
    /// The groups, in order of their channels.
    pub groups: Vec<usize>,
    /// Channels of its value, those that cannot be cut too.
    pub channels: usize,
}

/// The widths of a network, in order of execution.
#[must_use]
pub fn widths(channels: &Channels) -> Vec<Width> {
    let mut first = vec![None; channels.len()];
    for (id, _) in channels.graph().iter() {
        channels.groups_of(id).iter().for_each(|&group| _ = first[group].get_or_insert(id));
    }
    let mut widths: BTreeMap<NodeId, Vec<usize>> = BTreeMap::new();
    for (group, node) in first.into_iter().enumerate().filter(|(group, _)| !channels.is_fixed(*group)) {
        widths.entry(node.unwrap_or_default()).or_default().push(group);
    }
    let width = |(node, groups)| Width { node, groups, channels: channels.groups_of(node).len() };
    widths.into_iter().map(width).collect()
}
