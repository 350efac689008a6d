//! What is computed of each element: a norm and an activation, and their gradients.

use cygnet_cpu::{Activation, Isa};

use super::{Block, Rows, activate, differentiate, load, store};
use crate::Source;

/// `to = activation(from * scale + shift + term)`; a null pointer leaves its part out.
#[derive(Clone, Copy)]
pub(crate) struct ApplyRows {
    pub(crate) rows: usize,
    pub(crate) from: Rows,
    pub(crate) to: Rows,
    pub(crate) scale: *const f32,
    pub(crate) shift: *const f32,
    pub(crate) term: Rows,
    pub(crate) activation: Activation,
}

impl ApplyRows {
    /// # Safety
    /// The source's view must lie in the arena.
    pub(crate) unsafe fn source(
        arena: *mut f32,
        source: &Source,
        first: usize,
        rows: usize,
        to: Rows,
    ) -> ApplyRows {
        let none = std::ptr::null_mut();
        // SAFETY: the caller's promise.
        unsafe {
            let [scale, shift] = match source.norm {
                Some(norm) => [arena.add(norm.scale()), arena.add(norm.shift())],
                None => [none, none],
            };
            ApplyRows {
                rows,
                from: Rows::of(arena, &source.view, first),
                to,
                scale,
                shift,
                term: Rows { at: none, stride: 0 },
                activation: source.activation,
            }
        }
    }
}

impl Block for ApplyRows {
    #[inline(always)]
    unsafe fn block<I: Isa, const V: usize>(&self, c: usize, last: usize) {
        // SAFETY: the pointers are valid for the rows and channels.
        unsafe {
            let affine = !self.scale.is_null();
            let (mut scale, mut shift) = ([I::splat(1.0); V], [I::splat(0.0); V]);
            if affine {
                scale = load::<I, V>(self.scale.add(c), last);
                shift = load::<I, V>(self.shift.add(c), last);
            }
            for i in 0..self.rows {
                let mut x = load::<I, V>(self.from.get(i, c), last);
                if affine {
                    for j in 0..V {
                        x[j] = I::fma(x[j], scale[j], shift[j]);
                    }
                }
                if !self.term.at.is_null() {
                    let term = load::<I, V>(self.term.get(i, c), last);
                    for j in 0..V {
                        x[j] = I::add(x[j], term[j]);
                    }
                }
                activate::<I, V>(self.activation, &mut x);
                store::<I, V>(self.to.get(i, c), x, last);
            }
        }
    }
}

/// `to = g * p + y * q + r`, a norm's gradient with respect to its input.
#[derive(Clone, Copy)]
pub(crate) struct CombineRows {
    pub(crate) rows: usize,
    pub(crate) g: Rows,
    pub(crate) y: Rows,
    pub(crate) to: Rows,
    /// `p`, `q` and `r`, each `spacing` after the other.
    pub(crate) coefficients: *const f32,
    pub(crate) spacing: usize,
    pub(crate) accumulate: bool,
}

impl Block for CombineRows {
    #[inline(always)]
    unsafe fn block<I: Isa, const V: usize>(&self, c: usize, last: usize) {
        // SAFETY: the pointers are valid for the rows and channels.
        unsafe {
            let p = load::<I, V>(self.coefficients.add(c), last);
            let q = load::<I, V>(self.coefficients.add(self.spacing + c), last);
            let r = load::<I, V>(self.coefficients.add(2 * self.spacing + c), last);
            for i in 0..self.rows {
                let g = load::<I, V>(self.g.get(i, c), last);
                let y = load::<I, V>(self.y.get(i, c), last);
                let to = self.to.get(i, c);
                let mut x = [I::splat(0.0); V];
                for j in 0..V {
                    x[j] = I::fma(g[j], p[j], I::fma(y[j], q[j], r[j]));
                }
                if self.accumulate {
                    let old = load::<I, V>(to, last);
                    for j in 0..V {
                        x[j] = I::add(x[j], old[j]);
                    }
                }
                store::<I, V>(to, x, last);
            }
        }
    }
}

