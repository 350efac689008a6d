//! The fastest of several plans of one network, by what is known of this machine or is measured now.

use std::sync::Arc;
use std::time::Duration;

use cygnet_latency::{Case, Run, Table, measure};
use cygnet_runtime::{Plan, RunError};

use super::{BenchOptions, images};

/// Time for each plan that is compared.
const COMPARED: Duration = Duration::from_millis(400);

/// The index of the plan that takes the least time as the options say: of the first, unless another is clearly faster. What a
/// table knows is not measured again; what is measured is taken into it.
///
/// # Errors
/// If the system refuses to start threads, or a batch takes too much memory.
pub fn fastest(plans: &[Arc<Plan>], table: &mut Table, options: BenchOptions) -> Result<usize, RunError> {
    let BenchOptions { plan, threads, batch, .. } = options;
    let case = Case::new(plans.iter().map(AsRef::as_ref), plan.level.name(), threads, batch);
    if let Some(index) = table.known(&case) {
        return Ok(index);
    }
    let Some(first) = plans.first() else { return Ok(0) };
    let run = Run { threads, images: &images(first, batch)?, duration: COMPARED };
    let times = measure(plans, run)?;
    let index = cygnet_latency::fastest(&times);
    table.insert(case, times);
    Ok(index)
}
