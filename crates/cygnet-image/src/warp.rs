//! Pictures moved in the plane. What comes from beyond the border is black.

use crate::decode::Image;

pub(crate) fn flip_horizontally(image: &mut Image) {
    for row in image.pixels.chunks_exact_mut(image.width * 3) {
        let (pixels, _) = row.as_chunks_mut::<3>();
        pixels.reverse();
    }
}

pub(crate) fn flip_vertically(image: &mut Image) {
    let row = image.width * 3;
    for y in 0..image.height / 2 {
        let (above, below) = image.pixels.split_at_mut((image.height - 1 - y) * row);
        above[y * row..][..row].swap_with_slice(&mut below[..row]);
    }
}

/// The window that lies `across` to the right and `down` below.
pub(crate) fn shifted(image: &Image, across: isize, down: isize) -> Image {
    affine(image, [1.0, 0.0, across as f64, 0.0, 1.0, down as f64], false)
}

/// Turned counterclockwise about the centre, as Pillow's `rotate`.
pub(crate) fn rotated(image: &Image, degrees: f64, bilinear: bool) -> Image {
    let (sin, cos) = (-degrees).to_radians().sin_cos();
    // Quarter turns are exact.
    let [sin, cos] = [sin, cos].map(|value| (value * 1e15).round() / 1e15);
    about_centre(image, [cos, sin, 0.0, -sin, cos, 0.0], bilinear)
}

/// [`affine`] with the origin at the picture's centre.
fn about_centre(image: &Image, [a, b, c, d, e, f]: [f64; 6], bilinear: bool) -> Image {
    let (x, y) = (image.width as f64 / 2.0, image.height as f64 / 2.0);
    affine(image, [a, b, c + x - a * x - b * y, d, e, f + y - d * x - e * y], bilinear)
}

/// Sheared: the source column is `x + amount * y`, at pixels' centres.
pub(crate) fn sheared_across(image: &Image, amount: f64) -> Image {
    affine(image, [1.0, amount, 0.0, 0.0, 1.0, 0.0], false)
}

/// Sheared: the source row is `y + amount * x`.
pub(crate) fn sheared_down(image: &Image, amount: f64) -> Image {
    affine(image, [1.0, 0.0, 0.0, amount, 1.0, 0.0], false)
}

/// Each pixel `(x, y)` comes from `(a x + b y + c, d x + e y + f)`, both taken at pixels' centres.
fn affine(image: &Image, [a, b, c, d, e, f]: [f64; 6], bilinear: bool) -> Image {
    let (width, height) = (image.width, image.height);
    let place = |x: f64, y: f64| [a * x + b * y + c, d * x + e * y + f];
    let first = place(0.5, 0.5).map(fixed);
    let [across, down] = [[a, d], [b, e]].map(|step| step.map(fixed));
    let mut pixels = Vec::with_capacity(image.pixels.len());
    for y in 0..height {
        for x in 0..width {
            pixels.extend(if bilinear {
                between(image, place(x as f64 + 0.5, y as f64 + 0.5))
            } else {
                let along =
                    |axis: usize| (first[axis] + x as i64 * across[axis] + y as i64 * down[axis]) >> 16;
                nearest(image, [along(0), along(1)])
            });
        }
    }
    Image { width, height, pixels }
}

/// In units of 1/65536, which is how exactly Pillow knows where the nearest pixel is.
fn fixed(value: f64) -> i64 {
    (value * 65536.0 + 0.5).floor() as i64
}

fn nearest(image: &Image, [x, y]: [i64; 2]) -> [u8; 3] {
    match (usize::try_from(x), usize::try_from(y)) {
        (Ok(x), Ok(y)) if x < image.width && y < image.height => pixel(image, x, y),
        _ => [0; 3],
    }
}

/// Between the four nearest centres; beyond the outermost ones the border's pixels go on.
fn between(image: &Image, [x, y]: [f64; 2]) -> [u8; 3] {
    if !(0.0..image.width as f64).contains(&x) || !(0.0..image.height as f64).contains(&y) {
        return [0; 3];
    }
    let (x, y) = ((x - 0.5).max(0.0), (y - 0.5).max(0.0));
    let (left, top) = (x as usize, y as usize);
    let (right, low) = ((left + 1).min(image.width - 1), (top + 1).min(image.height - 1));
    let corners = [(left, top), (right, top), (left, low), (right, low)].map(|(x, y)| pixel(image, x, y));
    let mix = |a: f64, b: f64, share: f64| a + (b - a) * share;
    [0, 1, 2].map(|channel| {
        let [a, b, c, d] = corners.map(|corner| f64::from(corner[channel]));
        mix(mix(a, b, x.fract()), mix(c, d, x.fract()), y.fract()) as u8
    })
}

fn pixel(image: &Image, x: usize, y: usize) -> [u8; 3] {
    let place = (y * image.width + x) * 3;
    [image.pixels[place], image.pixels[place + 1], image.pixels[place + 2]]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture() -> Image {
        let pixels = (0..4 * 3).flat_map(|i| [i, 100 + i, 200 + i]).collect();
        Image { width: 4, height: 3, pixels }
    }

    fn reds(image: &Image) -> Vec<u8> {
        image.pixels.iter().copied().step_by(3).collect()
    }

    #[test]
    fn flips_turn_rows_and_columns_round() {
        let mut image = picture();
        flip_horizontally(&mut image);
        assert_eq!(reds(&image), [3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8]);
        flip_vertically(&mut image);
        assert_eq!(reds(&image), [11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0]);
    }

    #[test]
    fn a_shift_brings_black_in() {
        assert_eq!(reds(&shifted(&picture(), 1, 1)), [5, 6, 7, 0, 9, 10, 11, 0, 0, 0, 0, 0]);
        assert_eq!(reds(&shifted(&picture(), -2, 0)), [0, 0, 0, 1, 0, 0, 4, 5, 0, 0, 8, 9]);
    }

    #[test]
    fn turning_a_square_by_quarters_moves_pixels_whole() {
        let square =
            Image { width: 2, height: 2, pixels: [1, 2, 3, 4].iter().flat_map(|&i| [i; 3]).collect() };
        for bilinear in [false, true] {
            assert_eq!(reds(&rotated(&square, 90.0, bilinear)), [2, 4, 1, 3], "counterclockwise");
            assert_eq!(reds(&rotated(&square, -180.0, bilinear)), [4, 3, 2, 1]);
            assert_eq!(rotated(&picture(), 0.0, bilinear), picture());
        }
    }

    #[test]
    fn a_shear_moves_rows_by_their_distance() {
        assert_eq!(reds(&sheared_across(&picture(), 1.0)), [1, 2, 3, 0, 6, 7, 0, 0, 11, 0, 0, 0]);
    }
}
