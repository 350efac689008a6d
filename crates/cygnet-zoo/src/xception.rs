//! Xception: depthwise separable convolutions all through (Chollet 2016, arXiv 1610.02357).
//!
//! Names are timm's `legacy_xception`. It keeps PyTorch's batch-norm epsilon and pads its max pooling on all sides;
//! Keras', the author's, has 1e-3 and pads by TensorFlow's rule.

use cygnet_graph::{Conv, Padding, Pool, Scope, Value};

use crate::{Built, Spec};

/// Widths of a block's separable convolutions, and its stride.
const BLOCKS: [(&[usize], usize); 12] = [
    // figure 5 of the paper
    (&[128, 128], 2),
    (&[256, 256], 2),
    (&[728, 728], 2),
    (&[728; 3], 1),
    (&[728; 3], 1),
    (&[728; 3], 1),
    (&[728; 3], 1),
    (&[728; 3], 1),
    (&[728; 3], 1),
    (&[728; 3], 1),
    (&[728; 3], 1),
    (&[728, 1024], 2),
];

/// timm's and pytorchcv's version.
pub fn xception(spec: &Spec) -> Built {
    network(spec, 1e-5, Padding::symmetric(1, 1))
}

/// Keras' version.
pub fn xception_keras(spec: &Spec) -> Built {
    network(spec, 1e-3, Padding::Same)
}

fn network(spec: &Spec, eps: f64, pool_padding: Padding) -> Built {
    let pool = Pool::max(3, 2).padding(pool_padding);
    spec.build(|net, image| {
        let net = net.batch_norm_eps(eps);
        let norm = |number: usize, x| net.at(format!("bn{number}")).batch_norm(x).relu();
        let mut x = norm(1, net.at("conv1").conv(image, Conv::new(32, 3).stride(2).valid()));
        x = net.at("act2").feature(norm(2, net.at("conv2").conv(x, Conv::new(64, 3).valid())));
        for (number, (widths, stride)) in (1..).zip(BLOCKS) {
            x = block(&net.at(format!("block{number}")), x, widths, (stride == 2).then_some(&pool));
        }
        x = norm(3, separable(&net.at("conv3"), x, 1536));
        x = net.at("act4").feature(norm(4, separable(&net.at("conv4"), x, 2048)));
        net.at("fc").linear(x.global_avg_pool(), spec.classes)
    })
}

/// Separable convolutions, each after a ReLU but the network's first, then `pool` if the block halves the map.
fn block<'g>(block: &Scope<'g>, x: Value<'g>, widths: &[usize], pool: Option<&Pool>) -> Value<'g> {
    let is_first = x.channels() == 64;
    let mut layers = block.at("rep").numbered();
    let mut y = x;
    for (i, &width) in widths.iter().enumerate() {
        if i > 0 || !is_first {
            let relu = layers.next();
            y = y.relu();
            if i == 0 {
                relu.feature(y);
            }
        }
        y = separable(&layers.next(), y, width);
        y = layers.next().batch_norm(y);
    }
    let Some(pool) = pool else { return y + x };
    let skip = block.at("skip").conv(x, Conv::new(y.channels(), 1).stride(2));
    y.pool(pool.clone()) + block.at("skipbn").batch_norm(skip)
}

fn separable<'g>(scope: &Scope<'g>, x: Value<'g>, out: usize) -> Value<'g> {
    let depthwise = scope.at("conv1").depthwise(x, Conv::new(x.channels(), 3));
    scope.at("pointwise").conv(depthwise, Conv::new(out, 1))
}
