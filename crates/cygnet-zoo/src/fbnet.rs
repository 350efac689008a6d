//! FBNet: searched by gradient descent over a network of all choices, for one phone each (Wu et al. 2018, arXiv
//! 1812.03443).
//!
//! Names are timm's; blocks are numbered by place, so a place where the search chose no block leaves a gap. Public
//! versions of one search result differ in biases, in 1×1 convolutions that would not widen, and in the classifier.

use cygnet_graph::{Conv, Scope, Value};

use crate::blocks::conv_bn_at;
use crate::inverted_residual::{
    Choice, Choice::Skip as SKIP, Choices, InvertedResidual, Names, Place, inverted_residual, k3, k5, stages,
};
use crate::{Built, Spec};

/// 1×1 convolutions in two groups, with a channel shuffle in between.
const fn grouped(kernel: usize) -> Choice {
    Choice::Block { kernel, expand: 1, groups: 2 }
}

// A row a stage: kernel and expansion of each block, as in the paper's figure of the networks found.

const A: Choices = [
    &[SKIP],
    &[k3(3), k3(1), SKIP, SKIP],
    &[k5(6), k3(3), k5(1), k3(3)],
    &[k5(6), k5(3), grouped(5), k5(6)],
    &[k3(6), grouped(5), k5(3), grouped(3)],
    &[k5(6), k5(6), k5(3), k5(6)],
    &[k5(6)],
];

const B: Choices = [
    &[k3(1)],
    &[k3(6), k5(1), k3(1), k3(1)],
    &[k5(6), k5(3), k3(6), k5(6)],
    &[k5(6), k5(6), SKIP, k5(3)],
    &[k5(6), k3(1), k5(1), k5(3)],
    &[k5(6), k5(1), k5(6), k5(6)],
    &[k3(6)],
];

const B_PAPER: Choices = [B[0], B[1], B[2], &[k5(6), k5(1), SKIP, k5(3)], B[4], B[5], B[6]];

const C: Choices = [
    &[k3(1)],
    &[k3(6), SKIP, k3(1), k3(1)],
    &[k5(6), k5(3), k5(6), k3(6)],
    &[k5(6), k5(3), k5(6), k5(6)],
    &[k5(6), k5(6), k5(6), k5(3)],
    &[k5(6), k5(6), k5(6), k5(6)],
    &[k3(6)],
];

const C_TIMM: Choices = [C[0], &[k3(6), k3(1), k3(1)], C[2], C[3], C[4], C[5], C[6]];

const S8: Choices = [
    &[k3(1)],
    &[k3(3), k3(1), SKIP, SKIP],
    &[k5(6), k3(3), k3(3), k3(6)],
    &[k5(6), k5(3), k5(3), k5(3)],
    &[k3(6), k5(3), k5(3), k5(3)],
    &[k5(6), k5(6), k5(3), k5(6)],
    &[k5(6)],
];

const IPHONE_X: Choices = [
    &[SKIP],
    &[k3(6), k3(1), k3(1), k3(1)],
    &[k3(6), k3(6), k3(6), k3(6)],
    &[k3(6), k3(6), k3(3), k3(6)],
    &[k3(6), k3(3), k3(3), k3(3)],
    &[k5(6), k5(6), k5(6), k5(3)],
    &[k5(6)],
];

const TINY: Choices =
    [&[k3(1)], &[k3(6), k3(6)], &[k5(6), k5(6)], &[k5(6)], &[k3(6)], &[k5(6), k5(6)], &[k5(6)]];

/// Where public versions of one search result differ.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flavour {
    /// mobile-vision's trained networks: blocks without the 1×1 convolution that would not widen, biases everywhere.
    Published,
    /// The same without biases in the blocks.
    Unbiased,
    /// Without biases in the blocks, and with the 1×1 convolution also where it does not widen, as the paper counts.
    Dense,
    /// timm's and pytorchcv's: as the last, but without biases in stem and head, and with a linear classifier.
    Timm,
}

/// Widths that the search leaves as they are: stem, stages, last convolution.
struct Widths {
    stem: usize,
    stages: [usize; 7],
    last: usize,
}

const fn full(last: usize) -> Widths {
    Widths { stem: 16, stages: [16, 24, 32, 64, 112, 184, 352], last } // table 1 of the paper
}

