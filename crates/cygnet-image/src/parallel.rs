//! One function over many numbers on several threads.

use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// `work(state, index)` for every index below `count`, in their order, on up to `threads` threads, each with a state
/// of its own. `seen` is called with the number done so far, now from this thread and then from that.
///
/// # Panics
/// If `work` does.
pub fn map_indexed<S, T: Send>(
    count: usize,
    threads: NonZeroUsize,
    state: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, usize) -> T + Sync,
    seen: impl Fn(usize) + Sync,
) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let done = AtomicUsize::new(0);
    let results = Mutex::new(Vec::with_capacity(count));
    let worker = || {
        let mut state = state();
        let mut mine = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= count {
                break;
            }
            mine.push((index, work(&mut state, index)));
            seen(done.fetch_add(1, Ordering::Relaxed) + 1);
        }
        results.lock().expect("no thread panics while it holds this").extend(mine);
    };
    thread::scope(|scope| {
        // Where no more threads can be had, fewer do the work.
        let start = |_: &usize| thread::Builder::new().spawn_scoped(scope, worker).is_ok();
        _ = (1..threads.get().min(count)).take_while(start).count();
        worker();
    });
    let mut results = results.into_inner().expect("no thread panics while it holds this");
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}
