//! Depthwise convolution: every channel with its own window.

use std::ops::Range;

use cygnet_cpu::{Activation, Floats, Isa, Kernel, Level, Store, Weights, in_order, opaque, product};

use crate::map::{Element, Map, assert_elements, macs};
use crate::unroll;
use crate::window::{Window, check_reach};

/// A depthwise convolution with bias and activation.
#[derive(Clone, Debug)]
pub struct Depthwise {
    level: Level,
    window: Window,
    input: Map,
    output: Map,
    /// `[kernel rows × columns, channels]`, channels padded to whole vectors.
    weights: Weights,
    bias: Weights,
    activation: Activation,
}

impl Depthwise {
    /// Packs `weight`, `[channels, kernel rows, kernel columns]`, into a store.
    ///
    /// # Panics
    /// If lengths contradict each other, or the input's halo is narrower than the window reaches.
    #[must_use]
    pub fn new(
        store: &mut Store,
        window: Window,
        input: Map,
        weight: &[f32],
        bias: &[f32],
        output: Map,
        activation: Activation,
    ) -> Depthwise {
        assert!(activation.is_cheap(), "costly activations are steps of their own");
        assert_elements(Element::F32, [&input, &output]);
        let taps = product(&window.kernel).expect("a window's taps can be counted");
        assert_eq!(Some(weight.len()), product(&[output.channels, taps]));
        assert_eq!((bias.len(), input.channels), (output.channels, output.channels));
        check_reach(&window, &input, &output);
        let level = store.level();
        let columns = output.channels.next_multiple_of(level.lanes());
        let weights = store.keep(taps * columns, |packed| {
            for (c, taps) in weight.chunks_exact(taps).enumerate() {
                taps.iter().enumerate().for_each(|(tap, weight)| packed[tap * columns + c] = *weight);
            }
        });
        let bias = store.padded(bias);
        Depthwise { level, window, input, output, weights, bias, activation }
    }

    pub(crate) fn level(&self) -> Level {
        self.level
    }

    pub(crate) fn macs(&self) -> u64 {
        let [rows, columns] = self.window.kernel;
        macs(&[self.output.height, self.output.width, self.output.channels, rows, columns])
    }

    pub(crate) fn reads(&self) -> Map {
        self.input
    }

    pub(crate) fn writes(&self) -> Map {
        self.output
    }

    pub(crate) fn window(&self) -> &Window {
        &self.window
    }

    /// Puts the input elsewhere.
    pub(crate) fn set_input(&mut self, map: Map) {
        check_reach(&self.window, &map, &self.output);
        self.input = map;
    }

    pub(crate) fn units(&self) -> usize {
        self.output.height
    }

    pub(crate) fn weight_bytes(&self) -> usize {
        (self.weights.len() + self.bias.len()) * size_of::<f32>()
    }

    /// Computes some rows.
    ///
    /// # Safety
    /// As [`crate::conv::Conv::run`].
    pub(crate) unsafe fn run(&self, arena: *mut f32, rows: Range<usize>) {
        let mut sweep = self.sweep(arena, arena, 0..self.output.channels);
        for y in rows {
            // SAFETY: the caller's promise.
            unsafe { sweep.row(y) };
        }
    }

    /// Some channels, the first a multiple of the lanes, to be computed row by row; the input map lies in memory of its own.
    pub(crate) fn sweep(&self, input: *const f32, output: *mut f32, channels: Range<usize>) -> Sweep<'_> {
        Sweep { op: self, input, output, channels, y: 0, kys: 0..0, rows: [input; TALLEST] }
    }
}

/// Some channels of an output row.
pub(crate) struct Sweep<'a> {
    op: &'a Depthwise,
    input: *const f32,
    output: *mut f32,
    channels: Range<usize>,
    y: usize,
    /// Rows of the window on the image.
    kys: Range<usize>,
    /// Where the window of column 0 begins on each of them, if it is not taller than [`TALLEST`].
    rows: [*const f32; TALLEST],
}

/// The most rows of a window for which there are kernels of their own.
const TALLEST: usize = 8;

