//! What a kernel over bytes may ask of an instruction set, and the table of those sets.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512_vnni;
mod scalar;

#[cfg(target_arch = "x86_64")]
use avx2 as avx_vnni;

use super::Level;
#[allow(unused_imports, reason = "of no use where the only set needs no features")]
use super::sets::detected;
use super::sets::{Row, enter, sets};

/// Vectors of words of 32 bits, which are four bytes, an i32 or an f32 each, as a method says.
///
/// All methods mean the same on every set, to the bit.
///
/// # Safety
/// Every method may use the set's instructions: callers run inside [`ByteLevel::run`] with a level the CPU supports.
/// Pointers must be valid for what is read or written; they need not be aligned.
#[allow(clippy::missing_safety_doc, reason = "said once for all methods")]
pub trait Bytes: Copy + 'static {
    /// A vector.
    type V: Copy;
    /// Its number of words.
    const LANES: usize;
    /// Vectors that a vector of four bytes a word becomes before it is multiplied, and that its weights take: 1 where bytes
    /// are multiplied, 2 where pairs of 16 bits are.
    const PARTS: usize;
    /// Largest number of pixels in a convolution's tile of 1, 2 and 4 vectors of output channels.
    const TILE: [usize; 3];

    /// `word` in every lane.
    unsafe fn splat(word: u32) -> Self::V;
    /// `4 * LANES` bytes from memory.
    unsafe fn load(p: *const u8) -> Self::V;
    /// The first `n` bytes from memory, 0 in the others.
    unsafe fn load_first(p: *const u8, n: usize) -> Self::V;
    /// Writes `4 * LANES` bytes.
    unsafe fn store(p: *mut u8, v: Self::V);
    /// Writes the first `n` bytes only.
    unsafe fn store_first(p: *mut u8, v: Self::V, n: usize);
    /// Words of `LANES` bytes from memory, each a number from 0 to 255.
    unsafe fn widen(p: *const u8) -> Self::V;

    /// `a + b` of i32, wrapping.
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V;
    /// A part, below [`Bytes::PARTS`] and known when compiling, of four bytes a word.
    unsafe fn part(x: Self::V, part: usize) -> Self::V;
    /// `sum` and, in every word, the products of a part of inputs, unsigned bytes, and the same part of weights, signed
    /// ones, as [`ByteLevel::weight_words`] places them; wrapping.
    unsafe fn dot(sum: Self::V, x: Self::V, weights: Self::V) -> Self::V;
    /// Words of four bytes, one of each row: word `c` of vector `j` is of byte [`packed`] of the rows.
    unsafe fn mix(rows: [Self::V; 4]) -> [Self::V; 4];
    /// As [`Bytes::mix`], all words in line.
    #[inline(always)]
    unsafe fn interleave(rows: [Self::V; 4]) -> [Self::V; 4] {
        // SAFETY: the caller's promise.
        unsafe {
            Self::mix([
                Self::apart(rows[0]),
                Self::apart(rows[1]),
                Self::apart(rows[2]),
                Self::apart(rows[3]),
            ])
        }
    }

    /// Words of four bytes, one of each row, for the first `n` bytes of rows in memory, a vector's words at most, in line; the
    /// other words are any.
    #[inline(always)]
    unsafe fn interleave_first(rows: [*const u8; 4], n: usize) -> Self::V {
        // SAFETY: the caller's promise.
        unsafe {
            let [first, _, _, _] = Self::interleave([
                Self::load_first(rows[0], n),
                Self::load_first(rows[1], n),
                Self::load_first(rows[2], n),
                Self::load_first(rows[3], n),
            ]);
            first
        }
    }

    /// i32 to f32, ties to even.
    unsafe fn to_float(x: Self::V) -> Self::V;
    /// f32 to i32, ties to even; all that is too large becomes the least i32.
    unsafe fn to_int(x: Self::V) -> Self::V;
    /// `a + b` of f32.
    unsafe fn add_float(a: Self::V, b: Self::V) -> Self::V;
    /// `a * b` of f32.
    unsafe fn mul_float(a: Self::V, b: Self::V) -> Self::V;
    /// f32 within what [`Bytes::to_int`] leaves as large as it is; 0 for NaN.
    unsafe fn limit_float(x: Self::V) -> Self::V;

    /// The i32 of `N` vectors (1, 2 or 4), each plus `zero` (the same in every pair of bytes) if there is one, as bytes that
    /// saturate: the first `N * LANES` bytes, in the order that [`packed`] says.
    unsafe fn pack<const N: usize>(words: [Self::V; N], zero: Option<Self::V>) -> Self::V;
    /// Puts four packed vectors in line.
    unsafe fn in_line(packed: Self::V) -> Self::V;
    /// Puts bytes in line as four vectors are packed.
    unsafe fn apart(bytes: Self::V) -> Self::V;
    /// The larger of unsigned bytes.
    unsafe fn max_bytes(a: Self::V, b: Self::V) -> Self::V;
    /// The smaller of unsigned bytes.
    unsafe fn min_bytes(a: Self::V, b: Self::V) -> Self::V;
    /// Each byte's place in a table of 256 bytes.
    unsafe fn table(x: Self::V, table: *const u8) -> Self::V;
}

