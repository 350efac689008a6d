//! RandAugment (Cubuk et al. 2019) with torchvision's operations and magnitudes.

use crate::colour;
use crate::decode::Image;
use crate::rng::Rng;
use crate::warp;

/// Magnitudes are below this.
pub(crate) const BINS: usize = 31;

/// One operation, drawn from fourteen; half of those with a direction go the other way.
pub(crate) fn apply(image: &mut Image, magnitude: usize, rng: &mut Rng) {
    let share = magnitude as f64 / (BINS - 1) as f64;
    let operation = rng.below(14);
    let sign = if rng.chance(0.5) { -1.0 } else { 1.0 };
    let factor = 1.0 + sign * 0.9 * share;
    let shift = |side: usize| (sign * share * 150.0 / 331.0 * side as f64) as isize;
    match operation {
        0 => {}
        1 => *image = warp::sheared_across(image, sign * 0.3 * share),
        2 => *image = warp::sheared_down(image, sign * 0.3 * share),
        3 => *image = warp::shifted(image, shift(image.width), 0),
        4 => *image = warp::shifted(image, 0, shift(image.height)),
        5 => *image = warp::rotated(image, sign * 30.0 * share, false),
        6 => colour::brightness(image, factor),
        7 => colour::saturation(image, factor),
        8 => colour::contrast(image, factor),
        9 => colour::sharpness(image, factor),
        10 => colour::posterize(image, 8 - (4.0 * share).round_ties_even() as u32),
        11 => colour::solarize(image, 255.0 * (1.0 - share)),
        12 => colour::autocontrast(image),
        _ => colour::equalize(image),
    }
}
