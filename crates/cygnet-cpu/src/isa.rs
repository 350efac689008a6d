//! Instruction sets: what a kernel needs of one ([`Isa`]), which one is used ([`Level`]), and the way in ([`Level::run`]).
//!
//! A kernel is a struct that implements [`Kernel`] once, generic over [`Isa`]; [`Level::run`] compiles its body for each
//! set. A new set is a file that implements [`Isa`]'s parts and a row of the table of sets.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod floats;
mod hints;
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(all(target_arch = "wasm32", target_feature = "relaxed-simd"))]
mod relaxed;
mod scalar;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod simd128;

use std::str::FromStr;

pub use floats::Floats;
pub use hints::{in_order, opaque, prefetch};

/// All that a kernel may ask of an instruction set: vectors of f32, beside which those of other numbers can stand.
pub trait Isa: Floats {}

impl<Set: Floats> Isa for Set {}

/// Work that is compiled for every instruction set.
pub trait Kernel {
    /// # Safety
    /// As the implementing kernel says; must be marked `#[inline(always)]`, so that it is compiled with the set's
    /// instructions.
    unsafe fn run<I: Isa>(self);
}

#[cfg(target_arch = "aarch64")]
use std::arch::is_aarch64_feature_detected as detected;
#[cfg(target_arch = "x86_64")]
use std::arch::is_x86_feature_detected as detected;

/// Whether the CPU has a feature: elsewhere, whether the program is compiled for it.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
#[allow(unused_macros, reason = "of no use where the only set needs no features")]
macro_rules! detected {
    ($feature:tt) => {
        cfg!(target_feature = $feature)
    };
}

/// Calls a kernel's body compiled with features. Without any it is compiled once for all callers, as it is with them.
macro_rules! enter {
    ($kernel:ident, $name:ident::$Set:ident, []) => {{
        #[inline(never)]
        unsafe fn $name<K: Kernel>(kernel: K) {
            // SAFETY: the kernel's conditions are the caller's promise.
            unsafe { kernel.run::<$name::$Set>() }
        }
        $name($kernel)
    }};
    ($kernel:ident, $name:ident::$Set:ident, [$($feature:tt)+]) => {{
        #[target_feature($(enable = $feature),+)]
        unsafe fn $name<K: Kernel>(kernel: K) {
            // SAFETY: the kernel's conditions are the caller's promise.
            unsafe { kernel.run::<$name::$Set>() }
        }
        $name($kernel)
    }};
}

