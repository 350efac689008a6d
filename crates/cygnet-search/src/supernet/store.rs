//! Weights by name, and which of them a network has.

use std::collections::BTreeMap;

use cygnet_graph::{BuildError, Graph, Param, Role};
use cygnet_zoo::Spec;

use super::layout::{Axes, Parts, axes};
use crate::space::{Space, What};

/// The weights of all networks of a space, of each name as many as the largest network has.
#[derive(Clone, Debug)]
pub struct Store {
    entries: Vec<Entry>,
    places: BTreeMap<String, usize>,
}

/// A parameter of the store.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) role: Role,
    axes: Vec<Axis>,
    pub(crate) values: Vec<f32>,
}

/// An axis of a parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Axis {
    /// Parts, of each of which narrower networks have the first.
    Parts(Parts),
    /// The side of a kernel, of which smaller ones have the centre.
    Centre(usize),
}

impl Axis {
    fn len(&self) -> usize {
        match self {
            Axis::Parts(parts) => parts.iter().sum(),
            Axis::Centre(side) => *side,
        }
    }
}

/// Where in the store the weights of a network are: for each of its parameters the entry, and runs of numbers in it
/// (first, length), in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slices {
    pub(crate) of: Vec<Slice>,
}

/// The part of an entry that a parameter is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Slice {
    pub(crate) entry: usize,
    pub(crate) runs: Vec<(usize, usize)>,
}

impl Store {
    /// Room for every network of a space with so many classes; `initial` gives the first values of a parameter of the
    /// given shape.
    ///
    /// # Errors
    /// If a network of the space does not fit, with its place.
    pub fn of_space(
        space: &Space,
        classes: usize,
        initial: impl FnMut(&Param) -> Vec<f32>,
    ) -> Result<Store, BuildError> {
        let graphs = covering(space).into_iter().map(|choices| {
            let gene = space.gene(&choices);
            gene.build(&Spec { classes, ..gene.spec() })
        });
        Ok(Store::of_graphs(&graphs.collect::<Result<Vec<_>, _>>()?, initial))
    }

