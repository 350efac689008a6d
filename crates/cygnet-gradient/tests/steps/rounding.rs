//! Rounding to grids of bytes: to the bit what bytes stand for, and the gradients that are passed on by definition.

use cygnet_gradient::{Reduce, Round, RoundBackward, Step, View, WeightLayout};
use cygnet_testing::arithmetic::{CHANNELS, to_f64};

use crate::bench::{Bench, Size, Slopes, compare, dot};

/// Numbers at and around both ends, halves between two bytes, and what is no number a byte has.
fn numbers(count: usize) -> Vec<f32> {
    let special = [0.0, -0.0, 0.5, 1.5, -0.5, 254.5, 255.5, -128.5, 1e30, -1e30, f32::INFINITY, f32::NAN];
    let number = |i: usize| match i % 5 {
        0 => special[i / 5 % special.len()],
        _ => ((i * 7919 + 13) % 2003) as f32 / 3.0 - 330.0,
    };
    (0..count).map(number).collect()
}

/// The steps that a number is from 0, and those of its byte.
fn steps(x: f32, scale: f32, zero: u8) -> [f32; 2] {
    let steps = x * (1.0 / f64::from(scale)) as f32;
    let byte = (steps.round_ties_even() as i32).saturating_add(zero.into()).clamp(0, 255);
    [steps, (byte - i32::from(zero)) as f32]
}

/// Which zero and whether the scale is that of all channels.
const KINDS: [(u8, bool); 5] = [(0, false), (128, false), (37, true), (255, true), (0, true)];

struct Case {
    bench: Bench,
    size: Size,
    x: View,
    values: Vec<f32>,
    param: usize,
    scales: Vec<f64>,
}

impl Case {
    fn new(channels: usize, gap: usize, shared: bool, values: impl Fn(usize) -> Vec<f32>) -> Case {
        let size = [2, 7, 11, channels];
        let mut bench = Bench::default();
        let values = values(size.iter().product());
        let x = bench.given(size, gap, &values);
        let (param, _) = bench.param(if shared { 1 } else { channels }, 7);
        let scales = bench.change(param, |x| 1.0 + x / 2.0);
        Case { bench, size, x, values, param, scales }
    }

    fn scale(&self, channel: usize) -> f32 {
        self.scales[if self.scales.len() == 1 { 0 } else { channel }] as f32
    }

    /// Rounds, with the gradients of scales brought to their parameter.
    fn backward(&self, zero: u8, g: View, to: View, sums: usize, factor: f32) -> Vec<Step> {
        let Case { x, param, .. } = *self;
        let shared = self.scales.len() == 1;
        let backward = Some(RoundBackward { g, sums, factor });
        let round = Round { x, to, zero, scales: param, shared, backward };
        let (segments, len) = (Round::row_blocks(&x), x.channels);
        let layout = if shared { WeightLayout::Total } else { WeightLayout::Same };
        let size = self.scales.len();
        let reduce = Reduce { partials: sums, segments, len, param, size, layout };
        vec![Step::Round(round), Step::Reduce(reduce)]
    }
}

#[test]
fn values_become_to_the_bit_what_their_bytes_stand_for() {
    for channels in CHANNELS.into_iter().filter(|&c| c > 0) {
        for (zero, shared) in KINDS {
            let mut case = Case::new(channels, 3, shared, numbers);
            let y = case.bench.view(case.size, 2);
            let byte = |(i, &x): (usize, &f32)| {
                let scale = case.scale(i % channels);
                steps(x, scale, zero)[1] * scale
            };
            let want: Vec<f32> = case.values.iter().enumerate().map(byte).collect();
            for to in [y, case.x] {
                let Case { x, param, .. } = case;
                let step = Round { x, to, zero, scales: param, shared, backward: None };
                case.bench.each(
                    |_| vec![Step::Round(step)],
                    &[to],
                    |level, after| {
                        let what = format!("{channels} channels, zero {zero}, {level:?}");
                        compare(&what, &after.view(&to), &to_f64(&want), 0.0);
                    },
                );
            }
        }
    }
}

#[test]
fn gradients_pass_between_the_ends_and_scales_have_those_of_their_definition() {
    let finite = |count| numbers(count).iter().map(|x| if x.abs() < 1e9 { *x } else { 3.3 }).collect();
    for channels in CHANNELS.into_iter().filter(|&c| c > 0) {
        for (zero, shared) in KINDS {
            let mut case = Case::new(channels, 1, shared, finite);
            let (g, g_values) = case.bench.random(case.size, 2, 5);
            let sums = case.bench.room(Round::row_blocks(&case.x) * channels);
            let ends = [0.0, 255.0].map(|end| end - f32::from(zero));
            let (mut of_x, mut of_scales) = (Vec::new(), vec![0.0; case.scales.len()]);
            for (i, (&x, &g)) in case.values.iter().zip(&g_values).enumerate() {
                let channel = i % channels;
                let [steps, byte] = steps(x, case.scale(channel), zero);
                let is_inside = ends[0] < steps && steps < ends[1];
                of_x.push(if is_inside { g } else { 0.0 });
                let moved = f64::from(byte) - if is_inside { f64::from(steps) } else { 0.0 };
                of_scales[if shared { 0 } else { channel }] += 0.25 * g * moved;
            }
            case.bench.each(
                |_| case.backward(zero, g, g, sums, 0.25),
                &[g],
                |level, after| {
                    let what = format!("{channels} channels, zero {zero}, {level:?}");
                    compare(&what, &after.view(&g), &of_x, 0.0);
                    compare(&format!("scales of {what}"), &after.gradients[case.param], &of_scales, 1e-4);
                },
            );
        }
    }
}

#[test]
fn beyond_the_ends_scales_have_the_gradients_of_finite_differences() {
    let far = |count| (0..count).map(|i| if i % 3 == 0 { -1000.0 } else { 700.0 + i as f32 }).collect();
    for (zero, shared) in KINDS {
        let mut case = Case::new(19, 0, shared, far);
        let (g, g_values) = case.bench.random(case.size, 0, 5);
        let to = case.bench.view(case.size, 1);
        let sums = case.bench.room(Round::row_blocks(&case.x) * 19);
        let rounded = |scales: &[f64]| {
            let round = |(i, x): (usize, &f32)| {
                let scale = scales[if shared { 0 } else { i % 19 }];
                let ends = [0.0, 255.0].map(|end| end - f64::from(zero));
                scale * (f64::from(*x) / scale).round().clamp(ends[0], ends[1])
            };
            dot(&case.values.iter().enumerate().map(round).collect::<Vec<_>>(), &g_values)
        };
        let slopes = Slopes::of(&case.scales, rounded);
        case.bench.each(
            |_| case.backward(zero, g, to, sums, 1.0),
            &[to],
            |level, after| {
                assert!(after.view(&to).iter().all(|x| *x == 0.0));
                slopes.check(&format!("zero {zero}, {level:?}"), &after.gradients[case.param], 2e-5);
            },
        );
    }
}
