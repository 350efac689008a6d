//! The kinds of steps, and what each costs.

use std::fmt::{self, Display, Formatter};

use cygnet_cpu::{Activation, Level};

use crate::work::Work;
use crate::{
    Apply, BatchNorm, Binary, Conv, ConvBackward, Depthwise, DepthwiseBackward, Elementwise, Freeze, Gather,
    Geometry, Import, InputGradient, Loss, Moments, Normalise, NormaliseBackward, Pack, Pooling, PoolingKind,
    Reduce, Round, Transform, TransformKind,
};

/// One step of a [`Program`](crate::Program). Its name is what computes it: `depthwise 3x3/2 backward`.
#[derive(Clone, Debug)]
pub enum Step {
    /// Packs a weight.
    Pack(Pack),
    /// The images to channels last.
    Import(Import),
    /// A convolution or linear layer.
    Conv(Box<Conv>),
    /// Its gradients.
    ConvBackward(Box<ConvBackward>),
    /// A depthwise convolution.
    Depthwise(Box<Depthwise>),
    /// Its gradients.
    DepthwiseBackward(Box<DepthwiseBackward>),
    /// Adds partial gradients to a parameter's.
    Reduce(Reduce),
    /// Rounds a value to a grid, or passes its gradient on.
    Round(Round),
    /// Statistics of a value.
    Moments(Moments),
    /// A batch norm's vectors from a batch's statistics.
    BatchNorm(BatchNorm),
    /// A batch norm's vectors from its running statistics.
    Freeze(Freeze),
    /// Writes a normalised value to memory.
    Apply(Apply),
    /// A norm's gradients from the gradient of what [`Apply`] wrote.
    Normalise(Normalise),
    /// A norm's parameters' gradients and backward coefficients.
    NormaliseBackward(NormaliseBackward),
    /// Writes the gradient of a norm's input to memory.
    InputGradient(InputGradient),
    /// Element by element.
    Elementwise(Elementwise),
    /// Sum or product of two values.
    Binary(Binary),
    /// Moves channels.
    Gather(Gather),
    /// Windowed pooling.
    Pooling(Pooling),
    /// Anything else.
    Transform(Transform),
    /// The loss and the gradient of the logits.
    Loss(Loss),
}

impl Step {
    /// What a program asks, of whichever kind it is.
    pub(crate) fn work(&self) -> &dyn Work {
        match self {
            Step::Pack(step) => step,
            Step::Import(step) => step,
            Step::Conv(step) => &**step,
            Step::ConvBackward(step) => &**step,
            Step::Depthwise(step) => &**step,
            Step::DepthwiseBackward(step) => &**step,
            Step::Reduce(step) => step,
            Step::Round(step) => step,
            Step::Moments(step) => step,
            Step::BatchNorm(step) => step,
            Step::Freeze(step) => step,
            Step::Apply(step) => step,
            Step::Normalise(step) => step,
            Step::NormaliseBackward(step) => step,
            Step::InputGradient(step) => step,
            Step::Elementwise(step) => step,
            Step::Binary(step) => step,
            Step::Gather(step) => step,
            Step::Pooling(step) => step,
            Step::Transform(step) => step,
            Step::Loss(step) => step,
        }
    }

    /// Multiply-accumulates of a convolution or linear layer, or of its gradients; other steps have none.
    #[must_use]
    pub fn macs(&self) -> u64 {
        self.work().macs()
    }

    /// Bytes of values, gradients, weights and sums that it reads and writes with vectors of a set, each once.
    #[must_use]
    pub fn bytes(&self, level: Level) -> u64 {
        let work = self.work();
        let numbers = work.touches(level).numbers().saturating_add(work.outside());
        (numbers as u64).saturating_mul(size_of::<f32>() as u64)
    }
}

impl Display for Step {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Step::Pack(_) => f.write_str("pack weight"),
            Step::Import(_) => f.write_str("import"),
            Step::Conv(step) => dense(f, &step.geometry, ""),
            Step::ConvBackward(step) => dense(f, &step.geometry, BACKWARD),
            Step::Depthwise(step) => depthwise(f, &step.geometry, ""),
            Step::DepthwiseBackward(step) => depthwise(f, &step.geometry, BACKWARD),
            Step::Reduce(_) => f.write_str("sum of parts"),
            Step::Round(step) => write!(f, "round{}", backward(step.backward.is_some())),
            Step::Moments(_) => f.write_str("moments"),
            Step::BatchNorm(_) => f.write_str("batch norm"),
            Step::Freeze(_) => f.write_str("frozen batch norm"),
            Step::Apply(_) => f.write_str("normalise"),
            Step::Normalise(_) => f.write_str("normalise backward"),
            Step::NormaliseBackward(_) => f.write_str("batch norm backward"),
            Step::InputGradient(_) => f.write_str("batch norm's input gradient"),
            Step::Elementwise(step) => f.write_str(match step {
                Elementwise::Activate { .. } => "activation",
                Elementwise::Derive { activation: Activation::None, .. } => "copy",
                Elementwise::Derive { .. } => "activation backward",
                Elementwise::Affine { .. } => "scale",
                Elementwise::Zero { .. } => "zero",
                Elementwise::Mask { .. } => "dropout",
            }),
            Step::Binary(step) => f.write_str(match step {
                Binary::Add { .. } => "add",
                Binary::Mul { .. } => "multiply",
                Binary::Backward { other: None, .. } => "add backward",
                Binary::Backward { .. } => "multiply backward",
            }),
            Step::Gather(step) => write!(f, "shuffle{}", backward(step.backward.is_some())),
            Step::Pooling(step) => {
                let kind = match step.kind {
                    PoolingKind::Max => "max pool",
                    PoolingKind::Mean { .. } => "mean pool",
                };
                let back = backward(step.backward.is_some());
                write!(f, "{kind} {}{}{back}", dims(step.window.kernel), stride(step.window.stride))
            }
            Step::Transform(step) => {
                let kind = match step.kind {
                    TransformKind::Softmax => "softmax",
                    TransformKind::LocalResponseNorm { .. } => "local response norm",
                    TransformKind::Upsample => "upsample",
                    TransformKind::AdaptiveMean => "adaptive mean",
                    TransformKind::Flatten => "flatten",
                };
                write!(f, "{kind}{}", backward(step.backward.is_some()))
            }
            Step::Loss(_) => f.write_str("loss"),
        }
    }
}

/// What the name of a step that computes gradients ends with.
const BACKWARD: &str = " backward";

fn backward(is_backward: bool) -> &'static str {
    if is_backward { BACKWARD } else { "" }
}

fn dense(f: &mut Formatter<'_>, geometry: &Geometry, end: &str) -> fmt::Result {
    let (kernel, stride) = (dims(geometry.kernel), stride(geometry.stride));
    match (geometry.groups, geometry.kernel) {
        (1, [1, 1]) => write!(f, "pointwise{stride}{end}"),
        (1, _) => write!(f, "conv {kernel}{stride}{end}"),
        _ => write!(f, "grouped conv {kernel}{stride}{end}"),
    }
}

fn depthwise(f: &mut Formatter<'_>, geometry: &Geometry, end: &str) -> fmt::Result {
    write!(f, "depthwise {}{}{end}", dims(geometry.kernel), stride(geometry.stride))
}

fn stride(stride: [usize; 2]) -> String {
    match stride {
        [1, 1] => String::new(),
        [rows, columns] if rows == columns => format!("/{rows}"),
        stride => format!("/{}", dims(stride)),
    }
}

fn dims([rows, columns]: [usize; 2]) -> String {
    format!("{rows}x{columns}")
}
