//! The graph: nodes in order of execution, the outputs, the stages whose outputs are features, and auxiliary outputs.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::limits::{Tally, over};
use crate::{BuildError, Change, Conv, Limits, Op, Problem, shape};

/// Position of a node in [`Graph::nodes`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeId(pub usize);

/// An operator applied to earlier values.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// What it computes.
    pub op: Op,
    /// The values it reads; all come earlier in the graph.
    pub inputs: Vec<NodeId>,
    /// Its place in the tree of parameters, e.g. `features.0.0`; empty if it has none.
    pub path: String,
    /// Shape of its value without the batch: `[channels, height, width]` or `[features]`.
    pub shape: Vec<usize>,
}

/// A value that a run of the network returns, of any shape.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// What it is called; no other output of the graph is.
    pub name: String,
    /// The node whose value it is.
    pub node: NodeId,
}

impl Output {
    /// The name of the only output of most networks.
    pub const NAME: &'static str = "output";

    /// An output that needs no name of its own.
    pub(crate) fn unnamed(node: NodeId) -> Output {
        Output { name: Output::NAME.into(), node }
    }
}

/// A value that other networks build upon: the last one of a stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feature {
    /// The stage's path in the tree of parameters.
    pub name: String,
    /// The node whose value it is.
    pub node: NodeId,
}

/// An output that only training reads: that of a classifier part of the way through the network (Szegedy et al. 2014,
/// section 5), an auxiliary head.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Auxiliary {
    /// The node whose value it is.
    pub node: NodeId,
    /// Its loss times this is added to the network's.
    pub weight: f32,
}

/// What a parameter does, which decides how it is initialised and trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Weight of a convolution or linear layer.
    Weight,
    /// Bias of a convolution or linear layer.
    Bias,
    /// Batch norm's scale (gamma).
    NormWeight,
    /// Batch norm's shift (beta).
    NormBias,
    /// Batch norm's running mean; not learnt.
    NormMean,
    /// Batch norm's running variance; not learnt.
    NormVar,
}

impl Role {
    /// Whether gradient descent changes it; what does not learn is not counted in params.
    #[must_use]
    pub fn is_learnt(self) -> bool {
        match self {
            Role::Weight | Role::Bias | Role::NormWeight | Role::NormBias => true,
            Role::NormMean | Role::NormVar => false,
        }
    }
}

/// A named tensor that a graph needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Param {
    /// Path of its node and its own name, e.g. `features.0.0.weight`.
    pub name: String,
    /// Its shape, in PyTorch's layout.
    pub shape: Vec<usize>,
    /// What it does.
    pub role: Role,
    /// The node that owns it.
    pub node: NodeId,
}

/// What the nodes are computed for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Ends {
    /// One at least.
    pub(crate) outputs: Vec<Output>,
    pub(crate) features: Vec<Feature>,
    pub(crate) auxiliary: Vec<Auxiliary>,
}

impl Ends {
    /// One output and nothing else.
    pub(crate) fn of(output: NodeId) -> Ends {
        Ends { outputs: vec![Output::unnamed(output)], features: Vec::new(), auxiliary: Vec::new() }
    }

    /// The output that classes are told by, and the auxiliary ones.
    pub(crate) fn learning(&self) -> impl Iterator<Item = NodeId> {
        self.outputs[..1].iter().map(|output| output.node).chain(self.auxiliary.iter().map(|head| head.node))
    }

    /// Every value that is one.
    pub(crate) fn all(&self) -> impl Iterator<Item = NodeId> {
        let outputs = self.outputs.iter().map(|output| output.node);
        let features = self.features.iter().map(|feature| feature.node);
        outputs.chain(features).chain(self.auxiliary.iter().map(|head| head.node))
    }
}

/// A network: the image, operators in order of execution, and the output.
///
/// A graph is valid by construction: inputs come before their readers, shapes follow [`shape::infer`], paths of operators
/// with parameters are unique, and auxiliary outputs have as many classes as the output.
#[derive(Clone, Debug, PartialEq)]
pub struct Graph {
    pub(crate) name: String,
    pub(crate) nodes: Vec<Node>,
    pub(crate) ends: Ends,
}

