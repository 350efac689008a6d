//! Functions of each element.

use cygnet_cpu::{Activation, Isa, Level};

use crate::area::{Area, Touches};
use crate::chunk::{self, Block, Blocks, ROWS, Rows};
use crate::value::{View, same};
use crate::work::{Limits, Work, Workspace};

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

struct AffineRows {
    rows: usize,
    from: Rows,
    to: Rows,
    scale: *const f32,
    shift: *const f32,
    accumulate: bool,
}

impl Block for AffineRows {
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

    unsafe fn run(&self, memory: &Workspace<'_>, task: usize) {
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
                    let work = chunk::ApplyRows {
                        rows,
                        from: at(x),
                        to,
                        scale,
                        shift,
                        term,
                        activation: *activation,
                    };
                    Blocks::go(channels, work, level);
                }
                &Elementwise::Derive { ref g, ref x, activation, accumulate, .. } => {
                    let work = chunk::DeriveRows { rows, g: at(g), x: at(x), to, activation, accumulate };
                    Blocks::go(channels, work, level);
                }
                &Elementwise::Affine { ref x, ref scale, ref shift, accumulate, .. } => {
                    let (scale, shift) = (scale.as_ptr(), shift.as_ptr());
                    let work = AffineRows { rows, from: at(x), to, scale, shift, accumulate };
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
