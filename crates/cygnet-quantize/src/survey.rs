//! What a network in floating point computes of some images: how far its values reach, the means of layers, and the answers.

use cygnet_graph::{Graph, NodeId};
use cygnet_runtime::RunError;

use crate::QuantizeError;
use crate::network::{Network, each, plane};
use crate::range::{Halves, Samples};

/// Numbers taken of a value, of all images and channels together.
const TAKEN: usize = 1 << 19;

/// Most numbers taken of a channel.
const TAKEN_OF_CHANNEL: usize = 1 << 15;

pub(crate) struct Survey {
    /// For each node that is asked about, a list of its channels.
    pub(crate) samples: Vec<Vec<Halves>>,
    /// For each layer, the mean of each of its channels.
    pub(crate) means: Vec<Vec<f64>>,
    /// The output for each image.
    pub(crate) outputs: Vec<Vec<f32>>,
}

/// What is seen of a value in an image.
#[derive(Default)]
struct Seen {
    /// As many numbers of each channel.
    taken: Vec<f32>,
    ends: Vec<[f32; 2]>,
    means: Vec<f64>,
}

/// What is asked about values.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Numbers of them, and how far they reach.
    Numbers,
    /// How far they reach.
    Ends,
}

impl Survey {
    pub(crate) fn new(
        network: &Network,
        images: &[Vec<f32>],
        asked: &[bool],
        what: Asked,
        threads: usize,
    ) -> Result<Survey, RunError> {
        let graph = &network.graph;
        let none = vec![None; graph.nodes().len()];
        let mut items: Vec<usize> = (0..images.len()).collect();
        let seen = each(
            threads,
            &mut items,
            || network.worker(),
            |worker, index, _| {
                let mut seen: Vec<Seen> = Vec::new();
                seen.resize_with(graph.nodes().len(), Seen::default);
                let output = network.run(worker, &images[index], &none, |id, value| {
                    let is_layer = graph.node(id).op.facts().is_weighted;
                    if asked[id.0] || is_layer {
                        let most = if asked[id.0] && what == Asked::Numbers {
                            most(graph, id, images.len())
                        } else {
                            0
                        };
                        seen[id.0] = look(value, plane(graph.node(id)), most, index);
                    }
                })?;
                Ok::<_, RunError>((seen, output))
            },
        )?;
        let (seen, outputs): (Vec<Vec<Seen>>, Vec<Vec<f32>>) = seen.into_iter().unzip();
        let (mut samples, mut means) = (Vec::new(), Vec::new());
        for (id, node) in graph.iter() {
            let of: Vec<&Seen> =
                seen.iter().map(|seen| &seen[id.0]).filter(|seen| !seen.ends.is_empty()).collect();
            let channels = if of.is_empty() { 0 } else { node.shape[0] };
            means.push(
                (0..channels)
                    .map(|c| of.iter().map(|seen| seen.means[c]).sum::<f64>() / of.len() as f64)
                    .collect(),
            );
            let half = |c: usize, half: usize| {
                let of = || of.iter().skip(half).step_by(2);
                let taken = |seen: &&Seen| {
                    let each = seen.taken.len() / channels;
                    seen.taken[c * each..][..each].to_vec()
                };
                let wider = |[a, b]: [f32; 2], seen: &&Seen| [a.min(seen.ends[c][0]), b.max(seen.ends[c][1])];
                Samples::new(of().flat_map(taken).collect(), of().fold([0.0, 0.0], wider))
            };
            let channel = |c: usize| [half(c, 0), half(c, 1)];
            samples.push(if asked[id.0] { (0..channels).map(channel).collect() } else { Vec::new() });
        }
        Ok(Survey { samples, means, outputs })
    }

    /// # Errors
    /// [`QuantizeError::NotFinite`] at the first image whose answer is no numbers.
    pub(crate) fn finite(&self, graph: &Graph) -> Result<(), QuantizeError> {
        match self.outputs.iter().position(|output| output.iter().any(|x| !x.is_finite())) {
            Some(image) => Err(QuantizeError::NotFinite { graph: graph.name().into(), image }),
            None => Ok(()),
        }
    }
}

/// Numbers that are taken of each channel of a value in each image.
pub(crate) fn most(graph: &Graph, id: NodeId, images: usize) -> usize {
    let node = graph.node(id);
    let of_channel = (TAKEN / node.shape[0].max(1)).min(TAKEN_OF_CHANNEL);
    of_channel.div_ceil(images.max(1)).clamp(1, plane(node))
}

fn look(value: &[f32], plane: usize, most: usize, index: usize) -> Seen {
    let mut seen = Seen::default();
    for channel in value.chunks_exact(plane) {
        let (mut low, mut high, mut sum) = (f32::INFINITY, f32::NEG_INFINITY, 0.0f32);
        for &x in channel {
            (low, high, sum) = (low.min(x), high.max(x), sum + x);
        }
        seen.ends.push([low, high]);
        seen.means.push(f64::from(sum) / plane as f64);
        // Places are spread evenly, and others in every image.
        let offset = index.wrapping_mul(0x9e37_79b1) % plane;
        seen.taken.extend((0..most).map(|i| channel[(i * plane / most + offset) % plane]));
    }
    seen
}
