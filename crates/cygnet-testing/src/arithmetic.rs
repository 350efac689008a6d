//! What tests of arithmetic share: the instruction sets, numbers to try, and how far a result may be from its reference.

use cygnet_cpu::pool::Pool;
use cygnet_cpu::{Activation, Level};
use proptest::prelude::*;

/// The instruction sets to test: those of this CPU, as far as `CYGNET_ISA` allows.
///
/// # Panics
/// If that variable names none.
pub fn levels() -> impl Iterator<Item = Level> {
    let cap = Level::chosen().expect("CYGNET_ISA names an instruction set");
    Level::ALL.iter().copied().filter(move |level| level.is_supported() && level.is_within(cap))
}

/// A team of `threads` threads; on WebAssembly, which has no others, of the caller alone.
///
/// # Panics
/// If the system refuses a thread.
#[must_use]
pub fn team(threads: usize) -> Pool {
    Pool::new(if cfg!(target_family = "wasm") { 1 } else { threads }).expect("the system has threads")
}

/// Channels around the widths of all vectors: 0, 1, lanes - 1, lanes, lanes + 1 and 2 lanes + 3 of 4, 8 and 16 lanes.
pub const CHANNELS: [usize; 14] = [0, 1, 3, 4, 5, 7, 8, 9, 11, 15, 16, 17, 19, 35];

/// How far an f32 result may be from its f64 reference, for a sum of `terms` products whose magnitudes sum up to
/// `magnitude`. In any order, with products rounded or not, each of the sum's roundings is at most half an epsilon of
/// that magnitude; bias, term and activation add less than 8, and no activation is steeper than 1.5. The 1 is for
/// activations whose constants are larger than the sum.
#[must_use]
pub fn tolerance(terms: usize, magnitude: f64) -> f64 {
    1.5 * (terms + 8) as f64 * f64::from(f32::EPSILON) / 2.0 * (magnitude + 1.0)
}

/// A result that is NaN, infinite or within `tolerance` where the reference is.
#[must_use]
pub fn agrees(got: f32, want: f64, tolerance: f64) -> bool {
    let got = f64::from(got);
    if want.is_nan() {
        got.is_nan()
    } else if want.is_infinite() {
        got == want
    } else {
        (got - want).abs() <= tolerance
    }
}

/// Numbers from -1 to 1.
#[must_use]
pub fn values(count: usize, seed: u64) -> Vec<f32> {
    let number = |i: usize| {
        let mut z = (seed << 32 | i as u64).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 40) as f32 / 8_388_608.0 - 1.0
    };
    (0..count).map(number).collect()
}

/// The same numbers.
#[must_use]
pub fn to_f64(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&x| f64::from(x)).collect()
}

/// An activation's definition.
#[must_use]
pub fn activate(activation: Activation, x: f64) -> f64 {
    let limit = |x: f64, low: f64, high: f64| if x.is_nan() { x } else { x.max(low).min(high) };
    match activation {
        Activation::None => x,
        Activation::Clamp { low, high } => limit(x, f64::from(low), f64::from(high)),
        Activation::HardSigmoid { scale, shift, high, factor } => {
            let [scale, shift, high, factor] = [scale, shift, high, factor].map(f64::from);
            limit(x * scale + shift, 0.0, high) * factor
        }
        Activation::HardSwish => x * limit(x + 3.0, 0.0, 6.0) / 6.0,
        Activation::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        Activation::Swish if x == f64::NEG_INFINITY => 0.0,
        Activation::Swish => x / (1.0 + (-x).exp()),
    }
}

/// Every activation that can follow a convolution.
pub const CHEAP: [Activation; 6] = [
    Activation::None,
    Activation::RELU,
    Activation::Clamp { low: 0.0, high: 6.0 },
    Activation::HardSigmoid { scale: 1.0, shift: 3.0, high: 6.0, factor: 1.0 / 6.0 },
    Activation::HardSigmoid { scale: 0.2, shift: 0.5, high: 1.0, factor: 1.0 },
    Activation::HardSwish,
];

/// A prime, so that all last bits are met.
const STRIDE: usize = 1009;

/// Numbers of a batch.
pub const BATCH: usize = 1 << 16;

/// Calls `check` with batches of numbers: of every f32 with `CYGNET_EXHAUSTIVE=1`, else of every thousandth or so and the
/// neighbours of what is special.
pub fn each_batch(mut check: impl FnMut(&[f32])) {
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
#[must_use]
pub fn unit(x: f64) -> f64 {
    let power_of_two = x.abs().max(f64::from(f32::MIN_POSITIVE)).to_bits() & (0x7ff << 52);
    f64::from_bits(power_of_two) * f64::from(f32::EPSILON)
}

/// Checks what an activation or its derivative makes of `x`: `want`, off by no more than `allowed`; of NaN, NaN.
///
/// # Panics
/// If it is something else.
pub fn check_float(level: Level, activation: Activation, x: f32, got: f32, [want, allowed]: [f64; 2]) {
    if x.is_nan() {
        assert!(got.is_nan(), "{level:?}: {activation:?} hides a NaN: {got}");
        return;
    }
    let is_infinite = want.is_infinite() || want.abs() > f64::from(f32::MAX / 6.0) && got.is_infinite();
    let distance = (f64::from(got) - want).abs();
    let is_right = if want.is_nan() { got.is_nan() } else { is_infinite || distance <= allowed };
    assert!(is_right, "{level:?}: {activation:?} of {x:e} is {got:e}, not {want:e} within {allowed:e}");
}

/// A number that is likely to be small, else near the end of an arena or of what can be counted.
pub fn number(arena: usize) -> impl Strategy<Value = usize> {
    let far = vec![
        60,
        arena,
        1 << 16,
        1 << (usize::BITS / 2),
        1 << (usize::BITS - 12),
        1 << (usize::BITS - 3),
        1 << (usize::BITS - 1),
        usize::MAX / 3,
        usize::MAX - 1,
        usize::MAX,
    ];
    prop_oneof![6 => 0..8usize, 2 => prop::sample::select(far)]
}
