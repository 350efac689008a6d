//! Activations and their derivatives, on vectors of channels.

use cygnet_cpu::{Activation, Isa, SATURATION};

/// # Safety
/// As [`Isa`].
#[inline(always)]
pub(crate) unsafe fn activate<I: Isa, const V: usize>(activation: Activation, x: &mut [I::V; V]) {
    // SAFETY: the caller's promise.
    unsafe {
        match activation {
            Activation::None => {}
            Activation::Clamp { low, high } => {
                let (low, high) = (I::splat(low), I::splat(high));
                for j in 0..V {
                    x[j] = I::at_most(I::at_least(x[j], low), high);
                }
            }
            Activation::HardSwish => {
                let (zero, three) = (I::splat(0.0), I::splat(3.0));
                let (six, sixth) = (I::splat(6.0), I::splat(1.0 / 6.0));
                for j in 0..V {
                    let gate = I::at_most(I::at_least(I::add(x[j], three), zero), six);
                    x[j] = I::mul(I::mul(x[j], gate), sixth);
                }
            }
            Activation::HardSigmoid { .. } | Activation::Sigmoid | Activation::Swish => {
                for j in 0..V {
                    x[j] = activation.apply::<I>(x[j]);
                }
            }
        }
    }
}

/// Multiplies `g` by the function's derivative at `x`, with PyTorch's choice at the kinks.
///
/// # Safety
/// As [`Isa`].
#[inline(always)]
pub(crate) unsafe fn differentiate<I: Isa, const V: usize>(
    activation: Activation,
    x: &[I::V; V],
    g: &mut [I::V; V],
) {
    // SAFETY: the caller's promise.
    unsafe {
        match activation {
            Activation::None => {}
            Activation::Clamp { low, high } => {
                let low = I::splat(low);
                if high == f32::INFINITY {
                    for j in 0..V {
                        g[j] = I::where_above(x[j], low, g[j]);
                    }
                } else {
                    let high = I::splat(high);
                    for j in 0..V {
                        g[j] = I::where_above(high, x[j], I::where_above(x[j], low, g[j]));
                    }
                }
            }
            Activation::HardSigmoid { scale, shift, high, factor } => {
                let slope = scale * factor;
                let (zero, scale, shift) = (I::splat(0.0), I::splat(scale), I::splat(shift));
                let (high, slope) = (I::splat(high), I::splat(slope));
                for j in 0..V {
                    let inner = I::fma(x[j], scale, shift);
                    let inside = I::where_above(high, inner, I::where_above(inner, zero, slope));
                    g[j] = I::mul(g[j], inside);
                }
            }
            Activation::HardSwish => {
                let (minus, three, one) = (I::splat(-3.0), I::splat(3.0), I::splat(1.0));
                let (third, half) = (I::splat(1.0 / 3.0), I::splat(0.5));
                for j in 0..V {
                    // Inside, x / 3 + 1 / 2; above 3 exactly 1, below -3 exactly 0.
                    let line = I::fma(x[j], third, half);
                    let inside = I::sub(line, I::where_above(x[j], three, I::sub(line, one)));
                    g[j] = I::mul(g[j], I::where_above(x[j], minus, inside));
                }
            }
            Activation::Sigmoid => {
                for j in 0..V {
                    let s = Activation::Sigmoid.apply::<I>(x[j]);
                    g[j] = I::mul(g[j], I::mul(s, I::sub(I::splat(1.0), s)));
                }
            }
            Activation::Swish => {
                for j in 0..V {
                    let one = I::splat(1.0);
                    let s = Activation::Sigmoid.apply::<I>(x[j]);
                    let x = I::at_least(x[j], I::splat(SATURATION));
                    g[j] = I::mul(g[j], I::mul(s, I::fma(x, I::sub(one, s), one)));
                }
            }
        }
    }
}
