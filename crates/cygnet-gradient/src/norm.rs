//! Batch norm: statistics, the vectors of both passes, and sums of partial results.

use cygnet_cpu::pool::share;
use cygnet_cpu::{FAR, Level};

use crate::area::{Area, Touches};
use crate::chunk::{self, Blocks, Rows};
use crate::pack::spacing;
use crate::program::{Limits, Memory, Work};
use crate::{Norm, Source, View, same, size};

/// Rows of a task that works row by row.
const ROWS: usize = 256;

/// Blocks of rows of a step with partial results.
fn row_blocks(rows: usize) -> usize {
    (rows / 64).clamp(1, 64)
}

fn none() -> Rows {
    Rows { at: std::ptr::null_mut(), stride: 0 }
}

/// Statistics of a value that no convolution has just written.
#[derive(Clone, Debug)]
pub struct Moments {
    /// The value.
    pub view: View,
    /// Where each block of rows leaves its moments, `[blocks, 2, spacing]`.
    pub to: usize,
    /// From a vector of moments to the next.
    pub spacing: usize,
}

impl Moments {
    /// Blocks of rows.
    #[must_use]
    pub fn row_blocks(view: &View) -> usize {
        row_blocks(view.rows())
    }
}

impl Work for Moments {
    fn fits(&self, _: &Limits<'_>) -> bool {
        self.view.is_sound() && self.spacing >= self.view.channels
    }

    fn touches(&self, _: Level) -> Touches {
        let blocks = Moments::row_blocks(&self.view);
        let moments = Area::pairs(self.to, blocks, self.view.channels, self.spacing);
        Touches::default().reads([self.view.into()]).writes([moments])
    }

    fn tasks(&self) -> usize {
        Moments::row_blocks(&self.view)
    }

    unsafe fn run(&self, memory: &Memory<'_>, task: usize) {
        let rows = share(self.view.rows(), self.tasks(), task);
        // SAFETY: `fits` checked the view and the moments.
        unsafe {
            let moments = chunk::Moments {
                rows: rows.len(),
                from: Rows::of(memory.arena, &self.view, rows.start),
                to: memory.arena.add(self.to + task * 2 * self.spacing),
                spacing: self.spacing,
                before: 0,
            };
            Blocks::go(self.view.channels, moments, memory.level);
        }
    }
}

/// How rows were cut into blocks whose moments are partial.
fn block_rows(rows: usize, blocks: usize, unit: usize, block: usize) -> usize {
    share(rows / unit, blocks, block).len() * unit
}

/// Channels of a task that works channel by channel.
const CHANNELS: usize = 16;

/// Puts moments together, moves the running statistics and computes the forward vectors.
#[derive(Clone, Debug)]
pub struct BatchNorm {
    /// Partial moments, `[blocks, 2, spacing]`.
    pub moments: usize,
    /// Number of blocks.
    pub blocks: usize,
    /// Rows that are never cut: pixels of an image where blocks are of images, else 1.
    pub unit: usize,
    /// All rows.
    pub rows: usize,
    /// Channels.
    pub channels: usize,
    /// The norm.
    pub norm: Norm,
    /// Parameters: scale if there is one, shift, running mean and running variance.
    pub params: (Option<usize>, usize, usize, usize),
    /// Added to the variance.
    pub eps: f64,
    /// Weight of this batch in the running statistics.
    pub momentum: f32,
}

impl Work for BatchNorm {
    fn fits(&self, limits: &Limits<'_>) -> bool {
        let (scale, shift, mean, variance) = self.params;
        self.norm.holds(self.channels)
            && self.unit > 0
            && (2..=FAR).contains(&self.rows)
            && [shift, mean, variance].into_iter().chain(scale).all(|i| limits.param(i, self.channels))
    }

    fn touches(&self, _: Level) -> Touches {
        let moments = Area::pairs(self.moments, self.blocks, self.channels, self.norm.spacing);
        Touches::default().reads([moments]).writes([self.norm.forward(self.channels)])
    }

    fn tasks(&self) -> usize {
        self.channels.div_ceil(CHANNELS)
    }

