//! The backward pass.

use cygnet_gradient::{self as steps, ConvBackward, Gradient, Sink, Step, TransformKind};
use cygnet_graph::Op;
use cygnet_runtime::kernel_activation;

use super::forward::{each_channel, local_response_norm};
use super::memory::Buffer;
use super::{Lowering, Tensor, Value, spacing};

impl Lowering<'_> {
    pub(super) fn backward(&mut self, i: usize) {
        let graph = self.graph;
        let facts = self.facts;
        let node = &graph.nodes()[i];
        if let Some(group) = facts.group[i] {
            if facts.group_of_last[i] == Some(group) {
                self.group_backward(group);
            }
            return;
        }
        if matches!(node.op, Op::Conv(_) | Op::Linear { .. }) {
            return self.conv_backward(i);
        }
        let inputs = &facts.inputs[i];
        if facts.in_parts[i] || facts.joins[i] {
            return;
        }
        let Some(g) = self.gradients[i] else {
            unreachable!("a live node that needs a gradient has a reader that gives one")
        };
        match &node.op {
            Op::Input | Op::Conv(_) | Op::Linear { .. } | Op::BatchNorm(_) => {}
            Op::Activation { function: f } => {
                let x = self.real(inputs[0]);
                let in_place = self.gradients[inputs[0]].is_none() && self.sliced(inputs[0]).is_none();
                let (to, accumulate) = if in_place { (g, false) } else { self.gradient(inputs[0]) };
                self.gradients[inputs[0]] = Some(to);
                let step = steps::Elementwise::Derive {
                    g: self.view(g),
                    x: self.view(x),
                    to: self.view(to),
                    activation: kernel_activation(*f),
                    accumulate,
                };
                self.steps.push(Step::Elementwise(step));
            }
            Op::Pool(_) | Op::GlobalAvgPool => {
                let x = self.real(inputs[0]);
                let to = self.gradient(inputs[0]);
                self.pooling(&node.op, x, g, Some(to));
            }
            Op::LocalResponseNorm(norm) => self.plain_backward(i, local_response_norm(norm), g),
            Op::UpsampleLike => self.plain_backward(i, TransformKind::Upsample, g),
            Op::AdaptiveAvgPool { .. } => self.plain_backward(i, TransformKind::AdaptiveMean, g),
            Op::Softmax => self.plain_backward(i, TransformKind::Softmax, g),
            Op::Add => self.add_backward(i, g),
            Op::Mul => {
                for side in [0, 1] {
                    if !facts.needs[inputs[side]] {
                        continue;
                    }
                    let other = self.real(inputs[1 - side]);
                    let (to, accumulate) = self.gradient(inputs[side]);
                    let step = steps::Binary::Backward {
                        g: self.view(g),
                        other: Some(self.view(other)),
                        to: self.view(to),
                        accumulate,
                    };
                    self.steps.push(Step::Binary(step));
                }
            }
            Op::Scale { scale, .. } => {
                let (to, accumulate) = self.gradient(inputs[0]);
                let channels = g.shape[0];
                let step = steps::Elementwise::Affine {
                    x: self.view(g),
                    to: self.view(to),
                    scale: each_channel(scale, channels),
                    shift: vec![0.0; channels],
                    accumulate,
                };
                self.steps.push(Step::Elementwise(step));
            }
            Op::Concat => {
                let mut start = 0;
                for &input in inputs {
                    let channels = self.shape(input)[0];
                    self.give(input, Lowering::part(g, start, channels), true);
                    start += channels;
                }
            }
            Op::Slice { start, len } => {
                if self.sliced(i).is_some() {
                    return;
                }
                let is_first = self.gradients[inputs[0]].is_none();
                let (whole, _) = self.gradient(inputs[0]);
                if is_first {
                    let to = self.view(whole);
                    self.steps.push(Step::Elementwise(steps::Elementwise::Zero { to }));
                }
                self.copy(g, Lowering::part(whole, *start, *len), true);
            }
            Op::ChannelShuffle { groups } => {
                let (parts, sources) = self.shuffle(i, *groups);
                let places: Vec<Option<(Tensor, bool)>> =
                    parts.iter().map(|&part| facts.needs[part].then(|| self.gradient(part))).collect();
                let step = steps::Gather {
                    parts: places.iter().map(|place| place.map(|(to, _)| self.view(to))).collect(),
                    sources,
                    whole: self.view(g),
                    backward: Some(places.iter().map(|place| place.is_some_and(|(_, add)| add)).collect()),
                };
                self.steps.push(Step::Gather(step));
            }
            Op::Dropout { rate } => {
                let (to, accumulate) = self.gradient(inputs[0]);
                self.mask(g, to, *rate, i, false, accumulate);
            }
        }
    }

    /// Where a node's gradient goes, and whether something is there already.
    fn gradient(&mut self, i: usize) -> (Tensor, bool) {
        if let Some(tensor) = self.gradients[i] {
            return (tensor, true);
        }
        let tensor = match self.sliced(i) {
            Some((input, start)) => {
                let whole = match self.gradients[input] {
                    Some(whole) => whole,
                    None => {
                        let (whole, _) = self.gradient(input);
                        self.zero_gaps(input, whole);
                        whole
                    }
                };
                Lowering::part(whole, start, self.shape(i)[0])
            }
            None => self.fresh(self.shape(i)),
        };
        self.gradients[i] = Some(tensor);
        (tensor, false)
    }

    /// For a slice of a value that only slices without overlap read, what it is a slice of and from where.
    fn sliced(&self, i: usize) -> Option<(usize, usize)> {
        let Op::Slice { start, .. } = self.graph.nodes()[i].op else { return None };
        let input = self.facts.inputs[i][0];
        (!self.facts.is_output(input) && self.slices(input).is_some()).then_some((input, start))
    }

    /// The channels that a value's readers take, in order, if all are slices without overlap.
    fn slices(&self, input: usize) -> Option<Vec<[usize; 2]>> {
        let mut slices = Vec::new();
        for &reader in &self.facts.readers[input] {
            let Op::Slice { start, len } = self.graph.nodes()[reader].op else { return None };
            slices.push([start, start + len]);
        }
        slices.sort_unstable();
        slices.windows(2).all(|pair| pair[0][1] <= pair[1][0]).then_some(slices)
    }

    /// Zeros the channels of a gradient that no slice covers.
    fn zero_gaps(&mut self, input: usize, whole: Tensor) {
        let channels = self.shape(input)[0];
        let mut start = 0;
        let ends = self.slices(input).unwrap_or_default().into_iter().chain([[channels, channels]]);
        for [from, to] in ends {
            if from > start {
                let to = self.view(Lowering::part(whole, start, from - start));
                self.steps.push(Step::Elementwise(steps::Elementwise::Zero { to }));
            }
            start = to;
        }
    }

    /// Lets `i` have `tensor` as its gradient, or adds it to what is there.
    fn give(&mut self, i: usize, tensor: Tensor, may_share: bool) {
        if !self.facts.needs[i] {
            return;
        }
        if may_share && self.gradients[i].is_none() && self.sliced(i).is_none() {
            self.gradients[i] = Some(tensor);
            return;
        }
        let (to, accumulate) = self.gradient(i);
        self.copy(tensor, to, accumulate);
    }

    fn plain_backward(&mut self, i: usize, kind: TransformKind, g: Tensor) {
        let input = self.facts.inputs[i][0];
        if !self.facts.needs[input] {
            return;
        }
        let x = self.real(input);
        let (to, accumulate) = self.gradient(input);
        let backward = Some((self.view(to), accumulate));
        let step = steps::Transform { kind, x: self.view(x), y: self.view(g), backward };
        self.steps.push(Step::Transform(step));
    }

    fn add_backward(&mut self, i: usize, g: Tensor) {
        let facts = self.facts;
        let mut shared = false;
        for (side, &input) in facts.inputs[i].iter().enumerate() {
            if !facts.needs[input] {
                continue;
            }
            if let Some((dropped, rate)) = facts.drop[i]
                && dropped == side
            {
                let (to, accumulate) = self.gradient(input);
                self.mask(g, to, rate, i, true, accumulate);
            } else if self.shape(input) == g.shape {
                // The gradient itself can be that of one side, once the others have had what they need.
                let is_last = facts.inputs[i][side + 1..].iter().all(|&other| !facts.needs[other]);
                let may_share = is_last && !shared;
                shared |= may_share;
                self.give(input, g, may_share);
            } else {
                let (to, accumulate) = self.gradient(input);
                let step =
                    steps::Binary::Backward { g: self.view(g), other: None, to: self.view(to), accumulate };
                self.steps.push(Step::Binary(step));
            }
        }
    }

    fn group_backward(&mut self, group: usize) {
        let facts = self.facts;
        let of = &facts.groups[group];
        let g = self.gradients[of.last].expect("a group's reader gives its gradient");
        let y_node = facts.inputs[of.norm][0];
        let y = self.real(y_node);
        if self.sums[group].is_none() {
            let view = self.view(y);
            let blocks = steps::Normalise::row_blocks(&view);
            let spacing = spacing(y.shape[0]);
            let sums = self.memory.buffer(blocks * 2 * spacing);
            let term = of.term.map(|term| self.real(term));
            let step = steps::Normalise {
                source: self.group_source(group),
                term: term.map(|term| self.view(term)),
                g: self.view(g),
                to: self.view(g),
                sums: self.place(sums),
            };
            self.steps.push(Step::Normalise(step));
            self.sums[group] = Some((sums, blocks));
        }
        let (sums, blocks) = self.sums[group].expect("just made");
        let rows = self.options.batch * y.shape[1] * y.shape[2];
        let (scale, shift, ..) = self.norm_params(of.norm);
        let step = steps::NormaliseBackward {
            sums: self.place(sums),
            blocks,
            rows,
            channels: y.shape[0],
            norm: self.norm(group),
            scale: scale.and_then(|scale| self.wanted(scale)),
            shift: self.wanted(shift),
            frozen: self.is_frozen(),
        };
        self.steps.push(Step::NormaliseBackward(step));
        let needs_y = facts.needs[y_node];
        if needs_y && !of.follows_conv {
            let (to, accumulate) = self.gradient(y_node);
            let step = steps::InputGradient {
                g: self.view(g),
                y: self.view(y),
                norm: self.norm(group),
                to: self.view(to),
                accumulate,
            };
            self.steps.push(Step::InputGradient(step));
        }
        if let Some(term) = of.term {
            // Shared unless a node between the convolution and here adds to it before the convolution reads it.
            let others = facts.readers[term].iter().filter(|&&reader| facts.group[reader] != Some(group));
            let is_early = term < y_node && others.copied().all(|reader| reader < y_node || reader > of.last);
            let may_share = !needs_y || !of.follows_conv || is_early;
            self.give(term, g, may_share);
        }
    }

    /// The gradient of what a convolution or linear layer computes, as its backward step reads it.
    fn conv_gradient(&mut self, i: usize) -> Gradient {
        let facts = self.facts;
        if let Some(group) = facts.group_after[i] {
            let g = self.gradients[facts.groups[group].last].expect("a group's reader gives its gradient");
            let y = self.real(i);
            return Gradient::Norm { g: self.view(g), y: self.view(y), norm: self.norm(group) };
        }
        if let Some((clamp, [low, high])) = facts.clamp_after[i] {
            let g = self.gradients[clamp].expect("a clamp's reader gives its gradient");
            let z = self.computed(clamp);
            let activation = cygnet_cpu::Activation::Clamp { low, high };
            return Gradient::Clamp { g: self.view(g), z: self.view(z), activation };
        }
        let g = self.gradients[i].expect("a live node has a reader that gives its gradient");
        Gradient::Plain(self.view(g))
    }

    fn conv_backward(&mut self, i: usize) {
        // Where the input's gradient goes; behind a norm that is computed as it is read, with sums for its group.
        enum To {
            None,
            Plain(Tensor, bool),
            Norm(Tensor, usize),
        }
        let facts = self.facts;
        let input = facts.inputs[i][0];
        let (geometry, out) = self.geometry(i);
        let (weight, bias) = self.weight_and_bias(i);
        let wanted = (self.wanted(weight), bias.and_then(|bias| self.wanted(bias)));
        let depthwise = self.is_depthwise(i);
        let inner = self.input_channels(i) / geometry.groups;
        let is_read = !depthwise && ConvBackward::reads_weight(inner, &geometry, self.options.level);
        let form = if depthwise { steps::PackForm::Depthwise } else { steps::PackForm::Backward };
        let packed = (facts.needs[input] && !is_read).then(|| self.pack(i, form));
        let flat = self.flat[i];
        let to = match self.values[input] {
            _ if !facts.needs[input] => To::None,
            Some(Value::Virtual(group)) => {
                let g = self.fresh(self.shape(input));
                self.gradients[input] = Some(g);
                To::Norm(g, group)
            }
            Some(Value::Real(_)) | None => match flat {
                Some(flat) => To::Plain(self.fresh(flat.shape), false),
                None => {
                    let (to, accumulate) = self.gradient(input);
                    To::Plain(to, accumulate)
                }
            },
        };
        let source = self.conv_source(i);
        let segments = self.segments(i, &source);
        let size = out * inner * geometry.taps();
        let partials = self.memory.buffer(if depthwise {
            segments * (geometry.taps() + 1) * spacing(out)
        } else {
            segments * (size + out)
        });
        let gradient = self.conv_gradient(i);
        let sink = match to {
            To::None => Sink::None,
            To::Plain(to, accumulate) => Sink::Plain { view: self.view(to), accumulate },
            To::Norm(to, group) => {
                let sums = self.memory.buffer(segments * 2 * spacing(self.shape(input)[0]));
                self.sums[group] = Some((sums, segments));
                Sink::Norm { view: self.view(to), sums: self.place(sums) }
            }
        };
        let partials_at = self.place(partials);
        let packed = packed.map_or(0, |packed| self.place(packed));
        let immediate = !depthwise && ConvBackward::is_immediate(&source, &gradient.view(), &geometry);
        self.steps.push(if depthwise {
            let step = steps::DepthwiseBackward {
                source,
                gradient,
                geometry,
                packed,
                weight: wanted.0.is_some(),
                bias: wanted.1.is_some(),
                partials: partials_at,
                sink,
            };
            Step::DepthwiseBackward(Box::new(step))
        } else {
            let step = ConvBackward {
                source,
                gradient,
                geometry,
                packed,
                unpacked: (is_read && facts.needs[input]).then_some(weight),
                weight: wanted.0,
                bias: wanted.1,
                partials: partials_at,
                sink,
            };
            Step::ConvBackward(Box::new(step))
        });
        if let (To::Plain(from, _), Some(_)) = (&to, flat) {
            let x = self.real(input);
            let (to, accumulate) = self.gradient(input);
            let backward = Some((self.view(to), accumulate));
            let (x, y) = (self.view(x), self.view(*from));
            self.steps.push(Step::Transform(steps::Transform {
                kind: TransformKind::Flatten,
                x,
                y,
                backward,
            }));
        }
        if !immediate {
            self.reduce(i, partials, segments);
        }
    }

    /// Adds what a convolution's backward step left in parts to the gradients of its weight and bias.
    fn reduce(&mut self, i: usize, partials: Buffer, segments: usize) {
        use steps::{Reduce, WeightLayout};
        let (geometry, out) = self.geometry(i);
        let (weight, bias) = self.weight_and_bias(i);
        let (depthwise, taps, channels) = (self.is_depthwise(i), geometry.taps(), out);
        let inner = self.input_channels(i) / geometry.groups;
        let size = out * inner * taps;
        if let Some(param) = self.wanted(weight) {
            let partials = self.place(partials);
            let reduce = if depthwise {
                let len = taps * spacing(out);
                let layout = WeightLayout::Depthwise { taps, channels };
                Reduce { partials, segments, len, param, size: taps * out, layout }
            } else {
                let layout = if taps == 1 { WeightLayout::Same } else { WeightLayout::Taps { taps, inner } };
                Reduce { partials, segments, len: size, param, size, layout }
            };
            self.steps.push(Step::Reduce(reduce));
        }
        if let Some(param) = bias.and_then(|bias| self.wanted(bias)) {
            let start = self.place(partials);
            let reduce = if depthwise {
                let layout = WeightLayout::Depthwise { taps: 1, channels };
                let partials = start + segments * taps * spacing(out);
                Reduce { partials, segments, len: spacing(out), param, size: out, layout }
            } else {
                let partials = start + segments * size;
                Reduce { partials, segments, len: out, param, size: out, layout: WeightLayout::Same }
            };
            self.steps.push(Step::Reduce(reduce));
        }
    }
}
