//! The rewrites: rules by which a node needs no step of its own.
//!
//! A rule is one function here, with its line in [`JOINS`] or [`VIEWS`] and its name in [`Rule`]. Joins let the only
//! reader of a convolution's or linear layer's value become part of it; views say where channels lie and move nothing.

use cygnet_graph::{BatchNorm, Node, NodeId, Op};
use cygnet_kernels::Activation;

use super::layout::{self, Place, Value};
use super::lower::{Lowering, Params, kernel_activation};
use super::outline::StepNode;

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

/// Lets a node join what was fused so far, or leaves everything as it is.
type Join = for<'a> fn(&Lowering<'a>, NodeId, &'a Node, &mut Fused<'a>) -> Option<Rule>;

/// Tried one after the other.
const JOINS: [Join; 5] = [fold_batch_norm, fold_scale, fuse_add, fuse_activation, drop_dropout];

fn fold_batch_norm<'a>(_: &Lowering<'a>, id: NodeId, node: &'a Node, fused: &mut Fused<'a>) -> Option<Rule> {
    let Op::BatchNorm(norm) = &node.op else { return None };
    fused.fold(Affine::BatchNorm(id, norm)).then_some(Rule::FoldBatchNorm)
}

fn fold_scale<'a>(_: &Lowering<'a>, _: NodeId, node: &'a Node, fused: &mut Fused<'a>) -> Option<Rule> {
    let Op::Scale { scale, shift } = &node.op else { return None };
    fused.fold(Affine::Constant { scale, shift }).then_some(Rule::FoldScale)
}

fn fuse_add<'a>(lowering: &Lowering<'a>, _: NodeId, node: &'a Node, fused: &mut Fused<'a>) -> Option<Rule> {
    let may_join = node.op == Op::Add && fused.can_add && fused.is_linear();
    let other = *node.inputs.get(usize::from(node.inputs[0] == fused.last())).filter(|_| may_join)?;
    let shape = |id| &lowering.graph.node(id).shape;
    let is_row = lowering.values[other.0].as_ref().is_some_and(|value| layout::runs(value).len() == 1);
    fused.residual = Some(other).filter(|_| is_row && shape(other) == shape(fused.last()));
    fused.residual.map(|_| Rule::FuseAdd)
}

fn fuse_activation<'a>(_: &Lowering<'a>, _: NodeId, node: &'a Node, fused: &mut Fused<'a>) -> Option<Rule> {
    let Op::Activation { function } = node.op else { return None };
    let function = kernel_activation(function);
    let is_costly = matches!(function, Activation::Sigmoid | Activation::Swish);
    if fused.activation != Activation::None || is_costly {
        return None;
    }
    fused.activation = function;
    Some(Rule::FuseActivation)
}

fn drop_dropout<'a>(_: &Lowering<'a>, _: NodeId, node: &'a Node, _: &mut Fused<'a>) -> Option<Rule> {
    matches!(node.op, Op::Dropout { .. }).then_some(Rule::DropDropout)
}

/// Where the channels of a node lie that moves none.
type View = fn(&Lowering<'_>, &Node) -> Option<(Rule, Value)>;

/// One for each operator that is a view.
const VIEWS: [View; 4] = [view_concat, view_slice, view_shuffle, view_dropout];

fn view_concat(lowering: &Lowering<'_>, node: &Node) -> Option<(Rule, Value)> {
    let inputs = (node.op == Op::Concat).then_some(&node.inputs)?;
    Some((Rule::ViewConcat, inputs.iter().flat_map(|input| lowering.value(*input).clone()).collect()))
}

fn view_slice(lowering: &Lowering<'_>, node: &Node) -> Option<(Rule, Value)> {
    let Op::Slice { start, len } = node.op else { return None };
    Some((Rule::ViewSlice, lowering.value(node.inputs[0])[start..start + len].to_vec()))
}

fn view_shuffle(lowering: &Lowering<'_>, node: &Node) -> Option<(Rule, Value)> {
    let Op::ChannelShuffle { groups } = node.op else { return None };
    let input = lowering.value(node.inputs[0]);
    let columns = input.len() / groups;
    let column = |column| (0..groups).map(move |row: usize| input[row * columns + column]);
    Some((Rule::ViewShuffle, (0..columns).flat_map(column).collect::<Vec<Place>>()))
}

fn view_dropout(lowering: &Lowering<'_>, node: &Node) -> Option<(Rule, Value)> {
    let value = || (Rule::DropDropout, lowering.value(node.inputs[0]).clone());
    matches!(node.op, Op::Dropout { .. }).then(value)
}

/// The places of a node that is a view of earlier values, and the rule that makes it one.
pub(super) fn view(lowering: &Lowering<'_>, node: &Node) -> Option<(Rule, Value)> {
    VIEWS.iter().find_map(|view| view(lowering, node))
}

/// `x * scale + shift`, a pair a channel.
pub(super) enum Affine<'a> {
    BatchNorm(NodeId, &'a BatchNorm),
    Constant { scale: &'a [f32], shift: &'a [f32] },
}

impl Affine<'_> {
    /// Those of some channels.
    pub(super) fn factors(&self, params: &Params<'_>, channels: &[usize]) -> [Vec<f32>; 2] {
        let pick =
            |list: &[f32]| channels.iter().map(|&c| list[if list.len() == 1 { 0 } else { c }]).collect();
        match *self {
            Affine::BatchNorm(id, norm) => batch_norm(&params[id.0], norm, channels),
            Affine::Constant { scale, shift } => [scale, shift].map(pick),
        }
    }
}