impl Sweep<'_> {
    /// Computes output row `y`.
    ///
    /// # Safety
    /// As [`Depthwise::run`].
    pub(crate) unsafe fn row(&mut self, y: usize) {
        let Depthwise { window, input, level, .. } = self.op;
        (self.y, self.kys) = (y, window.rows(y, input.height));
        for ky in self.kys.start..self.kys.end.min(TALLEST) {
            self.rows[ky] = self.start(ky);
        }
        // SAFETY: the caller's promise.
        unsafe {
            match (window.kernel, window.stride[1], window.dilation) {
                ([height, _], ..) if height > TALLEST => level.run(Any(self)),
                ([_, 3], 1, [1, 1]) => level.run(Sized::<3, 1>(self)),
                ([_, 3], 2, [1, 1]) => level.run(Sized::<3, 2>(self)),
                ([_, 5], 1, [1, 1]) => level.run(Sized::<5, 1>(self)),
                ([_, 5], 2, [1, 1]) => level.run(Sized::<5, 2>(self)),
                ([_, 7], 1, [1, 1]) => level.run(Sized::<7, 1>(self)),
                _ => level.run(Any(self)),
            }
        }
    }

    /// Where the window of column 0 begins on row `ky` of those on the image.
    #[inline(always)]
    fn start(&self, ky: usize) -> *const f32 {
        let Depthwise { window, input, .. } = self.op;
        let row = input.row_start(window.top(self.y).wrapping_add(ky * window.dilation[0]));
        self.input.wrapping_add(row).wrapping_sub(window.pad[1] * input.pixel)
    }

    /// Writes zeros beside the channels of the output row.
    ///
    /// # Safety
    /// As [`Depthwise::run`].
    #[inline(always)]
    unsafe fn zero_halo(&self) {
        if self.op.output.halo != [0, 0] {
            // SAFETY: the caller's promise.
            unsafe { self.op.output.zero_halo(self.output, self.y, self.channels.clone()) };
        }
    }
}

/// A window of a known width and stride, dilation 1.
struct Sized<'a, const WIDTH: usize, const STRIDE: usize>(&'a Sweep<'a>);
/// Any window.
struct Any<'a>(&'a Sweep<'a>);

impl<const WIDTH: usize, const STRIDE: usize> Kernel for Sized<'_, WIDTH, STRIDE> {
    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        let Sweep { op, output, y, kys, rows, channels, .. } = self.0;
        // SAFETY: the row lies in the output map, and the blocks within the row.
        unsafe {
            self.0.zero_halo();
            let blocks = Blocks::<WIDTH, STRIDE> {
                is_whole: WIDTH == 3 && *kys == (0..3),
                kys: kys.clone(),
                rows,
                step: op.input.pixel,
                weights: op.weights.as_ptr(),
                bias: op.bias.as_ptr(),
                padded: op.bias.len(),
                activation: op.activation,
                output: output.add(op.output.row_start(*y)),
                output_step: op.output.pixel,
                channels: channels.clone(),
            };
            let (mut x, width) = (0, op.output.width);
            while x + 7 <= width && I::DEPTHWISE >= 7 {
                blocks.columns::<I, 7>(x);
                x += 7;
            }
            while x + 4 <= width && I::DEPTHWISE >= 4 {
                blocks.columns::<I, 4>(x);
                x += 4;
            }
            while x + 2 <= width {
                blocks.columns::<I, 2>(x);
                x += 2;
            }
            if x < width {
                blocks.columns::<I, 1>(x);
            }
        }
    }
}

/// What all blocks of a row have in common, by value: stores cannot change it.
struct Blocks<'a, const WIDTH: usize, const STRIDE: usize> {
    /// Whether the window is three whole rows.
    is_whole: bool,
    kys: Range<usize>,
    rows: &'a [*const f32; TALLEST],
    /// From an input pixel to the next.
    step: usize,
    weights: *const f32,
    bias: *const f32,
    /// Channels in whole vectors.
    padded: usize,
    activation: Activation,
    /// The output row.
    output: *mut f32,
    output_step: usize,
    channels: Range<usize>,
}

