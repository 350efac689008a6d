//! Aligned Xception 41, 65 and 71: deeper, with strided convolutions for the pooling (Chen et al. 2018, arXiv
//! 1802.02611), and pre-activated forms of 41 and 65.
//!
//! Names are timm's.

use cygnet_graph::{Conv, Scope, Value};

use crate::blocks::conv_bn_at;
use crate::{Built, Spec};

/// Output channels of a block's three separable convolutions and the stride of the last.
type Row = ([usize; 3], usize);

const fn row(out: usize, stride: usize) -> Row {
    ([out; 3], stride)
}

// Figure 4 of the paper, for 41 and 65 with its first, third and fifth blocks only.
const ENTRY: &[Row] = &[row(128, 2), row(256, 2), row(728, 2)];
const ENTRY_71: &[Row] = &[row(128, 2), row(256, 1), row(256, 2), row(728, 1), row(728, 2)];
const MIDDLE: Row = row(728, 1);
const EXIT: Row = ([728, 1024, 1024], 2);
const LAST: [usize; 3] = [1536, 1536, 2048];

/// Aligned Xception-41.
pub fn xception41(spec: &Spec) -> Built {
    post_activated(spec, ENTRY, 8)
}

/// Aligned Xception-65.
pub fn xception65(spec: &Spec) -> Built {
    post_activated(spec, ENTRY, 16)
}

/// Aligned Xception-71.
pub fn xception71(spec: &Spec) -> Built {
    post_activated(spec, ENTRY_71, 16)
}

/// Pre-activated Aligned Xception-41.
pub fn xception41p(spec: &Spec) -> Built {
    pre_activated(spec, 8, 1e-5)
}

/// Pre-activated Aligned Xception-65.
pub fn xception65p(spec: &Spec) -> Built {
    pre_activated(spec, 16, 1e-3)
}

fn rows(entry: &'static [Row], middle: usize) -> impl Iterator<Item = Row> {
    entry.iter().copied().chain(std::iter::repeat_n(MIDDLE, middle)).chain([EXIT])
}

fn post_activated(spec: &Spec, entry: &'static [Row], middle: usize) -> Built {
    spec.build(|net, image| {
        let net = net.batch_norm_eps(1e-3);
        let mut blocks = net.at("blocks").numbered();
        let mut x = norm_act(&net.at("stem.0"), image, Conv::new(32, 3).stride(2));
        x = norm_act(&net.at("stem.1"), x, Conv::new(64, 3));
        for (widths, stride) in rows(entry, middle) {
            x = block(&blocks.next(), x, widths, stride);
        }
        let last = blocks.next();
        for (i, width) in (1..).zip(LAST) {
            let conv = last.at(format!("stack.conv{i}"));
            x = conv_bn_at(&conv, ["conv_dw", "bn_dw"], x, depthwise(x, 1)).relu();
            x = conv_bn_at(&conv, ["conv_pw", "bn_pw"], x, Conv::new(width, 1)).relu();
        }
        net.at("head.fc").linear(last.feature(x).global_avg_pool(), spec.classes)
    })
}

fn norm_act<'g>(scope: &Scope<'g>, x: Value<'g>, conv: Conv) -> Value<'g> {
    conv_bn_at(scope, ["conv", "bn"], x, conv).relu()
}

fn depthwise(x: Value<'_>, stride: usize) -> Conv {
    Conv::new(x.channels(), 3).stride(stride).groups(x.channels())
}

/// ReLU before each separable convolution, batch norm after each of its halves.
fn block<'g>(block: &Scope<'g>, x: Value<'g>, widths: [usize; 3], stride: usize) -> Value<'g> {
    let mut y = x;
    for (i, width) in (1..).zip(widths) {
        y = y.relu();
        if i == 3 {
            block.at("stack.act3").feature(y);
        }
        let conv = block.at(format!("stack.conv{i}"));
        let stride = if i == 3 { stride } else { 1 };
        y = conv_bn_at(&conv, ["conv_dw", "bn_dw"], y, depthwise(y, stride));
        y = conv_bn_at(&conv, ["conv_pw", "bn_pw"], y, Conv::new(width, 1));
    }
    if stride == 1 && x.channels() == y.channels() {
        return y + x;
    }
    y + conv_bn_at(&block.at("shortcut"), ["conv", "bn"], x, Conv::new(y.channels(), 1).stride(stride))
}

fn pre_activated(spec: &Spec, middle: usize, eps: f64) -> Built {
    spec.build(|net, image| {
        let net = net.batch_norm_eps(eps);
        let mut blocks = net.at("blocks").numbered();
        let mut x = norm_act(&net.at("stem.0"), image, Conv::new(32, 3).stride(2));
        x = net.at("stem.1").conv(x, Conv::new(64, 3));
        for (widths, stride) in rows(ENTRY, middle) {
            let block = blocks.next();
            let skip = block.at("norm").batch_norm(x).relu();
            let y = pre_activated_stack(&block, skip, widths, stride);
            let is_identity = stride == 1 && skip.channels() == y.channels();
            let shortcut = Conv::new(y.channels(), 1).stride(stride);
            x = y + if is_identity { skip } else { block.at("shortcut").conv(skip, shortcut) };
        }
        let last = blocks.next();
        x = pre_activated_stack(&last, last.at("norm").batch_norm(x).relu(), LAST, 1);
        net.at("head.fc").linear(last.feature(x).relu().global_avg_pool(), spec.classes)
    })
}

/// Separable convolutions with batch norm and ReLU between them, none inside.
fn pre_activated_stack<'g>(block: &Scope<'g>, x: Value<'g>, widths: [usize; 3], stride: usize) -> Value<'g> {
    let mut y = x;
    for (i, width) in (1..).zip(widths) {
        let conv = block.at(format!("stack.conv{i}"));
        if i == 3 {
            block.at("stack.conv2").feature(y);
        }
        if i > 1 {
            y = conv.at("norm").batch_norm(y).relu();
        }
        y = conv.at("conv_dw").conv(y, depthwise(y, if i == 3 { stride } else { 1 }));
        y = conv.at("conv_pw").conv(y, Conv::new(width, 1));
    }
    y
}
