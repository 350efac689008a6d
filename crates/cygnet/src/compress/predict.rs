//! How long a smaller network will take, by what the steps of the whole one took.

use std::collections::HashMap;
use std::time::Duration;

use cygnet_graph::Graph;
use cygnet_runtime::{Level, Plan, PlanOptions, PlanStep, RunError};

use crate::bench::{BenchOptions, bench_steps};

/// Time for the steps of the whole network.
const TIMED: Duration = Duration::from_millis(500);

/// What kernels take on this machine: milliseconds for each unit of work, of every kernel of a network and of all together.
pub(super) struct Rates {
    plan: PlanOptions,
    kernels: HashMap<String, f64>,
    all: f64,
}

/// What a step's time is taken to grow with: its multiply-accumulates, and the bytes that it moves.
fn work(step: &PlanStep) -> f64 {
    /// Multiply-accumulates in the time in which a byte is moved.
    const BYTE: f64 = 2.0;
    step.macs as f64 + BYTE * (step.bytes_read + step.bytes_written + step.weight_bytes) as f64
}

impl Rates {
    /// By the steps of a plan.
    pub(super) fn of(plan: &Plan) -> Result<Rates, RunError> {
        let options = BenchOptions { plan: plan.options(), threads: Some(1), batch: 1, duration: TIMED };
        let timings = bench_steps("", plan, options)?;
        let mut sums: HashMap<String, [f64; 2]> = HashMap::new();
        let mut whole = [0.0; 2];
        for (step, timing) in plan.steps().iter().zip(timings) {
            let of_kernel = sums.entry(timing.kernel).or_default();
            for sum in [of_kernel, &mut whole] {
                sum[0] += timing.ms;
                sum[1] += work(step);
            }
        }
        let rate = |[ms, work]: [f64; 2]| ms / work.max(1.0);
        let kernels = sums.into_iter().map(|(kernel, sums)| (kernel, rate(sums))).collect();
        Ok(Rates { plan: plan.options(), kernels, all: rate(whole) })
    }

    /// The milliseconds that a network will take; infinite if it cannot be planned.
    pub(super) fn ms(&self, graph: &Graph) -> f64 {
        let Ok(outline) = Plan::outline_of(graph, self.plan) else { return f64::MAX };
        let of_step = |step: &PlanStep| {
            let rate = self.kernels.get(&step.key.kernel.to_string()).unwrap_or(&self.all);
            rate * work(step)
        };
        outline.steps().iter().map(of_step).sum()
    }
}

/// The level that plans are made for.
pub(super) fn level() -> Result<Level, RunError> {
    Level::chosen().map_err(RunError::Plan)
}
