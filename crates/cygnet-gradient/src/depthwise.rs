//! Depthwise convolutions: image by image, sixteen channels at a time, from a padded copy that stays in cache.

use std::ops::Range;

use cygnet_cpu::pool::share;
use cygnet_cpu::{Activation, FAR, Isa, Kernel, Level};

use crate::area::{Area, Touches};
use crate::chunk::{self, Blocks, Rows};
use crate::pack::spacing;
use crate::program::{Limits, Memory, Work};
use crate::{Geometry, Gradient, Norm, Sink, Source, View, reaches, size};

/// Channels of a task.
const CHANNELS: usize = 16;

/// Blocks of images, each a partial result of sums over the batch.
#[must_use]
fn image_blocks(images: usize) -> usize {
    images.clamp(1, 8)
}

/// A depthwise convolution, forward.
#[derive(Clone, Debug)]
pub struct Depthwise {
    /// What it reads.
    pub source: Source,
    /// What it writes.
    pub output: View,
    /// Window; as many groups as channels.
    pub geometry: Geometry,
    /// The packed weight, [`super::PackForm::Depthwise`].
    pub packed: usize,
    /// Parameter of the bias.
    pub bias: Option<usize>,
    /// Limits of the result.
    pub clamp: Option<[f32; 2]>,
    /// Where each block of images leaves its moments, `[blocks, 2, spacing]`, and the spacing.
    pub moments: Option<[usize; 2]>,
}

impl Depthwise {
    /// Blocks of images, each a partial result of the moments.
    #[must_use]
    pub fn image_blocks(output: &View) -> usize {
        image_blocks(output.images)
    }
}

/// Rows and columns of the padded image that the windows see.
fn padded(geometry: &Geometry, output: &View) -> [usize; 2] {
    let size = [output.height, output.width];
    [0, 1].map(|i| (size[i] - 1) * geometry.stride[i] + (geometry.kernel[i] - 1) * geometry.dilation[i] + 1)
}

/// Zero rows above and below, and columns to the left and right, of the gradient as the flipped windows see it.
fn margins(geometry: &Geometry, input: &View, output: &View) -> [[usize; 2]; 2] {
    let (from, to) = ([input.height, input.width], [output.height, output.width]);
    [0, 1].map(|i| {
        let reach = (geometry.kernel[i] - 1) * geometry.dilation[i];
        let before = reach.saturating_sub(geometry.pad[i]).div_ceil(geometry.stride[i]);
        let last = (from[i] - 1 + geometry.pad[i]) / geometry.stride[i];
        [before, last.saturating_sub(to[i] - 1)]
    })
}

/// Rows and columns of the gradient with its margins.
fn framed(geometry: &Geometry, input: &View, output: &View) -> [usize; 2] {
    let margins = margins(geometry, input, output);
    [output.height + margins[0][0] + margins[0][1], output.width + margins[1][0] + margins[1][1]]
}

/// Parts that the channels of an image block are cut into, in blocks of [`CHANNELS`].
fn channel_parts(images: usize, channels: usize) -> usize {
    let blocks = image_blocks(images);
    if blocks >= 8 { 1 } else { channels.div_ceil(CHANNELS).min(16usize.div_ceil(blocks)) }
}

/// Whether a depthwise convolution can be between two sound views.
fn geometry_fits(geometry: &Geometry, input: &View, output: &View) -> bool {
    let axis = |i: usize| [geometry.kernel[i], geometry.stride[i], geometry.dilation[i], geometry.pad[i]];
    let sane = |n: usize| (1..1 << 16).contains(&n);
    geometry.kernel.into_iter().chain(geometry.stride).chain(geometry.dilation).all(sane)
        && geometry.groups == input.channels
        && input.channels == output.channels
        && input.images == output.images
        && reaches(axis(0), input.height, output.height)
        && reaches(axis(1), input.width, output.width)
        && input.channels <= FAR >> 8
}

impl Work for Depthwise {
    fn fits(&self, limits: &Limits<'_>) -> bool {
        let channels = self.output.channels;
        self.source.is_sound()
            && self.output.is_sound()
            && geometry_fits(&self.geometry, &self.source.view, &self.output)
            && self.bias.is_none_or(|bias| limits.param(bias, channels))
            && self.moments.is_none_or(|[_, spacing]| spacing >= channels)
    }

