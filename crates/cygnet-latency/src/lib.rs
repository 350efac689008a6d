//! How long networks take: which of several plans is the fastest on this machine, and what any network would take on a device.
//!
//! A [`StepTable`] is what steps of plans take on a device, measured within whole networks ([`clocked`], by the turns of
//! [`in_rounds`]), and a [`Predictor`] is the function of it from what a network runs to its time. A [`Key`] says what a step is, and is
//! read off the plan: kernel, sizes, windows, what joined it. What was not measured is estimated by steps of its kind, and
//! counted.
//!
//! Plans of one network are compared together, run by run in turns, since a time alone means little on a machine that has other
//! things to do. What was compared is known by the keys of all steps, so that a comparison holds for every network of the same
//! shapes. What other work on the machine disturbed is not kept, and its noise is known. No networks, no precisions.

mod clocked;
mod correction;
mod device;
mod key;
mod measure;
mod predictor;
mod roofline;
mod rounds;
mod steps;
mod table;

use cygnet_runtime::{Plan, cpu};
use serde::{Deserialize, Serialize};

pub use clocked::{Clocked, clocked};
pub use correction::{Correction, Errors, Sample};
pub use device::Device;
pub use key::{Key, Step, Work};
pub use measure::{Machine, Run, Times, in_turns, measure};
pub use predictor::{Prediction, Predictor};
pub use rounds::{Protocol, Rounds, in_rounds};
pub use steps::{Fit, Growing, Measured, Role, StepTable, TableError, TimedStep};
pub use table::Table;

/// What was compared, and where: all that decides which plan is the fastest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Case {
    version: String,
    cpu: String,
    isa: String,
    threads: Option<usize>,
    batch: usize,
    plans: Vec<String>,
}

impl Case {
    /// Plans to be compared for the instruction set `isa`, on `threads` threads or as many as pay, with `batch` images a run.
    #[must_use]
    pub fn new<'p>(
        plans: impl IntoIterator<Item = &'p Plan>,
        isa: &str,
        threads: Option<usize>,
        batch: usize,
    ) -> Case {
        Case {
            version: env!("CARGO_PKG_VERSION").into(),
            cpu: cpu::brand(),
            isa: isa.into(),
            threads,
            batch,
            plans: plans.into_iter().map(plan_key).collect(),
        }
    }
}

/// The keys of a plan's steps, as a number that hardly two plans share.
fn plan_key(plan: &Plan) -> String {
    // Fowler, Noll and Vo: the same on every machine.
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    let text: String = plan.steps().iter().map(|step| format!("{:?};", step.key)).collect();
    let hash = text.bytes().fold(OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME));
    format!("{hash:016x}")
}
