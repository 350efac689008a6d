//! Instruction sets: what a kernel needs of one ([`Isa`]), which one is used ([`Level`]), and the way in ([`Level::run`]).
//!
//! A kernel is a struct that implements [`Kernel`] once, generic over [`Isa`]; [`Level::run`] compiles its body for each
//! set. A new set is a file that implements [`Isa`]'s parts and a row of the table of sets. Kernels over bytes have traits
//! and a table of their own ([`Bytes`], [`ByteKernel`], [`ByteLevel`]): what is fast for them asks for other features.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod bytes;
mod floats;
mod hints;
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(all(target_arch = "wasm32", target_feature = "relaxed-simd"))]
mod relaxed;
mod scalar;
mod sets;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod simd128;

use std::str::FromStr;

pub use bytes::{ByteKernel, ByteLevel, Bytes, packed};
pub use floats::Floats;
pub use hints::{in_order, opaque, prefetch};
#[allow(unused_imports, reason = "of no use where the only set needs no features")]
use sets::detected;
use sets::{Row, enter, sets};

/// All that a kernel may ask of an instruction set: vectors of f32.
pub trait Isa: Floats {}

impl<Set: Floats> Isa for Set {}

/// Work that is compiled for every instruction set.
pub trait Kernel {
    /// # Safety
    /// As the implementing kernel says; must be marked `#[inline(always)]`, so that it is compiled with the set's
    /// instructions.
    unsafe fn run<I: Isa>(self);
}

sets! {
    /// An instruction set that kernels are compiled for.
    Level of Kernel, Numbers;
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

/// The features of the set that `CYGNET_ISA` names, if it does.
///
/// # Errors
/// The reason, if the variable names no set of this architecture.
fn cap() -> Result<Option<&'static [&'static str]>, String> {
    match std::env::var_os("CYGNET_ISA") {
        Some(name) if !name.is_empty() => Ok(Some(name.to_string_lossy().parse::<Cap>()?.features)),
        _ => Ok(None),
    }
}

/// The best that may be used: a set for floats or for bytes, by its name, and what needs no more features than that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cap {
    name: &'static str,
    features: &'static [&'static str],
}

impl Cap {
    /// All that there are, those for floats first, the best of each first. A name that is one of both stands for the set for
    /// floats.
    #[must_use]
    pub fn all() -> Vec<Cap> {
        let floats = Level::ALL.iter().map(|level| Cap { name: level.name(), features: level.features() });
        let bytes = ByteLevel::ALL.iter().map(|level| Cap { name: level.name(), features: level.features() });
        let mut all: Vec<Cap> = floats.collect();
        for cap in bytes {
            if all.iter().all(|known| known.name != cap.name) {
                all.push(cap);
            }
        }
        all
    }

    /// The set's name, as `CYGNET_ISA` has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.name
    }

    /// The best sets for floats and for bytes that this CPU has within this one and that of `CYGNET_ISA`.
    ///
    /// # Errors
    /// If the variable names no set of this architecture.
    pub fn chosen(self) -> Result<(Level, ByteLevel), String> {
        let floats = Level::allowed()?.into_iter().find(|level| level.is_of(self.features));
        let bytes = ByteLevel::allowed()?.into_iter().find(|level| level.is_of(self.features));
        Ok((floats.unwrap_or(Level::Scalar), bytes.unwrap_or(ByteLevel::Scalar)))
    }
}

impl FromStr for Cap {
    type Err = String;

    fn from_str(name: &str) -> Result<Cap, String> {
        Cap::all().into_iter().find(|cap| cap.name == name).ok_or_else(|| {
            let known = Cap::all().iter().map(|cap| cap.name).collect::<Vec<_>>().join(", ");
            format!("{name} is no instruction set of this architecture; there are {known}")
        })
    }
}

/// What there is to know of a set's vectors.
struct Numbers {
    lanes: usize,
    least_lanes: usize,
    tile: [usize; 4],
    inputs: usize,
}

impl Numbers {
    const fn of<I: Isa>() -> Numbers {
        Numbers { lanes: I::LANES, least_lanes: I::Half::LANES, tile: I::TILE, inputs: I::INPUTS }
    }
}

impl Level {
    /// Whether every CPU that has `cap` has it too.
    #[must_use]
    pub fn is_within(self, cap: Level) -> bool {
        self.is_of(cap.features())
    }

    /// f32 lanes of a vector.
    #[inline]
    #[must_use]
    pub fn lanes(self) -> usize {
        self.row().numbers.lanes
    }

    /// Lanes of the smallest vector that is worth using.
    #[inline]
    #[must_use]
    pub fn least_lanes(self) -> usize {
        self.row().numbers.least_lanes
    }

    /// Largest number of pixels in a convolution's tile of 1, 2, 3 and 4 vectors of output channels.
    #[inline]
    #[must_use]
    pub fn tile(self) -> [usize; 4] {
        self.row().numbers.tile
    }

    /// Inputs that a tile loads together.
    #[inline]
    #[must_use]
    pub fn inputs(self) -> usize {
        self.row().numbers.inputs
    }
}

#[cfg(test)]
mod tests;