    unsafe fn run(&self, memory: &Memory<'_>, task: usize) {
        let channels = task * CHANNELS..((task + 1) * CHANNELS).min(self.channels);
        let (scale, shift, running_mean, running_variance) = self.params;
        let spacing = self.norm.spacing;
        let width = channels.len();
        let (mut mean, mut m2) = ([0.0f64; CHANNELS], [0.0f64; CHANNELS]);
        let total = self.rows as f64;
        // SAFETY: `fits` checked the moments, the norm's vectors and the parameters.
        unsafe {
            let part = |block: usize, which: usize| {
                let at = self.moments + (block * 2 + which) * spacing + channels.start;
                std::slice::from_raw_parts(memory.arena.add(at), width)
            };
            let rows = |block: usize| block_rows(self.rows, self.blocks, self.unit, block) as f64;
            for block in 0..self.blocks {
                let weight = rows(block) / total;
                part(block, 0).iter().zip(&mut mean).for_each(|(x, mean)| *mean += weight * f64::from(*x));
            }
            for block in 0..self.blocks {
                let n = rows(block);
                for (i, (x, squares)) in part(block, 0).iter().zip(part(block, 1)).enumerate() {
                    let d = f64::from(*x) - mean[i];
                    m2[i] += f64::from(*squares) + n * d * d;
                }
            }
            let vector = |at: usize| memory.arena.add(at);
            for (i, c) in channels.enumerate() {
                let inverse = 1.0 / (m2[i] / total + self.eps).sqrt();
                let gamma = scale.map_or(1.0, |scale| f64::from(*memory.params[scale].add(c)));
                let beta = f64::from(*memory.params[shift].add(c));
                *vector(self.norm.mean()).add(c) = mean[i] as f32;
                *vector(self.norm.inverse()).add(c) = inverse as f32;
                *vector(self.norm.scale()).add(c) = (gamma * inverse) as f32;
                *vector(self.norm.shift()).add(c) = (beta - mean[i] * gamma * inverse) as f32;
                let step = |running: *mut f32, new: f64| {
                    let momentum = f64::from(self.momentum);
                    *running = (f64::from(*running) * (1.0 - momentum) + momentum * new) as f32;
                };
                step(memory.params[running_mean].add(c), mean[i]);
                step(memory.params[running_variance].add(c), m2[i] / (total - 1.0));
            }
        }
    }
}

/// Computes a norm's vectors of both passes from its running statistics.
#[derive(Clone, Debug)]
pub struct Freeze {
    /// Channels.
    pub channels: usize,
    /// The norm.
    pub norm: Norm,
    /// Parameters: scale if there is one, shift, running mean and running variance.
    pub params: (Option<usize>, usize, usize, usize),
    /// Added to the variance.
    pub eps: f64,
}

impl Work for Freeze {
    fn fits(&self, limits: &Limits<'_>) -> bool {
        let (scale, shift, mean, variance) = self.params;
        self.norm.holds(self.channels)
            && [shift, mean, variance].into_iter().chain(scale).all(|i| limits.param(i, self.channels))
    }

    fn touches(&self, _: Level) -> Touches {
        let (forward, backward) = (self.norm.forward(self.channels), self.norm.backward(self.channels));
        Touches::default().writes([forward, backward])
    }

    fn tasks(&self) -> usize {
        1
    }

    unsafe fn run(&self, memory: &Memory<'_>, _: usize) {
        let (scale, shift, mean, variance) = self.params;
        // SAFETY: `fits` checked the norm's vectors and the parameters.
        unsafe {
            let vector = |at: usize| memory.arena.add(at);
            for c in 0..self.channels {
                let param = |i: usize| f64::from(*memory.params[i].add(c));
                let inverse = 1.0 / (param(variance) + self.eps).sqrt();
                let factor = scale.map_or(1.0, param) * inverse;
                *vector(self.norm.mean()).add(c) = param(mean) as f32;
                *vector(self.norm.inverse()).add(c) = inverse as f32;
                *vector(self.norm.scale()).add(c) = factor as f32;
                *vector(self.norm.shift()).add(c) = (param(shift) - param(mean) * factor) as f32;
                let coefficients = vector(self.norm.coefficients());
                *coefficients.add(c) = factor as f32;
                *coefficients.add(self.norm.spacing + c) = 0.0;
                *coefficients.add(2 * self.norm.spacing + c) = 0.0;
            }
        }
    }
}

