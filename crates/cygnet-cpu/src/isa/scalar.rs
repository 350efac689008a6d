//! Four lanes in plain Rust.

use super::Floats;

#[derive(Clone, Copy)]
pub(crate) struct Scalar;

type V = [f32; 4];

#[inline(always)]
fn each(a: V, b: V, f: impl Fn(f32, f32) -> f32) -> V {
    [f(a[0], b[0]), f(a[1], b[1]), f(a[2], b[2]), f(a[3], b[3])]
}

impl Floats for Scalar {
    type V = V;
    type Half = Self;
    const HALVES: bool = false;
    const LANES: usize = 4;
    const TILE: [usize; 4] = [6, 4, 3, 2];
    const DEPTHWISE: usize = 2;

    #[inline(always)]
    unsafe fn half(v: V) -> V {
        v
    }
    #[inline(always)]
    unsafe fn splat(x: f32) -> V {
        [x; 4]
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> V {
        // SAFETY: the caller's promise: four readable lanes.
        unsafe { p.cast::<V>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn load_bf16(p: *const u16) -> [V; 2] {
        let mut v = [[0.0; 4]; 2];
        // SAFETY: the caller's promise: eight readable numbers.
        (0..8).for_each(|i| v[i % 2][i / 2] = f32::from_bits(u32::from(unsafe { *p.add(i) }) << 16));
        v
    }
    #[inline(always)]
    unsafe fn load_first(p: *const f32, n: usize) -> V {
        let mut v = [0.0; 4];
        // SAFETY: the caller's promise: `n` readable lanes.
        (0..n.min(4)).for_each(|i| v[i] = unsafe { *p.add(i) });
        v
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, v: V) {
        // SAFETY: the caller's promise: four writable lanes.
        unsafe { p.cast::<V>().write_unaligned(v) }
    }
    #[inline(always)]
    unsafe fn store_first(p: *mut f32, v: V, n: usize) {
        // SAFETY: the caller's promise: `n` writable lanes.
        (0..n.min(4)).for_each(|i| unsafe { *p.add(i) = v[i] });
    }
    #[inline(always)]
    unsafe fn add(a: V, b: V) -> V {
        each(a, b, |a, b| a + b)
    }
    #[inline(always)]
    unsafe fn sub(a: V, b: V) -> V {
        each(a, b, |a, b| a - b)
    }
    #[inline(always)]
    unsafe fn mul(a: V, b: V) -> V {
        each(a, b, |a, b| a * b)
    }
    #[inline(always)]
    unsafe fn div(a: V, b: V) -> V {
        each(a, b, |a, b| a / b)
    }
    #[inline(always)]
    unsafe fn sqrt(x: V) -> V {
        x.map(f32::sqrt)
    }
    #[inline(always)]
    unsafe fn fma(a: V, b: V, c: V) -> V {
        each(each(a, b, |a, b| a * b), c, |ab, c| ab + c)
    }
    #[inline(always)]
    unsafe fn at_least(x: V, limit: V) -> V {
        each(x, limit, |x, limit| if limit > x { limit } else { x })
    }
    #[inline(always)]
    unsafe fn at_most(x: V, limit: V) -> V {
        each(x, limit, |x, limit| if limit < x { limit } else { x })
    }
    #[inline(always)]
    unsafe fn exp2_whole(n: V) -> V {
        each(n, n, |n, _| f32::from_bits(((n as i32 + 127) << 23) as u32))
    }
    #[inline(always)]
    unsafe fn max(a: V, b: V) -> V {
        each(a, b, |a, b| if b > a || b.is_nan() { b } else { a })
    }
    #[inline(always)]
    unsafe fn where_above(a: V, b: V, x: V) -> V {
        std::array::from_fn(|i| if a[i] > b[i] { x[i] } else { 0.0 })
    }
}
