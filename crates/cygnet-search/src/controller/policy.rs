//! A distribution over choices: an independent softmax for each decision (TuNAS, Bender et al. 2020, section 3), of
//! which those count that matter.

use cygnet_image::Rng;

use crate::space::{Choices, Space};

/// Logits for each option of each decision.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// The logits, by decision and option.
    pub logits: Vec<Vec<f64>>,
}

/// Probabilities of logits.
pub(crate) fn softmax(logits: &[f64]) -> Vec<f64> {
    let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = logits.iter().map(|logit| (logit - most).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.iter().map(|power| power / sum).collect()
}

impl Policy {
    /// All options alike.
    #[must_use]
    pub fn new(space: &Space) -> Policy {
        Policy {
            logits: space.decisions().iter().map(|decision| vec![0.0; decision.options.len()]).collect(),
        }
    }

    /// Probabilities of the options of a decision.
    #[must_use]
    pub fn probabilities(&self, decision: usize) -> Vec<f64> {
        softmax(&self.logits[decision])
    }

    /// Draws choices.
    #[must_use]
    pub fn sample(&self, space: &Space, rng: &mut Rng) -> Choices {
        space.choose(|decision, _| {
            let mut left = rng.uniform();
            let probabilities = self.probabilities(decision);
            let found = probabilities.iter().position(|p| {
                left -= p;
                left < 0.0
            });
            found.unwrap_or(probabilities.len() - 1)
        })
    }

    /// The most likely option of each decision that matters.
    #[must_use]
    pub fn likeliest(&self, space: &Space) -> Choices {
        space.choose(|decision, _| {
            let logits = &self.logits[decision];
            (1..logits.len()).fold(0, |best, at| if logits[at] > logits[best] { at } else { best })
        })
    }

    /// The logarithm of the probability of choices.
    #[must_use]
    pub fn log_probability(&self, space: &Space, choices: &[usize]) -> f64 {
        let matters = (0..choices.len()).filter(|&decision| space.matters(decision, choices));
        matters.map(|decision| self.probabilities(decision)[choices[decision]].ln()).sum()
    }

    /// Adds `factor` times the gradient of [`Policy::log_probability`] by the logits.
    pub fn add_gradient(&self, space: &Space, choices: &[usize], factor: f64, into: &mut [Vec<f64>]) {
        for decision in (0..choices.len()).filter(|&decision| space.matters(decision, choices)) {
            for (option, p) in self.probabilities(decision).into_iter().enumerate() {
                let chosen = if option == choices[decision] { 1.0 } else { 0.0 };
                into[decision][option] += factor * (chosen - p);
            }
        }
    }

    /// The sum of the entropies of all decisions, in nats; and adds `factor` times its gradient.
    pub fn entropy(&self, factor: f64, into: &mut [Vec<f64>]) -> f64 {
        let mut sum = 0.0;
        for (decision, into) in into.iter_mut().enumerate() {
            let probabilities = self.probabilities(decision);
            let log = |p: f64| if p > 0.0 { p.ln() } else { 0.0 };
            let entropy: f64 = -probabilities.iter().map(|&p| p * log(p)).sum::<f64>();
            for (into, &p) in into.iter_mut().zip(&probabilities) {
                *into -= factor * p * (log(p) + entropy);
            }
            sum += entropy;
        }
        sum
    }

    /// A gradient of zeros.
    #[must_use]
    pub fn zeros(&self) -> Vec<Vec<f64>> {
        self.logits.iter().map(|logits| vec![0.0; logits.len()]).collect()
    }
}

/// Adam's settings (Kingma and Ba 2014, arXiv 1412.6980).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamSettings {
    /// The step.
    pub rate: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Weight decay, added to the gradient.
    pub weight_decay: f64,
}

/// Adam on a policy's logits.
#[derive(Clone, Debug, PartialEq)]
pub struct Adam {
    settings: AdamSettings,
    steps: i32,
    moments: Vec<Vec<[f64; 2]>>,
}

impl Adam {
    /// Before its first step, for logits of these numbers of options.
    #[must_use]
    pub fn new(settings: AdamSettings, logits: &[Vec<f64>]) -> Adam {
        Adam { settings, steps: 0, moments: logits.iter().map(|list| vec![[0.0; 2]; list.len()]).collect() }
    }

    /// A step against the gradient.
    pub fn descend(&mut self, logits: &mut [Vec<f64>], gradient: &[Vec<f64>]) {
        const EPS: f64 = 1e-8;
        let AdamSettings { rate, beta1, beta2, weight_decay } = self.settings;
        self.steps = self.steps.saturating_add(1);
        let [first, second] = [beta1, beta2].map(|beta| 1.0 - beta.powi(self.steps));
        let moments = self.moments.iter_mut().flatten();
        for ((logit, g), [mean, square]) in
            logits.iter_mut().flatten().zip(gradient.iter().flatten()).zip(moments)
        {
            let g = g + weight_decay * *logit;
            *mean = beta1 * *mean + (1.0 - beta1) * g;
            *square = beta2 * *square + (1.0 - beta2) * g * g;
            *logit -= rate * (*mean / first) / ((*square / second).sqrt() + EPS);
        }
    }
}
