//! Instruction sets: what a kernel needs of one ([`Isa`]), which one is used ([`Level`]), and the way in ([`Level::run`]).
//!
//! A kernel is a struct that implements [`Kernel`] once, generic over [`Isa`]; [`Level::run`] compiles its body for each
//! set. A new set is one implementation of [`Isa`] and one row in [`Level`].

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;

use std::str::FromStr;

#[cfg(target_arch = "x86_64")]
use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
use avx512::Avx512;
use portable::Portable;

/// Vectors of f32 and what kernels do with them.
///
/// # Safety
/// Every method may use the set's instructions: callers run inside [`Level::run`] with a level the CPU supports.
/// Pointers must be valid for the lanes that are read or written; they need not be aligned.
#[allow(clippy::missing_safety_doc, reason = "said once for all methods")]
pub trait Isa: Copy + 'static {
    /// A vector.
    type V: Copy;
    /// Vectors of half the lanes, where arithmetic on them takes half the time; otherwise the set itself.
    type Half: Isa;
    /// Whether [`Isa::Half`] is worth using.
    const HALVES: bool;
    /// Its number of lanes.
    const LANES: usize;
    /// Largest number of pixels in a convolution's tile of 1, 2, 3 and 4 vectors of output channels.
    const TILE: [usize; 4];
    /// Outputs of a row that a depthwise kernel computes together.
    const DEPTHWISE: usize;

    /// The lower half.
    unsafe fn half(v: Self::V) -> <Self::Half as Isa>::V;
    /// `x` in every lane.
    unsafe fn splat(x: f32) -> Self::V;
    /// A vector from memory.
    unsafe fn load(p: *const f32) -> Self::V;
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
    /// The larger one; `x` where it is NaN.
    unsafe fn at_least(x: Self::V, limit: Self::V) -> Self::V;
    /// The smaller one; `x` where it is NaN.
    unsafe fn at_most(x: Self::V, limit: Self::V) -> Self::V;
    /// `2^n` for whole `n` in -126..=127.
    unsafe fn exp2_whole(n: Self::V) -> Self::V;
    /// The larger one; NaN where either is.
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V;
    /// `x` where `a > b`, 0 elsewhere.
    unsafe fn where_above(a: Self::V, b: Self::V, x: Self::V) -> Self::V;
}

/// Work that is compiled for every instruction set.
pub trait Kernel {
    /// # Safety
    /// As the implementing kernel says; must be marked `#[inline(always)]`, so that it is compiled with the set's
    /// instructions.
    unsafe fn run<I: Isa>(self);
}

/// An instruction set that kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Plain Rust, which the compiler turns into what every CPU of the architecture has.
    Scalar,
    /// AVX2 with FMA: 8 lanes, 16 registers.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-512 F, VL, DQ and BW: 16 lanes, 32 registers, masks.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Level {
    /// All sets of this architecture, the best first.
    #[cfg(target_arch = "x86_64")]
    pub const ALL: &[Level] = &[Level::Avx512, Level::Avx2, Level::Scalar];
    /// All sets of this architecture, the best first.
    #[cfg(not(target_arch = "x86_64"))]
    pub const ALL: &[Level] = &[Level::Scalar];

    /// Whether this CPU has it.
    #[must_use]
    pub fn is_supported(self) -> bool {
        match self {
            Level::Scalar => true,
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => {
                is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512bw")
                    && Level::Avx2.is_supported()
            }
        }
    }

    /// The best set that this CPU has.
    #[must_use]
    pub fn best() -> Level {
        *Level::ALL.iter().find(|level| level.is_supported()).expect("scalar is always there")
    }

    /// The best set no better than `CYGNET_ISA` says, or the best of all without that variable.
    ///
    /// # Errors
    /// The reason, if the variable names no set of this architecture.
    pub fn chosen() -> Result<Level, String> {
        match std::env::var("CYGNET_ISA") {
            Ok(name) if !name.is_empty() => name.parse::<Level>().map(|cap| cap.min(Level::best())),
            _ => Ok(Level::best()),
        }
    }

    /// Its name in `CYGNET_ISA` and in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Level::Scalar => "scalar",
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => "avx512",
        }
    }

    /// f32 lanes of a vector.
    #[inline]
    #[must_use]
    pub fn lanes(self) -> usize {
        match self {
            Level::Scalar => Portable::LANES,
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => Avx2::LANES,
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => Avx512::LANES,
        }
    }

    /// Lanes of the smallest vector that is worth using.
    #[inline]
    #[must_use]
    pub fn least_lanes(self) -> usize {
        match self {
            Level::Scalar => Portable::LANES,
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => Avx2::LANES,
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => <Avx512 as Isa>::Half::LANES,
        }
    }

    /// Largest number of pixels in a convolution's tile of 1, 2, 3 and 4 vectors of output channels.
    #[inline]
    #[must_use]
    pub fn tile(self) -> [usize; 4] {
        match self {
            Level::Scalar => Portable::TILE,
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => Avx2::TILE,
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => Avx512::TILE,
        }
    }

    /// Runs a kernel with this set's instructions.
    ///
    /// # Safety
    /// The CPU must have the set ([`Level::is_supported`]), and the kernel's own conditions must hold.
    #[inline]
    pub unsafe fn run<K: Kernel>(self, kernel: K) {
        // Once for all callers, as those with a set's instructions are.
        #[inline(never)]
        unsafe fn scalar<K: Kernel>(kernel: K) {
            // SAFETY: the kernel's conditions are the caller's promise.
            unsafe { kernel.run::<Portable>() }
        }
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2,fma")]
        unsafe fn avx2<K: Kernel>(kernel: K) {
            // SAFETY: the kernel's conditions are the caller's promise.
            unsafe { kernel.run::<Avx2>() }
        }
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
        unsafe fn avx512<K: Kernel>(kernel: K) {
            // SAFETY: the kernel's conditions are the caller's promise.
            unsafe { kernel.run::<Avx512>() }
        }
        // SAFETY: the caller promises that the CPU has the set, and the kernel's own conditions.
        unsafe {
            match self {
                Level::Scalar => scalar(kernel),
                #[cfg(target_arch = "x86_64")]
                Level::Avx2 => avx2(kernel),
                #[cfg(target_arch = "x86_64")]
                Level::Avx512 => avx512(kernel),
            }
        }
    }
}

impl FromStr for Level {
    type Err = String;

    fn from_str(name: &str) -> Result<Level, String> {
        let known = || Level::ALL.iter().map(|level| level.name()).collect::<Vec<_>>().join(", ");
        Level::ALL.iter().find(|level| level.name() == name).copied().ok_or_else(|| {
            format!("{name} is no instruction set of this architecture; there are {}", known())
        })
    }
}

/// Hides where a value comes from, so that addresses made of it are kept as base, index and scale instead of one
/// induction variable each.
#[inline(always)]
pub fn opaque<T>(p: *const T) -> *const T {
    #[cfg(target_arch = "x86_64")]
    {
        let mut address = p.expose_provenance();
        // SAFETY: no instructions.
        unsafe {
            std::arch::asm!("/* {0} */", inout(reg) address, options(pure, nomem, nostack, preserves_flags));
        }
        std::ptr::with_exposed_provenance(address)
    }
    #[cfg(not(target_arch = "x86_64"))]
    p
}

/// Keeps the loads that follow it behind it: all at once they take more registers than there are.
#[inline(always)]
pub fn in_order() {
    #[cfg(target_arch = "x86_64")]
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
    #[cfg(not(target_arch = "x86_64"))]
    let _ = p;
}
