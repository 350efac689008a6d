//! BN-Inception: Inception with batch norm and two 3 × 3 convolutions for the 5 × 5 (Ioffe & Szegedy 2015, arXiv
//! 1502.03167), and with squeeze-and-excitation after every module (Hu et al. 2017, arXiv 1709.01507).
//!
//! Names are pytorchcv's, whose convolutions keep the biases of the Caffe model they come from; the SENet authors'
//! model has none. Widths are those of all public weights: 4c, 4d and 4e are wider than in the paper's table. Where a
//! module halves a map, its pooling pads by TensorFlow's rule: that equals the references' rounding up on even maps,
//! and on odd ones, which they refuse, it fits the convolutions.

use cygnet_graph::{Conv, Padding, Pool, Scope, Value};

use crate::blocks::{RELU_SIGMOID, squeeze_excite};
use crate::inception::{Module, Style, Unit, concat, conv_bn_relu};
use crate::{Built, Spec};

/// What a module does beside its convolutions.
enum Pooling {
    /// Means, then a 1 × 1 convolution of so many channels.
    Mean(usize),
    /// Maxima, then a 1 × 1 convolution of so many channels.
    Max(usize),
    /// Halves the map: maxima pass through, and the last convolutions have stride 2.
    Halve,
}
use Pooling::{Halve, Max, Mean};

/// Widths of a module's convolutions.
struct Row {
    one: usize,
    reduce_three: usize,
    three: usize,
    reduce_double: usize,
    double: usize,
    pooling: Pooling,
}

const fn row(
    one: usize,
    [reduce_three, three]: [usize; 2],
    [reduce_double, double]: [usize; 2],
    pooling: Pooling,
) -> Row {
    Row { one, reduce_three, three, reduce_double, double, pooling }
}

const STAGES: [&[Row]; 3] = [
    //   1×1  3×3         double 3×3  pool         — figure 5 of the paper
    &[
        row(64, [64, 64], [64, 96], Mean(32)), //  3a
        row(64, [64, 96], [64, 96], Mean(64)), //  3b
    ],
    &[
        row(0, [128, 160], [64, 96], Halve),         // 3c
        row(224, [64, 96], [96, 128], Mean(128)),    // 4a
        row(192, [96, 128], [96, 128], Mean(128)),   // 4b
        row(160, [128, 160], [128, 160], Mean(128)), // 4c
        row(96, [128, 192], [160, 192], Mean(128)),  // 4d
    ],
    &[
        row(0, [128, 192], [192, 256], Halve),       // 4e
        row(352, [192, 320], [160, 224], Mean(128)), // 5a
        row(352, [192, 320], [192, 224], Max(128)),  // 5b
    ],
];

/// BN-Inception with biases before batch norm.
pub fn bn_inception(spec: &Spec) -> Built {
    network(spec, |scope, x, conv| conv_bn_relu(scope, x, conv.bias()), |_, x| x)
}

/// BN-Inception with squeeze-and-excitation.
pub fn se_bn_inception(spec: &Spec) -> Built {
    network(spec, conv_bn_relu, |unit, x| {
        squeeze_excite(&unit.at("se"), ["conv1", "conv2"], x, x.channels() / 16, RELU_SIGMOID)
    })
}

fn network(spec: &Spec, unit: Unit, recalibrate: for<'g> fn(&Scope<'g>, Value<'g>) -> Value<'g>) -> Built {
    let style = Style { unit, mean_counts_padding: true };
    spec.build(|net, image| {
        let features = net.at("features");
        let stem = Module { at: features.at("init_block"), x: image, style };
        let mut x = stem.chain(&[("conv1", Conv::new(64, 7).stride(2))]);
        x = stem.at.at("conv1").feature(x).pool(Pool::max(3, 2).ceil());
        x = stem.on(x).chain(&[("conv2.conv1", Conv::new(64, 1)), ("conv2.conv2", Conv::new(192, 3))]);
        x = stem.at.at("conv2").feature(x).pool(Pool::max(3, 2).ceil());
        for (stage, rows) in (1..).zip(STAGES) {
            for (number, row) in (1..).zip(rows) {
                let at = features.at(format!("stage{stage}.unit{number}"));
                let branches = inception(&Module { at: at.at("branches"), x, style }, row);
                x = at.feature(recalibrate(&at, branches));
            }
        }
        net.at("output").linear(x.global_avg_pool(), spec.classes)
    })
}

fn inception<'g>(m: &Module<'g>, row: &Row) -> Value<'g> {
    let three = |m: Module<'g>, stride| {
        let last = Conv::new(row.three, 3).stride(stride);
        m.chain(&[("conv1", Conv::new(row.reduce_three, 1)), ("conv2", last)])
    };
    let double = |m: Module<'g>, stride| {
        let last = Conv::new(row.double, 3).stride(stride);
        m.chain(&[
            ("conv1", Conv::new(row.reduce_double, 1)),
            ("conv2", Conv::new(row.double, 3)),
            ("conv3", last),
        ])
    };
    let (pooled, width) = match row.pooling {
        Mean(width) => (m.mean(), width),
        Max(width) => (m.max(), width),
        Halve => {
            let pooled = m.x.pool(Pool::max(3, 2).padding(Padding::Same));
            return concat(&[three(m.below("branch1"), 2), double(m.below("branch2"), 2), pooled]);
        }
    };
    concat(&[
        m.chain(&[("branch1", Conv::new(row.one, 1))]),
        three(m.below("branch2"), 1),
        double(m.below("branch3"), 1),
        pooled.chain(&[("branch4.conv", Conv::new(width, 1))]),
    ])
}
