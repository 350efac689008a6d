//! Products of matrices: a register tile of rows × vectors of columns, over panels of packed or strided columns.

use cygnet_cpu::{Isa, Kernel, Level, opaque, unroll};

/// What a product is added to.
#[derive(Clone, Copy)]
pub(crate) enum Start {
    /// Nothing.
    Zero,
    /// What the result holds.
    Result,
    /// One number a column.
    Bias(*const f32),
}

/// `c[i][j] = clamp(start + sum over k of a[i][k] * b[k][j])`.
///
/// Columns of `b` come in panels of two vectors: column `j` of row `k` is at
/// `b + (j / width) * b_panel + k * b_step + j % width`. Whole vectors of `b` are read.
#[derive(Clone, Copy)]
pub(crate) struct Product {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) inner: usize,
    pub(crate) a: *const f32,
    pub(crate) a_row: usize,
    pub(crate) a_step: usize,
    pub(crate) b: *const f32,
    pub(crate) b_panel: usize,
    pub(crate) b_step: usize,
    pub(crate) c: *mut f32,
    pub(crate) c_row: usize,
    pub(crate) start: Start,
    pub(crate) clamp: Option<[f32; 2]>,
}

/// Columns of a panel.
pub(crate) fn panel_width(level: Level) -> usize {
    2 * level.lanes()
}

impl Product {
    /// # Safety
    /// The CPU must have `level`; the pointers must be valid for the sizes, `b` for whole vectors.
    pub(crate) unsafe fn run(&self, level: Level) {
        // SAFETY: the caller's promise.
        unsafe { self.run_columns(level, 0..self.columns) }
    }

    /// Computes columns of some panels only; the range starts at a panel.
    ///
    /// # Safety
    /// As [`Product::run`].
    pub(crate) unsafe fn run_columns(&self, level: Level, columns: std::ops::Range<usize>) {
        let (lanes, width) = (level.lanes(), panel_width(level));
        let mut j = columns.start;
        while j < columns.end {
            let n = (columns.end - j).min(width);
            let vectors = n.div_ceil(lanes);
            let tiles = self.rows.div_ceil(level.tile()[vectors - 1]);
            let (each, longer) = (self.rows / tiles.max(1), self.rows % tiles.max(1));
            let mut i = 0;
            for t in 0..tiles {
                let rows = each + usize::from(t < longer);
                // SAFETY: the tile lies within the product, which the caller vouches for.
                unsafe {
                    let tile = Tile {
                        a: self.a.add(i * self.a_row),
                        b: self.b.add(j / width * self.b_panel),
                        c: self.c.add(i * self.c_row + j),
                        bias: match self.start {
                            Start::Bias(bias) => bias.add(j),
                            Start::Zero | Start::Result => std::ptr::null(),
                        },
                        last: n - (vectors - 1) * lanes,
                        of: self,
                    };
                    tile.run(level, rows, vectors);
                }
                i += rows;
            }
            j += n;
        }
    }
}

struct Tile<'a> {
    a: *const f32,
    b: *const f32,
    c: *mut f32,
    bias: *const f32,
    last: usize,
    of: &'a Product,
}

/// A tile of so many rows and vectors; rows of `a` follow each other at distance 1 if `CLOSE`.
struct Sized<'t, 'a, const R: usize, const V: usize, const CLOSE: bool>(&'t Tile<'a>);

impl Tile<'_> {
    /// # Safety
    /// As [`Product::run`].
    #[inline]
    unsafe fn run(&self, level: Level, rows: usize, vectors: usize) {
        macro_rules! sizes {
            ($($vectors:literal: [$($rows:literal)*],)*) => {
                match (vectors, rows, self.of.a_row == 1) {
                    $($(
                        // SAFETY: the caller's promise.
                        ($vectors, $rows, true) => unsafe { level.run(Sized::<$rows, $vectors, true>(self)) },
                        // SAFETY: the caller's promise.
                        ($vectors, $rows, false) => unsafe { level.run(Sized::<$rows, $vectors, false>(self)) },
                    )*)*
                    _ => unreachable!("tiles are cut to the sizes that exist"),
                }
            };
        }
        sizes! {
            1: [1 2 3 4 5 6 7 8 9 10 11 12 13 14],
            2: [1 2 3 4 5 6 7 8 9 10 11 12 13 14],
        }
    }
}

