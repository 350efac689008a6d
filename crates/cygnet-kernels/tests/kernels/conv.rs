//! Dense convolutions, 1×1 convolutions and linear layers.

use cygnet_kernels::{Activation, Window};
use proptest::prelude::*;

use crate::case::Case;
use crate::memory::{CHANNELS, CHEAP, Gaps, levels};

const GAPS: Gaps = Gaps { before: 3, after: 2, row: 5, halo: [1, 2], ring: None };

#[test]
fn every_count_of_channels_around_a_vector_is_right() {
    for &inputs in &CHANNELS {
        for &out in &CHANNELS {
            Case::dense(inputs, out, [1, 1]).check();
            Case { size: [3, 4], ..Case::dense(inputs, out, [3, 3]) }.check();
        }
    }
}

#[test]
fn channel_counts_of_real_networks_leave_every_part_of_a_vector() {
    for out in [2, 6, 12, 14, 20, 24, 28, 40, 56, 58, 72, 88, 112, 116, 120, 240] {
        for (inputs, kernel) in [(24, [1, 1]), (58, [1, 1]), (10, [3, 3])] {
            for width in [1, 7, 14, 17] {
                let case = Case { size: [2, width], residual: true, ..Case::dense(inputs, out, kernel) };
                case.check();
                Case { output_gaps: GAPS, seed: out as u64, activation: CHEAP[5], ..case }.check();
            }
        }
    }
}

#[test]
fn every_width_fills_its_tiles_whatever_remains() {
    for width in 0..=31 {
        for out in [3, 8, 20, 35, 64] {
            let case = Case { size: [2, width], ..Case::dense(5, out, [1, 1]) };
            case.check();
            Case { input_gaps: GAPS, output_gaps: GAPS, ..case }.check();
            Case { size: [2, width], ..Case::dense(3, out, [3, 3]) }.check();
        }
    }
}

#[test]
fn every_kernel_stride_and_dilation_is_right() {
    let kernels = [[1, 1], [2, 2], [3, 3], [4, 2], [5, 5], [7, 7], [1, 7], [7, 1], [6, 6], [1, 3], [3, 1]];
    for kernel in kernels {
        for stride in 1..=3 {
            for dilation in 1..=3 {
                for size in [[1, 1], [8, 8], [9, 16]] {
                    let case = Case { size, residual: true, ..Case::dense(6, 10, kernel) }.stride(stride);
                    let window = Window { dilation: [dilation; 2], ..case.window };
                    Case { window, ..case.clone() }.check();
                    let pad = [kernel[0] * dilation / 2, kernel[1] * dilation / 2];
                    Case { window: Window { pad, ..window }, end_pad: pad, output_gaps: GAPS, ..case }
                        .check();
                }
            }
        }
    }
}

#[test]
fn each_side_has_its_own_padding() {
    let pads =
        [[0, 0, 1, 1], [0, 0, 2, 0], [0, 0, 0, 2], [1, 0, 0, 2], [2, 3, 0, 0], [0, 1, 3, 0], [4, 4, 4, 4]];
    for [top, left, bottom, right] in pads {
        for (kernel, stride) in [([3, 3], 2), ([4, 4], 1), ([2, 5], 1), ([1, 1], 1), ([1, 1], 2)] {
            let case = Case::dense(9, 17, kernel).stride(stride);
            let window = Window { pad: [top, left], ..case.window };
            for input_gaps in [GAPS, Gaps::default()] {
                Case { window, end_pad: [bottom, right], input_gaps, ..case.clone() }.check();
            }
        }
    }
}

#[test]
fn the_two_axes_have_their_own_stride_and_dilation() {
    for (stride, dilation) in [([1, 2], [1, 1]), ([2, 1], [1, 1]), ([3, 1], [2, 1]), ([1, 3], [1, 4])] {
        let case = Case { size: [9, 13], ..Case::dense(7, 12, [3, 3]) };
        Case { window: Window { stride, dilation, ..case.window }, ..case }.check();
    }
}

