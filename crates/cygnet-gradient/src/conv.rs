//! Convolutions as products over rows of pixels, unrolled in pieces that stay in cache.

mod backward;
mod few;
mod windows;

use std::ops::Range;

use cygnet_cpu::pool::share;
use cygnet_cpu::{FAR, Level};

use crate::area::{Area, Touches};
use crate::chunk::{self, Blocks, Rows};
use crate::gemm::{Product, Start, panel_width};
use crate::geometry::Geometry;
use crate::value::{Source, View, size};
use crate::work::{Limits, Work, Workspace};
use few::FewRows;
use windows::Input;

pub use backward::ConvBackward;

/// Rows of one piece: few enough for the second cache, and enough to use a panel of weights well.
fn piece(floats_a_row: usize) -> usize {
    (65_536 / floats_a_row.max(1)).clamp(28, 112) / 14 * 14
}

/// Most rows that are few.
const FEW_ROWS: usize = 64;

/// Rows of each of the fewest pieces of about the same size that so many rows are cut into, none of more than `most`.
fn even(rows: usize, most: usize) -> usize {
    rows.div_ceil(rows.div_ceil(most).max(1)).max(1)
}

/// Distance of scratch rows: whole lines, and not a multiple of much more, so that rows share no cache sets.
fn spread(channels: usize) -> usize {
    channels.next_multiple_of(16) | 16
}

/// A convolution or linear layer, forward.
#[derive(Clone, Debug)]
pub struct Conv {
    /// What it reads.
    pub source: Source,
    /// What it writes.
    pub output: View,
    /// Window and groups.
    pub geometry: Geometry,
    /// The packed weight, [`crate::PackForm::Forward`]; needed unless the weight is read as it is.
    pub packed: usize,
    /// The parameter of a weight that is read as it is, where there are [few rows](Conv::has_few_rows).
    pub unpacked: Option<usize>,
    /// Parameter of the bias.
    pub bias: Option<usize>,
    /// Limits of the result.
    pub clamp: Option<[f32; 2]>,
    /// Where each block of rows leaves its moments, `[blocks, 2, spacing]`, and the spacing.
    pub moments: Option<[usize; 2]>,
}

impl Conv {
    /// Blocks of rows, each a partial result of the moments.
    #[must_use]
    pub fn row_blocks(output: &View) -> usize {
        (output.rows() / 64).clamp(1, 64)
    }

    /// Whether a convolution with such an output has so few rows that to pack its weight would take longer than the product,
    /// which is then of the weight as it is with the rows turned into columns.
    #[must_use]
    pub fn has_few_rows(output: &View, geometry: &Geometry) -> bool {
        geometry.is_point() && geometry.groups == 1 && output.rows() <= FEW_ROWS
    }

    fn column_blocks(&self) -> usize {
        let is_short = Conv::row_blocks(&self.output) < 4 && self.geometry.groups == 1;
        if is_short { self.output.channels.div_ceil(64).min(4) } else { 1 }
    }

    fn inner(&self) -> usize {
        self.source.view.channels / self.geometry.groups * self.geometry.taps()
    }

    fn is_direct(&self) -> bool {
        self.geometry.is_point() && self.source.is_plain()
    }
}

/// Whether a convolution can be between two sound views.
fn geometry_fits(geometry: &Geometry, input: &View, output: &View) -> bool {
    geometry.spans(input, output, 1 << 20)
        && geometry.groups > 0
        && input.channels.is_multiple_of(geometry.groups)
        && output.channels.is_multiple_of(geometry.groups)
        && size(&[input.channels, geometry.taps()]) <= FAR >> 8
        && output.channels <= FAR >> 8
        && (!geometry.is_point() || (input.height, input.width) == (output.height, output.width))
}

impl Work for Conv {
    fn fits(&self, limits: &Limits<'_>) -> bool {
        let out = self.output.channels;
        self.source.is_sound()
            && self.output.is_sound()
            && geometry_fits(&self.geometry, &self.source.view, &self.output)
            && self.bias.is_none_or(|bias| limits.param(bias, out))
            && self.unpacked.is_none_or(|weight| {
                limits.param(weight, size(&[out, self.inner()]))
                    && Conv::has_few_rows(&self.output, &self.geometry)
                    && self.clamp.is_none()
            })
            && self.moments.is_none_or(|[_, spacing]| spacing >= out)
    }

    fn touches(&self, level: Level) -> Touches {
        let (groups, out) = (self.geometry.groups, self.output.channels);
        let columns = (out / groups).next_multiple_of(panel_width(level));
        let packed = Area::flat(self.packed, size(&[groups, columns, self.inner()]));
        let packed = self.unpacked.is_none().then_some(packed);
        let blocks = Conv::row_blocks(&self.output);
        let moments = self.moments.map(|[at, spacing]| Area::pairs(at, blocks, out, spacing));
        Touches::default()
            .reads(self.source.areas().chain(packed))
            .writes([self.output.into()].into_iter().chain(moments))
    }

