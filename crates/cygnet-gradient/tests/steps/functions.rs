//! Functions of one value and their gradients: pooling, activations, softmax and the like.

use cygnet_cpu::Activation;
use cygnet_gradient::{Elementwise, Pooling, PoolingKind, Step, Transform, TransformKind, View, Window};
use cygnet_testing::arithmetic::{CHANNELS, CHEAP, activate};

use crate::bench::{Bench, Size, Slopes, compare, dot};

/// Checks a function's step against its definition, and its gradient's, added or not to what is there, against finite
/// differences.
fn check(
    what: &str,
    [x_size, y_size]: [Size; 2],
    f: impl Fn(&[f64]) -> Vec<f64>,
    forward: impl Fn(View, View) -> Step,
    backward: impl Fn(View, View, View, bool) -> Step,
) {
    for gap in [0, 3] {
        let mut bench = Bench::default();
        let (x, values) = bench.random(x_size, gap, 1);
        let y = bench.view(y_size, gap);
        let want = f(&values);
        let share = 1e-5;
        bench.each(
            |_| vec![forward(x, y)],
            &[y],
            |level, after| compare(&format!("{what}, {level:?}"), &after.view(&y), &want, share),
        );
        let mut bench = Bench::default();
        let (x, _) = bench.random(x_size, gap, 1);
        let (g, g_values) = bench.random(y_size, 2 * gap, 2);
        let (to, before) = bench.random(x_size, gap, 3);
        let slopes = Slopes::of(&values, |x| dot(&f(x), &g_values));
        for accumulate in [false, true] {
            bench.each(
                |_| vec![backward(x, g, to, accumulate)],
                &[to],
                |level, after| {
                    let mut got = after.view(&to);
                    if accumulate {
                        got.iter_mut().zip(&before).for_each(|(got, before)| *got -= before);
                    }
                    slopes.check(&format!("gradient of {what}, {level:?}"), &got, 2e-5);
                },
            );
        }
    }
}

fn channels() -> impl Iterator<Item = usize> {
    CHANNELS.into_iter().filter(|&c| c > 0)
}

#[test]
fn activations_and_scales_have_the_gradients_of_finite_differences() {
    for channels in channels() {
        let size = [2, 3, 2, channels];
        for activation in CHEAP.into_iter().chain([Activation::Sigmoid, Activation::Swish]) {
            check(
                &format!("{activation:?}"),
                [size; 2],
                |x| x.iter().map(|&x| activate(activation, x)).collect(),
                |x, to| Step::Elementwise(Elementwise::Activate { x, to, activation }),
                |x, g, to, accumulate| {
                    Step::Elementwise(Elementwise::Derive { g, x, to, activation, accumulate })
                },
            );
        }
        let scale: Vec<f32> = (0..channels).map(|c| 0.5 + c as f32 / 8.0).collect();
        let affine = |x: View, to: View, shift: f32, accumulate: bool| {
            let (scale, shift) = (scale.clone(), vec![shift; channels]);
            Step::Elementwise(Elementwise::Affine { x, to, scale, shift, accumulate })
        };
        check(
            "a scale",
            [size; 2],
            |x| x.iter().enumerate().map(|(i, x)| x * f64::from(scale[i % channels]) + 0.25).collect(),
            |x, to| affine(x, to, 0.25, false),
            |_, g, to, accumulate| affine(g, to, 0.0, accumulate),
        );
    }
}

#[test]
fn pooling_has_the_gradient_of_finite_differences() {
    let windows = [
        (Window { kernel: [2, 2], stride: [2, 2], pad: [0, 0], end_pad: [0, 0] }, [5, 6], [2, 3]),
        (Window { kernel: [3, 3], stride: [2, 2], pad: [1, 1], end_pad: [1, 1] }, [5, 6], [3, 3]),
        (Window { kernel: [3, 2], stride: [1, 2], pad: [0, 1], end_pad: [2, 0] }, [4, 5], [4, 3]),
        (Window { kernel: [4, 3], stride: [1, 1], pad: [0, 0], end_pad: [0, 0] }, [4, 3], [1, 1]),
    ];
    let kinds =
        [PoolingKind::Max, PoolingKind::Mean { count_pad: true }, PoolingKind::Mean { count_pad: false }];
    for channels in channels() {
        for (window, [height, width], [rows, columns]) in windows {
            for kind in kinds {
                let sizes = [[2, height, width, channels], [2, rows, columns, channels]];
                let pool = |x: &[f64]| {
                    let mut y = Vec::new();
                    for (image, oy, ox, c) in places(sizes[1]) {
                        let start = [oy * window.stride[0], ox * window.stride[1]];
                        let (mut sum, mut largest, mut on_image, mut padded) = (0.0, f64::NEG_INFINITY, 0, 0);
                        for i in start[0]..start[0] + window.kernel[0] {
                            for j in start[1]..start[1] + window.kernel[1] {
                                let ends = [0, 1].map(|axis| {
                                    [height, width][axis] + window.pad[axis] + window.end_pad[axis]
                                });
                                padded += usize::from(i < ends[0] && j < ends[1]);
                                let [i, j] = [i.wrapping_sub(window.pad[0]), j.wrapping_sub(window.pad[1])];
                                if i < height && j < width {
                                    let x = x[((image * height + i) * width + j) * channels + c];
                                    (sum, largest, on_image) = (sum + x, largest.max(x), on_image + 1);
                                }
                            }
                        }
                        y.push(match kind {
                            PoolingKind::Max => largest,
                            PoolingKind::Mean { count_pad: true } => sum / f64::from(padded as u32),
                            PoolingKind::Mean { count_pad: false } => sum / f64::from(on_image),
                        });
                    }
                    y
                };
                check(
                    &format!("{kind:?} of {window:?} over {channels} channels"),
                    sizes,
                    pool,
                    |x, y| Step::Pooling(Pooling { kind, window, x, y, backward: None }),
                    |x, y, to, accumulate| {
                        Step::Pooling(Pooling { kind, window, x, y, backward: Some((to, accumulate)) })
                    },
                );
            }
        }
    }
}

