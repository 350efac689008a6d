//! Dense and depthwise convolutions and their gradients.

use cygnet_cpu::{Activation, Level};
use cygnet_gradient::{
    Conv, ConvBackward, Depthwise, DepthwiseBackward, Geometry, Gradient, Norm, Pack, PackForm, Reduce, Sink,
    Source, Step, View, WeightLayout,
};
use cygnet_testing::arithmetic::{CHANNELS, activate};

use crate::bench::{Bench, Slopes, compare, dot};

/// A convolution between two sizes.
#[derive(Clone, Copy, Debug)]
struct Case {
    geometry: Geometry,
    images: usize,
    /// Rows and columns of the input.
    size: [usize; 2],
    inner: usize,
    out: usize,
    /// Whether the input is normalised as it is read, and activated then.
    source: Option<Activation>,
    /// How the gradient of the output lies: as it is, behind a norm or behind a clamp.
    gradient: usize,
    /// Numbers of others in every pixel.
    gap: usize,
}

const HALF: Activation = Activation::Clamp { low: -0.5, high: 0.5 };

impl Case {
    fn is_depthwise(&self) -> bool {
        self.geometry.groups == self.inner && self.inner == self.out
    }

    fn output(&self) -> [usize; 2] {
        let Geometry { kernel, stride, pad, dilation, .. } = self.geometry;
        [0, 1].map(|i| (self.size[i] + 2 * pad[i] - dilation[i] * (kernel[i] - 1) - 1) / stride[i] + 1)
    }

    fn pixels(&self) -> usize {
        self.images * self.output()[0] * self.output()[1]
    }

    /// The convolution of a value, pixel by pixel.
    fn conv(&self, x: &[f64], weight: &[f64], bias: &[f64]) -> Vec<f64> {
        let &Case { geometry: g, images, size: [height, width], inner, out, .. } = self;
        let ([rows, columns], [kh, kw]) = (self.output(), g.kernel);
        let (from, to) = (inner / g.groups, out / g.groups);
        let mut y = Vec::with_capacity(self.pixels() * out);
        for (n, oy, ox) in
            (0..images).flat_map(|n| (0..rows).flat_map(move |y| (0..columns).map(move |x| (n, y, x))))
        {
            for o in 0..out {
                let mut sum = bias[o];
                for (ky, kx) in (0..kh).flat_map(|y| (0..kw).map(move |x| (y, x))) {
                    let y = (oy * g.stride[0] + ky * g.dilation[0]).wrapping_sub(g.pad[0]);
                    let column = (ox * g.stride[1] + kx * g.dilation[1]).wrapping_sub(g.pad[1]);
                    if y < height && column < width {
                        let pixel = &x[((n * height + y) * width + column) * inner + o / to * from..][..from];
                        let taps = weight[o * from * kh * kw..].iter().skip(ky * kw + kx).step_by(kh * kw);
                        sum += pixel.iter().zip(taps).map(|(x, w)| x * w).sum::<f64>();
                    }
                }
                y.push(sum);
            }
        }
        y
    }

    fn pack(&self, form: PackForm, to: usize, level: Level) -> Pack {
        let &Case { geometry, inner, out, .. } = self;
        Pack { weight: 0, out, inner: inner / geometry.groups, geometry, form, to, level }
    }

    /// Room for the packed weight of any instruction set.
    fn room(&self, bench: &mut Bench, form: PackForm) -> usize {
        let len = Level::ALL.iter().map(|&level| self.pack(form, 0, level).len()).max();
        bench.room(len.unwrap_or(0))
    }

    /// A value as the convolution reads it: its norm's vectors, how it is read, and what the norm makes of it.
    fn source(&self, bench: &mut Bench, seed: u64) -> (Source, Vec<Vec<f64>>, Vec<f64>) {
        let [height, width] = self.size;
        let (view, x) = bench.random([self.images, height, width, self.inner], self.gap, seed);
        let Some(activation) = self.source else { return (Source::plain(view), Vec::new(), x) };
        let vectors = vectors(self.inner, 0);
        let norm = bench.norm(&vectors);
        let [scale, shift] = [&vectors[2], &vectors[3]];
        let normed = x.iter().enumerate().map(|(i, x)| x * scale[i % self.inner] + shift[i % self.inner]);
        let normed = normed.collect();
        (Source { view, norm: Some(norm), activation }, vectors, normed)
    }

