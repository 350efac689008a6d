//! RandAugment (Cubuk et al. 2019) with torchvision's operations and magnitudes.

use crate::colour;
use crate::decode::Image;
use crate::rng::Rng;
use crate::warp;

/// Magnitudes are below this.
pub(crate) const BINS: usize = 31;

/// torchvision's names of the operations, in its order.
pub(crate) const OPERATIONS: [&str; 14] = [
    "Identity",
    "ShearX",
    "ShearY",
    "TranslateX",
    "TranslateY",
    "Rotate",
    "Brightness",
    "Color",
    "Contrast",
    "Sharpness",
    "Posterize",
    "Solarize",
    "AutoContrast",
    "Equalize",
];

/// One operation, drawn from all; half of those with a direction go the other way.
pub(crate) fn apply(image: &mut Image, magnitude: usize, rng: &mut Rng) {
    let operation = rng.below(OPERATIONS.len());
    let sign = if rng.chance(0.5) { -1.0 } else { 1.0 };
    change(image, operation, magnitude, sign);
}

/// The operation with a number. Magnitudes are torchvision's to the bit: those of PyTorch's `linspace`.
pub(crate) fn change(image: &mut Image, operation: usize, magnitude: usize, sign: f64) {
    let up_to = |most: f64| {
        let (most, steps) = (most as f32, (BINS - 1) as f32);
        let (step, done) = (most / steps, magnitude as f32);
        sign * f64::from(if done < steps / 2.0 { step * done } else { (done - steps).mul_add(step, most) })
    };
    let factor = 1.0 + up_to(0.9);
    let moved = |side: usize| -up_to(150.0 / 331.0 * side as f64) as isize;
    match operation {
        0 => {}
        1 => *image = warp::sheared_across(image, up_to(0.3)),
        2 => *image = warp::sheared_down(image, up_to(0.3)),
        3 => *image = warp::shifted(image, moved(image.width), 0),
        4 => *image = warp::shifted(image, 0, moved(image.height)),
        5 => *image = warp::rotated(image, up_to(30.0), false),
        6 => colour::brightness(image, factor),
        7 => colour::saturation(image, factor),
        8 => colour::contrast(image, factor),
        9 => colour::sharpness(image, factor),
        10 => colour::posterize(image, 8 - (magnitude as f64 / 7.5).round_ties_even() as u32),
        11 => colour::solarize(image, 255.0 - up_to(255.0).abs()),
        12 => colour::autocontrast(image),
        _ => colour::equalize(image),
    }
}