/// Image, row, column and channel of every element, in order.
fn places([images, height, width, channels]: Size) -> impl Iterator<Item = (usize, usize, usize, usize)> {
    (0..images).flat_map(move |n| {
        (0..height).flat_map(move |y| (0..width).flat_map(move |x| (0..channels).map(move |c| (n, y, x, c))))
    })
}

fn transform(what: &str, kind: TransformKind, sizes: [Size; 2], f: impl Fn(&[f64]) -> Vec<f64>) {
    check(
        what,
        sizes,
        f,
        |x, y| Step::Transform(Transform { kind, x, y, backward: None }),
        |x, y, to, accumulate| Step::Transform(Transform { kind, x, y, backward: Some((to, accumulate)) }),
    );
}

#[test]
fn softmax_and_local_response_norm_have_the_gradients_of_finite_differences() {
    for channels in channels() {
        let size = [2, 2, 3, channels];
        transform("softmax", TransformKind::Softmax, [size; 2], |x| {
            let softmax = |x: &[f64]| {
                let sum: f64 = x.iter().map(|x| x.exp()).sum();
                x.iter().map(|x| x.exp() / sum).collect::<Vec<_>>()
            };
            x.chunks_exact(channels).flat_map(softmax).collect()
        });
        for window in [1, 2, 5] {
            let constants = [0.75f32, 0.75, 1.5];
            let kind = TransformKind::LocalResponseNorm { size: window, constants };
            transform(&format!("{kind:?}"), kind, [size; 2], |x| {
                let norm = |x: &[f64]| {
                    let of = |c: usize| {
                        let near = c.saturating_sub(window / 2)..(c + (window - 1) / 2 + 1).min(channels);
                        let squares: f64 = x[near].iter().map(|x| x * x).sum();
                        x[c] / (1.5 + 0.75 / window as f64 * squares).powf(0.75)
                    };
                    (0..channels).map(of).collect::<Vec<_>>()
                };
                x.chunks_exact(channels).flat_map(norm).collect()
            });
        }
    }
}

#[test]
fn what_enlarges_averages_and_flattens_has_the_gradient_of_finite_differences() {
    for channels in channels() {
        let map = [2, 3, 4, channels];
        let at = move |x: &[f64], n: usize, y: usize, column: usize, c: usize| {
            x[((n * 3 + y) * 4 + column) * channels + c]
        };
        let large = [2, 6, 7, channels];
        transform("enlargement", TransformKind::Upsample, [map, large], |x| {
            places(large).map(|(n, oy, ox, c)| at(x, n, oy * 3 / 6, ox * 4 / 7, c)).collect()
        });
        let small = [2, 2, 3, channels];
        transform("means over windows", TransformKind::AdaptiveMean, [map, small], |x| {
            let mean = |(n, oy, ox, c): (usize, usize, usize, usize)| {
                let rows = oy * 3 / 2..((oy + 1) * 3usize).div_ceil(2);
                let columns = ox * 4 / 3..((ox + 1) * 4usize).div_ceil(3);
                let count = rows.len() * columns.len();
                let all = rows.flat_map(|y| columns.clone().map(move |column| (y, column)));
                all.map(|(y, column)| at(x, n, y, column, c)).sum::<f64>() / count as f64
            };
            places(small).map(mean).collect()
        });
        let flat = [2, 1, 1, 12 * channels];
        transform("flattening", TransformKind::Flatten, [map, flat], |x| {
            let of = |(n, _, _, i): (usize, usize, usize, usize)| at(x, n, i % 12 / 4, i % 4, i / 12);
            places(flat).map(of).collect()
        });
    }
}
