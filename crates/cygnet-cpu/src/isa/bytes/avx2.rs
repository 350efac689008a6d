//! Eight words of AVX2, with dot products of bytes (AVX-VNNI) or without.

use std::arch::x86_64::*;

use super::Bytes;

/// AVX2, and whether it has dot products of bytes.
#[derive(Clone, Copy)]
pub(crate) struct Words<const VNNI: bool>;

pub(crate) type Avx2 = Words<false>;
pub(crate) type AvxVnni = Words<true>;

/// Word `4 L + q` from word `2 q + L`.
static APART: [i32; 8] = [0, 2, 4, 6, 1, 3, 5, 7];
/// Word `2 j + L` from word `4 L + j`.
static TOGETHER: [i32; 8] = [0, 4, 1, 5, 2, 6, 3, 7];

/// The first `n` of eight bytes from memory, 0 in the others.
///
/// # Safety
/// They must be there.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn eight(p: *const u8, n: usize) -> __m128i {
    // SAFETY: the caller's promise.
    unsafe {
        if n >= 8 {
            return _mm_loadl_epi64(p.cast());
        }
        let mut first = [0u8; 8];
        std::ptr::copy_nonoverlapping(p, first.as_mut_ptr(), n);
        _mm_loadl_epi64(first.as_ptr().cast())
    }
}

// SAFETY of every block: the trait's callers run with AVX2 enabled and pass valid pointers.
#[allow(clippy::undocumented_unsafe_blocks)]
impl<const VNNI: bool> Words<VNNI> {
    #[inline(always)]
    unsafe fn across(v: __m256i, places: &'static [i32; 8]) -> __m256i {
        unsafe { _mm256_permutevar8x32_epi32(v, _mm256_loadu_si256(places.as_ptr().cast())) }
    }
}

// SAFETY of every block: as above; bytes after the first `n` are not accessed.
#[allow(clippy::undocumented_unsafe_blocks)]
impl<const VNNI: bool> Bytes for Words<VNNI> {
    type V = __m256i;
    const LANES: usize = 8;
    const PARTS: usize = if VNNI { 1 } else { 2 };
    const TILE: [usize; 3] = if VNNI { [12, 6, 3] } else { [10, 5, 3] };

    #[inline(always)]
    unsafe fn splat(word: u32) -> __m256i {
        unsafe { _mm256_set1_epi32(word as i32) }
    }
    #[inline(always)]
    unsafe fn load(p: *const u8) -> __m256i {
        unsafe { _mm256_loadu_si256(p.cast()) }
    }
    #[inline(always)]
    unsafe fn load_first(p: *const u8, n: usize) -> __m256i {
        unsafe {
            if n >= 32 {
                return Self::load(p);
            }
            let mut first = [0u8; 32];
            std::ptr::copy_nonoverlapping(p, first.as_mut_ptr(), n);
            Self::load(first.as_ptr())
        }
    }
    #[inline(always)]
    unsafe fn store(p: *mut u8, v: __m256i) {
        unsafe { _mm256_storeu_si256(p.cast(), v) }
    }
    #[inline(always)]
    unsafe fn store_first(p: *mut u8, v: __m256i, n: usize) {
        unsafe {
            match n {
                32.. => Self::store(p, v),
                16 => _mm_storeu_si128(p.cast(), _mm256_castsi256_si128(v)),
                8 => _mm_storel_epi64(p.cast(), _mm256_castsi256_si128(v)),
                _ => {
                    let mut all = [0u8; 32];
                    Self::store(all.as_mut_ptr(), v);
                    std::ptr::copy_nonoverlapping(all.as_ptr(), p, n);
                }
            }
        }
    }
    #[inline(always)]
    unsafe fn widen(p: *const u8) -> __m256i {
        unsafe { _mm256_cvtepu8_epi32(_mm_loadl_epi64(p.cast())) }
    }

