//! The rewrites: rules by which a node needs no step of its own.
//!
//! A rule is one function here, with its line in [`JOINS`] or [`VIEWS`] and its name in [`Rule`]. Joins let the only
//! reader of a convolution's or linear layer's value become part of it; views say where channels lie and move nothing.

use cygnet_graph::{Activation, BatchNorm, Node, NodeId, Op};

use super::facts::Facts;
use super::places::{Value, Values, runs};
use crate::kernel_activation;

/// Why a node has no step of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// Batch norm becomes part of the weights and the bias before it.
    FoldBatchNorm,
    /// A constant scale becomes part of the weights and the bias before it.
    FoldScale,
    /// The step before it adds the other term.
    FuseAdd,
    /// The step before it applies the function.
    FuseActivation,
    /// Dropout does nothing outside of training.
    DropDropout,
    /// The inputs of a concatenation are written where its value lies, or read where they are.
    ViewConcat,
    /// A slice is read where it is.
    ViewSlice,
    /// Readers take shuffled channels in the order they need.
    ViewShuffle,
    /// A depthwise convolution works on the rows of the convolution before it while they are in the first caches.
    PairDepthwise,
    /// A linear layer is a convolution with a window as large as its input.
    LinearAsConv,
}

impl Rule {
    /// Every rule.
    pub const ALL: [Rule; 10] = [
        Rule::FoldBatchNorm,
        Rule::FoldScale,
        Rule::FuseAdd,
        Rule::FuseActivation,
        Rule::DropDropout,
        Rule::ViewConcat,
        Rule::ViewSlice,
        Rule::ViewShuffle,
        Rule::PairDepthwise,
        Rule::LinearAsConv,
    ];

    /// Its name: what is done, then with what.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Rule::FoldBatchNorm => "fold batch norm",
            Rule::FoldScale => "fold scale",
            Rule::FuseAdd => "fuse add",
            Rule::FuseActivation => "fuse activation",
            Rule::DropDropout => "drop dropout",
            Rule::ViewConcat => "view concat",
            Rule::ViewSlice => "view slice",
            Rule::ViewShuffle => "view shuffle",
            Rule::PairDepthwise => "pair depthwise",
            Rule::LinearAsConv => "linear as conv",
        }
    }
}

/// A node that a step computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepNode {
    /// The node.
    pub id: NodeId,
    /// The rule that made it part of the step; none for the node the step is there for.
    pub rule: Option<Rule>,
}

/// Lets a node join a layer, or leaves everything as it is.
type Join = for<'g> fn(&Facts<'g>, &Values, NodeId, &mut Layer<'g>) -> Option<Rule>;

/// Tried one after the other.
const JOINS: [Join; 5] = [fold_batch_norm, fold_scale, fuse_add, fuse_activation, drop_dropout];

fn fold_batch_norm<'g>(facts: &Facts<'g>, _: &Values, id: NodeId, layer: &mut Layer<'g>) -> Option<Rule> {
    let Op::BatchNorm(norm) = &facts.node(id).op else { return None };
    layer.fold(Affine::BatchNorm(id, norm)).then_some(Rule::FoldBatchNorm)
}

fn fold_scale<'g>(facts: &Facts<'g>, _: &Values, id: NodeId, layer: &mut Layer<'g>) -> Option<Rule> {
    let Op::Scale { scale, shift } = &facts.node(id).op else { return None };
    layer.fold(Affine::Constant { scale, shift }).then_some(Rule::FoldScale)
}

fn fuse_add<'g>(facts: &Facts<'g>, values: &Values, id: NodeId, layer: &mut Layer<'g>) -> Option<Rule> {
    let node = facts.node(id);
    let may_join = node.op == Op::Add && layer.can_add && layer.is_linear();
    let other = *node.inputs.get(usize::from(node.inputs[0] == layer.last())).filter(|_| may_join)?;
    let is_row = values.get(other).is_some_and(|value| runs(value).len() == 1) && facts.grid(other).is_none();
    let shape = |id| &facts.node(id).shape;
    layer.residual = Some(other).filter(|_| is_row && shape(other) == shape(layer.last()));
    layer.residual.map(|_| Rule::FuseAdd)
}

fn fuse_activation<'g>(facts: &Facts<'g>, _: &Values, id: NodeId, layer: &mut Layer<'g>) -> Option<Rule> {
    let Op::Activation { function } = facts.node(id).op else { return None };
    if layer.activation.is_some() || !kernel_activation(function).is_cheap() {
        return None;
    }
    layer.activation = Some(function);
    Some(Rule::FuseActivation)
}