/// Writes `activation(source + term)` to memory, where the source's own activation is none.
#[derive(Clone, Debug)]
pub struct Apply {
    /// What is read.
    pub source: Source,
    /// Added after the norm.
    pub term: Option<View>,
    /// Where it goes.
    pub output: View,
}

impl Work for Apply {
    fn fits(&self, _: &Limits<'_>) -> bool {
        self.source.is_sound()
            && self.output.is_sound()
            && same(&self.source.view, &self.output)
            && self.term.is_none_or(|term| term.is_sound() && same(&term, &self.output))
    }

    fn touches(&self, _: Level) -> Touches {
        let channels = self.output.channels;
        Touches::default()
            .reads(self.source.norm.map(|norm| norm.forward(channels)))
            .beside([self.source.view].into_iter().chain(self.term).map(Area::from))
            .writes([self.output.into()])
    }

    fn tasks(&self) -> usize {
        self.output.rows().div_ceil(ROWS)
    }

    unsafe fn run(&self, memory: &Memory<'_>, task: usize) {
        let first = task * ROWS;
        let rows = (self.output.rows() - first).min(ROWS);
        // SAFETY: `fits` checked the views.
        unsafe {
            let to = Rows::of(memory.arena, &self.output, first);
            let mut apply = chunk::Apply::source(memory.arena, &self.source, first, rows, to);
            apply.term = self.term.map_or(none(), |term| Rows::of(memory.arena, &term, first));
            Blocks::go(self.output.channels, apply, memory.level);
        }
    }
}

/// From the gradient of what [`Apply`] wrote, that of the norm's output, and its sums for each block of rows.
#[derive(Clone, Debug)]
pub struct Normalise {
    /// What [`Apply`] read, with its activation.
    pub source: Source,
    /// What [`Apply`] added.
    pub term: Option<View>,
    /// The gradient.
    pub g: View,
    /// Where the norm's gradient goes; may be the gradient.
    pub to: View,
    /// Sums, `[blocks, 2, spacing]`.
    pub sums: usize,
}

impl Normalise {
    /// Blocks of rows.
    #[must_use]
    pub fn row_blocks(view: &View) -> usize {
        row_blocks(view.rows())
    }
}

impl Work for Normalise {
    fn fits(&self, _: &Limits<'_>) -> bool {
        let others = [Some(self.g), Some(self.to), self.term];
        self.source.is_sound()
            && others.iter().flatten().all(|other| other.is_sound() && same(other, &self.source.view))
            && self.source.norm.is_some()
    }

    fn touches(&self, _: Level) -> Touches {
        let (view, norm) = (&self.source.view, self.source.norm);
        let blocks = Normalise::row_blocks(view);
        let sums = norm.map(|norm| Area::pairs(self.sums, blocks, view.channels, norm.spacing));
        Touches::default()
            .reads(norm.map(|norm| norm.forward(view.channels)))
            .beside([*view, self.g].into_iter().chain(self.term).map(Area::from))
            .writes([self.to.into()].into_iter().chain(sums))
    }

    fn tasks(&self) -> usize {
        Normalise::row_blocks(&self.g)
    }

    unsafe fn run(&self, memory: &Memory<'_>, task: usize) {
        let Some(norm) = self.source.norm else { return };
        let rows = share(self.g.rows(), self.tasks(), task);
        // SAFETY: `fits` checked the views and the sums.
        unsafe {
            let at = |view: &View| Rows::of(memory.arena, view, rows.start);
            let unnorm = chunk::Unnorm {
                rows: rows.len(),
                g: at(&self.g),
                y: at(&self.source.view),
                term: self.term.map_or(none(), |term| at(&term)),
                to: at(&self.to),
                activation: self.source.activation,
                mean: memory.arena.add(norm.mean()),
                scale: memory.arena.add(norm.scale()),
                shift: memory.arena.add(norm.shift()),
                sums: memory.arena.add(self.sums + task * 2 * norm.spacing),
                spacing: norm.spacing,
                first: true,
            };
            Blocks::go(self.g.channels, unnorm, memory.level);
        }
    }
}

