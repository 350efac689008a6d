//! One convolution, dense or depthwise: what it computes and how its maps lie.

use cygnet_kernels::reference::{self, ConvShape};
use cygnet_kernels::{Activation, Call, Conv, ConvWeights, Depthwise, Level, Map, Part, Store, Window};

use crate::memory::{Gaps, Memory, activate, agrees, levels, team, to_f64, tolerance, values};

#[derive(Clone, Debug)]
pub(crate) struct Case {
    /// Whether every channel has its own window; `parts` is then one, and `out` its channels.
    pub(crate) depthwise: bool,
    /// Height and width of the input.
    pub(crate) size: [usize; 2],
    /// Channels of the input maps. With several, the weight's channels are dealt to them out of order.
    pub(crate) parts: Vec<usize>,
    /// Output channels.
    pub(crate) out: usize,
    /// Groups of channels, each a call of its own; one part then.
    pub(crate) groups: usize,
    pub(crate) window: Window,
    /// Rows below and columns to the right.
    pub(crate) end_pad: [usize; 2],
    /// Whether a term is added.
    pub(crate) residual: bool,
    pub(crate) activation: Activation,
    /// Around the input maps.
    pub(crate) input_gaps: Gaps,
    /// Around the output and the term.
    pub(crate) output_gaps: Gaps,
    /// Numbers put into the input, at places that count as in `[channels, height, width]`.
    pub(crate) specials: Vec<(usize, f32)>,
    /// The input, if it is not made of the seed.
    pub(crate) given: Option<Vec<f32>>,
    pub(crate) seed: u64,
}

impl Case {
    /// A convolution that keeps an odd kernel's size.
    pub(crate) fn dense(inputs: usize, out: usize, kernel: [usize; 2]) -> Case {
        let pad = kernel.map(|kernel| (kernel - 1) / 2);
        Case {
            depthwise: false,
            size: [5, 9],
            parts: vec![inputs],
            out,
            groups: 1,
            window: Window { kernel, pad, ..Window::POINT },
            end_pad: pad,
            residual: false,
            activation: Activation::None,
            input_gaps: Gaps::default(),
            output_gaps: Gaps::default(),
            specials: Vec::new(),
            given: None,
            seed: (inputs + 64 * out + 4096 * kernel[0]) as u64,
        }
    }

    /// A depthwise convolution that keeps an odd kernel's size.
    pub(crate) fn depthwise(channels: usize, kernel: [usize; 2]) -> Case {
        Case { depthwise: true, ..Case::dense(channels, channels, kernel) }
    }

    pub(crate) fn stride(mut self, stride: usize) -> Case {
        self.window.stride = [stride; 2];
        self
    }

    pub(crate) fn inputs(&self) -> usize {
        self.parts.iter().sum()
    }

    /// Height and width of the output.
    pub(crate) fn output(&self) -> [usize; 2] {
        std::array::from_fn(|axis| {
            let padded = self.size[axis] + self.window.pad[axis] + self.end_pad[axis];
            let extent = (self.window.kernel[axis] - 1) * self.window.dilation[axis] + 1;
            padded.checked_sub(extent).map_or(0, |room| room / self.window.stride[axis] + 1)
        })
    }

    /// Columns of zeros that the window reaches over the edges.
    pub(crate) fn halo(&self) -> [usize; 2] {
        let Window { kernel, stride, dilation, pad } = self.window;
        let reach = (self.output()[1].max(1) - 1) * stride[1] + (kernel[1] - 1) * dilation[1];
        [pad[1], (reach + 1).saturating_sub(self.size[1] + pad[1])]
    }

    /// `[channels, height, width]` in the weight's order of channels.
    pub(crate) fn x(&self) -> Vec<f32> {
        let [height, width] = self.size;
        if let Some(x) = &self.given {
            return x.clone();
        }
        let mut x = values(self.inputs() * height * width, self.seed);
        let len = x.len();
        if len > 0 {
            self.specials.iter().for_each(|&(place, value)| x[place % len] = value);
        }
        // Rows that share a place are equal.
        let ring = self.input_gaps.rows(height);
        let last = |y: usize| (y..height).step_by(ring).next_back().unwrap_or(y);
        (0..len)
            .map(|i| x[(i / width / height * height + last(i / width % height)) * width + i % width])
            .collect()
    }

    pub(crate) fn weight(&self) -> Vec<f32> {
        let inputs = if self.depthwise { 1 } else { self.inputs() / self.groups };
        values(self.out * inputs * self.window.kernel.iter().product::<usize>(), self.seed + 1)
    }

    /// What [`Case::given_weight`] is multiplied by, which yields [`Case::weight`] without rounding.
    pub(crate) fn scale(&self) -> Vec<f32> {
        (0..self.out).map(|o| if o % 3 == 1 { 0.5 } else { 1.0 }).collect()
    }