    /// What is read of a normalised value.
    fn read(&self, normed: &[f64]) -> Vec<f64> {
        normed.iter().map(|&x| activate(self.source.unwrap_or(Activation::None), x)).collect()
    }

    fn check(&self) {
        self.check_forward();
        self.check_backward(false);
        self.check_backward(true);
    }

    fn check_forward(&self) {
        let (mut bench, taps) = (Bench::default(), self.geometry.taps());
        let (_, weight) = bench.param(self.out * self.inner / self.geometry.groups * taps, 11);
        let (_, bias) = bench.param(self.out, 12);
        let (source, _, normed) = self.source(&mut bench, 13);
        let [rows, columns] = self.output();
        let output = bench.view([self.images, rows, columns, self.out], self.gap);
        let form = if self.is_depthwise() { PackForm::Depthwise } else { PackForm::Forward };
        let packed = self.room(&mut bench, form);
        let blocks =
            if self.is_depthwise() { Depthwise::image_blocks(&output) } else { Conv::row_blocks(&output) };
        let spacing = self.out.next_multiple_of(16);
        let moments = bench.room(blocks * 2 * spacing);
        let exact = self.conv(&self.read(&normed), &weight, &bias);
        let is_few = !self.is_depthwise() && Conv::has_few_rows(&output, &self.geometry);
        let ways = [(None, None), (Some([-0.25, 1.0]), None), (None, is_few.then_some(0))];
        for (clamp, unpacked) in ways {
            let limit = |x: &f64| clamp.map_or(*x, |[low, high]: [f32; 2]| x.clamp(low.into(), high.into()));
            let want: Vec<f64> = exact.iter().map(limit).collect();
            let steps = |level| {
                let (bias, moments) = (Some(1), Some([moments, spacing]));
                let &Case { geometry, .. } = self;
                let conv = if self.is_depthwise() {
                    let step = Depthwise { source, output, geometry, packed, bias, clamp, moments };
                    Step::Depthwise(Box::new(step))
                } else {
                    let step = Conv { source, output, geometry, packed, unpacked, bias, clamp, moments };
                    Step::Conv(Box::new(step))
                };
                let pack = Step::Pack(self.pack(form, packed, level));
                if unpacked.is_some() { vec![conv] } else { vec![pack, conv] }
            };
            bench.each(steps, &[output], |level, after| {
                let what = format!("{self:?}, {level:?}");
                compare(&what, &after.view(&output), &want, 2e-5);
                self.check_moments(&what, &after.sums(moments, blocks, spacing, self.out), blocks, &want);
            });
        }
    }

    /// Blocks' sums of squares around their own means are at most those around the whole's, and with one block the same.
    fn check_moments(&self, what: &str, [means, squares]: &[Vec<f64>; 2], blocks: usize, want: &[f64]) {
        let count = self.pixels() as f64;
        for c in 0..self.out {
            let column = || want.iter().skip(c).step_by(self.out);
            let mean = column().sum::<f64>() / count;
            let spread: f64 = column().map(|x| (x - mean).powi(2)).sum();
            let allowed = 1e-4 * (1.0 + spread);
            assert!(squares[c] <= spread + allowed, "{what}: {} is more than {spread}", squares[c]);
            if blocks == 1 {
                assert!((means[c] - mean).abs() < 1e-4, "{what}: the mean is {}, not {mean}", means[c]);
                assert!((squares[c] - spread).abs() <= allowed, "{what}: {}, not {spread}", squares[c]);
            }
        }
    }