/// Puts the sums together: gradients of a norm's scale and shift, and the coefficients of its input's gradient.
#[derive(Clone, Debug)]
pub struct NormaliseBackward {
    /// Sums, `[blocks, 2, spacing]`.
    pub sums: usize,
    /// Number of blocks.
    pub blocks: usize,
    /// All rows.
    pub rows: usize,
    /// Channels.
    pub channels: usize,
    /// The norm.
    pub norm: Norm,
    /// Parameter of the scale, if its gradient is wanted.
    pub scale: Option<usize>,
    /// Parameter of the shift, if its gradient is wanted.
    pub shift: Option<usize>,
    /// Whether the statistics were running ones, so that the coefficients are known.
    pub frozen: bool,
}

impl Work for NormaliseBackward {
    fn fits(&self, limits: &Limits<'_>) -> bool {
        self.norm.holds(self.channels)
            && self.channels <= FAR
            && self.rows > 0
            && [self.scale, self.shift].iter().flatten().all(|&i| limits.param(i, self.channels))
    }

    fn touches(&self, _: Level) -> Touches {
        let sums = Area::pairs(self.sums, self.blocks, self.channels, self.norm.spacing);
        Touches::default()
            .reads([sums, self.norm.forward(self.channels)])
            .writes([self.norm.backward(self.channels)])
    }

    fn tasks(&self) -> usize {
        self.channels.div_ceil(CHANNELS)
    }

    fn gradients(&self) -> Vec<usize> {
        self.scale.into_iter().chain(self.shift).collect()
    }

    unsafe fn run(&self, memory: &Memory<'_>, task: usize) {
        let channels = task * CHANNELS..((task + 1) * CHANNELS).min(self.channels);
        let spacing = self.norm.spacing;
        let width = channels.len();
        let mut sums = [[0.0f64; CHANNELS]; 2];
        // SAFETY: `fits` checked the sums, the norm's vectors and the parameters.
        unsafe {
            for block in 0..self.blocks {
                for (which, sums) in sums.iter_mut().enumerate() {
                    let at = self.sums + (block * 2 + which) * spacing + channels.start;
                    let part = std::slice::from_raw_parts(memory.arena.add(at), width);
                    part.iter().zip(sums).for_each(|(x, sum)| *sum += f64::from(*x));
                }
            }
            let vector = |at: usize| memory.arena.add(at);
            for (i, c) in channels.enumerate() {
                let [sum, product] = [sums[0][i], sums[1][i]];
                let inverse = f64::from(*vector(self.norm.inverse()).add(c));
                if let Some(scale) = self.scale {
                    *memory.gradients[scale].add(c) += (product * inverse) as f32;
                }
                if let Some(shift) = self.shift {
                    *memory.gradients[shift].add(c) += sum as f32;
                }
                if self.frozen {
                    continue;
                }
                let factor = f64::from(*vector(self.norm.scale()).add(c));
                let mean = f64::from(*vector(self.norm.mean()).add(c));
                let q = -factor * inverse * inverse * product / self.rows as f64;
                let coefficients = vector(self.norm.coefficients());
                *coefficients.add(c) = factor as f32;
                *coefficients.add(spacing + c) = q as f32;
                *coefficients.add(2 * spacing + c) = (-factor * sum / self.rows as f64 - q * mean) as f32;
            }
        }
    }
}

/// Writes the gradient of a norm's input, for inputs that no convolution made.
#[derive(Clone, Debug)]
pub struct InputGradient {
    /// Gradient of the norm's output.
    pub g: View,
    /// The norm's input.
    pub y: View,
    /// The norm.
    pub norm: Norm,
    /// Where it goes.
    pub to: View,
    /// Whether it is added to what is there.
    pub accumulate: bool,
}

impl Work for InputGradient {
    fn fits(&self, _: &Limits<'_>) -> bool {
        [self.g, self.y, self.to].iter().all(|view| view.is_sound() && same(view, &self.g))
            && self.norm.holds(self.g.channels)
    }

    fn touches(&self, _: Level) -> Touches {
        Touches::default()
            .reads([self.norm.backward(self.g.channels)])
            .beside([self.g.into(), self.y.into()])
            .writes([self.to.into()])
    }

    fn tasks(&self) -> usize {
        self.g.rows().div_ceil(ROWS)
    }