fn drop_dropout<'g>(facts: &Facts<'g>, _: &Values, id: NodeId, _: &mut Layer<'g>) -> Option<Rule> {
    matches!(facts.node(id).op, Op::Dropout { .. }).then_some(Rule::DropDropout)
}

/// Where the channels of a node lie that moves none, if those of its inputs lie where it says.
type View = fn(&[Value], &Node) -> Option<(Rule, Value)>;

/// One for each operator that is a view.
const VIEWS: [View; 4] = [view_concat, view_slice, view_shuffle, view_dropout];

fn view_concat(inputs: &[Value], node: &Node) -> Option<(Rule, Value)> {
    (node.op == Op::Concat).then(|| (Rule::ViewConcat, inputs.concat()))
}

fn view_slice(inputs: &[Value], node: &Node) -> Option<(Rule, Value)> {
    let Op::Slice { start, len } = node.op else { return None };
    Some((Rule::ViewSlice, inputs[0][start..start + len].to_vec()))
}

fn view_shuffle(inputs: &[Value], node: &Node) -> Option<(Rule, Value)> {
    let Op::ChannelShuffle { groups } = node.op else { return None };
    let input = &inputs[0];
    let columns = input.len() / groups;
    let column = |column| (0..groups).map(move |row: usize| input[row * columns + column]);
    Some((Rule::ViewShuffle, (0..columns).flat_map(column).collect()))
}

fn view_dropout(inputs: &[Value], node: &Node) -> Option<(Rule, Value)> {
    let value = || (Rule::DropDropout, inputs[0].clone());
    matches!(node.op, Op::Dropout { .. }).then(value)
}

/// The places of a node that is a view of its inputs, and the rule that makes it one.
pub(super) fn view(inputs: &[Value], node: &Node) -> Option<(Rule, Value)> {
    VIEWS.iter().find_map(|view| view(inputs, node))
}

/// `x * scale + shift`, a pair a channel.
#[derive(Clone, Copy)]
pub(super) enum Affine<'g> {
    BatchNorm(NodeId, &'g BatchNorm),
    Constant { scale: &'g [f32], shift: &'g [f32] },
}

/// A convolution or linear layer with all that joined it.
pub(super) struct Layer<'g> {
    /// The layer and what joined it, in order.
    pub(super) nodes: Vec<StepNode>,
    /// A value to add before the activation.
    pub(super) residual: Option<NodeId>,
    pub(super) activation: Option<Activation>,
    /// What becomes part of weights and bias, in order.
    pub(super) folds: Vec<Affine<'g>>,
    /// Whether its kernel can add a value.
    can_add: bool,
}

/// Follows the only readers of a layer for as long as they can join it.
pub(super) fn fuse<'g>(facts: &Facts<'g>, values: &Values, head: StepNode, can_add: bool) -> Layer<'g> {
    let mut layer = Layer { nodes: vec![head], residual: None, activation: None, folds: Vec::new(), can_add };
    while let Some(reader) = facts.only_reader(layer.last()) {
        let is_free = facts.homes[layer.last().0].is_none() && facts.grid(layer.last()).is_none();
        let join = |join: &Join| join(facts, values, reader, &mut layer);
        let Some(rule) = JOINS.iter().filter(|_| is_free).find_map(join) else { break };
        layer.nodes.push(StepNode { id: reader, rule: Some(rule) });
    }
    layer
}

/// The depthwise convolution that alone reads a layer, whose value nobody else needs.
pub(super) fn pair_depthwise(facts: &Facts<'_>, layer: &Layer<'_>) -> Option<StepNode> {
    let last = layer.last();
    let id = facts.only_reader(last)?;
    let Op::Conv(conv) = &facts.node(id).op else { return None };
    let joins = layer.residual.is_none()
        && facts.homes[last.0].is_none()
        && facts.grid(last).is_none()
        && conv.is_depthwise(facts.node(last).shape[0]);
    joins.then_some(StepNode { id, rule: Some(Rule::PairDepthwise) })
}

impl<'g> Layer<'g> {
    pub(super) fn first(&self) -> NodeId {
        self.nodes[0].id
    }

    pub(super) fn last(&self) -> NodeId {
        self.nodes[self.nodes.len() - 1].id
    }

    fn is_linear(&self) -> bool {
        self.residual.is_none() && self.activation.is_none()
    }

    fn fold(&mut self, affine: Affine<'g>) -> bool {
        if self.is_linear() {
            self.folds.push(affine);
        }
        self.is_linear()
    }
}
