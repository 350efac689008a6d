//! The model's own record of how a photo becomes its input tensor, and its execution.
//!
//! Sizes, crop places and roundings follow torchvision, timm and TensorFlow, whose rule each [`Resize`] names.
//! Refuses records that cannot be carried out; knows no network.

use serde::{Deserialize, Serialize};

use crate::decode::{Image, ensure_memory};
use crate::error::{ImageError, Result};
use crate::resize::{Axis, Interpolation, resize};

/// How a photo becomes a tensor: resize and crop, choose channels, `(pixel × scale − mean) / std`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Preprocess {
    /// Height and width of the network's input.
    pub size: [usize; 2],
    /// From the photo's size to `size`.
    pub resize: Resize,
    /// The filter of the resize.
    pub interpolation: Interpolation,
    /// The channels fed to the network.
    pub channels: ChannelOrder,
    /// Factor on the pixel value 0..=255, such as 1/255.
    pub scale: f32,
    /// Subtracted after scaling, one for each channel in the order fed to the network.
    pub mean: Vec<f32>,
    /// Divisor after the mean, one for each channel.
    pub std: Vec<f32>,
}

/// How a photo of any size comes to the network's size.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resize {
    /// torchvision's `Resize(side)` and `CenterCrop(size)`: the shorter side becomes `side`, then the middle is
    /// cut out, with black borders where the picture is smaller.
    ShorterSide {
        /// Pixels of the shorter side.
        side: usize,
    },
    /// TensorFlow's evaluation: the middle `fraction` of both sides, rounded down, squashed to `size`.
    CropFraction {
        /// Above 0, at most 1.
        fraction: f64,
    },
    /// timm's evaluation: as `ShorterSide` with a side of `size / pct` rounded down, then the middle. Where `size`
    /// is not square the picture is shrunk until one side fits.
    CropPct {
        /// Above 0, at most 1.
        pct: f64,
    },
    /// To `size`, whatever the aspect.
    Squash,
    /// The photo must have the network's size.
    None,
}

/// The channels fed to the network, first to last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChannelOrder {
    /// Red, green, blue.
    Rgb,
    /// Blue, green, red.
    Bgr,
    /// ITU-R 601 luma in 8 bits, Pillow's `convert("L")`, taken after the resize.
    Grey,
}

impl ChannelOrder {
    /// The number of channels.
    pub fn count(self) -> usize {
        match self {
            ChannelOrder::Rgb | ChannelOrder::Bgr => 3,
            ChannelOrder::Grey => 1,
        }
    }
}

const MAX_SIDE: usize = Preprocess::MAX_SIDE;

/// The longest side that a narrow picture may reach when its shorter side is resized.
const MAX_LONG_SIDE: usize = 1 << 28;

impl Preprocess {
    /// The longest side of the network's image, and of a photo that is resized for it.
    pub const MAX_SIDE: usize = 16_384;

    /// timm's usual evaluation of ImageNet networks: RGB/255, the ImageNet mean and deviation.
    pub fn imagenet(size: usize, crop_pct: f64, interpolation: Interpolation) -> Preprocess {
        Preprocess {
            size: [size; 2],
            resize: Resize::CropPct { pct: crop_pct },
            interpolation,
            channels: ChannelOrder::Rgb,
            scale: 1.0 / 255.0,
            mean: vec![0.485, 0.456, 0.406],
            std: vec![0.229, 0.224, 0.225],
        }
    }

    /// torchvision's evaluation: shorter side to `side`, middle `size`, bilinear; values as [`Self::imagenet`].
    pub fn torchvision(size: usize, side: usize) -> Preprocess {
        let resize = Resize::ShorterSide { side };
        Preprocess { resize, ..Preprocess::imagenet(size, 1.0, Interpolation::Bilinear) }
    }

    /// TensorFlow's evaluation of Inception and the MobileNets: the middle `fraction`, bilinear, values −1 to 1.
    pub fn inception(size: usize, fraction: f64) -> Preprocess {
        Preprocess {
            resize: Resize::CropFraction { fraction },
            mean: vec![0.5; 3],
            std: vec![0.5; 3],
            ..Preprocess::imagenet(size, 1.0, Interpolation::Bilinear)
        }
    }

    /// Caffe's evaluation: shorter side to `side`, middle `size`, BGR of 0 to 255 minus 104, 117, 123.
    pub fn caffe(size: usize, side: usize) -> Preprocess {
        Preprocess {
            channels: ChannelOrder::Bgr,
            scale: 1.0,
            mean: vec![104.0, 117.0, 123.0],
            std: vec![1.0; 3],
            ..Preprocess::torchvision(size, side)
        }
    }

