//! Four words in plain Rust. What takes many instructions is called: the kernels that repeat it stay small.

use super::Bytes;

#[derive(Clone, Copy)]
pub(crate) struct Scalar;

type V = [u32; 4];

#[inline(always)]
fn each(a: V, b: V, f: impl Fn(u32, u32) -> u32) -> V {
    [f(a[0], b[0]), f(a[1], b[1]), f(a[2], b[2]), f(a[3], b[3])]
}

#[inline(always)]
fn floats(a: V, b: V, f: impl Fn(f32, f32) -> f32) -> V {
    each(a, b, |a, b| f(f32::from_bits(a), f32::from_bits(b)).to_bits())
}

#[inline(always)]
fn bytes(a: V, b: V, f: impl Fn(u8, u8) -> u8) -> V {
    each(a, b, |a, b| {
        let (a, b) = (a.to_le_bytes(), b.to_le_bytes());
        u32::from_le_bytes([f(a[0], b[0]), f(a[1], b[1]), f(a[2], b[2]), f(a[3], b[3])])
    })
}

#[inline(always)]
fn to_int(x: f32) -> i32 {
    // Adding and taking away 1.5 * 2^52 rounds to whole numbers, ties to even.
    const ROUND: f64 = 6_755_399_441_055_744.0;
    let whole = (f64::from(x) + ROUND) - ROUND;
    if whole.abs() < 2_147_483_648.0 { whole as i32 } else { i32::MIN }
}

impl Bytes for Scalar {
    type V = V;
    const LANES: usize = 4;
    const PARTS: usize = 1;
    const TILE: [usize; 3] = [2, 1, 1];

    #[inline(always)]
    unsafe fn splat(word: u32) -> V {
        [word; 4]
    }
    #[inline(always)]
    unsafe fn load(p: *const u8) -> V {
        // SAFETY: the caller's promise: four readable words.
        unsafe { p.cast::<V>().read_unaligned() }.map(u32::from_le)
    }
    #[inline(never)]
    unsafe fn load_first(p: *const u8, n: usize) -> V {
        let mut first = [0u8; 16];
        // SAFETY: the caller's promise: `n` readable bytes.
        unsafe { std::ptr::copy_nonoverlapping(p, first.as_mut_ptr(), n.min(16)) };
        // SAFETY: there are four words.
        unsafe { Self::load(first.as_ptr()) }
    }
    #[inline(always)]
    unsafe fn store(p: *mut u8, v: V) {
        // SAFETY: the caller's promise: four writable words.
        unsafe { p.cast::<V>().write_unaligned(v.map(u32::to_le)) }
    }
    #[inline(never)]
    unsafe fn store_first(p: *mut u8, v: V, n: usize) {
        let v = v.map(u32::to_le);
        // SAFETY: the caller's promise: `n` writable bytes.
        unsafe { std::ptr::copy_nonoverlapping(v.as_ptr().cast(), p, n.min(16)) };
    }
    #[inline(always)]
    unsafe fn widen(p: *const u8) -> V {
        // SAFETY: the caller's promise: four readable bytes.
        unsafe { p.cast::<[u8; 4]>().read() }.map(u32::from)
    }

    #[inline(always)]
    unsafe fn add(a: V, b: V) -> V {
        each(a, b, u32::wrapping_add)
    }
    #[inline(always)]
    unsafe fn part(x: V, _part: usize) -> V {
        x
    }
    #[inline(never)]
    unsafe fn dot(sum: V, x: V, weights: V) -> V {
        let products = each(x, weights, |x, weights| {
            let (x, weights) = (x.to_le_bytes(), weights.to_le_bytes());
            let product = |i: usize| i32::from(x[i]) * i32::from(weights[i] as i8);
            (product(0) + product(1) + product(2) + product(3)) as u32
        });
        each(sum, products, u32::wrapping_add)
    }
    #[inline(never)]
    unsafe fn mix(rows: [V; 4]) -> [V; 4] {
        let [a, b, c, d] = rows.map(|row| row.map(u32::to_le_bytes));
        let of = |q: usize| {
            let word = |i: usize| u32::from_le_bytes([a[q][i], b[q][i], c[q][i], d[q][i]]);
            [word(0), word(1), word(2), word(3)]
        };
        [of(0), of(1), of(2), of(3)]
    }

    #[inline(always)]
    unsafe fn to_float(x: V) -> V {
        x.map(|x| (x as i32 as f32).to_bits())
    }
    #[inline(never)]
    unsafe fn to_int(x: V) -> V {
        x.map(|x| to_int(f32::from_bits(x)) as u32)
    }
    #[inline(always)]
    unsafe fn add_float(a: V, b: V) -> V {
        floats(a, b, |a, b| a + b)
    }
    #[inline(always)]
    unsafe fn mul_float(a: V, b: V) -> V {
        floats(a, b, |a, b| a * b)
    }
    #[inline(never)]
    unsafe fn limit_float(x: V) -> V {
        floats(x, [super::LARGEST.to_bits(); 4], |x, largest| match x.is_nan() {
            true => 0.0,
            false => x.min(largest),
        })
    }

    #[inline(never)]
    unsafe fn pack<const N: usize>(words: [V; N], zero: Option<V>) -> V {
        let zero = zero.map_or(0, |zero| zero[0] as u16 as i16);
        let byte = |word: u32| {
            let small = (word as i32).clamp(i16::MIN.into(), i16::MAX.into()) as i16;
            small.saturating_add(zero).clamp(0, 255) as u8
        };
        let mut packed = [0; 4];
        for (packed, words) in packed.iter_mut().zip(words) {
            *packed = u32::from_le_bytes(words.map(byte));
        }
        packed
    }
    #[inline(always)]
    unsafe fn in_line(packed: V) -> V {
        packed
    }
    #[inline(always)]
    unsafe fn apart(bytes: V) -> V {
        bytes
    }
    #[inline(always)]
    unsafe fn max_bytes(a: V, b: V) -> V {
        bytes(a, b, u8::max)
    }
    #[inline(always)]
    unsafe fn min_bytes(a: V, b: V) -> V {
        bytes(a, b, u8::min)
    }
    #[inline(never)]
    unsafe fn table(x: V, table: *const u8) -> V {
        // SAFETY: the caller's promise: 256 readable bytes.
        bytes(x, x, |x, _| unsafe { *table.add(x.into()) })
    }
}
