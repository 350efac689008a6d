//! What a pixel's channels are divided by: softmax and local response normalisation.

use std::ops::Range;

use cygnet_cpu::Isa;

/// # Safety
/// Both must hold `channels` numbers.
pub(super) unsafe fn softmax(from: *const f32, out: *mut f32, channels: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        let largest = (0..channels).map(|c| *from.add(c)).fold(f32::NEG_INFINITY, f32::max);
        let mut sum = 0.0f64;
        for c in 0..channels {
            let value = (*from.add(c) - largest).exp();
            *out.add(c) = value;
            sum += f64::from(value);
        }
        (0..channels).for_each(|c| *out.add(c) = (f64::from(*out.add(c)) / sum) as f32);
    }
}

/// The power of the published networks, three quarters, is made of square roots.
///
/// # Safety
/// Both must hold `channels` numbers and not overlap.
#[inline(always)]
pub(super) unsafe fn local_response_norm<I: Isa>(
    from: *const f32,
    out: *mut f32,
    channels: usize,
    size: usize,
    constants: [f32; 3],
) {
    let [alpha, beta, k] = constants;
    let (before, after) = (size / 2, (size - 1) / 2);
    let mut c = 0;
    // SAFETY: the caller's promise; a vector's window lies within the channels.
    unsafe {
        while c < channels {
            let lanes = channels.saturating_sub(c + after).min(I::LANES);
            if beta != 0.75 || c < before || lanes == 0 {
                let window = c.saturating_sub(before)..(c + after + 1).min(channels);
                *out.add(c) = local_response(*from.add(c), from, window, size, constants);
                c += 1;
                continue;
            }
            let mut squares = I::splat(0.0);
            for place in c - before..=c + after {
                let x = I::load_first(from.add(place), lanes);
                squares = I::fma(x, x, squares);
            }
            let root = I::sqrt(I::fma(squares, I::splat(alpha / size as f32), I::splat(k)));
            let divisor = I::mul(root, I::sqrt(root));
            I::store_first(out.add(c), I::div(I::load_first(from.add(c), lanes), divisor), lanes);
            c += lanes;
        }
    }
}

/// One channel of the above, whatever the power.
///
/// # Safety
/// `from` must hold the window.
unsafe fn local_response(
    x: f32,
    from: *const f32,
    window: Range<usize>,
    size: usize,
    [alpha, beta, k]: [f32; 3],
) -> f32 {
    // SAFETY: the caller's promise.
    let squares: f64 = window.map(|c| unsafe { f64::from(*from.add(c)).powi(2) }).sum();
    let base = f64::from(k) + f64::from(alpha) / size as f64 * squares;
    let divisor = if beta == 0.75 { base.sqrt() * base.sqrt().sqrt() } else { base.powf(f64::from(beta)) };
    (f64::from(x) / divisor) as f32
}