    fn tasks(&self) -> usize {
        Conv::row_blocks(&self.output) * self.column_blocks()
    }

    fn macs(&self) -> u64 {
        size(&[self.output.rows(), self.output.channels, self.inner()]) as u64
    }

    fn outside(&self) -> usize {
        if self.unpacked.is_some() { size(&[self.output.channels, self.inner()]) } else { 0 }
    }

    fn scratch(&self) -> usize {
        let k = if self.geometry.is_point() { self.source.view.channels } else { self.inner() };
        let rows = |most: usize| if self.is_direct() { 0 } else { size(&[most, spread(k)]) };
        match self.unpacked {
            Some(_) => rows(self.output.rows()).saturating_add(FewRows::scratch(&self.output, self.inner())),
            None => rows(piece(k)),
        }
    }

    unsafe fn run(&self, memory: &Workspace<'_>, task: usize) {
        let (level, width) = (memory.level, panel_width(memory.level));
        let blocks = Conv::row_blocks(&self.output);
        let (block, part) = (task % blocks, task / blocks);
        let out = self.output.channels / self.geometry.groups;
        let panels = share(out.div_ceil(width), self.column_blocks(), part);
        let columns = panels.start * width..(panels.end * width).min(out);
        if columns.is_empty() {
            return;
        }
        let rows = share(self.output.rows(), blocks, block);
        let input = Input {
            source: &self.source,
            geometry: &self.geometry,
            output: &self.output,
            is_direct: self.is_direct(),
        };
        if let Some(weight) = self.unpacked {
            // SAFETY: `fits` checked the views and the parameters' lengths, and that the rows are one block.
            unsafe { self.few_rows(memory, &input, memory.params[weight], columns) }
            return;
        }
        let most = piece(if self.geometry.is_point() { self.source.view.channels } else { self.inner() });
        let step = even(rows.len(), most);
        let mut first = rows.start;
        while first < rows.end {
            let n = (rows.end - first).min(step);
            // SAFETY: `fits` checked the views; scratch has room for a piece.
            unsafe {
                for group in 0..self.geometry.groups {
                    let a = input.rows(memory, first, n, group, memory.scratch);
                    let c = memory.arena.add(self.output.offset + first * self.output.stride + group * out);
                    let product = Product {
                        rows: n,
                        columns: out,
                        inner: self.inner(),
                        a: a.at,
                        a_row: a.stride,
                        a_step: 1,
                        b: memory.arena.add(self.packed + group * out.next_multiple_of(width) * self.inner()),
                        b_panel: width * self.inner(),
                        b_step: width,
                        c,
                        c_row: self.output.stride,
                        start: match self.bias {
                            Some(bias) => Start::Bias(memory.params[bias].add(group * out)),
                            None => Start::Zero,
                        },
                        clamp: self.clamp,
                    };
                    product.run_columns(level, columns.clone());
                }
                let channels =
                    if self.geometry.groups == 1 { columns.clone() } else { 0..self.output.channels };
                self.add_moments(memory, block, first..first + n, first - rows.start, channels);
            }
            first += n;
        }
    }
}

impl Conv {
    /// Adds some rows of some channels to the moments of a block, of which so many rows are in them `before`.
    ///
    /// # Safety
    /// As [`Work::run`]; rows and channels must be those of the task.
    unsafe fn add_moments(
        &self,
        memory: &Workspace<'_>,
        block: usize,
        rows: Range<usize>,
        before: usize,
        channels: Range<usize>,
    ) {
        let Some([at, spacing]) = self.moments else { return };
        // SAFETY: the caller's promise.
        unsafe {
            let from = Rows::of(memory.arena, &self.output, rows.start);
            let moments = chunk::MomentsRows {
                rows: rows.len(),
                from: Rows { at: from.at.add(channels.start), ..from },
                to: memory.arena.add(at + block * 2 * spacing + channels.start),
                spacing,
                before,
            };
            Blocks::go(channels.len(), moments, memory.level);
        }
    }

    /// The rows of a task's columns by a weight `[out, inner]` as it is.
    ///
    /// # Safety
    /// As [`Work::run`]; the weight must have its length, and the rows be few.
    unsafe fn few_rows(
        &self,
        memory: &Workspace<'_>,
        input: &Input<'_>,
        weight: *const f32,
        columns: Range<usize>,
    ) {
        let rows = self.output.rows();
        // SAFETY: the caller's promise; scratch has room for the rows and for what the product works in.
        unsafe {
            let x = input.rows(memory, 0, rows, 0, memory.scratch);
            let used = if self.is_direct() { 0 } else { rows * spread(self.source.view.channels) };
            let few = FewRows { rows, inner: self.inner(), x, scratch: memory.scratch.add(used) };
            let bias = self.bias.map_or(std::ptr::null(), |bias| memory.params[bias].cast_const());
            few.product(memory.level, weight, bias, columns.clone(), Rows::of(memory.arena, &self.output, 0));
            self.add_moments(memory, 0, 0..rows, 0, columns);
        }
    }
}
