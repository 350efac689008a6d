//! Proximal policy optimisation (Schulman et al. 2017, arXiv 1707.06347) over factorised logits with MnasNet's reward
//! (Tan et al. 2018, section 4.2).

use cygnet_image::Rng;

use super::policy::{Adam, AdamSettings, Policy};
use super::reward::Reward;
use super::{Controller, Problem, Proposal};
use crate::space::{Choices, Space};

/// How it learns.
#[derive(Clone, Debug, PartialEq)]
pub struct PpoSettings {
    /// What accuracy and latency are worth.
    pub reward: Reward,
    /// Networks between updates.
    pub batch: usize,
    /// Steps on the same networks.
    pub epochs: usize,
    /// How far the probability of a network may move in an update, as a share of it.
    pub clip: f64,
    /// Steps of logits.
    pub adam: AdamSettings,
    /// Worth of a nat of entropy.
    pub entropy: f64,
    /// Decay of the mean reward, which a network is compared with.
    pub baseline: f64,
    /// Evaluations in all.
    pub evaluations: usize,
}

impl Default for PpoSettings {
    fn default() -> PpoSettings {
        let adam = AdamSettings { rate: 0.05, beta1: 0.9, beta2: 0.999, weight_decay: 0.0 };
        PpoSettings {
            reward: Reward::HARD,
            batch: 20,
            epochs: 5,
            clip: 0.2,
            adam,
            entropy: 1e-5,
            baseline: 0.95,
            evaluations: 500,
        }
    }
}

/// Learns which choices are rewarded, in steps that stay near.
pub struct Ppo<'a> {
    problem: Problem<'a>,
    settings: PpoSettings,
    seed: u64,
    policy: Policy,
    adam: Adam,
    baseline: Option<f64>,
    evaluated: usize,
    batch: Vec<(Choices, f64)>,
}

/// The gradient by the logits of the mean of `min(r·A, clip(r, 1 − ε, 1 + ε)·A)`, where `r` is by how much a network
/// has become more likely than under `old` and `A` its advantage.
#[must_use]
pub fn surrogate_gradient(
    policy: &Policy,
    old: &Policy,
    space: &Space,
    batch: &[(Choices, f64)],
    clip: f64,
) -> Vec<Vec<f64>> {
    let mut gradient = policy.zeros();
    for (choices, advantage) in batch {
        let ratio = (policy.log_probability(space, choices) - old.log_probability(space, choices)).exp();
        // Beyond the clip the smaller of the two terms is constant.
        let is_clipped = if *advantage > 0.0 { ratio > 1.0 + clip } else { ratio < 1.0 - clip };
        if !is_clipped {
            policy.add_gradient(space, choices, ratio * advantage / batch.len() as f64, &mut gradient);
        }
    }
    gradient
}

impl<'a> Ppo<'a> {
    /// Before its first update.
    #[must_use]
    pub fn new(problem: Problem<'a>, settings: PpoSettings, seed: u64) -> Ppo<'a> {
        let policy = Policy::new(problem.space);
        let adam = Adam::new(settings.adam, &policy.logits);
        Ppo { problem, settings, seed, policy, adam, baseline: None, evaluated: 0, batch: Vec::new() }
    }

    /// What it has learnt.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    fn draw(&self) -> Choices {
        let mut rng = Rng::keyed(&[self.seed, 0x9905, self.evaluated as u64]);
        self.policy.sample(self.problem.space, &mut rng)
    }
}

impl Controller for Ppo<'_> {
    fn propose(&mut self) -> Option<Proposal> {
        (self.evaluated < self.settings.evaluations).then(|| Proposal { choices: self.draw(), rung: 0 })
    }

    fn learn(&mut self, score: f64) {
        let choices = self.draw();
        let quality = if score.is_nan() { 0.0 } else { score };
        let reward = self.settings.reward.of(quality, (self.problem.cost)(&choices), self.problem.limit);
        self.batch.push((choices, reward));
        self.evaluated += 1;
        if self.batch.len() < self.settings.batch.max(1) {
            return;
        }
        let mut batch = std::mem::take(&mut self.batch);
        let mean = batch.iter().map(|(_, reward)| reward).sum::<f64>() / batch.len() as f64;
        let baseline = self.baseline.unwrap_or(mean);
        batch.iter_mut().for_each(|(_, reward)| *reward -= baseline);
        let old = self.policy.clone();
        for _ in 0..self.settings.epochs {
            let mut gradient =
                surrogate_gradient(&self.policy, &old, self.problem.space, &batch, self.settings.clip);
            self.policy.entropy(self.settings.entropy, &mut gradient);
            // Adam goes down, rewards are to go up.
            gradient.iter_mut().flatten().for_each(|g| *g = -*g);
            self.adam.descend(&mut self.policy.logits, &gradient);
        }
        self.baseline = Some(self.settings.baseline * baseline + (1.0 - self.settings.baseline) * mean);
    }
}
