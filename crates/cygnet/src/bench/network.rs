//! How long a network takes as a whole.

use std::sync::Arc;
use std::time::Duration;

use cygnet_runtime::{Plan, PlanOptions, RunError, Session, cpu};
use serde::Serialize;

use super::inputs::images;
use super::peaks::{Peaks, counts_bytes};
use super::times::{is_disturbed, quantile, sample};

/// How a network is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BenchOptions {
    /// How it was planned.
    pub plan: PlanOptions,
    /// Threads; none: as many as pay.
    pub threads: Option<usize>,
    /// Images a run.
    pub batch: usize,
    /// Length of the measurement. A quarter of it comes before, to warm up.
    pub duration: Duration,
}

/// What one network took.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Timing {
    /// The network.
    pub model: String,
    /// Version of Cygnet.
    pub version: &'static str,
    /// What it computes with: `fp32`, `bf16`, or `int8` where layers do.
    pub precision: &'static str,
    /// Threads that worked on it.
    pub threads: usize,
    /// Images a run.
    pub batch: usize,
    /// The instruction set.
    pub isa: &'static str,
    /// Whether no kernel was used that trades rounding for speed.
    pub strict: bool,
    /// Runs that were timed.
    pub runs: usize,
    /// Median time of a run.
    pub median_ms: f64,
    /// What the latency table of this machine says of a run, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub predicted_ms: Option<f64>,
    /// Shortest time of a run.
    pub min_ms: f64,
    /// 95 % of runs took no longer.
    pub p95_ms: f64,
    /// Whether the machine had other work meanwhile, by [`is_disturbed`].
    pub disturbed: bool,
    /// Images a second at the median.
    pub images_per_s: f64,
    /// Billions of multiply-accumulates a second at the median.
    pub gmacs_per_s: f64,
    /// Share of the threads' own peak of multiply-adds at the median.
    pub percent_of_peak: f64,
    /// The peak of one thread in what its layers multiply, f32 or bytes, two operations a multiply-add: the best burst just
    /// before and after; of networks of both, the rate of all layers at the peak of each.
    pub peak_gflops: f64,
    /// Memory for the values of one image.
    pub arena_bytes: usize,
    /// Memory for packed weights.
    pub weight_bytes: usize,
}

/// What a plan computes with: `int8` where layers do, `bf16` if it was made for that, else `fp32`.
#[must_use]
pub fn precision(plan: &Plan) -> &'static str {
    match plan.steps().iter().any(counts_bytes) {
        true => "int8",
        false if plan.options().bf16 => "bf16",
        false => "fp32",
    }
}

/// A session on so many threads, or on as many as pay.
///
/// # Errors
/// If the system refuses to start threads.
pub fn session(plan: Arc<Plan>, threads: Option<usize>) -> Result<Session, RunError> {
    match threads {
        Some(threads) => Session::with_threads(plan, threads),
        None => Session::automatic(plan),
    }
}

/// Times a network by its plan.
///
/// # Errors
/// If the system refuses to start threads, or a batch takes too much memory.
pub fn bench(model: &str, plan: &Arc<Plan>, options: BenchOptions) -> Result<Timing, RunError> {
    cpu::now().ok_or(RunError::NoClock)?;
    let BenchOptions { plan: plan_options, batch, duration, .. } = options;
    let graph = plan.graph();
    let mut session = session(Arc::clone(plan), options.threads)?;
    let threads = match options.threads {
        None if batch > 1 => cpu::available_threads(),
        _ => session.threads(),
    };
    let images = images(plan, batch)?;
    let mut logits = vec![0.0; session.outputs() * batch];
    let mut peaks = Peaks::of(plan);
    let times = sample(duration, || {
        if batch == 1 { session.run(&images, &mut logits) } else { session.run_batch(&images, &mut logits) }
    })?;
    peaks.look_again();
    let peak_gflops = peaks.of_all(plan.steps());
    let [min_ms, median_ms, p95_ms] = [0.0, 0.5, 0.95].map(|share| quantile(&times, share));
    let gmacs_per_s = graph.cost().macs as f64 * batch as f64 / median_ms / 1e6;
    Ok(Timing {
        model: model.into(),
        version: env!("CARGO_PKG_VERSION"),
        precision: precision(plan),
        threads,
        batch,
        isa: plan_options.level.name(),
        strict: plan_options.strict,
        runs: times.len(),
        median_ms,
        predicted_ms: None,
        min_ms,
        p95_ms,
        disturbed: is_disturbed(min_ms, p95_ms),
        images_per_s: batch as f64 * 1e3 / median_ms,
        gmacs_per_s,
        percent_of_peak: 200.0 * gmacs_per_s / (peak_gflops * threads as f64),
        peak_gflops,
        arena_bytes: plan.program().arena_bytes(),
        weight_bytes: plan.program().weight_bytes(),
    })
}
