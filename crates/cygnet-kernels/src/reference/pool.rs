//! Pooling.

use cygnet_cpu::adaptive_window;

use super::Float;

/// Sizes of a pooling.
#[derive(Clone, Copy, Debug)]
pub struct PoolShape {
    /// `[channels, height, width]` of the input.
    pub input: [usize; 3],
    /// Height and width of the output.
    pub output: [usize; 2],
    /// Height and width of the window.
    pub kernel: [usize; 2],
    /// Step in rows and columns.
    pub stride: [usize; 2],
    /// Rows and columns of padding, `[before, after]` for each axis.
    pub pad: [[usize; 2]; 2],
}

impl PoolShape {
    /// The part of output `o`'s window that lies on the image, and its length with padding.
    fn window(&self, axis: usize, o: usize) -> (std::ops::Range<usize>, usize) {
        let (size, [before, after]) = (self.input[axis + 1], self.pad[axis]);
        let start = o * self.stride[axis];
        let end = (start + self.kernel[axis]).min(size + before + after);
        let clip = |i: usize| i.saturating_sub(before).min(size);
        (clip(start)..clip(end), end - start)
    }

    /// Folds every window; `finish` gets the folded value, the elements on the image and those with padding.
    fn fold<T: Float>(
        &self,
        x: &[T],
        first: f64,
        fold: impl Fn(f64, f64) -> f64,
        finish: impl Fn(f64, usize, usize) -> f64,
    ) -> Vec<T> {
        let [channels, height, width] = self.input;
        let mut out = Vec::with_capacity(channels * self.output[0] * self.output[1]);
        for c in 0..channels {
            let x = &x[c * height * width..][..height * width];
            for oy in 0..self.output[0] {
                let (rows, padded_rows) = self.window(0, oy);
                for ox in 0..self.output[1] {
                    let (columns, padded_columns) = self.window(1, ox);
                    let on_image = rows.len() * columns.len();
                    let seen = rows.clone().flat_map(|y| &x[y * width..][columns.clone()]);
                    let folded = seen.fold(first, |sum, x| fold(sum, x.to_f64()));
                    out.push(T::from_f64(finish(folded, on_image, padded_rows * padded_columns)));
                }
            }
        }
        out
    }
}

/// The largest element of each window; padding never wins, NaN does.
pub fn max_pool<T: Float>(shape: &PoolShape, x: &[T]) -> Vec<T> {
    let larger = |a: f64, b: f64| if b > a || b.is_nan() { b } else { a };
    shape.fold(x, f64::NEG_INFINITY, larger, |largest, _, _| largest)
}

/// The mean of each window, over the elements on the image or over the window clipped to the padded image.
pub fn avg_pool<T: Float>(shape: &PoolShape, x: &[T], count_include_pad: bool) -> Vec<T> {
    shape.fold(
        x,
        0.0,
        |sum, x| sum + x,
        |sum, on_image, padded| sum / if count_include_pad { padded } else { on_image }.max(1) as f64,
    )
}

/// Sums over windows and how many elements the mean is of, by the rule of [`avg_pool`].
pub fn window_sums<T: Float>(shape: &PoolShape, x: &[T], count_include_pad: bool) -> [Vec<T>; 2] {
    let add = |sum: f64, x: f64| sum + x;
    let count = |on_image: usize, padded: usize| if count_include_pad { padded } else { on_image }.max(1);
    let sums = shape.fold(x, 0.0, add, |sum, _, _| sum);
    [sums, shape.fold(x, 0.0, add, |_, on_image, padded| count(on_image, padded) as f64)]
}

/// Means over windows that cover a map `[channels, height, width]`, `output` of them in rows and columns.
pub fn adaptive_avg_pool<T: Float>(
    x: &[T],
    [channels, height, width]: [usize; 3],
    output: [usize; 2],
) -> Vec<T> {
    let [sums, counts] = adaptive_sums(x, [channels, height, width], output);
    sums.iter().zip(counts).map(|(sum, count)| T::from_f64(sum / count)).collect()
}

/// The sums of [`adaptive_avg_pool`], and how many elements each is of.
pub fn adaptive_sums<T: Float>(
    x: &[T],
    [channels, height, width]: [usize; 3],
    output: [usize; 2],
) -> [Vec<f64>; 2] {
    let mut sums = Vec::with_capacity(channels * output[0] * output[1]);
    let mut counts = Vec::with_capacity(sums.capacity());
    for x in x.chunks_exact(height * width) {
        for oy in 0..output[0] {
            let rows = adaptive_window(oy, output[0], height);
            for ox in 0..output[1] {
                let columns = adaptive_window(ox, output[1], width);
                counts.push((rows.len() * columns.len()) as f64);
                let seen = rows.clone().flat_map(|y| &x[y * width..][columns.clone()]);
                sums.push(seen.map(|x| x.to_f64()).sum());
            }
        }
    }
    [sums, counts]
}

/// Mean of each channel.
pub fn global_avg_pool<T: Float>(x: &[T], channels: usize) -> Vec<T> {
    let plane = x.len() / channels;
    let mean = |x: &[T]| T::from_f64(x.iter().map(|x| x.to_f64()).sum::<f64>() / plane as f64);
    x.chunks_exact(plane).map(mean).collect()
}
