//! Who chooses: one file a controller.
//!
//! A controller proposes choices and is told their score; what it does follows from its seed and what it was told, so
//! that telling it a log again brings it where it was ([`resume`]). It knows neither networks nor pictures.

mod evolution;
pub mod gumbel;
mod halving;
pub mod knapsack;
mod policy;
mod ppo;
mod random;
mod reinforce;
mod reward;

use std::collections::HashSet;

use cygnet_image::Rng;
use thiserror::Error;

use crate::space::{Choices, Space};

pub use evolution::{Evolution, EvolutionSettings};
pub use halving::Halving;
pub use policy::{Adam, AdamSettings, Policy};
pub use ppo::{Ppo, PpoSettings, surrogate_gradient};
pub use random::Random;
pub use reinforce::{Reinforce, ReinforceSettings, gradient};
pub use reward::{LatencyLoss, Reward, RewardError};

/// What is to be evaluated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// A choice for each decision of the space.
    pub choices: Choices,
    /// How thoroughly: at the next rung a network is trained for longer.
    pub rung: u32,
}

/// What was evaluated, and what came out of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// What was evaluated.
    pub proposal: Proposal,
    /// The score, more is better: an accuracy in [0, 1].
    pub score: f64,
}

/// One who chooses.
pub trait Controller {
    /// What to evaluate next; none if the search is over. Asked again before it is told a score it says the same.
    fn propose(&mut self) -> Option<Proposal>;

    /// Is told the score of what it proposed; what is no number counts as the worst.
    fn learn(&mut self, score: f64);
}

/// Searches on, from where `controller` is, and hands each trial to `tell`; the trials that were made.
///
/// # Errors
/// What `evaluate` or `tell` could not do.
pub fn search<E>(
    controller: &mut dyn Controller,
    mut evaluate: impl FnMut(&Proposal) -> Result<f64, E>,
    mut tell: impl FnMut(&Trial) -> Result<(), E>,
) -> Result<Vec<Trial>, E> {
    let mut trials = Vec::new();
    while let Some(proposal) = controller.propose() {
        let score = evaluate(&proposal)?;
        let trial = Trial { proposal, score };
        tell(&trial)?;
        controller.learn(score);
        trials.push(trial);
    }
    Ok(trials)
}

/// A log is of another search.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "trial {trial} of the log is not what this search does there; give the space, method and seed of the search that \
     wrote it"
)]
pub struct OtherSearch {
    /// The number of the first trial that differs, from 0.
    pub trial: usize,
}

/// Brings a new controller to where the one was that made these trials.
///
/// # Errors
/// If they are another's.
pub fn resume(controller: &mut dyn Controller, trials: &[Trial]) -> Result<(), OtherSearch> {
    for (trial, made) in trials.iter().enumerate() {
        if controller.propose().as_ref() != Some(&made.proposal) {
            return Err(OtherSearch { trial });
        }
        controller.learn(made.score);
    }
    Ok(())
}

/// A space, what its networks cost, and how much they may.
#[derive(Clone, Copy)]
pub struct Problem<'a> {
    /// What is chosen from.
    pub space: &'a Space,
    /// What a network costs, its predicted latency in ms for instance; the same for equal choices.
    pub cost: &'a dyn Fn(&[usize]) -> f64,
    /// The most that it may cost.
    pub limit: f64,
}

impl Problem<'_> {
    /// Whether a network costs no more than it may.
    #[must_use]
    pub fn is_feasible(&self, choices: &[usize]) -> bool {
        (self.cost)(choices) <= self.limit
    }

    /// The first of so many tries that is feasible and not among `seen`.
    fn first_new(
        &self,
        seen: &HashSet<Choices>,
        mut draw: impl FnMut() -> Choices,
        tries: usize,
    ) -> Option<Choices> {
        (0..tries).map(|_| draw()).find(|choices| !seen.contains(choices) && self.is_feasible(choices))
    }

    /// A random network that is feasible and not among `seen`; none where there is hardly one.
    fn draw(&self, seen: &HashSet<Choices>, rng: &mut Rng) -> Option<Choices> {
        self.first_new(seen, || self.space.sample(rng), TRIES)
    }
}

/// How often a random network is drawn before there is taken to be none.
const TRIES: usize = 20_000;

/// A score that can be compared; what is no number is worse than all.
fn comparable(score: f64) -> f64 {
    if score.is_nan() { f64::NEG_INFINITY } else { score }
}

/// The best trial of the highest rung that costs no more than it may, the first of several.
#[must_use]
pub fn best<'t>(problem: &Problem<'_>, trials: &'t [Trial]) -> Option<&'t Trial> {
    let feasible = trials.iter().filter(|trial| problem.is_feasible(&trial.proposal.choices));
    let key = |trial: &Trial| (trial.proposal.rung, comparable(trial.score));
    feasible.fold(None, |best: Option<&Trial>, trial| match best {
        Some(best) if key(trial).partial_cmp(&key(best)) != Some(std::cmp::Ordering::Greater) => Some(best),
        _ => Some(trial),
    })
}
