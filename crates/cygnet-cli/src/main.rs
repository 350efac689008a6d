//! The binary `cygnet`, which is all in `cygnet-commands`. The whole program is linked as this package's profile says, so
//! this one is built for speed and that one for size.

use std::process::ExitCode;

fn main() -> ExitCode {
    cygnet_commands::main(option_env!("CYGNET_COMMIT"))
}
