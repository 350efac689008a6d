//! REINFORCE over factorised logits with the reward of TuNAS (Williams 1992; Bender et al. 2020, section 3).

use cygnet_image::Rng;

use super::policy::{Adam, AdamSettings, Policy};
use super::reward::Reward;
use super::{Controller, Problem, Proposal};
use crate::space::{Choices, Space};

/// How it learns.
#[derive(Clone, Debug, PartialEq)]
pub struct ReinforceSettings {
    /// What accuracy and latency are worth.
    pub reward: Reward,
    /// Networks for a step.
    pub batch: usize,
    /// Steps of logits; TuNAS has no first moment.
    pub adam: AdamSettings,
    /// Decay of the mean reward, which a network is compared with.
    pub baseline: f64,
    /// Evaluations in all.
    pub evaluations: usize,
}

impl Default for ReinforceSettings {
    fn default() -> ReinforceSettings {
        let adam = AdamSettings { rate: 0.06, beta1: 0.0, beta2: 0.999, weight_decay: 0.0 };
        ReinforceSettings { reward: Reward::ABSOLUTE, batch: 4, adam, baseline: 0.9, evaluations: 500 }
    }
}

/// Learns which choices are rewarded.
pub struct Reinforce<'a> {
    problem: Problem<'a>,
    settings: ReinforceSettings,
    seed: u64,
    policy: Policy,
    adam: Adam,
    baseline: Option<f64>,
    evaluated: usize,
    batch: Vec<(Choices, f64)>,
}

/// The gradient of the mean of `advantages` by the logits, as the samples of a policy tell it.
#[must_use]
pub fn gradient(policy: &Policy, space: &Space, batch: &[(Choices, f64)]) -> Vec<Vec<f64>> {
    let mut gradient = policy.zeros();
    for (choices, advantage) in batch {
        policy.add_gradient(space, choices, advantage / batch.len() as f64, &mut gradient);
    }
    gradient
}

impl<'a> Reinforce<'a> {
    /// Before its first step.
    #[must_use]
    pub fn new(problem: Problem<'a>, settings: ReinforceSettings, seed: u64) -> Reinforce<'a> {
        let policy = Policy::new(problem.space);
        let adam = Adam::new(settings.adam, &policy.logits);
        Reinforce { problem, settings, seed, policy, adam, baseline: None, evaluated: 0, batch: Vec::new() }
    }

    /// What it has learnt.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    fn draw(&self) -> Choices {
        let mut rng = Rng::keyed(&[self.seed, 0x4e1f, self.evaluated as u64]);
        self.policy.sample(self.problem.space, &mut rng)
    }
}

impl Controller for Reinforce<'_> {
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
        // Adam goes down, rewards are to go up.
        batch.iter_mut().for_each(|(_, reward)| *reward = baseline - *reward);
        let gradient = gradient(&self.policy, self.problem.space, &batch);
        self.adam.descend(&mut self.policy.logits, &gradient);
        self.baseline = Some(self.settings.baseline * baseline + (1.0 - self.settings.baseline) * mean);
    }
}
