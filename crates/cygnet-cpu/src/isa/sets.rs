//! The tables of instruction sets: what a row becomes.

#[cfg(target_arch = "aarch64")]
pub(super) use std::arch::is_aarch64_feature_detected as detected;
#[cfg(target_arch = "x86_64")]
pub(super) use std::arch::is_x86_feature_detected as detected;

/// Whether the CPU has a feature: elsewhere, whether the program is compiled for it.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
#[allow(unused_macros, reason = "of no use where the only set needs no features")]
macro_rules! detected {
    ($feature:tt) => {
        cfg!(target_feature = $feature)
    };
}
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
#[allow(unused_imports, reason = "as above")]
pub(super) use detected;

/// What there is to know of a set, and its numbers.
pub(super) struct Row<Numbers> {
    pub(super) name: &'static str,
    pub(super) features: &'static [&'static str],
    pub(super) is_supported: fn() -> bool,
    pub(super) numbers: Numbers,
}

/// Calls a kernel's body compiled with features. Without any it is compiled once for all callers, as it is with them.
macro_rules! enter {
    ($Kernel:ident, $kernel:ident, $name:ident::$Set:ident, []) => {{
        #[inline(never)]
        unsafe fn $name<K: $Kernel>(kernel: K) {
            // SAFETY: the kernel's conditions are the caller's promise.
            unsafe { kernel.run::<$name::$Set>() }
        }
        $name($kernel)
    }};
    ($Kernel:ident, $kernel:ident, $name:ident::$Set:ident, [$($feature:tt)+]) => {{
        #[target_feature($(enable = $feature),+)]
        unsafe fn $name<K: $Kernel>(kernel: K) {
            // SAFETY: the kernel's conditions are the caller's promise.
            unsafe { kernel.run::<$name::$Set>() }
        }
        $name($kernel)
    }};
}
pub(super) use enter;

/// A table of sets, the best of an architecture first. A row says which file and type implement the set, which features
/// it needs and, if not all programs have it, which do; the file's name is the set's.
macro_rules! sets {
    (
        $(#[$about:meta])+ $Level:ident of $Kernel:ident, $Numbers:ident;
        $($(#[$doc:meta])+ $name:ident::$Set:ident [$($feature:tt)*] $(if $there:meta)?;)+
    ) => {
        $(#[$about])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $Level {
            $($(#[$doc])+ $(#[cfg($there)])? $Set,)+
        }

        impl $Level {
            /// All sets of this program's architecture, the best first.
            pub const ALL: &[$Level] = &[$($(#[cfg($there)])? $Level::$Set,)+];

            #[inline]
            fn row(self) -> &'static Row<$Numbers> {
                match self {
                    $($(#[cfg($there)])? $Level::$Set => const {
                        &Row {
                            name: stringify!($name),
                            features: &[$($feature),*],
                            is_supported: || true $(&& detected!($feature))*,
                            numbers: $Numbers::of::<$name::$Set>(),
                        }
                    },)+
                }
            }

            /// Runs a kernel with this set's instructions.
            ///
            /// # Safety
            #[doc = concat!("The CPU must have the set ([`", stringify!($Level), "::is_supported`]), and the kernel's own")]
            /// conditions must hold.
            #[inline]
            pub unsafe fn run<K: $Kernel>(self, kernel: K) {
                // SAFETY: the caller promises that the CPU has the set, and the kernel's own conditions.
                unsafe {
                    match self {
                        $($(#[cfg($there)])?
                        $Level::$Set => enter!($Kernel, kernel, $name::$Set, [$($feature)*]),)+
                    }
                }
            }

            /// Its name in `CYGNET_ISA` and in tables.
            #[must_use]
            pub fn name(self) -> &'static str {
                self.row().name
            }

            /// The features that its instructions need.
            #[must_use]
            pub fn features(self) -> &'static [&'static str] {
                self.row().features
            }

            /// Whether this CPU has it.
            #[must_use]
            pub fn is_supported(self) -> bool {
                (self.row().is_supported)()
            }

            /// The best set that this CPU has.
            #[must_use]
            pub fn best() -> $Level {
                *$Level::ALL.iter().find(|level| level.is_supported()).unwrap_or(&$Level::Scalar)
            }

            /// Whether it needs none but these features.
            pub(in crate::isa) fn is_of(self, features: &[&str]) -> bool {
                self.features().iter().all(|feature| features.contains(feature))
            }

            /// The best set that this CPU has and that needs none but these features.
            #[must_use]
            pub fn best_of(features: &[&str]) -> $Level {
                let is_within = |level: &&$Level| level.is_supported() && level.is_of(features);
                *$Level::ALL.iter().find(is_within).unwrap_or(&$Level::Scalar)
            }

            /// The sets that this CPU has and whose features are among those of the set that `CYGNET_ISA` names, if it does; the
            /// best first.
            ///
            /// # Errors
            /// The reason, if the variable names no set of this architecture.
            pub fn allowed() -> Result<Vec<$Level>, String> {
                let cap = $crate::isa::cap()?;
                let is_allowed = |level: &$Level| level.is_supported() && cap.is_none_or(|cap| level.is_of(cap));
                Ok($Level::ALL.iter().copied().filter(is_allowed).collect())
            }

            /// The best of those that are [allowed](Self::allowed).
            ///
            /// # Errors
            /// As that says.
            pub fn chosen() -> Result<$Level, String> {
                Ok($Level::allowed()?.first().copied().unwrap_or($Level::Scalar))
            }
        }
    };
}
pub(super) use sets;
