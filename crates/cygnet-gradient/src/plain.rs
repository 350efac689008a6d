//! Everything that is neither a convolution nor a norm nor a pooling.

use cygnet_cpu::{Activation, FAR, Isa, Kernel, Level, adaptive_window};

use crate::area::{Area, Touches};
use crate::chunk::{self, Block, Blocks, Rows};
use crate::program::{Limits, Memory, Work};
use crate::{View, same, size};

/// Rows of a task that works row by row.
const ROWS: usize = 256;

/// Images `[images, channels, height, width]` to a view.
#[derive(Clone, Debug)]
pub struct Import {
    /// Where they go.
    pub to: View,
}

impl Work for Import {
    fn fits(&self, limits: &Limits<'_>) -> bool {
        self.to.is_sound() && limits.images == self.to.rows() * self.to.channels
    }

    fn touches(&self, _: Level) -> Touches {
        Touches::default().writes([self.to.into()])
    }

    fn tasks(&self) -> usize {
        self.to.images
    }

    unsafe fn run(&self, memory: &Memory<'_>, task: usize) {
        let (pixels, channels) = (self.to.pixels(), self.to.channels);
        // SAFETY: `fits` checked the sizes of the images and the view.
        unsafe {
            let to = Rows::of(memory.arena, &self.to, task * pixels);
            for c in 0..channels {
                let from = memory.images.add((task * channels + c) * pixels);
                for pixel in 0..pixels {
                    *to.get(pixel, c) = *from.add(pixel);
                }
            }
        }
    }
}

/// Zeros an element with probability `rate` and enlarges the others so that the mean stays; which ones follows from the
/// run's seed, `stream`, the image and, unless whole images are masked, the element.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mask {
    /// Probability of a zero, below 1.
    pub rate: f32,
    /// Tells masks of one run apart.
    pub stream: u64,
    /// Whether an image has one mask for all its elements.
    pub whole: bool,
}

impl Mask {
    fn factor(&self, seed: u64, image: usize, element: usize) -> f32 {
        let mix = |z: u64| {
            let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        };
        let stream = mix(seed ^ mix(self.stream.wrapping_add(0x9e37_79b9_7f4a_7c15)));
        let of_image = mix(stream ^ mix((image as u64).wrapping_add(0x632b_e59b_d9b4_e019)));
        let bits = if self.whole { of_image } else { mix(of_image ^ mix(element as u64 + 1)) };
        let unit = (bits >> 40) as f32 / (1u32 << 24) as f32;
        if unit < self.rate { 0.0 } else { 1.0 / (1.0 - self.rate) }
    }
}

/// A function of each element.
#[derive(Clone, Debug, PartialEq)]
pub enum Elementwise {
    /// `activation(x)`.
    Activate {
        /// Input.
        x: View,
        /// Result.
        to: View,
        /// Function.
        activation: Activation,
    },
    /// `g * activation'(x)`; without a function, a copy of `g`.
    Derive {
        /// Gradient of the result.
        g: View,
        /// Input of the function.
        x: View,
        /// Gradient of the input.
        to: View,
        /// Function.
        activation: Activation,
        /// Whether it is added to what is there.
        accumulate: bool,
    },
    /// `x * scale + shift`, one pair a channel.
    Affine {
        /// Input.
        x: View,
        /// Result.
        to: View,
        /// Factors.
        scale: Vec<f32>,
        /// Terms.
        shift: Vec<f32>,
        /// Whether it is added to what is there.
        accumulate: bool,
    },
    /// Zeros.
    Zero {
        /// Where.
        to: View,
    },
    /// Random zeros.
    Mask {
        /// Input.
        x: View,
        /// Result.
        to: View,
        /// Which.
        mask: Mask,
        /// Whether it is added to what is there.
        accumulate: bool,
    },
}

struct Affine {
    rows: usize,
    from: Rows,
    to: Rows,
    scale: *const f32,
    shift: *const f32,
    accumulate: bool,
}

