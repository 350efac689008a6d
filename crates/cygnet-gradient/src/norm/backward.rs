//! Batch norm, backward: sums of the gradient, the coefficients made of them, and the input's gradient.

use cygnet_cpu::pool::share;
use cygnet_cpu::{FAR, Level};

use super::{CHANNELS, none, row_blocks};
use crate::area::{Area, Touches};
use crate::chunk::{self, Blocks, ROWS, Rows};
use crate::value::{Norm, Source, View, same};
use crate::work::{Limits, Work, Workspace};

/// From the gradient of what [`Apply`](super::Apply) wrote, that of the norm's output, and its sums for each block of rows.
#[derive(Clone, Debug)]
pub struct Normalise {
    /// What [`Apply`](super::Apply) read, with its activation.
    pub source: Source,
    /// What [`Apply`](super::Apply) added.
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

    unsafe fn run(&self, memory: &Workspace<'_>, task: usize) {
        let Some(norm) = self.source.norm else { return };
        let rows = share(self.g.rows(), self.tasks(), task);
        // SAFETY: `fits` checked the views and the sums.
        unsafe {
            let at = |view: &View| Rows::of(memory.arena, view, rows.start);
            let unnorm = chunk::UnnormRows {
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

    unsafe fn run(&self, memory: &Workspace<'_>, task: usize) {
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

    unsafe fn run(&self, memory: &Workspace<'_>, task: usize) {
        let first = task * ROWS;
        // SAFETY: `fits` checked the views and the norm.
        unsafe {
            let at = |view: &View| Rows::of(memory.arena, view, first);
            let combine = chunk::CombineRows {
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
