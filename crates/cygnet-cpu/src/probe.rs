//! The peak of one core's f32 arithmetic, measured.
//!
//! All results are in GFLOP/s, a multiply-add being two operations: the best of several bursts of about 2 ms, run
//! for about `seconds` on the calling thread (one burst at least, and a few milliseconds to find its length).

use std::hint::black_box;
use std::time::Instant;

use crate::isa::{Isa, Kernel, Level};
use crate::unroll;

/// The peak of an instruction set's multiply-adds; that of [`Level::Scalar`] if the processor lacks the set.
pub fn peak_gflops(level: Level, seconds: f64) -> f64 {
    let level = if level.is_supported() { level } else { Level::Scalar };
    let flops = std::cell::Cell::new(0);
    // SAFETY: the processor has the set.
    let burst = |rounds| unsafe { level.run(Burst { rounds, flops: &flops }) };
    burst(0);
    peak(flops.get(), seconds, burst)
}

/// Seconds of one burst: longer than the clock is coarse, shorter than a time slice.
const BURST: f64 = 0.002;

/// The best GFLOP/s of `burst(rounds)`, whose rounds are `flops` operations each.
fn peak(flops: u64, seconds: f64, burst: impl Fn(u64)) -> f64 {
    let time = |rounds| {
        let start = Instant::now();
        burst(rounds);
        start.elapsed().as_secs_f64()
    };
    let mut rounds = 1 << 10;
    while time(rounds) < BURST / 2.0 {
        rounds *= 2;
    }
    let (start, mut shortest) = (Instant::now(), time(rounds));
    while start.elapsed().as_secs_f64() < seconds {
        shortest = shortest.min(time(rounds));
    }
    (flops * rounds) as f64 / shortest / 1e9
}

/// Rounds of multiply-adds on independent sums: above latency times throughput, and few enough for the registers.
struct Burst<'a> {
    rounds: u64,
    /// Where it says how many operations a round has.
    flops: &'a std::cell::Cell<u64>,
}

/// Sums for each of four vectors: those of the largest tile of as many, or enough to hide the latency.
const fn rows<I: Isa>() -> usize {
    let rows = I::TILE[3];
    if rows < 3 { 3 } else { rows }
}

impl Kernel for Burst<'_> {
    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        self.flops.set((2 * 4 * I::LANES * rows::<I>()) as u64);
        // SAFETY: the caller's promise; no memory but of numbers.
        unsafe {
            let (factor, term) = (I::splat(black_box(0.5)), I::splat(black_box(1.0)));
            let mut sums = [[term; 4]; 7];
            for _ in 0..self.rounds {
                unroll!(R < rows::<I>(), at most 7, {
                    unroll!(V < 4, at most 4, {
                        sums[R][V] = I::fma(sums[R][V], factor, term);
                    });
                });
            }
            unroll!(R < rows::<I>(), at most 7, {
                unroll!(V < 4, at most 4, {
                    let mut sum = [0.0f32; 16];
                    I::store(sum.as_mut_ptr(), sums[R][V]);
                    black_box(sum);
                });
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peaks_are_plausible_and_for_every_set() {
        for &level in Level::ALL {
            let peak = peak_gflops(level, 0.02);
            println!("{}: {peak:.1} GFLOP/s", level.name());
            assert!(peak > 0.01 && peak < 2000.0, "{peak}");
        }
    }

    #[test]
    fn odd_durations_mean_one_burst() {
        for seconds in [0.0, -1.0, f64::NAN] {
            assert!(peak_gflops(Level::Scalar, seconds) > 0.0);
        }
    }

    #[test]
    fn rates_follow_the_work_and_the_best_burst() {
        let calls = std::cell::Cell::new(0);
        let gflops = peak(1000, 0.0, |rounds| {
            calls.set(calls.get() + 1);
            std::thread::sleep(std::time::Duration::from_micros(rounds));
        });
        assert!(calls.get() >= 2);
        assert!(gflops > 0.0 && gflops <= 1.0, "{gflops}");
    }
}