    /// The weight that a dense convolution gets, before its scale.
    pub(crate) fn given_weight(&self) -> Vec<f32> {
        let (mut weight, scale) = (self.weight(), self.scale());
        let per_output = (weight.len() / self.out.max(1)).max(1);
        weight.chunks_mut(per_output).zip(scale).for_each(|(of, by)| of.iter_mut().for_each(|w| *w /= by));
        weight
    }

    pub(crate) fn bias(&self) -> Vec<f32> {
        values(self.out, self.seed + 2)
    }

    pub(crate) fn term(&self) -> Vec<f32> {
        let [height, width] = self.output();
        if self.residual { values(self.out * height * width, self.seed + 3) } else { Vec::new() }
    }

    /// The weight's channels that each part holds.
    pub(crate) fn deal(&self) -> Vec<Vec<usize>> {
        let inputs = self.inputs();
        let mut order: Vec<usize> = (0..inputs).collect();
        if self.parts.len() > 1 {
            let keys = values(inputs, self.seed + 4);
            order.sort_by(|&a, &b| keys[a].total_cmp(&keys[b]));
        }
        let mut rest = order.into_iter();
        self.parts.iter().map(|&channels| rest.by_ref().take(channels).collect()).collect()
    }

    /// The arena before the calls, the input's parts, the term and the output.
    pub(crate) fn memory(&self) -> (Memory, Vec<Part>, Option<Map>, Map) {
        let mut memory = Memory::default();
        let [[height, width], [out_height, out_width]] = [self.size, self.output()];
        let plane = height * width;
        let (x, term) = (self.x(), self.term());
        let shape = [self.out, out_height, out_width];
        // Sometimes an input, sometimes the output is the last of the arena, sometimes with nothing after it.
        let early = (self.seed & 1 == 0).then(|| memory.map(shape, [0, 0], self.output_gaps.whole()));
        let parts = self.deal().into_iter().map(|channels| {
            let value = |i: usize| x[channels[i / plane] * plane + i % plane];
            let map = memory.input([channels.len(), height, width], self.halo(), self.input_gaps, value);
            Part { map, channels }
        });
        let parts = parts.collect();
        let residual =
            self.residual.then(|| memory.input(shape, [0, 0], self.output_gaps.whole(), |i| term[i]));
        let output = early.unwrap_or_else(|| memory.map(shape, [0, 0], self.output_gaps.whole()));
        if self.seed & 2 == 0 {
            memory.guard();
        }
        (memory, parts, residual, output)
    }

    fn calls(&self, level: Level, parts: &[Part], residual: Option<Map>, output: Map) -> Vec<Call> {
        let (weight, bias) = (self.weight(), self.bias());
        let mut store = Store::new(level);
        if self.depthwise {
            let [part] = parts else { unreachable!("depthwise cases have one part") };
            let call =
                Depthwise::new(&mut store, self.window, part.map, &weight, &bias, output, self.activation);
            return vec![Call::Depthwise(Box::new(call))];
        }
        let (ins, outs) = (self.inputs() / self.groups, self.out / self.groups);
        let (weight, scale) = (self.given_weight(), self.scale());
        let group = |group: usize| {
            let of_group = |map: Map| map.slice(group * outs, outs);
            let part = |part: &Part| match self.groups {
                1 => part.clone(),
                _ => Part { map: part.map.slice(group * ins, ins), channels: (0..ins).collect() },
            };
            let parts: Vec<Part> = parts.iter().map(part).collect();
            let per_group = weight.len() / self.groups;
            let data = ConvWeights {
                weight: &weight[group * per_group..][..per_group],
                scale: &scale[group * outs..][..outs],
                bias: &bias[group * outs..][..outs],
                inputs: ins,
            };
            let residual = residual.map(of_group);
            Call::Conv(Box::new(Conv::new(
                &mut store,
                self.window,
                &parts,
                data,
                of_group(output),
                residual,
                self.activation,
            )))
        };
        (0..self.groups).map(group).collect()
    }

    /// What it computes under an instruction set; nothing for rows that a ring no longer keeps.
    pub(crate) fn run(&self, level: Level) -> Vec<Option<f32>> {
        let (memory, parts, residual, output) = self.memory();
        memory.run(level, self.calls(level, &parts, residual, output), &output)
    }

    /// Checks that it is the same, bit for bit, on any number of threads.
    pub(crate) fn check_threads(&self) {
        let bits = |list: &[Option<f32>]| list.iter().map(|x| x.map(f32::to_bits)).collect::<Vec<_>>();
        let (memory, parts, residual, output) = self.memory();
        for threads in [2, 3, 7] {
            let mut pool = team(threads);
            for level in levels() {
                let calls = self.calls(level, &parts, residual, output);
                let got = memory.run_on(&mut pool, level, calls, &output);
                assert_eq!(bits(&got), bits(&self.run(level)), "{level:?}, {threads} threads: {self:?}");
            }
        }
    }

