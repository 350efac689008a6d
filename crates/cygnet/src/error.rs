//! What can go wrong between a name or a file and an answer.

use std::path::PathBuf;

use cygnet_graph::BuildError;
use cygnet_hub::FetchError;
use cygnet_image::ImageError;
use cygnet_runtime::RunError;
use cygnet_weights::{Mismatch, WeightsError};
use cygnet_zoo::gene::GeneError;
use thiserror::Error;

/// Why a model could not be loaded, written or run.
#[derive(Debug, Error)]
pub enum Error {
    /// No network has that name.
    #[error("no network is called {name}{}; `cygnet list` shows all names", nearest(near))]
    UnknownNetwork {
        /// What was asked for.
        name: String,
        /// The nearest names.
        near: Vec<String>,
    },
    /// A text that begins as a gene is none.
    #[error("{}: {source}", short(text))]
    Gene {
        /// The text.
        text: String,
        /// What is wrong with it.
        source: GeneError,
    },
    /// The network is known, but not these weights of it.
    #[error("{id} has no weights called {tag}; {}", tags_of(tags))]
    UnknownTag {
        /// The network's id, or the name that it was called by.
        id: String,
        /// What was asked for.
        tag: String,
        /// The tags there are.
        tags: Vec<&'static str>,
    },
    /// The network is known, but nobody published weights for it that Cygnet knows of.
    #[error(
        "{id} has no published weights{}; convert a checkpoint of yours with `cygnet convert FILE OUT --network {id}`",
        of_others(others)
    )]
    NoWeights {
        /// The network's id, or the name that it was called by.
        id: String,
        /// Weights of the same network that other sources published.
        others: Vec<String>,
    },
    /// The network could not be quantised.
    #[cfg(feature = "train")]
    #[error(transparent)]
    Quantize(#[from] cygnet_quantize::QuantizeError),
    /// The network could not be pruned.
    #[cfg(feature = "train")]
    #[error(transparent)]
    Prune(#[from] cygnet_prune::PruneError),
    /// No known network has these tensors.
    #[error("{}: the tensors fit no known network; {}", path.display(), candidates(path, nearest))]
    Unrecognised {
        /// The file.
        path: PathBuf,
        /// The networks that have the most in common with it, by id, and what differs.
        nearest: Vec<(String, Mismatch)>,
    },
    /// Several networks have these tensors.
    #[error("{}: the tensors fit {}; say which:{}", path.display(), ids.join(", "), choices(path, ids))]
    Ambiguous {
        /// The file.
        path: PathBuf,
        /// The networks.
        ids: Vec<String>,
    },
    /// The tensors do not fit the network.
    #[error("{}: {source}{}", path.display(), if is_only_more(source) { IGNORE } else { "" })]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        source: Box<Mismatch>,
    },
    /// The file that brings its graph, an ONNX, TFLite or ncnn file, does not become a model.
    #[error("{}: {source}", path.display())]
    Onnx {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: Box<cygnet_onnx::ImportError>,
    },
    /// The model file's parts do not belong together.
    #[error("{}: {reason}", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A folder of an evaluation is no class of the model.
    #[error("{}: {folder} {reason}", path.display())]
    UnknownClass {
        /// The evaluated folder.
        path: PathBuf,
        /// The class folder.
        folder: String,
        /// Why not, and what to do.
        reason: String,
    },
    /// A photo cannot be read.
    #[error("{}: cannot read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file cannot be written; what had its name is as it was.
    #[error("{}: cannot write: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The bytes of a photo cannot be read.
    #[error("cannot read: {0}")]
    Input(#[source] std::io::Error),
    /// What is wrong with a photo, and its file.
    #[error("{}: {source}", path.display())]
    InFile {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: Box<Error>,
    },
    /// The network's output is no number.
    #[error("the output of {id} is not finite; its weights are damaged or not those of this network")]
    NotFinite {
        /// The model's network.
        id: String,
    },
    /// The network cannot be built with these settings.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The network cannot be run.
    #[error(transparent)]
    Run(#[from] RunError),
    /// An image or folder cannot be read.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A file of tensors cannot be read or written.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// A network cannot be trained.
    #[cfg(feature = "train")]
    #[error(transparent)]
    Train(#[from] cygnet_train::TrainError),
    /// Training was to start from published weights that cannot be had.
    #[error("{reason}; give --from scratch to start from random weights, or --from FILE")]
    NoStart {
        /// Why not.
        reason: String,
    },
    /// Published weights cannot be fetched.
    #[error(transparent)]
    Fetch(#[from] FetchError),
}

impl Error {
    pub(crate) fn in_file(self, path: &std::path::Path) -> Error {
        Error::InFile { path: path.into(), source: Box::new(self) }
    }
}

/// What to do about tensors that a network has no place for.
const IGNORE: &str = "\n`cygnet convert` leaves tensors out with --ignore NAME";

/// Whether a checkpoint has all tensors of a network, and more.
fn is_only_more(mismatch: &Mismatch) -> bool {
    mismatch.missing.is_empty() && mismatch.misshapen.is_empty()
}

/// The nearest networks, what differs, and how to learn all of it.
fn candidates(path: &std::path::Path, nearest: &[(String, Mismatch)]) -> String {
    let id = nearest.first().map_or("ID", |(id, _)| id);
    let command = format!("cygnet convert {} MODEL.safetensors --network {id}", path.display());
    if nearest.is_empty() {
        return format!("`{command}` tells what differs");
    }
    let line = |(id, mismatch): &(String, Mismatch)| {
        let Mismatch { missing, unexpected, misshapen, .. } = mismatch;
        let misshapen: Vec<String> = misshapen
            .iter()
            .map(|(name, given, wanted)| format!("{name}: {given:?}, needs {wanted:?}"))
            .collect();
        let kinds = [("missing", missing), ("unexpected", unexpected), ("misshapen", &misshapen)];
        let told = kinds.iter().filter_map(|(what, names)| {
            let (first, more) = (names.first()?, if names.len() > 1 { ", …" } else { "" });
            Some(format!("{} {what} ({first}{more})", names.len()))
        });
        format!("\n  {id}: {}", told.collect::<Vec<_>>().join(", "))
    };
    let lines: String = nearest.iter().map(line).collect();
    let ignore = if nearest.iter().any(|(_, mismatch)| is_only_more(mismatch)) { IGNORE } else { "" };
    format!("nearest are{lines}\nall that differs is told by: {command}{ignore}")
}

fn choices(path: &std::path::Path, ids: &[String]) -> String {
    let command = |id| format!("\n  cygnet convert {} MODEL.safetensors --network {id}", path.display());
    ids.iter().map(command).collect()
}

fn tags_of(tags: &[&str]) -> String {
    if tags.is_empty() { "none are published".into() } else { format!("there are {}", tags.join(", ")) }
}

fn of_others(others: &[String]) -> String {
    if others.is_empty() {
        String::new()
    } else {
        format!(" of its source; others have {}", others.join(", "))
    }
}

/// The beginning of a long text.
fn short(text: &str) -> String {
    const SHOWN: usize = 40;
    if text.chars().count() <= SHOWN {
        text.into()
    } else {
        text.chars().take(SHOWN).chain(['…']).collect()
    }
}

fn nearest(names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!(" (did you mean {}?)", names.join(" or ")) }
}
