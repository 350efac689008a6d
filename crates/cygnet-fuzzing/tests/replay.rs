//! What fuzzing kept is read again, and so are the seeds that our own writers make.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use cygnet_fuzzing::TARGETS;

/// The most bytes of all kept files together.
const MOST: u64 = 1 << 20;

fn corpus(name: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(name);
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn what_fuzzing_kept_is_read_without_a_panic_and_each_target_has_what_it_takes() {
    for target in TARGETS {
        let files = corpus(target.name);
        let taken = files.iter().filter(|file| {
            let bytes = fs::read(file).unwrap();
            let taken = std::panic::catch_unwind(|| (target.run)(&bytes));
            taken.unwrap_or_else(|_| panic!("{} fails by {}", target.name, file.display()))
        });
        let taken = taken.count();
        println!("{}: {} files, {taken} taken", target.name, files.len());
        assert!(taken > 0, "{} takes none of {} files", target.name, files.len());
    }
}

#[test]
fn the_kept_files_are_small() {
    let sizes =
        TARGETS.iter().flat_map(|target| corpus(target.name)).map(|file| file.metadata().unwrap().len());
    let all: u64 = sizes.sum();
    assert!(all <= MOST, "{all} bytes");
}

/// `CYGNET_CASES` networks, or a few: those from `CYGNET_FIRST_CASE` on.
#[test]
fn networks_of_random_bytes_compute_what_they_mean() {
    let number =
        |name: &str, usual: u64| std::env::var(name).ok().map_or(usual, |text| text.parse().unwrap());
    let first = number("CYGNET_FIRST_CASE", 0);
    for case in first..first + number("CYGNET_CASES", 100) {
        let mut state = case.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut byte = || {
            // Steele, Lea and Flood's SplitMix64.
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            ((mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 56) as u8
        };
        let count = 12 + usize::from(byte());
        let bytes: Vec<u8> = (0..count).map(|_| byte()).collect();
        let run = std::panic::catch_unwind(|| cygnet_fuzzing::network(&bytes));
        assert!(run.is_ok(), "case {case} fails: {bytes:?}");
    }
}
