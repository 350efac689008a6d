//! Batch norm with what follows it, forward and backward, with a batch's statistics and with running ones.

use cygnet_cpu::Activation;
use cygnet_gradient::{
    Apply, BatchNorm, Freeze, InputGradient, Moments, Norm, Normalise, NormaliseBackward, Source, Step,
};
use cygnet_testing::arithmetic::{CHANNELS, activate};

use crate::bench::{Bench, Size, Slopes, compare, dot};

const EPS: f64 = 1e-3;
const MOMENTUM: f32 = 0.125;

/// What a norm is made of.
struct Exact<'a> {
    channels: usize,
    /// Running mean and variance, where they are used.
    running: Option<[&'a [f64]; 2]>,
    activation: Activation,
}

impl Exact<'_> {
    /// Mean and variance of each channel.
    fn statistics(&self, x: &[f64]) -> [Vec<f64>; 2] {
        if let Some(running) = self.running {
            return running.map(<[f64]>::to_vec);
        }
        let rows = (x.len() / self.channels) as f64;
        let column = |c: usize| x.iter().skip(c).step_by(self.channels);
        let means: Vec<f64> = (0..self.channels).map(|c| column(c).sum::<f64>() / rows).collect();
        let variance = |c: usize| column(c).map(|x| (x - means[c]).powi(2)).sum::<f64>() / rows;
        [means.clone(), (0..self.channels).map(variance).collect()]
    }

    fn value(&self, x: &[f64], scale: &[f64], shift: &[f64], term: &[f64]) -> Vec<f64> {
        let [mean, variance] = self.statistics(x);
        let one = |(i, x): (usize, &f64)| {
            let c = i % self.channels;
            let y = (x - mean[c]) / (variance[c] + EPS).sqrt() * scale[c] + shift[c];
            activate(self.activation, y + term.get(i).copied().unwrap_or(0.0))
        };
        x.iter().enumerate().map(one).collect()
    }
}

fn check(size: Size, activation: Activation, has_term: bool, is_frozen: bool, gap: usize) {
    let what = format!("{size:?}, {activation:?}, term: {has_term}, frozen: {is_frozen}");
    let (channels, rows) = (size[3], size[0] * size[1] * size[2]);
    let mut bench = Bench::default();
    let (x, x_values) = bench.random(size, gap, 1);
    let (g, g_values) = bench.random(size, 2 * gap, 2);
    let (term, mut term_values) = bench.random(size, gap, 3);
    let (to, before) = bench.random(size, gap, 4);
    let (output, own) = (bench.view(size, gap), bench.view(size, 0));
    if !has_term {
        term_values.clear();
    }
    let params = [5, 6, 7, 8].map(|seed| bench.param(channels, seed).0);
    let [scale, shift, mean] = [0, 1, 2].map(|i| bench.change(params[i], |x| x));
    let variance = bench.change(params[3], |x| x.abs() + 0.25);
    let spacing = channels.next_multiple_of(16);
    let norm = Norm { offset: bench.room(Norm::VECTORS * spacing), spacing };
    let blocks = Moments::row_blocks(&x);
    let moments = bench.room(blocks * 2 * spacing);
    let sums = bench.room(Normalise::row_blocks(&x) * 2 * spacing);
    let exact = Exact { channels, running: is_frozen.then_some([&mean[..], &variance[..]]), activation };

    let term_view = has_term.then_some(term);
    let source = Source { view: x, norm: Some(norm), activation };
    let params = (Some(0), 1, 2, 3);
    let mut steps = if is_frozen {
        vec![Step::Freeze(Freeze { channels, norm, params, eps: EPS })]
    } else {
        let (unit, eps, momentum) = (1, EPS, MOMENTUM);
        let join = BatchNorm { moments, blocks, unit, rows, channels, norm, params, eps, momentum };
        vec![Step::Moments(Moments { view: x, to: moments, spacing }), Step::BatchNorm(join)]
    };
    let (scale_param, shift_param) = (Some(0), Some(1));
    steps.extend([
        Step::Apply(Apply { source, term: term_view, output }),
        Step::Normalise(Normalise { source, term: term_view, g, to: own, sums }),
        Step::NormaliseBackward(NormaliseBackward {
            sums,
            blocks: Normalise::row_blocks(&x),
            rows,
            channels,
            norm,
            scale: scale_param,
            shift: shift_param,
            frozen: is_frozen,
        }),
        Step::InputGradient(InputGradient { g: own, y: x, norm, to, accumulate: true }),
    ]);
    let loss = |x: &[f64], scale: &[f64], shift: &[f64], term: &[f64]| {
        dot(&exact.value(x, scale, shift, term), &g_values)
    };
    let by_input = Slopes::of(&x_values, |x| loss(x, &scale, &shift, &term_values));
    let by_scale = Slopes::of(&scale, |scale| loss(&x_values, scale, &shift, &term_values));
    let by_shift = Slopes::of(&shift, |shift| loss(&x_values, &scale, shift, &term_values));
    let by_term = Slopes::of(&term_values, |term| loss(&x_values, &scale, &shift, term));
    let want = exact.value(&x_values, &scale, &shift, &term_values);
    let [batch_mean, batch_variance] = exact.statistics(&x_values);
    bench.each(
        |_| steps.clone(),
        &[output, own, to],
        |level, after| {
            let what = |of: &str| format!("{of} of {what}, {level:?}");
            compare(&what("value"), &after.view(&output), &want, 1e-5);
            let mut got = after.view(&to);
            got.iter_mut().zip(&before).for_each(|(got, before)| *got -= before);
            by_input.check(&what("gradient by input"), &got, 5e-5);
            by_scale.check(&what("gradient by scale"), &after.gradients[0], 5e-5);
            by_shift.check(&what("gradient by shift"), &after.gradients[1], 5e-5);
            by_term.check(&what("gradient by term"), &after.view(&own), 5e-5);
            let moved = |old: &[f64], new: &[f64], factor: f64| {
                let share = if is_frozen { 0.0 } else { f64::from(MOMENTUM) };
                old.iter().zip(new).map(|(old, new)| old + share * (factor * new - old)).collect::<Vec<_>>()
            };
            compare(&what("running mean"), &after.params[2], &moved(&mean, &batch_mean, 1.0), 1e-6);
            let unbiased = rows as f64 / (rows as f64 - 1.0);
            let want = moved(&variance, &batch_variance, unbiased);
            compare(&what("running variance"), &after.params[3], &want, 1e-6);
        },
    );
}

#[test]
fn batch_norm_has_the_gradients_of_finite_differences() {
    let activations = [Activation::None, Activation::RELU, Activation::HardSwish, Activation::Swish];
    for (i, channels) in CHANNELS.into_iter().filter(|&c| c > 0).enumerate() {
        for (j, activation) in activations.into_iter().enumerate() {
            for is_frozen in [false, true] {
                let has_term = (i + j).is_multiple_of(2);
                check([2, 3, 4, channels], activation, has_term, is_frozen, [0, 3, 5][i % 3]);
            }
        }
    }
}

#[test]
fn batch_norm_over_many_blocks_has_the_gradients_of_finite_differences() {
    for is_frozen in [false, true] {
        check([4, 13, 12, 19], Activation::HardSwish, true, is_frozen, 3);
    }
}
