//! Depthwise convolutions: image by image, sixteen channels at a time, from a padded copy that stays in cache.

use std::ops::Range;

use super::chunk::{self, Blocks, Rows};
use super::pack::spacing;
use super::program::{Limits, Memory, Work};
use super::{Geometry, Gradient, Norm, Sink, Source, View, share};
use crate::activation::Activation;
use crate::isa::{Isa, Kernel};

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

/// Rows and columns of the spread and padded gradient that the flipped windows see.
fn spread(geometry: &Geometry, input: &View) -> [usize; 2] {
    let size = [input.height, input.width];
    [0, 1].map(|i| size[i] + (geometry.kernel[i] - 1) * geometry.dilation[i])
}

fn geometry_fits(geometry: &Geometry, input: &View, output: &View) -> bool {
    let sane = |n: usize| (1..1 << 16).contains(&n);
    geometry.kernel.into_iter().chain(geometry.stride).chain(geometry.dilation).all(sane)
        && geometry.groups == input.channels
        && input.channels == output.channels
        && input.images == output.images
        && output.height > 0
        && output.width > 0
}

impl Work for Depthwise {
    fn fits(&self, limits: &Limits<'_>) -> bool {
        let channels = self.output.channels;
        self.source.fits(limits.arena)
            && self.output.fits(limits.arena)
            && geometry_fits(&self.geometry, &self.source.view, &self.output)
            && limits.range(self.packed, self.geometry.taps() * spacing(channels))
            && self.bias.is_none_or(|bias| limits.param(bias, channels))
            && self.moments.is_none_or(|[at, spacing]| {
                spacing >= channels && limits.range(at, image_blocks(self.output.images) * 2 * spacing)
            })
    }

    fn tasks(&self) -> usize {
        image_blocks(self.output.images) * self.output.channels.div_ceil(CHANNELS)
    }

    fn scratch(&self) -> usize {
        padded(&self.geometry, &self.output).iter().product::<usize>() * CHANNELS
    }

