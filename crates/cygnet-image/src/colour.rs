//! Colours changed as Pillow's `ImageEnhance` and `ImageOps` do.

use crate::decode::Image;
use crate::preprocess::luma;

/// `base + factor * (value - base)` in Pillow's precision, cut off to a byte.
fn blend(base: f64, value: u8, factor: f64) -> u8 {
    let (base, factor) = (base as f32, factor as f32);
    (base + factor * (f32::from(value) - base)).clamp(0.0, 255.0) as u8
}

pub(crate) fn brightness(image: &mut Image, factor: f64) {
    apply_table(image, |value| blend(0.0, value, factor));
}

/// Towards the mean of the grey picture.
pub(crate) fn contrast(image: &mut Image, factor: f64) {
    let sum: u64 = image.pixels.chunks_exact(3).map(|pixel| u64::from(luma(pixel))).sum();
    let mean = (sum as f64 / (image.width * image.height) as f64 + 0.5).floor();
    apply_table(image, |value| blend(mean, value, factor));
}

/// Towards the grey picture.
pub(crate) fn saturation(image: &mut Image, factor: f64) {
    for pixel in image.pixels.chunks_exact_mut(3) {
        let grey = f64::from(luma(pixel));
        pixel.iter_mut().for_each(|value| *value = blend(grey, *value, factor));
    }
}

/// Turns the hue by a share of the circle.
pub(crate) fn hue(image: &mut Image, share: f64) {
    for pixel in image.pixels.chunks_exact_mut(3) {
        let [r, g, b] = [pixel[0], pixel[1], pixel[2]].map(|value| f64::from(value) / 255.0);
        let (most, least) = (r.max(g).max(b), r.min(g).min(b));
        let span = most - least;
        if span == 0.0 {
            continue;
        }
        let sextant = if most == r {
            (g - b) / span
        } else if most == g {
            2.0 + (b - r) / span
        } else {
            4.0 + (r - g) / span
        };
        let turned = (sextant / 6.0 + share).rem_euclid(1.0) * 6.0;
        let channel = |n: f64| {
            let k = (n + turned).rem_euclid(6.0);
            most - span * k.min(4.0 - k).clamp(0.0, 1.0)
        };
        for (value, n) in pixel.iter_mut().zip([5.0, 3.0, 1.0]) {
            *value = (channel(n) * 255.0).round() as u8;
        }
    }
}

/// Sharper above 1, smoother below; the border stays.
pub(crate) fn sharpness(image: &mut Image, factor: f64) {
    let row = image.width * 3;
    let original = image.pixels.clone();
    for y in 1..image.height.saturating_sub(1) {
        for at in y * row + 3..(y + 1) * row - 3 {
            let mut sum = 4 * u32::from(original[at]);
            for line in [at - row, at, at + row] {
                sum +=
                    [line - 3, line, line + 3].iter().map(|&place| u32::from(original[place])).sum::<u32>();
            }
            let smooth = (f64::from(sum) / 13.0 + 0.5).floor();
            image.pixels[at] = blend(smooth, original[at], factor);
        }
    }
}

/// Keeps the highest `bits`.
pub(crate) fn posterize(image: &mut Image, bits: u32) {
    let mask = !(0xffu32 >> bits) as u8;
    apply_table(image, |value| value & mask);
}

/// Inverts values from `threshold` up.
pub(crate) fn solarize(image: &mut Image, threshold: f64) {
    apply_table(image, |value| if f64::from(value) < threshold { value } else { 255 - value });
}

/// Stretches each channel to the full range.
pub(crate) fn autocontrast(image: &mut Image) {
    each_channel(image, |counts| {
        let low = counts.iter().position(|&count| count > 0).unwrap_or(0);
        let high = counts.iter().rposition(|&count| count > 0).unwrap_or(255);
        let scale = 255.0 / high.saturating_sub(low).max(1) as f64;
        std::array::from_fn(|value| {
            if high <= low {
                value as u8
            } else {
                (value as f64 * scale - low as f64 * scale).clamp(0.0, 255.0) as u8
            }
        })
    });
}

