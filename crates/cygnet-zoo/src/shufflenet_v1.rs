//! ShuffleNet v1: grouped pointwise convolutions, mixed by a channel shuffle (Zhang et al. 2017, arXiv 1707.01083).
//!
//! Names are those of the authors' code, although that code shuffles differently from the paper.

use cygnet_graph::{Conv, Pool, Scope, Value};

use crate::blocks::{RELU_SIGMOID, conv_bn, conv_bn_at, make_divisible, squeeze_excite};
use crate::{Built, Spec};

/// A column of table 1 of the paper.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    groups: usize,
    channels: usize,
}

#[allow(missing_docs, reason = "named after the number of groups")]
impl Column {
    //                               groups     channels of stage 2      — table 1; later stages double them
    pub const G1: Column = Column { groups: 1, channels: 144 };
    pub const G2: Column = Column { groups: 2, channels: 200 };
    pub const G3: Column = Column { groups: 3, channels: 240 };
    pub const G4: Column = Column { groups: 4, channels: 272 };
    pub const G8: Column = Column { groups: 8, channels: 384 };
}

/// What public versions do differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flavour {
    /// As the paper's figure 2 shows it; in a concatenation the branch comes first.
    Paper,
    /// The same with squeeze-and-excitation at the end of the branch.
    SqueezeExcite,
    /// Shuffles after the depthwise convolution, by the inverse permutation; in a concatenation the shortcut comes
    /// first; the classifier has no bias.
    Official,
    /// For images of 32 × 32: the image is halved by stages 3 and 4 only, their shortcuts average 2 × 2 windows.
    Cifar,
}

/// ShuffleNet v1 as the paper has it. Channels that a width makes impossible to cut into the groups are rounded to the
/// nearest number that can be.
pub fn shufflenet_v1(spec: &Spec, column: Column) -> Built {
    network(spec, column, Flavour::Paper)
}

/// ShuffleNet v1 with squeeze-and-excitation (table 5 of the paper).
pub fn se_shufflenet_v1(spec: &Spec, column: Column) -> Built {
    network(spec, column, Flavour::SqueezeExcite)
}

/// ShuffleNet v1 as its authors published it later.
pub fn shufflenet_v1_official(spec: &Spec, column: Column) -> Built {
    network(spec, column, Flavour::Official)
}

/// ShuffleNet v1 for small images.
pub fn shufflenet_v1_cifar10(spec: &Spec, column: Column) -> Built {
    network(spec, column, Flavour::Cifar)
}

fn network(spec: &Spec, column: Column, flavour: Flavour) -> Built {
    let Column { groups, channels } = column;
    let scaled = |channels: usize| channels as f64 * spec.width;
    let stage_channels = |stage: usize| {
        let (exact, fits) = (scaled(channels << stage), |n: usize| n.is_multiple_of(groups));
        if fits(exact as usize) && fits(exact as usize / 4) {
            exact as usize
        } else {
            make_divisible(exact, 4 * groups)
        }
    };
    let small = flavour == Flavour::Cifar;
    spec.build(|net, image| {
        // Above width 1 the stem grows by whole steps, in the paper's complexities and in the authors' code.
        let stem =
            if spec.width < 1.0 { scaled(24) as usize } else { 24usize.saturating_mul(spec.width as usize) };
        let fits = stage_channels(0).saturating_sub(stem).is_multiple_of(groups);
        let stem = match flavour {
            Flavour::Official => stem.checked_next_multiple_of(groups).unwrap_or(stem),
            Flavour::Paper | Flavour::SqueezeExcite if fits => stem,
            Flavour::Paper | Flavour::SqueezeExcite | Flavour::Cifar => 24,
        };
        let first = net.at("first_conv");
        let conv = Conv::new(stem, 3).stride(if small { 1 } else { 2 });
        let mut x = first.feature(conv_bn(&first, image, conv).relu());
        if !small {
            x = net.at("maxpool").feature(x.pool(Pool::max(3, 2).pad(1)));
        }
        let mut blocks = net.at("features").numbered();
        for (stage, repeats) in [4, 8, 4].into_iter().enumerate() {
            for repeat in 0..repeats {
                let stride = if repeat == 0 && !(small && stage == 0) { 2 } else { 1 };
                let dense = stage == 0 && repeat == 0;
                let groups = [if dense { 1 } else { groups }, groups];
                let block = blocks.next();
                x = block.feature(unit(&block, x, groups, stage_channels(stage), stride, flavour));
            }
        }
        let (pooled, classifier) = (x.global_avg_pool(), net.at("classifier.0"));
        match flavour {
            Flavour::Official => classifier.linear_without_bias(pooled, spec.classes),
            Flavour::Paper | Flavour::SqueezeExcite | Flavour::Cifar => {
                classifier.linear(pooled, spec.classes)
            }
        }
    })
}

/// Figure 2 (b) and (c): the first and the second pointwise convolution have `groups`; a unit that widens `x`
/// concatenates, others add.
fn unit<'g>(
    block: &Scope<'g>,
    x: Value<'g>,
    groups: [usize; 2],
    out: usize,
    stride: usize,
    flavour: Flavour,
) -> Value<'g> {
    let widens = out != x.channels();
    let middle = out / 4;
    let [first, second] = ["branch_main_1", "branch_main_2"].map(|name| block.at(name));
    let depthwise = |y| conv_bn_at(&first, ["3", "4"], y, Conv::new(middle, 3).stride(stride).groups(middle));
    let mut y = conv_bn(&first, x, Conv::new(middle, 1).groups(groups[0])).relu();
    y = match (flavour, groups[1]) {
        (_, 1) => depthwise(y),
        (Flavour::Official, groups) => depthwise(y).channel_shuffle(middle / groups),
        (Flavour::Paper | Flavour::SqueezeExcite | Flavour::Cifar, groups) => {
            depthwise(y.channel_shuffle(groups))
        }
    };
    let branch = if widens { out.saturating_sub(x.channels()) } else { out };
    y = conv_bn(&second, y, Conv::new(branch, 1).groups(groups[1]));
    if flavour == Flavour::SqueezeExcite {
        y = squeeze_excite(&block.at("se"), ["fc1", "fc2"], y, branch / 16, RELU_SIGMOID);
    }
    let shortcut = match (stride, flavour) {
        (1, _) => x,
        (_, Flavour::Cifar) => x.pool(Pool::avg(2, 2).ceil()),
        (_, Flavour::Paper | Flavour::SqueezeExcite | Flavour::Official) => x.pool(Pool::avg(3, 2).pad(1)),
    };
    match flavour {
        _ if !widens => (y + shortcut).relu(),
        Flavour::Official => shortcut.concat(&[y.relu()]),
        Flavour::Paper | Flavour::SqueezeExcite | Flavour::Cifar => y.concat(&[shortcut]).relu(),
    }
}