impl Block for Affine {
    #[inline(always)]
    unsafe fn block<I: Isa, const V: usize>(&self, c: usize, last: usize) {
        // SAFETY: the pointers are valid for the rows and channels.
        unsafe {
            let scale = chunk::load::<I, V>(self.scale.add(c), last);
            let shift = chunk::load::<I, V>(self.shift.add(c), last);
            for i in 0..self.rows {
                let mut x = chunk::load::<I, V>(self.from.get(i, c), last);
                let to = self.to.get(i, c);
                for j in 0..V {
                    x[j] = I::fma(x[j], scale[j], shift[j]);
                }
                if self.accumulate {
                    let old = chunk::load::<I, V>(to, last);
                    for j in 0..V {
                        x[j] = I::add(x[j], old[j]);
                    }
                }
                chunk::store::<I, V>(to, x, last);
            }
        }
    }
}

impl Elementwise {
    fn output(&self) -> &View {
        match self {
            Elementwise::Activate { to, .. }
            | Elementwise::Derive { to, .. }
            | Elementwise::Affine { to, .. }
            | Elementwise::Zero { to }
            | Elementwise::Mask { to, .. } => to,
        }
    }
}

impl Work for Elementwise {
    fn fits(&self, _: &Limits<'_>) -> bool {
        let to = self.output();
        let fits = |view: &View| view.is_sound() && same(view, to);
        fits(to)
            && match self {
                Elementwise::Activate { x, .. } | Elementwise::Mask { x, .. } => fits(x),
                Elementwise::Derive { g, x, .. } => fits(g) && fits(x),
                Elementwise::Affine { x, scale, shift, .. } => {
                    fits(x) && scale.len() == to.channels && shift.len() == to.channels
                }
                Elementwise::Zero { .. } => true,
            }
    }

    fn touches(&self, _: Level) -> Touches {
        let read = match *self {
            Elementwise::Activate { x, .. } | Elementwise::Mask { x, .. } | Elementwise::Affine { x, .. } => {
                [Some(x), None]
            }
            Elementwise::Derive { g, x, .. } => [Some(g), Some(x)],
            Elementwise::Zero { .. } => [None, None],
        };
        let read = read.into_iter().flatten().map(Area::from);
        Touches::default().beside(read).writes([(*self.output()).into()])
    }

    fn tasks(&self) -> usize {
        self.output().rows().div_ceil(ROWS)
    }

    unsafe fn run(&self, memory: &Memory<'_>, task: usize) {
        let output = self.output();
        let first = task * ROWS;
        let rows = (output.rows() - first).min(ROWS);
        let channels = output.channels;
        let level = memory.level;
        // SAFETY: `fits` checked the views.
        unsafe {
            let at = |view: &View| Rows::of(memory.arena, view, first);
            let to = at(output);
            match self {
                Elementwise::Activate { x, activation, .. } => {
                    let (scale, shift) = (std::ptr::null(), std::ptr::null());
                    let term = Rows { at: std::ptr::null_mut(), stride: 0 };
                    let work =
                        chunk::Apply { rows, from: at(x), to, scale, shift, term, activation: *activation };
                    Blocks::go(channels, work, level);
                }
                &Elementwise::Derive { ref g, ref x, activation, accumulate, .. } => {
                    let work = chunk::Derive { rows, g: at(g), x: at(x), to, activation, accumulate };
                    Blocks::go(channels, work, level);
                }
                &Elementwise::Affine { ref x, ref scale, ref shift, accumulate, .. } => {
                    let (scale, shift) = (scale.as_ptr(), shift.as_ptr());
                    let work = Affine { rows, from: at(x), to, scale, shift, accumulate };
                    Blocks::go(channels, work, level);
                }
                Elementwise::Zero { .. } => {
                    for row in 0..rows {
                        to.get(row, 0).write_bytes(0, channels);
                    }
                }
                Elementwise::Mask { x, mask, accumulate, .. } => {
                    let (from, pixels) = (at(x), output.pixels());
                    for row in 0..rows {
                        let (image, pixel) = ((first + row) / pixels, (first + row) % pixels);
                        for c in 0..channels {
                            let factor = mask.factor(memory.seed, image, pixel * channels + c);
                            let to = to.get(row, c);
                            let old = if *accumulate { *to } else { 0.0 };
                            *to = old + *from.get(row, c) * factor;
                        }
                    }
                }
            }
        }
    }
}

