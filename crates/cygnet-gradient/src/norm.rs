//! Batch norm, forward: statistics, the norm's vectors, and values written to memory.

mod backward;

use cygnet_cpu::pool::share;
use cygnet_cpu::{FAR, Level};

use crate::area::{Area, Touches};
use crate::chunk::{self, Blocks, ROWS, Rows};
use crate::value::{Norm, Source, View, same};
use crate::work::{Limits, Work, Workspace};

pub use backward::{InputGradient, Normalise, NormaliseBackward};

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

    unsafe fn run(&self, memory: &Workspace<'_>, task: usize) {
        let rows = share(self.view.rows(), self.tasks(), task);
        // SAFETY: `fits` checked the view and the moments.
        unsafe {
            let moments = chunk::MomentsRows {
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

    unsafe fn run(&self, memory: &Workspace<'_>, task: usize) {
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

    unsafe fn run(&self, memory: &Workspace<'_>, _: usize) {
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

    unsafe fn run(&self, memory: &Workspace<'_>, task: usize) {
        let first = task * ROWS;
        let rows = (self.output.rows() - first).min(ROWS);
        // SAFETY: `fits` checked the views.
        unsafe {
            let to = Rows::of(memory.arena, &self.output, first);
            let mut apply = chunk::ApplyRows::source(memory.arena, &self.source, first, rows, to);
            apply.term = self.term.map_or(none(), |term| Rows::of(memory.arena, &term, first));
            Blocks::go(self.output.channels, apply, memory.level);
        }
    }
}
