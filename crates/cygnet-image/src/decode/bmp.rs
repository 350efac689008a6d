//! BMP: of OS/2 and of Windows, with palettes of up to 256 colours, as they are or as runs, and with 16, 24 or 32 bits a
//! pixel.

use super::limits::DecodeLimits;
use super::picture::Image;
use crate::error::{ImageError, Result};

const FORMAT: &str = "BMP";

/// Bytes of the file's header, behind which that of the picture begins.
const FILE_HEADER: usize = 14;

/// Bytes of the picture's oldest header, whose numbers have 16 bits and whose palettes three bytes a colour.
const OLDEST: usize = 12;

/// Red, green and blue of 16 bits where no masks are told.
const FIVE_BITS: [u32; 3] = [0x7c00, 0x03e0, 0x001f];

const COLOURS: usize = 256;

type Palette = [[u8; 3]; COLOURS];

struct Header {
    width: usize,
    height: usize,
    is_top_down: bool,
    /// Bits a pixel.
    bits: usize,
    coding: Coding,
    /// Where pixels begin in the file.
    start: usize,
}

/// How pixels are written.
enum Coding {
    /// As indices into a palette, the first one in a byte's high bits.
    Indices(Box<Palette>),
    /// As runs of such indices.
    Runs(Box<Palette>),
    /// As bytes of blue, green and red, of 32 bits with one more that is dropped.
    Bytes,
    /// As words that have red, green and blue in these bits.
    Fields(Box<[Field; 3]>),
}

/// The bits of a word that have a colour's level.
struct Field {
    shift: u32,
    mask: u32,
    levels: [u8; COLOURS],
}

pub(super) fn decode(data: &[u8], limits: DecodeLimits) -> Result<Image> {
    let header = Header::of(data)?;
    let (width, height) = (header.width, header.height);
    limits.check(width, height)?;
    let coded = data.get(header.start..).unwrap_or_default();
    let row_bytes = header.row_bytes().ok_or(TRUNCATED)?;
    let is_whole = height.checked_mul(row_bytes).is_some_and(|bytes| bytes <= coded.len());
    if !is_whole && !matches!(header.coding, Coding::Runs(_)) {
        return Err(TRUNCATED);
    }
    limits.ensure_memory(width * height * 3)?;
    let mut pixels = vec![0; width * height * 3];
    let (all, _) = pixels.as_chunks_mut();
    if let Coding::Runs(palette) = &header.coding {
        header.write_runs(coded, palette, all)?;
    } else {
        for (number, row) in coded.chunks_exact(row_bytes).take(height).enumerate() {
            let from_top = if header.is_top_down { number } else { height - 1 - number };
            header.write_row(row, &mut all[from_top * width..][..width]);
        }
    }
    Image::from_rgb(width, height, pixels)
}

/// Width and height, if the whole header stands in the beginning of a file.
pub(super) fn size(beginning: &[u8]) -> Option<(usize, usize)> {
    Header::of(beginning).ok().map(|header| (header.width, header.height))
}

const TRUNCATED: ImageError = ImageError::Truncated { format: FORMAT };

fn corrupt(reason: String) -> ImageError {
    ImageError::Corrupt { format: FORMAT, reason }
}

fn unsupported(what: String) -> ImageError {
    ImageError::Unsupported { format: FORMAT, what }
}

/// The bytes of a number.
fn bytes<const N: usize>(data: &[u8], at: usize) -> Result<[u8; N]> {
    data.get(at..).and_then(|rest| rest.first_chunk()).copied().ok_or(TRUNCATED)
}

impl Header {
    fn of(data: &[u8]) -> Result<Header> {
        let short = |at| bytes(data, FILE_HEADER + at).map(u16::from_le_bytes);
        let word = |at| bytes(data, FILE_HEADER + at).map(u32::from_le_bytes);
        let start = bytes(data, 10).map(u32::from_le_bytes)? as usize;
        let length = word(0)? as usize;
        let is_oldest = match length {
            OLDEST => true,
            40 | 52 | 56 | 108 | 124 => false,
            ..OLDEST => return Err(corrupt(format!("its header claims {length} bytes"))),
            _ => return Err(unsupported(format!("a header of {length} bytes"))),
        };
        let (width, height, is_top_down) = if is_oldest {
            (u32::from(short(4)?), u32::from(short(6)?), false)
        } else {
            let height = word(8)?.cast_signed();
            (word(4)?, height.unsigned_abs(), height < 0)
        };
        if width.min(height) == 0 || width.max(height) > i32::MAX.unsigned_abs() {
            return Err(corrupt(format!("its header claims a size of {width}x{height}")));
        }
        let (planes, bits) = if is_oldest { (short(8)?, short(10)?) } else { (short(12)?, short(14)?) };
        let (method, colours) = if is_oldest { (0, 0) } else { (word(16)?, word(32)?) };
        if planes != 1 {
            return Err(corrupt(format!("its header claims {planes} planes")));
        }
        let behind = data.get(FILE_HEADER + length..).unwrap_or_default();
        let palette = || palette(behind, bits, colours, if is_oldest { 3 } else { 4 });
        let coding = match (method, bits) {
            (0, 1 | 4 | 8) => Coding::Indices(palette()?),
            (0, 2) if !is_oldest => Coding::Indices(palette()?),
            (1, 8) | (2, 4) if !is_top_down => Coding::Runs(palette()?),
            (0, 24) => Coding::Bytes,
            (0, 32) if !is_oldest => Coding::Bytes,
            (0, 16) if !is_oldest => Coding::Fields(Field::all(FIVE_BITS, bits)?),
            (3, 16 | 32) => Coding::Fields(Field::all([word(40)?, word(44)?, word(48)?], bits)?),
            (4, _) => return Err(unsupported("a JPEG inside".to_owned())),
            (5, _) => return Err(unsupported("a PNG inside".to_owned())),
            (11..=13, _) => return Err(unsupported("CMYK".to_owned())),
            _ => return Err(corrupt(format!("its header claims {bits} bits a pixel by method {method}"))),
        };
        let (width, height, bits) = (width as usize, height as usize, usize::from(bits));
        Ok(Header { width, height, is_top_down, bits, coding, start })
    }

