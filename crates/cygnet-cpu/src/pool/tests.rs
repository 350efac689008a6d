use super::*;

const VALUES: u64 = 10_007;

/// Runs `f` and returns the text of its panic.
fn panic_text(f: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(f)).expect_err("should panic");
    match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => (*payload.downcast::<&str>().expect("a text")).to_owned(),
    }
}

/// The sum of all values below `VALUES`, each thread adding its share.
fn sum(pool: &mut Pool) -> usize {
    let sum = AtomicUsize::new(0);
    pool.run(|worker| {
        let share: u64 = (worker.index() as u64..VALUES).step_by(worker.count()).sum();
        sum.fetch_add(share as usize, Relaxed);
    });
    sum.into_inner()
}

fn assert_sums(pool: &mut Pool) {
    assert_eq!(sum(pool) as u64, VALUES * (VALUES - 1) / 2);
}

/// Waits until all workers are parked or about to be.
fn await_parked(pool: &Pool) {
    while !pool.shared.parked.iter().all(|parked| parked.0.load(SeqCst)) {
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn shares_add_up_whatever_the_team() {
    for threads in [1, 2, 3, 5, 16] {
        let mut pool = Pool::new(threads).unwrap();
        assert_eq!(pool.threads(), threads);
        assert_sums(&mut pool);
    }
}

#[test]
fn a_team_has_at_least_the_caller_and_a_limit() {
    assert_eq!(Pool::new(0).unwrap().threads(), 1);
    let error = Pool::new(usize::MAX).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
}

#[test]
fn every_index_comes_once_on_its_own_thread() {
    let caller = thread::current().id();
    let threads: Vec<Mutex<Vec<_>>> = (0..4).map(|_| Mutex::default()).collect();
    Pool::new(4).unwrap().run(|worker| {
        let name = thread::current().name().map(str::to_owned);
        threads[worker.index()].lock().unwrap().push((thread::current().id(), name));
    });
    let threads: Vec<_> = threads.into_iter().map(|calls| calls.into_inner().unwrap()).collect();
    assert!(threads.iter().all(|calls| calls.len() == 1));
    assert_eq!(threads[0][0].0, caller);
    for (index, calls) in threads.iter().enumerate().skip(1) {
        assert_eq!(calls[0].1.as_deref(), Some(format!("cygnet-{index}").as_str()));
    }
}

#[test]
fn runs_follow_each_other_quickly() {
    let mut pool = Pool::new(2).unwrap();
    let calls = AtomicUsize::new(0);
    for run in 1..=10_000 {
        pool.run(|_| {
            calls.fetch_add(1, Relaxed);
        });
        assert_eq!(calls.load(Relaxed), 2 * run);
    }
}

#[test]
fn runs_find_parked_workers() {
    let mut pool = Pool::new(3).unwrap();
    for _ in 0..20 {
        await_parked(&pool);
        assert_sums(&mut pool);
    }
}

/// Passes `steps` barriers; before each, every thread writes its own place, after it, it reads a neighbour's.
fn step_with_neighbours(threads: usize, steps: usize) {
    let mut pool = Pool::new(threads).unwrap();
    let places: [Vec<AtomicUsize>; 2] =
        std::array::from_fn(|_| (0..threads).map(|_| AtomicUsize::new(usize::MAX)).collect());
    pool.run(|worker| {
        for step in 0..steps {
            let places = &places[step % 2];
            places[worker.index()].store(step, Relaxed);
            worker.barrier();
            assert_eq!(places[(worker.index() + 1) % worker.count()].load(Relaxed), step);
        }
    });
}

#[test]
fn barriers_keep_steps_apart() {
    step_with_neighbours(1, 10);
    step_with_neighbours(2, 50_000);
}

#[test]
fn barriers_work_with_more_threads_than_cores() {
    let cores = thread::available_parallelism().map_or(1, |cores| cores.get());
    step_with_neighbours(2 * cores + 3, 200);
}

#[test]
fn a_panic_reaches_the_caller_and_the_pool_lives_on() {
    for culprit in 0..3 {
        let mut pool = Pool::new(3).unwrap();
        let others = AtomicUsize::new(0);
        let text = panic_text(|| {
            pool.run(|worker| {
                assert!(worker.index() != culprit, "part {culprit} fails");
                thread::sleep(Duration::from_millis(1));
                others.fetch_add(1, Relaxed);
            });
        });
        assert_eq!(text, format!("part {culprit} fails"));
        assert_eq!(others.into_inner(), 2);
        assert_sums(&mut pool);
    }
}

#[test]
fn a_panic_on_a_team_of_one_is_plain() {
    let mut pool = Pool::new(1).unwrap();
    assert_eq!(panic_text(|| pool.run(|_| panic!("alone"))), "alone");
    assert_sums(&mut pool);
}

#[test]
fn a_panic_releases_those_at_the_barrier() {
    for culprit in 0..3 {
        let mut pool = Pool::new(3).unwrap();
        let passed = AtomicUsize::new(0);
        let text = panic_text(|| {
            pool.run(|worker| {
                worker.barrier();
                assert!(worker.index() != culprit, "part {culprit} fails");
                worker.barrier();
                passed.fetch_add(1, Relaxed);
            });
        });
        assert_eq!(text, format!("part {culprit} fails"));
        assert_eq!(passed.into_inner(), 0);
        pool.run(|worker| worker.barrier());
        assert_sums(&mut pool);
    }
}

#[test]
fn panics_of_all_parts_are_one_panic() {
    struct PanicsOnDrop;
    impl Drop for PanicsOnDrop {
        fn drop(&mut self) {
            panic!("in the drop of a payload");
        }
    }
    let mut pool = Pool::new(3).unwrap();
    let payload = catch_unwind(AssertUnwindSafe(|| pool.run(|_| resume_unwind(Box::new(PanicsOnDrop)))));
    std::mem::forget(payload);
    assert_sums(&mut pool);
}

#[test]
fn a_barrier_that_one_part_skips_is_a_panic() {
    let mut pool = Pool::new(2).unwrap();
    let text = panic_text(|| {
        pool.run(|worker| {
            if worker.index() == 0 {
                worker.barrier();
            }
        });
    });
    assert_eq!(text, "a part of the run returned without reaching this barrier");
    assert_sums(&mut pool);
}

#[test]
fn dropping_joins_workers_parked_or_not() {
    let pool = Pool::new(4).unwrap();
    await_parked(&pool);
    let shared = Arc::downgrade(&pool.shared);
    drop(pool);
    assert_eq!(shared.strong_count(), 0);

    let mut pool = Pool::new(4).unwrap();
    assert_sums(&mut pool);
    let shared = Arc::downgrade(&pool.shared);
    drop(pool);
    assert_eq!(shared.strong_count(), 0);
}

#[test]
fn pools_may_move_between_threads() {
    fn is_send_and_sync<T: Send + Sync>() {}
    is_send_and_sync::<Pool>();
    let mut pool = Pool::new(2).unwrap();
    thread::spawn(move || assert_sums(&mut pool)).join().unwrap();
}

#[test]
fn shares_are_those_of_the_product_and_follow_each_other_however_large() {
    for total in [0, 1, 7, 64, 1000, usize::MAX >> 12, usize::MAX] {
        for parts in [1, 2, 3, 7, 1024] {
            let start = |index: usize| (total as u128 * index as u128 / parts as u128) as usize;
            for index in 0..parts {
                assert_eq!(share(total, parts, index), start(index)..start(index + 1), "{total} {parts}");
            }
        }
    }
}
