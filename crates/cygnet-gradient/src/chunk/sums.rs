//! What is summed over rows, a channel at a time.

use cygnet_cpu::Isa;

use super::{Block, Rows, load, store};

/// Mean and sum of squared deviations of each channel over some rows.
#[derive(Clone, Copy)]
pub(crate) struct MomentsRows {
    pub(crate) rows: usize,
    pub(crate) from: Rows,
    /// Means, and `spacing` later the sums of squares.
    pub(crate) to: *mut f32,
    pub(crate) spacing: usize,
    /// Rows that `to` already describes.
    pub(crate) before: usize,
}

impl Block for MomentsRows {
    #[inline(always)]
    unsafe fn block<I: Isa, const V: usize>(&self, c: usize, last: usize) {
        // SAFETY: the pointers are valid for the rows and channels.
        unsafe {
            // Deviations from the first row are small where those from zero may not be.
            let origin = load::<I, V>(self.from.get(0, c), last);
            let (mut sum, mut squares) = ([I::splat(0.0); V], [I::splat(0.0); V]);
            for i in 1..self.rows {
                let x = load::<I, V>(self.from.get(i, c), last);
                for j in 0..V {
                    let d = I::sub(x[j], origin[j]);
                    sum[j] = I::add(sum[j], d);
                    squares[j] = I::fma(d, d, squares[j]);
                }
            }
            let (share, minus) = (I::splat(1.0 / self.rows as f32), I::splat(-1.0 / self.rows as f32));
            let mut mean = [I::splat(0.0); V];
            for j in 0..V {
                mean[j] = I::fma(sum[j], share, origin[j]);
            }
            let mut m2 = [I::splat(0.0); V];
            for j in 0..V {
                m2[j] = I::fma(I::mul(sum[j], sum[j]), minus, squares[j]);
            }
            let (mean_at, m2_at) = (self.to.add(c), self.to.add(self.spacing + c));
            if self.before > 0 {
                let (old_mean, old_m2) = (load::<I, V>(mean_at, last), load::<I, V>(m2_at, last));
                let (n, new) = (self.before as f32, self.rows as f32);
                let (part, weight) = (I::splat(new / (n + new)), I::splat(n * new / (n + new)));
                for j in 0..V {
                    let d = I::sub(mean[j], old_mean[j]);
                    mean[j] = I::fma(d, part, old_mean[j]);
                    m2[j] = I::add(I::add(m2[j], old_m2[j]), I::mul(I::mul(d, d), weight));
                }
            }
            store::<I, V>(mean_at, mean, last);
            store::<I, V>(m2_at, m2, last);
        }
    }
}

/// Adds rows to one row of sums.
#[derive(Clone, Copy)]
pub(crate) struct SumRows {
    pub(crate) rows: usize,
    pub(crate) from: Rows,
    pub(crate) to: *mut f32,
    pub(crate) first: bool,
}

impl Block for SumRows {
    #[inline(always)]
    unsafe fn block<I: Isa, const V: usize>(&self, c: usize, last: usize) {
        // SAFETY: the pointers are valid for the rows and channels.
        unsafe {
            let mut sum = [I::splat(0.0); V];
            for i in 0..self.rows {
                let x = load::<I, V>(self.from.get(i, c), last);
                for j in 0..V {
                    sum[j] = I::add(sum[j], x[j]);
                }
            }
            if !self.first {
                let old = load::<I, V>(self.to.add(c), last);
                for j in 0..V {
                    sum[j] = I::add(sum[j], old[j]);
                }
            }
            store::<I, V>(self.to.add(c), sum, last);
        }
    }
}