    fn touches(&self, _: Level) -> Touches {
        let (channels, blocks) = (self.output.channels, image_blocks(self.output.images));
        let packed = Area::flat(self.packed, size(&[self.geometry.taps(), spacing(channels)]));
        let moments = self.moments.map(|[at, spacing]| Area::pairs(at, blocks, channels, spacing));
        Touches::default()
            .reads(self.source.areas().chain([packed]))
            .writes([self.output.into()].into_iter().chain(moments))
    }

    fn tasks(&self) -> usize {
        image_blocks(self.output.images) * channel_parts(self.output.images, self.output.channels)
    }

    fn scratch(&self) -> usize {
        let [rows, columns] = padded(&self.geometry, &self.output);
        size(&[rows, columns, CHANNELS])
    }

    unsafe fn run(&self, memory: &Memory<'_>, task: usize) {
        let blocks = image_blocks(self.output.images);
        let (block, part) = (task % blocks, task / blocks);
        let images = share(self.output.images, blocks, block);
        let all = self.output.channels;
        let groups = share(all.div_ceil(CHANNELS), self.tasks() / blocks, part);
        let [_, columns] = padded(&self.geometry, &self.output);
        let pixels = self.output.pixels();
        // SAFETY: `fits` checked the views and the weight; scratch has room for a padded image.
        unsafe {
            for image in images.clone() {
                let out = Rows::of(memory.arena, &self.output, image * pixels);
                for c in groups.clone().map(|group| group * CHANNELS) {
                    let channels = (all - c).min(CHANNELS);
                    for part in parts(memory, channels) {
                        let (c, lanes) = (c + part.start, part.len());
                        memory.level.run(pad_source(
                            memory,
                            &self.source,
                            &self.geometry,
                            &self.output,
                            image,
                            c,
                            lanes,
                        ));
                        memory.level.run(Correlate {
                            from: memory.scratch,
                            columns,
                            kernel: self.geometry.kernel,
                            stride: self.geometry.stride,
                            dilation: self.geometry.dilation,
                            weight: memory.arena.add(self.packed + c),
                            weight_step: spacing(all) as isize,
                            bias: self.bias.map_or(std::ptr::null(), |bias| memory.params[bias].add(c)),
                            clamp: self.clamp,
                            to: Rows { at: out.at.add(c), ..out },
                            size: [self.output.height, self.output.width],
                            lanes,
                            accumulate: false,
                        });
                    }
                    if let Some([at, spacing]) = self.moments {
                        let moments = chunk::Moments {
                            rows: pixels,
                            from: Rows { at: out.at.add(c), ..out },
                            to: memory.arena.add(at + block * 2 * spacing + c),
                            spacing,
                            before: (image - images.start) * pixels,
                        };
                        Blocks::go(channels, moments, memory.level);
                    }
                }
            }
        }
    }
}

/// A task's channels cut into vectors.
fn parts(memory: &Memory<'_>, channels: usize) -> impl Iterator<Item = Range<usize>> + use<> {
    let lanes = memory.level.lanes();
    (0..channels).step_by(lanes).map(move |start| start..(start + lanes).min(channels))
}

/// Copies a vector of channels of an image into a larger one of whole vectors, with zeros around.
struct Pad {
    from: Rows,
    /// For a gradient: the norm's input, or the clamp's result.
    other: Rows,
    size: [usize; 2],
    to: *mut f32,
    /// Rows and columns of the copy.
    larger: [usize; 2],
    /// Rows above and columns to the left.
    before: [usize; 2],
    lanes: usize,
    how: How,
}

#[derive(Clone, Copy)]
enum How {
    Copy,
    Activate(Activation),
    Normalise(*const f32, *const f32, Activation),
    Combine([*const f32; 3]),
    Mask(Activation),
}

/// # Safety
/// The views must lie in the arena.
unsafe fn pad_source(
    memory: &Memory<'_>,
    source: &Source,
    geometry: &Geometry,
    output: &View,
    image: usize,
    c: usize,
    lanes: usize,
) -> Pad {
    let view = &source.view;
    // SAFETY: the caller's promise.
    unsafe {
        let from = Rows::of(memory.arena, view, image * view.pixels());
        Pad {
            from: Rows { at: from.at.add(c), ..from },
            other: from,
            size: [view.height, view.width],
            to: memory.scratch,
            larger: padded(geometry, output),
            before: geometry.pad,
            lanes,
            how: match source.norm {
                Some(norm) => How::Normalise(
                    memory.arena.add(norm.scale() + c),
                    memory.arena.add(norm.shift() + c),
                    source.activation,
                ),
                None if source.activation == Activation::None => How::Copy,
                None => How::Activate(source.activation),
            },
        }
    }
}

