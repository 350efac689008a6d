//! What integers mean: the arithmetic of layers over bytes, an element at a time. Every kernel over bytes equals it to the
//! bit.

use super::ConvShape;

/// `bias + sum of (x - zero) * weight` of each output, `[out, height, width]`. Padding is the input's zero point.
/// `weight` is `[out, in / groups, kernel height, kernel width]`.
#[must_use]
pub fn conv(shape: &ConvShape, x: &[u8], zero: u8, weight: &[i8], bias: &[i32]) -> Vec<i32> {
    let [channels, height, width] = shape.input;
    let [out_channels, out_height, out_width] = shape.output;
    let [kh, kw] = shape.kernel;
    let (ins, outs) = (channels / shape.groups, (out_channels / shape.groups).max(1));
    let mut out = Vec::with_capacity(out_channels * out_height * out_width);
    for o in 0..out_channels {
        for y in 0..out_height {
            for at in 0..out_width {
                let mut sum = bias[o];
                for (i, ky, kx) in (0..ins * kh * kw).map(|i| (i / kw / kh, i / kw % kh, i % kw)) {
                    let (Some(row), Some(column)) = (shape.source(0, y, ky), shape.source(1, at, kx)) else {
                        continue;
                    };
                    let x = x[((o / outs * ins + i) * height + row) * width + column];
                    let weight = weight[((o * ins + i) * kh + ky) * kw + kx];
                    sum += (i32::from(x) - i32::from(zero)) * i32::from(weight);
                }
                out.push(sum);
            }
        }
    }
    out
}

/// `round(t) + zero` as a byte: ties to even, saturating; `zero` where `t` is NaN.
#[must_use]
pub fn to_byte(t: f32, zero: u8) -> u8 {
    let whole = i64::from(t.round_ties_even() as i32);
    (whole + i64::from(zero)).clamp(0, 255) as u8
}

/// A number on a grid of `scale`, whose inverse is given: `1 / scale` rounded to f32.
#[must_use]
pub fn quantise(x: f32, inverse: f32, zero: u8) -> u8 {
    to_byte(x * inverse, zero)
}

/// What a byte of a grid stands for.
#[must_use]
pub fn dequantise(byte: u8, scale: f32, zero: u8) -> f32 {
    (f32::from(byte) - f32::from(zero)) * scale
}

/// `(byte - zero) * scale`, a term of a sum that is still to be rounded.
#[must_use]
pub fn term(byte: u8, zero: u8, scale: f32) -> f32 {
    (i32::from(byte) - i32::from(zero)) as f32 * scale
}