/// The largest f32 below 2^31.
const LARGEST: f32 = 2_147_483_520.0;

/// The place in what [`Bytes::pack`] makes of `vectors` vectors that word `word` of vector `vector` takes.
#[inline]
#[must_use]
pub const fn packed(lanes: usize, vectors: usize, vector: usize, word: usize) -> usize {
    if vectors == 4 { word / 4 * 16 + 4 * vector + word % 4 } else { vector * lanes + word }
}

/// Work that is compiled for every instruction set for bytes.
pub trait ByteKernel {
    /// # Safety
    /// As the implementing kernel says; must be marked `#[inline(always)]`, so that it is compiled with the set's
    /// instructions.
    unsafe fn run<I: Bytes>(self);
}

sets! {
    /// An instruction set that kernels over bytes are compiled for.
    ByteLevel of ByteKernel, Numbers;
    /// AVX-512 with dot products of bytes: 16 words, 32 registers, masks.
    avx512_vnni::Avx512Vnni
        ["avx512vnni" "avx512f" "avx512vl" "avx512dq" "avx512bw" "avx2" "fma"] if target_arch = "x86_64";
    /// AVX2 with dot products of bytes: 8 words, 16 registers.
    avx_vnni::AvxVnni ["avxvnni" "avx2" "fma"] if target_arch = "x86_64";
    /// AVX2, which multiplies pairs of 16 bits: 8 words, 16 registers.
    avx2::Avx2 ["avx2"] if target_arch = "x86_64";
    /// Plain Rust, which the compiler turns into what every CPU of the architecture has.
    scalar::Scalar [];
}

/// What there is to know of a set's vectors.
struct Numbers {
    lanes: usize,
    parts: usize,
    tile: [usize; 3],
}

impl Numbers {
    const fn of<I: Bytes>() -> Numbers {
        Numbers { lanes: I::LANES, parts: I::PARTS, tile: I::TILE }
    }
}

impl ByteLevel {
    /// The best set that this CPU has, `CYGNET_ISA` allows and whose vectors are no longer than those of `level`: whether a CPU
    /// has dot products of bytes, no set for f32 tells.
    #[must_use]
    pub fn within(level: Level) -> ByteLevel {
        let allowed = ByteLevel::allowed().unwrap_or_default();
        allowed.into_iter().find(|bytes| bytes.lanes() <= level.lanes()).unwrap_or(ByteLevel::Scalar)
    }

    /// Words of 32 bits in a vector.
    #[inline]
    #[must_use]
    pub fn lanes(self) -> usize {
        self.row().numbers.lanes
    }

    /// Vectors that the weights of a vector of words take: [`Bytes::PARTS`].
    #[inline]
    #[must_use]
    pub fn parts(self) -> usize {
        self.row().numbers.parts
    }

    /// Largest number of pixels in a convolution's tile of 1, 2 and 4 vectors of output channels.
    #[inline]
    #[must_use]
    pub fn tile(self) -> [usize; 3] {
        self.row().numbers.tile
    }

    /// The words of each part that [`Bytes::dot`] takes four weights in.
    #[inline]
    #[must_use]
    pub fn weight_words(self, four: [i8; 4]) -> [u32; 2] {
        let [a, b, c, d] = four;
        let pair = |a: i8, b: i8| u32::from(i16::from(a) as u16) | u32::from(i16::from(b) as u16) << 16;
        match self.parts() {
            1 => [u32::from_le_bytes(four.map(|weight| weight as u8)), 0],
            _ => [pair(a, c), pair(b, d)],
        }
    }
}

#[cfg(test)]
mod tests;
