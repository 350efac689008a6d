//! Tells the program which commit it is built from, as `CYGNET_COMMIT`: what that variable says already, or what stands
//! in the package or in the files of git. Without any of these the program does not say.

use std::fs;
use std::path::Path;

fn main() {
    println!("cargo::rerun-if-env-changed=CYGNET_COMMIT");
    println!("cargo::rerun-if-changed=build.rs");
    let commit = std::env::var("CYGNET_COMMIT").ok().or_else(packaged).or_else(checked_out);
    if let Some(commit) =
        commit.filter(|commit| !commit.is_empty() && commit.chars().all(|c| c.is_ascii_alphanumeric()))
    {
        println!("cargo::rustc-env=CYGNET_COMMIT={}", &commit[..commit.len().min(10)]);
    }
}

/// The commit of a published package.
fn packaged() -> Option<String> {
    let record = fs::read_to_string(".cargo_vcs_info.json").ok()?;
    let (_, rest) = record.split_once("\"sha1\"")?;
    rest.split('"').nth(1).map(str::to_owned)
}

/// The commit that git has checked out. The program is built again when another one is.
fn checked_out() -> Option<String> {
    let git = Path::new("../../.git");
    let watched = |path: &Path| {
        let text = fs::read_to_string(path).ok();
        if text.is_some() {
            println!("cargo::rerun-if-changed={}", path.display());
        }
        text
    };
    let head = watched(&git.join("HEAD"))?;
    let Some(branch) = head.trim().strip_prefix("ref: ") else { return Some(head.trim().to_owned()) };
    if let Some(commit) = watched(&git.join(branch)) {
        return Some(commit.trim().to_owned());
    }
    // The log grows with each commit, also when a branch of its own file comes to be.
    watched(&git.join("logs/HEAD"));
    let packed = watched(&git.join("packed-refs"))?;
    packed.lines().find_map(|line| line.strip_suffix(branch)).map(|commit| commit.trim().to_owned())
}