impl<const R: usize, const V: usize, const CLOSE: bool> Kernel for Sized<'_, '_, R, V, CLOSE> {
    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        if const { R > I::TILE[V - 1] } {
            return;
        }
        let t = self.0;
        let p = t.of;
        // SAFETY: the tile lies within its product.
        unsafe {
            let mut tile = [[I::splat(0.0); V]; R];
            let (mut a, mut b) = (t.a, t.b);
            let row = if CLOSE { 1 } else { p.a_row };
            let mut left = p.inner;
            if const { I::INPUTS > 1 && !CLOSE } && p.a_step == 1 {
                while left >= I::INPUTS {
                    a = opaque(a);
                    let mut inputs = [I::splat(0.0); R];
                    for (i, inputs) in inputs.iter_mut().enumerate() {
                        *inputs = I::inputs(a.add(i * row));
                    }
                    unroll!(L < I::INPUTS, at most 4, {
                        let columns = vectors::<I, V>(b);
                        for (sums, inputs) in tile.iter_mut().zip(inputs) {
                            for (sum, column) in sums.iter_mut().zip(columns) {
                                *sum = I::fma_input(inputs, L, column, *sum);
                            }
                        }
                        b = b.wrapping_add(p.b_step);
                    });
                    a = a.wrapping_add(I::INPUTS);
                    left -= I::INPUTS;
                }
            }
            for _ in 0..left {
                if !CLOSE {
                    a = opaque(a);
                }
                let columns = vectors::<I, V>(b);
                if const { I::INPUTS > 1 && CLOSE } {
                    for i in (0..R / I::INPUTS * I::INPUTS).step_by(I::INPUTS) {
                        let inputs = I::inputs(a.add(i));
                        unroll!(L < I::INPUTS, at most 4, {
                            for (sum, column) in tile[i + L].iter_mut().zip(columns) {
                                *sum = I::fma_input(inputs, L, column, *sum);
                            }
                        });
                    }
                    for i in R / I::INPUTS * I::INPUTS..R {
                        let x = I::splat(*a.add(i));
                        for (sum, column) in tile[i].iter_mut().zip(columns) {
                            *sum = I::fma(x, column, *sum);
                        }
                    }
                } else {
                    for (i, sums) in tile.iter_mut().enumerate() {
                        let x = I::splat(*a.add(i * row));
                        for (sum, column) in sums.iter_mut().zip(columns) {
                            *sum = I::fma(x, column, *sum);
                        }
                    }
                }
                a = a.wrapping_add(p.a_step);
                b = b.wrapping_add(p.b_step);
            }
            let mut sums = tile;
            for (i, sums) in sums.iter_mut().enumerate() {
                let c = t.c.add(i * p.c_row);
                for (j, sum) in sums.iter_mut().enumerate() {
                    let lanes = if j + 1 < V { I::LANES } else { t.last };
                    let at = c.add(j * I::LANES);
                    match p.start {
                        Start::Zero => {}
                        Start::Result => *sum = I::add(*sum, I::load_first(at, lanes)),
                        Start::Bias(_) => *sum = I::add(*sum, I::load_first(t.bias.add(j * I::LANES), lanes)),
                    }
                    if let Some([low, high]) = p.clamp {
                        *sum = I::at_most(I::at_least(*sum, I::splat(low)), I::splat(high));
                    }
                    I::store_first(at, *sum, lanes);
                }
            }
        }
    }
}

/// `N` vectors that follow each other.
///
/// # Safety
/// As [`cygnet_cpu::Floats::load`].
#[inline(always)]
unsafe fn vectors<I: Isa, const N: usize>(from: *const f32) -> [I::V; N] {
    // SAFETY: the caller's promise.
    unsafe {
        let mut vectors = [I::splat(0.0); N];
        for (v, vector) in vectors.iter_mut().enumerate() {
            *vector = I::load(from.add(v * I::LANES));
        }
        vectors
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_of_every_size_and_form_are_those_of_plain_loops() {
        for &level in Level::ALL.iter().filter(|level| level.is_supported()) {
            let width = panel_width(level);
            for (rows, columns, inner) in
                [(1usize, 1usize, 1usize), (5, 17, 3), (14, 32, 40), (29, 50, 7), (43, 96, 11)]
            {
                let value = |i: usize| ((i * 37 + 11) % 29) as f32 - 14.0;
                let ld = columns.next_multiple_of(width) + 5;
                let a: Vec<f32> = (0..rows * inner).map(value).collect();
                let b: Vec<f32> = (0..inner * ld + width).map(|i| value(i + 3)).collect();
                for transposed in [false, true] {
                    let [a_row, a_step] = if transposed { [1, rows] } else { [inner, 1] };
                    let mut c = vec![0.5; rows * columns];
                    let product = Product {
                        rows,
                        columns,
                        inner,
                        a: a.as_ptr(),
                        a_row,
                        a_step,
                        b: b.as_ptr(),
                        b_panel: width,
                        b_step: ld,
                        c: c.as_mut_ptr(),
                        c_row: columns,
                        start: Start::Result,
                        clamp: None,
                    };
                    // SAFETY: the vectors have the sizes of the product.
                    unsafe { product.run(level) };
                    for i in 0..rows {
                        for j in 0..columns {
                            let terms = (0..inner).map(|k| a[i * a_row + k * a_step] * b[k * ld + j]);
                            assert_eq!(c[i * columns + j], 0.5 + terms.sum::<f32>(), "{level:?} {i} {j}");
                        }
                    }
                }
            }
        }
    }
}
