//! Graphs made of graphs: other operators at the same places, or a part of the network.

use std::collections::HashMap;

use crate::graph::Ends;
use crate::{Auxiliary, BuildError, Conv, Feature, Graph, NodeId, Op, Padding, Pool, Problem};

impl Graph {
    /// The same network with `op` deciding every operator but the image.
    fn mapped(&self, op: impl Fn(NodeId, &Op) -> Op) -> Result<Graph, BuildError> {
        let parts =
            self.iter().skip(1).map(|(id, node)| (op(id, &node.op), node.inputs.clone(), node.path.clone()));
        let ends = Ends { features: Vec::new(), ..self.ends.clone() };
        Graph::checked(self.name.clone(), self.input_shape(), parts, ends)
            .map(|graph| graph.with_features(&self.ends.features))
    }

    /// The same with those of the features that still lie at strides of their own.
    pub(crate) fn with_features(mut self, features: &[Feature]) -> Graph {
        features.iter().for_each(|feature| self.mark(feature.clone()));
        self
    }

    /// The same network with another rate in every dropout.
    ///
    /// # Errors
    /// If `rate` is not from 0 to below 1.
    pub fn with_dropout(&self, rate: f32) -> Result<Graph, BuildError> {
        self.mapped(|_, op| if matches!(op, Op::Dropout { .. }) { Op::Dropout { rate } } else { op.clone() })
    }

    /// The same network without a softmax at its end and at those of its auxiliary outputs, for losses that work on
    /// logits. A softmax inside of the network, such as that of an attention, stays.
    ///
    /// # Errors
    /// If an output is made of probabilities all the same.
    pub fn without_softmax(&self) -> Result<Graph, BuildError> {
        let logits = |id: NodeId| match self.node(id) {
            node if node.op == Op::Softmax => node.inputs[0],
            _ => id,
        };
        let mut ends = self.ends.clone();
        ends.output = logits(ends.output);
        ends.auxiliary.iter_mut().for_each(|head| head.node = logits(head.node));
        if let Some(id) = ends.outputs().find(|id| self.is_probability(*id)) {
            return Err(self.error(self.place_of(id), Problem::Probabilities));
        }
        let wanted = ends.outputs().chain(ends.features.iter().map(|feature| feature.node));
        let others = self.iter().filter(|(id, node)| node.op != Op::Softmax || !self.is_end(*id));
        let keep = self.needed(wanted.chain(others.map(|(id, _)| id)), NodeId(0));
        if keep.iter().all(|&keep| keep) && ends == self.ends {
            return Ok(self.clone());
        }
        self.kept(&keep, NodeId(0), &ends)
    }

    /// Whether the output's numbers are probabilities, or made of nothing else.
    #[must_use]
    pub fn gives_probabilities(&self) -> bool {
        self.is_probability(self.output())
    }

    fn is_end(&self, id: NodeId) -> bool {
        self.ends.outputs().any(|end| end == id)
    }

    /// Whether a value is a softmax's, or that of others rearranged, pooled, added or scaled.
    fn is_probability(&self, id: NodeId) -> bool {
        let mut is_probability = Vec::with_capacity(id.0 + 1);
        for node in &self.nodes[..=id.0] {
            is_probability.push(match &node.op {
                Op::Softmax => true,
                Op::Pool(_)
                | Op::GlobalAvgPool
                | Op::AdaptiveAvgPool { .. }
                | Op::Add
                | Op::Scale { .. }
                | Op::Concat
                | Op::Slice { .. }
                | Op::ChannelShuffle { .. }
                | Op::Dropout { .. } => node.inputs.iter().all(|input| is_probability[input.0]),
                Op::UpsampleLike => is_probability[node.inputs[0].0],
                Op::Input
                | Op::Conv(_)
                | Op::BatchNorm(_)
                | Op::Activation { .. }
                | Op::LocalResponseNorm(_)
                | Op::Mul
                | Op::Linear { .. } => false,
            });
        }
        is_probability[id.0]
    }

    /// The same network for images of `side × side` pixels that are smaller than those it was designed for: its first
    /// steps of two become steps of one, as many as it takes to leave `smallest_map` rows in the last feature map.
    /// Parameters keep their shapes, so weights for large images fit. This is how MobileNets and ShuffleNets are run on
    /// CIFAR.
    ///
    /// # Errors
    /// If a window does not fit any more, or the parts of the network would differ in size.
    pub fn for_small_images(&self, side: usize, smallest_map: usize) -> Result<Graph, BuildError> {
        let strides = self.cumulative_strides();
        let last = self.total_stride();
        let mut kept = 1;
        while side.saturating_mul(kept) < smallest_map.saturating_mul(last) && kept < last {
            kept *= 2;
        }
        let wide = |id: NodeId| strides[self.node(id).inputs[0].0] < kept;
        let small = self.mapped(|id, op| match op {
            Op::Conv(conv) if conv.stride == [2, 2] && wide(id) => {
                Op::Conv(Conv { stride: [1, 1], ..conv.clone() })
            }
            Op::Pool(pool) if pool.stride == [2, 2] && wide(id) => {
                // Windows side by side become single pixels; those that overlap stay.
                let kernel = if pool.kernel == [2, 2] && pool.padding == Padding::VALID {
                    [1, 1]
                } else {
                    pool.kernel
                };
                Op::Pool(Pool { stride: [1, 1], kernel, ..pool.clone() })
            }
            Op::Input
            | Op::Conv(_)
            | Op::BatchNorm(_)
            | Op::Activation { .. }
            | Op::Pool(_)
            | Op::GlobalAvgPool
            | Op::AdaptiveAvgPool { .. }
            | Op::LocalResponseNorm(_)
            | Op::Add
            | Op::Mul
            | Op::Scale { .. }
            | Op::Concat
            | Op::Slice { .. }
            | Op::ChannelShuffle { .. }
            | Op::UpsampleLike
            | Op::Linear { .. }
            | Op::Dropout { .. }
            | Op::Softmax => op.clone(),
        })?;
        small.resized(side, side)
    }