impl<const WIDTH: usize, const STRIDE: usize> Blocks<'_, WIDTH, STRIDE> {
    /// `N` outputs from column `x` on, all channels.
    ///
    /// # Safety
    /// As [`Sweep::row`]; the outputs must lie in the row.
    #[inline(always)]
    unsafe fn columns<I: Isa, const N: usize>(&self, x: usize) {
        let Range { start, end } = self.channels;
        let channels = end - start;
        let rest = channels % I::LANES;
        // The last vector begins earlier than it could where that makes it whole: no lane is one of other channels, which
        // another thread may be writing.
        let ends_in_half = I::HALVES && (1..=I::Half::LANES).contains(&rest) && channels >= I::Half::LANES;
        // SAFETY: the caller's promise.
        unsafe {
            if channels < I::LANES && !ends_in_half {
                return self.block::<I, N, false>(x, start, channels);
            }
            let (mut c, whole) = (start, if ends_in_half { end - rest } else { end });
            while c < whole {
                self.block::<I, N, true>(x, c.min(end - I::LANES), I::LANES);
                c += I::LANES;
            }
            if ends_in_half {
                self.block::<I::Half, N, true>(x, end - I::Half::LANES, I::Half::LANES);
            }
        }
    }

    /// # Safety
    /// As [`Sweep::row`]; the outputs must lie in the row, and all lanes in the channels if they are a `WHOLE` vector.
    #[inline(always)]
    unsafe fn block<I: Isa, const N: usize, const WHOLE: bool>(&self, x: usize, c: usize, lanes: usize) {
        let step = self.step;
        // SAFETY: the window's rows are clipped to the image, columns lie within it and its halo; weights and bias are padded
        // to whole vectors.
        unsafe {
            let mut sums = [I::load(self.bias.add(c)); N];
            let column = x * STRIDE * step + c;
            macro_rules! row {
                ($ky:expr) => {
                    let mut from = self.rows[$ky].wrapping_add(column);
                    let mut taps = self.weights.add($ky * WIDTH * self.padded + c);
                    let mut weights = [sums[0]; WIDTH];
                    unroll!(K < WIDTH, at most 7, {
                        if K > 0 {
                            taps = opaque(taps.wrapping_add(self.padded));
                        }
                        weights[K] = I::load(taps);
                    });
                    unroll!(C < (N - 1) * STRIDE + WIDTH, {
                        if C > 0 {
                            from = opaque(from.wrapping_add(step));
                            in_order();
                        }
                        let value = if WHOLE { I::load(from) } else { I::load_first(from, lanes) };
                        unroll!(P < N, at most 7, {
                            if C >= P * STRIDE && C < P * STRIDE + WIDTH {
                                sums[P] = I::fma(value, weights[C - P * STRIDE], sums[P]);
                            }
                        });
                    });
                };
            }
            if self.is_whole {
                row!(0);
                row!(1);
                row!(2);
            } else {
                for ky in self.kys.start..self.kys.end.min(TALLEST) {
                    row!(ky);
                }
            }
            self.activation.cheap::<I, N>(&mut sums);
            let (out, step) = (self.output.add(x * self.output_step + c), self.output_step);
            if WHOLE {
                unroll!(P < N, at most 7, {
                    I::store(out.add(P * step), sums[P]);
                });
            } else {
                unroll!(P < N, at most 7, {
                    I::store_first(out.add(P * step), sums[P], lanes);
                });
            }
        }
    }
}

impl Kernel for Any<'_> {
    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        let Depthwise { window, input, output, weights, bias, activation, .. } = self.0.op;
        let (padded, [_, kw], dilation) = (bias.len(), window.kernel, window.dilation);
        let Range { start, end } = self.0.channels;
        let is_whole = start + I::LANES <= end;
        // SAFETY: as in `Blocks::block`; vectors lie in the channels as in `Blocks::columns`.
        unsafe {
            self.0.zero_halo();
            for x in 0..output.width {
                let out = self.0.output.add(output.row_start(self.0.y) + x * output.pixel);
                for c in (start..end).step_by(I::LANES) {
                    let c = if is_whole { c.min(end - I::LANES) } else { c };
                    let mut sum = [I::load(bias.as_ptr().add(c))];
                    for ky in self.0.kys.clone() {
                        let from = self.0.start(ky).wrapping_add(x * window.stride[1] * input.pixel + c);
                        let weights = weights.as_ptr().add(ky * kw * padded + c);
                        for kx in 0..kw {
                            let from = from.wrapping_add(kx * dilation[1] * input.pixel);
                            let value = if is_whole { I::load(from) } else { I::load_first(from, end - c) };
                            sum[0] = I::fma(value, I::load(weights.add(kx * padded)), sum[0]);
                        }
                    }
                    activation.cheap::<I, 1>(&mut sum);
                    I::store_first(out.add(c), sum[0], end - c);
                }
            }
        }
    }
}
