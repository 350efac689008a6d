//! Successive halving (Jamieson and Talwalkar 2015, arXiv 1502.07943): all are evaluated a little, the better ones
//! more.

use super::{Controller, Proposal, comparable};
use crate::space::Choices;

/// Evaluates some networks at one rung after the other, and keeps one in `keep_one_in` each time.
pub struct Halving {
    /// Of this rung, the best of the last one first.
    alive: Vec<Choices>,
    scores: Vec<f64>,
    rung: u32,
    last_rung: u32,
    keep_one_in: usize,
}

impl Halving {
    /// Begins with all of `candidates` at rung `first`; those that are left at rung `last` are the last to be
    /// evaluated.
    #[must_use]
    pub fn new(candidates: Vec<Choices>, [first, last]: [u32; 2], keep_one_in: usize) -> Halving {
        let mut alive: Vec<Choices> = Vec::new();
        for choices in candidates {
            if !alive.contains(&choices) {
                alive.push(choices);
            }
        }
        Halving { alive, scores: Vec::new(), rung: first, last_rung: last, keep_one_in: keep_one_in.max(2) }
    }

    /// Those that are left, the best first as far as is known.
    #[must_use]
    pub fn alive(&self) -> &[Choices] {
        &self.alive
    }

    /// How many evaluations it makes of so many candidates.
    #[must_use]
    pub fn evaluations(candidates: usize, rungs: u32, keep_one_in: usize) -> usize {
        let next = |&left: &usize| Some(left.div_ceil(keep_one_in.max(2)));
        std::iter::successors(Some(candidates), next).take(rungs as usize).sum()
    }
}

impl Controller for Halving {
    fn propose(&mut self) -> Option<Proposal> {
        if self.rung > self.last_rung {
            return None;
        }
        let choices = self.alive.get(self.scores.len())?.clone();
        Some(Proposal { choices, rung: self.rung })
    }

    fn learn(&mut self, score: f64) {
        if self.rung > self.last_rung || self.scores.len() == self.alive.len() {
            return;
        }
        self.scores.push(comparable(score));
        if self.scores.len() < self.alive.len() {
            return;
        }
        let mut order: Vec<usize> = (0..self.alive.len()).collect();
        // The sort is stable: of equals the earlier one stays ahead.
        order.sort_by(|&a, &b| self.scores[b].total_cmp(&self.scores[a]));
        if self.rung < self.last_rung {
            order.truncate(self.alive.len().div_ceil(self.keep_one_in));
        }
        self.alive = order.into_iter().map(|index| self.alive[index].clone()).collect();
        self.scores.clear();
        self.rung += 1;
    }
}
