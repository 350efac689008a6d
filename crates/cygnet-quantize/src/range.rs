//! How far the numbers of a value reach, and the grid that loses least of them.

use cygnet_weights::{Grid, SCALES};

/// Numbers of a channel of some images.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples {
    /// In ascending order.
    pub(crate) sorted: Vec<f32>,
    /// The least and the largest of all, not of those taken alone, and 0.
    pub(crate) ends: [f32; 2],
}

/// Numbers of a channel, of one half of the images and of the other, so that what is found on one can be tried on the other.
pub(crate) type Halves = [Samples; 2];

/// How the ends of a range are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// The least and the largest number.
    MinMax,
    /// All but one in ten thousand, at each end.
    Percentile,
    /// The ends by which the mean square of what is lost is least.
    Mse,
    /// The ends by which the distribution of what is left is nearest to that of what there was (Kullback-Leibler).
    Kl,
}

impl Method {
    /// Every method.
    pub const ALL: [Method; 4] = [Method::MinMax, Method::Percentile, Method::Mse, Method::Kl];
}

impl Samples {
    pub(crate) fn new(mut numbers: Vec<f32>, [low, high]: [f32; 2]) -> Samples {
        numbers.retain(|x| x.is_finite());
        numbers.sort_by(f32::total_cmp);
        Samples { sorted: numbers, ends: [low.min(0.0), high.max(0.0)] }
    }

    /// The mean square.
    pub(crate) fn power(&self) -> f64 {
        let sum: f64 = self.sorted.iter().map(|&x| f64::from(x).powi(2)).sum();
        sum / self.sorted.len().max(1) as f64
    }

    /// The same with every number within limits beyond which a reader sees no difference.
    pub(crate) fn limited(mut self, [low, high]: [f32; 2]) -> Samples {
        self.sorted.iter_mut().for_each(|x| *x = x.clamp(low, high));
        self.ends = self.ends.map(|end| end.clamp(low, high));
        self
    }

    fn quantile(&self, share: f64) -> f32 {
        let last = self.sorted.len().saturating_sub(1);
        self.sorted.get((last as f64 * share).round() as usize).copied().unwrap_or_default()
    }
}

/// The scale of the grid with a zero that holds numbers between two ends.
fn scale_for(zero: u8, [low, high]: [f32; 2]) -> f32 {
    let below = if zero == 0 { 0.0 } else { -low / f32::from(zero) };
    let above = if zero == 255 { 0.0 } else { high / f32::from(255 - zero) };
    below.max(above)
}

/// How ends are made of what was seen.
#[derive(Clone, Copy, Debug)]
struct Rule {
    method: Method,
    /// Factor of what a channel reached.
    margin: f32,
    /// Share of what the farthest channel reached that every channel has at least.
    floor: f32,
}

/// Margins that are tried: other images reach further than these, and what is rare may be cut off.
const MARGINS: [f32; 10] = [0.5, 0.65, 0.8, 0.9, 1.0, 1.15, 1.35, 1.6, 2.0, 2.5];

/// Floors that are tried; 1 is one range for all channels.
const FLOORS: [f32; 5] = [0.0, 0.05, 0.15, 0.4, 1.0];

/// Numbers at each end of a channel that a rule is tried on, and of those that stand for all others.
const TRIED: usize = 96;

/// The grid of values that share a zero, with one scale for each channel or one for all, within limits that no number goes
/// beyond; what a channel loses counts by its importance. Without a method the rule is taken by which what is found on half
/// of the images loses least on the other half.
pub(crate) fn grid(
    channels: &[Halves],
    importance: &[f64],
    limits: [f32; 2],
    one_scale: bool,
    method: Option<Method>,
) -> Grid {
    let rule = match method {
        Some(method) => Rule { method, margin: 1.0, floor: f32::from(u8::from(one_scale)) },
        None => best_rule(channels, importance, limits, one_scale),
    };
    let whole = |[even, odd]: &Halves| {
        let sorted = [&even.sorted[..], &odd.sorted[..]].concat();
        let ends = [even.ends[0].min(odd.ends[0]), even.ends[1].max(odd.ends[1])];
        Samples::new(sorted, ends)
    };
    let whole: Vec<Samples> = channels.iter().map(whole).collect();
    let ends: Vec<[f32; 2]> = whole.iter().map(|channel| ends(channel, rule.method)).collect();
    let ends = reach(&ends, rule, limits);
    let zero = zero(&ends);
    let mut scales: Vec<f32> = ends.iter().map(|&ends| scale_for(zero, ends)).collect();
    if one_scale {
        scales = vec![scales.iter().copied().fold(0.0, f32::max)];
    }
    // A channel that these images do not move may move for others.
    let largest = scales.iter().copied().fold(0.0, f32::max);
    let least = if largest > 0.0 { largest / 256.0 } else { 1.0 };
    scales.iter_mut().for_each(|scale| *scale = tidy(scale.max(least)));
    Grid { zero, scales }
}

