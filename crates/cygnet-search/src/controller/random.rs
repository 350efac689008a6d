//! Random search: the yardstick of all others.

use std::collections::HashSet;

use cygnet_image::Rng;

use super::{Controller, Problem, Proposal};
use crate::space::Choices;

/// Draws feasible networks, each once.
pub struct Random<'a> {
    problem: Problem<'a>,
    seed: u64,
    left: usize,
    seen: HashSet<Choices>,
    next: Option<Choices>,
}

impl<'a> Random<'a> {
    /// Draws `count` networks.
    #[must_use]
    pub fn new(problem: Problem<'a>, count: usize, seed: u64) -> Random<'a> {
        Random { problem, seed, left: count, seen: HashSet::new(), next: None }
    }
}

impl Controller for Random<'_> {
    fn propose(&mut self) -> Option<Proposal> {
        if self.next.is_none() && self.left > 0 {
            let mut rng = Rng::keyed(&[self.seed, 0x4a2d, self.seen.len() as u64]);
            self.next = self.problem.draw(&self.seen, &mut rng);
            self.left = if self.next.is_some() { self.left - 1 } else { 0 };
        }
        self.next.clone().map(|choices| Proposal { choices, rung: 0 })
    }

    fn learn(&mut self, _: f64) {
        self.seen.extend(self.next.take());
    }
}
