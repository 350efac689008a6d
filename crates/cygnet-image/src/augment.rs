//! Random changes of pictures while training: crops, flips, rotation, colours, RandAugment, erasing.
//!
//! Semantics are torchvision's transforms on Pillow pictures, for the hue on tensors, named at each setting. Every draw
//! comes from the caller's [`Rng`], so equal streams give equal pictures.

use serde::{Deserialize, Serialize};

use crate::colour;
use crate::decode::Image;
use crate::error::{ImageError, Result};
use crate::preprocess::Preprocess;
use crate::randaugment;
use crate::resize::{Axis, resize};
use crate::rng::Rng;
use crate::warp;

/// How a training picture comes to the network's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Crop {
    /// As in evaluation, by the preprocessing record.
    Fit,
    /// torchvision's `RandomResizedCrop`: a window of random area and aspect, resized.
    Resized,
    /// torchvision's `RandomCrop` with zero padding, after fitting as in evaluation (CIFAR's usual form).
    Padded,
}

/// The random changes of one picture, in the order in which they are made. Numbers of 0 switch a change off.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Augment {
    /// How the picture comes to the network's size.
    pub crop: Crop,
    /// Smallest and largest share of the picture's area, for [`Crop::Resized`].
    pub crop_scale: [f64; 2],
    /// Smallest and largest width over height, for [`Crop::Resized`].
    pub crop_ratio: [f64; 2],
    /// Pixels added on every side, for [`Crop::Padded`].
    pub crop_padding: usize,
    /// Probability of a horizontal flip.
    pub flip: f64,
    /// Probability of a vertical flip.
    pub vertical_flip: f64,
    /// Largest rotation in degrees either way; bilinear, black beyond the border.
    pub rotation: f64,
    /// torchvision's `ColorJitter`: the factor is from `1 - x` (not below 0) to `1 + x`.
    pub brightness: f64,
    /// As `brightness`, towards the mean grey.
    pub contrast: f64,
    /// As `brightness`, towards the grey picture.
    pub saturation: f64,
    /// Largest shift of the hue, as a share of the circle, at most 0.5.
    pub hue: f64,
    /// torchvision's `RandAugment`: operations a picture.
    pub rand_augment: usize,
    /// RandAugment's magnitude, 0 to 30.
    pub magnitude: usize,
    /// torchvision's `RandomErasing`: probability.
    pub erase: f64,
    /// Smallest and largest share of the area that is erased; aspect from 0.3 to 3.3.
    pub erase_scale: [f64; 2],
}

impl Default for Augment {
    /// No change at all.
    fn default() -> Self {
        Augment {
            crop: Crop::Fit,
            crop_scale: [0.08, 1.0],
            crop_ratio: [3.0 / 4.0, 4.0 / 3.0],
            crop_padding: 4,
            flip: 0.0,
            vertical_flip: 0.0,
            rotation: 0.0,
            brightness: 0.0,
            contrast: 0.0,
            saturation: 0.0,
            hue: 0.0,
            rand_augment: 0,
            magnitude: 9,
            erase: 0.0,
            erase_scale: [0.02, 0.33],
        }
    }
}

impl Augment {
    /// Whether the settings can be carried out.
    ///
    /// # Errors
    /// [`ImageError::Record`] with the field and what is wrong.
    pub fn check(&self) -> Result<()> {
        let wrong = |field, reason: String| Err(ImageError::Record { field, reason });
        let shares = [("flip", self.flip), ("vertical_flip", self.vertical_flip), ("erase", self.erase)];
        for (field, value) in shares {
            if !(0.0..=1.0).contains(&value) {
                return wrong(field, format!("{value} is not from 0 to 1"));
            }
        }
        if !(0.0..=0.5).contains(&self.hue) {
            return wrong("hue", format!("{} is not from 0 to 0.5", self.hue));
        }
        let factors = [
            ("brightness", self.brightness),
            ("contrast", self.contrast),
            ("saturation", self.saturation),
            ("rotation", self.rotation),
        ];
        for (field, value) in factors {
            if !(0.0..=360.0).contains(&value) {
                return wrong(field, format!("{value} is not from 0 to 360"));
            }
        }
        for (field, [low, high], most) in [
            ("crop_scale", self.crop_scale, 1.0),
            ("crop_ratio", self.crop_ratio, 1e3),
            ("erase_scale", self.erase_scale, 1.0),
        ] {
            if !(low > 0.0 && low <= high && high <= most) {
                return wrong(field, format!("{low} to {high} is no range above 0 and at most {most}"));
            }
        }
        if self.magnitude >= randaugment::BINS {
            return wrong("magnitude", format!("{} is more than {}", self.magnitude, randaugment::BINS - 1));
        }
        if self.rand_augment > 16 {
            return wrong("rand_augment", format!("{} is more than 16 operations", self.rand_augment));
        }
        if self.crop_padding > 1024 {
            return wrong("crop_padding", format!("{} is more than 1024 pixels", self.crop_padding));
        }
        Ok(())
    }

