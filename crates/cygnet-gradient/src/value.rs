//! Values and gradients as steps see them, wherever they lie.

use cygnet_cpu::{Activation, FAR, product};

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

    /// Whether it has elements, none of them twice, and no number of them wraps.
    pub(crate) fn is_sound(&self) -> bool {
        let numbers = product(&[self.images, self.height, self.width, self.stride]);
        self.channels > 0 && self.stride >= self.channels && numbers.is_some_and(|n| n > 0 && n <= FAR)
    }
}

/// Whether two views have the same images, pixels and channels.
pub(crate) fn same(a: &View, b: &View) -> bool {
    (a.images, a.height, a.width, a.channels) == (b.images, b.height, b.width, b.channels)
}

/// The product of some sizes, or where it wraps more than any arena holds.
pub(crate) fn size(sizes: &[usize]) -> usize {
    product(sizes).unwrap_or(usize::MAX)
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

    pub(crate) fn mean(self) -> usize {
        self.offset
    }
    pub(crate) fn inverse(self) -> usize {
        self.offset + self.spacing
    }
    pub(crate) fn scale(self) -> usize {
        self.offset + 2 * self.spacing
    }
    pub(crate) fn shift(self) -> usize {
        self.offset + 3 * self.spacing
    }
    pub(crate) fn coefficients(self) -> usize {
        self.offset + 4 * self.spacing
    }
    /// Whether it has room for so many channels.
    pub(crate) fn holds(self, channels: usize) -> bool {
        self.spacing >= channels
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

    pub(crate) fn is_plain(&self) -> bool {
        self.norm.is_none() && self.activation == Activation::None
    }

    pub(crate) fn is_sound(&self) -> bool {
        self.view.is_sound() && self.norm.is_none_or(|norm| norm.holds(self.view.channels))
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

    pub(crate) fn is_sound(&self) -> bool {
        match self {
            Gradient::Plain(g) => g.is_sound(),
            Gradient::Norm { g, y, norm } => {
                g.is_sound() && y.is_sound() && same(g, y) && norm.holds(g.channels)
            }
            Gradient::Clamp { g, z, .. } => g.is_sound() && z.is_sound() && same(g, z),
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
    pub(crate) fn fits(&self, source: &Source) -> bool {
        match self {
            Sink::None => true,
            Sink::Plain { view, .. } => view.is_sound() && same(view, &source.view),
            Sink::Norm { view, .. } => view.is_sound() && same(view, &source.view) && source.norm.is_some(),
        }
    }
}