    /// The same share of the photo at another size: a fixed shorter side grows and shrinks with the tensor's.
    ///
    /// # Errors
    /// As [`Preprocess::check`].
    pub fn resized(&self, height: usize, width: usize) -> Result<Preprocess> {
        let shorter = |[height, width]: [usize; 2]| height.min(width);
        let size = [height, width];
        let resize = match self.resize {
            Resize::ShorterSide { side } => {
                let exact = side as f64 * shorter(size) as f64 / shorter(self.size) as f64;
                Resize::ShorterSide { side: exact.round() as usize }
            }
            other => other,
        };
        let resized = Preprocess { size, resize, ..self.clone() };
        resized.check()?;
        Ok(resized)
    }

    /// Whether what it makes is an input of this shape, `[channels, height, width]`.
    ///
    /// # Errors
    /// Both shapes.
    pub fn makes(&self, input: [usize; 3]) -> std::result::Result<(), String> {
        let [height, width] = self.size;
        let made = [self.channels.count(), height, width];
        if made == input {
            return Ok(());
        }
        let text = |[channels, height, width]: [usize; 3]| format!("{channels}x{height}x{width}");
        Err(format!("photos are prepared as {} but the network reads {}", text(made), text(input)))
    }

    /// Whether the record can be carried out.
    ///
    /// # Errors
    /// [`ImageError::Record`] with the field and what is wrong with it.
    pub fn check(&self) -> Result<()> {
        let record = |field, reason: String| Err(ImageError::Record { field, reason });
        let count = self.channels.count();
        for &side in &self.size {
            if !(1..=MAX_SIDE).contains(&side) {
                return record("size", format!("{side} is not between 1 and {MAX_SIDE}"));
            }
        }
        for (field, values) in [("mean", &self.mean), ("std", &self.std)] {
            if values.len() != count {
                return record(
                    field,
                    format!("has {} values, expected one for each of {count} channels", values.len()),
                );
            }
            if let Some(value) = values.iter().find(|value| !value.is_finite()) {
                return record(field, format!("{value} is not a finite number"));
            }
        }
        if let Some(value) = self.std.iter().find(|&&value| value <= 0.0) {
            return record("std", format!("{value} is not above zero"));
        }
        if !self.scale.is_finite() {
            return record("scale", format!("{} is not a finite number", self.scale));
        }
        match self.resize {
            Resize::ShorterSide { side } if !(1..=MAX_SIDE).contains(&side) => {
                record("resize", format!("side {side} is not between 1 and {MAX_SIDE}"))
            }
            Resize::CropFraction { fraction: part } | Resize::CropPct { pct: part }
                if !(part > 0.0 && part <= 1.0) =>
            {
                record("resize", format!("{part} is not above 0 and at most 1"))
            }
            Resize::CropPct { pct } if self.size.iter().any(|&side| side as f64 / pct > MAX_SIDE as f64) => {
                record("resize", format!("size over {pct} is more than {MAX_SIDE}"))
            }
            Resize::ShorterSide { .. }
            | Resize::CropFraction { .. }
            | Resize::CropPct { .. }
            | Resize::Squash
            | Resize::None => Ok(()),
        }
    }

    /// The number of values of the tensor: channels × height × width.
    pub fn tensor_len(&self) -> usize {
        self.channels.count() * self.size[0] * self.size[1]
    }

    /// The photo as a tensor, channels first.
    ///
    /// # Errors
    /// Those of [`Preprocess::check`]; [`ImageError::WrongSize`] for [`Resize::None`] and another size;
    /// [`ImageError::TooNarrow`].
    pub fn apply(&self, image: &Image) -> Result<Vec<f32>> {
        self.check()?;
        ensure_memory(self.tensor_len().saturating_mul(size_of::<f32>()))?;
        let mut tensor = vec![0.0; self.tensor_len()];
        self.apply_into(image, &mut tensor)?;
        Ok(tensor)
    }

    /// As [`Preprocess::apply`], into a buffer of [`Preprocess::tensor_len`] values.
    ///
    /// # Errors
    /// As [`Preprocess::apply`]; [`ImageError::BufferLength`].
    pub fn apply_into(&self, image: &Image, tensor: &mut [f32]) -> Result<()> {
        self.check()?;
        if tensor.len() != self.tensor_len() {
            return Err(ImageError::BufferLength { given: tensor.len(), expected: self.tensor_len() });
        }
        self.normalize_into(&self.fit(image)?, tensor)
    }

