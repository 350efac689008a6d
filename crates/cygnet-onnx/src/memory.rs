//! How many numbers the weights of a file may be: they become floats, one copy of which is held.

use cygnet_cpu::machine::memory_bytes;
use cygnet_graph::Limits;

use crate::Reason;

/// Bytes of a weight in memory.
const FLOAT_BYTES: u64 = 4;
/// Bytes of a number of a tensor of integers while these become real ones.
const INTEGER_BYTES: u64 = 16;

/// What is left for weights.
#[derive(Clone, Debug)]
pub(crate) struct Room {
    left: u64,
    all: u64,
    memory: u64,
}

impl Room {
    /// As many as a graph may have params, and as the memory holds that this process may have besides the files that it maps.
    pub(crate) fn of(limits: &Limits, mapped: usize) -> Room {
        Room::within(memory_bytes().unwrap_or(u64::MAX).saturating_sub(mapped as u64), limits)
    }

    fn within(memory: u64, limits: &Limits) -> Room {
        let all = limits.params.min(memory / FLOAT_BYTES);
        Room { left: all, all, memory }
    }

    /// Takes room for so many numbers, before they are read.
    pub(crate) fn take(&mut self, numbers: usize) -> Result<(), Reason> {
        let all = self.all;
        let left = self.left.checked_sub(numbers as u64);
        self.left = left.ok_or_else(|| {
            Reason::new(format!(
                "with it the weights are more than {all} numbers, the most that are read here"
            ))
        })?;
        Ok(())
    }

    /// As [`Room::take`], of a tensor of integers.
    pub(crate) fn take_integers(&mut self, numbers: usize) -> Result<(), Reason> {
        self.take(numbers)?;
        let bytes = (numbers as u64).saturating_mul(INTEGER_BYTES);
        if bytes > self.memory {
            return Err(Reason::new(format!(
                "its {numbers} integers take {bytes} bytes while they become real numbers; there are {}",
                self.memory
            )));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn weights_are_within_limits_and_memory() {
        let limits = Limits { params: 1000, ..Limits::default() };
        let told = |room: &mut Room, numbers: usize| room.take(numbers).unwrap_err().to_string();
        let mut room = Room::within(1 << 20, &limits);
        room.take(600).unwrap();
        assert!(told(&mut room, 401).contains("more than 1000 numbers"));
        room.take(400).unwrap();
        assert!(told(&mut Room::within(2000, &limits), 501).contains("more than 500 numbers"));
        let mut room = Room::within(2000, &limits);
        room.take_integers(125).unwrap();
        assert!(room.take_integers(126).unwrap_err().to_string().contains("2016 bytes"));
    }
}
