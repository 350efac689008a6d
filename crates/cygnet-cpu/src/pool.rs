//! Fork and join on a fixed team of threads that spin before they park.
//!
//! An inference is one [`Pool::run`]: every thread walks the same list of steps and meets the others at
//! [`Worker::barrier`] between them. A run neither allocates nor locks unless a part panics.

use std::any::Any;
use std::io;
use std::marker::PhantomData;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::machine;

/// The largest team.
pub const MAX_THREADS: usize = 1024;

/// How long a thread spins before it parks (between runs) or yields (within one), if each has a CPU.
const SPIN: Duration = Duration::from_micros(30);

/// Spins between two looks at the clock.
const SPINS_PER_LOOK: usize = 64;

/// A team of threads: the caller of [`run`](Pool::run), which is thread 0, and the pool's own.
///
/// ```
/// use std::sync::atomic::{AtomicUsize, Ordering};
///
/// let mut pool = cygnet_cpu::pool::Pool::new(2)?;
/// let indices = AtomicUsize::new(0);
/// pool.run(|worker| {
///     indices.fetch_add(worker.index(), Ordering::Relaxed);
///     worker.barrier();
///     assert_eq!(indices.load(Ordering::Relaxed), 1);
/// });
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
}

impl Pool {
    /// A team of `threads` threads, of which `threads - 1` are spawned, named `cygnet-1` and so on. Zero means one.
    ///
    /// # Errors
    /// When `threads` exceeds [`MAX_THREADS`] or the system refuses a thread.
    pub fn new(threads: usize) -> io::Result<Self> {
        if threads > MAX_THREADS {
            let text = format!("{threads} threads: ask for at most {MAX_THREADS}");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let threads = threads.max(1);
        let mut pool =
            Self { shared: Arc::new(Shared::new(threads)), workers: Vec::with_capacity(threads - 1) };
        for index in 1..threads {
            let shared = Arc::clone(&pool.shared);
            let worker = thread::Builder::new().name(format!("cygnet-{index}"));
            pool.workers.push(worker.spawn(move || shared.work(index))?);
        }
        Ok(pool)
    }

    /// The size of the team, at least 1.
    pub fn threads(&self) -> usize {
        self.shared.threads
    }

    /// Calls `f` once on every thread of the team and returns when all calls have returned.
    ///
    /// # Panics
    /// When a call panics: its panic goes on here, after all calls have ended. The pool stays usable.
    pub fn run(&mut self, f: impl Fn(&Worker<'_>) + Sync) {
        let shared = &*self.shared;
        if shared.threads == 1 {
            return f(&Worker::new(0, shared));
        }
        let task: Task<'_> = &f;
        self.start((&raw const task).cast_mut().cast());
        // From here to the end of `join` nothing may unwind: the others use `f`.
        shared.part(0, task);
        shared.join();
        if let Some(payload) = shared.take_panic() {
            resume_unwind(payload);
        }
    }

    /// Hands `task`, a pointer to a `Task` or null, to the workers.
    fn start(&self, task: *mut ()) {
        self.shared.reset();
        self.shared.task.store(task, Relaxed);
        self.shared.runs.0.fetch_add(1, SeqCst);
        for (parked, worker) in self.shared.parked.iter().zip(&self.workers) {
            if parked.0.load(SeqCst) {
                worker.thread().unpark();
            }
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.start(std::ptr::null_mut());
        for worker in self.workers.drain(..) {
            // A worker catches every panic of its parts, so there is none to pass on.
            let _ = worker.join();
        }
    }
}

/// One thread's place in a [run](Pool::run).
#[derive(Debug)]
pub struct Worker<'a> {
    index: usize,
    shared: &'a Shared,
    /// Neither `Send` nor `Sync`: a barrier counts threads.
    on_this_thread: PhantomData<*const ()>,
}

impl<'a> Worker<'a> {
    fn new(index: usize, shared: &'a Shared) -> Self {
        Self { index, shared, on_this_thread: PhantomData }
    }

    /// This thread's number, below [`count`](Self::count). The caller of [`Pool::run`] is 0.
    pub fn index(&self) -> usize {
        self.index
    }

    /// The size of the team.
    pub fn count(&self) -> usize {
        self.shared.threads
    }

    /// Waits until every thread of the team has called this as often as this one. What a thread wrote before it,
    /// all read after it.
    ///
    /// # Panics
    /// When another part has panicked (silently, the other panic is the one reported), or has returned, so that
    /// the team can no longer meet.
    pub fn barrier(&self) {
        let shared = self.shared;
        if shared.threads == 1 {
            return;
        }
        // Cannot advance before this thread arrives, so this is the value that the others see too.
        let meeting = shared.meetings.0.load(Relaxed);
        if shared.arrived.0.fetch_add(1, AcqRel) + 1 == shared.threads {
            shared.arrived.0.store(0, Relaxed);
            shared.meetings.0.store(meeting.wrapping_add(1), Release);
        } else if !shared.spin_until(|| shared.meetings.0.load(Acquire) != meeting) {
            shared.yield_until_met(meeting);
        }
    }
}

/// What part `index` of `parts` does of `0..total`: `total * index / parts` and what follows, without the product.
#[inline]
#[must_use]
pub fn share(total: usize, parts: usize, index: usize) -> Range<usize> {
    let start = |index: usize| total / parts * index + total % parts * index / parts;
    start(index)..start(index + 1)
}

/// A run's function. The lifetime is that of the call of [`Pool::run`].
type Task<'a> = &'a (dyn Fn(&Worker<'_>) + Sync + 'a);

/// A value alone on its cache lines (pairs of them, which is what is prefetched).
#[derive(Debug, Default)]
#[repr(align(128))]
struct Line<T>(T);

/// The payload with which threads leave a barrier that cannot complete because a part panicked.
struct Released;

#[derive(Debug)]
struct Shared {
    threads: usize,
    /// [`SPIN`], or nothing for a team that outnumbers the CPUs: who spins then keeps out who is waited for.
    spin: Duration,
    /// Points to the caller's `Task` during a run; null tells the workers to end. Ordered by `runs`.
    task: AtomicPtr<()>,
    /// Runs started so far.
    runs: Line<AtomicUsize>,
    /// Parts of this run that have ended, in whatever way.
    ended: Line<AtomicUsize>,
    /// Threads at the present barrier.
    arrived: Line<AtomicUsize>,
    /// Barriers completed so far.
    meetings: Line<AtomicUsize>,
    /// Whether a part of this run has panicked; set after `panic` and before the part counts as ended.
    panicked: AtomicBool,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    /// For each worker from 1 on, whether it parks or is about to.
    parked: Box<[Line<AtomicBool>]>,
}

impl Shared {
    fn new(threads: usize) -> Self {
        Self {
            threads,
            spin: if threads <= machine::available_threads() { SPIN } else { Duration::ZERO },
            task: AtomicPtr::default(),
            runs: Line::default(),
            ended: Line::default(),
            arrived: Line::default(),
            meetings: Line::default(),
            panicked: AtomicBool::new(false),
            panic: Mutex::new(None),
            parked: (1..threads).map(|_| Line::default()).collect(),
        }
    }

    /// The life of worker `index`.
    fn work(&self, index: usize) {
        let mut runs: usize = 0;
        loop {
            self.await_run(index, runs);
            runs = runs.wrapping_add(1);
            let task = self.task.load(Relaxed);
            if task.is_null() {
                return;
            }
            self.part(index, |worker| {
                // SAFETY: `Pool::run` stored a pointer to a `Task` on its stack before it advanced `runs`, which
                // `await_run` has seen. It neither returns nor unwinds, so the task and the function behind it
                // live, until `ended` counts this part, which `part` does after this closure has returned, with
                // no reference to either left. The function is `Sync`, and `Task` is `Copy`.
                let task = unsafe { *task.cast::<Task<'_>>() };
                task(worker);
            });
        }
    }

    /// Returns when the run after the first `runs` has started.
    fn await_run(&self, index: usize, runs: usize) {
        if self.spin_until(|| self.runs.0.load(Acquire) != runs) {
            return;
        }
        // Either this thread sees the new count or `Pool::start`, which advances the count and then reads the
        // flag, sees the flag: all four accesses are in the one order of `SeqCst`.
        let parked = &self.parked[index - 1].0;
        parked.store(true, SeqCst);
        while self.runs.0.load(SeqCst) == runs {
            thread::park();
        }
        parked.store(false, Relaxed);
    }

    /// Calls `part` as thread `index` and counts it as ended. Never unwinds.
    fn part(&self, index: usize, part: impl FnOnce(&Worker<'_>)) {
        let worker = Worker::new(index, self);
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| part(&worker))) {
            self.keep_panic(payload);
            self.panicked.store(true, Release);
        }
        self.ended.0.fetch_add(1, Release);
    }

    /// Returns when all parts have ended.
    fn join(&self) {
        let all_ended = || self.ended.0.load(Acquire) == self.threads;
        if !self.spin_until(all_ended) {
            while !all_ended() {
                thread::yield_now();
            }
        }
    }

    /// The patient form of waiting for the barrier after `meeting`; see [`Worker::barrier`] for its panics.
    fn yield_until_met(&self, meeting: usize) {
        loop {
            // Read first: a part that ended after the barrier has completed it, one that panicked has said so.
            let someone_left = self.ended.0.load(Acquire) > 0;
            if self.meetings.0.load(Acquire) != meeting {
                return;
            }
            if self.panicked.load(Acquire) {
                resume_unwind(Box::new(Released));
            }
            assert!(!someone_left, "a part of the run returned without reaching this barrier");
            thread::yield_now();
        }
    }

    /// Spins until `done`, for a bounded time; whether it is done.
    fn spin_until(&self, done: impl Fn() -> bool) -> bool {
        let mut start = None;
        loop {
            for _ in 0..SPINS_PER_LOOK {
                if done() {
                    return true;
                }
                std::hint::spin_loop();
            }
            if start.get_or_insert_with(Instant::now).elapsed() >= self.spin {
                return done();
            }
        }
    }

    /// Keeps the first panic of a run. The first is never a [`Released`], which only follows one.
    fn keep_panic(&self, payload: Box<dyn Any + Send>) {
        let mut kept = self.panic.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.is_none() {
            *kept = Some(payload);
        } else {
            // Not dropped: a destructor may panic, and this thread must still reach `ended`.
            std::mem::forget(payload);
        }
    }

    fn take_panic(&self) -> Option<Box<dyn Any + Send>> {
        if !self.panicked.load(Relaxed) {
            return None;
        }
        self.panic.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Makes ready for a run, between runs.
    fn reset(&self) {
        self.ended.0.store(0, Relaxed);
        self.arrived.0.store(0, Relaxed);
        self.panicked.store(false, Relaxed);
    }
}

#[cfg(test)]
mod tests;