/// Sum or product of two values, dimensions of 1 broadcast, and their gradients.
#[derive(Clone, Debug)]
pub enum Binary {
    /// The sum.
    Add {
        /// Left.
        a: View,
        /// Right.
        b: View,
        /// Result.
        to: View,
    },
    /// The product.
    Mul {
        /// Left.
        a: View,
        /// Right.
        b: View,
        /// Result.
        to: View,
    },
    /// The gradient of one side: that of the result times the other side, summed where this side was broadcast.
    Backward {
        /// Gradient of the result.
        g: View,
        /// The other side of a product; none for a sum.
        other: Option<View>,
        /// Gradient of this side.
        to: View,
        /// Whether it is added to what is there.
        accumulate: bool,
    },
}

fn broadcasts(part: &View, whole: &View) -> bool {
    let sizes = |v: &View| [v.height, v.width, v.channels];
    part.images == whole.images && sizes(part).iter().zip(sizes(whole)).all(|(&p, w)| p == w || p == 1)
}

fn pixel_of(part: &View, image: usize, y: usize, x: usize) -> usize {
    let clip = |i: usize, size: usize| if size == 1 { 0 } else { i };
    (image * part.height + clip(y, part.height)) * part.width + clip(x, part.width)
}

struct BinaryImage<'a> {
    of: &'a Binary,
    arena: *mut f32,
    image: usize,
}

impl Kernel for BinaryImage<'_> {
    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        let whole = self.of.whole();
        let image = self.image;
        // SAFETY: `fits` checked the views, and that they broadcast.
        unsafe {
            let row =
                |view: &View, y: usize, x: usize| Rows::of(self.arena, view, pixel_of(view, image, y, x)).at;
            // A vector of a side, whose one channel may stand for all.
            let get = |view: &View, at: *mut f32, c: usize, lanes: usize| {
                if view.channels == whole.channels {
                    chunk::load::<I, 1>(at.add(c), lanes)[0]
                } else {
                    I::splat(*at)
                }
            };
            if let Binary::Backward { to, accumulate: false, .. } = self.of
                && !same(to, whole)
            {
                {
                    let first = Rows::of(self.arena, to, image * to.pixels());
                    (0..to.pixels()).for_each(|pixel| first.get(pixel, 0).write_bytes(0, to.channels));
                }
            }
            for y in 0..whole.height {
                for x in 0..whole.width {
                    match self.of {
                        Binary::Add { a, b, to } | Binary::Mul { a, b, to } => {
                            let [left, right, out] = [row(a, y, x), row(b, y, x), row(to, y, x)];
                            let add = matches!(self.of, Binary::Add { .. });
                            let mut c = 0;
                            while c < to.channels {
                                let lanes = (to.channels - c).min(I::LANES);
                                let (l, r) = (get(a, left, c, lanes), get(b, right, c, lanes));
                                let v = if add { I::add(l, r) } else { I::mul(l, r) };
                                chunk::store::<I, 1>(out.add(c), [v], lanes);
                                c += I::LANES;
                            }
                        }
                        Binary::Backward { g, other, to, accumulate } => {
                            let (from, out) = (row(g, y, x), row(to, y, x));
                            let factor = other.as_ref().map(|other| (other, row(other, y, x)));
                            if to.channels != whole.channels {
                                let mut sum = 0.0f64;
                                for c in 0..whole.channels {
                                    let factor = factor.map_or(1.0, |(other, at)| {
                                        *at.add(if other.channels == 1 { 0 } else { c })
                                    });
                                    sum += f64::from(*from.add(c)) * f64::from(factor);
                                }
                                *out += sum as f32;
                                continue;
                            }
                            let add = *accumulate || !same(to, whole);
                            let mut c = 0;
                            while c < to.channels {
                                let lanes = (to.channels - c).min(I::LANES);
                                let mut v = chunk::load::<I, 1>(from.add(c), lanes)[0];
                                if let Some((other, at)) = factor {
                                    v = I::mul(v, get(other, at, c, lanes));
                                }
                                if add {
                                    v = I::add(v, chunk::load::<I, 1>(out.add(c), lanes)[0]);
                                }
                                chunk::store::<I, 1>(out.add(c), [v], lanes);
                                c += I::LANES;
                            }
                        }
                    }
                }
            }
        }
    }
}

