//! The peak of one core's f32 arithmetic, measured.
//!
//! All results are in GFLOP/s, a multiply-add being two operations: the best of several bursts of about 2 ms, run
//! for about `seconds` on the calling thread (one burst at least, and a few milliseconds to find its length).

use std::hint::black_box;
use std::time::Instant;

use crate::isa::Level;

/// The peak of an instruction set; that of [`scalar_gflops`] if the processor lacks the set.
pub fn peak_gflops(level: Level, seconds: f64) -> f64 {
    match level {
        Level::Scalar => None,
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => avx2_gflops(seconds),
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => avx512_gflops(seconds),
    }
    .unwrap_or_else(|| scalar_gflops(seconds))
}

/// The peak of 512-bit fused multiply-adds; none if the processor has no AVX-512F.
#[cfg(target_arch = "x86_64")]
pub fn avx512_gflops(seconds: f64) -> Option<f64> {
    // SAFETY: the processor has what the function needs.
    let burst = |rounds| unsafe { x86::avx512_burst(rounds) };
    is_x86_feature_detected!("avx512f").then(|| peak(x86::AVX512_FLOPS, seconds, burst))
}

/// The peak of 256-bit fused multiply-adds; none if the processor lacks AVX2 or FMA.
#[cfg(target_arch = "x86_64")]
pub fn avx2_gflops(seconds: f64) -> Option<f64> {
    // SAFETY: the processor has what the function needs.
    let burst = |rounds| unsafe { x86::avx2_burst(rounds) };
    let detected = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    detected.then(|| peak(x86::AVX2_FLOPS, seconds, burst))
}

/// The peak of 512-bit fused multiply-adds: none, as the processor has no AVX-512F.
#[cfg(not(target_arch = "x86_64"))]
pub fn avx512_gflops(_seconds: f64) -> Option<f64> {
    None
}

/// The peak of 256-bit fused multiply-adds: none, as the processor has no AVX2.
#[cfg(not(target_arch = "x86_64"))]
pub fn avx2_gflops(_seconds: f64) -> Option<f64> {
    None
}

/// The peak of multiplications followed by additions, with what the compiler may use on every processor of this
/// architecture (four lanes and no fused multiply-add on x86-64).
pub fn scalar_gflops(seconds: f64) -> f64 {
    peak(2 * SCALAR_LANES as u64, seconds, scalar_burst)
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

/// Enough for twelve vectors of four, which hide the latency and fit the registers of x86-64.
const SCALAR_LANES: usize = 48;

/// Twice [`SCALAR_LANES`] operations a round.
fn scalar_burst(rounds: u64) {
    let (factor, term) = (black_box(0.5_f32), black_box(1.0_f32));
    let mut sums: [f32; SCALAR_LANES] = std::array::from_fn(|lane| lane as f32);
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = *sum * factor + term;
        }
    }
    black_box(sums);
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{_mm256_fmadd_ps, _mm256_set1_ps, _mm512_fmadd_ps, _mm512_set1_ps};
    use std::hint::black_box;

    /// Independent sums: above latency times throughput, and few enough for the 16 or 32 registers.
    const AVX2_SUMS: usize = 12;
    const AVX512_SUMS: usize = 24;

    /// Operations of one round of the bursts.
    pub(super) const AVX2_FLOPS: u64 = 2 * 8 * AVX2_SUMS as u64;
    pub(super) const AVX512_FLOPS: u64 = 2 * 16 * AVX512_SUMS as u64;

    #[target_feature(enable = "avx2,fma")]
    pub(super) fn avx2_burst(rounds: u64) {
        let (factor, term) = (_mm256_set1_ps(black_box(0.5)), _mm256_set1_ps(black_box(1.0)));
        let mut sums = [term; AVX2_SUMS];
        for (lane, sum) in sums.iter_mut().enumerate() {
            *sum = _mm256_set1_ps(lane as f32);
        }
        for _ in 0..rounds {
            for sum in &mut sums {
                *sum = _mm256_fmadd_ps(*sum, factor, term);
            }
        }
        black_box(sums);
    }

    #[target_feature(enable = "avx512f")]
    pub(super) fn avx512_burst(rounds: u64) {
        let (factor, term) = (_mm512_set1_ps(black_box(0.5)), _mm512_set1_ps(black_box(1.0)));
        let mut sums = [term; AVX512_SUMS];
        for (lane, sum) in sums.iter_mut().enumerate() {
            *sum = _mm512_set1_ps(lane as f32);
        }
        for _ in 0..rounds {
            for sum in &mut sums {
                *sum = _mm512_fmadd_ps(*sum, factor, term);
            }
        }
        black_box(sums);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peaks_are_plausible_and_only_of_what_there_is() {
        let results = [Some(scalar_gflops(0.02)), avx2_gflops(0.02), avx512_gflops(0.02)];
        println!("scalar, avx2, avx512: {results:.1?} GFLOP/s");
        for peak in results.into_iter().flatten() {
            assert!(peak > 0.01 && peak < 2000.0, "{peak}");
        }
        #[cfg(target_arch = "x86_64")]
        {
            assert_eq!(
                results[1].is_some(),
                is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
            );
            assert_eq!(results[2].is_some(), is_x86_feature_detected!("avx512f"));
        }
    }

    #[test]
    fn odd_durations_mean_one_burst() {
        for seconds in [0.0, -1.0, f64::NAN] {
            assert!(scalar_gflops(seconds) > 0.0);
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