    /// The changed picture at the network's size, before any arithmetic on its values.
    ///
    /// # Errors
    /// As [`Preprocess::fit`].
    pub fn apply(&self, image: &Image, preprocess: &Preprocess, rng: &mut Rng) -> Result<Image> {
        let [height, width] = preprocess.size;
        let mut image = match self.crop {
            Crop::Fit => preprocess.fit(image)?,
            Crop::Resized => {
                let [left, top, across, down] = self.window(image.width, image.height, rng);
                let axis = |start: usize, length: usize, size: usize| Axis {
                    source: start..start + length,
                    resized: size,
                    window: 0..size,
                };
                resize(image, &axis(left, across, width), &axis(top, down, height), preprocess.interpolation)
            }
            Crop::Padded => {
                let fitted = preprocess.fit(image)?;
                let pad = self.crop_padding;
                let mut offset = || rng.below(2 * pad + 1) as isize - pad as isize;
                let (down, across) = (offset(), offset());
                warp::shifted(&fitted, across, down)
            }
        };
        if self.flip > 0.0 && rng.chance(self.flip) {
            warp::flip_horizontally(&mut image);
        }
        if self.vertical_flip > 0.0 && rng.chance(self.vertical_flip) {
            warp::flip_vertically(&mut image);
        }
        if self.rotation > 0.0 {
            let degrees = rng.between(-self.rotation, self.rotation);
            image = warp::rotated(&image, degrees, true);
        }
        self.jitter(&mut image, rng);
        for _ in 0..self.rand_augment {
            randaugment::apply(&mut image, self.magnitude, rng);
        }
        Ok(image)
    }

    /// Left, top, width and height of `RandomResizedCrop`'s window.
    fn window(&self, width: usize, height: usize, rng: &mut Rng) -> [usize; 4] {
        let area = (width * height) as f64;
        let [narrow, wide] = self.crop_ratio;
        for _ in 0..10 {
            let target = area * rng.between(self.crop_scale[0], self.crop_scale[1]);
            let aspect = rng.between(narrow.ln(), wide.ln()).exp();
            let across = (target * aspect).sqrt().round_ties_even() as usize;
            let down = (target / aspect).sqrt().round_ties_even() as usize;
            if (1..=width).contains(&across) && (1..=height).contains(&down) {
                let top = rng.below(height - down + 1);
                return [rng.below(width - across + 1), top, across, down];
            }
        }
        let aspect = width as f64 / height as f64;
        let scaled = |side: usize, factor: f64| ((side as f64 * factor).round_ties_even() as usize).max(1);
        let (across, down) = if aspect < narrow {
            (width, scaled(width, 1.0 / narrow).min(height))
        } else if aspect > wide {
            (scaled(height, wide).min(width), height)
        } else {
            (width, height)
        };
        [(width - across) / 2, (height - down) / 2, across, down]
    }

