//! How far lists of numbers are apart.

/// What differences within a list are measured by.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Summary {
    /// The mean.
    pub(super) mean: f64,
    /// The largest number less the smallest.
    pub(super) spread: f64,
    /// The largest number but for its sign.
    size: f64,
}

impl Summary {
    pub(super) fn of(numbers: &[f32]) -> Summary {
        let (mut low, mut high, mut sum) = (f32::INFINITY, f32::NEG_INFINITY, 0.0f64);
        for &x in numbers {
            (low, high, sum) = (low.min(x), high.max(x), sum + f64::from(x));
        }
        let spread = if high >= low { f64::from(high) - f64::from(low) } else { 0.0 };
        let size = if high >= low { f64::from(low.abs().max(high.abs())) } else { 0.0 };
        Summary { mean: sum / numbers.len().max(1) as f64, spread, size }
    }

    /// The spread, or the size of numbers that are all the same.
    pub(super) fn scale(self) -> f64 {
        let scale = if self.spread > 0.0 { self.spread } else { self.size };
        scale.max(f64::from(f32::MIN_POSITIVE))
    }
}

/// The largest difference, of the scale of `ours`; infinite where there are NaN.
pub(super) fn largest(ours: &[f32], theirs: &[f32]) -> f64 {
    let not_less = |a: f64, b: f64| if b.is_nan() { f64::INFINITY } else { a.max(b) };
    let worst = differences(ours, theirs).fold(0.0, not_less);
    if worst == 0.0 { 0.0 } else { worst / Summary::of(ours).scale() }
}

/// The mean difference, of the scale of `ours`; infinite where there are NaN.
pub(super) fn mean(ours: &[f32], theirs: &[f32]) -> f64 {
    let sum: f64 = differences(ours, theirs).sum();
    let mean = sum / ours.len().max(1) as f64 / Summary::of(ours).scale();
    if mean.is_nan() { f64::INFINITY } else { mean }
}

/// The differences of numbers in the same places.
pub(super) fn differences(ours: &[f32], theirs: &[f32]) -> impl Iterator<Item = f64> {
    ours.iter().zip(theirs).map(|(a, b)| (f64::from(*a) - f64::from(*b)).abs())
}
