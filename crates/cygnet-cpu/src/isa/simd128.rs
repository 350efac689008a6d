//! Four lanes of WebAssembly's SIMD.
//!
//! A module with instructions that an engine does not know is refused as a whole. So these are compiled only into
//! programs that are built for them, and who loads modules chooses among such programs.

use std::arch::wasm32::*;

use super::Floats;

pub(crate) type Simd128 = Vectors<false>;

/// With `RELAXED`, multiply-adds are one instruction, which rounds once or twice as is fast on the CPU.
#[derive(Clone, Copy)]
pub(crate) struct Vectors<const RELAXED: bool>;

/// Whether the pseudo-minimum and -maximum, which are their first operand unless the second is less or more, stay what they
/// are. In programs with relaxed SIMD the compiler takes the relaxed ones for them, of which NaN may get lost.
const KEEPS_PSEUDO: bool = !cfg!(target_feature = "relaxed-simd");

// SAFETY of every block: the trait's callers pass valid pointers; lanes after the first `n` are not accessed.
#[allow(clippy::undocumented_unsafe_blocks)]
impl<const RELAXED: bool> Floats for Vectors<RELAXED> {
    type V = v128;
    type Half = Self;
    const HALVES: bool = false;
    const LANES: usize = 4;
    // Engines load all of a step before they multiply: sums, weights, an input for each pixel and a product are no more
    // than the 15 registers that they use on x86.
    const TILE: [usize; 4] = [6, 4, 2, 2];
    const DEPTHWISE: usize = 7;

    #[inline(always)]
    unsafe fn half(v: v128) -> v128 {
        v
    }
    #[inline(always)]
    unsafe fn splat(x: f32) -> v128 {
        f32x4_splat(x)
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> v128 {
        unsafe { v128_load(p.cast()) }
    }
    #[inline(always)]
    unsafe fn load_bf16(p: *const u16) -> [v128; 2] {
        unsafe {
            let pairs = v128_load(p.cast());
            [u32x4_shl(pairs, 16), v128_and(pairs, u32x4_splat(!0xffff))]
        }
    }
    #[inline(always)]
    unsafe fn load_first(p: *const f32, n: usize) -> v128 {
        unsafe {
            match n {
                0 => f32x4_splat(0.0),
                1 => v128_load32_zero(p.cast()),
                2 => v128_load64_zero(p.cast()),
                3 => v128_load32_lane::<2>(v128_load64_zero(p.cast()), p.add(2).cast()),
                _ => v128_load(p.cast()),
            }
        }
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, v: v128) {
        unsafe { v128_store(p.cast(), v) }
    }
    #[inline(always)]
    unsafe fn store_first(p: *mut f32, v: v128, n: usize) {
        unsafe {
            match n {
                0 => {}
                1 => v128_store32_lane::<0>(v, p.cast()),
                2 => v128_store64_lane::<0>(v, p.cast()),
                3 => {
                    v128_store64_lane::<0>(v, p.cast());
                    v128_store32_lane::<2>(v, p.add(2).cast());
                }
                _ => v128_store(p.cast(), v),
            }
        }
    }
    #[inline(always)]
    unsafe fn add(a: v128, b: v128) -> v128 {
        f32x4_add(a, b)
    }
    #[inline(always)]
    unsafe fn sub(a: v128, b: v128) -> v128 {
        f32x4_sub(a, b)
    }
    #[inline(always)]
    unsafe fn mul(a: v128, b: v128) -> v128 {
        f32x4_mul(a, b)
    }
    #[inline(always)]
    unsafe fn div(a: v128, b: v128) -> v128 {
        f32x4_div(a, b)
    }
    #[inline(always)]
    unsafe fn sqrt(x: v128) -> v128 {
        f32x4_sqrt(x)
    }
    #[inline(always)]
    unsafe fn fma(a: v128, b: v128, c: v128) -> v128 {
        #[cfg(target_feature = "relaxed-simd")]
        if RELAXED {
            return f32x4_relaxed_madd(a, b, c);
        }
        f32x4_add(f32x4_mul(a, b), c)
    }
    #[inline(always)]
    unsafe fn at_least(x: v128, limit: v128) -> v128 {
        if KEEPS_PSEUDO { f32x4_pmax(x, limit) } else { v128_bitselect(limit, x, f32x4_gt(limit, x)) }
    }
    #[inline(always)]
    unsafe fn at_most(x: v128, limit: v128) -> v128 {
        if KEEPS_PSEUDO { f32x4_pmin(x, limit) } else { v128_bitselect(limit, x, f32x4_lt(limit, x)) }
    }
    #[inline(always)]
    unsafe fn exp2_whole(n: v128) -> v128 {
        // A number of this size has no room for a fraction, so that its low bits are the exponent.
        let exponent = f32x4_add(n, f32x4_splat((3 << 22) as f32 + 127.0));
        i32x4_shl(exponent, 23)
    }
    #[inline(always)]
    unsafe fn max(a: v128, b: v128) -> v128 {
        f32x4_max(a, b)
    }
    #[inline(always)]
    unsafe fn where_above(a: v128, b: v128, x: v128) -> v128 {
        v128_and(f32x4_gt(a, b), x)
    }
}
