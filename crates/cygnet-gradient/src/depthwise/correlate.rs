//! Windows over a padded image: the forward pass and, with the window flipped, the input's gradient.

use cygnet_cpu::{Isa, Kernel};

use super::pad::get;
use crate::chunk::Rows;

/// `to[y][x] = clamp(bias + sum over the window of from * weight)`, for one vector of channels.
pub(super) struct Correlate {
    pub(super) from: *const f32,
    /// Columns of `from`.
    pub(super) columns: usize,
    pub(super) kernel: [usize; 2],
    pub(super) stride: [usize; 2],
    pub(super) dilation: [usize; 2],
    pub(super) weight: *const f32,
    /// From a window position's weights to the next; negative flips the window.
    pub(super) weight_step: isize,
    pub(super) bias: *const f32,
    pub(super) clamp: Option<[f32; 2]>,
    pub(super) to: Rows,
    pub(super) size: [usize; 2],
    pub(super) lanes: usize,
    pub(super) accumulate: bool,
}

impl Kernel for Correlate {
    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        // SAFETY: the caller's promise.
        unsafe { if self.lanes == I::LANES { self.sized::<I, true>() } else { self.sized::<I, false>() } }
    }
}

impl Correlate {
    #[inline(always)]
    unsafe fn sized<I: Isa, const FULL: bool>(&self) {
        // SAFETY: the caller's promise.
        unsafe {
            match (self.kernel, self.stride, self.dilation) {
                ([3, 3], [1, 1], [1, 1]) => self.fixed::<I, 3, 1, FULL>(),
                ([3, 3], [2, 2], [1, 1]) => self.fixed::<I, 3, 2, FULL>(),
                ([5, 5], [1, 1], [1, 1]) => self.fixed::<I, 5, 1, FULL>(),
                ([5, 5], [2, 2], [1, 1]) => self.fixed::<I, 5, 2, FULL>(),
                ([7, 7], [1, 1], [1, 1]) => self.fixed::<I, 7, 1, FULL>(),
                _ => self.any::<I>(),
            }
        }
    }

    #[inline(always)]
    unsafe fn finish<I: Isa, const FULL: bool>(&self, pixel: usize, mut sum: I::V) {
        // SAFETY: the pixel lies in the output.
        unsafe {
            let to = self.to.get(pixel, 0);
            if self.accumulate {
                sum = I::add(sum, get::<I, FULL>(to, self.lanes));
            }
            if let Some([low, high]) = self.clamp {
                sum = I::at_most(I::at_least(sum, I::splat(low)), I::splat(high));
            }
            if FULL { I::store(to, sum) } else { I::store_first(to, sum, self.lanes) }
        }
    }

    #[inline(always)]
    unsafe fn bias<I: Isa>(&self) -> I::V {
        // SAFETY: the bias has the vector's channels.
        unsafe { if self.bias.is_null() { I::splat(0.0) } else { I::load_first(self.bias, self.lanes) } }
    }

    /// Outputs of a row from `x` on, `X` of them.
    #[inline(always)]
    unsafe fn some<I: Isa, const K: usize, const S: usize, const X: usize, const FULL: bool>(
        &self,
        y: usize,
        x: usize,
        bias: I::V,
        weights: &[[I::V; K]; K],
    ) {
        // SAFETY: the padded image holds the window of every output.
        unsafe {
            let mut sums = [bias; X];
            for ky in 0..K {
                let line = self.from.add(((y * S + ky) * self.columns + x * S) * I::LANES);
                for kx in 0..K {
                    for i in 0..X {
                        let from = I::load(line.add((i * S + kx) * I::LANES));
                        sums[i] = I::fma(from, weights[ky][kx], sums[i]);
                    }
                }
            }
            for i in 0..X {
                self.finish::<I, FULL>(y * self.size[1] + x + i, sums[i]);
            }
        }
    }

    #[inline(always)]
    unsafe fn fixed<I: Isa, const K: usize, const S: usize, const FULL: bool>(&self) {
        // SAFETY: the caller's promise.
        unsafe {
            let bias = self.bias::<I>();
            let mut weights = [[I::splat(0.0); K]; K];
            for ky in 0..K {
                for kx in 0..K {
                    let at = self.weight.offset((ky * K + kx) as isize * self.weight_step);
                    weights[ky][kx] = get::<I, FULL>(at, self.lanes);
                }
            }
            for y in 0..self.size[0] {
                let mut x = 0;
                while x + 4 <= self.size[1] {
                    self.some::<I, K, S, 4, FULL>(y, x, bias, &weights);
                    x += 4;
                }
                if x + 2 <= self.size[1] {
                    self.some::<I, K, S, 2, FULL>(y, x, bias, &weights);
                    x += 2;
                }
                if x < self.size[1] {
                    self.some::<I, K, S, 1, FULL>(y, x, bias, &weights);
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn any<I: Isa>(&self) {
        let [kh, kw] = self.kernel;
        for y in 0..self.size[0] {
            for x in 0..self.size[1] {
                // SAFETY: the padded image holds the window of every output.
                unsafe {
                    let mut sum = self.bias::<I>();
                    for ky in 0..kh {
                        for kx in 0..kw {
                            let row = y * self.stride[0] + ky * self.dilation[0];
                            let column = x * self.stride[1] + kx * self.dilation[1];
                            let from = self.from.add((row * self.columns + column) * I::LANES);
                            let at = self.weight.offset((ky * kw + kx) as isize * self.weight_step);
                            sum = I::fma(I::load(from), I::load_first(at, self.lanes), sum);
                        }
                    }
                    self.finish::<I, false>(y * self.size[1] + x, sum);
                }
            }
        }
    }
}
