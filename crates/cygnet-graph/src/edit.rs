//! Other forms of one network: for losses, for small images, a part of it, without auxiliary outputs.

use crate::graph::Ends;
use crate::{BuildError, Change, Graph, IdMap, NodeId, Op, Padding, Problem};

impl Graph {
    /// The same network with another rate in every dropout.
    ///
    /// # Errors
    /// If `rate` is not from 0 to below 1.
    pub fn with_dropout(&self, rate: f32) -> Result<Graph, BuildError> {
        let changed = self.rebuilt(|_, node| {
            let is_dropout = matches!(node.op, Op::Dropout { .. });
            if is_dropout { Change::Replace(Op::Dropout { rate }) } else { Change::Keep }
        });
        changed.map(|(graph, _)| graph)
    }

    /// The same network without a softmax at its end and at those of its auxiliary outputs, for losses that work on
    /// logits. A softmax inside of the network, such as that of an attention, stays.
    ///
    /// # Errors
    /// If an output is made of probabilities all the same.
    pub fn without_softmax(&self) -> Result<Graph, BuildError> {
        self.logits().map(|(graph, _)| graph)
    }

    /// As [`Graph::without_softmax`], with the places of this graph's values in the other: for what is kept beside a graph by
    /// its nodes.
    ///
    /// # Errors
    /// If an output is made of probabilities all the same.
    pub fn logits(&self) -> Result<(Graph, IdMap), BuildError> {
        let logits = |id: NodeId| match self.node(id) {
            node if node.op == Op::Softmax => node.inputs[0],
            _ => id,
        };
        let mut ends = self.ends.clone();
        ends.outputs[0].node = logits(self.output());
        ends.auxiliary.iter_mut().for_each(|head| head.node = logits(head.node));
        if let Some(id) = ends.learning().find(|id| self.is_probability(*id)) {
            return Err(self.error(self.place_of(id), Problem::Probabilities));
        }
        let others = self.iter().filter(|(id, node)| node.op != Op::Softmax || !self.is_end(*id));
        let keep = self.needed(ends.all().chain(others.map(|(id, _)| id)), NodeId(0));
        if keep.iter().all(|&keep| keep) && ends == self.ends {
            return Ok(self.unchanged());
        }
        self.kept(&ends, |id| keep[id.0])
    }

    /// Whether the output's numbers are probabilities, or made of nothing else.
    #[must_use]
    pub fn gives_probabilities(&self) -> bool {
        self.is_probability(self.output())
    }

    fn is_end(&self, id: NodeId) -> bool {
        self.ends.learning().any(|end| end == id)
    }

    /// Whether a value is a softmax's, or that of others rearranged, pooled, added or scaled.
    fn is_probability(&self, id: NodeId) -> bool {
        let mut is_probability = Vec::with_capacity(id.0 + 1);
        for node in &self.nodes[..=id.0] {
            let facts = node.op.facts();
            let keeps = facts.is_selection || facts.is_linear && !facts.has_params;
            let of_probabilities = || node.operands().iter().all(|input| is_probability[input.0]);
            is_probability.push(node.op == Op::Softmax || keeps && of_probabilities());
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
        let (small, _) = self.rebuilt(|id, node| {
            let mut op = node.op.clone();
            if op.facts().stride != [2, 2] || !wide(id) {
                return Change::Keep;
            }
            if let Op::Conv(conv) = &mut op {
                conv.stride = [1, 1];
            }
            if let Op::Pool(pool) = &mut op {
                pool.stride = [1, 1];
                // Windows side by side become single pixels; those that overlap stay.
                if pool.kernel == [2, 2] && pool.padding == Padding::VALID {
                    pool.kernel = [1, 1];
                }
            }
            Change::Replace(op)
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
            let before = node.sized_by().iter().map(|id| strides[id.0]).max().unwrap_or(1);
            strides.push(before.saturating_mul(node.op.facts().stride[0]));
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
        let classifier = self.classifier().filter(|id| self.node(*id).op.facts().is_weighted);
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
        let shape = match self.node(image).shape[..] {
            [channels, height, width] => [channels, height, width],
            ref vector => [vector.iter().product(), 1, 1],
        };
        let keep = |id: NodeId| if needed[id.0] { Change::Keep } else { Change::Drop };
        self.remade(image, shape, &Ends::of(output), |id, _| keep(id)).map(|(graph, _)| graph)
    }

    /// The same network without those of its features whose nodes are not to be kept.
    #[must_use]
    pub fn with_features_of(&self, keep: impl Fn(NodeId) -> bool) -> Graph {
        let mut graph = self.clone();
        graph.ends.features.retain(|feature| keep(feature.node));
        graph
    }

    /// The same network without auxiliary outputs and the nodes that only they need.
    #[must_use]
    pub fn without_auxiliary(&self) -> Graph {
        self.in_use().0
    }

    /// As [`Graph::without_auxiliary`], with the places of this graph's values in the other: for what is kept beside a graph by
    /// its nodes.
    #[must_use]
    pub fn in_use(&self) -> (Graph, IdMap) {
        if self.ends.auxiliary.is_empty() {
            return self.unchanged();
        }
        let heads = self.needed(self.ends.auxiliary.iter().map(|head| head.node), NodeId(0));
        let ends = Ends { auxiliary: Vec::new(), ..self.ends.clone() };
        // A node that nothing is computed from stays, and so does what it reads.
        let others = self.iter().map(|(id, _)| id).filter(|id| !heads[id.0]);
        let keep = self.needed(ends.all().chain(others), NodeId(0));
        let kept = self.kept(&ends, |id| keep[id.0]);
        kept.expect("what is left of a graph has all that it reads")
    }

    /// The nodes that `keep` names, with other ends.
    fn kept(&self, ends: &Ends, keep: impl Fn(NodeId) -> bool) -> Result<(Graph, IdMap), BuildError> {
        let change = |id| if keep(id) { Change::Keep } else { Change::Drop };
        self.remade(NodeId(0), self.input_shape(), ends, |id, _| change(id))
    }

    /// The same network, each value in its own place.
    fn unchanged(&self) -> (Graph, IdMap) {
        (self.clone(), IdMap::unchanged(self.nodes.len()))
    }
}
