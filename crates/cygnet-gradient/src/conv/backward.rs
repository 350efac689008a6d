//! The gradients of a convolution or linear layer.

use std::ops::Range;

use cygnet_cpu::Level;
use cygnet_cpu::pool::share;

use super::windows::{Fold, Input, Windows};
use super::{even, geometry_fits, piece, spread};
use crate::area::{Area, Touches};
use crate::chunk::{self, Blocks, Rows};
use crate::gemm::{Product, Start, panel_width};
use crate::geometry::Geometry;
use crate::value::{Gradient, Sink, Source, View, size};
use crate::work::{Limits, Work, Workspace};

/// The gradients of a convolution or linear layer.
#[derive(Clone, Debug)]
pub struct ConvBackward {
    /// What it read.
    pub source: Source,
    /// The gradient of its output.
    pub gradient: Gradient,
    /// Window and groups.
    pub geometry: Geometry,
    /// The packed weight, [`crate::PackForm::Backward`]; needed for a sink, unless the weight is read as it is.
    pub packed: usize,
    /// For a sink, the parameter of a weight that [`ConvBackward::reads_weight`].
    pub unpacked: Option<usize>,
    /// Parameter of the weight, if its gradient is wanted.
    pub weight: Option<usize>,
    /// Parameter of the bias, if its gradient is wanted.
    pub bias: Option<usize>,
    /// Where each segment leaves its sums: of the weight as `[segments, out, taps, inner]`, then of the bias as
    /// `[segments, out]`. Unless [`ConvBackward::is_immediate`].
    pub partials: usize,
    /// Where the input's gradient goes.
    pub sink: Sink,
}

/// Lanes of the longest vector.
const VECTOR: usize = 16;

/// Largest number of elements of all segments' partial weights, where more than two segments would exceed it.
const PARTIALS: usize = 4 << 20;

/// Elements of a weight from which on it is wide, and most rows of the batch with which one segment is enough for it.
const WIDE: usize = 1 << 17;
const SHORT: usize = 512;

/// Elements of a weight whose columns are cut into more parts.
const LARGE: usize = 1 << 19;

/// Rows of a piece at least, if there are so many.
const LEAST: usize = 64;

impl ConvBackward {
    /// Segments of the batch, whose sums are added in order.
    #[must_use]
    pub fn segments(source: &Source, out: &View, geometry: &Geometry) -> usize {
        let weight = size(&[out.channels, source.view.channels / geometry.groups, geometry.taps()]);
        let most = (PARTIALS / weight.max(1)).clamp(2, 8);
        let units = if geometry.is_point() { out.rows() } else { out.images };
        // Sums of a large weight would be written and read again for each segment; columns are cut instead.
        let is_wide = geometry.is_point() && geometry.groups == 1 && weight >= WIDE && out.rows() <= SHORT;
        let most = if is_wide { 1 } else { most };
        (out.rows() / 64).clamp(1, most).min(units)
    }

    /// Whether the weight's gradient is added to the parameter's without [`crate::Reduce`].
    #[must_use]
    pub fn is_immediate(source: &Source, out: &View, geometry: &Geometry) -> bool {
        ConvBackward::segments(source, out, geometry) == 1 && geometry.taps() == 1
    }

    /// Whether the weight, of `inner` input channels, can be read without packing: as whole vectors, in rows that do not
    /// share cache sets.
    #[must_use]
    pub fn reads_weight(inner: usize, geometry: &Geometry, level: Level) -> bool {
        geometry.taps() == 1
            && geometry.groups == 1
            && inner.is_multiple_of(level.lanes())
            && !inner.is_multiple_of(512)
    }

    fn count(&self) -> usize {
        ConvBackward::segments(&self.source, &self.gradient.view(), &self.geometry)
    }

    fn column_blocks(&self) -> usize {
        let is_short = self.count() < 4 && self.geometry.groups == 1 && self.geometry.is_point();
        let is_large = size(&[self.gradient.view().channels, self.inner()]) >= LARGE;
        if !is_short {
            1
        } else if is_large {
            8
        } else {
            4
        }
    }

    fn inner(&self) -> usize {
        self.source.view.channels / self.geometry.groups * self.geometry.taps()
    }

