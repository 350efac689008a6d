//! What times hold for.

use cygnet_runtime::{ByteLevel, Level, PlanOptions, cpu};
use serde::{Deserialize, Serialize};

/// All that decides how long a step takes but the step: a table holds for one of these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Version of Cygnet, whose kernels were timed.
    pub version: String,
    /// The processor's model.
    pub cpu: String,
    /// The instruction set of floats.
    pub isa: String,
    /// Numbers of its vectors, by which plans decide what is computed together.
    pub lanes: usize,
    /// The instruction set of whole numbers.
    pub isa_of_bytes: String,
    /// Threads that work on an image.
    pub threads: usize,
    /// Bytes of a core's second-level cache.
    pub l2_bytes: u64,
}

impl Device {
    /// This machine, with what plans of these options run on, on `threads` threads.
    #[must_use]
    pub fn this(options: PlanOptions, threads: usize) -> Device {
        Device {
            version: env!("CARGO_PKG_VERSION").into(),
            cpu: cpu::brand(),
            isa: options.level.name().into(),
            lanes: options.level.lanes(),
            isa_of_bytes: options.bytes.name().into(),
            threads,
            l2_bytes: cpu::cache_bytes().l2 as u64,
        }
    }

    /// How plans are made for it, here: as of its instruction set, or else of one with as long vectors.
    #[must_use]
    pub fn options(&self) -> PlanOptions {
        let level = |is_it: &dyn Fn(&Level) -> bool| Level::ALL.iter().copied().find(is_it);
        let level =
            level(&|level| level.name() == self.isa).or_else(|| level(&|level| level.lanes() == self.lanes));
        let options = level.map_or_else(PlanOptions::default, PlanOptions::from);
        let bytes = ByteLevel::ALL.iter().copied().find(|level| level.name() == self.isa_of_bytes);
        PlanOptions { bytes: bytes.unwrap_or(options.bytes), ..options }
    }

    /// What of this is not so of `other`, in words: `CPU A, not B`.
    #[must_use]
    pub fn differences(&self, other: &Device) -> Vec<String> {
        let threads = [self, other].map(|device| device.threads.to_string());
        let rows = [
            ("version", &self.version, &other.version),
            ("CPU", &self.cpu, &other.cpu),
            ("instruction set", &self.isa, &other.isa),
            ("instruction set of bytes", &self.isa_of_bytes, &other.isa_of_bytes),
            ("threads", &threads[0], &threads[1]),
        ];
        let differ = rows.into_iter().filter(|(_, own, others)| own != others);
        differ.map(|(what, own, others)| format!("{what} {own}, not {others}")).collect()
    }
}