    /// The arithmetic alone: a photo of the network's size becomes a tensor, channels first.
    ///
    /// # Errors
    /// Those of [`Preprocess::check`]; [`ImageError::WrongSize`]; [`ImageError::BufferLength`].
    pub fn normalize_into(&self, image: &Image, tensor: &mut [f32]) -> Result<()> {
        self.check()?;
        if tensor.len() != self.tensor_len() {
            return Err(ImageError::BufferLength { given: tensor.len(), expected: self.tensor_len() });
        }
        if [image.height, image.width] != self.size {
            return Err(ImageError::WrongSize {
                width: image.width,
                height: image.height,
                expected_width: self.size[1],
                expected_height: self.size[0],
            });
        }
        let planes = tensor.chunks_exact_mut(image.width * image.height);
        for (channel, (plane, (mean, std))) in planes.zip(self.mean.iter().zip(&self.std)).enumerate() {
            let table: [f32; 256] = std::array::from_fn(|level| (level as f32 * self.scale - mean) / std);
            let level = |pixel: &[u8]| match self.channels {
                ChannelOrder::Rgb => pixel[channel],
                ChannelOrder::Bgr => pixel[2 - channel],
                ChannelOrder::Grey => luma(pixel),
            };
            for (value, pixel) in plane.iter_mut().zip(image.pixels.chunks_exact(3)) {
                *value = table[usize::from(level(pixel))];
            }
        }
        Ok(())
    }

    /// The photo at the network's size, before any arithmetic on its values: what the network sees.
    ///
    /// # Errors
    /// As [`Preprocess::apply`].
    pub fn fit(&self, image: &Image) -> Result<Image> {
        self.check()?;
        let Image { width, height, .. } = *image;
        let [out_height, out_width] = self.size;
        let (across, down) = match self.resize {
            Resize::None if (width, height) != (out_width, out_height) => {
                return Err(ImageError::WrongSize {
                    width,
                    height,
                    expected_width: out_width,
                    expected_height: out_height,
                });
            }
            Resize::None | Resize::Squash => (squash(0..width, out_width), squash(0..height, out_height)),
            Resize::CropFraction { fraction } => {
                let middle = |side: usize| {
                    let kept = ((side as f64 * fraction) as usize).max(1);
                    let start = (side - kept) / 2;
                    start..start + kept
                };
                (squash(middle(width), out_width), squash(middle(height), out_height))
            }
            Resize::ShorterSide { side } => {
                let (across, down) = shorter_side(width, height, side);
                (center(width, across, out_width), center(height, down, out_height))
            }
            Resize::CropPct { pct } => {
                let side = |size: usize| ((size as f64 / pct).floor() as usize).max(1);
                let (across, down) = if out_width == out_height {
                    shorter_side(width, height, side(out_width))
                } else {
                    let (across, down) = (side(out_width) as f64, side(out_height) as f64);
                    let ratio = (width as f64 / across).min(height as f64 / down);
                    let scaled = |side: usize| (side as f64 / ratio).round_ties_even() as usize;
                    (scaled(width), scaled(height))
                };
                (center(width, across, out_width), center(height, down, out_height))
            }
        };
        if across.resized.max(down.resized) > MAX_LONG_SIDE {
            return Err(ImageError::TooNarrow { width, height });
        }
        let middle = resize(image, &across, &down, self.interpolation);
        if (middle.width, middle.height) == (out_width, out_height) {
            return Ok(middle);
        }
        let (left, top) = ((out_width - middle.width) / 2, (out_height - middle.height) / 2);
        let mut pixels = vec![0; out_width * out_height * 3];
        let rows = pixels.chunks_exact_mut(out_width * 3).skip(top);
        for (row, inside) in rows.zip(middle.pixels.chunks_exact(middle.width * 3)) {
            row[left * 3..][..inside.len()].copy_from_slice(inside);
        }
        Image::from_rgb(out_width, out_height, pixels)
    }
}

fn shorter_side(width: usize, height: usize, side: usize) -> (usize, usize) {
    if width <= height { (side, side * height / width) } else { (side * width / height, side) }
}

fn squash(source: std::ops::Range<usize>, size: usize) -> Axis {
    Axis { source, resized: size, window: 0..size }
}

/// The middle `size` of `resized` places, or all where there are fewer.
fn center(source: usize, resized: usize, size: usize) -> Axis {
    let start = (resized.saturating_sub(size) as f64 / 2.0).round_ties_even() as usize;
    Axis { source: 0..source, resized, window: start..start + size.min(resized) }
}

pub(crate) fn luma(pixel: &[u8]) -> u8 {
    let [red, green, blue] = [pixel[0], pixel[1], pixel[2]].map(u32::from);
    ((red * 19_595 + green * 38_470 + blue * 7471 + 0x8000) >> 16) as u8
}