/// The table of sets, the best of an architecture first. A row says which file and type implement the set, which
/// features it needs and, if not all programs have it, which do; the file's name is the set's.
macro_rules! sets {
    ($($(#[$doc:meta])+ $name:ident::$Set:ident [$($feature:tt)*] $(if $there:meta)?;)+) => {
        /// An instruction set that kernels are compiled for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Level {
            $($(#[$doc])+ $(#[cfg($there)])? $Set,)+
        }

        impl Level {
            /// All sets of this program's architecture, the best first.
            pub const ALL: &[Level] = &[$($(#[cfg($there)])? Level::$Set,)+];

            #[inline]
            fn row(self) -> &'static Row {
                match self {
                    $($(#[cfg($there)])? Level::$Set => const {
                        &Row {
                            name: stringify!($name),
                            features: &[$($feature),*],
                            is_supported: || true $(&& detected!($feature))*,
                            lanes: $name::$Set::LANES,
                            least_lanes: <$name::$Set as Floats>::Half::LANES,
                            tile: $name::$Set::TILE,
                            inputs: $name::$Set::INPUTS,
                        }
                    },)+
                }
            }

            /// Runs a kernel with this set's instructions.
            ///
            /// # Safety
            /// The CPU must have the set ([`Level::is_supported`]), and the kernel's own conditions must hold.
            #[inline]
            pub unsafe fn run<K: Kernel>(self, kernel: K) {
                // SAFETY: the caller promises that the CPU has the set, and the kernel's own conditions.
                unsafe {
                    match self {
                        $($(#[cfg($there)])?
                        Level::$Set => enter!(kernel, $name::$Set, [$($feature)*]),)+
                    }
                }
            }
        }
    };
}

sets! {
    /// AVX-512 F, VL, DQ and BW: 16 lanes, 32 registers, masks.
    avx512::Avx512 ["avx512f" "avx512vl" "avx512dq" "avx512bw" "avx2" "fma"] if target_arch = "x86_64";
    /// AVX2 with FMA: 8 lanes, 16 registers.
    avx2::Avx2 ["avx2" "fma"] if target_arch = "x86_64";
    /// NEON: 4 lanes, 32 registers, factors by lane.
    neon::Neon ["neon"] if target_arch = "aarch64";
    /// WebAssembly's SIMD with its relaxed part, multiply-adds that round once where the CPU has them: 4 lanes.
    relaxed::Relaxed ["simd128" "relaxed-simd"] if all(target_arch = "wasm32", target_feature = "relaxed-simd");
    /// WebAssembly's SIMD: 4 lanes.
    simd128::Simd128 ["simd128"] if all(target_arch = "wasm32", target_feature = "simd128");
    /// Plain Rust, which the compiler turns into what every CPU of the architecture has.
    scalar::Scalar [];
}

/// What there is to know of a set.
struct Row {
    name: &'static str,
    features: &'static [&'static str],
    is_supported: fn() -> bool,
    lanes: usize,
    least_lanes: usize,
    tile: [usize; 4],
    inputs: usize,
}

impl Level {
    /// Whether this CPU has it.
    #[must_use]
    pub fn is_supported(self) -> bool {
        (self.row().is_supported)()
    }

    /// Whether every CPU that has `cap` has it too.
    #[must_use]
    pub fn is_within(self, cap: Level) -> bool {
        self.row().features.iter().all(|feature| cap.row().features.contains(feature))
    }

    /// The best set that this CPU has.
    #[must_use]
    pub fn best() -> Level {
        *Level::ALL.iter().find(|level| level.is_supported()).unwrap_or(&Level::Scalar)
    }

    /// The best set that this CPU has [within](Level::is_within) both.
    #[must_use]
    pub fn capped(self, cap: Level) -> Level {
        let is_within = |level: &&Level| level.is_within(self) && level.is_within(cap);
        *Level::ALL.iter().filter(is_within).find(|level| level.is_supported()).unwrap_or(&Level::Scalar)
    }

    /// The best set that this CPU has, [capped](Level::capped) by the one that `CYGNET_ISA` names, if it does.
    ///
    /// # Errors
    /// The reason, if the variable names no set of this architecture.
    pub fn chosen() -> Result<Level, String> {
        match std::env::var("CYGNET_ISA") {
            Ok(name) if !name.is_empty() => name.parse().map(|cap| Level::best().capped(cap)),
            _ => Ok(Level::best()),
        }
    }

    /// Its name in `CYGNET_ISA` and in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// f32 lanes of a vector.
    #[inline]
    #[must_use]
    pub fn lanes(self) -> usize {
        self.row().lanes
    }

    /// Lanes of the smallest vector that is worth using.
    #[inline]
    #[must_use]
    pub fn least_lanes(self) -> usize {
        self.row().least_lanes
    }

    /// Largest number of pixels in a convolution's tile of 1, 2, 3 and 4 vectors of output channels.
    #[inline]
    #[must_use]
    pub fn tile(self) -> [usize; 4] {
        self.row().tile
    }

    /// Inputs that a tile loads together.
    #[inline]
    #[must_use]
    pub fn inputs(self) -> usize {
        self.row().inputs
    }
}

impl FromStr for Level {
    type Err = String;

    fn from_str(name: &str) -> Result<Level, String> {
        Level::ALL.iter().find(|level| level.name() == name).copied().ok_or_else(|| {
            let known = Level::ALL.iter().map(|level| level.name()).collect::<Vec<_>>().join(", ");
            format!("{name} is no instruction set of this architecture; there are {known}")
        })
    }
}

#[cfg(test)]
mod tests;
