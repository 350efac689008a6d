//! ShuffleNet v2: each unit works on half of the channels and shuffles them (Ma et al. 2018, arXiv 1807.11164).
//!
//! Names are torchvision's.

use cygnet_graph::{Activation, Conv, Numbered, Pool, Scope, Value};

use crate::blocks::conv_bn;
use crate::{Built, Spec};

const WIDTHS: [(f64, usize); 4] = [
    // width  channels of stage 2      — table 5 of the paper; later stages double them
    (0.5, 48),
    (1.0, 116),
    (1.5, 176),
    (2.0, 244),
];

/// What public versions do differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flavour {
    /// Both branches of a unit that halves the image yield half of its channels.
    Torchvision,
    /// The same, with max pooling that reaches over the lower and right border and a wider last convolution.
    Pytorchcv,
    /// The shortcut of a unit that halves the image keeps its channels; the last convolution is wider.
    PytorchcvB,
    /// That shortcut too, but channels are shuffled before they are split; the classifier has no bias.
    Official,
}

/// ShuffleNet v2 as torchvision has it. Widths other than the paper's scale 116 channels to the nearest even number.
pub fn shufflenet_v2(spec: &Spec) -> Built {
    network(spec, Flavour::Torchvision)
}

/// ShuffleNet v2 as pytorchcv's `shufflenetv2` has it.
pub fn shufflenet_v2_pytorchcv(spec: &Spec) -> Built {
    network(spec, Flavour::Pytorchcv)
}

/// ShuffleNet v2 as pytorchcv's `shufflenetv2b` has it.
pub fn shufflenet_v2b_pytorchcv(spec: &Spec) -> Built {
    network(spec, Flavour::PytorchcvB)
}

/// ShuffleNet v2 as its authors published it.
pub fn shufflenet_v2_official(spec: &Spec) -> Built {
    network(spec, Flavour::Official)
}

fn network(spec: &Spec, flavour: Flavour) -> Built {
    let listed = WIDTHS.iter().find(|(width, _)| *width == spec.width);
    let nearest_even = ((58.0 * spec.width).round() as usize).saturating_mul(2);
    let channels = listed.map_or(nearest_even, |(_, channels)| *channels);
    let last = match flavour {
        Flavour::Pytorchcv | Flavour::PytorchcvB if spec.width > 1.0 => channels.saturating_mul(1024) / 116,
        Flavour::Torchvision | Flavour::Official if spec.width >= 2.0 => 2048,
        Flavour::Torchvision | Flavour::Pytorchcv | Flavour::PytorchcvB | Flavour::Official => 1024,
    };
    let pool = Pool::max(3, 2);
    let pool = if flavour == Flavour::Pytorchcv { pool.ceil() } else { pool.pad(1) };
    spec.build(|net, image| {
        let stem = net.at("conv1");
        let mut x = stem.feature(conv_bn(&stem, image, Conv::new(24, 3).stride(2)).relu());
        x = net.at("maxpool").feature(x.pool(pool));
        for (stage, repeats) in [4, 8, 4].into_iter().enumerate() {
            let out = channels.saturating_mul(1 << stage);
            let mut blocks = net.at(format!("stage{}", stage + 2)).numbered();
            for repeat in 0..repeats {
                let block = blocks.next();
                let (stride, changes) = if repeat == 0 { (2, true) } else { (1, false) };
                let what = Unit { out, kernel: 3, stride, changes, activation: Activation::RELU };
                x = block.feature(unit(&block, x, what, flavour));
            }
        }
        x = conv_bn(&net.at("conv5"), x, Conv::new(last, 1)).relu().global_avg_pool();
        let classifier = net.at("fc");
        match flavour {
            Flavour::Official if spec.width >= 2.0 => {
                classifier.linear_without_bias(x.dropout(0.2), spec.classes)
            }
            Flavour::Official => classifier.linear_without_bias(x, spec.classes),
            Flavour::Torchvision | Flavour::Pytorchcv | Flavour::PytorchcvB => {
                classifier.linear(x, spec.classes)
            }
        }
    })
}

/// A unit of the network.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unit {
    /// Output channels.
    pub out: usize,
    /// Side of its depthwise kernels.
    pub kernel: usize,
    /// Its stride.
    pub stride: usize,
    /// Whether it changes the map's size or channels: both branches then see all channels, else the shortcut keeps
    /// half.
    pub changes: bool,
    /// The function after its 1×1 convolutions.
    pub activation: Activation,
}

/// Figure 3 (c) and (d): a unit that changes the map sees all channels, others half of them.
pub(crate) fn unit<'g>(block: &Scope<'g>, x: Value<'g>, unit: Unit, flavour: Flavour) -> Value<'g> {
    let Unit { out, kernel, stride, changes, activation } = unit;
    let [kept, x] = match flavour {
        _ if changes => [x, x],
        Flavour::Official => even_odd(x),
        Flavour::Torchvision | Flavour::Pytorchcv | Flavour::PytorchcvB => x.halves(),
    };
    let kept = if changes {
        let mut layers = block.at("branch1").numbered();
        let channels = match flavour {
            Flavour::Torchvision | Flavour::Pytorchcv => out / 2,
            Flavour::PytorchcvB | Flavour::Official => kept.channels(),
        };
        let y = depthwise(&mut layers, kept, kernel, stride);
        pointwise(&mut layers, y, channels).activation(activation)
    } else {
        kept
    };
    let mut layers = block.at("branch2").numbered();
    let mut y = pointwise(&mut layers, x, out / 2).activation(activation);
    layers.skip(1);
    y = depthwise(&mut layers, y, kernel, stride);
    y = pointwise(&mut layers, y, out.saturating_sub(kept.channels())).activation(activation);
    let y = kept.concat(&[y]);
    if flavour == Flavour::Official { y } else { y.channel_shuffle(2) }
}

/// The channels with even and those with odd numbers: the authors' shuffle and split in one.
pub(crate) fn even_odd(x: Value<'_>) -> [Value<'_>; 2] {
    x.channel_shuffle(x.channels() / 2).halves()
}

/// The next two layers: a pointwise convolution and its batch norm.
pub(crate) fn pointwise<'g>(layers: &mut Numbered<'g>, x: Value<'g>, out: usize) -> Value<'g> {
    let y = layers.next().conv(x, Conv::new(out, 1));
    layers.next().batch_norm(y)
}

/// The next two layers: a depthwise convolution and its batch norm.
pub(crate) fn depthwise<'g>(
    layers: &mut Numbered<'g>,
    x: Value<'g>,
    kernel: usize,
    stride: usize,
) -> Value<'g> {
    let y = layers.next().depthwise(x, Conv::new(0, kernel).stride(stride));
    layers.next().batch_norm(y)
}
