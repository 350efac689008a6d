//! What a plan does, without weights: its steps, the nodes that each computes, and its memory.

use std::fmt::{self, Display, Formatter};
use std::ops::Range;

use cygnet_graph::Graph;
use cygnet_kernels::Element;

use super::key::{StepKey, StepValue, dims};
use super::rules::StepNode;

/// One kernel at work: on one node and all that joined it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanStep {
    /// What computes it, and on what sizes.
    pub key: StepKey,
    /// The nodes whose values are there after it, in the order they joined; none for a copy.
    pub nodes: Vec<StepNode>,
    /// Shape of what it writes, `[channels, height, width]` or `[features]`.
    pub shape: Vec<usize>,
    /// Multiply-accumulates.
    pub macs: u64,
    /// Bytes of values it reads.
    pub bytes_read: u64,
    /// Bytes of values it writes.
    pub bytes_written: u64,
    /// Bytes of weights, before they are packed.
    pub weight_bytes: u64,
    /// Its calls among the program's.
    pub calls: Range<usize>,
}

impl PlanStep {
    /// The path, or else the operator, of the node it is there for; empty for a copy.
    #[must_use]
    pub fn name<'g>(&self, graph: &'g Graph) -> &'g str {
        let nodes = || self.nodes.iter().map(|node| graph.node(node.id));
        let named = nodes().map(|node| node.path.as_str()).find(|path| !path.is_empty());
        named.or_else(|| nodes().next().map(|node| node.op.name())).unwrap_or_default()
    }
}

/// A place in the arena that values lie in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanBuffer {
    /// Bytes of the arena.
    pub bytes: Range<usize>,
    /// The calls from its first write to its last read.
    pub calls: Range<usize>,
}

/// Steps and memory of a [`Plan`](crate::Plan).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outline {
    pub(super) steps: Vec<PlanStep>,
    pub(super) buffers: Vec<PlanBuffer>,
    pub(super) arena_bytes: usize,
    pub(super) lower_bound_bytes: usize,
}

impl Outline {
    /// What is done, in order.
    #[must_use]
    pub fn steps(&self) -> &[PlanStep] {
        &self.steps
    }

    /// Where values lie. Buffers whose calls overlap do not overlap in memory.
    #[must_use]
    pub fn buffers(&self) -> &[PlanBuffer] {
        &self.buffers
    }

    /// Bytes of the arena.
    #[must_use]
    pub fn arena_bytes(&self) -> usize {
        self.arena_bytes
    }

    /// Bytes that must be there at once whatever their places are: the most over all steps, of values that are written
    /// and still to be read, without padding.
    #[must_use]
    pub fn lower_bound_bytes(&self) -> usize {
        self.lower_bound_bytes
    }

    /// Bytes of weights, before they are packed.
    #[must_use]
    pub fn weight_bytes(&self) -> u64 {
        self.steps.iter().map(|step| step.weight_bytes).sum()
    }
}

impl Display for Outline {
    /// A line a step: kernel, shape, and nodes, each with the rule that made it part of the step; what it reads and writes if
    /// these are not f32s.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            write!(f, "{}", step.key.kernel)?;
            write_type(f, step.key.inputs.first())?;
            write!(f, " -> {}", dims(&step.shape))?;
            write_type(f, Some(&step.key.output))?;
            for node in &step.nodes {
                write!(f, "  %{}", node.id.0)?;
                node.rule.map_or(Ok(()), |rule| write!(f, " {}", rule.name()))?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// Names what a value is stored as, if that is not f32.
fn write_type(f: &mut Formatter<'_>, value: Option<&StepValue>) -> fmt::Result {
    match value.map(|value| value.element) {
        None | Some(Element::F32) => Ok(()),
        Some(element) => write!(f, " {}", element.name()),
    }
}
