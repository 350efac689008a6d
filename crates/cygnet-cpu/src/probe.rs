//! The peak of one core's arithmetic, of f32 and of bytes, measured.
//!
//! All results are in billions of operations a second, a multiply-add being two: the best of several bursts of about 2 ms, run
//! for about `seconds` on the calling thread (one burst at least, and a few milliseconds to find its length).

use std::hint::black_box;
use std::time::Instant;

use crate::isa::{ByteKernel, ByteLevel, Bytes, Isa, Kernel, Level};
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

/// The peak of an instruction set's products of bytes with their sums in i32; that of [`ByteLevel::Scalar`] if the processor
/// lacks the set.
pub fn peak_gops_of_bytes(level: ByteLevel, seconds: f64) -> f64 {
    let level = if level.is_supported() { level } else { ByteLevel::Scalar };
    let operations = std::cell::Cell::new(0);
    // SAFETY: the processor has the set.
    let burst = |rounds| unsafe { level.run(ByteBurst { rounds, operations: &operations }) };
    burst(0);
    peak(operations.get(), seconds, burst)
}

/// Seconds of one burst: longer than the clock is coarse, shorter than a time slice.
const BURST: f64 = 0.002;

/// The best rate of `burst(rounds)`, whose rounds are `operations` each.
fn peak(operations: u64, seconds: f64, burst: impl Fn(u64)) -> f64 {
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
    (operations * rounds) as f64 / shortest / 1e9
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

/// Rounds of dot products of bytes on independent sums, as a tile of pixels and vectors of outputs has them.
struct ByteBurst<'a> {
    rounds: u64,
    /// Where it says how many operations a round has.
    operations: &'a std::cell::Cell<u64>,
}

impl ByteKernel for ByteBurst<'_> {
    #[inline(always)]
    unsafe fn run<I: Bytes>(self) {
        const PIXELS: usize = 3;
        self.operations.set((2 * PIXELS * 4 * I::LANES * 4 / I::PARTS) as u64);
        // SAFETY: the caller's promise; no memory but of numbers.
        unsafe {
            let words = black_box([0x0102_0301, 0x0201_0103, 0x0301_0202, 0x0103_0201]);
            let weights = [I::splat(words[0]), I::splat(words[1]), I::splat(words[2]), I::splat(words[3])];
            let mut pixels = weights;
            let mut sums = [[I::splat(0); 4]; 4];
            for _ in 0..self.rounds {
                // Products that were known before would be taken out of the loop.
                black_box(&mut pixels);
                unroll!(P < PIXELS, at most 4, {
                    unroll!(V < 4, at most 4, {
                        sums[P][V] = I::dot(sums[P][V], pixels[P], weights[V]);
                    });
                });
            }
            unroll!(P < PIXELS, at most 4, {
                unroll!(V < 4, at most 4, {
                    let mut sum = [0u8; 64];
                    I::store(sum.as_mut_ptr(), sums[P][V]);
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
    fn peaks_of_bytes_are_plausible_and_for_every_set() {
        for &level in ByteLevel::ALL {
            let peak = peak_gops_of_bytes(level, 0.02);
            println!("{}: {peak:.1} GOP/s", level.name());
            assert!(peak > 0.01 && peak < 8000.0, "{peak}");
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
