//! Inception v3: 5 × 5 and 7 × 7 convolutions in factors (Szegedy et al. 2015, arXiv 1512.00567).
//!
//! Names are torchvision's. In its modules the zeros around the map count in a pooled mean; in Keras', which follow
//! the original, they do not, and batch norm has no scale; and they have no auxiliary head.

use cygnet_graph::{Conv, Pool, Value};

use crate::inception::{Module, Style, concat, conv_bn_relu, conv_bn_relu_without_scale, transform_input};
use crate::{Built, Spec};

const TORCHVISION: Style = Style { unit: conv_bn_relu, mean_counts_padding: true };
const KERAS: Style = Style { unit: conv_bn_relu_without_scale, mean_counts_padding: false };

/// torchvision's and timm's version, for images from -1 to 1.
pub fn inception_v3(spec: &Spec) -> Built {
    network(spec, TORCHVISION, |image| image)
}

/// torchvision's version, for images normalised by ImageNet's mean and deviation, as its published weights expect.
pub fn inception_v3_transform_input(spec: &Spec) -> Built {
    network(spec, TORCHVISION, transform_input)
}

/// Keras' version.
pub fn inception_v3_keras(spec: &Spec) -> Built {
    network(&Spec { auxiliary: false, ..spec.clone() }, KERAS, |image| image)
}

fn network(spec: &Spec, style: Style, prepare: for<'g> fn(Value<'g>) -> Value<'g>) -> Built {
    spec.build(|net, image| {
        let net = net.batch_norm_eps(1e-3);
        let stem = Module { at: net.clone(), x: prepare(image), style };
        let mut x = stem.chain(&[
            ("Conv2d_1a_3x3", Conv::new(32, 3).stride(2).valid()),
            ("Conv2d_2a_3x3", Conv::new(32, 3).valid()),
            ("Conv2d_2b_3x3", Conv::new(64, 3)),
        ]);
        x = net.at("Conv2d_2b_3x3").feature(x).pool(Pool::max(3, 2));
        x = stem
            .on(x)
            .chain(&[("Conv2d_3b_1x1", Conv::new(80, 1)), ("Conv2d_4a_3x3", Conv::new(192, 3).valid())]);
        x = net.at("Conv2d_4a_3x3").feature(x).pool(Pool::max(3, 2));
        let module = |name, x| Module { at: net.at(name), x, style };
        for (name, pool) in [("Mixed_5b", 32), ("Mixed_5c", 64), ("Mixed_5d", 64)] {
            x = net.at(name).feature(inception_a(&module(name, x), pool));
        }
        x = inception_b(&module("Mixed_6a", x));
        for (name, width) in [("Mixed_6b", 128), ("Mixed_6c", 160), ("Mixed_6d", 160), ("Mixed_6e", 192)] {
            x = net.at(name).feature(inception_c(&module(name, x), width));
        }
        if spec.auxiliary {
            head(&module("AuxLogits", x), spec.classes);
        }
        x = inception_d(&module("Mixed_7a", x));
        for name in ["Mixed_7b", "Mixed_7c"] {
            x = net.at(name).feature(inception_e(&module(name, x)));
        }
        net.at("fc").linear(x.global_avg_pool().dropout(0.5), spec.classes)
    })
}

/// The auxiliary head (figure 8 of the paper).
fn head(m: &Module<'_>, classes: usize) {
    let means = m.on(m.x.pool(Pool::avg(5, 3)));
    let x = means.chain(&[("conv0", Conv::new(128, 1)), ("conv1", Conv::new(768, 5).valid())]);
    m.at.at("fc").linear(x.global_avg_pool(), classes).auxiliary(0.4);
}

/// Figure 5 of the paper, with one 5 × 5 kept.
fn inception_a<'g>(m: &Module<'g>, pool: usize) -> Value<'g> {
    concat(&[
        m.chain(&[("branch1x1", Conv::new(64, 1))]),
        m.chain(&[("branch5x5_1", Conv::new(48, 1)), ("branch5x5_2", Conv::new(64, 5))]),
        m.chain(&[
            ("branch3x3dbl_1", Conv::new(64, 1)),
            ("branch3x3dbl_2", Conv::new(96, 3)),
            ("branch3x3dbl_3", Conv::new(96, 3)),
        ]),
        m.mean().chain(&[("branch_pool", Conv::new(pool, 1))]),
    ])
}

/// Figure 10: halves the map.
fn inception_b<'g>(m: &Module<'g>) -> Value<'g> {
    concat(&[
        m.chain(&[("branch3x3", Conv::new(384, 3).stride(2).valid())]),
        m.chain(&[
            ("branch3x3dbl_1", Conv::new(64, 1)),
            ("branch3x3dbl_2", Conv::new(96, 3)),
            ("branch3x3dbl_3", Conv::new(96, 3).stride(2).valid()),
        ]),
        m.x.pool(Pool::max(3, 2)),
    ])
}

/// Figure 6.
fn inception_c<'g>(m: &Module<'g>, width: usize) -> Value<'g> {
    concat(&[
        m.chain(&[("branch1x1", Conv::new(192, 1))]),
        m.chain(&[
            ("branch7x7_1", Conv::new(width, 1)),
            ("branch7x7_2", Conv::rect(width, [1, 7])),
            ("branch7x7_3", Conv::rect(192, [7, 1])),
        ]),
        m.chain(&[
            ("branch7x7dbl_1", Conv::new(width, 1)),
            ("branch7x7dbl_2", Conv::rect(width, [7, 1])),
            ("branch7x7dbl_3", Conv::rect(width, [1, 7])),
            ("branch7x7dbl_4", Conv::rect(width, [7, 1])),
            ("branch7x7dbl_5", Conv::rect(192, [1, 7])),
        ]),
        m.mean().chain(&[("branch_pool", Conv::new(192, 1))]),
    ])
}

/// Halves the map.
fn inception_d<'g>(m: &Module<'g>) -> Value<'g> {
    concat(&[
        m.chain(&[("branch3x3_1", Conv::new(192, 1)), ("branch3x3_2", Conv::new(320, 3).stride(2).valid())]),
        m.chain(&[
            ("branch7x7x3_1", Conv::new(192, 1)),
            ("branch7x7x3_2", Conv::rect(192, [1, 7])),
            ("branch7x7x3_3", Conv::rect(192, [7, 1])),
            ("branch7x7x3_4", Conv::new(192, 3).stride(2).valid()),
        ]),
        m.x.pool(Pool::max(3, 2)),
    ])
}

/// Figure 7.
fn inception_e<'g>(m: &Module<'g>) -> Value<'g> {
    let three = m.on(m.chain(&[("branch3x3_1", Conv::new(384, 1))]));
    let double =
        m.on(m.chain(&[("branch3x3dbl_1", Conv::new(448, 1)), ("branch3x3dbl_2", Conv::new(384, 3))]));
    concat(&[
        m.chain(&[("branch1x1", Conv::new(320, 1))]),
        three.chain(&[("branch3x3_2a", Conv::rect(384, [1, 3]))]),
        three.chain(&[("branch3x3_2b", Conv::rect(384, [3, 1]))]),
        double.chain(&[("branch3x3dbl_3a", Conv::rect(384, [1, 3]))]),
        double.chain(&[("branch3x3dbl_3b", Conv::rect(384, [3, 1]))]),
        m.mean().chain(&[("branch_pool", Conv::new(192, 1))]),
    ])
}
