//! What is done with bytes of unknown origin: one function for each reader of files, and one that makes networks of
//! bytes and runs them. `fuzz/` looks for bytes by which they fail; the tests replay the bytes that it kept.
//!
//! A target fails by a panic, by memory or by time. It returns whether the bytes were what its reader takes. The binaries
//! of `fuzz/` name their functions, so that each has the code of its reader alone: what fuzzing does between two runs
//! takes time by the size of the program.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a target fails by panicking")]

mod files;
mod graphs;
#[cfg(feature = "networks")]
mod networks;

pub use files::{archive, checkpoint, idx, picture, safetensors, table};
pub use graphs::{gene, graph_json, ncnn, onnx, tflite};
#[cfg(feature = "networks")]
pub use networks::{golden, latency, model_file, network, recipe, state};

/// A function of bytes, and the folder of bytes that is kept for it.
pub struct Target {
    /// The name of the folder in `fuzz/corpus`.
    pub name: &'static str,
    /// Says whether the bytes were what it reads.
    pub run: fn(&[u8]) -> bool,
}

/// Every target.
pub const TARGETS: &[Target] = &[
    Target { name: "safetensors", run: safetensors },
    Target { name: "pth", run: checkpoint },
    Target { name: "pkl", run: checkpoint },
    Target { name: "deep_compression", run: checkpoint },
    Target { name: "pictures", run: picture },
    Target { name: "idx", run: idx },
    Target { name: "table", run: table },
    Target { name: "archive", run: archive },
    Target { name: "graph_json", run: graph_json },
    Target { name: "gene", run: gene },
    Target { name: "onnx", run: onnx },
    Target { name: "tflite", run: tflite },
    Target { name: "ncnn", run: ncnn },
    #[cfg(feature = "networks")]
    Target { name: "model_file", run: networks::whole_model_file },
    #[cfg(feature = "networks")]
    Target { name: "recipe", run: recipe },
    #[cfg(feature = "networks")]
    Target { name: "state", run: state },
    #[cfg(feature = "networks")]
    Target { name: "golden", run: golden },
    #[cfg(feature = "networks")]
    Target { name: "latency", run: latency },
    #[cfg(feature = "networks")]
    Target { name: "networks", run: network },
];