impl Binary {
    fn whole(&self) -> &View {
        match self {
            Binary::Add { to, .. } | Binary::Mul { to, .. } => to,
            Binary::Backward { g, .. } => g,
        }
    }
}

impl Work for Binary {
    fn fits(&self, _: &Limits<'_>) -> bool {
        let whole = self.whole();
        let fits = |view: &View| view.is_sound() && broadcasts(view, whole);
        fits(whole)
            && match self {
                Binary::Add { a, b, .. } | Binary::Mul { a, b, .. } => fits(a) && fits(b),
                Binary::Backward { other, to, .. } => fits(to) && other.as_ref().is_none_or(fits),
            }
    }

    fn touches(&self, _: Level) -> Touches {
        let (read, to) = match *self {
            Binary::Add { a, b, to } | Binary::Mul { a, b, to } => ([Some(a), Some(b)], to),
            Binary::Backward { g, other, to, .. } => ([Some(g), other], to),
        };
        // What is broadcast, or summed, is read after elements have been written.
        let (beside, apart): (Vec<View>, Vec<View>) =
            read.into_iter().flatten().partition(|view| same(view, &to));
        Touches::default()
            .reads(apart.into_iter().map(Area::from))
            .beside(beside.into_iter().map(Area::from))
            .writes([to.into()])
    }

    fn tasks(&self) -> usize {
        self.whole().images
    }

    unsafe fn run(&self, memory: &Memory<'_>, task: usize) {
        // SAFETY: the caller's promise.
        unsafe { memory.level.run(BinaryImage { of: self, arena: memory.arena, image: task }) }
    }
}

/// Puts channels of some views together, in any order; or takes the gradient apart again.
#[derive(Clone, Debug)]
pub struct Gather {
    /// The parts; none where a part's gradient is not wanted.
    pub parts: Vec<Option<View>>,
    /// For each channel of the whole, the part and the channel it comes from.
    pub sources: Vec<[usize; 2]>,
    /// The whole.
    pub whole: View,
    /// For gradients, whether each part is added to; every channel of a part that is not must occur once in `sources`.
    /// None to put together.
    pub backward: Option<Vec<bool>>,
}

/// Channels `start`, `start + 1`, … of a part are channels `at`, `at + step`, … of the whole.
#[derive(Clone, Copy)]
struct Line {
    part: usize,
    start: usize,
    at: usize,
    step: usize,
    len: usize,
}

impl Gather {
    fn lines(&self) -> Vec<Line> {
        let mut taken = vec![false; self.sources.len()];
        let mut lines = Vec::new();
        for at in 0..self.sources.len() {
            if taken[at] {
                continue;
            }
            let [part, start] = self.sources[at];
            let next = (at + 1..self.sources.len())
                .find(|&next| !taken[next] && self.sources[next] == [part, start + 1]);
            let step = next.map_or(1, |next| next - at);
            let len = (0..)
                .take_while(|&i| {
                    let place = at + i * step;
                    place < taken.len() && !taken[place] && self.sources[place] == [part, start + i]
                })
                .count();
            for i in 0..len {
                taken[at + i * step] = true;
            }
            lines.push(Line { part, start, at, step, len });
        }
        lines
    }
}

struct GatherRows<'a> {
    of: &'a Gather,
    lines: &'a [Line],
    arena: *mut f32,
    first: usize,
    rows: usize,
}

