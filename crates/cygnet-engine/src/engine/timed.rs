//! The parts of a training step, each with its time.

use std::time::Duration;

use cygnet_gradient::{Params, Run};
use cygnet_graph::NodeId;

use super::{Engine, Passes, StepOutcome};
use crate::EngineError;
use crate::plan::Mode;

/// A part of a training step, one of those that all threads share before they go on to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineStep {
    /// What computes it, such as `depthwise 3x3/2 backward`.
    pub kernel: String,
    /// The node that it is there for.
    pub node: NodeId,
    /// Whether it is part of the backward pass, which begins with the loss.
    pub is_backward: bool,
    /// Multiply-accumulates.
    pub macs: u64,
    /// Bytes of values, gradients and weights that it reads and writes, each once.
    pub bytes: u64,
}

impl Engine {
    /// The parts of a training step, in order.
    ///
    /// # Errors
    /// If a batch norm has a single value to learn from or memory does not suffice.
    pub fn steps(&mut self) -> Result<Vec<EngineStep>, EngineError> {
        let Engine { graph, options, lists, train, resources, .. } = self;
        let passes = Passes::of(train, graph, options, lists, Mode::Train, resources.threads())?;
        let level = passes.program.level();
        let steps = passes.program.steps().iter().zip(&passes.origins).map(|(step, origin)| EngineStep {
            kernel: step.to_string(),
            node: origin.node,
            is_backward: origin.is_backward,
            macs: step.macs(),
            bytes: step.bytes(level),
        });
        Ok(steps.collect())
    }

    /// As [`Engine::step`]; adds to `times` what each of [`Engine::steps`] took until all threads had done their part.
    ///
    /// # Errors
    /// As [`Engine::step`], or if there is not a time for each step.
    #[allow(clippy::too_many_arguments, reason = "those of a step, and its times")]
    pub fn step_timed(
        &mut self,
        params: &mut [Vec<f32>],
        images: &[f32],
        targets: &[f32],
        seed: u64,
        gradients: &mut [Vec<f32>],
        scale: f32,
        times: &mut [Duration],
    ) -> Result<StepOutcome<'_>, EngineError> {
        self.check_step(params, images, targets, gradients)?;
        let steps = self.steps()?.len();
        super::check("the list of times", steps, times.len())?;
        let run = Run { params: Params::Change(params), gradients, images, targets, seed, scale };
        let loss = self.run(Mode::Train, run, Some(times))?;
        Ok(StepOutcome { loss, logits: &self.logits })
    }
}
