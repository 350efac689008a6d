//! How long networks take, as a whole and step by step, and what the machine could do at best. All that takes a time needs
//! a [clock](cpu::now).

mod fastest;
mod peaks;
mod subject;

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cygnet_graph::Graph;
use cygnet_runtime::{Element, Plan, PlanOptions, PlanStep, RunError, Session, StepValue, cpu, team};
use cygnet_weights::Weights;
use serde::Serialize;

pub use cygnet_latency::{Case, Table, Times};
pub use fastest::{Choice, fastest};
pub use subject::Subject;

use crate::verify::{synthetic, synthetic_param};
use peaks::{Peaks, counts_bytes};

/// Seconds that a probe of the machine takes, once before and once after a measurement.
const PROBE: f64 = 0.02;

/// Runs whose steps are kept apart; later ones do not count.
const MOST_RUNS: usize = 2000;

/// How much longer than its shortest a run may take, at most 19 times of 20, on a machine that has nothing else to do.
const QUIET: f64 = 1.3;

/// Whether runs whose shortest took `min_ms`, and of which 95 % took no longer than `p95_ms`, were disturbed: the machine
/// had other work, and what was measured tells more of that.
#[must_use]
pub fn is_disturbed(min_ms: f64, p95_ms: f64) -> bool {
    p95_ms > QUIET * min_ms
}

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
    /// The path, or else the operator, of the node it is there for; empty for a copy.
    pub node: String,
    /// Shape of what it writes.
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
    /// speed of the second-level cache.
    pub bound: &'static str,
    /// That time as a share of its time.
    pub percent_of_bound: f64,
    /// The peak of one thread's multiply-adds of what it multiplies, f32 or bytes, two operations each: the best burst just
    /// before and after.
    pub peak_gflops: f64,
    /// Bytes that one thread's copy within the second-level cache reads and writes, likewise.
    pub l2_gbytes_per_s: f64,
}

/// Weights made by a formula from their names, for a graph whose answers do not matter.
#[must_use]
pub fn random_weights(graph: &Graph) -> Weights {
    graph.params().iter().map(|param| synthetic_param(&param.name, param, 1.4)).collect()
}

/// An image made by a formula.
#[must_use]
pub fn random_image(graph: &Graph) -> Vec<f32> {
    synthetic("input", graph.input_shape().iter().product(), |v| v)
}

/// Calls `run` for a quarter of `duration`, then for `duration`, once at least, and returns what each call of the
/// second part took, the shortest first.
///
/// # Errors
/// The first of `run`.
pub fn sample<E>(duration: Duration, mut run: impl FnMut() -> Result<(), E>) -> Result<Vec<f64>, E> {
    let mut times = Vec::new();
    for part in [duration / 4, duration] {
        times.clear();
        let start = Instant::now();
        while times.is_empty() || start.elapsed() < part {
            let start = Instant::now();
            run()?;
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
    }
    times.sort_by(f64::total_cmp);
    Ok(times)
}

/// The smallest of `sorted` that `share` of them do not exceed; 0 if there are none.
#[must_use]
pub fn quantile(sorted: &[f64], share: f64) -> f64 {
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.clamp(1, sorted.len().max(1)) - 1).copied().unwrap_or(0.0)
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

/// What a value is stored as, if that is not f32.
#[must_use]
pub fn named_type(value: &StepValue) -> Option<&'static str> {
    (value.element != Element::F32).then(|| value.element.name())
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

/// Images of a run.
///
/// # Errors
/// If they and their outputs take too much memory.
fn images(plan: &Plan, batch: usize) -> Result<Vec<f32>, RunError> {
    let graph = plan.graph();
    let image: usize = graph.input_shape().iter().product();
    let outputs: usize = graph.node(graph.output()).shape.iter().product();
    let bytes = ((image + outputs) as u64).saturating_mul(4 * batch as u64);
    let limit = cpu::memory_bytes().map_or(u64::MAX, |bytes| bytes / 2);
    if bytes > limit {
        return Err(RunError::Batch { graph: graph.name().into(), batch, bytes, limit });
    }
    Ok(random_image(graph).repeat(batch))
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
        let (gflops, gbytes_per_s) = (2e-6 * step.macs as f64 / ms, 1e-6 * bytes as f64 / ms);
        let shares = [gflops / peak, gbytes_per_s / bandwidth].map(|share| 100.0 * share / threads as f64);
        let bound = if shares[0] >= shares[1] { "compute" } else { "memory" };
        StepTiming {
            model: model.into(),
            threads,
            step: i,
            kernel: step.key.kernel.to_string(),
            disturbed,
            node: step.name(graph).into(),
            output: step.shape.clone(),
            input_type: step.key.inputs.first().and_then(named_type),
            output_type: named_type(&step.key.output),
            ms,
            percent: 100.0 * ms / all,
            macs: step.macs,
            bytes,
            gflops,
            percent_of_peak: shares[0],
            gbytes_per_s,
            bound,
            percent_of_bound: shares[0].max(shares[1]),
            peak_gflops: peak,
            l2_gbytes_per_s: bandwidth,
        }
    };
    Ok(steps.iter().zip(&medians).enumerate().map(timing).collect())
}

