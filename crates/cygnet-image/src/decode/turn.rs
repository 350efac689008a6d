//! Pictures turned upright.

use super::picture::Image;

/// How a picture is turned to be seen upright, by its number in EXIF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Orientation {
    Upright = 1,
    /// Left is right.
    Mirrored,
    HalfTurned,
    /// Top is bottom.
    Flipped,
    /// Rows are columns.
    Transposed,
    /// A quarter clockwise.
    TurnedRight,
    /// Rows are columns, from the last pixel on.
    Transversed,
    /// A quarter counter-clockwise.
    TurnedLeft,
}

/// The field of a picture's orientation, a number of 16 bits.
const ORIENTATION: u16 = 0x0112;
const SHORT: u16 = 3;

/// Bytes of a field: what it is, of which type, how many values, and the first of them or where they are.
const FIELD: usize = 12;

impl Orientation {
    /// By its number; upright unless that is known.
    pub(super) fn numbered(number: u16) -> Orientation {
        use Orientation::*;
        let all = [Mirrored, HalfTurned, Flipped, Transposed, TurnedRight, Transversed, TurnedLeft];
        all.into_iter().find(|&orientation| orientation as u16 == number).unwrap_or(Upright)
    }

    /// What a chunk of EXIF says in the first of its lists of fields; upright where it says nothing or is damaged.
    pub(super) fn of_exif(chunk: &[u8]) -> Orientation {
        Orientation::numbered(exif_number(chunk).unwrap_or_default())
    }

    /// Whether rows become columns, for which the picture is there twice.
    pub(super) fn swaps_sides(self) -> bool {
        self as u16 >= Orientation::Transposed as u16
    }
}

fn exif_number(chunk: &[u8]) -> Option<u16> {
    let data = chunk.strip_prefix(b"Exif\0\0").unwrap_or(chunk);
    let is_little = match data.first_chunk()? {
        b"II*\0" => true,
        b"MM\0*" => false,
        _ => return None,
    };
    let short = |bytes| if is_little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) };
    let word = |bytes| if is_little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) };
    let list = word(*data.get(4..)?.first_chunk()?) as usize;
    let (count, fields) = data.get(list..)?.split_first_chunk()?;
    let fields = fields.as_chunks::<FIELD>().0.iter().take(usize::from(short(*count)));
    fields.into_iter().find_map(|&[a, b, c, d, e, f, g, h, i, j, ..]| {
        let is_orientation = [short([a, b]), short([c, d])] == [ORIENTATION, SHORT];
        (is_orientation && word([e, f, g, h]) == 1).then(|| short([i, j]))
    })
}

/// The side of the squares that are turned one after the other: rows and columns of one fit the cache together.
const TILE: usize = 32;

impl Image {
    /// The picture as its EXIF orientation says it is to be seen.
    pub(super) fn turned(mut self, orientation: Orientation) -> Image {
        let [width, height] = [self.width, self.height].map(|side| side as isize);
        let last = width * height - 1;
        match orientation {
            Orientation::Upright => {}
            Orientation::Mirrored => {
                for row in self.pixels.chunks_exact_mut(self.width * 3) {
                    row.as_chunks_mut::<3>().0.reverse();
                }
            }
            Orientation::HalfTurned => self.pixels.as_chunks_mut::<3>().0.reverse(),
            Orientation::Flipped => {
                let row = self.width * 3;
                let (above, below) = self.pixels.split_at_mut(self.height / 2 * row);
                for (a, b) in above.chunks_exact_mut(row).zip(below.rchunks_exact_mut(row)) {
                    a.swap_with_slice(b);
                }
            }
            Orientation::Transposed => return self.transposed(0, width, 1),
            Orientation::TurnedRight => return self.transposed(last + 1 - width, -width, 1),
            Orientation::Transversed => return self.transposed(last, -width, -1),
            Orientation::TurnedLeft => return self.transposed(width - 1, width, -1),
        }
        self
    }

