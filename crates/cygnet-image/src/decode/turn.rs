//! Pictures turned upright.

use image::metadata::Orientation;

use super::Image;

/// The side of the squares that are turned one after the other: rows and columns of one fit the cache together.
const TILE: usize = 32;

/// Whether rows become columns, for which the picture is there twice.
pub(super) fn swaps_sides(orientation: Orientation) -> bool {
    match orientation {
        Orientation::NoTransforms
        | Orientation::FlipHorizontal
        | Orientation::FlipVertical
        | Orientation::Rotate180 => false,
        Orientation::Rotate90
        | Orientation::Rotate270
        | Orientation::Rotate90FlipH
        | Orientation::Rotate270FlipH => true,
    }
}

impl Image {
    /// The picture as its EXIF orientation says it is to be seen.
    pub(super) fn turned(mut self, orientation: Orientation) -> Image {
        let [width, height] = [self.width, self.height].map(|side| side as isize);
        let last = width * height - 1;
        match orientation {
            Orientation::NoTransforms => {}
            Orientation::FlipHorizontal => {
                for row in self.pixels.chunks_exact_mut(self.width * 3) {
                    row.as_chunks_mut::<3>().0.reverse();
                }
            }
            Orientation::Rotate180 => self.pixels.as_chunks_mut::<3>().0.reverse(),
            Orientation::FlipVertical => {
                let row = self.width * 3;
                let (above, below) = self.pixels.split_at_mut(self.height / 2 * row);
                for (a, b) in above.chunks_exact_mut(row).zip(below.rchunks_exact_mut(row)) {
                    a.swap_with_slice(b);
                }
            }
            Orientation::Rotate90FlipH => return self.transposed(0, width, 1),
            Orientation::Rotate90 => return self.transposed(last + 1 - width, -width, 1),
            Orientation::Rotate270FlipH => return self.transposed(last, -width, -1),
            Orientation::Rotate270 => return self.transposed(width - 1, width, -1),
        }
        self
    }

    /// A picture whose rows are columns here: its first pixel is the one at `first` here, its next across lies `across`
    /// pixels on, its next down `down`.
    fn transposed(&self, first: isize, across: isize, down: isize) -> Image {
        let [width, height] = [self.height, self.width];
        let (source, _) = self.pixels.as_chunks::<3>();
        let mut pixels = vec![0; self.pixels.len()];
        for (band, rows) in pixels.chunks_mut(TILE * width * 3).enumerate() {
            for left in (0..width).step_by(TILE) {
                for (row, out) in rows.as_chunks_mut::<3>().0.chunks_exact_mut(width).enumerate() {
                    let y = (band * TILE + row) as isize;
                    let mut place = first + left as isize * across + y * down;
                    for pixel in &mut out[left..(left + TILE).min(width)] {
                        *pixel = source[place as usize];
                        place += across;
                    }
                }
            }
        }
        Image { width, height, pixels }
    }
}
