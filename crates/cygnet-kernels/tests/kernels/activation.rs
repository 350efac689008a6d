//! What is promised of activations and their derivatives, for every f32.
//!
//! All of them are tried with `CYGNET_EXHAUSTIVE=1`; else every [`STRIDE`]th, and the neighbours of what is special.

use cygnet_kernels::gradient::{Arena, Elementwise, Import, Params, Program, Run, Step, View};
use cygnet_kernels::pool::Pool;
use cygnet_kernels::{Activation, Call, Level, Map, Plain, PlainCall};

use crate::memory::{CHEAP, activate, levels};

/// A prime, so that all last bits are met.
const STRIDE: usize = 1009;

/// Numbers of a batch.
const BATCH: usize = 1 << 16;

/// Calls `check` with batches of numbers.
fn each_batch(mut check: impl FnMut(&[f32])) {
    let is_exhaustive = std::env::var_os("CYGNET_EXHAUSTIVE").is_some();
    let special = [-104.0, -88.0, -87.336, -17.33, -3.0, -2.5, -0.0, 0.0, 2.5, 3.0, 6.0, 16.64, 88.0];
    let limits = [f32::MAX, f32::MIN, f32::INFINITY, f32::NEG_INFINITY, f32::MIN_POSITIVE];
    let near = special
        .into_iter()
        .chain(limits)
        .flat_map(|x: f32| (-1000..1000i32).map(move |distance| x.to_bits().wrapping_add_signed(distance)));
    let all = (0..=u32::MAX).step_by(if is_exhaustive { 1 } else { STRIDE });
    let mut numbers = near.chain(all).map(f32::from_bits);
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        batch.clear();
        batch.extend(numbers.by_ref().take(BATCH));
        if batch.is_empty() {
            return;
        }
        batch.resize(BATCH, 0.0);
        check(&batch);
    }
}

/// The unit in the last place of a number, or of the least normal one.
fn unit(x: f64) -> f64 {
    let power_of_two = x.abs().max(f64::from(f32::MIN_POSITIVE)).to_bits() & (0x7ff << 52);
    f64::from_bits(power_of_two) * f64::from(f32::EPSILON)
}

/// What a function is, and how far from that a result may be.
fn promise(activation: Activation, x: f32) -> [f64; 2] {
    let want = activate(activation, f64::from(x));
    let allowed = match activation {
        Activation::None | Activation::Clamp { .. } => 0.0,
        Activation::HardSigmoid { shift, factor, .. } => {
            f64::from(shift * factor * f32::EPSILON) + unit(want)
        }
        Activation::HardSwish => 3.0 * unit(want),
        Activation::Sigmoid => {
            if x < -88.0 {
                6.1e-39
            } else {
                4.0 * unit(want)
            }
        }
        Activation::Swish => {
            if x < -88.0 {
                5.4e-37
            } else {
                5.0 * unit(want)
            }
        }
    };
    [want, allowed]
}

/// A derivative and how far from that a result may be.
fn promised_derivative(activation: Activation, x: f32) -> [f64; 2] {
    let x = f64::from(x);
    // Both are exact where they are small.
    let (s, rest) = (1.0 / (1.0 + (-x).exp()), 1.0 / (1.0 + x.exp()));
    let product = if s == 0.0 || rest == 0.0 { 0.0 } else { x * rest };
    match activation {
        Activation::Sigmoid => [s * rest, 1e-7],
        _ => [s * (1.0 + product), 1e-6],
    }
}

fn check(level: Level, activation: Activation, x: f32, got: f32, [want, allowed]: [f64; 2]) {
    if x.is_nan() {
        assert!(got.is_nan(), "{level:?}: {activation:?} hides a NaN: {got}");
        return;
    }
    let is_infinite = want.is_infinite() || want.abs() > f64::from(f32::MAX / 6.0) && got.is_infinite();
    let distance = (f64::from(got) - want).abs();
    let is_right = if want.is_nan() { got.is_nan() } else { is_infinite || distance <= allowed };
    assert!(is_right, "{level:?}: {activation:?} of {x:e} is {got:e}, not {want:e} within {allowed:e}");
}

#[test]
fn activations_keep_their_promise() {
    let (input, output) = (Map::dense(0, [BATCH, 1, 1]), Map::dense(BATCH, [BATCH, 1, 1]));
    let image = Map::dense(0, [1, 1, BATCH]);
    for activation in CHEAP.into_iter().chain([Activation::Sigmoid, Activation::Swish]) {
        let runs = levels().map(|level| {
            let call = PlainCall::new(level, Plain::Activation(activation), vec![input], output);
            let calls = vec![Call::Plain(Box::new(call))];
            let program = cygnet_kernels::Program::new(level, vec![image], calls, 2 * BATCH).unwrap();
            let arena = program.arena();
            (level, program, arena)
        });
        let mut runs: Vec<_> = runs.collect();
        let mut got = vec![0.0; BATCH];
        each_batch(|x| {
            let want: Vec<[f64; 2]> = x.iter().map(|&x| promise(activation, x)).collect();
            for (level, program, arena) in &mut runs {
                program.run(arena, x);
                arena.read(&output, &mut got);
                (0..BATCH).for_each(|i| check(*level, activation, x[i], got[i], want[i]));
            }
        });
    }
}

#[test]
fn derivatives_keep_their_promise() {
    let view = |offset: usize, channels: usize, stride: usize| View {
        offset,
        images: 1,
        height: 1,
        width: BATCH,
        channels,
        stride,
    };
    let to = view(2 * BATCH, 1, 1);
    for activation in [Activation::Sigmoid, Activation::Swish] {
        let runs = levels().map(|level| {
            // The image's channels are the numbers and ones.
            let derive =
                Elementwise::Derive { x: view(0, 1, 2), g: view(1, 1, 2), to, activation, accumulate: false };
            let steps = vec![Step::Import(Import { to: view(0, 2, 2) }), Step::Elementwise(derive)];
            let program = Program::new(level, steps, 3 * BATCH, Vec::new(), [2 * BATCH, 0, 0]).unwrap();
            let arena = Arena::new(&[&program], 1);
            (level, program, arena)
        });
        let (mut runs, mut pool): (Vec<_>, _) = (runs.collect(), Pool::new(1).unwrap());
        let mut images = vec![1.0; 2 * BATCH];
        each_batch(|x| {
            images[..BATCH].copy_from_slice(x);
            let want: Vec<[f64; 2]> = x.iter().map(|&x| promised_derivative(activation, x)).collect();
            for (level, program, arena) in &mut runs {
                let run = Run {
                    params: Params::Keep(&[]),
                    gradients: &mut [],
                    images: &images,
                    targets: &[],
                    seed: 0,
                    scale: 1.0,
                };
                program.run(&mut pool, arena, run);
                let got = arena.read(2 * BATCH..3 * BATCH);
                let finite = (0..BATCH).filter(|&i| x[i] < f32::INFINITY || x[i].is_nan());
                finite.for_each(|i| check(*level, activation, x[i], got[i], want[i]));
            }
        });
    }
}
