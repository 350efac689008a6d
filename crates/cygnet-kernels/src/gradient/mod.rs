//! Training steps: forward and backward passes of whole batches, channels last.
//!
//! A [`Program`] is a checked list of [`Step`]s over one arena. Each step is cut into tasks in a way that depends on sizes
//! only, and every sum has one order, so results do not depend on the number of threads. Feature maps lie as [`View`]s
//! `[images, height, width, channels]`. A batch-normalised and activated value need not be in memory: a [`Source`]
//! computes it as it is read, and a [`Gradient`] does the same for the gradient of a normalised value.

#![allow(
    clippy::needless_range_loop,
    reason = "a closure would be compiled without the set's instructions, and iterators over arrays are closures"
)]

mod chunk;
mod conv;
mod depthwise;
mod gemm;
mod loss;
mod norm;
mod pack;
mod plain;
mod pooling;
mod program;

pub use conv::{Conv, ConvBackward, Geometry};
pub use depthwise::{Depthwise, DepthwiseBackward};
pub use loss::Loss;
pub use norm::{
    Apply, BatchNorm, Freeze, InputGradient, Moments, Normalise, NormaliseBackward, Reduce, WeightLayout,
};
pub use pack::{Pack, PackForm, panel_width};
pub use plain::{Binary, Elementwise, Gather, Import, Mask, Plain, PlainOp};
pub use pooling::{Pooling, Window};
pub use program::{Arena, Params, Program, Run, Step};

use crate::activation::Activation;

/// Values of a feature map of all images: channel `c` of pixel `(y, x)` of image `n` is at
/// `offset + ((n * height + y) * width + x) * stride + c`. All numbers count f32s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// Channel 0 of the first pixel of the first image.
    pub offset: usize,
    /// Images.
    pub images: usize,
    /// Rows of an image.
    pub height: usize,
    /// Columns of an image.
    pub width: usize,
    /// Channels.
    pub channels: usize,
    /// From a pixel to the next.
    pub stride: usize,
}

impl View {
    /// Pixels of all images.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.images * self.height * self.width
    }

    /// Pixels of an image.
    #[must_use]
    pub fn pixels(&self) -> usize {
        self.height * self.width
    }

    fn fits(&self, arena: usize) -> bool {
        let last = self.rows().checked_sub(1).and_then(|rows| rows.checked_mul(self.stride));
        let end = last.and_then(|last| last.checked_add(self.offset)?.checked_add(self.channels));
        self.channels > 0 && self.stride >= self.channels && end.is_some_and(|end| end <= arena)
    }
}

/// A batch norm's vectors, one number a channel: mean, inverse deviation, `scale` and `shift` of the forward pass, and the
/// coefficients `p`, `q`, `r` of the backward pass, `spacing` numbers from one vector to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Norm {
    /// The first vector.
    pub offset: usize,
    /// From a vector to the next; at least the channels.
    pub spacing: usize,
}

impl Norm {
    /// Vectors of a norm.
    pub const VECTORS: usize = 7;

    fn mean(self) -> usize {
        self.offset
    }
    fn inverse(self) -> usize {
        self.offset + self.spacing
    }
    fn scale(self) -> usize {
        self.offset + 2 * self.spacing
    }
    fn shift(self) -> usize {
        self.offset + 3 * self.spacing
    }
    fn coefficients(self) -> usize {
        self.offset + 4 * self.spacing
    }
    fn fits(self, channels: usize, arena: usize) -> bool {
        self.spacing >= channels && self.offset + Norm::VECTORS * self.spacing <= arena
    }
}

/// A value as its reader sees it: `activation(view * scale + shift)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Source {
    /// What lies in memory.
    pub view: View,
    /// The batch norm on the way, if any.
    pub norm: Option<Norm>,
    /// Applied last.
    pub activation: Activation,
}

impl Source {
    /// A value that lies in memory as it is.
    #[must_use]
    pub fn plain(view: View) -> Source {
        Source { view, norm: None, activation: Activation::None }
    }

    fn is_plain(&self) -> bool {
        self.norm.is_none() && self.activation == Activation::None
    }

    fn fits(&self, arena: usize) -> bool {
        self.view.fits(arena) && self.norm.is_none_or(|norm| norm.fits(self.view.channels, arena))
    }
}

/// The gradient with respect to an operator's output, as its reader sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Gradient {
    /// It lies in memory.
    Plain(View),
    /// That of a batch norm's input: `g * p + y * q + r`.
    Norm {
        /// Gradient of the norm's output.
        g: View,
        /// The norm's input.
        y: View,
        /// Its coefficients.
        norm: Norm,
    },
    /// That of a clamp's argument: `g` where the clamp's result `z` is strictly within its limits.
    Clamp {
        /// Gradient of the result.
        g: View,
        /// The result.
        z: View,
        /// The clamp.
        activation: Activation,
    },
}

impl Gradient {
    /// The gradient that lies in memory.
    #[must_use]
    pub fn view(&self) -> View {
        match *self {
            Gradient::Plain(g) | Gradient::Norm { g, .. } | Gradient::Clamp { g, .. } => g,
        }
    }

    fn fits(&self, arena: usize) -> bool {
        let same = |a: &View, b: &View| {
            (a.images, a.height, a.width, a.channels) == (b.images, b.height, b.width, b.channels)
        };
        match self {
            Gradient::Plain(g) => g.fits(arena),
            Gradient::Norm { g, y, norm } => {
                g.fits(arena) && y.fits(arena) && same(g, y) && norm.fits(g.channels, arena)
            }
            Gradient::Clamp { g, z, .. } => g.fits(arena) && z.fits(arena) && same(g, z),
        }
    }
}

/// Where the gradient with respect to an operator's input goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sink {
    /// Nowhere.
    None,
    /// To memory.
    Plain {
        /// Where.
        view: View,
        /// Whether it is added to what is there.
        accumulate: bool,
    },
    /// The input is a [`Source`] with a norm: the gradient of the norm's output goes to memory, and for each task its
    /// sums over the rows, `[tasks, 2, spacing]`.
    Norm {
        /// Where.
        view: View,
        /// The first task's sums.
        sums: usize,
    },
}

impl Sink {
    fn fits(&self, source: &Source, tasks: usize, arena: usize) -> bool {
        let same = |view: &View| {
            let x = &source.view;
            (view.images, view.height, view.width, view.channels) == (x.images, x.height, x.width, x.channels)
        };
        match self {
            Sink::None => true,
            Sink::Plain { view, .. } => view.fits(arena) && same(view),
            Sink::Norm { view, sums } => {
                let norm = source.norm.map(|norm| norm.spacing);
                view.fits(arena)
                    && same(view)
                    && norm.is_some_and(|spacing| sums + tasks * 2 * spacing <= arena)
            }
        }
    }
}

/// The part of `0..total` that belongs to part `index` of `parts`.
pub(crate) fn share(total: usize, parts: usize, index: usize) -> std::ops::Range<usize> {
    index * total / parts..(index + 1) * total / parts
}
