//! Inception-ResNet v1 and v2: Inception modules as scaled residuals (Szegedy et al. 2016, arXiv 1602.07261).
//!
//! v2's names are timm's. v1, which timm does not have, is named on the same plan, as in facenet-pytorch. Keras' v2
//! has no scale in batch norm.

use cygnet_graph::{Conv, Pool, Value};

use crate::inception::{Module, Style, Unit, concat, conv_bn_relu, conv_bn_relu_without_scale};
use crate::{Built, Spec};

/// The convolutions of a module's branches.
type Branches = &'static [&'static [Conv]];

/// The modules after the stem.
struct Body {
    a: Branches,
    reduce_a: Branches,
    b: Branches,
    reduce_b: Branches,
    c: Branches,
    /// Path and length of the sequences of a, b and c.
    stages: [(&'static str, usize); 3],
}

const fn one(out: usize) -> Conv {
    Conv::new(out, 1)
}

const fn three(out: usize) -> Conv {
    Conv::new(out, 3)
}

const fn halve(out: usize) -> Conv {
    Conv::new(out, 3).stride(2).valid()
}

const fn rect(out: usize, height: usize, width: usize) -> Conv {
    Conv::rect(out, [height, width])
}

/// Figures 10 to 13 of the paper.
const V1: Body = Body {
    a: &[&[one(32)], &[one(32), three(32)], &[one(32), three(32), three(32)]],
    reduce_a: &[&[halve(384)], &[one(192), three(192), halve(256)]],
    b: &[&[one(128)], &[one(128), rect(128, 1, 7), rect(128, 7, 1)]],
    reduce_b: &[&[one(256), halve(384)], &[one(256), halve(256)], &[one(256), three(256), halve(256)]],
    c: &[&[one(192)], &[one(192), rect(192, 1, 3), rect(192, 3, 1)]],
    stages: [("repeat_1", 5), ("repeat_2", 10), ("repeat_3", 5)],
};

/// Figures 16 to 19 of the paper.
const V2: Body = Body {
    a: &[&[one(32)], &[one(32), three(32)], &[one(32), three(48), three(64)]],
    reduce_a: &[&[halve(384)], &[one(256), three(256), halve(384)]],
    b: &[&[one(192)], &[one(128), rect(160, 1, 7), rect(192, 7, 1)]],
    reduce_b: &[&[one(256), halve(384)], &[one(256), halve(288)], &[one(256), three(288), halve(320)]],
    c: &[&[one(192)], &[one(192), rect(224, 1, 3), rect(256, 3, 1)]],
    stages: [("repeat", 10), ("repeat_1", 20), ("repeat_2", 9)],
};

/// Inception-ResNet v1.
pub fn inception_resnet_v1(spec: &Spec) -> Built {
    let style = Style { unit: conv_bn_relu, mean_counts_padding: false };
    spec.build(|net, image| {
        let net = net.batch_norm_eps(1e-3);
        let stem = Module { at: net.clone(), x: image, style };
        let x = stem.on(to_192(&stem)).chain(&[("conv2d_4b", halve(256))]);
        let x = net.at("block8").feature(body(&stem.on(x), &V1));
        let x = net.at("last_linear").linear_without_bias(x.global_avg_pool().dropout(0.6), 512);
        net.at("logits").linear(net.at("last_bn").batch_norm(x), spec.classes)
    })
}

/// Inception-ResNet v2.
pub fn inception_resnet_v2(spec: &Spec) -> Built {
    v2(spec, conv_bn_relu)
}

/// Keras' Inception-ResNet v2.
pub fn inception_resnet_v2_keras(spec: &Spec) -> Built {
    v2(spec, conv_bn_relu_without_scale)
}

fn v2(spec: &Spec, unit: Unit) -> Built {
    let style = Style { unit, mean_counts_padding: false };
    spec.build(|net, image| {
        let net = net.batch_norm_eps(1e-3);
        let stem = Module { at: net.clone(), x: image, style };
        let m = stem.on(to_192(&stem).pool(Pool::max(3, 2))).below("mixed_5b");
        let [wide, narrow, double] =
            [&[one(96)][..], &[one(48), Conv::new(64, 5)], &[one(64), three(96), three(96)]];
        let x = concat(&[
            sequence(&m, "branch0", wide),
            sequence(&m, "branch1", narrow),
            sequence(&m, "branch2", double),
            m.mean().chain(&[("branch3.1", one(64))]),
        ]);
        let x = stem.on(body(&stem.on(x), &V2)).chain(&[("conv2d_7b", one(1536))]);
        let x = net.at("conv2d_7b").feature(x);
        net.at("classif").linear(x.global_avg_pool().dropout(0.2), spec.classes)
    })
}

fn to_192<'g>(m: &Module<'g>) -> Value<'g> {
    let x = m.chain(&[("conv2d_1a", halve(32)), ("conv2d_2a", three(32).valid()), ("conv2d_2b", three(64))]);
    let x = m.at.at("conv2d_2b").feature(x).pool(Pool::max(3, 2));
    let x = m.on(x).chain(&[("conv2d_3b", one(80)), ("conv2d_4a", three(192).valid())]);
    m.at.at("conv2d_4a").feature(x)
}

/// All modules between the stem and the head.
fn body<'g>(m: &Module<'g>, body: &Body) -> Value<'g> {
    let stage = |x, (path, repeats): (&str, usize), branches, scale| {
        let at = m.at.at(path);
        at.feature((0..repeats).fold(x, |x, number| {
            residual(&m.on(x).below(&format!("{path}.{number}")), branches, scale).relu()
        }))
    };
    let x = stage(m.x, body.stages[0], body.a, 0.17);
    let x = reduction(&m.on(x).below("mixed_6a"), body.reduce_a);
    let x = stage(x, body.stages[1], body.b, 0.10);
    let x = reduction(&m.on(x).below("mixed_7a"), body.reduce_b);
    let x = stage(x, body.stages[2], body.c, 0.20);
    residual(&m.on(x).below("block8"), body.c, 1.0)
}

fn residual<'g>(m: &Module<'g>, branches: Branches, scale: f32) -> Value<'g> {
    let y = m.at.at("conv2d").conv(concat(&sequences(m, branches)), one(m.x.channels()).bias());
    m.x + if scale == 1.0 { y } else { y.scale([scale], [0.0]) }
}

fn reduction<'g>(m: &Module<'g>, branches: Branches) -> Value<'g> {
    concat(&[&sequences(m, branches)[..], &[m.x.pool(Pool::max(3, 2))]].concat())
}

fn sequences<'g>(m: &Module<'g>, branches: Branches) -> Vec<Value<'g>> {
    (0..).zip(branches).map(|(i, convs): (usize, _)| sequence(m, &format!("branch{i}"), convs)).collect()
}

/// Convolutions at `0`, `1`… below `branch`; a single one at `branch` itself.
fn sequence<'g>(m: &Module<'g>, branch: &str, convs: &[Conv]) -> Value<'g> {
    let at = m.at.at(branch);
    let place = |number: usize| if convs.len() == 1 { at.clone() } else { at.at(number) };
    (0..).zip(convs).fold(m.x, |x, (number, conv)| (m.style.unit)(&place(number), x, conv.clone()))
}
