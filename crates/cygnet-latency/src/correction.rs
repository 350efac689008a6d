//! From the sum of a network's steps to its time: T = a + b·Σ + c·(bytes of weights beyond the second-level cache).

use serde::{Deserialize, Serialize};

/// What is between the sum of a network's steps, each measured within other networks, and its time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Correction {
    /// Milliseconds of every run.
    pub constant_ms: f64,
    /// Factor of the sum.
    pub factor: f64,
    /// Milliseconds for each megabyte of weights that a core's second-level cache does not hold.
    pub ms_per_mb_beyond_l2: f64,
}

/// A network of known time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Milliseconds of all steps together.
    pub sum_ms: f64,
    /// Megabytes of weights beyond the second-level cache.
    pub mb_beyond_l2: f64,
    /// Milliseconds of a run.
    pub ms: f64,
}

/// How far predictions are from times, as shares of these.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Errors {
    /// Networks that were predicted and timed.
    pub networks: usize,
    /// Half of them are nearer.
    pub median_error: f64,
    /// 95 % of them are nearer.
    pub p95_error: f64,
    /// None is farther.
    pub max_error: f64,
}

impl Correction {
    /// The sum as it is.
    pub const NONE: Correction = Correction { constant_ms: 0.0, factor: 1.0, ms_per_mb_beyond_l2: 0.0 };

    /// The time of a network.
    #[must_use]
    pub fn ms(&self, sum_ms: f64, mb_beyond_l2: f64) -> f64 {
        let ms = self.constant_ms + self.factor * sum_ms + self.ms_per_mb_beyond_l2 * mb_beyond_l2;
        // Far from what was measured a line may lead below nothing.
        ms.max(sum_ms / 2.0)
    }

    /// The correction under which relative errors of networks of known time are least, as absolute values, so that a few that
    /// something disturbed do not decide. Where networks do not tell, it stays near [`Correction::NONE`].
    #[must_use]
    pub fn fit(samples: &[Sample]) -> Correction {
        /// Rounds of weighing.
        const ROUNDS: usize = 20;
        /// Weight of staying near no correction, against all networks together.
        const STAY: f64 = 1e-4;
        /// Errors below which all networks weigh alike.
        const EXACT: f64 = 1e-3;
        let mut rows: Vec<[f64; 3]> =
            samples.iter().map(|s| [1.0 / s.ms, s.sum_ms / s.ms, s.mb_beyond_l2 / s.ms]).collect();
        let scales: [f64; 3] = std::array::from_fn(|column| {
            let square: f64 = rows.iter().map(|row| row[column] * row[column]).sum();
            if square > 0.0 { (square / rows.len() as f64).sqrt() } else { 1.0 }
        });
        rows.iter_mut().for_each(|row| row.iter_mut().zip(scales).for_each(|(x, scale)| *x /= scale));
        let wanted: Vec<f64> = samples.iter().map(|sample| 1.0 - sample.sum_ms / sample.ms).collect();
        let error = |row: &[f64; 3], wanted: f64, x: [f64; 3]| {
            (row.iter().zip(x).map(|(row, x)| row * x).sum::<f64>() - wanted).abs()
        };
        let mut x = [0.0; 3];
        for _ in 0..ROUNDS {
            let mut matrix = [[0.0; 3]; 3];
            let mut right = [0.0; 3];
            let mut all = 0.0;
            for (row, &wanted) in rows.iter().zip(&wanted) {
                let weight = 1.0 / error(row, wanted, x).max(EXACT);
                all += weight;
                for i in 0..3 {
                    right[i] += weight * row[i] * wanted;
                    (0..3).for_each(|j| matrix[i][j] += weight * row[i] * row[j]);
                }
            }
            (0..3).for_each(|i| matrix[i][i] += STAY * all.max(1.0));
            x = solved(matrix, right);
        }
        let [constant_ms, more, ms_per_mb_beyond_l2] = std::array::from_fn(|i| x[i] / scales[i]);
        let fit = Correction { constant_ms, factor: 1.0 + more, ms_per_mb_beyond_l2 };
        if fit.is_sound() { fit } else { Correction::NONE }
    }

    /// Errors on networks of known time.
    #[must_use]
    pub fn errors(&self, samples: &[Sample]) -> Errors {
        let error = |s: &Sample| (self.ms(s.sum_ms, s.mb_beyond_l2) / s.ms - 1.0).abs();
        Errors::of(samples.iter().map(error).collect())
    }

    pub(crate) fn is_sound(&self) -> bool {
        let Correction { constant_ms, factor, ms_per_mb_beyond_l2 } = *self;
        let is_near = (0.2..5.0).contains(&factor);
        is_near && constant_ms.abs() < 1e6 && ms_per_mb_beyond_l2.abs() < 1e6
    }
}

impl Errors {
    /// Of how far each prediction is from its time, as a share.
    #[must_use]
    pub fn of(mut errors: Vec<f64>) -> Errors {
        errors.sort_by(f64::total_cmp);
        let [median_error, p95_error, max_error] = [0.5, 0.95, 1.0].map(|share| {
            let rank = (errors.len() as f64 * share).ceil() as usize;
            errors.get(rank.max(1) - 1).copied().unwrap_or(0.0)
        });
        Errors { networks: errors.len(), median_error, p95_error, max_error }
    }
}

/// The solution of three equations of a positive definite matrix.
fn solved(mut matrix: [[f64; 3]; 3], mut right: [f64; 3]) -> [f64; 3] {
    for i in 0..3 {
        for below in i + 1..3 {
            let share = matrix[below][i] / matrix[i][i];
            (i..3).for_each(|j| matrix[below][j] -= share * matrix[i][j]);
            right[below] -= share * right[i];
        }
    }
    for i in (0..3).rev() {
        let known: f64 = (i + 1..3).map(|j| matrix[i][j] * right[j]).sum();
        right[i] = (right[i] - known) / matrix[i][i];
    }
    right
}