impl Graph {
    /// The network's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// All nodes in order of execution; the first is the image.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// One node.
    ///
    /// # Panics
    /// If `id` belongs to a larger graph.
    #[must_use]
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0]
    }

    /// `[channels, height, width]` of the image.
    #[must_use]
    pub fn input_shape(&self) -> [usize; 3] {
        let shape = &self.nodes[0].shape;
        [shape[0], shape[1], shape[2]]
    }

    /// The node whose value is the network's output, the first of several.
    #[must_use]
    pub fn output(&self) -> NodeId {
        self.ends.outputs[0].node
    }

    /// Every output, the first being [`Graph::output`]. Networks that classify have one; the others, of any shape, are
    /// computed and returned beside it, and no loss, class or label is about them.
    #[must_use]
    pub fn outputs(&self) -> &[Output] {
        &self.ends.outputs
    }

    /// Number of classes: the output's channels.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.node(self.output()).shape[0]
    }

    /// Stage outputs, one for each stride at which the image is looked at, the finest first.
    #[must_use]
    pub fn features(&self) -> &[Feature] {
        &self.ends.features
    }

    /// Outputs that only training reads; a graph has some where they were asked for. Costs, plans and executors take the
    /// nodes as they are: for the network in use, take the graph [`without_auxiliary`](Graph::without_auxiliary).
    #[must_use]
    pub fn auxiliary(&self) -> &[Auxiliary] {
        &self.ends.auxiliary
    }

    /// The layer that decides the number of classes: the last one with parameters that the output is computed from.
    #[must_use]
    pub fn classifier(&self) -> Option<NodeId> {
        self.last_with_params(self.output())
    }

    /// [The classifier](Graph::classifier), and those of auxiliary outputs.
    #[must_use]
    pub fn classifiers(&self) -> Vec<NodeId> {
        let heads = self.auxiliary().iter().filter_map(|head| self.last_with_params(head.node));
        self.classifier().into_iter().chain(heads).collect()
    }

    fn last_with_params(&self, value: NodeId) -> Option<NodeId> {
        let needed = self.needed([value], NodeId(0));
        let mut ids = (0..needed.len()).rev().filter(|&i| needed[i]).map(NodeId);
        ids.find(|&id| !self.node_params(id).is_empty())
    }

    /// For each node, whether one of some values is computed from it; nothing before `image` is looked at.
    pub(crate) fn needed(&self, values: impl IntoIterator<Item = NodeId>, image: NodeId) -> Vec<bool> {
        let mut needed = vec![false; self.nodes.len()];
        values.into_iter().for_each(|id| needed[id.0] = true);
        for index in (image.0 + 1..self.nodes.len()).rev() {
            if needed[index] {
                self.nodes[index].inputs.iter().for_each(|id| needed[id.0] = true);
            }
        }
        needed
    }

    /// How many times smaller than the image a value is, rounded to the nearest whole number.
    #[must_use]
    pub fn stride(&self, id: NodeId) -> usize {
        let rows = self.rows(id);
        (self.input_shape()[1] + rows / 2) / rows
    }

    /// Height of a value; 1 for a vector.
    pub(crate) fn rows(&self, id: NodeId) -> usize {
        self.node(id).shape.get(1).copied().unwrap_or(1)
    }

    /// Adds a feature, which takes the place of those at its stride and of coarser ones.
    pub(crate) fn mark(&mut self, feature: Feature) {
        let rows = self.rows(feature.node);
        while self.ends.features.last().is_some_and(|last| self.rows(last.node) <= rows) {
            self.ends.features.pop();
        }
        self.ends.features.push(feature);
    }

    /// Ids with their nodes.
    pub fn iter(&self) -> impl Iterator<Item = (NodeId, &Node)> {
        self.nodes.iter().enumerate().map(|(i, node)| (NodeId(i), node))
    }

    /// Shapes of a node's inputs.
    #[must_use]
    pub fn input_shapes(&self, node: &Node) -> Vec<&[usize]> {
        node.inputs.iter().map(|id| self.node(*id).shape.as_slice()).collect()
    }

    /// The same network for images of another size, with those of the features that still lie at strides of their own.
    ///
    /// # Errors
    /// If a window does not fit any more, or a layer's parameters would change shape.
    pub fn resized(&self, height: usize, width: usize) -> Result<Graph, BuildError> {
        let input = [self.input_shape()[0], height, width];
        let (resized, _) = self.remade(NodeId(0), input, &self.ends, |_, _| Change::Keep)?;
        for ((id, before), after) in self.iter().zip(&resized.nodes) {
            let shapes =
                |graph: &Graph| graph.node_params(id).into_iter().map(|p| p.shape).collect::<Vec<_>>();
            if shapes(self) != shapes(&resized) {
                return Err(self.error(
                    format!("at {}", before.path),
                    Problem::Differ {
                        op: after.op.name(),
                        left: before.shape.clone(),
                        right: after.shape.clone(),
                    },
                ));
            }
        }
        Ok(resized)
    }

    /// The same network with another number of classes: its [`classifiers`](Graph::classifiers) have so many outputs.
    ///
    /// # Errors
    /// If there is no such layer, or it cannot have so many.
    pub fn with_classes(&self, classes: usize) -> Result<Graph, BuildError> {
        let classifiers = self.classifiers();
        let (changed, _) = self.rebuilt(|id, node| {
            let mut op = node.op.clone();
            if let Op::Linear { out, .. } | Op::Conv(Conv { out, .. }) = &mut op
                && classifiers.contains(&id)
            {
                *out = classes;
            }
            Change::Replace(op)
        })?;
        if changed.classes() == classes {
            return Ok(changed);
        }
        let problem = Problem::Json(format!(
            "the last layer does not decide the number of classes, {}",
            self.classes()
        ));
        Err(self.error("the output".into(), problem))
    }

    /// A graph of operators in order of execution, each with the nodes that it reads, the image being the first node, and
    /// its path: for readers of other forms. Outputs are not all the same node, and the first is the network's.
    ///
    /// # Errors
    /// The first thing that does not fit or is over a limit, with its place.
    pub fn of_parts(
        name: impl Into<String>,
        image: [usize; 3],
        parts: impl IntoIterator<Item = (Op, Vec<NodeId>, String)>,
        outputs: Vec<Output>,
        limits: &Limits,
    ) -> Result<Graph, BuildError> {
        let name = name.into();
        if outputs.is_empty() {
            let problem = Problem::Json("there is no output".into());
            return Err(BuildError { graph: name, place: "the output".into(), problem });
        }
        let ends = Ends { outputs, features: Vec::new(), auxiliary: Vec::new() };
        Graph::checked_within(name, image, parts, ends, Some(limits))
    }

    /// Builds a graph from parts, checking everything a graph promises.
    pub(crate) fn checked(
        name: String,
        input: [usize; 3],
        parts: impl IntoIterator<Item = (Op, Vec<NodeId>, String)>,
        ends: Ends,
    ) -> Result<Graph, BuildError> {
        Graph::checked_within(name, input, parts, ends, None)
    }

    /// As [`Graph::checked`]; the graph must also be within limits.
    pub(crate) fn checked_within(
        name: String,
        input: [usize; 3],
        parts: impl IntoIterator<Item = (Op, Vec<NodeId>, String)>,
        ends: Ends,
        limits: Option<&Limits>,
    ) -> Result<Graph, BuildError> {
        let image = Node { op: Op::Input, inputs: Vec::new(), path: String::new(), shape: input.to_vec() };
        let mut graph = Graph { name, nodes: vec![image], ends: Ends::of(NodeId(0)) };
        let mut paths = HashSet::new();
        if input.contains(&0) {
            let problem = Problem::Setting { op: "input", what: "the image", value: format!("{input:?}") };
            return Err(graph.error("at the image".into(), problem));
        }
        if shape::elements(&input).is_none() {
            let problem = Problem::TooLarge { op: "input", shape: input.to_vec() };
            return Err(graph.error("at the image".into(), problem));
        }
        let mut tally = limits.map(|limits| Tally::new(&graph, limits)).transpose()?;
        for (op, inputs, path) in parts {
            let id = graph.push(op, inputs, path, &mut paths)?;
            tally.as_mut().map_or(Ok(()), |tally| tally.add(&graph, id))?;
        }
        if let Some(limits) = limits {
            let count = ends.features.len() + ends.auxiliary.len() + ends.outputs.len() - 1;
            let few = over("features and further outputs", count, limits.ends);
            few.map_err(|problem| graph.error("the features".into(), problem))?;
        }
        graph.ended(ends)
    }

    /// The same with other ends, after checking them.
    pub(crate) fn ended(mut self, ends: Ends) -> Result<Graph, BuildError> {
        let Ends { outputs, features, auxiliary } = &ends;
        if let Some(id) = ends.all().find(|id| id.0 >= self.nodes.len()) {
            let problem = Problem::Json(format!("node {} does not exist", id.0));
            return Err(self.error("the output".into(), problem));
        }
        for (i, Output { name, node }) in outputs.iter().enumerate() {
            if name.is_empty() {
                let problem = Problem::Setting { op: "output", what: "name", value: format!("{name:?}") };
                return Err(self.error(self.place_of(*node), problem));
            }
            if outputs[..i].iter().any(|other| other.name == *name || other.node == *node) {
                return Err(self.error(self.place_of(*node), Problem::OutputTwice { name: name.clone() }));
            }
        }
        if !features.is_sorted_by(|finer, coarser| self.rows(finer.node) > self.rows(coarser.node)) {
            let problem = Problem::Json("features are not ordered from the finest to the coarsest".into());
            return Err(self.error("the features".into(), problem));
        }
        for Auxiliary { node, weight } in auxiliary {
            let (op, left, right) = ("auxiliary", &self.node(*node).shape, &self.node(outputs[0].node).shape);
            let place = || format!("the auxiliary output {}", node.0);
            if shape::elements(left) != shape::elements(right) || left[0] != right[0] {
                let problem = Problem::Differ { op, left: left.clone(), right: right.clone() };
                return Err(self.error(place(), problem));
            }
            if !(weight.is_finite() && *weight > 0.0) {
                let problem = Problem::Setting { op, what: "weight", value: weight.to_string() };
                return Err(self.error(place(), problem));
            }
        }
        self.ends = ends;
        Ok(self)
    }

    /// Appends a node after checking it.
    pub(crate) fn push(
        &mut self,
        op: Op,
        inputs: Vec<NodeId>,
        path: String,
        paths: &mut HashSet<String>,
    ) -> Result<NodeId, BuildError> {
        let check = || {
            if op == Op::Input {
                return Err(Problem::Inputs { op: "input", wanted: "to be the first node and", given: 0 });
            }
            if let Some(id) = inputs.iter().find(|id| id.0 >= self.nodes.len()) {
                return Err(Problem::Json(format!("node {} is read before it is computed", id.0)));
            }
            let shapes: Vec<&[usize]> = inputs.iter().map(|id| self.nodes[id.0].shape.as_slice()).collect();
            let shape = shape::infer(&op, &shapes)?;
            if !shape::params(&op, &shapes).is_empty() {
                if path.is_empty() {
                    return Err(Problem::NoPath { op: op.name() });
                }
                if paths.contains(&path) {
                    return Err(Problem::PathTwice { path: path.clone() });
                }
            }
            Ok(shape)
        };
        let shape = check().map_err(|problem| self.error(self.place(&path, self.nodes.len()), problem))?;
        if !path.is_empty() {
            paths.insert(path.clone());
        }
        self.nodes.push(Node { op, inputs, path, shape });
        Ok(NodeId(self.nodes.len() - 1))
    }

    /// Where a node is, for messages.
    pub(crate) fn place_of(&self, id: NodeId) -> String {
        self.place(&self.node(id).path, id.0)
    }

    /// Its path, or else the last one before node number `index`.
    fn place(&self, path: &str, index: usize) -> String {
        if !path.is_empty() {
            return format!("at {path}");
        }
        let last = self.nodes[..index].iter().rev().find(|node| !node.path.is_empty());
        last.map_or_else(|| "at the image".into(), |node| format!("after {}", node.path))
    }

    pub(crate) fn error(&self, place: String, problem: Problem) -> BuildError {
        BuildError { graph: self.name.clone(), place, problem }
    }
}