impl Kernel for GatherRows<'_> {
    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        let GatherRows { of, lines, arena, first, rows } = self;
        // Two parts that alternate, as after a shuffle of two groups.
        if let ([a, b], Some([Some(left), Some(right)])) = (lines, of.parts.first_chunk::<2>()) {
            let alternate = a.step == 2 && b.step == 2 && a.len == b.len && a.at == 0 && b.at == 1;
            if alternate && a.part == 0 && b.part == 1 && of.parts.len() == 2 {
                // SAFETY: `fits` checked the views and the sources.
                unsafe {
                    let [left, right, whole] =
                        [left, right, &of.whole].map(|view| Rows::of(arena, view, first));
                    for row in 0..rows {
                        let (l, r) = (left.get(row, a.start), right.get(row, b.start));
                        let whole = whole.get(row, 0);
                        match &of.backward {
                            None => {
                                for i in 0..a.len {
                                    *whole.add(2 * i) = *l.add(i);
                                    *whole.add(2 * i + 1) = *r.add(i);
                                }
                            }
                            Some(accumulate) => {
                                let [keep_l, keep_r] =
                                    [0, 1].map(|i| if accumulate[i] { 1.0f32 } else { 0.0 });
                                if keep_l + keep_r == 0.0 {
                                    for i in 0..a.len {
                                        *l.add(i) = *whole.add(2 * i);
                                        *r.add(i) = *whole.add(2 * i + 1);
                                    }
                                    continue;
                                }
                                for i in 0..a.len {
                                    let old = [
                                        if accumulate[0] { *l.add(i) } else { 0.0 },
                                        if accumulate[1] { *r.add(i) } else { 0.0 },
                                    ];
                                    *l.add(i) = *whole.add(2 * i) + old[0];
                                    *r.add(i) = *whole.add(2 * i + 1) + old[1];
                                }
                            }
                        }
                    }
                }
                return;
            }
        }
        for line in lines {
            let Some(part) = &of.parts[line.part] else { continue };
            // SAFETY: `fits` checked the views and the sources.
            unsafe {
                let (part, whole) = (Rows::of(arena, part, first), Rows::of(arena, &of.whole, first));
                for row in 0..rows {
                    let (part, whole) = (part.get(row, line.start), whole.get(row, line.at));
                    match &of.backward {
                        None if line.step == 1 => whole.copy_from_nonoverlapping(part, line.len),
                        None => {
                            for i in 0..line.len {
                                *whole.add(i * line.step) = *part.add(i);
                            }
                        }
                        Some(accumulate) if accumulate[line.part] => {
                            for i in 0..line.len {
                                *part.add(i) += *whole.add(i * line.step);
                            }
                        }
                        Some(_) => {
                            for i in 0..line.len {
                                *part.add(i) = *whole.add(i * line.step);
                            }
                        }
                    }
                }
            }
        }
    }
}

impl Work for Gather {
    fn fits(&self, _: &Limits<'_>) -> bool {
        let part_fits = |part: &View| {
            part.is_sound()
                && (part.images, part.height, part.width)
                    == (self.whole.images, self.whole.height, self.whole.width)
        };
        self.whole.is_sound()
            && self.sources.len() == self.whole.channels
            && self.parts.iter().flatten().all(part_fits)
            && self.backward.as_ref().is_none_or(|flags| flags.len() == self.parts.len())
            && self.sources.iter().all(|&[part, channel]| {
                self.parts
                    .get(part)
                    .is_some_and(|part| part.as_ref().is_none_or(|part| channel < part.channels))
            })
    }

    fn touches(&self, _: Level) -> Touches {
        let mut parts: Vec<Area> = Vec::new();
        for part in self.parts.iter().flatten().map(|&part| Area::from(part)) {
            // A task that takes apart writes the rows of a part that is there twice one after the other.
            if !parts.contains(&part) {
                parts.push(part);
            }
        }
        let whole = Area::from(self.whole);
        match self.backward {
            None => Touches::default().reads(parts).writes([whole]),
            Some(_) => Touches::default().reads([whole]).writes(parts),
        }
    }

