//! Convolution as a matrix product over unrolled windows, depthwise convolution as plain loops.

use std::ops::Range;

use super::Float;

/// Sizes of a convolution.
#[derive(Clone, Copy, Debug)]
pub struct ConvShape {
    /// `[channels, height, width]` of the input.
    pub input: [usize; 3],
    /// `[channels, height, width]` of the output.
    pub output: [usize; 3],
    /// Height and width of the kernel.
    pub kernel: [usize; 2],
    /// Step in rows and columns.
    pub stride: [usize; 2],
    /// Distance between the kernel's elements.
    pub dilation: [usize; 2],
    /// Rows of padding above, columns to the left.
    pub pad: [usize; 2],
    /// Channel groups.
    pub groups: usize,
}

impl ConvShape {
    /// Input row (axis 0) or column (axis 1) that kernel element `k` sees for output `o`, if it is no padding.
    pub(super) fn source(&self, axis: usize, o: usize, k: usize) -> Option<usize> {
        (o * self.stride[axis] + k * self.dilation[axis])
            .checked_sub(self.pad[axis])
            .filter(|&i| i < self.input[axis + 1])
    }
}

/// Convolution of `x` with `weight [out, in / groups, kernel height, kernel width]` and a `bias` that may be empty.
pub fn conv<T: Float>(shape: &ConvShape, x: &[T], weight: &[T], bias: &[T]) -> Vec<T> {
    let [channels, _, _] = shape.input;
    let [out_channels, out_height, out_width] = shape.output;
    let plane = out_height * out_width;
    let mut out = vec![T::default(); out_channels * plane];
    if shape.groups == channels && out_channels == channels {
        depthwise(shape, x, weight, &mut out);
    } else {
        grouped(shape, x, weight, &mut out);
    }
    for (out, &bias) in out.chunks_exact_mut(plane).zip(bias) {
        out.iter_mut().for_each(|out| *out = *out + bias);
    }
    out
}

/// Largest number of unrolled elements at a time, which bounds the memory that a convolution takes beside its output.
const UNROLLED: usize = 1 << 20;

fn grouped<T: Float>(shape: &ConvShape, x: &[T], weight: &[T], out: &mut [T]) {
    let [channels, height, width] = shape.input;
    let [out_channels, out_height, out_width] = shape.output;
    let (group_in, group_out) = (channels / shape.groups, out_channels / shape.groups);
    let (plane, depth) = (out_height * out_width, group_in * shape.kernel[0] * shape.kernel[1]);
    let pointwise = shape.kernel == [1, 1] && shape.stride == [1, 1] && plane == height * width;
    let band = (UNROLLED / depth).clamp(1, plane);
    let mut unrolled = Vec::new();
    for group in 0..shape.groups {
        let x = &x[group * group_in * height * width..][..group_in * height * width];
        let weight = &weight[group * group_out * depth..][..group_out * depth];
        let out = &mut out[group * group_out * plane..][..group_out * plane];
        if pointwise {
            T::gemm([group_out, depth, plane], weight, x, out, plane);
            continue;
        }
        for first in (0..plane).step_by(band) {
            let pixels = first..(first + band).min(plane);
            unroll(shape, x, group_in, pixels.clone(), &mut unrolled);
            T::gemm([group_out, depth, pixels.len()], weight, &unrolled, &mut out[first..], plane);
        }
    }
}

/// Lays out `[channel, kernel row, kernel column]` × `[output pixel]` for some output pixels, zero where the window
/// sees padding.
fn unroll<T: Float>(
    shape: &ConvShape,
    x: &[T],
    channels: usize,
    pixels: Range<usize>,
    unrolled: &mut Vec<T>,
) {
    let [_, height, width] = shape.input;
    let [_, _, out_width] = shape.output;
    unrolled.clear();
    for c in 0..channels {
        for ky in 0..shape.kernel[0] {
            for kx in 0..shape.kernel[1] {
                for oy in pixels.start / out_width..=(pixels.end - 1) / out_width {
                    let row_start = oy * out_width;
                    let columns =
                        pixels.start.saturating_sub(row_start)..(pixels.end - row_start).min(out_width);
                    let Some(y) = shape.source(0, oy, ky) else {
                        unrolled.resize(unrolled.len() + columns.len(), T::default());
                        continue;
                    };
                    let row = &x[(c * height + y) * width..][..width];
                    let seen = |ox| shape.source(1, ox, kx).map_or(T::default(), |x| row[x]);
                    unrolled.extend(columns.map(seen));
                }
            }
        }
    }
}

fn depthwise<T: Float>(shape: &ConvShape, x: &[T], weight: &[T], out: &mut [T]) {
    let [channels, height, width] = shape.input;
    let [_, out_height, out_width] = shape.output;
    let taps = shape.kernel[0] * shape.kernel[1];
    for c in 0..channels {
        let (x, weight) = (&x[c * height * width..][..height * width], &weight[c * taps..][..taps]);
        let out = &mut out[c * out_height * out_width..][..out_height * out_width];
        for (k, &weight) in weight.iter().enumerate() {
            let (ky, kx) = (k / shape.kernel[1], k % shape.kernel[1]);
            let inside = |ox: &usize| shape.source(1, *ox, kx).is_some();
            let first = (0..out_width).find(inside).unwrap_or(out_width);
            let seen = (first..out_width).take_while(inside).count();
            for oy in 0..out_height {
                let Some(y) = shape.source(0, oy, ky).filter(|_| seen > 0) else { continue };
                let start = shape.source(1, first, kx).unwrap_or(0);
                let row = x[y * width + start..(y + 1) * width].iter().step_by(shape.stride[1]);
                for (out, &x) in out[oy * out_width + first..][..seen].iter_mut().zip(row) {
                    *out = *out + x * weight;
                }
            }
        }
    }
}

/// Fully connected layer: `weight [out, in] · x + bias`; `bias` may be empty.
pub fn linear<T: Float>(x: &[T], weight: &[T], bias: &[T], out: usize) -> Vec<T> {
    let mut result = vec![T::default(); out];
    T::gemm([out, x.len(), 1], weight, x, &mut result, 1);
    for (result, &bias) in result.iter_mut().zip(bias) {
        *result = *result + bias;
    }
    result
}
