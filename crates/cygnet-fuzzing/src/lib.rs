//! What is done with bytes of unknown origin: one function for each reader of files, and one that makes networks of
//! bytes and runs them. `fuzz/` looks for bytes by which they fail; the tests replay the bytes that it kept.
//!
//! A target fails by a panic, by memory or by time. It returns whether the bytes were what its reader takes.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a target fails by panicking")]

mod files;
mod graphs;
#[cfg(feature = "networks")]
mod networks;

/// A function of bytes, and the folder of bytes that is kept for it.
pub struct Target {
    /// The name of the folder in `fuzz/corpus`.
    pub name: &'static str,
    /// Says whether the bytes were what it reads.
    pub run: fn(&[u8]) -> bool,
}

/// Every target.
pub const TARGETS: &[Target] = &[
    Target { name: "safetensors", run: files::safetensors },
    Target { name: "pth", run: files::checkpoint },
    Target { name: "pkl", run: files::checkpoint },
    Target { name: "deep_compression", run: files::checkpoint },
    Target { name: "pictures", run: files::picture },
    Target { name: "idx", run: files::idx },
    Target { name: "table", run: files::table },
    Target { name: "archive", run: files::archive },
    Target { name: "graph_json", run: graphs::graph_json },
    #[cfg(feature = "networks")]
    Target { name: "model_file", run: networks::model_file },
    #[cfg(feature = "networks")]
    Target { name: "recipe", run: networks::recipe },
    #[cfg(feature = "networks")]
    Target { name: "state", run: networks::state },
    #[cfg(feature = "networks")]
    Target { name: "golden", run: networks::golden },
    #[cfg(feature = "networks")]
    Target { name: "networks", run: networks::network },
];

/// Runs the target of a name.
///
/// # Panics
/// If there is none, or it fails.
pub fn run(name: &str, bytes: &[u8]) -> bool {
    let target = TARGETS.iter().find(|target| target.name == name);
    (target.unwrap_or_else(|| panic!("no target is called {name}")).run)(bytes)
}
