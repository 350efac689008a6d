//! What a step does in its time, of what the machine could do at best.

use std::hint::black_box;
use std::time::Instant;

use cygnet_runtime::cpu;

/// Seconds that a probe of the machine takes, once before and once after a measurement.
pub(super) const PROBE: f64 = 0.02;

/// What a step does in its time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rates {
    /// Billions of operations a second, two a multiply-add.
    pub(super) gflops: f64,
    /// Billions of bytes a second.
    pub(super) gbytes_per_s: f64,
    /// The share of the peak of multiply-adds.
    pub(super) percent_of_peak: f64,
    /// Which takes longer at best: `compute` or `memory`.
    pub(super) bound: &'static str,
    /// That time as a share of the step's.
    pub(super) percent_of_bound: f64,
}

impl Rates {
    /// Those of a step of so many multiply-accumulates and bytes, of which the machine does at best so many billions of
    /// operations and bytes a second.
    pub(super) fn of(macs: u64, bytes: u64, ms: f64, best: [f64; 2]) -> Rates {
        let (gflops, gbytes_per_s) = (2e-6 * macs as f64 / ms, 1e-6 * bytes as f64 / ms);
        let [of_peak, of_memory] = [100.0 * gflops / best[0], 100.0 * gbytes_per_s / best[1]];
        Rates {
            gflops,
            gbytes_per_s,
            percent_of_peak: of_peak,
            bound: if of_peak >= of_memory { "compute" } else { "memory" },
            percent_of_bound: of_peak.max(of_memory),
        }
    }
}

/// Bytes read and written in a nanosecond by a copy that stays in the second-level cache: the best burst of those that
/// fit into about `seconds`, one at least.
#[must_use]
pub fn l2_gbytes_per_s(seconds: f64) -> f64 {
    copied(cpu::cache_bytes().l2 / 4, 16, seconds)
}

/// Likewise by a copy that no cache holds.
#[cfg(feature = "train")]
pub(super) fn memory_gbytes_per_s(seconds: f64) -> f64 {
    copied(64 << 20, 1, seconds)
}

/// Bytes read and written in a nanosecond by the best burst of copies of so many bytes.
fn copied(length: usize, copies: usize, seconds: f64) -> f64 {
    let (from, mut to) = (vec![1u8; length], vec![0u8; length]);
    let (start, mut best) = (Instant::now(), 0.0f64);
    while best == 0.0 || start.elapsed().as_secs_f64() < seconds {
        let start = Instant::now();
        for _ in 0..copies {
            to.copy_from_slice(black_box(&from));
            black_box(&mut to);
        }
        let elapsed = start.elapsed().as_secs_f64().max(1e-9);
        best = best.max((2 * length * copies) as f64 / elapsed / 1e9);
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_held_against_what_takes_longer_at_best() {
        let rates = Rates::of(1_000_000, 8_000_000, 1.0, [4.0, 100.0]);
        assert_eq!((rates.gflops, rates.gbytes_per_s), (2.0, 8.0));
        assert_eq!((rates.percent_of_peak, rates.bound, rates.percent_of_bound), (50.0, "compute", 50.0));
        let moves = Rates::of(0, 80_000_000, 1.0, [4.0, 100.0]);
        assert_eq!((moves.percent_of_peak, moves.bound, moves.percent_of_bound), (0.0, "memory", 80.0));
    }

    #[test]
    fn a_cache_has_a_speed() {
        let speed = l2_gbytes_per_s(0.0);
        assert!(speed > 0.01 && speed < 100_000.0, "{speed}");
    }
}
