//! The fastest of several plans of one network, by what is known of this machine or is measured now.

use std::sync::Arc;
use std::time::Duration;

use cygnet_latency::{Case, Run, Table, measure};
use cygnet_runtime::{Plan, RunError};

use super::inputs::images;
use super::network::BenchOptions;

/// Time for each plan that is compared.
const COMPARED: Duration = Duration::from_millis(400);

/// One of several plans.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Choice {
    /// Its index.
    pub index: usize,
    /// How far apart times were that should be equal, as a share, if the machine had so much else to do that they are not kept.
    pub disturbed: Option<f64>,
}

/// The plan that takes the least time as the options say: the first, unless another is clearly faster, beyond the noise of the
/// measurement. What a table knows is not measured again; what is measured is taken into it, unless that was disturbed.
///
/// # Errors
/// If the system refuses to start threads, or a batch takes too much memory.
pub fn fastest(plans: &[Arc<Plan>], table: &mut Table, options: BenchOptions) -> Result<Choice, RunError> {
    let BenchOptions { plan, threads, batch, .. } = options;
    let case = Case::new(plans.iter().map(AsRef::as_ref), plan.level.name(), threads, batch);
    let known = table.known(&case).or(plans.is_empty().then_some(0));
    if let Some(index) = known {
        return Ok(Choice { index, disturbed: None });
    }
    let run = Run { threads, images: &images(&plans[0], batch)?, duration: COMPARED };
    let times = measure(plans, run)?;
    let choice = Choice { index: times.fastest(), disturbed: times.is_disturbed().then_some(times.noise) };
    table.insert(case, times);
    Ok(choice)
}
