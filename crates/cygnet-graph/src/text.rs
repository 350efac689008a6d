//! The text form: a line a node, for people and for snapshots.

use std::fmt::{self, Display, Formatter};

use crate::{Activation, BatchNorm, Conv, Graph, LocalResponseNorm, Op, Output, Padding, Pool};

fn dims(shape: &[usize]) -> String {
    shape.iter().map(ToString::to_string).collect::<Vec<_>>().join("x")
}

fn window(f: &mut Formatter<'_>, kernel: [usize; 2], stride: [usize; 2], padding: Padding) -> fmt::Result {
    write!(f, " {}", dims(&kernel))?;
    match stride {
        [1, 1] => {}
        [rows, columns] if rows == columns => write!(f, " /{rows}")?,
        _ => write!(f, " /{}", dims(&stride))?,
    }
    match padding {
        Padding::Same => write!(f, " same"),
        Padding::VALID => Ok(()),
        Padding::Explicit { top, left, bottom, right } if top == bottom && left == right => {
            if top == left {
                write!(f, " pad {top}")
            } else {
                write!(f, " pad {top}x{left}")
            }
        }
        Padding::Explicit { top, left, bottom, right } => write!(f, " pad {top},{left},{bottom},{right}"),
    }
}

impl Display for Op {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        let flag = |on: bool, text: &'static str| if on { text } else { "" };
        match self {
            Op::Conv(Conv { out, kernel, stride, dilation, groups, bias, padding }) => {
                write!(f, " {out}")?;
                window(f, *kernel, *stride, padding.unwrap_or(Padding::VALID))?;
                if *dilation != [1, 1] {
                    write!(f, " dilation {}", dims(dilation))?;
                }
                if *groups != 1 {
                    write!(f, " groups {groups}")?;
                }
                f.write_str(flag(*bias, " bias"))
            }
            Op::BatchNorm(BatchNorm { eps, scale }) => {
                write!(f, " eps {eps:e}{}", flag(!scale, " without scale"))
            }
            Op::Pool(Pool { kernel, stride, padding, ceil, count_include_pad, .. }) => {
                window(f, *kernel, *stride, *padding)?;
                write!(f, "{}{}", flag(*ceil, " ceil"), flag(!count_include_pad, " exclude-pad"))
            }
            Op::LocalResponseNorm(LocalResponseNorm { size, alpha, beta, k }) => {
                write!(f, " size {size} alpha {alpha} beta {beta} k {k}")
            }
            Op::AdaptiveAvgPool { size } => write!(f, " {}", dims(size)),
            Op::Scale { scale, shift } => write!(f, " {scale:?} {shift:?}"),
            Op::Slice { start, len } => write!(f, " {start}..{}", start + len),
            Op::ChannelShuffle { groups } => write!(f, " groups {groups}"),
            Op::Linear { out, bias } => write!(f, " {out}{}", flag(*bias, " bias")),
            Op::Dropout { rate } => write!(f, " {rate}"),
            Op::Activation { function } if function.is_named() => Ok(()),
            Op::Activation { function: Activation::Clamp { low, high } } => write!(f, " {low}..{high}"),
            Op::Activation { function: Activation::HardSigmoid { scale, shift, high, factor } } => {
                write!(f, " scale {scale} shift {shift} high {high} factor {factor}")
            }
            Op::Input
            | Op::Activation { .. }
            | Op::GlobalAvgPool
            | Op::Add
            | Op::Mul
            | Op::Concat
            | Op::UpsampleLike
            | Op::Softmax => Ok(()),
        }
    }
}

impl Display for Graph {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} {}", self.name, dims(&self.input_shape()))?;
        for (id, node) in self.iter().skip(1) {
            write!(f, "%{} = {}", id.0, node.op)?;
            for input in &node.inputs {
                write!(f, " %{}", input.0)?;
            }
            write!(f, " -> {}", dims(&node.shape))?;
            if !node.path.is_empty() {
                write!(f, "  {}", node.path)?;
            }
            writeln!(f)?;
        }
        for feature in self.features() {
            writeln!(f, "feature %{} {}", feature.node.0, feature.name)?;
        }
        for head in self.auxiliary() {
            writeln!(f, "auxiliary %{} weight {}", head.node.0, head.weight)?;
        }
        for Output { name, node } in self.outputs() {
            let name = if name == Output::NAME { String::new() } else { format!(" {name}") };
            writeln!(f, "output %{}{name}", node.0)?;
        }
        Ok(())
    }
}
