//! What a network computes with, of the weights that are trained.

use cygnet_graph::Graph;
use cygnet_weights::{ModelFile, Quantization, WeightSet};

/// What a network computes with: numbers, or integers and what they stand for.
#[derive(Clone, Debug)]
pub(crate) struct Numbers {
    pub(crate) weights: WeightSet,
    pub(crate) quantization: Option<Quantization>,
}

impl From<&WeightSet> for Numbers {
    fn from(weights: &WeightSet) -> Numbers {
        Numbers { weights: weights.clone(), quantization: None }
    }
}

impl Numbers {
    /// What a model file has.
    pub(crate) fn of_file(file: ModelFile, graph: &Graph) -> Result<Numbers, String> {
        let ModelFile { record, mut tensors } = file;
        let quantization = record
            .quantization
            .map(|form| Quantization::take(&form, &mut tensors, graph))
            .transpose()
            .map_err(|error| error.to_string())?;
        let weights = WeightSet::from(tensors).part(graph).map_err(|error| error.to_string())?;
        if let Some(quantization) = &quantization {
            quantization.check(graph, &weights).map_err(|error| error.to_string())?;
        }
        Ok(Numbers { weights, quantization })
    }
}
