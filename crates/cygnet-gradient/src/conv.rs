//! Convolutions as products over rows of pixels, unrolled in pieces that stay in cache.

use std::ops::Range;

use cygnet_cpu::pool::share;
use cygnet_cpu::{Activation, FAR, Isa, Kernel, Level};

use crate::area::{Area, Touches};
use crate::chunk::{self, Blocks, Rows};
use crate::gemm::{Product, Start, panel_width};
use crate::program::{Limits, Memory, Work};
use crate::{Gradient, Sink, Source, View, reaches, size};

/// A convolution's window and groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Rows and columns of the window.
    pub kernel: [usize; 2],
    /// Steps.
    pub stride: [usize; 2],
    /// Rows above and columns to the left of the image.
    pub pad: [usize; 2],
    /// Distances between the window's elements.
    pub dilation: [usize; 2],
    /// Channel groups.
    pub groups: usize,
}

impl Geometry {
    /// A 1×1 window.
    pub const POINT: Geometry =
        Geometry { kernel: [1, 1], stride: [1, 1], pad: [0, 0], dilation: [1, 1], groups: 1 };

    /// Elements of the window.
    #[must_use]
    pub fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Whether output pixels are input pixels.
    #[must_use]
    pub fn is_point(&self) -> bool {
        self.kernel == [1, 1] && self.stride == [1, 1] && self.pad == [0, 0]
    }
}

/// Rows of one piece: few enough for the second cache, and enough to use a panel of weights well.
fn piece(floats_a_row: usize) -> usize {
    (65_536 / floats_a_row.max(1)).clamp(28, 112) / 14 * 14
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
    /// The packed weight, [`super::PackForm::Forward`].
    pub packed: usize,
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
    let sane = |n: usize| (1..1 << 20).contains(&n);
    let axis = |i: usize| [geometry.kernel[i], geometry.stride[i], geometry.dilation[i], geometry.pad[i]];
    geometry.kernel.into_iter().chain(geometry.stride).chain(geometry.dilation).all(sane)
        && geometry.groups > 0
        && input.channels.is_multiple_of(geometry.groups)
        && output.channels.is_multiple_of(geometry.groups)
        && size(&[input.channels, geometry.taps()]) <= FAR >> 8
        && output.channels <= FAR >> 8
        && input.images == output.images
        && reaches(axis(0), input.height, output.height)
        && reaches(axis(1), input.width, output.width)
        && (!geometry.is_point() || (input.height, input.width) == (output.height, output.width))
}

impl Work for Conv {
    fn fits(&self, limits: &Limits<'_>) -> bool {
        let out = self.output.channels;
        self.source.is_sound()
            && self.output.is_sound()
            && geometry_fits(&self.geometry, &self.source.view, &self.output)
            && self.bias.is_none_or(|bias| limits.param(bias, out))
            && self.moments.is_none_or(|[_, spacing]| spacing >= out)
    }

    fn touches(&self, level: Level) -> Touches {
        let (groups, out) = (self.geometry.groups, self.output.channels);
        let columns = (out / groups).next_multiple_of(panel_width(level));
        let packed = Area::flat(self.packed, size(&[groups, columns, self.inner()]));
        let blocks = Conv::row_blocks(&self.output);
        let moments = self.moments.map(|[at, spacing]| Area::pairs(at, blocks, out, spacing));
        Touches::default()
            .reads(self.source.areas().chain([packed]))
            .writes([self.output.into()].into_iter().chain(moments))
    }

    fn tasks(&self) -> usize {
        Conv::row_blocks(&self.output) * self.column_blocks()
    }

    fn scratch(&self) -> usize {
        if self.is_direct() {
            0
        } else {
            let k = if self.geometry.is_point() { self.source.view.channels } else { self.inner() };
            piece(k) * spread(k)
        }
    }

    unsafe fn run(&self, memory: &Memory<'_>, task: usize) {
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
        let step = piece(if self.geometry.is_point() { self.source.view.channels } else { self.inner() });
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
                if let Some([at, spacing]) = self.moments {
                    let skip = if self.geometry.groups == 1 { columns.start } else { 0 };
                    let channels =
                        if self.geometry.groups == 1 { columns.len() } else { self.output.channels };
                    let from = Rows::of(memory.arena, &self.output, first);
                    let moments = chunk::Moments {
                        rows: n,
                        from: Rows { at: from.at.add(skip), ..from },
                        to: memory.arena.add(at + block * 2 * spacing + skip),
                        spacing,
                        before: first - rows.start,
                    };
                    Blocks::go(channels, moments, level);
                }
            }
            first += n;
        }
    }
}

/// A convolution's input, as rows of what each output pixel's window sees.
struct Input<'a> {
    source: &'a Source,
    geometry: &'a Geometry,
    output: &'a View,
    /// Whether rows are read where they lie.
    is_direct: bool,
}