    #[inline(always)]
    unsafe fn add(a: __m256i, b: __m256i) -> __m256i {
        unsafe { _mm256_add_epi32(a, b) }
    }
    #[inline(always)]
    unsafe fn part(x: __m256i, part: usize) -> __m256i {
        unsafe {
            match (VNNI, part) {
                (true, _) => x,
                (false, 0) => _mm256_and_si256(x, _mm256_set1_epi16(0xff)),
                (false, _) => _mm256_srli_epi16::<8>(x),
            }
        }
    }
    #[inline(always)]
    unsafe fn dot(sum: __m256i, x: __m256i, weights: __m256i) -> __m256i {
        unsafe {
            if VNNI {
                return _mm256_dpbusd_avx_epi32(sum, x, weights);
            }
            _mm256_add_epi32(sum, _mm256_madd_epi16(x, weights))
        }
    }
    #[inline(always)]
    unsafe fn mix([a, b, c, d]: [__m256i; 4]) -> [__m256i; 4] {
        unsafe {
            let (low, high) = (_mm256_unpacklo_epi8(a, b), _mm256_unpackhi_epi8(a, b));
            let (low2, high2) = (_mm256_unpacklo_epi8(c, d), _mm256_unpackhi_epi8(c, d));
            [
                _mm256_unpacklo_epi16(low, low2),
                _mm256_unpackhi_epi16(low, low2),
                _mm256_unpacklo_epi16(high, high2),
                _mm256_unpackhi_epi16(high, high2),
            ]
        }
    }
    #[inline(always)]
    unsafe fn interleave_first(rows: [*const u8; 4], n: usize) -> __m256i {
        unsafe {
            let left = _mm_unpacklo_epi8(eight(rows[0], n), eight(rows[1], n));
            let right = _mm_unpacklo_epi8(eight(rows[2], n), eight(rows[3], n));
            let low = _mm256_castsi128_si256(_mm_unpacklo_epi16(left, right));
            _mm256_inserti128_si256::<1>(low, _mm_unpackhi_epi16(left, right))
        }
    }

    #[inline(always)]
    unsafe fn to_float(x: __m256i) -> __m256i {
        unsafe { _mm256_castps_si256(_mm256_cvtepi32_ps(x)) }
    }
    #[inline(always)]
    unsafe fn to_int(x: __m256i) -> __m256i {
        unsafe { _mm256_cvtps_epi32(_mm256_castsi256_ps(x)) }
    }
    #[inline(always)]
    unsafe fn add_float(a: __m256i, b: __m256i) -> __m256i {
        unsafe { _mm256_castps_si256(_mm256_add_ps(_mm256_castsi256_ps(a), _mm256_castsi256_ps(b))) }
    }
    #[inline(always)]
    unsafe fn mul_float(a: __m256i, b: __m256i) -> __m256i {
        unsafe { _mm256_castps_si256(_mm256_mul_ps(_mm256_castsi256_ps(a), _mm256_castsi256_ps(b))) }
    }
    #[inline(always)]
    unsafe fn limit_float(x: __m256i) -> __m256i {
        unsafe {
            let x = _mm256_castsi256_ps(x);
            let is_number = _mm256_cmp_ps::<_CMP_ORD_Q>(x, x);
            let limited = _mm256_min_ps(x, _mm256_set1_ps(super::LARGEST));
            _mm256_castps_si256(_mm256_and_ps(limited, is_number))
        }
    }

    #[inline(always)]
    unsafe fn pack<const N: usize>(words: [__m256i; N], zero: Option<__m256i>) -> __m256i {
        const { assert!(N == 1 || N == 2 || N == 4) };
        unsafe {
            let mut low = _mm256_packs_epi32(words[0], words[1 % N]);
            if let Some(zero) = zero {
                low = _mm256_adds_epi16(low, zero);
            }
            if N < 4 {
                return Self::across(_mm256_packus_epi16(low, low), &TOGETHER);
            }
            let mut high = _mm256_packs_epi32(words[2 % N], words[3 % N]);
            if let Some(zero) = zero {
                high = _mm256_adds_epi16(high, zero);
            }
            _mm256_packus_epi16(low, high)
        }
    }
    #[inline(always)]
    unsafe fn in_line(packed: __m256i) -> __m256i {
        unsafe { Self::across(packed, &TOGETHER) }
    }
    #[inline(always)]
    unsafe fn apart(bytes: __m256i) -> __m256i {
        unsafe { Self::across(bytes, &APART) }
    }
    #[inline(always)]
    unsafe fn max_bytes(a: __m256i, b: __m256i) -> __m256i {
        unsafe { _mm256_max_epu8(a, b) }
    }
    #[inline(always)]
    unsafe fn min_bytes(a: __m256i, b: __m256i) -> __m256i {
        unsafe { _mm256_min_epu8(a, b) }
    }
    #[inline(always)]
    unsafe fn table(x: __m256i, table: *const u8) -> __m256i {
        unsafe {
            let mut found = _mm256_setzero_si256();
            for i in 0..16 {
                // Only places of these 16 bytes keep their highest bit clear.
                let place = _mm256_xor_si256(x, _mm256_set1_epi8((i << 4) as i8));
                let place = _mm256_adds_epu8(place, _mm256_set1_epi8(0x70));
                let bytes = _mm256_broadcastsi128_si256(_mm_loadu_si128(table.add(16 * i).cast()));
                found = _mm256_or_si256(found, _mm256_shuffle_epi8(bytes, place));
            }
            found
        }
    }
}
