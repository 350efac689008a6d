//! What is promised of the derivatives of activations, for every f32.

use cygnet_cpu::Activation;
use cygnet_gradient::{Arena, Elementwise, Import, Program, Step, View};
use cygnet_testing::arithmetic::{BATCH, check_float, each_batch, levels, team};

use crate::bench::of_images;

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
        let (mut runs, mut pool): (Vec<_>, _) = (runs.collect(), team(1));
        let mut images = vec![1.0; 2 * BATCH];
        each_batch(|x| {
            images[..BATCH].copy_from_slice(x);
            let want: Vec<[f64; 2]> = x.iter().map(|&x| promised_derivative(activation, x)).collect();
            for (level, program, arena) in &mut runs {
                program.run(&mut pool, arena, of_images(&images));
                let got = arena.read(2 * BATCH..3 * BATCH);
                let finite = (0..BATCH).filter(|&i| x[i] < f32::INFINITY || x[i].is_nan());
                finite.for_each(|i| check_float(*level, activation, x[i], got[i], want[i]));
            }
        });
    }
}
