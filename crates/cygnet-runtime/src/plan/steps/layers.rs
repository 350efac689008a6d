//! Steps of convolutions and linear layers over floats.

use std::rc::Rc;

use cygnet_graph::{Conv, NodeId, Op};
use cygnet_kernels::{self as kernels, Element, Window};

use super::{Builder, Work};
use crate::halves::reads_once;
use crate::plan::key::{Sliding, StepKernel};
use crate::plan::places::pieces;
use crate::plan::rules::{self, Layer, Rule, StepNode, fuse};

/// Most numbers of rows between a convolution and the depthwise one that works on them as they come.
const MOST_BETWEEN: usize = 1 << 22;

impl<'g> Builder<'_, 'g> {
    pub(super) fn conv(&mut self, id: NodeId, conv: &Conv) {
        let (window, columns) = self.facts.window(id, conv);
        let is_depthwise = conv.is_depthwise(self.facts.input_map(id)[0]);
        let layer = fuse(self.facts, &self.values, StepNode { id, rule: None }, !is_depthwise);
        if is_depthwise {
            return self.depthwise(window, columns, conv.groups, layer);
        }
        let head = rules::pair_depthwise(self.facts, &layer).filter(|_| conv.groups == 1);
        match head.filter(|head| self.fits_between(*head)) {
            Some(head) => self.pair(window, columns, layer, head),
            None => self.dense(window, columns, conv.groups, layer),
        }
    }

    /// Whether the rows that a depthwise convolution's window spans are few enough to be kept by each thread.
    fn fits_between(&self, head: StepNode) -> bool {
        let Op::Conv(conv) = &self.facts.node(head.id).op else { return false };
        let (window, columns) = self.facts.window(head.id, conv);
        let rows = (window.kernel[0] - 1).saturating_mul(window.dilation[0]).saturating_add(1);
        let width = self.facts.input_map(head.id)[2].saturating_add(columns[0] + columns[1]);
        rows.saturating_mul(width) <= MOST_BETWEEN / (4 * self.facts.options.level.lanes())
    }

    /// Counts weights that are packed: `each` for every output, whole vectors of outputs.
    fn pack(&mut self, groups: usize, outputs: usize, each: usize) {
        let outputs = outputs.next_multiple_of(self.facts.options.level.lanes());
        let sizes = [groups, outputs, each, size_of::<f32>()];
        let packed = sizes.into_iter().fold(1u64, |all, n| all.saturating_mul(n as u64));
        self.packed = self.packed.saturating_add(packed);
    }

    /// A convolution and the depthwise one that reads it.
    fn pair(&mut self, window: Window, pad: [usize; 2], dense: Layer<'g>, head: StepNode) {
        let facts = self.facts;
        let Op::Conv(conv) = &facts.node(head.id).op else { unreachable!("pairs end with a convolution") };
        let (second, columns) = facts.window(head.id, conv);
        let depthwise = fuse(facts, &self.values, head, false);
        let (source, last) = (facts.node(dense.first()).inputs[0], depthwise.last());
        let input = self.real(source);
        let output = self.allocate_real(last);
        let shape = facts.map(dense.last());
        let [taps, depthwise_taps] = [window, second].map(|window| window.kernel[0] * window.kernel[1]);
        let weights = shape[0] * (input.len() * taps + 1) + shape[0] * (depthwise_taps + 1);
        self.pack(1, shape[0], input.len() * taps);
        self.pack(1, shape[0], depthwise_taps);
        let kernel = StepKernel::Pair {
            dense: sliding(window, 1, &dense),
            depthwise: sliding(second, conv.groups, &depthwise),
        };
        let nodes = [&dense.nodes[..], &depthwise.nodes].concat();
        let layers = Rc::new([dense, depthwise]);
        let work = Work::Pair { layers, windows: [window, second], between: (shape, columns) };
        self.call(work, vec![input], pad, output.clone());
        self.step(kernel, &[source], last, &nodes, weights);
        self.settle(last, &nodes, output);
    }

    pub(super) fn linear(&mut self, id: NodeId) {
        let [_, height, width] = self.facts.input_map(id);
        let window = Window { kernel: [height, width], ..Window::POINT };
        let head = StepNode { id, rule: Some(Rule::LinearAsConv) };
        let layer = fuse(self.facts, &self.values, head, true);
        self.dense(window, [0, 0], 1, layer);
    }

    /// Whether a dense layer computes in bf16: it reads its whole input once, so that its time is that of reading its weights,
    /// and these are the ones that were given.
    fn is_bf16(&self, layer: &Layer<'g>) -> bool {
        let is_wanted = || self.facts.quantized.is_some_and(|quantized| quantized.is_bf16(layer.first()));
        (self.facts.options.bf16 || is_wanted())
            && layer.residual.is_none()
            && layer.folds.is_empty()
            && reads_once(self.facts.graph, layer.first())
    }

    fn bf16_linear(&mut self, window: Window, layer: Layer<'g>) {
        let facts = self.facts;
        let source = facts.node(layer.first()).inputs[0];
        let (last, nodes) = (layer.last(), layer.nodes.clone());
        let input = self.real(source);
        let output = self.allocate_real(last);
        let (inputs, outputs) = (input.len() * window.kernel[0] * window.kernel[1], output.len());
        self.pack(1, outputs, inputs.div_ceil(2));
        let kernel = StepKernel::Bf16Linear(sliding(window, 1, &layer));
        let work = Work::Bf16Linear { layer: Rc::new(layer) };
        self.call(work, vec![input], [0, 0], output.clone());
        let weight_bytes = outputs * (inputs * size_of::<u16>() + size_of::<f32>());
        self.step_of(kernel, vec![facts.real(source)], (last, Element::F32), &nodes, weight_bytes);
        self.settle(last, &nodes, output);
    }

    fn dense(&mut self, window: Window, pad: [usize; 2], groups: usize, layer: Layer<'g>) {
        if self.is_bf16(&layer) {
            return self.bf16_linear(window, layer);
        }
        let facts = self.facts;
        let input = self.real(facts.node(layer.first()).inputs[0]);
        let output = self.allocate_real(layer.last());
        let residual = layer.residual.map(|other| self.values.of(other).clone());
        let (inputs, all) = (input.len() / groups, output.len());
        let outputs = all / groups;
        let [_, height, width] = facts.map(layer.last());
        let is_winograd = !facts.options.strict
            && pieces(&input).len() == 1
            && groups == 1
            && kernels::Winograd::pays(&window, inputs, outputs, [height, width]);
        let taps = window.kernel[0] * window.kernel[1];
        self.pack(groups, outputs, if is_winograd { 4 } else { 1 } * inputs * taps);
        let sliding = sliding(window, groups, &layer);
        let kernel = if matches!(facts.node(layer.first()).op, Op::Linear { .. }) {
            StepKernel::Linear(sliding)
        } else if is_winograd {
            StepKernel::Winograd(sliding)
        } else {
            StepKernel::Conv(sliding)
        };
        let layer = Rc::new(layer);
        for group in 0..groups {
            let range = group * outputs..(group + 1) * outputs;
            let from = input[group * inputs..][..inputs].to_vec();
            let term = residual.as_ref().map(|value| value[range.clone()].to_vec());
            let to = output[range.clone()].to_vec();
            let layer = Rc::clone(&layer);
            let work = match is_winograd {
                true => Work::Winograd { layer, window },
                false => Work::Dense { layer, window, outputs: range, of: all },
            };
            self.call(work, [from].into_iter().chain(term).collect(), pad, to);
        }
        self.layer(kernel, &layer, output, all * (inputs * taps + 1));
    }

    fn depthwise(&mut self, window: Window, pad: [usize; 2], groups: usize, layer: Layer<'g>) {
        let input = self.real(self.facts.node(layer.first()).inputs[0]);
        let output = self.allocate_real(layer.last());
        let taps = window.kernel[0] * window.kernel[1];
        self.pack(1, input.len(), taps);
        let kernel = StepKernel::Depthwise(sliding(window, groups, &layer));
        let (layer, of) = (Rc::new(layer), input.len());
        let value = self.by_piece(&input, &output, pad, |channels| Work::Depthwise {
            layer: Rc::clone(&layer),
            window,
            channels,
            of,
        });
        self.layer(kernel, &layer, value, of * (taps + 1));
    }
}

fn sliding(window: Window, groups: usize, layer: &Layer<'_>) -> Sliding {
    Sliding { window, groups, adds: layer.residual.is_some(), activation: layer.activation }
}