    /// Room for all of some networks.
    #[must_use]
    pub fn of_graphs(graphs: &[Graph], mut initial: impl FnMut(&Param) -> Vec<f32>) -> Store {
        let mut places = BTreeMap::new();
        let mut found: Vec<(Param, Axes, bool)> = Vec::new();
        for (param, axes) in graphs.iter().flat_map(axes) {
            let place = *places.entry(param.name.clone()).or_insert(found.len());
            match found.get_mut(place) {
                None => found.push((param, axes, true)),
                Some((known, widest, alike)) => grow(known, widest, alike, &param, axes),
            }
        }
        let entry = |(param, axes, alike): (Param, Axes, bool)| {
            let axis = |(axis, &length): (Option<Parts>, &usize)| match axis {
                None => Axis::Centre(length),
                Some(parts) if alike => Axis::Parts(parts),
                Some(_) => Axis::Parts(vec![length]),
            };
            let axes: Vec<Axis> = axes.into_iter().zip(&param.shape).map(axis).collect();
            let whole = Param { shape: axes.iter().map(Axis::len).collect(), ..param };
            let values = initial(&whole);
            Entry { name: whole.name, role: whole.role, axes, values }
        };
        Store { entries: found.into_iter().map(entry).collect(), places }
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Names of its parameters with their shapes and values.
    pub fn params(&self) -> impl Iterator<Item = (&str, Vec<usize>, &[f32])> {
        self.entries.iter().map(|entry| {
            (entry.name.as_str(), entry.axes.iter().map(Axis::len).collect(), entry.values.as_slice())
        })
    }

    /// Numbers in it.
    #[must_use]
    pub fn numbers(&self) -> usize {
        self.entries.iter().map(|entry| entry.values.len()).sum()
    }

    /// Where the weights of a network are, by comparing its shapes with those of equal names; none if it is too large
    /// or has other layers.
    #[must_use]
    pub fn slices(&self, graph: &Graph) -> Option<Slices> {
        let slice = |(param, axes): (Param, Axes)| {
            let entry = *self.places.get(&param.name)?;
            let whole = &self.entries[entry].axes;
            if whole.len() != axes.len() {
                return None;
            }
            let ranges = whole.iter().zip(axes).zip(&param.shape);
            let ranges: Option<Vec<_>> =
                ranges.map(|((whole, part), &length)| ranges_of(whole, part, length)).collect();
            let lengths: Vec<usize> = whole.iter().map(Axis::len).collect();
            Some(Slice { entry, runs: runs(&lengths, &ranges?) })
        };
        Some(Slices { of: axes(graph).into_iter().map(slice).collect::<Option<_>>()? })
    }

    /// A network's weights, in the order of [`Graph::params`].
    #[must_use]
    pub fn gather(&self, slices: &Slices) -> Vec<Vec<f32>> {
        slices.of.iter().map(|slice| gather(&self.entries[slice.entry].values, &slice.runs)).collect()
    }

    /// Writes a network's weights back; all others stay as they are.
    ///
    /// # Panics
    /// If the weights are not as many as the slices say.
    pub fn scatter(&mut self, slices: &Slices, params: &[Vec<f32>]) {
        assert_eq!(slices.of.len(), params.len(), "a list for each parameter");
        for (slice, param) in slices.of.iter().zip(params) {
            scatter(&mut self.entries[slice.entry].values, &slice.runs, param);
        }
    }

    pub(crate) fn values_mut(&mut self, entry: usize) -> &mut [f32] {
        &mut self.entries[entry].values
    }
}

/// The numbers of runs, one after the other.
pub(crate) fn gather(values: &[f32], runs: &[(usize, usize)]) -> Vec<f32> {
    let mut gathered = Vec::with_capacity(runs.iter().map(|(_, length)| length).sum());
    runs.iter().for_each(|&(first, length)| gathered.extend_from_slice(&values[first..first + length]));
    gathered
}

/// Writes numbers to runs.
pub(crate) fn scatter(values: &mut [f32], runs: &[(usize, usize)], mut numbers: &[f32]) {
    for &(first, length) in runs {
        let (these, rest) = numbers.split_at(length);
        values[first..first + length].copy_from_slice(these);
        numbers = rest;
    }
}

/// Makes room for a parameter of a name that is known; `alike` says whether all so far had as many parts.
fn grow(known: &mut Param, widest: &mut Axes, alike: &mut bool, param: &Param, axes: Axes) {
    for (length, other) in known.shape.iter_mut().zip(&param.shape) {
        *length = (*length).max(*other);
    }
    for (widest, axis) in widest.iter_mut().zip(axes) {
        match (widest, axis) {
            (Some(widest), Some(parts)) if widest.len() == parts.len() => {
                widest.iter_mut().zip(parts).for_each(|(part, other)| *part = (*part).max(other));
            }
            (Some(_), Some(_)) => *alike = false,
            _ => {}
        }
    }
}

/// The ranges (first, length) of a whole axis that a network has of it.
fn ranges_of(whole: &Axis, parts: Option<Parts>, length: usize) -> Option<Vec<(usize, usize)>> {
    match (whole, parts) {
        (Axis::Centre(side), None) => {
            let rim = side.checked_sub(length)?;
            (rim % 2 == 0).then(|| vec![(rim / 2, length)])
        }
        (Axis::Parts(whole), Some(parts)) if whole.len() == parts.len() => {
            let mut first = 0;
            let range = |(whole, part): (&usize, usize)| {
                let range = (part <= *whole).then_some((first, part));
                first += whole;
                range
            };
            whole.iter().zip(parts).map(range).collect()
        }
        (whole, _) => (length <= whole.len()).then(|| vec![(0, length)]),
    }
}

/// The runs of a tensor of these lengths that ranges of each axis leave.
fn runs(lengths: &[usize], ranges: &[Vec<(usize, usize)>]) -> Vec<(usize, usize)> {
    let (Some((_, inner)), Some((range, outer))) = (lengths.split_first(), ranges.split_first()) else {
        return vec![(0, 1)];
    };
    let within = runs(inner, outer);
    let step: usize = inner.iter().product();
    let mut all: Vec<(usize, usize)> = Vec::new();
    for index in range.iter().flat_map(|&(first, length)| first..first + length) {
        for &(first, length) in &within {
            let first = index * step + first;
            match all.last_mut() {
                Some((before, so_far)) if *before + *so_far == first => *so_far += length,
                _ => all.push((first, length)),
            }
        }
    }
    all
}

/// Choices whose networks together have every layer of the space at its largest.
fn covering(space: &Space) -> Vec<Vec<usize>> {
    let decisions = space.decisions();
    let largest = |options: &[String]| {
        let size = |text: &String| {
            let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
            digits.parse::<usize>().unwrap_or(0)
        };
        (0..options.len()).max_by_key(|&index| size(&options[index])).unwrap_or(0)
    };
    let count = |wanted: fn(&What) -> bool| {
        let of = decisions.iter().filter(|decision| wanted(&decision.what));
        of.map(|decision| decision.options.len()).max().unwrap_or(1)
    };
    let kinds = count(|what| matches!(what, What::Kind { .. }));
    let blocks = count(|what| matches!(what, What::Block { .. }));
    let ends = count(|what| matches!(what, What::Stem | What::Head));
    let choices = |kind: usize, block: usize, end: Option<usize>| {
        space.choose(|index, _| {
            let options = &decisions[index].options;
            match decisions[index].what {
                What::Kind { .. } => kind % options.len(),
                What::Block { .. } => block % options.len(),
                What::Stem | What::Head => end.map_or_else(|| largest(options), |end| end % options.len()),
                What::Image | What::Channels { .. } | What::Depth { .. } => largest(options),
            }
        })
    };
    let of_blocks = (0..kinds).flat_map(|kind| (0..blocks).map(move |block| (kind, block)));
    of_blocks
        .map(|(kind, block)| choices(kind, block, None))
        .chain((0..ends).map(|end| choices(0, 0, Some(end))))
        .collect()
}
