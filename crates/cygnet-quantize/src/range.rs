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
            let share = best(&|share| loss(channel.sorted.iter().map(|&x| (x, 1.0)), zero, step(share)), 4);
            [low * share, high * share]
        }
        Method::Kl => {
            let zero = zero(&[[low, high]]);
            let share = best(&|share| divergence(channel, zero, step(1.0), step(share)), 4);
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

/// The mean square of what a grid loses of some numbers.
fn loss(numbers: impl Iterator<Item = Weighted>, zero: u8, scale: f32) -> f64 {
    let [low, high] = [0, 255].map(|q: i32| (q - i32::from(zero)) as f32 * scale);
    let step = scale * scale / 12.0;
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

/// Bins of a distribution.
const BINS: usize = 1024;

/// How far the distribution of numbers on a grid of `scale` is from what it was.
fn divergence(channel: &Samples, zero: u8, whole: f32, scale: f32) -> f64 {
    let low = -f32::from(zero) * whole;
    let bin = |x: f32| (((x - low) / (whole * 255.0) * BINS as f32) as usize).min(BINS - 1);
    let mut before = vec![0u32; BINS];
    let mut clipped = vec![0u32; BINS];
    let limits = [0, 255].map(|q: i32| (q - i32::from(zero)) as f32 * scale);
    for &x in &channel.sorted {
        before[bin(x)] += 1;
        clipped[bin(x.clamp(limits[0], limits[1]))] += 1;
    }
    // Numbers of one step are spread over the bins that had some.
    let step = |i: usize| {
        let x = low + (i as f32 + 0.5) * whole * 255.0 / BINS as f32;
        (x / scale).round_ties_even() as i64
    };
    let mut after = vec![0.0f64; BINS];
    let mut first = 0;
    while first < BINS {
        let end = (first..BINS).find(|&i| step(i) != step(first)).unwrap_or(BINS);
        let sum: u32 = clipped[first..end].iter().sum();
        let filled = before[first..end].iter().filter(|&&count| count > 0).count().max(1);
        for i in first..end {
            after[i] = if before[i] > 0 { f64::from(sum) / filled as f64 } else { 0.0 };
        }
        first = end;
    }
    let (total, kept) = (channel.sorted.len().max(1) as f64, after.iter().sum::<f64>().max(1.0));
    let term = |(&before, &after): (&u32, &f64)| {
        let p = f64::from(before) / total;
        if p == 0.0 { 0.0 } else { p * (p / (after / kept).max(1e-9)).ln() }
    };
    before.iter().zip(&after).map(term).sum()
}
