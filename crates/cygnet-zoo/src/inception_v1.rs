//! Inception v1, "GoogLeNet": modules of parallel 1 × 1, 3 × 3 and 5 × 5 convolutions (Szegedy et al. 2014, arXiv
//! 1409.4842).
//!
//! Two public versions differ. BVLC's for Caffe is the paper's: biases, local response normalisation, and its own
//! layer names with dots for slashes. torchvision's has batch norm, a 3 × 3 where the paper has a 5 × 5, a 2 × 2 last
//! pooling, and torchvision's names.

use cygnet_graph::{Conv, LocalResponseNorm, Pool, Scope, Value};

use crate::inception::{Module, Style, concat, conv_bn_relu, transform_input};
use crate::{Built, Spec};

/// Widths of a module's convolutions.
struct Row {
    name: &'static str,
    one: usize,
    reduce_three: usize,
    three: usize,
    reduce_five: usize,
    five: usize,
    pool: usize,
}

const fn row(
    name: &'static str,
    one: usize,
    [reduce_three, three]: [usize; 2],
    [reduce_five, five]: [usize; 2],
    pool: usize,
) -> Row {
    Row { name, one, reduce_three, three, reduce_five, five, pool }
}

const STAGES: [&[Row]; 3] = [
    //        1×1  3×3         5×5        pool      — table 1 of the paper
    &[row("3a", 64, [96, 128], [16, 32], 32), row("3b", 128, [128, 192], [32, 96], 64)],
    &[
        row("4a", 192, [96, 208], [16, 48], 64),
        row("4b", 160, [112, 224], [24, 64], 64),
        row("4c", 128, [128, 256], [24, 64], 64),
        row("4d", 112, [144, 288], [32, 64], 64),
        row("4e", 256, [160, 320], [32, 128], 128),
    ],
    &[row("5a", 256, [160, 320], [32, 128], 128), row("5b", 384, [192, 384], [48, 128], 128)],
];

/// The modules that auxiliary heads read (section 5 of the paper), and the weight of the heads' losses.
const HEADS: [&str; 2] = ["4a", "4d"];
const HEAD_WEIGHT: f32 = 0.3;

const NORM: LocalResponseNorm = LocalResponseNorm { size: 5, alpha: 1e-4, beta: 0.75, k: 1.0 };

/// torchvision's version, for images from -1 to 1.
pub fn googlenet(spec: &Spec) -> Built {
    torchvision(spec, |image| image)
}

/// torchvision's version, for images normalised by ImageNet's mean and deviation, as its published weights expect.
pub fn googlenet_transform_input(spec: &Spec) -> Built {
    torchvision(spec, transform_input)
}

fn torchvision(spec: &Spec, prepare: for<'g> fn(Value<'g>) -> Value<'g>) -> Built {
    let style = Style { unit: conv_bn_relu, mean_counts_padding: true };
    let last_pooling = [3, 3, 2];
    spec.build(|net, image| {
        let net = net.batch_norm_eps(1e-3);
        let stem = Module { at: net.clone(), x: prepare(image), style };
        let mut x = stem.chain(&[("conv1", Conv::new(64, 7).stride(2))]);
        x = net.at("conv1").feature(x).pool(Pool::max(3, 2).ceil());
        x = stem.on(x).chain(&[("conv2", Conv::new(64, 1)), ("conv3", Conv::new(192, 3))]);
        x = net.at("conv3").feature(x);
        for (stage, window) in STAGES.into_iter().zip(last_pooling) {
            x = x.pool(Pool::max(window, 2).ceil());
            for row in stage {
                let at = net.at(format!("inception{}", row.name));
                let m = Module { at: at.clone(), x, style };
                x = at.feature(concat(&[
                    m.chain(&[("branch1", Conv::new(row.one, 1))]),
                    m.chain(&[
                        ("branch2.0", Conv::new(row.reduce_three, 1)),
                        ("branch2.1", Conv::new(row.three, 3)),
                    ]),
                    m.chain(&[
                        ("branch3.0", Conv::new(row.reduce_five, 1)),
                        ("branch3.1", Conv::new(row.five, 3)),
                    ]),
                    m.max().chain(&[("branch4.1", Conv::new(row.pool, 1))]),
                ]));
                if let Some(number) = head(spec, row) {
                    let means = stem.on(x.adaptive_avg_pool([4, 4])).below(&format!("aux{number}"));
                    let x = means.chain(&[("conv", Conv::new(128, 1))]);
                    classify(&means.at, x, ["fc1", "fc2"], spec);
                }
            }
        }
        net.at("fc").linear(x.global_avg_pool().dropout(0.2), spec.classes)
    })
}

/// BVLC's version for Caffe, for BGR images from 0 to 255 less the mean.
pub fn googlenet_caffe(spec: &Spec) -> Built {
    let style = Style { unit: conv_relu, mean_counts_padding: true };
    spec.build(|net, image| {
        let stem = Module { at: net.clone(), x: image, style };
        let mut x = stem.chain(&[("conv1.7x7_s2", Conv::new(64, 7).stride(2))]);
        x = net.at("conv1").feature(x).pool(Pool::max(3, 2).ceil()).local_response_norm(NORM);
        x = stem.on(x).chain(&[("conv2.3x3_reduce", Conv::new(64, 1)), ("conv2.3x3", Conv::new(192, 3))]);
        x = net.at("conv2").feature(x.local_response_norm(NORM));
        for stage in STAGES {
            x = x.pool(Pool::max(3, 2).ceil());
            for row in stage {
                let at = net.at(format!("inception_{}", row.name));
                let m = Module { at: at.clone(), x, style };
                x = at.feature(concat(&[
                    m.chain(&[("1x1", Conv::new(row.one, 1))]),
                    m.chain(&[
                        ("3x3_reduce", Conv::new(row.reduce_three, 1)),
                        ("3x3", Conv::new(row.three, 3)),
                    ]),
                    m.chain(&[
                        ("5x5_reduce", Conv::new(row.reduce_five, 1)),
                        ("5x5", Conv::new(row.five, 5)),
                    ]),
                    m.max().chain(&[("pool_proj", Conv::new(row.pool, 1))]),
                ]));
                if let Some(number) = head(spec, row) {
                    let means = stem.on(x.pool(Pool::avg(5, 3).ceil())).below(&format!("loss{number}"));
                    let x = means.chain(&[("conv", Conv::new(128, 1))]);
                    classify(&means.at, x, ["fc", "classifier"], spec);
                }
            }
        }
        net.at("loss3.classifier").linear(x.global_avg_pool().dropout(0.4), spec.classes)
    })
}

/// The number of the auxiliary head that reads a module, if heads are wanted.
fn head(spec: &Spec, row: &Row) -> Option<usize> {
    HEADS.iter().position(|name| spec.auxiliary && *name == row.name).map(|head| head + 1)
}

/// The two layers at the end of an auxiliary head.
fn classify<'g>(at: &Scope<'g>, x: Value<'g>, [hidden, last]: [&str; 2], spec: &Spec) {
    let x = at.at(hidden).linear(x, 1024).relu().dropout(0.7);
    at.at(last).linear(x, spec.classes).auxiliary(HEAD_WEIGHT);
}

fn conv_relu<'g>(scope: &Scope<'g>, x: Value<'g>, conv: Conv) -> Value<'g> {
    scope.conv(x, conv.bias()).relu()
}
