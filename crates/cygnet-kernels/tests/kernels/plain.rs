//! The operators without packed weights.

use cygnet_kernels::reference::{self, PoolShape};
use cygnet_kernels::{Activation, Binary, Call, Map, Plain, PlainCall, Pooling, Window};
use proptest::prelude::*;

use crate::conv::gaps;
use crate::memory::{CHANNELS, CHEAP, Gaps, Memory, activate, agrees, levels, to_f64, tolerance, values};

const GAPS: Gaps = Gaps { before: 1, after: 2, row: 3, halo: [1, 2], ring: None };
const DENSE: Gaps = Gaps { before: 0, after: 0, row: 0, halo: [0, 0], ring: None };

/// Heights and widths, and whether there is more than the map's own numbers in memory.
const PLACES: [([usize; 2], Gaps); 5] =
    [([1, 1], DENSE), ([3, 5], DENSE), ([4, 2], GAPS), ([0, 3], GAPS), ([3, 0], GAPS)];

fn shape(channels: usize, [height, width]: [usize; 2]) -> [usize; 3] {
    [channels, height, width]
}

fn len(shape: [usize; 3]) -> usize {
    shape.iter().product()
}

/// Numbers from -8 to 8.
fn wide(count: usize, seed: u64) -> Vec<f32> {
    values(count, seed).into_iter().map(|x| x * 8.0).collect()
}

/// Runs an operator under every instruction set and compares it with `want`, which sums `terms` numbers.
fn check(
    op: &Plain,
    inputs: &[(&[f32], [usize; 3])],
    output: [usize; 3],
    gaps: Gaps,
    want: &[f64],
    terms: usize,
) {
    let (mut memory, gaps) = (Memory::default(), gaps.whole());
    let early = len(output).is_multiple_of(2).then(|| memory.map(output, [0, 0], gaps));
    let maps: Vec<Map> =
        inputs.iter().map(|(x, shape)| memory.input(*shape, [0, 0], gaps, |i| x[i])).collect();
    let out = early.unwrap_or_else(|| memory.map(output, [0, 0], gaps));
    let finite = |x: &&f32| x.is_finite();
    let largest =
        inputs.iter().flat_map(|(x, _)| x.iter().filter(finite)).fold(0.0, |m: f32, x| m.max(x.abs()));
    let allowed = tolerance(terms, f64::from(largest) * terms.max(1) as f64);
    assert_eq!(want.len(), len(output));
    for level in levels() {
        let call = PlainCall::new(level, op.clone(), maps.clone(), out);
        let got = memory.run(level, vec![Call::Plain(Box::new(call))], &out);
        for (i, (got, want)) in got.into_iter().zip(want).enumerate() {
            let Some(got) = got else { continue };
            assert!(
                agrees(got, *want, allowed),
                "{level:?}: element {i} of {output:?} is {got}, not {want}, in {op:?}"
            );
        }
    }
}

/// As [`check`], of an element-wise function.
fn check_each(op: &Plain, x: &[f32], size: [usize; 3], gaps: Gaps, f: impl Fn(usize, f64) -> f64) {
    let plane = size[1] * size[2];
    let want: Vec<f64> = x.iter().enumerate().map(|(i, &x)| f(i / plane.max(1), f64::from(x))).collect();
    check(op, &[(x, size)], size, gaps, &want, 1);
}

fn activations() -> impl Iterator<Item = Activation> {
    CHEAP.into_iter().chain([Activation::Sigmoid, Activation::Swish])
}

#[test]
fn activations_are_their_formulas() {
    for activation in activations() {
        for channels in CHANNELS {
            for (size, gaps) in PLACES {
                let size = shape(channels, size);
                let x = wide(len(size), 3);
                check_each(&Plain::Activation(activation), &x, size, gaps, |_, x| activate(activation, x));
            }
        }
    }
}

