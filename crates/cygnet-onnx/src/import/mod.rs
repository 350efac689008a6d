//! From the bytes of a file to a graph with weights.

pub(crate) mod arrange;
pub(crate) mod call;
pub(crate) mod draft;
pub(crate) mod grids;
mod inputs;
pub(crate) mod view;
pub(crate) mod walk;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Cursor};
use std::path::{Path, PathBuf};

use cygnet_graph::{Graph, Limits};
use cygnet_weights::{Quantization, WeightSet};
use prost::Message;
use prost::bytes::Bytes;

pub use self::arrange::{ImportedInput, ImportedOutput};
use crate::ImportError;
use crate::external::External;
use crate::ncnn;
use crate::schema::ModelProto;

/// Largest file that is read: the form has no larger ones.
const MAX_BYTES: u64 = 1 << 31;
/// Largest text of layers that is read, which has a line for each.
const MAX_TEXT_BYTES: u64 = 64 << 20;
/// Oldest version of the file's form that is read.
const OLDEST_IR: i64 = 3;
/// Oldest and newest operator set that rules know.
const OPSETS: std::ops::RangeInclusive<i64> = 1..=26;

/// What a file leaves open.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The folder in which files with further numbers lie; without it none is read.
    pub folder: Option<PathBuf>,
    /// Height and width of the image, where the file leaves them open.
    pub image: Option<[usize; 2]>,
    /// Dimensions of the input in the file's order, with the batch, where the file leaves them open.
    pub shape: Vec<usize>,
    /// Inputs but the first that are known: names, and tensors in the form of the format.
    pub constants: Vec<(String, Vec<u8>)>,
    /// Whether a quantised file becomes a network of real numbers, bounded as its bytes are, instead of one of whole numbers.
    pub real_numbers: bool,
    /// How large the graph may be.
    pub limits: Limits,
}

/// A network of a file.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The network, for one image.
    pub graph: Graph,
    /// Its weights; integers where the record says so.
    pub weights: WeightSet,
    /// Which values and weights are integers, if the network computes with whole numbers.
    pub quantization: Option<Quantization>,
    /// What it reads.
    pub input: ImportedInput,
    /// What it returns, in the order of the graph's outputs.
    pub outputs: Vec<ImportedOutput>,
    /// Whether weights or values were quantised; without a record the graph computes with the numbers that they stand for.
    pub is_quantised: bool,
    /// Program and version that wrote the file.
    pub producer: String,
    /// Names and texts that came with it.
    pub metadata: BTreeMap<String, String>,
    /// What was decided that the file leaves open, a sentence each.
    pub notes: Vec<String>,
}

/// Whether bytes begin as an ONNX file does: with its version, followed by one of its other fields.
#[must_use]
pub fn is_onnx(bytes: &[u8]) -> bool {
    // A safetensors file begins with the length of its header, which is no such version.
    let is_safetensors = bytes.get(8) == Some(&b'{') && bytes[4..8] == [0; 4];
    // Field 1, a number; then a text, the graph or the operator sets.
    !is_safetensors && matches!(bytes, [0x08, 1..=0x7f, 0x12 | 0x1a | 0x22 | 0x28 | 0x32 | 0x3a | 0x42, ..])
}

/// Makes a graph of the ONNX file at `path`, whose further numbers may lie in other files of its folder.
///
/// # Errors
/// As [`import`]; if it cannot be read.
pub fn open(path: &Path, options: &Options) -> Result<Imported, ImportError> {
    let metadata = std::fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(std::io::Error::other("is not a file").into());
    }
    if metadata.len() > MAX_BYTES {
        return Err(std::io::Error::other("is larger than 2 GB, which no file of this form can be").into());
    }
    // What is no such file is not read to its end.
    let mut file = BufReader::new(File::open(path)?);
    let first = file.fill_buf()?;
    if ncnn::is_ncnn(first) {
        if metadata.len() > MAX_TEXT_BYTES {
            return Err(std::io::Error::other("is longer than any list of layers").into());
        }
        return open_ncnn(path, &std::fs::read(path)?, options);
    }
    if !crate::tflite::is_tflite(first) {
        crate::scan::scan(&mut file, metadata.len())?;
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = Some(folder.unwrap_or(Path::new(".")).to_owned());
    import(std::fs::read(path)?, &Options { folder, ..options.clone() })
}

/// Makes a graph of an ncnn .param file, whose numbers lie beside it.
fn open_ncnn(path: &Path, text: &[u8], options: &Options) -> Result<Imported, ImportError> {
    let beside = ncnn::numbers_of(path);
    let metadata = std::fs::metadata(&beside).ok().filter(|metadata| metadata.is_file());
    let Some(metadata) = metadata else {
        let name = beside.file_name().unwrap_or_default().to_string_lossy();
        return Err(ImportError::Unfit(format!(
            "the numbers of its layers are in {name}, which is not beside it"
        )));
    };
    if metadata.len() > MAX_BYTES {
        return Err(std::io::Error::other("its numbers take more than 2 GB").into());
    }
    ncnn::import_ncnn(text, &std::fs::read(&beside)?, options)
}

/// Makes a graph of the bytes of an ONNX or TFLite file.
///
/// # Errors
/// What the file is instead, or all operators that no graph can hold, with the names of their nodes.
pub fn import(bytes: Vec<u8>, options: &Options) -> Result<Imported, ImportError> {
    if ncnn::is_ncnn(&bytes) {
        return Err(ImportError::Unfit(
            "the numbers of an ncnn file's layers are in the .bin file beside it".into(),
        ));
    }
    if crate::tflite::is_tflite(&bytes) {
        return crate::tflite::import(&bytes, options);
    }
    crate::scan::scan(&mut Cursor::new(&bytes), bytes.len() as u64)?;
    let model =
        ModelProto::decode(Bytes::from(bytes)).map_err(|error| ImportError::Damaged(error.to_string()))?;
    let unfit = |reason: String| Err(ImportError::Unfit(reason));
    if model.ir_version() < OLDEST_IR {
        return unfit(format!(
            "version {} of the format; the oldest that is read is {OLDEST_IR}",
            model.ir_version()
        ));
    }
    let opset = model.opset_import.iter().find(|set| matches!(set.domain(), "" | "ai.onnx"));
    let Some(opset) = opset.map(|set| set.version()) else {
        return unfit("the file does not say which operators it means (opset_import)".into());
    };
    if !OPSETS.contains(&opset) {
        let (oldest, newest) = OPSETS.into_inner();
        return unfit(format!(
            "operator set {opset}; known are {oldest} to {newest}: export it with one of those"
        ));
    }
    if !model.training_info.is_empty() {
        return unfit("the file holds a training graph; export the network for inference".into());
    }
    if !model.functions.is_empty() {
        return unfit(
            "the file has operators of its own (local functions); export it with them inlined".into(),
        );
    }
    let Some(graph) = &model.graph else { return unfit("the file has no graph".into()) };
    let external = External { folder: options.folder.clone() };
    let mut imported = walk::walk(graph, opset, &external, options)?;
    imported.producer = format!("{} {}", model.producer_name(), model.producer_version()).trim().into();
    imported.metadata =
        model.metadata_props.iter().map(|entry| (entry.key().to_owned(), entry.value().to_owned())).collect();
    Ok(imported)
}
