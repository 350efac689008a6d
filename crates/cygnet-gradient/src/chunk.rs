//! What is done to a few rows of channels while they are in cache: loading, statistics, masks.

use cygnet_cpu::{Activation, Isa, Kernel, Level, SATURATION};

use crate::{Source, View};

/// Rows of channels in memory: channel `c` of row `i` is at `at + i * stride + c`.
#[derive(Clone, Copy)]
pub(crate) struct Rows {
    pub(crate) at: *mut f32,
    pub(crate) stride: usize,
}

impl Rows {
    /// Rows of a view from `first` on.
    ///
    /// # Safety
    /// The view must lie in the arena.
    #[inline(always)]
    pub(crate) unsafe fn of(arena: *mut f32, view: &View, first: usize) -> Rows {
        // SAFETY: the caller's promise.
        Rows { at: unsafe { arena.add(view.offset + first * view.stride) }, stride: view.stride }
    }

    /// # Safety
    /// The place must lie in the allocation.
    #[inline(always)]
    pub(crate) unsafe fn get(self, row: usize, channel: usize) -> *mut f32 {
        // SAFETY: the caller's promise.
        unsafe { self.at.add(row * self.stride + channel) }
    }
}

/// Work on vectors of channels; `V` vectors from `c` on, of which the last has `last` lanes.
pub(crate) trait Block {
    /// # Safety
    /// As the implementing kernel says; must be `#[inline(always)]`.
    unsafe fn block<I: Isa, const V: usize>(&self, c: usize, last: usize);
}

/// Runs a [`Block`] over all channels.
pub(crate) struct Blocks<B> {
    pub(crate) channels: usize,
    pub(crate) work: B,
}

impl<B: Block> Blocks<B> {
    /// # Safety
    /// The CPU must have `level`, and the block's own conditions must hold.
    pub(crate) unsafe fn go(channels: usize, work: B, level: Level) {
        // SAFETY: the caller's promise.
        unsafe { level.run(Blocks { channels, work }) }
    }
}

impl<B: Block> Kernel for Blocks<B> {
    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        let mut c = 0;
        // SAFETY: the caller's promise; blocks stay within the channels.
        unsafe {
            while c + 4 * I::LANES <= self.channels {
                self.work.block::<I, 4>(c, I::LANES);
                c += 4 * I::LANES;
            }
            while c + I::LANES <= self.channels {
                self.work.block::<I, 1>(c, I::LANES);
                c += I::LANES;
            }
            if c < self.channels {
                self.work.block::<I, 1>(c, self.channels - c);
            }
        }
    }
}

/// # Safety
/// As [`Isa`].
#[inline(always)]
pub(crate) unsafe fn load<I: Isa, const V: usize>(p: *const f32, last: usize) -> [I::V; V] {
    // SAFETY: the caller's promise.
    unsafe {
        let mut v = [I::splat(0.0); V];
        if last == I::LANES {
            for j in 0..V {
                v[j] = I::load(p.add(j * I::LANES));
            }
        } else {
            for j in 0..V {
                v[j] = I::load_first(p.add(j * I::LANES), if j + 1 < V { I::LANES } else { last });
            }
        }
        v
    }
}

/// # Safety
/// As [`Isa`].
#[inline(always)]
pub(crate) unsafe fn store<I: Isa, const V: usize>(p: *mut f32, v: [I::V; V], last: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        if last == I::LANES {
            for j in 0..V {
                I::store(p.add(j * I::LANES), v[j]);
            }
        } else {
            for j in 0..V {
                I::store_first(p.add(j * I::LANES), v[j], if j + 1 < V { I::LANES } else { last });
            }
        }
    }
}

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

/// `to = activation(from * scale + shift + term)`; a null pointer leaves its part out.
#[derive(Clone, Copy)]
pub(crate) struct Apply {
    pub(crate) rows: usize,
    pub(crate) from: Rows,
    pub(crate) to: Rows,
    pub(crate) scale: *const f32,
    pub(crate) shift: *const f32,
    pub(crate) term: Rows,
    pub(crate) activation: Activation,
}

impl Apply {
    /// # Safety
    /// The source's view must lie in the arena.
    pub(crate) unsafe fn source(
        arena: *mut f32,
        source: &Source,
        first: usize,
        rows: usize,
        to: Rows,
    ) -> Apply {
        let none = std::ptr::null_mut();
        // SAFETY: the caller's promise.
        unsafe {
            let [scale, shift] = match source.norm {
                Some(norm) => [arena.add(norm.scale()), arena.add(norm.shift())],
                None => [none, none],
            };
            Apply {
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

impl Block for Apply {
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
pub(crate) struct Combine {
    pub(crate) rows: usize,
    pub(crate) g: Rows,
    pub(crate) y: Rows,
    pub(crate) to: Rows,
    /// `p`, `q` and `r`, each `spacing` after the other.
    pub(crate) coefficients: *const f32,
    pub(crate) spacing: usize,
    pub(crate) accumulate: bool,
}

impl Block for Combine {
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
pub(crate) struct Derive {
    pub(crate) rows: usize,
    pub(crate) g: Rows,
    pub(crate) x: Rows,
    pub(crate) to: Rows,
    pub(crate) activation: Activation,
    pub(crate) accumulate: bool,
}

impl Block for Derive {
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
pub(crate) struct Unnorm {
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

impl Block for Unnorm {
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

/// Mean and sum of squared deviations of each channel over some rows.
#[derive(Clone, Copy)]
pub(crate) struct Moments {
    pub(crate) rows: usize,
    pub(crate) from: Rows,
    /// Means, and `spacing` later the sums of squares.
    pub(crate) to: *mut f32,
    pub(crate) spacing: usize,
    /// Rows that `to` already describes.
    pub(crate) before: usize,
}

impl Block for Moments {
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
pub(crate) struct Sum {
    pub(crate) rows: usize,
    pub(crate) from: Rows,
    pub(crate) to: *mut f32,
    pub(crate) first: bool,
}

impl Block for Sum {
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
