//! How much a network would miss of its groups of channels.

use cygnet_graph::{Channels, Role};
use cygnet_weights::{Misfit, WeightSet, Weights};

use crate::PruneError;

/// By what channels are ranked. Those by gradients are in [`first_order`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Criterion {
    /// The sum of the absolute weights of a channel's filters (Li et al. 2016), over the mean of those of its layer.
    L1,
    /// The Euclidean norm of a channel's filters, as NetAdapt has it (Yang et al. 2018), over the mean of those of its layer.
    L2,
    /// The absolute scales of a channel's batch norms (network slimming, Liu et al. 2017).
    Gamma,
}

/// The importance of each group of channels by its weights; 0 for groups that no layer with such weights makes. Of a group
/// that several layers make it is the sum.
///
/// # Errors
/// If weights are missing, or there are no scales to go by.
pub fn importance(
    channels: &Channels,
    weights: &WeightSet,
    criterion: Criterion,
) -> Result<Vec<f64>, PruneError> {
    let graph = channels.graph();
    let lists = weights.select(graph)?;
    let mut sums = vec![0.0; channels.len()];
    let mut any = false;
    for (param, list) in graph.params().iter().zip(&lists) {
        let groups = channels.groups_of(param.node);
        let rows = list.chunks_exact((list.len() / groups.len()).max(1));
        let values: Vec<f64> = match (criterion, param.role) {
            (Criterion::L1, Role::Weight) => {
                rows.map(|row| row.iter().map(|&w| f64::from(w).abs()).sum()).collect()
            }
            (Criterion::L2, Role::Weight) => {
                rows.map(|row| row.iter().map(|&w| f64::from(w).powi(2)).sum::<f64>().sqrt()).collect()
            }
            (Criterion::Gamma, Role::NormWeight) => {
                list.iter().map(|&scale| f64::from(scale).abs()).collect()
            }
            (
                Criterion::L1 | Criterion::L2 | Criterion::Gamma,
                Role::Weight
                | Role::Bias
                | Role::NormWeight
                | Role::NormBias
                | Role::NormMean
                | Role::NormVar,
            ) => continue,
        };
        any = true;
        let mean = match criterion {
            Criterion::Gamma => 1.0,
            Criterion::L1 | Criterion::L2 => values.iter().sum::<f64>() / values.len() as f64,
        };
        let scale = if mean > 0.0 { mean.recip() } else { 0.0 };
        groups.iter().zip(values).for_each(|(&group, value)| sums[group] += value * scale);
    }
    if any { Ok(sums) } else { Err(PruneError::NoScales { graph: graph.name().into() }) }
}

/// By how much the loss would change, to first order, if each group of channels were zero (Molchanov et al. 2019, equation 8 on
/// the gates of batch norms): the square of the sum of gradients times parameters. The parameters are the scales and shifts of
/// the group's batch norms, or where there are none filters and biases. `gradients` are those of one batch, in the order of
/// the graph's parameters; of several batches take the mean.
///
/// # Errors
/// If weights or gradients are not those of the graph.
pub fn first_order(
    channels: &Channels,
    weights: &[Vec<f32>],
    gradients: &Weights,
) -> Result<Vec<f64>, PruneError> {
    let graph = channels.graph();
    let params = graph.params();
    if [weights.len(), gradients.len()] != [params.len(); 2] {
        let given = if weights.len() == params.len() { gradients.len() } else { weights.len() };
        return Err(Misfit::Count { wanted: params.len(), given }.into());
    }
    let mut normed = vec![false; channels.len()];
    let is_norm = |role: Role| matches!(role, Role::NormWeight | Role::NormBias);
    for param in params.iter().filter(|param| is_norm(param.role)) {
        channels.groups_of(param.node).iter().for_each(|&group| normed[group] = true);
    }
    let mut sums = vec![0.0; channels.len()];
    for ((param, weights), gradients) in params.iter().zip(weights).zip(gradients) {
        let wanted: usize = param.shape.iter().product();
        if let Some(given) = [weights.len(), gradients.len()].into_iter().find(|&given| given != wanted) {
            let (name, wanted) = (param.name.clone(), param.shape.clone());
            return Err(Misfit::Size { name, wanted, given }.into());
        }
        if !param.role.is_learnt() {
            continue;
        }
        let groups = channels.groups_of(param.node);
        let each = (wanted / groups.len()).max(1);
        for ((&group, weights), gradients) in
            groups.iter().zip(weights.chunks_exact(each)).zip(gradients.chunks_exact(each))
        {
            if normed[group] == is_norm(param.role) {
                let products = weights.iter().zip(gradients).map(|(&w, &g)| f64::from(w) * f64::from(g));
                sums[group] += products.sum::<f64>();
            }
        }
    }
    Ok(sums.into_iter().map(|sum| sum * sum).collect())
}
