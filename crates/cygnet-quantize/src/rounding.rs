//! Rounding weights to integers so that what one loses the others make up for: the nearest plane of a lattice whose shape is that
//! of the layer's inputs (Babai 1986; on networks: Frantar et al. 2022, "GPTQ").

/// How the inputs of some weights vary together: the mean of products of their deviations from the mean, row-major.
#[derive(Clone, Debug)]
pub(crate) struct Covariance {
    pub(crate) size: usize,
    pub(crate) values: Vec<f64>,
    /// Number of windows seen.
    pub(crate) seen: usize,
}

/// The triangle `r` of `r'r = h` for a covariance in an order in which inputs that vary most come last.
struct Triangle {
    order: Vec<usize>,
    /// Row-major, upper.
    rows: Vec<f64>,
    /// The covariance that it is of.
    damped: Vec<f64>,
}

/// The integers of rows of weights, and a scale for each.
pub(crate) struct Rounded {
    pub(crate) integers: Vec<i8>,
    pub(crate) scales: Vec<f32>,
}

/// The largest integer of a weight.
const LARGEST: f64 = 127.0;

/// Rounds the rows of one group of outputs. Inputs are cut into blocks of covariances, one after the other in a row.
/// Weights are those of inputs in steps of their grids; no scale is less than that of `least` for its row.
pub(crate) fn round(weights: &[f64], blocks: &[Covariance], least: &[f32]) -> Rounded {
    let terms: usize = blocks.iter().map(|block| block.size).sum();
    let triangles: Vec<Option<Triangle>> = blocks.iter().map(Triangle::new).collect();
    let mut rounded = Rounded { integers: Vec::with_capacity(weights.len()), scales: Vec::new() };
    for (row, &least) in weights.chunks(terms).zip(least) {
        let scale = scale(row, blocks).max(crate::range::tidy(least));
        let target: Vec<f64> = row.iter().map(|w| w / f64::from(scale)).collect();
        let mut first = 0;
        for (block, triangle) in blocks.iter().zip(&triangles) {
            let target = &target[first..first + block.size];
            let integers = match triangle {
                Some(triangle) => triangle.refined(target, triangle.nearest(target)),
                None => target.iter().map(|w| nearest(*w)).collect(),
            };
            rounded.integers.extend(integers.into_iter().map(|q| q as i8));
            first += block.size;
        }
        rounded.scales.push(scale);
    }
    rounded
}

/// The integers nearest to a row of weights in steps of its inputs' grids, and their scale, which is not less than `least`.
pub(crate) fn nearest_integers(row: &[f64], least: f32) -> (Vec<i8>, f32) {
    let largest = row.iter().fold(0.0, |largest: f64, w| largest.max(w.abs()));
    let scale = crate::range::tidy((largest / LARGEST) as f32).max(crate::range::tidy(least));
    let inverse = 1.0 / f64::from(scale);
    (row.iter().map(|w| nearest(w * inverse) as i8).collect(), scale)
}

fn nearest(w: f64) -> f64 {
    w.round_ties_even().clamp(-LARGEST, LARGEST)
}

/// The scale of a row by which plain rounding and clipping lose least.
fn scale(row: &[f64], blocks: &[Covariance]) -> f32 {
    let largest = row.iter().fold(0.0, |largest: f64, w| largest.max(w.abs()));
    let diagonal: Vec<f64> = blocks.iter().flat_map(Covariance::variances).collect();
    let loss = |scale: f32| -> f64 {
        let scale = f64::from(scale);
        let lost = |(w, weight): (&f64, &f64)| (w - nearest(w / scale) * scale).powi(2) * weight;
        row.iter().zip(&diagonal).map(lost).sum()
    };
    let candidate = |share: usize| crate::range::tidy((largest / LARGEST * share as f64 / 40.0) as f32);
    let candidates = (24..=40).rev().map(candidate).map(|scale| (loss(scale), scale));
    candidates.min_by(|a, b| a.0.total_cmp(&b.0)).map_or_else(|| candidate(40), |(_, scale)| scale)
}