    fn tasks(&self) -> usize {
        self.whole.rows().div_ceil(ROWS)
    }

    unsafe fn run(&self, memory: &Memory<'_>, task: usize) {
        let first = task * ROWS;
        let rows = (self.whole.rows() - first).min(ROWS);
        let lines = self.lines();
        // SAFETY: the caller's promise.
        unsafe {
            memory.level.run(GatherRows { of: self, lines: &lines, arena: memory.arena, first, rows });
        }
    }
}

/// A function of some other form, or its gradient.
#[derive(Clone, Debug)]
pub struct Plain {
    /// Which.
    pub op: PlainOp,
    /// Its input.
    pub x: View,
    /// Its result, or for the gradient that of the result.
    pub y: View,
    /// For the gradient, where that of the input goes and whether it is added to what is there.
    pub backward: Option<(View, bool)>,
}

/// What a [`Plain`] step computes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PlainOp {
    /// Softmax over channels.
    Softmax,
    /// `x / (k + alpha / size * sum of squares)^beta` over a window of channels.
    LocalResponseNorm {
        /// Channels of the window.
        size: usize,
        /// `[alpha, beta, k]`.
        constants: [f32; 3],
    },
    /// Nearest-neighbour enlargement.
    Upsample,
    /// Means over [windows that cover the map](adaptive_window), as many as the result has pixels.
    AdaptiveMean,
    /// A map to a vector in channel-major order.
    Flatten,
}

impl Work for Plain {
    fn fits(&self, _: &Limits<'_>) -> bool {
        let (x, y) = (&self.x, &self.y);
        let sizes = || match self.op {
            PlainOp::Softmax => same(x, y),
            PlainOp::LocalResponseNorm { size, .. } => same(x, y) && size > 0,
            PlainOp::Upsample | PlainOp::AdaptiveMean => {
                let are_counted = size(&[x.height, y.height]).max(size(&[x.width, y.width])) <= FAR;
                x.images == y.images && x.channels == y.channels && are_counted
            }
            PlainOp::Flatten => {
                x.images == y.images && y.pixels() == 1 && y.channels == x.channels * x.pixels()
            }
        };
        x.is_sound()
            && y.is_sound()
            && sizes()
            && self.backward.is_none_or(|(to, _)| to.is_sound() && same(&to, x))
    }

    fn touches(&self, _: Level) -> Touches {
        let touches = Touches::default().reads([self.x.into()]);
        match self.backward {
            None => touches.writes([self.y.into()]),
            Some((to, _)) => touches.reads([self.y.into()]).writes([to.into()]),
        }
    }

    fn tasks(&self) -> usize {
        self.x.images
    }

    fn scratch(&self) -> usize {
        2 * self.x.channels
    }