    /// A picture whose rows are columns here: its first pixel is the one at `first` here, its next across lies `across`
    /// pixels on, its next down `down`.
    fn transposed(&self, first: isize, across: isize, down: isize) -> Image {
        let [width, height] = [self.height, self.width];
        let (source, _) = self.pixels.as_chunks::<3>();
        let mut pixels = vec![0; self.pixels.len()];
        let whole = width - width % TILE;
        for (band, rows) in pixels.chunks_mut(TILE * width * 3).enumerate() {
            let (rows, _) = rows.as_chunks_mut::<3>();
            let count = rows.len() / width;
            let top = band * TILE;
            // The band's part of a column here is a piece of a row there.
            let piece = |x: usize| {
                let start = first + x as isize * across + top as isize * down;
                let end = start + (count as isize - 1) * down;
                &source[start.min(end) as usize..][..count]
            };
            let is_back = down < 0;
            for left in (0..whole).step_by(TILE) {
                let columns: [&[[u8; 3]]; TILE] = std::array::from_fn(|x| piece(left + x));
                for y in 0..count {
                    let place = if is_back { count - 1 - y } else { y };
                    let out = &mut rows[y * width + left..][..TILE];
                    for (pixel, column) in out.iter_mut().zip(columns) {
                        *pixel = column[place];
                    }
                }
            }
            for x in whole..width {
                let column = piece(x);
                for y in 0..count {
                    rows[y * width + x] = column[if is_back { count - 1 - y } else { y }];
                }
            }
        }
        Image { width, height, pixels }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    /// A chunk whose list has fields of other kinds before that of the orientation.
    fn chunk(number: u16, is_little: bool) -> Vec<u8> {
        let short = |value: u16| if is_little { value.to_le_bytes() } else { value.to_be_bytes() };
        let word = |value: u32| if is_little { value.to_le_bytes() } else { value.to_be_bytes() };
        let mut data = if is_little { b"II*\0".to_vec() } else { b"MM\0*".to_vec() };
        data.extend(word(10));
        data.extend([9, 9]);
        data.extend(short(4));
        for (field, kind, count, value) in [
            (ORIENTATION, 4, 1, 7),
            (ORIENTATION, SHORT, 2, 7),
            (0x010f, SHORT, 1, 7),
            (ORIENTATION, SHORT, 1, number),
        ] {
            data.extend([short(field), short(kind)].concat());
            data.extend(word(count));
            data.extend([short(value), [0, 0]].concat());
        }
        data
    }

    #[test]
    fn orientations_are_read_in_either_byte_order_and_by_the_image_crate_alike() {
        for number in (0..20).chain([255, 256, 257, u16::MAX]) {
            for is_little in [true, false] {
                let chunk = chunk(number, is_little);
                let read = Orientation::of_exif(&chunk);
                assert_eq!(read as u16, if (1..=8).contains(&number) { number } else { 1 });
                let other = image::metadata::Orientation::from_exif_chunk(&chunk);
                assert_eq!(read as u16, other.map_or(1, |other| u16::from(other.to_exif())));
                assert_eq!(Orientation::of_exif(&[b"Exif\0\0", &chunk[..]].concat()), read);
            }
        }
    }

    #[test]
    fn a_chunk_that_is_cut_or_damaged_says_upright() {
        for is_little in [true, false] {
            let chunk = chunk(6, is_little);
            for end in 0..chunk.len() {
                assert_eq!(Orientation::of_exif(&chunk[..end]), Orientation::Upright, "cut to {end}");
            }
            for place in 0..chunk.len() {
                for byte in 0..=u8::MAX {
                    let mut damaged = chunk.clone();
                    damaged[place] = byte;
                    let other = image::metadata::Orientation::from_exif_chunk(&damaged);
                    let read = Orientation::of_exif(&damaged) as u16;
                    assert_eq!(read, other.map_or(1, |other| u16::from(other.to_exif())), "{place} {byte}");
                }
            }
        }
    }

    #[test]
    fn rows_become_columns_at_any_size() {
        let around = [1, 2, TILE - 1, TILE, TILE + 1, 2 * TILE + 5];
        for (width, height) in around.into_iter().flat_map(|width| around.map(|height| (width, height))) {
            let pixels = (0..width * height * 3).map(|i| (i * 7 % 251) as u8).collect();
            let image = Image::from_rgb(width, height, pixels).unwrap();
            let at = |image: &Image, x: usize, y: usize| {
                <[u8; 3]>::try_from(&image.pixels[(y * image.width + x) * 3..][..3]).unwrap()
            };
            for number in 5..=8 {
                let turned = image.clone().turned(Orientation::numbered(number));
                assert_eq!([turned.width, turned.height], [height, width]);
                for (x, y) in (0..height).flat_map(|x| (0..width).map(move |y| (x, y))) {
                    let left = if matches!(number, 7 | 8) { width - 1 - y } else { y };
                    let top = if matches!(number, 6 | 7) { height - 1 - x } else { x };
                    let place = format!("{number}: {width}x{height} at {x}, {y}");
                    assert_eq!(at(&turned, x, y), at(&image, left, top), "{place}");
                }
            }
        }
    }
}
