//! Winograd's form of 3×3 convolutions, within a bound of its own. It wants a channel and a pixel at least.

use cygnet_kernels::pool::Pool;
use cygnet_kernels::{Activation, Call, ConvWeights, Level, Store, Winograd};
use proptest::prelude::*;

use crate::case::Case;
use crate::conv::gaps;
use crate::memory::{CHANNELS, CHEAP, Gaps, activate, agrees, levels, team, tolerance};

const GAPS: Gaps = Gaps { before: 3, after: 2, row: 5, halo: [1, 2], ring: None };

/// How many times as far as a direct sum's bound a result may be from the reference. The bound is of the largest sum of
/// magnitudes, as a tile's outputs share their roundings.
const BOUND: f64 = 10.0;

fn run(case: &Case, level: Level, pool: &mut Pool) -> Vec<Option<f32>> {
    let (memory, parts, residual, output) = case.memory();
    let (weight, scale, bias) = (case.given_weight(), case.scale(), case.bias());
    let data = ConvWeights { weight: &weight, scale: &scale, bias: &bias, inputs: case.inputs() };
    let call = Winograd::new(
        &mut Store::new(level),
        case.window,
        &parts[0],
        data,
        output,
        residual,
        case.activation,
    );
    memory.run_on(pool, level, vec![Call::Winograd(Box::new(call))], &output)
}

/// Whether the 4×4 tile of an output sees a place of the input.
fn sees(case: &Case, output: usize, place: usize) -> bool {
    let [_, out_width] = case.output();
    let [height, width] = case.size;
    let at = |i: usize, width: usize, height: usize| [i / width % height, i % width];
    let (tile, place) =
        (at(output, out_width, case.output()[0]).map(|i| i / 4 * 4), at(place, width, height));
    (0..2).all(|axis| (tile[axis]..tile[axis] + 6).contains(&(place[axis] + case.window.pad[axis])))
}

fn check(case: &Case) {
    let want: Vec<f64> = case.sums(f64::from).into_iter().map(|x| activate(case.activation, x)).collect();
    let magnitudes = case.sums(|x| if x.is_finite() { f64::from(x.abs()) } else { 0.0 });
    let largest = magnitudes.into_iter().fold(0.0, f64::max);
    let allowed = BOUND * tolerance(9 * case.inputs(), largest);
    for level in levels() {
        for (i, got) in run(case, level, &mut team(1)).into_iter().enumerate() {
            let Some(got) = got else { continue };
            if case.specials.iter().any(|&(place, _)| sees(case, i, place)) {
                assert!(got.is_nan() || !want[i].is_nan(), "{level:?}: element {i} is {got}, in {case:?}");
            } else {
                assert!(
                    agrees(got, want[i], allowed),
                    "{level:?}: element {i} is {got}, not {} within {allowed:e}, in {case:?}",
                    want[i]
                );
            }
        }
    }
}

#[test]
fn every_count_of_channels_around_a_vector_is_right() {
    for &inputs in &CHANNELS[1..] {
        for &out in &CHANNELS[1..] {
            check(&Case { residual: true, ..Case::dense(inputs, out, [3, 3]) });
        }
    }
}

#[test]
fn every_size_cuts_its_tiles_whatever_remains() {
    for height in 1..=9 {
        for width in 1..=9 {
            let case = Case { size: [height, width], ..Case::dense(6, 21, [3, 3]) };
            check(&case);
            check(&Case { input_gaps: GAPS, output_gaps: GAPS, activation: CHEAP[2], ..case });
        }
    }
}

#[test]
fn each_side_has_its_own_padding() {
    for [top, left, bottom, right] in
        [[0, 0, 0, 0], [0, 0, 1, 1], [1, 0, 0, 2], [2, 3, 0, 0], [0, 1, 3, 0], [6, 5, 9, 7]]
    {
        let mut case = Case { size: [7, 11], output_gaps: GAPS, ..Case::dense(9, 17, [3, 3]) };
        (case.window.pad, case.end_pad) = ([top, left], [bottom, right]);
        check(&case);
    }
}

#[test]
fn terms_and_activations_follow_in_that_order() {
    for activation in CHEAP {
        for residual in [false, true] {
            check(&Case { activation, residual, output_gaps: GAPS, ..Case::dense(11, 21, [3, 3]) });
        }
    }
}

#[test]
fn several_blocks_and_threads_are_the_same_to_the_bit() {
    let bits = |list: Vec<Option<f32>>| list.iter().map(|x| x.map(f32::to_bits)).collect::<Vec<_>>();
    for (inputs, out, size) in [(16, 35, [40, 33]), (130, 200, [9, 14]), (3, 5, [4, 4])] {
        let case = Case { size, residual: true, output_gaps: GAPS, ..Case::dense(inputs, out, [3, 3]) };
        check(&case);
        for level in levels() {
            let alone = bits(run(&case, level, &mut team(1)));
            for threads in [2, 3, 7] {
                let together = bits(run(&case, level, &mut team(threads)));
                assert_eq!(together, alone, "{level:?}, {threads} threads: {case:?}");
            }
        }
    }
}

#[test]
fn nan_and_infinities_reach_only_tiles_that_see_them() {
    for special in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for activation in [Activation::None, Activation::RELU, CHEAP[3], CHEAP[5]] {
            for place in [0, 10, 4 * 11 + 4, 76, 77 + 38] {
                let case = Case { size: [7, 11], activation, ..Case::dense(5, 18, [3, 3]) };
                check(&Case { specials: vec![(place, special)], ..case });
            }
        }
    }
}

fn any_case() -> impl Strategy<Value = Case> {
    let pads = [[0..4usize, 0..4], [0..4, 0..4]];
    let shape = ([1..14usize, 1..20], 1..40usize, 1..50usize, pads);
    (shape, any::<bool>(), prop::sample::select(&CHEAP[..]), [gaps(), gaps()], 0..1000u64).prop_map(
        |((size, inputs, out, pads), residual, activation, [input_gaps, output_gaps], seed)| {
            let [input_gaps, output_gaps] = [input_gaps, output_gaps].map(|gaps| Gaps { ring: None, ..gaps });
            let dense = Case::dense(inputs, out, [3, 3]);
            let mut case = Case { size, residual, activation, input_gaps, output_gaps, seed, ..dense };
            [case.window.pad, case.end_pad] = pads;
            case
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_3x3_convolution_is_near_its_reference(case in any_case()) {
        prop_assume!(case.output().iter().all(|&size| size > 0));
        check(&case);
    }
}
