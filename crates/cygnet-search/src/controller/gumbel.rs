//! Differentiable choices: softmax with Gumbel noise (Jang et al. 2016, arXiv 1611.01144), as FBNet mixes candidates,
//! and two sampled candidates, as ProxylessNAS does.

use cygnet_image::Rng;

use super::policy::softmax;

/// Weights of the options of each decision, which sum to 1.
pub type Mixture = Vec<Vec<f64>>;

/// How soft mixtures are in an epoch: `start · decay^epoch` (FBNet: 5 and exp(−0.045)).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Temperature {
    /// That of the first epoch.
    pub start: f64,
    /// By what it is multiplied after each.
    pub decay: f64,
}

impl Default for Temperature {
    fn default() -> Temperature {
        Temperature { start: 5.0, decay: (-0.045f64).exp() }
    }
}

impl Temperature {
    /// The temperature of an epoch, counted from 0.
    #[must_use]
    pub fn at(&self, epoch: u32) -> f64 {
        self.start * self.decay.powi(epoch.min(1 << 20) as i32)
    }
}

/// Gumbel noise of an option, which its seed, step, decision and number name.
#[must_use]
pub fn noise([seed, step]: [u64; 2], decision: usize, option: usize) -> f64 {
    let uniform = Rng::keyed(&[seed, step, decision as u64, option as u64]).uniform();
    // The uniform number may be 0, and never is 1.
    -(-uniform.max(f64::MIN_POSITIVE).ln()).ln()
}

/// `softmax((θ + g)/τ)` for the logits θ of each decision, with the noise g that `key`, seed and step, names.
#[must_use]
pub fn mix(logits: &[Vec<f64>], temperature: f64, key: [u64; 2]) -> Mixture {
    let of = |(decision, logits): (usize, &Vec<f64>)| {
        let noisy = |(option, logit): (usize, &f64)| (logit + noise(key, decision, option)) / temperature;
        softmax(&logits.iter().enumerate().map(noisy).collect::<Vec<_>>())
    };
    logits.iter().enumerate().map(of).collect()
}

/// The gradient by the logits where `by_weights` is that by the weights of the mixture.
#[must_use]
pub fn backward(mixture: &Mixture, temperature: f64, by_weights: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let of = |(weights, by): (&Vec<f64>, &Vec<f64>)| {
        let mean: f64 = weights.iter().zip(by).map(|(m, g)| m * g).sum();
        weights.iter().zip(by).map(|(m, g)| m * (g - mean) / temperature).collect()
    };
    mixture.iter().zip(by_weights).map(of).collect()
}

/// The latency of a mixture, of a table with that of each option of each decision; its gradient by the weights is the
/// table.
#[must_use]
pub fn expected(mixture: &[Vec<f64>], table: &[Vec<f64>]) -> f64 {
    mixture.iter().flatten().zip(table.iter().flatten()).map(|(m, latency)| m * latency).sum()
}

/// Two options of a decision, drawn by their probabilities without putting back, and their share of the two.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pair {
    /// The options.
    pub options: [usize; 2],
    /// What each weighs beside the other.
    pub weights: [f64; 2],
}

/// Draws a pair of a decision's options, which `key`, seed, step and decision, names (ProxylessNAS, Cai et al. 2018,
/// section 3.2.1); none of a decision with one option.
#[must_use]
pub fn pair(logits: &[f64], key: [u64; 3]) -> Option<Pair> {
    if logits.len() < 2 {
        return None;
    }
    // The two largest of noisy logits are such a draw.
    let noisy: Vec<f64> = logits
        .iter()
        .enumerate()
        .map(|(option, logit)| logit + noise([key[0], key[1]], key[2] as usize, option))
        .collect();
    let mut order: Vec<usize> = (0..logits.len()).collect();
    order.sort_by(|&a, &b| noisy[b].total_cmp(&noisy[a]));
    let options = [order[0], order[1]];
    let weights = softmax(&options.map(|option| logits[option]));
    Some(Pair { options, weights: [weights[0], weights[1]] })
}

impl Pair {
    /// The gradient by the two logits where `by_weights` is that by the two weights.
    #[must_use]
    pub fn backward(&self, by_weights: [f64; 2]) -> [f64; 2] {
        let [p, q] = self.weights;
        let mean = p * by_weights[0] + q * by_weights[1];
        [p * (by_weights[0] - mean), q * (by_weights[1] - mean)]
    }

    /// Shifts both logits alike so that all other options keep their probabilities, after steps that changed the two
    /// from `before`.
    pub fn keep_others(&self, logits: &mut [f64], before: [f64; 2]) {
        let sum = |values: [f64; 2]| {
            let most = values[0].max(values[1]);
            most + ((values[0] - most).exp() + (values[1] - most).exp()).ln()
        };
        let shift = sum(before) - sum(self.options.map(|option| logits[option]));
        self.options.iter().for_each(|&option| logits[option] += shift);
    }
}