/// Batch norm with running statistics as a factor and a term for each of some channels.
fn batch_norm(params: &[&[f32]], norm: &BatchNorm, channels: &[usize]) -> [Vec<f32>; 2] {
    let (weight, rest) = if norm.scale { (params[0], &params[1..]) } else { (&[][..], params) };
    let [bias, mean, var] = [rest[0], rest[1], rest[2]];
    let (scale, shift) = channels
        .iter()
        .map(|&c| {
            let deviation = (f64::from(var[c]) + norm.eps).sqrt();
            let scale = weight.get(c).map_or(1.0, |&w| f64::from(w)) / deviation;
            (scale as f32, (f64::from(bias[c]) - f64::from(mean[c]) * scale) as f32)
        })
        .unzip();
    [scale, shift]
}

/// A convolution or linear layer with all that joined it.
pub(super) struct Fused<'a> {
    /// The layer and what joined it, in order.
    pub(super) nodes: Vec<StepNode>,
    /// A value to add before the activation.
    pub(super) residual: Option<NodeId>,
    pub(super) activation: Activation,
    folds: Vec<Affine<'a>>,
    /// Whether its kernel can add a value.
    can_add: bool,
}

/// Follows the only readers of a layer for as long as they can join it.
pub(super) fn fuse<'a>(lowering: &Lowering<'a>, head: StepNode, can_add: bool) -> Fused<'a> {
    let mut fused =
        Fused { nodes: vec![head], residual: None, activation: Activation::None, folds: Vec::new(), can_add };
    while let [reader] = lowering.readers[fused.last().0][..] {
        let node = lowering.graph.node(reader);
        let may_join = reader != fused.last() && lowering.homes[fused.last().0].is_none();
        let join = |join: &Join| join(lowering, reader, node, &mut fused);
        let Some(rule) = JOINS.iter().filter(|_| may_join).find_map(join) else { break };
        fused.nodes.push(StepNode { id: reader, rule: Some(rule) });
    }
    fused
}

/// The depthwise convolution that alone reads what was fused, which nobody else needs.
pub(super) fn pair_depthwise<'a>(lowering: &Lowering<'a>, fused: &Fused<'a>) -> Option<StepNode> {
    let last = fused.last();
    let [id] = lowering.readers[last.0][..] else { return None };
    let node = lowering.graph.node(id);
    let Op::Conv(conv) = &node.op else { return None };
    let joins = id != last
        && fused.residual.is_none()
        && lowering.homes[last.0].is_none()
        && conv.is_depthwise(lowering.graph.node(last).shape[0]);
    joins.then_some(StepNode { id, rule: Some(Rule::PairDepthwise) })
}

impl<'a> Fused<'a> {
    pub(super) fn first(&self) -> NodeId {
        self.nodes[0].id
    }

    pub(super) fn last(&self) -> NodeId {
        self.nodes[self.nodes.len() - 1].id
    }

    fn is_linear(&self) -> bool {
        self.residual.is_none() && self.activation == Activation::None
    }

    fn fold(&mut self, affine: Affine<'a>) -> bool {
        if self.is_linear() {
            self.folds.push(affine);
        }
        self.is_linear()
    }

    /// The layer's weight as it was given, `[outputs, in / groups, kernel rows, kernel columns]`.
    pub(super) fn weight<'p>(&self, params: &Params<'p>) -> &'p [f32] {
        params[self.first().0][0]
    }

    /// What the weights of some output channels are multiplied by, and their biases.
    pub(super) fn factors(&self, params: &Params<'_>, channels: &[usize]) -> [Vec<f32>; 2] {
        let own = params[self.first().0].get(1);
        let mut scale = vec![1.0; channels.len()];
        let mut bias: Vec<f32> = channels.iter().map(|&c| own.map_or(0.0, |bias| bias[c])).collect();
        for fold in &self.folds {
            let [by, shift] = fold.factors(params, channels);
            for i in 0..channels.len() {
                scale[i] *= by[i];
                bias[i] = bias[i] * by[i] + shift[i];
            }
        }
        [scale, bias]
    }

    /// A copy of the weights of some output channels of `outputs`, multiplied, and their biases.
    pub(super) fn scaled(
        &self,
        params: &Params<'_>,
        outputs: usize,
        channels: &[usize],
    ) -> (Vec<f32>, Vec<f32>) {
        let [scale, bias] = self.factors(params, channels);
        let weight = self.weight(params);
        let each = weight.len() / outputs;
        let of = |(&c, by): (&usize, f32)| weight[c * each..][..each].iter().map(move |weight| weight * by);
        (channels.iter().zip(scale).flat_map(of).collect(), bias)
    }
}