/// Makes each channel's values equally frequent.
pub(crate) fn equalize(image: &mut Image) {
    each_channel(image, |counts| {
        let last = counts.iter().rposition(|&count| count > 0).map_or(0, |at| counts[at]);
        let total: usize = counts.iter().sum();
        let step = (total - last) / 255;
        let mut sum = step / 2;
        std::array::from_fn(|value| {
            let level = sum.checked_div(step).map_or(value, |level| level.min(255));
            sum += counts[value];
            level as u8
        })
    });
}

fn apply_table(image: &mut Image, change: impl Fn(u8) -> u8) {
    let table: [u8; 256] = std::array::from_fn(|value| change(value as u8));
    image.pixels.iter_mut().for_each(|value| *value = table[usize::from(*value)]);
}

fn each_channel(image: &mut Image, table: impl Fn(&[usize; 256]) -> [u8; 256]) {
    for channel in 0..3 {
        let mut counts = [0; 256];
        image.pixels.iter().skip(channel).step_by(3).for_each(|&value| counts[usize::from(value)] += 1);
        let table = table(&counts);
        let values = image.pixels.iter_mut().skip(channel).step_by(3);
        values.for_each(|value| *value = table[usize::from(*value)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(pixels: &[[u8; 3]]) -> Image {
        Image { width: pixels.len(), height: 1, pixels: pixels.concat() }
    }

    fn changed(pixels: &[[u8; 3]], change: impl Fn(&mut Image)) -> Vec<u8> {
        let mut image = picture(pixels);
        change(&mut image);
        image.pixels
    }

    #[test]
    fn factor_one_and_no_turn_change_nothing() {
        let pixels = [[10, 200, 30], [255, 0, 128], [77, 77, 77]];
        let changes: [fn(&mut Image); 5] = [
            |image| brightness(image, 1.0),
            |image| contrast(image, 1.0),
            |image| saturation(image, 1.0),
            |image| hue(image, 0.0),
            |image| posterize(image, 8),
        ];
        for change in changes {
            assert_eq!(changed(&pixels, change), pixels.concat());
        }
    }

    #[test]
    fn values_are_those_of_the_formulas() {
        assert_eq!(changed(&[[10, 200, 31]], |image| brightness(image, 1.5)), [15, 255, 46]);
        assert_eq!(changed(&[[0; 3], [100; 3]], |image| contrast(image, 0.5)), [25, 25, 25, 75, 75, 75]);
        assert_eq!(changed(&[[255, 0, 0]], |image| saturation(image, 0.0)), [76; 3]);
        assert_eq!(changed(&[[255, 0, 0]], |image| hue(image, 1.0 / 3.0)), [0, 255, 0]);
        assert_eq!(changed(&[[0, 0, 255]], |image| hue(image, -1.0 / 3.0)), [0, 255, 0]);
        assert_eq!(changed(&[[0b1011_0110; 3]], |image| posterize(image, 4)), [0b1011_0000; 3]);
        assert_eq!(changed(&[[99, 100, 255]], |image| solarize(image, 100.0)), [99, 155, 0]);
        assert_eq!(
            changed(&[[50; 3], [60; 3], [101; 3]], autocontrast),
            [[0; 3], [50; 3], [255; 3]].concat()
        );
    }

    #[test]
    fn equalizing_many_levels_fills_the_range_evenly() {
        let mut image =
            Image { width: 64, height: 64, pixels: (0..64 * 64 * 3).map(|i| (i / 192) as u8).collect() };
        equalize(&mut image);
        let (least, most) = (image.pixels.iter().min(), image.pixels.iter().max());
        assert!(least <= Some(&4) && most >= Some(&250), "{least:?} {most:?}");
    }

    #[test]
    fn a_smoothed_dot_spreads_over_its_neighbours() {
        let mut image = Image { width: 3, height: 3, pixels: vec![0; 27] };
        image.pixels[12..15].fill(130);
        sharpness(&mut image, 0.0);
        assert_eq!(image.pixels[12..15], [50; 3]);
    }
}