    unsafe fn run(&self, memory: &Memory<'_>, task: usize) {
        let first = task * ROWS;
        // SAFETY: `fits` checked the views and the norm.
        unsafe {
            let at = |view: &View| Rows::of(memory.arena, view, first);
            let combine = chunk::Combine {
                rows: (self.g.rows() - first).min(ROWS),
                g: at(&self.g),
                y: at(&self.y),
                to: at(&self.to),
                coefficients: memory.arena.add(self.norm.coefficients()),
                spacing: self.norm.spacing,
                accumulate: self.accumulate,
            };
            Blocks::go(self.g.channels, combine, memory.level);
        }
    }
}

/// How partial gradients of a weight lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WeightLayout {
    /// As the parameter.
    Same,
    /// `[out, taps, inner]`, the parameter is `[out, inner, taps]`.
    Taps {
        /// Window positions.
        taps: usize,
        /// Input channels of a group.
        inner: usize,
    },
    /// `[taps, channels padded]`, the parameter is `[channels, taps]`.
    Depthwise {
        /// Window positions.
        taps: usize,
        /// Channels.
        channels: usize,
    },
}

/// Adds partial gradients, in order, to a parameter's.
#[derive(Clone, Debug)]
pub struct Reduce {
    /// The first segment's.
    pub partials: usize,
    /// Segments.
    pub segments: usize,
    /// Elements of a segment's.
    pub len: usize,
    /// The parameter.
    pub param: usize,
    /// Elements of the parameter.
    pub size: usize,
    /// How they lie.
    pub layout: WeightLayout,
}

/// Elements of a task.
const ELEMENTS: usize = 1 << 13;

impl Work for Reduce {
    fn fits(&self, limits: &Limits<'_>) -> bool {
        let lies_well = match self.layout {
            WeightLayout::Same => self.len == self.size,
            WeightLayout::Taps { taps, inner } => {
                let each = size(&[taps, inner]);
                self.len == self.size && each > 0 && self.size.is_multiple_of(each)
            }
            WeightLayout::Depthwise { taps, channels } => {
                channels <= FAR
                    && self.size == size(&[taps, channels])
                    && self.len == size(&[taps, spacing(channels)])
            }
        };
        lies_well && self.segments > 0 && limits.param(self.param, self.size)
    }

    fn touches(&self, _: Level) -> Touches {
        Touches::default().reads([Area::flat(self.partials, size(&[self.segments, self.len]))])
    }

    fn tasks(&self) -> usize {
        self.len.div_ceil(ELEMENTS)
    }

    fn gradients(&self) -> Vec<usize> {
        vec![self.param]
    }

    unsafe fn run(&self, memory: &Memory<'_>, task: usize) {
        let range = task * ELEMENTS..((task + 1) * ELEMENTS).min(self.len);
        // SAFETY: `fits` checked the partial sums and the parameter. Tasks write elements of their own, through the pointer.
        unsafe {
            let to = memory.gradients[self.param];
            let part = |segment: usize| {
                let at = self.partials + segment * self.len + range.start;
                std::slice::from_raw_parts(memory.arena.add(at), range.len())
            };
            let mut sums = [0.0f32; 64];
            for start in (0..range.len()).step_by(64) {
                let n = (range.len() - start).min(64);
                sums[..n].copy_from_slice(&part(0)[start..start + n]);
                for segment in 1..self.segments {
                    let from = &part(segment)[start..start + n];
                    sums[..n].iter_mut().zip(from).for_each(|(sum, x)| *sum += x);
                }
                for (i, sum) in sums[..n].iter().enumerate() {
                    let element = range.start + start + i;
                    let place = match self.layout {
                        WeightLayout::Same => element,
                        WeightLayout::Taps { taps, inner } => {
                            let (out, rest) = (element / (taps * inner), element % (taps * inner));
                            out * taps * inner + rest % inner * taps + rest / inner
                        }
                        WeightLayout::Depthwise { taps, channels } => {
                            let (tap, c) = (element / spacing(channels), element % spacing(channels));
                            if c >= channels {
                                continue;
                            }
                            c * taps + tap
                        }
                    };
                    *to.add(place) += sum;
                }
            }
        }
    }
}