/// A vector's first lanes, or all of them.
///
/// # Safety
/// As [`Isa`].
#[inline(always)]
unsafe fn get<I: Isa, const FULL: bool>(p: *const f32, lanes: usize) -> I::V {
    // SAFETY: the caller's promise.
    unsafe { if FULL { I::load(p) } else { I::load_first(p, lanes) } }
}

impl Kernel for Pad {
    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        // SAFETY: the caller's promise.
        unsafe { if self.lanes == I::LANES { self.all::<I, true>() } else { self.all::<I, false>() } }
    }
}

impl Pad {
    #[inline(always)]
    unsafe fn all<I: Isa, const FULL: bool>(&self) {
        let [left, columns] = [self.before[1].min(self.larger[1]), self.larger[1]];
        let width = self.size[1].min(columns - left);
        // SAFETY: pixels lie within the views; places outside the copy are skipped.
        unsafe {
            for row in 0..self.larger[0] {
                let line = self.to.add(row * columns * I::LANES);
                let y = row.wrapping_sub(self.before[0]);
                if y >= self.size[0] {
                    line.write_bytes(0, columns * I::LANES);
                    continue;
                }
                for x in 0..left {
                    I::store(line.add(x * I::LANES), I::splat(0.0));
                }
                for x in left + width..columns {
                    I::store(line.add(x * I::LANES), I::splat(0.0));
                }
                self.row::<I, FULL>(y * self.size[1], width, line.add(left * I::LANES));
            }
        }
    }

    /// Pixels of a row from `first` on.
    #[inline(always)]
    unsafe fn row<I: Isa, const FULL: bool>(&self, first: usize, width: usize, to: *mut f32) {
        let (from, other, lanes) = (self.from, self.other, self.lanes);
        // SAFETY: the caller's promise.
        unsafe {
            match self.how {
                How::Copy => {
                    for x in 0..width {
                        I::store(to.add(x * I::LANES), get::<I, FULL>(from.get(first + x, 0), lanes));
                    }
                }
                How::Activate(activation) => {
                    for x in 0..width {
                        let mut v = [get::<I, FULL>(from.get(first + x, 0), lanes)];
                        chunk::activate::<I, 1>(activation, &mut v);
                        I::store(to.add(x * I::LANES), v[0]);
                    }
                }
                How::Normalise(scale, shift, activation) => {
                    let (scale, shift) = (get::<I, FULL>(scale, lanes), get::<I, FULL>(shift, lanes));
                    if let Activation::Clamp { low, high } = activation {
                        let (low, high) = (I::splat(low), I::splat(high));
                        for x in 0..width {
                            let v = I::fma(get::<I, FULL>(from.get(first + x, 0), lanes), scale, shift);
                            I::store(to.add(x * I::LANES), I::at_most(I::at_least(v, low), high));
                        }
                        return;
                    }
                    for x in 0..width {
                        let mut v = [I::fma(get::<I, FULL>(from.get(first + x, 0), lanes), scale, shift)];
                        chunk::activate::<I, 1>(activation, &mut v);
                        I::store(to.add(x * I::LANES), v[0]);
                    }
                }
                How::Combine([p, q, r]) => {
                    let (p, q) = (get::<I, FULL>(p, lanes), get::<I, FULL>(q, lanes));
                    let r = get::<I, FULL>(r, lanes);
                    for x in 0..width {
                        let g = get::<I, FULL>(from.get(first + x, 0), lanes);
                        let v = get::<I, FULL>(other.get(first + x, 0), lanes);
                        I::store(to.add(x * I::LANES), I::fma(g, p, I::fma(v, q, r)));
                    }
                }
                How::Mask(activation) => {
                    for x in 0..width {
                        let mut g = [get::<I, FULL>(from.get(first + x, 0), lanes)];
                        let z = [get::<I, FULL>(other.get(first + x, 0), lanes)];
                        chunk::differentiate::<I, 1>(activation, &z, &mut g);
                        I::store(to.add(x * I::LANES), g[0]);
                    }
                }
            }
        }
    }
}

