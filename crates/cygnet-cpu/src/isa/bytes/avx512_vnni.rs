//! Sixteen words of AVX-512 with dot products of bytes.

use std::arch::asm;
use std::arch::x86_64::*;

use super::Bytes;

#[derive(Clone, Copy)]
pub(crate) struct Avx512Vnni;

#[inline(always)]
fn first(n: usize) -> __mmask64 {
    if n >= 64 { !0 } else { (1 << n) - 1 }
}

/// [`Bytes::table`] by shuffles of 16 bytes, for CPUs without AVX512-VBMI.
#[inline(never)]
#[target_feature(enable = "avx512bw")]
unsafe fn table_of_16s(x: __m512i, table: *const u8) -> __m512i {
    let mut found = _mm512_setzero_si512();
    for i in 0..16 {
        // Only places of these 16 bytes keep their highest bit clear.
        let place = _mm512_xor_si512(x, _mm512_set1_epi8((i << 4) as i8));
        let place = _mm512_adds_epu8(place, _mm512_set1_epi8(0x70));
        // SAFETY: the caller's promise: 256 readable bytes.
        let bytes = unsafe { _mm512_broadcast_i32x4(_mm_loadu_si128(table.add(16 * i).cast())) };
        found = _mm512_or_si512(found, _mm512_shuffle_epi8(bytes, place));
    }
    found
}

/// Each byte's place, without its highest bit, in 128 bytes. Written as an instruction, because a CPU has the set without
/// it: only to be used where it has AVX512-VBMI.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn of_128(places: __m512i, low: __m512i, high: __m512i) -> __m512i {
    let mut found = places;
    // SAFETY: the caller's promise.
    unsafe {
        asm!("vpermi2b {0}, {1}, {2}", inout(zmm_reg) found, in(zmm_reg) low, in(zmm_reg) high,
            options(pure, nomem, nostack, preserves_flags));
    }
    found
}

/// Word `4 L + j` from word `4 j + L`, which is its own inverse.
static ACROSS: [i32; 16] = [0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15];
/// Byte `4 c + r` of sixteen from byte `4 r + c`.
static FOURS: [u8; 16] = [0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15];
/// Two packed vectors, whose words lie four apart, in order; one packed vector is every other of these.
static TOGETHER: [i32; 16] = [0, 4, 8, 12, 1, 5, 9, 13, 0, 4, 8, 12, 1, 5, 9, 13];

// SAFETY of every block: the trait's callers run with AVX-512 enabled and pass valid pointers; masked-off bytes are not
// accessed.
#[allow(clippy::undocumented_unsafe_blocks)]
impl Avx512Vnni {
    #[inline(always)]
    unsafe fn across(v: __m512i, places: &'static [i32; 16]) -> __m512i {
        unsafe { _mm512_permutexvar_epi32(_mm512_loadu_si512(places.as_ptr().cast()), v) }
    }
}

// SAFETY of every block: as above.
#[allow(clippy::undocumented_unsafe_blocks)]
impl Bytes for Avx512Vnni {
    type V = __m512i;
    const LANES: usize = 16;
    const PARTS: usize = 1;
    const TILE: [usize; 3] = [14, 12, 7];

    #[inline(always)]
    unsafe fn splat(word: u32) -> __m512i {
        unsafe { _mm512_set1_epi32(word as i32) }
    }
    #[inline(always)]
    unsafe fn load(p: *const u8) -> __m512i {
        unsafe { _mm512_loadu_si512(p.cast()) }
    }
    #[inline(always)]
    unsafe fn load_first(p: *const u8, n: usize) -> __m512i {
        unsafe { _mm512_maskz_loadu_epi8(first(n), p.cast()) }
    }
    #[inline(always)]
    unsafe fn store(p: *mut u8, v: __m512i) {
        unsafe { _mm512_storeu_si512(p.cast(), v) }
    }
    #[inline(always)]
    unsafe fn store_first(p: *mut u8, v: __m512i, n: usize) {
        // Stores without a mask are faster.
        unsafe {
            match n {
                64.. => _mm512_storeu_si512(p.cast(), v),
                32 => _mm256_storeu_si256(p.cast(), _mm512_castsi512_si256(v)),
                16 => _mm_storeu_si128(p.cast(), _mm512_castsi512_si128(v)),
                8 => _mm_storel_epi64(p.cast(), _mm512_castsi512_si128(v)),
                // Loads wait for stores that reach as far as them, masked or not.
                33..64 => _mm512_mask_storeu_epi8(p.cast(), first(n), v),
                17..32 => _mm256_mask_storeu_epi8(p.cast(), first(n) as __mmask32, _mm512_castsi512_si256(v)),
                _ => _mm_mask_storeu_epi8(p.cast(), first(n) as __mmask16, _mm512_castsi512_si128(v)),
            }
        }
    }
    #[inline(always)]
    unsafe fn widen(p: *const u8) -> __m512i {
        unsafe { _mm512_cvtepu8_epi32(_mm_loadu_si128(p.cast())) }
    }

