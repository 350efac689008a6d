//! Which groups of channels are cut for a budget.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use cygnet_graph::{Channels, Graph};

use crate::{PruneError, Width, widths};

/// What a choice has to keep to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    /// What the network may cost at most, in the unit of whoever is asked for costs.
    pub cost: f64,
    /// Widths shrink in steps to multiples of so many channels, as vectors and tiles of kernels have them; 1: any.
    pub multiple: usize,
    /// The least share of a width that stays.
    pub least: f64,
}

impl Budget {
    /// Of a cost, in multiples of eight channels, with a tenth of each width at least.
    #[must_use]
    pub const fn of(cost: f64) -> Budget {
        Budget { cost, multiple: 8, least: 0.1 }
    }

    /// How many channels of a width stay at least.
    fn least_of(&self, width: &Width) -> usize {
        let share = (self.least * width.channels as f64).ceil() as usize;
        share.max(self.multiple).min(width.channels)
    }
}

/// What channels compete with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ranking {
    /// All others of the network, by importance.
    Global,
    /// Those of their own width, of which each keeps the same share.
    PerLayer,
}

/// Steps of a search by halves.
const HALVINGS: usize = 24;

/// The least important groups of channels, as few as make the network cost no more than the budget. `cost` is asked of smaller
/// networks a few times. If none is within the budget, as many as may be cut.
///
/// # Errors
/// If nothing can be cut, or a cost is no number.
pub fn by_rank(
    channels: &Channels,
    importance: &[f64],
    ranking: Ranking,
    budget: Budget,
    cost: &mut dyn FnMut(&Graph) -> f64,
) -> Result<Vec<bool>, PruneError> {
    let widths = some(channels)?;
    let mut order: Vec<(f64, usize)> = Vec::new();
    for width in &widths {
        let mut groups = width.groups.clone();
        groups.sort_by(|&a, &b| importance[a].total_cmp(&importance[b]).then(a.cmp(&b)));
        let rank = |place: usize, group: usize| match ranking {
            Ranking::Global => importance[group],
            Ranking::PerLayer => (place + 1) as f64 / width.groups.len() as f64,
        };
        order.extend(groups.iter().enumerate().map(|(place, &group)| (rank(place, group), group)));
    }
    order.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let first = |count: usize| {
        let mut cut = vec![false; channels.len()];
        order[..count].iter().for_each(|(_, group)| cut[*group] = true);
        for width in &widths {
            round(width, channels, &mut cut, importance, budget);
        }
        channels.settle(&mut cut, importance);
        cut
    };
    let [mut few, mut many] = [0, order.len()];
    for _ in 0..HALVINGS {
        if many - few <= 1 {
            break;
        }
        let middle = few.midpoint(many);
        if priced(channels, &first(middle), cost)? <= budget.cost { many = middle } else { few = middle }
    }
    Ok(first(many))
}

/// Lets the most important channels of a width stay, as many as make their number a multiple, and the least number at least.
fn round(width: &Width, channels: &Channels, cut: &mut [bool], importance: &[f64], budget: Budget) {
    let value = channels.groups_of(width.node);
    let kept = value.iter().filter(|&&group| !cut[group]).count();
    let wanted = kept.next_multiple_of(budget.multiple.max(1)).max(budget.least_of(width)).min(value.len());
    let mut gone: Vec<usize> = width.groups.iter().copied().filter(|&group| cut[group]).collect();
    gone.sort_by(|&a, &b| importance[b].total_cmp(&importance[a]).then(a.cmp(&b)));
    gone.into_iter().take(wanted - kept).for_each(|group| cut[group] = false);
}

