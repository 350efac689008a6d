//! What both passes of a layer need: its geometry, its input as it reads it, its packed weight.

use cygnet_gradient::{self as steps, PoolingKind, Source, Step, View};
use cygnet_graph::{Conv, Op, Pool, PoolKind, shape};

use super::Lowering;
use super::memory::Buffer;

impl Lowering<'_> {
    /// A convolution's or linear layer's geometry and output channels.
    pub(super) fn geometry(&self, i: usize) -> (steps::Geometry, usize) {
        let op = &self.graph.nodes()[i].op;
        let Op::Conv(conv) = op else {
            let Op::Linear { out, .. } = op else { unreachable!("neither a convolution nor a linear layer") };
            return (steps::Geometry::POINT, *out);
        };
        let &Conv { out, kernel, stride, dilation, groups, .. } = conv;
        let [_, height, width] = self.shape(self.facts.inputs[i][0]);
        let pads = shape::pad_amounts(conv.set_padding(), [height, width], kernel, stride, dilation);
        let pad = [pads[0][0], pads[1][0]];
        let mut geometry = steps::Geometry { kernel, stride, pad, dilation, groups };
        let [_, out_height, out_width] = self.shape(i);
        if kernel == [1, 1] && pad == [0, 0] && [out_height, out_width] == [height, width] {
            geometry.stride = [1, 1];
        }
        (geometry, out)
    }

    pub(super) fn is_depthwise(&self, i: usize) -> bool {
        let channels = self.shape(self.facts.inputs[i][0])[0];
        matches!(&self.graph.nodes()[i].op, Op::Conv(conv) if conv.is_depthwise(channels))
    }

    pub(super) fn pack(&mut self, i: usize, form: steps::PackForm) -> Buffer {
        let (geometry, out) = self.geometry(i);
        let (weight, _) = self.weight_and_bias(i);
        let inner = self.input_channels(i) / geometry.groups;
        let mut pack = steps::Pack { weight, out, inner, geometry, form, to: 0, level: self.options.level };
        let buffer = self.memory.buffer(pack.len());
        pack.to = self.place(buffer);
        self.steps.push(Step::Pack(pack));
        buffer
    }

    /// Channels that a convolution or linear layer reads.
    pub(super) fn input_channels(&self, i: usize) -> usize {
        let shape = self.shape(self.facts.inputs[i][0]);
        let is_linear = matches!(self.graph.nodes()[i].op, Op::Linear { .. });
        if is_linear { shape.iter().product() } else { shape[0] }
    }

    /// A convolution's input.
    pub(super) fn conv_source(&mut self, i: usize) -> Source {
        match self.flat[i] {
            Some(flat) => Source::plain(self.view(flat)),
            None => self.source(self.facts.inputs[i][0]),
        }
    }

    /// Partial sums that a convolution's backward step leaves.
    pub(super) fn segments(&self, i: usize, source: &Source) -> usize {
        let (geometry, _) = self.geometry(i);
        if self.is_depthwise(i) {
            return steps::DepthwiseBackward::segments(self.options.batch);
        }
        steps::ConvBackward::segments(source, &self.sizes(i), &geometry)
    }

    /// A node's value with its sizes alone, wherever it lies.
    pub(super) fn sizes(&self, i: usize) -> View {
        let [channels, height, width] = self.shape(i);
        View { offset: 0, images: self.options.batch, height, width, channels, stride: channels }
    }

    /// A pooling's kind and window on a map of `[height, width]`.
    pub(super) fn pool_window(pool: &Pool, size: [usize; 2]) -> (PoolingKind, steps::Window) {
        let &Pool { kind, kernel, stride, padding, count_include_pad, .. } = pool;
        let [rows, columns] = shape::pad_amounts(padding, size, kernel, stride, [1, 1]);
        let kind = match kind {
            PoolKind::Max => PoolingKind::Max,
            PoolKind::Avg => PoolingKind::Mean { count_pad: count_include_pad },
        };
        let (pad, end_pad) = ([rows[0], columns[0]], [rows[1], columns[1]]);
        (kind, steps::Window { kernel, stride, pad, end_pad })
    }

    /// The mean over a whole map.
    pub(super) fn whole_window(size: [usize; 2]) -> (PoolingKind, steps::Window) {
        let window = steps::Window { kernel: size, stride: [1, 1], pad: [0, 0], end_pad: [0, 0] };
        (PoolingKind::Mean { count_pad: false }, window)
    }
}
