use cygnet_kernels::Window;
use proptest::prelude::*;

use super::case::{ByteCase, ENDS, End, PLAIN};
use crate::case::Case;
use crate::memory::Gaps;

const CHANNELS: [usize; 19] = [0, 1, 3, 4, 7, 8, 15, 16, 17, 24, 31, 32, 33, 47, 48, 64, 65, 72, 130];

#[test]
fn channels_of_all_numbers() {
    for (i, channels) in CHANNELS.into_iter().enumerate() {
        for (kernel, stride) in [([3, 3], 1), ([3, 3], 2), ([5, 5], 1), ([5, 5], 2), ([7, 7], 1), ([2, 1], 1)]
        {
            for gap in [0, 1] {
                let mut case = Case::depthwise(channels, kernel).stride(stride);
                case.input_gaps.after = gap;
                case.output_gaps = Gaps { before: gap, halo: [gap, gap], ..Gaps::default() };
                ByteCase::new(case, [0, 66, 255][i % 3], ENDS[i % ENDS.len()]).check();
            }
        }
    }
}

#[test]
fn endings_of_all_kinds() {
    for end in ENDS {
        for channels in [5, 24, 64, 80] {
            for stride in [1, 2] {
                ByteCase::new(Case::depthwise(channels, [3, 3]).stride(stride), 17, end).check();
            }
        }
    }
}

#[test]
fn blocks_of_channels_and_columns() {
    for (channels, size) in [(300, [4, 9]), (960, [7, 7]), (1000, [3, 40]), (40, [5, 200]), (200, [2, 60])] {
        for stride in [1, 2] {
            let mut case = Case::depthwise(channels, [3, 3]).stride(stride);
            case.size = size;
            ByteCase::new(case.clone(), 3, End { zero: 20, ..PLAIN }).check();
            case.input_gaps.before = 1;
            ByteCase::new(case, 3, End { zero: 20, ..PLAIN }).check_threads();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn any_depthwise_convolution(
        channels in 0usize..100,
        size in [1usize..12, 1usize..20],
        kernel in [1usize..9, 1usize..9],
        stride in [1usize..4, 1usize..4],
        dilation in [1usize..3, 1usize..3],
        pad in [0usize..5, 0usize..5],
        end_pad in [0usize..5, 0usize..5],
        gaps in [0usize..3, 0usize..3, 0usize..3, 0usize..3],
        ring in proptest::option::of(1usize..5),
        end in 0usize..ENDS.len(),
        zero: u8,
        seed in 0u64..1000,
    ) {
        let window = Window { kernel, stride, dilation, pad };
        let [before, after, row, halo] = gaps;
        let gaps = Gaps { before, after, row, halo: [halo, 0], ring: None };
        let case = Case {
            parts: vec![channels], out: channels, window, end_pad, size, seed,
            input_gaps: Gaps { ring, ..gaps },
            output_gaps: gaps,
            ..Case::depthwise(1, [1, 1])
        };
        ByteCase::new(case, zero, ENDS[end]).check();
    }
}
