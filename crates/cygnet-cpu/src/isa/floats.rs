//! What a kernel may ask of an instruction set's vectors of f32.

use super::Isa;

/// Vectors of f32 and what kernels do with them.
///
/// # Safety
/// Every method may use the set's instructions: callers run inside [`Level::run`](super::Level::run) with a level the CPU
/// supports. Pointers must be valid for the lanes that are read or written; they need not be aligned.
#[allow(clippy::missing_safety_doc, reason = "said once for all methods")]
pub trait Floats: Copy + 'static {
    /// A vector.
    type V: Copy;
    /// Vectors of half the lanes, where arithmetic on them takes half the time; otherwise the set itself.
    type Half: Isa;
    /// Whether [`Floats::Half`] is worth using.
    const HALVES: bool;
    /// Its number of lanes.
    const LANES: usize;
    /// Largest number of pixels in a convolution's tile of 1, 2, 3 and 4 vectors of output channels.
    const TILE: [usize; 4];
    /// Inputs that a tile loads together, each to be a factor of many lanes: 1 where an instruction repeats a number of
    /// memory in all lanes at no cost of arithmetic, the lanes of a vector where multiply-adds take a factor by its lane.
    const INPUTS: usize = 1;
    /// Outputs of a row that a depthwise kernel computes together.
    const DEPTHWISE: usize;

    /// The lower half.
    unsafe fn half(v: Self::V) -> <Self::Half as Floats>::V;
    /// `x` in every lane.
    unsafe fn splat(x: f32) -> Self::V;
    /// A vector from memory.
    unsafe fn load(p: *const f32) -> Self::V;
    /// `2 * LANES` numbers of bf16 from memory, the upper halves of f32s: those at even places, and those at odd ones.
    unsafe fn load_bf16(p: *const u16) -> [Self::V; 2];
    /// The first `n` lanes from memory, 0 in the others.
    unsafe fn load_first(p: *const f32, n: usize) -> Self::V;
    /// Writes a vector.
    unsafe fn store(p: *mut f32, v: Self::V);
    /// Writes the first `n` lanes only.
    unsafe fn store_first(p: *mut f32, v: Self::V, n: usize);
    /// `a + b`.
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V;
    /// `a - b`.
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V;
    /// `a * b`.
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V;
    /// `a / b`.
    unsafe fn div(a: Self::V, b: Self::V) -> Self::V;
    /// The square root.
    unsafe fn sqrt(x: Self::V) -> Self::V;
    /// `a * b + c`, in one rounding where the set has that.
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// [`Floats::INPUTS`] numbers from memory, as [`Floats::fma_input`] takes them.
    #[inline(always)]
    unsafe fn inputs(p: *const f32) -> Self::V {
        const { assert!(Self::INPUTS == 1) };
        // SAFETY: the caller's promise.
        unsafe { Self::splat(*p) }
    }
    /// `x * b + c` for the input `x` at a place, known when compiling, of [`Floats::inputs`].
    #[inline(always)]
    unsafe fn fma_input(inputs: Self::V, _place: usize, b: Self::V, c: Self::V) -> Self::V {
        const { assert!(Self::INPUTS == 1) };
        // SAFETY: the caller's promise.
        unsafe { Self::fma(inputs, b, c) }
    }
    /// The larger one; `x` where it is NaN. `limit` is a number.
    unsafe fn at_least(x: Self::V, limit: Self::V) -> Self::V;
    /// The smaller one; `x` where it is NaN. `limit` is a number.
    unsafe fn at_most(x: Self::V, limit: Self::V) -> Self::V;
    /// `2^n` for whole `n` in -126..=127.
    unsafe fn exp2_whole(n: Self::V) -> Self::V;
    /// The larger one; NaN where either is.
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V;
    /// `x` where `a > b`, 0 elsewhere.
    unsafe fn where_above(a: Self::V, b: Self::V, x: Self::V) -> Self::V;
}
