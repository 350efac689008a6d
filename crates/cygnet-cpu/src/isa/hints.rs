//! What a body tells the compiler and the CPU beside its arithmetic; nothing on architectures that are not named here.

/// Hides where a value comes from, so that addresses made of it are kept as base, index and scale instead of one
/// induction variable each.
#[inline(always)]
pub fn opaque<T>(p: *const T) -> *const T {
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    {
        let mut address = p.expose_provenance();
        // SAFETY: no instructions.
        unsafe {
            std::arch::asm!("/* {0} */", inout(reg) address, options(pure, nomem, nostack, preserves_flags));
        }
        std::ptr::with_exposed_provenance(address)
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    p
}

/// Keeps the loads that follow it behind it: all at once they take more registers than there are.
#[inline(always)]
pub fn in_order() {
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    // SAFETY: no instructions.
    unsafe {
        std::arch::asm!("", options(nostack, preserves_flags));
    }
}

/// Asks for the cache line of an address, which need not be valid, in the first or else the second cache.
#[inline(always)]
pub fn prefetch<const CACHE: usize>(p: *const f32) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint; no address is wrong.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _MM_HINT_T1, _mm_prefetch};
        if CACHE == 1 { _mm_prefetch::<_MM_HINT_T0>(p.cast()) } else { _mm_prefetch::<_MM_HINT_T1>(p.cast()) }
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as above.
    unsafe {
        use std::arch::asm;
        if CACHE == 1 {
            asm!("prfm pldl1keep, [{0}]", in(reg) p, options(nomem, nostack, preserves_flags));
        } else {
            asm!("prfm pldl2keep, [{0}]", in(reg) p, options(nomem, nostack, preserves_flags));
        }
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = p;
}