    /// The gradient of the output, and what it is.
    fn output_gradient(&self, bench: &mut Bench) -> (Gradient, Vec<f64>) {
        let [rows, columns] = self.output();
        let size = [self.images, rows, columns, self.out];
        let (g, values) = bench.random(size, self.gap, 21);
        if self.gradient == 0 {
            return (Gradient::Plain(g), values);
        }
        let (other, others) = bench.random(size, 0, 22);
        if self.gradient == 1 {
            let vectors = vectors(self.out, 5);
            let norm = bench.norm(&vectors);
            let [p, q, r] = [&vectors[4], &vectors[5], &vectors[6]];
            let combine = |(i, (g, y)): (usize, (&f64, &f64))| {
                g * p[i % self.out] + y * q[i % self.out] + r[i % self.out]
            };
            let d = values.iter().zip(&others).enumerate().map(combine).collect();
            return (Gradient::Norm { g, y: other, norm }, d);
        }
        let within = |(g, z): (&f64, &f64)| if z.abs() < 0.5 { *g } else { 0.0 };
        let d = values.iter().zip(&others).map(within).collect();
        (Gradient::Clamp { g, z: other, activation: HALF }, d)
    }

    fn check_backward(&self, accumulate: bool) {
        let (mut bench, taps) = (Bench::default(), self.geometry.taps());
        let inner = self.inner / self.geometry.groups;
        let (_, weight) = bench.param(self.out * inner * taps, 11);
        let (_, bias) = bench.param(self.out, 12);
        let (source, vectors, normed) = self.source(&mut bench, 13);
        let (gradient, d) = self.output_gradient(&mut bench);
        let form = if self.is_depthwise() { PackForm::Depthwise } else { PackForm::Backward };
        let packed = self.room(&mut bench, form);
        let [height, width] = self.size;
        let (view, before) = bench.random([self.images, height, width, self.inner], 2 * self.gap, 31);
        let segments = self.segments(&source, &gradient.view());
        let (lanes, size) = (self.out.next_multiple_of(16), self.out * inner * taps);
        let each = if self.is_depthwise() { (taps + 1) * lanes } else { size + self.out };
        let partials = bench.room(segments * each);
        let spacing = self.inner.next_multiple_of(16);
        let sums = bench.room(segments * 2 * spacing);
        let sink = match source.norm {
            Some(_) => Sink::Norm { view, sums },
            None => Sink::Plain { view, accumulate },
        };
        let steps = |level: Level| self.backward_steps(level, source, gradient, sink, [packed, partials]);

        let seen = self.read(&normed);
        let [by_input, by_weight, by_bias] = match self.is_large() {
            true => self.products(&seen, &weight, &d),
            false => [
                Slopes::of(&normed, |x| dot(&self.conv(&self.read(x), &weight, &bias), &d)),
                Slopes::of(&weight, |weight| dot(&self.conv(&seen, weight, &bias), &d)),
                Slopes::of(&bias, |bias| dot(&self.conv(&seen, &weight, bias), &d)),
            ],
        };
        let share = 3e-5;
        bench.each(steps, &[view], |level, after| {
            let what = |of: &str| format!("gradient by {of} of {self:?}, {level:?}");
            by_weight.check(&what("weight"), &after.gradients[0], share);
            by_bias.check(&what("bias"), &after.gradients[1], share);
            let mut got = after.view(&view);
            if accumulate && source.norm.is_none() {
                got.iter_mut().zip(&before).for_each(|(got, before)| *got -= before);
            }
            by_input.check(&what("input"), &got, share);
            if source.norm.is_some() {
                // What the backward pass of the norm needs: sums of the gradient, and of its product with the deviation.
                let found = after.sums(sums, segments, spacing, self.inner);
                let mut want = [vec![0.0; self.inner], vec![0.0; self.inner]];
                let [scale, shift] = [&vectors[2], &vectors[3]];
                for (i, g) in got.iter().enumerate() {
                    let c = i % self.inner;
                    let x = (normed[i] - shift[c]) / scale[c];
                    want[0][c] += g;
                    want[1][c] += g * (x - vectors[0][c]);
                }
                let share = 1e-4;
                (0..2).for_each(|i| compare(&what("norm"), &found[i], &want[i], share));
            }
        });
    }

