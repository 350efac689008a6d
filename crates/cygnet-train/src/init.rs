//! Weights to start from.

use cygnet_graph::{Graph, Op, Role};
use cygnet_image::Rng;
use cygnet_weights::Weights;

/// Random weights for training from scratch, in the order of [`Graph::params`]: convolutions normal with variance
/// `2 / fan_out` (He et al. 2015, with the fan of a group, as timm's MobileNets), linear layers uniform with variance
/// `1 / (3 fan_in)` (PyTorch's default), biases zero, batch norms the identity. A convolution with a bias has no batch
/// norm to mend its scale: its variance is `2 / fan_in`, and as the classifier 0.0001, as in torchvision's SqueezeNets.
#[must_use]
pub fn initial_weights(graph: &Graph, seed: u64) -> Weights {
    let params = graph.params();
    let classifiers = graph.classifiers();
    let values = params.iter().enumerate().map(|(number, param)| {
        let count: usize = param.shape.iter().product();
        let mut rng = Rng::keyed(&[seed, 0x1417, number as u64]);
        match param.role {
            Role::Bias | Role::NormBias | Role::NormMean => vec![0.0; count],
            Role::NormWeight | Role::NormVar => vec![1.0; count],
            Role::Weight => {
                let op = &graph.node(param.node).op;
                if let Op::Conv(conv) = op {
                    let fan_out = conv.out / conv.groups * conv.kernel[0] * conv.kernel[1];
                    let fan_in: usize = param.shape[1..].iter().product();
                    let deviation = match (conv.bias, classifiers.contains(&param.node)) {
                        (false, _) => (2.0 / fan_out as f64).sqrt(),
                        (true, false) => (2.0 / fan_in as f64).sqrt(),
                        (true, true) => 0.01,
                    };
                    (0..count).map(|_| (rng.normal() * deviation) as f32).collect()
                } else {
                    let bound = 1.0 / (param.shape[1..].iter().product::<usize>() as f64).sqrt();
                    (0..count).map(|_| rng.between(-bound, bound) as f32).collect()
                }
            }
        }
    });
    values.collect()
}