fn best_rule(channels: &[Halves], importance: &[f64], limits: [f32; 2], one_scale: bool) -> Rule {
    let floor = if one_scale { 1.0 } else { FLOORS[1] };
    let usual = Rule { method: Method::MinMax, margin: 1.0, floor };
    if channels.iter().flatten().any(|half| half.sorted.is_empty()) {
        return usual;
    }
    let mut best = (f64::INFINITY, usual);
    let tried: Vec<[Vec<Weighted>; 2]> = channels.iter().map(|[even, odd]| [thin(even), thin(odd)]).collect();
    for method in Method::ALL {
        let found = [0, 1].map(|half: usize| -> Vec<[f32; 2]> {
            channels.iter().map(|channel| ends(&channel[half], method)).collect()
        });
        let floors = if one_scale { &FLOORS[FLOORS.len() - 1..] } else { &FLOORS[..] };
        for &floor in floors {
            for margin in MARGINS {
                let rule = Rule { method, margin, floor };
                let lost = |half: usize| -> f64 {
                    let ends = reach(&found[half], rule, limits);
                    let zero = zero(&ends);
                    let lost = |((ends, tried), weight): ((&[f32; 2], &[Vec<Weighted>; 2]), &f64)| {
                        weight * loss(tried[1 - half].iter().copied(), zero, scale_for(zero, *ends))
                    };
                    ends.iter().zip(&tried).zip(importance).map(lost).sum()
                };
                let lost = lost(0) + lost(1);
                if lost < best.0 {
                    best = (lost, rule);
                }
            }
        }
    }
    best.1
}

/// Ends of all channels by a rule.
fn reach(ends: &[[f32; 2]], rule: Rule, limits: [f32; 2]) -> Vec<[f32; 2]> {
    let farthest = [0, 1].map(|side: usize| ends.iter().map(|ends| ends[side].abs()).fold(0.0, f32::max));
    let each = |ends: &[f32; 2]| {
        let end = |side: usize| {
            let end = (ends[side].abs() * rule.margin).max(farthest[side] * rule.margin * rule.floor);
            end.min(limits[side].abs())
        };
        [-end(0), end(1)]
    };
    ends.iter().map(each).collect()
}

/// A scale of few bits, not smaller, within what a record may have.
pub(crate) fn tidy(scale: f32) -> f32 {
    let few = f32::from_bits((scale.to_bits() + 0xffff) & !0xffff);
    few.clamp(*SCALES.start(), *SCALES.end())
}

/// The zero by which the steps of all channels are smallest.
fn zero(ends: &[[f32; 2]]) -> u8 {
    if ends.iter().all(|ends| ends[0] >= 0.0) {
        return 0;
    }
    let squares =
        |zero: u8| -> f64 { ends.iter().map(|&ends| f64::from(scale_for(zero, ends)).powi(2)).sum() };
    let coarse = (1..=254u8).step_by(11).min_by(|&a, &b| squares(a).total_cmp(&squares(b))).unwrap_or(128);
    let near = coarse.saturating_sub(10).max(1)..=coarse.saturating_add(10).min(254);
    near.min_by(|&a, &b| squares(a).total_cmp(&squares(b))).unwrap_or(128)
}

/// The ends of a channel by a method, around 0.
fn ends(channel: &Samples, method: Method) -> [f32; 2] {
    let [low, high] = channel.ends;
    let shares = |least: usize| (least..=20).map(|share| share as f32 / 20.0);
    let best = |loss: &dyn Fn(f32) -> f64, least: usize| {
        let best = shares(least).map(|share| (loss(share), share)).min_by(|a, b| a.0.total_cmp(&b.0));
        best.map_or(1.0, |(_, share)| share)
    };
    let step = |share: f32| (high - low) * share / 255.0;
    match method {
        Method::MinMax => [low, high],
        Method::Percentile => {
            [channel.quantile(1e-3).clamp(low, 0.0), channel.quantile(1.0 - 1e-3).clamp(0.0, high)]
        }
        Method::Mse => {
            let zero = zero(&[[low, high]]);
            let share = best(&|share| channel.loss(zero, step(share)), 4);
            [low * share, high * share]
        }
        Method::Kl => {
            let zero = zero(&[[low, high]]);
            let histogram = Histogram::new(&channel.sorted, zero, step(1.0));
            let share = best(&|share| histogram.divergence(zero, step(share)), 4);
            [low * share, high * share]
        }
    }
}

