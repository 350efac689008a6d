//! What a step of another size would take: by a roofline through measured steps of its kind, and by how far its neighbours are
//! from that.
//!
//! A roofline here is a sum: a step takes some time for every call, for every multiply-accumulate, as asked and as channels fill whole
//! vectors, for every byte of values and of weights, and for every pixel and number that it writes, none of them negative
//! (Williams et al. 2009 have the larger of two such terms, which steps near the ridge do not follow).

use std::collections::BTreeMap;

use crate::key::Step;

/// What a roofline's terms count.
const TERMS: usize = 7;

/// Steps from which a kind has a roofline of its own.
const FEW: usize = 8;

/// Neighbours that are asked.
const NEIGHBOURS: usize = 8;

/// Channels that kernels compute at once, about.
const LANES: u64 = 16;

/// A measured step.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) step: Step,
    /// The median over networks.
    ms: f64,
    /// What it took in each network, with the logarithm of that network's bytes of memory.
    times: Vec<(f64, f64)>,
}

impl Entry {
    /// A step with what it took in networks of so many bytes of memory, in milliseconds; one at least.
    pub(crate) fn new(step: Step, times: impl IntoIterator<Item = (u64, f64)>) -> Entry {
        let mut times: Vec<(f64, f64)> =
            times.into_iter().map(|(memory_bytes, ms)| (logarithm(memory_bytes), ms)).collect();
        times.sort_by(|a, b| a.1.total_cmp(&b.1));
        let ms = times.get(times.len() / 2).map_or(f64::MIN_POSITIVE, |(_, ms)| *ms);
        Entry { step, ms, times }
    }

    /// What it takes in a network of so many bytes of memory: the median over networks, of which those of like size weigh most.
    pub(crate) fn ms(&self, memory_bytes: u64) -> f64 {
        /// The logarithm of a ratio of sizes at which networks are hardly alike.
        const UNLIKE: f64 = 0.7;
        /// The weight of networks of any size.
        const ANY: f64 = 1e-6;
        let here = logarithm(memory_bytes);
        let weight = |size: f64| (-((size - here) / UNLIKE).powi(2)).exp() + ANY;
        let half = self.times.iter().map(|(size, _)| weight(*size)).sum::<f64>() / 2.0;
        let mut passed = 0.0;
        let middle = self.times.iter().find(|(size, _)| {
            passed += weight(*size);
            passed > half
        });
        middle.map_or(self.ms, |(_, ms)| *ms)
    }
}

fn logarithm(bytes: u64) -> f64 {
    (bytes.max(1) as f64).ln()
}

/// Measured steps by kind.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rooflines {
    /// By what is the same: the kernel's name, or its family.
    kinds: BTreeMap<String, Kind>,
    /// Those that multiply, and those that do not.
    all: [Kind; 2],
}

#[derive(Clone, Debug, Default)]
struct Kind {
    entries: Vec<Entry>,
    factors: [f64; TERMS],
}

impl Rooflines {
    pub(crate) fn of<'e>(entries: impl IntoIterator<Item = &'e Entry>) -> Rooflines {
        let mut lines = Rooflines::default();
        for entry in entries {
            let key = &entry.step.key;
            for name in [key.name().to_owned(), family(key.family())] {
                lines.kinds.entry(name).or_default().entries.push(entry.clone());
            }
            lines.all[usize::from(entry.step.macs > 0)].entries.push(entry.clone());
        }
        for kind in &mut lines.all {
            kind.factors = factors(&kind.entries, [0.0; TERMS]);
        }
        let [idle, busy] = [0, 1].map(|kind| lines.all[kind].factors);
        for kind in lines.kinds.values_mut() {
            let multiplies = kind.entries.iter().any(|entry| entry.step.macs > 0);
            kind.factors = factors(&kind.entries, if multiplies { busy } else { idle });
        }
        lines
    }

    /// What a step would take in a network of so many bytes of memory, in milliseconds: by steps of the same kernel, or of its family where these are few, or else of any.
    /// None if nothing was measured.
    pub(crate) fn ms(&self, step: &Step, memory_bytes: u64) -> Option<f64> {
        let kind = |name: &str| self.kinds.get(name);
        let own = kind(step.key.name());
        let near = own.filter(|kind| kind.entries.len() >= FEW).or_else(|| kind(&family(step.key.family())));
        let [idle, busy] = &self.all;
        let [first, second] = if step.macs > 0 { [busy, idle] } else { [idle, busy] };
        let kinds = near.into_iter().chain([first, second]);
        kinds.into_iter().find(|kind| !kind.entries.is_empty()).map(|kind| kind.ms(step, memory_bytes))
    }
}

