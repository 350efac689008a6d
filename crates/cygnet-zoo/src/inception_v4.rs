//! Inception v4: a deeper and more uniform Inception v3 (Szegedy et al. 2016, arXiv 1602.07261).
//!
//! Names are timm's.

use cygnet_graph::{Conv, Pool, Value};

use crate::inception::{Module, Style, concat, conv_bn_relu};
use crate::{Built, Spec};

type Build = for<'g> fn(&Module<'g>) -> Value<'g>;

const MODULES: [(usize, Build); 5] = [
    // repeats     — figure 9 of the paper
    (4, inception_a),
    (1, reduction_a),
    (7, inception_b),
    (1, reduction_b),
    (3, inception_c),
];

/// Inception v4.
pub fn inception_v4(spec: &Spec) -> Built {
    let style = Style { unit: conv_bn_relu, mean_counts_padding: false };
    spec.build(|net, image| {
        let features = net.batch_norm_eps(1e-3).at("features");
        let module = |number: usize, x| Module { at: features.at(number), x, style };
        let stem = Module { at: features.clone(), x: image, style };
        let mut x = stem.chain(&[
            ("0", Conv::new(32, 3).stride(2).valid()),
            ("1", Conv::new(32, 3).valid()),
            ("2", Conv::new(64, 3)),
        ]);
        x = features.at(2).feature(x);
        x = features.at(3).feature(mixed_3a(&module(3, x)));
        x = mixed_5a(&module(5, mixed_4a(&module(4, x))));
        let builds = MODULES.into_iter().flat_map(|(repeats, build)| std::iter::repeat_n(build, repeats));
        for (number, build) in (6..).zip(builds) {
            x = features.at(number).feature(build(&module(number, x)));
        }
        net.at("last_linear").linear(x.global_avg_pool().dropout(0.2), spec.classes)
    })
}

fn mixed_3a<'g>(m: &Module<'g>) -> Value<'g> {
    concat(&[m.x.pool(Pool::max(3, 2)), m.chain(&[("conv", Conv::new(96, 3).stride(2).valid())])])
}

fn mixed_4a<'g>(m: &Module<'g>) -> Value<'g> {
    concat(&[
        m.chain(&[("branch0.0", Conv::new(64, 1)), ("branch0.1", Conv::new(96, 3).valid())]),
        m.chain(&[
            ("branch1.0", Conv::new(64, 1)),
            ("branch1.1", Conv::rect(64, [1, 7])),
            ("branch1.2", Conv::rect(64, [7, 1])),
            ("branch1.3", Conv::new(96, 3).valid()),
        ]),
    ])
}

fn mixed_5a<'g>(m: &Module<'g>) -> Value<'g> {
    concat(&[m.chain(&[("conv", Conv::new(192, 3).stride(2).valid())]), m.x.pool(Pool::max(3, 2))])
}

/// Figure 4.
fn inception_a<'g>(m: &Module<'g>) -> Value<'g> {
    concat(&[
        m.chain(&[("branch0", Conv::new(96, 1))]),
        m.chain(&[("branch1.0", Conv::new(64, 1)), ("branch1.1", Conv::new(96, 3))]),
        m.chain(&[
            ("branch2.0", Conv::new(64, 1)),
            ("branch2.1", Conv::new(96, 3)),
            ("branch2.2", Conv::new(96, 3)),
        ]),
        m.mean().chain(&[("branch3.1", Conv::new(96, 1))]),
    ])
}

/// Figure 7: halves the map.
fn reduction_a<'g>(m: &Module<'g>) -> Value<'g> {
    concat(&[
        m.chain(&[("branch0", Conv::new(384, 3).stride(2).valid())]),
        m.chain(&[
            ("branch1.0", Conv::new(192, 1)),
            ("branch1.1", Conv::new(224, 3)),
            ("branch1.2", Conv::new(256, 3).stride(2).valid()),
        ]),
        m.x.pool(Pool::max(3, 2)),
    ])
}

/// Figure 5.
fn inception_b<'g>(m: &Module<'g>) -> Value<'g> {
    concat(&[
        m.chain(&[("branch0", Conv::new(384, 1))]),
        m.chain(&[
            ("branch1.0", Conv::new(192, 1)),
            ("branch1.1", Conv::rect(224, [1, 7])),
            ("branch1.2", Conv::rect(256, [7, 1])),
        ]),
        m.chain(&[
            ("branch2.0", Conv::new(192, 1)),
            ("branch2.1", Conv::rect(192, [7, 1])),
            ("branch2.2", Conv::rect(224, [1, 7])),
            ("branch2.3", Conv::rect(224, [7, 1])),
            ("branch2.4", Conv::rect(256, [1, 7])),
        ]),
        m.mean().chain(&[("branch3.1", Conv::new(128, 1))]),
    ])
}

/// Figure 8: halves the map.
fn reduction_b<'g>(m: &Module<'g>) -> Value<'g> {
    concat(&[
        m.chain(&[("branch0.0", Conv::new(192, 1)), ("branch0.1", Conv::new(192, 3).stride(2).valid())]),
        m.chain(&[
            ("branch1.0", Conv::new(256, 1)),
            ("branch1.1", Conv::rect(256, [1, 7])),
            ("branch1.2", Conv::rect(320, [7, 1])),
            ("branch1.3", Conv::new(320, 3).stride(2).valid()),
        ]),
        m.x.pool(Pool::max(3, 2)),
    ])
}

/// Figure 6.
fn inception_c<'g>(m: &Module<'g>) -> Value<'g> {
    let first = m.on(m.chain(&[("branch1_0", Conv::new(384, 1))]));
    let second = m.on(m.chain(&[
        ("branch2_0", Conv::new(384, 1)),
        ("branch2_1", Conv::rect(448, [3, 1])),
        ("branch2_2", Conv::rect(512, [1, 3])),
    ]));
    concat(&[
        m.chain(&[("branch0", Conv::new(256, 1))]),
        first.chain(&[("branch1_1a", Conv::rect(256, [1, 3]))]),
        first.chain(&[("branch1_1b", Conv::rect(256, [3, 1]))]),
        second.chain(&[("branch2_3a", Conv::rect(256, [1, 3]))]),
        second.chain(&[("branch2_3b", Conv::rect(256, [3, 1]))]),
        m.mean().chain(&[("branch3.1", Conv::new(256, 1))]),
    ])
}
