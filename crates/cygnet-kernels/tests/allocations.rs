//! Runs take no memory once they are warm. It is here, and not where sessions are, because an allocator is `unsafe`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cygnet_graph::{Conv, Graph, Pool};
use cygnet_runtime::{Plan, PlanOptions, Session};

/// The system's allocator, which counts.
struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is the system's allocator's, which keeps the contract.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::SeqCst);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, p: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise; `p` came from the same allocator.
        unsafe { System.dealloc(p, layout) }
    }

    unsafe fn realloc(&self, p: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::SeqCst);
        // SAFETY: the caller's promise; `p` came from the same allocator.
        unsafe { System.realloc(p, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Something of everything: dense, depthwise and grouped windows, gates, sums, concatenation, shuffle and pools.
fn graph() -> Graph {
    Graph::build("small", [3, 33, 29], |net, image| {
        let x = net.at("stem").conv(image, Conv::new(16, 3).stride(2)).relu6();
        let x = net.feature(net.at("norm").batch_norm(x).hard_swish());
        let y = net.at("block.dw").depthwise(x, Conv::new(0, 5)).relu();
        let gate = net.at("block.se").conv(y.global_avg_pool(), Conv::new(16, 1).bias()).sigmoid();
        let x = net.at("block.project").conv(y * gate, Conv::new(16, 1)) + x;
        let [left, right] = [3, 1].map(|kernel| net.at("branch").at(kernel).conv(x, Conv::new(8, kernel)));
        let x = left.concat(&[right]).channel_shuffle(2);
        let x = net.feature(net.at("grouped").conv(x, Conv::new(20, 3).groups(2)).pool(Pool::max(3, 2)));
        net.at("fc").linear(x.pool(Pool::avg(2, 1)).global_avg_pool().dropout(0.2), 10).softmax()
    })
    .unwrap()
}

/// Allocations of 10 calls after the first two: the fewest of three times, as the test's own machinery may allocate too.
fn allocations(mut run: impl FnMut()) -> usize {
    (0..2).for_each(|_| run());
    let mut count = || {
        let before = ALLOCATIONS.load(Ordering::SeqCst);
        (0..10).for_each(|_| run());
        ALLOCATIONS.load(Ordering::SeqCst) - before
    };
    (0..3).map(|_| count()).min().unwrap()
}

#[test]
fn a_warm_session_allocates_nothing() {
    let graph = graph();
    let weights: Vec<Vec<f32>> =
        graph.params().iter().map(|param| vec![0.1; param.shape.iter().product()]).collect();
    let plan = Arc::new(
        Plan::new(graph, &weights, PlanOptions { features: true, ..PlanOptions::default() }).unwrap(),
    );
    for threads in [None, Some(1), Some(2), Some(3)] {
        // One after the other: a thread that starts allocates, whoever waits for it.
        let mut session = match threads {
            None => Session::automatic(Arc::clone(&plan)).unwrap(),
            Some(threads) => Session::with_threads(Arc::clone(&plan), threads).unwrap(),
        };
        let (image, mut output) = (vec![0.5; 3 * 33 * 29], vec![0.0; session.outputs()]);
        let once = allocations(|| session.run(&image, &mut output).unwrap());
        assert_eq!(once, 0, "one image, {threads:?} threads");
        let mut features = vec![0.0; session.features()];
        let once = allocations(|| session.run_with_features(&image, &mut output, &mut features).unwrap());
        assert_eq!(once, 0, "one image with features, {threads:?} threads");
        for count in [0, 1, 4, 7] {
            let (images, mut outputs) = (vec![0.5; count * image.len()], vec![0.0; count * output.len()]);
            let batch = allocations(|| session.run_batch(&images, &mut outputs).unwrap());
            assert_eq!(batch, 0, "{count} images, {threads:?} threads");
        }
    }
    assert!(allocations(|| drop(vec![0_u8; 9])) >= 10, "the allocator counts");
}
