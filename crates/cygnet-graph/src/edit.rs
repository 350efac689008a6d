//! Graphs made of graphs: other operators at the same places, or a part of the network.

use std::collections::HashMap;

use crate::graph::Ends;
use crate::{BuildError, Conv, Feature, Graph, NodeId, Op, Padding, Pool, Problem};

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
    fn with_features(mut self, features: &[Feature]) -> Graph {
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

    /// The same network without a softmax at its end, for losses that work on logits.
    ///
    /// # Errors
    /// Never for a graph that was built.
    pub fn without_softmax(&self) -> Result<Graph, BuildError> {
        let output = self.node(self.output());
        if output.op != Op::Softmax || self.output().0 + 1 != self.nodes.len() {
            return Ok(self.clone());
        }
        let nodes = &self.nodes[1..self.output().0];
        let parts = nodes.iter().map(|node| (node.op.clone(), node.inputs.clone(), node.path.clone()));
        let ends = Ends { output: output.inputs[0], ..self.ends.clone() };
        Graph::checked(self.name.clone(), self.input_shape(), parts, ends)
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
        let last = strides.iter().copied().max().unwrap_or(1);
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
        self.kept(&needed, image, output, &[])
    }

    /// The same network without auxiliary outputs and the nodes that only they need.
    #[must_use]
    pub fn without_auxiliary(&self) -> Graph {
        if self.ends.auxiliary.is_empty() {
            return self.clone();
        }
        let image = NodeId(0);
        let heads = self.needed(self.ends.auxiliary.iter().map(|head| head.node), image);
        let others = self.ends.features.iter().map(|feature| feature.node).chain([self.output()]);
        let mut keep = self.needed(others, image);
        keep.iter_mut().zip(heads).for_each(|(keep, head)| *keep |= !head);
        let kept = self.kept(&keep, image, self.output(), &self.ends.features);
        kept.expect("what is left of a graph has all that it reads")
    }

    /// The nodes of `keep`, with `image` as the image.
    fn kept(
        &self,
        keep: &[bool],
        image: NodeId,
        output: NodeId,
        features: &[Feature],
    ) -> Result<Graph, BuildError> {
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
        let features = features.iter().map(feature).collect();
        let ends = Ends { output: places[&output], features, auxiliary: Vec::new() };
        Graph::checked(self.name.clone(), shape, parts, ends)
    }
}
