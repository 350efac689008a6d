//! What the weights of two layers have to do with each other.

/// What factors may differ by that are the same for all of a layer's numbers, or a channel's, of the largest number.
const EVEN: f32 = 1e-3;

/// What a relation between two weights is called.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Relation {
    /// They are the same.
    Same,
    /// One follows from the other, as these words say.
    Follows(String),
    /// So many numbers of them are others.
    Differ(usize),
}

/// How far weights of the same shape are apart: the length of their difference, of that of `ours`.
pub(super) fn apart(ours: &[f32], theirs: &[f32]) -> f64 {
    let square = |x: f64| x * x;
    let difference: f64 = super::numbers::differences(ours, theirs).map(square).sum();
    let size: f64 = ours.iter().map(|&x| square(x.into())).sum();
    if difference == 0.0 { 0.0 } else { (difference / size.max(f64::MIN_POSITIVE)).sqrt() }
}

/// What two weights of `[outputs, inputs, taps]` numbers have to do with each other.
pub(super) fn relation([a, b]: [&[f32]; 2], [outputs, inputs, taps]: [usize; 3]) -> Relation {
    if a == b || a.len() != b.len() || a.len() != outputs * inputs * taps {
        return Relation::Same;
    }
    let at = |o: usize, i: usize, t: usize| (o * inputs + i) * taps + t;
    let all = || {
        let places = (0..outputs).flat_map(move |o| (0..inputs).map(move |i| (o, i)));
        places.flat_map(move |(o, i)| (0..taps).map(move |t| (o, i, t)))
    };
    let largest = a.iter().fold(0.0f32, |m, x| m.max(x.abs())).max(f32::MIN_POSITIVE);
    let is_near = |x: f32, y: f32| (x - y).abs() <= EVEN * largest;
    let matches = |from: &dyn Fn(usize, usize, usize) -> usize| {
        all().all(|(o, i, t)| is_near(a[at(o, i, t)], b[from(o, i, t)]))
    };
    if inputs == 3 && matches(&|o, i, t| at(o, 2 - i, t)) {
        return Relation::Follows("the other reads its channels in the other order (BGR for RGB)".into());
    }
    if taps > 1 && matches(&|o, i, t| at(o, i, taps - 1 - t)) {
        return Relation::Follows("the other's kernels are turned by 180 degrees".into());
    }
    // One factor for all numbers of which `key` says the same.
    let factors = |key: &dyn Fn(usize, usize) -> usize, count: usize| -> Option<Vec<f32>> {
        let mut sums = vec![[0.0f64; 2]; count];
        for (o, i, t) in all() {
            let [x, y] = [a, b].map(|list| f64::from(list[at(o, i, t)]));
            let sum = &mut sums[key(o, i)];
            *sum = [sum[0] + x * y, sum[1] + x * x];
        }
        let factors: Vec<f32> =
            sums.iter().map(|[xy, xx]| if *xx > 0.0 { (xy / xx) as f32 } else { 1.0 }).collect();
        let fits = |(o, i, t): (usize, usize, usize)| {
            let factor = factors[key(o, i)];
            (b[at(o, i, t)] - factor * a[at(o, i, t)]).abs()
                <= EVEN * largest * factor.abs().max(f32::MIN_POSITIVE)
        };
        all().all(fits).then_some(factors)
    };
    if let Some(factor) = factors(&|_, _| 0, 1) {
        return Relation::Follows(format!("the other's weights are {:.4} times as large", factor[0]));
    }
    if inputs <= 4
        && let Some(factors) = factors(&|_, i| i, inputs)
    {
        let words = format!("the other's weights are {factors:.4?} times as large, by input channel");
        return Relation::Follows(words);
    }
    // Of a single number a factor says nothing.
    if inputs * taps > 1
        && let Some(factors) = factors(&|o, _| o, outputs)
    {
        let [least, most] = [f32::min as fn(f32, f32) -> f32, f32::max]
            .map(|of| factors.iter().copied().reduce(of).unwrap_or(1.0));
        return Relation::Follows(format!(
            "each output channel has a factor of its own, {least:.4} to {most:.4} (batch norm: its epsilon, variance or scale)"
        ));
    }
    Relation::Differ(a.iter().zip(b).filter(|(x, y)| !is_near(**x, **y)).count())
}
