//! Runs of several plans in turns, and how well their times are known.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use cygnet_runtime::{Level, Plan, RunError, Session, cpu, peak_gflops};

/// How plans are run.
#[derive(Clone, Copy, Debug)]
pub struct Run<'i> {
    /// Threads; none: as many as pay.
    pub threads: Option<usize>,
    /// Images of a run, one after the other.
    pub images: &'i [f32],
    /// Time for each plan.
    pub duration: Duration,
}

/// What times are taken with.
pub trait Machine {
    /// Time since some moment.
    fn now(&mut self) -> Duration;

    /// How fast it computes just now, in any unit.
    fn speed(&mut self) -> f64;
}

/// What runs take, and how well that is known.
#[derive(Clone, Debug, PartialEq)]
pub struct Times {
    /// For each that was run, what a run takes in milliseconds when nothing else disturbs it: a quarter of its runs took no
    /// longer.
    pub ms: Vec<f64>,
    /// How far apart what should be equal was, as a share: median times of the first and the second half of the runs, times that
    /// a quarter and a half of all do not exceed, and the machine's speed before and after.
    pub noise: f64,
}

/// Noise beyond which the machine had other things to do.
const DISTURBED: f64 = 0.1;

/// Share of the first one's time that another must do without to be taken in its place, if times were exact.
const GAIN: f64 = 0.03;

/// Fewest runs of a plan that are timed.
const FEWEST: usize = 8;

/// Most times that plans are measured until nothing disturbs it.
const ATTEMPTS: usize = 3;

/// Seconds that the machine's speed is looked at.
const PROBE: f64 = 0.01;

impl Times {
    /// Whether the machine had so much else to do that another measurement might tell something else.
    #[must_use]
    pub fn is_disturbed(&self) -> bool {
        self.noise > DISTURBED
    }

    /// Which to take: the first, unless another is faster by more than noise explains.
    ///
    /// ```
    /// # use cygnet_latency::Times;
    /// assert_eq!(Times { ms: vec![5.0, 2.0, 3.0], noise: 0.0 }.fastest(), 1);
    /// assert_eq!(Times { ms: vec![5.0, 4.95], noise: 0.0 }.fastest(), 0);
    /// assert_eq!(Times { ms: vec![5.0, 4.0], noise: 0.3 }.fastest(), 0);
    /// ```
    #[must_use]
    pub fn fastest(&self) -> usize {
        let Some(&first) = self.ms.first() else { return 0 };
        let most = first * (1.0 - self.noise.max(GAIN));
        let clearly = self.ms.iter().enumerate().filter(|(_, time)| **time < most);
        clearly.min_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(index, _)| index)
    }

    pub(crate) fn is_sound(&self) -> bool {
        let is_share = self.noise >= 0.0 && self.noise.is_finite();
        is_share && self.ms.iter().all(|time| time.is_finite() && *time > 0.0)
    }
}

/// Times plans. If the machine is disturbed that is done again, some times at most; what was disturbed least counts.
///
/// # Errors
/// If there is no clock, the images are no whole number of images, or the system refuses to start threads.
pub fn measure(plans: &[Arc<Plan>], run: Run<'_>) -> Result<Times, RunError> {
    cpu::now().ok_or(RunError::NoClock)?;
    let mut sessions = Vec::new();
    for plan in plans {
        let session = match run.threads {
            Some(threads) => Session::with_threads(Arc::clone(plan), threads)?,
            None => Session::automatic(Arc::clone(plan))?,
        };
        let image: usize = plan.graph().input_shape().iter().product();
        let outputs = vec![0.0; session.outputs() * (run.images.len() / image.max(1))];
        sessions.push((session, outputs));
    }
    let level = plans.first().map_or(Level::Scalar, |plan| plan.options().level);
    let threads = sessions.iter().map(|(session, _)| session.threads()).max().unwrap_or(1);
    let mut machine = This::new(level, threads);
    undisturbed(|| {
        in_turns(&mut machine, plans.len(), run.duration, &mut |index| {
            let (session, outputs) = &mut sessions[index];
            session.run_batch(run.images, outputs)
        })
    })
}