    /// Most rows of a piece: of a layer without windows so many that its weight and the gradient of that are not read for a few
    /// rows each time.
    fn piece(&self) -> usize {
        let rows = piece(self.wide().max(self.gradient.view().channels));
        if self.geometry.is_point() { rows.max(LEAST) } else { rows }
    }

    /// Channels of a scratch row of inputs.
    fn wide(&self) -> usize {
        if self.geometry.is_point() { self.source.view.channels } else { self.inner() }
    }

    fn rows(&self, segment: usize) -> Range<usize> {
        let out = self.gradient.view();
        if self.geometry.is_point() {
            share(out.rows(), self.count(), segment)
        } else {
            let images = share(out.images, self.count(), segment);
            images.start * out.pixels()..images.end * out.pixels()
        }
    }

    fn is_sinking(&self) -> bool {
        self.sink != Sink::None
    }

    /// What it writes.
    fn written(&self) -> Touches {
        let (out, segments) = (self.gradient.view(), self.count());
        let each = size(&[out.channels, self.inner()]).saturating_add(out.channels);
        let partials = (!ConvBackward::is_immediate(&self.source, &out, &self.geometry))
            .then(|| Area::flat(self.partials, size(&[segments, each])));
        Touches::default().writes(self.sink.areas(&self.source, segments).chain(partials))
    }

    /// Whether the input's rows are read where they lie: in whole vectors, which must not reach what is written.
    fn is_direct(&self) -> bool {
        let reach = if self.inner().is_multiple_of(VECTOR) { 0 } else { VECTOR - 1 };
        let rows = Area::from(self.source.view).widened(reach);
        self.geometry.is_point() && self.source.is_plain() && self.written().leaves_alone(&rows)
    }
}

impl Work for ConvBackward {
    fn fits(&self, limits: &Limits<'_>) -> bool {
        let out = self.gradient.view();
        let weight_fits = |weight: usize| limits.param(weight, size(&[out.channels, self.inner()]));
        self.source.is_sound()
            && self.gradient.is_sound()
            && geometry_fits(&self.geometry, &self.source.view, &out)
            && self.sink.fits(&self.source)
            && self.unpacked.is_none_or(|weight| {
                weight_fits(weight)
                    && ConvBackward::reads_weight(self.inner(), &self.geometry, limits.level)
            })
            && self.weight.is_none_or(weight_fits)
            && self.bias.is_none_or(|bias| limits.param(bias, out.channels))
            // Tasks share the elements of each, not of both together.
            && (self.weight.is_none() || self.weight != self.bias)
    }

    fn touches(&self, level: Level) -> Touches {
        let (out, groups) = (self.gradient.view(), self.geometry.groups);
        let columns = self.inner().next_multiple_of(panel_width(level));
        let packed = (self.is_sinking() && self.unpacked.is_none())
            .then(|| Area::flat(self.packed, size(&[groups, columns, out.channels / groups])));
        self.written().reads(self.source.areas().chain(self.gradient.areas()).chain(packed))
    }

    fn tasks(&self) -> usize {
        self.count() * self.column_blocks()
    }

    fn macs(&self) -> u64 {
        let passes = [self.weight.is_some(), self.is_sinking()].into_iter().filter(|is_wanted| *is_wanted);
        let out = self.gradient.view();
        size(&[passes.count(), out.rows(), out.channels, self.inner()]) as u64
    }

    fn outside(&self) -> usize {
        let weight = size(&[self.gradient.view().channels, self.inner()]);
        let gradient = if self.gradients().is_empty() { 0 } else { weight.saturating_mul(2) };
        gradient.saturating_add(if self.unpacked.is_some() { weight } else { 0 })
    }

    fn scratch(&self) -> usize {
        let gradient =
            if matches!(self.gradient, Gradient::Plain(_)) { 0 } else { self.gradient.view().channels };
        let is_point = self.geometry.is_point();
        let input = if self.is_direct() { 0 } else { self.wide() };
        let unfolded = if is_point { 0 } else { self.wide() };
        let spread = |n: usize| if n == 0 { 0 } else { spread(n) };
        self.piece() * (spread(gradient) + spread(input) + spread(unfolded)) + 64
    }

    fn gradients(&self) -> Vec<usize> {
        let immediate = ConvBackward::is_immediate(&self.source, &self.gradient.view(), &self.geometry);
        if immediate { self.weight.into_iter().chain(self.bias).collect() } else { Vec::new() }
    }

