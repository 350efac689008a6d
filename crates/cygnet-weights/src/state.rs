//! Finds the weights in what a training script saved: a dict of tensors, or one among an optimiser's state, averages,
//! settings and names of classes.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "a pickle may hold any value where one kind is wanted, and all others are passed over alike"
)]

use std::collections::BTreeMap;

use indexmap::IndexSet;

use crate::{
    Tensors, WeightsError, class_names as names,
    pickle::{Id, Node, Pickle, View},
};

/// Where a training script puts the state dict, in order of preference.
pub const STATE_KEYS: [&str; 6] =
    ["state_dict", "model_state_dict", "model_state", "model", "net", "weights"];
/// Where it puts the moving average of the weights, taken if there is nothing else.
pub const AVERAGE_KEYS: [&str; 4] = ["state_dict_ema", "ema_state_dict", "model_ema", "ema"];
/// Parts of the keys of what only training needs.
const TRAINING_KEYS: [&str; 5] = ["opt", "sched", "scaler", "rng", "criterion"];

/// Most levels of dicts and lists above a tensor.
const MAX_DEPTH: usize = 32;
/// Most tensors of a checkpoint; the largest networks of the field have two thousand.
const MAX_TENSORS: usize = 1 << 16;
/// Most bytes that the names of tensors take together.
const MAX_NAME_BYTES: usize = 16 << 20;
/// Most values that are looked at for tensors.
const MAX_STEPS: usize = 1 << 22;
/// Most levels of dicts above the names of classes.
const MAX_NAMES_DEPTH: usize = 4;
/// Most entries of dicts and lists that are searched for the names of classes.
const MAX_SEARCHED: usize = 200_000;
/// Most bytes of the name of a class.
const MAX_NAME: usize = 256;
/// Most keys that a message lists.
const MAX_LISTED: usize = 20;

/// The content of a checkpoint.
#[derive(Debug, Clone)]
pub(crate) struct StateDict {
    pub(crate) tensors: Tensors,
    /// Numbers and texts beside the state dict, for instance the epoch.
    pub(crate) metadata: BTreeMap<String, String>,
    /// The key under which the state dict was found, with dots between levels; none if it is the whole file.
    pub(crate) taken_key: Option<String>,
    /// Other keys that hold tensors.
    pub(crate) other_keys: Vec<String>,
    pub(crate) class_names: Option<Vec<String>>,
}

/// The tensors that were chosen.
pub(crate) struct Found<'a> {
    pub(crate) tensors: Vec<(String, &'a View)>,
    pub(crate) taken_key: Option<String>,
    pub(crate) other_keys: Vec<String>,
}

/// The tensors under `key`, or else under the keys that training scripts use.
pub(crate) fn find<'a>(pickle: &'a Pickle<'_>, key: Option<&str>) -> Result<Found<'a>, WeightsError> {
    let mut choice = Choice::of(pickle);
    let rest = key.map_or("", |key| choice.follow(key));
    let mut known = if rest.is_empty() { Vec::new() } else { choice.keys_with_tensors(choice.id, None)? };
    choice.descend()?;
    let mut tensors = Vec::new();
    Walk::new(pickle).tensors(choice.id, String::new(), &mut tensors)?;
    if !rest.is_empty() {
        // What follows the last dict is the start of names in it.
        let is_within = |(name, _): &(String, _)| within(name, rest).is_some();
        if !tensors.iter().any(is_within) {
            known.extend(first_parts(tensors.iter().map(|(name, _)| name.as_str())));
            known.truncate(MAX_LISTED);
            return Err(WeightsError::UnknownKey { key: key.unwrap_or_default().into(), known });
        }
        tensors.retain(is_within);
        tensors.iter_mut().for_each(|(name, _)| *name = name[rest.len() + 1..].to_owned());
        choice.keys.push(rest);
    }
    if tensors.is_empty() {
        return Err(match &pickle.module {
            Some(global) => WeightsError::WholeModule { global: global.clone() },
            None => WeightsError::NoTensors { found: describe(pickle, choice.id) },
        });
    }
    let taken_key = (!choice.keys.is_empty()).then(|| choice.keys.join("."));
    let other_keys = if key.is_some() { Vec::new() } else { choice.others };
    Ok(Found { tensors, taken_key, other_keys })
}

