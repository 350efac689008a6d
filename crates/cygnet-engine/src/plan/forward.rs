//! The forward pass.

use cygnet_gradient::{self as steps, Norm, Step, TransformKind};
use cygnet_graph::{BatchNorm, LocalResponseNorm, Node, Op};
use cygnet_runtime::kernel_activation;

use super::{Lowering, NormState, Tensor, Value, spacing};
use crate::EngineError;

impl Lowering<'_> {
    pub(super) fn forward(&mut self, i: usize) -> Result<(), EngineError> {
        let graph = self.graph;
        let node = &graph.nodes()[i];
        if let Some(group) = self.facts.group[i] {
            if self.facts.group_of_last[i] == Some(group) {
                self.group_forward(group)?;
            }
            return Ok(());
        }
        let inputs = &self.facts.inputs[i];
        match &node.op {
            Op::Input => {
                let to = self.tensor(self.shape(i), self.shape(i)[0]);
                self.values[i] = Some(Value::Real(to));
                let step = steps::Import { to: self.view(to) };
                self.steps.push(Step::Import(step));
            }
            Op::Conv(_) | Op::Linear { .. } => self.conv_forward(i, node),
            Op::BatchNorm(_) => unreachable!("a batch norm lies in a group"),
            Op::Activation { function: f } => {
                if !self.facts.joins[i] {
                    let (x, to) = (self.real(inputs[0]), self.output(i));
                    let step = steps::Elementwise::Activate {
                        x: self.view(x),
                        to: self.view(to),
                        activation: kernel_activation(*f),
                    };
                    self.steps.push(Step::Elementwise(step));
                }
            }
            Op::Pool(_) | Op::GlobalAvgPool => {
                let (x, y) = (self.real(inputs[0]), self.output(i));
                self.pooling(&node.op, x, y, None);
            }
            Op::LocalResponseNorm(norm) => self.plain(i, local_response_norm(norm)),
            Op::UpsampleLike => self.plain(i, TransformKind::Upsample),
            Op::AdaptiveAvgPool { .. } => self.plain(i, TransformKind::AdaptiveMean),
            Op::Softmax => self.plain(i, TransformKind::Softmax),
            Op::Add | Op::Mul => {
                let mut sides = [self.real(inputs[0]), self.real(inputs[1])];
                if let Some((side, rate)) = self.facts.drop[i] {
                    let to = self.fresh(sides[side].shape);
                    let x = sides[side];
                    self.mask(x, to, rate, i, true, false);
                    sides[side] = to;
                }
                let to = self.output(i);
                let [a, b, to] = [sides[0], sides[1], to].map(|tensor| self.view(tensor));
                let step = if node.op == Op::Add {
                    steps::Binary::Add { a, b, to }
                } else {
                    steps::Binary::Mul { a, b, to }
                };
                self.steps.push(Step::Binary(step));
            }
            Op::Scale { scale, shift } => {
                let (x, to) = (self.real(inputs[0]), self.output(i));
                let step = steps::Elementwise::Affine {
                    x: self.view(x),
                    to: self.view(to),
                    scale: each_channel(scale, x.shape[0]),
                    shift: each_channel(shift, x.shape[0]),
                    accumulate: false,
                };
                self.steps.push(Step::Elementwise(step));
            }
            Op::Concat => {
                if self.facts.in_parts[i] {
                    return Ok(());
                }
                let whole = match self.values[i] {
                    Some(Value::Real(whole)) => whole,
                    Some(Value::Virtual(_)) | None => self.output(i),
                };
                let mut start = 0;
                for &input in inputs {
                    let x = self.real(input);
                    let to = Lowering::part(whole, start, x.shape[0]);
                    if x != to {
                        self.copy(x, to, false);
                    }
                    start += x.shape[0];
                }
            }
            Op::Slice { start, len } => {
                let x = self.real(inputs[0]);
                self.values[i] = Some(Value::Real(Lowering::part(x, *start, *len)));
            }
            Op::ChannelShuffle { groups } => {
                let (parts, sources) = self.shuffle(i, *groups);
                let whole = self.output(i);
                let parts = parts.into_iter().map(|part| self.real(part)).collect::<Vec<_>>();
                let step = steps::Gather {
                    parts: parts.into_iter().map(|part| Some(self.view(part))).collect(),
                    sources,
                    whole: self.view(whole),
                    backward: None,
                };
                self.steps.push(Step::Gather(step));
            }
            Op::Dropout { rate } => {
                let (x, to) = (self.real(inputs[0]), self.output(i));
                self.mask(x, to, *rate, i, false, false);
            }
        }
        Ok(())
    }

    fn plain(&mut self, i: usize, kind: TransformKind) {
        let (x, y) = (self.real(self.facts.inputs[i][0]), self.output(i));
        let step = steps::Transform { kind, x: self.view(x), y: self.view(y), backward: None };
        self.steps.push(Step::Transform(step));
    }

    /// The nodes whose channels a shuffle reads, and for each of its channels where it comes from.
    pub(super) fn shuffle(&self, i: usize, groups: usize) -> (Vec<usize>, Vec<[usize; 2]>) {
        let input = self.facts.inputs[i][0];
        let parts = if self.facts.in_parts[input] { self.facts.inputs[input].clone() } else { vec![input] };
        let channels: Vec<[usize; 2]> = parts
            .iter()
            .enumerate()
            .flat_map(|(part, &node)| (0..self.shape(node)[0]).map(move |c| [part, c]))
            .collect();
        let each = channels.len() / groups;
        let sources = (0..channels.len()).map(|c| channels[c % groups * each + c / groups]).collect();
        (parts, sources)
    }

    pub(super) fn copy(&mut self, x: Tensor, to: Tensor, accumulate: bool) {
        let step = steps::Elementwise::Derive {
            g: self.view(x),
            x: self.view(x),
            to: self.view(to),
            activation: cygnet_cpu::Activation::None,
            accumulate,
        };
        self.steps.push(Step::Elementwise(step));
    }

    pub(super) fn mask(
        &mut self,
        x: Tensor,
        to: Tensor,
        rate: f32,
        node: usize,
        whole: bool,
        accumulate: bool,
    ) {
        let mask = steps::Mask { rate, stream: node as u64, whole };
        let step = steps::Elementwise::Mask { x: self.view(x), to: self.view(to), mask, accumulate };
        self.steps.push(Step::Elementwise(step));
    }

    pub(super) fn pooling(&mut self, op: &Op, x: Tensor, y: Tensor, backward: Option<(Tensor, bool)>) {
        let [_, height, width] = x.shape;
        let (kind, window) = if let Op::Pool(pool) = op {
            Lowering::pool_window(pool, [height, width])
        } else {
            Lowering::whole_window([height, width])
        };
        let backward = backward.map(|(to, accumulate)| (self.view(to), accumulate));
        let step = steps::Pooling { kind, window, x: self.view(x), y: self.view(y), backward };
        self.steps.push(Step::Pooling(step));
    }

    fn conv_forward(&mut self, i: usize, node: &Node) {
        let input = self.facts.inputs[i][0];
        if matches!(node.op, Op::Linear { .. }) && self.shape(input)[1] * self.shape(input)[2] > 1 {
            let x = self.real(input);
            let y = self.fresh([self.shape(input).iter().product(), 1, 1]);
            let step = steps::Transform {
                kind: TransformKind::Flatten,
                x: self.view(x),
                y: self.view(y),
                backward: None,
            };
            self.steps.push(Step::Transform(step));
            self.flat[i] = Some(y);
        }
        let depthwise = self.is_depthwise(i);
        let (geometry, _) = self.geometry(i);
        let (weight, bias) = self.weight_and_bias(i);
        let (output, clamp) = match self.facts.clamp_after[i] {
            Some((after, limits)) => (self.output(after), Some(limits)),
            None => (self.output(i), None),
        };
        let is_read = !depthwise && clamp.is_none() && steps::Conv::has_few_rows(&self.sizes(i), &geometry);
        let form = if depthwise { steps::PackForm::Depthwise } else { steps::PackForm::Forward };
        let packed = (!is_read).then(|| self.pack(i, form));
        let view = self.view(output);
        let moments = match self.facts.group_after[i] {
            Some(group) if !self.is_frozen() => {
                let (blocks, unit) = if depthwise {
                    (steps::Depthwise::image_blocks(&view), view.pixels())
                } else {
                    (steps::Conv::row_blocks(&view), 1)
                };
                let spacing = spacing(view.channels);
                let buffer = self.memory.buffer(blocks * 2 * spacing);
                self.moments[group] = Some((buffer, blocks, unit));
                Some([self.place(buffer), spacing])
            }
            Some(_) | None => None,
        };
        let source = self.conv_source(i);
        let packed = packed.map_or(0, |packed| self.place(packed));
        self.steps.push(if depthwise {
            let step = steps::Depthwise { source, output: view, geometry, packed, bias, clamp, moments };
            Step::Depthwise(Box::new(step))
        } else {
            let (output, unpacked) = (view, is_read.then_some(weight));
            let step = steps::Conv { source, output, geometry, packed, unpacked, bias, clamp, moments };
            Step::Conv(Box::new(step))
        });
    }

    fn group_forward(&mut self, group: usize) -> Result<(), EngineError> {
        let facts = self.facts;
        let of = &facts.groups[group];
        let node = &self.graph.nodes()[of.norm];
        let Op::BatchNorm(BatchNorm { eps, .. }) = node.op else {
            unreachable!("a group begins with a batch norm")
        };
        let y = self.real(facts.inputs[of.norm][0]);
        let (channels, params) = (y.shape[0], self.norm_params(of.norm));
        let spacing = spacing(channels);
        let vectors = self.memory.buffer(Norm::VECTORS * spacing);
        self.norms[group] = Some(NormState { vectors, spacing });
        if self.is_frozen() {
            let step = steps::Freeze { channels, norm: self.norm(group), params, eps };
            self.steps.push(Step::Freeze(step));
        } else {
            let view = self.view(y);
            let rows = view.rows();
            if rows < 2 {
                return Err(EngineError::SingleValue { layer: node.path.clone() });
            }
            let (moments, blocks, unit) = self.moments[group].unwrap_or_else(|| {
                let blocks = steps::Moments::row_blocks(&view);
                let buffer = self.memory.buffer(blocks * 2 * spacing);
                let step = steps::Moments { view, to: self.place(buffer), spacing };
                self.steps.push(Step::Moments(step));
                (buffer, blocks, 1)
            });
            let step = steps::BatchNorm {
                moments: self.place(moments),
                blocks,
                unit,
                rows,
                channels,
                norm: self.norm(group),
                params,
                eps,
                momentum: self.options.batch_norm_momentum,
            };
            self.steps.push(Step::BatchNorm(step));
        }
        if of.is_virtual {
            self.values[of.last] = Some(Value::Virtual(group));
            return Ok(());
        }
        let output = self.output(of.last);
        let term = of.term.map(|term| self.real(term));
        let step = steps::Apply {
            source: self.group_source(group),
            term: term.map(|term| self.view(term)),
            output: self.view(output),
        };
        self.steps.push(Step::Apply(step));
        Ok(())
    }
}

/// One constant for each channel.
pub(super) fn each_channel(constants: &[f32], channels: usize) -> Vec<f32> {
    if constants.len() == 1 { vec![constants[0]; channels] } else { constants.to_vec() }
}

/// A local response normalisation as a step.
pub(super) fn local_response_norm(norm: &LocalResponseNorm) -> TransformKind {
    TransformKind::LocalResponseNorm { size: norm.size, constants: [norm.alpha, norm.beta, norm.k] }
}