/// `to[y][x] = clamp(bias + sum over the window of from * weight)`, for one vector of channels.
struct Correlate {
    from: *const f32,
    /// Columns of `from`.
    columns: usize,
    kernel: [usize; 2],
    stride: [usize; 2],
    dilation: [usize; 2],
    weight: *const f32,
    /// From a window position's weights to the next; negative flips the window.
    weight_step: isize,
    bias: *const f32,
    clamp: Option<[f32; 2]>,
    to: Rows,
    size: [usize; 2],
    lanes: usize,
    accumulate: bool,
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

/// Input pixels whose rows and columns have one remainder by the stride, and the window positions that they see.
struct Phase {
    /// First row and column.
    start: [usize; 2],
    /// For each window position, the pixel of the framed gradient that the first of these pixels sees, and the
    /// position's number.
    taps: Vec<(usize, usize)>,
}

/// The phases of a convolution's input; `columns` is the framed gradient's width.
fn phases(geometry: &Geometry, input: &View, output: &View) -> Vec<Phase> {
    let margins = margins(geometry, input, output);
    let [_, columns] = framed(geometry, input, output);
    let [kh, kw] = geometry.kernel;
    // Window positions along an axis with the row of the framed gradient that the first pixel sees.
    let along = |axis: usize, start: usize| {
        (0..geometry.kernel[axis]).filter_map(move |k| {
            let distance = (start + geometry.pad[axis]) as isize - (k * geometry.dilation[axis]) as isize;
            let stride = geometry.stride[axis] as isize;
            let place = distance.div_euclid(stride) + margins[axis][0] as isize;
            (distance.rem_euclid(stride) == 0).then_some((k, place.max(0).unsigned_abs()))
        })
    };
    debug_assert!(kh > 0 && kw > 0);
    let [rows_seen, columns_seen] =
        [geometry.stride[0].min(input.height), geometry.stride[1].min(input.width)];
    let starts = (0..rows_seen).flat_map(|y| (0..columns_seen).map(move |x| [y, x]));
    starts
        .map(|start| {
            let taps = along(0, start[0]).flat_map(|(ky, row)| {
                along(1, start[1]).map(move |(kx, column)| (row * columns + column, ky * kw + kx))
            });
            Phase { start, taps: taps.collect() }
        })
        .collect()
}

/// The input's gradient, for one vector of channels and the pixels of a phase.
struct Scatter<'a> {
    /// The framed gradient.
    d: *const f32,
    columns: usize,
    phase: &'a Phase,
    stride: [usize; 2],
    weight: *const f32,
    weight_step: usize,
    to: Rows,
    /// Of the input.
    size: [usize; 2],
    lanes: usize,
    accumulate: bool,
}

impl Kernel for Scatter<'_> {
    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        let [height, width] = self.size;
        let [first_y, first_x] = self.phase.start;
        // SAFETY: the framed gradient holds what every input pixel sees.
        unsafe {
            let (mut y, mut u) = (first_y, 0);
            while y < height {
                let (mut x, mut v) = (first_x, 0);
                while x < width {
                    let at = u * self.columns + v;
                    if x + 3 * self.stride[1] < width {
                        self.some::<I, 4>(y, x, at);
                        (x, v) = (x + 4 * self.stride[1], v + 4);
                    } else {
                        self.some::<I, 1>(y, x, at);
                        (x, v) = (x + self.stride[1], v + 1);
                    }
                }
                (y, u) = (y + self.stride[0], u + 1);
            }
        }
    }
}

impl Scatter<'_> {
    #[inline(always)]
    unsafe fn some<I: Isa, const X: usize>(&self, y: usize, x: usize, at: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            let mut sums = [I::splat(0.0); X];
            for &(place, tap) in &self.phase.taps {
                let weight = I::load_first(self.weight.add(tap * self.weight_step), self.lanes);
                let d = self.d.add((at + place) * I::LANES);
                for i in 0..X {
                    sums[i] = I::fma(I::load(d.add(i * I::LANES)), weight, sums[i]);
                }
            }
            for i in 0..X {
                let to = self.to.get(y * self.size[1] + x + i * self.stride[1], 0);
                if self.accumulate {
                    sums[i] = I::add(sums[i], I::load_first(to, self.lanes));
                }
                I::store_first(to, sums[i], self.lanes);
            }
        }
    }
}

