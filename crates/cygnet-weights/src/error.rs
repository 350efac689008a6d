//! Everything that can go wrong with a file of tensors. Readers of bytes name the tensor or the position;
//! functions that take a path wrap that in [`WeightsError::InFile`].

use std::{io, path::PathBuf};

use cygnet_files::Size;

/// Why a file of tensors could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WeightsError {
    /// The file in which the rest happened.
    #[error("{}: {source}", path.display())]
    InFile {
        /// The file.
        path: PathBuf,
        /// What happened in it.
        source: Box<WeightsError>,
    },
    /// The file could not be read.
    #[error("cannot read: {0}")]
    Read(#[source] io::Error),
    /// The file could not be written; the target is as it was.
    #[error("cannot write {}: {source}", Size(*bytes))]
    Write {
        /// Size of the whole file.
        bytes: u64,
        /// The system's reason.
        source: io::Error,
    },
    /// Neither safetensors nor PyTorch nor a pickle.
    #[error(
        "{looks_like}; cygnet reads .safetensors, .pth, .pt, .bin and .ckpt (PyTorch), .pkl, .net (Deep Compression), \
         .onnx, .tflite and .param (ncnn) files"
    )]
    UnknownFormat {
        /// What the first bytes look like.
        looks_like: &'static str,
    },
    /// The safetensors header does not fit in the file.
    #[error("the header claims {header} bytes but the file has {file}; the file is damaged or cut off")]
    HeaderLength {
        /// Length claimed by the first eight bytes.
        header: u64,
        /// Length of the file.
        file: u64,
    },
    /// The safetensors header is not valid.
    #[error("damaged safetensors header: {0}")]
    Header(#[source] serde_json::Error),
    /// The header describes more or fewer bytes than there are.
    #[error("the tensors take {described} bytes but the file has {present}; download or copy it again")]
    DataLength {
        /// Bytes described by the header.
        described: u64,
        /// Bytes after the header.
        present: u64,
    },
    /// An element type Cygnet has no use for.
    #[error("{tensor}: element type {dtype} is not supported")]
    UnsupportedDtype {
        /// The tensor.
        tensor: String,
        /// The type's name in the file.
        dtype: String,
    },
    /// Shape and data do not belong together.
    #[error("a tensor of shape {shape:?} and type {dtype} does not fit {bytes} bytes")]
    ShapeMismatch {
        /// Shape asked for.
        shape: Vec<usize>,
        /// Element type asked for.
        dtype: crate::Dtype,
        /// Bytes given.
        bytes: usize,
    },
    /// A tensor reaches outside its storage, or is more than its storage holds.
    #[error("{tensor}: {reason}")]
    BadView {
        /// The tensor.
        tensor: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The pickle asks for a Python function or class that is not part of tensor data.
    #[error(
        "refuses to load {global}: this file wants to run code, and cygnet only reads tensors; if you trust \
         it, load it in Python and save model.state_dict()"
    )]
    RefusedGlobal {
        /// `module.name`.
        global: String,
    },
    /// The pickle is a whole PyTorch module.
    #[error(
        "refuses to load {global}: the file is a whole pickled module, which only Python can run; save \
         model.state_dict() instead"
    )]
    WholeModule {
        /// `module.name`.
        global: String,
    },
    /// A pickle instruction that runs code or that tensor files never use.
    #[error("refuses the pickle instruction {opcode} at byte {position}: this file wants to run code")]
    RefusedOpcode {
        /// Its name in Python's `pickletools`.
        opcode: &'static str,
        /// Where in the pickle.
        position: usize,
    },
    /// The pickle makes no sense.
    #[error("damaged pickle at byte {position}: {reason}")]
    Pickle {
        /// Where in the pickle.
        position: usize,
        /// What is wrong.
        reason: &'static str,
    },
    /// The file ends early.
    #[error("the file is cut off: {what} needs {needed} bytes, {left} are left; download or copy it again")]
    Truncated {
        /// What was being read.
        what: &'static str,
        /// Bytes it needs.
        needed: u64,
        /// Bytes there are.
        left: u64,
    },
    /// The object in the pickle cannot be walked.
    #[error("{key}: {reason}")]
    Structure {
        /// Path of the value.
        key: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// No tensor was found.
    #[error("holds no tensors (found: {found}); save model.state_dict()")]
    NoTensors {
        /// What there is instead.
        found: String,
    },
    /// Tensors were to be taken from under a key that holds none.
    #[error("holds no tensors under {key}; {}", keys(known))]
    UnknownKey {
        /// What was asked for.
        key: String,
        /// Keys that hold some.
        known: Vec<String>,
    },
    /// The zip archive has no end.
    #[error(
        "the file is cut off or damaged: the directory that ends a PyTorch archive is missing; download or copy \
         it again"
    )]
    NoDirectory,
    /// The zip archive is damaged.
    #[error("damaged archive: {entry}: {source}")]
    Zip {
        /// The entry.
        entry: String,
        /// The reason.
        source: zip::result::ZipError,
    },
    /// The archive is a zip, but not one written by `torch.save`.
    #[error("not a PyTorch archive: {reason}")]
    Archive {
        /// What is wrong.
        reason: &'static str,
    },
    /// An entry's size is not that of its tensors.
    #[error("{entry}: has {found} bytes, its tensors need {needed}")]
    EntrySize {
        /// The entry.
        entry: String,
        /// Bytes declared by the archive.
        found: u64,
        /// Bytes needed.
        needed: u64,
    },
    /// A JSON document is not valid.
    #[error("damaged JSON: {0}")]
    Json(#[source] serde_json::Error),
    /// A file does not tell the names of classes.
    #[error("{reason}; give one name a line, or a JSON list of names, or a JSON object of names and indices")]
    ClassNames {
        /// What is wrong.
        reason: &'static str,
    },
    /// The file is one of several that together hold the tensors.
    #[error("is part {part} of {parts}; give {index}, which names all parts")]
    Shard {
        /// Its number.
        part: u32,
        /// How many there are.
        parts: u32,
        /// Name of the index beside it.
        index: String,
    },
    /// An index of files that together hold the tensors is not right.
    #[error("the index of a checkpoint in parts: {reason}")]
    Index {
        /// What is wrong.
        reason: String,
    },
    /// A size beyond what an honest file has.
    #[error("{what}: {size} bytes are over the limit of {limit}; refused as a decompression bomb")]
    TooLarge {
        /// What is too large.
        what: String,
        /// Its size.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// The file has tensors but is not a Cygnet model.
    #[error("not a cygnet model: the metadata has no `cygnet` entry (a bare checkpoint?)")]
    NotAModel,
    /// The model's record is not valid.
    #[error("damaged model record: {0}")]
    Record(#[source] serde_json::Error),
    /// The model was written by a newer Cygnet.
    #[error("model format {found} is not known (this cygnet reads formats up to {known}); update cygnet")]
    ModelFormat {
        /// Format in the file.
        found: u32,
        /// Format of this version.
        known: u32,
    },
    /// The file is too short or too long for what its format fixes.
    #[error("damaged compressed network: {reason}")]
    Compressed {
        /// What is wrong.
        reason: &'static str,
    },
}

fn keys(known: &[String]) -> String {
    if known.is_empty() {
        "there are no keys to choose from".into()
    } else {
        format!("there are {}", known.join(", "))
    }
}

impl WeightsError {
    pub(crate) fn in_file(self, path: impl Into<PathBuf>) -> WeightsError {
        WeightsError::InFile { path: path.into(), source: Box::new(self) }
    }
}