impl Covariance {
    /// Mixed with the same variance for all and nothing in common the more, the fewer windows were seen for its size (Ledoit and
    /// Wolf 2004), and never singular.
    fn damped(&self) -> Vec<f64> {
        let own = self.own();
        let spread = (1.0 - own) * self.mean_variance() + 0.01 * self.mean_variance();
        let mut values: Vec<f64> = self.values.iter().map(|value| value * own).collect();
        values.iter_mut().step_by(self.size + 1).for_each(|variance| *variance += spread);
        values
    }

    /// The share of what was seen in what is taken for true.
    fn own(&self) -> f64 {
        self.seen as f64 / (self.seen + self.size) as f64
    }

    fn mean_variance(&self) -> f64 {
        self.values.iter().step_by(self.size + 1).sum::<f64>() / self.size as f64
    }

    /// The variances of [`Covariance::damped`].
    fn variances(&self) -> impl Iterator<Item = f64> {
        let (own, mean) = (self.own(), self.mean_variance());
        self.values.iter().step_by(self.size + 1).map(move |value| own * value + (1.01 - own) * mean)
    }
}

impl Triangle {
    fn new(covariance: &Covariance) -> Option<Triangle> {
        let n = covariance.size;
        let damped = covariance.damped();
        let mut order: Vec<usize> = (0..n).collect();
        order.sort_by(|&a, &b| damped[a * n + a].total_cmp(&damped[b * n + b]));
        // r'r = h by rows: r[i][j] = (h[i][j] - sum over k < i of r[k][i] r[k][j]) / r[i][i].
        let mut rows = vec![0.0; n * n];
        for i in 0..n {
            for j in i..n {
                rows[i * n + j] = damped[order[i] * n + order[j]];
            }
        }
        for i in 0..n {
            let (done, rest) = rows.split_at_mut((i + 1) * n);
            let row = &mut done[i * n..];
            let pivot = row[i];
            if pivot <= 0.0 || !pivot.is_finite() {
                return None;
            }
            let root = pivot.sqrt();
            row[i..].iter_mut().for_each(|value| *value /= root);
            for (k, below) in rest.chunks_exact_mut(n).enumerate() {
                let j = i + 1 + k;
                let factor = row[j];
                for (value, by) in below[j..].iter_mut().zip(&row[j..]) {
                    *value -= factor * by;
                }
            }
        }
        Some(Triangle { order, rows, damped })
    }

    /// Integers near to `target`, the last decided first.
    fn nearest(&self, target: &[f64]) -> Vec<f64> {
        let n = target.len();
        let mut lost = vec![0.0; n];
        let mut integers = vec![0.0; n];
        for i in (0..n).rev() {
            let row = &self.rows[i * n..][..n];
            let due: f64 = row[i + 1..].iter().zip(&lost[i + 1..]).map(|(r, lost)| r * lost).sum();
            let wanted = target[self.order[i]];
            let integer = nearest(wanted + due / row[i]);
            lost[i] = wanted - integer;
            integers[self.order[i]] = integer;
        }
        integers
    }

    /// Changes integers one at a time as long as the mean square of what the sum loses becomes less.
    fn refined(&self, target: &[f64], mut integers: Vec<f64>) -> Vec<f64> {
        const PASSES: usize = 3;
        let (n, damped) = (target.len(), &self.damped);
        let mut slope = vec![0.0; n];
        for ((row, w), q) in damped.chunks_exact(n).zip(target).zip(&integers) {
            slope.iter_mut().zip(row).for_each(|(slope, h)| *slope += h * (w - q));
        }
        for _ in 0..PASSES {
            let mut changed = false;
            for i in 0..n {
                let wanted = integers[i] + (slope[i] / damped[i * n + i]).round_ties_even();
                let step = wanted.clamp(-LARGEST, LARGEST) - integers[i];
                if step != 0.0 {
                    changed = true;
                    integers[i] += step;
                    slope.iter_mut().zip(&damped[i * n..][..n]).for_each(|(slope, h)| *slope -= h * step);
                }
            }
            if !changed {
                break;
            }
        }
        integers
    }
}
