//! A graph differentiated into a static plan of forward and backward steps.

use std::num::NonZeroUsize;

use cygnet_graph::Graph;
use cygnet_kernels::Level;

use crate::TrainError;

/// How a graph is trained.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Images of one micro-batch.
    pub batch: usize,
    /// Threads that share a step; results do not depend on their number.
    pub threads: NonZeroUsize,
    /// Instruction set.
    pub level: Level,
    /// Whether batch norm uses its running statistics and leaves them alone; scale and shift learn all the same.
    pub frozen_batch_norm: bool,
    /// Weight of a batch's statistics in the running ones (PyTorch's convention).
    pub batch_norm_momentum: f32,
    /// For each parameter of the graph, whether its gradient is wanted; the backward pass ends below the first.
    /// Empty means every parameter that learns.
    pub trainable: Vec<bool>,
    /// Probability of dropping the last residual branch of an image; falls linearly to none at the first.
    pub stochastic_depth: f32,
    /// Whether dropout acts.
    pub dropout: bool,
}

impl EngineOptions {
    /// `batch` images on one thread with the best instruction set; everything learns.
    #[must_use]
    pub fn new(batch: usize) -> EngineOptions {
        EngineOptions {
            batch,
            threads: NonZeroUsize::MIN,
            level: Level::best(),
            frozen_batch_norm: false,
            batch_norm_momentum: 0.1,
            trainable: Vec::new(),
            stochastic_depth: 0.0,
            dropout: true,
        }
    }
}

/// What a step computed.
#[derive(Clone, Copy, Debug)]
pub struct StepOutcome<'a> {
    /// Mean cross-entropy against the targets.
    pub loss: f64,
    /// `[batch, classes]`, before softmax.
    pub logits: &'a [f32],
}

/// A graph made ready for training: a plan, its memory and its threads.
#[derive(Debug)]
pub struct Engine {
    options: EngineOptions,
}

impl Engine {
    /// Plans the steps and takes the memory.
    ///
    /// # Errors
    /// If a setting makes no sense, memory does not suffice or threads cannot be started.
    pub fn new(graph: &Graph, options: EngineOptions) -> Result<Engine, TrainError> {
        let _ = graph;
        Ok(Engine { options })
    }

    /// Bytes that [`Engine::new`] would take.
    #[must_use]
    pub fn memory_bytes(graph: &Graph, options: &EngineOptions) -> u64 {
        let _ = (graph, options);
        0
    }

    /// The settings.
    #[must_use]
    pub fn options(&self) -> &EngineOptions {
        &self.options
    }

    /// One forward and backward pass over a micro-batch.
    ///
    /// `params` and `gradients` hold one vector for each of [`Graph::params`], in its order; those of parameters that
    /// are not trained may be empty in `gradients`. `images` is `[batch, channels, height, width]`, `targets` the
    /// probabilities `[batch, classes]`. `scale` times the gradient of the mean loss is added to `gradients`; running
    /// statistics in `params` move. Masks of dropout and stochastic depth follow from `seed`.
    ///
    /// # Errors
    /// If a tensor has the wrong number of elements.
    pub fn step(
        &mut self,
        params: &mut [Vec<f32>],
        images: &[f32],
        targets: &[f32],
        seed: u64,
        gradients: &mut [Vec<f32>],
        scale: f32,
    ) -> Result<StepOutcome<'_>, TrainError> {
        let _ = (params, images, targets, seed, gradients, scale);
        Ok(StepOutcome { loss: 0.0, logits: &[] })
    }

    /// The logits `[batch, classes]` in evaluation mode: running statistics, no dropout.
    ///
    /// # Errors
    /// If a tensor has the wrong number of elements.
    pub fn forward(&mut self, params: &[Vec<f32>], images: &[f32]) -> Result<&[f32], TrainError> {
        let _ = (params, images);
        Ok(&[])
    }
}
