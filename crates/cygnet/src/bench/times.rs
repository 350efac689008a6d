//! Times of runs, and whether the machine had other work.

use std::time::{Duration, Instant};

/// How much longer than its shortest a run may take, at most 19 times of 20, on a machine that has nothing else to do.
const QUIET: f64 = 1.3;

/// Whether runs whose shortest took `min_ms`, and of which 95 % took no longer than `p95_ms`, were disturbed: the machine
/// had other work, and what was measured tells more of that.
#[must_use]
pub fn is_disturbed(min_ms: f64, p95_ms: f64) -> bool {
    p95_ms > QUIET * min_ms
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
}