    unsafe fn run(&self, memory: &Workspace<'_>, task: usize) {
        let (level, width) = (memory.level, panel_width(memory.level));
        let (segment, part) = (task % self.count(), task / self.count());
        let (view, groups) = (self.gradient.view(), self.geometry.groups);
        let (out, inner) = (view.channels / groups, self.inner());
        let (rows, is_point) = (self.rows(segment), self.geometry.is_point());
        let immediate = ConvBackward::is_immediate(&self.source, &view, &self.geometry);
        let is_direct = self.is_direct();
        let input = Input { source: &self.source, geometry: &self.geometry, output: &view, is_direct };
        let parts = self.column_blocks();
        // SAFETY: `fits` checked the views and the parameters' lengths; scratch has room for the pieces.
        unsafe {
            let d_scratch = memory.scratch;
            let plain = matches!(self.gradient, Gradient::Plain(_));
            let x_scratch =
                if plain { d_scratch } else { d_scratch.add(self.piece() * spread(view.channels)) };
            let u_scratch = x_scratch.add(self.piece() * spread(self.wide()));
            let (sink, accumulate) = match self.sink {
                Sink::None => (None, false),
                Sink::Plain { view, accumulate } => (Some(view), accumulate),
                Sink::Norm { view, .. } => (Some(view), false),
            };
            if let (Some(sink), false, false) = (sink, accumulate, is_point) {
                // What is unfolded is added to the segment's images.
                let pixels = self.source.view.pixels();
                let images = rows.start / view.pixels() * pixels..rows.end / view.pixels() * pixels;
                for row in images {
                    memory.arena.add(sink.offset + row * sink.stride).write_bytes(0, sink.channels);
                }
            }
            let (mut first, step) = (rows.start, even(rows.len(), self.piece()));
            while first < rows.end {
                let n = (rows.end - first).min(step);
                let start = first == rows.start;
                let d = self.output_gradient(memory, first, n, d_scratch);
                if let (Some(bias), 0) = (self.bias, part) {
                    let (to, fresh) = if immediate {
                        (memory.gradients[bias], false)
                    } else {
                        let biases = self.partials + self.count() * view.channels * inner;
                        (memory.arena.add(biases + segment * view.channels), start)
                    };
                    Blocks::go(view.channels, chunk::SumRows { rows: n, from: d, to, first: fresh }, level);
                }
                for group in 0..groups {
                    let d = Rows { at: d.at.add(group * out), ..d };
                    if let Some(weight) = self.weight {
                        let x = input.rows(memory, first, n, group, x_scratch);
                        let (to, fresh) = if immediate {
                            (memory.gradients[weight].add(group * out * inner), false)
                        } else {
                            let at = self.partials + (segment * view.channels + group * out) * inner;
                            (memory.arena.add(at), start)
                        };
                        let lines = share(out, parts, part);
                        let product = Product {
                            rows: lines.len(),
                            columns: inner,
                            inner: n,
                            a: d.at.add(lines.start),
                            a_row: 1,
                            a_step: d.stride,
                            b: x.at,
                            b_panel: width,
                            b_step: x.stride,
                            c: to.add(lines.start * inner),
                            c_row: inner,
                            start: if fresh { Start::Zero } else { Start::Result },
                            clamp: None,
                        };
                        product.run(level);
                    }
                    let Some(sink) = sink else { continue };
                    let channels = sink.channels / groups;
                    let (c, c_row) = if is_point {
                        let at = sink.offset + first * sink.stride + group * channels;
                        (memory.arena.add(at), sink.stride)
                    } else {
                        (u_scratch, spread(inner))
                    };
                    let panels = share(inner.div_ceil(width), parts, part);
                    let columns = panels.start * width..(panels.end * width).min(inner);
                    let (b, b_panel, b_step) = match self.unpacked {
                        Some(weight) => (memory.params[weight].cast_const(), width, inner),
                        None => {
                            let at = self.packed + group * inner.next_multiple_of(width) * out;
                            (memory.arena.add(at).cast_const(), width * out, width)
                        }
                    };
                    let product = Product {
                        rows: n,
                        columns: inner,
                        inner: out,
                        a: d.at,
                        a_row: d.stride,
                        a_step: 1,
                        b,
                        b_panel,
                        b_step,
                        c,
                        c_row,
                        start: if accumulate && is_point { Start::Result } else { Start::Zero },
                        clamp: None,
                    };
                    product.run_columns(level, columns.clone());
                    if is_point {
                        if group + 1 == groups {
                            let columns = if groups == 1 { columns } else { 0..sink.channels };
                            self.unnorm(memory, segment, first, n, start, columns);
                        }
                        continue;
                    }
                    memory.level.run(Fold {
                        windows: Windows {
                            geometry: &self.geometry,
                            input: &self.source.view,
                            output: &view,
                            channels,
                            first,
                            rows: n,
                        },
                        from: Rows { at: c, stride: c_row },
                        to: memory.arena.add(sink.offset + group * channels),
                        stride: sink.stride,
                    });
                }
                first += n;
            }
            if let (Some(sink), false) = (sink, is_point) {
                let pixels = self.source.view.pixels();
                let images = rows.start / view.pixels()..rows.end / view.pixels();
                for image in images.clone() {
                    let is_first = image == images.start;
                    self.unnorm(memory, segment, image * pixels, pixels, is_first, 0..sink.channels);
                }
            }
        }
    }
}

