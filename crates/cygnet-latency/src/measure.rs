//! Runs of several plans in turns.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cygnet_runtime::{Plan, RunError, Session, cpu};

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

/// Fewest runs of a plan that are timed.
const FEWEST: usize = 5;

/// What a run of each plan takes in milliseconds when nothing else disturbs it: a quarter of its runs took no longer.
///
/// # Errors
/// If there is no clock, the images are no whole number of images, or the system refuses to start threads.
pub fn measure(plans: &[Arc<Plan>], run: Run<'_>) -> Result<Vec<f64>, RunError> {
    cpu::now().ok_or(RunError::NoClock)?;
    let mut sessions = Vec::new();
    for plan in plans {
        let session = match run.threads {
            Some(threads) => Session::with_threads(Arc::clone(plan), threads)?,
            None => Session::automatic(Arc::clone(plan))?,
        };
        let image: usize = plan.graph().input_shape().iter().product();
        let outputs = vec![0.0; session.outputs() * (run.images.len() / image.max(1))];
        sessions.push((session, outputs, Vec::new()));
    }
    let whole = run.duration * u32::try_from(plans.len()).unwrap_or(u32::MAX);
    let start = Instant::now();
    let mut rounds = 0;
    // The first run of each finds memory and threads that nobody used yet.
    while rounds <= FEWEST || start.elapsed() < whole {
        for (session, outputs, times) in &mut sessions {
            let start = Instant::now();
            session.run_batch(run.images, outputs)?;
            if rounds > 0 {
                times.push(start.elapsed().as_secs_f64() * 1e3);
            }
        }
        rounds += 1;
    }
    let quartile = |(_, _, mut times): (Session, Vec<f32>, Vec<f64>)| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 4]
    };
    Ok(sessions.into_iter().map(quartile).collect())
}
