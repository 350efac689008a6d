//! A plan with memory to run in.

use std::sync::Arc;

use cygnet_kernels::Arena;

use crate::{Plan, RunError};

/// Runs a [`Plan`] on one image at a time. Make one a thread; they share the plan and its weights. Running allocates
/// nothing.
#[derive(Debug)]
pub struct Session {
    plan: Arc<Plan>,
    arena: Arena,
}

impl Session {
    /// Takes the memory that the plan needs.
    #[must_use]
    pub fn new(plan: Arc<Plan>) -> Session {
        Session { arena: plan.program().arena(), plan }
    }

    /// The plan.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Numbers of the output.
    #[must_use]
    pub fn outputs(&self) -> usize {
        let map = self.plan.output();
        map.channels * map.height * map.width
    }

    /// Computes the network's output for an image `[channels, height, width]`.
    ///
    /// # Errors
    /// If the image or `output` has the wrong number of elements.
    pub fn run(&mut self, image: &[f32], output: &mut [f32]) -> Result<(), RunError> {
        let shape = self.plan.graph().input_shape();
        let wanted = shape.iter().product();
        if image.len() != wanted {
            return Err(RunError::ImageSize { shape, wanted, given: image.len() });
        }
        if output.len() != self.outputs() {
            return Err(RunError::OutputSize { wanted: self.outputs(), given: output.len() });
        }
        self.plan.program().run(&mut self.arena, image);
        self.arena.read(self.plan.output(), output);
        Ok(())
    }
}
