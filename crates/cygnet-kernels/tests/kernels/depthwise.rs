//! Depthwise convolutions. One with several outputs a channel is a dense one in groups of one input.

use cygnet_kernels::Window;
use proptest::prelude::*;

use crate::case::Case;
use crate::conv::{gaps, window};
use crate::memory::{CHANNELS, CHEAP, Gaps};

const GAPS: Gaps = Gaps { before: 2, after: 3, row: 7, halo: [2, 1], ring: None };

#[test]
fn every_count_of_channels_around_a_vector_is_right() {
    for &channels in &CHANNELS {
        for kernel in [3, 5, 7] {
            for stride in 1..=2 {
                let case = Case::depthwise(channels, [kernel; 2]).stride(stride);
                case.check();
                Case { input_gaps: GAPS, output_gaps: GAPS, ..case }.check();
            }
        }
    }
}

#[test]
fn every_width_fills_its_blocks_whatever_remains() {
    for width in 0..=23 {
        for (kernel, stride) in [(3, 1), (3, 2), (5, 1), (5, 2), (7, 1), (7, 2), (2, 1)] {
            Case { size: [4, width], ..Case::depthwise(9, [kernel; 2]) }.stride(stride).check();
        }
    }
}

#[test]
fn every_kernel_stride_and_dilation_is_right() {
    for kernel in [[1, 1], [2, 2], [3, 3], [4, 4], [5, 5], [7, 7], [9, 9], [1, 3], [3, 1], [5, 3], [2, 7]] {
        for stride in 1..=3 {
            for dilation in 1..=3 {
                let case = Case { size: [10, 15], ..Case::depthwise(19, kernel) }.stride(stride);
                let pad = kernel.map(|kernel| (kernel - 1) * dilation / 2);
                let window = Window { dilation: [dilation; 2], pad, ..case.window };
                Case { window, end_pad: pad, ..case }.check();
            }
        }
    }
}

#[test]
fn each_side_has_its_own_padding() {
    for [top, left, bottom, right] in [[0, 0, 1, 1], [1, 0, 0, 2], [2, 3, 0, 0], [0, 1, 3, 0], [5, 5, 5, 5]] {
        for (kernel, stride) in [(3, 1), (3, 2), (5, 2), (4, 1)] {
            let case = Case::depthwise(17, [kernel; 2]).stride(stride);
            let window = Window { pad: [top, left], ..case.window };
            Case { window, end_pad: [bottom, right], output_gaps: GAPS, ..case }.check();
        }
    }
}

#[test]
fn images_smaller_than_the_window_are_padded() {
    for size in [[1, 1], [1, 2], [2, 1], [3, 2]] {
        for kernel in [3, 5, 7] {
            for stride in 1..=2 {
                Case { size, ..Case::depthwise(20, [kernel; 2]) }.stride(stride).check();
            }
        }
    }
}

#[test]
fn activations_follow() {
    for activation in CHEAP {
        Case { activation, ..Case::depthwise(13, [3, 3]) }.check();
        Case { activation, output_gaps: GAPS, ..Case::depthwise(13, [5, 5]) }.stride(2).check();
    }
}

#[test]
fn rings_keep_the_last_rows() {
    let ring = |rows| Gaps { ring: Some(rows), ..GAPS };
    for rows in [1, 2, 4, 8] {
        for stride in 1..=2 {
            let case = Case { size: [9, 7], ..Case::depthwise(12, [5, 5]) }.stride(stride);
            Case { input_gaps: ring(rows), ..case }.check();
        }
    }
}

#[test]
fn nan_and_infinities_stay_in_their_channel_and_window() {
    for kernel in [3, 4, 5, 7] {
        for activation in CHEAP {
            let case = Case { size: [7, 11], activation, ..Case::depthwise(6, [kernel; 2]) };
            for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                for place in [0, 10, 76, 77 + 38, 5 * 77 + 66] {
                    Case { specials: vec![(place, value)], ..case.clone() }.check();
                }
            }
            Case { specials: vec![(0, f32::INFINITY), (1, f32::INFINITY)], ..case }.stride(2).check();
        }
    }
}

#[test]
fn threads_change_nothing() {
    for (kernel, stride) in [(3, 1), (3, 2), (5, 1), (4, 3)] {
        Case { size: [11, 13], output_gaps: GAPS, ..Case::depthwise(37, [kernel; 2]) }
            .stride(stride)
            .check_threads();
    }
}

fn any_case() -> impl Strategy<Value = Case> {
    let shape = ([0..10usize, 0..30], 0..40usize, window());
    (shape, prop::sample::select(&CHEAP[..]), [gaps(), gaps()], 0..1000u64).prop_map(
        |((size, out, (window, end_pad)), activation, [input_gaps, output_gaps], seed)| Case {
            size,
            window,
            end_pad,
            activation,
            input_gaps,
            output_gaps,
            seed,
            ..Case::depthwise(out, [1, 1])
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_depthwise_convolution_is_its_reference(case in any_case()) {
        case.check();
    }
}