#[test]
fn a_stem_reads_three_planes() {
    for (kernel, stride, pad, end_pad) in
        [([3, 3], 2, 1, 1), ([3, 3], 2, 0, 0), ([3, 3], 2, 0, 1), ([7, 7], 2, 3, 3), ([3, 3], 1, 1, 1)]
    {
        for out in [16, 24, 32, 35] {
            for size in [[6, 6], [11, 37], [12, 64]] {
                let case = Case { size, parts: vec![1; 3], ..Case::dense(3, out, kernel) }.stride(stride);
                let window = Window { pad: [pad; 2], ..case.window };
                let case = Case { window, end_pad: [end_pad; 2], activation: CHEAP[2], ..case };
                case.check();
                Case { input_gaps: Gaps { row: 3, halo: [2, 1], ..Gaps::default() }, ..case }.check();
            }
        }
    }
}

#[test]
fn parts_of_a_concatenation_are_read_where_they_lie() {
    for parts in [vec![4, 4], vec![1, 16, 3], vec![0, 5], vec![7, 0, 0, 9], vec![24, 8, 40], vec![1; 9]] {
        for kernel in [[1, 1], [3, 3], [1, 5]] {
            let case = Case { parts: parts.clone(), residual: true, ..Case::dense(0, 19, kernel) };
            case.check();
            Case { input_gaps: GAPS, output_gaps: GAPS, seed: 77, ..case }.stride(2).check();
        }
    }
}

#[test]
fn groups_read_and_write_slices() {
    for (groups, inputs, outputs) in [(2, 8, 8), (3, 5, 17), (4, 4, 3), (8, 1, 2), (5, 1, 3)] {
        for kernel in [[1, 1], [3, 3]] {
            let case =
                Case { groups, residual: true, ..Case::dense(groups * inputs, groups * outputs, kernel) };
            case.check();
            Case { input_gaps: GAPS, output_gaps: GAPS, ..case }.stride(2).check();
        }
    }
}

#[test]
fn a_linear_layer_is_a_window_as_large_as_the_image() {
    for (inputs, out, size) in [(1, 1, 1), (130, 67, 1), (35, 1000, 1), (256, 10, 1), (12, 19, 7), (5, 33, 4)]
    {
        let case = Case::dense(inputs, out, [size, size]);
        let window = Window { pad: [0, 0], ..case.window };
        Case { size: [size, size], window, end_pad: [0, 0], ..case }.check();
    }
}

#[test]
fn terms_and_activations_follow_in_that_order() {
    for activation in CHEAP {
        for residual in [false, true] {
            for kernel in [[1, 1], [3, 3]] {
                let case = Case { activation, residual, ..Case::dense(11, 21, kernel) };
                case.check();
                Case { output_gaps: GAPS, ..case }.check();
            }
        }
    }
}

#[test]
fn rings_keep_the_last_rows() {
    let ring = |rows| Gaps { ring: Some(rows), ..GAPS };
    for rows in [1, 2, 4] {
        for kernel in [[1, 1], [3, 3]] {
            let case = Case { size: [9, 7], ..Case::dense(6, 20, kernel) };
            Case { input_gaps: ring(rows), ..case.clone() }.check();
            Case { input_gaps: ring(2 * rows), output_gaps: GAPS, ..case }.check();
        }
    }
}

#[test]
fn long_sums_stay_within_the_bound() {
    for (inputs, out, kernel) in [(1024, 5, [1, 1]), (96, 17, [3, 3]), (40, 6, [7, 7])] {
        Case { size: [3, 5], ..Case::dense(inputs, out, kernel) }.check();
    }
}