    /// Bytes of a row in the file, which are words of 32 bits.
    fn row_bytes(&self) -> Option<usize> {
        self.width.checked_mul(self.bits).map(|bits| bits.div_ceil(32) * 4)
    }

    fn write_row(&self, row: &[u8], pixels: &mut [[u8; 3]]) {
        match &self.coding {
            Coding::Indices(palette) | Coding::Runs(palette) => {
                for (&byte, pixels) in row.iter().zip(pixels.chunks_mut(8 / self.bits)) {
                    for (place, pixel) in pixels.iter_mut().enumerate() {
                        *pixel = palette[self.index(byte, place)];
                    }
                }
            }
            Coding::Bytes => {
                for (bytes, pixel) in row.chunks_exact(self.bits / 8).zip(pixels) {
                    *pixel = [bytes[2], bytes[1], bytes[0]];
                }
            }
            Coding::Fields(fields) => {
                for (bytes, pixel) in row.chunks_exact(self.bits / 8).zip(pixels) {
                    let word = bytes.iter().rev().fold(0, |word, &byte| word << 8 | u32::from(byte));
                    *pixel = fields.each_ref().map(|field| field.level(word));
                }
            }
        }
    }

    /// The index at a place in a byte, which has eight bits' worth of them.
    fn index(&self, byte: u8, place: usize) -> usize {
        usize::from(byte) >> (8 - self.bits * (place + 1)) & ((1 << self.bits) - 1)
    }

    /// Rows from the lowest. What runs leave out is black, and what they have beyond a row's end is dropped.
    fn write_runs(&self, mut coded: &[u8], palette: &Palette, pixels: &mut [[u8; 3]]) -> Result<()> {
        let in_byte = 8 / self.bits;
        let overrun = || corrupt("its runs leave the picture".to_owned());
        let (mut x, mut y) = (0, 0);
        while y < self.height {
            let code = pair(&mut coded)?;
            let (count, indices) = match *code {
                [0, 0] => {
                    (x, y) = (0, y + 1);
                    continue;
                }
                [0, 1] => break,
                [0, 2] => {
                    let [across, up] = pair(&mut coded)?.map(usize::from);
                    (x, y) = (x + across, y + up);
                    if x > self.width || y >= self.height {
                        return Err(overrun());
                    }
                    continue;
                }
                [0, count] => {
                    let count = usize::from(count);
                    let bytes = count.div_ceil(in_byte).next_multiple_of(2);
                    let (indices, after) = coded.split_at_checked(bytes).ok_or(TRUNCATED)?;
                    coded = after;
                    if x + count > self.width {
                        return Err(overrun());
                    }
                    (count, indices)
                }
                [count, _] => (usize::from(count).min(self.width - x), &code[1..]),
            };
            let row = &mut pixels[(self.height - 1 - y) * self.width + x..][..count];
            for (number, pixel) in row.iter_mut().enumerate() {
                let byte = indices[number / in_byte % indices.len()];
                *pixel = palette[self.index(byte, number % in_byte)];
            }
            x += count;
        }
        Ok(())
    }
}

/// Takes two bytes from the beginning.
fn pair<'d>(data: &mut &'d [u8]) -> Result<&'d [u8; 2]> {
    let (pair, after) = data.split_first_chunk().ok_or(TRUNCATED)?;
    *data = after;
    Ok(pair)
}

/// The colours that begin `data`, `each` bytes a colour; indices beyond them are black.
fn palette(data: &[u8], bits: u16, colours: u32, each: usize) -> Result<Box<Palette>> {
    let most = 1 << bits;
    if colours > most {
        return Err(corrupt(format!("its header claims {colours} colours of {bits} bits a pixel")));
    }
    let colours = if colours == 0 { most } else { colours } as usize;
    let entries = data.get(..colours * each).ok_or(TRUNCATED)?;
    let mut palette = Box::new([[0; 3]; COLOURS]);
    for (colour, entry) in palette.iter_mut().zip(entries.chunks_exact(each)) {
        *colour = [entry[2], entry[1], entry[0]];
    }
    Ok(palette)
}

impl Field {
    fn all(masks: [u32; 3], bits: u16) -> Result<Box<[Field; 3]>> {
        let [red, green, blue] = masks.map(|mask| Field::of(mask, bits));
        Ok(Box::new([red?, green?, blue?]))
    }

    /// A field of more than eight bits is read to its highest eight.
    fn of(mask: u32, bits: u16) -> Result<Field> {
        let length = mask.count_ones();
        let is_one_piece = mask.checked_shr(mask.trailing_zeros()) == Some(u32::MAX >> (32 - length).min(31));
        if !is_one_piece || 32 - mask.leading_zeros() > u32::from(bits) {
            return Err(corrupt(format!("it has a colour in the bits {mask:#x} of {bits}")));
        }
        let read = length.min(8);
        let most = (1 << read) - 1;
        let level = |index: usize| ((index as u32 * 255 + most / 2) / most).min(255) as u8;
        Ok(Field { shift: 32 - mask.leading_zeros() - read, mask: most, levels: std::array::from_fn(level) })
    }

    fn level(&self, word: u32) -> u8 {
        self.levels[(word >> self.shift & self.mask) as usize]
    }
}