    /// Whether finite differences would take long.
    fn is_large(&self) -> bool {
        self.inner * self.out >= 1 << 17
    }

    /// The gradients by input, weight and bias of a product of rows that are read as they are.
    fn products(&self, x: &[f64], weight: &[f64], d: &[f64]) -> [Slopes; 3] {
        assert!(self.geometry == Geometry::POINT && self.source.is_none());
        let &Case { inner, out, .. } = self;
        let rows = || 0..self.pixels();
        [
            Slopes::exact(x.len(), |i| {
                (0..out).map(|o| d[i / inner * out + o] * weight[o * inner + i % inner]).sum()
            }),
            Slopes::exact(weight.len(), |i| {
                rows().map(|row| d[row * out + i / inner] * x[row * inner + i % inner]).sum()
            }),
            Slopes::exact(out, |o| rows().map(|row| d[row * out + o]).sum()),
        ]
    }

    fn segments(&self, source: &Source, out: &View) -> usize {
        if self.is_depthwise() {
            DepthwiseBackward::segments(self.images)
        } else {
            ConvBackward::segments(source, out, &self.geometry)
        }
    }

    fn backward_steps(
        &self,
        level: Level,
        source: Source,
        gradient: Gradient,
        sink: Sink,
        [packed, partials]: [usize; 2],
    ) -> Vec<Step> {
        let &Case { geometry, out, .. } = self;
        let (taps, inner, out_view) = (geometry.taps(), self.inner / geometry.groups, gradient.view());
        let segments = self.segments(&source, &out_view);
        let (size, lanes) = (out * inner * taps, out.next_multiple_of(16));
        if self.is_depthwise() {
            let (weight, bias) = (true, true);
            let step = DepthwiseBackward { source, gradient, geometry, packed, weight, bias, partials, sink };
            let of = |partials: usize, len: usize, param: usize, taps: usize| {
                let layout = WeightLayout::Depthwise { taps, channels: out };
                Step::Reduce(Reduce { partials, segments, len, param, size: taps * out, layout })
            };
            return vec![
                Step::Pack(self.pack(PackForm::Depthwise, packed, level)),
                Step::DepthwiseBackward(Box::new(step)),
                of(partials, taps * lanes, 0, taps),
                of(partials + segments * taps * lanes, lanes, 1, 1),
            ];
        }
        let unpacked = ConvBackward::reads_weight(inner, &geometry, level).then_some(0);
        let (weight, bias) = (Some(0), Some(1));
        let step =
            ConvBackward { source, gradient, geometry, packed, unpacked, weight, bias, partials, sink };
        let mut steps = vec![
            Step::Pack(self.pack(PackForm::Backward, packed, level)),
            Step::ConvBackward(Box::new(step)),
        ];
        if !ConvBackward::is_immediate(&source, &out_view, &geometry) {
            let layout = if taps == 1 { WeightLayout::Same } else { WeightLayout::Taps { taps, inner } };
            let of = |partials: usize, size: usize, param: usize, layout: WeightLayout| {
                Step::Reduce(Reduce { partials, segments, len: size, param, size, layout })
            };
            steps.push(of(partials, size, 0, layout));
            steps.push(of(partials + segments * size, out, 1, WeightLayout::Same));
        }
        steps
    }
}

/// Seven vectors of a norm, neither of them near 0.
fn vectors(channels: usize, seed: u64) -> Vec<Vec<f64>> {
    let number = |i: usize, c: usize| {
        let x = ((i + 3 * c) as f64 + seed as f64).sin();
        f64::from((x + if x < 0.0 { -0.5 } else { 0.5 }) as f32)
    };
    (0..Norm::VECTORS).map(|i| (0..channels).map(|c| number(i, c)).collect()).collect()
}