/// Bytes read and written in a nanosecond by a copy that stays in the second-level cache: the best burst of those that
/// fit into about `seconds`, one at least.
#[must_use]
pub fn l2_gbytes_per_s(seconds: f64) -> f64 {
    let length = cpu::cache_bytes().l2 / 4;
    let (from, mut to) = (vec![1u8; length], vec![0u8; length]);
    let (start, mut best) = (Instant::now(), 0.0f64);
    while best == 0.0 || start.elapsed().as_secs_f64() < seconds {
        const COPIES: usize = 16;
        let start = Instant::now();
        for _ in 0..COPIES {
            to.copy_from_slice(black_box(&from));
            black_box(&mut to);
        }
        let elapsed = start.elapsed().as_secs_f64().max(1e-9);
        best = best.max((2 * length * COPIES) as f64 / elapsed / 1e9);
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_ranks() {
        let times: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!([0.0, 0.5, 0.95, 1.0].map(|share| quantile(&times, share)), [1.0, 50.0, 95.0, 100.0]);
        assert_eq!([0.5, 0.95].map(|share| quantile(&[1.0, 2.0, 3.0], share)), [2.0, 3.0]);
        assert_eq!([0.5, 0.95].map(|share| quantile(&[7.0], share)), [7.0, 7.0]);
        assert_eq!(quantile(&[], 0.5), 0.0);
    }

    #[test]
    fn runs_that_now_and_then_take_much_longer_were_disturbed() {
        assert!(!is_disturbed(1.0, 1.2) && is_disturbed(1.0, 1.5));
        assert!(!is_disturbed(0.0, 0.0) && !is_disturbed(7.0, 7.0));
    }

    #[test]
    fn a_sample_has_a_time_and_is_sorted_and_ends_at_an_error() {
        let mut calls = 0;
        let times = sample(Duration::from_millis(20), || {
            calls += 1;
            std::thread::sleep(Duration::from_millis(calls % 3));
            Ok::<(), ()>(())
        });
        let times = times.expect("no run fails");
        assert!(times.is_sorted() && times.len() < calls as usize, "{times:?} of {calls}");
        assert_eq!(sample(Duration::ZERO, || Ok::<(), ()>(())).map(|times| times.len()), Ok(1));
        assert_eq!(sample(Duration::from_secs(9), || Err("no")), Err("no"));
    }

    #[test]
    fn a_cache_has_a_speed() {
        let speed = l2_gbytes_per_s(0.0);
        assert!(speed > 0.01 && speed < 100_000.0, "{speed}");
    }
}
