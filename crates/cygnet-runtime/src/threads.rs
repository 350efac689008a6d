//! How many threads work on one image, and on how many images at once.

use cygnet_kernels::{Call, cpu};

use crate::Plan;

/// Multiply-accumulates of a thread in a nanosecond.
const MACS: f64 = 40.0;

/// Numbers that a thread writes in a nanosecond, beside its arithmetic.
const WRITES: f64 = 2.0;

/// Nanoseconds that a team of two loses after each call, when its threads meet.
const MEETING: f64 = 500.0;

/// Nanoseconds more for each further thread.
const MEETING_PER_THREAD: f64 = 100.0;

/// Nanoseconds until the team has started.
const START: f64 = 10_000.0;

/// The share of one thread's time that a team may need at most.
const PAYS: f64 = 0.9;

/// Bytes that all threads may take together for images of their own, if there is room for one.
const TOGETHER: u64 = 2 << 30;

/// Bytes that a thread may take in any case, so that many may take more.
const OF_A_THREAD: u64 = 64 << 20;

/// Bytes that `threads` may take together: the usual ones, or `of_a_thread` each if that is more, and no more than half of the
/// `memory` that this process may have.
#[must_use]
pub fn room(threads: usize, usual: u64, of_a_thread: u64, memory: Option<u64>) -> u64 {
    let room = usual.max(of_a_thread.saturating_mul(threads as u64));
    memory.map_or(room, |memory| room.min(memory / 2))
}

/// How many of `threads` work at once if each takes `bytes` of memory: together 2 GiB, or 64 MiB a thread if that is more,
/// and no more than half of what this process may have. At least 1.
#[must_use]
pub fn at_once(threads: usize, bytes: u64) -> usize {
    within(threads, bytes, cpu::memory_bytes())
}

fn within(threads: usize, bytes: u64, memory: Option<u64>) -> usize {
    let together = room(threads, TOGETHER, OF_A_THREAD, memory);
    let images = usize::try_from(together / bytes.max(1)).unwrap_or(usize::MAX);
    threads.min(images).max(1)
}

impl Plan {
    /// How many of `threads` may each work on an image of its own at once: [`at_once`] of what one takes.
    #[must_use]
    pub fn at_once(&self, threads: usize) -> usize {
        let numbers = self.graph().input_shape().iter().product::<usize>() + self.output_numbers();
        at_once(threads, (self.program().arena_bytes() as u64).saturating_add(4 * numbers as u64))
    }

    /// Numbers of all outputs.
    fn output_numbers(&self) -> usize {
        self.outputs().last().map_or(0, |last| last.range.end)
    }

    /// How many of `available` threads work on one image in the least time, by a rough count of what each call costs
    /// and of what a team loses when its threads meet after it. At least 1; more only where that pays clearly.
    #[must_use]
    pub fn threads(&self, available: usize) -> usize {
        let calls = self.program().calls();
        let alone: f64 = calls.iter().map(cost).sum();
        let mut best = (1, alone * PAYS);
        for threads in 2..=available.min(calls.iter().map(Call::units).max().unwrap_or(1)) {
            let meeting = MEETING + MEETING_PER_THREAD * (threads - 2) as f64;
            let part = |call: &Call| {
                let units = call.units().max(1);
                cost(call) * units.div_ceil(threads) as f64 / units as f64 + meeting
            };
            let time = START + calls.iter().map(part).sum::<f64>();
            if time < best.1 {
                best = (threads, time);
            }
        }
        best.0
    }
}

/// Nanoseconds of a call on one thread.
fn cost(call: &Call) -> f64 {
    let map = call.writes();
    call.macs() as f64 / MACS + (map.height * map.width * map.channels) as f64 / WRITES
}

#[cfg(test)]
mod tests {
    use super::within;

    #[test]
    fn threads_have_room_together() {
        const MIB: u64 = 1 << 20;
        let of =
            |threads, each: u64, memory: Option<u64>| within(threads, each * MIB, memory.map(|m| m * MIB));
        assert_eq!([of(12, 540, None), of(12, 10, None), of(12, 5000, None)], [3, 12, 1]);
        assert_eq!([of(96, 64, None), of(96, 128, None), of(96, 0, None)], [96, 48, 96]);
        assert_eq!([of(12, 540, Some(2048)), of(12, 540, Some(1 << 20))], [1, 3]);
        assert_eq!(within(1, u64::MAX, Some(0)), 1);
    }
}
