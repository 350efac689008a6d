//! Depthwise convolution: every channel with its own window.

use crate::activation::Activation;
use crate::conv::{Window, check_reach};
use crate::isa::{Isa, Kernel, Level};
use crate::map::Map;

/// A depthwise convolution with bias and activation.
#[derive(Clone, Debug)]
pub struct Depthwise {
    level: Level,
    window: Window,
    input: Map,
    output: Map,
    /// `[kernel rows × columns, channels]`, channels padded to whole vectors.
    weights: Vec<f32>,
    bias: Vec<f32>,
    activation: Activation,
}

impl Depthwise {
    /// Packs `weight`, `[channels, kernel rows, kernel columns]`.
    ///
    /// # Panics
    /// If lengths contradict each other, or the input's halo is narrower than the window reaches.
    #[must_use]
    pub fn new(
        level: Level,
        window: Window,
        input: Map,
        weight: &[f32],
        bias: &[f32],
        output: Map,
        activation: Activation,
    ) -> Depthwise {
        assert!(activation.is_cheap(), "costly activations are steps of their own");
        let taps = window.kernel[0] * window.kernel[1];
        assert_eq!(weight.len(), output.channels * taps);
        assert_eq!((bias.len(), input.channels), (output.channels, output.channels));
        check_reach(&window, &input, &output);
        let padded = output.channels.next_multiple_of(level.lanes());
        let mut weights = vec![0.0; taps * padded];
        for (c, taps) in weight.chunks_exact(taps).enumerate() {
            taps.iter().enumerate().for_each(|(tap, weight)| weights[tap * padded + c] = *weight);
        }
        let mut bias = bias.to_vec();
        bias.resize(padded, 0.0);
        Depthwise { level, window, input, output, weights, bias, activation }
    }

    pub(crate) fn name(&self) -> String {
        format!("depthwise {}", self.window.name())
    }

    pub(crate) fn macs(&self) -> u64 {
        let [rows, columns] = self.window.kernel;
        (self.output.height * self.output.width * self.output.channels * rows * columns) as u64
    }

    pub(crate) fn reads(&self) -> Map {
        self.input
    }

    pub(crate) fn writes(&self) -> Map {
        self.output
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
    pub(crate) unsafe fn run(&self, arena: *mut f32, rows: std::ops::Range<usize>) {
        let [_, kw] = self.window.kernel;
        let [_, stride] = self.window.stride;
        for y in rows {
            let row = Row { op: self, arena, y };
            // SAFETY: the caller's promise; the row lies within the output.
            unsafe {
                match (kw, stride, self.window.dilation[1]) {
                    (3, 1, 1) => self.level.run(SizedRow::<3, 1>(row)),
                    (3, 2, 1) => self.level.run(SizedRow::<3, 2>(row)),
                    (5, 1, 1) => self.level.run(SizedRow::<5, 1>(row)),
                    (5, 2, 1) => self.level.run(SizedRow::<5, 2>(row)),
                    (7, 1, 1) => self.level.run(SizedRow::<7, 1>(row)),
                    _ => self.level.run(AnyRow(row)),
                }
            }
        }
    }
}

#[derive(Clone, Copy)]
struct Row<'a> {
    op: &'a Depthwise,
    arena: *mut f32,
    y: usize,
}

struct SizedRow<'a, const KW: usize, const STRIDE: usize>(Row<'a>);
struct AnyRow<'a>(Row<'a>);

