//! Networks of whole numbers at once, to learn how fast they are: values reach as far as they did on a few images, and every
//! weight is rounded to its nearest integer.

use cygnet_graph::{Graph, NodeId, Op, Param, Role};
use cygnet_runtime::PlanOptions;
use cygnet_weights::{Dtype, Grid, Quantization, Tensor, WeightGrid, WeightSet};

use crate::calibrate::{least_scale, ranges};
use crate::network::{Network, each, numbers_of};
use crate::places::Places;
use crate::rounding::nearest_integers;
use crate::survey::{Asked, Survey};
use crate::{QuantizeError, QuantizedNetwork, folded, memory};

/// The weights of a layer as integers.
struct Integers {
    param: Param,
    grid: WeightGrid,
    tensor: Tensor,
}

/// Quantises a network by the ranges of a few images, without a look at what is lost: in seconds, to time it. Answers of the
/// result and the layers' sensitivity are left out.
///
/// # Errors
/// As [`quantize`](crate::quantize).
pub fn quantize_plainly(
    graph: &Graph,
    weights: &WeightSet,
    images: &[Vec<f32>],
    plan: PlanOptions,
    threads: usize,
) -> Result<QuantizedNetwork, QuantizeError> {
    if images.is_empty() {
        return Err(QuantizeError::NoImages { graph: graph.name().into() });
    }
    let (graph, mut weights) = folded(graph, weights)?;
    let places = Places::of(&graph, &vec![false; graph.nodes().len()]);
    let threads = memory::threads(&graph, &places, Asked::Ends, images.len(), threads, None)?;
    let network = Network::new(&graph, &weights, plan)?;
    let survey = Survey::new(&network, images, &places.has_grid, Asked::Ends, threads)?;
    survey.finite(&graph)?;
    let mut record = ranges(&graph, &places, &survey, threads)?;
    round_weights(&graph, &mut weights, &mut record, &places.is_layer, threads)?;
    let outputs = [survey.outputs, Vec::new()];
    let (sensitivity, distributions) = (Vec::new(), Vec::new());
    Ok(QuantizedNetwork { graph, weights, quantization: record, outputs, sensitivity, distributions })
}

/// Rounds the weights of layers to the nearest integers; their scales are added to the record of values.
pub(crate) fn round_weights(
    graph: &Graph,
    weights: &mut WeightSet,
    record: &mut Quantization,
    is_layer: &[bool],
    threads: usize,
) -> Result<(), QuantizeError> {
    let grids = record.grids(graph);
    let mut layers: Vec<(NodeId, &Grid)> = graph
        .iter()
        .filter(|(id, _)| is_layer[id.0])
        .filter_map(|(id, node)| Some((id, grids[node.inputs[0].0].as_ref()?)))
        .collect();
    let rounded = each(
        threads,
        &mut layers,
        || (),
        |(), _, (id, input)| Ok::<_, QuantizeError>(rounded(graph, weights, *id, input)),
    )?;
    for Integers { param, grid, tensor } in rounded.into_iter().flatten() {
        record.weights.insert(param.name.clone(), grid);
        weights.insert(param.name, tensor);
    }
    Ok(())
}

/// A layer's weights to the nearest integers, in steps of the grid that its input is on.
fn rounded(graph: &Graph, weights: &WeightSet, layer: NodeId, input: &Grid) -> Option<Integers> {
    let param = graph.node_param(layer, Role::Weight)?;
    let [real, bias] = [Role::Weight, Role::Bias].map(|role| numbers_of(graph, weights, layer, role));
    let outputs = param.shape[0];
    let terms = real.len() / outputs.max(1);
    // Only where a group has inputs of its own do rows differ in which channels they multiply.
    let of_row = |row: usize| -> Vec<f64> {
        (0..terms).map(|i| input.scale(graph.input_channel(&param, row * terms + i)).into()).collect()
    };
    let is_grouped = matches!(&graph.node(layer).op, Op::Conv(conv) if conv.groups > 1);
    let mut scales_of_inputs = of_row(0);
    let (mut integers, mut scales) = (Vec::with_capacity(real.len()), Vec::with_capacity(outputs));
    for (row, weights) in real.chunks_exact(terms.max(1)).enumerate() {
        if is_grouped {
            scales_of_inputs = of_row(row);
        }
        let steps: Vec<f64> = weights.iter().zip(&scales_of_inputs).map(|(&w, s)| f64::from(w) * s).collect();
        let least = least_scale(bias.get(row).copied().unwrap_or_default());
        let (row, scale) = nearest_integers(&steps, least);
        integers.extend(row.into_iter().map(i8::cast_unsigned));
        scales.push(scale);
    }
    let tensor = Tensor::new(param.shape.clone(), Dtype::I8, integers).ok()?;
    Some(Integers { param, grid: WeightGrid { scales, zeros: Vec::new() }, tensor })
}
