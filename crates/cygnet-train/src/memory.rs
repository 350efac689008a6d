//! How a batch is divided so that a step keeps to the memory that there is.

use cygnet_engine::{Engine, EngineError, EngineOptions};
use cygnet_graph::Graph;

/// Whether so much memory can be had, which would end the process where the plan takes it.
pub(crate) fn is_there(bytes: u64) -> bool {
    let mut room: Vec<u8> = Vec::new();
    let is_there = usize::try_from(bytes).is_ok_and(|bytes| room.try_reserve_exact(bytes).is_ok());
    // Memory that nothing looks at need not be taken, and the compiler would leave it out.
    std::hint::black_box(room.as_ptr());
    is_there
}

/// Into how many parts a batch must be divided to keep to a limit of memory, and what a part then takes.
pub(crate) fn divide(
    graph: &Graph,
    batch: usize,
    limit: Option<u64>,
    engine: impl Fn(usize) -> EngineOptions,
) -> Result<(usize, u64), EngineError> {
    let limit = limit.unwrap_or(u64::MAX);
    let mut bytes = Engine::memory_bytes(graph, &engine(1))?;
    let mut parts = 1;
    while bytes > limit {
        let next = (parts + 1..=batch).find(|parts| batch.is_multiple_of(*parts));
        // Batch norm may need larger parts.
        let smaller = next.and_then(|next| Some((next, Engine::memory_bytes(graph, &engine(next)).ok()?)));
        let Some(smaller) = smaller else {
            let graph = graph.name().into();
            return Err(EngineError::MemoryLimit { graph, batch: batch / parts, bytes, limit });
        };
        (parts, bytes) = smaller;
    }
    Ok((parts, bytes))
}