/// The rest of a name below `prefix`.
pub(crate) fn within<'n>(name: &'n str, prefix: &str) -> Option<&'n str> {
    name.strip_prefix(prefix)?.strip_prefix('.')
}

/// The first parts of names, each once.
pub(crate) fn first_parts<'n>(names: impl Iterator<Item = &'n str>) -> Vec<String> {
    let parts: IndexSet<&str> = names.filter_map(|name| Some(name.split_once('.')?.0)).collect();
    parts.into_iter().take(MAX_LISTED).map(str::to_owned).collect()
}

/// The way to the dict of tensors.
struct Choice<'a, 'b, 'k> {
    pickle: &'a Pickle<'b>,
    id: Id,
    keys: Vec<&'k str>,
    others: Vec<String>,
    walk: Walk<'a, 'b>,
}

impl<'a: 'k, 'b: 'k, 'k> Choice<'a, 'b, 'k> {
    fn of(pickle: &'a Pickle<'b>) -> Self {
        Choice { pickle, id: pickle.root, keys: Vec::new(), others: Vec::new(), walk: Walk::new(pickle) }
    }

    /// Goes where the start of a dotted key leads, and returns the rest of the key.
    fn follow(&mut self, mut key: &'k str) -> &'k str {
        while let Node::Dict(entries) = &self.pickle.nodes[self.id] {
            let step = |&(own, value): &(Id, Id)| {
                let own = self.pickle.text(own).filter(|own| !own.is_empty())?;
                let is_dict = matches!(self.pickle.nodes[value], Node::Dict(_));
                let rest = if own == key { "" } else { within(key, own)? };
                is_dict.then_some((own.len(), rest, value))
            };
            let Some((length, rest, value)) = entries.iter().filter_map(step).max_by_key(|step| step.0)
            else {
                break;
            };
            self.keys.push(&key[..length]);
            (self.id, key) = (value, rest);
            if key.is_empty() {
                break;
            }
        }
        key
    }

    /// Goes down to the state dict by the keys that training scripts use.
    fn descend(&mut self) -> Result<(), WeightsError> {
        while self.keys.len() < MAX_DEPTH
            && let Node::Dict(entries) = &self.pickle.nodes[self.id]
        {
            let pickle = self.pickle;
            let has_own = entries.iter().any(|&(_, value)| matches!(pickle.nodes[value], Node::View(_)));
            let averages = if has_own { &[][..] } else { &AVERAGE_KEYS[..] };
            let mut next = None;
            for &wanted in STATE_KEYS.iter().chain(averages) {
                let value = entries.iter().rev().find(|&&(key, _)| pickle.text(key) == Some(wanted));
                if let Some(&(_, value)) = value
                    && matches!(pickle.nodes[value], Node::Dict(_))
                    && self.walk.finds_tensor(value)?
                {
                    next = Some((wanted, value));
                    break;
                }
            }
            let Some((key, value)) = next else { break };
            let mut others = self.keys_with_tensors(self.id, Some(key))?;
            self.others.append(&mut others);
            self.keys.push(key);
            self.id = value;
        }
        Ok(())
    }

    /// The keys of dicts in a dict that hold tensors a network might have, but for one.
    fn keys_with_tensors(&mut self, id: Id, but: Option<&str>) -> Result<Vec<String>, WeightsError> {
        let Node::Dict(entries) = &self.pickle.nodes[id] else { return Ok(Vec::new()) };
        let mut keys = Vec::new();
        for &(key, value) in entries {
            if let Some(key) = self.pickle.text(key)
                && Some(key) != but
                && matches!(self.pickle.nodes[value], Node::Dict(_))
                && !is_for_training(key)
                && keys.len() < MAX_LISTED
                && self.walk.finds_tensor(value)?
            {
                keys.push(self.keys.iter().copied().chain([&*shortened(key)]).collect::<Vec<_>>().join("."));
            }
        }
        Ok(keys)
    }
}

fn is_for_training(key: &str) -> bool {
    TRAINING_KEYS.iter().any(|part| key.contains(part))
}

/// A walk through dicts and lists that ends even if they contain themselves or share their parts.
struct Walk<'a, 'b> {
    pickle: &'a Pickle<'b>,
    /// The containers around the current value.
    path: Vec<Id>,
    /// Values that may still be visited.
    steps: usize,
    /// Bytes that the names may still take.
    name_bytes: usize,
}

impl<'a, 'b> Walk<'a, 'b> {
    fn new(pickle: &'a Pickle<'b>) -> Walk<'a, 'b> {
        let name_bytes = pickle.end.saturating_mul(8).min(MAX_NAME_BYTES);
        Walk { pickle, path: Vec::new(), steps: pickle.end.min(MAX_STEPS), name_bytes }
    }

