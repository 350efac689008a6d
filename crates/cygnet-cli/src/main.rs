//! The binary `cygnet`, which is all in `cygnet-commands`. The whole program is linked as this package's profile says, so
//! this one is built for speed and that one for size.

use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the process began without a standard output. Before `main` the standard library opens `/dev/null` in its place,
/// which would take all results and keep none.
static IS_CLOSED: AtomicBool = AtomicBool::new(false);

#[cfg(target_os = "linux")]
#[allow(
    unsafe_code,
    reason = "the loader calls what this section lists, in the manner that it is declared in"
)]
#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = look;

/// Looks what the process began with, where the system tells.
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "nothing calls it"))]
extern "C" fn look() {
    let files = Path::new("/proc/self/fd");
    let is_closed = files.is_dir() && files.join("1").symlink_metadata().is_err();
    IS_CLOSED.store(is_closed, Ordering::Relaxed);
}

fn main() -> ExitCode {
    cygnet_commands::main(option_env!("CYGNET_COMMIT"), IS_CLOSED.load(Ordering::Relaxed))
}