impl Input<'_> {
    /// Rows of a group from the output pixel `first` on: in place, or in `scratch`.
    ///
    /// # Safety
    /// The views must lie in the arena, and scratch have room for the rows.
    unsafe fn rows(
        &self,
        memory: &Memory<'_>,
        first: usize,
        n: usize,
        group: usize,
        scratch: *mut f32,
    ) -> Rows {
        let view = &self.source.view;
        let channels = view.channels / self.geometry.groups;
        // SAFETY: the caller's promise.
        unsafe {
            if self.geometry.is_point() {
                if self.is_direct {
                    let rows = Rows::of(memory.arena, view, first);
                    return Rows { at: rows.at.add(group * channels), ..rows };
                }
                let to = Rows { at: scratch, stride: spread(view.channels) };
                if group == 0 {
                    let apply = chunk::Apply::source(memory.arena, self.source, first, n, to);
                    Blocks::go(view.channels, apply, memory.level);
                }
                return Rows { at: to.at.add(group * channels), ..to };
            }
            let to = Rows { at: scratch, stride: spread(channels * self.geometry.taps()) };
            let none = std::ptr::null_mut();
            let [scale, shift] = match self.source.norm {
                Some(norm) => [norm.scale(), norm.shift()].map(|at| memory.arena.add(at + group * channels)),
                None => [none, none],
            };
            memory.level.run(Unfold {
                windows: Windows {
                    geometry: self.geometry,
                    input: view,
                    output: self.output,
                    channels,
                    first,
                    rows: n,
                },
                from: memory.arena.add(view.offset + group * channels),
                scale,
                shift,
                activation: self.source.activation,
                to,
            });
            to
        }
    }
}

/// The windows of some output pixels.
struct Windows<'a> {
    geometry: &'a Geometry,
    input: &'a View,
    output: &'a View,
    channels: usize,
    first: usize,
    rows: usize,
}

/// What is done with a run of window elements.
trait Visit {
    /// `taps` window elements of a row from `tap` on; `pixel` is that of the first, or none outside the image. Runs have
    /// one element unless they are neighbours.
    ///
    /// # Safety
    /// The pixel must lie in the input; must be `#[inline(always)]`.
    unsafe fn visit<I: Isa>(&self, row: usize, tap: usize, taps: usize, pixel: Option<usize>);
}

impl Windows<'_> {
    /// # Safety
    /// As the visit says.
    #[inline(always)]
    unsafe fn each<I: Isa, F: Visit>(&self, f: &F) {
        let g = self.geometry;
        let [kh, kw] = g.kernel;
        let (w, pixels) = (self.output.width, self.output.pixels());
        // SAFETY: pixels are clipped to the image.
        unsafe {
            for row in 0..self.rows {
                let index = self.first + row;
                let (image, pixel) = (index / pixels, index % pixels);
                let (oy, ox) = (pixel / w, pixel % w);
                let left = (ox * g.stride[1]) as isize - g.pad[1] as isize;
                for ky in 0..kh {
                    let y = (oy * g.stride[0] + ky * g.dilation[0]) as isize - g.pad[0] as isize;
                    if y < 0 || y >= self.input.height as isize {
                        f.visit::<I>(row, ky * kw, kw, None);
                        continue;
                    }
                    let start = (image * self.input.height + y as usize) * self.input.width;
                    if g.dilation[1] == 1 && left >= 0 && left + kw as isize <= self.input.width as isize {
                        f.visit::<I>(row, ky * kw, kw, Some(start + left as usize));
                        continue;
                    }
                    for kx in 0..kw {
                        let x = left + (kx * g.dilation[1]) as isize;
                        let inside = x >= 0 && x < self.input.width as isize;
                        let pixel = if inside { Some(start + x as usize) } else { None };
                        f.visit::<I>(row, ky * kw + kx, 1, pixel);
                    }
                }
            }
        }
    }
}

struct Unfold<'a> {
    windows: Windows<'a>,
    from: *const f32,
    scale: *const f32,
    shift: *const f32,
    activation: Activation,
    to: Rows,
}

impl Kernel for Unfold<'_> {
    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        // SAFETY: the caller's promise.
        unsafe { self.windows.each::<I, Self>(&self) }
    }
}

