//! The learning rate over a run, as a factor on the peak rate.

use serde::{Deserialize, Serialize};

/// The shape of the curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleKind {
    /// Always the peak.
    Constant,
    /// Half a cosine from the peak to `final` (Loshchilov and Hutter 2016, without restarts).
    Cosine,
    /// Times `gamma` every `every` epochs, at once.
    Step,
    /// Times `gamma` every `every` epochs, smoothly: `gamma ^ (epoch / every)`.
    Exponential,
    /// `(1 − progress) ^ power` of the way from `final` to the peak.
    Polynomial,
    /// From `warmup_start` up to the peak at the share `peak_at` of the run and down to `final`, both along half cosines
    /// (Smith and Topin 2017; PyTorch's `OneCycleLR`, but that the end is reached after the last step, as by the other
    /// shapes, where PyTorch reaches both peak and end a step earlier, and that momentum stays as it is).
    OneCycle,
}

/// A schedule's settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Schedule {
    /// The shape.
    pub kind: ScheduleKind,
    /// Epochs of a linear rise at the beginning; the shape covers the rest of the run. Parts of an epoch count.
    pub warmup: f64,
    /// The factor at the start of the rise.
    pub warmup_start: f64,
    /// The last factor.
    pub r#final: f64,
    /// Epochs between the steps of `step` and `exponential`, counted from the beginning of the run as MnasNet's code
    /// does (timm: `warmup_prefix=False`).
    pub every: f64,
    /// Factor of each step of `step` and `exponential`.
    pub gamma: f64,
    /// Exponent of `polynomial`; 1 is a straight line.
    pub power: f64,
    /// Where the peak of `one_cycle` is, as a share of the run.
    pub peak_at: f64,
}

impl Default for Schedule {
    fn default() -> Self {
        Schedule {
            kind: ScheduleKind::Cosine,
            warmup: 0.0,
            warmup_start: 0.0,
            r#final: 0.0,
            every: 1.0,
            gamma: 0.1,
            power: 1.0,
            peak_at: 0.3,
        }
    }
}

impl Schedule {
    /// The factor at `epoch`, which counts parts of an epoch, of `epochs`.
    #[must_use]
    pub fn factor(&self, epoch: f64, epochs: f64) -> f64 {
        if epoch < self.warmup && self.kind != ScheduleKind::OneCycle {
            return self.warmup_start + (1.0 - self.warmup_start) * epoch / self.warmup;
        }
        let share = |from: f64| ((epoch - from) / (epochs - from).max(f64::MIN_POSITIVE)).clamp(0.0, 1.0);
        let between = |from: f64, to: f64, share: f64| {
            to + (from - to) * (1.0 + (std::f64::consts::PI * share).cos()) / 2.0
        };
        match self.kind {
            ScheduleKind::Constant => 1.0,
            ScheduleKind::Cosine => between(1.0, self.r#final, share(self.warmup)),
            ScheduleKind::Step => self.gamma.powf((epoch / self.every).floor()),
            ScheduleKind::Exponential => self.gamma.powf(epoch / self.every),
            ScheduleKind::Polynomial => {
                self.r#final + (1.0 - self.r#final) * (1.0 - share(self.warmup)).powf(self.power)
            }
            ScheduleKind::OneCycle if share(0.0) < self.peak_at => {
                between(self.warmup_start, 1.0, share(0.0) / self.peak_at)
            }
            ScheduleKind::OneCycle => between(
                1.0,
                self.r#final,
                (share(0.0) - self.peak_at) / (1.0 - self.peak_at).max(f64::MIN_POSITIVE),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(schedule: &Schedule, points: &[(f64, f64)]) {
        for &(epoch, expected) in points {
            let given = schedule.factor(epoch, 10.0);
            assert!((given - expected).abs() < 1e-12, "{schedule:?} at {epoch}: {given}, not {expected}");
        }
    }

    #[test]
    fn factors_are_those_of_the_formulas() {
        use ScheduleKind::*;
        let with = |kind| Schedule { kind, r#final: 0.01, every: 3.0, gamma: 0.5, ..Schedule::default() };
        check(&with(Constant), &[(0.0, 1.0), (9.9, 1.0)]);
        check(&with(Cosine), &[(0.0, 1.0), (5.0, 0.505), (10.0, 0.01)]);
        check(&with(Step), &[(2.9, 1.0), (3.0, 0.5), (8.9, 0.25), (9.0, 0.125)]);
        check(&with(Exponential), &[(0.0, 1.0), (3.0, 0.5), (1.5, 0.5f64.sqrt())]);
        check(&with(Polynomial), &[(0.0, 1.0), (5.0, 0.505), (10.0, 0.01)]);
        let squared = Schedule { power: 2.0, r#final: 0.0, ..with(Polynomial) };
        check(&squared, &[(5.0, 0.25)]);
        let cycle = Schedule { warmup_start: 0.04, peak_at: 0.25, ..with(OneCycle) };
        check(&cycle, &[(0.0, 0.04), (1.25, 0.52), (2.5, 1.0), (6.25, 0.505), (10.0, 0.01)]);
    }

    #[test]
    fn a_rise_leads_to_the_peak_and_the_shape_covers_the_rest() {
        let schedule = Schedule { warmup: 2.0, warmup_start: 0.1, ..Schedule::default() };
        check(&schedule, &[(0.0, 0.1), (1.0, 0.55), (2.0, 1.0), (6.0, 0.5), (10.0, 0.0), (11.0, 0.0)]);
    }
}