/// `to[window position] += sum over pixels of from * d`, for one vector of channels.
struct WeightGradient {
    from: *const f32,
    columns: usize,
    kernel: [usize; 2],
    stride: [usize; 2],
    dilation: [usize; 2],
    /// Whole vectors, `d_columns` in a row.
    d: *const f32,
    d_columns: usize,
    size: [usize; 2],
    to: *mut f32,
    to_step: usize,
    lanes: usize,
    first: bool,
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

/// The gradients of a depthwise convolution.
#[derive(Clone, Debug)]
pub struct DepthwiseBackward {
    /// What it read.
    pub source: Source,
    /// The gradient of its output.
    pub gradient: Gradient,
    /// Window; as many groups as channels.
    pub geometry: Geometry,
    /// The packed weight, [`super::PackForm::Depthwise`].
    pub packed: usize,
    /// Whether the weight's gradient is wanted.
    pub weight: bool,
    /// Whether the bias' gradient is wanted.
    pub bias: bool,
    /// Where each block of images leaves its sums: of the weight as `[blocks, taps, spacing]`, then of the bias as
    /// `[blocks, spacing]`.
    pub partials: usize,
    /// Where the input's gradient goes.
    pub sink: Sink,
}

impl DepthwiseBackward {
    /// Blocks of images, whose sums are added in order.
    #[must_use]
    pub fn segments(images: usize) -> usize {
        image_blocks(images)
    }

    /// Channels of a row of partial sums.
    #[must_use]
    pub fn spacing(channels: usize) -> usize {
        spacing(channels)
    }

    fn sizes(&self) -> [usize; 2] {
        let out = self.gradient.view();
        [padded(&self.geometry, &out), framed(&self.geometry, &self.source.view, &out)]
            .map(|[rows, columns]| size(&[rows, columns, CHANNELS]))
    }
}

impl Work for DepthwiseBackward {
    fn fits(&self, _: &Limits<'_>) -> bool {
        self.source.is_sound()
            && self.gradient.is_sound()
            && geometry_fits(&self.geometry, &self.source.view, &self.gradient.view())
            && self.sink.fits(&self.source)
    }

    fn touches(&self, _: Level) -> Touches {
        let out = self.gradient.view();
        let (blocks, taps, spacing) = (image_blocks(out.images), self.geometry.taps(), spacing(out.channels));
        let packed = (self.sink != Sink::None).then(|| Area::flat(self.packed, size(&[taps, spacing])));
        let partials = Area::flat(self.partials, size(&[blocks, taps + 1, spacing]));
        Touches::default()
            .reads(self.source.areas().chain(self.gradient.areas()).chain(packed))
            .writes(self.sink.areas(&self.source, blocks).chain([partials]))
    }

    fn tasks(&self) -> usize {
        let out = self.gradient.view();
        image_blocks(out.images) * channel_parts(out.images, out.channels)
    }

    fn scratch(&self) -> usize {
        let [padded, framed] = self.sizes();
        padded.saturating_add(framed)
    }

