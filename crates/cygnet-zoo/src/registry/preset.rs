//! How photos are prepared for published networks.

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

pub(super) const fn rgb(
    resize: Resize,
    interpolation: Interpolation,
    mean: [f32; 3],
    std: [f32; 3],
) -> Preset {
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

    /// What a source does where nothing else is known: its own evaluation of networks for images of this side.
    #[must_use]
    pub fn of(source: &str, side: usize) -> Preset {
        match source {
            "timm" => Preset::TIMM_BICUBIC,
            "keras" => Preset::TENSORFLOW,
            // The side over 0.875, rounded up: 256 for 224.
            "pytorchcv" => {
                Preset { resize: Resize::ShorterSide((side * 8).div_ceil(7)), ..Preset::TORCHVISION }
            }
            _ => Preset::TORCHVISION,
        }
    }

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
