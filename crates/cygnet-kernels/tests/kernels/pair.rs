//! Two convolutions row by row: the same to the bit as one after the other.

use cygnet_kernels::pool::Pool;
use cygnet_kernels::{Call, Conv, ConvWeights, Depthwise, Level, Map, Pair, Store};
use proptest::prelude::*;

use crate::case::Case;
use crate::conv::{gaps, window};
use crate::memory::{CHANNELS, CHEAP, Gaps, levels, team};

const GAPS: Gaps = Gaps { before: 2, after: 3, row: 7, halo: [2, 1], ring: None };

/// A dense case and the depthwise one that reads it.
#[derive(Clone, Debug)]
struct Both {
    dense: Case,
    depthwise: Case,
}

impl Both {
    fn new(dense: Case, kernel: usize, stride: usize) -> Both {
        let depthwise = Case { size: dense.output(), ..Case::depthwise(dense.out, [kernel; 2]) };
        Both { dense, depthwise: depthwise.stride(stride) }
    }

    /// One after the other.
    fn apart(&self, level: Level) -> Vec<Option<f32>> {
        let between = self.dense.run(level).into_iter().map(Option::unwrap).collect();
        Case { given: Some(between), ..self.depthwise.clone() }.run(level)
    }

    fn together(&self, level: Level, pool: &mut Pool) -> Vec<Option<f32>> {
        let Both { dense, depthwise } = self;
        // The dense output's own place is not written.
        let (mut memory, parts, _, _) = dense.memory();
        let [height, width] = depthwise.output();
        let output = memory.map([depthwise.out, height, width], [0, 0], depthwise.output_gaps.whole());
        let ([height, width], halo) = (dense.output(), depthwise.halo());
        let row = (halo[0] + width + halo[1]) * dense.out + 1;
        let offset = halo[0] * dense.out;
        let between = Map { offset, row, halo, ..Map::dense(0, [dense.out, height, width]) };
        let (weight, scale, bias) = (dense.given_weight(), dense.scale(), dense.bias());
        let data = ConvWeights { weight: &weight, scale: &scale, bias: &bias, inputs: dense.inputs() };
        let mut store = Store::new(level);
        let first = Conv::new(&mut store, dense.window, &parts, data, between, None, dense.activation);
        let (weight, bias) = (depthwise.weight(), depthwise.bias());
        let (window, activation) = (depthwise.window, depthwise.activation);
        let second = Depthwise::new(&mut store, window, between, &weight, &bias, output, activation);
        let pair = Call::Pair(Box::new(Pair::new(first, second)));
        memory.run_on(pool, level, vec![pair], &output)
    }

    fn check(&self, threads: usize) {
        let bits = |list: Vec<Option<f32>>| list.iter().map(|x| x.map(f32::to_bits)).collect::<Vec<_>>();
        let mut pool = team(threads);
        for level in levels() {
            let together = bits(self.together(level, &mut pool));
            assert_eq!(together, bits(self.apart(level)), "{level:?}, {threads} threads: {self:?}");
        }
    }
}

#[test]
fn every_count_of_channels_around_a_vector_is_the_same() {
    for &inputs in &CHANNELS {
        for &out in CHANNELS.iter().chain(&[64, 100, 144]) {
            let dense = Case { activation: CHEAP[2], ..Case::dense(inputs, out, [1, 1]) };
            Both::new(dense, 3, 1).check(1);
        }
    }
}

#[test]
fn every_window_is_the_same() {
    for kernel in 1..=7 {
        for stride in 1..=3 {
            for size in [[1, 1], [3, 8], [11, 17]] {
                for first in [[1, 1], [3, 3]] {
                    let dense = Case { size, ..Case::dense(7, 37, first) };
                    let mut both = Both::new(dense, kernel, stride);
                    both.depthwise.output_gaps = GAPS;
                    both.depthwise.activation = CHEAP[kernel % CHEAP.len()];
                    both.check(1);
                    both.depthwise.window.dilation = [2, 1];
                    both.check(1);
                    both.dense.window.stride = [2, 2];
                    both.depthwise.size = both.dense.output();
                    both.check(1);
                }
            }
        }
    }
}

#[test]
fn parts_planes_and_specials_are_the_same() {
    for parts in [vec![1; 3], vec![7, 0, 9], vec![4, 4]] {
        for special in [f32::NAN, f32::INFINITY] {
            let dense =
                Case { parts: parts.clone(), specials: vec![(9, special)], ..Case::dense(0, 21, [3, 3]) };
            Both::new(Case { input_gaps: GAPS, ..dense.clone() }, 5, 2).check(1);
            Both::new(dense, 3, 1).check(1);
        }
    }
}

#[test]
fn threads_change_nothing() {
    for threads in [2, 3, 7] {
        for (kernel, stride) in [(3, 1), (3, 2), (5, 1), (7, 2)] {
            let dense = Case { size: [13, 9], ..Case::dense(16, 150, [1, 1]) };
            Both::new(dense, kernel, stride).check(threads);
        }
    }
}

fn any_pair() -> impl Strategy<Value = Both> {
    let parts = prop::collection::vec(0..24usize, 1..3);
    let activations = [prop::sample::select(&CHEAP[..]), prop::sample::select(&CHEAP[..])];
    let shape = ([0..10usize, 0..20], parts, 0..90usize, window(), window());
    (shape, activations, [gaps(), gaps()], 0..1000u64).prop_map(
        |((size, parts, out, first, second), [before, after], [input_gaps, output_gaps], seed)| {
            let (window, end_pad) = first;
            let input_gaps = Gaps { ring: None, ..input_gaps };
            let dense = Case {
                size,
                parts,
                window,
                end_pad,
                activation: before,
                input_gaps,
                seed,
                ..Case::dense(0, out, [1, 1])
            };
            let mut both = Both::new(dense, 1, 1);
            (both.depthwise.window, both.depthwise.end_pad) = second;
            both.depthwise.activation = after;
            both.depthwise.output_gaps = output_gaps;
            both
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_pair_is_the_same_as_one_after_the_other(both in any_pair()) {
        both.check(1);
    }
}