    #[inline(always)]
    unsafe fn add(a: __m512i, b: __m512i) -> __m512i {
        unsafe { _mm512_add_epi32(a, b) }
    }
    #[inline(always)]
    unsafe fn part(x: __m512i, _part: usize) -> __m512i {
        x
    }
    #[inline(always)]
    unsafe fn dot(sum: __m512i, x: __m512i, weights: __m512i) -> __m512i {
        unsafe { _mm512_dpbusd_epi32(sum, x, weights) }
    }
    #[inline(always)]
    unsafe fn mix([a, b, c, d]: [__m512i; 4]) -> [__m512i; 4] {
        unsafe {
            let (low, high) = (_mm512_unpacklo_epi8(a, b), _mm512_unpackhi_epi8(a, b));
            let (low2, high2) = (_mm512_unpacklo_epi8(c, d), _mm512_unpackhi_epi8(c, d));
            [
                _mm512_unpacklo_epi16(low, low2),
                _mm512_unpackhi_epi16(low, low2),
                _mm512_unpacklo_epi16(high, high2),
                _mm512_unpackhi_epi16(high, high2),
            ]
        }
    }
    #[inline(always)]
    unsafe fn interleave_first(rows: [*const u8; 4], n: usize) -> __m512i {
        unsafe {
            let first = first(n) as __mmask16;
            let mut all = _mm512_castsi128_si512(_mm_maskz_loadu_epi8(first, rows[0].cast()));
            all = _mm512_inserti32x4::<1>(all, _mm_maskz_loadu_epi8(first, rows[1].cast()));
            all = _mm512_inserti32x4::<2>(all, _mm_maskz_loadu_epi8(first, rows[2].cast()));
            all = _mm512_inserti32x4::<3>(all, _mm_maskz_loadu_epi8(first, rows[3].cast()));
            _mm512_shuffle_epi8(
                Self::across(all, &ACROSS),
                _mm512_broadcast_i32x4(_mm_loadu_si128(FOURS.as_ptr().cast())),
            )
        }
    }

    #[inline(always)]
    unsafe fn to_float(x: __m512i) -> __m512i {
        unsafe { _mm512_castps_si512(_mm512_cvtepi32_ps(x)) }
    }
    #[inline(always)]
    unsafe fn to_int(x: __m512i) -> __m512i {
        unsafe { _mm512_cvtps_epi32(_mm512_castsi512_ps(x)) }
    }
    #[inline(always)]
    unsafe fn add_float(a: __m512i, b: __m512i) -> __m512i {
        unsafe { _mm512_castps_si512(_mm512_add_ps(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b))) }
    }
    #[inline(always)]
    unsafe fn mul_float(a: __m512i, b: __m512i) -> __m512i {
        unsafe { _mm512_castps_si512(_mm512_mul_ps(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b))) }
    }
    #[inline(always)]
    unsafe fn limit_float(x: __m512i) -> __m512i {
        unsafe {
            let x = _mm512_castsi512_ps(x);
            let is_number = _mm512_cmp_ps_mask::<_CMP_ORD_Q>(x, x);
            _mm512_castps_si512(_mm512_maskz_min_ps(is_number, x, _mm512_set1_ps(super::LARGEST)))
        }
    }

    #[inline(always)]
    unsafe fn pack<const N: usize>(words: [__m512i; N], zero: Option<__m512i>) -> __m512i {
        const { assert!(N == 1 || N == 2 || N == 4) };
        unsafe {
            let mut low = _mm512_packs_epi32(words[0], words[1 % N]);
            if let Some(zero) = zero {
                low = _mm512_adds_epi16(low, zero);
            }
            if N < 4 {
                return Self::across(_mm512_packus_epi16(low, low), &TOGETHER);
            }
            let mut high = _mm512_packs_epi32(words[2 % N], words[3 % N]);
            if let Some(zero) = zero {
                high = _mm512_adds_epi16(high, zero);
            }
            _mm512_packus_epi16(low, high)
        }
    }
    #[inline(always)]
    unsafe fn in_line(packed: __m512i) -> __m512i {
        unsafe { Self::across(packed, &ACROSS) }
    }
    #[inline(always)]
    unsafe fn apart(bytes: __m512i) -> __m512i {
        unsafe { Self::across(bytes, &ACROSS) }
    }
    #[inline(always)]
    unsafe fn max_bytes(a: __m512i, b: __m512i) -> __m512i {
        unsafe { _mm512_max_epu8(a, b) }
    }
    #[inline(always)]
    unsafe fn min_bytes(a: __m512i, b: __m512i) -> __m512i {
        unsafe { _mm512_min_epu8(a, b) }
    }
    #[inline(always)]
    unsafe fn table(x: __m512i, table: *const u8) -> __m512i {
        unsafe {
            if !is_x86_feature_detected!("avx512vbmi") {
                return table_of_16s(x, table);
            }
            let (a, b) = (Self::load(table), Self::load(table.add(64)));
            let (c, d) = (Self::load(table.add(128)), Self::load(table.add(192)));
            let (low, high) = (of_128(x, a, b), of_128(x, c, d));
            _mm512_mask_blend_epi8(_mm512_movepi8_mask(x), low, high)
        }
    }
}