    unsafe fn run(&self, memory: &Memory<'_>, task: usize) {
        let blocks = image_blocks(self.output.images);
        let (block, c) = (task % blocks, task / blocks * CHANNELS);
        let channels = (self.output.channels - c).min(CHANNELS);
        let images = share(self.output.images, blocks, block);
        let [_, columns] = padded(&self.geometry, &self.output);
        let pixels = self.output.pixels();
        // SAFETY: `fits` checked the views and the weight; scratch has room for a padded image.
        unsafe {
            for image in images.clone() {
                let out = Rows::of(memory.arena, &self.output, image * pixels);
                for part in parts(memory, channels) {
                    memory.level.run(Pad::source(memory, self, image, c + part.start, part.len()));
                    memory.level.run(Correlate {
                        from: memory.scratch,
                        columns,
                        kernel: self.geometry.kernel,
                        stride: self.geometry.stride,
                        dilation: self.geometry.dilation,
                        weight: memory.arena.add(self.packed + c + part.start),
                        weight_step: spacing(self.output.channels) as isize,
                        bias: self
                            .bias
                            .map_or(std::ptr::null(), |bias| memory.params[bias].add(c + part.start)),
                        clamp: self.clamp,
                        to: Rows { at: out.at.add(c + part.start), ..out },
                        size: [self.output.height, self.output.width],
                        lanes: part.len(),
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

/// A task's channels cut into vectors.
fn parts(memory: &Memory<'_>, channels: usize) -> impl Iterator<Item = Range<usize>> + use<> {
    let lanes = memory.level.lanes();
    (0..channels).step_by(lanes).map(move |start| start..(start + lanes).min(channels))
}

/// Copies a vector of channels of an image into a larger one of whole vectors, with zeros around and between.
struct Pad {
    from: Rows,
    /// For a gradient: the norm's input.
    y: Rows,
    size: [usize; 2],
    to: *mut f32,
    /// Rows and columns of the copy.
    larger: [usize; 2],
    /// Where the first pixel goes.
    start: [isize; 2],
    /// Distance of pixels in the copy.
    step: [usize; 2],
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

impl Pad {
    /// # Safety
    /// The views must lie in the arena.
    unsafe fn source(memory: &Memory<'_>, of: &Depthwise, image: usize, c: usize, lanes: usize) -> Pad {
        // SAFETY: the caller's promise.
        unsafe { pad_source(memory, &of.source, &of.geometry, &of.output, image, c, lanes) }
    }
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
            y: from,
            size: [view.height, view.width],
            to: memory.scratch,
            larger: padded(geometry, output),
            start: geometry.pad.map(|pad| pad as isize),
            step: [1, 1],
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

impl Kernel for Pad {
    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        let Pad { from, y: other, size, to, larger, start, step, lanes, how } = self;
        let is_whole = start == [0, 0] && step == [1, 1] && larger == size;
        // SAFETY: pixels lie within the views; places outside the copy are skipped.
        unsafe {
            if !is_whole {
                to.write_bytes(0, larger[0] * larger[1] * I::LANES);
            }
            let mut vectors = [[I::splat(0.0); 1]; 3];
            match how {
                How::Normalise(scale, shift, _) => {
                    vectors[0] = chunk::load::<I, 1>(scale, lanes);
                    vectors[1] = chunk::load::<I, 1>(shift, lanes);
                }
                How::Combine(coefficients) => {
                    (0..3).for_each(|i| vectors[i] = chunk::load::<I, 1>(coefficients[i], lanes));
                }
                How::Copy | How::Activate(_) | How::Mask(_) => {}
            }
            for y in 0..size[0] {
                let row = (y * step[0]) as isize + start[0];
                if row < 0 || row >= larger[0] as isize {
                    continue;
                }
                let begin = (-start[1]).max(0).unsigned_abs().div_ceil(step[1]);
                let room = (larger[1] as isize - start[1]).max(0).unsigned_abs();
                let end = size[1].min(room.div_ceil(step[1]));
                let first = row * larger[1] as isize + start[1];
                let line = to.offset(first * I::LANES as isize);
                let pixel = |x: usize| y * size[1] + x;
                let place = |x: usize| line.add(x * step[1] * I::LANES);
                match how {
                    How::Copy => (begin..end).for_each(|x| {
                        let v = chunk::load::<I, 1>(from.get(pixel(x), 0), lanes);
                        I::store(place(x), v[0]);
                    }),
                    How::Activate(activation) => (begin..end).for_each(|x| {
                        let mut v = chunk::load::<I, 1>(from.get(pixel(x), 0), lanes);
                        chunk::activate::<I, 1>(activation, &mut v);
                        I::store(place(x), v[0]);
                    }),
                    How::Normalise(_, _, activation) => (begin..end).for_each(|x| {
                        let v = chunk::load::<I, 1>(from.get(pixel(x), 0), lanes);
                        let mut v = [I::fma(v[0], vectors[0][0], vectors[1][0])];
                        chunk::activate::<I, 1>(activation, &mut v);
                        I::store(place(x), v[0]);
                    }),
                    How::Combine(_) => (begin..end).for_each(|x| {
                        let g = chunk::load::<I, 1>(from.get(pixel(x), 0), lanes);
                        let v = chunk::load::<I, 1>(other.get(pixel(x), 0), lanes);
                        let rest = I::fma(v[0], vectors[1][0], vectors[2][0]);
                        I::store(place(x), I::fma(g[0], vectors[0][0], rest));
                    }),
                    How::Mask(activation) => (begin..end).for_each(|x| {
                        let mut g = chunk::load::<I, 1>(from.get(pixel(x), 0), lanes);
                        let z = chunk::load::<I, 1>(other.get(pixel(x), 0), lanes);
                        chunk::differentiate::<I, 1>(activation, &z, &mut g);
                        I::store(place(x), g[0]);
                    }),
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
        unsafe {
            match (self.kernel, self.stride, self.dilation) {
                ([3, 3], [1, 1], [1, 1]) => self.fixed::<I, 3, 1>(),
                ([3, 3], [2, 2], [1, 1]) => self.fixed::<I, 3, 2>(),
                ([5, 5], [1, 1], [1, 1]) => self.fixed::<I, 5, 1>(),
                ([5, 5], [2, 2], [1, 1]) => self.fixed::<I, 5, 2>(),
                ([7, 7], [1, 1], [1, 1]) => self.fixed::<I, 7, 1>(),
                _ => self.any::<I>(),
            }
        }
    }
}

impl Correlate {
    #[inline(always)]
    unsafe fn finish<I: Isa>(&self, pixel: usize, mut sum: I::V) {
        // SAFETY: the pixel lies in the output.
        unsafe {
            let to = self.to.get(pixel, 0);
            if self.accumulate {
                sum = I::add(sum, chunk::load::<I, 1>(to, self.lanes)[0]);
            }
            if let Some([low, high]) = self.clamp {
                sum = I::at_most(I::at_least(sum, I::splat(low)), I::splat(high));
            }
            chunk::store::<I, 1>(to, [sum], self.lanes);
        }
    }

    #[inline(always)]
    unsafe fn bias<I: Isa>(&self) -> I::V {
        // SAFETY: the bias has the vector's channels.
        unsafe {
            if self.bias.is_null() { I::splat(0.0) } else { chunk::load::<I, 1>(self.bias, self.lanes)[0] }
        }
    }

    /// Outputs of a row from `x` on, `X` of them.
    #[inline(always)]
    unsafe fn some<I: Isa, const K: usize, const S: usize, const X: usize>(
        &self,
        y: usize,
        x: usize,
        bias: I::V,
    ) {
        // SAFETY: the padded image holds the window of every output.
        unsafe {
            let mut sums = [bias; X];
            for ky in 0..K {
                let line = self.from.add(((y * S + ky) * self.columns + x * S) * I::LANES);
                let weights: [I::V; K] = std::array::from_fn(|kx| {
                    let at = self.weight.offset((ky * K + kx) as isize * self.weight_step);
                    chunk::load::<I, 1>(at, self.lanes)[0]
                });
                for (kx, weight) in weights.into_iter().enumerate() {
                    for (i, sum) in sums.iter_mut().enumerate() {
                        *sum = I::fma(I::load(line.add((i * S + kx) * I::LANES)), weight, *sum);
                    }
                }
            }
            for (i, sum) in sums.into_iter().enumerate() {
                self.finish::<I>(y * self.size[1] + x + i, sum);
            }
        }
    }

    #[inline(always)]
    unsafe fn fixed<I: Isa, const K: usize, const S: usize>(&self) {
        // SAFETY: the caller's promise.
        unsafe {
            let bias = self.bias::<I>();
            for y in 0..self.size[0] {
                let mut x = 0;
                while x + 4 <= self.size[1] {
                    self.some::<I, K, S, 4>(y, x, bias);
                    x += 4;
                }
                if x + 2 <= self.size[1] {
                    self.some::<I, K, S, 2>(y, x, bias);
                    x += 2;
                }
                if x < self.size[1] {
                    self.some::<I, K, S, 1>(y, x, bias);
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
                            let weight = chunk::load::<I, 1>(at, self.lanes)[0];
                            sum = I::fma(I::load(from), weight, sum);
                        }
                    }
                    self.finish::<I>(y * self.size[1] + x, sum);
                }
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
    /// Whole vectors, without gaps.
    d: *const f32,
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
                sum = I::add(sum, chunk::load::<I, 1>(to, self.lanes)[0]);
            }
            chunk::store::<I, 1>(to, [sum], self.lanes);
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
                    let d = self.d.add(y * self.size[1] * I::LANES);
                    let mut x = 0;
                    while x + 2 <= self.size[1] {
                        self.some::<I, K, KY, S, 2>(line, d, x, &mut sums);
                        x += 2;
                    }
                    if x < self.size[1] {
                        self.some::<I, K, KY, S, 1>(line, d, x, &mut sums);
                    }
                }
                for (i, sums) in sums.into_iter().enumerate() {
                    for (kx, sum) in sums.into_iter().enumerate() {
                        self.add::<I>((ky + i) * K + kx, sum);
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
            let d: [I::V; X] = std::array::from_fn(|i| I::load(d.add((x + i) * I::LANES)));
            for (ky, sums) in sums.iter_mut().enumerate() {
                let line = line.add((ky * self.columns + x * S) * I::LANES);
                for (i, d) in d.into_iter().enumerate() {
                    for (kx, sum) in sums.iter_mut().enumerate() {
                        *sum = I::fma(I::load(line.add((i * S + kx) * I::LANES)), d, *sum);
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
                        sum = I::fma(from, I::load(self.d.add((y * self.size[1] + x) * I::LANES)), sum);
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

    fn sizes(&self) -> [usize; 3] {
        let out = self.gradient.view();
        [
            padded(&self.geometry, &out).iter().product::<usize>() * CHANNELS,
            out.pixels() * CHANNELS,
            spread(&self.geometry, &self.source.view).iter().product::<usize>() * CHANNELS,
        ]
    }
}

impl Work for DepthwiseBackward {
    fn fits(&self, limits: &Limits<'_>) -> bool {
        let out = self.gradient.view();
        let blocks = image_blocks(out.images);
        self.source.fits(limits.arena)
            && self.gradient.fits(limits.arena)
            && geometry_fits(&self.geometry, &self.source.view, &out)
            && self.sink.fits(&self.source, blocks, limits.arena)
            && limits.range(self.packed, self.geometry.taps() * spacing(out.channels))
            && limits.range(self.partials, blocks * (self.geometry.taps() + 1) * spacing(out.channels))
    }

    fn tasks(&self) -> usize {
        let out = self.gradient.view();
        image_blocks(out.images) * out.channels.div_ceil(CHANNELS)
    }

    fn scratch(&self) -> usize {
        self.sizes().iter().sum()
    }

    unsafe fn run(&self, memory: &Memory<'_>, task: usize) {
        let out = self.gradient.view();
        let blocks = image_blocks(out.images);
        let (block, c) = (task % blocks, task / blocks * CHANNELS);
        let channels = (out.channels - c).min(CHANNELS);
        let images = share(out.images, blocks, block);
        let (spacing, taps) = (spacing(out.channels), self.geometry.taps());
        let (kernel, stride, dilation) = (self.geometry.kernel, self.geometry.stride, self.geometry.dilation);
        let [x_len, d_len, _] = self.sizes();
        let input = &self.source.view;
        // SAFETY: `fits` checked the views and the weight; scratch has room for the three copies.
        unsafe {
            let d_scratch = memory.scratch.add(x_len);
            let wide = d_scratch.add(d_len);
            for image in images.clone() {
                let is_first = image == images.start;
                for part in parts(memory, channels) {
                    let (c, lanes) = (c + part.start, part.len());
                    self.load_d(memory, image, c, lanes, d_scratch);
                    if self.weight {
                        memory.level.run(pad_source(
                            memory,
                            &self.source,
                            &self.geometry,
                            &out,
                            image,
                            c,
                            lanes,
                        ));
                        memory.level.run(WeightGradient {
                            from: memory.scratch,
                            columns: padded(&self.geometry, &out)[1],
                            kernel,
                            stride,
                            dilation,
                            d: d_scratch,
                            size: [out.height, out.width],
                            to: memory.arena.add(self.partials + block * taps * spacing + c),
                            to_step: spacing,
                            lanes,
                            first: is_first,
                        });
                    }
                    if self.bias {
                        let at = self.partials + (blocks * taps + block) * spacing + c;
                        let from = Rows { at: d_scratch, stride: memory.level.lanes() };
                        let to = memory.arena.add(at);
                        Blocks::go(
                            lanes,
                            chunk::Sum { rows: out.pixels(), from, to, first: is_first },
                            memory.level,
                        );
                    }
                    let (view, accumulate) = match self.sink {
                        Sink::None => continue,
                        Sink::Plain { view, accumulate } => (view, accumulate),
                        Sink::Norm { view, .. } => (view, false),
                    };
                    let whole = Rows { at: d_scratch, stride: memory.level.lanes() };
                    let larger = spread(&self.geometry, input);
                    memory.level.run(Pad {
                        from: whole,
                        y: whole,
                        size: [out.height, out.width],
                        to: wide,
                        larger,
                        start: [0, 1].map(|i| {
                            ((kernel[i] - 1) * dilation[i]) as isize - self.geometry.pad[i] as isize
                        }),
                        step: stride,
                        lanes: memory.level.lanes(),
                        how: How::Copy,
                    });
                    let to = Rows::of(memory.arena, &view, image * input.pixels());
                    memory.level.run(Correlate {
                        from: wide,
                        columns: larger[1],
                        kernel,
                        stride: [1, 1],
                        dilation,
                        weight: memory.arena.add(self.packed + (taps - 1) * spacing + c),
                        weight_step: -(spacing as isize),
                        bias: std::ptr::null(),
                        clamp: None,
                        to: Rows { at: to.at.add(c), ..to },
                        size: [input.height, input.width],
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
    }
}

impl DepthwiseBackward {
    /// The output's gradient as whole vectors without gaps.
    ///
    /// # Safety
    /// As [`Work::run`].
    unsafe fn load_d(&self, memory: &Memory<'_>, image: usize, c: usize, lanes: usize, to: *mut f32) {
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
            let (from, y, how) = match &self.gradient {
                Gradient::Plain(g) => (rows(g), rows(g), How::Copy),
                Gradient::Norm { g, y, norm } => {
                    (rows(g), rows(y), How::Combine([0, 1, 2].map(|i| vector(norm, i))))
                }
                Gradient::Clamp { g, z, activation } => (rows(g), rows(z), How::Mask(*activation)),
            };
            let size = [out.height, out.width];
            memory.level.run(Pad {
                from,
                y,
                size,
                to,
                larger: size,
                start: [0, 0],
                step: [1, 1],
                lanes,
                how,
            });
        }
    }
}
