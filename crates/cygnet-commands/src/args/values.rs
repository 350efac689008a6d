//! Values of options.

use std::num::NonZeroUsize;
#[cfg(feature = "train")]
use std::time::Duration;

use cygnet::image::Preprocess;

/// Threads: a number, or `auto` for one a core.
pub(crate) fn threads(text: &str) -> Result<NonZeroUsize, &'static str> {
    if text == "auto" {
        return Ok(std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN));
    }
    text.parse().map(affordable).map_err(|_| "neither auto nor a number above 0")
}

/// So many threads, or as many as there is memory for: a process whose threads cannot have theirs is ended by the system.
fn affordable(threads: NonZeroUsize) -> NonZeroUsize {
    /// Bytes of a thread's stack, of the memory that it takes small pieces from, and of what it works on.
    const BYTES: usize = 64 << 20;
    let is_there = |threads: &NonZeroUsize| {
        let mut room: Vec<u8> = Vec::new();
        let reserved = room.try_reserve_exact(threads.get().saturating_mul(BYTES));
        // Memory that nothing looks at need not be taken, and the compiler would leave it out.
        std::hint::black_box(room.as_ptr());
        reserved.is_ok()
    };
    let halves = std::iter::successors(Some(threads), |threads| NonZeroUsize::new(threads.get() / 2));
    halves.into_iter().find(is_there).unwrap_or(NonZeroUsize::MIN)
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

/// Seconds of an hour at most.
pub(crate) fn seconds(text: &str) -> Result<f64, &'static str> {
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

/// Height and width of an image.
pub(crate) fn side(text: &str) -> Result<usize, String> {
    let most = Preprocess::MAX_SIDE;
    let side = text.parse().ok().filter(|side| (1..=most).contains(side));
    side.ok_or_else(|| format!("give pixels from 1 to {most}"))
}

/// A time in seconds, or with units, the largest first: `1h30m`.
#[cfg(feature = "train")]
pub(crate) fn duration(text: &str) -> Result<Duration, &'static str> {
    const WRONG: &str = "give a time such as 90s, 10m or 1h30m";
    let mut seconds = 0.0;
    let mut number = String::new();
    let mut last = f64::INFINITY;
    for c in text.chars() {
        let unit = match c {
            '0'..='9' | '.' => {
                number.push(c);
                continue;
            }
            's' => 1.0,
            'm' => 60.0,
            'h' => 3600.0,
            'd' => 86_400.0,
            _ => return Err(WRONG),
        };
        if unit >= last {
            return Err(WRONG);
        }
        last = unit;
        seconds += number.parse::<f64>().map_err(|_| WRONG)? * unit;
        number.clear();
    }
    if !number.is_empty() {
        seconds += number.parse::<f64>().map_err(|_| WRONG)?;
    }
    Duration::try_from_secs_f64(seconds).ok().filter(|time| !time.is_zero()).ok_or(WRONG)
}

/// A time in milliseconds: `3ms`, `800us` or `0.003s`.
#[cfg(feature = "train")]
pub(super) fn milliseconds(text: &str) -> Result<f64, &'static str> {
    let units = [("ms", 1.0), ("us", 1e-3), ("µs", 1e-3), ("s", 1e3)];
    let unit = units.into_iter().find_map(|(unit, ms)| Some((text.strip_suffix(unit)?, ms)));
    let time = unit.and_then(|(digits, ms)| Some(digits.trim().parse::<f64>().ok()? * ms));
    time.filter(|time| (1e-6..=3.6e6).contains(time)).ok_or("give a time with its unit, such as 3ms or 800us")
}

/// A size in bytes, or with a unit of 1024s: `2GB`.
pub(crate) fn bytes(text: &str) -> Result<u64, &'static str> {
    let lower = text.to_lowercase();
    let digits = lower.trim_end_matches(|c: char| c.is_alphabetic());
    let unit = match lower[digits.len()..].trim_end_matches('b').trim_end_matches('i') {
        "" => 1.0,
        "k" => 1024.0,
        "m" => 1024.0 * 1024.0,
        "g" => 1024.0 * 1024.0 * 1024.0,
        _ => return Err("give a size such as 500MB or 2GB"),
    };
    let bytes: Option<f64> = digits.trim().parse().ok().map(|number: f64| number * unit);
    let bytes = bytes.filter(|bytes| (0.0..u64::MAX as f64).contains(bytes));
    bytes.map(|bytes| bytes as u64).ok_or("give a size such as 500MB or 2GB")
}

/// Points of a percentage.
#[cfg(feature = "train")]
pub(super) fn points(text: &str) -> Result<f64, &'static str> {
    let points = text.parse().ok().filter(|points| (0.0..=100.0).contains(points));
    points.ok_or("not a number from 0 to 100")
}

/// Images of a batch: a number, or any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Batch {
    Dynamic,
    Fixed(usize),
}

pub(super) fn batch(text: &str) -> Result<Batch, String> {
    if text == "dynamic" {
        return Ok(Batch::Dynamic);
    }
    let count = text.parse().ok().filter(|count| (1..=1 << 16).contains(count));
    count.map(Batch::Fixed).ok_or_else(|| "a number from 1 to 65536, or dynamic".into())
}
