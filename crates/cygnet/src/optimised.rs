//! What a program is told that was compiled without optimisation.

use std::sync::Once;

/// The crate that computes what a network answers, and whether it is optimised.
const INFERENCE: (&str, bool) = ("cygnet-kernels", cygnet_runtime::OPTIMISED);

/// The crate that computes training steps, and whether it is optimised.
#[cfg(feature = "train")]
const TRAINING: (&str, bool) = ("cygnet-gradient", cygnet_train::OPTIMISED);

/// Says on standard error, once a process, how to make a debug build fast. Silent wherever arithmetic is optimised.
pub(crate) fn advise() {
    say(&[INFERENCE]);
}

/// As [`advise`], for a program that trains.
#[cfg(feature = "train")]
pub(crate) fn advise_training() {
    say(&[INFERENCE, TRAINING]);
}

fn say(crates: &[(&str, bool)]) {
    static SAID: Once = Once::new();
    let slow = crates.iter().filter(|(_, is_optimised)| !is_optimised);
    let lines: String =
        slow.map(|(name, _)| format!("\n[profile.dev.package.{name}]\nopt-level = 3")).collect();
    if !lines.is_empty() {
        SAID.call_once(|| {
            eprintln!(
                "cygnet is compiled without optimisation and many times slower; add to your Cargo.toml:{lines}"
            );
        });
    }
}