#[test]
fn activations_of_specials_are_nan_or_their_limits() {
    // Hard-swish is infinite where six times its input is.
    let large = f32::MAX / 7.0;
    let x = [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY, large, -large, 0.0, -0.0, 1e-45, -1e-40];
    for activation in activations() {
        for at in 0..x.len() {
            // Each in every lane.
            let size = [37, 1, 1];
            let list: Vec<f32> = (0..37).map(|i| x[(i + at) % x.len()]).collect();
            for level in levels() {
                let mut memory = Memory::default();
                let input = memory.input(size, [0, 0], DENSE, |i| list[i]);
                let out = memory.map(size, [0, 0], DENSE);
                let call = PlainCall::new(level, Plain::Activation(activation), vec![input], out);
                let got = memory.run(level, vec![Call::Plain(Box::new(call))], &out);
                for (x, got) in list.iter().zip(got) {
                    let (got, want) = (got.unwrap(), activate(activation, f64::from(*x)));
                    let close = agrees(got, want, want.abs() * 1e-6 + 1e-30);
                    assert!(close, "{level:?}: {activation:?} of {x} is {got}");
                }
            }
        }
    }
}

#[test]
fn a_copy_keeps_every_bit() {
    let x: Vec<f32> = [0x7fc0_1234, 0xffc0_0001, 0x8000_0000, 0, 1, 0x8000_0001, 0x7f80_0000, 0xff80_0000]
        .into_iter()
        .map(f32::from_bits)
        .collect();
    let size = [x.len(), 1, 1];
    for op in [Plain::Activation(Activation::None), Plain::Upsample] {
        for level in levels() {
            let mut memory = Memory::default();
            let input = memory.input(size, [0, 0], GAPS, |i| x[i]);
            let out = memory.map(size, [0, 0], GAPS);
            let call = PlainCall::new(level, op.clone(), vec![input], out);
            let got = memory.run(level, vec![Call::Plain(Box::new(call))], &out);
            let bits: Vec<u32> = got.into_iter().map(|x| x.unwrap().to_bits()).collect();
            assert_eq!(bits, x.iter().map(|x| x.to_bits()).collect::<Vec<_>>(), "{level:?}: {op:?}");
        }
    }
}

#[test]
fn affine_scales_and_shifts_each_channel() {
    for activation in activations() {
        for channels in CHANNELS {
            let (scale, shift) = (values(channels, 5), values(channels, 6));
            for (size, gaps) in PLACES {
                let size = shape(channels, size);
                let mut x = wide(len(size), 7);
                if let Some(x) = x.last_mut() {
                    *x = f32::NAN;
                }
                let op = Plain::Affine { scale: scale.clone(), shift: shift.clone(), activation };
                check_each(&op, &x, size, gaps, |c, x| {
                    activate(activation, x * f64::from(scale[c]) + f64::from(shift[c]))
                });
            }
        }
    }
}