impl ConvBackward {
    /// Rows of the output's gradient, in place or in `scratch`.
    ///
    /// # Safety
    /// As [`Work::run`]; scratch must have room for the rows.
    unsafe fn output_gradient(
        &self,
        memory: &Workspace<'_>,
        first: usize,
        n: usize,
        scratch: *mut f32,
    ) -> Rows {
        // SAFETY: the caller's promise.
        unsafe { load_gradient(memory, &self.gradient, first, n, scratch) }
    }

    /// # Safety
    /// As [`Work::run`].
    unsafe fn unnorm(
        &self,
        memory: &Workspace<'_>,
        segment: usize,
        first: usize,
        n: usize,
        is_first: bool,
        columns: Range<usize>,
    ) {
        let (Sink::Norm { view, sums }, Some(norm)) = (self.sink, self.source.norm) else { return };
        if columns.is_empty() {
            return;
        }
        // SAFETY: the caller's promise.
        unsafe {
            let at = |rows: Rows| Rows { at: rows.at.add(columns.start), ..rows };
            let g = at(Rows::of(memory.arena, &view, first));
            let vector = |offset: usize| memory.arena.add(offset + columns.start);
            let unnorm = chunk::UnnormRows {
                rows: n,
                g,
                y: at(Rows::of(memory.arena, &self.source.view, first)),
                term: Rows { at: std::ptr::null_mut(), stride: 0 },
                to: g,
                activation: self.source.activation,
                mean: vector(norm.mean()),
                scale: vector(norm.scale()),
                shift: vector(norm.shift()),
                sums: vector(sums + segment * 2 * norm.spacing),
                spacing: norm.spacing,
                first: is_first,
            };
            Blocks::go(columns.len(), unnorm, memory.level);
        }
    }
}

/// # Safety
/// The gradient must lie in the arena, and scratch have room for the rows.
pub(crate) unsafe fn load_gradient(
    memory: &Workspace<'_>,
    gradient: &Gradient,
    first: usize,
    n: usize,
    scratch: *mut f32,
) -> Rows {
    // SAFETY: the caller's promise.
    unsafe {
        match *gradient {
            Gradient::Plain(g) => Rows::of(memory.arena, &g, first),
            Gradient::Norm { g, y, norm } => {
                let to = Rows { at: scratch, stride: spread(g.channels) };
                let combine = chunk::CombineRows {
                    rows: n,
                    g: Rows::of(memory.arena, &g, first),
                    y: Rows::of(memory.arena, &y, first),
                    to,
                    coefficients: memory.arena.add(norm.coefficients()),
                    spacing: norm.spacing,
                    accumulate: false,
                };
                Blocks::go(g.channels, combine, memory.level);
                to
            }
            Gradient::Clamp { g, z, activation } => {
                let to = Rows { at: scratch, stride: spread(g.channels) };
                let derive = chunk::DeriveRows {
                    rows: n,
                    g: Rows::of(memory.arena, &g, first),
                    x: Rows::of(memory.arena, &z, first),
                    to,
                    activation,
                    accumulate: false,
                };
                Blocks::go(g.channels, derive, memory.level);
                to
            }
        }
    }
}
