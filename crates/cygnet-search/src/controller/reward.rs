//! What accuracy and latency are worth together.

use thiserror::Error;

/// A reward of an accuracy in [0, 1] and a latency, for a target in the same unit. None depends on the unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reward {
    /// `Q · (LAT/T)^w`, with `w = under` up to the target and `over` above (MnasNet, Tan et al. 2018, equations 2 and
    /// 3).
    Product {
        /// The exponent up to the target.
        under: f64,
        /// The exponent above.
        over: f64,
    },
    /// `Q − weight · |LAT/T − 1|` (TuNAS, Bender et al. 2020, arXiv 2008.06120, equation 3).
    Absolute {
        /// What a latency of twice the target costs.
        weight: f64,
    },
}

impl Reward {
    /// MnasNet's: twice the latency is worth 5 % of accuracy.
    pub const SOFT: Reward = Reward::Product { under: -0.07, over: -0.07 };
    /// MnasNet's: latency up to the target costs nothing, above it all.
    pub const HARD: Reward = Reward::Product { under: 0.0, over: -1.0 };
    /// TuNAS'.
    pub const ABSOLUTE: Reward = Reward::Absolute { weight: 0.1 };

    /// The reward.
    #[must_use]
    pub fn of(&self, quality: f64, latency: f64, target: f64) -> f64 {
        let ratio = latency / target;
        match *self {
            Reward::Product { under, over } => quality * ratio.powf(if ratio <= 1.0 { under } else { over }),
            Reward::Absolute { weight } => quality - weight * (ratio - 1.0).abs(),
        }
    }
}

/// A setting of a latency term that has no meaning.
#[derive(Clone, Copy, Debug, PartialEq, Error)]
#[error(
    "the expected latency is {microseconds} µs, of which FBNet's term has no real value; use the ratio to the target"
)]
pub struct RewardError {
    /// The latency.
    pub microseconds: f64,
}

/// How FBNet's loss depends on its cross-entropy and on latency.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LatencyLoss {
    /// `CE · α · ln(LAT)^β` with the latency in µs, as ln must be above 0 (FBNet, Wu et al. 2018, equation 4).
    Published {
        /// α.
        alpha: f64,
        /// β.
        beta: f64,
    },
    /// `CE + λ · |LAT/T − 1|` (TF-NAS, Hu et al. 2020, arXiv 2008.05314), of any unit.
    Ratio {
        /// λ.
        lambda: f64,
    },
}

impl LatencyLoss {
    /// FBNet's constants.
    pub const FBNET: LatencyLoss = LatencyLoss::Published { alpha: 0.2, beta: 0.6 };
    /// TF-NAS' constant.
    pub const TF_NAS: LatencyLoss = LatencyLoss::Ratio { lambda: 0.1 };

    /// The loss, and its derivatives by cross-entropy and by latency, both in ms.
    ///
    /// # Errors
    /// If FBNet's term has no real value: at 1 µs and below.
    pub fn of(&self, cross_entropy: f64, ms: f64, target_ms: f64) -> Result<(f64, [f64; 2]), RewardError> {
        match *self {
            LatencyLoss::Published { alpha, beta } => {
                let microseconds = 1e3 * ms;
                if microseconds.is_nan() || microseconds <= 1.0 {
                    return Err(RewardError { microseconds });
                }
                let log = microseconds.ln();
                let factor = alpha * log.powf(beta);
                let by_ms = cross_entropy * alpha * beta * log.powf(beta - 1.0) / ms;
                Ok((cross_entropy * factor, [factor, by_ms]))
            }
            LatencyLoss::Ratio { lambda } => {
                let over = ms / target_ms - 1.0;
                let slope = if over == 0.0 { 0.0 } else { over.signum() };
                Ok((cross_entropy + lambda * over.abs(), [1.0, lambda * slope / target_ms]))
            }
        }
    }
}
