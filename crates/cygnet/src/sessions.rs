//! Sessions of one plan for any number of threads.

use std::sync::{Arc, Mutex, PoisonError};

use cygnet_runtime::{Plan, RunError, Session};

/// A plan with the sessions that no thread uses now.
#[derive(Debug)]
pub(crate) struct Sessions {
    plan: Arc<Plan>,
    idle: Mutex<Vec<Session>>,
    /// Whether sessions stay when their thread has its answer.
    stay: bool,
}

impl Sessions {
    pub(crate) fn new(plan: Arc<Plan>) -> Sessions {
        Sessions { plan, idle: Mutex::default(), stay: true }
    }

    /// As [`Sessions::new`], whose memory is given back after each answer.
    #[cfg(feature = "train")]
    pub(crate) fn passing(plan: Arc<Plan>) -> Sessions {
        Sessions { stay: false, ..Sessions::new(plan) }
    }

    /// Gives back the memory of sessions that no thread uses now.
    #[cfg(feature = "train")]
    pub(crate) fn rest(&self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Shape of the network's output.
    pub(crate) fn output_shape(&self) -> &[usize] {
        let graph = self.plan.graph();
        &graph.node(graph.output()).shape
    }

    /// The output for an input tensor `[channels, height, width]`.
    pub(crate) fn run(&self, input: &[f32]) -> Result<Vec<f32>, RunError> {
        self.with(|session| {
            let mut output = vec![0.0; session.outputs()];
            session.run(input, &mut output).map(|()| output)
        })
    }

    /// The values of all features, of a plan that keeps them.
    pub(crate) fn run_features(&self, input: &[f32]) -> Result<Vec<f32>, RunError> {
        self.with(|session| {
            let (mut output, mut features) = (vec![0.0; session.outputs()], vec![0.0; session.features()]);
            session.run_with_features(input, &mut output, &mut features).map(|()| features)
        })
    }

    /// Does something with a session of the calling thread's own.
    fn with<T>(&self, work: impl FnOnce(&mut Session) -> Result<T, RunError>) -> Result<T, RunError> {
        let lock = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = lock().pop();
        let mut session = idle.unwrap_or_else(|| Session::new(Arc::clone(&self.plan)));
        let result = work(&mut session)?;
        if self.stay {
            lock().push(session);
        }
        Ok(result)
    }
}