    /// By how much the network's windows step all in all: images of fewer pixels leave a last map of one.
    #[must_use]
    pub fn total_stride(&self) -> usize {
        self.cumulative_strides().into_iter().max().unwrap_or(1)
    }

    /// For each node, by how much windows before it have stepped.
    fn cumulative_strides(&self) -> Vec<usize> {
        let mut strides: Vec<usize> = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            let like = if node.op == Op::UpsampleLike { &node.inputs[1..] } else { &node.inputs[..] };
            let before = like.iter().map(|id| strides[id.0]).max().unwrap_or(1);
            strides.push(match &node.op {
                Op::Conv(conv) => before.saturating_mul(conv.stride[0]),
                Op::Pool(pool) => before.saturating_mul(pool.stride[0]),
                Op::Input
                | Op::BatchNorm(_)
                | Op::Activation { .. }
                | Op::GlobalAvgPool
                | Op::AdaptiveAvgPool { .. }
                | Op::LocalResponseNorm(_)
                | Op::Add
                | Op::Mul
                | Op::Scale { .. }
                | Op::Concat
                | Op::Slice { .. }
                | Op::ChannelShuffle { .. }
                | Op::UpsampleLike
                | Op::Linear { .. }
                | Op::Dropout { .. }
                | Op::Softmax => before,
            });
        }
        strides
    }

    /// The network in two parts: all before the classifier, and the classifier, which is the last layer with
    /// parameters, the dropout before it and what comes after. The second reads the first's output as
    /// `[channels, height, width]`, a vector as `[features, 1, 1]`. Paths and thus parameters' names stay.
    ///
    /// # Errors
    /// If the last layer with parameters is no convolution or linear layer, or something after it reads from before.
    pub fn body_and_head(&self) -> Result<(Graph, Graph), BuildError> {
        let refuse = |reason| self.error("the classifier".into(), Problem::Classifier(reason));
        let classifier =
            self.classifier().filter(|id| matches!(self.node(*id).op, Op::Conv(_) | Op::Linear { .. }));
        let classifier = classifier.ok_or_else(|| refuse("it is no convolution or linear layer"))?;
        let mut cut = self.node(classifier).inputs[0];
        while matches!(self.node(cut).op, Op::Dropout { .. }) {
            cut = self.node(cut).inputs[0];
        }
        let body = self.part(None, cut)?;
        let head = self.part(Some(cut), self.output())?;
        Ok((body, head))
    }

    /// The nodes that `output` is computed from, down to `input`, which becomes the image.
    fn part(&self, input: Option<NodeId>, output: NodeId) -> Result<Graph, BuildError> {
        let image = input.unwrap_or(NodeId(0));
        let needed = self.needed([output], image);
        if (0..image.0).any(|index| needed[index]) {
            let problem = Problem::Classifier("what comes after it also reads from before it");
            return Err(self.error("the classifier".into(), problem));
        }
        self.kept(&needed, image, &Ends { output, ..Ends::default() })
    }

    /// The same network without auxiliary outputs and the nodes that only they need.
    #[must_use]
    pub fn without_auxiliary(&self) -> Graph {
        if self.ends.auxiliary.is_empty() {
            return self.clone();
        }
        let image = NodeId(0);
        let heads = self.needed(self.ends.auxiliary.iter().map(|head| head.node), image);
        let ends = self.ends.features.iter().map(|feature| feature.node).chain([self.output()]);
        // A node that nothing is computed from stays, and so does what it reads.
        let others = self.iter().map(|(id, _)| id).filter(|id| !heads[id.0]);
        let keep = self.needed(ends.chain(others), image);
        let ends = Ends { auxiliary: Vec::new(), ..self.ends.clone() };
        let kept = self.kept(&keep, image, &ends);
        kept.expect("what is left of a graph has all that it reads")
    }

    /// The nodes of `keep`, with `image` as the image.
    fn kept(&self, keep: &[bool], image: NodeId, ends: &Ends) -> Result<Graph, BuildError> {
        let mut places = HashMap::from([(image, NodeId(0))]);
        let mut parts = Vec::new();
        for (id, node) in self.iter().filter(|(id, _)| keep[id.0] && *id != image) {
            let inputs = node.inputs.iter().map(|id| places[id]).collect();
            parts.push((node.op.clone(), inputs, node.path.clone()));
            places.insert(id, NodeId(parts.len()));
        }
        let shape = match self.node(image).shape[..] {
            [channels, height, width] => [channels, height, width],
            ref vector => [vector.iter().product(), 1, 1],
        };
        let feature = |feature: &Feature| Feature { node: places[&feature.node], ..feature.clone() };
        let head = |head: &Auxiliary| Auxiliary { node: places[&head.node], ..*head };
        let ends = Ends {
            output: places[&ends.output],
            features: ends.features.iter().map(feature).collect(),
            auxiliary: ends.auxiliary.iter().map(head).collect(),
        };
        Graph::checked(self.name.clone(), shape, parts, ends)
    }
}