#[test]
fn sums_and_products_broadcast_dimensions_of_one() {
    for (binary, function) in
        [(Binary::Add, (|a, b| a + b) as fn(f64, f64) -> f64), (Binary::Mul, |a, b| a * b)]
    {
        for channels in CHANNELS {
            for ones in 0..8 {
                let output = shape(channels, [3, 4]);
                let other = std::array::from_fn(|axis| if ones >> axis & 1 == 1 { 1 } else { output[axis] });
                let (mut a, b) = (wide(len(output), 8), values(len(other), 9));
                if let Some(a) = a.first_mut() {
                    *a = f32::NAN;
                }
                for gaps in [DENSE, GAPS] {
                    for (left, right) in [((&a, output), (&b, other)), ((&b, other), (&a, output))] {
                        let ((l, ls), (r, rs)) = (left, right);
                        let [lf, rf] = [to_f64(l), to_f64(r)];
                        let mut want = if channels == 0 {
                            Vec::new()
                        } else {
                            reference::broadcast((&lf, ls), (&rf, rs), function)
                        };
                        let activation = CHEAP[ones % CHEAP.len()];
                        want.iter_mut().for_each(|x| *x = activate(activation, *x));
                        check(
                            &Plain::Binary(binary, activation),
                            &[(l, ls), (r, rs)],
                            output,
                            gaps,
                            &want,
                            1,
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn an_empty_map_broadcasts_to_nothing() {
    for size in [[0, 3], [3, 0]] {
        let op = Plain::Binary(Binary::Add, Activation::None);
        check(&op, &[(&[], shape(5, size)), (&values(5, 1), [5, 1, 1])], shape(5, size), GAPS, &[], 1);
    }
}

/// A pooling that fits its input, and one that does not is cut at the padded image.
fn check_pool(pooling: Pooling, pool: &PoolShape, gaps: Gaps, specials: &[(usize, f32)]) {
    let mut x = values(len(pool.input), 11);
    let count = x.len();
    specials.iter().filter(|_| count > 0).for_each(|&(place, value)| x[place % count] = value);
    let want = match pooling {
        Pooling::Max => reference::max_pool(pool, &to_f64(&x)),
        Pooling::Mean { count_pad } => reference::avg_pool(pool, &to_f64(&x), count_pad),
    };
    let window = Window {
        kernel: pool.kernel,
        stride: pool.stride,
        pad: pool.pad.map(|[before, _]| before),
        ..Window::POINT
    };
    let op = Plain::Pool { pooling, window, end_pad: pool.pad.map(|[_, after]| after) };
    let terms = if pooling == Pooling::Max { 1 } else { pool.kernel[0] * pool.kernel[1] };
    check(&op, &[(&x, pool.input)], [pool.input[0], pool.output[0], pool.output[1]], gaps, &want, terms);
}

const POOLINGS: [Pooling; 3] =
    [Pooling::Max, Pooling::Mean { count_pad: false }, Pooling::Mean { count_pad: true }];

/// The shape with as many windows as fit, or, with `ceil`, as start on the image or the padding before it.
fn pool_shape(input: [usize; 3], kernel: usize, stride: usize, pad: [usize; 2], ceil: bool) -> PoolShape {
    let output = [1, 2].map(|axis| {
        let room = (input[axis] + pad[0] + pad[1]).saturating_sub(kernel);
        let count = if ceil { room.div_ceil(stride) } else { room / stride } + 1;
        if ceil && (count - 1) * stride >= input[axis] + pad[0] { count - 1 } else { count }
    });
    PoolShape { input, output, kernel: [kernel; 2], stride: [stride; 2], pad: [pad; 2] }
}

#[test]
fn pools_cut_their_windows_at_the_edges() {
    for pooling in POOLINGS {
        for channels in CHANNELS {
            for (kernel, stride, pad, ceil) in
                [(2, 2, [0, 0], false), (3, 2, [1, 1], false), (3, 2, [0, 0], true), (3, 1, [1, 1], false)]
            {
                for gaps in [DENSE, GAPS] {
                    let pool = pool_shape([channels, 6, 7], kernel, stride, pad, ceil);
                    check_pool(pooling, &pool, gaps, &[]);
                }
            }
        }
        for (kernel, stride, pad, ceil) in
            [(3, 2, [0, 1], true), (5, 3, [2, 2], true), (7, 1, [3, 3], false), (2, 1, [1, 0], false)]
        {
            check_pool(pooling, &pool_shape([5, 8, 5], kernel, stride, pad, ceil), GAPS, &[]);
        }
    }
}

#[test]
fn pools_answer_nan_where_a_window_holds_one_and_never_for_padding() {
    for pooling in POOLINGS {
        for place in [0, 6, 35, 41, 42 + 17] {
            for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                let pool = pool_shape([3, 6, 7], 3, 2, [1, 1], false);
                check_pool(pooling, &pool, GAPS, &[(place, value)]);
                check_pool(pooling, &pool, GAPS, &[(place, value), (place + 1, f32::NAN)]);
                check_pool(pooling, &pool, GAPS, &[(place, f32::NAN), (place + 1, value)]);
            }
        }
    }
}

#[test]
fn a_window_that_sees_nothing_is_minus_infinity_or_zero() {
    let pool =
        PoolShape { input: [5, 2, 2], output: [4, 4], kernel: [1, 1], stride: [1, 1], pad: [[1, 1]; 2] };
    POOLINGS.into_iter().for_each(|pooling| check_pool(pooling, &pool, GAPS, &[]));
}

#[test]
fn the_global_mean_is_of_all_pixels() {
    for channels in CHANNELS {
        for (size, gaps) in PLACES.into_iter().filter(|(size, _)| size[0] * size[1] > 0) {
            let input = shape(channels, size);
            for special in [0.5, f32::NAN, f32::INFINITY] {
                let mut x = wide(len(input), 13);
                if let Some(x) = x.last_mut() {
                    *x = special;
                }
                let want = if channels == 0 {
                    Vec::new()
                } else {
                    reference::global_avg_pool(&to_f64(&x), channels)
                };
                check(&Plain::GlobalMean, &[(&x, input)], [channels, 1, 1], gaps, &want, size[0] * size[1]);
            }
        }
    }
}

#[test]
fn softmax_sums_to_one_at_each_pixel() {
    for channels in CHANNELS.into_iter().chain([1000]) {
        for (size, gaps) in PLACES {
            let size = shape(channels, size);
            for (special, factor) in
                [(0.5, 1.0), (f32::NAN, 1.0), (f32::INFINITY, 1.0), (f32::NEG_INFINITY, 1.0), (1e30, 1e30)]
            {
                let mut x: Vec<f32> = wide(len(size), 17).into_iter().map(|x| x * factor).collect();
                if let Some(x) = x.last_mut() {
                    *x = special;
                }
                let mut want = to_f64(&x);
                if !want.is_empty() {
                    reference::softmax(&mut want, channels);
                }
                // The result is at most 1, whatever it is of.
                check(&Plain::Softmax, &[(&x, size)], size, gaps, &want, 1);
            }
        }
    }
}

#[test]
fn local_response_norm_sees_its_neighbours() {
    for channels in CHANNELS {
        for window in [1, 2, 4, 5, 9] {
            for (size, gaps) in PLACES {
                let size = shape(channels, size);
                for special in [0.5, f32::NAN] {
                    let mut x = wide(len(size), 19);
                    if let Some(x) = x.last_mut() {
                        *x = special;
                    }
                    let constants = [1e-1, 0.75, 2.0];
                    let want = if channels == 0 {
                        Vec::new()
                    } else {
                        reference::local_response_norm(&to_f64(&x), channels, window, constants)
                    };
                    let op =
                        Plain::LocalResponseNorm { size: window, constants: constants.map(|c| c as f32) };
                    check(&op, &[(&x, size)], size, gaps, &want, 1);
                }
            }
        }
    }
}

#[test]
fn upsampling_shows_the_nearest_pixel() {
    for channels in CHANNELS.into_iter().filter(|&channels| channels > 0) {
        for (from, to) in
            [([1, 1], [3, 5]), ([2, 3], [4, 6]), ([3, 2], [7, 5]), ([4, 4], [4, 4]), ([2, 2], [0, 3])]
        {
            let x = values(channels * from[0] * from[1], 23);
            let want = reference::upsample_nearest(&to_f64(&x), shape(channels, from), to);
            for gaps in [DENSE, GAPS] {
                check(&Plain::Upsample, &[(&x, shape(channels, from))], shape(channels, to), gaps, &want, 0);
            }
        }
    }
}

#[test]
fn pools_and_enlargement_of_nothing_are_refused() {
    let empty = Map::dense(0, [4, 0, 3]);
    let pool = Plain::Pool { pooling: Pooling::Max, window: Window::POINT, end_pad: [0, 0] };
    for op in [pool, Plain::GlobalMean, Plain::Upsample] {
        let level = levels().next().unwrap();
        let made = std::panic::catch_unwind(|| {
            PlainCall::new(level, op.clone(), vec![empty], Map::dense(0, [4, 1, 1]))
        });
        assert!(made.is_err(), "{op:?} has no answer for an image without pixels");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_pooling_is_its_reference(
        pooling in prop::sample::select(&POOLINGS[..]),
        input in [0..40usize, 1..9, 1..9],
        kernel in [1..5usize, 1..5],
        stride in [1..4usize, 1..4],
        pad in [[0..3usize, 0..3], [0..3, 0..3]],
        ceil in any::<bool>(),
        gaps in gaps(),
    ) {
        let output = std::array::from_fn(|axis| {
            let room = (input[axis + 1] + pad[axis][0] + pad[axis][1]).saturating_sub(kernel[axis]);
            let count = if ceil { room.div_ceil(stride[axis]) } else { room / stride[axis] } + 1;
            // No window starts beyond the padding.
            count.min((input[axis + 1] + pad[axis][0] + pad[axis][1]).div_ceil(stride[axis]))
        });
        let pool = PoolShape { input, output, kernel, stride, pad };
        check_pool(pooling, &pool, gaps, &[]);
    }
}