/// As [`by_rank`], but in steps, each of which cuts the channels of the width that loses the least importance for what it
/// saves. Steps of widths that save nothing are not taken.
///
/// # Errors
/// If nothing can be cut, or a cost is no number.
pub fn by_cost(
    channels: &Channels,
    importance: &[f64],
    budget: Budget,
    cost: &mut dyn FnMut(&Graph) -> f64,
) -> Result<Vec<bool>, PruneError> {
    let widths = some(channels)?;
    let mut cut = vec![false; channels.len()];
    let mut now = priced(channels, &cut, cost)?;
    let mut steps = BinaryHeap::new();
    for index in 0..widths.len() {
        steps.extend(step(channels, &widths, index, &cut, importance, budget, now, cost)?);
    }
    while now > budget.cost {
        let Some(best) = steps.pop() else { break };
        // What others saved in the meantime may have changed what this one does.
        let Some(fresh) = step(channels, &widths, best.width, &cut, importance, budget, now, cost)? else {
            continue;
        };
        if steps.peek().is_some_and(|next| fresh < *next) {
            steps.push(fresh);
            continue;
        }
        cut = fresh.cut;
        now = fresh.cost;
        steps.extend(step(channels, &widths, best.width, &cut, importance, budget, now, cost)?);
    }
    Ok(cut)
}

/// A step of a width that saves something.
struct Step {
    width: usize,
    /// Importance that is lost for each unit of cost that is saved.
    price: f64,
    cut: Vec<bool>,
    cost: f64,
}

/// The dearest first, so that the cheapest is the greatest; widths in their order.
impl Ord for Step {
    fn cmp(&self, other: &Step) -> Ordering {
        other.price.total_cmp(&self.price).then(other.width.cmp(&self.width))
    }
}

impl PartialOrd for Step {
    fn partial_cmp(&self, other: &Step) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Step {
    fn eq(&self, other: &Step) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Step {}

/// Steps of a width that are tried until one saves something.
const TRIED: usize = 3;

/// The smallest step of a width that saves something.
#[expect(clippy::too_many_arguments, reason = "each is one thing, and they are passed on")]
fn step(
    channels: &Channels,
    widths: &[Width],
    index: usize,
    cut: &[bool],
    importance: &[f64],
    budget: Budget,
    now: f64,
    cost: &mut dyn FnMut(&Graph) -> f64,
) -> Result<Option<Step>, PruneError> {
    let width = &widths[index];
    let value = channels.groups_of(width.node);
    let mut left: Vec<usize> = width.groups.iter().copied().filter(|&group| !cut[group]).collect();
    left.sort_by(|&a, &b| importance[a].total_cmp(&importance[b]).then(a.cmp(&b)));
    let (multiple, least) = (budget.multiple.max(1), budget.least_of(width));
    let mut next = cut.to_vec();
    let mut left = left.into_iter();
    for _ in 0..TRIED {
        let count = |cut: &[bool]| value.iter().filter(|&&group| !cut[group]).count();
        let kept = count(&next);
        let wanted = kept.saturating_sub(1) / multiple * multiple;
        if wanted < least {
            return Ok(None);
        }
        while count(&next) > wanted {
            let Some(group) = left.next() else { return Ok(None) };
            next[group] = true;
        }
        let mut settled = next.clone();
        channels.settle(&mut settled, importance);
        let fresh = || settled.iter().zip(cut).enumerate().filter(|(_, (new, old))| **new && !**old);
        if fresh().next().is_none() {
            continue;
        }
        let then = priced(channels, &settled, cost)?;
        if then < now {
            let lost: f64 = fresh().map(|(group, _)| importance[group]).sum();
            return Ok(Some(Step { width: index, price: lost / (now - then), cut: settled, cost: then }));
        }
    }
    Ok(None)
}

fn some(channels: &Channels) -> Result<Vec<Width>, PruneError> {
    let widths = widths(channels);
    if widths.is_empty() {
        return Err(PruneError::Nothing { graph: channels.graph().name().into() });
    }
    Ok(widths)
}

/// What a network costs without some groups.
fn priced(channels: &Channels, cut: &[bool], cost: &mut dyn FnMut(&Graph) -> f64) -> Result<f64, PruneError> {
    let graph = channels.cut(cut)?.graph;
    let cost = cost(&graph);
    if cost.is_finite() { Ok(cost) } else { Err(PruneError::Cost { graph: graph.name().into(), cost }) }
}
