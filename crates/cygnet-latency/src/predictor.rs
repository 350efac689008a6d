//! From what a network runs to its time on a device.

use std::collections::{BTreeMap, BTreeSet};

use crate::correction::Correction;
use crate::device::Device;
use crate::key::{Key, Step, Work};
use crate::roofline::{Entry, Rooflines};
use crate::steps::{Measured, StepTable};

/// Predicts how long networks take on a device, of what was measured there. Nothing is run, and no weights are needed.
///
/// It is a pure function of a table: the same work has the same time, in whatever order its steps are.
#[derive(Clone, Debug)]
pub struct Predictor {
    device: Device,
    entries: BTreeMap<Key, Entry>,
    rooflines: Rooflines,
    /// By the numbers of an image.
    corrections: Vec<(f64, Correction)>,
}

/// What a network would take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prediction {
    /// Milliseconds of an image.
    pub ms: f64,
    /// Milliseconds of all steps together.
    pub sum_ms: f64,
    /// Steps that were not measured, of equal ones only one: their times are estimates.
    pub missing_keys: usize,
}

impl Predictor {
    /// Of all that a table has. None if it has no network.
    #[must_use]
    pub fn new(table: &StepTable) -> Option<Predictor> {
        let corrections = table.corrections().into_iter();
        let corrections = corrections.map(|(image, correction)| (numbers(image), correction)).collect();
        let predictor = Predictor { corrections, ..Predictor::of(table.device(), table.networks())? };
        Some(predictor)
    }

    /// Of what some networks took, without a correction.
    pub(crate) fn of<'n>(
        device: &Device,
        networks: impl IntoIterator<Item = &'n Measured>,
    ) -> Option<Predictor> {
        let mut times: BTreeMap<Key, (Step, Vec<(u64, f64)>)> = BTreeMap::new();
        for network in networks {
            for timed in &network.steps {
                let new = || (timed.step.clone(), Vec::new());
                let known = times.entry(timed.step.key.clone()).or_insert_with(new);
                known.1.push((network.memory_bytes, timed.ms));
            }
        }
        let entry = |(key, (step, times))| (key, Entry::new(step, times));
        let entries: BTreeMap<Key, Entry> = times.into_iter().map(entry).collect();
        let rooflines = Rooflines::of(entries.values());
        let is_empty = entries.is_empty();
        let predictor = Predictor { device: device.clone(), entries, rooflines, corrections: Vec::new() };
        (!is_empty).then_some(predictor)
    }

    /// What the times hold for.
    #[must_use]
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Steps that were measured.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.entries.len()
    }

    /// What a step takes within a network of so many bytes of weights and values, in milliseconds, and whether it was measured;
    /// otherwise that is an estimate by measured steps of its kind.
    #[must_use]
    pub fn step_ms(&self, step: &Step, memory_bytes: u64) -> (f64, bool) {
        match self.entries.get(&step.key) {
            Some(entry) => (entry.ms(memory_bytes), true),
            None => (self.rooflines.ms(step, memory_bytes).unwrap_or(0.0), false),
        }
    }

    /// What a network takes.
    #[must_use]
    pub fn predict(&self, work: &Work) -> Prediction {
        let mut missing: BTreeSet<&Key> = BTreeSet::new();
        let mut times: Vec<f64> = Vec::with_capacity(work.steps.len());
        for step in &work.steps {
            let (ms, is_known) = self.step_ms(step, work.memory_bytes);
            times.push(ms);
            if !is_known {
                missing.insert(&step.key);
            }
        }
        // The same sum whatever order steps are in.
        times.sort_by(f64::total_cmp);
        let sum_ms = times.iter().sum();
        let ms = self.correction(work.image).ms(sum_ms, self.mb_beyond_l2(work.weight_bytes()));
        Prediction { ms, sum_ms, missing_keys: missing.len() }
    }

    /// The share of a network's time in steps that were not measured.
    #[must_use]
    pub fn unknown_share(&self, work: &Work) -> f64 {
        let times = || work.steps.iter().map(|step| self.step_ms(step, work.memory_bytes));
        let all: f64 = times().map(|(ms, _)| ms).sum();
        let unknown: f64 = times().filter(|(_, is_known)| !is_known).map(|(ms, _)| ms).sum();
        if all > 0.0 { unknown / all } else { 0.0 }
    }

    /// Megabytes of weights that the second-level cache does not hold.
    pub(crate) fn mb_beyond_l2(&self, weight_bytes: u64) -> f64 {
        weight_bytes.saturating_sub(self.device.l2_bytes) as f64 / 1e6
    }

    /// The correction of images of the nearest size.
    fn correction(&self, image: [usize; 3]) -> Correction {
        let apart = |(of, _): &&(f64, Correction)| (of / numbers(image)).ln().abs();
        let nearest = self.corrections.iter().min_by(|a, b| apart(a).total_cmp(&apart(b)));
        nearest.map_or(Correction::NONE, |(_, correction)| *correction)
    }
}

/// Numbers of an image.
fn numbers(image: [usize; 3]) -> f64 {
    image.iter().map(|&side| side.max(1) as f64).product()
}