/// The name of a family among those of kernels.
fn family(family: &str) -> String {
    format!("{family} of any window")
}

impl Kind {
    fn roof(&self, step: &Step) -> f64 {
        let sum: f64 = terms(step).iter().zip(self.factors).map(|(term, factor)| term * factor).sum();
        sum.max(f64::MIN_POSITIVE)
    }

    fn ms(&self, step: &Step, memory_bytes: u64) -> f64 {
        let mut near: Vec<(f64, &Entry)> =
            self.entries.iter().map(|entry| (distance(&entry.step, step), entry)).collect();
        near.sort_by(|a, b| a.0.total_cmp(&b.0));
        near.truncate(NEIGHBOURS);
        /// The distance at which a neighbour counts half of what one at hand does, squared.
        const NEAR: f64 = 0.02;
        let weight = |distance: f64| 1.0 / (distance + NEAR);
        let off = |entry: &Entry| (entry.ms(memory_bytes) / self.roof(&entry.step)).ln();
        let sum: f64 = near.iter().map(|(distance, entry)| weight(*distance) * off(entry)).sum();
        let weights: f64 = near.iter().map(|(distance, _)| weight(*distance)).sum();
        self.roof(step) * (sum / weights).exp()
    }
}

/// What a step has to do, as a roofline counts it.
fn terms(step: &Step) -> [f64; TERMS] {
    let [channels, height, width] = step.key.output.map(|side| side as u64);
    let filled = channels.div_ceil(LANES).saturating_mul(LANES) as f64 / channels.max(1) as f64;
    let pixels = height.saturating_mul(width) as f64;
    [
        step.key.calls as f64,
        step.macs as f64,
        step.macs as f64 * filled,
        step.bytes as f64,
        step.weight_bytes as f64,
        pixels,
        pixels * channels as f64,
    ]
}

/// How unlike two steps are: squared logarithms of the ratios of their sizes, of which output channels, by which kernels divide
/// their work, count twice; and more where windows or functions differ.
fn distance(a: &Step, b: &Step) -> f64 {
    /// Of kernels that differ in what joined them, and of other names.
    const OTHER: [f64; 2] = [0.02, 1.0];
    let sizes = |step: &Step| {
        let [channels, height, width] = step.key.output.map(|side| side.max(1) as f64);
        let inputs = step.key.inputs.first().map_or(1.0, |[channels, ..]| *channels.max(&1) as f64);
        [channels * channels, inputs, height * width, step.key.calls.max(1) as f64]
    };
    let apart: f64 = sizes(a).iter().zip(sizes(b)).map(|(a, b)| (a / b).ln().powi(2)).sum();
    let other = match (a.key.kernel == b.key.kernel, a.key.name() == b.key.name()) {
        (true, _) => 0.0,
        (false, true) => OTHER[0],
        (false, false) => OTHER[1],
    };
    apart + other
}

/// The factors of a roofline, none negative, under which relative errors are least, near `usual` ones where entries do not tell.
fn factors(entries: &[Entry], usual: [f64; TERMS]) -> [f64; TERMS] {
    /// Passes over the factors.
    const PASSES: usize = 400;
    /// Entries that each usual factor counts as.
    const STAY: f64 = 0.1;
    let mut matrix = [[0.0; TERMS]; TERMS];
    let mut right = [0.0; TERMS];
    let row = |entry: &Entry| terms(&entry.step).map(|term| term / entry.ms);
    let mut scales = [0.0f64; TERMS];
    entries.iter().for_each(|entry| scales.iter_mut().zip(row(entry)).for_each(|(s, x)| *s = s.max(x)));
    for entry in entries {
        let row = row(entry);
        let scaled = |i: usize| if scales[i] > 0.0 { row[i] / scales[i] } else { 0.0 };
        for i in 0..TERMS {
            right[i] += scaled(i);
            (0..TERMS).for_each(|j| matrix[i][j] += scaled(i) * scaled(j));
        }
    }
    for i in 0..TERMS {
        matrix[i][i] += STAY;
        right[i] += STAY * usual[i] * scales[i];
    }
    let mut factors = [0.0; TERMS];
    for _ in 0..PASSES {
        for i in 0..TERMS {
            let now: f64 = matrix[i].iter().zip(factors).map(|(m, factor)| m * factor).sum();
            factors[i] = (factors[i] + (right[i] - now) / matrix[i][i]).max(0.0);
        }
    }
    std::array::from_fn(|i| if scales[i] > 0.0 { factors[i] / scales[i] } else { usual[i] })
}
