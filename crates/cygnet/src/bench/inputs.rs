//! What networks compute with whose answers do not matter.

use cygnet_graph::Graph;
use cygnet_runtime::{Plan, RunError, cpu};
use cygnet_weights::Weights;

use crate::verify::{synthetic, synthetic_param};

/// Weights made by a formula from their names, for a graph whose answers do not matter.
#[must_use]
pub fn random_weights(graph: &Graph) -> Weights {
    graph.params().iter().map(|param| synthetic_param(&param.name, param, 1.4)).collect()
}

/// An image made by a formula.
#[must_use]
pub fn random_image(graph: &Graph) -> Vec<f32> {
    synthetic("input", graph.input_shape().iter().product(), |v| v)
}

/// Images of a run.
///
/// # Errors
/// If they and their outputs take too much memory.
pub(super) fn images(plan: &Plan, batch: usize) -> Result<Vec<f32>, RunError> {
    let graph = plan.graph();
    let image: usize = graph.input_shape().iter().product();
    let outputs: usize = graph.node(graph.output()).shape.iter().product();
    let bytes = ((image + outputs) as u64).saturating_mul(4 * batch as u64);
    let limit = cpu::memory_bytes().map_or(u64::MAX, |bytes| bytes / 2);
    if bytes > limit {
        return Err(RunError::Batch { graph: graph.name().into(), batch, bytes, limit });
    }
    Ok(random_image(graph).repeat(batch))
}
