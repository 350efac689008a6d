//! The other operators, pixel by pixel with channels in vectors.

mod norm;
mod windows;

use std::ops::Range;

use norm::{local_response_norm, softmax};
use windows::Windows;

use cygnet_cpu::{Activation, Isa, Kernel, Level, vectors};

use crate::map::{Element, Map, assert_elements};
use crate::unroll;
use crate::window::Window;

/// How two values become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binary {
    /// Sum.
    Add,
    /// Product.
    Mul,
}

/// How the elements of a window become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// The largest; NaN wins, padding never.
    Max,
    /// The mean.
    Mean {
        /// Whether padding counts in the divisor.
        count_pad: bool,
    },
}

/// An operator without packed weights.
#[derive(Clone, Debug)]
pub enum Plain {
    /// Windowed pooling; `end_pad` is the padding below and to the right.
    Pool {
        /// Which value a window yields.
        pooling: Pooling,
        /// The window, dilation 1.
        window: Window,
        /// Rows below and columns to the right.
        end_pad: [usize; 2],
    },
    /// Mean over all pixels.
    GlobalMean,
    /// Means over [windows that cover the map](crate::reference::adaptive_window), as many as the output has pixels.
    AdaptiveMean,
    /// Two inputs; dimensions of 1 are broadcast.
    Binary(Binary, Activation),
    /// `activation(x * scale + shift)`, one pair a channel.
    Affine {
        /// Factors.
        scale: Vec<f32>,
        /// Terms.
        shift: Vec<f32>,
        /// Applied last.
        activation: Activation,
    },
    /// An element-wise function.
    Activation(Activation),
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
}

/// A [`Plain`] operator with its maps.
#[derive(Clone, Debug)]
pub struct PlainCall {
    level: Level,
    op: Plain,
    inputs: Vec<Map>,
    output: Map,
}

impl PlainCall {
    /// Checks that all maps are of f32s and sizes agree.
    ///
    /// # Panics
    /// If they do not.
    #[must_use]
    pub fn new(level: Level, op: Plain, inputs: Vec<Map>, output: Map) -> PlainCall {
        let size = |map: &Map| [map.height, map.width, map.channels];
        let wanted = if matches!(op, Plain::Binary(..)) { 2 } else { 1 };
        assert_eq!(inputs.len(), wanted);
        assert_elements(Element::F32, inputs.iter().chain([&output]));
        let x = &inputs[0];
        match &op {
            Plain::Binary(..) => {
                for map in &inputs {
                    assert!(size(map).iter().zip(size(&output)).all(|(&n, out)| n == out || n == 1));
                }
            }
            Plain::Affine { scale, shift, .. } => {
                assert_eq!(size(x), size(&output));
                assert!(scale.len() == x.channels && shift.len() == x.channels);
            }
            Plain::Activation(_) | Plain::Softmax => assert_eq!(size(x), size(&output)),
            Plain::LocalResponseNorm { size: channels, .. } => {
                assert_eq!(size(x), size(&output));
                assert!(*channels > 0, "a window has channels");
            }
            Plain::Pool { window, end_pad, .. } => {
                window.assert(x, &output);
                let padded =
                    |size: usize, axis: usize| size.checked_add(window.pad[axis])?.checked_add(end_pad[axis]);
                assert!(padded(x.height, 0).is_some() && padded(x.width, 1).is_some(), "padding wraps");
            }
            Plain::GlobalMean => assert_eq!([output.height, output.width], [1, 1]),
            Plain::Upsample | Plain::AdaptiveMean => {
                let scaled = |from: usize, to: usize| from.checked_add(1)?.checked_mul(to.checked_add(1)?);
                let is_scaled =
                    scaled(x.height, output.height).is_some() && scaled(x.width, output.width).is_some();
                assert!(is_scaled, "sizes wrap");
            }
        }
        let reads_a_window =
            matches!(op, Plain::Pool { .. } | Plain::Upsample | Plain::GlobalMean | Plain::AdaptiveMean);
        if reads_a_window {
            assert_eq!(x.channels, output.channels);
            assert!(x.height > 0 && x.width > 0);
        }
        PlainCall { level, op, inputs, output }
    }

