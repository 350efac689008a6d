//! Pictures turned upright.

use image::metadata::Orientation;

use super::Image;

/// The side of the squares that are turned one after the other: rows and columns of one fit the cache together.
const TILE: usize = 32;

impl Image {
    /// The picture as its EXIF orientation says it is to be seen.
    pub(super) fn turned(self, orientation: Orientation) -> Image {
        let [right, bottom] = [self.width - 1, self.height - 1];
        match orientation {
            Orientation::NoTransforms => self,
            Orientation::FlipHorizontal => self.in_rows(|x, y| [right - x, y]),
            Orientation::Rotate180 => self.in_rows(|x, y| [right - x, bottom - y]),
            Orientation::FlipVertical => self.in_rows(|x, y| [x, bottom - y]),
            Orientation::Rotate90FlipH => self.in_tiles(|x, y| [y, x]),
            Orientation::Rotate90 => self.in_tiles(|x, y| [y, bottom - x]),
            Orientation::Rotate270FlipH => self.in_tiles(|x, y| [right - y, bottom - x]),
            Orientation::Rotate270 => self.in_tiles(|x, y| [right - y, x]),
        }
    }

    /// A picture of the same size, each pixel of which is found `at` a place of this one.
    fn in_rows(&self, at: impl Fn(usize, usize) -> [usize; 2]) -> Image {
        let [width, height] = [self.width, self.height];
        let mut pixels = Vec::with_capacity(self.pixels.len());
        for y in 0..height {
            for x in 0..width {
                let [x, y] = at(x, y);
                pixels.extend_from_slice(&self.pixels[(y * width + x) * 3..][..3]);
            }
        }
        Image { width, height, pixels }
    }

    /// The same for a picture whose rows are columns here.
    fn in_tiles(&self, at: impl Fn(usize, usize) -> [usize; 2]) -> Image {
        let [width, height] = [self.height, self.width];
        let mut pixels = vec![0; self.pixels.len()];
        for (band, rows) in pixels.chunks_mut(TILE * width * 3).enumerate() {
            for left in (0..width).step_by(TILE) {
                for (row, out) in rows.chunks_exact_mut(width * 3).enumerate() {
                    let tile = &mut out[left * 3..(left + TILE).min(width) * 3];
                    for (x, pixel) in tile.as_chunks_mut::<3>().0.iter_mut().enumerate() {
                        let [x, y] = at(left + x, band * TILE + row);
                        pixel.copy_from_slice(&self.pixels[(y * self.width + x) * 3..][..3]);
                    }
                }
            }
        }
        Image { width, height, pixels }
    }
}
