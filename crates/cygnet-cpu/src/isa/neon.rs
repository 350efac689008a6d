//! Four lanes of NEON, which every 64-bit Arm CPU has.

use std::arch::aarch64::*;
use std::arch::asm;

use super::Floats;

#[derive(Clone, Copy)]
pub(crate) struct Neon;

// SAFETY of every block: the trait's callers pass valid pointers; lanes after the first `n` are not accessed.
#[allow(clippy::undocumented_unsafe_blocks)]
impl Floats for Neon {
    type V = float32x4_t;
    type Half = Self;
    const HALVES: bool = false;
    const LANES: usize = 4;
    // Sums, a vector of inputs for each pixel, and two of weights.
    const TILE: [usize; 4] = [14, 10, 7, 6];
    const INPUTS: usize = 4;
    const DEPTHWISE: usize = 7;

    #[inline(always)]
    unsafe fn half(v: float32x4_t) -> float32x4_t {
        v
    }
    #[inline(always)]
    unsafe fn splat(x: f32) -> float32x4_t {
        unsafe { vdupq_n_f32(x) }
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> float32x4_t {
        unsafe { vld1q_f32(p) }
    }
    #[inline(always)]
    unsafe fn load_bf16(p: *const u16) -> [float32x4_t; 2] {
        unsafe {
            let uint16x4x2_t(even, odd) = vld2_u16(p);
            [vreinterpretq_f32_u32(vshll_n_u16::<16>(even)), vreinterpretq_f32_u32(vshll_n_u16::<16>(odd))]
        }
    }
    #[inline(always)]
    unsafe fn load_first(p: *const f32, n: usize) -> float32x4_t {
        unsafe {
            let none = vdupq_n_f32(0.0);
            match n {
                0 => none,
                1 => vld1q_lane_f32::<0>(p, none),
                2 => vcombine_f32(vld1_f32(p), vget_low_f32(none)),
                3 => vld1q_lane_f32::<2>(p.add(2), vcombine_f32(vld1_f32(p), vget_low_f32(none))),
                _ => vld1q_f32(p),
            }
        }
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, v: float32x4_t) {
        unsafe { vst1q_f32(p, v) }
    }
    #[inline(always)]
    unsafe fn store_first(p: *mut f32, v: float32x4_t, n: usize) {
        unsafe {
            match n {
                0 => {}
                1 => vst1q_lane_f32::<0>(p, v),
                2 => vst1_f32(p, vget_low_f32(v)),
                3 => {
                    vst1_f32(p, vget_low_f32(v));
                    vst1q_lane_f32::<2>(p.add(2), v);
                }
                _ => vst1q_f32(p, v),
            }
        }
    }
    #[inline(always)]
    unsafe fn add(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        unsafe { vaddq_f32(a, b) }
    }
    #[inline(always)]
    unsafe fn sub(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        unsafe { vsubq_f32(a, b) }
    }
    #[inline(always)]
    unsafe fn mul(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        unsafe { vmulq_f32(a, b) }
    }
    #[inline(always)]
    unsafe fn div(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        unsafe { vdivq_f32(a, b) }
    }
    #[inline(always)]
    unsafe fn sqrt(x: float32x4_t) -> float32x4_t {
        unsafe { vsqrtq_f32(x) }
    }
    #[inline(always)]
    unsafe fn fma(a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
        unsafe { vfmaq_f32(c, a, b) }
    }
    #[inline(always)]
    unsafe fn inputs(p: *const f32) -> float32x4_t {
        unsafe { vld1q_f32(p) }
    }
    #[inline(always)]
    unsafe fn fma_input(inputs: float32x4_t, place: usize, b: float32x4_t, c: float32x4_t) -> float32x4_t {
        let mut sum = c;
        macro_rules! fmla {
            ($lane:literal) => {
                unsafe {
                    asm!(
                        concat!("fmla {sum:v}.4s, {b:v}.4s, {inputs:v}.s[", $lane, "]"),
                        sum = inout(vreg) sum,
                        b = in(vreg) b,
                        inputs = in(vreg) inputs,
                        options(nomem, nostack, preserves_flags),
                    );
                }
            };
        }
        // As an instruction that stays where it is: the compiler's own order of a tile's multiply-adds takes more registers
        // than there are.
        match place {
            0 => fmla!("0"),
            1 => fmla!("1"),
            2 => fmla!("2"),
            _ => fmla!("3"),
        }
        sum
    }
    #[inline(always)]
    unsafe fn at_least(x: float32x4_t, limit: float32x4_t) -> float32x4_t {
        unsafe { vmaxq_f32(x, limit) }
    }
    #[inline(always)]
    unsafe fn at_most(x: float32x4_t, limit: float32x4_t) -> float32x4_t {
        unsafe { vminq_f32(x, limit) }
    }
    #[inline(always)]
    unsafe fn exp2_whole(n: float32x4_t) -> float32x4_t {
        unsafe {
            let exponent = vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127));
            vreinterpretq_f32_s32(vshlq_n_s32::<23>(exponent))
        }
    }
    #[inline(always)]
    unsafe fn max(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        unsafe { vmaxq_f32(a, b) }
    }
    #[inline(always)]
    unsafe fn where_above(a: float32x4_t, b: float32x4_t, x: float32x4_t) -> float32x4_t {
        unsafe { vreinterpretq_f32_u32(vandq_u32(vcgtq_f32(a, b), vreinterpretq_u32_f32(x))) }
    }
}