    unsafe fn run(&self, memory: &Memory<'_>, task: usize) {
        let (x_pixels, y_pixels) = (self.x.pixels(), self.y.pixels());
        let channels = self.x.channels;
        // SAFETY: `fits` checked the views; scratch holds two numbers a channel.
        unsafe {
            let x = Rows::of(memory.arena, &self.x, task * x_pixels);
            let y = Rows::of(memory.arena, &self.y, task * y_pixels);
            let to = self.backward.map(|(to, accumulate)| {
                let to = Rows::of(memory.arena, &to, task * x_pixels);
                if !accumulate {
                    for pixel in 0..x_pixels {
                        to.get(pixel, 0).write_bytes(0, channels);
                    }
                }
                to
            });
            match self.op {
                PlainOp::Softmax => {
                    let value = std::slice::from_raw_parts_mut(memory.scratch, channels);
                    for pixel in 0..x_pixels {
                        let from = |c: usize| f64::from(*x.get(pixel, c));
                        let largest = (0..channels).map(from).fold(f64::NEG_INFINITY, f64::max);
                        let sum: f64 = (0..channels).map(|c| (from(c) - largest).exp()).sum();
                        for (c, value) in value.iter_mut().enumerate() {
                            *value = ((from(c) - largest).exp() / sum) as f32;
                        }
                        match to {
                            None => {
                                for c in 0..channels {
                                    *y.get(pixel, c) = value[c];
                                }
                            }
                            Some(to) => {
                                let g = |c: usize| f64::from(*y.get(pixel, c));
                                let dot: f64 = (0..channels).map(|c| g(c) * f64::from(value[c])).sum();
                                for (c, value) in value.iter().enumerate() {
                                    *to.get(pixel, c) += (f64::from(*value) * (g(c) - dot)) as f32;
                                }
                            }
                        }
                    }
                }
                PlainOp::LocalResponseNorm { size, constants } => {
                    let [alpha, beta, k] = constants.map(f64::from);
                    let share = alpha / size as f64;
                    let window = |c: usize, back: usize, ahead: usize| {
                        c.saturating_sub(back)..(c + ahead + 1).min(channels)
                    };
                    let (back, ahead) = (size / 2, (size - 1) / 2);
                    let [power, product] = [0, channels]
                        .map(|at| std::slice::from_raw_parts_mut(memory.scratch.add(at), channels));
                    for pixel in 0..x_pixels {
                        let from = |c: usize| f64::from(*x.get(pixel, c));
                        for c in 0..channels {
                            let squares: f64 = window(c, back, ahead).map(|c| from(c).powi(2)).sum();
                            let base = k + share * squares;
                            let scaled = base.powf(-beta);
                            match to {
                                None => *y.get(pixel, c) = (from(c) * scaled) as f32,
                                Some(_) => {
                                    power[c] = scaled as f32;
                                    product[c] =
                                        (f64::from(*y.get(pixel, c)) * from(c) * scaled / base) as f32;
                                }
                            }
                        }
                        let Some(to) = to else { continue };
                        for (c, power) in power.iter().enumerate() {
                            // The windows that this channel lies in.
                            let sum: f64 = window(c, ahead, back).map(|c| f64::from(product[c])).sum();
                            let own = f64::from(*y.get(pixel, c)) * f64::from(*power);
                            *to.get(pixel, c) += (own - 2.0 * share * beta * from(c) * sum) as f32;
                        }
                    }
                }
                PlainOp::Upsample => {
                    for row in 0..self.y.height {
                        for column in 0..self.y.width {
                            let source = row * self.x.height / self.y.height * self.x.width
                                + column * self.x.width / self.y.width;
                            let whole = y.get(row * self.y.width + column, 0);
                            match to {
                                None => whole.copy_from_nonoverlapping(x.get(source, 0), channels),
                                Some(to) => {
                                    let to = to.get(source, 0);
                                    for c in 0..channels {
                                        *to.add(c) += *whole.add(c);
                                    }
                                }
                            }
                        }
                    }
                }
                PlainOp::AdaptiveMean => {
                    let (x_size, y_size) = ([self.x.height, self.x.width], [self.y.height, self.y.width]);
                    for pixel in 0..y_pixels {
                        let place = [pixel / y_size[1], pixel % y_size[1]];
                        let window = |axis: usize| adaptive_window(place[axis], y_size[axis], x_size[axis]);
                        let (rows, columns) = (window(0), window(1));
                        let share = 1.0 / (rows.len() * columns.len()) as f32;
                        let mean = y.get(pixel, 0);
                        if to.is_none() {
                            mean.write_bytes(0, channels);
                        }
                        for source in rows.flat_map(|y| columns.clone().map(move |x| y * x_size[1] + x)) {
                            for c in 0..channels {
                                match to {
                                    None => *mean.add(c) += share * *x.get(source, c),
                                    Some(to) => *to.get(source, c) += share * *mean.add(c),
                                }
                            }
                        }
                    }
                }
                PlainOp::Flatten => {
                    for pixel in 0..x_pixels {
                        for c in 0..channels {
                            let flat = y.get(0, c * x_pixels + pixel);
                            match to {
                                None => *flat = *x.get(pixel, c),
                                Some(to) => *to.get(pixel, c) += *flat,
                            }
                        }
                    }
                }
            }
        }
    }
}