fn window(kernel: usize, stride: usize, pad: usize, dilation: usize) -> Geometry {
    let two = |n: usize| [n, n];
    Geometry { kernel: two(kernel), stride: two(stride), pad: two(pad), dilation: two(dilation), groups: 1 }
}

/// Windows that have a loop of their own, and others.
fn windows() -> Vec<Geometry> {
    let uneven = Geometry { kernel: [1, 3], stride: [2, 1], pad: [0, 2], dilation: [1, 2], groups: 1 };
    let [point, wide] = [window(1, 2, 0, 1), window(2, 1, 3, 1)];
    vec![
        Geometry::POINT,
        window(3, 1, 1, 1),
        window(3, 2, 1, 1),
        window(5, 1, 2, 1),
        window(5, 2, 2, 1),
        window(7, 1, 3, 1),
        window(3, 1, 2, 2),
        uneven,
        point,
        wide,
    ]
}

/// What is read, how the gradient lies and what lies between, each in turn.
fn variants(i: usize, case: Case) -> Case {
    let sources = [None, Some(Activation::None), Some(Activation::RELU), Some(Activation::HardSwish)];
    Case { source: sources[i % 4], gradient: i / 4 % 3, gap: [0, 3, 5][i % 3], ..case }
}

const CASE: Case = Case {
    geometry: Geometry::POINT,
    images: 2,
    size: [5, 4],
    inner: 1,
    out: 1,
    source: None,
    gradient: 0,
    gap: 0,
};

fn channels() -> impl Iterator<Item = usize> {
    CHANNELS.into_iter().filter(|&c| c > 0)
}

#[test]
fn dense_convolutions_have_the_gradients_of_finite_differences() {
    for (i, inner) in channels().enumerate() {
        for (j, geometry) in windows().into_iter().enumerate() {
            let out = CHANNELS[1 + (5 * i + 3 * j) % 13];
            variants(i + 5 * j, Case { geometry, inner, out, ..CASE }).check();
        }
    }
}

#[test]
fn grouped_convolutions_have_the_gradients_of_finite_differences() {
    for (i, (inner, out)) in [(2, 4), (6, 4), (8, 16), (34, 6), (32, 64)].into_iter().enumerate() {
        for (j, geometry) in windows().into_iter().enumerate() {
            let geometry = Geometry { groups: 2, ..geometry };
            variants(i + 3 * j, Case { geometry, inner, out, ..CASE }).check();
        }
    }
}

#[test]
fn depthwise_convolutions_have_the_gradients_of_finite_differences() {
    for (i, inner) in channels().enumerate() {
        for (j, geometry) in windows().into_iter().enumerate() {
            let geometry = Geometry { groups: inner, ..geometry };
            if inner > 1 {
                variants(i + 5 * j, Case { geometry, inner, out: inner, ..CASE }).check();
            }
        }
    }
}

#[test]
fn large_weights_have_the_gradients_of_their_products() {
    // A weight to which many rows are one segment, and one whose columns are cut into more parts.
    let wide = Case { images: 2, size: [9, 8], inner: 363, out: 362, ..CASE };
    let large = Case { images: 1, size: [13, 5], inner: 725, out: 724, ..CASE };
    for (case, gradient) in [(wide, 0), (wide, 1), (large, 1), (large, 2)] {
        let case = Case { gradient, gap: 3 * gradient, ..case };
        case.check_forward();
        case.check_backward(gradient == 0);
    }
}

#[test]
fn gradients_summed_in_many_parts_are_those_of_finite_differences() {
    let large = Case { images: 4, size: [13, 12], inner: 17, out: 19, ..CASE };
    for (i, geometry) in [Geometry::POINT, window(3, 1, 1, 1), window(3, 2, 1, 1)].into_iter().enumerate() {
        for gradient in 0..3 {
            let case = variants(i + gradient, Case { geometry, ..large });
            Case { gradient, ..case }.check();
            let depthwise = Geometry { groups: 17, ..geometry };
            Case { gradient, geometry: depthwise, out: 17, images: 9, ..case }.check();
        }
    }
}
