//! Threads and memory that engines share.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cygnet_cpu::pool::{MAX_THREADS, Pool};
use cygnet_gradient::Arena;

use crate::EngineError;

/// Threads, and memory for one step at a time. Clones are the same threads and memory: engines that take turns need what
/// the largest of them does, not the sum. Memory is taken when an engine first needs it.
#[derive(Clone, Debug)]
pub struct Resources(Arc<Mutex<Held>>);

/// What a step works with.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) pool: Pool,
    pub(crate) arena: Arena,
}

impl Resources {
    /// Starts so many threads, of which the caller's is one; results of steps do not depend on their number.
    ///
    /// # Errors
    /// If there are more than [`MAX_THREADS`], or the system refuses one.
    pub fn new(threads: NonZeroUsize) -> Result<Resources, EngineError> {
        check_threads(threads)?;
        let threads = threads.get();
        let pool = Pool::new(threads).map_err(|source| EngineError::Threads { threads, source })?;
        Ok(Resources(Arc::new(Mutex::new(Held { pool, arena: Arena::default() }))))
    }

    /// How many threads.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.hold().pool.threads()
    }

    /// Bytes of memory that steps have needed so far.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.hold().arena.bytes()
    }

    /// Keeps other engines waiting.
    pub(crate) fn hold(&self) -> MutexGuard<'_, Held> {
        // A step that panicked left numbers behind, which no other reads.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) fn check_threads(threads: NonZeroUsize) -> Result<(), EngineError> {
    if threads.get() <= MAX_THREADS {
        return Ok(());
    }
    let (what, value) = ("the number of threads", threads.to_string());
    Err(EngineError::Setting { what, value, wanted: "at most 1024" })
}