/// `to = g * activation'(x)`, where `x * scale + shift + term` is what the function saw; adds it to `to` on request.
#[derive(Clone, Copy)]
pub(crate) struct DeriveRows {
    pub(crate) rows: usize,
    pub(crate) g: Rows,
    pub(crate) x: Rows,
    pub(crate) to: Rows,
    pub(crate) activation: Activation,
    pub(crate) accumulate: bool,
}

impl Block for DeriveRows {
    #[inline(always)]
    unsafe fn block<I: Isa, const V: usize>(&self, c: usize, last: usize) {
        // SAFETY: the pointers are valid for the rows and channels.
        unsafe {
            for i in 0..self.rows {
                let mut g = load::<I, V>(self.g.get(i, c), last);
                if self.activation != Activation::None {
                    let x = load::<I, V>(self.x.get(i, c), last);
                    differentiate::<I, V>(self.activation, &x, &mut g);
                }
                let to = self.to.get(i, c);
                if self.accumulate {
                    let old = load::<I, V>(to, last);
                    for j in 0..V {
                        g[j] = I::add(g[j], old[j]);
                    }
                }
                store::<I, V>(to, g, last);
            }
        }
    }
}

/// Turns the gradient of `activation(y * scale + shift + term)` into that of its argument, and sums it and its
/// product with `y - mean` for each channel.
#[derive(Clone, Copy)]
pub(crate) struct UnnormRows {
    pub(crate) rows: usize,
    pub(crate) g: Rows,
    pub(crate) y: Rows,
    /// Null without one.
    pub(crate) term: Rows,
    pub(crate) to: Rows,
    pub(crate) activation: Activation,
    pub(crate) mean: *const f32,
    pub(crate) scale: *const f32,
    pub(crate) shift: *const f32,
    /// Sums of the gradient, and `spacing` later those of the product.
    pub(crate) sums: *mut f32,
    pub(crate) spacing: usize,
    /// Whether these are the first rows that are summed.
    pub(crate) first: bool,
}

impl Block for UnnormRows {
    #[inline(always)]
    unsafe fn block<I: Isa, const V: usize>(&self, c: usize, last: usize) {
        // SAFETY: the pointers are valid for the rows and channels.
        unsafe {
            let mean = load::<I, V>(self.mean.add(c), last);
            let scale = load::<I, V>(self.scale.add(c), last);
            let shift = load::<I, V>(self.shift.add(c), last);
            let (mut sum, mut product) = ([I::splat(0.0); V], [I::splat(0.0); V]);
            for i in 0..self.rows {
                let mut g = load::<I, V>(self.g.get(i, c), last);
                let y = load::<I, V>(self.y.get(i, c), last);
                if self.activation != Activation::None {
                    let mut x = [I::splat(0.0); V];
                    for j in 0..V {
                        x[j] = I::fma(y[j], scale[j], shift[j]);
                    }
                    if !self.term.at.is_null() {
                        let term = load::<I, V>(self.term.get(i, c), last);
                        for j in 0..V {
                            x[j] = I::add(x[j], term[j]);
                        }
                    }
                    differentiate::<I, V>(self.activation, &x, &mut g);
                }
                for j in 0..V {
                    sum[j] = I::add(sum[j], g[j]);
                    product[j] = I::fma(g[j], I::sub(y[j], mean[j]), product[j]);
                }
                store::<I, V>(self.to.get(i, c), g, last);
            }
            let (sum_at, product_at) = (self.sums.add(c), self.sums.add(self.spacing + c));
            if !self.first {
                let (old_sum, old_product) = (load::<I, V>(sum_at, last), load::<I, V>(product_at, last));
                for j in 0..V {
                    sum[j] = I::add(sum[j], old_sum[j]);
                    product[j] = I::add(product[j], old_product[j]);
                }
            }
            store::<I, V>(sum_at, sum, last);
            store::<I, V>(product_at, product, last);
        }
    }
}
