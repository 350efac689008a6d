//! Networks whose layers have weights in bf16.

use cygnet_graph::{Graph, Param, Role};
use cygnet_runtime::PlanOptions;
use cygnet_weights::{Dtype, Tensor, Tensors, WeightSet};

/// The weights of layers.
fn layers(graph: &Graph) -> impl Iterator<Item = Param> {
    graph.params().into_iter().filter(|param| param.role == Role::Weight)
}

/// Whether the weights of all layers are bf16, and there are layers.
pub(crate) fn is_bf16(graph: &Graph, weights: &WeightSet) -> bool {
    let mut types = layers(graph).map(|param| weights.get(&param.name).map(Tensor::dtype)).peekable();
    types.peek().is_some() && types.all(|dtype| dtype == Some(Dtype::BF16))
}

/// How a network in floating point is planned: in bf16 if its weights are.
pub(crate) fn options(graph: &Graph, weights: &WeightSet, options: PlanOptions) -> PlanOptions {
    PlanOptions { bf16: options.bf16 || is_bf16(graph, weights), ..options }
}

/// Weights that were made of a file's tensors, with those of layers as they are in the file where they are bf16.
pub(crate) fn kept(graph: &Graph, tensors: &Tensors, mut weights: WeightSet) -> WeightSet {
    for param in layers(graph) {
        let tensor = tensors.get(&param.name).filter(|tensor| tensor.dtype() == Dtype::BF16);
        if let Some(Ok(tensor)) = tensor.map(|tensor| tensor.reshape(param.shape)) {
            weights.insert(param.name, tensor);
        }
    }
    weights
}

/// The weights with those of layers in bf16.
pub(crate) fn halved(graph: &Graph, weights: &WeightSet) -> WeightSet {
    of_type(graph, weights, Tensor::as_bf16)
}

/// The weights with those of layers in f32, if they are bf16.
pub(crate) fn widened(graph: &Graph, weights: &WeightSet) -> WeightSet {
    if is_bf16(graph, weights) { of_type(graph, weights, Tensor::as_f32) } else { weights.clone() }
}

fn of_type(graph: &Graph, weights: &WeightSet, as_type: fn(&Tensor) -> Tensor) -> WeightSet {
    let mut all = weights.clone();
    for param in layers(graph) {
        if let Some(tensor) = weights.get(&param.name) {
            all.insert(param.name, as_type(tensor));
        }
    }
    all
}