    pub(crate) fn sums(&self, number: impl Fn(f32) -> f64) -> Vec<f64> {
        let [height, width] = self.output();
        let [x, weight, bias, term] = [self.x(), self.weight(), self.bias(), self.term()]
            .map(|list| list.into_iter().map(&number).collect::<Vec<f64>>());
        let plane = height * width;
        let mut out = if plane * self.out == 0 {
            Vec::new()
        } else if weight.is_empty() {
            bias.iter().flat_map(|&bias| vec![bias; plane]).collect()
        } else {
            let shape = ConvShape {
                input: [self.inputs(), self.size[0], self.size[1]],
                output: [self.out, height, width],
                kernel: self.window.kernel,
                stride: self.window.stride,
                dilation: self.window.dilation,
                pad: self.window.pad,
                groups: if self.depthwise { self.out } else { self.groups },
            };
            reference::conv(&shape, &x, &weight, &bias)
        };
        out.iter_mut().zip(term).for_each(|(out, term)| *out += term);
        out
    }

    /// Compares it with the reference under every instruction set.
    pub(crate) fn check(&self) {
        let want: Vec<f64> = self.sums(f64::from).into_iter().map(|x| activate(self.activation, x)).collect();
        let magnitudes = self.sums(|x| if x.is_finite() { f64::from(x.abs()) } else { 0.0 });
        let terms = if self.depthwise { 1 } else { self.inputs() / self.groups }
            * self.window.kernel.iter().product::<usize>();
        for level in levels() {
            let got = self.run(level);
            assert_eq!(got.len(), want.len());
            for (i, got) in got.iter().enumerate() {
                let Some(got) = *got else { continue };
                let allowed = tolerance(terms, magnitudes[i]);
                assert!(
                    agrees(got, want[i], allowed),
                    "{level:?}: element {i} is {got}, not {} within {allowed:e}, in {self:?}",
                    want[i]
                );
            }
        }
    }

    /// Checks that it is the same, bit for bit, when its output channels and columns are computed in pieces.
    pub(crate) fn check_pieces(&self) {
        let (memory, parts, residual, output) = self.memory();
        let Window { stride, pad, .. } = self.window;
        for level in levels() {
            let whole = self.run(level);
            let mut calls = Vec::new();
            let (weight, scale, bias) = (self.given_weight(), self.scale(), self.bias());
            let per_output = weight.len() / self.out;
            for channels in cut(self.out, self.seed) {
                for columns in cut(output.width, self.seed + 9) {
                    let place = |map: Map| Map {
                        offset: map.offset + columns.start * map.pixel + channels.start,
                        width: columns.len(),
                        channels: channels.len(),
                        ..map
                    };
                    // The input with its halo, from the first column that the piece sees.
                    let shifted = |part: &Part| {
                        let map = part.map;
                        let start = columns.start * stride[1];
                        let width = (map.width + pad[1] + map.halo[1]).saturating_sub(start);
                        let offset = map.offset + start * map.pixel - pad[1] * map.pixel;
                        Part {
                            map: Map { offset, width, halo: [0, 0], ..map },
                            channels: part.channels.clone(),
                        }
                    };
                    let parts: Vec<Part> = parts.iter().map(shifted).collect();
                    let data = ConvWeights {
                        scale: &scale[channels.clone()],
                        weight: &weight[channels.start * per_output..channels.end * per_output],
                        bias: &bias[channels.clone()],
                        inputs: self.inputs(),
                    };
                    calls.push(Call::Conv(Box::new(Conv::new(
                        &mut Store::new(level),
                        Window { pad: [pad[0], 0], ..self.window },
                        &parts,
                        data,
                        place(output),
                        residual.map(place),
                        self.activation,
                    ))));
                }
            }
            let pieces = memory.run(level, calls, &output);
            let bits = |list: &[Option<f32>]| list.iter().map(|x| x.map(f32::to_bits)).collect::<Vec<_>>();
            assert_eq!(bits(&whole), bits(&pieces), "{level:?}: {self:?}");
        }
    }
}

/// Ranges that together are `0..len`, of sizes that depend on `seed`.
fn cut(len: usize, seed: u64) -> Vec<std::ops::Range<usize>> {
    let mut ranges = Vec::new();
    let mut start = 0;
    for size in to_f64(&values(len, seed)).into_iter().map(|x| 1 + (x.abs() * 12.0) as usize) {
        let end = (start + size).min(len);
        if start < end {
            ranges.push(start..end);
        }
        start = end;
    }
    ranges
}
