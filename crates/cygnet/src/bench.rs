//! How long a network takes.

use std::time::{Duration, Instant};

use cygnet_graph::Graph;
use cygnet_runtime::{Level, Plan, RunError, Session, peak_gflops};
use serde::Serialize;

use crate::verify::{synthetic, synthetic_param};

/// What one network took.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Timing {
    /// The network.
    pub model: String,
    /// Threads that worked on it.
    pub threads: usize,
    /// Images a run.
    pub batch: usize,
    /// The instruction set.
    pub isa: &'static str,
    /// Median time of a run.
    pub median_ms: f64,
    /// Shortest time of a run.
    pub min_ms: f64,
    /// 95 % of runs took no longer.
    pub p95_ms: f64,
    /// Images a second at the median.
    pub images_per_s: f64,
    /// Billions of multiply-accumulates a second at the median.
    pub gmacs_per_s: f64,
    /// Share of the threads' own peak of multiply-adds at the median, measured just before.
    pub percent_of_peak: f64,
    /// Memory for values.
    pub arena_bytes: usize,
    /// Memory for packed weights.
    pub weight_bytes: usize,
}

/// Weights made by a formula from their names, for a graph whose answers do not matter.
#[must_use]
pub fn random_weights(graph: &Graph) -> Vec<Vec<f32>> {
    graph.params().iter().map(|param| synthetic_param(&param.name, param, 1.4)).collect()
}

/// Times runs of `batch` images, one after the other on the calling thread, for about `duration` after a quarter of it
/// to warm up.
///
/// # Errors
/// If the weights do not fit the graph.
pub fn bench(
    model: &str,
    graph: &Graph,
    weights: &[Vec<f32>],
    level: Level,
    batch: usize,
    duration: Duration,
) -> Result<Timing, RunError> {
    let plan = Plan::new(graph.clone(), weights, level)?;
    let (arena_bytes, weight_bytes) = (plan.program().arena_bytes(), plan.program().weight_bytes());
    let mut session = Session::new(plan.into());
    let image = synthetic("input", graph.input_shape().iter().product(), |v| v);
    let mut logits = vec![0.0; session.outputs()];
    let peak = peak_gflops(level, 0.02);
    let mut run = || -> Result<f64, RunError> {
        let start = Instant::now();
        (0..batch).try_for_each(|_| session.run(&image, &mut logits))?;
        Ok(start.elapsed().as_secs_f64() * 1e3)
    };
    let start = Instant::now();
    while start.elapsed() < duration / 4 {
        run()?;
    }
    let mut times = vec![run()?];
    let start = Instant::now();
    while start.elapsed() < duration {
        times.push(run()?);
    }
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times[((times.len() - 1) as f64 * share).round() as usize];
    let median_ms = at(0.5);
    let gmacs_per_s = graph.cost().macs as f64 * batch as f64 / median_ms / 1e6;
    Ok(Timing {
        model: model.into(),
        threads: 1,
        batch,
        isa: level.name(),
        median_ms,
        min_ms: times[0],
        p95_ms: at(0.95),
        images_per_s: batch as f64 * 1e3 / median_ms,
        gmacs_per_s,
        percent_of_peak: 200.0 * gmacs_per_s / peak,
        arena_bytes,
        weight_bytes,
    })
}
