//! What joined a layer as numbers: a factor for the weights of each output channel, and its bias.

use cygnet_graph::BatchNorm;

use super::rules::{Affine, Layer};

/// Parameters by node.
pub(super) type Params<'p> = [Vec<&'p [f32]>];

impl Affine<'_> {
    /// Those of some channels.
    pub(super) fn factors(&self, params: &Params<'_>, channels: &[usize]) -> [Vec<f32>; 2] {
        let pick =
            |list: &[f32]| channels.iter().map(|&c| list[if list.len() == 1 { 0 } else { c }]).collect();
        match *self {
            Affine::BatchNorm(id, norm) => batch_norm(&params[id.0], norm, channels),
            Affine::Constant { scale, shift } => [scale, shift].map(pick),
        }
    }
}

/// Batch norm with running statistics as a factor and a term for each of some channels.
fn batch_norm(params: &[&[f32]], norm: &BatchNorm, channels: &[usize]) -> [Vec<f32>; 2] {
    let (weight, rest) = if norm.scale { (params[0], &params[1..]) } else { (&[][..], params) };
    let [bias, mean, var] = [rest[0], rest[1], rest[2]];
    let (scale, shift) = channels
        .iter()
        .map(|&c| {
            let deviation = (f64::from(var[c]) + norm.eps).sqrt();
            let scale = weight.get(c).map_or(1.0, |&w| f64::from(w)) / deviation;
            (scale as f32, (f64::from(bias[c]) - f64::from(mean[c]) * scale) as f32)
        })
        .unzip();
    [scale, shift]
}

impl Layer<'_> {
    /// The layer's weight as it was given, `[outputs, in / groups, kernel rows, kernel columns]`.
    pub(super) fn weight<'p>(&self, params: &Params<'p>) -> &'p [f32] {
        params[self.first().0][0]
    }

    /// What the weights of some output channels are multiplied by, and their biases.
    pub(super) fn factors(&self, params: &Params<'_>, channels: &[usize]) -> [Vec<f32>; 2] {
        let own = params[self.first().0].get(1);
        let mut scale = vec![1.0; channels.len()];
        let mut bias: Vec<f32> = channels.iter().map(|&c| own.map_or(0.0, |bias| bias[c])).collect();
        for fold in &self.folds {
            let [by, shift] = fold.factors(params, channels);
            for i in 0..channels.len() {
                scale[i] *= by[i];
                bias[i] = bias[i] * by[i] + shift[i];
            }
        }
        [scale, bias]
    }

    /// A copy of the weights of some output channels of `outputs`, multiplied, and their biases.
    pub(super) fn scaled(
        &self,
        params: &Params<'_>,
        outputs: usize,
        channels: &[usize],
    ) -> (Vec<f32>, Vec<f32>) {
        let [scale, bias] = self.factors(params, channels);
        let weight = self.weight(params);
        let each = weight.len() / outputs;
        let of = |(&c, by): (&usize, f32)| weight[c * each..][..each].iter().map(move |weight| weight * by);
        (channels.iter().zip(scale).flat_map(of).collect(), bias)
    }
}