    fn jitter(&self, image: &mut Image, rng: &mut Rng) {
        let mut order = [0, 1, 2, 3];
        if self.brightness + self.contrast + self.saturation + self.hue == 0.0 {
            return;
        }
        rng.shuffle(&mut order);
        let mut factor = |range: f64| rng.between((1.0 - range).max(0.0), 1.0 + range);
        let [brightness, contrast, saturation] =
            [self.brightness, self.contrast, self.saturation].map(&mut factor);
        let hue = rng.between(-self.hue, self.hue);
        for change in order {
            match change {
                0 if self.brightness > 0.0 => colour::brightness(image, brightness),
                1 if self.contrast > 0.0 => colour::contrast(image, contrast),
                2 if self.saturation > 0.0 => colour::saturation(image, saturation),
                3 if self.hue > 0.0 => colour::hue(image, hue),
                _ => {}
            }
        }
    }

    /// Erases a window of a normalised tensor `[channels, height, width]` to zero, which is the mean.
    pub fn erase(&self, tensor: &mut [f32], [channels, height, width]: [usize; 3], rng: &mut Rng) {
        if self.erase == 0.0 || !rng.chance(self.erase) {
            return;
        }
        let area = (height * width) as f64;
        for _ in 0..10 {
            let target = area * rng.between(self.erase_scale[0], self.erase_scale[1]);
            let aspect = rng.between(0.3f64.ln(), 3.3f64.ln()).exp();
            let down = (target * aspect).sqrt().round_ties_even() as usize;
            let across = (target / aspect).sqrt().round_ties_even() as usize;
            if down < height && across < width {
                let top = rng.below(height - down + 1);
                let left = rng.below(width - across + 1);
                for row in
                    (0..channels).flat_map(|channel| (top..top + down).map(move |y| channel * height + y))
                {
                    tensor[row * width + left..][..across].fill(0.0);
                }
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::randaugment::OPERATIONS;
    use crate::resize::Interpolation;

    #[derive(Deserialize)]
    struct Case {
        size: [usize; 2],
        change: String,
        value: f64,
        pixels: String,
    }

    fn picture([width, height]: [usize; 2]) -> Image {
        let value = |x: usize, y: usize, c: usize| {
            ((x * 37 + y * 91 + c * 53 + x * y * 29) % 256 * (3 + c) / 5 + 10) as u8
        };
        let places = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        let pixels = places.flat_map(|(x, y)| [0, 1, 2].map(|c| value(x, y, c))).collect();
        Image { width, height, pixels }
    }

    #[test]
    fn changes_are_torchvisions() {
        let cases: Vec<Case> =
            serde_json::from_str(include_str!("../tests/changes_reference.json")).expect("the script's file");
        assert_eq!(cases.len(), 108);
        for Case { size, change, value, pixels } in cases {
            let mut image = picture(size);
            match change.as_str() {
                "rotation" => image = warp::rotated(&image, value, true),
                "brightness" => colour::brightness(&mut image, value),
                "contrast" => colour::contrast(&mut image, value),
                "saturation" => colour::saturation(&mut image, value),
                "hue" => colour::hue(&mut image, value),
                name => {
                    let number = OPERATIONS.iter().position(|known| *known == name).expect("a known change");
                    randaugment::change(&mut image, number, value.abs() as usize, value.signum());
                }
            }
            let byte = |place| u8::from_str_radix(&pixels[place..place + 2], 16).expect("two digits");
            let expected: Vec<u8> = (0..pixels.len()).step_by(2).map(byte).collect();
            assert_eq!(image.pixels, expected, "{change} {value} of {size:?}");
        }
    }

    #[test]
    fn a_window_is_resized_as_if_it_were_the_whole_picture() {
        let image = picture([14, 11]);
        let rows = image.pixels.chunks(14 * 3).skip(2).take(7);
        let window =
            Image { width: 9, height: 7, pixels: rows.flat_map(|row| &row[9..36]).copied().collect() };
        let axis = |start: usize, length: usize, size: usize| Axis {
            source: start..start + length,
            resized: size,
            window: 0..size,
        };
        for interpolation in [Interpolation::Bilinear, Interpolation::Bicubic] {
            let ours = resize(&image, &axis(3, 9, 5), &axis(2, 7, 4), interpolation);
            assert_eq!(ours, window.resized(5, 4, interpolation).expect("a small picture"));
        }
    }
}
