use cygnet_kernels::Window;
use proptest::prelude::*;

use super::case::{ByteCase, ENDS, End, PLAIN};
use crate::case::Case;
use crate::memory::Gaps;

/// Input channels around groups of four, output channels around all panels.
#[test]
fn pointwise_of_all_sizes() {
    for (i, inputs) in [0, 1, 2, 3, 4, 5, 7, 8, 9, 31, 64, 67].into_iter().enumerate() {
        for (j, out) in
            [0, 1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 48, 63, 64, 65, 100, 135].into_iter().enumerate()
        {
            let end = ENDS[(3 * i + j) % ENDS.len()];
            ByteCase::new(Case::dense(inputs, out, [1, 1]), [0, 128, 255][(i + j) % 3], end).check();
        }
    }
}

#[test]
fn pointwise_of_all_tiles() {
    for width in 0..=27 {
        for out in [5, 16, 27, 32, 64] {
            let mut case = Case::dense(9, out, [1, 1]);
            case.size = [1, width];
            ByteCase::new(case, 3, ENDS[width % ENDS.len()]).check();
        }
    }
}

#[test]
fn endings_of_all_kinds() {
    for end in ENDS {
        for (out, gap) in [(3, 0), (16, 1), (24, 0), (40, 2), (64, 0), (70, 3), (128, 0)] {
            let mut case = Case::dense(12, out, [1, 1]);
            case.output_gaps =
                Gaps { before: gap, after: gap, row: gap, halo: [gap, 2 * gap], ..Gaps::default() };
            ByteCase::new(case.clone(), 17, end).check();
            case.window = Window { kernel: [3, 3], pad: [1, 1], ..case.window };
            case.end_pad = [1, 1];
            ByteCase::new(case, 17, end).check();
        }
    }
}

#[test]
fn windows_and_groups() {
    for kernel in [[1, 3], [3, 1], [3, 3], [5, 5], [7, 7], [2, 4]] {
        for (inputs, out) in [(1, 4), (3, 16), (3, 32), (4, 8), (6, 5), (16, 24)] {
            for stride in [1, 2, 3] {
                let case = Case::dense(inputs, out, kernel).stride(stride);
                ByteCase::new(case, 99, PLAIN).check();
            }
        }
    }
    for (groups, inputs, out) in [(2, 6, 8), (3, 9, 48), (4, 32, 32), (2, 2, 6)] {
        for gap in [0, 3] {
            let mut case = Case { groups, ..Case::dense(inputs, out, [3, 3]) };
            case.input_gaps.after = gap;
            ByteCase::new(case, 5, PLAIN).check();
        }
    }
}

#[test]
fn parts_are_joined_and_views_are_not_left() {
    for parts in [vec![3, 5], vec![29, 29], vec![1, 1, 1], vec![8, 0, 3]] {
        for kernel in [[1, 1], [3, 3]] {
            let mut case = Case::dense(1, 20, kernel);
            case.parts = parts.clone();
            for gaps in [Gaps::default(), Gaps { before: 1, after: 2, row: 3, halo: [1, 0], ring: None }] {
                case.input_gaps = gaps;
                ByteCase::new(case.clone(), 200, End { zero: 8, ..PLAIN }).check();
            }
        }
    }
}

#[test]
fn threads_compute_the_same() {
    for (inputs, out, kernel) in [(16, 96, [1, 1]), (3, 32, [3, 3]), (600, 500, [1, 1])] {
        let mut case = Case::dense(inputs, out, kernel);
        case.size = [6, 11];
        ByteCase::new(case, 130, End { term: true, ..PLAIN }).check_threads();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn any_dense_convolution(
        [inputs, more, out] in [0usize..20, 0usize..9, 0usize..90],
        size in [1usize..9, 1usize..20],
        kernel in [1usize..5, 1usize..5],
        stride in [1usize..4, 1usize..4],
        dilation in [1usize..3, 1usize..3],
        pad in [0usize..4, 0usize..4],
        end_pad in [0usize..4, 0usize..4],
        gaps in [0usize..3, 0usize..3, 0usize..3, 0usize..3],
        ring in proptest::option::of(1usize..5),
        end in 0usize..ENDS.len(),
        zero: u8,
        seed in 0u64..1000,
    ) {
        let window = Window { kernel, stride, dilation, pad };
        let parts = if more == 0 { vec![inputs] } else { vec![inputs, more] };
        let [before, after, row, halo] = gaps;
        let gaps = Gaps { before, after, row, halo: [halo, 0], ring: None };
        let case = Case {
            parts, out, window, end_pad, size, seed,
            input_gaps: Gaps { ring, ..gaps },
            output_gaps: gaps,
            ..Case::dense(1, 1, [1, 1])
        };
        ByteCase::new(case, zero, ENDS[end]).check();
    }
}