#[test]
fn nan_reaches_exactly_the_outputs_that_see_it() {
    for kernel in [[1, 1], [3, 3], [1, 7], [4, 4]] {
        for activation in CHEAP {
            let case = Case { size: [7, 11], activation, ..Case::dense(5, 18, kernel) };
            Case { specials: vec![(0, f32::NAN)], ..case.clone() }.check();
            Case { specials: vec![(3 * 77 + 38, f32::NAN), (76, -f32::NAN)], ..case.clone() }
                .stride(2)
                .check();
            Case { specials: vec![(77 + 5, f32::NAN)], groups: 2, ..Case { parts: vec![6], ..case } }.check();
        }
    }
    let case = Case { size: [1, 3], specials: vec![(1, f32::NAN)], ..Case::dense(1, 1, [1, 1]) };
    for level in levels() {
        let seen: Vec<_> = case.run(level).into_iter().map(|x| x.unwrap().is_nan()).collect();
        assert_eq!(seen, [false, true, false]);
    }
}

#[test]
fn infinities_make_nan_only_where_two_meet() {
    // In the corners and at the edges, where windows see padding beside them.
    for kernel in [[1, 1], [3, 3], [5, 5], [1, 7]] {
        for activation in [Activation::None, Activation::RELU, CHEAP[2], CHEAP[3]] {
            let case = Case { size: [7, 11], activation, ..Case::dense(4, 18, kernel) };
            for place in [0, 10, 66, 76, 77 + 38] {
                Case { specials: vec![(place, f32::INFINITY)], ..case.clone() }.check();
                Case { specials: vec![(place, f32::NEG_INFINITY)], ..case.clone() }.check();
            }
            Case { specials: vec![(0, f32::INFINITY), (1, f32::NEG_INFINITY)], ..case }.check();
        }
    }
}

#[test]
fn an_output_is_one_sum_whatever_it_is_computed_with() {
    for (inputs, out, kernel, width) in
        [(24, 40, [1, 1], 29), (3, 64, [3, 3], 30), (16, 35, [1, 7], 17), (40, 19, [5, 5], 14)]
    {
        for stride in 1..=2 {
            let case = Case { size: [3, width], residual: true, ..Case::dense(inputs, out, kernel) };
            case.stride(stride).check_pieces();
        }
    }
}

#[test]
fn threads_change_nothing() {
    for (inputs, out, kernel) in [(9, 70, [1, 1]), (130, 300, [1, 1]), (5, 19, [3, 3]), (24, 40, [5, 5])] {
        for size in [[1, 1], [1, 30], [9, 9]] {
            let case = Case { size, residual: true, ..Case::dense(inputs, out, kernel) };
            case.check_threads();
            Case { output_gaps: GAPS, ..case }.stride(2).check_threads();
        }
    }
}

pub(crate) fn gaps() -> impl Strategy<Value = Gaps> {
    (
        0..4usize,
        0..4usize,
        0..6usize,
        [0..3usize, 0..3],
        prop::option::weighted(0.2, prop::sample::select(vec![1, 2, 4])),
    )
        .prop_map(|(before, after, row, halo, ring)| Gaps { before, after, row, halo, ring })
}

pub(crate) fn window() -> impl Strategy<Value = (Window, [usize; 2])> {
    let pair = |range: std::ops::Range<usize>| [range.clone(), range];
    (pair(1..6), pair(1..4), pair(1..4), pair(0..4), pair(0..4)).prop_map(
        |(kernel, stride, dilation, pad, end_pad)| (Window { kernel, stride, dilation, pad }, end_pad),
    )
}

fn any_case() -> impl Strategy<Value = Case> {
    let parts = prop_oneof![
        3 => prop::collection::vec(0..24usize, 1..4),
        1 => Just(vec![1; 3]),
    ];
    let shape = ([0..9usize, 0..34], parts, 0..50usize, window());
    (shape, any::<bool>(), prop::sample::select(&CHEAP[..]), [gaps(), gaps()], 0..1000u64).prop_map(
        |((size, parts, out, (window, end_pad)), residual, activation, [input_gaps, output_gaps], seed)| {
            Case {
                depthwise: false,
                size,
                parts,
                out,
                groups: 1,
                window,
                end_pad,
                residual,
                activation,
                input_gaps,
                output_gaps,
                specials: Vec::new(),
                given: None,
                seed,
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_convolution_is_its_reference(case in any_case()) {
        case.check();
    }
}
