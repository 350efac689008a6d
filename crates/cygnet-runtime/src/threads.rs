//! How many threads work on one image.

use cygnet_kernels::Call;

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

impl Plan {
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