/// What a measurement tells at the first time that nothing disturbs it, or when it was disturbed least.
fn undisturbed<E>(mut measurement: impl FnMut() -> Result<Times, E>) -> Result<Times, E> {
    let mut best = measurement()?;
    for _ in 1..ATTEMPTS {
        if !best.is_disturbed() {
            break;
        }
        let times = measurement()?;
        if times.noise < best.noise {
            best = times;
        }
    }
    Ok(best)
}

/// Times `count` things that `run` runs by their number, run by run in turns, `duration` for each.
///
/// # Errors
/// The first of `run`.
pub fn in_turns<E>(
    machine: &mut dyn Machine,
    count: usize,
    duration: Duration,
    run: &mut dyn FnMut(usize) -> Result<(), E>,
) -> Result<Times, E> {
    let mut all: Vec<Vec<f64>> = vec![Vec::new(); count];
    let whole = duration * u32::try_from(count).unwrap_or(u32::MAX);
    let before = machine.speed();
    let start = machine.now();
    let mut rounds = 0;
    // The first run of each finds memory and threads that nobody used yet.
    while rounds <= FEWEST || machine.now() - start < whole {
        for (index, times) in all.iter_mut().enumerate() {
            let start = machine.now();
            run(index)?;
            if rounds > 0 {
                times.push((machine.now() - start).as_secs_f64() * 1e3);
            }
        }
        rounds += 1;
    }
    let mut noise = apart(before, machine.speed());
    let mut ms = Vec::with_capacity(count);
    for mut times in all {
        let half = times.len() / 2;
        let (first, second) = times.split_at_mut(half);
        noise = noise.max(apart(rank(first, 2), rank(second, 2)));
        let quarter = rank(&mut times, 4);
        noise = noise.max(apart(quarter, rank(&mut times, 2)));
        ms.push(quarter);
    }
    Ok(Times { ms, noise })
}

/// What one in `part` of some times does not exceed.
pub(crate) fn rank(times: &mut [f64], part: usize) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / part]
}

/// How far apart two numbers above 0 are, as a share of the smaller.
fn apart(left: f64, right: f64) -> f64 {
    (left.max(right) / left.min(right).max(f64::MIN_POSITIVE) - 1.0).min(f64::MAX)
}

/// The machine that this runs on.
pub(crate) struct This {
    start: Instant,
    level: Level,
    threads: usize,
}

impl This {
    /// With `threads` threads at work that compute by an instruction set.
    pub(crate) fn new(level: Level, threads: usize) -> This {
        This { start: Instant::now(), level, threads }
    }
}

impl Machine for This {
    fn now(&mut self) -> Duration {
        self.start.elapsed()
    }

    /// The peak of the slowest of as many threads as work.
    fn speed(&mut self) -> f64 {
        let level = self.level;
        let peak = move || peak_gflops(level, PROBE);
        thread::scope(|scope| {
            let started = (1..self.threads).map(|_| thread::Builder::new().spawn_scoped(scope, peak));
            let started: Vec<_> = started.filter_map(Result::ok).collect();
            let own = peak();
            started.into_iter().filter_map(|thread| thread.join().ok()).fold(own, f64::min)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disturbed_measurement_is_done_again_and_the_best_counts() {
        let done = |noises: &[f64]| {
            let mut rest = noises.iter();
            let times = undisturbed(|| rest.next().map(|&noise| Times { ms: vec![1.0], noise }).ok_or(()));
            (times.map(|times| times.noise), noises.len() - rest.len())
        };
        assert_eq!(done(&[0.02, 0.01]), (Ok(0.02), 1));
        assert_eq!(done(&[0.5, 0.01]), (Ok(0.01), 2));
        assert_eq!(done(&[0.5, 0.3, 0.4, 0.0]), (Ok(0.3), 3));
        assert_eq!(done(&[]), (Err(()), 0));
    }
}
