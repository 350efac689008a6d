//! The weight's gradient of a depthwise convolution.

use cygnet_cpu::{Isa, Kernel};

/// `to[window position] += sum over pixels of from * d`, for one vector of channels.
pub(super) struct WeightGradient {
    pub(super) from: *const f32,
    pub(super) columns: usize,
    pub(super) kernel: [usize; 2],
    pub(super) stride: [usize; 2],
    pub(super) dilation: [usize; 2],
    /// Whole vectors, `d_columns` in a row.
    pub(super) d: *const f32,
    pub(super) d_columns: usize,
    pub(super) size: [usize; 2],
    pub(super) to: *mut f32,
    pub(super) to_step: usize,
    pub(super) lanes: usize,
    pub(super) first: bool,
}

impl Kernel for WeightGradient {
    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        // SAFETY: the caller's promise.
        unsafe {
            match (self.kernel, self.stride, self.dilation) {
                ([3, 3], [1, 1], [1, 1]) => self.fixed::<I, 3, 3, 1>(),
                ([3, 3], [2, 2], [1, 1]) => self.fixed::<I, 3, 3, 2>(),
                ([5, 5], [1, 1], [1, 1]) => self.fixed::<I, 5, 1, 1>(),
                ([5, 5], [2, 2], [1, 1]) => self.fixed::<I, 5, 1, 2>(),
                ([7, 7], [1, 1], [1, 1]) => self.fixed::<I, 7, 1, 1>(),
                _ => self.any::<I>(),
            }
        }
    }
}

impl WeightGradient {
    #[inline(always)]
    unsafe fn add<I: Isa>(&self, tap: usize, mut sum: I::V) {
        // SAFETY: the tap has its place.
        unsafe {
            let to = self.to.add(tap * self.to_step);
            if !self.first {
                sum = I::add(sum, I::load_first(to, self.lanes));
            }
            I::store_first(to, sum, self.lanes);
        }
    }

    /// `KY` rows of the window at a time.
    #[inline(always)]
    unsafe fn fixed<I: Isa, const K: usize, const KY: usize, const S: usize>(&self) {
        // SAFETY: the padded image holds the window of every pixel.
        unsafe {
            for ky in (0..K).step_by(KY) {
                let mut sums = [[I::splat(0.0); K]; KY];
                for y in 0..self.size[0] {
                    let line = self.from.add((y * S + ky) * self.columns * I::LANES);
                    let d = self.d.add(y * self.d_columns * I::LANES);
                    let mut x = 0;
                    while x + 2 <= self.size[1] {
                        self.some::<I, K, KY, S, 2>(line, d, x, &mut sums);
                        x += 2;
                    }
                    if x < self.size[1] {
                        self.some::<I, K, KY, S, 1>(line, d, x, &mut sums);
                    }
                }
                for i in 0..KY {
                    for kx in 0..K {
                        self.add::<I>((ky + i) * K + kx, sums[i][kx]);
                    }
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn some<I: Isa, const K: usize, const KY: usize, const S: usize, const X: usize>(
        &self,
        line: *const f32,
        d: *const f32,
        x: usize,
        sums: &mut [[I::V; K]; KY],
    ) {
        // SAFETY: the padded image holds the window of every pixel.
        unsafe {
            let mut values = [I::splat(0.0); X];
            for i in 0..X {
                values[i] = I::load(d.add((x + i) * I::LANES));
            }
            for ky in 0..KY {
                let line = line.add((ky * self.columns + x * S) * I::LANES);
                for i in 0..X {
                    for kx in 0..K {
                        let from = I::load(line.add((i * S + kx) * I::LANES));
                        sums[ky][kx] = I::fma(from, values[i], sums[ky][kx]);
                    }
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn any<I: Isa>(&self) {
        let [kh, kw] = self.kernel;
        for tap in 0..kh * kw {
            // SAFETY: the padded image holds the window of every pixel.
            unsafe {
                let mut sum = I::splat(0.0);
                for y in 0..self.size[0] {
                    for x in 0..self.size[1] {
                        let row = y * self.stride[0] + tap / kw * self.dilation[0];
                        let column = x * self.stride[1] + tap % kw * self.dilation[1];
                        let from = I::load(self.from.add((row * self.columns + column) * I::LANES));
                        sum = I::fma(from, I::load(self.d.add((y * self.d_columns + x) * I::LANES)), sum);
                    }
                }
                self.add::<I>(tap, sum);
            }
        }
    }
}