impl Visit for Unfold<'_> {
    #[inline(always)]
    unsafe fn visit<I: Isa>(&self, row: usize, tap: usize, taps: usize, pixel: Option<usize>) {
        let (channels, stride) = (self.windows.channels, self.windows.input.stride);
        let is_plain = self.scale.is_null() && self.activation == Activation::None;
        // SAFETY: pixels lie within the input, rows and taps within scratch.
        unsafe {
            let to = self.to.get(row, tap * channels);
            let Some(pixel) = pixel else {
                to.write_bytes(0, taps * channels);
                return;
            };
            let from = self.from.add(pixel * stride);
            // Neighbouring pixels without a gap are one run of numbers.
            let (runs, len) =
                if is_plain && stride == channels { (1, taps * channels) } else { (taps, channels) };
            for run in 0..runs {
                let (from, to) = (from.add(run * stride), to.add(run * channels));
                let mut c = 0;
                while c < len {
                    let lanes = (len - c).min(I::LANES);
                    let mut x = chunk::load::<I, 1>(from.add(c), lanes);
                    if !is_plain {
                        if !self.scale.is_null() {
                            let scale = chunk::load::<I, 1>(self.scale.add(c), lanes);
                            let shift = chunk::load::<I, 1>(self.shift.add(c), lanes);
                            x[0] = I::fma(x[0], scale[0], shift[0]);
                        }
                        chunk::activate::<I, 1>(self.activation, &mut x);
                    }
                    chunk::store::<I, 1>(to.add(c), x, lanes);
                    c += I::LANES;
                }
            }
        }
    }
}

/// Adds rows of windows to the pixels they came from.
struct Fold<'a> {
    windows: Windows<'a>,
    from: Rows,
    to: *mut f32,
    stride: usize,
}

impl Kernel for Fold<'_> {
    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        // SAFETY: the caller's promise.
        unsafe { self.windows.each::<I, Self>(&self) }
    }
}

impl Visit for Fold<'_> {
    #[inline(always)]
    unsafe fn visit<I: Isa>(&self, row: usize, tap: usize, taps: usize, pixel: Option<usize>) {
        let Some(pixel) = pixel else { return };
        let channels = self.windows.channels;
        // SAFETY: pixels lie within the input, rows and taps within scratch.
        unsafe {
            for run in 0..taps {
                let from = self.from.get(row, (tap + run) * channels);
                let to = self.to.add((pixel + run) * self.stride);
                let mut c = 0;
                while c < channels {
                    let lanes = (channels - c).min(I::LANES);
                    let x = chunk::load::<I, 1>(from.add(c), lanes);
                    let old = chunk::load::<I, 1>(to.add(c), lanes);
                    chunk::store::<I, 1>(to.add(c), [I::add(x[0], old[0])], lanes);
                    c += I::LANES;
                }
            }
        }
    }
}

/// The gradients of a convolution or linear layer.
#[derive(Clone, Debug)]
pub struct ConvBackward {
    /// What it read.
    pub source: Source,
    /// The gradient of its output.
    pub gradient: Gradient,
    /// Window and groups.
    pub geometry: Geometry,
    /// The packed weight, [`super::PackForm::Backward`]; needed for a sink, unless the weight is read as it is.
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

impl ConvBackward {
    /// Segments of the batch, whose sums are added in order.
    #[must_use]
    pub fn segments(source: &Source, out: &View, geometry: &Geometry) -> usize {
        let weight = size(&[out.channels, source.view.channels / geometry.groups, geometry.taps()]);
        let most = (PARTIALS / weight.max(1)).clamp(2, 8);
        let units = if geometry.is_point() { out.rows() } else { out.images };
        (out.rows() / 64).clamp(1, most).min(units)
    }

    /// Whether the weight's gradient is added to the parameter's without [`super::Reduce`].
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
        if is_short { 4 } else { 1 }
    }

    fn inner(&self) -> usize {
        self.source.view.channels / self.geometry.groups * self.geometry.taps()
    }

    fn piece(&self) -> usize {
        piece(self.wide().max(self.gradient.view().channels))
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

    unsafe fn run(&self, memory: &Memory<'_>, task: usize) {
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
            let mut first = rows.start;
            while first < rows.end {
                let n = (rows.end - first).min(self.piece());
                let start = first == rows.start;
                let d = self.output_gradient(memory, first, n, d_scratch);
                if let (Some(bias), 0) = (self.bias, part) {
                    let (to, fresh) = if immediate {
                        (memory.gradients[bias], false)
                    } else {
                        let biases = self.partials + self.count() * view.channels * inner;
                        (memory.arena.add(biases + segment * view.channels), start)
                    };
                    Blocks::go(view.channels, chunk::Sum { rows: n, from: d, to, first: fresh }, level);
                }
                for group in 0..groups {
                    let d = Rows { at: d.at.add(group * out), ..d };
                    if let Some(weight) = self.weight {
                        let x = input.rows(memory, first, n, group, x_scratch);
                        let (to, fresh) = if immediate {
                            (memory.gradients[weight], false)
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
    unsafe fn output_gradient(&self, memory: &Memory<'_>, first: usize, n: usize, scratch: *mut f32) -> Rows {
        // SAFETY: the caller's promise.
        unsafe { load_gradient(memory, &self.gradient, first, n, scratch) }
    }

    /// # Safety
    /// As [`Work::run`].
    unsafe fn unnorm(
        &self,
        memory: &Memory<'_>,
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
            let unnorm = chunk::Unnorm {
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
    memory: &Memory<'_>,
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
                let combine = chunk::Combine {
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
                let derive = chunk::Derive {
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