impl Row<'_> {
    /// `N` outputs from column `x` on, all channels.
    ///
    /// # Safety
    /// As [`Depthwise::run`]; the outputs must lie in the row, and `SPAN` must be the columns that they read.
    #[inline(always)]
    unsafe fn outputs<I: Isa, const N: usize>(
        &self,
        x: usize,
        kw: usize,
        mut step: impl FnMut(&mut [I::V; N], *const f32, *const f32),
    ) {
        let Row { op, arena, y } = *self;
        let (input, output) = (&op.input, &op.output);
        let padded = op.bias.len();
        let kys = op.window.rows(y, input.height);
        let top = (y * op.window.stride[0]).wrapping_sub(op.window.pad[0]);
        let column = (x * op.window.stride[1]) as isize - op.window.pad[1] as isize;
        // SAFETY: rows `kys` lie on the image, columns within it and its halo; weights and bias are padded to whole vectors;
        // loads of the last vector may reach past the channels, never past the arena, which ends with a vector to spare.
        unsafe {
            let out = arena.add(output.row_start(y) + x * output.pixel);
            let mut c = 0;
            while c < output.channels {
                let mut sums = [I::load(op.bias.as_ptr().add(c)); N];
                for ky in kys.clone() {
                    let row = input.row_start(top.wrapping_add(ky * op.window.dilation[0])) as isize;
                    let from = arena.offset(row + column * input.pixel as isize).add(c);
                    step(&mut sums, from, op.weights.as_ptr().add(ky * kw * padded + c));
                }
                op.activation.cheap::<I, N>(&mut sums);
                let lanes = (output.channels - c).min(I::LANES);
                for (i, sum) in sums.iter().enumerate() {
                    I::store_first(out.add(i * output.pixel + c), *sum, lanes);
                }
                c += I::LANES;
            }
        }
    }

    /// # Safety
    /// As [`Depthwise::run`].
    #[inline(always)]
    unsafe fn zero_halo(&self) {
        let out = &self.op.output;
        // SAFETY: the halo belongs to the output.
        unsafe {
            let row = self.arena.add(out.row_start(self.y));
            for column in 0..out.halo[0] {
                row.sub((column + 1) * out.pixel).write_bytes(0, out.channels);
            }
            for column in 0..out.halo[1] {
                row.add((out.width + column) * out.pixel).write_bytes(0, out.channels);
            }
        }
    }
}

impl<const KW: usize, const STRIDE: usize> SizedRow<'_, KW, STRIDE> {
    /// # Safety
    /// As [`Row::outputs`].
    #[inline(always)]
    unsafe fn block<I: Isa, const N: usize>(&self, x: usize) {
        let padded = self.0.op.bias.len();
        let pixel = self.0.op.input.pixel;
        // SAFETY: as `Row::outputs`; the taps lie within the row and its halo.
        unsafe {
            self.0.outputs::<I, N>(x, KW, |sums, from, weights| {
                let weights: [I::V; KW] = std::array::from_fn(|kx| I::load(weights.add(kx * padded)));
                for column in 0..(N - 1) * STRIDE + KW {
                    let input = I::load(from.add(column * pixel));
                    for (i, sum) in sums.iter_mut().enumerate() {
                        if let Some(kx) = column.checked_sub(i * STRIDE)
                            && kx < KW
                        {
                            *sum = I::fma(input, weights[kx], *sum);
                        }
                    }
                }
            });
        }
    }
}

impl<const KW: usize, const STRIDE: usize> Kernel for SizedRow<'_, KW, STRIDE> {
    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        let width = self.0.op.output.width;
        // SAFETY: the blocks lie within the row.
        unsafe {
            self.0.zero_halo();
            let mut x = 0;
            while x + 7 <= width && I::DEPTHWISE >= 7 {
                self.block::<I, 7>(x);
                x += 7;
            }
            while x + 4 <= width && I::DEPTHWISE >= 4 {
                self.block::<I, 4>(x);
                x += 4;
            }
            while x + 2 <= width {
                self.block::<I, 2>(x);
                x += 2;
            }
            if x < width {
                self.block::<I, 1>(x);
            }
        }
    }
}

impl Kernel for AnyRow<'_> {
    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        let op = self.0.op;
        let (padded, pixel) = (op.bias.len(), op.input.pixel);
        let ([_, kw], [_, dilation]) = (op.window.kernel, op.window.dilation);
        // SAFETY: as the caller promises.
        unsafe {
            self.0.zero_halo();
            for x in 0..op.output.width {
                self.0.outputs::<I, 1>(x, kw, |sums, from, weights| {
                    for kx in 0..kw {
                        let input = I::load(from.add(kx * dilation * pixel));
                        sums[0] = I::fma(input, I::load(weights.add(kx * padded)), sums[0]);
                    }
                });
            }
        }
    }
}
