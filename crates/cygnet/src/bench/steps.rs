//! How long each step of a plan takes, and what bounds it.

use std::time::{Duration, Instant};

use cygnet_runtime::{Element, Plan, PlanStep, RunError, StepValue, cpu, team};
use serde::Serialize;

use super::inputs::random_image;
use super::network::BenchOptions;
use super::peaks::Peaks;
use super::rates::{PROBE, Rates, l2_gbytes_per_s};
use super::times::{is_disturbed, quantile};

/// Runs whose steps are kept apart; later ones do not count.
pub(super) const MOST_RUNS: usize = 2000;

/// What one step of a network took, until all threads had done their part.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StepTiming {
    /// The network.
    pub model: String,
    /// Threads that worked on it.
    pub threads: usize,
    /// Its place in the plan.
    pub step: usize,
    /// What computes it.
    pub kernel: String,
    /// Whether the machine had other work meanwhile, by [`is_disturbed`] of whole runs.
    pub disturbed: bool,
    /// Of a training step: `forward` or `backward`, which begins with the loss.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pass: Option<&'static str>,
    /// The path, or else the operator, of the node it is there for; empty for a copy.
    pub node: String,
    /// Shape of what it writes; of a training step that of an image's value at the node.
    pub output: Vec<usize>,
    /// What it reads, if that is not f32.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_type: Option<&'static str>,
    /// What it writes, if that is not f32.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_type: Option<&'static str>,
    /// Median time.
    pub ms: f64,
    /// Share of all steps.
    pub percent: f64,
    /// Multiply-accumulates.
    pub macs: u64,
    /// Bytes of values and weights it reads and writes.
    pub bytes: u64,
    /// Billions of operations a second, two a multiply-add.
    pub gflops: f64,
    /// Share of the threads' peak of multiply-adds of what it multiplies; above 100 where a kernel needs fewer than the
    /// definition.
    pub percent_of_peak: f64,
    /// Billions of bytes a second.
    pub gbytes_per_s: f64,
    /// Which takes longer at best: `compute`, its multiply-adds at the peak, or `memory`, all its bytes once at the
    /// speed of the second-level cache, or of memory in a training step, whose values no cache holds.
    pub bound: &'static str,
    /// That time as a share of its time; above 100 where a cache has what should come from memory.
    pub percent_of_bound: f64,
    /// The peak of one thread's multiply-adds of what it multiplies, f32 or bytes, two operations each: the best burst just
    /// before and after.
    pub peak_gflops: f64,
    /// Bytes that one thread's copy within the second-level cache reads and writes, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub l2_gbytes_per_s: Option<f64>,
    /// Of a training step, bytes that one thread's copy in memory reads and writes, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_gbytes_per_s: Option<f64>,
}

/// What a value is stored as, if that is not f32.
#[must_use]
pub fn named_type(value: &StepValue) -> Option<&'static str> {
    (value.element != Element::F32).then(|| value.element.name())
}

/// Times every step of a plan, one image a run, on one thread if the options do not say how many.
///
/// # Errors
/// If the system refuses a thread.
pub fn bench_steps(model: &str, plan: &Plan, options: BenchOptions) -> Result<Vec<StepTiming>, RunError> {
    cpu::now().ok_or(RunError::NoClock)?;
    let BenchOptions { threads, duration, .. } = options;
    let graph = plan.graph();
    let (program, steps) = (plan.program(), plan.steps());
    let image = random_image(graph);
    let mut arena = program.arena();
    let mut team = team(threads.unwrap_or(1))?;
    let threads = team.threads();
    let mut calls = vec![Duration::ZERO; program.calls().len()];
    let mut times: Vec<Vec<f64>> = vec![Vec::new(); steps.len()];
    let mut runs = Vec::new();
    let (mut peaks, bandwidth) = (Peaks::of(plan), l2_gbytes_per_s(PROBE));
    let start = Instant::now();
    while times.iter().all(|times| times.len() < MOST_RUNS) {
        calls.fill(Duration::ZERO);
        program.run_timed_on(&mut team, &mut arena, &image, &mut calls);
        if start.elapsed() >= duration / 4 {
            runs.push(calls.iter().sum::<Duration>().as_secs_f64());
            for (times, step) in times.iter_mut().zip(steps) {
                times.push(calls[step.calls.clone()].iter().sum::<Duration>().as_secs_f64() * 1e3);
            }
        }
        if start.elapsed() >= duration * 5 / 4 && times.iter().all(|times| !times.is_empty()) {
            break;
        }
    }
    peaks.look_again();
    let bandwidth = l2_gbytes_per_s(PROBE).max(bandwidth);
    times.iter_mut().chain([&mut runs]).for_each(|times| times.sort_by(f64::total_cmp));
    let disturbed = is_disturbed(quantile(&runs, 0.0), quantile(&runs, 0.95));
    let medians: Vec<f64> = times.iter().map(|times| quantile(times, 0.5)).collect();
    let all: f64 = medians.iter().sum();
    let timing = |(i, (step, &ms)): (usize, (&PlanStep, &f64))| {
        let peak = peaks.of_step(step);
        let bytes = step.bytes_read + step.bytes_written + step.weight_bytes;
        let rates = Rates::of(step.macs, bytes, ms, [peak, bandwidth].map(|rate| rate * threads as f64));
        StepTiming {
            model: model.into(),
            threads,
            step: i,
            kernel: step.key.kernel.to_string(),
            disturbed,
            pass: None,
            node: step.name(graph).into(),
            output: step.shape.clone(),
            input_type: step.key.inputs.first().and_then(named_type),
            output_type: named_type(&step.key.output),
            ms,
            percent: 100.0 * ms / all,
            macs: step.macs,
            bytes,
            gflops: rates.gflops,
            percent_of_peak: rates.percent_of_peak,
            gbytes_per_s: rates.gbytes_per_s,
            bound: rates.bound,
            percent_of_bound: rates.percent_of_bound,
            peak_gflops: peak,
            l2_gbytes_per_s: Some(bandwidth),
            memory_gbytes_per_s: None,
        }
    };
    Ok(steps.iter().zip(&medians).enumerate().map(timing).collect())
}
