//! What is timed: a network with weights, in the numbers that it computes with.

use std::sync::Arc;

use cygnet_graph::Graph;
use cygnet_runtime::{Plan, PlanOptions};
use cygnet_weights::{Quantization, WeightSet};

use super::inputs::random_weights;
use crate::halves::halved;
use crate::model::{misfit, plan_of, real_weights_of};
use crate::{Error, Model};

/// A network with weights.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The network.
    pub graph: Graph,
    /// Its parameters.
    pub weights: WeightSet,
    /// What their integers stand for, if it computes with whole numbers.
    pub quantization: Option<Quantization>,
}

impl From<Model> for Subject {
    fn from(Model { graph, weights, quantization, .. }: Model) -> Subject {
        Subject { graph, weights, quantization }
    }
}

impl Subject {
    /// A network with weights that a formula makes of their names.
    ///
    /// # Errors
    /// If the formula does not know a parameter.
    pub fn random(graph: Graph) -> Result<Subject, Error> {
        let weights = WeightSet::of(&graph, random_weights(&graph)).map_err(misfit(&graph))?;
        Ok(Subject { graph, weights, quantization: None })
    }

    /// Its plan.
    ///
    /// # Errors
    /// As [`Model::plan_with`].
    pub fn plan(&self, options: PlanOptions) -> Result<Arc<Plan>, Error> {
        plan_of(&self.graph, &self.weights, self.quantization.as_ref(), options)
    }

    /// The same network in f32.
    #[must_use]
    pub fn in_floating_point(self) -> Subject {
        let weights = real_weights_of(&self.graph, &self.weights, self.quantization.as_ref());
        Subject { weights, quantization: None, ..self }
    }

    /// The same network in bf16.
    #[must_use]
    pub fn in_bf16(self) -> Subject {
        let subject = self.in_floating_point();
        Subject { weights: halved(&subject.graph, &subject.weights), ..subject }
    }

    /// The same network in whole numbers: as it is, if it computes with them; else with the ranges of generated images and
    /// weights to the nearest, which tells how fast it is and not how accurate. `threads` change no result.
    ///
    /// # Errors
    /// If its answers are not finite.
    #[cfg(feature = "train")]
    pub fn in_whole_numbers(self, threads: usize) -> Result<Subject, Error> {
        /// Images that are looked at.
        const IMAGES: usize = 2;
        if self.quantization.is_some() {
            return Ok(self);
        }
        let images = crate::quantize::generated(&self.graph, IMAGES);
        let plan = PlanOptions::default();
        let made = cygnet_quantize::quantize_plainly(&self.graph, &self.weights, &images, plan, threads)?;
        let cygnet_quantize::QuantizedNetwork { graph, weights, quantization, .. } = made;
        let weights = cygnet_runtime::halved_once_read(&graph, weights);
        Ok(Subject { graph, weights, quantization: Some(quantization) })
    }
}