    pub(crate) fn level(&self) -> Level {
        self.level
    }

    pub(crate) fn reads(&self) -> &[Map] {
        &self.inputs
    }

    pub(crate) fn writes(&self) -> Map {
        self.output
    }

    /// Blocks of channels for a mean over all pixels, rows for all others.
    pub(crate) fn units(&self) -> usize {
        match self.op {
            Plain::GlobalMean => self.output.channels.div_ceil(BLOCK),
            _ => self.output.height,
        }
    }

    /// Computes some units.
    ///
    /// # Safety
    /// As [`crate::conv::Conv::run`].
    pub(crate) unsafe fn run(&self, arena: *mut f32, units: Range<usize>) {
        // SAFETY: the caller's promise.
        unsafe {
            match self.op {
                Plain::GlobalMean => {
                    let channels = units.start * BLOCK..(units.end * BLOCK).min(self.output.channels);
                    self.level.run(Means { call: self, arena, channels });
                }
                Plain::Pool { .. } | Plain::AdaptiveMean => {
                    self.level.run(Windows { call: self, arena, rows: units });
                }
                _ => self.level.run(Rows { call: self, arena, rows: units }),
            }
        }
    }
}

/// Channels of a unit.
const BLOCK: usize = 64;

/// Means over all pixels of some channels.
struct Means<'a> {
    call: &'a PlainCall,
    arena: *mut f32,
    channels: Range<usize>,
}

impl Kernel for Means<'_> {
    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        let output = &self.call.output;
        let Range { start: mut c, end } = self.channels;
        // SAFETY: the channels lie in both maps.
        unsafe {
            if c == 0 {
                output.zero_halo(self.arena, 0, 0..output.channels);
            }
            while c + 4 * I::LANES <= end {
                self.vectors::<I, 4>(c, I::LANES);
                c += 4 * I::LANES;
            }
            vectors!(I, end - c, |more, lanes| {
                self.vectors::<I, 1>(c + more, lanes);
            });
        }
    }
}

impl Means<'_> {
    /// The means of `N` vectors of channels from `c` on, of each the first `lanes` lanes.
    ///
    /// # Safety
    /// As [`PlainCall::run`]; the channels must lie in both maps.
    #[inline(always)]
    unsafe fn vectors<I: Isa, const N: usize>(&self, c: usize, lanes: usize) {
        let input = &self.call.inputs[0];
        // SAFETY: the caller's promise; loads and stores are of the first `lanes` lanes.
        unsafe {
            let pixels = I::splat((input.height * input.width) as f32);
            let mut totals = [I::splat(0.0); N];
            for y in 0..input.height {
                let mut from = at(self.arena, input, y, 0).add(c);
                let mut sums = [I::splat(0.0); N];
                for _ in 0..input.width {
                    unroll!(V < N, at most 4, {
                        sums[V] = I::add(sums[V], I::load_first(from.add(V * I::LANES), lanes));
                    });
                    from = from.wrapping_add(input.pixel);
                }
                unroll!(V < N, at most 4, {
                    totals[V] = I::add(totals[V], sums[V]);
                });
            }
            let out = at(self.arena, &self.call.output, 0, 0).add(c);
            unroll!(V < N, at most 4, {
                I::store_first(out.add(V * I::LANES), I::div(totals[V], pixels), lanes);
            });
        }
    }
}

struct Rows<'a> {
    call: &'a PlainCall,
    arena: *mut f32,
    rows: Range<usize>,
}

impl Kernel for Rows<'_> {
    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        let Rows { call, arena, rows } = self;
        for y in rows {
            // SAFETY: the row lies within the output; the maps fit the operator, as `PlainCall::new` checked.
            unsafe {
                call.output.zero_halo(arena, y, 0..call.output.channels);
                if call.is_even() {
                    call.row::<I>(arena, y);
                    continue;
                }
                if call.is_gated() {
                    call.gated_row::<I>(arena, y);
                    continue;
                }
                for x in 0..call.output.width {
                    call.pixel::<I>(arena, y, x);
                }
            }
        }
    }
}

