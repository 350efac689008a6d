//! What tests of several crates share.
#![allow(clippy::print_stdout, reason = "a skipped test says so")]

pub mod arithmetic;

use std::path::{Path, PathBuf};

/// A file of the folder with reference data that `CYGNET_SHARED` names, seen from the workspace's root. Without it
/// the test says that it is skipped and gets none; with it a missing file fails the test.
///
/// # Panics
/// If the variable is set but the file does not exist.
#[must_use]
pub fn shared(name: &str) -> Option<PathBuf> {
    let Some(folder) = std::env::var_os("CYGNET_SHARED") else {
        println!("skipped: CYGNET_SHARED is not set");
        return None;
    };
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(folder).join(name);
    assert!(path.exists(), "CYGNET_SHARED is set, but {} does not exist", path.display());
    Some(path)
}
