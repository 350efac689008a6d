//! Values of options.

use std::num::NonZeroUsize;

/// Threads: a number, or `auto` for one a core.
pub(crate) fn threads(text: &str) -> Result<NonZeroUsize, &'static str> {
    if text == "auto" {
        return Ok(std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN));
    }
    text.parse().map_err(|_| "neither auto nor a number above 0")
}

/// Threads of a benchmark; none: as many as pay.
#[derive(Clone, Copy)]
pub(crate) struct BenchThreads(pub(crate) Option<NonZeroUsize>);

pub(super) fn bench_threads(text: &str) -> Result<BenchThreads, &'static str> {
    if text == "auto" {
        Ok(BenchThreads(None))
    } else {
        threads(text).map(|threads| BenchThreads(Some(threads)))
    }
}

pub(super) fn seconds(text: &str) -> Result<f64, &'static str> {
    let seconds = text.parse().ok().filter(|seconds| (0.0..=3600.0).contains(seconds));
    seconds.ok_or("give seconds from 0 to 3600")
}

/// A number above 0, perhaps with k, M, G or T behind it.
pub(super) fn quantity(text: &str) -> Result<u64, &'static str> {
    const WRONG: &str = "give a number above 0 such as 200000000, 200M or 1.5G";
    let units = [('k', 1e3), ('M', 1e6), ('G', 1e9), ('T', 1e12)];
    let unit = units.into_iter().find_map(|(unit, size)| Some((text.strip_suffix(unit)?, size)));
    let (digits, size) = unit.unwrap_or((text, 1.0));
    if let Ok(whole) = digits.parse::<u64>() {
        return whole.checked_mul(size as u64).filter(|&n| n > 0).ok_or(WRONG);
    }
    let number: f64 = digits.parse().map_err(|_| WRONG)?;
    let number = number * size;
    if (1.0..u64::MAX as f64).contains(&number) { Ok(number as u64) } else { Err(WRONG) }
}
