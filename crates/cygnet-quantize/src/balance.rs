//! Steps of values against steps of the weights that multiply them: what a value's channel weighs for its readers, and how much
//! wider its steps may be so that weights are finer (cross-layer equalisation, Nagel et al. 2019, section 4.1, with scales in the
//! place of factors, so that nothing else of the network changes).

use cygnet_graph::{Graph, Node, NodeId, Op, Role};
use cygnet_weights::{Grid, WeightSet};

use crate::places::Places;
use crate::range::{Halves, tidy};

/// The layers of whole numbers that read a value.
pub(crate) struct Readers {
    dense: Vec<Dense>,
    /// What an error of each channel weighs.
    pub(crate) importance: Vec<f64>,
}

/// A layer each of whose outputs reads all channels.
struct Dense {
    /// Weights of a row and channel.
    taps: usize,
    /// Row by row, the largest weight of each channel.
    largest: Vec<f64>,
    /// For each channel, the sum of squares of its weights.
    squares: Vec<f64>,
}

/// Share of the loss by plain rounding that is left when weights are rounded together.
const LEFT: f64 = 0.4;

impl Readers {
    pub(crate) fn of(graph: &Graph, weights: &WeightSet, places: &Places, value: NodeId) -> Readers {
        let channels = graph.node(value).shape[0];
        let mut readers = Readers { dense: Vec::new(), importance: vec![0.0; channels] };
        let reads = |(_, node): &(NodeId, &Node)| node.inputs.contains(&value);
        for (id, node) in graph.iter().filter(reads) {
            let weight = weights.of_role(graph, id, Role::Weight).filter(|_| places.is_layer[id.0]);
            let squares = match weight {
                Some(weight) => readers.add(node, channels, &weight.to_f32()),
                None => vec![1.0; channels],
            };
            let mean = squares.iter().sum::<f64>() / channels as f64;
            let mean = if mean > 0.0 { mean } else { 1.0 };
            readers.importance.iter_mut().zip(squares).for_each(|(sum, square)| *sum += square / mean);
        }
        readers
    }

    /// Takes a layer's weights in, and tells for each channel the sum of their squares.
    fn add(&mut self, node: &Node, channels: usize, weight: &[f32]) -> Vec<f64> {
        let groups = if let Op::Conv(conv) = &node.op { conv.groups } else { 1 };
        let outputs = node.shape[0];
        let in_group = channels / groups;
        let taps = (weight.len() / outputs / in_group).max(1);
        let (mut largest, mut squares) = (vec![0.0f64; outputs * in_group], vec![0.0f64; channels]);
        for (i, &w) in weight.iter().enumerate() {
            let (row, at) = (i / taps / in_group, i / taps % in_group);
            let w = f64::from(w.abs());
            largest[i / taps] = largest[i / taps].max(w);
            squares[row / (outputs / groups) * in_group + at] += w * w;
        }
        if groups == 1 {
            self.dense.push(Dense { taps, largest, squares: squares.clone() });
        }
        squares
    }

    /// Widens the steps of a grid with one scale a channel where that loses less.
    pub(crate) fn balance(&self, samples: &[Halves], grid: &mut Grid) {
        const TRIED: i32 = 48;
        if self.dense.is_empty() {
            return;
        }
        let power: Vec<f64> = samples.iter().map(|[even, odd]| (even.power() + odd.power()) / 2.0).collect();
        let base: Vec<f64> = (0..samples.len()).map(|c| grid.scale(c).into()).collect();
        // What a channel's largest weight is of what its row reaches.
        let mut share = vec![1e-12f64; base.len()];
        for row in self.dense.iter().flat_map(|dense| dense.largest.chunks(base.len())) {
            let most = row.iter().zip(&base).map(|(w, scale)| w * scale).fold(1e-30, f64::max);
            share.iter_mut().zip(row).for_each(|(share, w)| *share = share.max(w / most));
        }
        let wanted: Vec<f64> =
            power.iter().zip(&share).map(|(power, share)| (power.sqrt() / share).sqrt()).collect();
        let least = base.iter().zip(&wanted).map(|(base, wanted)| base / wanted.max(1e-30));
        let least = least.fold(f64::INFINITY, f64::min).max(1e-30);
        let widened = |i: i32| -> Vec<f64> {
            let factor = least * 1.25f64.powi(i);
            base.iter().zip(&wanted).map(|(base, wanted)| base.max(wanted * factor)).collect()
        };
        let candidates = std::iter::once(base.clone()).chain((0..TRIED).map(widened));
        let candidates = candidates.map(|scales| (self.loss(&power, &scales), scales));
        if let Some((_, scales)) = candidates.min_by(|a, b| a.0.total_cmp(&b.0)) {
            grid.scales = scales.into_iter().map(|scale| tidy(scale as f32)).collect();
        }
    }

    /// The mean squares, up to a factor, of what rounding values and weights does to the sums of all readers.
    fn loss(&self, power: &[f64], scales: &[f64]) -> f64 {
        let of = |Dense { taps, largest, squares }: &Dense| {
            let values: f64 = squares.iter().zip(scales).map(|(square, scale)| square * scale * scale).sum();
            let steps: f64 = power.iter().zip(scales).map(|(power, scale)| power / (scale * scale)).sum();
            let row = |row: &[f64]| {
                let reach = row.iter().zip(scales).map(|(w, scale)| w * scale).fold(0.0, f64::max);
                (reach / 127.0).powi(2)
            };
            values + LEFT * *taps as f64 * steps * largest.chunks(scales.len()).map(row).sum::<f64>()
        };
        self.dense.iter().map(of).sum()
    }
}