/// A number and how many it stands for.
type Weighted = (f32, f32);

/// All of the numbers that are farthest out, and some that stand for the others.
fn thin(half: &Samples) -> Vec<Weighted> {
    let sorted = &half.sorted;
    let tail = TRIED.min(sorted.len() / 2);
    let middle = &sorted[tail..sorted.len() - tail];
    let step = middle.len().div_ceil(TRIED).max(1);
    let ends = sorted[..tail].iter().chain(&sorted[sorted.len() - tail..]).map(|&x| (x, 1.0));
    let stand_in = |part: &[f32]| (part[part.len() / 2], part.len() as f32);
    ends.chain(middle.chunks(step).map(stand_in)).collect()
}

/// The ends of a grid of `scale`, and the mean square of what is lost of a number between them.
fn span(zero: u8, scale: f32) -> ([f32; 2], f32) {
    ([0, 255].map(|q: i32| (q - i32::from(zero)) as f32 * scale), scale * scale / 12.0)
}

/// The mean square of what a grid loses of some numbers.
fn loss(numbers: impl Iterator<Item = Weighted>, zero: u8, scale: f32) -> f64 {
    let ([low, high], step) = span(zero, scale);
    let (mut lost, mut count) = (0.0, 0.0);
    for (x, weight) in numbers {
        let beyond = x - x.clamp(low, high);
        // What is 0 stays 0.
        let own = beyond * beyond + if x == 0.0 || beyond != 0.0 { 0.0 } else { step };
        lost += f64::from(weight * own);
        count += weight;
    }
    lost / f64::from(count.max(1.0))
}

impl Samples {
    /// As [`loss`], which looks only at numbers beyond the grid's ends.
    fn loss(&self, zero: u8, scale: f32) -> f64 {
        let ([low, high], step) = span(zero, scale);
        let [below, between, above] = parts(&self.sorted, [low, high]);
        let square = |beyond: f32| f64::from(beyond * beyond);
        let zeros = between.partition_point(|&x| x <= 0.0) - between.partition_point(|&x| x < 0.0);
        let lost = below.iter().map(|x| square(x - low)).sum::<f64>()
            + f64::from(step) * (between.len() - zeros) as f64
            + above.iter().map(|x| square(x - high)).sum::<f64>();
        lost / self.sorted.len().max(1) as f64
    }
}

/// The numbers below some ends, between them, and above, of numbers in ascending order.
fn parts(sorted: &[f32], [low, high]: [f32; 2]) -> [&[f32]; 3] {
    let (below, rest) = sorted.split_at(sorted.partition_point(|&x| x < low));
    let (between, above) = rest.split_at(rest.partition_point(|&x| x <= high));
    [below, between, above]
}

/// Bins of a distribution.
const BINS: usize = 1024;

/// How some numbers are distributed over the grid on which the farthest of them are.
struct Histogram<'s> {
    /// In ascending order.
    sorted: &'s [f32],
    low: f32,
    /// The grid's step.
    whole: f32,
    /// The bins that have some, in ascending order, and how many.
    bins: Vec<(usize, u32)>,
}

