//! What an operator is, for code that only sorts operators.

use crate::{Node, NodeId, Op, PoolKind};

/// The values that an operator reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Inputs {
    /// None: the image.
    None,
    /// One.
    One,
    /// Two.
    Two,
    /// One, and another of which it takes height and width only.
    Sized,
    /// One or more.
    Many,
}

impl Inputs {
    /// In words, for messages.
    pub(crate) fn wanted(self) -> &'static str {
        match self {
            Inputs::None => "no",
            Inputs::One => "one",
            Inputs::Two | Inputs::Sized => "two",
            Inputs::Many => "one or more",
        }
    }

    /// Whether they may be so many.
    pub(crate) fn allow(self, count: usize) -> bool {
        match self {
            Inputs::None => count == 0,
            Inputs::One => count == 1,
            Inputs::Two | Inputs::Sized => count == 2,
            Inputs::Many => count > 0,
        }
    }
}

/// What an operator is, in use rather than in training. Who reads these need not name the operators, and a new operator
/// says here once what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Facts {
    /// The values that it reads.
    pub inputs: Inputs,
    /// Rows and columns by which its window steps; 1 without a window.
    pub stride: [usize; 2],
    /// Whether it has parameters.
    pub has_params: bool,
    /// Whether it sums products with a weight that is learnt: convolutions and linear layers, which are nearly all of
    /// what a network costs.
    pub is_weighted: bool,
    /// Whether a number of its output is made of those at the same place of its inputs, which are broadcast.
    pub is_elementwise: bool,
    /// Whether a channel of its output is made of the same channel of its inputs. A convolution may do so too, which
    /// [`Conv::is_depthwise`](crate::Conv::is_depthwise) says.
    pub is_channelwise: bool,
    /// Whether its output is a sum of its inputs' numbers times constants or parameters, and of such.
    pub is_linear: bool,
    /// Whether each number of its output is one of its inputs'.
    pub is_selection: bool,
    /// Whether its output's channels are channels of its inputs, so that nothing need be computed or moved.
    pub is_view: bool,
    /// Whether its value may take the place of an input that nobody reads later.
    pub works_in_place: bool,
}

/// Nothing that has a name: all numbers from all others.
const OTHER: Facts = Facts {
    inputs: Inputs::One,
    stride: [1, 1],
    has_params: false,
    is_weighted: false,
    is_elementwise: false,
    is_channelwise: false,
    is_linear: false,
    is_selection: false,
    is_view: false,
    works_in_place: false,
};

const WEIGHTED: Facts = Facts { has_params: true, is_weighted: true, is_linear: true, ..OTHER };

const CHANNELWISE: Facts = Facts { is_channelwise: true, ..OTHER };

const ELEMENTWISE: Facts = Facts { is_elementwise: true, works_in_place: true, ..CHANNELWISE };

const VIEW: Facts =
    Facts { is_linear: true, is_selection: true, is_view: true, works_in_place: true, ..OTHER };

impl Op {
    /// What it is.
    #[must_use]
    pub fn facts(&self) -> Facts {
        match self {
            Op::Input => Facts { inputs: Inputs::None, ..OTHER },
            Op::Conv(conv) => Facts { stride: conv.stride, ..WEIGHTED },
            Op::Linear { .. } => WEIGHTED,
            Op::BatchNorm(_) => Facts { has_params: true, is_linear: true, ..ELEMENTWISE },
            Op::Scale { .. } => Facts { is_linear: true, ..ELEMENTWISE },
            Op::Activation { .. } => ELEMENTWISE,
            Op::Add => Facts { inputs: Inputs::Two, is_linear: true, ..ELEMENTWISE },
            Op::Mul => Facts { inputs: Inputs::Two, works_in_place: false, ..ELEMENTWISE },
            Op::Pool(pool) => {
                let is_max = pool.kind == PoolKind::Max;
                Facts { stride: pool.stride, is_selection: is_max, is_linear: !is_max, ..CHANNELWISE }
            }
            Op::GlobalAvgPool | Op::AdaptiveAvgPool { .. } => Facts { is_linear: true, ..CHANNELWISE },
            Op::UpsampleLike => {
                Facts { inputs: Inputs::Sized, is_linear: true, is_selection: true, ..CHANNELWISE }
            }
            Op::Concat => Facts { inputs: Inputs::Many, ..VIEW },
            Op::Slice { .. } | Op::ChannelShuffle { .. } => VIEW,
            Op::Dropout { .. } => Facts { is_elementwise: true, is_channelwise: true, ..VIEW },
            Op::LocalResponseNorm(_) | Op::Softmax => OTHER,
        }
    }
}

impl Node {
    /// The values whose numbers it reads, which is not all of its inputs if it takes only the size of one.
    #[must_use]
    pub fn operands(&self) -> &[NodeId] {
        if self.op.facts().inputs == Inputs::Sized { &self.inputs[..1] } else { &self.inputs }
    }

    /// The values that decide height and width of its own.
    #[must_use]
    pub fn sized_by(&self) -> &[NodeId] {
        if self.op.facts().inputs == Inputs::Sized { &self.inputs[1..] } else { &self.inputs }
    }
}
