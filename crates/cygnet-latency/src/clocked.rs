//! Networks run on this machine with a clock at every step.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use cygnet_runtime::{Plan, RunError, Session, cpu, team};

use crate::measure::This;
use crate::rounds::{Protocol, in_rounds};

/// What a network took on this machine, in milliseconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Clocked {
    /// A run without clocks.
    pub ms: f64,
    /// The image's way in and each step of the plan, in order, within a run.
    pub steps: Vec<f64>,
    /// How far apart rounds were, as a share.
    pub spread: f64,
    /// Whether the machine had so much else to do that unsteady rounds count too.
    pub is_disturbed: bool,
    /// The machine's peak while it ran, in GFLOP/s a thread.
    pub peak_gflops: f64,
}

/// Runs whose fastest tells what a clock takes.
const BURSTS: usize = 100;

/// Runs networks of one instruction set in turns, each with the image that its plan wants; after the first round `go_on` may end
/// that early.
///
/// # Errors
/// If there is no clock, or the system refuses to start threads.
pub fn clocked(
    plans: &[(Arc<Plan>, Vec<f32>)],
    threads: usize,
    protocol: Protocol,
    go_on: &mut dyn FnMut() -> bool,
) -> Result<Vec<Clocked>, RunError> {
    cpu::now().ok_or(RunError::NoClock)?;
    let Some((first, _)) = plans.first() else { return Ok(Vec::new()) };
    let mut team = team(threads)?;
    let mut machine = This::new(first.options().level, threads);
    let clock = clock();
    let mut sessions = Vec::with_capacity(plans.len());
    for (plan, _) in plans {
        let session = Session::with_threads(Arc::clone(plan), threads)?;
        let output = vec![0.0; session.outputs()];
        sessions.push((session, output, plan.program().arena()));
    }
    let mut calls = Vec::new();
    // Of each network, whole runs are one thing and runs with clocks another: what they find in caches is their own.
    let mut run = |thing: usize| {
        let (plan, image) = &plans[thing / 2];
        let (session, output, arena) = &mut sessions[thing / 2];
        let start = Instant::now();
        if thing.is_multiple_of(2) {
            session.run(image, output)?;
            return Ok(vec![ms(start.elapsed())]);
        }
        calls.clear();
        calls.resize(plan.program().calls().len(), Duration::ZERO);
        plan.program().run_timed_on(&mut team, arena, image, &mut calls);
        let whole = start.elapsed();
        let before = positive(ms(whole.saturating_sub(calls.iter().sum())));
        let step = |calls: &[Duration]| ms(calls.iter().sum()) - ms(clock) * calls.len() as f64;
        let steps = plan.steps().iter().map(|planned| positive(step(&calls[planned.calls.clone()])));
        Ok::<_, RunError>(std::iter::once(before).chain(steps).collect())
    };
    let rounds = in_rounds(&mut machine, 2 * plans.len(), protocol, go_on, &mut run)?;
    let networks = rounds.times.chunks_exact(2).zip(rounds.spreads.chunks_exact(2));
    let network = |(times, spreads): (&[Vec<f64>], &[f64])| Clocked {
        ms: times[0].iter().sum(),
        steps: times[1].clone(),
        spread: spreads[0].max(spreads[1]),
        is_disturbed: rounds.is_disturbed,
        peak_gflops: rounds.speed,
    };
    Ok(networks.map(network).collect())
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// A time of which the clock's own was taken away.
fn positive(ms: f64) -> f64 {
    /// A tenth of a nanosecond.
    const LEAST: f64 = 1e-7;
    ms.max(LEAST)
}

/// What it takes to note a time.
fn clock() -> Duration {
    const NOTES: u32 = 100;
    let noted = Mutex::new((Instant::now(), Duration::ZERO));
    let burst = || {
        let start = Instant::now();
        for _ in 0..NOTES {
            let mut noted = noted.lock().unwrap_or_else(PoisonError::into_inner);
            let end = Instant::now();
            let took = end - noted.0;
            noted.1 += took;
            noted.0 = end;
        }
        start.elapsed() / NOTES
    };
    (0..BURSTS).map(|_| burst()).min().unwrap_or_default()
}