impl<'s> Histogram<'s> {
    fn new(sorted: &'s [f32], zero: u8, whole: f32) -> Histogram<'s> {
        let low = -f32::from(zero) * whole;
        let of_bin = sorted.chunk_by(|&a, &b| bin(a, low, whole) == bin(b, low, whole));
        let bins = of_bin.map(|numbers| (bin(numbers[0], low, whole), numbers.len() as u32)).collect();
        Histogram { sorted, low, whole, bins }
    }

    /// How far the distribution of the numbers on a grid of `scale` is from what it was.
    fn divergence(&self, zero: u8, scale: f32) -> f64 {
        let Histogram { sorted, low, whole, bins } = self;
        let (ends, _) = span(zero, scale);
        let [below, between, above] = parts(sorted, ends);
        let ends = ends.map(|end| bin(end, *low, *whole));
        let step = |bin: usize| {
            let x = low + (bin as f32 + 0.5) * whole * 255.0 / BINS as f32;
            (x / scale).round_ties_even() as i64
        };
        // Numbers of one step are spread over the bins that had some; those beyond an end are in its bin.
        let end_steps = ends.map(step);
        let steps: Vec<i64> = bins.iter().map(|(bin, _)| step(*bin)).collect();
        let mut after: Vec<f64> = Vec::with_capacity(bins.len());
        let mut numbers = 0..0;
        let kept_numbers = below.len()..below.len() + between.len();
        for of_step in steps.chunk_by(|a, b| a == b) {
            let of_bins = &bins[after.len()..][..of_step.len()];
            numbers =
                numbers.end..numbers.end + of_bins.iter().map(|(_, count)| *count as usize).sum::<usize>();
            let inside =
                numbers.end.min(kept_numbers.end).saturating_sub(numbers.start.max(kept_numbers.start));
            let clipped =
                |end: usize, beyond: &[f32]| if end_steps[end] == of_step[0] { beyond.len() } else { 0 };
            let sum = inside + clipped(0, below) + clipped(1, above);
            after.extend(of_step.iter().map(|_| sum as f64 / of_step.len() as f64));
        }
        let (total, kept) = (sorted.len().max(1) as f64, after.iter().sum::<f64>().max(1.0));
        let term = |((_, before), after): (&(usize, u32), &f64)| {
            let p = f64::from(*before) / total;
            p * (p / (after / kept).max(1e-9)).ln()
        };
        bins.iter().zip(&after).map(term).sum()
    }
}

/// The bin of a number.
fn bin(x: f32, low: f32, whole: f32) -> usize {
    (((x - low) / (whole * 255.0) * BINS as f32) as usize).min(BINS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The divergence by its definition, number by number and bin by bin.
    fn divergence(numbers: &[f32], zero: u8, whole: f32, scale: f32) -> f64 {
        let low = -f32::from(zero) * whole;
        let ([least, most], _) = span(zero, scale);
        let (mut before, mut clipped) = (vec![0.0f64; BINS], vec![0.0f64; BINS]);
        for &x in numbers {
            before[bin(x, low, whole)] += 1.0;
            clipped[bin(x.clamp(least, most), low, whole)] += 1.0;
        }
        let step =
            |i: usize| ((low + (i as f32 + 0.5) * whole * 255.0 / BINS as f32) / scale).round_ties_even();
        let spread = |i: usize| {
            let same = || (0..BINS).filter(|&other| step(other) == step(i));
            let sum: f64 = same().map(|bin| clipped[bin]).sum();
            sum / same().filter(|&bin| before[bin] > 0.0).count() as f64
        };
        let filled: Vec<usize> = (0..BINS).filter(|&i| before[i] > 0.0).collect();
        let after: Vec<f64> = filled.iter().map(|&i| spread(i)).collect();
        let kept = after.iter().sum::<f64>().max(1.0);
        let term = |(&i, after): (&usize, &f64)| {
            let p = before[i] / numbers.len() as f64;
            p * (p / (after / kept).max(1e-9)).ln()
        };
        filled.iter().zip(&after).map(term).sum()
    }

    #[test]
    fn what_is_lost_of_sorted_numbers_is_what_the_definitions_say() {
        let wave = |i: usize| ((i * 7919 % 1000) as f32 / 250.0 - 2.0).powi(3);
        let relu = |i: usize| wave(i).max(0.0);
        for numbers in [(0..700).map(wave).collect(), (0..300).map(relu).collect(), vec![0.0; 9]] {
            let samples = Samples::new(numbers, [-8.0, 8.0]);
            for (zero, whole) in [(0, 8.0 / 255.0), (128, 16.0 / 255.0), (3, 0.1)] {
                let histogram = Histogram::new(&samples.sorted, zero, whole);
                for scale in [0.2, 0.5, 0.999, 1.0].map(|share| whole * share) {
                    let wanted = loss(samples.sorted.iter().map(|&x| (x, 1.0)), zero, scale);
                    let lost = samples.loss(zero, scale);
                    assert!((lost - wanted).abs() <= 1e-12 * wanted, "{lost} {wanted}");
                    let wanted = divergence(&samples.sorted, zero, whole, scale);
                    let found = histogram.divergence(zero, scale);
                    assert!((found - wanted).abs() <= 1e-12 * wanted.abs().max(1.0), "{found} {wanted}");
                }
            }
        }
    }
}