/// FBNet-A as published.
pub fn fbnet_a(spec: &Spec) -> Built {
    fbnet(spec, full(1504), A, Flavour::Published)
}

/// FBNet-B as published.
pub fn fbnet_b(spec: &Spec) -> Built {
    fbnet(spec, full(1984), B, Flavour::Published)
}

/// FBNet-C as published.
pub fn fbnet_c(spec: &Spec) -> Built {
    fbnet(spec, full(1984), C, Flavour::Published)
}

/// FBNet-A as the paper counts.
pub fn fbnet_a_dense(spec: &Spec) -> Built {
    fbnet(spec, full(1504), A, Flavour::Dense)
}

/// FBNet-B as the paper counts.
pub fn fbnet_b_dense(spec: &Spec) -> Built {
    fbnet(spec, full(1984), B, Flavour::Dense)
}

/// FBNet-B as the paper counts and draws it: one block differs from the published one.
pub fn fbnet_b_paper(spec: &Spec) -> Built {
    fbnet(spec, full(1984), B_PAPER, Flavour::Dense)
}

/// FBNet-C as the paper counts.
pub fn fbnet_c_dense(spec: &Spec) -> Built {
    fbnet(spec, full(1984), C, Flavour::Dense)
}

/// FBNet-C as in timm.
pub fn fbnet_c_timm(spec: &Spec) -> Built {
    fbnet(spec, full(1984), C_TIMM, Flavour::Timm)
}

/// FBNet-C as in pytorchcv: timm's with another epsilon.
pub fn fbnet_c_pytorchcv(spec: &Spec) -> Built {
    spec.build(|net, image| {
        let net = net.batch_norm_eps(1e-3);
        network(&net, image, full(1984), C_TIMM, Flavour::Timm, spec.classes)
    })
}

/// The network searched for a Samsung Galaxy S8.
pub fn fbnet_s8(spec: &Spec) -> Built {
    fbnet(spec, full(1504), S8, Flavour::Dense)
}

/// The network searched for an iPhone X.
pub fn fbnet_iphonex(spec: &Spec) -> Built {
    fbnet(spec, full(1504), IPHONE_X, Flavour::Dense)
}

/// The network searched for images of 96 × 96.
pub fn fbnet_96(spec: &Spec) -> Built {
    let widths = Widths { stem: 8, stages: [8, 16, 16, 24, 40, 72, 128], last: 1416 };
    fbnet(spec, widths, TINY, Flavour::Unbiased)
}

fn fbnet(spec: &Spec, widths: Widths, choices: Choices, flavour: Flavour) -> Built {
    spec.build(|net, image| network(net, image, widths, choices, flavour, spec.classes))
}

fn network<'g>(
    net: &Scope<'g>,
    image: Value<'g>,
    widths: Widths,
    choices: Choices,
    flavour: Flavour,
    classes: usize,
) -> Value<'g> {
    let end = |conv: Conv| Conv { bias: flavour != Flavour::Timm, ..conv };
    let x = conv_bn_at(net, ["conv_stem", "bn1"], image, end(Conv::new(widths.stem, 3).stride(2))).relu();
    let x = net.at("conv_stem").feature(x);
    let x = stages(net, x, widths.stages, choices, |place, x, choice| block(place, x, choice, flavour));
    let x = conv_bn_at(net, ["conv_head", "bn2"], x, end(Conv::new(widths.last, 1))).relu();
    let (x, classifier) = (x.global_avg_pool(), net.at("classifier"));
    if flavour == Flavour::Timm {
        classifier.linear(x, classes)
    } else {
        classifier.conv(x, Conv::new(classes, 1).bias())
    }
}

fn block<'g>(
    Place { scope, out, stride }: Place<'g>,
    x: Value<'g>,
    [kernel, expand, groups]: [usize; 3],
    flavour: Flavour,
) -> Value<'g> {
    let block = InvertedResidual {
        kernel,
        stride,
        always_expands: matches!(flavour, Flavour::Dense | Flavour::Timm),
        groups,
        bias: flavour == Flavour::Published,
        ..InvertedResidual::new(x.channels().saturating_mul(expand), out)
    };
    inverted_residual(&scope, Names::TIMM, x, block)
}