    unsafe fn run(&self, memory: &Memory<'_>, task: usize) {
        let out = self.gradient.view();
        let blocks = image_blocks(out.images);
        let (block, part) = (task % blocks, task / blocks);
        let images = share(out.images, blocks, block);
        let groups = share(out.channels.div_ceil(CHANNELS), self.tasks() / blocks, part);
        let phases = phases(&self.geometry, &self.source.view, &out);
        for image in images.clone() {
            for group in groups.clone() {
                let place = Place { block, image, is_first: image == images.start, c: group * CHANNELS };
                // SAFETY: the caller's promise.
                unsafe { self.image(memory, &place, &phases) }
            }
        }
    }
}

/// A part of a task: some channels of an image.
struct Place {
    block: usize,
    image: usize,
    is_first: bool,
    c: usize,
}

impl DepthwiseBackward {
    /// # Safety
    /// As [`Work::run`].
    unsafe fn image(&self, memory: &Memory<'_>, place: &Place, phases: &[Phase]) {
        let out = self.gradient.view();
        let &Place { block, image, is_first, c } = place;
        let channels = (out.channels - c).min(CHANNELS);
        let (spacing, taps) = (spacing(out.channels), self.geometry.taps());
        let (kernel, stride, dilation) = (self.geometry.kernel, self.geometry.stride, self.geometry.dilation);
        let blocks = image_blocks(out.images);
        let input = &self.source.view;
        let margins = margins(&self.geometry, input, &out);
        let [_, columns] = framed(&self.geometry, input, &out);
        let inside = margins[0][0] * columns + margins[1][0];
        // SAFETY: `fits` checked the views and the weight; scratch has room for the two copies.
        unsafe {
            let framed = memory.scratch.add(self.sizes()[0]);
            for part in parts(memory, channels) {
                let (c, lanes) = (c + part.start, part.len());
                let d = framed.add(inside * memory.level.lanes());
                memory.level.run(self.frame(memory, image, c, lanes, framed));
                if self.weight {
                    let pad = pad_source(memory, &self.source, &self.geometry, &out, image, c, lanes);
                    memory.level.run(pad);
                    memory.level.run(WeightGradient {
                        from: memory.scratch,
                        columns: padded(&self.geometry, &out)[1],
                        kernel,
                        stride,
                        dilation,
                        d,
                        d_columns: columns,
                        size: [out.height, out.width],
                        to: memory.arena.add(self.partials + block * taps * spacing + c),
                        to_step: spacing,
                        lanes,
                        first: is_first,
                    });
                }
                if self.bias {
                    let to = memory.arena.add(self.partials + (blocks * taps + block) * spacing + c);
                    for y in 0..out.height {
                        let at = d.add(y * columns * memory.level.lanes());
                        let from = Rows { at, stride: memory.level.lanes() };
                        let sum = chunk::Sum { rows: out.width, from, to, first: is_first && y == 0 };
                        Blocks::go(lanes, sum, memory.level);
                    }
                }
                let (view, accumulate) = match self.sink {
                    Sink::None => continue,
                    Sink::Plain { view, accumulate } => (view, accumulate),
                    Sink::Norm { view, .. } => (view, false),
                };
                let to = Rows::of(memory.arena, &view, image * input.pixels());
                let to = Rows { at: to.at.add(c), ..to };
                let size = [input.height, input.width];
                if stride != [1, 1] {
                    for phase in phases {
                        memory.level.run(Scatter {
                            d: framed,
                            columns,
                            phase,
                            stride,
                            weight: memory.arena.add(self.packed + c),
                            weight_step: spacing,
                            to,
                            size,
                            lanes,
                            accumulate,
                        });
                    }
                    continue;
                }
                // With more padding than the window reaches, the first windows see nothing.
                let skip = [0, 1].map(|i| self.geometry.pad[i].saturating_sub((kernel[i] - 1) * dilation[i]));
                memory.level.run(Correlate {
                    from: framed.add((skip[0] * columns + skip[1]) * memory.level.lanes()),
                    columns,
                    kernel,
                    stride,
                    dilation,
                    weight: memory.arena.add(self.packed + (taps - 1) * spacing + c),
                    weight_step: -(spacing as isize),
                    bias: std::ptr::null(),
                    clamp: None,
                    to,
                    size,
                    lanes,
                    accumulate,
                });
            }
            if let (Sink::Norm { view, sums }, Some(norm)) = (self.sink, self.source.norm) {
                let at = |rows: Rows| Rows { at: rows.at.add(c), ..rows };
                let g = at(Rows::of(memory.arena, &view, image * input.pixels()));
                let unnorm = chunk::Unnorm {
                    rows: input.pixels(),
                    g,
                    y: at(Rows::of(memory.arena, input, image * input.pixels())),
                    term: Rows { at: std::ptr::null_mut(), stride: 0 },
                    to: g,
                    activation: self.source.activation,
                    mean: memory.arena.add(norm.mean() + c),
                    scale: memory.arena.add(norm.scale() + c),
                    shift: memory.arena.add(norm.shift() + c),
                    sums: memory.arena.add(sums + block * 2 * norm.spacing + c),
                    spacing: norm.spacing,
                    first: is_first,
                };
                Blocks::go(channels, unnorm, memory.level);
            }
        }
    }

    /// The output's gradient as whole vectors, with its margins.
    ///
    /// # Safety
    /// As [`Work::run`].
    unsafe fn frame(&self, memory: &Memory<'_>, image: usize, c: usize, lanes: usize, to: *mut f32) -> Pad {
        let out = self.gradient.view();
        // SAFETY: the caller's promise.
        unsafe {
            let rows = |view: &View| {
                let rows = Rows::of(memory.arena, view, image * out.pixels());
                Rows { at: rows.at.add(c), ..rows }
            };
            let vector = |norm: &Norm, i: usize| {
                memory.arena.add(norm.coefficients() + i * norm.spacing + c).cast_const()
            };
            let (from, other, how) = match &self.gradient {
                Gradient::Plain(g) => (rows(g), rows(g), How::Copy),
                Gradient::Norm { g, y, norm } => {
                    (rows(g), rows(y), How::Combine([0, 1, 2].map(|i| vector(norm, i))))
                }
                Gradient::Clamp { g, z, activation } => (rows(g), rows(z), How::Mask(*activation)),
            };
            let larger = framed(&self.geometry, &self.source.view, &out);
            let before = margins(&self.geometry, &self.source.view, &out).map(|margin| margin[0]);
            Pad { from, other, size: [out.height, out.width], to, larger, before, lanes, how }
        }
    }
}