/// # Safety
/// The pixel must lie in the map, which must lie in the arena.
#[inline(always)]
unsafe fn at(arena: *mut f32, map: &Map, y: usize, x: usize) -> *mut f32 {
    // SAFETY: the caller's promise.
    unsafe { arena.add(map.row_start(y) + x * map.pixel) }
}

impl PlainCall {
    /// Whether it does the same with every number of a row, and rows are without gaps.
    fn is_even(&self) -> bool {
        let size = |map: &Map| [map.height, map.width, map.channels];
        matches!(self.op, Plain::Binary(..) | Plain::Activation(_))
            && self
                .inputs
                .iter()
                .chain([&self.output])
                .all(|map| map.pixel == map.channels && size(map) == size(&self.output))
    }

    /// A row of an [even](PlainCall::is_even) operator.
    ///
    /// # Safety
    /// As [`PlainCall::run`]; the row must lie in the output.
    #[inline(always)]
    unsafe fn row<I: Isa>(&self, arena: *mut f32, y: usize) {
        let numbers = self.output.width * self.output.channels;
        // SAFETY: the caller's promise; rows have no gaps.
        unsafe {
            let out = at(arena, &self.output, y, 0);
            let a = at(arena, &self.inputs[0], y, 0);
            let b = at(arena, &self.inputs[self.inputs.len() - 1], y, 0);
            let (binary, activation) = match self.op {
                Plain::Binary(binary, activation) => (Some(binary), activation),
                Plain::Activation(activation) => (None, activation),
                _ => unreachable!("only these are even"),
            };
            vectors!(I, numbers, |i, lanes| {
                let mut x = I::load_first(a.add(i), lanes);
                match binary {
                    Some(Binary::Add) => x = I::add(x, I::load_first(b.add(i), lanes)),
                    Some(Binary::Mul) => x = I::mul(x, I::load_first(b.add(i), lanes)),
                    None => {}
                }
                I::store_first(out.add(i), activation.apply::<I>(x), lanes);
            });
        }
    }

    /// Whether it multiplies a map by one number a channel, as squeeze-and-excitation does.
    fn is_gated(&self) -> bool {
        let size = |map: &Map| [map.height, map.width, map.channels];
        matches!(self.op, Plain::Binary(Binary::Mul, Activation::None))
            && size(&self.inputs[0]) == size(&self.output)
            && size(&self.inputs[1]) == [1, 1, self.output.channels]
    }

    /// A row of a [gated](PlainCall::is_gated) operator.
    ///
    /// # Safety
    /// As [`PlainCall::run`]; the row must lie in the output.
    #[inline(always)]
    unsafe fn gated_row<I: Isa>(&self, arena: *mut f32, y: usize) {
        const VECTORS: usize = 4;
        let channels = self.output.channels;
        let mut c = 0;
        // SAFETY: the caller's promise; the blocks lie within the channels.
        unsafe {
            while c + VECTORS * I::LANES <= channels {
                self.gated_block::<I, VECTORS>(arena, y, c, I::LANES);
                c += VECTORS * I::LANES;
            }
            while c < channels {
                self.gated_block::<I, 1>(arena, y, c, (channels - c).min(I::LANES));
                c += I::LANES;
            }
        }
    }