    /// Whether there is a tensor in a value. All such questions of one walk together take so many steps.
    fn finds_tensor(&mut self, id: Id) -> Result<bool, WeightsError> {
        let mut open = vec![(id, 0)];
        while let Some((id, depth)) = open.pop() {
            let children: Vec<Id> = match &self.pickle.nodes[id] {
                Node::View(_) => return Ok(true),
                Node::Dict(entries) => entries.iter().rev().map(|&(_, value)| value).collect(),
                Node::List(items) | Node::Tuple(items) => items.iter().rev().copied().collect(),
                _ => continue,
            };
            self.step("the top level", children.len())?;
            if depth < MAX_DEPTH {
                open.extend(children.into_iter().map(|child| (child, depth + 1)));
            }
        }
        Ok(false)
    }

    fn step(&mut self, name: &str, count: usize) -> Result<(), WeightsError> {
        let left = self.steps.checked_sub(count);
        self.steps = left.ok_or_else(|| refused(name, "the same values occur over and over"))?;
        Ok(())
    }

    fn tensors(
        &mut self,
        id: Id,
        name: String,
        found: &mut Vec<(String, &'a View)>,
    ) -> Result<(), WeightsError> {
        let (entries, items): (&[(Id, Id)], &[Id]) = match &self.pickle.nodes[id] {
            Node::View(_) if found.len() >= MAX_TENSORS => {
                return Err(refused(&name, "is one tensor more than any checkpoint has"));
            }
            Node::View(view) => {
                found.push((name, view));
                return Ok(());
            }
            Node::Dict(entries) => (entries, &[]),
            Node::List(items) | Node::Tuple(items) => (&[], items),
            _ => return Ok(()),
        };
        if self.path.contains(&id) {
            return Err(refused(&name, "contains itself"));
        }
        if self.path.len() >= MAX_DEPTH {
            return Err(refused(&name, "nested too deeply"));
        }
        self.step(&name, entries.len() + items.len())?;
        let is_root = self.path.is_empty();
        self.path.push(id);
        for &(key, value) in entries {
            let is_tensor = matches!(self.pickle.nodes[value], Node::View(_));
            match (self.pickle.text(key), &self.pickle.nodes[key]) {
                (Some(key), _) if is_root && !is_tensor && is_for_training(key) => {}
                (Some(key), _) => self.child(value, &name, key, found)?,
                (None, Node::Int(key)) => self.child(value, &name, &key.to_string(), found)?,
                _ => {}
            }
        }
        for (index, &value) in items.iter().enumerate() {
            self.child(value, &name, &index.to_string(), found)?;
        }
        self.path.pop();
        Ok(())
    }

    fn child(
        &mut self,
        id: Id,
        parent: &str,
        key: &str,
        found: &mut Vec<(String, &'a View)>,
    ) -> Result<(), WeightsError> {
        match self.name_bytes.checked_sub(parent.len() + key.len()) {
            Some(left) => self.name_bytes = left,
            None => return Err(refused(parent, "too long names")),
        }
        let name = if parent.is_empty() { key.to_owned() } else { format!("{parent}.{key}") };
        self.tensors(id, name, found)
    }
}

fn refused(name: &str, reason: &'static str) -> WeightsError {
    WeightsError::Structure { key: shortened(name), reason }
}

fn shortened(name: &str) -> String {
    if name.is_empty() { "the top level".into() } else { name.chars().take(80).collect() }
}

/// The first numbers and short texts at the top level.
pub(crate) fn scalars(pickle: &Pickle<'_>) -> BTreeMap<String, String> {
    let Node::Dict(entries) = pickle.root() else { return BTreeMap::new() };
    let value_of = |id: Id| match &pickle.nodes[id] {
        Node::Int(value) => Some(value.to_string()),
        Node::Float(value) => Some(value.to_string()),
        Node::Bool(value) => Some(value.to_string()),
        Node::Text(text) if text.len() <= 256 => pickle.text(id).map(str::to_owned),
        _ => None,
    };
    let scalars = entries.iter().filter_map(|&(key, value)| {
        let key = pickle.text(key).filter(|key| key.len() <= 256)?;
        Some((key.to_owned(), value_of(value)?))
    });
    scalars.take(256).collect()
}

/// The names of classes beside the tensors or in settings, those nearest the top first.
pub(crate) fn class_names(pickle: &Pickle<'_>) -> Option<Vec<String>> {
    let mut level = vec![pickle.root];
    let mut left = MAX_SEARCHED;
    for _ in 0..MAX_NAMES_DEPTH {
        let mut next = Vec::new();
        for id in level {
            let Some(entries) = pickle.entries(id) else { continue };
            left = left.checked_sub(entries.len())?;
            for wanted in names::KEYS {
                let hit = entries.iter().rev().find(|&&(key, _)| is_key(pickle.text(key), wanted));
                let Some(&(_, value)) = hit else { continue };
                let length = pickle
                    .entries(value)
                    .map_or(0, <[_]>::len)
                    .max(pickle.items(value).map_or(0, <[_]>::len));
                left = left.checked_sub(length)?;
                if let Some(names) = names_in(pickle, value) {
                    return Some(names);
                }
            }
            next.extend(
                entries.iter().map(|&(_, value)| value).filter(|&value| pickle.entries(value).is_some()),
            );
        }
        level = next;
    }
    None
}

fn is_key(key: Option<&str>, wanted: &str) -> bool {
    key.is_some_and(|key| key.eq_ignore_ascii_case(wanted))
}

/// The names in a list of texts, or in a dict of texts and indices.
fn names_in(pickle: &Pickle<'_>, id: Id) -> Option<Vec<String>> {
    let fits = |length: usize| (1..=names::MAX_CLASSES).contains(&length);
    let text = |id| pickle.text(id).filter(|name| name.len() <= MAX_NAME).map(str::to_owned);
    if let Some(items) = pickle.items(id).filter(|items| fits(items.len())) {
        return items.iter().map(|&item| text(item)).collect();
    }
    let number = |id| pickle.index(id).or_else(|| pickle.text(id)?.parse().ok());
    let pair = |&(key, value): &(Id, Id)| match (text(key), pickle.index(value)) {
        (Some(name), Some(index)) => Some((index, name)),
        _ => Some((number(key)?, text(value)?)),
    };
    let entries = pickle.entries(id).filter(|entries| fits(entries.len()))?;
    names::in_order(entries.iter().map(pair).collect::<Option<_>>()?)
}

fn describe(pickle: &Pickle<'_>, root: Id) -> String {
    match &pickle.nodes[root] {
        Node::Dict(entries) => {
            let keys: Vec<_> = entries.iter().filter_map(|&(key, _)| pickle.text(key)).take(8).collect();
            format!("a dict with the keys {}", shortened(&keys.join(", ")))
        }
        Node::List(_) | Node::Tuple(_) => "a list".into(),
        _ => "a single value".into(),
    }
}
