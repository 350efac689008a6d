//! The clearest form of each operator, in f32 or f64, on one image in channel-major order (`[c, h, w]`).
//!
//! Lengths of slices are the caller's promise; they are asserted where a mistake would read the wrong element.

pub mod bf16;
mod conv;
mod float;
pub mod int8;
mod pool;

pub use conv::{ConvShape, conv, linear};
pub use cygnet_cpu::adaptive_window;
pub use float::Float;
pub use pool::{
    PoolShape, adaptive_avg_pool, adaptive_sums, avg_pool, global_avg_pool, max_pool, window_sums,
};

/// Batch normalisation with running statistics: `(x - mean) / sqrt(var + eps) * weight + bias`, a channel at a time.
/// `weight` is 1 where it is empty.
pub fn batch_norm<T: Float>(x: &mut [T], weight: &[T], bias: &[T], mean: &[T], var: &[T], eps: f64) {
    let plane = x.len() / mean.len();
    for (c, x) in x.chunks_exact_mut(plane).enumerate() {
        let deviation = (var[c].to_f64() + eps).sqrt();
        let scale = weight.get(c).map_or(1.0, |w| w.to_f64()) / deviation;
        let shift = T::from_f64(bias[c].to_f64() - mean[c].to_f64() * scale);
        let scale = T::from_f64(scale);
        x.iter_mut().for_each(|x| *x = *x * scale + shift);
    }
}

/// `x * scale + shift`, one constant for all channels or one a channel.
pub fn scale<T: Float>(x: &mut [T], channels: usize, scale: &[f32], shift: &[f32]) {
    let plane = x.len() / channels;
    let constant = |list: &[f32], c: usize| T::from_f64(f64::from(list[if list.len() == 1 { 0 } else { c }]));
    for (c, x) in x.chunks_exact_mut(plane).enumerate() {
        let (scale, shift) = (constant(scale, c), constant(shift, c));
        x.iter_mut().for_each(|x| *x = *x * scale + shift);
    }
}

/// `left op right` with dimensions of 1 broadcast. Shapes are `[c, h, w]`.
pub fn broadcast<T: Float>(
    left: (&[T], [usize; 3]),
    right: (&[T], [usize; 3]),
    op: impl Fn(T, T) -> T,
) -> Vec<T> {
    let ((left, ls), (right, rs)) = (left, right);
    if ls == rs {
        return left.iter().zip(right).map(|(&l, &r)| op(l, r)).collect();
    }
    let [channels, height, width] = std::array::from_fn(|i| ls[i].max(rs[i]));
    let at = |shape: [usize; 3], c: usize, y: usize, x: usize| {
        let [c, y, x] = [(c, 0), (y, 1), (x, 2)].map(|(i, axis)| if shape[axis] == 1 { 0 } else { i });
        (c * shape[1] + y) * shape[2] + x
    };
    let mut out = Vec::with_capacity(channels * height * width);
    for c in 0..channels {
        for y in 0..height {
            out.extend((0..width).map(|x| op(left[at(ls, c, y, x)], right[at(rs, c, y, x)])));
        }
    }
    out
}

/// Local response normalisation across channels, as Caffe and PyTorch define it:
/// `x / (k + alpha / size * sum of squares)^beta` over `size` channels, `size / 2` of them before.
pub fn local_response_norm<T: Float>(
    x: &[T],
    channels: usize,
    size: usize,
    [alpha, beta, k]: [f64; 3],
) -> Vec<T> {
    let plane = x.len() / channels;
    let mut out = Vec::with_capacity(x.len());
    for c in 0..channels {
        let window = c.saturating_sub(size / 2)..(c + (size - 1) / 2 + 1).min(channels);
        for p in 0..plane {
            let squares: f64 = window.clone().map(|c| x[c * plane + p].to_f64().powi(2)).sum();
            let divisor = (k + alpha / size as f64 * squares).powf(beta);
            out.push(T::from_f64(x[c * plane + p].to_f64() / divisor));
        }
    }
    out
}

/// Channels read as a `groups × (channels / groups)` matrix, transposed.
pub fn channel_shuffle<T: Float>(x: &[T], channels: usize, groups: usize) -> Vec<T> {
    let (plane, columns) = (x.len() / channels, channels / groups);
    let order = (0..columns).flat_map(|column| (0..groups).map(move |row| row * columns + column));
    order.flat_map(|c| &x[c * plane..][..plane]).copied().collect()
}

/// Nearest-neighbour resampling of `[c, height, width]` to `[c, out_height, out_width]`: output row `y` shows input
/// row `floor(y * height / out_height)`.
pub fn upsample_nearest<T: Float>(x: &[T], [channels, height, width]: [usize; 3], out: [usize; 2]) -> Vec<T> {
    let mut result = Vec::with_capacity(channels * out[0] * out[1]);
    for c in 0..channels {
        for y in 0..out[0] {
            let row = &x[(c * height + y * height / out[0]) * width..][..width];
            result.extend((0..out[1]).map(|x| row[x * width / out[1]]));
        }
    }
    result
}

/// Softmax over channels at each position.
pub fn softmax<T: Float>(x: &mut [T], channels: usize) {
    let plane = x.len() / channels;
    for p in 0..plane {
        let at = |c: usize| c * plane + p;
        let largest = (0..channels).map(|c| x[at(c)].to_f64()).fold(f64::NEG_INFINITY, f64::max);
        let total: f64 = (0..channels).map(|c| (x[at(c)].to_f64() - largest).exp()).sum();
        for c in 0..channels {
            x[at(c)] = T::from_f64((x[at(c)].to_f64() - largest).exp() / total);
        }
    }
}