    /// `N` vectors of channels from `c` on, all whole or one of `lanes` channels; their gates stay in registers.
    ///
    /// # Safety
    /// As [`PlainCall::gated_row`]; the channels must lie in the maps, and `lanes` be fewer than a vector's for `N` 1 only.
    #[inline(always)]
    unsafe fn gated_block<I: Isa, const N: usize>(&self, arena: *mut f32, y: usize, c: usize, lanes: usize) {
        let (input, output) = (&self.inputs[0], &self.output);
        let (from_step, out_step, width) = (input.pixel, output.pixel, output.width);
        // SAFETY: the caller's promise; a vector that is not whole is loaded and stored by its first `lanes` lanes.
        unsafe {
            let gates = at(arena, &self.inputs[1], 0, 0).add(c);
            let (mut from, mut out) = (at(arena, input, y, 0).add(c), at(arena, output, y, 0).add(c));
            let mut gate = [I::splat(0.0); N];
            unroll!(G < N, at most 4, {
                gate[G] = I::load_first(gates.add(G * I::LANES), lanes);
            });
            if lanes == I::LANES {
                for _ in 0..width {
                    unroll!(G < N, at most 4, {
                        I::store(out.add(G * I::LANES), I::mul(I::load(from.add(G * I::LANES)), gate[G]));
                    });
                    (from, out) = (from.wrapping_add(from_step), out.wrapping_add(out_step));
                }
                return;
            }
            for _ in 0..width {
                I::store_first(out, I::mul(I::load_first(from, lanes), gate[0]), lanes);
                (from, out) = (from.wrapping_add(from_step), out.wrapping_add(out_step));
            }
        }
    }

    /// # Safety
    /// As [`PlainCall::run`]; the pixel must lie in the output.
    #[inline(always)]
    unsafe fn pixel<I: Isa>(&self, arena: *mut f32, y: usize, x: usize) {
        let (input, output) = (&self.inputs[0], &self.output);
        // SAFETY: the caller's promise, and `PlainCall::new`'s checks of the sizes; loads and stores are of the first
        // `lanes` lanes.
        unsafe {
            let out = at(arena, output, y, x);
            match &self.op {
                Plain::GlobalMean | Plain::AdaptiveMean | Plain::Pool { .. } => {
                    unreachable!("means and pooling have kernels of their own")
                }
                Plain::Binary(binary, activation) => {
                    let place = |map: &Map| {
                        let clip = |i: usize, size: usize| if size == 1 { 0 } else { i };
                        at(arena, map, clip(y, map.height), clip(x, map.width))
                    };
                    let sides = [place(&self.inputs[0]), place(&self.inputs[1])];
                    let wide = [0, 1].map(|i| self.inputs[i].channels > 1 || output.channels == 1);
                    vectors!(I, output.channels, |c, lanes| {
                        let ([a, b], [a_wide, b_wide]) = (sides, wide);
                        let a = if a_wide { I::load_first(a.add(c), lanes) } else { I::splat(*a) };
                        let b = if b_wide { I::load_first(b.add(c), lanes) } else { I::splat(*b) };
                        let value = match binary {
                            Binary::Add => I::add(a, b),
                            Binary::Mul => I::mul(a, b),
                        };
                        I::store_first(out.add(c), activation.apply::<I>(value), lanes);
                    });
                }
                Plain::Affine { scale, shift, activation } => {
                    let from = at(arena, input, y, x);
                    vectors!(I, output.channels, |c, lanes| {
                        let [scale, shift] =
                            [scale, shift].map(|list| I::load_first(list.as_ptr().add(c), lanes));
                        let value = I::fma(I::load_first(from.add(c), lanes), scale, shift);
                        I::store_first(out.add(c), activation.apply::<I>(value), lanes);
                    });
                }
                Plain::Activation(activation) => {
                    let from = at(arena, input, y, x);
                    vectors!(I, output.channels, |c, lanes| {
                        let value = activation.apply::<I>(I::load_first(from.add(c), lanes));
                        I::store_first(out.add(c), value, lanes);
                    });
                }
                Plain::Softmax => softmax(at(arena, input, y, x), out, output.channels),
                Plain::LocalResponseNorm { size, constants } => {
                    local_response_norm::<I>(at(arena, input, y, x), out, output.channels, *size, *constants);
                }
                Plain::Upsample => {
                    let from =
                        at(arena, input, y * input.height / output.height, x * input.width / output.width);
                    std::ptr::copy(from, out, output.channels);
                }
            }
        }
    }
}
