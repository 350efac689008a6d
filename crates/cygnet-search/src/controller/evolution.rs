//! Regularised evolution (Real et al. 2018, arXiv 1802.01548, algorithm 1): the best of some of the population has a
//! mutated child, and the oldest dies.

use std::collections::{HashSet, VecDeque};

use cygnet_image::Rng;

use super::{Controller, Problem, Proposal, comparable};
use crate::space::Choices;

/// How it evolves.
#[derive(Clone, Debug, PartialEq)]
pub struct EvolutionSettings {
    /// Networks that are alive.
    pub population: usize,
    /// Of how many the best has a child.
    pub tournament: usize,
    /// Probability that a decision is changed, besides the one that surely is.
    pub mutation: f64,
    /// Probability that a child has two parents.
    pub crossover: f64,
    /// Evaluations in all.
    pub evaluations: usize,
}

impl Default for EvolutionSettings {
    fn default() -> EvolutionSettings {
        EvolutionSettings { population: 32, tournament: 8, mutation: 0.05, crossover: 0.25, evaluations: 200 }
    }
}

/// Evolves feasible networks; none is evaluated twice.
pub struct Evolution<'a> {
    problem: Problem<'a>,
    settings: EvolutionSettings,
    seed: u64,
    population: VecDeque<(Choices, f64)>,
    seen: HashSet<Choices>,
    next: Option<Choices>,
}

/// How many children are tried before a random network takes their place.
const CHILDREN: usize = 200;

impl<'a> Evolution<'a> {
    /// Before its first generation.
    #[must_use]
    pub fn new(problem: Problem<'a>, settings: EvolutionSettings, seed: u64) -> Evolution<'a> {
        Evolution { problem, settings, seed, population: VecDeque::new(), seen: HashSet::new(), next: None }
    }

    /// Those that are alive, the oldest first, with their scores.
    pub fn population(&self) -> impl Iterator<Item = (&[usize], f64)> {
        self.population.iter().map(|(choices, score)| (choices.as_slice(), *score))
    }

    /// The best of a tournament.
    fn parent(&self, rng: &mut Rng) -> &Choices {
        let first = rng.below(self.population.len());
        let others = (1..self.settings.tournament.max(1)).map(|_| rng.below(self.population.len()));
        let score = |at: usize| self.population[at].1;
        let better = |best: usize, at: usize| if score(at) > score(best) { at } else { best };
        &self.population[others.fold(first, better)].0
    }

    fn child(&self, rng: &mut Rng) -> Option<Choices> {
        let space = self.problem.space;
        if self.population.len() < self.settings.population.max(1) {
            return self.problem.draw(&self.seen, rng);
        }
        let draw = || {
            let parent = self.parent(rng);
            if rng.chance(self.settings.crossover) {
                let other = self.parent(rng);
                let both = space.cross(parent, other, rng);
                return space.mutate(&both, self.settings.mutation, rng);
            }
            space.mutate(parent, self.settings.mutation, rng)
        };
        self.problem.first_new(&self.seen, draw, CHILDREN).or_else(|| self.problem.draw(&self.seen, rng))
    }
}

impl Controller for Evolution<'_> {
    fn propose(&mut self) -> Option<Proposal> {
        if self.next.is_none() && self.seen.len() < self.settings.evaluations {
            let mut rng = Rng::keyed(&[self.seed, 0xe701, self.seen.len() as u64]);
            self.next = self.child(&mut rng);
        }
        self.next.clone().map(|choices| Proposal { choices, rung: 0 })
    }

    fn learn(&mut self, score: f64) {
        let Some(choices) = self.next.take() else { return };
        self.seen.insert(choices.clone());
        self.population.push_back((choices, comparable(score)));
        if self.population.len() > self.settings.population.max(1) {
            self.population.pop_front();
        }
    }
}
