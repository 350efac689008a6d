//! What is promised of activations, for every f32.

use cygnet_kernels::{Activation, Call, Map, Plain, PlainCall, Program};
use cygnet_testing::arithmetic::{BATCH, check_float, each_batch, unit};

use crate::memory::{CHEAP, activate, levels};

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

#[test]
fn activations_keep_their_promise() {
    let (input, output) = (Map::dense(0, [BATCH, 1, 1]), Map::dense(BATCH, [BATCH, 1, 1]));
    let image = Map::dense(0, [1, 1, BATCH]);
    for activation in CHEAP.into_iter().chain([Activation::Sigmoid, Activation::Swish]) {
        let runs = levels().map(|level| {
            let call = PlainCall::new(level, Plain::Activation(activation), vec![input], output);
            let calls = vec![Call::Plain(Box::new(call))];
            let program = Program::new(level, vec![image], calls, 2 * BATCH * size_of::<f32>()).unwrap();
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
                (0..BATCH).for_each(|i| check_float(*level, activation, x[i], got[i], want[i]));
            }
        });
    }
}
