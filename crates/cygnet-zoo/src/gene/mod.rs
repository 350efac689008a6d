//! Genes: networks as a search describes them, in stages of blocks that the families share.
//!
//! A [`Gene`] says all there is to a network but the number of classes, and [`Gene::build`] makes its graph. It has a
//! short text form (`text.rs`), which stands wherever the id of a network stands.

mod graph;
mod text;

use std::fmt::{self, Display, Formatter};

use serde::{Deserialize, Serialize};

pub(crate) use graph::named_by_gene;

/// A network: a stem, stages of blocks, and a head before the classifier.
///
/// ```
/// use cygnet_zoo::gene::Gene;
/// use cygnet_zoo::Spec;
///
/// let gene: Gene = "gene:32-16s1-24_m3e1-40s2_2m5e6-80s2_f3e4_x-256".parse()?;
/// let graph = gene.build(&Spec { classes: 10, ..gene.spec() })?;
/// assert_eq!(graph.input_shape(), [3, 32, 32]);
/// assert_eq!(Gene::of(&graph), Some(gene));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Gene {
    /// Height and width of its images.
    pub image: usize,
    /// The first layers.
    pub stem: Stem,
    /// The blocks, in groups that share their width.
    pub stages: Vec<Stage>,
    /// The last layers but for the classifier.
    pub head: Head,
}

/// A convolution with batch norm and activation, perhaps a 3×3 maximum with stride 2 after it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Stem {
    /// Output channels.
    pub channels: usize,
    /// Side of its kernel.
    pub kernel: usize,
    /// Its stride.
    pub stride: usize,
    /// Whether the maximum follows.
    pub pools: bool,
    /// Its function.
    pub activation: Nonlinearity,
    /// Whether it learns a bias besides that of its batch norm.
    pub bias: bool,
}

/// Blocks of one width, the first with the stride.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Stage {
    /// Output channels of each block.
    pub channels: usize,
    /// Stride of the first block.
    pub stride: usize,
    /// The blocks by place; none where the search chose to skip, which keeps the numbers of the others.
    pub blocks: Vec<Option<Block>>,
}

/// What follows the last block: a 1×1 convolution, the mean over the map, a hidden layer, each if it is there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Head {
    /// Output channels of the 1×1 convolution; 0 if there is none.
    pub channels: usize,
    /// The function of both layers.
    pub activation: Nonlinearity,
    /// Whether the convolution learns a bias besides that of its batch norm.
    pub bias: bool,
    /// Width of the hidden layer; 0 if there is none.
    pub hidden: usize,
}

/// A block. Which settings a kind has is told by [`Kind::settings`]; the others are as in [`Block::new`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Block {
    /// What it is made of.
    pub kind: Kind,
    /// Side of its kernel.
    pub kernel: usize,
    /// Its width inside.
    pub inner: Inner,
    /// Its squeeze-and-excitation.
    pub squeeze: Option<Squeeze>,
    /// Its function.
    pub activation: Nonlinearity,
    /// Channel groups of its 1×1 convolutions, with a shuffle between them.
    pub groups: usize,
    /// Whether a 1×1 convolution is there even if it widens nothing.
    pub dense: bool,
    /// Whether its convolutions learn biases besides those of their batch norms.
    pub bias: bool,
    /// Whether the input is added where shapes allow.
    pub shortcut: bool,
}

/// What a block is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// MobileNetV2's inverted residual: 1×1, depthwise, 1×1 (Sandler et al. 2018).
    Inverted,
    /// An inverted residual whose first two convolutions are one of k×k (Gupta and Akin 2020, arXiv 2003.02838); a
    /// single convolution where nothing widens.
    Fused,
    /// Two k×k convolutions and a shortcut, of 1×1 where shapes differ (He et al. 2015, arXiv 1512.03385).
    Residual,
    /// ShuffleNetV2's unit (Ma et al. 2018).
    Shuffle,
    /// GhostNet's bottleneck (Han et al. 2019).
    Ghost,
    /// MobileNeXt's sandglass, which narrows inside (Zhou et al. 2020).
    Sandglass,
}

/// Width of a block inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Inner {
    /// So many times its input's; for a sandglass, one in so many.
    Times(usize),
    /// So many channels.
    Channels(usize),
}

/// How wide a block's squeeze-and-excitation is inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Squeeze {
    /// A quarter of the block's input, with a sigmoid (MnasNet).
    Input,
    /// A quarter of the block's inner width, with a hard sigmoid (MobileNetV3, GhostNet).
    Inner,
}

/// The function between layers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Nonlinearity {
    /// `max(x, 0)`.
    #[default]
    Relu,
    /// `min(max(x, 0), 6)`.
    Relu6,
    /// `x * relu6(x + 3) / 6`.
    HardSwish,
}

impl Block {
    /// A block of a kind with this kernel that widens nothing, with ReLU and a shortcut and nothing else.
    #[must_use]
    pub const fn new(kind: Kind, kernel: usize) -> Block {
        Block {
            kind,
            kernel,
            inner: Inner::Times(1),
            squeeze: None,
            activation: Nonlinearity::Relu,
            groups: 1,
            dense: false,
            bias: false,
            shortcut: true,
        }
    }
}

impl Kind {
    /// Every kind, in declaration order.
    pub const ALL: [Kind; 6] =
        [Kind::Inverted, Kind::Fused, Kind::Residual, Kind::Shuffle, Kind::Ghost, Kind::Sandglass];

    /// Its letter in the text form.
    #[must_use]
    pub const fn letter(self) -> char {
        match self {
            Kind::Inverted => 'm',
            Kind::Fused => 'f',
            Kind::Residual => 'r',
            Kind::Shuffle => 's',
            Kind::Ghost => 'g',
            Kind::Sandglass => 'n',
        }
    }

    /// The letters of the settings that it has besides its kernel, in the order in which they are written.
    #[must_use]
    pub const fn settings(self) -> &'static str {
        match self {
            Kind::Inverted => "ewgdiqhcbn",
            Kind::Fused => "ewiqhcn",
            Kind::Residual | Kind::Shuffle => "hc",
            Kind::Ghost => "ewq",
            Kind::Sandglass => "e",
        }
    }
}

impl Gene {
    /// What the text form begins with.
    pub const PREFIX: &'static str = "gene:";

    /// Number of blocks, places where there is none left out.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.stages.iter().map(|stage| stage.blocks.iter().flatten().count()).sum()
    }
}

/// Why a text is no gene.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GeneError {
    /// The part of the text: `stem`, `stage 2, block 0`.
    pub place: String,
    /// What is wrong there, and what to write.
    pub reason: String,
}

impl Display for GeneError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.reason)
    }
}

impl std::error::Error for GeneError {}
