//! Layers in bf16: the same bits under every instruction set.

use cygnet_kernels::pool::Pool;
use cygnet_kernels::reference::bf16::{halved, linear, whole};
use cygnet_kernels::{Bf16Linear, Call, ConvWeights, Store, Window};
use proptest::prelude::*;

use crate::case::Case;
use crate::memory::{CHEAP, Gaps, activate, agrees, levels, team};

/// A layer whose window is its whole input.
fn layer(parts: Vec<usize>, out: usize, size: [usize; 2]) -> Case {
    let window = Window { kernel: size, pad: [0, 0], ..Window::POINT };
    let seed = (parts.iter().sum::<usize>() + 64 * out + 4096 * size[0]) as u64;
    Case { size, parts, out, window, end_pad: [0, 0], seed, ..Case::dense(1, 1, size) }
}

/// Numbers `[outer, channels, pixels]` with the channels last.
fn channels_last(numbers: &[f32], channels: usize, pixels: usize) -> Vec<f32> {
    let image = |image: &[f32]| -> Vec<f32> {
        (0..pixels * channels).map(|i| image[i % channels * pixels + i / channels]).collect()
    };
    numbers.chunks((channels * pixels).max(1)).flat_map(image).collect()
}

fn check_on(pool: &mut Pool, case: &Case) {
    let (memory, parts, _, output) = case.memory();
    let (inputs, pixels) = (case.inputs(), case.size[0] * case.size[1]);
    let x = channels_last(&case.x(), inputs, pixels);
    let sums = linear(&x, &channels_last(&case.weight(), inputs, pixels), &case.bias());
    let (weight, scale, bias) = (case.given_weight(), case.scale(), case.bias());
    for level in levels() {
        let data = ConvWeights { weight: &weight, scale: &scale, bias: &bias, inputs };
        let call = Bf16Linear::new(&mut Store::new(level), &parts, data, output, case.activation);
        let got = memory.run_on(pool, level, vec![Call::Bf16Linear(Box::new(call))], &output);
        assert_eq!(got.len(), sums.len());
        for (i, (got, sum)) in got.into_iter().zip(&sums).enumerate() {
            let (got, want) = (got.unwrap(), activate(case.activation, f64::from(*sum)));
            let is_right = match case.activation {
                cygnet_kernels::Activation::None => {
                    got.to_bits() == sum.to_bits() || (got.is_nan() && sum.is_nan())
                }
                _ => agrees(got, want, 1e-5 * want.abs()),
            };
            assert!(is_right, "{level:?}: output {i} is {got}, not {want}, in {case:?}");
        }
    }
}

fn check(case: &Case) {
    check_on(&mut team(1), case);
}

#[test]
fn numbers_are_rounded_to_the_nearest_and_even() {
    for (x, half) in [
        (0.0, 0),
        (-0.0, 0x8000),
        (1.0, 0x3f80),
        (1.0 + 1.0 / 256.0, 0x3f80),
        (1.0 + 3.0 / 256.0, 0x3f82),
        (f32::from_bits(0x3f80_8001), 0x3f81),
        (-f32::MIN_POSITIVE, 0x8080),
        (f32::MIN_POSITIVE / 2.0, 0),
        (-f32::MIN_POSITIVE / 2.0, 0x8000),
        (f32::MAX, 0x7f80),
        (f32::NEG_INFINITY, 0xff80),
    ] {
        assert_eq!(halved(x), half, "{x}");
    }
    assert!(whole(halved(f32::from_bits(0x7f80_0001))).is_nan() && whole(halved(-f32::NAN)).is_nan());
}

#[test]
fn layers_of_all_sizes() {
    for inputs in [0, 1, 2, 3, 16, 17, 64, 131] {
        for out in [0, 1, 3, 4, 7, 8, 15, 16, 17, 31, 33, 64, 100, 111, 112, 113, 129, 230] {
            check(&layer(vec![inputs], out, [1, 1]));
        }
    }
}

#[test]
fn whole_maps_and_parts_out_of_order() {
    for size in [[1, 1], [2, 3], [7, 7]] {
        for parts in [vec![5], vec![3, 6], vec![8, 0, 1, 7]] {
            for gaps in [Gaps::default(), Gaps { before: 1, after: 2, row: 3, halo: [1, 2], ring: None }] {
                let mut case = layer(parts.clone(), 37, size);
                (case.input_gaps, case.output_gaps) = (gaps, gaps);
                check(&case);
            }
        }
    }
}

#[test]
fn activations_and_numbers_that_are_none() {
    for activation in CHEAP {
        let mut case = layer(vec![40], 70, [1, 1]);
        case.activation = activation;
        check(&case);
        for special in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e-42] {
            case.specials = vec![(7, special)];
            check(&case);
        }
    }
}

#[test]
fn threads_compute_the_same() {
    for threads in [2, 3, 7] {
        check_on(&mut team(threads), &layer(vec![60, 9], 1000, [1, 1]));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_layer(
        [inputs, more, out] in [0usize..40, 0usize..9, 0usize..260],
        size in [1usize..4, 1usize..4],
        gaps in [0usize..3, 0usize..3, 0usize..3, 0usize..3],
        seed in 0u64..1000,
    ) {
        let parts = if more == 0 { vec![inputs] } else { vec![inputs, more] };
        let [before, after, row, halo] = gaps;
        let gaps = Gaps { before, after, row, halo: [halo, 0], ring: None };
        let case = layer(parts, out, size);
        check(&Case { seed, input_gaps: gaps, output_gaps: gaps, ..case });
    }
}
