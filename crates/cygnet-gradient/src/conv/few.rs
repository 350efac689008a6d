//! Products of few rows with a large weight that is read once, as it lies.

use std::ops::Range;

use cygnet_cpu::Level;

use crate::chunk::Rows;
use crate::gemm::{Product, Start, panel_width};
use crate::value::{View, size};

/// Columns of the widest panel.
const WIDEST: usize = 32;

/// Rows that a weight `[out, inner]` is multiplied by: as columns, by which the weight's rows are those of the product.
pub(super) struct FewRows {
    pub(super) rows: usize,
    pub(super) inner: usize,
    pub(super) x: Rows,
    /// Memory to work in, [`FewRows::scratch`] numbers.
    pub(super) scratch: *mut f32,
}

impl FewRows {
    /// Numbers of memory that a product works in.
    pub(super) fn scratch(output: &View, inner: usize) -> usize {
        let columns = output.rows().next_multiple_of(WIDEST);
        size(&[columns, inner.saturating_add(output.channels)])
    }

    /// Outputs of some columns: `to[row][column] = sum over the inputs of x[row] * weight[column] + bias[column]`.
    ///
    /// # Safety
    /// The CPU must have `level`; rows, weight, bias if there is one, `to` and scratch must have the sizes of the product.
    pub(super) unsafe fn product(
        &self,
        level: Level,
        weight: *const f32,
        bias: *const f32,
        columns: Range<usize>,
        to: Rows,
    ) {
        let (rows, inner, width) = (self.rows, self.inner, panel_width(level));
        let spacing = rows.next_multiple_of(width);
        // SAFETY: the caller's promise.
        unsafe {
            let (turned, sums) = (self.scratch, self.scratch.add(spacing * inner));
            for row in 0..rows {
                let panel = turned.add(row / width * width * inner + row % width);
                for k in 0..inner {
                    *panel.add(k * width) = *self.x.get(row, k);
                }
            }
            let product = Product {
                rows: columns.len(),
                columns: rows,
                inner,
                a: weight.add(columns.start * inner),
                a_row: inner,
                a_step: 1,
                b: turned,
                b_panel: width * inner,
                b_step: width,
                c: sums,
                c_row: spacing,
                start: Start::Zero,
                clamp: None,
            };
            product.run(level);
            for (i, column) in columns.enumerate() {
                let bias = if bias.is_null() { 0.0 } else { *bias.add(column) };
                for row in 0..rows {
                    *to.get(row, column) = *sums.add(i * spacing + row) + bias;
                }
            }
        }
    }
}
