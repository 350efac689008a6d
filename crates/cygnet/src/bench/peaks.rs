//! What one thread could do at best with the numbers that layers multiply.

use cygnet_runtime::{ByteLevel, Element, Level, Plan, PlanStep, peak_gflops, peak_gops_of_bytes};

use super::rates::PROBE;

/// The peaks of a thread in the types that a plan's layers multiply. Those in bf16 multiply f32 that were rounded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peaks {
    level: Level,
    bytes: ByteLevel,
    /// Billions of operations a second, two a multiply-add.
    of_floats: f64,
    /// Likewise, if layers multiply bytes.
    of_bytes: Option<f64>,
}

/// Whether a step multiplies bytes.
pub(super) fn counts_bytes(step: &PlanStep) -> bool {
    step.macs > 0 && step.key.inputs.first().is_some_and(|value| value.element != Element::F32)
}

impl Peaks {
    /// Looks at what the machine does just now.
    pub(super) fn of(plan: &Plan) -> Peaks {
        let options = plan.options();
        let (level, bytes) = (options.level, options.bytes);
        let has_bytes = plan.steps().iter().any(counts_bytes);
        let of_bytes = has_bytes.then(|| peak_gops_of_bytes(bytes, PROBE));
        Peaks { level, bytes, of_floats: peak_gflops(level, PROBE), of_bytes }
    }

    /// Looks again and keeps the best.
    pub(super) fn look_again(&mut self) {
        self.of_floats = self.of_floats.max(peak_gflops(self.level, PROBE));
        let bytes = self.bytes;
        self.of_bytes = self.of_bytes.map(|peak| peak.max(peak_gops_of_bytes(bytes, PROBE)));
    }

    /// The peak in what a step multiplies.
    pub(super) fn of_step(&self, step: &PlanStep) -> f64 {
        self.of_bytes.filter(|_| counts_bytes(step)).unwrap_or(self.of_floats)
    }

    /// The rate of steps of which each is done at its peak.
    pub(super) fn of_all(&self, steps: &[PlanStep]) -> f64 {
        let macs: f64 = steps.iter().map(|step| step.macs as f64).sum();
        let time: f64 = steps.iter().map(|step| step.macs as f64 / self.of_step(step)).sum();
        if time > 0.0 { macs / time } else { self.of_floats }
    }
}
