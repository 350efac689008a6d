//! What a program is told that was compiled without optimisation.

use std::sync::Once;

use cygnet_runtime::OPTIMISED;

/// Says on standard error, once a process, how to make a debug build fast. Silent wherever kernels are optimised.
pub(crate) fn advise() {
    static SAID: Once = Once::new();
    if !OPTIMISED {
        SAID.call_once(|| {
            eprintln!(
                "cygnet is compiled without optimisation and many times slower; add to your Cargo.toml:\n\
                 [profile.dev.package.cygnet-kernels]\nopt-level = 3"
            );
        });
    }
}
