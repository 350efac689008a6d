//! What a file becomes, and what is said about one that it leaves open.

use std::collections::BTreeMap;
use std::path::PathBuf;

use cygnet_graph::{Graph, Limits};
use cygnet_weights::{Quantization, WeightSet};

use super::arrange::{ImportedInput, ImportedOutput};

/// What a file leaves open.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// What a network is called whose format has no names for networks, as TFLite's and ncnn's have none; else the format.
    pub name: Option<String>,
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
