//! One function over many items on several threads, with the results in the items' order.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Mutex, mpsc};
use std::thread;

/// How many items a thread may have begun since the oldest unfinished one.
const AHEAD: usize = 16;

/// Calls `work` with each item on up to `threads` threads, and `each` on the calling thread with each result in the
/// order of the items. The number of results that wait for an earlier one is bounded.
///
/// # Errors
/// The first of `each`; no work is begun after it.
///
/// # Panics
/// If `work` or `each` does.
pub(crate) fn in_order<I: Sync, T: Send, E>(
    items: &[I],
    threads: NonZeroUsize,
    work: impl Fn(&I) -> T + Sync,
    mut each: impl FnMut(&I, T) -> Result<(), E>,
) -> Result<(), E> {
    let threads = threads.get().min(items.len());
    let (tickets, queue) = mpsc::channel();
    let queue = Mutex::new(queue);
    let (sender, results) = mpsc::channel();
    let worker = || {
        while let Some(index) = queue.lock().ok().and_then(|queue| queue.recv().ok()) {
            // A panic is passed on where the result is awaited.
            let result = catch_unwind(AssertUnwindSafe(|| work(&items[index])));
            if sender.send((index, result)).is_err() {
                return;
            }
        }
    };
    thread::scope(|scope| {
        // Both belong to this scope: when it is left, the workers end.
        let (tickets, results) = (tickets, results);
        let start = |_| thread::Builder::new().spawn_scoped(scope, worker).ok();
        let started = if threads > 1 { (0..threads).map_while(start).count() } else { 0 };
        if started == 0 {
            return items.iter().try_for_each(|item| each(item, work(item)));
        }
        let admit = |index| _ = tickets.send(index);
        let mut unsent = 0..items.len();
        unsent.by_ref().take(AHEAD * started).for_each(&admit);
        let mut early = BTreeMap::new();
        for (index, item) in items.iter().enumerate() {
            let result = loop {
                match early.remove(&index) {
                    Some(result) => break result,
                    None => early.extend(results.recv()),
                }
            };
            each(item, result.unwrap_or_else(|panic| resume_unwind(panic)))?;
            unsent.by_ref().take(1).for_each(&admit);
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    fn threads(count: usize) -> NonZeroUsize {
        NonZeroUsize::new(count).unwrap()
    }

    #[test]
    fn results_come_in_order_however_long_each_takes() {
        let items: Vec<u64> = (0..200).collect();
        for count in [1, 2, 7, 300] {
            let mut seen = Vec::new();
            let slow = |&item: &u64| {
                thread::sleep(Duration::from_micros(item * 7919 % 500));
                item * item
            };
            let done: Result<(), ()> = in_order(&items, threads(count), slow, |&item, square| {
                assert_eq!(square, item * item);
                seen.push(item);
                Ok(())
            });
            assert_eq!((done, &seen), (Ok(()), &items));
        }
        assert_eq!(in_order(&[], threads(4), |_: &()| (), |_, ()| Err(())), Ok(()));
    }

    #[test]
    fn threads_wait_for_the_oldest_item() {
        let begun = AtomicUsize::new(0);
        let items: Vec<usize> = (0..500).collect();
        let first_is_slow = |&item: &usize| {
            begun.fetch_add(1, Ordering::Relaxed);
            if item == 0 {
                thread::sleep(Duration::from_millis(200));
            }
            item
        };
        let mut most = None;
        let done: Result<(), ()> = in_order(&items, threads(3), first_is_slow, |_, _| {
            most.get_or_insert(begun.load(Ordering::Relaxed));
            Ok(())
        });
        assert_eq!(done, Ok(()));
        assert!(most.is_some_and(|begun| begun <= 3 * AHEAD), "{most:?}");
    }

    #[test]
    fn an_error_ends_the_work() {
        let begun = AtomicUsize::new(0);
        let work = |_: &u8| begun.fetch_add(1, Ordering::Relaxed);
        assert_eq!(in_order(&[0; 1000], threads(2), work, |_, _| Err("enough")), Err("enough"));
        assert!(begun.into_inner() <= 2 * AHEAD);
    }

    #[test]
    #[should_panic(expected = "seven")]
    fn a_panic_reaches_the_caller() {
        let items: Vec<usize> = (0..100).collect();
        let work = |&item: &usize| assert!(item != 7, "seven");
        let _: Result<(), ()> = in_order(&items, threads(2), work, |_, ()| Ok(()));
    }
}
