//! What the table says of a network: how it is built, at which widths, and what others call it.

use super::{Checkpoint, Preset};
use crate::keymap::KeyMap;
use crate::{Built, Spec};

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

/// The families of the field, and what is none of them.
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
    /// None of them: a network of another crate.
    Other,
}

impl Family {
    /// Every family of the field, in declaration order.
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
