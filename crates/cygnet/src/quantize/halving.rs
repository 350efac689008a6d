//! Weights in bf16, but those of layers that would lose more than may be.

use cygnet_graph::{NodeId, Role};
use cygnet_quantize::{COMPARED, Loss, ROUNDS, Sensitivity, more_real, noise, worst};
use cygnet_runtime::Session;
use cygnet_weights::WeightSet;

use crate::halves::halved;
use crate::{Error, Model};

/// The weights of a model with those of layers in bf16, as many of them as lose no more than `drop` points on images, beyond
/// chance, and what the rounding of each alone does if some had to stay. `before` has the model's answers.
///
/// # Errors
/// If the model cannot be run.
pub(super) fn halved_within(
    drop: f64,
    model: &Model,
    images: &[Vec<f32>],
    labels: &[usize],
    before: &[Vec<f32>],
    tell: &mut dyn FnMut(&str),
) -> Result<(WeightSet, Vec<Sensitivity>), Error> {
    let all = halved(&model.graph, &model.weights);
    let mut weights = all.clone();
    let mut order: Vec<Sensitivity> = Vec::new();
    let mut real = 0;
    for round in 0..=ROUNDS {
        let after = answers(model, &weights, images)?;
        if !Loss::of(before, &after, labels).exceeds(drop / 100.0) || round == ROUNDS {
            break;
        }
        tell("more is lost than may be: the most sensitive layers stay in f32");
        if order.is_empty() {
            let count = images.len().min(COMPARED);
            order = sensitivity(model, &all, &images[..count], &before[..count])?;
        }
        real += more_real(order.len(), round);
        weights = all.clone();
        let stay = worst(&order, |_| true).into_iter().take(real);
        stay.for_each(|layer| take(&mut weights, model, layer.node, &model.weights));
    }
    Ok((weights, order))
}

/// The answers of a model with other weights.
fn answers(model: &Model, weights: &WeightSet, images: &[Vec<f32>]) -> Result<Vec<Vec<f32>>, Error> {
    let model = Model { weights: weights.clone(), ..model.clone() };
    super::answers(&mut Session::new(model.plan()?), images)
}

/// Gives a layer the weights that it has among others.
fn take(weights: &mut WeightSet, model: &Model, layer: NodeId, from: &WeightSet) {
    let param = model.graph.node_param(layer, Role::Weight);
    let tensor = param.as_ref().and_then(|param| from.get(&param.name)).cloned();
    if let Some((param, tensor)) = param.zip(tensor) {
        weights.insert(param.name, tensor);
    }
}

/// What the answers lose if the weights of one layer alone are rounded.
fn sensitivity(
    model: &Model,
    halved: &WeightSet,
    images: &[Vec<f32>],
    before: &[Vec<f32>],
) -> Result<Vec<Sensitivity>, Error> {
    let layers = model.graph.iter().filter(|(_, node)| node.op.facts().is_weighted);
    let mut all = Vec::new();
    for (id, node) in layers {
        let mut weights = model.weights.clone();
        take(&mut weights, model, id, halved);
        let after = answers(model, &weights, images)?;
        let sum: f64 = before.iter().zip(&after).map(|(before, after)| noise(before, after)).sum();
        let noise = sum / images.len().max(1) as f64;
        all.push(Sensitivity { node: id, path: node.path.clone(), noise });
    }
    Ok(all)
}
