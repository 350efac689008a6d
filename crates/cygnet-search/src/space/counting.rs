//! How many genes a space has, and all of them.

use super::{Choices, Space};

impl Space {
    /// How many genes it has; the largest number where there are more.
    #[must_use]
    pub fn count(&self) -> u128 {
        let ends = [self.images.len(), self.stems.len(), self.heads.len()];
        let ends = ends.into_iter().fold(1, |product: u128, n| product.saturating_mul(n as u128));
        self.stages.iter().enumerate().fold(ends, |product, (stage, space)| {
            let options = |kind, place| self.options(stage, kind, place).len() as u128;
            let of_depth = |kind: usize, depth: usize| {
                let places = if space.alike { 1 } else { depth };
                (0..places).fold(1, |product: u128, place| product.saturating_mul(options(kind, place)))
            };
            let pairs =
                (0..space.kinds.len()).flat_map(|kind| space.depths.iter().map(move |&depth| (kind, depth)));
            let blocks = pairs.fold(0, |sum: u128, (kind, depth)| sum.saturating_add(of_depth(kind, depth)));
            product.saturating_mul(space.channels.len() as u128).saturating_mul(blocks)
        })
    }

    /// Every gene's choices, in the order of the decisions.
    pub fn all(&self) -> impl Iterator<Item = Choices> {
        std::iter::successors(Some(vec![0; self.decisions.len()]), |choices| self.after(choices))
    }

    /// The choices that follow: the last decision that matters and has another option takes it.
    fn after(&self, choices: &Choices) -> Option<Choices> {
        let has_more = |&index: &usize| {
            self.matters(index, choices) && choices[index] + 1 < self.decisions[index].options.len()
        };
        let last = (0..choices.len()).rev().find(has_more)?;
        let mut next = choices.clone();
        next[last] += 1;
        next[last + 1..].fill(0);
        Some(next)
    }
}
