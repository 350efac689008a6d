//! The best choices that cost no more than they may, exactly: a knapsack with one thing from each of several sets.

/// What an option is worth, such as the logarithm of its probability, and what it costs, in whole µs for instance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Offer {
    /// Its worth.
    pub value: f64,
    /// Its cost.
    pub cost: u64,
}

/// A selection of one option of each set.
#[derive(Clone, Debug, PartialEq)]
pub struct Selection {
    /// The number of the option of each set.
    pub options: Vec<usize>,
    /// What they are worth together.
    pub value: f64,
    /// What they cost together.
    pub cost: u64,
}

/// A selection of the first sets, as the option of the last and the selection before.
#[derive(Clone, Copy)]
struct State {
    value: f64,
    cost: u64,
    option: usize,
    before: usize,
}

/// The `count` best selections that cost at most `budget`, the best first; fewer if there are not so many, none where
/// the cheapest costs more. Of equal ones the cheaper is first.
///
/// ```
/// use cygnet_search::controller::knapsack::{Offer, select};
///
/// let offer = |value, cost| Offer { value, cost };
/// let sets = [vec![offer(1.0, 2), offer(3.0, 5)], vec![offer(0.0, 0), offer(2.0, 4)]];
/// let best = select(&sets, 6, 1);
/// assert_eq!((best[0].options.as_slice(), best[0].value), ([1, 0].as_slice(), 3.0));
/// ```
#[must_use]
pub fn select(sets: &[Vec<Offer>], budget: u64, count: usize) -> Vec<Selection> {
    // What the sets that follow cost at least.
    let mut least = vec![0u64; sets.len() + 1];
    for (index, set) in sets.iter().enumerate().rev() {
        let Some(cheapest) = set.iter().map(|offer| offer.cost).min() else { return Vec::new() };
        least[index] = least[index + 1].saturating_add(cheapest);
    }
    let mut layers = vec![vec![State { value: 0.0, cost: 0, option: 0, before: 0 }]];
    for (set, least) in sets.iter().zip(&least[1..]) {
        let known = &layers[layers.len() - 1];
        let next = known.iter().enumerate().flat_map(|(before, state)| {
            set.iter().enumerate().map(move |(option, offer)| State {
                value: state.value + offer.value,
                cost: state.cost.saturating_add(offer.cost),
                option,
                before,
            })
        });
        let next = next.filter(|state| state.cost.saturating_add(*least) <= budget && !state.value.is_nan());
        let next = undominated(next.collect(), count);
        layers.push(next);
    }
    let selection = |mut at: usize| {
        let State { value, cost, .. } = layers[sets.len()][at];
        let mut options = Vec::with_capacity(sets.len());
        for layer in layers[1..].iter().rev() {
            options.push(layer[at].option);
            at = layer[at].before;
        }
        options.reverse();
        Selection { options, value, cost }
    };
    let mut found: Vec<Selection> = (0..layers[sets.len()].len()).map(selection).collect();
    found.sort_by(|a, b| b.value.total_cmp(&a.value).then(a.cost.cmp(&b.cost)));
    found.truncate(count);
    found
}

/// The states of which fewer than `count` others cost no more and are worth as much: no other is part of one of the
/// best.
fn undominated(mut states: Vec<State>, count: usize) -> Vec<State> {
    states.sort_by(|a, b| a.cost.cmp(&b.cost).then(b.value.total_cmp(&a.value)));
    // The largest values so far, ascending.
    let mut best: Vec<f64> = Vec::with_capacity(count + 1);
    states.retain(|state| {
        if best.len() == count && best.first().is_none_or(|&least| least >= state.value) {
            return false;
        }
        best.insert(best.partition_point(|&value| value < state.value), state.value);
        if best.len() > count {
            best.remove(0);
        }
        true
    });
    states
}
